//! Oracle: the float model, run by the simulator; noise is measured on samples that calibration has not seen.

use super::*;
use crate::calibrate::{MinMax, calibrate};
use crate::data::{Array, ArrayData};
use crate::graph::{Binary, Clamp, Constant, Layout, Unary, ValueId, Window};
use crate::lowbit::Width;
use crate::passes::testing::{Build, Lcg};
use crate::quantize::quantize;
use crate::simulate::{SimMode, Simulator};

const CHANNELS: usize = 12;

/// conv 3×3 → Relu → depthwise 3×3 → conv 1×1; the first makes channels of very different size.
fn convs(clamp: Option<Clamp>) -> Graph {
    let mut b = Build::new();
    let x = b.input(&[1, 8, 8, 4]);
    let conv = |b: &mut Build, x: ValueId, (n, c, size): (usize, usize, usize), groups: usize, clamp| {
        let pads = [size / 2; 4];
        let window = Window { kernel: [size; 2], stride: [1; 2], dilation: [1; 2], pads };
        let (w, bias) = (b.random(&[n, c, size, size]), b.random(&[n]));
        b.node(Op::Conv { window, groups, layout: Layout::Nhwc, clamp }, &[x, w, bias], &[1, 8, 8, n])
    };
    let y = conv(&mut b, x, (CHANNELS, 4, 3), 1, clamp);
    let y = b.unary(Unary::Relu, y);
    let y = conv(&mut b, y, (CHANNELS, 1, 3), CHANNELS, None);
    let y = conv(&mut b, y, (6, CHANNELS, 1), 1, None);
    b.graph.outputs = vec![y];
    // Channel c of the first layer is 16^(c/6) times as large, and the second makes up for it.
    for slot in [1, 2] {
        let id = b.graph.nodes[0].inputs[slot].expect("present");
        let per = b.graph.value(id).elements() / CHANNELS;
        let Some(Constant::F32(data)) = &mut b.graph.value_mut(id).data else { unreachable!("f32") };
        data.iter_mut().enumerate().for_each(|(i, w)| *w *= 16f32.powi((i / per / 6) as i32));
    }
    let id = b.graph.nodes[2].inputs[1].expect("present");
    let Some(Constant::F32(data)) = &mut b.graph.value_mut(id).data else { unreachable!("f32") };
    data.iter_mut().enumerate().for_each(|(i, w)| *w /= 16f32.powi((i / 9 / 6) as i32));
    b.graph
}

fn samples(shape: &[usize], count: usize, seed: u64) -> Vec<Sample> {
    let mut rng = Lcg(seed);
    let mut one = || {
        let data = rng.f32s(shape.iter().product()).iter().map(|x| x + 0.3).collect();
        Sample { tensors: vec![Array { shape: shape.to_vec(), data: ArrayData::F32(data) }] }
    };
    (0..count).map(|_| one()).collect()
}

fn outputs(graph: &Graph, mode: SimMode, samples: &[Sample]) -> Vec<f32> {
    let mut simulator = Simulator::new(graph, mode).expect("lowers");
    let mut run = |sample: &Sample| {
        simulator.run(&[sample.tensors[0].data.clone()], &mut |_, _, _| {}).expect("runs")[0].to_f32()
    };
    samples.iter().flat_map(&mut run).collect()
}

fn signal_to_noise(exact: &[f32], found: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let noise: f64 = exact.iter().zip(found).map(|(a, b)| square(a - b)).sum();
    10.0 * (exact.iter().map(|&a| square(a)).sum::<f64>() / noise).log10()
}

/// SNR in dB on held-out samples with the methods chosen.
fn quality(graph: &Graph, scheme: &QuantScheme, options: &PrepareOptions) -> f64 {
    let shape = graph.value(graph.inputs[0]).shape.clone();
    let (seen, held_out) = (samples(&shape, 24, 1), samples(&shape, 24, 2));
    let ranges = calibrate(graph, seen.clone(), MinMax::new()).expect("calibrates");
    let prepared = prepare(graph, Some(&ranges), &seen, scheme, options).expect("prepares");
    let scheme = QuantScheme { prepared: prepared.layers, ..scheme.clone() };
    let (quantized, _) = quantize(&prepared.graph, Some(&ranges), &scheme).expect("quantizes");
    let exact = outputs(graph, SimMode::Float, &held_out);
    signal_to_noise(&exact, &outputs(&quantized, SimMode::Integer, &held_out))
}

#[test]
fn equalization_keeps_every_bit_of_the_float_model_and_lowers_the_noise_of_the_integer_one() {
    let graph = convs(None);
    let seen = samples(&[1, 8, 8, 4], 24, 1);
    let made = equalize(&graph, &seen, &QuantScheme::w8a8()).expect("runs");
    assert!(!made.scaled.is_empty(), "nothing was scaled");
    let held_out = samples(&[1, 8, 8, 4], 8, 3);
    let exact = outputs(&graph, SimMode::Float, &held_out);
    let same = outputs(&made.graph, SimMode::Float, &held_out);
    assert!(exact.iter().zip(&same).all(|(a, b)| a.to_bits() == b.to_bits()));
    let plain = quality(&graph, &QuantScheme::w8a8(), &PrepareOptions::default());
    let better = quality(&made.graph, &QuantScheme::w8a8(), &PrepareOptions::default());
    assert!(better > plain + 1.0, "{plain} dB, equalized {better} dB");
}

#[test]
fn what_would_change_the_model_is_not_equalized() {
    let seen = samples(&[1, 8, 8, 4], 8, 1);
    // A clamp at 6 bounds other channels after scaling.
    let clamped = convs(Some(Clamp { lo: 0.0, hi: 6.0 }));
    let made = equalize(&clamped, &seen, &QuantScheme::w8a8()).expect("runs");
    assert!(made.scaled.iter().all(|(name, _)| *name != clamped.nodes[0].name));
    // A value that is a graph output too, or that something else reads.
    let mut shown = convs(None);
    shown.outputs.push(shown.nodes[1].outputs[0]);
    let made = equalize(&shown, &seen, &QuantScheme::w8a8()).expect("runs");
    assert!(made.scaled.iter().all(|(name, _)| *name != shown.nodes[0].name));
}

#[test]
fn corrected_biases_and_the_teacher_lower_the_noise_of_few_bits() {
    let graph = convs(None);
    let scheme = QuantScheme { edges_w8: false, ..QuantScheme::low_bit(Width::W3, 0) };
    let plain = quality(&graph, &scheme, &PrepareOptions::default());
    let bias = quality(&graph, &scheme, &PrepareOptions { bias_correction: true, ..PrepareOptions::default() });
    let teacher = quality(&graph, &scheme, &PrepareOptions { teacher: Some(1.0), ..PrepareOptions::default() });
    assert!(bias > plain + 0.5, "{plain} dB, biases corrected {bias} dB");
    assert!(teacher > plain + 1.0, "{plain} dB, with the teacher {teacher} dB");
}

#[test]
fn methods_that_need_samples_or_exclude_each_other_say_so() {
    let graph = convs(None);
    let scheme = QuantScheme::low_bit(Width::W4, 0);
    let ask = |options: PrepareOptions| prepare(&graph, None, &[], &scheme, &options).expect_err("refused").to_string();
    assert!(ask(PrepareOptions { bias_correction: true, ..Default::default() }).contains("--calibration"));
    assert!(ask(PrepareOptions { teacher: Some(0.5), ..Default::default() }).contains("--calibration"));
    let both = PrepareOptions { teacher: Some(0.5), svdquant: true, low_rank: 16, ..Default::default() };
    let seen = samples(&[1, 8, 8, 4], 2, 1);
    assert_eq!(prepare(&graph, None, &seen, &scheme, &both).map(|_| ()), Err(PrepareError::SmoothedTeacher));
}

/// SVDQuant with activations of 4 bits: the graph after it, and by how many dB the outputs gain on rounding alone.
fn smoothed(graph: &Graph) -> (Graph, f64) {
    let options =
        PrepareOptions { low_rank: 16, svdquant: true, activations: Activations::A4, ..PrepareOptions::default() };
    let scheme = QuantScheme { edges_w8: false, activations_a4: true, ..QuantScheme::low_bit(Width::W4, 64) };
    let shape = graph.value(graph.inputs[0]).shape.clone();
    let (seen, held_out) = (samples(&shape, 40, 1), samples(&shape, 8, 2));
    let prepared = prepare(graph, None, &seen, &scheme, &options).expect("prepares");
    assert!(prepared.smoothed);
    let exact = outputs(graph, SimMode::Float, &held_out);
    let same = signal_to_noise(&exact, &outputs(&prepared.graph, SimMode::Float, &held_out));
    assert!(same > 110.0, "the float model changed: {same} dB");
    let after = QuantScheme { prepared: prepared.layers, ..scheme.clone() };
    let quality = |graph: &Graph, scheme: &QuantScheme| {
        let (quantized, _) = quantize(graph, None, scheme).expect("quantizes");
        signal_to_noise(&exact, &outputs(&quantized, SimMode::Integer, &held_out))
    };
    let gain = quality(&prepared.graph, &after) - quality(graph, &scheme);
    (prepared.graph, gain)
}

#[test]
fn smoothing_serves_layers_that_share_their_input() {
    let mut b = Build::new();
    let x = b.input(&[16, 128]);
    let (gamma, beta) = (b.random(&[128]), b.random(&[128]));
    let normal = b.node(Op::LayerNorm { epsilon: 1e-5 }, &[x, gamma, beta], &[16, 128]);
    let mut all = normal;
    for _ in 0..3 {
        let (w, bias) = (b.random(&[128, 128]), b.random(&[128]));
        let y = b.node(Op::Dense { clamp: None }, &[normal, w, bias], &[16, 128]);
        all = b.binary(Binary::Add, all, y);
    }
    b.graph.outputs = vec![all];
    let (_, gain) = smoothed(&b.graph);
    assert!(gain > 1.0, "{gain} dB");
}

#[test]
fn smoothing_goes_into_a_low_bit_layer_whose_codes_are_found_already() {
    let mut b = Build::new();
    let x = b.input(&[16, 128]);
    let (first, bias, second) = (b.random(&[128, 128]), b.random(&[128]), b.random(&[64, 128]));
    let y = b.node(Op::Dense { clamp: None }, &[x, first, bias], &[16, 128]);
    let y = b.unary(Unary::Relu, y);
    let y = b.node(Op::Dense { clamp: None }, &[y, second], &[16, 64]);
    b.graph.outputs = vec![y];
    // Three columns of the value between stand out.
    for id in [first, bias] {
        let per = b.graph.value(id).elements() / 128;
        let Some(Constant::F32(data)) = &mut b.graph.value_mut(id).data else { unreachable!("f32") };
        data[3 * per..6 * per].iter_mut().for_each(|w| *w *= 30.0);
    }
    let (graph, gain) = smoothed(&b.graph);
    // The input of the first layer is the graph's: a multiplication stands there, none between the layers.
    assert!(graph.nodes.len() <= b.graph.nodes.len() + 1, "{} nodes", graph.nodes.len());
    assert!(gain > 1.0, "{gain} dB");
}

/// LayerNorm → Dense → GELU → Dense; with `residual` the normalized value is added to the result.
fn block(residual: bool) -> Graph {
    let mut b = Build::new();
    let x = b.input(&[16, 64]);
    let (gamma, beta) = (b.random(&[64]), b.random(&[64]));
    let normal = b.node(Op::LayerNorm { epsilon: 1e-5 }, &[x, gamma, beta], &[16, 64]);
    let (up, down) = (b.random(&[128, 64]), b.random(&[64, 128]));
    let y = b.node(Op::Dense { clamp: None }, &[normal, up], &[16, 128]);
    let y = b.unary(Unary::Gelu, y);
    let mut y = b.node(Op::Dense { clamp: None }, &[y, down], &[16, 64]);
    if residual {
        y = b.binary(Binary::Add, y, normal);
    }
    b.graph.outputs = vec![y];
    // A column of the normalized value stands out: what smoothing is for.
    let Some(Constant::F32(gamma)) = &mut b.graph.value_mut(gamma).data else { unreachable!("f32") };
    gamma[5] = 40.0;
    b.graph
}

#[test]
fn smoothing_goes_into_the_normalization_where_nothing_else_reads_it() {
    // GELU keeps no factors: in front of the second layer there is a multiplication.
    for (residual, nodes_more) in [(false, 1), (true, 2)] {
        let graph = block(residual);
        let (found, gain) = smoothed(&graph);
        assert_eq!(found.nodes.len(), graph.nodes.len() + nodes_more);
        assert!(gain > 3.0, "{gain} dB");
    }
}
