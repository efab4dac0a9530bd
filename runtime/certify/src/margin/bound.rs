//! The three bounds that a radius can come from, and which one is to be expected the best.

use super::moments::difference_lower;
use super::{Moments, Simplex, UNIT};
use crate::{Account, Alpha, Mixing, Price};
use selvedge_noise::binomial;

/// Which expectations are bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// That of class A alone: `σ·Φ⁻¹(p_A)`; one bound.
    One,
    /// That of A from below and of every other class from above: `σ/2·(Φ⁻¹(p_A) − Φ⁻¹(p_B))`; a bound for each class.
    Two,
    /// That of the difference of A and every other class: `σ·√(π/2)·m`; a bound for each other class.
    Margin,
}

/// What the selection draws chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The map, by its number in the request.
    pub map: u16,
    /// The class.
    pub class: u16,
    /// What is bounded.
    pub bound: Bound,
}

/// Values of the bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    Pair(f64, f64),
    Margin(f64),
}

impl Value {
    pub fn radius(self, price: &Price) -> f64 {
        match self {
            Value::Pair(lower, upper) => price.radius_two_class(lower, upper),
            Value::Margin(margin) => price.radius_margin(margin),
        }
    }

    /// Of a mixture with this map's smoothed classifier as its robust part.
    pub fn mixed(self, price: &Price, mixing: &Mixing) -> f64 {
        match self {
            Value::Pair(lower, upper) => mixing.radius(price, lower, upper),
            Value::Margin(margin) => price.radius_margin((margin - mixing.lead()).next_down()),
        }
    }
}

/// What is kept for a class: 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Of its weights.
    pub moments: Moments,
    /// Σ of its weight times that of the class chosen.
    pub product: u64,
}

impl Entry {
    /// As if `n` draws had gone like these `of`.
    pub fn scaled(&self, n: u32, of: u32) -> Entry {
        let part = |sum: u64| u128::from(sum) * u128::from(n);
        let of = u128::from(of.max(1));
        // Squares up, so that they stay those of some numbers.
        let squares = part(self.moments.squares).div_ceil(of) as u64;
        let moments = Moments { sum: (part(self.moments.sum) / of) as u64, squares };
        Entry { moments, product: (part(self.product) / of) as u64 }
    }
}

/// All classes under one map.
pub(crate) struct Sums<'s> {
    pub map: Simplex,
    pub entries: &'s [Entry],
    pub n: u32,
}

impl Sums<'_> {
    /// The class of the largest sum, of equal ones the first.
    pub fn top(&self) -> usize {
        let mut best = (0, None);
        for (class, entry) in self.entries.iter().enumerate() {
            if best.1.is_none_or(|sum| entry.moments.sum > sum) {
                best = (class, Some(entry.moments.sum));
            }
        }
        best.0
    }

    /// Spends `alpha` on a bound, all of it.
    pub fn value(&self, class: usize, bound: Bound, alpha: Alpha, account: &mut Account) -> Value {
        let others = self.entries.len().saturating_sub(1) as u32;
        let own = self.entries.get(class).copied().unwrap_or_default().moments;
        let rest = || self.entries.iter().enumerate().filter(move |(other, _)| *other != class);
        let mut left = alpha;
        let mut share = |parts: u32| {
            let share;
            (share, left) = core::mem::replace(&mut left, Alpha::NONE).split_off(1, parts);
            account.spend(share)
        };
        match bound {
            Bound::One => {
                let lower = self.lower(&own, share(1));
                // Weights add up to at most 1.
                Value::Pair(lower, (1.0 - lower).next_up())
            }
            Bound::Two => {
                let lower = self.lower(&own, share(others + 1));
                let upper =
                    rest().zip((1..=others).rev()).map(|((_, entry), parts)| self.upper(&entry.moments, share(parts)));
                let upper = upper.fold(0.0, f64::max);
                Value::Pair(lower, upper.min((1.0 - lower).next_up()))
            }
            Bound::Margin => {
                let margins = rest().zip((1..=others).rev()).map(|((_, entry), parts)| {
                    difference_lower(&own, &entry.moments, entry.product, self.n, share(parts))
                });
                Value::Margin(margins.fold(f64::INFINITY, f64::min))
            }
        }
    }

    fn lower(&self, moments: &Moments, share: f64) -> f64 {
        match self.map {
            // Weights are 0 or 1: counts.
            Simplex::Argmax => binomial::lower_bound((moments.sum / u64::from(UNIT)) as u32, self.n, share),
            _ => moments.lower_bound(self.n, share),
        }
    }

    fn upper(&self, moments: &Moments, share: f64) -> f64 {
        match self.map {
            Simplex::Argmax => binomial::upper_bound((moments.sum / u64::from(UNIT)) as u32, self.n, share),
            _ => moments.upper_bound(self.n, share),
        }
    }
}
