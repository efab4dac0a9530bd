//! Oracle: brute force over pairs of tensors and over points of time.

use super::*;
use crate::program::{ProgramStep, ProgramTensor, Storage};
use selvedge_core::{DType, Format, OpCode};

pub(super) fn tensor(bytes: usize) -> ProgramTensor {
    let storage = Storage::Arena;
    ProgramTensor {
        name: String::new(),
        dtype: DType::I8,
        dims: vec![bytes],
        quant: None,
        storage,
        perm: None,
        channels: None,
    }
}

pub(super) fn step(inputs: &[usize], outputs: &[usize], scratch: usize, in_place: Option<u8>) -> ProgramStep {
    ProgramStep {
        op: OpCode::Reshape,
        format: Format::Any,
        flags: 0,
        inputs: inputs.iter().map(|&i| Some(i)).collect(),
        outputs: outputs.to_vec(),
        params: Vec::new(),
        scratch_bytes: scratch,
        in_place,
        name: String::new(),
        macs: 0,
        weights_bytes: 0,
        kernel: String::new(),
        block: 0..0,
    }
}

/// No two tensors that are alive together share a byte, unless one lies on the other by an in-place step.
pub(super) fn check(program: &Program, plan: &MemoryPlan) {
    let n = program.tensors.len();
    let roots = lifetimes::in_place_roots(program);
    let range = |i: usize| {
        let start = plan.offsets[i].expect("arena tensor");
        start..start + program.tensors[i].bytes()
    };
    let apart = |a: &std::ops::Range<usize>, b: &std::ops::Range<usize>| {
        a.end <= b.start || b.end <= a.start || a.is_empty() || b.is_empty()
    };
    for i in 0..n {
        assert!(range(i).end <= plan.arena_bytes);
        for j in 0..i {
            if roots[i] != roots[j] && plan.lifetimes[i].overlaps(plan.lifetimes[j]) {
                assert!(apart(&range(i), &range(j)), "tensors {i} and {j}");
            }
        }
    }
    for (index, step) in program.steps.iter().enumerate() {
        let scratch = plan.scratch[index]..plan.scratch[index] + step.scratch_bytes;
        assert!(scratch.start.is_multiple_of(16) && scratch.end <= plan.arena_bytes);
        for i in (0..n).filter(|&i| plan.lifetimes[i].first <= index + 1 && plan.lifetimes[i].last > index) {
            assert!(apart(&scratch, &range(i)), "scratch of step {index} and tensor {i}");
        }
    }
    assert!(plan.arena_bytes >= plan.lower_bound);
}

#[test]
fn a_chain_needs_its_largest_pair() {
    let mut program = Program { tensors: [640, 128, 128, 8, 128, 640].map(tensor).into(), ..Program::default() };
    program.steps = (0..5).map(|i| step(&[i], &[i + 1], 0, None)).collect();
    (program.inputs, program.outputs) = (vec![0], vec![5]);
    let plan = plan_memory(&program);
    check(&program, &plan);
    assert_eq!((plan.arena_bytes, plan.lower_bound), (768, 768));
}

#[test]
fn in_place_steps_share_one_buffer() {
    // x → a; add(a, x) on x; a residual block in two buffers and scratch.
    let mut program = Program { tensors: [4096, 4096, 4096, 4096].map(tensor).into(), ..Program::default() };
    program.steps = vec![step(&[0], &[1], 64, None), step(&[1, 0], &[2], 64, Some(1)), step(&[2], &[3], 0, Some(0))];
    (program.inputs, program.outputs) = (vec![0], vec![3]);
    let plan = plan_memory(&program);
    check(&program, &plan);
    assert_eq!(plan.arena_bytes, 2 * 4096 + 64);
    assert_eq!(plan.offsets[0], plan.offsets[3]);
}

/// Numbers below `n`, the same for the same seed.
pub(super) fn next_of(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    }
}

pub(super) fn random_program(next: &mut impl FnMut(usize) -> usize) -> Program {
    let mut program = Program { tensors: vec![tensor(1 + next(300)), tensor(next(300))], ..Program::default() };
    program.inputs = vec![0, 1];
    for _ in 0..3 + next(20) {
        let made = program.tensors.len();
        let inputs = [next(made), next(made)];
        program.tensors.push(tensor(next(500)));
        program.steps.push(step(&inputs, &[made], next(3) * 20, None));
    }
    program.outputs = vec![program.tensors.len() - 1, 2];
    program
}

#[test]
fn random_programs_never_overlap() {
    let mut next = next_of(7);
    for _ in 0..60 {
        let program = random_program(&mut next);
        let plan = plan_memory(&program);
        check(&program, &plan);
        assert_eq!(plan, plan_memory(&program), "the seed is fixed");
    }
}
