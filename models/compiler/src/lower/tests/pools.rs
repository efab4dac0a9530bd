//! Pools, means and Concat on int8.

use super::*;
use selvedge_core::OpCode;

fn windows_of(q: &[f64], [h, w, c]: [usize; 3], win: &Window, [oh, ow]: [usize; 2]) -> Vec<Vec<f64>> {
    let mut out = Vec::new();
    for (y, x, ch) in (0..oh).flat_map(|y| (0..ow).flat_map(move |x| (0..c).map(move |ch| (y, x, ch)))) {
        let mut cells = Vec::new();
        for (kh, kw) in (0..win.kernel[0]).flat_map(|kh| (0..win.kernel[1]).map(move |kw| (kh, kw))) {
            let row = (y * win.stride[0] + kh).wrapping_sub(win.pads[0]);
            let col = (x * win.stride[1] + kw).wrapping_sub(win.pads[1]);
            if row < h && col < w {
                cells.push(q[(row * w + col) * c + ch]);
            }
        }
        out.push(cells);
    }
    out
}

#[test]
fn pools_equal_the_rounded_real_values() {
    let (gx, win) = ((0.05f32, -9), window([3, 2], [2, 1], [1, 0, 0, 1]));
    for (average, count, gy) in [
        (true, false, (0.05f32, -9)),
        (true, true, (0.05, -9)),
        (true, false, (0.03, 20)),
        (false, false, (0.05, -9)),
        (false, false, (0.08, 3)),
    ] {
        let mut b = Build::new(6);
        let x = b.input(&[1, 6, 5, 3], gx.0, gx.1);
        let op = if average {
            Op::AvgPool { window: win, layout: Layout::Nhwc, count_include_pad: count }
        } else {
            Op::MaxPool { window: win, layout: Layout::Nhwc }
        };
        let y = b.node(op, &[x], &[1, 3, 5, 3], Some(gy));
        b.output(y);
        let q = b.codes(90, -128, 127);
        let cells = windows_of(&reals(&q, gx.0, gx.1), [6, 5, 3], &win, [3, 5]);
        let real = cells.iter().map(|cells| {
            let n = if count { 6 } else { cells.len() };
            if average { cells.iter().sum::<f64>() / n as f64 } else { cells.iter().copied().fold(f64::MIN, f64::max) }
        });
        let real: Vec<f64> = real.collect();
        assert_rounded(&run_int(&b.graph, &[q]), real, gy, (-128, 127));
    }
}

#[test]
fn means_over_neighbouring_axes_are_pools() {
    for (axes, shape, out) in [
        (vec![1, 2], vec![1, 4, 3, 5], vec![1, 5]),
        (vec![1, 2], vec![1, 4, 3, 5], vec![1, 1, 1, 5]),
        (vec![2], vec![2, 3, 7], vec![2, 3]),
        (vec![0], vec![6, 4], vec![1, 4]),
    ] {
        let mut b = Build::new(7);
        let x = b.input(&shape, 0.05, 11);
        let op = Op::Reduce { kind: Reduce::Mean, axes: axes.clone(), keep_dims: out.len() == shape.len() };
        let y = b.node(op, &[x], &out, Some((0.02, -4)));
        b.output(y);
        let q = b.codes(shape.iter().product(), -128, 127);
        let r = reals(&q, 0.05, 11);
        let inner: usize = shape[axes[axes.len() - 1] + 1..].iter().product();
        let n: usize = axes.iter().map(|&a| shape[a]).product();
        let outer = r.len() / n / inner;
        let real = (0..outer * inner).map(|i| {
            let (o, k) = (i / inner, i % inner);
            (0..n).map(|j| r[(o * n + j) * inner + k]).sum::<f64>() / n as f64
        });
        let real: Vec<f64> = real.collect();
        assert!(program(&b.graph, true).steps.iter().any(|step| step.op == OpCode::AvgPool2d));
        assert_rounded(&run_int(&b.graph, &[q]), real, (0.02, -4), (-128, 127));
    }
}

#[test]
fn concat_moves_every_input_to_one_grid() {
    let mut b = Build::new(8);
    let grids = [(0.05f32, 3), (0.02f32, -100), (0.11f32, 60)];
    let inputs: Vec<ValueId> = grids.iter().map(|g| b.input(&[2, 3, 4], g.0, g.1)).collect();
    let y = b.node(Op::Concat { axis: 1 }, &inputs, &[2, 9, 4], Some((0.05, 3)));
    b.output(y);
    let q: Vec<Vec<i32>> = (0..3).map(|_| b.codes(24, -128, 127)).collect();
    let r: Vec<Vec<f64>> = q.iter().zip(grids).map(|(q, g)| reals(q, g.0, g.1)).collect();
    let real = (0..2).flat_map(|o| r.iter().flat_map(move |r| r[o * 12..(o + 1) * 12].to_vec()));
    let real: Vec<f64> = real.collect();
    assert_within(&run_int(&b.graph, &q), real, (0.05, 3), (-128, 127), 0.501);
}
