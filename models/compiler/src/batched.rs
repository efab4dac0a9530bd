//! Artifacts that run many inputs at once.
//!
//! Every step of an artifact treats the entries along the first axis alone, or the artifact is refused; so the batched
//! one gives each entry the bytes that it has alone, and reads the weights once for all of them.

use crate::decode::{Decoded, decode};
use crate::emit::{EmitOptions, emit_with};
use crate::plan::plan_memory;
use crate::program::{Program, ProgramStep, TensorId};
use selvedge_core::params::{ArgReduce, Concat, CumSum, Gather, Pad, Reduce, Resample, Slice, TopK, Transpose};
use selvedge_core::{Artifact, DType, Error, Format, OpCode};
use zerocopy::FromBytes;

/// Most bytes of memory that a batch may take.
const MOST_BYTES: usize = 1 << 32;

/// Why an artifact cannot be batched.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    #[error("the artifact cannot be read: {0}")]
    Artifact(#[from] Error),
    #[error("the artifact's weights are staged or its arena lies in two memories; compile it without")]
    Memory,
    #[error("step {step} ({op}) does not treat the entries of a batch alone; run them one by one")]
    Step { step: usize, op: &'static str },
    #[error("a batch of {0} takes more memory than there is")]
    TooLarge(usize),
}

/// The artifact for `batch` inputs, one behind the other in each input and output.
///
/// # Errors
/// [`BatchError`].
pub fn batched(artifact: &Artifact<'_>, batch: usize) -> Result<Vec<u8>, BatchError> {
    if artifact.stages()?.is_some() || artifact.region_bytes()[1] > 0 {
        return Err(BatchError::Memory);
    }
    let Decoded { mut program, names } = decode(artifact)?;
    for (index, step) in program.steps.iter().enumerate() {
        if !entries_alone(&program, step) {
            return Err(BatchError::Step { step: index, op: step.op.name() });
        }
    }
    let bytes = program.tensors.iter().filter(|tensor| !tensor.is_const()).map(|tensor| tensor.bytes()).max();
    let most = bytes.unwrap_or(0).checked_mul(batch);
    if batch == 0 || most.is_none_or(|bytes| bytes > MOST_BYTES) {
        return Err(BatchError::TooLarge(batch));
    }
    for tensor in program.tensors.iter_mut().filter(|tensor| !tensor.is_const()) {
        if let Some(first) = tensor.dims.first_mut() {
            *first *= batch;
        }
    }
    for step in &mut program.steps {
        // The others' scratch is for one position at a time.
        if matches!(step.op, OpCode::Dense | OpCode::DenseLowRank) {
            step.scratch_bytes *= batch;
        }
    }
    let plan = plan_memory(&program);
    Ok(emit_with(&program, &plan, &EmitOptions { names }))
}

/// Whether a step's entries along the first axis do not see each other.
fn entries_alone(program: &Program, step: &ProgramStep) -> bool {
    let dims = |tensor: TensorId| program.tensors[tensor].dims.as_slice();
    let computed = || step.inputs.iter().flatten().filter(|&&tensor| !program.tensors[tensor].is_const());
    let ranks: Vec<usize> = computed().map(|&tensor| dims(tensor).len()).collect();
    let output = step.outputs.first().map_or(&[][..], |&tensor| dims(tensor));
    let first = computed().next().map_or(&[][..], |&tensor| dims(tensor));
    // A scalar has no entries.
    if ranks.contains(&0) || output.is_empty() || ranks.is_empty() {
        return false;
    }
    let rows = first.len() >= 2;
    let is_first = |axis: u32| axis == 0;
    // One scale for the whole input of a convolution.
    let scale = |tensor: TensorId| program.tensors[tensor].dtype == DType::F32 && step.format != Format::F32;
    match step.op {
        OpCode::Conv2d | OpCode::DepthwiseConv2d if computed().any(|&tensor| scale(tensor)) => false,
        OpCode::Conv2d
        | OpCode::DepthwiseConv2d
        | OpCode::ConvTranspose2d
        | OpCode::ConvPair
        | OpCode::MaxPool2d
        | OpCode::AvgPool2d
        | OpCode::GroupNorm
        | OpCode::Dense
        | OpCode::DenseLowRank
        | OpCode::DynamicQuantize
        | OpCode::DynamicQuantize4
        | OpCode::UnpackA4
        | OpCode::LayerNorm
        | OpCode::Softmax => rows,
        OpCode::Table
        | OpCode::Quantize
        | OpCode::Dequantize
        | OpCode::FlipSign
        | OpCode::Cast
        | OpCode::BitCast
        | OpCode::Unary
        | OpCode::Trig
        | OpCode::Reshape => true,
        // Broadcast along the first axis only from constants, which all entries share.
        OpCode::Add | OpCode::Mul | OpCode::Binary | OpCode::Compare | OpCode::Select => {
            let same = computed().all(|&tensor| dims(tensor).len() == output.len() && dims(tensor)[0] == output[0]);
            let constants = step.inputs.iter().flatten().filter(|&&tensor| program.tensors[tensor].is_const());
            let shared = |dims: &[usize]| dims.len() < output.len() || dims.first().is_none_or(|&first| first == 1);
            same && constants.map(|&tensor| dims(tensor)).all(shared)
        }
        OpCode::MatMul => {
            ranks.len() == 2 && ranks.iter().all(|&rank| rank >= 3) && computed().all(|&t| dims(t)[0] == output[0])
        }
        OpCode::Concat => {
            let axis = Concat::ref_from_prefix(&step.params).map(|(concat, _)| concat.axis);
            axis.is_ok_and(|axis| !is_first(axis)) && ranks.len() == step.inputs.iter().flatten().count()
        }
        OpCode::Transpose => Transpose::ref_from_prefix(&step.params).is_ok_and(|(params, _)| params.perm[0] == 0),
        OpCode::Pad => {
            Pad::ref_from_prefix(&step.params).is_ok_and(|(pad, _)| pad.begin[0] == 0)
                && first.first() == output.first()
        }
        OpCode::Slice => {
            let whole = Slice::ref_from_prefix(&step.params).is_ok_and(|(s, _)| (s.start[0], s.step[0]) == (0, 1));
            whole && first.first() == output.first()
        }
        OpCode::Gather if step.format == Format::W8 => true,
        OpCode::Gather => {
            let axis = Gather::ref_from_prefix(&step.params).map(|(gather, _)| gather.axis);
            let indices = step.inputs.get(1).copied().flatten();
            axis.is_ok_and(|axis| !is_first(axis)) && indices.is_some_and(|t| program.tensors[t].is_const())
        }
        OpCode::Reduce => Reduce::ref_from_prefix(&step.params).is_ok_and(|(reduce, _)| reduce.axes & 1 == 0),
        OpCode::ArgReduce => ArgReduce::ref_from_prefix(&step.params).is_ok_and(|(arg, _)| !is_first(arg.axis)),
        OpCode::CumSum => CumSum::ref_from_prefix(&step.params).is_ok_and(|(sums, _)| !is_first(sums.axis)),
        OpCode::Expand => first.len() == output.len() && first.first() == output.first(),
        OpCode::Resample => Resample::ref_from_prefix(&step.params).is_ok_and(|(p, _)| !is_first(p.axis)),
        OpCode::TopK => TopK::ref_from_prefix(&step.params).is_ok_and(|(p, _)| !is_first(p.axis)),
        OpCode::GridSample => ranks.len() == 2,
        OpCode::ConvNd => ranks.len() == 1,
        OpCode::DynamicQuantizeLinear
        | OpCode::Lstm
        | OpCode::Gru
        | OpCode::Rnn
        | OpCode::Scatter
        | OpCode::GatherElements
        | OpCode::MaxPoolNd => false,
    }
}
