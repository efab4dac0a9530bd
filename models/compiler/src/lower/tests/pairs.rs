//! Pairs of convolutions. Oracle: the program in which they are two steps.

use super::*;
use crate::lower::{PairRule, fuse_conv_pairs};
use crate::program::Program;
use selvedge_core::OpCode;
use selvedge_core::artifact::step_flags;

fn conv(b: &mut Build, x: ValueId, oc: usize, win: Window, zp: i32) -> ValueId {
    let &[n, h, w, ic] = b.graph.value(x).shape.as_slice() else { panic!("not an image") };
    let codes = b.codes(oc * ic * win.kernel[0] * win.kernel[1], -127, 127);
    let weights =
        b.weights(&[oc, ic, win.kernel[0], win.kernel[1]], codes, (0..oc).map(|c| 0.002 + 0.0001 * c as f32).collect());
    let out = |size: usize, i: usize| (size + win.pads[i] + win.pads[i + 2] - win.kernel[i]) / win.stride[i] + 1;
    let op = Op::Conv { window: win, groups: 1, layout: Layout::Nhwc, clamp: Some(Clamp { lo: -3.0, hi: 4.0 }) };
    b.node(op, &[x, weights], &[n, out(h, 0), out(w, 1), oc], Some((0.03, zp)))
}

/// The factors of a 3×3 convolution of stride 2, channel-wise or spatial.
fn factors(b: &mut Build, x: ValueId, spatial: bool, rank: usize, outs: usize) -> [ValueId; 2] {
    let [first, second] = match spatial {
        false => [window([3, 3], [2, 2], [1; 4]), window([1, 1], [1, 1], [0; 4])],
        true => [window([3, 1], [2, 1], [1, 0, 1, 0]), window([1, 3], [1, 2], [0, 1, 0, 1])],
    };
    let mid = conv(b, x, rank, first, -9);
    [mid, conv(b, mid, outs, second, 11)]
}

fn name(b: &Build, id: ValueId) -> String {
    b.graph.value(id).name.clone()
}

/// The program with pairs fused, after checking that it computes what the other does.
fn fused(b: &Build, between: &[String], rule: PairRule, input: &[usize]) -> (Program, usize) {
    let plain = program(&b.graph, true);
    let mut paired = plain.clone();
    let count = fuse_conv_pairs(&mut paired, between, rule);
    let n: usize = input.iter().product();
    let x = ArrayData::I8((0..n).map(|i| (i * 73 % 251) as u8 as i8).collect());
    assert_eq!(execute(&plain, std::slice::from_ref(&x)), execute(&paired, &[x]));
    assert_eq!(plain.macs(), paired.macs());
    (paired, count)
}

#[test]
fn a_strided_pair_is_one_step_with_a_row_in_between() {
    for (spatial, rank, input) in [(false, 5, [1, 9, 7, 6]), (true, 5, [1, 9, 7, 6]), (true, 12, [2, 11, 20, 3])] {
        let mut b = Build::new(6);
        let x = b.input(&input, 0.02, 4);
        let [mid, y] = factors(&mut b, x, spatial, rank, 10);
        b.output(y);
        let (paired, count) = fused(&b, &[name(&b, mid)], PairRule::Always, &input);
        assert_eq!((count, paired.steps.len()), (1, 1));
        assert_eq!(paired.steps[0].op, OpCode::ConvPair);
        // Scratch: the patches of the larger window, and one row in between.
        let columns = if spatial { input[2] } else { input[2].div_ceil(2) };
        let k = [if spatial { 3 } else { 9 } * input[3], if spatial { 3 } else { 1 } * rank];
        let work = k.map(|k: usize| 4 * k.next_multiple_of(4) * 2).into_iter().max().expect("two");
        assert_eq!(paired.steps[0].scratch_bytes, work + columns * rank);
        let sizes: usize = [x, y].map(|id| b.graph.value(id).elements().next_multiple_of(16)).iter().sum();
        let plan = plan_memory(&paired);
        assert_eq!(plan.arena_bytes, sizes + (work + columns * rank).next_multiple_of(16));
        assert!(paired.tensors.iter().all(|t| t.name != name(&b, mid)));
    }
}

#[test]
fn a_pair_is_fused_where_that_takes_no_more_memory() {
    // Rows in between are longer than the input's: the value between them is the largest.
    let mut b = Build::new(7);
    let x = b.input(&[1, 16, 16, 2], 0.02, 4);
    let [mid, y] = factors(&mut b, x, true, 12, 8);
    b.output(y);
    let (paired, count) = fused(&b, &[name(&b, mid)], PairRule::NoLarger, &[1, 16, 16, 2]);
    assert_eq!(count, 1);
    assert!(plan_memory(&paired).arena_bytes < plan_memory(&program(&b.graph, true)).arena_bytes);
    // A small value between a large input and a large output keeps them apart.
    let mut b = Build::new(8);
    let x = b.input(&[1, 16, 16, 16], 0.02, 4);
    let mid = conv(&mut b, x, 2, window([3, 3], [1, 1], [1; 4]), 3);
    let y = conv(&mut b, mid, 16, window([1, 1], [1, 1], [0; 4]), 5);
    b.output(y);
    assert_eq!(fused(&b, &[name(&b, mid)], PairRule::NoLarger, &[1, 16, 16, 16]).1, 0);
    assert_eq!(fused(&b, &[name(&b, mid)], PairRule::Always, &[1, 16, 16, 16]).1, 1);
}

#[test]
fn the_second_of_a_pair_keeps_its_residual_sum() {
    let mut b = Build::new(9);
    let x = b.input(&[1, 8, 8, 6], 0.02, 4);
    let skip = conv(&mut b, x, 6, window([1, 1], [1, 1], [0; 4]), 1);
    let mid = conv(&mut b, skip, 9, window([3, 1], [1, 1], [1, 0, 1, 0]), -5);
    let h = conv(&mut b, mid, 6, window([1, 3], [1, 1], [0, 1, 0, 1]), 2);
    // The pair must not read what it writes over: here the skip is its input.
    let op = Op::Binary { kind: Binary::Add, clamp: None };
    let y = b.node(op.clone(), &[h, skip], &[1, 8, 8, 6], Some((0.05, -20)));
    b.output(y);
    assert_eq!(fused(&b, &[name(&b, mid)], PairRule::Always, &[1, 8, 8, 6]).1, 0);

    let mut b = Build::new(9);
    let x = b.input(&[1, 8, 8, 6], 0.02, 4);
    let skip = conv(&mut b, x, 6, window([1, 1], [1, 1], [0; 4]), 1);
    let h = conv(&mut b, skip, 6, window([3, 3], [1, 1], [1; 4]), 1);
    let mid = conv(&mut b, h, 9, window([3, 1], [1, 1], [1, 0, 1, 0]), -5);
    let h = conv(&mut b, mid, 6, window([1, 3], [1, 1], [0, 1, 0, 1]), 2);
    let y = b.node(op, &[h, skip], &[1, 8, 8, 6], Some((0.05, -20)));
    b.output(y);
    let (paired, count) = fused(&b, &[name(&b, mid)], PairRule::NoLarger, &[1, 8, 8, 6]);
    assert_eq!(count, 1);
    let last = paired.steps.last().expect("steps");
    assert!(last.op == OpCode::ConvPair && last.flags & step_flags::FUSED_ADD != 0 && last.in_place == Some(1));
}

#[test]
fn values_that_others_read_and_those_not_named_stay_whole() {
    let mut b = Build::new(10);
    let x = b.input(&[1, 8, 8, 3], 0.02, 4);
    let [mid, y] = factors(&mut b, x, true, 8, 8);
    b.output(y);
    assert_eq!(fused(&b, &[], PairRule::Always, &[1, 8, 8, 3]).1, 0);
    assert_eq!(fused(&b, &["other".into()], PairRule::Always, &[1, 8, 8, 3]).1, 0);
    let mut read = Build { graph: b.graph.clone(), state: 1 };
    let z = conv(&mut read, mid, 4, window([1, 1], [1, 1], [0; 4]), 0);
    read.output(z);
    assert_eq!(fused(&read, &[name(&b, mid)], PairRule::Always, &[1, 8, 8, 3]).1, 0);
    b.output(mid);
    assert_eq!(fused(&b, &[name(&b, mid)], PairRule::Always, &[1, 8, 8, 3]).1, 0);
}
