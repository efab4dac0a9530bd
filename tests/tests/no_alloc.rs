//! Oracle: a counting allocator. The device path of a host program allocates nothing.

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::{CompileOptions, compile};
use selvedge_zoo::digits;

#[test]
fn parse_new_digest_and_run_allocate_nothing_on_the_digit_classifier() {
    let artifact = compile(digits::ONNX, &CompileOptions::default()).expect("compiles").artifact;
    let file = AlignedBuf::from(&artifact[..]);
    let mut arena = AlignedBuf::zeroed(Artifact::parse(&file).expect("sound").arena_bytes());
    let image = digits::test_set().image(0);
    // The first call reads the environment for the instruction set; that is the host's, not the device's.
    drop(Session::new(Artifact::parse(&file).expect("sound"), &mut arena));
    let run = |arena: &mut [u8]| {
        let artifact = Artifact::parse(&file)?;
        artifact.verify_digest()?;
        let mut session = Session::new(artifact, arena)?.with_isa(selvedge::IsaKind::Portable)?;
        session.input(0)?.quantize_from_f32(&image)?;
        session.run()?;
        Ok::<usize, selvedge::Error>(session.output(0)?.argmax())
    };
    let counts = allocation_counter::measure(|| {
        assert_eq!(run(&mut arena), Ok(digits::test_set().label(0) as usize));
    });
    assert_eq!(counts.count_total, 0, "{counts:?}");
}
