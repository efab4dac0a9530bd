//! Oracle: ONNX Runtime 1.32.0 without optimization, in f32 (`goldens/imported.py`, which also makes the inputs).
//! Models as they lie in PyPI packages: magika (content types of files), PP-OCR's angle classifier.

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::{CompileOptions, compile};
use selvedge_tests::{argmax, data_dir, npz};
use std::path::{Path, PathBuf};

fn goldens() -> std::collections::BTreeMap<String, selvedge_compiler::data::Array> {
    npz(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens/imported.npz"))
}

/// Outputs of the f32 program for each row of bytes.
fn run(model: &Path, input: (&str, &[usize]), rows: &[Vec<u8>]) -> Vec<Vec<f32>> {
    let onnx = std::fs::read(model).unwrap_or_else(|e| panic!("{}: {e}", model.display()));
    let shapes = vec![(input.0.to_string(), input.1.to_vec())];
    let options = CompileOptions {
        import: ImportOptions { shapes, ..ImportOptions::default() },
        scheme: QuantScheme::f32(),
        ..CompileOptions::default()
    };
    let compiled = compile(&onnx, &options).unwrap_or_else(|e| panic!("{}: {e}", model.display()));
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).expect("parses");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("a sound artifact");
    let one = |row: &Vec<u8>| {
        session.input(0).and_then(|input| input.copy_from_bytes(row)).expect("input");
        session.run().expect("runs");
        session.output(0).expect("output").as_f32().expect("f32").to_vec()
    };
    rows.iter().map(one).collect()
}

fn compare(name: &str, found: &[Vec<f32>], expected: &[f32]) {
    let mut largest = 0f32;
    for (found, expected) in found.iter().zip(expected.chunks_exact(expected.len() / found.len())) {
        assert_eq!((found.len(), argmax(found)), (expected.len(), argmax(expected)), "{name}");
        largest = found.iter().zip(expected).fold(largest, |m, (f, e)| m.max((f - e).abs()));
    }
    println!("{name}: {} inputs, largest difference {largest:.1e}", found.len());
    assert!(largest <= 1e-4, "{name}: {largest}");
}

#[test]
fn magika_equals_onnx_runtime_within_1e_4() {
    let Some(data) = data_dir("magika") else { return };
    let goldens = goldens();
    let input = &goldens["magika_in"];
    let rows: Vec<Vec<u8>> = input.data.to_bytes().chunks(2048 * 4).map(<[u8]>::to_vec).collect();
    assert_eq!(rows.len(), 6);
    let found = run(&data.join("models/other/magika_standard_v3_3.onnx"), ("bytes", &[1, 2048]), &rows);
    compare("magika", &found, &goldens["magika_out"].data.to_f32());
}

#[test]
fn angle_classifier_equals_onnx_runtime_within_1e_4() {
    let Some(data) = data_dir("PP-OCR's angle classifier") else { return };
    let goldens = goldens();
    let pictures: Vec<f32> = goldens["angle_in"].data.to_f32().iter().map(|x| x / 127.5 - 1.0).collect();
    let row = |x: &[f32]| ArrayData::F32(x.to_vec()).to_bytes();
    let rows: Vec<Vec<u8>> = pictures.chunks(3 * 48 * 192).map(row).collect();
    assert_eq!(rows.len(), 4);
    let model = data.join("models/other/ch_ppocr_mobile_v2.0_cls_infer.onnx");
    let found = run(&model, ("x", &[1, 3, 48, 192]), &rows);
    compare("angle", &found, &goldens["angle_out"].data.to_f32());
}
