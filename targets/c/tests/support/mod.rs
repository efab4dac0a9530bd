//! The digit classifier of the zoo, compiled to static int8, and what the Rust façade makes of it.
#![allow(dead_code)]

use selvedge::{AlignedBuf, Artifact, OpCode, Session};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::emit::emit;
use selvedge_compiler::plan::{MemoryOptions, Region, plan_memory, plan_memory_in};
use selvedge_compiler::program::Storage;
use selvedge_compiler::split::{join_weights, split_weights};
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

/// Head and weights file of the artifact, planned for two memories.
pub fn split() -> (AlignedBuf, AlignedBuf) {
    let region = |(name, bytes): (&str, usize)| Region { name: name.to_string(), bytes };
    let regions = [("fast", 2048), ("slow", 16 * 1024)].map(region).to_vec();
    let program = compiled(true).program;
    let memory = MemoryOptions { regions, pins: Vec::new() };
    let artifact = emit(&program, &plan_memory_in(&program, &memory).expect("fits"));
    let (head, weights) = split_weights(&artifact).expect("an artifact");
    (AlignedBuf::from(&head[..]), AlignedBuf::from(&weights[..]))
}

/// The whole that [`split`] has cut.
pub fn regions() -> AlignedBuf {
    let (head, weights) = split();
    AlignedBuf::from(&join_weights(&head, &weights).expect("two parts")[..])
}

/// [`artifact`] with int8 input and output: the steps that quantize the one and dequantize the other are left out.
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
