//! Outputs of a model on every instruction set of this machine, and how far they are from others.

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::Compiled;

/// Real outputs of a model of one input for each of several, the same bits on every instruction set.
///
/// # Panics
/// Where two differ, or the model does not run.
pub fn everywhere(what: &str, compiled: &Compiled, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut each = crate::isas(what).into_iter().map(|isa| {
        let mut session = Session::new(artifact, &mut arena).expect("valid").with_isa(isa).expect("here");
        let run = |x: &Vec<f32>| {
            session.input(0).and_then(|input| input.quantize_from_f32(x)).expect("fits");
            session.run().expect("runs");
            let output = session.output(0).expect("has one");
            let mut reals = vec![0.0; output.elements()];
            output.dequantize_into(&mut reals).expect("fits");
            reals
        };
        inputs.iter().map(run).collect::<Vec<_>>()
    });
    let first = each.next().expect("one at least");
    each.for_each(|other| assert!(bits(&other).eq(bits(&first)), "{what}"));
    first
}

/// The bits of all numbers, in order.
pub fn bits(all: &[Vec<f32>]) -> impl Iterator<Item = u32> {
    all.iter().flatten().map(|v| v.to_bits())
}

/// [`snr`](crate::snr) of all numbers.
pub fn snr_db(found: &[Vec<f32>], want: &[Vec<f32>]) -> f64 {
    crate::snr(&want.concat(), &found.concat())
}
