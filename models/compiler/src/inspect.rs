//! What an artifact holds and costs, read from its records alone.

use selvedge_core::artifact::{AFTER_LAST_STEP, NO_OPERAND, Step, step_flags, tensor_flags};
use selvedge_core::params::{ConvF32, ConvI8, ConvPair, DenseF32, DenseI8, GatherW8};
use selvedge_core::{Artifact, DType, Error, Format, OpCode};
use serde::Serialize;

/// Totals and the per-step table. Field names are those of `inspect --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Multiply-accumulates of one run.
    pub macs: u64,
    /// Bytes that a stream keeps between frames, their header included; 0: the model keeps nothing.
    pub state_bytes: usize,
    /// Bytes of the weights section: packed weights, per-channel arrays, tables, constants.
    pub weights_bytes: usize,
    pub artifact_bytes: usize,
    pub arena_bytes: usize,
    pub arena_lower_bound_bytes: usize,
    /// The memories the arena lies in, the first (fast) one first.
    pub regions: Vec<RegionSummary>,
    /// Most bytes of weights that a step reads, where the weights are read step by step.
    pub staged_bytes: Option<usize>,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    /// The `ops!` line of a firmware that runs this artifact.
    pub ops: String,
    pub meta: serde_json::Value,
    pub steps: Vec<StepSummary>,
    #[serde(skip)]
    pub tensors: Vec<TensorSummary>,
}

/// A memory that the arena, or a part of it, lies in.
#[derive(Clone, Debug, Serialize)]
pub struct RegionSummary {
    pub name: String,
    /// Where it starts among the arena's offsets.
    pub offset: usize,
    pub bytes: usize,
}

/// An input or output.
#[derive(Clone, Debug, Serialize)]
pub struct Port {
    pub name: String,
    pub dtype: &'static str,
    pub shape: Vec<u32>,
    pub scale: Option<f32>,
    pub zero_point: Option<i32>,
    /// Name of the region it lies in.
    pub region: Option<String>,
    /// Kept from frame to frame by a stream session.
    pub state: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct StepSummary {
    pub index: usize,
    pub op: String,
    pub name: String,
    pub kernel: String,
    pub macs: u64,
    pub weights_bytes: usize,
    pub output_shape: Vec<u32>,
    pub scratch_bytes: usize,
    /// Regions of the inputs (but constants), of the output and of the scratch.
    pub input_regions: Vec<String>,
    pub output_region: String,
    pub scratch_region: Option<String>,
    /// Bytes of weights that are read before the step, and the region they are read to.
    pub staged_bytes: usize,
    pub staged_region: Option<String>,
    #[serde(skip)]
    pub scratch_offset: usize,
    #[serde(skip)]
    pub staged_offset: usize,
}

/// Where and how long a tensor lives in the arena; steps are counted from 1, inputs live from 0.
#[derive(Clone, Debug)]
pub struct TensorSummary {
    pub name: String,
    pub offset: usize,
    pub bytes: usize,
    pub defined: usize,
    pub last_use: usize,
}

/// Reads an artifact. `kernel` names the kernel of an op on the instruction set of interest.
///
/// # Errors
/// The first record that is not valid.
pub fn summarize(artifact: &Artifact<'_>, kernel: &dyn Fn(OpCode, Format) -> String) -> Result<Summary, Error> {
    let meta: serde_json::Value =
        artifact.meta().and_then(|m| serde_json::from_str(m).ok()).unwrap_or(serde_json::Value::Null);
    let regions = regions(artifact, &meta);
    let region =
        |offset: usize| regions.iter().rev().find(|r| offset >= r.offset).map_or_else(String::new, |r| r.name.clone());
    let stages = artifact.stages()?;
    let mut steps = Vec::new();
    let mut used: Vec<(OpCode, Format)> = Vec::new();
    for index in 0..artifact.step_count() {
        let step = artifact.step(index)?;
        let unknown = Error::new(selvedge_core::ErrorKind::BadStep).at_step(index);
        let (op, format) = (step.op().ok_or(unknown)?, step.format().ok_or(unknown)?);
        if !used.contains(&(op, format)) {
            used.push((op, format));
        }
        let output = *step.outputs.first().ok_or(unknown)?;
        let stage = stages.and_then(|stages| stages.get(index)).filter(|stage| stage.bytes > 0);
        let mut input_regions = Vec::new();
        for &input in step.inputs.iter().filter(|&&t| t != NO_OPERAND) {
            let view = artifact.tensor(input as usize)?;
            input_regions.extend((!view.is_const()).then(|| region(view.range().start)));
        }
        let (scratch_offset, scratch_bytes) = (step.record.scratch as usize, step.record.scratch_bytes as usize);
        let fused = if step.has(step_flags::FUSED_ADD) { "+Add" } else { "" };
        steps.push(StepSummary {
            index,
            op: format!("{}<{}>{fused}", op.name(), format.name()),
            name: name(artifact, output as usize),
            kernel: kernel(op, format),
            macs: macs(artifact, &step, op)?,
            weights_bytes: layer_bytes(&step, op, format),
            output_shape: artifact.tensor(output as usize)?.dims.to_vec(),
            scratch_bytes,
            input_regions,
            output_region: region(artifact.tensor(output as usize)?.range().start),
            scratch_region: (scratch_bytes > 0).then(|| region(scratch_offset)),
            staged_bytes: stage.map_or(0, |stage| stage.bytes as usize),
            staged_region: stage.map(|stage| region(stage.arena as usize)),
            scratch_offset,
            staged_offset: stage.map_or(0, |stage| stage.arena as usize),
        });
    }
    let mut tensors = Vec::new();
    for index in 0..artifact.tensor_count() {
        let view = artifact.tensor(index)?;
        if !view.is_const() {
            let last = view.record.last_use;
            let last_use = if last == AFTER_LAST_STEP { artifact.step_count() + 1 } else { last as usize };
            let (offset, defined) = (view.range().start, view.record.defined as usize);
            tensors.push(TensorSummary { name: name(artifact, index), offset, bytes: view.bytes(), defined, last_use });
        }
    }
    used.sort_by_key(|&(op, format)| (op as u16, format as u8));
    let ops: Vec<String> = used.iter().map(|(op, format)| format!("{}<{}>", op.name(), format.name())).collect();
    Ok(Summary {
        macs: steps.iter().map(|s| s.macs).sum(),
        state_bytes: selvedge_exec::state_bytes(artifact),
        weights_bytes: artifact.weights_bytes(),
        artifact_bytes: artifact.header().total_bytes as usize,
        arena_bytes: artifact.arena_bytes(),
        arena_lower_bound_bytes: artifact.header().arena_lower_bound as usize,
        inputs: artifact.inputs().iter().map(|&i| port(artifact, i as usize, &region)).collect::<Result<_, _>>()?,
        outputs: artifact.outputs().iter().map(|&i| port(artifact, i as usize, &region)).collect::<Result<_, _>>()?,
        ops: format!("ops![{}]", ops.join(", ")),
        staged_bytes: stages.map(|stages| stages.iter().map(|s| s.bytes as usize).max().unwrap_or(0)),
        regions,
        meta,
        steps,
        tensors,
    })
}

/// ONNX name of a tensor, or `#index` where the artifact keeps none.
fn name(artifact: &Artifact<'_>, index: usize) -> String {
    artifact.name(index).map_or_else(|| format!("#{index}"), str::to_owned)
}

/// The regions, under the names they were compiled with.
fn regions(artifact: &Artifact<'_>, meta: &serde_json::Value) -> Vec<RegionSummary> {
    let named = meta.get("regions").and_then(|names| names.as_str()).unwrap_or_default();
    let mut names = named.split(',').filter(|name| !name.is_empty());
    let [first, second] = artifact.region_bytes();
    let mut region =
        |offset, bytes, name: &str| RegionSummary { name: names.next().unwrap_or(name).to_owned(), offset, bytes };
    match second {
        0 => vec![region(0, first, "arena")],
        _ => vec![region(0, first, "first"), region(first, second, "second")],
    }
}

fn port(artifact: &Artifact<'_>, index: usize, region: &dyn Fn(usize) -> String) -> Result<Port, Error> {
    let view = artifact.tensor(index)?;
    let grid = view.quantization().filter(|_| view.dtype != DType::F32);
    Ok(Port {
        name: name(artifact, index),
        dtype: view.dtype.name(),
        shape: view.dims.to_vec(),
        scale: grid.map(|g| g.0),
        zero_point: grid.map(|g| g.1),
        region: (!view.is_const()).then(|| region(view.range().start)),
        state: view.record.flags & tensor_flags::STATE != 0,
    })
}

fn macs(artifact: &Artifact<'_>, step: &Step<'_>, op: OpCode) -> Result<u64, Error> {
    let input = step.inputs.first().copied().filter(|&i| i != NO_OPERAND);
    let (Some(input), Some(&output)) = (input, step.outputs.first()) else { return Ok(0) };
    let (x, y) = (artifact.tensor(input as usize)?, artifact.tensor(output as usize)?);
    let last = |dims: &[u32]| dims.last().copied().unwrap_or(1) as u64;
    let (elements, channels) = (y.elements as u64, last(x.dims));
    // Both parameter structs of convolutions start with the window and the groups.
    let window = || step.params::<ConvF32>().map(|p| (p.window.kernel, p.groups.max(1) as u64));
    Ok(match op {
        OpCode::Dense | OpCode::DenseLowRank | OpCode::MatMul => elements * channels,
        OpCode::Conv2d | OpCode::DepthwiseConv2d => {
            let (kernel, groups) = window().unwrap_or(([0, 0], 1));
            let groups = if op == OpCode::DepthwiseConv2d { channels.max(1) } else { groups };
            elements * kernel[0] as u64 * kernel[1] as u64 * (channels / groups)
        }
        OpCode::ConvPair => step.params::<ConvPair>().map_or(0, |p| {
            let taps = |c: &ConvI8, ins: u64| {
                let kernel = c.window.kernel;
                kernel[0] as u64 * kernel[1] as u64 * (ins / c.groups.max(1) as u64)
            };
            let batch = x.dims.first().copied().unwrap_or(1) as u64;
            let between = batch * p.height as u64 * p.width as u64 * p.channels as u64;
            between * taps(&p.first, channels) + elements * taps(&p.second, p.channels as u64)
        }),
        OpCode::ConvTranspose2d => {
            let (kernel, groups) = window().unwrap_or(([0, 0], 1));
            x.elements as u64 * kernel[0] as u64 * kernel[1] as u64 * (last(y.dims) / groups)
        }
        OpCode::Lstm | OpCode::Gru | OpCode::Rnn => {
            let gates = match op {
                OpCode::Lstm => 4,
                OpCode::Gru => 3,
                _ => 1,
            };
            // Both parameter structs start with the number of hidden values.
            let hidden = step.params::<u32>().map_or(0, u64::from);
            let frames = x.dims.iter().take(2).map(|&dim| u64::from(dim)).product::<u64>();
            frames.saturating_mul(gates * hidden).saturating_mul(channels + hidden)
        }
        _ => 0,
    })
}

fn layer_bytes(step: &Step<'_>, op: OpCode, format: Format) -> usize {
    use OpCode::{Conv2d, ConvTranspose2d, Dense, DenseLowRank, DepthwiseConv2d, Gather};
    let bytes = match (op, format) {
        (Conv2d | DepthwiseConv2d, Format::W8 | Format::W4 | Format::W3 | Format::W2 | Format::T2 | Format::I16W8) => {
            step.params::<ConvI8>().map(|p| p.arrays.weights_bytes)
        }
        (Dense | DenseLowRank, Format::W8 | Format::W4 | Format::W3 | Format::W2 | Format::T2 | Format::I16W8) => {
            step.params::<DenseI8>().map(|p| p.arrays.weights_bytes)
        }
        (Gather, Format::W8) => step.params::<GatherW8>().map(|p| p.rows.saturating_mul(p.row.saturating_add(4))),
        (OpCode::ConvPair, _) => {
            step.params::<ConvPair>().map(|p| p.first.arrays.weights_bytes + p.second.arrays.weights_bytes)
        }
        (Conv2d | DepthwiseConv2d | ConvTranspose2d, _) => step.params::<ConvF32>().map(|p| p.weights_bytes),
        (Dense, _) => step.params::<DenseF32>().map(|p| p.weights_bytes),
        _ => None,
    };
    bytes.unwrap_or(0) as usize
}
