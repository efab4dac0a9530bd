//! Proofs that a prediction is in a tree.

use super::{LEVELS, Node};
use selvedge_noise::Domain;

/// That one estimation draw was predicted as `class`: the siblings on its way to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof<const CLASSES: usize> {
    /// The prediction.
    pub class: u32,
    /// Siblings, those of the leaf first.
    path: [Node<CLASSES>; LEVELS],
    len: usize,
}

impl<const CLASSES: usize> Proof<CLASSES> {
    /// The proof for one of `predictions`, which are those of all estimation draws in order. Hashes all of them.
    /// `None` for an index or class that does not exist.
    pub fn new(predictions: &[u16], index: u32, classes: u32) -> Option<Self> {
        let classes = classes as usize;
        let leaves = u32::try_from(predictions.len()).ok().filter(|&n| n >> LEVELS == 0)?;
        let class = u32::from(*predictions.get(index as usize)?);
        let (siblings, len) = way(index, leaves);
        let mut path = [Node::default(); LEVELS];
        for (to, sibling) in path.iter_mut().zip(siblings.iter().take(len).rev()) {
            *to = subtree(predictions, sibling.first, sibling.size, classes)?;
        }
        Some(Proof { class, path, len })
    }

    /// Siblings, those of the leaf first.
    pub fn path(&self) -> &[Node<CLASSES>] {
        self.path.get(..self.len).unwrap_or(&self.path)
    }

    /// A proof with these siblings; `None` if there are too many.
    pub fn from_path(class: u32, path: &[Node<CLASSES>]) -> Option<Self> {
        let mut all = [Node::default(); LEVELS];
        all.get_mut(..path.len())?.copy_from_slice(path);
        Some(Proof { class, path: all, len: path.len() })
    }

    /// The topmost node that the proof leads to, if it has the shape of a tree of `leaves` leaves and every sibling has
    /// as many predictions as leaves.
    pub(crate) fn top(&self, index: u32, leaves: u32, classes: usize) -> Option<Node<CLASSES>> {
        if index >= leaves || leaves >> LEVELS != 0 || self.class as usize >= classes {
            return None;
        }
        let (siblings, len) = way(index, leaves);
        if len != self.len {
            return None;
        }
        let mut node = Node::leaf(Domain::Estimate, index, self.class as usize)?;
        for (sibling, at) in self.path().iter().zip(siblings.iter().take(len).rev()) {
            if sibling.counts.total() != u64::from(at.size) {
                return None;
            }
            node = match at.left {
                true => Node::join(sibling, &node, classes),
                false => Node::join(&node, sibling, classes),
            };
        }
        Some(node)
    }
}

/// A sibling on the way to a leaf.
#[derive(Clone, Copy, Default)]
struct Sibling {
    first: u32,
    size: u32,
    left: bool,
}

/// The siblings from the root down to leaf `index` of `leaves` < 2^LEVELS.
fn way(index: u32, leaves: u32) -> ([Sibling; LEVELS], usize) {
    let mut siblings = [Sibling::default(); LEVELS];
    let (mut first, mut size, mut len) = (0u32, leaves, 0);
    for sibling in &mut siblings {
        if size <= 1 {
            break;
        }
        // The largest power of two below size.
        let half = 1u32 << (31 - (size - 1).leading_zeros());
        if index < first + half {
            *sibling = Sibling { first: first + half, size: size - half, left: false };
            size = half;
        } else {
            *sibling = Sibling { first, size: half, left: true };
            (first, size) = (first + half, size - half);
        }
        len += 1;
    }
    (siblings, len)
}

/// The node over `size` predictions from `first` on.
fn subtree<const CLASSES: usize>(predictions: &[u16], first: u32, size: u32, classes: usize) -> Option<Node<CLASSES>> {
    if size <= 1 {
        let class = usize::from(*predictions.get(first as usize)?);
        return Node::leaf(Domain::Estimate, first, class).filter(|_| class < classes);
    }
    let half = 1u32 << (31 - (size - 1).leading_zeros());
    let left = subtree(predictions, first, half, classes)?;
    let right = subtree(predictions, first + half, size - half, classes)?;
    Some(Node::join(&left, &right, classes))
}
