//! Products of two int8 matrices. Oracle: the reference kernel.

use super::buffers::{Guarded, Rng};
use crate::args::RowsI8;
use crate::isa::IsaI8;
use crate::pack::w8_bytes;
use crate::reference::Reference;
use std::vec;
use std::vec::Vec;

fn case<I: IsaI8>(isa: I, rng: &mut Rng, m: usize, k: usize, n: usize) {
    let offset = rng.range(0, 1) as usize;
    let (a, b) = (Guarded::new(&rng.i8s(m * k), 1, offset), Guarded::new(&rng.i8s(n * k), 1, offset));
    let mut scales = |n| rng.f32s(n).iter().map(|s| s.abs()).collect::<Vec<f32>>();
    let (a_scales, b_scales) = (scales(m), scales(n));
    let (a, b) = (RowsI8 { codes: a.get(), scales: &a_scales }, RowsI8 { codes: b.get(), scales: &b_scales });
    let mut want = vec![0.0; m * n];
    Reference.matmul_i8(a, b, k, &mut want, &mut [], &mut []);
    let mut got = Guarded::new(&vec![1.0; m * n], 7.5, offset);
    let (mut scratch, mut zeros) = (Guarded::new(&vec![9; w8_bytes(n, k)], 0x5a, 0), vec![7.0; n]);
    isa.matmul_i8(a, b, k, got.get_mut(), scratch.get_mut(), &mut zeros);
    scratch.assert_redzones();
    got.assert_redzones();
    let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(got.get()), bits(&want), "{m}x{k}x{n}");
}

/// Rows and columns up to 2·8 + 1, k around whole quads.
pub fn matmul_equals_reference_on_all_shapes_up_to_17<I: IsaI8>(isa: I) {
    let rng = &mut Rng(21);
    for m in 1..=17 {
        for n in 1..=17 {
            for k in [1, 3, 4, 5, 16, 31, 32, 33] {
                case(isa, rng, m, k, n);
            }
        }
    }
}

pub fn matmul_equals_reference_on_long_rows_and_extreme_codes<I: IsaI8>(isa: I) {
    let rng = &mut Rng(22);
    for k in [64, 1023, 1025, 4100] {
        for (m, n) in [(1, 40), (5, 9), (32, 32)] {
            case(isa, rng, m, k, n);
        }
    }
    for value in [-128i8, 127] {
        let (m, k, n) = (5, 1100, 11);
        let (a, b) = (vec![value; m * k], vec![-128i8; n * k]);
        let (sa, sb) = (vec![0.5; m], vec![0.25; n]);
        let (a, b) = (RowsI8 { codes: &a, scales: &sa }, RowsI8 { codes: &b, scales: &sb });
        let mut got = vec![0.0; m * n];
        isa.matmul_i8(a, b, k, &mut got, &mut vec![0; w8_bytes(n, k)], &mut vec![0.0; n]);
        assert!(got.iter().all(|&y| y == value as f32 * -128.0 * k as f32 * 0.125), "{value}");
    }
}

#[test]
fn the_scales_belong_to_the_rows() {
    let a = RowsI8 { codes: &[1, 2, 3, 4], scales: &[1.0, 10.0] };
    let b = RowsI8 { codes: &[5, 6, 7, 8], scales: &[0.5, 2.0] };
    let mut y = [0.0; 4];
    Reference.matmul_i8(a, b, 2, &mut y, &mut [], &mut []);
    assert_eq!(y, [17.0 * 0.5, 23.0 * 2.0, 39.0 * 5.0, 53.0 * 20.0]);
}
