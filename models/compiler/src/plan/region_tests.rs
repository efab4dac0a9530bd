//! Plans over limits and regions. Oracle: brute force over pairs of buffers and points of time.

use super::tests::{check, next_of, random_program, step, tensor};
use super::*;

fn region(name: &str, bytes: usize) -> Region {
    Region { name: name.into(), bytes }
}

fn fast_slow(fast: usize, slow: usize) -> MemoryOptions {
    MemoryOptions { regions: vec![region("fast", fast), region("slow", slow)], pins: Vec::new() }
}

fn in_fast(plan: &MemoryPlan, tensor: usize) -> bool {
    plan.offsets[tensor].expect("arena tensor") < plan.region_bytes[0]
}

/// Everything lies wholly in one region and under the limits.
fn check_regions(program: &Program, plan: &MemoryPlan, options: &MemoryOptions) {
    check(program, plan);
    let [first, second] = plan.region_bytes;
    assert_eq!(first + second, plan.arena_bytes);
    assert!(first <= options.regions[0].bytes && second <= options.regions.get(1).map_or(0, |r| r.bytes));
    assert!(first.is_multiple_of(16) && second.is_multiple_of(16));
    let whole = |start: usize, bytes: usize| assert!(bytes == 0 || start >= first || start + bytes <= first);
    for (tensor, offset) in program.tensors.iter().zip(&plan.offsets) {
        offset.iter().for_each(|&at| whole(at, tensor.bytes()));
    }
    program.steps.iter().zip(&plan.scratch).for_each(|(step, &at)| whole(at, step.scratch_bytes));
    for (index, stage) in plan.stages.iter().enumerate() {
        let (start, bytes) = (stage.arena as usize, stage.bytes as usize);
        whole(start, bytes);
        assert!(start.is_multiple_of(16) && start + bytes <= plan.arena_bytes);
        assert_eq!(bytes, program.steps[index].block.len());
        let apart = |at: usize, len: usize| len == 0 || bytes == 0 || at + len <= start || start + bytes <= at;
        assert!(apart(plan.scratch[index], program.steps[index].scratch_bytes), "stage and scratch of step {index}");
        for (t, tensor) in program.tensors.iter().enumerate() {
            let alive = plan.lifetimes[t].first <= index + 1 && index < plan.lifetimes[t].last;
            assert!(
                !alive || apart(plan.offsets[t].expect("arena tensor"), tensor.bytes()),
                "stage {index}, tensor {t}"
            );
        }
    }
}

/// A chain of tensors, each the input of one step.
fn chain(bytes: &[usize]) -> Program {
    let mut program = Program { tensors: bytes.iter().map(|&n| tensor(n)).collect(), ..Program::default() };
    program.steps = (0..bytes.len() - 1).map(|i| step(&[i], &[i + 1], 0, None)).collect();
    (program.inputs, program.outputs) = (vec![0], vec![bytes.len() - 1]);
    program
}

#[test]
fn what_fits_the_fast_region_is_a_plan_of_one_region() {
    let program = chain(&[640, 128, 128, 640]);
    let plan = plan_memory_in(&program, &fast_slow(1024, 4096)).expect("fits");
    assert_eq!(plan, plan_memory(&program));
    assert_eq!(plan.region_bytes, [768, 0]);
}

#[test]
fn a_limit_is_refused_with_the_bytes_and_the_step_of_the_peak() {
    let program = chain(&[64, 640, 128, 640]);
    let options = MemoryOptions { regions: vec![region("sram", 700)], pins: Vec::new() };
    let error = plan_memory_in(&program, &options).expect_err("too small");
    let PlanError::TooSmall { needed, available, bytes_at, at, alive, .. } = &error else { panic!("{error}") };
    assert_eq!((*needed, *available, *bytes_at), (768, 700, 768));
    assert_eq!((at.as_str(), alive.as_str()), ("step 1 ''", "'' 640, '' 128"));
    assert!(error.to_string().contains("needs 768 bytes of 'sram', 68 more than its 700"), "{error}");
}

#[test]
fn the_busiest_tensors_lie_in_fast_memory() {
    // A small tensor that six steps read beside large ones that two steps touch.
    let mut program = Program { tensors: [4096, 512, 4096, 4096].map(tensor).into(), ..Program::default() };
    program.steps = vec![step(&[0], &[1], 0, None), step(&[0, 1], &[2], 0, None)];
    program.steps.extend((0..5).map(|_| step(&[2, 1], &[3], 0, None)));
    for i in 3..7 {
        program.tensors.push(tensor(64));
        program.steps[i].outputs = vec![program.tensors.len() - 1];
    }
    (program.inputs, program.outputs) = (vec![0], vec![3]);
    let options = fast_slow(1024, 16_384);
    let plan = plan_memory_in(&program, &options).expect("fits");
    check_regions(&program, &plan, &options);
    assert!(in_fast(&plan, 1));
    assert!(!in_fast(&plan, 0) && !in_fast(&plan, 2));
    assert!(plan.traffic[0] >= 512 * 7);
}

#[test]
fn two_regions_hold_what_neither_could() {
    let program = chain(&[1000, 600, 1000, 600, 1000]);
    let options = fast_slow(608, 1008);
    let plan = plan_memory_in(&program, &options).expect("fits");
    check_regions(&program, &plan, &options);
    assert_eq!(plan.region_bytes, [608, 1008]);
    let error = plan_memory_in(&program, &fast_slow(592, 1008)).expect_err("600 bytes fit neither");
    assert!(error.to_string().contains("needs 1616 bytes of 'slow'"), "{error}");
}

#[test]
fn a_pinned_tensor_lies_where_it_was_asked_for() {
    let mut program = chain(&[640, 128, 128, 640]);
    for (tensor, name) in program.tensors.iter_mut().zip(["x", "a", "b", "y"]) {
        tensor.name = name.into();
    }
    let with = |pins: &[(&str, &str)], fast, slow| {
        let pins = pins.iter().map(|(t, r)| (t.to_string(), r.to_string())).collect();
        plan_memory_in(&program, &MemoryOptions { pins, ..fast_slow(fast, slow) })
    };
    let plan = with(&[("x", "slow")], 4096, 4096).expect("fits");
    assert!(!in_fast(&plan, 0) && (1..4).all(|t| in_fast(&plan, t)));
    let plan = with(&[("y", "fast")], 656, 4096).expect("fits");
    assert!(in_fast(&plan, 3));
    let error = with(&[("y", "fast")], 512, 4096).expect_err("too large").to_string();
    assert!(error.contains("'y' (640 bytes) cannot lie in 'fast' (512 bytes there"), "{error}");
    let error = with(&[("a", "fast")], 512, 4096).expect_err("no input or output").to_string();
    assert!(error.contains("inputs and outputs are x, y"), "{error}");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let program = chain(&[64, 64]);
    let plan = |regions| plan_memory_in(&program, &MemoryOptions { regions, pins: Vec::new() });
    assert_eq!(plan(vec![region("a", 64), region("a", 64)]), Err(PlanError::SameName("a".into())));
    assert_eq!(plan(vec![region("a", 64), region("b", 64), region("c", 64)]), Err(PlanError::Regions(3)));
    assert_eq!(plan(vec![region("a", 15)]), Err(PlanError::Tiny { name: "a".into(), bytes: 15 }));
}

#[test]
fn random_programs_never_overlap_or_cross_in_any_two_regions() {
    let mut next = next_of(11);
    let (mut fitted, mut divided) = (0, 0);
    for _ in 0..40 {
        let mut program = random_program(&mut next);
        let mut end = 0;
        for step in &mut program.steps {
            step.block = end..end + [0, 0, 48, 200][next(4)];
            end = step.block.end.next_multiple_of(16);
        }
        let whole = plan_memory(&program);
        let options = fast_slow(16 + next(whole.arena_bytes), 16 + next(whole.arena_bytes));
        match plan_memory_in(&program, &options) {
            Ok(plan) => {
                check_regions(&program, &plan, &options);
                assert_eq!(plan, plan_memory_in(&program, &options).expect("the seed is fixed"));
                assert_eq!(plan.traffic.iter().sum::<u64>(), whole.traffic[0]);
                fitted += 1;
                divided += (plan.region_bytes[1] > 0) as usize;
            }
            Err(PlanError::TooSmall { needed, available, bytes_at, .. }) => {
                assert!(needed > available && bytes_at == whole.lower_bound);
                // With as much as the message asks for it fits.
                let more = fast_slow(options.regions[0].bytes, needed);
                check_regions(&program, &plan_memory_in(&program, &more).expect("fits"), &more);
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(fitted > 10 && divided > 7, "{fitted} fitted, {divided} divided");
}
