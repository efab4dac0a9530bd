//! GTCRN and DTLN in f32, in int8, and in the mixtures of both that lose little.

use crate::sound::{NOISES, mixture};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::fallback::keep_f32;
use selvedge_compiler::graph::Graph;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::{CompileOptions, Compiled, ObserverKind, compile_calibrated, compile_loaded};

/// So many samples of speech and noise a kind and level, from the first half of a recording: what ranges come from.
pub fn calibration(speech: &[f32], len: usize) -> Vec<f32> {
    let half = &speech[..speech.len() / 2];
    let mut at = 0;
    let mut all = vec![];
    for (i, kind) in NOISES.into_iter().enumerate() {
        for (j, snr_db) in [0.0, 5.0, 10.0].into_iter().enumerate() {
            all.extend(mixture(&half[at..at + len], kind, snr_db, 1000 + (3 * i + j) as u64));
            at = (at + len) % (half.len() - len + 1);
        }
    }
    all
}

/// All of it in f32.
pub fn float(graph: &Graph) -> Compiled {
    let options = CompileOptions { scheme: QuantScheme::f32(), ..CompileOptions::default() };
    compile_loaded(graph.clone(), &options).expect("compiles")
}

/// int8 weights, and activations whose scales are found in every run; layers that stay f32 by name.
pub fn dynamic(graph: &Graph, kept: &[&str]) -> Compiled {
    let mut options = CompileOptions::default();
    let kept: Vec<String> = kept.iter().map(|&name| name.into()).collect();
    keep_f32(graph, &kept, &mut options).expect("layers");
    compile_loaded(graph.clone(), &options).expect("compiles")
}

/// int8 on grids that the calibration data gave.
pub fn calibrated(graph: &Graph, samples: &[Sample], observer: ObserverKind) -> Compiled {
    let options = CompileOptions { observer, ..CompileOptions::default() };
    compile_calibrated(graph.clone(), samples.iter().cloned(), &options).expect("compiles")
}

/// GTCRN: products in int8, scales found in every run, but for the layer behind the bands, which reads spectra of all
/// loudnesses; GRUs and transposed convolutions stay in f32.
pub fn gtcrn_mixed(graph: &Graph) -> Compiled {
    dynamic(graph, &["Conv_75"])
}

/// DTLN: the first network on grids, its LSTMs in int8 too; the second, whose samples are loud and quiet by turns, with
/// scales found in every run.
pub fn dtln_mixed([first, second]: &[Graph; 2], magnitudes: &[Sample]) -> [Compiled; 2] {
    [calibrated(first, magnitudes, ObserverKind::Mse), dynamic(second, &[])]
}
