//! The rounded Gaussian on an integer grid, exactly.
//!
//! `z = round(N(0, σ²))` has `P(z ≤ i) = Φ((i + ½)/σ)`. With `T_i = ⌊2^64·Φ((i + ½)/σ)⌋` and u uniform in 64 bits,
//! `z = #{i : T_i ≤ u}` counted from the lowest i. Only thresholds of i ≥ 0 are stored:
//! `T_(−1−i) = 2^64 − 1 − T_i`. The first 32 bits of u decide all but a few draws; only where they equal a
//! threshold's is the second word drawn. Every threshold counts, those in the tail that are alike too.

use super::error::NoiseError;
use super::rng::{Domain, NoiseKey};
use sha2::{Digest, Sha256};
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First bytes of a table.
pub(crate) const MAGIC: [u8; 8] = *b"SLVNOIS1";
/// Thresholds a table has at most: samples fit 16 bits.
pub(crate) const MOST: usize = i16::MAX as usize;
/// Bits of a word that the guide is indexed with.
const GUIDE_BITS: u32 = 8;

/// A standard deviation in steps of the input's grid, as a fraction in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sigma {
    /// Above the line.
    pub numerator: u32,
    /// Below it.
    pub denominator: u32,
}

impl Sigma {
    /// `numerator/denominator`, brought to lowest terms; `None` for zero or a zero denominator.
    pub const fn new(numerator: u32, denominator: u32) -> Option<Self> {
        let (mut a, mut b) = (numerator, denominator);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        match numerator == 0 || denominator == 0 {
            true => None,
            false => Some(Sigma { numerator: numerator / a, denominator: denominator / a }),
        }
    }

    /// The nearest f64.
    pub fn value(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

/// Header of a table; behind it the upper halves of all thresholds, then the lower halves.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub magic: [u8; 8],
    pub numerator: U32,
    pub denominator: U32,
    /// Thresholds.
    pub count: U32,
    pub reserved: U32,
}

/// A validated table of thresholds.
///
/// ```
/// # #[cfg(feature = "build")] {
/// use selvedge_noise::{Domain, NoiseKey, NoiseTable, Sigma, build_table};
///
/// let bytes = build_table(Sigma::new(255, 4).expect("not zero"))?; // 0.25 of an 8-bit range
/// let table = NoiseTable::parse(&bytes)?;
/// let key = NoiseKey::derive(&[7; 32], &[0; 32], &[0; 32], &[0; 32], &table.hash());
/// let (mut whole, mut part) = ([0i16; 100], [0i16; 30]);
/// table.fill(&key, Domain::Estimate, 3, 0, &mut whole);
/// table.fill(&key, Domain::Estimate, 3, 50, &mut part);
/// assert_eq!(whole[50..80], part);
/// # }
/// # Ok::<(), selvedge_noise::NoiseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct NoiseTable<'a> {
    bytes: &'a [u8],
    sigma: Sigma,
    upper: &'a [U32],
    lower: &'a [U32],
    /// Thresholds whose upper half lies below all words with these first bits.
    guide: [u16; 1 << GUIDE_BITS],
}

impl<'a> NoiseTable<'a> {
    /// Reads a table made by `build_table`.
    ///
    /// # Errors
    /// [`NoiseError`] for bytes that are not one.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, NoiseError> {
        let (header, rest) = Header::ref_from_prefix(bytes).map_err(|_| NoiseError::Length)?;
        if header.magic != MAGIC || header.reserved.get() != 0 {
            return Err(NoiseError::Magic);
        }
        let sigma = Sigma { numerator: header.numerator.get(), denominator: header.denominator.get() };
        if Sigma::new(sigma.numerator, sigma.denominator) != Some(sigma) {
            return Err(NoiseError::Sigma);
        }
        let count = header.count.get() as usize;
        if count == 0 || count > MOST {
            return Err(NoiseError::Count);
        }
        let (upper, lower) = rest.split_at_checked(count * 4).ok_or(NoiseError::Length)?;
        let upper = <[U32]>::ref_from_bytes(upper).map_err(|_| NoiseError::Length)?;
        let lower = <[U32]>::ref_from_bytes(lower).map_err(|_| NoiseError::Length)?;
        if lower.len() != count {
            return Err(NoiseError::Length);
        }
        let mut before = 1u64 << 63;
        let mut guide = [0u16; 1 << GUIDE_BITS];
        for (i, (hi, lo)) in upper.iter().zip(lower).enumerate() {
            let threshold = u64::from(hi.get()) << 32 | u64::from(lo.get());
            if threshold < before {
                return Err(NoiseError::Order);
            }
            before = threshold;
            // Words with larger first bits have passed this threshold.
            let first = (hi.get() << 1) >> (32 - GUIDE_BITS);
            if let Some(entries) = guide.get_mut(first as usize + 1..) {
                entries.fill(i as u16 + 1);
            }
        }
        Ok(NoiseTable { bytes, sigma, upper, lower, guide })
    }

    /// The standard deviation of the Gaussian that is rounded, in grid steps.
    pub fn sigma(&self) -> Sigma {
        self.sigma
    }

    /// SHA-256 of the table's bytes.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.bytes).into()
    }

    /// The largest magnitude of a sample.
    pub fn largest(&self) -> u16 {
        self.upper.len() as u16
    }

    /// At most how far the joint law of `dimensions` samples is from the rounded Gaussian, in total variation:
    /// `dimensions·(bins/2 + 1)·2^−64`, rounded up. `bins` are the values a sample can have, and one for the
    /// tails that it cannot.
    pub fn tv_price(&self, dimensions: u32) -> f64 {
        let bins = 2 * self.upper.len() + 2;
        f64::from(dimensions) * (bins as f64 / 2.0 + 1.0) * 5.421_010_862_427_523e-20
    }

    /// Draws the coordinates `first..first + out.len()` of a sample, in steps of the grid. Each is a function of key,
    /// domain, sample and coordinate alone.
    pub fn fill(&self, key: &NoiseKey, domain: Domain, sample: u64, first: u32, out: &mut [i16]) {
        let mut words = key.words(domain, sample, first);
        for (coordinate, out) in (u64::from(first)..).zip(out) {
            let word = words.next();
            *out = self.sample(word, || words.second(coordinate));
        }
    }

    /// The sample of a coordinate whose first word is `word`, and whose second one is drawn where it matters.
    #[inline]
    fn sample(&self, word: u32, second: impl FnOnce() -> u32) -> i16 {
        // Below the middle the mirrored word counts the mirrored thresholds, strictly.
        let negative = word >> 31 == 0;
        let mirrored = if negative { !word } else { word };
        let first = (mirrored << 1) >> (32 - GUIDE_BITS);
        let mut count = usize::from(self.guide[first as usize]);
        while let Some(upper) = self.upper.get(count) {
            if upper.get() >= mirrored {
                break;
            }
            count += 1;
        }
        if self.upper.get(count).is_some_and(|upper| upper.get() == mirrored) {
            count = self.tie(count, mirrored, negative, second());
        }
        if negative { -(count as i16) } else { count as i16 }
    }

    /// Counts on where the first words are equal.
    #[cold]
    fn tie(&self, mut count: usize, first: u32, negative: bool, second: u32) -> usize {
        let second = if negative { !second } else { second };
        while let (Some(upper), Some(lower)) = (self.upper.get(count), self.lower.get(count)) {
            let below = if negative { lower.get() < second } else { lower.get() <= second };
            if upper.get() != first || !below {
                break;
            }
            count += 1;
        }
        count
    }
}

#[cfg(all(test, feature = "build"))]
mod tests {
    use super::*;
    use crate::build_table;
    use alloc::vec::Vec;

    #[test]
    fn samples_are_counts_of_thresholds_at_every_threshold_and_its_neighbours() {
        // Oracle: the definition, over the whole table, i from −m to m − 1.
        for (numerator, denominator) in [(13, 10), (51, 2), (255, 4), (1, 3)] {
            let bytes = build_table(Sigma { numerator, denominator }).expect("builds");
            let table = NoiseTable::parse(&bytes).expect("valid");
            let upper: Vec<u64> = (table.upper.iter().zip(table.lower))
                .map(|(hi, lo)| u64::from(hi.get()) << 32 | u64::from(lo.get()))
                .collect();
            let whole: Vec<u64> = upper.iter().rev().map(|t| u64::MAX - t).chain(upper.iter().copied()).collect();
            let mut words = Vec::from([0, u64::MAX, 1 << 63, (1 << 63) - 1]);
            for &t in &whole {
                words.extend([t, t.wrapping_sub(1), t.wrapping_add(1), t ^ 1 << 40, t.wrapping_add(1 << 31)]);
            }
            for u in words {
                let want = whole.iter().filter(|&&t| t <= u).count() as i32 - upper.len() as i32;
                let found = table.sample((u >> 32) as u32, || u as u32);
                assert_eq!(i32::from(found), want, "σ = {numerator}/{denominator}, u = {u:#x}");
            }
        }
    }

    #[test]
    fn second_words_give_the_exact_law_where_first_words_tie() {
        // Oracle: given a first word equal to the upper half of T_i, P(z > i) = 1 − (lower half of T_i)/2^32 (mirrored:
        // 2^−32 less). First words that tie with each threshold and words beside them, jointly, with
        // second words from their places in the stream; χ² of all outcomes, fixed key. One word in 10^8 ties by itself.
        let bytes = build_table(Sigma { numerator: 1, denominator: 2 }).expect("builds");
        let table = NoiseTable::parse(&bytes).expect("valid");
        let key = NoiseKey::from_bytes([42; 32]);
        let words = key.words(Domain::Extension, 5, 0);
        let draws = 40_000u64;
        let (mut chi, mut free, mut coordinate) = (0.0, 0, 0u64);
        for i in 0..table.upper.len() {
            let (upper, lower) = (table.upper[i].get(), f64::from(table.lower[i].get()));
            if upper == u32::MAX {
                break;
            }
            for (word, sign) in [(upper, 1), (!upper, -1)] {
                let mut more = 0u64;
                for _ in 0..draws {
                    let found = i64::from(table.sample(word, || words.second(coordinate))) * sign;
                    assert!(found == i as i64 || found == i as i64 + 1, "{found} beside threshold {i}");
                    more += u64::from(found == i as i64 + 1);
                    coordinate += 1;
                }
                let p = 1.0 - lower / 2f64.powi(32);
                let expected = p * draws as f64;
                chi += (more as f64 - expected).powi(2) / (expected * (1.0 - p));
                free += 1;
                // Beside it no second word is asked for.
                for (beside, value) in [(upper - 1, i as i16), (upper + 1, i as i16 + 1)] {
                    let beside = if sign < 0 { !beside } else { beside };
                    let found = table.sample(beside, || panic!("no tie"));
                    assert_eq!(i64::from(found) * sign, i64::from(value), "beside threshold {i}");
                }
            }
        }
        let free = f64::from(free);
        let deviation = (2.0 * free).sqrt();
        assert!(free >= 6.0 && (chi - free).abs() < 4.0 * deviation, "χ² = {chi:.1} with {free} degrees of freedom");
    }
}
