//! Conv and Dense between int8 grids, to f32, and with inputs quantized at run time.

use super::*;
use selvedge_core::artifact::step_flags;

struct ConvCase {
    input: [usize; 4],
    oc: usize,
    groups: usize,
    window: Window,
    clamp: Option<Clamp>,
}

fn out_size(input: usize, w: &Window, axis: usize) -> usize {
    (input + w.pads[axis] + w.pads[axis + 2] - w.dilation[axis] * (w.kernel[axis] - 1) - 1) / w.stride[axis] + 1
}

fn check_conv(case: &ConvCase, seed: u64) {
    let mut b = Build::new(seed);
    let (sx, zx, y_grid) = (0.05f32, -7, (0.11f32, 12));
    let x = b.input(&case.input, sx, zx);
    let ic = case.input[3] / case.groups;
    let shape = [case.oc, ic, case.window.kernel[0], case.window.kernel[1]];
    let n: usize = shape.iter().product();
    let codes = b.codes(n, -127, 127);
    let scales: Vec<f32> = (0..case.oc).map(|c| 0.001 + 0.0007 * c as f32).collect();
    let bias = b.reals(case.oc, 2.0);
    let w = b.weights(&shape, codes.clone(), scales.clone());
    let bias_id = b.constant(&[case.oc], Constant::F32(bias.clone()));
    let out = [1, out_size(case.input[1], &case.window, 0), out_size(case.input[2], &case.window, 1), case.oc];
    let op = Op::Conv { window: case.window, groups: case.groups, layout: Layout::Nhwc, clamp: case.clamp };
    let y = b.node(op, &[x, w, bias_id], &out, Some(y_grid));
    b.output(y);
    let q = b.codes(case.input.iter().product(), -128, 127);
    let got = run_int(&b.graph, std::slice::from_ref(&q));
    // Exact: integer sums in f64, the rounded bias added, one real scale.
    let xs: Vec<f64> = q.iter().map(|&q| (q - zx) as f64).collect();
    let ws: Vec<f64> = codes.iter().map(|&c| c as f64).collect();
    let sums = conv_sums(&xs, case.input, &ws, [out[1], out[2], case.oc], &case.window, case.groups);
    let real = sums.iter().enumerate().map(|(i, sum)| {
        let step = sx as f64 * scales[i % case.oc] as f64;
        (sum + (bias[i % case.oc] as f64 / step).round_ties_even()) * step
    });
    let clamp = case.clamp.map_or((-128, 127), |c| {
        let code = |x: f32| ((x / y_grid.0).round_ties_even() + y_grid.1 as f32).clamp(-128.0, 127.0) as i32;
        (code(c.lo), code(c.hi))
    });
    assert_rounded(&got, real, y_grid, clamp);
}

#[test]
fn convolutions_equal_the_rounded_real_sums() {
    let relu6 = Some(Clamp { lo: 0.0, hi: 6.0 });
    let cases = [
        ConvCase { input: [1, 6, 5, 3], oc: 5, groups: 1, window: window([3, 3], [1, 1], [1, 1, 1, 1]), clamp: relu6 },
        ConvCase { input: [1, 7, 7, 4], oc: 6, groups: 2, window: window([3, 2], [2, 2], [0, 0, 1, 1]), clamp: None },
        ConvCase { input: [1, 5, 6, 9], oc: 9, groups: 9, window: window([3, 3], [1, 2], [1, 1, 1, 1]), clamp: relu6 },
        ConvCase { input: [1, 4, 4, 3], oc: 6, groups: 3, window: window([1, 1], [1, 1], [0; 4]), clamp: None },
        ConvCase {
            input: [1, 9, 9, 2],
            oc: 8,
            groups: 1,
            window: Window { dilation: [2, 3], ..window([3, 3], [1, 1], [2, 0, 2, 3]) },
            clamp: None,
        },
    ];
    for (i, case) in cases.iter().enumerate() {
        check_conv(case, i as u64 + 1);
    }
}

fn dense(b: &mut Build, n: usize, k: usize, bias: Vec<f32>, scale: f32) -> (ValueId, ValueId, Vec<i32>) {
    let codes = b.codes(n * k, -127, 127);
    let w = b.weights(&[n, k], codes.clone(), vec![scale; n]);
    let bias = b.constant(&[n], Constant::F32(bias));
    (w, bias, codes)
}

fn dense_real(q: &[i32], zp: i32, codes: &[i32], k: usize) -> Vec<f64> {
    let rows = q
        .chunks(k)
        .flat_map(|row| codes.chunks(k).map(|w| row.iter().zip(w).map(|(&q, &w)| ((q - zp) * w) as f64).sum::<f64>()));
    rows.collect()
}

#[test]
fn dense_layers_equal_the_rounded_real_sums_also_when_wide() {
    // Ordinary, effective scale above ½, bias far past 2^30 steps.
    for (scale, bias_reach, y_grid, wide) in
        [(0.004f32, 3.0f32, (0.09f32, 5), false), (0.9, 1.0, (0.01, 0), false), (1e-6, 4e3, (40.0, -9), true)]
    {
        let mut b = Build::new(9);
        let (sx, zx, n, k) = (0.03f32, 20, 11, 13);
        let x = b.input(&[3, k], sx, zx);
        let bias = b.reals(n, bias_reach);
        let (w, bias_id, codes) = dense(&mut b, n, k, bias.clone(), scale);
        let y = b.node(Op::Dense { clamp: None }, &[x, w, bias_id], &[3, n], Some(y_grid));
        b.output(y);
        let flags = program(&b.graph, true).steps[0].flags;
        assert_eq!(flags & step_flags::WIDE != 0, wide, "{scale}");
        let q = b.codes(3 * k, -128, 127);
        let got = run_int(&b.graph, std::slice::from_ref(&q));
        let step = sx as f64 * scale as f64;
        let real = dense_real(&q, zx, &codes, k).into_iter().enumerate();
        let real = real.map(|(i, sum)| (sum + (bias[i % n] as f64 / step).round_ties_even()) * step);
        assert_rounded(&got, real, y_grid, (-128, 127));
    }
}

#[test]
fn bias_codes_of_the_file_are_taken_as_they_are() {
    let mut b = Build::new(3);
    let x = b.input(&[1, 1], 0.5, 0);
    let w = b.weights(&[1, 1], vec![0], vec![0.25]);
    // The f32 data says 0, the codes say 40 steps of 0.125.
    let bias = b.constant(&[1], Constant::F32(vec![0.0]));
    b.graph.value_mut(bias).codes = Some(QuantCodes {
        bits: 32,
        signed: true,
        axis: 0,
        block: 0,
        scales: vec![0.125],
        zeros: vec![0],
        codes: vec![40],
        dynamic: false,
    });
    let y = b.node(Op::Dense { clamp: None }, &[x, w, bias], &[1, 1], Some((1.0, 0)));
    b.output(y);
    assert_eq!(run_int(&b.graph, &[vec![3]]), [5]);
}

#[test]
fn unsigned_weights_lose_their_zero_point() {
    let mut b = Build::new(4);
    let x = b.input(&[1, 4], 0.5, 3);
    let w = b.weights(&[2, 4], vec![0; 8], vec![0.25, 0.25]);
    let codes = vec![0, 130, 255, 127, 128, 1, 2, 200];
    let value = b.graph.value_mut(w).codes.as_mut().expect("codes");
    (value.signed, value.zeros, value.codes) = (false, vec![128, 128], codes.clone());
    let y = b.node(Op::Dense { clamp: None }, &[x, w], &[1, 2], Some((2.0, 0)));
    b.output(y);
    let q = vec![5, -100, 7, 127];
    let signed: Vec<i32> = codes.iter().map(|c| c - 128).collect();
    let real = dense_real(&q, 3, &signed, 4).into_iter().map(|sum| sum * 0.125);
    assert_rounded(&run_int(&b.graph, &[q]), real, (2.0, 0), (-128, 127));
}

#[test]
fn sums_of_a_static_grid_become_f32() {
    let mut b = Build::new(5);
    let x = b.input(&[2, 6], 0.03, -20);
    let bias = b.reals(7, 1.0);
    let (w, bias_id, codes) = dense(&mut b, 7, 6, bias.clone(), 0.02);
    let y = b.node(Op::Dense { clamp: Some(Clamp { lo: 0.0, hi: 9.0 }) }, &[x, w, bias_id], &[2, 7], None);
    b.output(y);
    let q = b.codes(12, -128, 127);
    let want: Vec<f64> = dense_real(&q, -20, &codes, 6)
        .into_iter()
        .enumerate()
        .map(|(i, sum)| (sum * 0.03f32 as f64 * 0.02f32 as f64 + bias[i % 7] as f64).clamp(0.0, 9.0))
        .collect();
    let got = run_float(&b.graph, &[ArrayData::I8(q.iter().map(|&q| q as i8).collect())]);
    assert_close(&got, &want, 1e-5);
    assert!(program(&b.graph, true).steps[0].flags & step_flags::OUT_F32 != 0);
}

#[test]
fn layers_quantize_their_input_at_run_time() {
    let mut b = Build::new(6);
    let x = b.float_input(&[1, 4, 4, 3]);
    let codes = b.codes(5 * 3 * 4, -127, 127);
    let scales: Vec<f32> = (0..5).map(|c| 0.01 + 0.001 * c as f32).collect();
    let w = b.weights(&[5, 3, 2, 2], codes.clone(), scales.clone());
    b.graph.value_mut(w).codes.as_mut().expect("codes").dynamic = true;
    let win = window([2, 2], [1, 1], [1, 0, 0, 1]);
    let op = Op::Conv { window: win, groups: 1, layout: Layout::Nhwc, clamp: None };
    let h = b.node(op, &[x, w], &[1, 4, 4, 5], None);
    b.output(h);
    let data = b.reals(48, 3.0);
    let max = data.iter().fold(0f32, |m, x| m.max(x.abs()));
    let quantized: Vec<f64> = data.iter().map(|x| (x * (127.0 / max)).round_ties_even() as f64).collect();
    let ws: Vec<f64> = codes.iter().map(|&c| c as f64).collect();
    let sums = conv_sums(&quantized, [1, 4, 4, 3], &ws, [4, 4, 5], &win, 1);
    let want: Vec<f64> =
        sums.iter().enumerate().map(|(i, s)| s * (max / 127.0) as f64 * scales[i % 5] as f64).collect();
    assert_close(&run_float(&b.graph, &[ArrayData::F32(data)]), &want, 1e-5);
}
