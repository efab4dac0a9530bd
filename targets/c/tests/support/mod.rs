//! The digit classifier of the zoo, compiled to static int8, and what the Rust façade makes of it.

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::{CompileOptions, compile_calibrated, load};
use selvedge_zoo::digits;

/// The artifact.
pub fn artifact() -> AlignedBuf {
    let options = CompileOptions::default();
    let set = digits::calibration_set();
    let samples = (0..set.len()).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec()));
    let graph = load(digits::ONNX, &options.import).expect("imports");
    AlignedBuf::from(&compile_calibrated(graph, samples, &options).expect("compiles").artifact[..])
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
