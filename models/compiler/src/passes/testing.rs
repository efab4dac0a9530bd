//! What the passes' tests share: a builder for small graphs and a plain f64
//! evaluator, the oracle for "the outputs stay the same".
use super::permute::{aligned, inverse, permuted, transpose_data};
use crate::graph::*;

/// Uniform numbers in −1..1 from a fixed sequence.
pub(crate) struct Lcg(pub u64);

impl Lcg {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f64 / (1u64 << 23) as f64 - 1.0
    }

    pub(crate) fn f32s(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next() as f32).collect()
    }

    pub(crate) fn within(&mut self, lo: i32, hi: i32) -> i32 {
        lo + ((self.next() + 1.0) / 2.0 * f64::from(hi - lo + 1)) as i32
    }
}

/// Builds graphs; values are named v0, v1, … in the order of their creation.
pub(crate) struct Build {
    pub graph: Graph,
    pub rng: Lcg,
}

impl Build {
    pub(crate) fn new() -> Self {
        Build { graph: Graph::default(), rng: Lcg(7) }
    }

    fn name(&self) -> String {
        format!("v{}", self.graph.values.len())
    }

    pub(crate) fn input(&mut self, shape: &[usize]) -> ValueId {
        let id = self.graph.add_value(Value::new(self.name(), DType::F32, shape.to_vec()));
        self.graph.inputs.push(id);
        id
    }

    pub(crate) fn constant(&mut self, shape: &[usize], data: Vec<f32>) -> ValueId {
        self.graph.add_value(Value::constant(self.name(), shape.to_vec(), Constant::F32(data)))
    }

    pub(crate) fn indices(&mut self, data: Vec<i64>) -> ValueId {
        self.graph.add_value(Value::constant(self.name(), vec![data.len()], Constant::I64(data)))
    }

    pub(crate) fn random(&mut self, shape: &[usize]) -> ValueId {
        let data = self.rng.f32s(shape.iter().product());
        self.constant(shape, data)
    }

    pub(crate) fn node(&mut self, op: Op, inputs: &[ValueId], shape: &[usize]) -> ValueId {
        let id = self.graph.add_value(Value::new(self.name(), DType::F32, shape.to_vec()));
        let inputs = inputs.iter().map(|&id| Some(id)).collect();
        self.graph.nodes.push(Node { name: self.name(), op, inputs, outputs: vec![id] });
        id
    }

    pub(crate) fn unary(&mut self, unary: Unary, x: ValueId) -> ValueId {
        let shape = self.graph.value(x).shape.clone();
        self.node(Op::Unary(unary), &[x], &shape)
    }

    pub(crate) fn binary(&mut self, kind: Binary, a: ValueId, b: ValueId) -> ValueId {
        let (left, right) = (&self.graph.value(a).shape, &self.graph.value(b).shape);
        let rank = left.len().max(right.len());
        let shape: Vec<usize> =
            aligned(left, rank).iter().zip(aligned(right, rank)).map(|(&a, b)| if a == 1 { b } else { a }).collect();
        self.node(Op::Binary { kind, clamp: None }, &[a, b], &shape)
    }

    pub(crate) fn transpose(&mut self, x: ValueId, perm: &[usize]) -> ValueId {
        let shape: Vec<usize> = perm.iter().map(|&axis| self.graph.value(x).shape[axis]).collect();
        self.node(Op::Transpose { perm: perm.to_vec() }, &[x], &shape)
    }

    /// A `kernel`×`kernel` convolution with random weights, "same" pads for stride 1.
    pub(crate) fn conv(&mut self, x: ValueId, channels: usize, kernel: usize, stride: usize) -> ValueId {
        let shape = self.graph.value(x).shape.clone();
        let w = self.random(&[channels, shape[1], kernel, kernel]);
        let window = square(kernel, stride, kernel / 2);
        let out = |n: usize| (n + kernel / 2 * 2 - kernel) / stride + 1;
        let op = Op::Conv { window, groups: 1, layout: Layout::Nchw, clamp: None };
        self.node(op, &[x, w], &[shape[0], channels, out(shape[2]), out(shape[3])])
    }

    pub(crate) fn dense(&mut self, x: ValueId, n: usize) -> ValueId {
        let mut shape = self.graph.value(x).shape.clone();
        let k = shape.pop().expect("a matrix");
        let w = self.random(&[n, k]);
        shape.push(n);
        self.node(Op::Dense { clamp: None }, &[x, w], &shape)
    }

    pub(crate) fn fake_quant(&mut self, x: ValueId, scale: f32, zero_point: i32) -> ValueId {
        let shape = self.graph.value(x).shape.clone();
        let id = self.node(Op::FakeQuant, &[x], &shape);
        self.graph.value_mut(id).quant = Some(grid(scale, zero_point));
        id
    }

    pub(crate) fn finish(mut self, outputs: &[ValueId]) -> Graph {
        self.graph.outputs = outputs.to_vec();
        self.graph
    }
}

pub(crate) fn grid(scale: f32, zero_point: i32) -> ActQuant {
    ActQuant { scale, zero_point, bits: 8, unsigned: false }
}

pub(crate) fn square(kernel: usize, stride: usize, pad: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [1; 2], pads: [pad; 4] }
}

pub(crate) fn count(graph: &Graph, wanted: impl Fn(&Op) -> bool) -> usize {
    graph.nodes.iter().filter(|node| wanted(&node.op)).count()
}

pub(crate) fn transposes(graph: &Graph) -> usize {
    count(graph, |op| matches!(op, Op::Transpose { .. }))
}

/// Runs `pass` on `graph` and checks that every graph output keeps its name,
/// shape and, on random inputs, its values.
pub(crate) fn check(mut graph: Graph, pass: impl FnOnce(&mut Graph)) -> Graph {
    let mut rng = Lcg(99);
    let inputs: Vec<Vec<f64>> =
        graph.inputs.iter().map(|&id| (0..graph.value(id).elements()).map(|_| 3.0 * rng.next()).collect()).collect();
    let before: Vec<(String, Vec<usize>, Vec<f64>)> = outputs(&graph, &inputs);
    pass(&mut graph);
    let after = outputs(&graph, &inputs);
    assert_eq!(before.len(), after.len());
    for ((name, shape, old), (new_name, new_shape, new)) in before.iter().zip(&after) {
        assert_eq!((name, shape), (new_name, new_shape));
        for (x, y) in old.iter().zip(new) {
            assert!((x - y).abs() <= 2e-6 * (1.0 + x.abs()), "{name}: {x} became {y}");
        }
    }
    graph
}

fn outputs(graph: &Graph, inputs: &[Vec<f64>]) -> Vec<(String, Vec<usize>, Vec<f64>)> {
    let values = super::testing_eval::run(graph, inputs);
    let read = |&id: &ValueId| {
        let value = graph.value(id);
        assert_eq!(value.perm, None, "graph outputs keep the ONNX layout");
        (value.name.clone(), value.shape.clone(), values[id.index()].clone().expect("computed"))
    };
    graph.outputs.iter().map(read).collect()
}

/// Every value that carries an ONNX name holds, up to its `perm`, the data
/// which the graph before the pass held under that name.
pub(crate) fn check_names(before: &Graph, after: &Graph) {
    let mut rng = Lcg(5);
    let inputs: Vec<Vec<f64>> =
        before.inputs.iter().map(|&id| (0..before.value(id).elements()).map(|_| rng.next()).collect()).collect();
    let (old, new) = (super::testing_eval::run(before, &inputs), super::testing_eval::run(after, &inputs));
    for (value, data) in after.values.iter().zip(&new).filter(|(value, _)| !value.is_constant()) {
        let Some(index) = before.values.iter().position(|old| old.name == value.name) else { continue };
        let (Some(old), Some(data)) = (&old[index], data) else { continue };
        let expected = match &value.perm {
            Some(perm) => transpose_data(old, &permuted(&value.shape, &inverse(perm)), perm),
            None => old.clone(),
        };
        assert_eq!(expected.len(), data.len(), "{}", value.name);
        let close = expected.iter().zip(data).all(|(x, y)| (x - y).abs() <= 2e-6 * (1.0 + x.abs()));
        assert!(close, "{} holds other data than its ONNX value", value.name);
    }
}
