//! Test families of elementwise int8 kernels and softmax. Oracle: the reference kernel.

use std::vec;
use std::vec::Vec;

use super::buffers::{Guarded, Rng, assert_same};
use crate::args::*;
use crate::isa::IsaI8;
use crate::reference::Reference;

/// Runs both on copies of `before`, the kernel's misaligned, and compares.
fn compare(
    before: &[i8],
    offset: usize,
    case: &dyn std::fmt::Debug,
    kernel: impl FnOnce(&mut [i8]),
    reference: impl FnOnce(&mut [i8]),
) {
    let mut want = before.to_vec();
    reference(&mut want);
    let mut got = Guarded::new(before, 0x5a, offset);
    kernel(got.get_mut());
    assert_same(got.get(), &want, case);
    got.assert_redzones();
}

/// Lengths with every tail of 64, then long ones; each misaligned by 0 and 1.
fn lengths() -> impl Iterator<Item = (usize, usize)> {
    (0..=67).chain([127, 128, 129, 1000]).flat_map(|n| [(n, 0), (n, 1)])
}

fn add_args(rng: &mut Rng) -> AddI8 {
    AddI8 {
        m1: rng.range(-(1 << 21), 1 << 21) as i32,
        m2: rng.range(-(1 << 21), 1 << 21) as i32,
        c: rng.range(-(1 << 30), 1 << 30) as i32,
        s: rng.range(0, 22) as u32,
        lo: rng.range(-128, 0) as i8,
        hi: rng.range(0, 127) as i8,
    }
}

pub fn add_equals_reference_on_all_tails_of_64<I: IsaI8>(isa: I) {
    let rng = &mut Rng(8);
    for (n, offset) in lengths() {
        let p = add_args(rng);
        let (a, b) = (Guarded::new(&rng.i8s(n), 1, offset), Guarded::new(&rng.i8s(n), 1, offset));
        let (a, b) = (a.get(), b.get());
        compare(b, offset, &(n, p), |out| isa.add_i8(a, b, &p, out), |out| Reference.add_i8(a, b, &p, out));
        compare(b, offset, &(n, p), |out| isa.add_in_place_i8(a, &p, out), |out| Reference.add_i8(a, b, &p, out));
    }
}

/// Shifts of 1..=31 and of effective scales above ½.
pub fn mul_equals_reference_on_all_tails_of_64<I: IsaI8>(isa: I) {
    let rng = &mut Rng(9);
    for (n, offset) in lengths().flat_map(|case| [case; 4]) {
        let lo = rng.range(-128, 127);
        let p = MulI8 {
            zp1: rng.range(-128, 127) as i32,
            zp2: rng.range(-128, 127) as i32,
            multiplier: rng.range(0, (1 << 31) - 1) as i32,
            shift: rng.range(-3, 31) as i8,
            zero_point: rng.range(-128, 127) as i32,
            lo: lo as i8,
            hi: rng.range(lo, 127) as i8,
        };
        let (a, b) = (Guarded::new(&rng.i8s(n), 1, offset), Guarded::new(&rng.i8s(n), 1, offset));
        let (a, b) = (a.get(), b.get());
        compare(b, offset, &(n, p), |out| isa.mul_i8(a, b, &p, out), |out| Reference.mul_i8(a, b, &p, out));
    }
}

pub fn rescale_equals_reference_on_all_tails_of_64<I: IsaI8>(isa: I) {
    let rng = &mut Rng(10);
    for (n, offset) in lengths() {
        let p = add_args(rng);
        let x = Guarded::new(&rng.i8s(n), 1, offset);
        let x = x.get();
        let AddI8 { m1: m, c, s, .. } = p;
        compare(x, offset, &(n, p), |out| isa.rescale_i8(x, m, c, s, out), |out| Reference.rescale_i8(x, m, c, s, out));
    }
}

pub fn table_equals_reference_on_all_tails_of_64<I: IsaI8>(isa: I) {
    let rng = &mut Rng(11);
    for (n, offset) in lengths() {
        let table: Vec<i8> = (0..256).map(|_| rng.next() as i8).collect();
        let (x, table) = (Guarded::new(&rng.i8s(n), 1, offset), Guarded::new(&table, 1, offset));
        let (x, table) = (x.get(), table.get());
        compare(x, offset, &n, |out| isa.table_i8(x, table, out), |out| Reference.table_i8(x, table, out));
        compare(x, offset, &n, |out| isa.table_in_place_i8(table, out), |out| Reference.table_i8(x, table, out));
    }
}

/// Rows to 67 and longer than the number of int8 values.
pub fn softmax_equals_reference_on_all_rows_up_to_67<I: IsaI8>(isa: I) {
    let rng = &mut Rng(12);
    for row in (1..=67).chain([255, 256, 257, 1000]) {
        for scale in [0.0001, 0.004, 0.1, 0.3] {
            let entry = |d: u32| ((1 << 24) as f64 * (-(d as f64) * scale).exp()) as u32;
            let table: Vec<u32> = (0..16).map(|a| entry(16 * a)).chain((0..16).map(entry)).collect();
            let args = SoftmaxI8 {
                table: &table,
                inverse: rng.range(1 << 24, (1 << 25) - 1) as u32,
                shift: rng.range(14, 16) as u32,
                zero_point: rng.range(-128, 127) as i32,
            };
            let x = rng.i8s(3 * row);
            compare(
                &vec![0; 3 * row],
                1,
                &(row, scale),
                |out| isa.softmax_i8(&x, row, &args, out),
                |out| Reference.softmax_i8(&x, row, &args, out),
            );
        }
    }
}
