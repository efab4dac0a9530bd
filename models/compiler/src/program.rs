//! The lowered program: what the artifact will hold, before offsets are known.

use selvedge_core::{DType, Format, OpCode};
use std::collections::BTreeMap;
use std::ops::Range;

/// Index of a tensor in its program.
pub type TensorId = usize;

/// Steps in execution order, their tensors, and the packed weights.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub name: String,
    pub tensors: Vec<ProgramTensor>,
    pub steps: Vec<ProgramStep>,
    /// Packed weights, constants and per-channel arrays, each stored once.
    pub weights: Vec<u8>,
    pub inputs: Vec<TensorId>,
    pub outputs: Vec<TensorId>,
    /// What a stream keeps between runs.
    pub states: Vec<ProgramState>,
    /// How the program was made; stored as JSON in the artifact.
    pub meta: BTreeMap<String, String>,
    /// For reports: where lowering chose f32 although the graph is quantized there, and why.
    pub notes: Vec<String>,
}

/// An input that takes what an output held after the run before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramState {
    /// Place in [`Program::inputs`].
    pub input: usize,
    /// Place in [`Program::outputs`].
    pub output: usize,
    /// Offset in [`Program::weights`] of the bytes before the first run; `None`: zeros.
    pub initial: Option<u32>,
}

/// Where a tensor's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    Arena,
    /// Byte offset in [`Program::weights`].
    Const(u32),
}

/// One tensor. Written by at most one step.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgramTensor {
    /// Name of the ONNX value; tensors that lowering made carry a suffix after `/`.
    pub name: String,
    pub dtype: DType,
    /// In the order of memory.
    pub dims: Vec<usize>,
    /// Scale and zero point of an int8 grid.
    pub quant: Option<(f32, i32)>,
    pub storage: Storage,
    /// Memory order relative to the ONNX value: stored = Transpose(value, perm).
    pub perm: Option<Vec<usize>>,
    /// Channels (last axis) of that order which are stored, where dead ones were removed.
    pub channels: Option<Vec<usize>>,
}

/// One step.
#[derive(Clone, Debug)]
pub struct ProgramStep {
    pub op: OpCode,
    pub format: Format,
    /// `selvedge_core::artifact::step_flags`, without `IN_PLACE`.
    pub flags: u16,
    /// `None` for an operand that was left out.
    pub inputs: Vec<Option<TensorId>>,
    pub outputs: Vec<TensorId>,
    /// The op's parameter struct, as it is stored.
    pub params: Vec<u8>,
    pub scratch_bytes: usize,
    /// Input on whose memory output 0 lies.
    pub in_place: Option<u8>,
    /// Name of the ONNX node.
    pub name: String,
    /// Multiply-accumulate operations of one run.
    pub macs: u64,
    /// Bytes of weights and per-channel arrays it reads.
    pub weights_bytes: usize,
    /// Kernel family for reports, such as `conv2d_qs8_w8`.
    pub kernel: String,
    /// The part of [`Program::weights`] it reads, from a multiple of 16 on; empty unless lowering
    /// was asked to keep the weights of each step together.
    pub block: Range<usize>,
}

impl ProgramTensor {
    pub fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    pub fn bytes(&self) -> usize {
        self.elements() * self.dtype.size()
    }

    pub fn is_const(&self) -> bool {
        self.storage != Storage::Arena
    }
}

impl Program {
    /// Total multiply-accumulate operations of one run.
    pub fn macs(&self) -> u64 {
        self.steps.iter().map(|step| step.macs).sum()
    }

    /// Step that writes each tensor; `None` for inputs and constants.
    pub fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.tensors.len()];
        for (index, step) in self.steps.iter().enumerate() {
            for &output in &step.outputs {
                producers[output] = Some(index);
            }
        }
        producers
    }

    /// Steps that read each tensor, one entry per use.
    pub fn consumers(&self) -> Vec<Vec<usize>> {
        let mut consumers = vec![Vec::new(); self.tensors.len()];
        for (index, step) in self.steps.iter().enumerate() {
            for input in step.inputs.iter().flatten() {
                consumers[*input].push(index);
            }
        }
        consumers
    }
}
