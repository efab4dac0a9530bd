//! Test families between f32 and int8. Oracle: the reference kernel.

use std::vec;
use std::vec::Vec;

use super::buffers::{Guarded, Rng, assert_same};
use crate::isa::IsaI8;
use crate::reference::Reference;

pub fn lengths() -> impl Iterator<Item = (usize, usize)> {
    (1..=67).chain([127, 128, 129, 1000]).flat_map(|n| [(n, 0), (n, 1)])
}

/// Ties, infinities, subnormals and zeros of both signs among the values.
pub fn values(rng: &mut Rng, n: usize, scale: f32) -> Vec<f32> {
    let special = [0.5, -0.5, 1.5, -1.5, 2.5, 0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1e-44, f32::MAX, f32::MIN];
    let mut x = rng.f32s(n);
    for x in &mut x {
        if rng.range(0, 3) == 0 {
            *x = special[rng.range(0, 11) as usize] * scale;
        }
    }
    x
}

pub fn quantize_equals_reference_on_all_tails_of_64<I: IsaI8>(isa: I) {
    let rng = &mut Rng(13);
    for (n, offset) in lengths() {
        for scale in [1.0, 0.25, 0.017_3, 3e-39, 1e30] {
            let zero_point = rng.range(-128, 127) as i32;
            let x = Guarded::new(&values(rng, n, scale), 1.0, offset);
            let mut want = vec![0; n];
            assert!(Reference.quantize_i8(x.get(), scale, zero_point, &mut want));
            let mut got = Guarded::new(&vec![1; n], 0x5a, offset);
            assert!(isa.quantize_i8(x.get(), scale, zero_point, got.get_mut()));
            assert_same(got.get(), &want, &(n, scale, zero_point, x.get()));
            got.assert_redzones();
        }
    }
}

pub fn quantize_finds_nan_at_every_place_up_to_67<I: IsaI8>(isa: I) {
    for n in 1..=67 {
        for at in 0..n {
            let mut x = vec![1.0; n];
            x[at] = f32::NAN;
            let mut out = Guarded::new(&vec![0; n], 0x5a, 1);
            assert!(!isa.quantize_i8(&x, 1.0, 0, out.get_mut()), "NaN at {at} of {n}");
            out.assert_redzones();
        }
    }
}

pub fn dequantize_equals_reference_on_all_tails_of_64<I: IsaI8>(isa: I) {
    let rng = &mut Rng(14);
    for (n, offset) in lengths() {
        let zero_point = rng.range(-128, 127) as i32;
        let x = Guarded::new(&rng.i8s(n), 1, offset);
        let mut want = vec![0.0; n];
        Reference.dequantize_i8(x.get(), 0.017_3, zero_point, &mut want);
        let mut got = Guarded::new(&vec![1.0; n], 7.5, offset);
        isa.dequantize_i8(x.get(), 0.017_3, zero_point, got.get_mut());
        let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_same(&bits(got.get()), &bits(&want), &(n, zero_point));
        got.assert_redzones();
    }
}

/// Rows to 67; magnitudes from below 2^−100 to the largest.
pub fn dynamic_quantize_equals_reference_on_all_rows_up_to_67<I: IsaI8>(isa: I) {
    let rng = &mut Rng(15);
    for (row, offset) in lengths() {
        let magnitudes = [1e-40, f32::from_bits(27 << 23), 1e-29, 1.0, 1e30, 3e37];
        let x: Vec<f32> =
            magnitudes.iter().flat_map(|m| rng.f32s(row).into_iter().map(move |x| (x / 1e16) * m)).collect();
        let (mut want, mut want_scales) = (vec![0; x.len()], [0.0; 6]);
        assert!(Reference.dynamic_quantize_i8(&x, row, &mut want, &mut want_scales));
        let (mut got, mut scales) = (Guarded::new(&vec![1; x.len()], 0x5a, offset), [1.0; 6]);
        assert!(isa.dynamic_quantize_i8(&x, row, got.get_mut(), &mut scales));
        assert_same(got.get(), &want, &(row, &x));
        assert_eq!(scales.map(f32::to_bits), want_scales.map(f32::to_bits));
        got.assert_redzones();
    }
}

pub fn dynamic_quantize_refuses_nan_and_infinity_at_every_place_up_to_67<I: IsaI8>(isa: I) {
    for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for n in 1..=67 {
            for at in 0..2 * n {
                let mut x = vec![1.0; 2 * n];
                x[at] = bad;
                let mut out = vec![0; 2 * n];
                assert!(!isa.dynamic_quantize_i8(&x, n, &mut out, &mut [0.0; 2]), "{bad} at {at} of rows of {n}");
            }
        }
    }
}
