//! Drops the tensors that no step mentions any more.

use crate::program::Program;

/// Renumbers tensors so that each is an input, an output or an operand.
pub(crate) fn drop_unused_tensors(program: &mut Program) {
    let mut used = vec![false; program.tensors.len()];
    let operands = program.steps.iter().flat_map(|step| step.inputs.iter().flatten().chain(&step.outputs));
    for &tensor in operands.chain(&program.inputs).chain(&program.outputs) {
        used[tensor] = true;
    }
    let mut number = vec![0; used.len()];
    let mut next = 0;
    for (index, &used) in used.iter().enumerate() {
        number[index] = next;
        next += usize::from(used);
    }
    let mut keep = used.iter();
    program.tensors.retain(|_| keep.next().copied().unwrap_or(true));
    for step in &mut program.steps {
        step.inputs.iter_mut().flatten().chain(&mut step.outputs).for_each(|tensor| *tensor = number[*tensor]);
    }
    program.inputs.iter_mut().chain(&mut program.outputs).for_each(|tensor| *tensor = number[*tensor]);
}
