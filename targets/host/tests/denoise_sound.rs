//! `selvedge denoise` on speech, as a user calls it. Oracle: the stream that GTCRN's authors publish.

mod common;

use common::Room;
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::{CompileOptions, compile};
use std::io::Write;
use std::path::PathBuf;

/// The folder of recordings; says aloud that nothing is tested where it is absent.
fn data() -> Option<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let dir = std::env::var_os("SELVEDGE_DATA").map_or(default, PathBuf::from).join("models/audio");
    if dir.is_dir() {
        return Some(dir);
    }
    let _ = writeln!(std::io::stderr(), "NOT TESTED: speech: no recordings at {} (set SELVEDGE_DATA)", dir.display());
    None
}

fn samples(path: impl AsRef<std::path::Path>) -> Vec<i16> {
    hound::WavReader::open(path).expect("opens").samples::<i16>().map(|s| s.expect("reads")).collect()
}

fn put(room: &Room, name: &str, rate: u32, channels: u16, bits: u16, samples: &[i16]) {
    let spec =
        hound::WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(room.path(name), spec).expect("made");
    samples.iter().for_each(|&s| writer.write_sample(i32::from(s) >> (16 - bits)).expect("written"));
    writer.finalize().expect("whole");
}

fn gtcrn(room: &Room, data: &std::path::Path) {
    let states = ["conv_cache", "tra_cache", "inter_cache"].map(|name| (name.to_string(), format!("{name}_out")));
    let import = ImportOptions { states: states.to_vec(), ..ImportOptions::default() };
    let options = CompileOptions { import, scheme: QuantScheme::f32(), ..CompileOptions::default() };
    let onnx = std::fs::read(data.join("gtcrn_simple.onnx")).expect("reads");
    room.put("gtcrn.slvg", &compile(&onnx, &options).expect("compiles").artifact);
}

#[test]
fn speech_is_denoised_as_its_authors_do_and_recordings_of_other_kinds_are_told_apart() {
    let Some(data) = data() else { return };
    let room = Room::new("denoise_sound");
    gtcrn(&room, &data);
    let (noisy, published) = (samples(data.join("mix.wav")), samples(data.join("enh_stream.wav")));
    let part = 32_000;
    put(&room, "noisy.wav", 16_000, 1, 16, &noisy[..part]);
    put(&room, "truth.wav", 16_000, 1, 16, &published[..part]);
    let done = room.run("denoise noisy.wav -o out.wav --model gtcrn.slvg --reference truth.wav");
    assert_eq!(done.code, 0, "{}", done.err);
    let line = done.out.lines().find(|line| line.starts_with("SI-SNR")).expect("a reference was given");
    let after: f64 = line.split_whitespace().filter_map(|w| w.parse().ok()).nth(1).expect("two numbers");
    // The authors mirror the recording's beginning, which the networks remember for a while.
    assert!(after > 25.0, "{line}");
    assert_eq!(samples(room.path("out.wav")).len(), part);
    // Two channels of 8 bits, the second silent.
    let both: Vec<i16> = noisy[..4000].iter().flat_map(|&s| [s, 0]).collect();
    put(&room, "both.wav", 16_000, 2, 8, &both);
    let done = room.run("denoise both.wav -o both_out.wav --model gtcrn.slvg");
    assert_eq!(done.code, 0, "{}", done.err);
    for says in ["2 channels", "8 bits", "channel 1: it is silent"] {
        assert!(done.out.contains(says), "{says}: {}", done.out);
    }
    assert_eq!(samples(room.path("both_out.wav")).len(), 8000);
    put(&room, "clipped.wav", 16_000, 1, 16, &[[100, 200, 300, 0], [i16::MAX; 4], [1, 2, 3, 4]].concat());
    assert!(room.run("denoise clipped.wav -o c.wav --model gtcrn.slvg").out.contains("4 samples are clipped"));
    put(&room, "slow.wav", 8_000, 1, 16, &noisy[..800]);
    put(&room, "none.wav", 16_000, 1, 16, &[]);
    room.put("cut.wav", b"RIFF\x10\0\0\0WAVE");
    for (words, says) in [
        ("slow.wav -o o.wav --model gtcrn.slvg", &["slow.wav", "8000", "16000", "sox"][..]),
        ("none.wav -o o.wav --model gtcrn.slvg", &["none.wav", "no samples"]),
        ("cut.wav -o o.wav --model gtcrn.slvg", &["cut.wav"]),
        ("noisy.wav -o o.wav --model gtcrn.slvg --reference both.wav", &["1 of 32000", "one length"]),
        ("noisy.wav -o o.wav --model gtcrn.slvg --second gtcrn.slvg", &["DTLN's first model", "gtcrn.slvg"]),
    ] {
        room.run(&format!("denoise {words}")).refused(says);
    }
}

#[test]
fn speech_asks_for_a_model_of_its_kind() {
    let room = Room::new("denoise_sound_refused");
    put(&room, "noisy.wav", 16_000, 1, 16, &[1, 2, 3]);
    room.run("denoise noisy.wav -o o.wav").refused(&["--model", "GTCRN", "DTLN"]);
    room.run("denoise noisy.wav -o o.wav --model digits.slvg").refused(&["digits.slvg", "514 numbers", "--state"]);
    room.run("denoise noisy.wav -o o.wav --model digits.slvg --level 5").refused(&["--level", "pictures"]);
}
