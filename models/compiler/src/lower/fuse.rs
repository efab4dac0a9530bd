//! Puts an integer addition into the epilogue of the convolution before it.
//!
//! The fused step runs where the addition stood and writes over the other
//! summand, so that a residual block needs one buffer less.

use crate::program::Program;
use selvedge_core::artifact::step_flags;
use selvedge_core::{Format, OpCode, params};
use zerocopy::{FromBytes, IntoBytes};

pub(crate) fn fuse_residual_adds(program: &mut Program) {
    let mut index = 0;
    while index < program.steps.len() {
        if let Some((conv, operand)) = candidate(program, index) {
            fuse(program, index, conv, operand);
            // One step before the addition is gone.
            index -= 1;
        }
        index += 1;
    }
}

/// The convolution to fuse the addition at `add` into, and which summand it makes.
fn candidate(program: &Program, add: usize) -> Option<(usize, usize)> {
    let step = &program.steps[add];
    if step.op != OpCode::Add || step.format != Format::I8 {
        return None;
    }
    let (producers, consumers) = (program.producers(), program.consumers());
    let &[Some(a), Some(b)] = step.inputs.as_slice() else { return None };
    let fits = |conv_out: usize, skip: usize| {
        let conv = producers[conv_out]?;
        let producer = &program.steps[conv];
        let barred = step_flags::OUT_F32 | step_flags::OUT_I32 | step_flags::FUSED_ADD;
        let dims = &program.tensors[step.outputs[0]].dims;
        let ok = matches!(producer.op, OpCode::Conv2d | OpCode::DepthwiseConv2d)
            && is_int8_layer(producer.format)
            && producer.flags & barred == 0
            && consumers[conv_out] == [add]
            && !program.outputs.contains(&conv_out)
            && conv_out != skip
            && !program.tensors[skip].is_const()
            && !program.outputs.contains(&skip)
            && consumers[skip].iter().all(|&reader| reader <= add)
            && !producer.inputs.contains(&Some(skip))
            && &program.tensors[conv_out].dims == dims
            && &program.tensors[skip].dims == dims;
        ok.then_some(conv)
    };
    let first = fits(a, b).map(|conv| (conv, 0));
    let second = fits(b, a).map(|conv| (conv, 1));
    // The later of the two convolutions moves the shorter way.
    first.into_iter().chain(second).max_by_key(|&(conv, _)| conv)
}

fn fuse(program: &mut Program, add: usize, conv: usize, operand: usize) {
    let addition = program.steps[add].clone();
    let Ok(p) = params::AddI8::read_from_bytes(&addition.params) else { return };
    let (m1, m2) = if operand == 0 { (p.m1, p.m2) } else { (p.m2, p.m1) };
    let mut fused = program.steps.remove(conv);
    fused.flags |= step_flags::FUSED_ADD;
    let residual = params::ResidualAdd { m1, m2, c: p.c, s: p.s, lo: p.lo, hi: p.hi };
    fused.params.extend_from_slice(residual.as_bytes());
    fused.inputs.push(addition.inputs[1 - operand]);
    fused.outputs = addition.outputs;
    fused.in_place = Some(fused.inputs.len() as u8 - 1);
    fused.kernel.push_str("+add");
    fused.name = format!("{}+{}", fused.name, addition.name);
    program.steps[add - 1] = fused;
}
/// Whether layers of the format have int8 activations.
fn is_int8_layer(format: Format) -> bool {
    matches!(format, Format::W8 | Format::W4 | Format::W3 | Format::W2 | Format::T2)
}
