//! Denoisers of speech with most layers in int8, beside themselves in f32. The speech is what GTCRN's authors publish as
//! enhanced; noise is made by formula. Ranges come from other speech and other noise than what is measured.

use selvedge::denoise::metrics::si_snr;
use selvedge_compiler::fallback::keep_f32;
use selvedge_compiler::quantize::layer_names;
use selvedge_compiler::{CompileOptions, Compiled, ObserverKind, compile_calibrated};
use selvedge_tests::data_dir;
use selvedge_tests::sound::{
    DTLN_BLOCK, DTLN_SHIFT, NOISES, SECOND, dtln, dtln_denoise, dtln_samples, gtcrn, gtcrn_denoise, gtcrn_samples,
    mixture, samples, with_stream,
};
use selvedge_tests::sound_models::{calibrated, calibration, dtln_mixed, dynamic, float, gtcrn_mixed};
use std::path::Path;

/// Speech of the other half, and the same in each noise at each level.
struct Mixtures {
    speech: Vec<f32>,
    noisy: Vec<(String, Vec<f32>)>,
}

fn mixtures(speech: &[f32], seconds: usize, levels: &[f32]) -> Mixtures {
    let speech = speech[speech.len() / 2..][..seconds * SECOND].to_vec();
    let each = |(i, kind): (usize, &&str)| {
        let one = |&snr_db: &f32| (format!("{kind} {snr_db} dB"), mixture(&speech, kind, snr_db, 77 + i as u64));
        levels.iter().map(one).collect::<Vec<_>>()
    };
    let noisy = NOISES.iter().enumerate().flat_map(each).collect();
    Mixtures { speech, noisy }
}

/// The worst over mixtures, in dB.
#[derive(Debug)]
struct Quality {
    /// SI-SNR beside what f32 makes.
    to_f32: f64,
    /// Of the improvement that f32 brings, how much is missing.
    lost: f64,
}

/// Compares what a stream that is `late` samples late makes of mixtures with what f32 made of them.
fn quality(mixtures: &Mixtures, float: &[Vec<f32>], late: usize, denoise: impl Fn(&[f32]) -> Vec<f32>) -> Quality {
    let mut worst = Quality { to_f32: f64::INFINITY, lost: f64::NEG_INFINITY };
    for ((name, noisy), float) in mixtures.noisy.iter().zip(float) {
        let found = denoise(noisy);
        let len = (float.len() - late).min(mixtures.speech.len());
        let [float, found] = [float, &found].map(|all| &all[late..late + len]);
        let to = |x| si_snr(&mixtures.speech[..len], x).expect("speech");
        let (to_f32, lost) = (si_snr(float, found).expect("speech"), to(float) - to(found));
        let gained = to(float) - to(&noisy[..len]);
        println!("    {name}: {to_f32:.1} dB to f32; of {gained:.2} dB gained {lost:.2} are lost");
        worst = Quality { to_f32: worst.to_f32.min(to_f32), lost: worst.lost.max(lost) };
    }
    worst
}

fn gtcrn_quality(folder: &Path, seconds: usize, levels: &[f32], all_int8: bool) -> Quality {
    let speech = samples(&folder.join("enh.wav"));
    let (graph, mixtures) = (gtcrn(folder), mixtures(&speech, seconds, levels));
    let f32s = float(&graph);
    let outputs: Vec<_> = mixtures.noisy.iter().map(|(_, noisy)| gtcrn_denoise(&f32s.artifact, noisy)).collect();
    let measured = |name: &str, made: Compiled| {
        let found = quality(&mixtures, &outputs, 0, |noisy| gtcrn_denoise(&made.artifact, noisy));
        println!("GTCRN {name}: {} bytes, f32 {}; {found:.2?}", made.artifact.len(), f32s.artifact.len());
        found
    };
    if all_int8 {
        let frames = gtcrn_samples(&calibration(&speech, SECOND));
        measured("int8, min-max", calibrated(&graph, &frames, ObserverKind::MinMax));
        measured("int8, mse", calibrated(&graph, &frames, ObserverKind::Mse));
        measured("int8 at run time", dynamic(&graph, &[]));
        let mut kept: Vec<String> = layer_names(&graph).into_iter().filter(|name| name.starts_with("Conv")).collect();
        kept.push("MatMul_26".into());
        let mut options = CompileOptions { observer: ObserverKind::Mse, ..CompileOptions::default() };
        keep_f32(&graph, &kept, &mut options).expect("layers");
        let made = compile_calibrated(graph.clone(), frames.iter().cloned(), &options).expect("compiles");
        measured("int8, mse, convolutions and bands f32", made);
    }
    measured("int8 at run time, one layer f32", gtcrn_mixed(&graph))
}

fn dtln_quality(wheel: &Path, folder: &Path, seconds: usize, levels: &[f32], all_int8: bool) -> Quality {
    let speech = samples(&folder.join("enh.wav"));
    let (graphs, mixtures) = (dtln(wheel), mixtures(&speech, seconds, levels));
    let f32s = graphs.each_ref().map(float);
    let denoise = |models: [&Compiled; 2], noisy: &[f32]| {
        let [first, second] = models.map(|made| &made.artifact[..]);
        with_stream(first, |first| with_stream(second, |second| dtln_denoise(first, second, noisy)))
    };
    let outputs: Vec<_> = mixtures.noisy.iter().map(|(_, noisy)| denoise(f32s.each_ref(), noisy)).collect();
    let bytes = |models: [&Compiled; 2]| models.map(|made| made.artifact.len());
    let measured = |name: &str, models: [&Compiled; 2]| {
        let found = quality(&mixtures, &outputs, DTLN_BLOCK - DTLN_SHIFT, |noisy| denoise(models, noisy));
        println!("DTLN {name}: {:?} bytes, f32 {:?}; {found:.2?}", bytes(models), bytes(f32s.each_ref()));
        found
    };
    let len = if all_int8 { SECOND } else { SECOND / 4 };
    let frames = dtln_samples(&f32s[0].artifact, &calibration(&speech, len));
    if all_int8 {
        for (name, observer) in [("min-max", ObserverKind::MinMax), ("mse", ObserverKind::Mse)] {
            let [first, second] = [0, 1].map(|i| calibrated(&graphs[i], &frames[i], observer));
            measured(&format!("int8, {name}"), [&first, &second]);
        }
        let [first, second] = [0, 1].map(|i| dynamic(&graphs[i], &[]));
        measured("int8 at run time (LSTM of the first in f32)", [&first, &second]);
    }
    let [first, second] = dtln_mixed(&graphs, &frames[0]);
    measured("int8, the second at run time", [&first, &second])
}

#[test]
fn gtcrn_in_int8_loses_little() {
    let Some(folder) = data_dir("GTCRN in int8").map(|dir| dir.join("models/audio")) else { return };
    let found = gtcrn_quality(&folder, 1, &[5.0], false);
    assert!(found.to_f32 > 25.0 && found.lost < 0.3, "{found:?}");
}

#[test]
fn dtln_in_int8_loses_little() {
    let Some(folder) = data_dir("DTLN in int8").map(|dir| dir.join("models/audio")) else { return };
    let Some(wheel) = selvedge_tests::wheel("DTLN in int8", "dtln") else { return };
    let found = dtln_quality(&wheel, &folder, 1, &[5.0], false);
    assert!(found.to_f32 > 20.0 && found.lost < 0.3, "{found:?}");
}

#[test]
#[ignore = "prints the table of models/README.md, in minutes"]
fn table() {
    let Some(folder) = data_dir("GTCRN and DTLN in int8").map(|dir| dir.join("models/audio")) else { return };
    let levels = [0.0, 5.0, 10.0];
    gtcrn_quality(&folder, 4, &levels, true);
    if let Some(wheel) = selvedge_tests::wheel("DTLN in int8", "dtln") {
        dtln_quality(&wheel, &folder, 4, &levels, true);
    }
}
