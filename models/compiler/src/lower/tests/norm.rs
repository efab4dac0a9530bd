//! Group normalization on int8 grids and in f32.

use super::*;
use selvedge_core::{Format, OpCode};

/// The real-valued result over NHWC data.
fn exact(x: &[f64], [n, h, w, c]: [usize; 4], groups: usize, epsilon: f64, gamma: &[f32], beta: &[f32]) -> Vec<f64> {
    let (pixels, size) = (h * w, c / groups);
    let mut out = vec![0.0; x.len()];
    for (image, group) in (0..n).flat_map(|image| (0..groups).map(move |group| (image, group))) {
        let cells: Vec<usize> = (0..pixels)
            .flat_map(|p| (group * size..(group + 1) * size).map(move |ch| (image * pixels + p) * c + ch))
            .collect();
        let mean = cells.iter().map(|&i| x[i]).sum::<f64>() / cells.len() as f64;
        let variance = cells.iter().map(|&i| (x[i] - mean).powi(2)).sum::<f64>() / cells.len() as f64;
        for i in cells {
            out[i] = (x[i] - mean) / (variance + epsilon).sqrt() * gamma[i % c] as f64 + beta[i % c] as f64;
        }
    }
    out
}

fn graph(b: &mut Build, dims: [usize; 4], groups: usize, int8: bool, reach: f32) -> (Vec<f32>, Vec<f32>) {
    let x = if int8 { b.input(&dims, 0.04, -11) } else { b.float_input(&dims) };
    let (gamma, beta) = (b.reals(dims[3], reach), b.reals(dims[3], 1.0));
    let parameters = [&gamma, &beta].map(|data| Constant::F32(data.clone()));
    let [g, o] = parameters.map(|data| b.constant(&[dims[3]], data));
    let clamp = Some(Clamp { lo: 0.0, hi: f32::INFINITY });
    let op = Op::GroupNorm { groups, epsilon: 1e-5, layout: Layout::Nhwc, clamp };
    let y = b.node(op, &[x, g, o], &dims, int8.then_some((0.02, -128)));
    b.output(y);
    (gamma, beta)
}

#[test]
fn int8_group_norms_round_the_real_result() {
    for (seed, (dims, groups)) in [([1, 5, 7, 6], 2), ([3, 4, 4, 8], 8), ([2, 9, 3, 5], 1)].into_iter().enumerate() {
        let mut b = Build::new(seed as u64);
        let (gamma, beta) = graph(&mut b, dims, groups, true, 2.0);
        let steps = program(&b.graph, true).steps;
        assert_eq!((steps.len(), steps[0].op, steps[0].format), (1, OpCode::GroupNorm, Format::I8));
        let q = b.codes(dims.iter().product(), -100, 60);
        let y = run_int(&b.graph, std::slice::from_ref(&q));
        let want = exact(&reals(&q, 0.04, -11), dims, groups, 1e-5, &gamma, &beta);
        assert_within(&y, want, (0.02, -128), (-128, 127), 0.52);
    }
}

#[test]
fn f32_group_norms_are_close_and_those_without_an_int8_form_run_in_f32() {
    let dims = [2, 3, 5, 12];
    let mut b = Build::new(4);
    let (gamma, beta) = graph(&mut b, dims, 3, false, 2.0);
    let x = b.reals(360, 3.0);
    let y = run_float(&b.graph, &[ArrayData::F32(x.clone())]);
    let x: Vec<f64> = x.into_iter().map(f64::from).collect();
    let want: Vec<f64> = exact(&x, dims, 3, 1e-5, &gamma, &beta).into_iter().map(|v| v.max(0.0)).collect();
    assert_close(&y, &want, 1e-5);
    let mut b = Build::new(5);
    graph(&mut b, dims, 3, true, 1e6);
    let lowered = program(&b.graph, true);
    assert!(lowered.steps.iter().any(|step| (step.op, step.format) == (OpCode::GroupNorm, Format::F32)));
    assert!(lowered.notes[0].contains("its scale is too large"), "{:?}", lowered.notes);
    let q = b.codes(360, -100, 60);
    run_int(&b.graph, &[q]);
}
