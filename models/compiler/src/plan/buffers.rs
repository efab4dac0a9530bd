//! What a plan has to place: tensors, scratch and staged weights as ranges of bytes in time.

use super::lifetimes::{Lifetime, in_place_roots, lifetimes, peak};
use super::options::{MemoryOptions, PlanError, short};
use super::traffic::traffic;
use super::{ARENA_ALIGN, regions};
use crate::program::{Program, Storage};
use std::ops::Range;

/// A range of the arena that is taken from one point of time to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    pub bytes: usize,
    pub align: usize,
    pub life: Lifetime,
    /// Bytes that one run moves to and from it.
    pub traffic: u64,
    /// The region it has to lie in.
    pub pinned: Option<usize>,
}

/// All buffers of a program, and which one holds what.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    pub list: Vec<Buffer>,
    pub tensors: Vec<Option<usize>>,
    pub scratch: Vec<Option<usize>>,
    pub stages: Vec<Option<usize>>,
    /// The part of the weights each step reads.
    pub blocks: Vec<Range<usize>>,
    pub lifetimes: Vec<Lifetime>,
    /// Most bytes alive at one point of time, and that point.
    pub peak: (usize, usize),
}

/// Small tensors are aligned to 8 bytes, others and scratch to 16.
fn tensor_align(bytes: usize) -> usize {
    if bytes >= 64 { ARENA_ALIGN } else { 8 }
}

impl Buffers {
    pub fn of(program: &Program) -> Self {
        let lifetimes = lifetimes(program);
        let roots = in_place_roots(program);
        let traffic = traffic(program);
        let mut list: Vec<Buffer> = Vec::new();
        let mut tensors: Vec<Option<usize>> = vec![None; program.tensors.len()];
        for (index, tensor) in program.tensors.iter().enumerate() {
            if tensor.storage != Storage::Arena {
                continue;
            }
            let (root, life, bytes) = (roots[index], lifetimes[index], tensor.bytes());
            let at = *tensors[root].get_or_insert_with(|| {
                list.push(Buffer { bytes, align: tensor_align(bytes), life, traffic: 0, pinned: None });
                list.len() - 1
            });
            let buffer = &mut list[at];
            buffer.bytes = buffer.bytes.max(bytes);
            buffer.align = tensor_align(buffer.bytes);
            buffer.life = buffer.life.union(life);
            buffer.traffic += traffic.tensors[index];
            tensors[index] = Some(at);
        }
        let mut of_step = |index: usize, bytes: usize, traffic: u64| {
            let life = Lifetime { first: index + 1, last: index + 1 };
            (bytes > 0).then(|| {
                list.push(Buffer { bytes, align: ARENA_ALIGN, life, traffic, pinned: None });
                list.len() - 1
            })
        };
        let steps = || program.steps.iter().enumerate();
        let scratch = steps().map(|(i, step)| of_step(i, step.scratch_bytes, traffic.scratch[i])).collect();
        let stages = steps().map(|(i, step)| of_step(i, step.block.len(), traffic.stages[i])).collect();
        let blocks = program.steps.iter().map(|step| step.block.clone()).collect();
        let peak = peak(&list, program.steps.len());
        Buffers { list, tensors, scratch, stages, blocks, lifetimes, peak }
    }

    /// Notes which buffers have to lie in a region of the caller's choice.
    pub fn pin(&mut self, program: &Program, options: &MemoryOptions) -> Result<(), PlanError> {
        for (name, region) in &options.pins {
            let tensors = program.inputs.iter().chain(&program.outputs);
            let tensor = tensors.copied().find(|&t| program.tensors[t].name == *name);
            let index = options.regions.iter().position(|r| r.name == *region);
            let (Some(tensor), Some(index)) = (tensor, index) else {
                let names = program.inputs.iter().chain(&program.outputs);
                return Err(PlanError::UnknownPin {
                    pin: format!("{name}={region}"),
                    tensors: names.map(|&t| program.tensors[t].name.clone()).collect::<Vec<_>>().join(", "),
                    regions: regions::spell(&options.regions),
                });
            };
            if let Some(buffer) = self.tensors[tensor] {
                self.list[buffer].pinned = Some(index);
            }
        }
        Ok(())
    }

    pub fn pinned_to(&self, region: usize) -> bool {
        self.list.iter().any(|buffer| buffer.pinned == Some(region))
    }

    /// Bytes alive at a point of time, the largest first, each with a name.
    pub fn alive(&self, program: &Program, time: usize) -> Vec<(usize, String)> {
        let name = |at: usize| {
            let tensors = (0..self.tensors.len()).filter(|&t| self.tensors[t] == Some(at));
            let last = tensors.filter(|&t| self.lifetimes[t].first <= time).max_by_key(|&t| self.lifetimes[t].first);
            let scratch = self.scratch.iter().flatten().any(|&s| s == at);
            match last {
                Some(t) => format!("'{}'", short(&program.tensors[t].name)),
                None if scratch => "scratch".into(),
                None => "staged weights".into(),
            }
        };
        let living = self.list.iter().enumerate().filter(|(_, b)| b.life.first <= time && time <= b.life.last);
        let mut alive: Vec<(usize, String)> = living.map(|(at, buffer)| (buffer.bytes, name(at))).collect();
        alive.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        alive
    }
}
