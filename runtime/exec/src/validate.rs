//! Proves an artifact's records, in time linear in its steps and channels.

use core::ops::Range;

use selvedge_core::artifact::{AFTER_LAST_STEP, ALIGNMENT, NO_OPERAND, TensorView, tensor_flags};
use selvedge_core::{Artifact, Error, ErrorKind};

use crate::{Cpu, MAX_OUTPUTS, StepCtx};

/// Tensors that may be alive at one step.
pub const MAX_LIVE: usize = 64;

/// Proves everything [`Session::run`](crate::Session::run) relies on.
pub(crate) fn validate(artifact: &Artifact<'_>, cpu: &Cpu, arena: &[u8]) -> Result<(), Error> {
    if arena.len() < artifact.arena_bytes() {
        return Err(Error::new(ErrorKind::ArenaTooSmall).with(artifact.arena_bytes()));
    }
    if !(arena.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
        return Err(ErrorKind::MisalignedArena.into());
    }
    let unwritten = tensors(artifact)?;
    let mut live = Live::new();
    inputs(artifact, unwritten, &mut live)?;
    outputs(artifact)?;
    for index in 0..artifact.step_count() {
        let ctx = StepCtx::new(artifact, index)?;
        step_operands(&ctx)?;
        step_memory(&ctx, &mut live)?;
        let entry = cpu.entry(&ctx).ok_or(ctx.error(ErrorKind::OpNotLinked))?;
        (entry.validate)(&ctx)?;
    }
    Ok(())
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Checks every tensor record alone; gives the number of arena tensors no step writes.
fn tensors(artifact: &Artifact<'_>) -> Result<usize, Error> {
    let mut unwritten = 0;
    for index in 0..artifact.tensor_count() {
        let tensor = artifact.tensor(index)?;
        let bad = Error::new(ErrorKind::BadTensor).with(index);
        let record = tensor.record;
        if record.flags & tensor_flags::STATE != 0 {
            return Err(Error::new(ErrorKind::HasState).with(index));
        }
        if record.flags & !(tensor_flags::CONST | tensor_flags::QUANTIZED) != 0 || tensor.elements == 0 {
            return Err(bad);
        }
        let grid = tensor.quantization();
        if grid.is_some_and(|(scale, zp)| !(scale.is_finite() && scale > 0.0 && (-128..=255).contains(&zp))) {
            return Err(bad);
        }
        let container = if tensor.is_const() { artifact.weights().len() } else { artifact.arena_bytes() };
        let range = tensor.range();
        if range.end > container {
            return Err(Error::new(ErrorKind::OutOfBounds).with(index));
        }
        if !range.start.is_multiple_of(tensor.dtype.size()) {
            return Err(bad);
        }
        if tensor.is_const() {
            continue;
        }
        match record.defined as usize {
            0 => unwritten += 1,
            // The step it names writes it; `step_operands` proves that no other does.
            step if step <= artifact.step_count() => {
                let writer = artifact.step(step - 1)?;
                if !writer.outputs.iter().take(MAX_OUTPUTS).any(|&t| t as usize == index) {
                    return Err(Error::new(ErrorKind::BadLifetime).with(index));
                }
            }
            _ => return Err(Error::new(ErrorKind::BadLifetime).with(index)),
        }
    }
    Ok(unwritten)
}

/// Every arena tensor that no step writes is an input, and the reverse.
fn inputs(artifact: &Artifact<'_>, unwritten: usize, live: &mut Live) -> Result<(), Error> {
    for &index in artifact.inputs() {
        let tensor = artifact.tensor(index as usize)?;
        let known = live.contains(index);
        if tensor.is_const() || tensor.record.defined != 0 || known {
            return Err(Error::new(ErrorKind::BadLifetime).with(index as usize));
        }
        live.add(artifact, index, &tensor, None)?;
    }
    if artifact.inputs().len() != unwritten {
        return Err(ErrorKind::BadLifetime.into());
    }
    live.retire(artifact, 0)
}

/// Outputs survive the last step.
fn outputs(artifact: &Artifact<'_>) -> Result<(), Error> {
    for &index in artifact.outputs() {
        let tensor = artifact.tensor(index as usize)?;
        if !tensor.is_const() && tensor.record.last_use != AFTER_LAST_STEP {
            return Err(Error::new(ErrorKind::BadLifetime).with(index as usize));
        }
    }
    Ok(())
}

/// Operands exist, inputs are alive, outputs are written here and only here.
fn step_operands(ctx: &StepCtx<'_>) -> Result<(), Error> {
    let (step, now) = (ctx.step(), ctx.index() + 1);
    let dead = |tensor: u16| Error::new(ErrorKind::BadLifetime).at_step(ctx.index()).with(tensor as usize);
    for &index in step.inputs {
        if index == NO_OPERAND {
            continue;
        }
        let tensor = ctx.artifact().tensor(index as usize).map_err(|e| e.at_step(ctx.index()))?;
        let alive = (tensor.record.defined as usize) < now && now <= tensor.record.last_use as usize;
        if !tensor.is_const() && !alive {
            return Err(dead(index));
        }
    }
    ctx.require((1..=MAX_OUTPUTS).contains(&step.outputs.len()))?;
    for (i, &index) in step.outputs.iter().enumerate() {
        let tensor = ctx.artifact().tensor(index as usize).map_err(|e| e.at_step(ctx.index()))?;
        let twice = step.outputs.iter().take(i).any(|&other| other == index);
        if tensor.is_const() || tensor.record.defined as usize != now || twice {
            return Err(dead(index));
        }
    }
    Ok(())
}

/// Outputs and scratch share memory with nothing that is alive, but for the input of an in-place step.
fn step_memory(ctx: &StepCtx<'_>, live: &mut Live) -> Result<(), Error> {
    let (step, artifact) = (ctx.step(), ctx.artifact());
    let mut replaced = None;
    if let Some(i) = ctx.in_place() {
        let index = *step.inputs.get(i).ok_or(ctx.bad())?;
        let (input, output) = (ctx.input(i)?, ctx.output(0)?);
        let same = input.record.offset == output.record.offset && output.bytes() <= input.bytes();
        let dies = input.record.last_use as usize == ctx.index() + 1;
        ctx.require(!input.is_const() && same && dies)?;
        replaced = Some(index);
    }
    for (i, &index) in step.outputs.iter().enumerate() {
        let tensor = artifact.tensor(index as usize)?;
        let on = if i == 0 { replaced } else { None };
        live.add(artifact, index, &tensor, on).map_err(|e| e.at_step(ctx.index()))?;
    }
    let scratch = step.record.scratch as usize;
    let bytes = step.record.scratch_bytes as usize;
    if bytes > 0 {
        let end = scratch.checked_add(bytes).filter(|&end| end <= artifact.arena_bytes());
        let end = end.ok_or(ctx.error(ErrorKind::OutOfBounds))?;
        ctx.require(scratch.is_multiple_of(ALIGNMENT))?;
        if live.overlaps(artifact, &(scratch..end), None)? {
            return Err(ctx.error(ErrorKind::Overlap));
        }
    }
    live.retire(artifact, ctx.index() + 1)
}

/// The tensors whose memory is taken.
struct Live {
    tensors: [u16; MAX_LIVE],
    len: usize,
}

impl Live {
    fn new() -> Self {
        Live { tensors: [0; MAX_LIVE], len: 0 }
    }

    fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.tensors.iter().take(self.len).copied()
    }

    fn contains(&self, tensor: u16) -> bool {
        self.iter().any(|t| t == tensor)
    }

    /// Whether a live tensor other than `except` has a byte in the range.
    fn overlaps(&self, artifact: &Artifact<'_>, range: &Range<usize>, except: Option<u16>) -> Result<bool, Error> {
        for index in self.iter().filter(|&t| Some(t) != except) {
            if overlap(&artifact.tensor(index as usize)?.range(), range) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes memory for a tensor; it may lie on `except`.
    fn add(
        &mut self,
        artifact: &Artifact<'_>,
        index: u16,
        tensor: &TensorView<'_>,
        except: Option<u16>,
    ) -> Result<(), Error> {
        if self.overlaps(artifact, &tensor.range(), except)? {
            return Err(Error::new(ErrorKind::Overlap).with(index as usize));
        }
        let slot = self.tensors.get_mut(self.len).ok_or(Error::new(ErrorKind::TooManyLive).with(MAX_LIVE))?;
        *slot = index;
        self.len += 1;
        Ok(())
    }

    /// Gives up the memory of tensors that are not used after time `now`.
    fn retire(&mut self, artifact: &Artifact<'_>, now: usize) -> Result<(), Error> {
        let mut kept = 0;
        for i in 0..self.len {
            let Some(&index) = self.tensors.get(i) else { break };
            if artifact.tensor(index as usize)?.record.last_use as usize > now {
                if let Some(slot) = self.tensors.get_mut(kept) {
                    *slot = index;
                }
                kept += 1;
            }
        }
        self.len = kept;
        Ok(())
    }
}
