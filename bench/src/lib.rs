//! Models that the benches time: compiled once, ready to run.
#![forbid(unsafe_code)]

use selvedge::{AlignedBuf, DType, Error, Session};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::{CompileOptions, Compiled, compile, compile_calibrated, load};
use selvedge_zoo::digits;
use std::path::PathBuf;

/// A compiled model with its name.
pub struct Model {
    pub name: String,
    pub compiled: Compiled,
}

impl Model {
    /// The artifact at an aligned address.
    pub fn bytes(&self) -> AlignedBuf {
        AlignedBuf::from(&self.compiled.artifact[..])
    }
}

/// The zoo, and the MLPerf Tiny models where `SELVEDGE_DATA` (default `../shared` beside the
/// workspace) has them.
pub fn models() -> Vec<Model> {
    let mut models = vec![digits_int8()];
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let dir = std::env::var_os("SELVEDGE_DATA").map_or(default, PathBuf::from).join("models/mlperf_tiny");
    for name in ["ad_int8", "ic_int8", "kws_int8", "sww_int8", "vww_int8", "ad_fp32", "ic_fp32", "kws_fp32", "vww_fp32"]
    {
        let path = dir.join(format!("{name}.onnx"));
        let Ok(onnx) = std::fs::read(&path) else {
            eprintln!("NOT MEASURED: {name}: no file {} (set SELVEDGE_DATA)", path.display());
            continue;
        };
        let options = CompileOptions { scheme: QuantScheme::f32(), ..CompileOptions::default() };
        let compiled = compile(&onnx, &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        models.push(Model { name: name.to_string(), compiled });
    }
    models
}

fn digits_int8() -> Model {
    let options = CompileOptions::default();
    let graph = load(digits::ONNX, &options.import).expect("the zoo model imports");
    let set = digits::calibration_set();
    let samples = (0..set.len()).map(|i| Sample::f32([1, 1, digits::HEIGHT, digits::WIDTH], set.image(i).to_vec()));
    let compiled = compile_calibrated(graph, samples, &options).expect("the zoo model compiles");
    Model { name: "digits_int8".to_string(), compiled }
}

/// Writes a fixed pattern to every input: a ramp of codes, in −1..1 for f32.
///
/// # Errors
/// Those of [`Session::input`].
pub fn fill(session: &mut Session<'_>) -> Result<(), Error> {
    for index in 0..session.input_count() {
        let input = session.input(index)?;
        if input.dtype() == DType::F32 {
            let values: Vec<f32> = (0..input.elements()).map(|i| (i * 37 % 256) as f32 / 128.0 - 1.0).collect();
            input.copy_from_f32(&values)?;
        } else {
            let bytes = input.into_bytes();
            bytes.iter_mut().enumerate().for_each(|(i, byte)| *byte = (i * 37) as u8);
        }
    }
    Ok(())
}
