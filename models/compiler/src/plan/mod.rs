//! The memory plan: an arena offset for every tensor and for every step's scratch.
//!
//! Tensors that lie on each other by in-place steps share one buffer. Scratch is
//! a buffer that lives for one step. Placement is by decreasing size into the
//! best gap, retried in perturbed orders with a fixed seed.
mod lifetimes;
mod place;
#[cfg(test)]
mod tests;

pub use lifetimes::Lifetime;
pub(crate) use lifetimes::lifetimes;

use crate::program::{Program, Storage};

/// The arena and scratch start at a multiple of this many bytes.
const ARENA_ALIGN: usize = 16;

/// Offsets of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Arena offset of each tensor; `None` for constants.
    pub offsets: Vec<Option<usize>>,
    /// Arena offset of each step's scratch; 0 for steps without.
    pub scratch: Vec<usize>,
    /// First and last point of time of each tensor.
    pub lifetimes: Vec<Lifetime>,
    /// Size of the arena: inputs, outputs and scratch included.
    pub arena_bytes: usize,
    /// Most bytes that are alive at one step: no plan of this order of steps is smaller.
    pub lower_bound: usize,
}

/// A range of the arena that is taken from one point of time to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    pub bytes: usize,
    pub align: usize,
    pub life: Lifetime,
}

/// Small tensors are aligned to 8 bytes, others and scratch to 16.
fn tensor_align(bytes: usize) -> usize {
    if bytes >= 64 { ARENA_ALIGN } else { 8 }
}

/// Plans the arena of a program.
pub fn plan_memory(program: &Program) -> MemoryPlan {
    let lifetimes = lifetimes(program);
    let roots = lifetimes::in_place_roots(program);
    let mut buffers: Vec<Buffer> = Vec::new();
    let mut buffer_of: Vec<Option<usize>> = vec![None; program.tensors.len()];
    for (index, tensor) in program.tensors.iter().enumerate() {
        if tensor.storage != Storage::Arena {
            continue;
        }
        let (root, life, bytes) = (roots[index], lifetimes[index], tensor.bytes());
        let at = *buffer_of[root].get_or_insert_with(|| {
            buffers.push(Buffer { bytes, align: tensor_align(bytes), life });
            buffers.len() - 1
        });
        let buffer = &mut buffers[at];
        buffer.bytes = buffer.bytes.max(bytes);
        buffer.align = tensor_align(buffer.bytes);
        buffer.life = buffer.life.union(life);
        buffer_of[index] = Some(at);
    }
    let mut scratch_of = vec![None; program.steps.len()];
    for (index, step) in program.steps.iter().enumerate() {
        if step.scratch_bytes > 0 {
            let life = Lifetime { first: index + 1, last: index + 1 };
            buffers.push(Buffer { bytes: step.scratch_bytes, align: ARENA_ALIGN, life });
            scratch_of[index] = Some(buffers.len() - 1);
        }
    }
    let lower_bound = lifetimes::peak(&buffers, program.steps.len());
    let placed = place::place(&buffers, lower_bound);
    MemoryPlan {
        offsets: buffer_of.iter().map(|buffer| buffer.map(|at| placed.offsets[at])).collect(),
        scratch: scratch_of.iter().map(|buffer| buffer.map_or(0, |at| placed.offsets[at])).collect(),
        lifetimes,
        arena_bytes: placed.bytes.next_multiple_of(ARENA_ALIGN),
        lower_bound,
    }
}
