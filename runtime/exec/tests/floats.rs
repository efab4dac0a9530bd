//! f32 steps and grids found at run time, against the formulas written out.
mod support;

use proptest::prelude::*;
use selvedge_core::params::*;
use selvedge_core::{DType, ErrorKind, Format, OpCode as Op};
use support::zoo::single;
use support::{as_f32, as_i8, f32s, params};

const T: DType = DType::F32;

/// Numbers with many different roundings.
fn rough(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32).map(|i| ((i * 7919 + seed * 104729) % 2003) as f32 / 17.0 - 59.0).collect()
}

fn reduce_program(kind: u32, dims: &[u32], axes: u32, out: &[u32]) -> support::Program {
    single((Op::Reduce, Format::F32), &[(T, dims)], &[(T, out)], |_| (params(Reduce { kind, axes }), 0))
}

#[test]
fn reduction_over_axes_apart_gives_the_bits_of_the_same_elements_side_by_side() {
    for kind in 0..=reduce::LAST {
        for [a, b, c] in [[3u32, 4, 5], [2, 2, 9], [17, 3, 2]] {
            let x = rough((a * b * c) as usize, kind);
            let apart = reduce_program(kind, &[a, b, c], 0b101, &[b]).run(&[f32s(&x)]).unwrap();
            let mut moved = Vec::new();
            for j in 0..b {
                for i in 0..a {
                    let row = ((i * b + j) * c) as usize;
                    moved.extend_from_slice(&x[row..row + c as usize]);
                }
            }
            let beside = reduce_program(kind, &[b, a, c], 0b110, &[b, 1, 1]).run(&[f32s(&moved)]).unwrap();
            assert_eq!(apart, beside, "kind {kind}");
        }
    }
}

#[test]
fn reduction_propagates_nan_and_signed_infinities() {
    let x = [1.0, f32::NAN, 2.0, 3.0, f32::INFINITY, -1.0, 0.0, f32::NEG_INFINITY];
    for (kind, want) in [(reduce::MAX, [f32::NAN, f32::INFINITY]), (reduce::MIN, [f32::NAN, f32::NEG_INFINITY])] {
        let y = as_f32(&reduce_program(kind, &[2, 2, 2], 0b101, &[2]).run(&[f32s(&x)]).unwrap());
        // Elements 0, 1, 4, 5 and 2, 3, 6, 7.
        assert!(y[0].is_nan() && want[0].is_nan());
        assert_eq!(y[1], if kind == reduce::MAX { 3.0 } else { want[1] });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Small integers: every order of sums is exact.
    #[test]
    fn matmul_broadcasts_its_batch(
        batch in prop::collection::vec((1u32..=3, 0u8..3), 0..=3),
        m in 1u32..=4, k in 1u32..=5, n in 1u32..=4,
    ) {
        let dims = |pick: u8, rows: u32, cols: u32| {
            let batch = batch.iter().map(|&(d, fate)| if fate == pick { 1 } else { d });
            batch.chain([rows, cols]).collect::<Vec<u32>>()
        };
        let (a, b, y) = (dims(1, m, k), dims(2, k, n), dims(9, m, n));
        let size = |d: &[u32]| d.iter().product::<u32>() as usize;
        let numbers = |n: usize| (0..n).map(|i| (i % 7) as f32 - 3.0).collect::<Vec<f32>>();
        let (x, z) = (numbers(size(&a)), numbers(size(&b)));
        let p = single((Op::MatMul, Format::F32), &[(T, &a), (T, &b)], &[(T, &y)], |_| (vec![], 0));
        let got = as_f32(&p.run(&[f32s(&x), f32s(&z)]).unwrap());
        let matrices = size(&y[..y.len() - 2]);
        for matrix in 0..matrices {
            // Position of the matrix in each operand.
            let mut left = matrix;
            let (mut from_a, mut from_b, mut step_a, mut step_b) = (0, 0, 1, 1);
            for (i, &(d, _)) in batch.iter().enumerate().rev() {
                let index = left % d as usize;
                left /= d as usize;
                from_a += if a[i] == 1 { 0 } else { index } * step_a;
                from_b += if b[i] == 1 { 0 } else { index } * step_b;
                step_a *= a[i] as usize;
                step_b *= b[i] as usize;
            }
            let (m, k, n) = (m as usize, k as usize, n as usize);
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let want: f32 =
                    (0..k).map(|l| x[from_a * m * k + i * k + l] * z[from_b * k * n + l * n + j]).sum();
                prop_assert_eq!(got[matrix * m * n + i * n + j], want);
            }
        }
    }
}

#[test]
fn dynamic_quantize_linear_follows_the_onnx_formula() {
    let p = single(
        (Op::DynamicQuantizeLinear, Format::F32),
        &[(T, &[6])],
        &[(DType::U8, &[6]), (T, &[]), (DType::U8, &[])],
        |_| (vec![], 0),
    );
    // min −3, max 2: scale 5/255, zero point rint(3/scale).
    let y = p.run_all(&[f32s(&[0.0, 2.0, -3.0, -2.5, 1.34, 0.5])]).unwrap();
    assert_eq!(y, [vec![153, 255, 0, 26, 221, 179], 0.019_607_844f32.to_le_bytes().to_vec(), vec![153]]);
    let zeros = p.run_all(&[f32s(&[0.0; 6])]).unwrap();
    assert_eq!(zeros[0], [0; 6]);
    for bad in [f32::NAN, f32::INFINITY] {
        let error = p.run_all(&[f32s(&[0.0, bad, 0.0, 0.0, 0.0, 0.0])]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotANumber);
    }
}

#[test]
fn dynamic_scales_reach_the_layer_behind_them() {
    use selvedge_core::artifact::step_flags;
    use selvedge_kernels::pack;
    let mut p = support::Program::default();
    let x = p.input(T, &[2, 4]);
    let (q, scales, y) = (p.tensor(DType::I8, &[2, 4]), p.tensor(T, &[2]), p.tensor(T, &[2, 2]));
    p.step((Op::DynamicQuantize, Format::F32), &[x], &[q, scales], params(DynamicQuantize { row: 4 }), 0);
    let mut packed = vec![0; pack::w8_bytes(2, 4)];
    pack::pack_w8(&[1, 0, 0, 0, 1, 1, 1, 1], 2, 4, &mut packed);
    let arrays = LayerArrays {
        weights: p.array(bytemuck::cast_slice(&packed)),
        weights_bytes: packed.len() as u32,
        bias: p.channels(&[0.0f32, 1.0]),
        multiplier: p.channels(&[1.0f32, 2.0]),
        shift: NONE,
    };
    let (lo_f32, hi_f32) = (f32::NEG_INFINITY, f32::INFINITY);
    let dense = DenseI8 { arrays, output_zero_point: 0, lo: 0, hi: 0, lo_f32, hi_f32 };
    p.step((Op::Dense, Format::W8), &[q, scales], &[y], params(dense), 0).flags = step_flags::OUT_F32;
    p.output(y);
    // Rows with maxima 127 and 254 have scales 1 and 2.
    let y = p.run(&[f32s(&[127.0, 1.0, 2.0, 3.0, -254.0, 4.0, 0.0, 2.0])]).unwrap();
    assert_eq!(as_f32(&y), [127.0, 267.0, -254.0, 1.0 + (-127.0 + 2.0 + 1.0) * 4.0]);
}

#[test]
fn integer_sums_take_a_zero_point_of_either_sign() {
    use selvedge_core::artifact::step_flags;
    use selvedge_kernels::pack;
    for (dtype, zero_point) in [(DType::U8, 130u8), (DType::I8, 2)] {
        let mut p =
            single((Op::Dense, Format::W8), &[(DType::I8, &[1, 3]), (dtype, &[])], &[(DType::I32, &[1, 1])], |p| {
                let mut packed = vec![0; pack::w8_bytes(1, 3)];
                pack::pack_w8(&[1, 2, 3], 1, 3, &mut packed);
                let arrays = LayerArrays {
                    weights: p.array(bytemuck::cast_slice(&packed)),
                    weights_bytes: packed.len() as u32,
                    bias: NONE,
                    multiplier: p.channels(&[6i32]),
                    shift: NONE,
                };
                (params(DenseI8 { arrays, output_zero_point: 0, lo: 0, hi: 0, lo_f32: 0.0, hi_f32: 0.0 }), 0)
            });
        p.steps[0].flags = step_flags::OUT_I32;
        let y = p.run(&[&[5, 6, 7], &[zero_point]]).unwrap();
        assert_eq!(y, (3i32 + 2 * 4 + 3 * 5).to_le_bytes());
    }
}

#[test]
fn flip_sign_shifts_by_128() {
    let p = single((Op::FlipSign, Format::Any), &[(DType::U8, &[3])], &[(DType::I8, &[3])], |_| (vec![], 0));
    assert_eq!(as_i8(&p.run(&[&[0, 128, 255]]).unwrap()), [-128, 0, 127]);
}
