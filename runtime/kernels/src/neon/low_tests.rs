//! What the families of all instruction sets leave out. Oracle: the reference kernel; domain: the
//! widths, 1 to 9 rows, 11 channels, k to 1100.

use std::vec;
use std::vec::Vec;

use super::{Neon, NeonDotprod, NeonI8mm};
use crate::args::*;
use crate::code::{Code, T2, W2, W3, W4};
use crate::isa::IsaI8;
use crate::pack_low::{dense_low_scratch, groups_of, low_bytes};
use crate::reference::Reference;
use crate::testing::buffers::Rng;
use crate::testing::{Testable, with};

const N: usize = 11;

/// Sums of a dense layer, whose codes are any bytes.
fn check<I: IsaI8, C: Code>(
    isa: I,
    x: &[i8],
    codes: &[u8],
    [rows, k, group]: [usize; 3],
    scales: &[u8],
    offsets: &[i16],
) {
    let codes = &codes[..low_bytes(C::WIDTH, N, k)];
    let zero = if offsets.is_empty() { C::WIDTH.max() } else { 0 };
    let w = LowBit { n: N, k, codes, group, scales, offsets, zero };
    let raw = Raw { zero_point: 0, column_sum: &[] };
    let mut want = vec![0; rows * N];
    Reference.dense_low::<C>(x, &w, rows, Output::I32(raw, &mut want), &mut []);
    let mut got = vec![1; rows * N];
    let bytes = dense_low_scratch(rows, k);
    let mut scratch = vec![0xa5a5_a5a5u32; bytes.div_ceil(4)];
    let scratch: &mut [u8] = zerocopy::IntoBytes::as_mut_bytes(scratch.as_mut_slice());
    isa.dense_low::<C>(x, &w, rows, Output::I32(raw, &mut got), &mut scratch[..bytes]);
    let what = (C::WIDTH, rows, k, group, scales.len(), offsets.len());
    assert!(got == want, "{} {what:?}: {got:?}, the reference has {want:?}", I::KIND.name());
}

/// Groups past 16-bit sums of activations, whole rows with scales, scales or offsets alone.
fn groups<I: IsaI8, C: Code>(isa: I) {
    let rng = &mut Rng(51);
    for k in [32, 250, 288, 600, 1100] {
        for group in [0, 256, 288, 512] {
            let groups = N * groups_of(k, group);
            let scales: Vec<u8> = (0..groups).map(|_| rng.range(0, 255) as u8).collect();
            let offsets: Vec<i16> = (0..groups).map(|_| rng.range(-32768, 32767) as i16).collect();
            for rows in [1, 3, 4, 9] {
                let x: Vec<i8> = (0..rows * k).map(|_| if rng.next() & 7 == 0 { 127 } else { -128 }).collect();
                let codes: Vec<u8> = (0..N * (k + 32)).map(|_| rng.next() as u8).collect();
                for (scales, offsets) in
                    [(&scales[..], &offsets[..]), (&scales[..], &[]), (&[], &offsets[..]), (&[], &[])]
                {
                    check::<I, C>(isa, &x, &codes, [rows, k, group], scales, offsets);
                }
            }
        }
    }
}

/// The largest number in every code, also where a width does not use it, times −128 and 127.
fn largest<I: IsaI8, C: Code>(isa: I) {
    let k = 1100;
    let codes = vec![0xff; N * (k + 32)];
    for value in [-128, 127] {
        for rows in [1, 4, 8] {
            let x = vec![value; rows * k];
            check::<I, C>(isa, &x, &codes, [rows, k, 0], &[], &[]);
            for group in [64, 256, 512] {
                let groups = N * groups_of(k, group);
                check::<I, C>(isa, &x, &codes, [rows, k, group], &vec![255; groups], &vec![i16::MIN; groups]);
            }
        }
    }
}

fn every_width<I: Testable>(isa: I) {
    groups::<I, W4>(isa);
    groups::<I, W3>(isa);
    groups::<I, W2>(isa);
    groups::<I, T2>(isa);
    largest::<I, W4>(isa);
    largest::<I, W3>(isa);
    largest::<I, W2>(isa);
    largest::<I, T2>(isa);
}

#[test]
fn rare_groups_and_codes_equal_reference__neon() {
    with("rare groups and codes", every_width::<Neon>);
}

#[test]
fn rare_groups_and_codes_equal_reference__neon_dotprod() {
    with("rare groups and codes", every_width::<NeonDotprod>);
}

#[test]
fn rare_groups_and_codes_equal_reference__neon_i8mm() {
    with("rare groups and codes", every_width::<NeonI8mm>);
}
