//! Runs a graph on the host with the device's own kernels, showing its values.

use crate::data::ArrayData;
use crate::emit::{EmitOptions, Names, emit_with};
use crate::graph::{self, ActQuant, Constant, Graph, Node, Op};
use crate::lower::{LowerError, LowerOptions, TargetSpec, lower};
use crate::plan::plan_memory;
use crate::program::{Program, ProgramState, ProgramStep, ProgramTensor};
use selvedge_core::params::{ConvF32, DenseF32};
use selvedge_core::{Artifact, DType, Error, Format, OpCode, arith};
use selvedge_exec::{Probe, Session, StepCtx, StepOutputs};
use std::collections::HashSet;
use std::ops::Range;
use zerocopy::{FromBytes, IntoBytes};

/// Data for one input, in the order of memory.
pub type InputData = ArrayData;

/// Is shown name, dims and real values of a value of the graph.
pub type Observe<'a> = dyn FnMut(&str, &[usize], &[f32]) + 'a;

/// How values are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimMode {
    /// In f32; grids are ignored, weights are dequantized.
    Float,
    /// In f32, every value with a grid quantized and dequantized: the oracle of `Integer`.
    FakeQuant,
    /// The program of the device, additions not fused so that every value is seen.
    Integer,
}

/// One output of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputTensor {
    /// ONNX value name.
    pub name: String,
    pub dims: Vec<usize>,
    pub data: ArrayData,
    /// Scale and zero point of an int8 or uint8 output.
    pub quant: Option<(f32, i32)>,
}

impl OutputTensor {
    /// Elements as real numbers.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = self.data.to_f32();
        if let Some((scale, zp)) = self.quant {
            values.iter_mut().for_each(|v| *v = (*v - zp as f32) * scale);
        }
        values
    }
}

/// A graph, lowered and ready to run on the host.
///
/// ```
/// use selvedge_compiler::graph::{DType, Graph, Node, Op, Unary, Value};
/// use selvedge_compiler::simulate::{InputData, SimMode, Simulator};
///
/// let mut graph = Graph::default();
/// let x = graph.add_value(Value::new("x", DType::F32, vec![3]));
/// let y = graph.add_value(Value::new("y", DType::F32, vec![3]));
/// (graph.inputs, graph.outputs) = (vec![x], vec![y]);
/// graph.nodes.push(Node { name: "relu".into(), op: Op::Unary(Unary::Relu), inputs: vec![Some(x)], outputs: vec![y] });
/// let mut simulator = Simulator::new(&graph, SimMode::Float)?;
/// let outputs = simulator.run(&[InputData::F32(vec![-1.0, 0.0, 2.0])], &mut |_, _, _| {})?;
/// assert_eq!(outputs[0].to_f32(), [0.0, 0.0, 2.0]);
/// # Ok::<(), selvedge_compiler::lower::LowerError>(())
/// ```
pub struct Simulator {
    program: Program,
    /// For each tensor whether it is a value of the graph that `observe` is shown.
    shown: Vec<bool>,
    /// Grids of the graph's inputs, for data given in another form.
    grids: Vec<Option<ActQuant>>,
    /// What goes on from one run to the next, and its bytes.
    states: Vec<ProgramState>,
    kept: Vec<Vec<u8>>,
    artifact: Vec<u128>,
    artifact_bytes: usize,
    arena: Vec<u128>,
}

impl Simulator {
    /// Lowers the graph in one of the modes. The graph is one that `passes::optimize` has seen.
    ///
    /// # Errors
    /// [`LowerError`] as from [`lower`].
    pub fn new(graph: &Graph, mode: SimMode) -> Result<Self, LowerError> {
        let options = LowerOptions { fuse: false, simulate: mode != SimMode::Integer, stage: false };
        let grids = graph.inputs.iter().map(|&id| graph.value(id).quant).collect();
        let stripped;
        let graph = if mode == SimMode::Float {
            stripped = without_grids(graph);
            &stripped
        } else {
            graph
        };
        let mut program = lower(graph, &TargetSpec::PORTABLE, &options)?;
        let states = std::mem::take(&mut program.states);
        let plan = plan_memory(&program);
        let bytes = emit_with(&program, &plan, &EmitOptions { names: Names::None });
        let mut artifact = vec![0u128; bytes.len().div_ceil(16)];
        artifact.as_mut_bytes()[..bytes.len()].copy_from_slice(&bytes);
        let values: HashSet<&str> = graph.values.iter().map(|value| value.name.as_str()).collect();
        let shown = program.tensors.iter().map(|tensor| values.contains(tensor.name.as_str())).collect();
        let arena = vec![0u128; plan.arena_bytes.div_ceil(16)];
        let mut simulator =
            Simulator { program, shown, grids, artifact, artifact_bytes: bytes.len(), arena, states, kept: Vec::new() };
        simulator.reset();
        Ok(simulator)
    }

    /// Goes back to the states before the first run.
    pub fn reset(&mut self) {
        let program = &self.program;
        let bytes = |state: &ProgramState| {
            let count = program.tensors[program.inputs[state.input]].bytes();
            state.initial.map_or_else(|| vec![0; count], |at| program.weights[at as usize..][..count].to_vec())
        };
        self.kept = self.states.iter().map(bytes).collect();
    }

    /// The program that runs.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Gives a Conv or Dense of `graph` that runs in f32 other weights, in the order of the graph; says
    /// whether there is such a step. A layer whose weights are another's, byte by byte, shares them.
    pub(crate) fn set_weights(&mut self, graph: &Graph, node: &Node, data: &[f32]) -> Result<bool, LowerError> {
        let find =
            |program: &Program| program.steps.iter().filter(|step| step.name == node.name).find_map(float_weights);
        let Some(place) = find(&self.program) else { return Ok(false) };
        let options = LowerOptions { fuse: false, simulate: true, stage: false };
        let packed = lower(&alone(graph, node, data), &TargetSpec::PORTABLE, &options)?;
        let Some(from) = find(&packed).filter(|from| from.len() == place.len()) else { return Ok(false) };
        // The weights are the last section.
        let start = self.artifact_bytes - self.program.weights.len() + place.start;
        self.artifact.as_mut_bytes()[start..start + place.len()].copy_from_slice(&packed.weights[from]);
        Ok(true)
    }

    /// Runs once; states go on from the run before, and data is given for the other inputs. `observe` sees name,
    /// dims and real values of every computed value of the graph,
    /// in the order of memory. Inputs on a grid also take f32 data, f32 inputs also int8 codes of
    /// the graph's grid.
    ///
    /// # Errors
    /// [`LowerError::Runtime`] for data of another length or type, and for NaN that would be quantized.
    pub fn run(&mut self, inputs: &[InputData], observe: &mut Observe<'_>) -> Result<Vec<OutputTensor>, LowerError> {
        let plain: Vec<usize> =
            (0..self.program.inputs.len()).filter(|&i| self.states.iter().all(|state| state.input != i)).collect();
        if inputs.len() != plain.len() {
            let (given, needed) = (inputs.len(), plain.len());
            return Err(LowerError::Runtime(format!("{given} inputs were given, the model has {needed}")));
        }
        let artifact = Artifact::parse(&self.artifact.as_bytes()[..self.artifact_bytes]).map_err(runtime)?;
        let mut session = Session::new(artifact, self.arena.as_mut_bytes()).map_err(runtime)?;
        for (state, bytes) in self.states.iter().zip(&self.kept) {
            let tensor = &self.program.tensors[self.program.inputs[state.input]];
            session.input(state.input).and_then(|input| input.copy_from_bytes(bytes)).map_err(runtime)?;
            if let Some(data) = ArrayData::from_bytes(tensor.dtype.into(), bytes) {
                observe(&tensor.name, &tensor.dims, &reals(tensor, &data));
            }
        }
        for (&index, data) in plain.iter().zip(inputs) {
            let tensor = &self.program.tensors[self.program.inputs[index]];
            let bytes = input_bytes(tensor, data, self.grids[index])?;
            session.input(index).and_then(|input| input.copy_from_bytes(&bytes)).map_err(runtime)?;
        }
        let mut probe = Shower { program: &self.program, shown: &self.shown, observe };
        session.run_probed(&mut probe).map_err(|error| at_step(&self.program, error))?;
        for (state, kept) in self.states.iter().zip(&mut self.kept) {
            *kept = session.output(state.output).map_err(runtime)?.bytes().to_vec();
        }
        let mut outputs = Vec::with_capacity(self.program.outputs.len());
        for (index, &id) in self.program.outputs.iter().enumerate() {
            let tensor = &self.program.tensors[id];
            let output = session.output(index).map_err(runtime)?;
            let data = ArrayData::from_bytes(tensor.dtype.into(), output.bytes());
            let data =
                data.ok_or_else(|| LowerError::Runtime(format!("output '{}' has an odd length", tensor.name)))?;
            outputs.push(OutputTensor {
                name: tensor.name.clone(),
                dims: tensor.dims.clone(),
                data,
                quant: tensor.quant,
            });
        }
        Ok(outputs)
    }
}

/// What a tensor's elements stand for.
fn reals(tensor: &ProgramTensor, data: &ArrayData) -> Vec<f32> {
    let mut values = data.to_f32();
    if let Some((scale, zp)) = tensor.quant {
        values.iter_mut().for_each(|v| *v = (*v - zp as f32) * scale);
    }
    values
}

/// Where the weights of an f32 layer lie.
fn float_weights(step: &ProgramStep) -> Option<Range<usize>> {
    if step.format != Format::F32 {
        return None;
    }
    let (start, bytes) = match step.op {
        OpCode::Dense => DenseF32::read_from_bytes(&step.params).ok().map(|p| (p.weights, p.weights_bytes))?,
        OpCode::Conv2d | OpCode::DepthwiseConv2d => {
            ConvF32::read_from_bytes(&step.params).ok().map(|p| (p.weights, p.weights_bytes))?
        }
        _ => return None,
    };
    Some(start as usize..(start + bytes) as usize)
}

/// A layer as a graph of its own, with these weights.
fn alone(graph: &Graph, node: &Node, data: &[f32]) -> Graph {
    let mut alone = Graph::default();
    let mut node = node.clone();
    for (slot, id) in node.inputs.iter_mut().enumerate() {
        let Some(id) = id else { continue };
        let mut value = graph.value(*id).clone();
        (value.quant, value.io_dtype) = (None, None);
        match slot {
            0 => value.data = None,
            1 => value = graph::Value::constant(value.name, value.shape, Constant::F32(data.to_vec())),
            _ => {}
        }
        *id = alone.add_value(value);
    }
    for id in &mut node.outputs {
        let value = graph.value(*id).clone();
        *id = alone.add_value(graph::Value { quant: None, io_dtype: None, ..value });
    }
    alone.inputs.extend(node.inputs.first().copied().flatten());
    alone.outputs.clone_from(&node.outputs);
    alone.nodes.push(node);
    alone
}

fn at_step(program: &Program, error: Error) -> LowerError {
    let step = error.step().and_then(|index| program.steps.get(index));
    let name = step.map_or(String::new(), |step| format!(" at node '{}'", step.name));
    LowerError::Runtime(format!("{error}{name}"))
}

fn runtime(error: Error) -> LowerError {
    LowerError::Runtime(error.to_string())
}

/// The float model: no grids, f32 inputs and outputs.
fn without_grids(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for value in &mut graph.values {
        if value.quant.take().is_some() {
            value.io_dtype = None;
        }
    }
    for node in &mut graph.nodes {
        if node.op == Op::FakeQuant {
            node.op = Op::Reshape;
        }
    }
    graph
}

/// The bytes of an input in the tensor's own type.
fn input_bytes(tensor: &ProgramTensor, data: &InputData, grid: Option<ActQuant>) -> Result<Vec<u8>, LowerError> {
    let refuse = |reason: String| LowerError::Runtime(format!("input '{}' {reason}", tensor.name));
    if data.len() != tensor.elements() {
        return Err(refuse(format!("has {} elements, {} were given", tensor.elements(), data.len())));
    }
    if data.dtype() == tensor.dtype.into() {
        return Ok(data.to_bytes());
    }
    match (tensor.dtype, data, tensor.quant, grid) {
        (DType::I8 | DType::U8, ArrayData::F32(values), Some((scale, zp)), _) => {
            let shift = if tensor.dtype == DType::U8 { 128 } else { 0 };
            let quantize = |&x: &f32| arith::quantize(x, scale, zp - shift).map(|q| (q as i32 + shift) as u8);
            values.iter().map(quantize).collect::<Option<_>>().ok_or_else(|| refuse("holds NaN".into()))
        }
        (DType::F32, ArrayData::I8(_) | ArrayData::U8(_), _, Some(grid)) => {
            let zp = grid.zero_point + if data.dtype() == graph::DType::U8 { 128 } else { 0 };
            let real = data.to_f32().into_iter().map(|q| (q - zp as f32) * grid.scale);
            Ok(real.flat_map(f32::to_le_bytes).collect())
        }
        _ => Err(refuse(format!("has type {}, data has type {:?}", tensor.dtype.name(), data.dtype()))),
    }
}

/// Shows the outputs of each step that are values of the graph.
struct Shower<'s, 'o> {
    program: &'s Program,
    shown: &'s [bool],
    observe: &'s mut Observe<'o>,
}

impl Probe for Shower<'_, '_> {
    fn after_step(&mut self, step: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        for (index, &id) in self.program.steps[step.index()].outputs.iter().enumerate() {
            let tensor = &self.program.tensors[id];
            if !self.shown[id] {
                continue;
            }
            let Some(data) = ArrayData::from_bytes(tensor.dtype.into(), outputs.bytes(index)) else { continue };
            (self.observe)(&tensor.name, &tensor.dims, &reals(tensor, &data));
        }
    }
}
