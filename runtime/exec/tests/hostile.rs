//! Damaged and hostile artifacts: each gives an error of its kind, none a panic.
mod support;

use selvedge_core::artifact::{Artifact, tensor_flags};
use selvedge_core::params::{Gather, GatherW8, Quantize};
use selvedge_core::{DType, Error, ErrorKind, Format, OpCode};
use selvedge_exec::{MAX_LIVE, Op, OpEntry, RunCtx, Session, StepCtx, ops};
use selvedge_kernels::Isa;
use support::layers::{add, conv3x3, dense};
use support::{Aligned, Program, f32s, i8s, params};

/// Two additions and a layer: `y = dense(x + (x + c))`.
fn program() -> Program {
    let mut p = Program::default();
    let x = p.input(DType::I8, &[1, 8]);
    let c = p.constant(DType::I8, &[1, 8], &[1; 8]);
    let a = add(&mut p, x, c, &[1, 8]);
    let b = add(&mut p, x, a, &[1, 8]);
    let y = dense(&mut p, b, 1, &[1; 24], &[0; 3]);
    p.output(y);
    p
}

fn kind(p: &Program) -> Option<ErrorKind> {
    p.refusal().map(|e| e.kind())
}

fn parse(bytes: &[u8]) -> ErrorKind {
    Artifact::parse(&Aligned::of(bytes)).unwrap_err().kind()
}

/// Changes the program and gives the kind of its refusal.
fn damaged(change: impl FnOnce(&mut Program)) -> ErrorKind {
    let mut p = program();
    change(&mut p);
    kind(&p).expect("refused")
}

#[test]
fn the_undamaged_program_is_accepted() {
    assert_eq!(program().refusal(), None);
    program().run(&[i8s(&[1; 8])]).unwrap();
}

#[test]
fn parse_refuses_with_each_kind() {
    let bytes = program().bytes();
    assert_eq!(parse(&bytes[..63]), ErrorKind::Truncated);
    let with = |at: usize, value: u8| {
        let mut b = bytes.clone();
        b[at] = value;
        parse(&b)
    };
    assert_eq!(with(0, b'X'), ErrorKind::BadMagic);
    assert_eq!(with(4, 9), ErrorKind::BadVersion);
    assert_eq!(with(64, 9), ErrorKind::BadSection);
    assert_eq!(with(64 + 7, 9), ErrorKind::OutOfBounds);
    let shifted = Aligned::of(&[&[0; 8], &bytes[..]].concat());
    assert_eq!(Artifact::parse(&shifted[8..]).unwrap_err().kind(), ErrorKind::MisalignedArtifact);
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    let artifact = Artifact::parse(&changed).unwrap();
    assert_eq!(artifact.verify_digest().unwrap_err().kind(), ErrorKind::DigestMismatch);
}

#[test]
fn the_arena_must_be_large_and_aligned() {
    let (p, bytes) = (program(), program().bytes());
    let need = p.arena_bytes as usize;
    let artifact = Artifact::parse(&bytes).unwrap();
    let mut arena = Aligned::zeroed(need + 8);
    let small = Session::new(artifact, &mut arena[..need - 1]).unwrap_err();
    assert_eq!((small.kind(), small.detail()), (ErrorKind::ArenaTooSmall, need as u32));
    assert_eq!(Session::new(artifact, &mut arena[8..]).unwrap_err().kind(), ErrorKind::MisalignedArena);
}

#[test]
fn tensor_records_are_proved() {
    assert_eq!(damaged(|p| p.record(0).dtype = 99), ErrorKind::BadTensor);
    assert_eq!(damaged(|p| p.record(0).rank = 7), ErrorKind::BadTensor);
    assert_eq!(damaged(|p| p.record(0).dims[0] = 0), ErrorKind::BadTensor);
    assert_eq!(damaged(|p| p.record(0).dims = [u32::MAX; 6]), ErrorKind::BadTensor);
    assert_eq!(damaged(|p| p.record(0).flags |= 0x80), ErrorKind::BadTensor);
    assert_eq!(damaged(|p| p.record(0).flags |= tensor_flags::QUANTIZED), ErrorKind::BadTensor);
    assert_eq!(damaged(|p| p.record(0).flags |= tensor_flags::STATE), ErrorKind::HasState);
    assert_eq!(damaged(|p| p.record(0).offset = u32::MAX), ErrorKind::OutOfBounds);
    assert_eq!(damaged(|p| p.record(1).offset = u32::MAX), ErrorKind::OutOfBounds);
    let misaligned = |p: &mut Program| {
        let x = p.input(DType::F32, &[1]);
        p.arena_bytes += 16;
        p.record(x).offset += 2;
    };
    assert_eq!(damaged(misaligned), ErrorKind::BadTensor);
}

#[test]
fn lifetimes_are_proved() {
    let lifetime = ErrorKind::BadLifetime;
    // Read after its memory was given up, before it is written, and never written.
    assert_eq!(damaged(|p| p.record(0).last_use = 1), lifetime);
    assert_eq!(damaged(|p| p.operands[1] = 3), lifetime);
    assert_eq!(damaged(|p| p.record(3).defined = 0), lifetime);
    assert_eq!(damaged(|p| p.record(3).defined = 1), lifetime);
    assert_eq!(damaged(|p| p.record(3).defined = 900), lifetime);
    // Written twice; a constant and an input written.
    assert_eq!(damaged(|p| p.operands[5] = 2), lifetime);
    assert_eq!(damaged(|p| p.operands[5] = 1), lifetime);
    assert_eq!(damaged(|p| p.operands[5] = 0), lifetime);
    // Inputs that are constants, given twice or left out; outputs that die early.
    assert_eq!(damaged(|p| p.inputs[0] = 1), lifetime);
    assert_eq!(damaged(|p| p.inputs.push(0)), lifetime);
    assert_eq!(damaged(|p| p.inputs.clear()), lifetime);
    assert_eq!(damaged(|p| p.record(4).last_use = 3), lifetime);
}

#[test]
fn live_tensors_share_no_byte() {
    let overlap = ErrorKind::Overlap;
    assert_eq!(damaged(|p| p.record(2).offset = 7), overlap);
    assert_eq!(damaged(|p| p.record(2).offset = p.tensors[0].offset), overlap);
    // An output may not lie on an input that is read by the same step, unless the step is in place.
    assert_eq!(damaged(|p| p.record(3).offset = p.tensors[2].offset), overlap);
    assert_eq!(
        damaged(|p| {
            p.steps[2].scratch = p.tensors[4].offset / 16 * 16;
            p.steps[2].scratch_bytes = 1;
        }),
        overlap
    );
    // Memory of a dead tensor is free.
    let mut p = program();
    p.record(4).offset = 0;
    assert_eq!(p.refusal(), None);
    p.run(&[i8s(&[1; 8])]).unwrap();
}

#[test]
fn scratch_lies_in_the_arena_and_is_aligned() {
    let scratch = |offset: u32, bytes: u32| {
        damaged(|p| {
            p.arena_bytes += 64;
            (p.steps[0].scratch, p.steps[0].scratch_bytes) = (offset, bytes);
        })
    };
    assert_eq!(scratch(u32::MAX - 15, 64), ErrorKind::OutOfBounds);
    assert_eq!(scratch(program().arena_bytes + 8, 8), ErrorKind::BadStep);
}

#[test]
fn in_place_needs_an_input_that_dies_at_the_same_place() {
    // Input 0 lives on after step 0; input 1 is a constant; there is no input 7.
    for side in [0u16, 1, 7] {
        assert_eq!(damaged(|p| p.steps[0].flags = 1 | side << 8), ErrorKind::BadStep);
    }
    // The tensor dies, but the output lies elsewhere.
    assert_eq!(damaged(|p| p.steps[1].flags = 1 | 1 << 8), ErrorKind::BadStep);
    let mut p = program();
    p.steps[1].flags = 1 | 1 << 8;
    p.record(3).offset = p.tensors[2].offset;
    assert_eq!(p.refusal(), None);
}

#[test]
fn a_layer_may_not_overwrite_what_it_reads() {
    let mut p = Program::default();
    let x = p.input(DType::I8, &[1, 3, 4, 1]);
    let y = conv3x3(&mut p, x, 3, 4, Some(x));
    p.output(y);
    assert_eq!(kind(&p), Some(ErrorKind::BadStep));
}

#[test]
fn more_live_tensors_than_tracked_are_refused() {
    let mut p = Program::default();
    for _ in 0..=MAX_LIVE {
        p.input(DType::I8, &[1]);
    }
    assert_eq!(kind(&p), Some(ErrorKind::TooManyLive));
    p.inputs.pop();
    p.tensors.pop();
    assert_eq!(kind(&p), None);
}

#[test]
fn steps_are_proved() {
    assert_eq!(damaged(|p| p.steps[0].op = 999), ErrorKind::OpNotLinked);
    assert_eq!(damaged(|p| p.steps[0].format = 200), ErrorKind::OpNotLinked);
    assert_eq!(damaged(|p| p.steps[0].operands = 1000), ErrorKind::OutOfBounds);
    assert_eq!(damaged(|p| p.steps[0].params = 1000), ErrorKind::OutOfBounds);
    assert_eq!(damaged(|p| p.operands[0] = 500), ErrorKind::BadTensor);
    assert_eq!(damaged(|p| p.operands[0] = u16::MAX), ErrorKind::BadStep);
    assert_eq!(damaged(|p| p.steps[0].params_bytes = 8), ErrorKind::BadStep);
    assert_eq!(damaged(|p| p.steps[0].flags = 4), ErrorKind::BadStep);
    assert_eq!(damaged(|p| p.steps[0].inputs = 1), ErrorKind::BadLifetime);
    assert_eq!(damaged(|p| p.record(0).dims[1] = 7), ErrorKind::BadStep);
    let error = {
        let mut p = program();
        p.steps[1].op = 999;
        p.refusal().unwrap()
    };
    assert_eq!((error.step(), error.detail()), (Some(1), 999));
}

#[test]
fn ops_that_are_not_in_the_table_are_refused() {
    const TABLE: &[OpEntry] = &[OpEntry::of::<ops::Add<ops::I8>>()];
    let (p, bytes) = (program(), program().bytes());
    let mut arena = Aligned::zeroed(p.arena_bytes as usize);
    let error = Session::with_ops(Artifact::parse(&bytes).unwrap(), &mut arena, TABLE).unwrap_err();
    assert_eq!((error.kind(), error.step()), (ErrorKind::OpNotLinked, Some(2)));
    assert_eq!(error.detail(), OpCode::Dense as u32);
}

#[test]
fn inputs_and_outputs_check_index_length_and_type() {
    let mut p = program();
    p.grid(0, 0.5, 3);
    p.grid(4, 2.0, -1);
    let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
    let mut session = Session::new(Artifact::parse(&bytes).unwrap(), &mut arena).unwrap();
    let fails = |r: Result<(), Error>| r.unwrap_err().kind();
    assert_eq!(session.input(1).unwrap_err().kind(), ErrorKind::NoSuchIo);
    assert_eq!(session.output(1).unwrap_err().kind(), ErrorKind::NoSuchIo);
    assert_eq!(fails(session.input(0).unwrap().copy_from_i8(&[0; 7])), ErrorKind::WrongLength);
    assert_eq!(fails(session.input(0).unwrap().copy_from_bytes(&[0; 9])), ErrorKind::WrongLength);
    assert_eq!(fails(session.input(0).unwrap().copy_from_u8(&[0; 8])), ErrorKind::WrongType);
    assert_eq!(fails(session.input(0).unwrap().quantize_from_f32(&[0.0; 7])), ErrorKind::WrongLength);
    let nan = session.input(0).unwrap().quantize_from_f32(&[0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).unwrap_err();
    assert_eq!((nan.kind(), nan.detail()), (ErrorKind::NotANumber, 1));
    session.input(0).unwrap().quantize_from_f32(&[-1.5, 0.0, 0.25, 0.75, 1e9, -1e9, -1.5, -1.5]).unwrap();
    assert_eq!(session.input(0).unwrap().into_bytes(), i8s(&[0, 3, 3, 5, 127, -128, 0, 0]));
    session.input(0).unwrap().copy_from_i8(&[0; 8]).unwrap();
    session.run().unwrap();
    let output = session.output(0).unwrap();
    assert_eq!(output.as_f32().unwrap_err().kind(), ErrorKind::WrongType);
    assert_eq!((output.as_i8().unwrap(), output.argmax()), (&[8i8, 8, 8][..], 0));
    let mut real = [0.0; 3];
    output.dequantize_into(&mut real).unwrap();
    assert_eq!(real, [18.0; 3]);
    assert_eq!(output.dequantize_into(&mut [0.0; 2]).unwrap_err().kind(), ErrorKind::WrongLength);
}

#[test]
fn data_that_cannot_be_computed_with_is_an_error_at_its_step() {
    let mut p = Program::default();
    let x = p.input(DType::F32, &[2]);
    let y = p.tensor(DType::I8, &[2]);
    p.step((OpCode::Quantize, Format::F32), &[x], &[y], params(Quantize { scale: 1.0, zero_point: 0 }), 0);
    p.output(y);
    let error = p.run(&[f32s(&[0.0, f32::NAN])]).unwrap_err();
    assert_eq!((error.kind(), error.step()), (ErrorKind::NotANumber, Some(0)));

    for index in [4i64, -5, i64::MIN, i64::MAX] {
        let mut p = Program::default();
        let (data, at) = (p.input(DType::I8, &[4]), p.input(DType::I64, &[1]));
        let y = p.tensor(DType::I8, &[1]);
        p.step((OpCode::Gather, Format::Any), &[data, at], &[y], params(Gather { axis: 0 }), 0);
        p.output(y);
        let error = p.run(&[&[1, 2, 3, 4], &index.to_le_bytes()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IndexOutOfRange);

        let mut p = Program::default();
        let at = p.input(DType::I64, &[1]);
        let y = p.tensor(DType::F32, &[1, 2]);
        let (table, scales) = (p.array(&[1, 2, 3, 4, 5, 6, 7, 8]), p.array(f32s(&[1.0; 4])));
        let table = params(GatherW8 { table, scales, rows: 4, row: 2 });
        p.step((OpCode::Gather, Format::W8), &[at], &[y], table, 0);
        p.output(y);
        assert_eq!(p.run(&[&index.to_le_bytes()]).unwrap_err().kind(), ErrorKind::IndexOutOfRange);
        for last in [3i64, -1] {
            assert_eq!(p.run(&[&last.to_le_bytes()]).unwrap(), f32s(&[7.0, 8.0]));
        }
    }
}

#[test]
fn products_of_int8_matrices_refuse_scales_and_shapes_that_do_not_fit() {
    let build = |a: &[u32], a_scales: u32, b: &[u32], b_scales: u32, y: &[u32], scratch: usize| {
        let mut p = Program::default();
        let inputs = [
            p.input(DType::I8, a),
            p.input(DType::F32, &[a_scales]),
            p.input(DType::I8, b),
            p.input(DType::F32, &[b_scales]),
        ];
        let y = p.tensor(DType::F32, y);
        p.step((OpCode::MatMul, Format::I8), &inputs, &[y], Vec::new(), scratch);
        p.output(y);
        kind(&p)
    };
    let enough = selvedge_kernels::pack::matmul_i8_scratch(3, 5);
    assert_eq!(build(&[2, 4, 5], 8, &[2, 3, 5], 6, &[2, 4, 3], enough), None);
    for (a, a_scales, b, b_scales, y, scratch) in [
        ([2, 4, 5], 7, [2, 3, 5], 6, [2, 4, 3], enough),
        ([2, 4, 5], 8, [2, 3, 5], 1, [2, 4, 3], enough),
        ([2, 4, 5], 8, [1, 3, 5], 3, [2, 4, 3], enough),
        ([2, 4, 5], 8, [2, 5, 3], 10, [2, 4, 3], enough),
        ([2, 4, 5], 8, [2, 3, 5], 6, [2, 3, 4], enough),
        ([2, 4, 5], 8, [2, 3, 5], 6, [2, 4, 3], enough - 1),
    ] {
        assert!(build(&a, a_scales, &b, b_scales, &y, scratch).is_some(), "{a:?} {a_scales} {b:?} {b_scales} {y:?}");
    }
}

#[test]
fn truncated_at_every_length_is_an_error() {
    let bytes = program().bytes();
    for len in 0..bytes.len() {
        let mut cut = Aligned::of(&bytes[..len]);
        assert_eq!(Artifact::parse(&cut).unwrap_err().kind(), ErrorKind::Truncated);
        // With a length that fits the bytes, sections reach out of them.
        if len >= 16 {
            cut[12..16].copy_from_slice(&(len as u32).to_le_bytes());
            assert!(Artifact::parse(&cut).is_err());
        }
    }
}

/// Parses, validates and runs; whatever comes of it, there is no panic.
fn survive(bytes: &Aligned, arena: &mut Aligned) {
    let Ok(artifact) = Artifact::parse(bytes) else { return };
    if artifact.arena_bytes() > arena.len() {
        return;
    }
    for i in 0..artifact.tensor_count() {
        let _ = artifact.name(i);
    }
    let Ok(mut session) = Session::new(artifact, arena) else { return };
    for i in 0..session.input_count() {
        let _ = session.input(i).and_then(|x| x.quantize_from_f32(&[1.0; 8]));
    }
    let _ = session.run();
    for i in 0..session.output_count() {
        let _ = session.output(i).map(|y| y.argmax());
    }
}

#[test]
fn every_byte_changed_is_survived() {
    let mut layered = Program::default();
    let x = layered.input(DType::I8, &[1, 3, 4, 1]);
    let first = conv3x3(&mut layered, x, 3, 4, None);
    let second = conv3x3(&mut layered, first, 3, 4, None);
    let sum = conv3x3(&mut layered, second, 3, 4, Some(first));
    layered.output(sum);
    assert_eq!(kind(&layered), None);
    for p in [program(), layered] {
        let bytes = p.bytes();
        let mut arena = Aligned::zeroed(4096);
        for at in 0..bytes.len() {
            for mask in [0x01, 0x02, 0x08, 0x40, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                survive(&changed, &mut arena);
            }
        }
    }
}

/// An op that a program brings itself.
struct Ramp;

impl Op for Ramp {
    const CODE: OpCode = OpCode::Unary;
    const FORMAT: Format = Format::I8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        ctx.counts(1..=1, 1)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, _isa: I) -> Result<(), Error> {
        let mut views = ctx.views()?;
        views.output::<i8>(0)?.iter_mut().zip(0..).for_each(|(y, i)| *y = i);
        assert!(views.output::<i8>(0)?.is_empty(), "an output is given out once");
        Ok(())
    }
}

#[test]
fn a_table_may_hold_ops_of_its_own() {
    const TABLE: &[OpEntry] = &[OpEntry::of::<Ramp>()];
    let mut p = Program::default();
    let (x, y) = (p.input(DType::I8, &[1]), p.tensor(DType::I8, &[4]));
    p.step((OpCode::Unary, Format::I8), &[x], &[y], Vec::new(), 0);
    p.output(y);
    let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
    let mut session = Session::with_ops(Artifact::parse(&bytes).unwrap(), &mut arena, TABLE).unwrap();
    session.run().unwrap();
    assert_eq!(session.output(0).unwrap().as_i8().unwrap(), [0, 1, 2, 3]);
}
