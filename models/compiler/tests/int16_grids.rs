//! Activations that a file quantizes to 16 bits around 0 run in integers. Oracle: exact sums of codes.
mod common;

use common::*;
use selvedge_compiler::{CompileOptions, compile};
use selvedge_core::Artifact;
use selvedge_exec::Session;
use selvedge_kernels::IsaKind;
use zerocopy::IntoBytes;

const X: (usize, usize, usize) = (2, 4, 5);
const CHANNELS: usize = 3;
const SCALES: [f32; 3] = [0.001, 0.02, 0.003];

/// Codes of both signs up to `most`.
fn ramp(n: usize, most: i64) -> Vec<i64> {
    (0..n as i64).map(|i| (i * 7_919 + 17).rem_euclid(2 * most + 1) - most).collect()
}

/// A 3x3 convolution between int16 grids, and its input less itself.
fn file() -> Vec<u8> {
    let qdq = |x: &str, scale: &str, to: &str| {
        let q = format!("{to}_q");
        let pair = [
            node("QuantizeLinear", &[x, scale, "z"], &[&q], vec![]),
            node("DequantizeLinear", &[&q, scale, "z"], &[to], vec![]),
        ];
        Vec::from(pair)
    };
    let w: Vec<i32> = ramp(CHANNELS * X.0 * 9, 127).iter().map(|&w| w as i32).collect();
    let nodes = [
        qdq("x", "sx", "xg"),
        vec![
            node("DequantizeLinear", &["w", "sw", "zw"], &["wf"], vec![]),
            node("Conv", &["xg", "wf"], &["c"], vec![ints("pads", &[1, 1, 1, 1])]),
        ],
        qdq("c", "sy", "y"),
        vec![node("Sub", &["xg", "xg"], &["d"], vec![])],
        qdq("d", "sx", "none"),
    ]
    .concat();
    let init = vec![
        f32s("sx", &[], &SCALES[..1]),
        f32s("sw", &[], &SCALES[1..2]),
        f32s("sy", &[], &SCALES[2..]),
        codes("z", 5, &[], &[0]),
        codes("zw", 3, &[], &[0]),
        codes("w", 3, &[CHANNELS as i64, X.0 as i64, 3, 3], &w),
    ];
    let input = info("x", 1, &[1, X.0 as i64, X.1 as i64, X.2 as i64]);
    encode(&model(21, graph(vec![input], vec![info("y", 1, &[]), info("none", 1, &[])], nodes, init)))
}

#[test]
fn a_files_int16_grids_run_in_int16_and_give_the_exact_codes() {
    let compiled = compile(&file(), &CompileOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let kernels: Vec<&str> = compiled.program.steps.iter().map(|step| step.kernel.as_str()).collect();
    for kernel in ["quantize_i16", "conv2d_i16_w8", "add_i16", "dequantize_i16"] {
        assert!(kernels.contains(&kernel), "{kernel}: {kernels:?}");
    }
    assert!(!kernels.contains(&"conv2d_f32") && !kernels.contains(&"binary_f32"), "{kernels:?}");
    let (channels, height, width) = X;
    let x = ramp(channels * height * width, 30_000);
    let w = ramp(CHANNELS * channels * 9, 127);
    let real: Vec<f32> = x.iter().map(|&q| q as f32 * SCALES[0]).collect();
    let expected = |channel: usize, row: usize, column: usize| {
        let taps = (0..channels * 9).filter_map(|at| {
            let (y, z) = ((row + at % 9 / 3).checked_sub(1)?, (column + at % 3).checked_sub(1)?);
            let inside = y < height && z < width;
            inside.then(|| x[(at / 9 * height + y) * width + z] * w[channel * channels * 9 + at])
        });
        let sum: i64 = taps.sum();
        let ratio = f64::from(SCALES[0]) * f64::from(SCALES[1]) / f64::from(SCALES[2]);
        (sum as f64 * ratio).round().clamp(-32_768.0, 32_767.0)
    };
    let mut words = vec![0u128; compiled.artifact.len().div_ceil(16)];
    words.as_mut_bytes()[..compiled.artifact.len()].copy_from_slice(&compiled.artifact);
    let artifact = Artifact::parse(&words.as_bytes()[..compiled.artifact.len()]).expect("an artifact");
    let mut arena = vec![0u128; artifact.arena_bytes().div_ceil(16)];
    for isa in IsaKind::ALL.into_iter().filter(|isa| isa.is_available()) {
        let mut session = Session::new(artifact, arena.as_mut_bytes()).expect("valid").with_isa(isa).expect("here");
        session.input(0).and_then(|input| input.copy_from_f32(&real)).expect("fits");
        session.run().expect("runs");
        let found = session.output(0).and_then(|output| output.as_f32().map(<[f32]>::to_vec)).expect("f32");
        for (at, found) in found.iter().enumerate() {
            let place = (at / (height * width), at / width % height, at % width);
            let code = f64::from(*found) / f64::from(SCALES[2]);
            assert!((code - expected(place.0, place.1, place.2)).abs() < 0.51, "{}: {place:?} {code}", isa.name());
        }
        let none = session.output(1).and_then(|output| output.as_f32().map(<[f32]>::to_vec)).expect("f32");
        assert!(none.iter().all(|&v| v == 0.0));
    }
}
