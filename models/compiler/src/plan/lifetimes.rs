//! When tensors live. Point of time 0 is before the first step (inputs are
//! written there), `1 + i` is step `i`, `1 + steps` is after the last.

use super::buffers::Buffer;
use crate::program::Program;

/// Inclusive points of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    pub first: usize,
    pub last: usize,
}

impl Lifetime {
    pub fn overlaps(self, other: Lifetime) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    pub(crate) fn union(self, other: Lifetime) -> Lifetime {
        Lifetime { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// Lifetime of each tensor; that of a constant is of no use.
pub(crate) fn lifetimes(program: &Program) -> Vec<Lifetime> {
    let mut lives = vec![Lifetime { first: 0, last: 0 }; program.tensors.len()];
    for (index, step) in program.steps.iter().enumerate() {
        for &output in &step.outputs {
            lives[output] = Lifetime { first: index + 1, last: index + 1 };
        }
        for &input in step.inputs.iter().flatten() {
            lives[input].last = lives[input].last.max(index + 1);
        }
    }
    for &output in &program.outputs {
        lives[output].last = program.steps.len() + 1;
    }
    lives
}

/// For each tensor the first tensor of the chain of in-place steps it belongs to.
pub(crate) fn in_place_roots(program: &Program) -> Vec<usize> {
    let mut roots: Vec<usize> = (0..program.tensors.len()).collect();
    for step in &program.steps {
        let input = step.in_place.and_then(|input| step.inputs.get(input as usize).copied().flatten());
        if let (Some(input), Some(&output)) = (input, step.outputs.first()) {
            roots[output] = roots[input];
        }
    }
    roots
}

/// Most bytes alive at one point of time, and the first such point.
pub(crate) fn peak(buffers: &[Buffer], steps: usize) -> (usize, usize) {
    let mut change = vec![0isize; steps + 3];
    for buffer in buffers {
        change[buffer.life.first] += buffer.bytes as isize;
        change[buffer.life.last + 1] -= buffer.bytes as isize;
    }
    let (mut live, mut most) = (0, (0, 0));
    for (time, delta) in change.into_iter().enumerate() {
        live += delta;
        if live > most.0 {
            most = (live, time);
        }
    }
    (most.0 as usize, most.1)
}
