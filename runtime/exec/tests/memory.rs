//! Memory regions, split artifacts and staged weights. Oracle: the same program in one arena with
//! its weights beside it.
mod support;

use selvedge_core::artifact::StageRecord;
use selvedge_core::{Artifact, DType, Error, ErrorKind};
use selvedge_exec::{Probe, Progress, Session, StagedSession, StepCtx, StepOutputs, WeightSource, ops};
use selvedge_kernels::IsaKind;
use support::layers::{add, conv3x3, dense};
use support::{Aligned, Program, i8s, zoo};

fn run(p: &Program) -> Vec<Vec<u8>> {
    let inputs = zoo::inputs(p);
    p.run_all(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
}

/// Two layers and additions over a constant.
fn program() -> Program {
    let mut p = Program::default();
    let x = p.input(DType::I8, &[1, 8]);
    let c = p.constant(DType::I8, &[1, 8], &[1; 8]);
    let a = add(&mut p, x, c, &[1, 8]);
    let b = dense(&mut p, a, 1, &[1; 64], &[3; 8]);
    let y = dense(&mut p, b, 1, &[1; 24], &[0; 3]);
    p.output(y);
    p
}

/// The program with the border of its regions at `border`.
fn divided(p: &Program, border: u32) -> Program {
    Program { first_region: border, ..p.clone() }
}

/// Every step's weights are the whole section, read to memory behind the arena.
fn staged(p: &Program) -> Program {
    let mut p = p.clone();
    let bytes = p.weights.len() as u32;
    p.stages = vec![StageRecord { weights: 0, bytes, arena: p.arena_bytes.next_multiple_of(16) }; p.steps.len()];
    p.arena_bytes = p.arena_bytes.next_multiple_of(16) + bytes;
    p
}

fn refusal(p: &Program) -> Option<ErrorKind> {
    let (head, weights) = p.split();
    let mut arena = Aligned::zeroed(p.arena_bytes as usize);
    let artifact = Artifact::parse_head(&head).unwrap();
    StagedSession::new(artifact, [&mut arena, &mut []], ops::ALL, &weights[..]).err().map(|e| e.kind())
}

#[test]
fn every_program_gives_the_same_bytes_over_any_two_regions() {
    let mut borders = 0;
    for (name, p) in zoo::all() {
        let want = run(&p);
        let starts = p.tensors.iter().map(|t| t.offset).chain(p.steps.iter().map(|s| s.scratch));
        for border in starts.filter(|&at| at > 0 && at < p.arena_bytes) {
            let p = divided(&p, border);
            let bytes = p.bytes();
            let artifact = Artifact::parse(&bytes).unwrap();
            // In one arena that holds both, too.
            assert_eq!(run(&p), want, "{name}");
            let [first, second] = artifact.region_bytes();
            assert_eq!([first, second], [border as usize, (p.arena_bytes - border) as usize]);
            let (mut fast, mut slow) = (Aligned::zeroed(first + 3), Aligned::zeroed(second));
            fast.fill(0xa5);
            slow.fill(0x5a);
            let session = Session::with_regions(artifact, [&mut fast, &mut slow], ops::ALL);
            let mut session = session.unwrap_or_else(|e| panic!("{name} at {border}: {e}"));
            for (i, data) in zoo::inputs(&p).iter().enumerate() {
                session.input(i).unwrap().copy_from_bytes(data).unwrap();
            }
            session.run().unwrap();
            for (i, want) in want.iter().enumerate() {
                assert_eq!(session.output(i).unwrap().bytes(), want, "{name} at {border}");
            }
            borders += 1;
        }
    }
    assert!(borders >= 80, "{borders}");
}

#[test]
fn a_tensor_or_scratch_across_the_border_is_refused() {
    let mut p = Program::default();
    let x = p.input(DType::I8, &[1, 3, 12, 1]);
    let y = conv3x3(&mut p, x, 3, 12, None);
    p.output(y);
    let scratch = p.steps[0].scratch;
    let kind = |border: u32| divided(&p, border).refusal().map(|e| e.kind());
    assert_eq!((kind(48), kind(scratch)), (None, None));
    assert_eq!(kind(16), Some(ErrorKind::OutOfBounds));
    assert_eq!(kind(64), Some(ErrorKind::OutOfBounds));
    assert_eq!(kind(scratch + 16), Some(ErrorKind::OutOfBounds));
    // A border behind the arena is none.
    assert_eq!(kind(p.arena_bytes + 16), None);
}

#[test]
fn regions_must_be_large_and_aligned() {
    let p = divided(&program(), 16);
    let bytes = p.bytes();
    let artifact = Artifact::parse(&bytes).unwrap();
    let rest = p.arena_bytes as usize - 16;
    let (mut fast, mut slow) = (Aligned::zeroed(64), Aligned::zeroed(rest + 8));
    let mut error = |a: std::ops::Range<usize>, b: std::ops::Range<usize>| {
        let e = Session::with_regions(artifact, [&mut fast[a], &mut slow[b]], ops::ALL).err();
        e.map(|e| (e.kind(), e.detail() as usize))
    };
    assert_eq!(error(0..16, 0..rest), None);
    assert_eq!(error(0..15, 0..rest), Some((ErrorKind::ArenaTooSmall, 16)));
    assert_eq!(error(0..16, 0..rest - 1), Some((ErrorKind::ArenaTooSmall, rest)));
    assert_eq!(error(8..24, 0..rest), Some((ErrorKind::MisalignedArena, 0)));
    assert_eq!(error(0..16, 8..rest + 8), Some((ErrorKind::MisalignedArena, 0)));
    let bytes = program().bytes();
    let artifact = Artifact::parse(&bytes).unwrap();
    let mut arena = Aligned::zeroed(p.arena_bytes as usize);
    Session::with_regions(artifact, [&mut arena, &mut []], ops::ALL).expect("an artifact of one region");
}

#[test]
fn a_split_artifact_runs_as_the_whole_one_does() {
    for (name, p) in zoo::all() {
        let (head, weights) = p.split();
        let artifact = Artifact::parse_split(&head, &weights).unwrap();
        artifact.verify_digest().unwrap();
        let mut arena = Aligned::zeroed(artifact.arena_bytes());
        let mut session = Session::new(artifact, &mut arena).unwrap();
        for (i, data) in zoo::inputs(&p).iter().enumerate() {
            session.input(i).unwrap().copy_from_bytes(data).unwrap();
        }
        session.run().unwrap();
        for (i, want) in run(&p).iter().enumerate() {
            assert_eq!(session.output(i).unwrap().bytes(), want, "{name}");
        }
    }
}

#[test]
fn a_weights_file_that_does_not_belong_is_refused() {
    let (head, weights) = program().split();
    let mut other = program();
    *other.weights.last_mut().unwrap() ^= 1;
    let (other_head, other_weights) = other.split();
    let kind = |head: &[u8], weights: &[u8]| Artifact::parse_split(head, weights).err().map(|e| e.kind());
    assert_eq!(kind(&head, &other_weights), Some(ErrorKind::WeightsMismatch));
    assert_eq!(kind(&other_head, &weights), Some(ErrorKind::WeightsMismatch));
    assert_eq!(kind(&head, &weights[..weights.len() - 1]), Some(ErrorKind::Truncated));
    assert_eq!(kind(&head, &weights[..63]), Some(ErrorKind::Truncated));
    assert_eq!(kind(&head, &head), Some(ErrorKind::BadMagic));
    assert_eq!(kind(&weights, &weights), Some(ErrorKind::BadMagic));
    assert_eq!(kind(&head[..head.len() - 1], &weights), Some(ErrorKind::Truncated));
    let shifted = Aligned::of(&[&[0; 8], &weights[..]].concat());
    assert_eq!(kind(&head, &shifted[8..]), Some(ErrorKind::MisalignedArtifact));
    let with = |at: usize, value: u8| {
        let mut changed = weights.clone();
        changed[at] = value;
        Artifact::parse_split(&head, &changed).and_then(|a| a.verify_digest()).err().map(|e| e.kind())
    };
    assert_eq!(with(4, 9), Some(ErrorKind::BadVersion));
    assert_eq!(with(8, 1), Some(ErrorKind::WeightsMismatch));
    assert_eq!(with(63, !weights[63]), Some(ErrorKind::WeightsMismatch));
    assert_eq!(with(64, !weights[64]), Some(ErrorKind::DigestMismatch));
    // The head alone is a truncated artifact; the whole one is a head, too.
    assert_eq!(Artifact::parse(&head).unwrap_err().kind(), ErrorKind::Truncated);
    let whole = program().bytes();
    assert_eq!(Artifact::parse_split(&whole, &weights).unwrap().weights(), program().weights);
}

#[test]
fn every_program_gives_the_same_bytes_with_staged_weights_on_every_instruction_set() {
    for (name, p) in zoo::all() {
        let (want, p) = (run(&p), staged(&p));
        // With its weights in memory it is an artifact as any other.
        assert_eq!(run(&p), want, "{name}");
        let (head, weights) = p.split();
        for kind in IsaKind::ALL {
            let artifact = Artifact::parse_head(&head).unwrap();
            assert!(artifact.weights().is_empty() && artifact.weights_bytes() == p.weights.len());
            let mut arena = Aligned::zeroed(artifact.arena_bytes());
            arena.fill(0xa5);
            let session = StagedSession::new(artifact, [&mut arena, &mut []], ops::ALL, &weights[..]);
            let session = session.unwrap_or_else(|e| panic!("{name}: {e}"));
            let Ok(mut session) = session.with_isa(kind) else { continue };
            session.verify_digest().unwrap();
            for (i, data) in zoo::inputs(&p).iter().enumerate() {
                session.input(i).unwrap().copy_from_bytes(data).unwrap();
            }
            session.run().unwrap();
            for (i, want) in want.iter().enumerate() {
                assert_eq!(session.output(i).unwrap().bytes(), want, "{name}");
            }
        }
    }
}

/// A source that counts its reads and can be made to fail or to lie.
struct Flash<'f> {
    bytes: &'f [u8],
    reads: usize,
    fail: bool,
    lie: u8,
}

impl WeightSource for Flash<'_> {
    fn read(&mut self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
        self.reads += 1;
        if self.fail {
            return Err(Error::new(ErrorKind::WeightSource).with(7));
        }
        self.bytes.read(offset, to)?;
        to.iter_mut().for_each(|b| *b ^= self.lie);
        Ok(())
    }
}

/// Names the steps it sees.
struct Steps(Vec<usize>);

impl Probe for Steps {
    fn after_step(&mut self, step: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        assert!(!outputs.bytes(0).is_empty());
        self.0.push(step.index());
    }
}

#[test]
fn a_staged_session_reads_each_steps_weights_once_a_run() {
    let p = divided(&staged(&program()), 32);
    let (head, weights) = p.split();
    let mut flash = Flash { bytes: &weights, reads: 0, fail: false, lie: 0 };
    let [first, second] = Artifact::parse_head(&head).unwrap().region_bytes();
    let (mut fast, mut slow) = (Aligned::zeroed(first), Aligned::zeroed(second));
    let artifact = Artifact::parse_head(&head).unwrap();
    let mut session = StagedSession::new(artifact, [&mut fast, &mut slow], ops::ALL, &mut flash).unwrap();
    let want = run(&program()).remove(0);
    let mut steps = Steps(Vec::new());
    session.input(0).unwrap().copy_from_bytes(&zoo::inputs(&p)[0]).unwrap();
    session.run_probed(&mut steps).unwrap();
    assert_eq!((session.output(0).unwrap().bytes(), &steps.0[..]), (&want[..], &[0, 1, 2][..]));
    session.input(0).unwrap().copy_from_bytes(&zoo::inputs(&p)[0]).unwrap();
    assert_eq!(session.run_steps(2).unwrap(), Progress::Running(2));
    assert_eq!(session.input(0).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(session.run_steps(2).unwrap(), Progress::Done);
    assert_eq!(session.output(0).unwrap().bytes(), &want[..]);
    // The front of the file, then each step at set-up and in two runs.
    assert_eq!(flash.reads, 1 + 3 * 3);
}

#[test]
fn a_source_that_fails_or_changes_gives_an_error_at_its_step() {
    let p = staged(&program());
    let (head, weights) = p.split();
    let artifact = Artifact::parse_head(&head).unwrap();
    let mut arena = Aligned::zeroed(artifact.arena_bytes());
    let new = |flash| StagedSession::new(artifact, [&mut arena.clone(), &mut []], ops::ALL, flash).err().unwrap();
    let broken = new(Flash { bytes: &weights, reads: 0, fail: true, lie: 0 });
    assert_eq!((broken.kind(), broken.detail()), (ErrorKind::WeightSource, 7));
    assert_eq!(new(Flash { bytes: &weights[..80], reads: 0, fail: false, lie: 0 }).kind(), ErrorKind::WeightSource);
    assert_eq!(new(Flash { bytes: &weights, reads: 0, fail: false, lie: 1 }).kind(), ErrorKind::BadMagic);

    let mut flash = Flash { bytes: &weights, reads: 0, fail: false, lie: 0 };
    struct Later<'l, 'f>(&'l core::cell::RefCell<Flash<'f>>);
    impl WeightSource for Later<'_, '_> {
        fn read(&mut self, offset: usize, to: &mut [u8]) -> Result<(), Error> {
            self.0.borrow_mut().read(offset, to)
        }
    }
    flash.reads = 0;
    let flash = core::cell::RefCell::new(flash);
    let mut session = StagedSession::new(artifact, [&mut arena, &mut []], ops::ALL, Later(&flash)).unwrap();
    // Multipliers become negative: the first layer is step 1.
    flash.borrow_mut().lie = 0xff;
    let error = session.run().unwrap_err();
    assert_eq!((error.kind(), error.step()), (ErrorKind::BadStep, Some(1)));
    assert_eq!(session.verify_digest().unwrap_err().kind(), ErrorKind::DigestMismatch);
    flash.borrow_mut().fail = true;
    let error = session.run().unwrap_err();
    assert_eq!((error.kind(), error.step()), (ErrorKind::WeightSource, Some(0)));
    (flash.borrow_mut().fail, flash.borrow_mut().lie) = (false, 0);
    session.input(0).unwrap().copy_from_i8(&[1; 8]).unwrap();
    session.run().unwrap();
}

#[test]
fn stage_records_are_proved() {
    let with = |change: &dyn Fn(&mut Program)| {
        let mut p = staged(&program());
        change(&mut p);
        refusal(&p)
    };
    assert_eq!(with(&|_| ()), None);
    assert_eq!(with(&|p| p.stages.clear()), Some(ErrorKind::NotStaged));
    assert_eq!(with(&|p| p.stages.truncate(2)), Some(ErrorKind::BadSection));
    assert_eq!(with(&|p| p.stages[1].bytes += 16), Some(ErrorKind::OutOfBounds));
    assert_eq!(with(&|p| p.stages[1].weights = u32::MAX - 15), Some(ErrorKind::OutOfBounds));
    assert_eq!(with(&|p| p.stages[1].arena += 16), Some(ErrorKind::OutOfBounds));
    assert_eq!(with(&|p| p.stages[1].arena = u32::MAX - 15), Some(ErrorKind::OutOfBounds));
    assert_eq!(with(&|p| p.stages[1].arena -= 8), Some(ErrorKind::BadStep));
    // Where the output will be lies nothing yet; on the output; on an input that dies in the step.
    assert_eq!(with(&|p| p.stages[1].arena -= 16), None);
    assert_eq!(with(&|p| p.stages[2].arena -= 16), Some(ErrorKind::Overlap));
    assert_eq!(with(&|p| p.stages[0].arena = 0), Some(ErrorKind::Overlap));
    // Constants and arrays outside of what was read.
    assert_eq!(with(&|p| (p.stages[0].weights, p.stages[0].bytes) = (16, 16)), Some(ErrorKind::BadStep));
    assert_eq!(with(&|p| p.stages[0].bytes = 0), Some(ErrorKind::BadStep));
    assert_eq!(with(&|p| p.stages[1].bytes = 0), Some(ErrorKind::BadStep));
    assert_eq!(with(&|p| p.stages[2].bytes -= 16), Some(ErrorKind::BadStep));
}

#[test]
fn the_scratch_of_a_step_and_its_weights_lie_apart() {
    let mut p = Program::default();
    let x = p.input(DType::I8, &[1, 3, 4, 1]);
    let y = conv3x3(&mut p, x, 3, 4, None);
    p.output(y);
    let mut p = staged(&p);
    assert_eq!(refusal(&p), None);
    p.stages[0].arena = p.steps[0].scratch;
    assert_eq!(refusal(&p), Some(ErrorKind::Overlap));
    p.first_region = p.steps[0].scratch + 16;
    assert_eq!(p.refusal().map(|e| e.kind()), Some(ErrorKind::OutOfBounds));
}

#[test]
fn every_byte_changed_in_a_staged_program_of_two_regions_is_survived() {
    let p = divided(&staged(&program()), 32);
    let (head, weights) = p.split();
    let (mut fast, mut slow) = (Aligned::zeroed(256), Aligned::zeroed(4096));
    let mut ran = 0;
    for at in 0..head.len() + weights.len() {
        for mask in [0x01, 0x04, 0x10, 0x80, 0xff] {
            let (mut head, mut weights) = (head.clone(), weights.clone());
            match head.get_mut(at) {
                Some(byte) => *byte ^= mask,
                None => weights[at - head.len()] ^= mask,
            }
            if let Ok(artifact) = Artifact::parse_split(&head, &weights)
                && let Ok(mut session) = Session::with_regions(artifact, [&mut fast, &mut slow], ops::ALL)
            {
                let _ = session.run();
            }
            if let Ok(artifact) = Artifact::parse_head(&head)
                && let Ok(mut session) = StagedSession::new(artifact, [&mut fast, &mut slow], ops::ALL, &weights[..])
            {
                ran += session.run().is_ok() as usize;
            }
        }
    }
    assert!(ran > 100, "{ran}");
    assert_eq!(program().run(&[i8s(&[1; 8])]).unwrap().len(), 3);
}
