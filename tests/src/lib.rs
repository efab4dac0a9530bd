//! What the test suites share: where the models are, and how to read them.
#![forbid(unsafe_code)]

pub mod conformance;
pub mod device;
pub mod digest;
pub mod everywhere;
pub mod exercise;
pub mod mutate;
pub mod sound;
pub mod sound_models;

use selvedge::IsaKind;
use selvedge_compiler::data::{Array, read_npz};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// The folder of real models, `SELVEDGE_DATA` or `../shared` beside the workspace.
/// Says aloud what is not tested where it is absent.
pub fn data_dir(what: &str) -> Option<PathBuf> {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let dir = std::env::var_os("SELVEDGE_DATA").map_or(default, PathBuf::from);
    if dir.join("models").is_dir() {
        return Some(dir);
    }
    // Past the test harness, which hides what passing tests print.
    let _ = writeln!(std::io::stderr(), "NOT TESTED: {what}: no models at {} (set SELVEDGE_DATA)", dir.display());
    None
}

/// The wheel of a package, `onnx` or `dtln`: `SELVEDGE_ONNX_WHEEL` or `target/onnx/*.whl` of the workspace, likewise the
/// other. Says aloud what is not tested where there is none.
pub fn wheel(what: &str, package: &str) -> Option<PathBuf> {
    let variable = format!("SELVEDGE_{}_WHEEL", package.to_uppercase());
    let file = std::env::var_os(&variable).map(PathBuf::from).or_else(|| {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target").join(package);
        let entries = std::fs::read_dir(dir).ok()?;
        entries.filter_map(|e| Some(e.ok()?.path())).find(|p| p.extension().is_some_and(|e| e == "whl"))
    });
    if let Some(file) = file.filter(|file| file.is_file()) {
        return Some(file);
    }
    let _ = writeln!(
        std::io::stderr(),
        "NOT TESTED: {what}: no {package} package (tests/fetch_{package}.sh gets it, {variable} names it)"
    );
    None
}

/// The instruction sets of this machine. Says aloud which are not tested for the lack of them;
/// `SELVEDGE_REQUIRE_ISA` (names, comma-separated) makes that a failure.
pub fn isas(what: &str) -> Vec<IsaKind> {
    let required = std::env::var("SELVEDGE_REQUIRE_ISA").unwrap_or_default();
    let (here, absent): (Vec<_>, Vec<_>) = IsaKind::ALL.into_iter().partition(|kind| kind.is_available());
    for kind in absent {
        let name = kind.name();
        assert!(!required.split(',').any(|r| r == name), "{name} is required and this CPU lacks it");
        let _ = writeln!(std::io::stderr(), "NOT TESTED: {what} on {name}: this CPU lacks it");
    }
    here
}

/// 10·log₁₀ of signal over difference.
pub fn snr(truth: &[f32], found: &[f32]) -> f64 {
    let pairs = || truth.iter().zip(found).map(|(&t, &f)| (f64::from(t), f64::from(f)));
    let signal: f64 = pairs().map(|(t, _)| t * t).sum();
    10.0 * (signal / pairs().map(|(t, f)| (t - f) * (t - f)).sum::<f64>()).log10()
}

/// Every array of an `.npz` file by name.
pub fn npz(path: &std::path::Path) -> BTreeMap<String, Array> {
    read_npz(path).unwrap_or_else(|e| panic!("{e}")).into_iter().collect()
}

/// ONNX models whose artifacts seed the artifact fuzzers.
pub fn fuzz_seeds() -> Vec<Vec<u8>> {
    vec![selvedge_zoo::digits::ONNX.to_vec()]
}

/// Bytes in front of the weights section: header and records.
pub fn structure_bytes(artifact: &[u8]) -> usize {
    let parsed = selvedge_core::Artifact::parse(artifact).expect("a sound artifact");
    parsed.weights().as_ptr() as usize - artifact.as_ptr() as usize
}

/// Elements of `data` (row-major, `shape`) in the order of `Transpose(data, perm)`.
pub fn permute<T: Copy>(data: &[T], shape: &[usize], perm: &[usize]) -> Vec<T> {
    let rank = shape.len();
    let mut strides = vec![1; rank];
    for axis in (0..rank.saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * shape[axis + 1];
    }
    let dims: Vec<usize> = perm.iter().map(|&p| shape[p]).collect();
    let mut index = vec![0; rank];
    let mut out = Vec::with_capacity(data.len());
    for _ in 0..data.len() {
        out.push(data[index.iter().zip(perm).map(|(&i, &p)| i * strides[p]).sum::<usize>()]);
        for axis in (0..rank).rev() {
            index[axis] += 1;
            if index[axis] < dims[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

/// Index of the greatest element; of equal ones the first.
pub fn argmax<T: PartialOrd + Copy>(values: &[T]) -> usize {
    let mut best = 0;
    for (i, &x) in values.iter().enumerate() {
        if x > values[best] {
            best = i;
        }
    }
    best
}

/// The snippets of the page compile.
#[cfg(doctest)]
#[doc = include_str!("../../targets/cooperative.md")]
struct CooperativePage;

#[cfg(test)]
mod tests {
    use super::permute;

    #[test]
    fn permute_moves_channels_last() {
        let nchw: Vec<u8> = (0..12).collect();
        assert_eq!(permute(&nchw, &[1, 3, 2, 2], &[0, 2, 3, 1]), [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
    }
}
