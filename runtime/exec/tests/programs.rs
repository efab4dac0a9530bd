//! Small programs end to end; the oracle is arithmetic done by hand or by a loop beside the test.
mod support;

use selvedge_core::params::Concat;
use selvedge_core::params::Rescale;
use selvedge_core::{Artifact, DType, Error, ErrorKind, Format, OpCode};
use selvedge_exec::{Backend, Probe, Progress, Regions, Session, StepCtx, StepOutputs};
use selvedge_kernels::IsaKind;
use support::layers::{add, conv3x3, dense};
use support::{Aligned, Program, as_i8, i8s, params};

fn dense_program() -> Program {
    let mut p = Program::default();
    let x = p.input(DType::I8, &[2, 3]);
    let y = dense(&mut p, x, 2, &[1, 2, 3, -1, 0, 1], &[10, -20]);
    p.output(y);
    p
}

/// Two convolutions, the second added onto the first.
fn residual_program() -> Program {
    let mut p = Program::default();
    let x = p.input(DType::I8, &[1, 3, 4, 1]);
    let first = conv3x3(&mut p, x, 3, 4, None);
    let second = conv3x3(&mut p, first, 3, 4, None);
    let sum = conv3x3(&mut p, second, 3, 4, Some(first));
    p.output(sum);
    p
}

#[test]
fn dense_equals_the_loop() {
    let y = dense_program().run(&[i8s(&[1, 2, 3, 10, 20, 30])]).unwrap();
    assert_eq!(as_i8(&y), [24, -18, 127, 0]);
}

fn box_sum(x: &[i32]) -> Vec<i32> {
    let (h, w) = (3i32, 4i32);
    let mut out = Vec::new();
    for y in 0..h {
        for c in 0..w {
            let mut sum = 0;
            for (dy, dx) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dy, dx))) {
                let (r, q) = (y + dy, c + dx);
                if (0..h).contains(&r) && (0..w).contains(&q) {
                    sum += x[(r * w + q) as usize];
                }
            }
            out.push(sum.clamp(-128, 127));
        }
    }
    out
}

#[test]
fn fused_add_lies_on_the_skip() {
    let x: Vec<i8> = (0..12).map(|i| i % 3 - 1).collect();
    let y = residual_program().run(&[i8s(&x)]).unwrap();
    let x: Vec<i32> = x.iter().map(|&v| v.into()).collect();
    let first = box_sum(&x);
    let third = box_sum(&box_sum(&first));
    let want: Vec<i8> = third.iter().zip(&first).map(|(a, b)| (a + b).clamp(-128, 127) as i8).collect();
    assert_eq!(as_i8(&y), want);
}

#[test]
fn add_of_a_tensor_to_itself_borrows_once() {
    let mut p = Program::default();
    let x = p.input(DType::I8, &[5]);
    let y = add(&mut p, x, x, &[5]);
    p.output(y);
    assert_eq!(as_i8(&p.run(&[i8s(&[1, -2, 64, -64, -65])]).unwrap()), [2, -4, 127, -128, -128]);
}

#[test]
fn add_in_place_lies_on_either_input() {
    for side in [0, 1] {
        let mut p = Program::default();
        let (a, b) = (p.input(DType::I8, &[2, 2]), p.input(DType::I8, &[2, 2]));
        let y = p.tensor(DType::I8, &[2, 2]);
        let args = selvedge_core::params::AddI8 { m1: 1, m2: -1, c: 0, s: 0, lo: -128, hi: 127 };
        p.step((OpCode::Add, Format::I8), &[a, b], &[y], params(args), 0);
        p.in_place(side);
        p.output(y);
        assert_eq!(as_i8(&p.run(&[i8s(&[1, 2, 3, 4]), i8s(&[10, 0, -10, 1])]).unwrap()), [-9, 2, 13, 3]);
    }
}

#[test]
fn add_in_place_refuses_a_tensor_with_itself() {
    let mut p = Program::default();
    let x = p.input(DType::I8, &[5]);
    let y = add(&mut p, x, x, &[5]);
    p.in_place(0);
    p.output(y);
    assert_eq!(p.refusal().unwrap().kind(), ErrorKind::BadStep);
}

#[test]
fn reshape_chain_moves_nothing_in_place() {
    let mut p = Program::default();
    let x = p.input(DType::I8, &[2, 6]);
    let mut last = x;
    for (i, dims) in [[3, 4], [4, 3], [12, 1]].iter().enumerate() {
        let y = p.tensor(DType::I8, dims);
        p.step((OpCode::Reshape, Format::Any), &[last], &[y], Vec::new(), 0);
        if i != 1 {
            p.in_place(0);
        }
        last = y;
    }
    p.output(last);
    let data: Vec<i8> = (0..12).collect();
    assert_eq!(as_i8(&p.run(&[i8s(&data)]).unwrap()), data);
}

#[test]
fn concat_copies_or_rescales_each_input() {
    let mut p = Program::default();
    let (a, b) = (p.input(DType::I8, &[2, 1]), p.input(DType::I8, &[2, 2]));
    let y = p.tensor(DType::I8, &[2, 5]);
    let mut bytes = params(Concat { axis: 1 });
    bytes.extend(params(Rescale { m: 0, c: 0, s: 0 }));
    bytes.extend(params(Rescale { m: 3, c: 1, s: 1 }));
    bytes.extend(params(Rescale { m: 0, c: 0, s: 0 }));
    p.step((OpCode::Concat, Format::I8), &[a, b, b], &[y], bytes, 0);
    p.output(y);
    let y = p.run(&[i8s(&[1, 2]), i8s(&[10, -10, 100, -100])]).unwrap();
    assert_eq!(as_i8(&y), [1, 15, -15, 10, -10, 2, 127, -128, 100, -100]);
}

#[test]
fn inputs_and_constants_may_be_outputs() {
    let mut p = Program::default();
    let x = p.input(DType::I8, &[2]);
    let c = p.constant(DType::I8, &[3], &[7, 8, 9]);
    p.output(x);
    p.output(c);
    p.outputs.push(x);
    assert_eq!(p.run_all(&[i8s(&[1, 2])]).unwrap(), [vec![1, 2], vec![7, 8, 9], vec![1, 2]]);
}

#[test]
fn run_in_steps_equals_run_at_every_budget() {
    let p = residual_program();
    let x: Vec<i8> = (0..12).collect();
    let want = p.run(&[i8s(&x)]).unwrap();
    let bytes = p.bytes();
    for budget in 1..5 {
        let mut arena = Aligned::zeroed(p.arena_bytes as usize);
        let mut session = Session::new(Artifact::parse(&bytes).unwrap(), &mut arena).unwrap();
        session.input(0).unwrap().copy_from_i8(&x).unwrap();
        let mut calls = 1;
        while let Progress::Running(next) = session.run_steps(budget).unwrap() {
            assert_eq!(next, calls * budget);
            assert_eq!(session.run().unwrap_err().kind(), ErrorKind::Busy);
            assert_eq!(session.output(0).unwrap_err().kind(), ErrorKind::Busy);
            assert_eq!(session.input(0).unwrap_err().kind(), ErrorKind::Busy);
            calls += 1;
        }
        assert_eq!(calls, 3usize.div_ceil(budget));
        assert_eq!(session.output(0).unwrap().bytes(), want);
        session.run_steps(1).unwrap();
        session.reset();
        session.run().unwrap();
    }
}

#[test]
fn an_instruction_set_that_is_not_there_is_an_error() {
    let (p, bytes) = (dense_program(), dense_program().bytes());
    for kind in IsaKind::ALL {
        let mut arena = Aligned::zeroed(p.arena_bytes as usize);
        let session = Session::new(Artifact::parse(&bytes).unwrap(), &mut arena).unwrap();
        match session.with_isa(kind) {
            Ok(session) => assert_eq!(session.isa(), kind),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoSuchIsa);
                assert!(kind != IsaKind::Portable && !(cfg!(feature = "std") && kind.is_available()));
            }
        }
    }
}

struct Doubler(Vec<(bool, usize)>);

impl Probe for Doubler {
    fn before_step(&mut self, step: &StepCtx<'_>) {
        self.0.push((false, step.index()));
    }

    fn after_step(&mut self, step: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        self.0.push((true, step.index()));
        assert_eq!((outputs.len(), outputs.tensor(0).unwrap().dims), (1, &[2, 2][..]));
        outputs.bytes_mut(0).iter_mut().for_each(|b| *b = (*b as i8).saturating_mul(2) as u8);
        assert!(outputs.bytes(1).is_empty());
    }
}

#[test]
fn a_probe_sees_and_overwrites_every_step() {
    let p = dense_program();
    let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
    let mut session = Session::new(Artifact::parse(&bytes).unwrap(), &mut arena).unwrap();
    session.input(0).unwrap().copy_from_i8(&[1, 2, 3, 0, 0, 0]).unwrap();
    let mut probe = Doubler(Vec::new());
    session.run_probed(&mut probe).unwrap();
    assert_eq!(probe.0, [(false, 0), (true, 0)]);
    assert_eq!(session.output(0).unwrap().as_i8().unwrap(), [48, -36, 20, -40]);
}

/// Claims one step, writes ones.
struct Ones {
    step: usize,
    flushed: usize,
}

impl Backend for Ones {
    fn claims(&self, step: &StepCtx<'_>) -> bool {
        step.index() == self.step
    }

    fn run_step(&mut self, step: &StepCtx<'_>, arena: &mut Regions<'_>) -> Result<(), Error> {
        arena.get_mut(step.output(0)?.range()).ok_or(step.bad())?.fill(1);
        Ok(())
    }

    fn flush(&mut self, _: &Artifact<'_>, _: &mut Regions<'_>) -> Result<(), Error> {
        self.flushed += 1;
        Ok(())
    }
}

#[test]
fn a_backend_takes_the_steps_it_claims() {
    let p = residual_program();
    let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
    let mut session = Session::new(Artifact::parse(&bytes).unwrap(), &mut arena).unwrap();
    session.input(0).unwrap().copy_from_i8(&[0; 12]).unwrap();
    let mut ones = Ones { step: 1, flushed: 0 };
    session.run_on(&mut ones).unwrap();
    // The first step gives zeros, the claimed one ones, the third their box sum.
    let want: Vec<i8> = box_sum(&[1; 12]).iter().map(|&v| v as i8).collect();
    assert_eq!(session.output(0).unwrap().as_i8().unwrap(), want);
    assert_eq!(ones.flushed, 1);
}
