//! Oracles: i64 and f64 evaluations written here, never the kernels' own rules.
mod elementwise;
mod encoder;
mod float;
mod fusing;
mod integer;
mod layers;
mod moves;
mod norm;
mod pairs;
mod pools;

use crate::data::ArrayData;
use crate::emit::emit;
use crate::graph::*;
use crate::lower::{LowerOptions, TargetSpec, lower};
use crate::plan::plan_memory;
use crate::program::Program;
use selvedge_core::Artifact;
use selvedge_exec::Session;
use selvedge_kernels::IsaKind;
use zerocopy::IntoBytes;

/// Builds graphs; random data from a fixed seed.
struct Build {
    graph: Graph,
    state: u64,
}

impl Build {
    fn new(seed: u64) -> Self {
        Build { graph: Graph::default(), state: seed }
    }

    fn random(&mut self, n: usize) -> usize {
        self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.state >> 33) as usize % n
    }

    fn codes(&mut self, n: usize, lo: i32, hi: i32) -> Vec<i32> {
        (0..n).map(|_| lo + self.random((hi - lo + 1) as usize) as i32).collect()
    }

    fn reals(&mut self, n: usize, reach: f32) -> Vec<f32> {
        (0..n).map(|_| (self.random(20001) as f32 / 10000.0 - 1.0) * reach).collect()
    }

    fn value(&mut self, shape: &[usize], quant: Option<(f32, i32)>) -> ValueId {
        let name = format!("v{}", self.graph.values.len());
        let mut value = Value::new(name, DType::F32, shape.to_vec());
        value.quant = quant.map(|(scale, zero_point)| ActQuant { scale, zero_point, bits: 8, unsigned: false });
        self.graph.add_value(value)
    }

    /// An int8 input of the model file.
    fn input(&mut self, shape: &[usize], scale: f32, zp: i32) -> ValueId {
        let id = self.value(shape, Some((scale, zp)));
        self.graph.value_mut(id).io_dtype = Some(DType::I8);
        self.graph.inputs.push(id);
        id
    }

    fn float_input(&mut self, shape: &[usize]) -> ValueId {
        let id = self.value(shape, None);
        self.graph.inputs.push(id);
        id
    }

    fn constant(&mut self, shape: &[usize], data: Constant) -> ValueId {
        let name = format!("c{}", self.graph.values.len());
        self.graph.add_value(Value::constant(name, shape.to_vec(), data))
    }

    /// Symmetric signed weights, one scale for each index of axis 0.
    fn weights(&mut self, shape: &[usize], codes: Vec<i32>, scales: Vec<f32>) -> ValueId {
        let per = codes.len() / scales.len();
        let data = codes.iter().enumerate().map(|(i, &c)| c as f32 * scales[i / per]).collect();
        let id = self.constant(shape, Constant::F32(data));
        let zeros = vec![0; scales.len()];
        let codes = QuantCodes { bits: 8, signed: true, axis: 0, block: 0, scales, zeros, codes, dynamic: false };
        self.graph.value_mut(id).codes = Some(codes);
        id
    }

    fn node(&mut self, op: Op, inputs: &[ValueId], shape: &[usize], quant: Option<(f32, i32)>) -> ValueId {
        let output = self.value(shape, quant);
        let name = format!("n{}", self.graph.nodes.len());
        let inputs = inputs.iter().map(|&id| Some(id)).collect();
        self.graph.nodes.push(Node { name, op, inputs, outputs: vec![output] });
        output
    }

    /// Marks an output; quantized ones leave as int8.
    fn output(&mut self, id: ValueId) {
        if self.graph.value(id).quant.is_some() {
            self.graph.value_mut(id).io_dtype = Some(DType::I8);
        }
        self.graph.outputs.push(id);
    }
}

fn program(graph: &Graph, fuse: bool) -> Program {
    lower(graph, &TargetSpec::PORTABLE, &LowerOptions { fuse, ..LowerOptions::default() }).expect("lowers")
}

/// Runs a program on the reference instruction set.
fn execute(program: &Program, inputs: &[ArrayData]) -> Vec<ArrayData> {
    let plan = plan_memory(program);
    let bytes = emit(program, &plan);
    let mut aligned = vec![0u128; bytes.len().div_ceil(16)];
    aligned.as_mut_bytes()[..bytes.len()].copy_from_slice(&bytes);
    let artifact = Artifact::parse(aligned.as_bytes()).expect("parses");
    artifact.verify_digest().expect("digest");
    let mut arena = vec![0u128; plan.arena_bytes.div_ceil(16)];
    let mut session = Session::new(artifact, arena.as_mut_bytes())
        .unwrap_or_else(|e| panic!("{e}: {:?}", program.steps.iter().map(|s| (s.op, s.flags)).collect::<Vec<_>>()));
    session = session.with_isa(IsaKind::Reference).expect("reference");
    for (index, data) in inputs.iter().enumerate() {
        session.input(index).and_then(|input| input.copy_from_bytes(&data.to_bytes())).expect("input");
    }
    session.run().expect("runs");
    let outputs = program.outputs.iter().enumerate().map(|(index, &id)| {
        let dtype = program.tensors[id].dtype.into();
        ArrayData::from_bytes(dtype, session.output(index).expect("output").bytes()).expect("whole elements")
    });
    outputs.collect()
}

/// Lowers with and without fusing, checks that both agree, and returns the first output as i8.
fn run_int(graph: &Graph, inputs: &[Vec<i32>]) -> Vec<i32> {
    let inputs: Vec<ArrayData> =
        inputs.iter().map(|data| ArrayData::I8(data.iter().map(|&q| q as i8).collect())).collect();
    let plain = execute(&program(graph, false), &inputs);
    assert_eq!(plain, execute(&program(graph, true), &inputs), "fused and plain programs differ");
    match &plain[0] {
        ArrayData::I8(v) => v.iter().map(|&q| q as i32).collect(),
        other => panic!("{:?} is not int8", other.dtype()),
    }
}

fn run_float(graph: &Graph, inputs: &[ArrayData]) -> Vec<f32> {
    let plain = execute(&program(graph, false), inputs);
    assert_eq!(plain, execute(&program(graph, true), inputs), "fused and plain programs differ");
    plain[0].to_f32()
}

/// Every q equals the rounded real value, but for ties, where the neighbour is right as well.
fn assert_rounded(q: &[i32], real: impl IntoIterator<Item = f64>, (scale, zp): (f32, i32), clamp: (i32, i32)) {
    assert_within(q, real, (scale, zp), clamp, 0.5 + 1e-5);
}

/// Every q is within `reach` steps of the real value.
fn assert_within(
    q: &[i32],
    real: impl IntoIterator<Item = f64>,
    (scale, zp): (f32, i32),
    clamp: (i32, i32),
    reach: f64,
) {
    let mut count = 0;
    for (i, (&q, real)) in q.iter().zip(real).enumerate() {
        let exact = (real / scale as f64 + zp as f64).clamp(clamp.0 as f64, clamp.1 as f64);
        assert!((q as f64 - exact).abs() <= reach, "element {i}: {q}, exactly {exact}");
        count += 1;
    }
    assert_eq!(count, q.len());
}

fn assert_close(got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        assert!((g as f64 - w).abs() <= tolerance * (1.0 + w.abs()), "element {i}: {g}, expected {w}");
    }
}

fn window(kernel: [usize; 2], stride: [usize; 2], pads: [usize; 4]) -> Window {
    Window { kernel, stride, dilation: [1, 1], pads }
}

/// Sums of a convolution over NHWC data with OIHW weights, cells outside count 0.
fn conv_sums(
    x: &[f64],
    [_, h, w, c]: [usize; 4],
    weights: &[f64],
    [oh, ow, oc]: [usize; 3],
    win: &Window,
    groups: usize,
) -> Vec<f64> {
    let (ic, per) = (c / groups, oc / groups);
    let mut sums = Vec::new();
    for (y, xx, o) in (0..oh).flat_map(|y| (0..ow).flat_map(move |x| (0..oc).map(move |o| (y, x, o)))) {
        let mut sum = 0.0;
        for (i, kh, kw) in
            (0..ic).flat_map(|i| (0..win.kernel[0]).flat_map(move |kh| (0..win.kernel[1]).map(move |kw| (i, kh, kw))))
        {
            let row = (y * win.stride[0] + kh * win.dilation[0]).wrapping_sub(win.pads[0]);
            let col = (xx * win.stride[1] + kw * win.dilation[1]).wrapping_sub(win.pads[1]);
            if row < h && col < w {
                let weight = weights[((o * ic + i) * win.kernel[0] + kh) * win.kernel[1] + kw];
                sum += x[(row * w + col) * c + o / per * ic + i] * weight;
            }
        }
        sums.push(sum);
    }
    sums
}

fn reals(q: &[i32], scale: f32, zp: i32) -> Vec<f64> {
    q.iter().map(|&q| (q - zp) as f64 * scale as f64).collect()
}
