//! Trees in preorder: structure, evaluation, and the boxes of their leaves.

/// Splits above a leaf at most.
const DEPTH: usize = 32;

/// A node of a tree in preorder: a node, all that is below it to the low side, all to the high side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// Codes of an element above a threshold go to the node `high`, others to the next node.
    Split {
        /// The element.
        feature: u32,
        /// The threshold.
        threshold: i16,
        /// The node where the high side begins.
        high: u32,
    },
    /// An end and its score.
    Leaf(i32),
}

/// The elements a tree splits on, with repetitions.
pub(super) fn splits(tree: &[Node]) -> impl Iterator<Item = u32> {
    tree.iter().filter_map(|node| match node {
        Node::Split { feature, .. } => Some(*feature),
        Node::Leaf(_) => None,
    })
}

/// Whether the nodes are a tree in preorder, no deeper than 32 splits: every node is on exactly one path.
pub(super) fn is_tree(tree: &[Node]) -> bool {
    let mut leaves = Leaves::new(tree);
    leaves.by_ref().for_each(drop);
    leaves.whole
}

/// The score of an input. 0 for what is no tree.
pub(super) fn evaluate(tree: &[Node], code: impl Fn(u32) -> i16) -> i32 {
    let mut at = 0;
    // Both ways lead on, so that it ends.
    while let Some(Node::Split { feature, threshold, high }) = tree.get(at) {
        at = if code(*feature) > *threshold { (*high as usize).max(at + 1) } else { at + 1 };
    }
    if let Some(Node::Leaf(score)) = tree.get(at) { *score } else { 0 }
}

/// One split on the way to a leaf.
#[derive(Clone, Copy, Default)]
struct Turn {
    feature: u32,
    threshold: i16,
    /// Where the high side begins.
    high: u32,
    /// Which side was taken.
    is_high: bool,
}

/// A leaf and the way to it.
pub(super) struct Leaf {
    pub score: i64,
    turns: [Turn; DEPTH],
    depth: usize,
}

impl Leaf {
    /// For each element on the way: above which code it has to be, and at most which.
    pub fn bounds(&self) -> impl Iterator<Item = (u32, Option<i16>, Option<i16>)> {
        let turns = self.turns.get(..self.depth).unwrap_or(&[]);
        turns.iter().enumerate().filter_map(move |(at, turn)| {
            let mut earlier = turns.iter().take(at);
            if earlier.any(|other| other.feature == turn.feature) {
                return None;
            }
            let of = |is_high| {
                let same = turns.iter().filter(move |t| t.feature == turn.feature && t.is_high == is_high);
                same.map(|t| t.threshold)
            };
            Some((turn.feature, of(true).max(), of(false).min()))
        })
    }
}

/// All leaves, lowest codes first.
pub(super) struct Leaves<'a> {
    tree: &'a [Node],
    at: usize,
    turns: [Turn; DEPTH],
    depth: usize,
    ended: bool,
    /// Every node was visited once, and nothing was out of place.
    pub whole: bool,
}

impl<'a> Leaves<'a> {
    pub fn new(tree: &'a [Node]) -> Self {
        Leaves { tree, at: 0, turns: [Turn::default(); DEPTH], depth: 0, ended: false, whole: false }
    }

    /// Goes down the low sides to the next leaf; its score. `None` for what is no tree.
    fn descend(&mut self) -> Option<i64> {
        loop {
            match self.tree.get(self.at)? {
                Node::Leaf(score) => return Some((*score).into()),
                Node::Split { feature, threshold, high } => {
                    let turn = Turn { feature: *feature, threshold: *threshold, high: *high, is_high: false };
                    *self.turns.get_mut(self.depth)? = turn;
                    self.depth += 1;
                    self.at += 1;
                }
            }
        }
    }

    /// Leaves a leaf: up to the last split whose high side is left, which has to begin here.
    fn ascend(&mut self) {
        self.at += 1;
        while let Some(turn) = self.depth.checked_sub(1).and_then(|top| self.turns.get_mut(top)) {
            if !turn.is_high {
                turn.is_high = true;
                self.ended = turn.high as usize != self.at;
                return;
            }
            self.depth -= 1;
        }
        self.ended = true;
        self.whole = self.at == self.tree.len();
    }
}

impl Iterator for Leaves<'_> {
    type Item = Leaf;

    fn next(&mut self) -> Option<Leaf> {
        if self.ended {
            return None;
        }
        let Some(score) = self.descend() else {
            self.ended = true;
            return None;
        };
        let leaf = Leaf { score, turns: self.turns, depth: self.depth };
        self.ascend();
        Some(leaf)
    }
}
