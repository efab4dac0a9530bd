//! The largest radius with an early stop: looks fixed in advance, failure probability divided among them.
//!
//! For a budget of n draws the looks are at ⌈n/4ⁱ⌉, i = 5…0, as far as these are at least 64; the last one is at n. The
//! last look has one half of α, the others equal parts of the other half (all of α where there is one look). At look
//! j the Clopper–Pearson bound p_j at share α_j is above the probability p with probability at most α_j; by the union
//! bound all p_j ≤ p at once with probability at least 1 − Σα_j ≥ 1 − α. So any rule may choose the look to stop at,
//! one that sees the counts included, and the bound of that look holds. The price is the radius at α/2 in place of α:
//! 3.794σ for 3.811σ at n = 100,000 and α = 1/1000.
//!
//! The rule: with the probability at the upper end of its 99 % interval (which costs no soundness, it only chooses),
//! would the last look's radius exceed this look's by more than the gain asked for?

use crate::{Account, Alpha, Price};
use selvedge_noise::binomial;

/// Looks at most.
const LOOKS: u32 = 6;
/// The fewest draws of an early look.
const FEWEST: u32 = 64;
/// One minus the confidence of the projection.
const PROJECTION: f64 = 0.01;

/// The looks of a budget.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    samples: u32,
    looks: u32,
}

impl Schedule {
    pub fn new(samples: u32) -> Self {
        let early = (1..LOOKS).take_while(|&i| Self::part(samples, i) >= FEWEST).count() as u32;
        Schedule { samples, looks: early + 1 }
    }

    /// ⌈samples/4^i⌉
    fn part(samples: u32, i: u32) -> u32 {
        samples.div_ceil(1 << (2 * i))
    }

    /// The first look after `drawn` draws.
    pub fn next(&self, drawn: u32) -> Option<u32> {
        (0..self.looks).rev().map(|i| Self::part(self.samples, i)).find(|&look| look > drawn)
    }

    /// The share of a look. `None` if there is none at `look`.
    pub fn share(&self, alpha: Alpha, look: u32) -> Option<Alpha> {
        let i = (0..self.looks).find(|&i| Self::part(self.samples, i) == look)?;
        if self.looks == 1 {
            return Some(alpha);
        }
        let (early, last) = alpha.split_off(1, 2);
        Some(if i == 0 { last } else { early.split_off(1, self.looks - 1).0 })
    }

    /// Spends the share of every look up to `look`; returns that look's own as a bound takes it. `None`, and nothing
    /// spent, where `look` is none.
    pub fn spend(&self, alpha: &Alpha, look: u32, account: &mut Account) -> Option<f64> {
        let mut own = None;
        self.share(alpha.again(), look)?;
        for i in (0..self.looks).rev() {
            let at = Self::part(self.samples, i);
            if at <= look {
                own = self.share(alpha.again(), at).map(|share| account.spend(share));
            }
        }
        own
    }
}

/// The radius at the last look if `hits` of `drawn` go on as well as they plausibly may.
pub(crate) fn projected(samples: u32, alpha: &Alpha, price: &Price, hits: u32, drawn: u32) -> f64 {
    let best = libm::ceil(f64::from(samples) * binomial::upper_bound(hits, drawn, PROJECTION)) as u32;
    let reachable = hits.saturating_add(samples.saturating_sub(drawn)).min(best.max(hits));
    let share = Schedule::new(samples).share(alpha.again(), samples);
    price.radius(share.map_or(0.0, |share| binomial::lower_bound(reachable, samples, share.lower())))
}
