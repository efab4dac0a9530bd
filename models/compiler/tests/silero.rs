//! A voice activity detector frame by frame. Oracle: ONNX Runtime, `silero/make.py` (versions there).
mod common;

use common::*;
use selvedge_compiler::graph::Op;
use selvedge_compiler::import::{Bound, ImportOptions};
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::{CompileOptions, compile, load};
use selvedge_core::{Artifact, ErrorKind};
use selvedge_exec::{Session, StreamSession, state_bytes};
use zerocopy::IntoBytes;

/// Samples of a 16-bit recording of one channel, in −1..1.
fn samples(wav: &[u8]) -> Vec<f32> {
    let at = wav.windows(4).position(|w| w == b"data").expect("a data chunk") + 8;
    wav[at..].chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32768.0).collect()
}

fn options() -> CompileOptions {
    CompileOptions {
        import: ImportOptions {
            shapes: vec![("input".into(), vec![1, 576])],
            bind: vec![("sr".into(), Bound::Number(16000.0))],
            states: vec![("state".into(), "stateN".into())],
            ..ImportOptions::default()
        },
        scheme: QuantScheme { weights: WeightFormat::F32, ..QuantScheme::w8a8() },
        ..CompileOptions::default()
    }
}

#[test]
fn silero_vad_follows_onnx_runtime_over_a_recording() {
    let Some(dir) = data() else { return };
    let onnx = std::fs::read(dir.join("models/other/silero_vad_16k_op15.onnx")).expect("the model");
    let wav = std::fs::read(dir.join("models/audio/mix.wav")).expect("the recording");
    let options = options();
    let graph = load(&onnx, &options.import).unwrap_or_else(|e| panic!("{e}"));
    assert!(graph.nodes.iter().any(|n| matches!(n.op, Op::Recurrent(_))), "its LSTM is one node");
    let compiled = compile(&onnx, &options).unwrap_or_else(|e| panic!("{e}"));
    let mut words = vec![0u128; compiled.artifact.len().div_ceil(16)];
    words.as_mut_bytes()[..compiled.artifact.len()].copy_from_slice(&compiled.artifact);
    let model = Artifact::parse(&words.as_bytes()[..compiled.artifact.len()]).expect("an artifact");
    let mut arena = vec![0u128; model.arena_bytes().div_ceil(16)];
    let refused = Session::new(model, arena.as_mut_bytes()).expect_err("it keeps state");
    assert_eq!(refused.kind(), ErrorKind::HasState);
    let mut state = vec![0; state_bytes(&model)];
    assert_eq!(state.len(), 24 + 2 * 128 * 4);
    let small = StreamSession::new(model, arena.as_mut_bytes(), &mut state[1..]).expect_err("a byte is missing");
    assert_eq!((small.kind(), small.detail()), (ErrorKind::StateTooSmall, 24 + 2 * 128 * 4));
    let golden = include_str!("silero/golden.txt");
    let expected: Vec<f32> = golden.lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(expected.len(), 160);
    // Each frame of 512 samples comes behind the 64 before it.
    let samples = [vec![0.0; 64], samples(&wav)].concat();
    let mut frames = samples.windows(576).step_by(512);
    let mut most = 0f32;
    for probabilities in expected.chunks(40) {
        // A session may end at any frame: the state goes on.
        let mut session = StreamSession::new(model, arena.as_mut_bytes(), &mut state).expect("a session");
        assert_eq!((session.input_count(), session.output_count()), (1, 1));
        for expected in probabilities {
            let frame = frames.next().expect("a frame");
            session.input(0).and_then(|input| input.copy_from_f32(frame)).expect("fits");
            session.step().expect("runs");
            let found = session.output(0).and_then(|output| output.as_f32().map(|v| v[0])).expect("an output");
            most = most.max((found - expected).abs());
        }
    }
    println!("largest difference {most}");
    assert!(most < 1e-4, "{most}");
    assert!(expected.iter().filter(|&&p| p > 0.5).count() > 40, "speech was found");
    let last = golden.lines().find_map(|line| line.strip_prefix("state ")).expect("the last state");
    let kept: Vec<f32> = state[24..].chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    for (found, expected) in kept.iter().step_by(16).zip(last.split(' ')) {
        let expected: f32 = expected.parse().expect("a number");
        assert!((found - expected).abs() < 1e-3 * (1.0 + expected.abs()), "{found} {expected}");
    }
    state[4] ^= 1;
    let other = StreamSession::new(model, arena.as_mut_bytes(), &mut state).expect_err("another model's state");
    assert_eq!(other.kind(), ErrorKind::StateMismatch);
}
