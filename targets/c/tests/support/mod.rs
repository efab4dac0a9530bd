//! The digit classifier of the zoo, compiled to static int8, and what the Rust façade makes of it.
#![allow(dead_code)]

use selvedge::{AlignedBuf, Artifact, OpCode, Session};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::emit::emit;
use selvedge_compiler::plan::plan_memory;
use selvedge_compiler::program::Storage;
use selvedge_compiler::{CompileOptions, Compiled, compile_calibrated, load};
use selvedge_zoo::digits;

fn compiled(float_outputs: bool) -> Compiled {
    let mut options = CompileOptions::default();
    options.scheme.float_outputs = float_outputs;
    let set = digits::calibration_set();
    let samples = (0..set.len()).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec()));
    let graph = load(digits::ONNX, &options.import).expect("imports");
    compile_calibrated(graph, samples, &options).expect("compiles")
}

/// The artifact; f32 input and output.
pub fn artifact() -> AlignedBuf {
    AlignedBuf::from(&compiled(true).artifact[..])
}

/// The same with int8 input and output: the steps that quantize the one and dequantize the other are left out.
pub fn artifact_i8() -> AlignedBuf {
    let mut program = compiled(false).program;
    let first = program.steps.remove(0);
    let last = program.steps.pop().expect("a last step");
    assert_eq!((first.op, last.op), (OpCode::Quantize, OpCode::Dequantize));
    assert_eq!((first.inputs[0], last.outputs[0]), (Some(program.inputs[0]), program.outputs[0]));
    for unused in [program.inputs[0], program.outputs[0]] {
        // A constant that no step reads.
        program.tensors[unused].storage = Storage::Const(0);
        program.tensors[unused].dims = vec![1];
    }
    program.inputs[0] = first.outputs[0];
    program.outputs[0] = last.inputs[0].expect("an operand");
    AlignedBuf::from(&emit(&program, &plan_memory(&program))[..])
}

/// Class and output bytes of the first `count` test images.
pub fn expected(artifact: &AlignedBuf, count: usize) -> Vec<(u32, Vec<u8>)> {
    let artifact = Artifact::parse(artifact).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid");
    let mut run = |i: usize| {
        session.input(0).expect("input").quantize_from_f32(&digits::test_set().image(i)).expect("fits");
        session.run().expect("runs");
        let output = session.output(0).expect("output");
        (output.argmax() as u32, output.bytes().to_vec())
    };
    (0..count).map(&mut run).collect()
}
