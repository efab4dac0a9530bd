//! Plans and codes on small graphs written by hand.

use super::*;
use crate::graph::*;
use crate::report::Execution;

/// A graph under construction; values are named after their ops.
struct Build {
    graph: Graph,
    ranges: Ranges,
}

impl Build {
    fn new() -> Self {
        Build { graph: Graph { name: "small".into(), ..Graph::default() }, ranges: Ranges::default() }
    }

    fn value(&mut self, name: &str, shape: &[usize], lo: f32, hi: f32) -> ValueId {
        self.ranges.set(name, lo, hi);
        self.graph.add_value(Value::new(name, DType::F32, shape.to_vec()))
    }

    fn input(&mut self, name: &str, shape: &[usize]) -> ValueId {
        let id = self.value(name, shape, -1.0, 3.0);
        self.graph.inputs.push(id);
        id
    }

    fn constant(&mut self, name: &str, shape: &[usize]) -> ValueId {
        let n: usize = shape.iter().product();
        let data = (0..n).map(|i| ((i * 37 + 11) % 29) as f32 / 14.0 - 1.0).collect();
        self.graph.add_value(Value::constant(name, shape.to_vec(), Constant::F32(data)))
    }

    fn node(&mut self, name: &str, op: Op, inputs: &[ValueId], shape: &[usize]) -> ValueId {
        let output = self.value(name, shape, -2.0, 2.5);
        let inputs = inputs.iter().map(|&id| Some(id)).collect();
        self.graph.nodes.push(Node { name: name.into(), op, inputs, outputs: vec![output] });
        output
    }

    /// 1×1 convolution over 4×4 pictures.
    fn conv(&mut self, name: &str, x: ValueId, channels: usize, clamp: Option<Clamp>) -> ValueId {
        let c = self.graph.value(x).shape[3];
        let w = self.constant(&format!("{name}.w"), &[channels, c, 1, 1]);
        let b = self.constant(&format!("{name}.b"), &[channels]);
        let window = Window { kernel: [1; 2], stride: [1; 2], dilation: [1; 2], pads: [0; 4] };
        let op = Op::Conv { window, groups: 1, layout: Layout::Nhwc, clamp };
        self.node(name, op, &[x, w, b], &[1, 4, 4, channels])
    }

    fn dense(&mut self, name: &str, x: ValueId, n: usize) -> ValueId {
        let k = *self.graph.value(x).shape.last().expect("a row");
        let w = self.constant(&format!("{name}.w"), &[n, k]);
        self.node(name, Op::Dense { clamp: None }, &[x, w], &[1, n])
    }

    fn quantize(&self) -> (Graph, QuantReport) {
        quantize(&self.graph, Some(&self.ranges), &QuantScheme::w8a8()).expect("quantizes")
    }
}

fn by_name<'g>(graph: &'g Graph, name: &str) -> &'g Value {
    graph.values.iter().rev().find(|v| v.name == name).unwrap_or_else(|| panic!("{name}"))
}

fn grid(graph: &Graph, name: &str) -> Option<ActQuant> {
    by_name(graph, name).quant
}

fn add(clamp: Option<Clamp>) -> Op {
    Op::Binary { kind: Binary::Add, clamp }
}

const RELU: Option<Clamp> = Some(Clamp { lo: 0.0, hi: f32::INFINITY });

#[test]
fn layers_get_grids_codes_and_an_input_in_int8() {
    let mut b = Build::new();
    let x = b.input("x", &[1, 4, 4, 3]);
    let c1 = b.conv("c1", x, 8, RELU);
    let c2 = b.conv("c2", c1, 4, None);
    b.graph.outputs = vec![c2];
    let (q, report) = b.quantize();
    assert_eq!(grid(&q, "x"), None);
    assert_eq!(grid(&q, "x/quantized"), Some(activation_grid(-1.0, 3.0)));
    assert!(matches!(q.nodes[0].op, Op::FakeQuant) && q.nodes[1].inputs[0] == Some(q.nodes[0].outputs[0]));
    let c1 = grid(&q, "c1").expect("a grid");
    assert_eq!((c1.zero_point, c1.scale), (-128, 2.5 / 255.0));
    assert_eq!(grid(&q, "c2"), None, "the last layer writes f32");
    for name in ["c1.w", "c2.w"] {
        let codes = by_name(&q, name).codes.as_ref().expect("codes");
        assert!(!codes.dynamic && codes.bits == 8 && codes.axis == 0);
        assert_eq!(codes.scales.len(), by_name(&q, name).shape[0]);
        assert!(codes.codes.iter().all(|c| (-127..=127).contains(c)));
    }
    let bias = by_name(&q, "c2.b");
    let codes = bias.codes.as_ref().expect("codes");
    assert_eq!((codes.bits, codes.scales.len()), (32, 4));
    let original = by_name(&b.graph, "c2.b").f32s().expect("data").to_vec();
    for (c, (exact, back)) in original.iter().zip(bias.f32s().expect("data")).enumerate() {
        assert!((exact - back).abs() <= 0.5001 * codes.scales[c]);
    }
    assert!(report.layers.iter().all(|l| l.execution == Execution::Int8));
    assert_eq!(report.macs(), 16 * (3 * 8 + 8 * 4));
    assert!(report.layers[0].weights.as_ref().expect("weights").snr_db > 35.0);

    let scheme = QuantScheme { float_outputs: false, ..QuantScheme::w8a8() };
    let (q, _) = quantize(&b.graph, Some(&b.ranges), &scheme).expect("quantizes");
    assert_eq!(grid(&q, "c2"), Some(activation_grid(-2.0, 2.5)));
}

#[test]
fn every_planned_grid_holds_zero() {
    let mut b = Build::new();
    let x = b.input("x", &[1, 4, 4, 3]);
    b.ranges.set("x", 5.0, 9.0);
    let c1 = b.conv("c1", x, 8, None);
    b.ranges.set("c1", -7.0, -3.0);
    let c2 = b.conv("c2", c1, 8, RELU);
    b.ranges.set("c2", 0.0, 0.0);
    let c3 = b.conv("c3", c2, 8, None);
    b.graph.outputs = vec![c3];
    let (q, _) = b.quantize();
    for quant in q.values.iter().filter_map(|v| v.quant) {
        let (lo, hi) = grid::ends(quant);
        assert!(lo <= 0.0 && hi >= 0.0 && (-128..=127).contains(&quant.zero_point) && quant.scale > 0.0);
    }
    assert_eq!(grid(&q, "x/quantized").map(|q| q.zero_point), Some(-128));
    assert_eq!(grid(&q, "c1").map(|q| q.zero_point), Some(127));
    assert_eq!(grid(&q, "c2").map(|q| q.scale), Some(1.0));
}

#[test]
fn a_residual_at_the_end_adds_the_unrounded_input() {
    let mut b = Build::new();
    let x = b.input("x", &[1, 4, 4, 3]);
    let c1 = b.conv("c1", x, 8, RELU);
    let noise = b.conv("noise", c1, 3, None);
    let y = b.node("y", Op::Binary { kind: Binary::Sub, clamp: None }, &[x, noise], &[1, 4, 4, 3]);
    b.graph.outputs = vec![y];
    let (q, report) = b.quantize();
    assert_eq!((grid(&q, "noise"), grid(&q, "y")), (None, None));
    let last = q.nodes.last().expect("nodes");
    assert_eq!(last.inputs, [Some(x), Some(noise)]);
    let row = report.layers.iter().find(|l| l.name == "y").expect("a row");
    assert_eq!(row.f32_reason(), Some("its result is read in f32 only"));
}

#[test]
fn moves_share_grids_and_tables_have_fixed_ones() {
    let mut b = Build::new();
    let x = b.input("x", &[1, 4, 4, 3]);
    let r = b.node("r", Op::Transpose { perm: vec![0, 2, 1, 3] }, &[x], &[1, 4, 4, 3]);
    let c1 = b.conv("c1", r, 8, None);
    let window = Window { kernel: [2; 2], stride: [2; 2], dilation: [1; 2], pads: [0; 4] };
    let m = b.node("m", Op::MaxPool { window, layout: Layout::Nhwc }, &[c1], &[1, 2, 2, 8]);
    let f = b.node("f", Op::Reshape, &[m], &[1, 32]);
    let s = b.node("s", Op::Unary(Unary::Sigmoid), &[f], &[1, 32]);
    let t = b.node("t", Op::Unary(Unary::Tanh), &[f], &[1, 32]);
    let g = b.node("g", Op::Binary { kind: Binary::Mul, clamp: None }, &[s, t], &[1, 32]);
    let d = b.dense("d", g, 5);
    let p = b.node("p", Op::Softmax { axis: 1 }, &[d], &[1, 5]);
    b.graph.outputs = vec![p];
    let (q, report) = b.quantize();
    assert_eq!(grid(&q, "r"), grid(&q, "x/quantized"));
    assert_eq!(grid(&q, "m"), grid(&q, "c1"));
    assert_eq!(grid(&q, "f"), grid(&q, "c1"));
    assert_eq!(grid(&q, "s"), Some(grid::UNIT));
    assert_eq!(grid(&q, "t"), Some(grid::SIGNED_UNIT));
    assert_eq!(grid(&q, "p"), Some(grid::UNIT));
    assert!(grid(&q, "g").is_some() && grid(&q, "d").is_some());
    assert!(report.layers.iter().all(|l| l.execution == Execution::Int8), "{:?}", report.layers);
}

#[test]
fn concat_inputs_take_the_grid_of_the_concat() {
    let mut b = Build::new();
    let x = b.input("x", &[1, 4, 4, 3]);
    let a = b.conv("a", x, 4, RELU);
    let c = b.conv("c", x, 4, None);
    b.ranges.set("a", 0.0, 1.0);
    b.ranges.set("c", -9.0, 4.0);
    let shared = b.conv("shared", x, 4, None);
    let k = b.node("k", Op::Concat { axis: 3 }, &[a, c, shared], &[1, 4, 4, 12]);
    b.ranges.set("k", -9.0, 4.0);
    let e = b.conv("e", k, 4, None);
    let h = b.conv("h", shared, 4, None);
    let s = b.node("s", add(None), &[e, h], &[1, 4, 4, 4]);
    let p = b.node("p", Op::Softmax { axis: 3 }, &[s], &[1, 4, 4, 4]);
    b.graph.outputs = vec![p];
    let (q, _) = b.quantize();
    let k = grid(&q, "k");
    assert!(k.is_some());
    assert_eq!((grid(&q, "a"), grid(&q, "c")), (k, k));
    assert_eq!(grid(&q, "shared"), Some(activation_grid(-2.0, 2.5)), "another reader needs its own grid");
}

#[test]
fn operations_without_an_integer_form_stay_in_f32() {
    let mut b = Build::new();
    let x = b.input("x", &[1, 4, 4, 3]);
    let c1 = b.conv("c1", x, 8, None);
    let e = b.node("e", Op::Unary(Unary::Exp), &[c1], &[1, 4, 4, 8]);
    let c2 = b.conv("c2", e, 8, None);
    let n = b.node("n", add(None), &[e, c2], &[1, 4, 4, 8]);
    b.graph.outputs = vec![n];
    let (q, report) = b.quantize();
    assert_eq!(grid(&q, "c1"), None, "only f32 reads it");
    assert_eq!(grid(&q, "e"), None, "the addition reads it in f32");
    assert!(grid(&q, "e/quantized").is_some());
    let position = |name: &str| q.nodes.iter().position(|n| n.name == name).expect("a node");
    assert!(position("e") < position("e/quantize") && position("e/quantize") < position("c2"));
    let reason = report.layers.iter().find(|l| l.name == "e").and_then(|l| l.f32_reason());
    assert_eq!(reason, Some("Exp keeps its precision in f32"));
}

#[test]
fn constants_with_other_readers_are_copied() {
    let mut b = Build::new();
    let x = b.input("x", &[1, 4, 4, 3]);
    let c1 = b.conv("c1", x, 3, None);
    let k = b.constant("k", &[3]);
    let m = b.node("m", Op::Binary { kind: Binary::Mul, clamp: None }, &[c1, k], &[1, 4, 4, 3]);
    let l = b.node("l", add(None), &[m, k], &[1, 4, 4, 3]);
    let c2 = b.conv("c2", l, 3, None);
    b.graph.outputs = vec![c2];
    let (q, _) = b.quantize();
    // The first reader takes a copy, the last one the constant itself.
    for name in ["k/m", "k"] {
        let value = by_name(&q, name);
        let codes = value.codes.as_ref().expect("codes");
        assert_eq!((codes.scales.len(), codes.zeros[0], value.quant.map(|q| q.scale)), (1, 0, Some(codes.scales[0])));
    }
}

#[test]
fn without_ranges_weights_are_marked_for_run_time_quantization() {
    let mut b = Build::new();
    let x = b.input("x", &[1, 4, 4, 3]);
    let c1 = b.conv("c1", x, 8, RELU);
    let f = b.node("f", Op::Reshape, &[c1], &[1, 128]);
    let d = b.dense("d", f, 5);
    b.graph.outputs = vec![d];
    let (q, report) = quantize(&b.graph, None, &QuantScheme::w8a8()).expect("quantizes");
    assert!(q.values.iter().all(|v| v.quant.is_none()));
    for name in ["c1.w", "d.w"] {
        let codes = by_name(&q, name).codes.as_ref().expect("codes");
        assert!(codes.dynamic && codes.codes.iter().all(|c| (-127..=127).contains(c)));
    }
    assert!(by_name(&q, "c1.b").codes.is_none());
    assert_eq!(report.layers.len(), 2);
    assert!(report.sizes.bytes < report.sizes.f32_bytes / 2);
}

#[test]
fn what_the_file_quantized_stays_as_it_is() {
    let mut b = Build::new();
    let x = b.input("x", &[1, 8]);
    let d1 = b.dense("d1", x, 8);
    let d2 = b.dense("d2", d1, 8);
    let s = b.node("s", Op::Softmax { axis: 1 }, &[d2], &[1, 8]);
    b.graph.outputs = vec![s];
    let grid8 = |scale| Some(ActQuant { scale, zero_point: 3, bits: 8, unsigned: true });
    for (id, scale) in [(x, 0.1), (d1, 0.2), (d2, 0.3)] {
        b.graph.value_mut(id).quant = grid8(scale);
    }
    let before = format!("{:?}", b.graph);
    for ranges in [None, Some(&b.ranges)] {
        let (q, report) = quantize(&b.graph, ranges, &QuantScheme::w8a8()).expect("quantizes");
        assert_eq!(format!("{q:?}"), before);
        assert!(report.layers.iter().all(|l| l.execution == Execution::File));
    }
    let (q, _) = quantize(&b.graph, Some(&b.ranges), &QuantScheme::f32()).expect("quantizes");
    assert_eq!(format!("{q:?}"), before);
}

#[test]
fn errors_name_the_value() {
    let mut b = Build::new();
    let x = b.input("x", &[1, 4, 4, 3]);
    let c1 = b.conv("c1", x, 8, None);
    let c2 = b.conv("c2", c1, 8, None);
    b.graph.outputs = vec![c2];
    b.ranges.values.remove("c1");
    let error = quantize(&b.graph, Some(&b.ranges), &QuantScheme::w8a8()).expect_err("no range");
    assert_eq!(error, QuantizeError::MissingRange { value: "c1".into() });
    b.ranges.set("c1", 0.0, f32::INFINITY);
    let error = quantize(&b.graph, Some(&b.ranges), &QuantScheme::w8a8()).expect_err("no finite range");
    assert!(error.to_string().contains("'c1'"));
    let w = b.graph.nodes[1].inputs[1].expect("weights");
    if let Some(Constant::F32(data)) = &mut b.graph.value_mut(w).data {
        data[5] = f32::NAN;
    }
    let error = quantize(&b.graph, None, &QuantScheme::w8a8()).expect_err("NaN");
    assert!(error.to_string().contains("'c2.w'") && error.to_string().contains("element 5"), "{error}");
}
