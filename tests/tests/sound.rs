//! Denoisers of speech, block by block. Oracles: the recordings that the authors publish; ONNX Runtime's
//! outputs.

use selvedge_compiler::data::ArrayData;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::{CompileOptions, compile_loaded};
use selvedge_tests::sound::{dtln, dtln_denoise, gtcrn, gtcrn_denoise, samples, with_stream};
use selvedge_tests::{data_dir, npz, snr};
use std::path::Path;

fn f32_options() -> CompileOptions {
    CompileOptions { scheme: QuantScheme::f32(), ..CompileOptions::default() }
}

#[test]
fn gtcrn_streams_to_what_its_authors_publish() {
    let Some(folder) = data_dir("GTCRN").map(|dir| dir.join("models/audio")) else { return };
    let (noisy, expected) = (samples(&folder.join("mix.wav")), samples(&folder.join("enh_stream.wav")));
    let compiled = compile_loaded(gtcrn(&folder), &f32_options()).expect("compiles");
    let found = gtcrn_denoise(&compiled.artifact, &noisy);
    assert_eq!(found.len(), expected.len());
    let quality = snr(&expected, &found);
    println!("GTCRN against the published stream: {quality:.1} dB; {} steps", compiled.program.steps.len());
    // The recording is of 16 bits: 58.7 dB is what ONNX Runtime reaches.
    assert!(quality > 55.0, "{quality}");
}

#[test]
fn dtln_streams_as_onnx_runtime_does() {
    let Some(wheel) = selvedge_tests::wheel("DTLN", "dtln") else { return };
    let golden = npz(&Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/dtln.npz"));
    let (ArrayData::F32(noisy), ArrayData::F32(expected)) = (&golden["noisy"].data, &golden["denoised"].data) else {
        panic!("both are f32")
    };
    let [masks, blocks] = dtln(&wheel).map(|graph| compile_loaded(graph, &f32_options()).expect("compiles"));
    let found = with_stream(&masks.artifact, |first| {
        with_stream(&blocks.artifact, |second| {
            // A stream that starts anew gives the same: all that is remembered is in the states.
            let once = dtln_denoise(first, second, noisy);
            first.reset();
            second.reset();
            assert_eq!(once, dtln_denoise(first, second, noisy));
            once
        })
    });
    let quality = snr(expected, &found);
    println!("DTLN against ONNX Runtime: {quality:.1} dB");
    assert!(quality > 50.0, "{quality}");
}
