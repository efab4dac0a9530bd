//! Additions in the epilogue of convolutions; `run_int` compares with the unfused program.

use super::*;
use selvedge_core::OpCode;
use selvedge_core::artifact::step_flags;

fn conv(b: &mut Build, x: ValueId, ic: usize, oc: usize, kernel: usize, zp: i32) -> ValueId {
    let codes = b.codes(oc * ic * kernel * kernel, -127, 127);
    let w = b.weights(&[oc, ic, kernel, kernel], codes, vec![0.003; oc]);
    let pad = kernel / 2;
    let win = window([kernel; 2], [1, 1], [pad; 4]);
    let clamp = Some(Clamp { lo: -2.0, hi: 3.0 });
    let op = Op::Conv { window: win, groups: 1, layout: Layout::Nhwc, clamp };
    b.node(op, &[x, w], &[1, 6, 6, oc], Some((0.03, zp)))
}

fn add(b: &mut Build, x: ValueId, y: ValueId, kind: Binary, oc: usize) -> ValueId {
    let op = Op::Binary { kind, clamp: Some(Clamp { lo: 0.0, hi: 5.0 }) };
    b.node(op, &[x, y], &[1, 6, 6, oc], Some((0.05, -128)))
}

fn fused(graph: &Graph) -> Vec<bool> {
    program(graph, true).steps.iter().map(|step| step.flags & step_flags::FUSED_ADD != 0).collect()
}

#[test]
fn an_identity_block_writes_over_its_skip() {
    for (kind, swapped) in [(Binary::Add, false), (Binary::Add, true), (Binary::Sub, true), (Binary::Sub, false)] {
        let mut b = Build::new(1);
        let x = b.input(&[1, 6, 6, 8], 0.02, 4);
        let skip = conv(&mut b, x, 8, 8, 3, -1);
        let h = conv(&mut b, skip, 8, 8, 3, 7);
        let h = conv(&mut b, h, 8, 8, 3, 9);
        let (first, second) = if swapped { (skip, h) } else { (h, skip) };
        let y = add(&mut b, first, second, kind, 8);
        b.output(y);
        assert_eq!(fused(&b.graph), [false, false, true]);
        let q = b.codes(288, -128, 127);
        run_int(&b.graph, &[q]);
        // Two activations and scratch instead of three.
        let plan = plan_memory(&program(&b.graph, true));
        assert_eq!(plan.arena_bytes, 2 * 288 + 4 * 72 * 2);
        assert_eq!(plan.arena_bytes, plan.lower_bound);
    }
}

#[test]
fn of_two_convolutions_the_later_takes_the_sum() {
    for shortcut_first in [false, true] {
        let mut b = Build::new(2);
        let x = b.input(&[1, 6, 6, 4], 0.02, 4);
        let early = if shortcut_first { Some(conv(&mut b, x, 4, 8, 1, 1)) } else { None };
        let h = conv(&mut b, x, 4, 8, 3, 7);
        let h = conv(&mut b, h, 8, 8, 3, 9);
        let shortcut = early.unwrap_or_else(|| conv(&mut b, x, 4, 8, 1, 1));
        let y = add(&mut b, shortcut, h, Binary::Add, 8);
        b.output(y);
        assert_eq!(fused(&b.graph), [false, false, true]);
        let q = b.codes(144, -128, 127);
        run_int(&b.graph, &[q]);
    }
}

#[test]
fn a_convolution_before_its_skip_moves_behind_it() {
    let mut b = Build::new(3);
    let x = b.input(&[1, 6, 6, 8], 0.02, 4);
    let h = conv(&mut b, x, 8, 8, 3, 7);
    let skip = b.node(Op::Unary(Unary::Sigmoid), &[x], &[1, 6, 6, 8], Some((1.0 / 256.0, -128)));
    let y = add(&mut b, h, skip, Binary::Add, 8);
    b.output(y);
    let lowered = program(&b.graph, true);
    assert_eq!(lowered.steps.iter().map(|step| step.op).collect::<Vec<_>>(), [OpCode::Table, OpCode::Conv2d]);
    let q = b.codes(288, -128, 127);
    run_int(&b.graph, &[q]);
}

#[test]
fn values_that_are_still_needed_are_not_overwritten() {
    // The skip is read later; the convolution reads the skip itself; the sum of a value read twice.
    let mut b = Build::new(4);
    let x = b.input(&[1, 6, 6, 8], 0.02, 4);
    let skip = conv(&mut b, x, 8, 8, 3, -1);
    let h = conv(&mut b, skip, 8, 8, 3, 7);
    let sum = add(&mut b, h, skip, Binary::Add, 8);
    let other = conv(&mut b, sum, 8, 8, 1, 3);
    let again = add(&mut b, other, skip, Binary::Add, 8);
    let y = add(&mut b, again, again, Binary::Add, 8);
    b.output(y);
    assert_eq!(fused(&b.graph).iter().filter(|&&f| f).count(), 1);
    let q = b.codes(288, -128, 127);
    run_int(&b.graph, &[q]);
}
