//! Puts two convolutions in a row into one step, so that the value between them never exists whole.

use super::compact::drop_unused_tensors;
use crate::plan::lifetimes;
use crate::program::{Program, ProgramStep, TensorId};
use selvedge_core::artifact::step_flags;
use selvedge_core::{DType, Format, OpCode, params};
use selvedge_kernels::{ConvShape, pair};
use zerocopy::{FromBytes, IntoBytes};

/// When a pair that can be fused is fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairRule {
    /// Where the fused step takes no more memory than the larger of the two: its input and its
    /// output are alive at once, which a small value between them keeps apart.
    NoLarger,
    Always,
}

/// Fuses the pairs of int8 convolutions with a value of these names between them. Returns how many.
///
/// The second convolution may hold a residual addition. Both steps must be neighbours, the value
/// between them is read by the second alone, and weights must not be kept together step by step.
pub fn fuse_conv_pairs(program: &mut Program, between: &[String], rule: PairRule) -> usize {
    let mut fused = 0;
    let mut index = 0;
    while index + 1 < program.steps.len() {
        if let Some(step) = pair_at(program, index, between, rule) {
            program.steps[index] = step;
            program.steps.remove(index + 1);
            fused += 1;
        }
        index += 1;
    }
    if fused > 0 {
        drop_unused_tensors(program);
    }
    fused
}

/// The step that steps `index` and `index + 1` make, if they are to be fused.
fn pair_at(program: &Program, index: usize, between: &[String], rule: PairRule) -> Option<ProgramStep> {
    let [first, second] = program.steps.get(index..index + 2)? else { return None };
    let is_conv = |step: &ProgramStep, flags: u16| {
        (step.op, step.format) == (OpCode::Conv2d, Format::W8) && step.flags & !flags == 0 && step.block.is_empty()
    };
    if !is_conv(first, step_flags::WIDE) || !is_conv(second, step_flags::WIDE | step_flags::FUSED_ADD) {
        return None;
    }
    let (&[Some(x)], &[mid], &[y]) = (first.inputs.as_slice(), first.outputs.as_slice(), second.outputs.as_slice())
    else {
        return None;
    };
    let sum = second.flags & step_flags::FUSED_ADD != 0;
    let skip = match (sum, second.inputs.as_slice()) {
        (false, &[Some(a)]) if a == mid => None,
        (true, &[Some(a), Some(skip)]) if a == mid && skip != mid => Some(skip),
        _ => return None,
    };
    let tensor = &program.tensors[mid];
    let readers = program.steps.iter().filter(|step| step.inputs.contains(&Some(mid))).count();
    // A pair cannot read what it writes over.
    let sound = tensor.dtype == DType::I8
        && program.tensors[y].dtype == DType::I8
        && readers == 1
        && !program.outputs.contains(&mid)
        && skip != Some(x)
        && between.contains(&tensor.name);
    if !sound {
        return None;
    }
    let one = params::ConvI8::read_from_bytes(&first.params).ok()?;
    let (two, residual) = params::ConvI8::read_from_prefix(&second.params).ok()?;
    let shapes = [shape(program, &one, x, mid)?, shape(program, &two, mid, y)?];
    let scratch = pair::pair_scratch(&shapes[0], &shapes[1]);
    if rule == PairRule::NoLarger && !no_larger(program, index, [x, mid, y], sum, scratch) {
        return None;
    }
    let [height, width, channels] = [shapes[0].out_h, shapes[0].out_w, shapes[0].out_c].map(|n| n as u32);
    let wide = [first, second].map(|step| u32::from(step.flags & step_flags::WIDE != 0));
    let pair = params::ConvPair { first: one, second: two, height, width, channels, wide: wide[0] | wide[1] << 1 };
    Some(ProgramStep {
        op: OpCode::ConvPair,
        format: Format::W8,
        flags: second.flags & !step_flags::WIDE,
        inputs: [Some(x)].into_iter().chain(skip.map(Some)).collect(),
        outputs: vec![y],
        params: [pair.as_bytes(), residual].concat(),
        scratch_bytes: scratch,
        in_place: second.in_place,
        name: format!("{}+{}", first.name, second.name),
        macs: first.macs + second.macs,
        weights_bytes: first.weights_bytes + second.weights_bytes,
        kernel: format!("conv_pair_qs8_w8{}", if sum { "+add" } else { "" }),
        block: 0..0,
    })
}

fn shape(program: &Program, p: &params::ConvI8, x: TensorId, y: TensorId) -> Option<ConvShape> {
    let (&[batch, in_h, in_w, in_c], &[_, out_h, out_w, out_c]) =
        (program.tensors[x].dims.as_slice(), program.tensors[y].dims.as_slice())
    else {
        return None;
    };
    let w = &p.window;
    let [kernel, stride, dilation, pad] = [w.kernel, w.stride, w.dilation, w.pad].map(|pair| pair.map(usize::from));
    Some(ConvShape {
        batch,
        in_h,
        in_w,
        in_c,
        out_h,
        out_w,
        out_c,
        kernel_h: kernel[0],
        kernel_w: kernel[1],
        stride_h: stride[0],
        stride_w: stride[1],
        dilation_h: dilation[0],
        dilation_w: dilation[1],
        pad_top: pad[0],
        pad_left: pad[1],
        groups: p.groups as usize,
    })
}

/// Whether the fused step needs no more than the larger of the two. What else is alive is alive at both.
fn no_larger(program: &Program, index: usize, [x, mid, y]: [TensorId; 3], sum: bool, scratch: usize) -> bool {
    let up = |bytes: usize| bytes.next_multiple_of(16);
    let size = |t: TensorId| if program.tensors[t].is_const() { 0 } else { up(program.tensors[t].bytes()) };
    let scratches = [index, index + 1].map(|i| up(program.steps[i].scratch_bytes));
    // The planner's positions: step i is i + 1.
    let stays = lifetimes(program).get(x).is_some_and(|life| life.last > index + 1);
    let at_first = size(x) + size(mid) + scratches[0] + if sum { size(y) } else { 0 };
    let at_second = size(mid) + size(y) + scratches[1] + if stays { size(x) } else { 0 };
    size(x) + size(y) + up(scratch) <= at_first.max(at_second)
}
