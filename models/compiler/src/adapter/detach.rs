//! Takes an adapter's branches out of an artifact again.

use super::attach::{ALIGN, plain};
use super::layer::dense_params;
use super::{AdapterError, META};
use crate::decode::Decoded;
use crate::emit::{EmitOptions, emit_with};
use crate::plan::plan_memory;
use crate::program::{Program, ProgramStep};
use selvedge_core::params::{Branch, Branches, DenseI8, LowBit};
use selvedge_core::{Artifact, Format, OpCode};
use selvedge_kernels::pack_low;
use std::ops::Range;
use zerocopy::IntoBytes;

/// An adapter that an artifact carries.
#[derive(Clone, Debug, PartialEq)]
pub struct AttachedAdapter {
    pub name: String,
    pub strength: f32,
    pub layers: usize,
    /// Bytes of weights without it, where its own start, and where they end.
    before: usize,
    start: usize,
    end: usize,
}

impl AttachedAdapter {
    /// Bytes of weights it takes.
    pub fn bytes(&self) -> usize {
        self.end - self.before
    }
}

/// An artifact without an adapter.
#[derive(Clone, Debug)]
pub struct Detached {
    pub artifact: Vec<u8>,
}

/// The adapters of an artifact, in the order in which they were attached.
///
/// # Errors
/// Those of the artifact.
pub fn attached(artifact: &Artifact<'_>) -> Result<Vec<AttachedAdapter>, AdapterError> {
    Ok(of_program(&crate::decode::decode(artifact)?.program))
}

fn of_program(program: &Program) -> Vec<AttachedAdapter> {
    let read = |(key, value): (&String, &String)| {
        let name = key.strip_prefix(META)?.to_owned();
        let mut fields = value.split(' ');
        let (before, start) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (strength, layers) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(AttachedAdapter { name, strength, layers, before, start, end: program.weights.len() })
    };
    let mut all: Vec<AttachedAdapter> = program.meta.iter().filter_map(read).collect();
    all.sort_by_key(|adapter| adapter.start);
    for i in 1..all.len() {
        all[i - 1].end = all[i].before;
    }
    all
}

/// Detaches the adapter of a name; the others stay.
///
/// # Errors
/// [`AdapterError`]: an artifact that is not valid, or has no adapter of the name.
pub fn detach(artifact: &Artifact<'_>, name: &str) -> Result<Detached, AdapterError> {
    artifact.verify_digest()?;
    let Decoded { mut program, names } = plain(artifact)?;
    let all = of_program(&program);
    let Some(at) = all.iter().position(|adapter| adapter.name == name) else {
        let there: Vec<&str> = all.iter().map(|adapter| adapter.name.as_str()).collect();
        let there = if there.is_empty() { "there is none".into() } else { format!("there are: {}", there.join(", ")) };
        return Err(AdapterError::NotAttached { name: name.into(), there });
    };
    let (adapter, next) = (&all[at], all.get(at + 1));
    let damaged = AdapterError::Unsupported("the artifact's notes on its adapters do not fit its weights");
    let sound = adapter.before <= adapter.start
        && adapter.start <= adapter.end
        && adapter.start.is_multiple_of(ALIGN)
        && adapter.end <= program.weights.len()
        && next.is_none_or(|next| next.start.is_multiple_of(ALIGN) && next.start >= adapter.end);
    if !sound {
        return Err(damaged);
    }
    let own = adapter.start..next.map_or(program.weights.len(), |next| next.start);
    remove_branches(&mut program, &own);
    remove_projections(&mut program, &own);
    program.meta.remove(&format!("{META}{name}"));
    match next {
        None => program.weights.truncate(adapter.before),
        Some(_) => {
            program.weights.drain(own.clone());
            move_back(&mut program, &all[at + 1..], &own, adapter.before);
        }
    }
    let plan = plan_memory(&program);
    Ok(Detached { artifact: emit_with(&program, &plan, &EmitOptions { names }) })
}

fn within(range: &Range<usize>, offset: u32) -> bool {
    range.contains(&(offset as usize))
}

/// Bytes of a layer's parameters in front of its branches.
fn own_bytes(step: &ProgramStep) -> usize {
    size_of::<DenseI8>() + if step.format == Format::W8 { 0 } else { size_of::<LowBit>() }
}

fn remove_branches(program: &mut Program, own: &Range<usize>) {
    for index in 0..program.steps.len() {
        let step = &program.steps[index];
        let Some(params) = dense_params(step).filter(|params| !params.branches.is_empty()) else { continue };
        let kept: Vec<usize> = (0..params.branches.len()).filter(|&b| !within(own, params.branches[b].up)).collect();
        if kept.len() == params.branches.len() {
            continue;
        }
        let mut inputs: Vec<Option<usize>> = step.inputs.iter().take(2).copied().collect();
        inputs.extend(kept.iter().map(|&b| step.inputs[2 + b]));
        let branches: Vec<Branch> = kept.iter().map(|&b| params.branches[b]).collect();
        let (x, head) = (step.inputs[0], own_bytes(step));
        let step = &mut program.steps[index];
        step.params.truncate(head);
        step.inputs = inputs;
        if branches.is_empty() {
            step.op = OpCode::Dense;
            if step.inputs[1].is_none() {
                step.inputs.truncate(1);
            }
            let dims = x.map(|x| &program.tensors[x].dims);
            let k = dims.and_then(|dims| dims.last()).copied().unwrap_or(1).max(1);
            let rows = dims.map_or(0, |dims| dims.iter().product::<usize>()) / k;
            let low = step.format != Format::W8;
            step.scratch_bytes = if low { pack_low::dense_low_scratch(rows, k) } else { 0 };
        } else {
            step.params.extend_from_slice(Branches { count: branches.len() as u32 }.as_bytes());
            step.params.extend_from_slice(branches.as_bytes());
        }
    }
}

/// Drops the steps whose weights are the adapter's, and their outputs.
fn remove_projections(program: &mut Program, own: &Range<usize>) {
    let mut gone = vec![false; program.tensors.len()];
    program.steps.retain(|step| {
        let arrays = (step.op == OpCode::Dense).then(|| dense_params(step)).flatten().map(|params| params.own.arrays);
        let remove = arrays.is_some_and(|arrays| within(own, arrays.weights));
        if remove {
            step.outputs.iter().for_each(|&t| gone[t] = true);
        }
        !remove
    });
    let mut next = 0;
    let renumbered: Vec<usize> = gone
        .iter()
        .map(|&gone| {
            next += usize::from(!gone);
            next.saturating_sub(1)
        })
        .collect();
    let mut index = 0;
    program.tensors.retain(|_| {
        index += 1;
        !gone[index - 1]
    });
    let renumber = |t: &mut usize| *t = renumbered[*t];
    program.steps.iter_mut().for_each(|step| {
        step.inputs.iter_mut().flatten().for_each(renumber);
        step.outputs.iter_mut().for_each(renumber);
    });
    program.inputs.iter_mut().chain(&mut program.outputs).for_each(renumber);
}

/// Moves the weights of later adapters to where they lie now; the first of them lies behind `before` bytes.
fn move_back(program: &mut Program, later: &[AttachedAdapter], gap: &Range<usize>, before: usize) {
    let back = |offset: &mut u32| {
        if *offset as usize >= gap.end {
            *offset -= gap.len() as u32;
        }
    };
    for step in &mut program.steps {
        let Some(mut params) = dense_params(step) else { continue };
        let arrays = &mut params.own.arrays;
        for offset in [&mut arrays.weights, &mut arrays.bias, &mut arrays.multiplier] {
            back(offset);
        }
        if arrays.shift != selvedge_core::params::NONE {
            back(&mut arrays.shift);
        }
        params.branches.iter_mut().for_each(|branch| back(&mut branch.up));
        let (own, end) = (size_of::<DenseI8>(), step.params.len());
        step.params[..own].copy_from_slice(params.own.as_bytes());
        let from = end - params.branches.len() * size_of::<Branch>();
        step.params[from..].copy_from_slice(params.branches.as_bytes());
    }
    for (i, adapter) in later.iter().enumerate() {
        let before = if i == 0 { before } else { adapter.before - gap.len() };
        let start = adapter.start - gap.len();
        let place = format!("{before} {start} {} {}", adapter.strength, adapter.layers);
        program.meta.insert(format!("{META}{}", adapter.name), place);
    }
}
