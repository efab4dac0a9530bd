use super::super::dead_code;
use super::super::testing::{Build, Lcg, grid, square};
use super::super::testing_integer::run_integer;
use super::*;
use crate::graph::{Clamp, Constant, Graph, Layout, QuantCodes};

/// Quantized layers, channels last.
struct Net {
    b: Build,
}

impl Net {
    fn new() -> Self {
        Net { b: Build::new() }
    }

    fn input(&mut self, shape: &[usize], zero_point: i32) -> ValueId {
        let x = self.b.input(shape);
        self.b.graph.value_mut(x).quant = Some(grid(0.05, zero_point));
        x
    }

    /// Random codes, of which `dead(output, input)` columns are zero.
    fn weights(&mut self, shape: &[usize], dead: &dyn Fn(usize, usize) -> bool) -> ValueId {
        let cells: usize = shape[2..].iter().product();
        let codes: Vec<i32> = (0..shape.iter().product())
            .map(|i: usize| {
                let (o, k) = (i / cells / shape[1], i / cells % shape[1]);
                if dead(o, k) { 0 } else { self.b.rng.within(-127, 127) }
            })
            .collect();
        let scales: Vec<f32> = (0..shape[0]).map(|o| 0.001 * (1.0 + o as f32 / 7.0)).collect();
        let per_output = codes.len() / shape[0];
        let real = codes.iter().enumerate().map(|(i, &q)| q as f32 * scales[i / per_output]).collect();
        let id = self.b.constant(shape, real);
        let zeros = vec![0; shape[0]];
        self.b.graph.value_mut(id).codes =
            Some(QuantCodes { bits: 8, signed: true, axis: 0, block: 0, scales, zeros, codes, dynamic: false });
        id
    }

    fn attach(&mut self, op: Op, x: ValueId, w: ValueId, shape: &[usize], zero_point: i32) -> ValueId {
        let bias = self.b.random(&[shape[shape.len() - 1]]);
        let y = self.b.node(op, &[x, w, bias], shape);
        self.b.graph.value_mut(y).quant = Some(grid(0.04, zero_point));
        y
    }

    /// A convolution that keeps rows and columns.
    fn conv(
        &mut self,
        x: ValueId,
        outs: usize,
        kernel: usize,
        zero: i32,
        dead: &dyn Fn(usize, usize) -> bool,
    ) -> ValueId {
        let mut shape = self.b.graph.value(x).shape.clone();
        let w = self.weights(&[outs, shape[3], kernel, kernel], dead);
        shape[3] = outs;
        let clamp = Some(Clamp { lo: -3.0, hi: 2.9 });
        let op = Op::Conv { window: square(kernel, 1, kernel / 2), groups: 1, layout: Layout::Nhwc, clamp };
        self.attach(op, x, w, &shape, zero)
    }

    fn depthwise(&mut self, x: ValueId, zero: i32, dead: &dyn Fn(usize, usize) -> bool) -> ValueId {
        let shape = self.b.graph.value(x).shape.clone();
        let w = self.weights(&[shape[3], 1, 3, 3], dead);
        let op = Op::Conv { window: square(3, 1, 1), groups: shape[3], layout: Layout::Nhwc, clamp: None };
        self.attach(op, x, w, &shape, zero)
    }

    fn bias(&mut self, y: ValueId, channel: usize, value: f32) {
        let node = self.b.graph.nodes.iter().find(|node| node.outputs == [y]).expect("a layer");
        let bias = node.inputs[2].expect("a bias");
        if let Some(Constant::F32(data)) = &mut self.b.graph.value_mut(bias).data {
            data[channel] = value;
        }
    }

    fn like(&mut self, op: Op, inputs: &[ValueId], shape: &[usize]) -> ValueId {
        let y = self.b.node(op, inputs, shape);
        self.b.graph.value_mut(y).quant = self.b.graph.value(inputs[0]).quant;
        y
    }

    /// Runs the pass and compares the outputs' integers on random inputs.
    fn check(self, outputs: &[ValueId]) -> (Graph, DeadChannelStats) {
        let before = self.b.finish(outputs);
        let mut after = before.clone();
        let stats = eliminate_dead_channels(&mut after);
        dead_code(&mut after);
        let mut rng = Lcg(3);
        for _ in 0..6 {
            let inputs: Vec<Vec<i32>> = before
                .inputs
                .iter()
                .map(|&id| (0..before.value(id).elements()).map(|_| rng.within(-128, 127)).collect())
                .collect();
            let (old, new) = (run_integer(&before, &inputs), run_integer(&after, &inputs));
            for (a, b) in before.outputs.iter().zip(&after.outputs) {
                assert_eq!(before.value(*a).shape, after.value(*b).shape);
                assert_eq!(old[a.index()], new[b.index()]);
            }
            // What remains of inner values holds the channels it says it does.
            for (value, data) in after.values.iter().zip(&new).filter(|(value, _)| !value.is_constant()) {
                let Some(data) = data else { continue };
                let index = before.values.iter().position(|old| old.name == value.name).expect("a known name");
                let full = &before.values[index].shape;
                let width = full[full.len() - 1];
                let all: Vec<usize> = (0..width).collect();
                let kept = value.channels.as_ref().unwrap_or(&all);
                let old = old[index].as_ref().expect("computed");
                let expected: Vec<i32> = old.chunks(width).flat_map(|row| kept.iter().map(|&c| row[c])).collect();
                assert_eq!(*data, expected, "{}", value.name);
            }
        }
        (after, stats)
    }
}

fn live(_: usize, _: usize) -> bool {
    false
}

fn removed(stats: &DeadChannelStats) -> Vec<(usize, usize)> {
    stats.layers.iter().map(|layer| (layer.1, layer.2)).collect()
}

#[test]
fn constants_fold_where_there_is_no_padding() {
    let mut net = Net::new();
    let x = net.input(&[1, 4, 4, 3], -5);
    let y = net.conv(x, 6, 3, 9, &|o, _| o == 1 || o == 4);
    net.bias(y, 1, 0.63);
    net.bias(y, 4, -900.0);
    let z = net.conv(y, 4, 1, -3, &live);
    let (graph, stats) = net.check(&[z]);
    assert_eq!(removed(&stats), [(2, 0), (0, 2)]);
    assert_eq!(stats.macs_before, 16 * (6 * 27 + 4 * 6));
    assert_eq!(stats.macs_after, 16 * (4 * 27 + 4 * 4));
    let bias = graph.value(graph.nodes[1].inputs[2].expect("bias"));
    assert_eq!(bias.codes.as_ref().expect("codes").bits, 32);
}

#[test]
fn padding_stops_constants_off_the_zero_point() {
    let mut net = Net::new();
    let x = net.input(&[1, 4, 4, 3], 7);
    let y = net.conv(x, 6, 1, 9, &|o, _| o < 3);
    net.bias(y, 0, 0.0);
    net.bias(y, 1, 0.63);
    net.bias(y, 2, 0.0);
    let z = net.conv(y, 4, 3, -3, &live);
    let (_, stats) = net.check(&[z]);
    assert_eq!(removed(&stats), [(2, 0), (0, 2)], "channel 1 stays");
}

#[test]
fn depthwise_layers_pass_the_zero_point_only() {
    let mut net = Net::new();
    let x = net.input(&[2, 4, 4, 3], 7);
    let y = net.conv(x, 6, 1, 9, &|o, _| o < 3);
    net.bias(y, 0, 0.0);
    net.bias(y, 1, 0.63);
    net.bias(y, 2, 0.0);
    // Channel 5 dies in the depthwise layer itself.
    let d = net.depthwise(y, 2, &|o, _| o == 5);
    net.bias(d, 2, 0.77);
    let p = net.like(Op::MaxPool { window: square(2, 2, 1), layout: Layout::Nhwc }, &[d], &[2, 3, 3, 6]);
    let z = net.conv(p, 4, 1, -3, &live);
    let (_, stats) = net.check(&[z]);
    assert_eq!(removed(&stats), [(3, 0), (3, 3), (0, 3)]);
}

#[test]
fn unread_channels_go_backwards_through_everything() {
    let mut net = Net::new();
    let x = net.input(&[1, 4, 4, 3], 7);
    let a = net.conv(x, 8, 3, 9, &live);
    let d = net.depthwise(a, 2, &live);
    let b = net.conv(d, 8, 3, 2, &live);
    let c = net.conv(d, 8, 1, 2, &live);
    let sum = net.like(Op::Binary { kind: Binary::Add, clamp: None }, &[b, c], &[1, 4, 4, 8]);
    let relu = net.like(Op::Unary(Unary::Relu), &[sum], &[1, 4, 4, 8]);
    let e = net.conv(relu, 8, 3, -1, &|_, k| k > 4);
    let f = net.conv(e, 4, 3, -1, &|_, k| k == 0 || k == 3);
    // d's channel 6 is still read by b and c; e's 0 and 3 by nobody.
    let (graph, stats) = net.check(&[f]);
    assert_eq!(removed(&stats), [(3, 0), (3, 0), (2, 3), (0, 2)]);
    assert!(graph.values.iter().any(|value| value.channels == Some(vec![0, 1, 2, 3, 4])));
}

#[test]
fn concatenations_and_flattening_follow() {
    let mut net = Net::new();
    let x = net.input(&[2, 4, 4, 3], 0);
    let a = net.conv(x, 3, 3, 9, &|o, _| o == 2);
    net.bias(a, 2, 0.31);
    let b = net.conv(x, 4, 1, 9, &live);
    let joined = net.like(Op::Concat { axis: 3 }, &[a, b], &[2, 4, 4, 7]);
    let window = square(2, 2, 0);
    let pool = Op::AvgPool { window, layout: Layout::Nhwc, count_include_pad: true };
    let pooled = net.like(pool, &[joined], &[2, 2, 2, 7]);
    let flat = net.like(Op::Reshape, &[pooled], &[2, 28]);
    let w = net.weights(&[5, 28], &|_, k| k % 7 == 4);
    let y = net.attach(Op::Dense { clamp: None }, flat, w, &[2, 5], -20);
    let (graph, stats) = net.check(&[y]);
    assert_eq!(removed(&stats), [(1, 0), (1, 0), (0, 8)]);
    assert_eq!(graph.value(graph.nodes.last().expect("dense").inputs[0].expect("x")).shape, [2, 20]);
}

#[test]
fn averages_that_count_padding_need_the_zero_point() {
    for (count_include_pad, removed_channels) in [(true, 1), (false, 2)] {
        let mut net = Net::new();
        let x = net.input(&[1, 4, 4, 3], 0);
        let y = net.conv(x, 6, 1, 9, &|o, _| o < 2);
        net.bias(y, 0, 0.0);
        net.bias(y, 1, 0.63);
        let pool = Op::AvgPool { window: square(3, 1, 1), layout: Layout::Nhwc, count_include_pad };
        let pooled = net.like(pool, &[y], &[1, 4, 4, 6]);
        let z = net.conv(pooled, 4, 1, -3, &live);
        let (_, stats) = net.check(&[z]);
        assert_eq!(removed(&stats)[0], (removed_channels, 0));
    }
}

#[test]
fn outputs_unknown_readers_and_last_channels_stay() {
    let mut net = Net::new();
    let x = net.input(&[1, 4, 4, 3], 0);
    let y = net.conv(x, 4, 1, 9, &|o, _| o == 2);
    let z = net.conv(y, 4, 1, 9, &|_, _| true);
    let w = net.conv(z, 2, 1, 9, &live);
    let (graph, stats) = net.check(&[y, w]);
    assert_eq!(removed(&stats), [(3, 0), (0, 3)], "z keeps one channel, y is an output");
    assert_eq!(graph.nodes.len(), 3);
}

#[test]
fn random_sparse_networks_keep_their_bits() {
    for seed in 0..20 {
        let mut net = Net::new();
        net.b.rng = Lcg(seed);
        let zero = |net: &mut Net| net.b.rng.within(-128, 127);
        let z0 = zero(&mut net);
        let x = net.input(&[1, 5, 4, 4], z0);
        let pattern: Vec<bool> = (0..256).map(|_| net.b.rng.next() > -0.5).collect();
        let dead = |o: usize, k: usize| pattern[(o * 31 + k * 7) % 256];
        let mut h = x;
        for layer in 0..6 {
            let z = zero(&mut net);
            let kernel = if layer % 2 == 0 { 1 } else { 3 };
            let y = net.conv(h, 8, kernel, z, &|o, k| o % 3 == 0 || dead(o + layer, k));
            net.bias(y, 0, 0.0);
            h = if layer % 3 == 1 { net.depthwise(y, z, &live) } else { y };
        }
        let (_, stats) = net.check(&[h]);
        assert!(stats.macs_after < stats.macs_before);
    }
}
