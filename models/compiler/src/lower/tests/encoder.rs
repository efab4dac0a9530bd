//! What transformer encoders are made of, besides layers.

use super::*;
use selvedge_core::{Format, OpCode};

#[test]
fn layer_norm_equals_f64() {
    let mut b = Build::new(61);
    let (gamma, beta) = (b.reals(13, 2.0), b.reals(13, 1.0));
    let x = b.float_input(&[2, 3, 13]);
    let g = b.constant(&[13], Constant::F32(gamma.clone()));
    let s = b.constant(&[13], Constant::F32(beta.clone()));
    let y = b.node(Op::LayerNorm { epsilon: 1e-3 }, &[x, g, s], &[2, 3, 13], None);
    b.output(y);
    let data: Vec<f32> = b.reals(78, 4.0).iter().map(|x| x + 3.0).collect();
    let want = data.chunks(13).flat_map(|row| {
        let mean = row.iter().map(|&x| x as f64).sum::<f64>() / 13.0;
        let variance = row.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / 13.0;
        let one = |(c, &x): (usize, &f32)| {
            (x as f64 - mean) / (variance + 1e-3f32 as f64).sqrt() * gamma[c] as f64 + beta[c] as f64
        };
        row.iter().enumerate().map(one).collect::<Vec<f64>>()
    });
    assert_close(&run_float(&b.graph, &[ArrayData::F32(data.clone())]), &want.collect::<Vec<_>>(), 1e-5);
}

/// Rows rounded to 127 steps of their largest magnitude.
fn rounded(rows: &[f32], k: usize) -> Vec<f64> {
    let row = |row: &[f32]| {
        let inverse = 127.0 / row.iter().fold(0f32, |max, x| max.max(x.abs()));
        row.iter().map(|x| (x * inverse).round_ties_even() as f64 / inverse as f64).collect::<Vec<_>>()
    };
    rows.chunks(k).flat_map(row).collect()
}

#[test]
fn products_of_values_quantized_at_run_time_equal_f64() {
    let (batch, m, k, n) = (3, 5, 7, 10);
    for transposed in [false, true] {
        let mut b = Build::new(62);
        let a = b.float_input(&[1, batch, m, k]);
        let right = if transposed { [1, batch, n, k] } else { [1, batch, k, n] };
        let w = b.float_input(&right);
        let y = b.node(Op::DynamicMatMul { transposed }, &[a, w], &[1, batch, m, n], None);
        b.output(y);
        let (left, rows) = (b.reals(batch * m * k, 3.0), b.reals(batch * n * k, 0.2));
        let columns: Vec<f32> = (0..batch * k * n).map(|i| rows[(i / (k * n) * n + i % n) * k + i / n % k]).collect();
        let given = if transposed { rows.clone() } else { columns };
        let (qa, qb) = (rounded(&left, k), rounded(&rows, k));
        let want: Vec<f64> = (0..batch * m * n)
            .map(|at| {
                let (i, j) = (at / n, at / (m * n) * n + at % n);
                (0..k).map(|l| qa[i * k + l] * qb[j * k + l]).sum()
            })
            .collect();
        let inputs = [ArrayData::F32(left), ArrayData::F32(given)];
        assert_close(&run_float(&b.graph, &inputs), &want, 1e-5);
        let program = program(&b.graph, true);
        let step = program.steps.iter().find(|step| step.op == OpCode::MatMul).expect("a product");
        assert_eq!((step.format, step.macs), (Format::I8, (batch * m * k * n) as u64));
        // Simulated it is a product in f32, of what was given.
        let options = LowerOptions { simulate: true, ..LowerOptions::default() };
        let simulated = lower(&b.graph, &TargetSpec::PORTABLE, &options).expect("lowers");
        let found = execute(&simulated, &inputs)[0].to_f32();
        for (x, want) in found.iter().zip(&want) {
            assert!((*x as f64 - want).abs() < 0.1, "{x}, about {want}");
        }
    }
}

#[test]
fn a_value_quantized_at_run_time_is_quantized_once() {
    let mut b = Build::new(63);
    let x = b.float_input(&[4, 8]);
    let layers: Vec<ValueId> = (0..3)
        .map(|_| {
            let (codes, scales) = (b.codes(48, -127, 127), vec![0.01; 6]);
            let w = b.weights(&[6, 8], codes, scales);
            b.graph.value_mut(w).codes.as_mut().expect("codes").dynamic = true;
            b.node(Op::Dense { clamp: None }, &[x, w], &[4, 6], None)
        })
        .collect();
    layers.into_iter().for_each(|y| b.output(y));
    let steps = program(&b.graph, true).steps;
    assert_eq!(steps.iter().filter(|step| step.op == OpCode::DynamicQuantize).count(), 1);
}

#[test]
fn gathered_rows_of_a_quantized_table_equal_code_times_scale() {
    let mut b = Build::new(64);
    let (codes, scales) =
        (b.codes(9 * 5, -127, 127), b.reals(9, 0.1).iter().map(|s| s.abs() + 0.001).collect::<Vec<_>>());
    let table = b.weights(&[9, 5], codes.clone(), scales.clone());
    b.graph.value_mut(table).codes.as_mut().expect("codes").dynamic = true;
    let at = b.graph.add_value(Value::new("at", DType::I64, vec![2, 2]));
    b.graph.inputs.push(at);
    let y = b.node(Op::Gather { axis: 0 }, &[table, at], &[2, 2, 5], None);
    b.output(y);
    let rows = [8usize, 0, 3, 7];
    let found = run_float(&b.graph, &[ArrayData::I64(vec![8, 0, 3, -2])]);
    let want: Vec<f32> = rows
        .iter()
        .flat_map(|&r| (0..5).map(move |c| (r, c)))
        .map(|(r, c)| codes[r * 5 + c] as f32 * scales[r])
        .collect();
    assert_eq!(found, want);
    assert_eq!(program(&b.graph, true).steps[0].format, Format::W8);
}
