//! Dense and matmul.

use super::f32_buffers::{Rng, Weights, assert_same};
use crate::Reference;
use crate::args::LayerF32;
use crate::element::Element;
use crate::isa::IsaF32;
use crate::pack::{f32_elements, pack_f32, padded_channels};
use std::format;
use std::vec;
use std::vec::Vec;

fn dense_case<I: IsaF32, E: Weights>(isa: I, rng: &mut Rng, rows: usize, k: usize, n: usize, wild: bool) {
    let x = rng.numbers(rows * k, wild);
    let w = rng.weights::<E>(n * k, wild);
    let mut packed = vec![E::default(); f32_elements(n, k)];
    pack_f32(&w, n, k, &mut packed);
    let scales = E::scales(rng, padded_channels(n));
    let with_bias = rng.below(4) != 0;
    let mut bias = rng.numbers(if with_bias { padded_channels(n) } else { 0 }, wild);
    if with_bias {
        bias[n..].fill(0.0);
    }
    let (lo, hi) = [(f32::NEG_INFINITY, f32::INFINITY), (0.0, 6.0), (-1.0, f32::INFINITY)][rng.below(3)];
    let layer = LayerF32 { weights: &packed, scales: E::lend(&scales), bias: &bias, lo, hi };
    assert_same(
        rows * n,
        &format!("dense {rows}x{k}x{n}"),
        |y| Reference.dense_f32(&x, rows, k, n, &layer, y),
        |y| isa.dense_f32(&x, rows, k, n, &layer, y),
    );
}

fn matmul_case<I: IsaF32>(isa: I, rng: &mut Rng, m: usize, k: usize, n: usize, wild: bool) {
    let a = rng.numbers(m * k, wild);
    let b = rng.numbers(k * n, wild);
    assert_same(
        m * n,
        &format!("matmul {m}x{k}x{n}"),
        |y| Reference.matmul_f32(&a, &b, m, k, n, y),
        |y| isa.matmul_f32(&a, &b, m, k, n, y),
    );
}

/// Rows up to 2·4 + 1, columns up to 2·16 + 1.
fn small(mut case: impl FnMut(&mut Rng, usize, usize, usize, bool)) {
    let mut rng = Rng::new(1);
    for rows in 0..=9 {
        for n in 1..=33 {
            for k in [0, 1, 2, 7, 9] {
                let wild = (rows + n + k) % 3 == 0;
                case(&mut rng, rows, k, n, wild);
            }
        }
    }
}

fn blocks(mut case: impl FnMut(&mut Rng, usize, usize, usize, bool)) {
    let mut rng = Rng::new(2);
    for k in [255, 256, 257, 511, 512, 513, 1000] {
        for (rows, n) in [(1, 40), (5, 17), (3, 3), (4, 16)] {
            case(&mut rng, rows, k, n, false);
        }
    }
}

pub fn dense_equals_reference_on_all_shapes_up_to_33<I: IsaF32, E: Weights>(isa: I) {
    small(|rng, rows, k, n, wild| dense_case::<I, E>(isa, rng, rows, k, n, wild));
}

pub fn dense_equals_reference_across_blocks_of_k<I: IsaF32, E: Weights>(isa: I) {
    blocks(|rng, rows, k, n, wild| dense_case::<I, E>(isa, rng, rows, k, n, wild));
}

pub fn matmul_equals_reference_on_all_shapes_up_to_33<I: IsaF32>(isa: I) {
    small(|rng, m, k, n, wild| matmul_case(isa, rng, m, k, n, wild));
}

pub fn matmul_equals_reference_across_blocks_of_k<I: IsaF32>(isa: I) {
    blocks(|rng, m, k, n, wild| matmul_case(isa, rng, m, k, n, wild));
}

/// The rule in numbers: 2^24 swallows ones inside of its block, not those of the next block.
#[test]
fn a_dot_product_is_summed_in_blocks_of_256() {
    let mut x = vec![1.0f32; 512];
    x[0] = 16_777_216.0;
    let w = vec![1.0f32; 512];
    let mut packed = vec![0.0; f32_elements(1, 512)];
    pack_f32(&w, 1, 512, &mut packed);
    let layer = LayerF32 { weights: &packed, scales: (), bias: &[], lo: f32::NEG_INFINITY, hi: f32::INFINITY };
    let mut y = [0.0];
    Reference.dense_f32(&x, 1, 512, 1, &layer, &mut y);
    assert_eq!(y[0], 16_777_216.0 + 256.0);
}

/// Oracle: the f32 layer with the widened weights, its sums times the scales. Without a bias and
/// with scales that are powers of two this is the layer with the scaled weights, bit for bit.
#[test]
fn stored_weights_are_those_they_widen_to() {
    let mut rng = Rng::new(17);
    let (rows, k, n) = (3, 300, 19);
    let x = rng.numbers(rows * k, false);
    fn run<E: Weights>(x: &[f32], (rows, k, n): (usize, usize, usize), w: &[E], scales: &[f32]) -> Vec<u32> {
        let mut packed = vec![E::default(); f32_elements(n, k)];
        pack_f32(w, n, k, &mut packed);
        let (lo, hi) = (f32::NEG_INFINITY, f32::INFINITY);
        let mut y = vec![0.0; rows * n];
        let layer = LayerF32 { weights: &packed, scales: E::lend(scales), bias: &[], lo, hi };
        Reference.dense_f32(x, rows, k, n, &layer, &mut y);
        y.iter().map(|v| v.to_bits()).collect()
    }
    let halves = rng.weights::<u16>(n * k, false);
    let widened: Vec<f32> = halves.iter().map(|w| w.widen()).collect();
    assert_eq!(run(&x, (rows, k, n), &halves, &[]), run(&x, (rows, k, n), &widened, &[]));
    let codes = rng.weights::<i8>(n * k, false);
    let scales: Vec<f32> = (0..24).map(|c| (c as f32 - 12.0).exp2()).collect();
    let scaled: Vec<f32> = codes.iter().enumerate().map(|(i, w)| w.widen() * scales[i / k]).collect();
    assert_eq!(run(&x, (rows, k, n), &codes, &scales), run(&x, (rows, k, n), &scaled, &[]));
}
