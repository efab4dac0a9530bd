//! Reads an artifact back into a program: what [`emit`](crate::emit) wrote.

use crate::emit::Names;
use crate::program::{Program, ProgramState, ProgramStep, ProgramTensor, Storage};
use selvedge_core::artifact::{NO_OPERAND, StateRecord, step_flags};
use selvedge_core::{Artifact, Error, ErrorKind};

/// Bits of a step's flags that say which input its output lies on.
const IN_PLACE_BITS: u16 = 0xff00 | step_flags::IN_PLACE;

/// An artifact as a program.
#[derive(Clone, Debug)]
pub struct Decoded {
    pub program: Program,
    /// How its names have to be emitted to be the same again.
    pub names: Names,
}

/// The program of an artifact with its memory in one region and its weights in memory. Planned and
/// emitted again it is the artifact, byte for byte, where this version of the compiler made it.
/// What the artifact does not hold is empty: names of nodes and kernels, layouts.
///
/// # Errors
/// Those of [`Artifact`] for the first record that is not valid.
pub fn decode(artifact: &Artifact<'_>) -> Result<Decoded, Error> {
    let mut program = Program {
        weights: artifact.weights().to_vec(),
        inputs: artifact.inputs().iter().map(|&t| usize::from(t)).collect(),
        outputs: artifact.outputs().iter().map(|&t| usize::from(t)).collect(),
        meta: artifact.meta().and_then(|meta| serde_json::from_str(meta).ok()).unwrap_or_default(),
        ..Program::default()
    };
    for index in 0..artifact.tensor_count() {
        let view = artifact.tensor(index)?;
        program.tensors.push(ProgramTensor {
            name: artifact.name(index).unwrap_or_default().to_owned(),
            dtype: view.dtype,
            dims: view.dims.iter().map(|&d| d as usize).collect(),
            quant: view.quantization(),
            storage: if view.is_const() { Storage::Const(view.record.offset) } else { Storage::Arena },
            perm: None,
            channels: None,
        });
    }
    for index in 0..artifact.step_count() {
        let step = artifact.step(index)?;
        let unknown = Error::new(ErrorKind::BadStep).at_step(index);
        let flags = step.record.flags;
        program.steps.push(ProgramStep {
            op: step.op().ok_or(unknown)?,
            format: step.format().ok_or(unknown)?,
            flags: flags & !IN_PLACE_BITS,
            inputs: step.inputs.iter().map(|&t| (t != NO_OPERAND).then_some(usize::from(t))).collect(),
            outputs: step.outputs.iter().map(|&t| usize::from(t)).collect(),
            params: step.params.to_vec(),
            scratch_bytes: step.record.scratch_bytes as usize,
            in_place: step_flags::in_place_input(flags).map(|input| input as u8),
            name: String::new(),
            macs: 0,
            weights_bytes: 0,
            kernel: String::new(),
            block: 0..0,
        });
    }
    for state in artifact.states() {
        let place = |tensors: &[usize], tensor: u16| tensors.iter().position(|&t| t == usize::from(tensor));
        let (input, output) = (place(&program.inputs, state.input), place(&program.outputs, state.output));
        let missing = Error::new(ErrorKind::BadTensor).with(usize::from(state.input));
        let (input, output) = input.zip(output).ok_or(missing)?;
        let initial = (state.initial != StateRecord::ZEROS).then_some(state.initial);
        program.states.push(ProgramState { input, output, initial });
    }
    let named = program.inputs.first().is_some_and(|&input| artifact.name(input).is_some());
    Ok(Decoded { program, names: if named { Names::All } else { Names::None } })
}
