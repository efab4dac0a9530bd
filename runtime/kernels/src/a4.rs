//! Activations stored in 4 bits, and back to int8. One code for every instruction set.
//!
//! A row of k values takes `⌈k/2⌉` bytes of codes (value 2j in the low half of byte j, value 2j + 1 in
//! the high half, each `q + 8`), then one byte for each [`GROUP`] of values: their step, 1..=18.
//! The int8 value is `q·step`, at most ±126; the row's scale is that of `dynamic_quantize_i8`.

use selvedge_core::arith;

/// Values that share a step.
pub const GROUP: usize = 64;

/// Bytes of a stored row of `k` values.
pub const fn row_bytes(k: usize) -> usize {
    k.div_ceil(2) + k.div_ceil(GROUP)
}

/// Stores rows of `row` values with a scale each; `false` where a value is NaN or infinite.
///
/// `inv = 127/max|x|`; a group's step is the least whole number with `|x·inv| ≤ 7·step` for its
/// values, `q = clamp(rint(x·inv/step), ±7)`, every operation rounded once.
pub fn quantize_a4(x: &[f32], row: usize, packed: &mut [u8], scales: &mut [f32]) -> bool {
    let bytes = row_bytes(row);
    for ((x, packed), scale) in x.chunks(row.max(1)).zip(packed.chunks_mut(bytes.max(1))).zip(scales) {
        let mut max = 0f32;
        for v in x {
            if !v.is_finite() {
                return false;
            }
            max = if v.abs() > max { v.abs() } else { max };
        }
        *scale = arith::dynamic_scale(max);
        let inverse = arith::dynamic_inverse_scale(max);
        let Some((codes, steps)) = packed.split_at_mut_checked(row.div_ceil(2)) else { return true };
        codes.fill(0);
        for (g, (values, step)) in x.chunks(GROUP).zip(steps).enumerate() {
            let largest = values.iter().map(|v| (v * inverse).abs()).fold(0f32, |max, v| if v > max { v } else { max });
            let whole = (1..18).find(|&step| largest <= 7.0 * step as f32).unwrap_or(18);
            *step = whole as u8;
            let mut group = [8u8; GROUP];
            for (q, v) in group.iter_mut().zip(values) {
                *q = code(v * inverse / whole as f32);
            }
            // Groups begin at whole bytes.
            let bytes = codes.get_mut(g * GROUP / 2..).unwrap_or_default();
            let pairs = group.as_chunks::<2>().0.iter().take(values.len().div_ceil(2));
            bytes.iter_mut().zip(pairs).for_each(|(byte, [low, high])| *byte = low | high << 4);
            // The half that no value has.
            if let (true, Some(byte)) = (values.len() % 2 == 1, bytes.get_mut(values.len() / 2)) {
                *byte &= 15;
            }
        }
    }
    true
}

/// `clamp(rint(x), ±7) + 8` for a finite x. Adding 1.5·2^23 leaves no bits behind the point; within ±8 that rounds
/// as rint does, ties to even, and unlike it in vectors of any instruction set.
#[inline]
fn code(x: f32) -> u8 {
    const NO_FRACTION: f32 = 12_582_912.0;
    let x = if x > 7.0 { 7.0 } else { x };
    let x = if x < -7.0 { -7.0 } else { x };
    (x + NO_FRACTION).to_bits().wrapping_sub(NO_FRACTION.to_bits() - 8) as u8
}

/// The int8 values of stored rows of `row` values. Steps past 18 give 18.
pub fn unpack_a4(packed: &[u8], row: usize, out: &mut [i8]) {
    for (packed, out) in packed.chunks(row_bytes(row).max(1)).zip(out.chunks_mut(row.max(1))) {
        let Some((codes, steps)) = packed.split_at_checked(row.div_ceil(2)) else { return };
        let groups = out.chunks_mut(GROUP).zip(codes.chunks(GROUP / 2)).zip(steps);
        for ((out, codes), &step) in groups {
            let step = if step > 18 { 18 } else { step as i8 };
            // Code 0 stands for −7 as code 1 does: no stored row has it.
            let value = |code: u8| {
                let q = code as i8 - 8;
                (if q < -7 { -7 } else { q }).wrapping_mul(step)
            };
            let (pairs, last) = out.as_chunks_mut::<2>();
            for ([low, high], &byte) in pairs.iter_mut().zip(codes) {
                (*low, *high) = (value(byte & 15), value(byte >> 4));
            }
            if let (Some(low), Some(&byte)) = (last.first_mut(), codes.last()) {
                *low = value(byte & 15);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::buffers::Rng;
    use std::vec;

    #[test]
    fn codes_are_rounded_and_clamped_as_the_rule_says() {
        // Oracle: arith::round_ties_even on every 4097th float, and around every tie.
        let want = |x: f32| (arith::round_ties_even(x).clamp(-7.0, 7.0) as i32 + 8) as u8;
        let ties = (-20..20).flat_map(|half| {
            let tie = half as f32 * 0.5;
            [tie, f32::from_bits(tie.to_bits() + 1), f32::from_bits(tie.to_bits().wrapping_sub(1))]
        });
        for x in (0..=u32::MAX).step_by(4097).map(f32::from_bits).chain(ties).filter(|x| x.is_finite()) {
            assert_eq!(code(x), want(x), "{x}");
        }
    }

    #[test]
    fn stored_values_are_the_nearest_of_their_groups_for_every_length_to_140() {
        let rng = &mut Rng(5);
        for k in 1..140 {
            let x: std::vec::Vec<f32> =
                (0..2 * k).map(|i| rng.range(-1000, 1000) as f32 * if i % 3 == 0 { 0.1 } else { 1e-3 }).collect();
            let mut packed = vec![0xff; 2 * row_bytes(k)];
            let mut scales = [0f32; 2];
            assert!(quantize_a4(&x, k, &mut packed, &mut scales));
            let mut back = vec![0i8; 2 * k];
            unpack_a4(&packed, k, &mut back);
            for (i, (&v, &q)) in x.iter().zip(&back).enumerate() {
                let (r, g) = (i / k, i % k / GROUP);
                let step = f32::from(packed[r * row_bytes(k) + k.div_ceil(2) + g]);
                assert!((1.0..=18.0).contains(&step) && i32::from(q) % step as i32 == 0);
                assert!((v - f32::from(q) * scales[r]).abs() <= 0.51 * step * scales[r] + 1e-6, "{k} {i}");
            }
        }
    }

    #[test]
    fn zeros_nan_and_hostile_bytes() {
        let mut packed = vec![0; row_bytes(65)];
        let mut scales = [9f32];
        assert!(quantize_a4(&[0.0; 65], 65, &mut packed, &mut scales) && scales == [0.0]);
        let mut out = vec![1i8; 65];
        unpack_a4(&packed, 65, &mut out);
        assert!(out.iter().all(|&q| q == 0));
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = vec![1.0; 65];
            x[64] = bad;
            assert!(!quantize_a4(&x, 65, &mut packed, &mut scales));
        }
        unpack_a4(&[0; 35], 65, &mut out);
        unpack_a4(&[255; 35], 65, &mut out);
        assert!(out.iter().all(|&q| (-126..=126).contains(&q)));
    }
}
