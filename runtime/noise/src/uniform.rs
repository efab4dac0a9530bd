//! Uniform integers and random subsets, without bias, from a counter.
//!
//! A number below b is `⌊u·b/2^32⌋` for a word u, drawn again where `u·b mod 2^32 < 2^32 mod b` (Lemire 2019): every
//! number has then the same number of words. The j-th word of a coordinate lies at `place = j·2^35 + coordinate`, the
//! first one where the Gaussian has its own. A word is refused with probability below ½; after [`ATTEMPTS`] refusals,
//! which all coordinates of an input together see with probability below 2^−96, the last word counts.
//!
//! A subset of k of d positions is drawn by selection sampling (Fan, Muller and Rezucha 1962; Knuth's Algorithm S): the
//! position t is taken with probability (k − taken)/(d − t), so that each of the C(d, k) subsets has the same. It needs
//! two counters and goes through the positions in order, once: no list, no permutation.

use super::rng::{Domain, NoiseKey, Words};

/// Words that a number asks for at most.
const ATTEMPTS: u32 = 128;

/// Uniform integers, one a coordinate.
pub struct Integers<'k> {
    words: Words<'k>,
    coordinate: u64,
}

impl Integers<'_> {
    /// A number below `bound`, all with the same probability; 0 for no bound. Moves on by one coordinate.
    pub fn below(&mut self, bound: u32) -> u32 {
        let coordinate = self.coordinate;
        self.coordinate += 1;
        let first = self.words.next();
        lemire(first, bound, |attempt| self.words.later(attempt, coordinate))
    }
}

/// A number below `bound` from a first word, and later ones where it is refused.
#[inline]
fn lemire(first: u32, bound: u32, later: impl Fn(u32) -> u32) -> u32 {
    let mut product = u64::from(first) * u64::from(bound);
    // 2^32 mod bound is below the bound: most words need no division.
    if (product as u32) < bound {
        let least = bound.wrapping_neg() % bound;
        for attempt in 1..ATTEMPTS {
            if product as u32 >= least {
                break;
            }
            product = u64::from(later(attempt)) * u64::from(bound);
        }
    }
    (product >> 32) as u32
}

/// Whether each position, in order, is in a random subset.
///
/// ```
/// use selvedge_noise::{Domain, NoiseKey};
/// let key = NoiseKey::from_bytes([7; 32]);
/// let kept = key.subset(Domain::Estimate, 0, 784, 45).filter(|&kept| kept).count();
/// assert_eq!(kept, 45);
/// ```
pub struct Subset<'k> {
    integers: Integers<'k>,
    left: u32,
    keep: u32,
}

impl Iterator for Subset<'_> {
    type Item = bool;

    fn next(&mut self) -> Option<bool> {
        if self.left == 0 {
            return None;
        }
        let certain = self.keep == 0 || self.keep >= self.left;
        let kept = if certain { self.keep > 0 } else { self.integers.below(self.left) < self.keep };
        self.left -= 1;
        self.keep -= u32::from(kept);
        Some(kept)
    }
}

impl NoiseKey {
    /// Uniform integers of a sample, from coordinate `first` on.
    pub fn integers(&self, domain: Domain, sample: u64, first: u32) -> Integers<'_> {
        Integers { words: self.words(domain, sample, first), coordinate: first.into() }
    }

    /// The subset of a sample: `keep` of `positions`, all of them where there are fewer.
    pub fn subset(&self, domain: Domain, sample: u64, positions: u32, keep: u32) -> Subset<'_> {
        Subset { integers: self.integers(domain, sample, 0), left: positions, keep }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_the_same_number_of_words() {
        // Oracle: counting. With a later word that is never refused, the words of each number are counted over a
        // bound near 2^32·2/3 by their border cases: the first words refused are 2^32 mod b many in each class.
        for bound in [1u32, 2, 3, 5, 6, 7, 10, 4096, 65_535, 1 << 31, (1 << 31) + 1, 2_863_311_531, u32::MAX] {
            let least = (1u64 << 32) % u64::from(bound);
            for number in [0, 1, 2, bound / 3, bound / 2, bound - 1].into_iter().filter(|&n| n < bound) {
                // Words u with ⌊u·b/2^32⌋ = number, refused ones left out.
                let (b, n) = (u64::from(bound), u64::from(number));
                let first = (n << 32).div_ceil(b);
                let end = ((n + 1) << 32).div_ceil(b);
                let first_taken = (first..end).find(|u| (u * b) & 0xffff_ffff >= least).expect("some are taken");
                assert_eq!(end - first_taken, (1 << 32) / b, "{bound} {number}");
                assert_eq!(lemire(first_taken as u32, bound, |_| panic!("taken")), number);
                assert_eq!(lemire((end - 1) as u32, bound, |_| panic!("taken")), number);
                if first < first_taken {
                    assert_eq!(lemire(first as u32, bound, |_| u32::MAX), bound - 1, "refused: the later word counts");
                }
            }
        }
        assert_eq!(lemire(7, 0, |_| 1), 0);
        assert_eq!(lemire(0, 3, |_| 0), 0, "no word is ever taken: an end all the same");
    }
}
