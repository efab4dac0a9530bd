//! State between runs. Oracles: sums by hand; for int8 recurrent layers the rules of `runtime/README.md` in
//! plain 128-bit arithmetic.
mod support;

use selvedge_core::artifact::StateRecord;
use selvedge_core::params::{Binary, NONE, RecurrentI8, binary, recurrent};
use selvedge_core::{Artifact, DType, ErrorKind, Format, OpCode};
use selvedge_exec::{STATE_HEADER_BYTES, Session, State, StreamSession, state_bytes};
use support::zoo::{self, single};
use support::{Aligned, Program, params};

/// sum = x + sum of the frame before; the sum is an output as well.
fn sums(initial: Option<[f32; 2]>) -> Program {
    let t = (DType::F32, &[2u32][..]);
    let args = Binary { kind: binary::ADD, lo: f32::NEG_INFINITY, hi: f32::INFINITY };
    let mut p = single((OpCode::Binary, Format::F32), &[t, t], &[t], |_| (params(args), 0));
    let (sum, y) = (p.inputs[1], p.outputs[0]);
    let copy = p.tensor(DType::F32, &[2]);
    p.step((OpCode::Reshape, Format::Any), &[y], &[copy], vec![], 0);
    p.record(y).last_use = u16::MAX;
    p.output(copy);
    let initial = initial.map_or(StateRecord::ZEROS, |values| p.array(bytemuck::cast_slice(&values)));
    p.state(sum, y, initial);
    p
}

/// What a stream of these frames gives.
fn run(p: &Program, state: &mut [u8], frames: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
    let mut session = StreamSession::new(Artifact::parse(&bytes).unwrap(), &mut arena, state).unwrap();
    assert_eq!((session.input_count(), session.output_count()), (1, 1));
    frames
        .iter()
        .map(|frame| {
            session.input(0).unwrap().copy_from_f32(frame).unwrap();
            session.step().unwrap();
            let found = session.output(0).unwrap();
            found.as_f32().unwrap().try_into().unwrap()
        })
        .collect()
}

#[test]
fn a_state_goes_on_from_frame_to_frame_and_session_to_session() {
    let p = sums(None);
    let mut state = State::<{ STATE_HEADER_BYTES + 8 }>::new();
    assert_eq!(state_bytes(&Artifact::parse(&p.bytes()).unwrap()), state.len());
    assert_eq!(run(&p, &mut state, &[[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [4.0, 6.0]]);
    let mut copy = state.to_vec();
    assert_eq!(run(&p, &mut state, &[[1.0, 1.0]]), [[5.0, 7.0]]);
    assert_eq!(run(&p, &mut copy, &[[0.0, 0.0]]), [[4.0, 6.0]]);
    let p = sums(Some([10.0, 20.0]));
    let mut state = vec![0; STATE_HEADER_BYTES + 8];
    assert_eq!(run(&p, &mut state, &[[1.0, 1.0], [1.0, 1.0]]), [[11.0, 21.0], [12.0, 22.0]]);
    let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
    StreamSession::new(Artifact::parse(&bytes).unwrap(), &mut arena, &mut state).unwrap().reset();
    assert_eq!(run(&p, &mut state, &[[1.0, 1.0]]), [[11.0, 21.0]]);
}

#[test]
fn other_states_and_plain_sessions_are_refused() {
    let (p, other) = (sums(None), sums(Some([1.0, 1.0])));
    assert_eq!(p.refusal().unwrap().kind(), ErrorKind::HasState);
    let refused = |p: &Program, state: &mut [u8]| {
        let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
        StreamSession::new(Artifact::parse(&bytes).unwrap(), &mut arena, state).map(drop).unwrap_err()
    };
    let mut state = vec![0; STATE_HEADER_BYTES + 8];
    run(&p, &mut state, &[[1.0, 1.0]]);
    assert_eq!(refused(&other, &mut state).kind(), ErrorKind::StateMismatch);
    let small = refused(&p, &mut [0; STATE_HEADER_BYTES + 7]);
    assert_eq!((small.kind(), small.detail() as usize), (ErrorKind::StateTooSmall, STATE_HEADER_BYTES + 8));
    state[0] = 1;
    assert_eq!(refused(&p, &mut state).kind(), ErrorKind::StateMismatch);
}

#[test]
fn records_of_states_are_proved() {
    let refusal = |damage: &dyn Fn(&mut Program)| {
        let mut p = sums(Some([1.0, 2.0]));
        damage(&mut p);
        let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
        let artifact = Artifact::parse(&bytes).unwrap();
        let mut state = vec![0; 64];
        StreamSession::new(artifact, &mut arena, &mut state).map(drop).map_err(|e| e.kind())
    };
    assert_eq!(refusal(&|_| {}), Ok(()));
    let bad = Err(ErrorKind::BadTensor);
    assert_eq!(refusal(&|p| p.states[0].input = 99), bad);
    assert_eq!(refusal(&|p| p.states[0].output = p.inputs[0]), bad);
    assert_eq!(refusal(&|p| p.states[0].input = p.inputs[0]), bad);
    assert_eq!(refusal(&|p| p.record(p.states[0].output).flags = 0), bad);
    assert_eq!(refusal(&|p| p.record(0).flags |= 4), bad);
    assert_eq!(refusal(&|p| p.states.push(p.states[0])), bad);
    assert_eq!(refusal(&|p| p.states.clear()), Err(ErrorKind::HasState));
    assert_eq!(refusal(&|p| p.states[0].initial = 4), Err(ErrorKind::OutOfBounds));
}

fn values<T: bytemuck::Pod>(p: &Program, offset: u32, n: usize) -> Vec<T> {
    let bytes = &p.weights[offset as usize..][..n * size_of::<T>()];
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

fn table(t: &[i16], gate: i128) -> i128 {
    let place = gate.clamp(-32768, 32767) + 32768;
    let (low, high) = (i128::from(t[(place / 128) as usize]), i128::from(t[(place / 128) as usize + 1]));
    low + ((high - low) * (place % 128) + 64).div_euclid(128)
}

/// round(v·m / 2^(31+k)), half up, in the codes of h.
fn code(v: i128, m: i32, k: i32) -> i128 {
    (v * i128::from(m) + (1 << (30 + k))).div_euclid(1 << (31 + k)).clamp(-127, 127)
}

/// Rows of a packed W8 matrix times a vector.
fn product(w: &[i8], n: usize, k: usize, x: &[i128]) -> Vec<i128> {
    let at = |row, col| i128::from(w[selvedge_kernels::pack::w8_at(n, k, row, col)]);
    (0..n).map(|row| (0..k).map(|col| at(row, col) * x[col]).sum()).collect()
}

#[test]
fn int8_recurrent_layers_follow_their_rules() {
    let mut seen = 0;
    for (name, p) in zoo::recurrent().into_iter().filter(|(name, _)| name.starts_with("int8")) {
        let args: RecurrentI8 = zerocopy::FromBytes::read_from_bytes(&p.params[..]).unwrap();
        let (steps, batch, input, h) = (11, 2, 3, args.hidden as usize);
        let gru = p.steps[0].op == OpCode::Gru as u16;
        let n = if gru { 3 * h } else { 4 * h };
        let direct = if gru { 2 * h } else { n };
        let inputs = zoo::inputs(&p);
        // Sequences of 11 and of 6 steps.
        let mut inputs = inputs;
        *inputs.last_mut().unwrap() = bytemuck::cast_slice(&[11i32, 6]).to_vec();
        let x: Vec<i8> = bytemuck::cast_slice(&inputs[0]).to_vec();
        let bytes = selvedge_kernels::pack::w8_bytes;
        let w: Vec<i8> = values(&p, args.weights, bytes(n, input));
        let r: Vec<i8> = values(&p, args.recurrent, bytes(direct, h) + if gru { bytes(h, h) } else { 0 });
        let t: Vec<i16> = values(&p, args.tables[0], 513);
        let (mx, mh): (Vec<i32>, Vec<i32>) = (values(&p, args.multiplier_x, n), values(&p, args.multiplier_h, n));
        let bias: Vec<i64> = values(&p, args.bias, n);
        let more: Vec<i64> = if args.recurrent_bias == NONE { vec![] } else { values(&p, args.recurrent_bias, h) };
        let [to_h, to_state] = [0, 1].map(|i| (args.to_code_multiplier[i], args.to_code_shift[i]));
        let unit = 1i128 << args.shift;
        let sat = |v: i128| v.clamp(-32768, 32767);
        let clip = |v: i128| sat(v).clamp(-i128::from(args.clip), args.clip.into());
        let sum = |g: usize, a: i128, b: i128| {
            (a * i128::from(mx[g]) + b * i128::from(mh[g]) + i128::from(bias[g])).div_euclid(unit)
        };
        let mut expected = vec![0i8; steps * batch * h];
        for row in 0..batch {
            let start = |i: usize, wide: bool| -> Vec<i128> {
                (0..h)
                    .map(|j| match wide {
                        true => i16::from_le_bytes(inputs[i][(row * h + j) * 2..][..2].try_into().unwrap()).into(),
                        false => i128::from(inputs[i][row * h + j] as i8),
                    })
                    .collect()
            };
            let mut state = start(1, gru);
            let mut c = if gru { vec![] } else { start(2, true) };
            let length = [11, 6][row];
            for step in 0..length {
                let time = if args.flags & recurrent::REVERSE != 0 { length - 1 - step } else { step };
                let at: Vec<i128> = x[(time * batch + row) * input..][..input].iter().map(|&v| v.into()).collect();
                let of_x = product(&w, n, input, &at);
                let codes: Vec<i128> = match gru {
                    true => state.iter().map(|&v| code(v, to_state.0, to_state.1)).collect(),
                    false => state.clone(),
                };
                let of_h = product(&r, direct, h, &codes);
                let gate = |g: usize| table(&t, clip(sum(g, of_x[g], of_h[g])));
                if gru {
                    let linear = args.flags & recurrent::LINEAR_BEFORE_RESET != 0;
                    let reset: Vec<i128> = (0..h).map(|j| gate(h + j)).collect();
                    let scaled: Vec<i128> = (0..h).map(|j| code(reset[j] * state[j], to_h.0, to_h.1)).collect();
                    let other = product(&r[bytes(direct, h)..], h, h, if linear { &codes } else { &scaled });
                    let next = |j: usize| {
                        let g = 2 * h + j;
                        let inner = if linear {
                            let own = (other[j] * i128::from(mh[g]) + i128::from(more[j])).div_euclid(unit);
                            sum(g, of_x[g], 0) + (reset[j] * sat(own) + (1 << 14)).div_euclid(1 << 15)
                        } else {
                            sum(g, of_x[g], other[j])
                        };
                        let (z, candidate) = (gate(j), table(&t, clip(inner)));
                        sat(((32768 - z) * candidate + z * state[j] + (1 << 14)).div_euclid(1 << 15))
                    };
                    state = (0..h).map(next).collect();
                } else {
                    for j in 0..h {
                        let (i, o) = (gate(j), gate(h + j));
                        let f = if args.flags & recurrent::INPUT_FORGET != 0 { 32768 - i } else { gate(2 * h + j) };
                        let bits = args.cell_bits;
                        let sum = (f * c[j]) * (1 << (15 - bits)) + i * gate(3 * h + j);
                        c[j] = sat((sum + (1 << (29 - bits))).div_euclid(1 << (30 - bits)));
                        let squashed = table(&t, sat(c[j] * (1 << (12 - bits))));
                        state[j] = code(o * squashed, to_h.0, to_h.1);
                    }
                }
                for j in 0..h {
                    let v = if gru { code(state[j], to_state.0, to_state.1) } else { state[j] };
                    expected[(time * batch + row) * h + j] = v as i8;
                }
            }
        }
        let (bytes, mut arena) = (p.bytes(), Aligned::zeroed(p.arena_bytes as usize));
        let mut session = Session::new(Artifact::parse(&bytes).unwrap(), &mut arena).unwrap();
        for (i, data) in inputs.iter().enumerate() {
            session.input(i).unwrap().copy_from_bytes(data).unwrap();
        }
        session.run().unwrap();
        assert_eq!(session.output(0).unwrap().as_i8().unwrap(), expected, "{name}");
        assert!(expected.iter().any(|&v| v != 0 && v.abs() < 127), "{name}: {expected:?}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}
