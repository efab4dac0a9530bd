//! How many bytes a step moves to and from each of its buffers: what fast memory saves.
//!
//! A model of the kernels, not a measurement. A layer loads each cell of its windows once into
//! scratch where it has some and reads it from there, else from the input; a register tile of
//! four outputs shares a load of the activation, two positions share one of the weights.

use crate::program::{Program, ProgramStep};
use selvedge_core::OpCode;

/// Bytes moved in one run.
pub(crate) struct Traffic {
    pub tensors: Vec<u64>,
    /// Of each step's scratch.
    pub scratch: Vec<u64>,
    /// Of the place each step's weights are read to.
    pub stages: Vec<u64>,
}

pub(crate) fn traffic(program: &Program) -> Traffic {
    let steps = program.steps.len();
    let mut traffic =
        Traffic { tensors: vec![0; program.tensors.len()], scratch: vec![0; steps], stages: vec![0; steps] };
    let bytes = |t: usize| program.tensors[t].bytes() as u64;
    for (index, step) in program.steps.iter().enumerate() {
        if step.op == OpCode::Reshape && step.in_place.is_some() {
            continue;
        }
        let (fetched, read) = loads(program, step);
        let from_scratch = step.macs > 0 && step.scratch_bytes > 0;
        for (i, &input) in step.inputs.iter().enumerate().filter_map(|(i, t)| t.as_ref().map(|t| (i, t))) {
            traffic.tensors[input] += match i {
                0 if from_scratch => fetched.max(bytes(input)),
                0 => read.max(bytes(input)),
                _ => bytes(input),
            };
        }
        for &output in &step.outputs {
            traffic.tensors[output] += bytes(output);
        }
        traffic.scratch[index] = if from_scratch { fetched + read } else { 2 * step.scratch_bytes as u64 };
        let block = step.block.len() as u64;
        traffic.stages[index] = block + block.max(step.macs / 2);
    }
    traffic
}

/// Cells of its windows that a layer loads, and loads of activations its register tiles make.
fn loads(program: &Program, step: &ProgramStep) -> (u64, u64) {
    let channels = step.outputs.first().and_then(|&t| program.tensors[t].dims.last()).copied().unwrap_or(1).max(1);
    match step.op {
        OpCode::DepthwiseConv2d => (step.macs, step.macs),
        _ => (step.macs / channels as u64, step.macs / 4),
    }
}
