//! Adds an adapter's branches to an artifact.

use super::layer::{DenseLayer, dense_layers, dense_params, shifted};
use super::lora::{LoraAdapter, LoraLayer};
use super::observe::Observations;
use super::{AdapterError, META, target};
use crate::decode::{Decoded, decode};
use crate::emit::{EmitOptions, emit_with};
use crate::lowbit::Branch;
use crate::lower::branches::{MAX_BRANCHES, down_layer, rows_at_once, sums_bytes, up_branch};
use crate::lower::pool::WeightPool;
use crate::pipeline::SMOOTHED;
use crate::plan::plan_memory;
use crate::program::{Program, ProgramStep, ProgramTensor, Storage};
use selvedge_core::params::Branches;
use selvedge_core::{Artifact, DType, Format, OpCode};
use selvedge_kernels::pack_low;
use zerocopy::IntoBytes;

/// Where appended weights start.
pub(super) const ALIGN: usize = 64;
/// Rows of Gaussian activations that stand for samples that were not given, and their deviation.
const SYNTHETIC_ROWS: usize = 64;
const SYNTHETIC_DEVIATION: f32 = 42.0;

/// How an adapter is attached.
#[derive(Clone, Debug, Default)]
pub struct AttachOptions {
    /// Name to detach it by.
    pub name: String,
    /// Factor of the whole adapter; 1 is as it was trained.
    pub strength: f32,
    /// Modules of the adapter and the output tensors of the layers they mean, where names do not tell.
    pub map: Vec<(String, String)>,
    /// What the layers read on samples.
    pub observed: Observations,
}

/// An artifact with an adapter.
#[derive(Clone, Debug)]
pub struct Attached {
    pub artifact: Vec<u8>,
    pub layers: Vec<LayerReport>,
    /// Bytes that the artifact and its arena grew by.
    pub added_bytes: usize,
    pub added_arena: isize,
}

/// One layer's branch.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerReport {
    pub module: String,
    /// Name of the layer's output.
    pub layer: String,
    pub rank: usize,
    /// ‖integer − real‖ / ‖real‖ of what the branch adds, on the samples or on Gaussian activations.
    pub relative_error: f64,
    /// Whether samples gave the scales.
    pub observed: bool,
}

/// Attaches an adapter: the artifact keeps every byte of its weights, each layer the adapter names
/// gets a branch.
///
/// # Errors
/// [`AdapterError`]: an artifact that is not valid or has its weights staged or its arena in two
/// regions; modules without a layer; sums that would leave their range.
pub fn attach(bytes: &Artifact<'_>, adapter: &LoraAdapter, options: &AttachOptions) -> Result<Attached, AdapterError> {
    bytes.verify_digest()?;
    check_name(&options.name)?;
    let Decoded { mut program, names } = plain(bytes)?;
    if program.meta.contains_key(SMOOTHED) {
        return Err(AdapterError::Unsupported(
            "the artifact's layers read smoothed inputs, which an adapter was not trained for; compile it without --svdquant and --equalize",
        ));
    }
    let key = format!("{META}{}", options.name);
    if program.meta.contains_key(&key) {
        return Err(AdapterError::Attached(options.name.clone()));
    }
    let before = program.weights.len();
    let mut weights = std::mem::take(&mut program.weights);
    weights.resize(before.next_multiple_of(ALIGN), 0);
    let start = weights.len();
    let mut pool = WeightPool::after(weights);
    program.weights = bytes.weights().to_vec();
    let layers = dense_layers(&program);
    if !layers.is_empty() && layers.iter().all(|layer| layer.name.is_empty()) {
        return Err(AdapterError::Unsupported(
            "the artifact keeps no names of its layers; compile it with --names all",
        ));
    }
    let mut chosen: Vec<(usize, &LoraLayer)> = Vec::new();
    for lora in &adapter.layers {
        let at = target::find(lora, &layers, &options.map)?;
        if let Some((_, first)) = chosen.iter().find(|(other, _)| *other == at) {
            let (first, second) = (first.module.clone(), lora.module.clone());
            return Err(AdapterError::Twice { first, second, layer: layers[at].name.clone() });
        }
        chosen.push((at, lora));
    }
    // From the last step to the first: steps are inserted in front.
    chosen.sort_by_key(|&(at, _)| std::cmp::Reverse(layers[at].step));
    let mut reports = Vec::new();
    for (at, lora) in chosen {
        reports.push(add_branch(&mut program, &mut pool, &layers[at], lora, options)?);
    }
    reports.reverse();
    program.weights = pool.bytes;
    let place = format!("{before} {start} {} {}", options.strength, reports.len());
    program.meta.insert(key, place);
    let plan = plan_memory(&program);
    let artifact = emit_with(&program, &plan, &EmitOptions { names });
    Ok(Attached {
        added_bytes: artifact.len() - bytes.header().total_bytes as usize,
        added_arena: plan.arena_bytes as isize - bytes.arena_bytes() as isize,
        artifact,
        layers: reports,
    })
}

/// A program whose memory this version of the compiler can plan again as it was.
pub(super) fn plain(artifact: &Artifact<'_>) -> Result<Decoded, AdapterError> {
    if artifact.stages()?.is_some() {
        return Err(AdapterError::Unsupported("the artifact's weights are staged; compile it without --stage-weights"));
    }
    if artifact.region_bytes()[1] > 0 {
        return Err(AdapterError::Unsupported("the artifact's arena lies in two memories; compile it for one"));
    }
    Ok(decode(artifact)?)
}

fn check_name(name: &str) -> Result<(), AdapterError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(fine) {
        return Err(AdapterError::Name(name.to_owned()));
    }
    Ok(())
}

fn add_branch(
    program: &mut Program,
    pool: &mut WeightPool,
    layer: &DenseLayer,
    lora: &LoraLayer,
    options: &AttachOptions,
) -> Result<LayerReport, AdapterError> {
    let refuse = |reason: String| AdapterError::Layer { module: lora.module.clone(), reason };
    if layer.branches >= MAX_BRANCHES {
        return Err(refuse(format!("its layer has {MAX_BRANCHES} branches already")));
    }
    let scale = lora.scale * options.strength;
    let dead =
        |row: usize| !layer.unit[row].is_normal() && lora.up[row * lora.rank..][..lora.rank].iter().any(|&u| u != 0.0);
    if let Some(row) = (0..layer.n).find(|&row| dead(row)) {
        return Err(refuse(format!("channel {row} of its layer is zero and has no scale")));
    }
    // A row without a scale gets a zero.
    let unit: Vec<f32> = layer.unit.iter().map(|&u| if u.is_normal() { u } else { 1.0 }).collect();
    let real = Branch {
        rank: lora.rank,
        n: lora.n,
        k: lora.k,
        down: lora.down.iter().map(|v| v * layer.x_grid.0).collect(),
        up: lora.up.iter().map(|v| v * scale).collect(),
    };
    let seen = options.observed.of(layer.x);
    let synthetic;
    let inputs = if seen.is_empty() {
        synthetic = gaussian(SYNTHETIC_ROWS * layer.k);
        &synthetic
    } else {
        seen
    };
    let codes = real.quantize(&unit, inputs).map_err(|e| refuse(e.to_string()))?;
    let branch = &codes.branch;
    for (row, up) in branch.up.chunks(branch.rank).enumerate() {
        let more = shifted(up.iter().map(|u| i64::from(u.unsigned_abs())).sum(), branch.shift);
        if layer.magnitude[row].saturating_add(more) > layer.room[row] {
            return Err(refuse(format!(
                "the sums of channel {row} could leave their range; give a smaller --strength, or merge the adapter in \
                 float and compile again"
            )));
        }
    }
    // The projection.
    let (down, _) = down_layer(pool, branch, layer.x_grid.1, layer.k);
    let mut dims = program.tensors[layer.x].dims.clone();
    if let Some(last) = dims.last_mut() {
        *last = branch.rank;
    }
    program.tensors.push(ProgramTensor {
        name: format!("{}/{}", layer.name, options.name),
        dtype: DType::I8,
        dims,
        quant: None,
        storage: Storage::Arena,
        perm: None,
        channels: None,
    });
    let t = program.tensors.len() - 1;
    let (up, _) = up_branch(pool, branch, layer.n);
    let step = &mut program.steps[layer.step];
    join(step, layer, t, up);
    let projection = ProgramStep {
        op: OpCode::Dense,
        format: Format::W8,
        flags: 0,
        inputs: vec![Some(layer.x)],
        outputs: vec![t],
        params: down.as_bytes().to_vec(),
        scratch_bytes: 0,
        in_place: None,
        block: 0..0,
        ..step.clone()
    };
    program.steps.insert(layer.step, projection);
    Ok(LayerReport {
        module: lora.module.clone(),
        layer: layer.name.clone(),
        rank: branch.rank,
        relative_error: codes.relative_error,
        observed: !seen.is_empty(),
    })
}

/// Makes a step read one more branch.
fn join(step: &mut ProgramStep, layer: &DenseLayer, t: usize, up: selvedge_core::params::Branch) {
    let head = match step.op {
        OpCode::DenseLowRank => {
            let head = step.params.len() - layer.branches * size_of_val(&up) - size_of::<Branches>();
            let count = Branches { count: layer.branches as u32 + 1 };
            step.params[head..head + size_of::<Branches>()].copy_from_slice(count.as_bytes());
            None
        }
        _ => Some(Branches { count: 1 }),
    };
    if let Some(count) = head {
        step.op = OpCode::DenseLowRank;
        step.inputs.resize(2, None);
        step.params.extend_from_slice(count.as_bytes());
        let at_once = rows_at_once(layer.rows, layer.n, layer.k);
        let own = if step.format == Format::W8 { 0 } else { pack_low::dense_low_scratch(at_once, layer.k) };
        step.scratch_bytes = sums_bytes(at_once, layer.n) + own;
    }
    step.params.extend_from_slice(up.as_bytes());
    step.inputs.push(Some(t));
    debug_assert!(dense_params(step).is_some());
}

/// Gaussian int8 values of a fixed seed.
fn gaussian(count: usize) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 24) as f32
    };
    let normal = |_| {
        let sum: f32 = (0..12).map(|_| uniform()).sum();
        ((sum - 6.0) * SYNTHETIC_DEVIATION).round().clamp(-127.0, 127.0)
    };
    (0..count).map(normal).collect()
}
