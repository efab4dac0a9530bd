//! What `selvedge compile` says of models that make a picture of a picture. Oracles: the form that a network has; the
//! figure that the report gives.

mod common;

use common::{Room, npy};
use selvedge_zoo::{denoiser, digits::noise};

const SIDE: usize = 32;
/// Of one level, so that it takes a picture alone.
const INPUTS: &str = "--shape noisy=1x1x32x32 --bind level=0.098";

/// Noisy squares.
fn calibration() -> Vec<u8> {
    let noisy: Vec<Vec<f32>> = denoiser::calibration(SIDE).map(|(noisy, _)| noisy).collect();
    npy("<f4", &[noisy.len(), 1, SIDE, SIDE], noisy.iter().flatten().flat_map(|x| x.to_le_bytes()).collect())
}

/// The PSNR that the report gives.
fn psnr(out: &str) -> f64 {
    let line = out.lines().find(|line| line.contains("picture ")).unwrap_or_else(|| panic!("no figure: {out}"));
    let rest = line.split("PSNR ").nth(1).expect("the figure");
    rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

fn room(name: &str) -> Room {
    let room = Room::new(name);
    room.put("denoiser.onnx", denoiser::ONNX);
    room.put("calibration.npy", &calibration());
    room
}

#[test]
fn the_ratio_is_reported_and_a_bound_on_it_decides_what_is_written() {
    let room = room("compile_picture");
    let compile = |out: &str, more: &str| {
        room.run(&format!("compile denoiser.onnx -o {out} {INPUTS} --calibration calibration.npy {more}"))
    };
    let plain = compile("plain.slvg", "");
    assert_eq!(plain.code, 0, "{}", plain.err);
    let found = psnr(&plain.out);
    assert!((30.0..70.0).contains(&found), "{}", plain.out);
    // Residual form: nothing to warn of.
    assert!(!plain.out.contains("warning"), "{}", plain.out);
    // What a bound below the figure leaves is what none leaves.
    let kept = compile("kept.slvg", &format!("--min-psnr {}", found - 0.1));
    assert_eq!(kept.code, 0, "{}", kept.err);
    assert_eq!(room.read("kept.slvg"), room.read("plain.slvg"));
    // Above it, the message has the figure and what to do, and there is no file.
    let bound = format!("--min-psnr {}", found + 0.1);
    let figure = format!("{found:.1} dB");
    compile("none.slvg", &bound).refused(&[
        "'added'",
        &figure,
        "--keep-f32",
        "--bias-correction",
        "nothing was written",
    ]);
    assert!(!std::path::Path::new(&room.path("none.slvg")).exists());
    // At 4 bits it loses more; in f32 nothing.
    let narrow = compile("narrow.slvg", "--weights w4 --group 32");
    assert!(psnr(&narrow.out) < found - 3.0, "{}", narrow.out);
    assert_eq!(compile("float.slvg", "--weights f32 --min-psnr 300").code, 0);
}

#[test]
fn a_bound_that_nothing_can_be_measured_for_is_refused() {
    let room = room("compile_picture_refused");
    room.put("digits_wide.npy", &npy("<f4", &[2, 1, 8, 8], vec![0; 512]));
    room.put("digits.onnx", selvedge_zoo::digits::ONNX);
    let run = |words: &str| room.run(&format!("compile {words}"));
    run(&format!("denoiser.onnx -o o.slvg {INPUTS} --min-psnr 30")).refused(&["--min-psnr 30", "--calibration"]);
    run("digits.onnx -o o.slvg --calibration digits_wide.npy --min-psnr 30")
        .refused(&["no output is a picture", "--min-snr"]);
    run(&format!("denoiser.onnx -o o.slvg {INPUTS} --calibration calibration.npy --min-psnr nan"))
        .refused(&["--min-psnr", "decibels"]);
}

#[test]
fn image_form_is_warned_about_where_nothing_adds_the_input() {
    let room = room("compile_picture_form");
    // It adds its input: residual form with the sum in the graph.
    room.put("sum.onnx", noise::DENOISER_050_ONNX);
    let done = room.run("compile sum.onnx -o sum.slvg");
    assert_eq!((done.code, done.out.contains("warning")), (0, false), "{}{}", done.out, done.err);
    // Nobody can tell what this one's output is without running it.
    let done = room.run(&format!("compile denoiser.onnx -o o.slvg {INPUTS}"));
    assert_eq!(done.code, 0, "{}", done.err);
    for part in ["warning", "'added' is as large as 'noisy'", "if it is the picture", "--keep-f32 conv5"] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
    // The remedy silences it.
    let done = room.run(&format!("compile denoiser.onnx -o o.slvg {INPUTS} --keep-f32 conv5"));
    assert_eq!((done.code, done.out.contains("warning")), (0, false), "{}{}", done.out, done.err);
}
