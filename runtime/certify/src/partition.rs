//! Bounds for several classes at once, by a partition of the classes (Delattre et al., "Bridging the gap", AISTATS 2025).
//!
//! From the selection counts, which say nothing about the estimation draws: the most frequent class is a bucket, the
//! second one is, then single classes as long as the rest together were more frequent than the second; what remains is
//! one bucket. Each of b buckets gets α/b: a lower bound for the first, upper bounds for the others. The probability of
//! a bucket bounds that of every class in it, so with probability 1 − α all hold at once.

use crate::{Account, Alpha, Counts};
use selvedge_noise::binomial;

/// The bucket of every class, and how many buckets there are.
pub(crate) struct Partition<const CLASSES: usize> {
    bucket: [u16; CLASSES],
    buckets: u32,
}

/// No bucket yet.
const NONE: u16 = u16::MAX;

impl<const CLASSES: usize> Partition<CLASSES> {
    /// The partition for selection counts of the first `classes` classes.
    pub fn of(selection: &Counts<CLASSES>, classes: usize) -> Self {
        let mut this = Partition { bucket: [NONE; CLASSES], buckets: 0 };
        let counts = selection.as_slice().get(..classes).unwrap_or(selection.as_slice());
        this.peel(counts);
        let second = this.peel(counts);
        let mut rest = this.rest(counts);
        while rest > u64::from(second) {
            rest -= u64::from(this.peel(counts));
        }
        let mut others = false;
        for bucket in this.bucket.iter_mut().take(counts.len()).filter(|bucket| **bucket == NONE) {
            *bucket = this.buckets as u16;
            others = true;
        }
        this.buckets += u32::from(others);
        this
    }

    /// Makes the most frequent class without a bucket one; returns its count.
    fn peel(&mut self, counts: &[u32]) -> u32 {
        let mut best: Option<(usize, u32)> = None;
        for (class, (&count, &bucket)) in counts.iter().zip(&self.bucket).enumerate() {
            if bucket == NONE && best.is_none_or(|(_, most)| count > most) {
                best = Some((class, count));
            }
        }
        let Some((class, count)) = best else { return 0 };
        if let Some(bucket) = self.bucket.get_mut(class) {
            *bucket = self.buckets as u16;
            self.buckets += 1;
        }
        count
    }

    /// Draws of classes without a bucket.
    fn rest(&self, counts: &[u32]) -> u64 {
        let without = counts.iter().zip(&self.bucket).filter(|(_, bucket)| **bucket == NONE);
        without.map(|(&count, _)| u64::from(count)).sum()
    }

    /// A lower bound for the first bucket and an upper bound for each class outside it, where `slack` of the `n`
    /// predictions may have been counted wrongly.
    pub fn bounds(
        &self,
        counts: &Counts<CLASSES>,
        n: u32,
        slack: u32,
        alpha: Alpha,
        account: &mut Account,
    ) -> (f64, f64) {
        let (mut lower, mut upper) = (0.0f64, 0.0f64);
        let mut left = alpha;
        for bucket in 0..self.buckets {
            let share;
            (share, left) = left.split_off(1, self.buckets - bucket);
            let mass = counts.as_slice().iter().zip(&self.bucket).filter(|(_, of)| u32::from(**of) == bucket);
            let mass = mass.map(|(&count, _)| count).fold(0, u32::saturating_add);
            let share = account.spend(share);
            match bucket {
                0 => lower = binomial::lower_bound(mass.saturating_sub(slack), n, share),
                _ => upper = upper.max(binomial::upper_bound(mass.saturating_add(slack), n, share)),
            }
        }
        // No other class has more than what the first one leaves.
        (lower, upper.min((1.0 - lower).next_up()))
    }
}
