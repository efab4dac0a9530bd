//! Oracle: the f64 evaluator of the passes. At full energy nothing may change.

use super::*;
use crate::graph::{Clamp, Constant, Layout, Node, Op, Value, ValueId, Window};
use crate::passes::testing::{Build, check};

/// A convolution in the device's layout with bias and clamp.
fn conv(b: &mut Build, x: ValueId, outs: usize, window: Window, data: Vec<f32>) -> ValueId {
    let shape = b.graph.value(x).shape.clone();
    let [n, h, w, ins] = [shape[0], shape[1], shape[2], shape[3]];
    let weights = b.constant(&[outs, ins, window.kernel[0], window.kernel[1]], data);
    let bias = b.random(&[outs]);
    let out = |size: usize, i: usize| {
        let reach = (window.kernel[i] - 1) * window.dilation[i] + 1;
        (size + window.pads[i] + window.pads[i + 2] - reach) / window.stride[i] + 1
    };
    let op = Op::Conv { window, groups: 1, layout: Layout::Nhwc, clamp: Some(Clamp { lo: -2.0, hi: 6.0 }) };
    b.node(op, &[x, weights, bias], &[n, out(h, 0), out(w, 1), outs])
}

/// Weights of which the first `rank` singular values of a form are not zero.
fn weights(b: &mut Build, form: ConvForm, [outs, ins, kh, kw]: [usize; 4], rank: usize) -> Vec<f32> {
    let (rows, cols) = match form {
        ConvForm::Channel => (outs, ins * kh * kw),
        ConvForm::Spatial => (ins * kh, outs * kw),
    };
    let (u, v) = (b.rng.f32s(rows * rank), b.rng.f32s(rank * cols));
    let product = |i: usize, j: usize| (0..rank).map(|r| u[i * rank + r] * v[r * cols + j]).sum::<f32>();
    let at = |n: usize, c: usize, y: usize, x: usize| match form {
        ConvForm::Channel => product(n, (c * kh + y) * kw + x),
        ConvForm::Spatial => product(c * kh + y, n * kw + x),
    };
    let all = (0..outs)
        .flat_map(|n| (0..ins).flat_map(move |c| (0..kh).flat_map(move |y| (0..kw).map(move |x| (n, c, y, x)))));
    all.map(|(n, c, y, x)| at(n, c, y, x)).collect()
}

fn options(rank: FactorRank, form: FactorForm) -> FactorizeOptions {
    FactorizeOptions { rank, form }
}

const STRIDED: Window = Window { kernel: [3, 3], stride: [2, 2], dilation: [1, 1], pads: [1, 1, 1, 1] };
const ODD: Window = Window { kernel: [3, 2], stride: [1, 3], dilation: [2, 1], pads: [2, 0, 1, 1] };

#[test]
fn low_rank_weights_are_found_and_keep_what_is_computed() {
    for (window, [n, h, w]) in [(STRIDED, [2, 9, 8]), (ODD, [1, 7, 9]), (STRIDED, [1, 5, 5])] {
        for (form, only) in [(ConvForm::Channel, FactorForm::Channel), (ConvForm::Spatial, FactorForm::Spatial)] {
            let mut b = Build::new();
            let x = b.input(&[n, h, w, 10]);
            let data = weights(&mut b, form, [12, 10, window.kernel[0], window.kernel[1]], 2);
            let y = conv(&mut b, x, 12, window, data);
            let graph = b.finish(&[y]);
            for how in [FactorRank::Energy(1.0 - 1e-9), FactorRank::Rank(2)] {
                let mut made = Vec::new();
                let after = check(graph.clone(), |g| made = factorize_convs(g, &options(how, only)).expect("options"));
                let [one] = made.as_slice() else { panic!("{} layers", made.len()) };
                assert_eq!((one.form, one.rank), (form, 2));
                assert!(one.energy > 1.0 - 1e-9 && one.macs_after < one.macs_before);
                assert_eq!(after.nodes.len(), 2);
                assert_eq!(one.macs_after, macs(&after));
                assert_eq!(one.macs_before, macs(&graph));
                assert!(after.values.iter().any(|v| v.name == one.between));
            }
        }
    }
}

fn macs(graph: &Graph) -> u64 {
    let of = |node: &Node| {
        let w = graph.value(node.inputs[1].expect("weights"));
        graph.value(node.outputs[0]).elements() * w.shape[1..].iter().product::<usize>()
    };
    graph.nodes.iter().map(|node| of(node) as u64).sum()
}

#[test]
fn a_truncation_leaves_out_the_energy_it_says() {
    for form in [FactorForm::Channel, FactorForm::Spatial, FactorForm::Auto] {
        let mut b = Build::new();
        let x = b.input(&[1, 8, 8, 16]);
        let data = b.rng.f32s(32 * 16 * 9);
        let y = conv(&mut b, x, 32, STRIDED, data.clone());
        let mut graph = b.finish(&[y]);
        let made = factorize_convs(&mut graph, &options(FactorRank::Energy(0.5), form)).expect("options");
        let [one] = made.as_slice() else { panic!("{} layers", made.len()) };
        assert!(one.energy >= 0.5);
        // Multiply the factors.
        let factor = |node: usize| {
            let w = graph.value(graph.nodes[node].inputs[1].expect("weights"));
            (w.shape.clone(), w.f32s().expect("float").to_vec())
        };
        let ((s1, first), (s2, second)) = (factor(0), factor(1));
        let (rank, mut error, mut all) = (s1[0], 0.0, 0.0);
        for (i, &w) in data.iter().enumerate() {
            let (n, c, y, x) = (i / 144, i / 9 % 16, i / 3 % 3, i % 3);
            let product: f64 = (0..rank)
                .map(|r| {
                    let (at1, at2) = match one.form {
                        ConvForm::Channel => ((r * 16 + c) * 9 + y * 3 + x, n * rank + r),
                        ConvForm::Spatial => ((r * 16 + c) * 3 + y, (n * rank + r) * 3 + x),
                    };
                    f64::from(first[at1]) * f64::from(second[at2])
                })
                .sum();
            error += (product - f64::from(w)).powi(2);
            all += f64::from(w).powi(2);
        }
        assert!((1.0 - error / all - one.energy).abs() < 1e-6, "{form:?}: {} {}", error / all, one.energy);
        assert_eq!(s2[1], rank);
        // Balanced: the factors' norms are about equal, row for row.
        let norm = |v: &[f32]| v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        assert!((norm(&first) / norm(&second) - 1.0).abs() < 1e-4);
    }
}

#[test]
fn a_budget_is_kept_and_nearly_used() {
    let mut b = Build::new();
    let x = b.input(&[1, 12, 12, 8]);
    let data = b.rng.f32s(24 * 8 * 9);
    let h = conv(&mut b, x, 24, STRIDED, data);
    let data = b.rng.f32s(32 * 24 * 9);
    let y = conv(&mut b, h, 32, STRIDED, data);
    let graph = b.finish(&[y]);
    for part in [0.2, 0.5, 0.8] {
        let mut after = graph.clone();
        let made = factorize_convs(&mut after, &options(FactorRank::Budget(part), FactorForm::Auto)).expect("in reach");
        assert_eq!(made.len(), after.nodes.len() - 2);
        let ratio = macs(&after) as f64 / macs(&graph) as f64;
        assert!(ratio <= part && ratio > part - 0.12, "{part}: {ratio}");
    }
    let mut after = graph.clone();
    let refused = factorize_convs(&mut after, &options(FactorRank::Budget(1e-4), FactorForm::Auto));
    assert!(matches!(refused, Err(FactorizeError::OutOfReach { least, .. }) if least > 1e-4), "{refused:?}");
    assert_eq!(after.nodes.len(), 2);
}

#[test]
fn what_does_not_pay_or_cannot_be_cut_stays() {
    let mut b = Build::new();
    let x = b.input(&[1, 6, 6, 8]);
    // Full rank at full energy costs more than the whole.
    let data = b.rng.f32s(8 * 8 * 9);
    let y = conv(&mut b, x, 8, STRIDED, data);
    let mut graph = b.finish(&[y]);
    let all = |rank| options(rank, FactorForm::Auto);
    assert_eq!(factorize_convs(&mut graph, &all(FactorRank::Energy(1.0))).expect("options"), []);
    assert_eq!(factorize_convs(&mut graph, &all(FactorRank::Rank(1000))).expect("options"), []);
    let low = all(FactorRank::Rank(1));
    let zeros = |graph: &mut Graph| {
        let w = graph.nodes[0].inputs[1].expect("weights");
        graph.value_mut(w).data = Some(Constant::F32(vec![0.0; 576]));
    };
    let grouped = |graph: &mut Graph| {
        if let Op::Conv { groups, .. } = &mut graph.nodes[0].op {
            *groups = 2;
        }
    };
    let computed = |graph: &mut Graph| {
        let w = graph.nodes[0].inputs[1].expect("weights");
        graph.value_mut(w).data = None;
    };
    let quantized = |graph: &mut Graph| {
        graph.value_mut(graph.nodes[0].outputs[0]).quant = Some(crate::passes::testing::grid(0.1, 0));
    };
    let nan = |graph: &mut Graph| {
        let w = graph.nodes[0].inputs[1].expect("weights");
        graph.value_mut(w).data = Some(Constant::F32(vec![f32::NAN; 576]));
    };
    for change in [zeros, grouped, computed, quantized, nan] as [fn(&mut Graph); 5] {
        let mut graph = graph.clone();
        change(&mut graph);
        assert_eq!(factorize_convs(&mut graph, &low).expect("options"), []);
        assert_eq!(graph.nodes.len(), 1);
    }
    assert_eq!(factorize_convs(&mut graph, &low).expect("options").len(), 1);
    for bad in [FactorRank::Energy(0.0), FactorRank::Energy(f64::NAN), FactorRank::Budget(1.0), FactorRank::Rank(0)] {
        assert!(factorize_convs(&mut graph, &all(bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn names_of_the_model_are_kept_and_new_ones_are_free() {
    let mut b = Build::new();
    let x = b.input(&[1, 6, 6, 8]);
    let data = b.rng.f32s(8 * 8 * 9);
    let y = conv(&mut b, x, 8, STRIDED, data);
    let name = b.graph.value(y).name.clone();
    b.graph.add_value(Value::new(format!("{name}.rank1"), crate::graph::DType::F32, vec![1]));
    let mut graph = b.finish(&[y]);
    let made = factorize_convs(&mut graph, &options(FactorRank::Rank(1), FactorForm::Auto)).expect("options");
    assert_eq!(made[0].between, format!("{name}.rank1.1"));
    assert_eq!(graph.value(graph.outputs[0]).name, name);
    let distinct: std::collections::HashSet<_> = graph.values.iter().map(|v| &v.name).collect();
    assert_eq!(distinct.len(), graph.values.len());
}
