//! A Merkle tree over the predictions, whose nodes carry their counts.
//!
//! A leaf is one prediction. A node is hashed from the hashes and the counts of its two children and has their sums as
//! its own, so that the root commits to every prediction and to the counts of the record at once. The shape is that of
//! RFC 6962: the left part of a tree of n leaves has the largest power of two below n. Selection and estimation have
//! a tree each; the certifier's [`Sink`] builds them leaf by leaf in O(log n) memory.

mod proof;

use crate::bytes::{Reader, Writer};
use crate::{CertError, Counts, Job, Sink};
pub use proof::Proof;
use selvedge_noise::Domain;
use sha2::{Digest, Sha256};

/// Levels at most: up to 2^24 − 1 predictions.
const LEVELS: usize = 24;
const MAGIC: [u8; 4] = *b"SLVT";
const SEAL: usize = 12;
/// Bytes of a saved tree before its nodes.
const HEAD: usize = 4 + 2 + 1 + 1 + 4 + 32 + 32;

/// A node: its hash and how often each class was predicted below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node<const CLASSES: usize> {
    /// SHA-256 of the leaf, or of the children with their counts.
    pub hash: [u8; 32],
    /// Predictions below.
    pub counts: Counts<CLASSES>,
}

impl<const CLASSES: usize> Node<CLASSES> {
    fn leaf(domain: Domain, sample: u32, class: usize) -> Option<Self> {
        let mut counts = Counts::default();
        if !counts.add(class) {
            return None;
        }
        let mut hash = Sha256::new();
        hash.update([0, number(domain)]);
        hash.update(sample.to_le_bytes());
        hash.update((class as u32).to_le_bytes());
        Some(Node { hash: hash.finalize().into(), counts })
    }

    fn join(left: &Self, right: &Self, classes: usize) -> Self {
        let mut hash = Sha256::new();
        hash.update([1]);
        left.feed(&mut hash, classes);
        right.feed(&mut hash, classes);
        let mut counts = left.counts;
        counts.merge(&right.counts);
        Node { hash: hash.finalize().into(), counts }
    }

    fn feed(&self, hash: &mut Sha256, classes: usize) {
        hash.update(self.hash);
        (0..classes).for_each(|class| hash.update(self.counts.of(class).to_le_bytes()));
    }

    /// The root's hash: domain, number of leaves, counts and hash of the topmost node.
    pub(crate) fn root(&self, domain: Domain, leaves: u32, classes: usize) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update([2, number(domain)]);
        hash.update(leaves.to_le_bytes());
        self.feed(&mut hash, classes);
        hash.finalize().into()
    }
}

fn number(domain: Domain) -> u8 {
    match domain {
        Domain::Select => 0,
        Domain::Estimate => 1,
        Domain::Extension => 2,
    }
}

/// The trees of a run, built as the predictions come.
#[derive(Clone, Debug)]
pub struct Tree<const CLASSES: usize> {
    binding: [u8; 32],
    classes: usize,
    /// Roots of complete subtrees; that of 2^i leaves is there if bit i of `leaves` is set.
    frontier: [Node<CLASSES>; LEVELS],
    leaves: u32,
    estimating: bool,
    select_root: [u8; 32],
    selected: u32,
}

impl<const CLASSES: usize> Tree<CLASSES> {
    /// The empty trees of a job.
    pub fn new(job: &Job<'_>) -> Self {
        Tree {
            binding: *job.binding(),
            classes: job.terms().subject().classes as usize,
            frontier: [Node::default(); LEVELS],
            leaves: 0,
            estimating: false,
            select_root: empty_root(Domain::Select),
            selected: 0,
        }
    }

    /// The roots, if the tree is of this job and holds so many predictions of each domain.
    pub(crate) fn roots(&self, job: &Job<'_>, selected: u32, drawn: u32) -> Result<[[u8; 32]; 2], CertError> {
        let (select, estimate) = match self.estimating {
            true => ((self.selected, self.select_root), (self.leaves, self.top(Domain::Estimate))),
            false => ((self.leaves, self.top(Domain::Select)), (0, empty_root(Domain::Estimate))),
        };
        if self.binding != *job.binding() || select.0 != selected || estimate.0 != drawn {
            return Err(CertError::Tree);
        }
        Ok([select.1, estimate.1])
    }

    fn top(&self, domain: Domain) -> [u8; 32] {
        let mut top: Option<Node<CLASSES>> = None;
        for (_, node) in self.frontier.iter().enumerate().filter(|(level, _)| self.leaves >> level & 1 == 1) {
            top = Some(top.map_or(*node, |right| Node::join(node, &right, self.classes)));
        }
        top.map_or(empty_root(domain), |node| node.root(domain, self.leaves, self.classes))
    }

    fn push(&mut self, mut node: Node<CLASSES>) -> Result<(), CertError> {
        let mut level = 0;
        while self.leaves >> level & 1 == 1 {
            let left = self.frontier.get(level).ok_or(CertError::Tree)?;
            node = Node::join(left, &node, self.classes);
            level += 1;
        }
        *self.frontier.get_mut(level).ok_or(CertError::Tree)? = node;
        self.leaves += 1;
        Ok(())
    }

    /// Writes the trees to the front of `to`; returns their length: at most 88 bytes and, for every bit set in
    /// the number of leaves, 32 and 4 for each class.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the bytes needed.
    pub fn save(&self, to: &mut [u8]) -> Result<usize, CertError> {
        let needed = HEAD + self.leaves.count_ones() as usize * (32 + 4 * self.classes) + SEAL;
        let to = to.get_mut(..needed).ok_or(CertError::Buffer { needed: needed as u32 })?;
        let mut writer = Writer::new(to);
        writer.put(&MAGIC);
        writer.u16(1);
        writer.u8(u8::from(self.estimating));
        writer.u8(0);
        writer.u32(self.leaves);
        writer.put(&self.binding);
        writer.put(&self.select_root);
        for (level, node) in self.frontier.iter().enumerate() {
            if self.leaves >> level & 1 == 1 {
                writer.put(&node.hash);
                (0..self.classes).for_each(|class| writer.u32(node.counts.of(class)));
            }
        }
        writer.seal::<SEAL>();
        Ok(needed)
    }

    /// Goes on from saved trees of the same job.
    ///
    /// # Errors
    /// [`CertError::Foreign`] for those of another job; [`CertError::Magic`], [`CertError::Version`],
    /// [`CertError::Checksum`], [`CertError::Field`] for what is none.
    pub fn resume(job: &Job<'_>, bytes: &[u8]) -> Result<Self, CertError> {
        if bytes.get(..4) != Some(&MAGIC) {
            return Err(CertError::Magic);
        }
        let mut reader = Reader::sealed::<SEAL>(bytes)?;
        let _: [u8; 4] = reader.take()?;
        if reader.u16()? != 1 {
            return Err(CertError::Version);
        }
        let mut this = Self::new(job);
        let flags = reader.u16()?;
        this.estimating = flags == 1;
        this.leaves = reader.u32()?;
        if flags > 1 || this.leaves >> LEVELS != 0 {
            return Err(reader.bad(6));
        }
        if reader.take::<32>()? != this.binding {
            return Err(CertError::Foreign);
        }
        this.select_root = reader.take()?;
        this.selected = if this.estimating { job.terms().spec().request().selection } else { 0 };
        for level in 0..LEVELS {
            if this.leaves >> level & 1 == 0 {
                continue;
            }
            let hash = reader.take()?;
            let mut counts = [0; CLASSES];
            for count in counts.iter_mut().take(this.classes) {
                *count = reader.u32()?;
            }
            let counts = Counts::from_slice(&counts).unwrap_or_default();
            if counts.total() != 1 << level {
                return Err(reader.bad(4 * this.classes));
            }
            this.frontier[level] = Node { hash, counts };
        }
        reader.end()?;
        Ok(this)
    }
}

/// The root of no leaves.
pub(crate) fn empty_root(domain: Domain) -> [u8; 32] {
    Sha256::digest([3, number(domain)]).into()
}

impl<const CLASSES: usize> Sink for Tree<CLASSES> {
    fn take(&mut self, domain: Domain, sample: u32, class: usize) -> Result<(), CertError> {
        if domain == Domain::Extension {
            return Err(CertError::Tree);
        }
        if domain == Domain::Estimate && !self.estimating {
            (self.select_root, self.selected) = (self.top(Domain::Select), self.leaves);
            (self.leaves, self.estimating) = (0, true);
        }
        if sample != self.leaves || self.estimating != (domain == Domain::Estimate) || class >= self.classes {
            return Err(CertError::Tree);
        }
        self.push(Node::leaf(domain, sample, class).ok_or(CertError::Tree)?)
    }
}
