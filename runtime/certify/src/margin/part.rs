//! Weights of samples that are counted apart from the run.

use super::bound::Entry;
use super::{Plan, Simplex};
use selvedge_noise::Domain;

/// Weights of some samples, added up: see [`MarginRun::count`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarginPart<const CLASSES: usize, const MAPS: usize> {
    pub(super) draws: u32,
    pub(super) domain: Domain,
    /// What was chosen when they were counted.
    pub(super) classes: [u16; MAPS],
    pub(super) plan: Option<Plan>,
    pub(super) table: [[Entry; CLASSES]; MAPS],
}

impl<const CLASSES: usize, const MAPS: usize> MarginPart<CLASSES, MAPS> {
    /// Adds those of other samples of the same range. Order and grouping do not matter.
    pub fn merge(&mut self, other: &Self) {
        self.draws = self.draws.saturating_add(other.draws);
        merge(&mut self.table, &other.table);
    }
}

pub(super) fn merge<const CLASSES: usize, const MAPS: usize>(
    to: &mut [[Entry; CLASSES]; MAPS],
    from: &[[Entry; CLASSES]; MAPS],
) {
    for (to, from) in to.iter_mut().flatten().zip(from.iter().flatten()) {
        to.moments.merge(&from.moments);
        to.product = to.product.saturating_add(from.product);
    }
}

/// Adds the weights of one draw.
pub(super) fn add(row: &mut [Entry], map: Simplex, class: u16, scores: &[i32], weights: &mut [u16]) {
    map.weigh(scores, weights);
    let own = u64::from(weights.get(usize::from(class)).copied().unwrap_or(0));
    for (entry, &weight) in row.iter_mut().zip(&*weights) {
        entry.moments.add(weight);
        entry.product = entry.product.saturating_add(own * u64::from(weight));
    }
}
