//! Uniform and standard normal real numbers, one word of the counter each.
//!
//! A word w is the uniform number (w + ½)/2^32; its normal number is Φ⁻¹ of it, by the rational functions of Wichura's
//! algorithm AS 241 (PPND16, 1988), so that |z| ≤ 6.34. Only +, −, ×, /, square root and `libm` in Rust take part: every
//! machine gets the same bits. About thirty operations in f64 a number, a logarithm more for one in seven.
//!
//! These are numbers for samplers. A certificate takes its noise from [`crate::NoiseTable`], whose law is exact.

use super::rng::{Domain, NoiseKey, Words};

/// Real numbers of a sample, one a coordinate. Iterating gives the normal ones.
///
/// ```
/// use selvedge_noise::{Domain, NoiseKey};
/// let key = NoiseKey::from_bytes([7; 32]);
/// let whole: Vec<f64> = key.reals(Domain::Extension, 3, 0).take(100).collect();
/// let part: Vec<f64> = key.reals(Domain::Extension, 3, 60).take(40).collect();
/// assert_eq!(whole[60..], part);
/// ```
pub struct Reals<'k> {
    words: Words<'k>,
}

impl Reals<'_> {
    /// A number of (0, 1), all multiples of 2^−32 plus 2^−33 alike. Moves on by one coordinate.
    pub fn uniform(&mut self) -> f64 {
        (f64::from(self.words.next()) + 0.5) * STEP
    }

    /// A standard normal number. Moves on by one coordinate.
    pub fn normal(&mut self) -> f64 {
        normal(self.words.next())
    }
}

impl Iterator for Reals<'_> {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        Some(self.normal())
    }
}

impl NoiseKey {
    /// Real numbers of a sample, from coordinate `first` on.
    pub fn reals(&self, domain: Domain, sample: u64, first: u32) -> Reals<'_> {
        Reals { words: self.words(domain, sample, first) }
    }
}

/// 2^−32.
const STEP: f64 = 1.0 / 4_294_967_296.0;

const CENTRE: [f64; 8] = [
    3.387_132_872_796_366_5,
    133.141_667_891_784_38,
    1_971.590_950_306_551_3,
    13_731.693_765_509_46,
    45_921.953_931_549_87,
    67_265.770_927_008_7,
    33_430.575_583_588_13,
    2_509.080_928_730_122_7,
];
const CENTRE_BELOW: [f64; 8] = [
    1.0,
    42.313_330_701_600_91,
    687.187_007_492_057_9,
    5_394.196_021_424_751,
    21_213.794_301_586_597,
    39_307.895_800_092_71,
    28_729.085_735_721_943,
    5_226.495_278_852_854,
];
const TAIL: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    0.241_780_725_177_450_6,
    0.022_723_844_989_269_184,
    7.745_450_142_783_414e-4,
];
const TAIL_BELOW: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    0.689_767_334_985_1,
    0.148_103_976_427_480_08,
    0.015_198_666_563_616_457,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];

fn polynomial(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, &c| sum * x + c)
}

/// Φ⁻¹((word + ½)/2^32).
fn normal(word: u32) -> f64 {
    // Exact: 33 bits.
    let q = (f64::from(word) - 2_147_483_648.0 + 0.5) * STEP;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * polynomial(&CENTRE, r) / polynomial(&CENTRE_BELOW, r);
    }
    let p = (f64::from(word.min(!word)) + 0.5) * STEP;
    // At most 4.79: the published third region begins at 5.
    let r = libm::sqrt(-libm::log(p)) - 1.6;
    let z = polynomial(&TAIL, r) / polynomial(&TAIL_BELOW, r);
    if q < 0.0 { -z } else { z }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normal::{quantile_lower, quantile_upper};

    #[test]
    fn normal_numbers_are_the_quantiles_of_their_words_to_1e_13() {
        // Oracle: the quantiles rounded outward of this crate, which rest on erfc.
        let words = (0..32).flat_map(|bit| [1u32 << bit, (1 << bit) - 1, u32::MAX - (1 << bit), 0xcccc_cccc >> bit]);
        for word in words.chain([u32::MAX, 322_122_546, 322_122_547, 322_122_548, 3_972_844_748, 3_972_844_749]) {
            let (p, z) = ((f64::from(word) + 0.5) * STEP, normal(word));
            // Far up, 1 − p is what is known well.
            let (low, high) = match word >> 31 {
                0 => (quantile_lower(p), quantile_upper(p)),
                _ => (-quantile_upper(1.0 - p), -quantile_lower(1.0 - p)),
            };
            assert!(
                low - 1e-13 * (1.0 + z.abs()) <= z && z <= high + 1e-13 * (1.0 + z.abs()),
                "{word}: {low} {z} {high}"
            );
            assert_eq!(normal(!word), -z);
        }
        assert!(normal(u32::MAX) < 6.34);
    }

    #[test]
    fn a_million_draws_have_the_moments_of_their_laws() {
        // Oracle: mean, variance and fourth moment, each within five standard errors; fixed key.
        let key = NoiseKey::from_bytes([9; 32]);
        let n = 1_000_000;
        let (mut m, mut v, mut k) = (0.0, 0.0, 0.0);
        for z in key.reals(Domain::Extension, 1, 0).take(n) {
            m += z;
            v += z * z;
            k += z * z * z * z;
        }
        let n = n as f64;
        assert!((m / n).abs() < 5e-3 && (v / n - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{m} {v}");
        assert!((k / n - 3.0).abs() < 5.0 * (96.0 / n).sqrt(), "{k}");
        let mut uniform = key.reals(Domain::Extension, 2, 0);
        let mean = (0..100_000).map(|_| uniform.uniform()).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 5.0 / (12.0f64 * 1e5).sqrt(), "{mean}");
    }
}
