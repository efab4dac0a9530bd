//! Steps that may write over an input which dies with them.

use crate::program::Program;
use selvedge_core::{Format, OpCode, params};
use zerocopy::{FromBytes, IntoBytes};

/// Marks every step that can run in place.
pub(crate) fn mark_in_place(program: &mut Program) {
    let consumers = program.consumers();
    for index in 0..program.steps.len() {
        let step = &program.steps[index];
        let operands: &[usize] = match (step.op, step.format) {
            _ if step.in_place.is_some() => &[],
            (OpCode::Reshape | OpCode::Table | OpCode::Unary | OpCode::FlipSign, _) => &[0],
            (OpCode::Add, Format::I8 | Format::I16) => &[1, 0],
            _ => &[],
        };
        let found = operands.iter().copied().find(|&operand| {
            let Some(tensor) = step.inputs.get(operand).copied().flatten() else { return false };
            let (from, to) = (&program.tensors[tensor], &program.tensors[step.outputs[0]]);
            !from.is_const()
                && !program.outputs.contains(&tensor)
                && consumers[tensor].iter().all(|&reader| reader <= index)
                && step.inputs.iter().filter(|&&input| input == Some(tensor)).count() == 1
                && from.bytes() == to.bytes()
        });
        let step = &mut program.steps[index];
        match (found, step.op) {
            (Some(0), OpCode::Add) if step.format == Format::I8 => {
                // The kernel finds the second summand in the output.
                if let Ok(mut p) = params::AddI8::read_from_bytes(&step.params) {
                    (p.m1, p.m2) = (p.m2, p.m1);
                    step.params = p.as_bytes().to_vec();
                    step.inputs.swap(0, 1);
                    step.in_place = Some(1);
                }
            }
            (Some(operand), _) => step.in_place = Some(operand as u8),
            (None, _) => {}
        }
    }
}
