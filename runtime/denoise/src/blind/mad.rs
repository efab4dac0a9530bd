//! The robust estimate of Donoho and Johnstone (1994): σ = median |HH₁| / 0.6745 on the finest diagonal wavelet band.
//!
//! The median is exact and takes no memory of the image's size: magnitudes as f32 are selected by their bits, a byte at a
//! time, each of four passes counting into 256 bins and computing the band anew.

use super::Plane;
use crate::error::{DenoiseError, check_finite};
use crate::real::Real;

/// Φ⁻¹(¾): the median magnitude of a standard normal number.
const NORMAL_MEDIAN: f64 = 0.674_489_750_196_081_7;

/// High-pass filters, √Σg² = 1.
const HAAR: [f64; 2] = [core::f64::consts::FRAC_1_SQRT_2, -core::f64::consts::FRAC_1_SQRT_2];
/// (1 − √3, √3 − 3, 3 + √3, −1 − √3)/(4√2).
const DB2: [f64; 4] =
    [-0.129_409_522_551_260_37, -0.224_143_868_042_013_4, 0.836_516_303_737_807_9, -0.482_962_913_144_534_16];

/// The filter of the band.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wavelet {
    /// Two taps: 4 pixels a coefficient.
    Haar,
    /// Daubechies' with two vanishing moments: 16 pixels a coefficient, blind to slopes.
    #[default]
    Db2,
}

impl Wavelet {
    fn taps(self) -> &'static [f64] {
        match self {
            Wavelet::Haar => &HAAR,
            Wavelet::Db2 => &DB2,
        }
    }
}

/// The standard deviation of noise in an image, in the image's units. Texture on the diagonal raises it; coefficients
/// that would reach over the border are left out.
///
/// # Errors
/// [`DenoiseError::NotFinite`], [`DenoiseError::Samples`] for an image smaller than the filter.
pub fn noise_level<T: Real>(image: &Plane<'_, T>, wavelet: Wavelet) -> Result<f64, DenoiseError> {
    check_finite(image.data)?;
    let taps = wavelet.taps();
    let (height, width) = image.shape();
    let places = |len: usize| if len < taps.len() { 0 } else { (len - taps.len()) / 2 + 1 };
    let (rows, columns) = (places(height), places(width));
    let band = || {
        (0..rows * columns).map(move |place| {
            let (row, column) = (place / columns * 2, place % columns * 2);
            let mut sum = 0.0;
            for (a, down) in taps.iter().enumerate() {
                for (b, across) in taps.iter().enumerate() {
                    sum += down * across * image.at(row + a, column + b).to_f64();
                }
            }
            (sum as f32).abs()
        })
    };
    Ok(f64::from(median(rows * columns, band)?) / NORMAL_MEDIAN)
}

/// The standard deviation of noise in a signal of one dimension.
///
/// # Errors
/// [`DenoiseError::NotFinite`], [`DenoiseError::Samples`] for a signal shorter than the filter.
pub fn noise_level_of_signal<T: Real>(signal: &[T], wavelet: Wavelet) -> Result<f64, DenoiseError> {
    check_finite(signal)?;
    let taps = wavelet.taps();
    let band = || {
        signal.windows(taps.len()).step_by(2).map(|window| {
            let sum = window.iter().zip(taps).fold(0.0, |sum, (x, tap)| sum + tap * x.to_f64());
            (sum as f32).abs()
        })
    };
    Ok(f64::from(median(band().count(), band)?) / NORMAL_MEDIAN)
}

/// The median of `count` magnitudes, the mean of the two middle ones where their number is even.
fn median<I: Iterator<Item = f32>>(count: usize, magnitudes: impl Fn() -> I) -> Result<f32, DenoiseError> {
    if count == 0 {
        return Err(DenoiseError::Samples { needed: 1 });
    }
    let upper = select(count / 2, &magnitudes);
    let lower = if count.is_multiple_of(2) { select(count / 2 - 1, &magnitudes) } else { upper };
    Ok(0.5 * lower + 0.5 * upper)
}

/// The magnitude with `rank` smaller or equal ones before it in order. Bits of magnitudes rise with them.
fn select<I: Iterator<Item = f32>>(mut rank: usize, magnitudes: &impl Fn() -> I) -> f32 {
    let mut known = 0u32;
    for byte in (0..4).rev() {
        let shift = 8 * byte;
        let above = |bits: u32| u64::from(bits) >> (shift + 8);
        let mut bins = [0u32; 256];
        for bits in magnitudes().map(f32::to_bits).filter(|&bits| above(bits) == above(known)) {
            bins[(bits >> shift & 0xff) as usize] += 1;
        }
        for (bin, &count) in bins.iter().enumerate() {
            if rank < count as usize {
                known |= (bin as u32) << shift;
                break;
            }
            rank -= count as usize;
        }
    }
    f32::from_bits(known)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn selection_is_the_sorted_order_on_all_ranks() {
        // Oracle: sorting.
        let mut seed = 1u32;
        for count in [1usize, 2, 3, 7, 100, 257] {
            let values: Vec<f32> = (0..count)
                .map(|i| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // All exponents, repetitions, zero.
                    if i % 5 == 0 { 0.25 } else { f32::from_bits(seed >> 1).min(1e30) * f32::from(i % 7 != 0) }
                })
                .collect();
            let mut sorted = values.clone();
            sorted.sort_by(f32::total_cmp);
            for (rank, &value) in sorted.iter().enumerate() {
                assert_eq!(select(rank, &|| values.iter().copied()), value, "{count} {rank}");
            }
        }
    }
}
