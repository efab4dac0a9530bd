//! Oracle: each case's `meta.json` names it (ONNX Runtime without optimization where numpy agrees, else numpy).
//! The cases once broke other runtimes; the tolerance is theirs.

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::data::{Array, ArrayData, read_npz};
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::{CompileOptions, compile};
use selvedge_tests::data_dir;
use std::path::Path;

fn run_case(dir: &Path) -> Result<(), String> {
    // In the order of the file, which is that of the graph.
    let arrays = read_npz(&dir.join("data.npz")).map_err(|e| e.to_string())?;
    let meta: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.join("meta.json")).expect("meta")).expect("JSON");
    let tolerance = meta["tol_abs"].as_f64().expect("tolerance");
    let onnx = std::fs::read(dir.join("model.onnx")).expect("model");
    let under = |prefix: &str| -> Vec<(String, &Array)> {
        arrays.iter().filter_map(|(key, a)| Some((key.strip_prefix(prefix)?.to_string(), a))).collect()
    };
    let inputs = under("in_");
    let shapes = inputs.iter().map(|(name, a)| (name.clone(), a.shape.clone())).collect();
    let options = CompileOptions {
        import: ImportOptions { shapes, ..ImportOptions::default() },
        // What the file does not quantize stays f32: the cases test exactly what they hold.
        scheme: QuantScheme { weights: WeightFormat::F32, ..QuantScheme::w8a8() },
        ..CompileOptions::default()
    };
    let compiled = compile(&onnx, &options).map_err(|e| e.to_string())?;
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).map_err(|e| e.to_string())?;
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).map_err(|e| e.to_string())?;
    for (index, (_, array)) in inputs.iter().enumerate() {
        let input = session.input(index).map_err(|e| e.to_string())?;
        input.copy_from_bytes(&array.data.to_bytes()).map_err(|e| e.to_string())?;
    }
    session.run().map_err(|e| e.to_string())?;
    let outputs = under("out_");
    assert!(!outputs.is_empty(), "the case has outputs");
    for (index, (_, expected)) in outputs.iter().enumerate() {
        let output = session.output(index).map_err(|e| e.to_string())?;
        let dims: Vec<usize> = output.dims().iter().map(|&d| d as usize).collect();
        if dims != expected.shape {
            return Err(format!("output {index} has shape {dims:?}, expected {:?}", expected.shape));
        }
        let found = ArrayData::from_bytes(expected.data.dtype(), output.bytes()).ok_or("output type")?;
        for (i, (&x, &want)) in found.to_f32().iter().zip(&expected.data.to_f32()).enumerate() {
            let close = (x.is_nan() && want.is_nan()) || x == want || (x as f64 - want as f64).abs() <= tolerance;
            if !close {
                return Err(format!("output {index}, element {i}: {x}, expected {want} within {tolerance}"));
            }
        }
    }
    Ok(())
}

#[test]
fn cases_that_broke_other_runtimes_pass() {
    let Some(data) = data_dir("cases") else { return };
    let mut dirs: Vec<_> =
        std::fs::read_dir(data.join("cases")).expect("cases").map(|e| e.expect("entry").path()).collect();
    dirs.sort();
    let mut wrong = Vec::new();
    for dir in &dirs {
        let name = dir.file_name().expect("name").to_string_lossy().into_owned();
        let result = run_case(dir);
        println!("{name}: {}", result.as_ref().map_or_else(|e| e.as_str(), |()| "passed"));
        if let Err(e) = result {
            wrong.push(format!("{name}: {e}"));
        }
    }
    assert!(dirs.len() >= 12 && wrong.is_empty(), "{wrong:#?}");
}
