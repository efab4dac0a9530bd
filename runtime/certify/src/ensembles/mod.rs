//! Certificates without samples for ensembles of stumps and trees: class probabilities under noise, computed.
//!
//! After Horváth et al., "(De-)randomized smoothing for decision stump ensembles" (NeurIPS 2022). The score of an input is
//! a sum of integers, one from every stump and one from every tree, and the class is 1 where it exceeds a border, 0
//! elsewhere. Noise is independent from element to element. All stumps of one element together are a function of that
//! element, a tree is one of the elements that it splits on; where no tree shares an element with a stump or another
//! tree, the parts of the score are independent, and the law of their sum is a convolution of laws on integers: exact, by a
//! dynamic programme. (Trees over the same elements are not independent, and refused.)
//!
//! **Statement.** Let `rest` bound the probability that `x + Z` has not class A, from above, `rest < ½`.
//! - [`Smoothing::Gaussian`]: Z is `round(N(0, σ²))`; by the theorem of Cohen et al. (2019), g is A on all of the grid
//!   with `‖δ‖₂ < −σ·Φ⁻¹(rest)`.
//! - [`Smoothing::Uniform`]: Z is uniform on the q = 2h + 1 integers from −h to h. A shift by δ_j changes the law of one
//!   element by |δ_j|/q in total variation, so g is A where `‖δ‖₁ < q·(½ − rest)` (Yang et al. 2020).
//!
//! Both are certain: nothing is drawn, α = 0, and there is no price of finite precision, since the law is the exact one.
//! x + δ lies in the range of the grid; noisy codes saturate at its ends, as they do where noise is drawn.
//!
//! **Rounding.** Every probability of a cell is rounded up ([`selvedge_noise::normal`]), every sum of the programme is
//! enlarged by more than its roundings and by the smallest normal number for what underflows. Small probabilities stay
//! small: no cap at 1 − 10⁻¹⁵, radii up to 37σ are told apart.
//!
//! Memory, from the caller ([`Ensemble::needs`]): 8 bytes for each integer the score can be, 16 for each cell of the part
//! that has most of them (thresholds of one element plus one, or leaves of a tree).

mod law;
mod scores;
mod trees;

pub use law::Smoothing;
pub use scores::{Cell, Memory};
pub use trees::Node;

use crate::{CertError, Clean, Grid, Price, open_ball};
use law::Around;
use scores::Scores;
use trees::Leaves;

/// One split of one element. Stumps are sorted by element, then by threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stump {
    /// The element.
    pub feature: u32,
    /// Codes above it go to `high`.
    pub threshold: i16,
    /// Score of the others.
    pub low: i32,
    /// Score of codes above the threshold.
    pub high: i32,
}

/// A validated ensemble.
#[derive(Clone, Copy, Debug)]
pub struct Ensemble<'a> {
    stumps: &'a [Stump],
    trees: &'a [&'a [Node]],
    border: i64,
    needs: Needs,
}

/// Entries of memory that a certificate takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Integers from the lowest score to the highest.
    pub scores: usize,
    /// Cells of the largest part.
    pub cells: usize,
}

/// How far a class reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All grid points at a squared ℓ2 distance of at most so many steps.
    L2 {
        /// Squared steps.
        r2: u64,
    },
    /// All grid points at an ℓ1 distance of at most so many steps.
    L1 {
        /// Steps.
        r1: u32,
    },
}

/// A class that is certain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExactCertificate {
    /// The class, 0 or 1.
    pub class: u16,
    /// A number not below the probability of the other class under noise.
    pub rest: f64,
    /// Where the smoothed classifier is the same.
    pub reach: Reach,
}

impl<'a> Ensemble<'a> {
    /// Checks order, structure and disjointness. Takes time in the square of the splits of trees.
    ///
    /// # Errors
    /// [`CertError::Ensemble`] with the first stump out of order, or the number of stumps plus that of the tree that is
    /// malformed ([`Node`]) or shares an element with a stump or another tree; [`CertError::Length`] for nothing at all,
    /// or scores that cannot be addressed.
    pub fn new(stumps: &'a [Stump], trees: &'a [&'a [Node]], border: i64) -> Result<Self, CertError> {
        for (index, pair) in stumps.windows(2).enumerate() {
            if let [one, next] = pair
                && (one.feature, one.threshold) > (next.feature, next.threshold)
            {
                return Err(CertError::Ensemble { index: index as u32 + 1 });
            }
        }
        for (index, tree) in trees.iter().enumerate() {
            let bad = CertError::Ensemble { index: (stumps.len() + index) as u32 };
            let before = trees.get(..index).unwrap_or(&[]);
            let used = |feature| {
                stumps.binary_search_by_key(&feature, |stump| stump.feature).is_ok()
                    || before.iter().any(|other| trees::splits(other).any(|split| split == feature))
            };
            if !trees::is_tree(tree) || trees::splits(tree).any(used) {
                return Err(bad);
            }
        }
        let mut this = Ensemble { stumps, trees, border, needs: Needs::default() };
        let (low, high, cells) = this.range();
        let scores = high.checked_sub(low).and_then(|width| usize::try_from(width).ok()?.checked_add(1));
        this.needs = Needs { scores: scores.ok_or(CertError::Length)?, cells };
        if cells == 0 { Err(CertError::Length) } else { Ok(this) }
    }

    /// Memory that a certificate takes.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// The score that class 1 exceeds.
    pub fn border(&self) -> i64 {
        self.border
    }

    /// The stumps of every element that has some.
    fn groups(&self) -> impl Iterator<Item = &'a [Stump]> {
        self.stumps.chunk_by(|a, b| a.feature == b.feature)
    }

    /// The smallest and the largest sum of the parts' scores, and the cells of the largest part.
    fn range(&self) -> (i64, i64, usize) {
        let (mut low, mut high, mut cells) = (0i64, 0i64, 0usize);
        let mut add = |scores: &mut dyn Iterator<Item = i64>| {
            let (mut least, mut most, mut count) = (i64::MAX, i64::MIN, 0);
            for score in scores {
                (least, most, count) = (least.min(score), most.max(score), count + 1);
            }
            (low, high) = (low.saturating_add(least), high.saturating_add(most));
            cells = cells.max(count);
        };
        self.groups().for_each(|group| add(&mut levels(group)));
        self.trees.iter().for_each(|tree| add(&mut Leaves::new(tree).map(|leaf| leaf.score)));
        (low, high, cells)
    }

    /// The score of an input; the class is 1 where it exceeds the border. Elements that there are not count as 0.
    pub fn score(&self, code: impl Fn(u32) -> i16) -> i64 {
        let side = |stump: &Stump| if code(stump.feature) > stump.threshold { stump.high } else { stump.low };
        let stumps: i64 = self.stumps.iter().map(|stump| i64::from(side(stump))).sum();
        stumps + self.trees.iter().map(|tree| i64::from(trees::evaluate(tree, &code))).sum::<i64>()
    }

    /// The class of an input, without noise.
    pub fn class(&self, code: impl Fn(u32) -> i16) -> usize {
        usize::from(self.score(code) > self.border)
    }

    /// The class of the smoothed classifier and how far it reaches; `None` where no class is proved to have more than
    /// one half, or reaches no farther than rounding.
    ///
    /// ```
    /// use selvedge_certify::ensembles::{Cell, Ensemble, Memory, Reach, Smoothing, Stump};
    /// use selvedge_certify::{Clean, Grid};
    /// use selvedge_noise::Sigma;
    /// let stump = |feature| Stump { feature, threshold: 0, low: -1, high: 1 };
    /// let stumps = [stump(0), stump(1), stump(2)];
    /// let ensemble = Ensemble::new(&stumps, &[], 0)?; // a vote of three
    /// let (mut scores, mut cells) = ([0.0; 7], [Cell::default(); 2]);
    /// let memory = Memory { scores: &mut scores, cells: &mut cells };
    /// let noise = Smoothing::Gaussian(Sigma::new(8, 1).expect("not zero"));
    /// let found = ensemble.certify(&Clean::I8(&[20, 20, 20]), &Grid::int8(1.0, 0), noise, memory)?;
    /// let found = found.expect("a majority");
    /// assert_eq!((found.class, found.reach), (1, Reach::L2 { r2: 826 })); // 28.7 steps, 3.6 standard deviations
    /// # Ok::<(), selvedge_certify::CertError>(())
    /// ```
    ///
    /// # Errors
    /// [`CertError::Range`], [`CertError::OutOfRange`], [`CertError::Length`] for the input, also where it has not all
    /// elements; [`CertError::Sigma`]; [`CertError::Buffer`] with the entries needed.
    pub fn certify(
        &self,
        input: &Clean<'_>,
        grid: &Grid,
        noise: Smoothing,
        memory: Memory<'_>,
    ) -> Result<Option<ExactCertificate>, CertError> {
        let mass = self.masses(input, grid, noise, memory)?;
        let class = usize::from(mass[1] > mass[0]);
        let rest = mass[1 - class];
        Ok(reach(noise, rest).map(|reach| ExactCertificate { class: class as u16, rest, reach }))
    }

    /// Numbers not below the probabilities of class 0 and of class 1 under noise.
    ///
    /// For more than two classes: let the parts of an ensemble be the differences of the scores of A and of B, its border 0
    /// (or −1 where A wins ties), and take its class 0, "B is not beaten"; the sum over all B, with
    /// [`f64::next_up`] after each addition, bounds from above the probability that A is not the class. [`reach`] does
    /// the rest.
    ///
    /// # Errors
    /// Those of [`Ensemble::certify`].
    pub fn masses(
        &self,
        input: &Clean<'_>,
        grid: &Grid,
        noise: Smoothing,
        memory: Memory<'_>,
    ) -> Result<[f64; 2], CertError> {
        let dimensions = input.check(grid)?;
        let last = self.stumps.last().map(|stump| stump.feature);
        let features = self.trees.iter().flat_map(|tree| trees::splits(tree)).chain(last);
        if features.max().is_some_and(|feature| feature >= dimensions) {
            return Err(CertError::Length);
        }
        noise.check()?;
        let mut scores = Scores::new(memory, self.needs)?;
        let around = |feature: u32| Around { noise, value: input.at(feature as usize), grid: *grid };
        for group in self.groups() {
            let around = around(group.first().map_or(0, |stump| stump.feature));
            let border = |index: usize| group.get(index).map(|stump| stump.threshold);
            let cells = levels(group).enumerate().map(|(index, score)| {
                let above = index.checked_sub(1).and_then(border);
                (score, around.upper(above, border(index)))
            });
            scores.add(cells)?;
        }
        for tree in self.trees {
            let boxed = |leaf: trees::Leaf| {
                let bounds = leaf.bounds().map(|(feature, above, most)| around(feature).upper(above, most));
                (leaf.score, scores::product(bounds))
            };
            scores.add(Leaves::new(tree).map(boxed))?;
        }
        Ok(scores.split(self.border))
    }
}

/// Where a class keeps more than one half that all others together have at most `rest` of at the input. `None` for
/// nowhere, and for noise that there is not.
pub fn reach(noise: Smoothing, rest: f64) -> Option<Reach> {
    noise.check().ok()?;
    match noise {
        Smoothing::Gaussian(sigma) => open_ball(Price::new(sigma, 0.0).radius_of_rest(rest)).map(|r2| Reach::L2 { r2 }),
        Smoothing::Uniform { half } => law::uniform_reach(half, rest).map(|r1| Reach::L1 { r1 }),
    }
}

/// The score of one element's stumps in every cell between their thresholds, lowest codes first.
fn levels(group: &[Stump]) -> impl Iterator<Item = i64> {
    let lowest: i64 = group.iter().map(|stump| i64::from(stump.low)).sum();
    let steps = group.iter().map(|stump| i64::from(stump.high) - i64::from(stump.low));
    core::iter::once(lowest).chain(steps.scan(lowest, |level, step| {
        *level += step;
        Some(*level)
    }))
}
