//! One closure a runtime and model: a call is one inference on a fixed input.

use std::path::Path;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

pub type Runner = Box<dyn FnMut()>;

/// A fixed pattern; int8 models get all codes, float models values in −1..1.
fn pattern(i: usize) -> u8 {
    (i.wrapping_mul(2_654_435_761) >> 13) as u8
}

pub fn selvedge_runner(path: &Path) -> Result<Runner, String> {
    let onnx = std::fs::read(path).map_err(|e| e.to_string())?;
    let options = selvedge_compiler::CompileOptions {
        scheme: selvedge_compiler::quantize::QuantScheme {
            weights: selvedge_compiler::quantize::WeightFormat::F32,
            ..selvedge_compiler::quantize::QuantScheme::w8a8()
        },
        ..Default::default()
    };
    let artifact = selvedge_compiler::compile(&onnx, &options).map_err(|e| e.to_string())?.artifact;
    // Both live as long as the process; a bench needs no tear-down.
    let words = vec![0u128; artifact.len().div_ceil(16)].leak();
    bytemuck::cast_slice_mut::<u128, u8>(words)[..artifact.len()].copy_from_slice(&artifact);
    let bytes: &'static [u8] = &bytemuck::cast_slice::<u128, u8>(words)[..artifact.len()];
    let parsed = selvedge::Artifact::parse(bytes).map_err(|e| e.to_string())?;
    let arena = bytemuck::cast_slice_mut(vec![0u128; parsed.arena_bytes().div_ceil(16)].leak());
    let mut session = selvedge::Session::new(parsed, arena).map_err(|e| e.to_string())?;
    let input = session.input(0).map_err(|e| e.to_string())?;
    let data: Vec<u8> = match input.dtype() {
        selvedge::DType::F32 => {
            (0..input.elements()).flat_map(|i| (pattern(i) as i8 as f32 / 128.0).to_le_bytes()).collect()
        }
        _ => (0..input.elements()).map(pattern).collect(),
    };
    Ok(Box::new(move || {
        session.input(0).and_then(|input| input.copy_from_bytes(&data)).expect("input");
        session.run().expect("run");
        std::hint::black_box(session.output(0).expect("output").bytes());
    }))
}

pub fn tract_runner(path: &Path) -> Result<Runner, String> {
    let text = |e: TractError| format!("{e:#}").lines().next().unwrap_or_default().to_string();
    let mut model = tract_onnx::onnx().model_for_path(path).map_err(text)?;
    let fact = model.input_fact(0).map_err(text)?.clone();
    let dims: Vec<usize> = fact
        .shape
        .dims()
        .map(|d| d.concretize().and_then(|d| d.to_i64().ok().map(|d| d as usize)).unwrap_or(1))
        .collect();
    let dt = fact.datum_type.concretize().ok_or("untyped input")?;
    model.set_input_fact(0, InferenceFact::dt_shape(dt, &dims)).map_err(text)?;
    let n = dims.iter().product();
    let tensor = if dt == f32::datum_type() {
        let data: Vec<f32> = (0..n).map(|i| pattern(i) as i8 as f32 / 128.0).collect();
        Tensor::from_shape(&dims, &data)
    } else {
        let data: Vec<i8> = (0..n).map(|i| pattern(i) as i8).collect();
        Tensor::from_shape(&dims, &data)
    };
    let input = tensor.map_err(text)?.into_tvalue();
    let runnable = model.into_optimized().map_err(text)?.into_runnable().map_err(text)?;
    runnable.run(tvec!(input.clone())).map_err(text)?;
    Ok(Box::new(move || {
        std::hint::black_box(runnable.run(tvec!(input.clone())).expect("run"));
    }))
}

pub fn rten_runner(path: &Path) -> Result<Runner, String> {
    use rten_tensor::prelude::*;
    let mut options = rten::ModelOptions::with_all_ops();
    let model = options.prepack_weights(true).load_file(path).map_err(|e| e.to_string())?;
    let shape = model.input_shape(0).ok_or("no input shape")?;
    let dims: Vec<usize> = shape
        .iter()
        .map(|d| match d {
            rten::Dimension::Fixed(n) => *n,
            rten::Dimension::Symbolic(_) => 1,
        })
        .collect();
    let (input, output) = (model.input_ids()[0], model.output_ids()[0]);
    let n: usize = dims.iter().product();
    let floats =
        rten_tensor::Tensor::from_data(&dims, (0..n).map(|i| pattern(i) as i8 as f32 / 128.0).collect::<Vec<_>>());
    let codes = rten_tensor::Tensor::from_data(&dims, (0..n).map(|i| pattern(i) as i8).collect::<Vec<_>>());
    let is_float = model.run(vec![(input, floats.view().into())], &[output], None).is_ok();
    if !is_float {
        model.run(vec![(input, codes.view().into())], &[output], None).map_err(|e| e.to_string())?;
    }
    Ok(Box::new(move || {
        let value = if is_float { floats.view().into() } else { codes.view().into() };
        std::hint::black_box(model.run(vec![(input, value)], &[output], None).expect("run"));
    }))
}
