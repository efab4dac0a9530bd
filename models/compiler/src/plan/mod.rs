//! The memory plan: an arena offset for every tensor and for every step's scratch.
//!
//! Tensors that lie on each other by in-place steps share one buffer. Scratch is
//! a buffer that lives for one step, and so is the place that a step's weights are read to
//! where they are staged. Placement is by decreasing size into the best gap, retried in
//! perturbed orders with a fixed seed. Over two memory regions the buffers are divided so that
//! the first, the fast one, carries the most traffic.
mod buffers;
mod lifetimes;
mod options;
mod place;
#[cfg(test)]
mod region_tests;
mod regions;
#[cfg(test)]
mod tests;
mod traffic;

pub use lifetimes::Lifetime;
pub(crate) use lifetimes::lifetimes;
pub(crate) use options::short;
pub use options::{MemoryOptions, PlanError, Region};

use crate::program::Program;
use buffers::Buffers;
use selvedge_core::artifact::StageRecord;

/// The arena and scratch start at a multiple of this many bytes.
const ARENA_ALIGN: usize = 16;

/// Offsets of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Arena offset of each tensor; `None` for constants.
    pub offsets: Vec<Option<usize>>,
    /// Arena offset of each step's scratch; 0 for steps without.
    pub scratch: Vec<usize>,
    /// Where each step's weights are read to; empty where they are not staged.
    pub stages: Vec<StageRecord>,
    /// First and last point of time of each tensor.
    pub lifetimes: Vec<Lifetime>,
    /// Size of the arena: inputs, outputs and scratch included, both regions together.
    pub arena_bytes: usize,
    /// Size of each region; the second is 0 where the arena is one. Offsets count through the
    /// first into the second.
    pub region_bytes: [usize; 2],
    /// Bytes that one run moves in each region, by a model of the kernels.
    pub traffic: [u64; 2],
    /// Most bytes that are alive at one step: no plan of this order of steps is smaller.
    pub lower_bound: usize,
}

/// Plans the arena of a program in one region without a limit.
pub fn plan_memory(program: &Program) -> MemoryPlan {
    let buffers = Buffers::of(program);
    let placed = place::place(&buffers.list, buffers.peak.0);
    one_region(&buffers, placed)
}

/// Plans the arena of a program in the memory that a device has.
///
/// # Errors
/// [`PlanError`] with the bytes needed, the bytes there are, and the step that needs most.
pub fn plan_memory_in(program: &Program, options: &MemoryOptions) -> Result<MemoryPlan, PlanError> {
    options.check()?;
    let mut buffers = Buffers::of(program);
    buffers.pin(program, options)?;
    let limit = |region| options.limit(region);
    if options.regions.len() < 2 || !buffers.pinned_to(1) {
        let placed = place::place(&buffers.list, buffers.peak.0);
        if placed.bytes <= limit(0) {
            return Ok(one_region(&buffers, placed));
        }
        if options.regions.len() < 2 {
            return Err(PlanError::over(program, &buffers, options, placed.bytes));
        }
    }
    let divided = regions::divide(&buffers.list, [limit(0), limit(1)]);
    if let Some(broken) = regions::broken_pin(&buffers.list, &divided) {
        return Err(PlanError::pin(program, &buffers, options, broken));
    }
    if divided.bytes[1] > limit(1) {
        return Err(PlanError::over(program, &buffers, options, divided.bytes[1]));
    }
    let [first, second] = divided.bytes.map(|bytes| bytes.next_multiple_of(ARENA_ALIGN));
    // A first region of no bytes cannot be told from an arena in one region.
    let region_bytes = [first.max(ARENA_ALIGN), second];
    let offset = |at: usize| divided.offsets[at] + divided.region[at] * region_bytes[0];
    let traffic = [0, 1].map(|region| {
        let members = buffers.list.iter().zip(&divided.region).filter(|&(_, &r)| r == region);
        members.map(|(buffer, _)| buffer.traffic).sum()
    });
    Ok(plan(&buffers, &offset, region_bytes, traffic))
}

fn one_region(buffers: &Buffers, placed: place::Placed) -> MemoryPlan {
    let bytes = placed.bytes.next_multiple_of(ARENA_ALIGN);
    let traffic = buffers.list.iter().map(|buffer| buffer.traffic).sum();
    plan(buffers, &|at| placed.offsets[at], [bytes, 0], [traffic, 0])
}

fn plan(buffers: &Buffers, offset: &dyn Fn(usize) -> usize, region_bytes: [usize; 2], traffic: [u64; 2]) -> MemoryPlan {
    let stage = |(stage, block): (&Option<usize>, &std::ops::Range<usize>)| StageRecord {
        weights: block.start as u32,
        bytes: block.len() as u32,
        arena: stage.map_or(0, offset) as u32,
    };
    let staged = buffers.stages.iter().any(Option::is_some);
    MemoryPlan {
        offsets: buffers.tensors.iter().map(|buffer| buffer.map(offset)).collect(),
        scratch: buffers.scratch.iter().map(|buffer| buffer.map_or(0, offset)).collect(),
        stages: if staged { buffers.stages.iter().zip(&buffers.blocks).map(stage).collect() } else { Vec::new() },
        lifetimes: buffers.lifetimes.clone(),
        arena_bytes: region_bytes[0] + region_bytes[1],
        region_bytes,
        traffic,
        lower_bound: buffers.peak.0,
    }
}
