//! Noise tables with thresholds that are right in every bit.
//!
//! For x > 0: `Φ(x) = ½ + φ(x)·S` with `S = x + x³/3 + x⁵/(3·5) + …`, and `φ(x) = 1/(√(2π)·E)` with
//! `E = e^(x²/2)`; both are series of positive terms. So `(Φ − ½)² = x²·(S/x)²/(2π·E²)`, where x² is a
//! fraction of integers. All of it is fixed point in integers, truncated, with an account of what truncation changes (see
//! [`above_half`]): two numbers that have the exact one between them. A threshold is told only where both have the same
//! whole part; where they do not, it is computed again with more bits.

use super::error::NoiseError;
use super::gaussian::{Header, MAGIC, MOST, Sigma};
use alloc::vec::Vec;
use num_bigint::BigUint;
use zerocopy::IntoBytes;

/// Fractional bits of the first attempt, and of the last one.
const PRECISIONS: [u32; 4] = [384, 512, 1024, 4096];
/// At so many standard deviations and beyond, thresholds are 2^64 − 1: 1 − Φ(9.2) < 2^−64.
const FARTHEST: u64 = 10;

/// The bytes of the noise table for a standard deviation: thresholds until 2^64 − 1 is reached, all bits right.
///
/// # Errors
/// [`NoiseError::Count`] where samples would not fit 16 bits (σ above about 3000 steps), [`NoiseError::Sigma`].
pub fn build_table(sigma: Sigma) -> Result<Vec<u8>, NoiseError> {
    let sigma = Sigma::new(sigma.numerator, sigma.denominator).ok_or(NoiseError::Sigma)?;
    let last = FARTHEST * u64::from(sigma.numerator) / u64::from(sigma.denominator) + 1;
    if last > MOST as u64 {
        return Err(NoiseError::Count);
    }
    let mut thresholds: Vec<u64> = Vec::new();
    for i in 0..=last {
        let threshold = threshold(i, sigma).ok_or(NoiseError::Precision)?;
        if threshold == u64::MAX && i > 0 {
            break;
        }
        thresholds.push(threshold);
    }
    let header = Header {
        magic: MAGIC,
        numerator: sigma.numerator.into(),
        denominator: sigma.denominator.into(),
        count: (thresholds.len() as u32).into(),
        reserved: 0.into(),
    };
    let mut bytes = header.as_bytes().to_vec();
    thresholds.iter().for_each(|t| bytes.extend(((t >> 32) as u32).to_le_bytes()));
    thresholds.iter().for_each(|t| bytes.extend((*t as u32).to_le_bytes()));
    Ok(bytes)
}

/// `⌊2^64·Φ((i + ½)/σ)⌋`; `None` where no precision tells its last bit.
fn threshold(i: u64, sigma: Sigma) -> Option<u64> {
    let (above, below) = (BigUint::from(2 * i + 1) * sigma.denominator, BigUint::from(2 * u64::from(sigma.numerator)));
    if above >= &below * FARTHEST {
        return Some(u64::MAX);
    }
    let (p, q) = (&above * &above, &below * &below);
    let brackets = PRECISIONS.into_iter().map(|bits| above_half(&p, &q, bits, 64));
    let (whole, _) = brackets.into_iter().find(|(low, high)| low == high)?;
    // Φ − ½ < ½: the sum fits.
    (1u64 << 63).checked_add(u64::try_from(whole).ok()?)
}

/// `2^out·(Φ(x) − ½)` lies between the first and the second plus 1, for x² = p/q, 0 ≤ x < 40; computed with `bits`
/// fractional bits. Where both are the same it is the value's whole part.
///
/// Of both series `t_(k+1) = ⌊t_k·r_k⌋` in units of 2^−bits is below the exact term by an error
/// `e_(k+1) < e_k·r_k + 1`. An error made at one term is carried on by products of ratios whose sum, to the end of the
/// series and past the last term computed, is below e^(x²/2); there are fewer than 2^20 terms. So the sums are
/// below the exact ones by less than `2^20·e^(x²/2) < 2^(20 + x²)` units: `1/(2·ln 2) < 1`.
fn above_half(p: &BigUint, q: &BigUint, bits: u32, out: u32) -> (BigUint, BigUint) {
    let one = BigUint::from(1u32) << bits;
    let sum = series(&one, p, |k| q * (2 * k + 3));
    let exp = series(&one, p, |k| q * (2 * (k + 1)));
    let square = u32::try_from(p / q).unwrap_or(u32::MAX).min(1600);
    let error = BigUint::from(1u32) << (square + 21);
    let root = |sum: &BigUint, exp: &BigUint, pi: &BigUint| {
        // 2^out·x·S/√(2π·E²)
        let square: BigUint = ((p * sum * sum) << (2 * out + bits)) / (q * exp * exp * pi * 2u32);
        square.sqrt()
    };
    // The computed π is less than one unit off.
    let pi = pi(bits);
    (root(&sum, &(&exp + &error), &(&pi + 1u32)), root(&(&sum + &error), &exp, &(&pi - 1u32)))
}

/// `Σ t_k` with `t_0 = first` and `t_(k+1) = ⌊t_k·p/below(k)⌋`, until nothing is added.
fn series(first: &BigUint, p: &BigUint, below: impl Fn(u32) -> BigUint) -> BigUint {
    let zero = BigUint::from(0u32);
    let (mut term, mut sum) = (first.clone(), first.clone());
    for k in 0.. {
        term = term * p / below(k);
        if term == zero {
            break;
        }
        sum += &term;
    }
    sum
}

/// π·2^bits, less than one unit off, by Machin's formula, π = 16·arctan(1/5) − 4·arctan(1/239), with 64 guard bits.
fn pi(bits: u32) -> BigUint {
    let arctan = |inverse: u32| {
        let mut term = (BigUint::from(1u32) << (bits + 64)) / inverse;
        let (mut plus, mut minus) = (term.clone(), BigUint::from(0u32));
        for k in 1u32.. {
            term /= inverse * inverse;
            if term == BigUint::from(0u32) {
                break;
            }
            let part = &term / (2 * k + 1);
            if k % 2 == 1 { minus += part } else { plus += part }
        }
        plus - minus
    };
    let pi: BigUint = arctan(5) * 16u32 - arctan(239) * 4u32;
    pi >> 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normal;

    #[test]
    fn pi_has_its_digits() {
        // Oracle: 77 decimals of π.
        let digits = "31415926535897932384626433832795028841971693993751058209749445923078164062862089";
        let scaled = (pi(512) * BigUint::from(10u32).pow(79)) >> 512;
        assert_eq!(alloc::format!("{scaled}"), digits);
    }

    #[test]
    fn the_middle_threshold_of_a_wide_table_is_just_above_half() {
        let half = threshold(0, Sigma { numerator: 3000, denominator: 1 }).expect("told") - (1 << 63);
        let want = 2f64.powi(64) * 0.5 / 3000.0 / (2.0 * core::f64::consts::PI).sqrt();
        assert!((half as f64 / want - 1.0).abs() < 1e-8, "{half} {want}");
        assert_eq!(build_table(Sigma { numerator: 4000, denominator: 1 }), Err(NoiseError::Count));
        assert_eq!(build_table(Sigma { numerator: 0, denominator: 1 }), Err(NoiseError::Sigma));
    }

    #[test]
    fn tables_of_the_smallest_sigmas_are_made_at_once() {
        // All noise is 0 but with a probability below 2^−64: one threshold, of which no word is above.
        for denominator in [100, u32::MAX] {
            let bytes = build_table(Sigma { numerator: 1, denominator }).expect("builds");
            assert_eq!(bytes[24..], [255; 8]);
        }
    }

    #[test]
    fn more_bits_only_narrow_the_bracket() {
        let (p, q) = (BigUint::from(355u32), BigUint::from(113u32));
        let exact = above_half(&p, &q, 4096, 1000);
        assert_eq!(exact.0, exact.1);
        for bits in [16, 32, 64, 128, 256, 512, 1024] {
            let (low, high) = above_half(&p, &q, bits, 1000);
            assert!(low <= exact.0 && exact.0 <= high, "{bits}");
        }
    }

    /// `value·2^−out` in the nearest f64 to one side.
    fn scaled(value: &BigUint, out: u32, up: bool) -> f64 {
        let drop = value.bits().saturating_sub(53);
        let mut head: BigUint = value >> drop;
        if up && &head << drop != *value {
            head += 1u32;
        }
        // In two steps: powers of two leave the range before their product does.
        let power = drop as i32 - out as i32;
        u64::try_from(&head).expect("54 bits") as f64 * 2f64.powi(power / 2) * 2f64.powi(power - power / 2)
    }

    #[test]
    fn normal_functions_enclose_512_bit_values_and_erfc_is_as_near_as_their_page_says() {
        // Oracle: above_half, with bits enough for 1 − Φ(36).
        const OUT: u32 = 1090;
        const UNIT: f64 = 1.0 / (1u64 << 47) as f64;
        let half = BigUint::from(1u32) << (OUT - 1);
        let (mut random, mut worst, mut share) = (1u64, 0f64, 0f64);
        for index in 0..240u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let most = [3.0, 8.0, 36.0][index as usize % 3];
            let whole = (f64::from((random >> 32) as u32) * most / f64::from(u32::MAX) / UNIT) as u64;
            let x = whole as f64 * UNIT;
            let (p, q) = (BigUint::from(whole) * whole, BigUint::from(1u32) << 94);
            let bits = 1150 + (x * x * 1.5) as u32;
            let (low, high) = above_half(&p, &q, bits, OUT);
            let least = scaled(&(&half - &high - 1u32), OUT, false);
            let greatest = scaled(&(&half - &low), OUT, true);
            assert!(greatest - least <= 2.0 * f64::EPSILON * least, "the oracle does not tell at {x}");
            let (lower, upper) = (normal::cdf_lower(-x), normal::cdf_upper(-x));
            assert!(lower <= least && greatest <= upper, "Φ(−{x}): {lower:e} {least:e} {upper:e}");
            let near = (18.0 + 4.0 * x * x) * f64::EPSILON * greatest;
            assert!(upper - least <= near && greatest - lower <= near, "Φ(−{x}): {lower:e} {least:e} {upper:e}");
            let (lower, upper) = (normal::cdf_lower(x), normal::cdf_upper(x));
            let least = scaled(&(&half + &low), OUT, false);
            let greatest = scaled(&(&half + &high + 1u32), OUT, true);
            assert!(lower <= least && greatest <= upper, "Φ({x}): {lower} {least} {upper}");
            assert!(upper - least <= 12.0 * f64::EPSILON && greatest - lower <= 12.0 * f64::EPSILON, "Φ({x})");
            // erfc(y) = 2·(1 − Φ(√2·y)), y = x/2 here: exact arguments on both sides.
            let (low, _) = above_half(&p, &(&q * 2u32), bits, OUT);
            let (exact, found) = (2.0 * scaled(&(&half - &low), OUT, true), libm::erfc(0.5 * x));
            // The oracle is rounded too.
            let error = (found - exact).abs() / exact / f64::EPSILON + 1.0;
            (worst, share) = (worst.max(error), share.max(error / (6.0 + 0.5 * x * x)));
        }
        std::println!("erfc is off by {worst:.2} units of 2^-52 of its value at most");
        assert!(share < 0.9, "erfc is off by {worst} units, {share} of what is allowed");
    }
}
