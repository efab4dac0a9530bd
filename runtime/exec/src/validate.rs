//! Proves an artifact's records, in time linear in its steps and channels.

use core::ops::Range;

use selvedge_core::artifact::{
    AFTER_LAST_STEP, ALIGNMENT, NO_OPERAND, StageRecord, StateRecord, TensorRecord, tensor_flags,
};
use selvedge_core::{Artifact, DType, Error, ErrorKind};

use crate::{Cpu, MAX_OUTPUTS, Regions, StepCtx};

/// Tensors that may be alive at one step.
pub const MAX_LIVE: usize = 64;

/// Checks that a region of the arena has the bytes it needs, aligned.
pub(crate) fn memory(region: &[u8], needed: usize) -> Result<(), Error> {
    if region.len() < needed {
        return Err(Error::new(ErrorKind::ArenaTooSmall).with(needed));
    }
    if needed > 0 && !(region.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
        return Err(ErrorKind::MisalignedArena.into());
    }
    Ok(())
}

/// The arena in two regions, as the artifact divides it.
pub(crate) fn regions<'a>(
    artifact: &Artifact<'_>,
    first: &'a mut [u8],
    second: &'a mut [u8],
) -> Result<Regions<'a>, Error> {
    let [split, rest] = artifact.region_bytes();
    memory(first, split)?;
    memory(second, rest)?;
    Ok(Regions::two(first, second, split))
}

/// Proves everything [`Session::run`](crate::Session::run) relies on.
pub(crate) fn validate(artifact: &Artifact<'_>, cpu: &Cpu) -> Result<(), Error> {
    stateless(artifact)?;
    records(artifact, artifact.weights().len(), |ctx, _| cpu.validate(ctx))
}

/// As [`validate`], of an artifact that may keep state; gives the bytes of all states.
pub(crate) fn validate_stream(artifact: &Artifact<'_>, cpu: &Cpu) -> Result<usize, Error> {
    records(artifact, artifact.weights().len(), |ctx, _| cpu.validate(ctx))?;
    states(artifact)
}

/// Refuses an artifact with state.
pub(crate) fn stateless(artifact: &Artifact<'_>) -> Result<(), Error> {
    match artifact.states().first() {
        Some(state) => Err(Error::new(ErrorKind::HasState).with(state.input as usize)),
        None => Ok(()),
    }
}

/// Proves the states: an input and an output of one type and shape, no tensor in two of them.
fn states(artifact: &Artifact<'_>) -> Result<usize, Error> {
    let (mut bytes, mut flagged) = (0usize, 0);
    for (i, state) in artifact.states().iter().enumerate() {
        let bad = Error::new(ErrorKind::BadTensor).with(state.input as usize);
        let (input, output) = (artifact.tensor(state.input as usize)?, artifact.tensor(state.output as usize)?);
        let listed = artifact.inputs().contains(&state.input) && artifact.outputs().contains(&state.output);
        let alone = artifact.states().iter().take(i).all(|s| s.input != state.input && s.output != state.output);
        let flag = |record: &TensorRecord| record.flags & tensor_flags::STATE != 0;
        let grids = input.quantization() == output.quantization();
        let same = (input.dtype, input.dims) == (output.dtype, output.dims) && grids;
        if !(listed && alone && same && flag(input.record) && flag(output.record) && !output.is_const()) {
            return Err(bad);
        }
        if state.initial != StateRecord::ZEROS {
            let initial = artifact.weights().get(state.initial as usize..).and_then(|rest| rest.get(..input.bytes()));
            initial.ok_or(Error::new(ErrorKind::OutOfBounds).with(state.input as usize))?;
        }
        bytes = bytes.checked_add(input.bytes()).ok_or(bad)?;
        flagged += if state.input == state.output { 1 } else { 2 };
    }
    let all = (0..artifact.tensor_count()).filter_map(|i| artifact.record(i).ok());
    let all = all.filter(|record| record.flags & tensor_flags::STATE != 0).count();
    if all == flagged { Ok(bytes) } else { Err(ErrorKind::BadTensor.into()) }
}

/// Proves the records; `op` proves a step for its op, and sees the tensors alive during it.
pub(crate) fn records(
    artifact: &Artifact<'_>,
    weights_bytes: usize,
    mut op: impl FnMut(&StepCtx<'_>, &Live) -> Result<(), Error>,
) -> Result<(), Error> {
    let (unwritten, written) = tensors(artifact, weights_bytes)?;
    let mut live = Live::new();
    inputs(artifact, unwritten, &mut live)?;
    outputs(artifact)?;
    let mut outputs_seen = 0;
    for index in 0..artifact.step_count() {
        let ctx = StepCtx::new(artifact, index)?;
        step_operands(&ctx)?;
        step_memory(&ctx, &mut live)?;
        op(&ctx, &live)?;
        live.retire(index + 1);
        outputs_seen += ctx.step().outputs.len();
    }
    // A step's outputs are those that name it (`step_operands`), so that no tensor was seen twice.
    if outputs_seen == written { Ok(()) } else { Err(ErrorKind::BadLifetime.into()) }
}

/// End of the region that holds this byte of the arena.
fn region_end(artifact: &Artifact<'_>, start: usize) -> usize {
    let [first, _] = artifact.region_bytes();
    if start < first { first } else { artifact.arena_bytes() }
}

/// Bytes of the arena of a tensor whose record [`tensors`] has proved: they fit 32 bits.
fn proved_range(record: &TensorRecord) -> Range<usize> {
    let dims = record.dims.get(..record.rank as usize).unwrap_or_default();
    let elements = dims.iter().fold(1u32, |n, &d| n.wrapping_mul(d)) as usize;
    let start = record.offset as usize;
    start..start.wrapping_add(elements.wrapping_mul(DType::from_u8(record.dtype).map_or(0, DType::size)))
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Checks every tensor record alone; gives the numbers of arena tensors that no step writes, and
/// of those that some step does.
fn tensors(artifact: &Artifact<'_>, weights_bytes: usize) -> Result<(usize, usize), Error> {
    let (mut unwritten, mut written) = (0, 0);
    let ([first, _], arena_bytes) = (artifact.region_bytes(), artifact.arena_bytes());
    for index in 0..artifact.tensor_count() {
        let tensor = artifact.tensor(index)?;
        let bad = || Error::new(ErrorKind::BadTensor).with(index);
        let record = tensor.record;
        if record.flags & !(tensor_flags::CONST | tensor_flags::QUANTIZED | tensor_flags::STATE) != 0 {
            return Err(bad());
        }
        // Only `states` proves what a section of states says of a tensor.
        if record.flags & tensor_flags::STATE != 0 && artifact.states().is_empty() {
            return Err(Error::new(ErrorKind::HasState).with(index));
        }
        // Bits of the positive, finite floats.
        let positive = (1..f32::INFINITY.to_bits()).contains(&record.scale.to_bits());
        let quantized = record.flags & tensor_flags::QUANTIZED != 0;
        if tensor.elements == 0 || quantized && !(positive && (-128..=255).contains(&record.zero_point)) {
            return Err(bad());
        }
        let range = tensor.range();
        let container = match record.is_const() {
            true => weights_bytes,
            false if range.start < first => first,
            false => arena_bytes,
        };
        if range.end > container {
            return Err(Error::new(ErrorKind::OutOfBounds).with(index));
        }
        if range.start & (tensor.dtype.size() - 1) != 0 {
            return Err(bad());
        }
        if tensor.is_const() {
            continue;
        }
        match record.defined as usize {
            0 => unwritten += 1,
            step if step <= artifact.step_count() => written += 1,
            _ => return Err(Error::new(ErrorKind::BadLifetime).with(index)),
        }
    }
    Ok((unwritten, written))
}

/// Every arena tensor that no step writes is an input, and the reverse.
fn inputs(artifact: &Artifact<'_>, unwritten: usize, live: &mut Live) -> Result<(), Error> {
    for &index in artifact.inputs() {
        let tensor = artifact.tensor(index as usize)?;
        let known = live.iter().any(|taken| taken.tensor == index);
        if tensor.is_const() || tensor.record.defined != 0 || known {
            return Err(Error::new(ErrorKind::BadLifetime).with(index as usize));
        }
        live.add(index, tensor.record, NO_OPERAND)?;
    }
    if artifact.inputs().len() != unwritten {
        return Err(ErrorKind::BadLifetime.into());
    }
    live.retire(0);
    Ok(())
}

/// Outputs survive the last step.
fn outputs(artifact: &Artifact<'_>) -> Result<(), Error> {
    for &index in artifact.outputs() {
        let record = artifact.record(index as usize)?;
        if !record.is_const() && record.last_use != AFTER_LAST_STEP {
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
        let record = ctx.artifact().record(index as usize).map_err(|e| e.at_step(ctx.index()))?;
        let alive = (record.defined as usize) < now && now <= record.last_use as usize;
        if !record.is_const() && !alive {
            return Err(dead(index));
        }
    }
    ctx.require((1..=MAX_OUTPUTS).contains(&step.outputs.len()))?;
    for (i, &index) in step.outputs.iter().enumerate() {
        let record = ctx.artifact().record(index as usize).map_err(|e| e.at_step(ctx.index()))?;
        let twice = step.outputs.iter().take(i).any(|&other| other == index);
        if record.is_const() || record.defined as usize != now || twice {
            return Err(dead(index));
        }
    }
    Ok(())
}

/// Outputs and scratch share memory with nothing that is alive, but for the input of an in-place step.
fn step_memory(ctx: &StepCtx<'_>, live: &mut Live) -> Result<(), Error> {
    let (step, artifact) = (ctx.step(), ctx.artifact());
    let mut replaced = NO_OPERAND;
    if let Some(i) = ctx.in_place() {
        let index = *step.inputs.get(i).ok_or(ctx.bad())?;
        let (input, output) = (ctx.input(i)?, ctx.output(0)?);
        let same = input.record.offset == output.record.offset && output.bytes() <= input.bytes();
        let dies = input.record.last_use as usize == ctx.index() + 1;
        ctx.require(!input.is_const() && same && dies)?;
        replaced = index;
    }
    for (i, &index) in step.outputs.iter().enumerate() {
        let on = if i == 0 { replaced } else { NO_OPERAND };
        live.add(index, artifact.record(index as usize)?, on).map_err(|e| e.at_step(ctx.index()))?;
    }
    let scratch = step.record.scratch as usize;
    let bytes = step.record.scratch_bytes as usize;
    if bytes > 0 {
        let end = scratch.checked_add(bytes).filter(|&end| end <= region_end(artifact, scratch));
        let end = end.ok_or_else(|| ctx.error(ErrorKind::OutOfBounds))?;
        ctx.require(scratch.is_multiple_of(ALIGNMENT))?;
        if live.overlaps(&(scratch..end), NO_OPERAND) {
            return Err(ctx.error(ErrorKind::Overlap));
        }
    }
    Ok(())
}

/// A tensor whose memory is taken.
#[derive(Clone, Copy, Default)]
struct Taken {
    /// Bytes of the arena, fewer than 2^32.
    start: u32,
    end: u32,
    tensor: u16,
    last_use: u16,
}

/// The tensors whose memory is taken.
pub(crate) struct Live {
    taken: [Taken; MAX_LIVE],
    len: usize,
}

impl Live {
    fn new() -> Self {
        Live { taken: [Taken::default(); MAX_LIVE], len: 0 }
    }

    fn iter(&self) -> impl Iterator<Item = &Taken> {
        self.taken.get(..self.len).unwrap_or_default().iter()
    }

    /// Whether a live tensor other than `except` (or [`NO_OPERAND`]) has a byte in the range.
    fn overlaps(&self, range: &Range<usize>, except: u16) -> bool {
        let inside = |t: &Taken| range.start < t.end as usize && (t.start as usize) < range.end;
        self.iter().any(|t| inside(t) && t.tensor != except)
    }

    /// Takes memory for a tensor whose record `tensors` has proved; it may lie on `except`.
    fn add(&mut self, index: u16, record: &TensorRecord, except: u16) -> Result<(), Error> {
        let range = proved_range(record);
        if self.overlaps(&range, except) {
            return Err(Error::new(ErrorKind::Overlap).with(index as usize));
        }
        let slot = self.taken.get_mut(self.len).ok_or_else(|| Error::new(ErrorKind::TooManyLive).with(MAX_LIVE))?;
        let last_use = record.last_use;
        *slot = Taken { start: range.start as u32, end: range.end as u32, tensor: index, last_use };
        self.len += 1;
        Ok(())
    }

    /// Proves that the weights of a step lie in the section, hold its constant operands, and are
    /// read to memory that is not taken.
    pub(crate) fn prove_stage(
        &self,
        ctx: &StepCtx<'_>,
        stage: &StageRecord,
        weights_bytes: usize,
    ) -> Result<(), Error> {
        let (artifact, record) = (ctx.artifact(), ctx.step().record);
        let range = |start: u32, bytes: u32| start as usize..(start as usize).saturating_add(bytes as usize);
        let (from, to) = (range(stage.weights, stage.bytes), range(stage.arena, stage.bytes));
        if from.end > weights_bytes || to.end > region_end(artifact, to.start) {
            return Err(ctx.error(ErrorKind::OutOfBounds));
        }
        ctx.require(to.start.is_multiple_of(ALIGNMENT) && from.start.is_multiple_of(ALIGNMENT))?;
        let scratch = range(record.scratch, record.scratch_bytes);
        if stage.bytes > 0 && (self.overlaps(&to, NO_OPERAND) || overlap(&scratch, &to)) {
            return Err(ctx.error(ErrorKind::Overlap));
        }
        for &index in ctx.step().inputs.iter().filter(|&&index| index != NO_OPERAND) {
            let tensor = artifact.tensor(index as usize)?;
            let range = tensor.range();
            ctx.require(!tensor.is_const() || (from.start <= range.start && range.end <= from.end))?;
        }
        Ok(())
    }

    /// Gives up the memory of tensors that are not used after time `now`.
    fn retire(&mut self, now: usize) {
        let mut i = 0;
        while i < self.len {
            let last = self.taken.get(self.len - 1).copied();
            let (Some(taken), Some(last)) = (self.taken.get_mut(i), last) else { return };
            if taken.last_use as usize > now {
                i += 1;
            } else {
                // By field: a copy of a whole element that may be the same one links memmove.
                (taken.start, taken.end, taken.tensor, taken.last_use) =
                    (last.start, last.end, last.tensor, last.last_use);
                self.len -= 1;
            }
        }
    }
}
