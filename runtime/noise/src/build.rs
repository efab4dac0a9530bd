//! Noise tables with thresholds that are right in every bit.
//!
//! For x > 0: `Φ(x) = ½ + φ(x)·S` with `S = x + x³/3 + x⁵/(3·5) + …`, and `φ(x) = 1/(√(2π)·E)` with
//! `E = e^(x²/2)`; both are series of positive terms. So `(Φ − ½)² = x²·(S/x)²/(2π·E²)`, where x² is a
//! fraction of integers. All of it in fixed point with 512 fractional bits, truncated; see [`ERROR`].

use super::error::NoiseError;
use super::gaussian::{Header, MAGIC, MOST, Sigma};
use alloc::vec::Vec;
use num_bigint::BigUint;
use zerocopy::IntoBytes;

/// Fractional bits.
const BITS: u32 = 512;
/// The absolute error of a series is below 2^ERROR units of 2^−BITS: a term's truncations are carried on by
/// factors whose product is at most e^(x²/2) < 2^128 (x < 13), and there are fewer than 2^20 pairs of terms.
const ERROR: u32 = 148;
/// Beyond, thresholds are all 2^64 − 1: 1 − Φ(9.5) < 2^−64.
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
    let pi = pi();
    let mut thresholds: Vec<u64> = Vec::new();
    for i in 0..=last {
        let threshold = threshold(i, sigma, &pi).ok_or(NoiseError::Precision)?;
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

/// `⌊2^64·Φ((i + ½)/σ)⌋`, at most 2^64 − 1; `None` where the bits do not tell.
fn threshold(i: u64, sigma: Sigma, pi: &BigUint) -> Option<u64> {
    // x² = p/q.
    let above = BigUint::from(2 * i + 1) * sigma.denominator;
    let p = &above * &above;
    let q = BigUint::from(sigma.numerator) * sigma.numerator * 4u32;
    let one = BigUint::from(1u32) << BITS;
    let sum = series(&one, |k| (p.clone(), &q * (2 * k + 3)));
    let exp = series(&one, |k| (p.clone(), &q * (2 * (k + 1))));
    let error = BigUint::from(1u32) << ERROR;
    let root = |sum: &BigUint, exp: &BigUint, pi: &BigUint| {
        // 2^64·x·S/√(2π·E²)
        let square: BigUint = ((&p * sum * sum) << (128 + BITS)) / (&q * exp * exp * pi * 2u32);
        square.sqrt()
    };
    let low = root(&sum, &(&exp + &error), &(pi + 1u32));
    let high = root(&(&sum + &error), &exp, pi);
    // Between them lies the exact value; they are less than 2^−200 apart.
    let above_half = u64::try_from(&low).unwrap_or(u64::MAX);
    (low == high).then(|| (1u64 << 63).saturating_add(above_half))
}

/// `Σ t_k` with `t_0 = first` and `t_(k+1) = t_k·a/b`, truncated, until nothing is added.
fn series(first: &BigUint, ratio: impl Fn(u32) -> (BigUint, BigUint)) -> BigUint {
    let zero = BigUint::from(0u32);
    let (mut term, mut sum) = (first.clone(), first.clone());
    for k in 0.. {
        let (a, b) = ratio(k);
        term = term * a / b;
        if term == zero {
            break;
        }
        sum += &term;
    }
    sum
}

/// ⌊π·2^BITS⌋ by Machin's formula, π = 16·arctan(1/5) − 4·arctan(1/239), with 64 guard bits.
fn pi() -> BigUint {
    let arctan = |inverse: u32| {
        let mut term = (BigUint::from(1u32) << (BITS + 64)) / inverse;
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

    #[test]
    fn pi_has_its_digits() {
        // Oracle: 77 decimals of π.
        let digits = "31415926535897932384626433832795028841971693993751058209749445923078164062862089";
        let scaled = (pi() * BigUint::from(10u32).pow(79)) >> BITS;
        assert_eq!(alloc::format!("{scaled}"), digits);
    }

    #[test]
    fn the_middle_threshold_of_a_wide_table_is_just_above_half() {
        let half = threshold(0, Sigma { numerator: 3000, denominator: 1 }, &pi()).expect("told") - (1 << 63);
        let want = 2f64.powi(64) * 0.5 / 3000.0 / (2.0 * core::f64::consts::PI).sqrt();
        assert!((half as f64 / want - 1.0).abs() < 1e-8, "{half} {want}");
        assert_eq!(build_table(Sigma { numerator: 4000, denominator: 1 }), Err(NoiseError::Count));
        assert_eq!(build_table(Sigma { numerator: 0, denominator: 1 }), Err(NoiseError::Sigma));
    }
}
