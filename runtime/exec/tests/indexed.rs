//! Operators whose indices are data. Oracle: the formulas of the ONNX operator texts, written out as
//! loops over all indices.
mod support;

use selvedge_core::params::*;
use selvedge_core::{DType, Format, OpCode as Op};
use support::zoo::{reals, single};
use support::{as_f32, f32s, params};

fn i64s(v: &[i64]) -> Vec<u8> {
    bytemuck::cast_slice(v).to_vec()
}

fn as_i64(bytes: &[u8]) -> Vec<i64> {
    bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
}

const AT: [i64; 6] = [2, -1, 0, 1, -3, 1];

#[test]
fn elements_are_gathered_along_the_axis() {
    let p = single(
        (Op::GatherElements, Format::Any),
        &[(DType::F32, &[2, 3, 2]), (DType::I64, &[2, 3, 1])],
        &[(DType::F32, &[2, 3, 1])],
        |_| (params(GatherElements { kind: 0, axis: 1 }), 0),
    );
    let x = reals(12);
    let got = as_f32(&p.run_all(&[f32s(&x), &i64s(&AT)]).unwrap()[0]);
    let want: Vec<f32> = (0..6)
        .map(|n| {
            let row = AT[n].rem_euclid(3) as usize;
            x[(n / 3 * 3 + row) * 2]
        })
        .collect();
    assert_eq!(got, want);
}

#[test]
fn tuples_gather_slices_of_their_batch() {
    let p = single(
        (Op::GatherElements, Format::Any),
        &[(DType::F32, &[2, 3, 2]), (DType::I64, &[2, 3, 1])],
        &[(DType::F32, &[2, 3, 2])],
        |_| (params(GatherElements { kind: 1, axis: 1 }), 0),
    );
    let x = reals(12);
    let got = as_f32(&p.run_all(&[f32s(&x), &i64s(&AT)]).unwrap()[0]);
    let row = |n: usize| (n / 3 * 3 + AT[n].rem_euclid(3) as usize) * 2;
    let want: Vec<f32> = (0..6).flat_map(|n| [x[row(n)], x[row(n) + 1]]).collect();
    assert_eq!(got, want);
}

#[test]
fn scatters_combine_with_what_lies_there_in_order() {
    type Fold = fn(f32, f32) -> f32;
    let apply: [(u32, Fold); 5] = [
        (scatter::REPLACE, |_, u| u),
        (scatter::ADD, |y, u| y + u),
        (scatter::MUL, |y, u| y * u),
        (scatter::MIN, f32::min),
        (scatter::MAX, f32::max),
    ];
    for (reduction, apply) in apply {
        let p = single(
            (Op::Scatter, Format::Any),
            &[(DType::F32, &[3, 2]), (DType::I64, &[3, 2]), (DType::F32, &[3, 2])],
            &[(DType::F32, &[3, 2])],
            |_| (params(Scatter { kind: 0, axis: 0, reduction }), 0),
        );
        let (x, updates) = (reals(6), reals(12)[6..].to_vec());
        let got = as_f32(&p.run_all(&[f32s(&x), &i64s(&AT), f32s(&updates)]).unwrap()[0]);
        let mut want = x.clone();
        for n in 0..6 {
            let y = &mut want[AT[n].rem_euclid(3) as usize * 2 + n % 2];
            *y = apply(*y, updates[n]);
        }
        assert_eq!(got, want, "{reduction}");
    }
}

#[test]
fn indices_out_of_range_are_an_error_of_the_data() {
    let p = single(
        (Op::Scatter, Format::Any),
        &[(DType::F32, &[3, 2]), (DType::I64, &[1, 2]), (DType::F32, &[1])],
        &[(DType::F32, &[3, 2])],
        |_| (params(Scatter { kind: 1, axis: 0, reduction: 0 }), 0),
    );
    let run = |at: &[i64]| p.run_all(&[f32s(&reals(6)), &i64s(at), f32s(&[9.0])]).is_ok();
    assert!(run(&[-3, 1]));
    for at in [[3, 0], [-4, 0], [0, 2], [0, i64::MIN], [i64::MAX, 0]] {
        assert!(!run(&at), "{at:?}");
    }
}

#[test]
fn the_best_come_first_and_of_equal_ones_the_first() {
    let x = [3.0, 1.0, 3.0, -2.0, 5.0, 1.0, 0.0, 3.0];
    for (largest, values, indices) in [(1, [5.0, 3.0, 3.0], [4, 0, 2]), (0, [-2.0, 0.0, 1.0], [3, 6, 1])] {
        let p =
            single((Op::TopK, Format::Any), &[(DType::F32, &[8])], &[(DType::F32, &[3]), (DType::I64, &[3])], |_| {
                (params(TopK { axis: 0, largest }), 0)
            });
        let got = p.run_all(&[f32s(&x)]).unwrap();
        assert_eq!((as_f32(&got[0]), as_i64(&got[1])), (values.to_vec(), indices.to_vec()));
    }
}

#[test]
fn top_k_sorts_every_lane_of_an_inner_axis() {
    let p = single(
        (Op::TopK, Format::Any),
        &[(DType::F32, &[2, 5, 3])],
        &[(DType::F32, &[2, 4, 3]), (DType::I64, &[2, 4, 3])],
        |_| (params(TopK { axis: 1, largest: 1 }), 0),
    );
    let x: Vec<f32> = (0..30).map(|i| ((i * 7) % 11) as f32).collect();
    let got = p.run_all(&[f32s(&x)]).unwrap();
    let (values, indices) = (as_f32(&got[0]), as_i64(&got[1]));
    for (o, i) in (0..2).flat_map(|o| (0..3).map(move |i| (o, i))) {
        let mut lane: Vec<(usize, f32)> = (0..5).map(|n| (n, x[(o * 5 + n) * 3 + i])).collect();
        lane.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (rank, (index, value)) in lane.into_iter().take(4).enumerate() {
            let at = (o * 4 + rank) * 3 + i;
            assert_eq!((values[at], indices[at]), (value, index as i64));
        }
    }
}

#[test]
fn expand_repeats_axes_of_one_and_missing_ones() {
    let p = single((Op::Expand, Format::Any), &[(DType::F32, &[3, 1])], &[(DType::F32, &[2, 3, 2])], |_| (vec![], 0));
    let got = as_f32(&p.run_all(&[f32s(&[1.0, 2.0, 3.0])]).unwrap()[0]);
    assert_eq!(got, [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
}
