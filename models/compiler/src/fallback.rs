//! Layers that keep f32 because quantizing them costs too much: by name, or by what each was measured to cost.

use crate::calibrate::Sample;
use crate::compare::CompareError;
use crate::graph::Graph;
use crate::pipeline::{CompileError, CompileOptions, Compiled, compile_calibrated};
use crate::quantize::{WeightFormat, layer_names};
use thiserror::Error;

/// Most samples that a measurement runs.
const SAMPLES: usize = 32;

/// Why no set of layers was found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FallbackError {
    #[error("'{name}' is no layer that is quantized; the layers are: {}", .layers.join(", "))]
    Unknown { name: String, layers: Vec<String> },
    #[error("choosing layers for f32 by what they cost needs calibration samples; give --calibration")]
    NoSamples,
    #[error(transparent)]
    Compile(Box<CompileError>),
    #[error("measuring: {0}")]
    Compare(#[from] CompareError),
}

impl From<CompileError> for FallbackError {
    fn from(error: CompileError) -> Self {
        FallbackError::Compile(Box::new(error))
    }
}

/// Lets layers run in f32, each named by its node, or by what reports show of a node's name: the part in front of
/// the first `;`.
///
/// # Errors
/// [`FallbackError::Unknown`] for the first that is none.
pub fn keep_f32(graph: &Graph, names: &[String], options: &mut CompileOptions) -> Result<(), FallbackError> {
    let layers = layer_names(graph);
    for name in names {
        let mut meant = layers.iter().filter(|layer| *layer == name || short(layer) == name).peekable();
        if meant.peek().is_none() {
            let layers = layers.iter().map(|layer| short(layer).to_string()).collect();
            return Err(FallbackError::Unknown { name: name.clone(), layers });
        }
        options.scheme.layers.extend(meant.map(|layer| (layer.clone(), WeightFormat::F32)));
    }
    Ok(())
}

/// A node's name as reports show it: converters from TensorFlow join the names of all that went into a node.
fn short(name: &str) -> &str {
    name.split(';').next().unwrap_or(name)
}

/// Compiles with few layers in f32 that bring the outputs to a signal-to-noise ratio of `min_snr_db` beside the float
/// model, measured on up to 32 of the samples.
///
/// Greedy: each layer alone is put back to f32 and the outputs are measured; layers are then kept in f32 in the order
/// of what that gained, until the ratio is reached or none helps any more, and those without which it is still reached
/// are quantized again. A model of L layers is compiled L + 1 times, and up to twice for each layer kept. What was
/// kept, and what it gained, is in the program's notes.
///
/// # Errors
/// [`FallbackError`].
pub fn compile_with_fallback(
    graph: &Graph,
    samples: &[Sample],
    options: &CompileOptions,
    min_snr_db: f64,
) -> Result<Compiled, FallbackError> {
    if samples.is_empty() {
        return Err(FallbackError::NoSamples);
    }
    let measured = |options: &CompileOptions| -> Result<(Compiled, f64), FallbackError> {
        let compiled = compile_calibrated(graph.clone(), samples.iter().cloned(), options)?;
        let snr = compiled.compare(samples.iter().take(SAMPLES).cloned())?.snr_db;
        Ok((compiled, snr))
    };
    let (mut best, mut snr) = measured(options)?;
    if snr >= min_snr_db {
        return Ok(best);
    }
    let with = |options: &CompileOptions, name: &String| {
        let mut options = options.clone();
        options.scheme.layers.insert(name.clone(), WeightFormat::F32);
        options
    };
    let mut gains = Vec::new();
    for name in layer_names(graph) {
        if options.scheme.layers.get(&name) != Some(&WeightFormat::F32) {
            gains.push((measured(&with(options, &name))?.1 - snr, name));
        }
    }
    gains.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut options, mut kept) = (options.clone(), Vec::new());
    for (_, name) in gains {
        let (compiled, reached) = measured(&with(&options, &name))?;
        if reached <= snr {
            continue;
        }
        let note = format!("{} keeps f32: outputs at {reached:.1} dB, {snr:.1} dB with it quantized", short(&name));
        options = with(&options, &name);
        (best, snr) = (compiled, reached);
        kept.push((name, note));
        if snr >= min_snr_db {
            break;
        }
    }
    // What was kept early may have become needless.
    if snr >= min_snr_db {
        for at in (0..kept.len().saturating_sub(1)).rev() {
            let mut fewer = options.clone();
            fewer.scheme.layers.remove(&kept[at].0);
            let (compiled, reached) = measured(&fewer)?;
            if reached >= min_snr_db {
                (best, snr, options) = (compiled, reached, fewer);
                kept.remove(at);
            }
        }
    }
    let mut notes: Vec<String> = kept.into_iter().map(|(_, note)| note).collect();
    if snr < min_snr_db {
        notes.push(format!(
            "no choice of layers in f32 reaches {min_snr_db} dB; activations between the others are still int8"
        ));
    }
    best.program.notes.extend(notes);
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Constant, DType, Node, Op, Value};
    use crate::quantize::QuantScheme;

    /// Three layers of four; the second has one weight that makes the grid of its row useless for the others.
    fn model() -> Graph {
        let mut graph = Graph::default();
        let mut x = graph.add_value(Value::new("x", DType::F32, vec![1, 4]));
        graph.inputs = vec![x];
        for layer in 0..3 {
            let mut weights: Vec<f32> = (0..16).map(|i| ((i * 7 + layer * 3) % 11) as f32 * 0.01 - 0.05).collect();
            if layer == 1 {
                (0..4).for_each(|row| weights[row * 4] = 40.0);
            }
            let w = Value::constant(format!("w{layer}"), vec![4, 4], Constant::F32(weights));
            let w = graph.add_value(w);
            let y = graph.add_value(Value::new(format!("y{layer}"), DType::F32, vec![1, 4]));
            let (inputs, outputs) = (vec![Some(x), Some(w)], vec![y]);
            graph.nodes.push(Node { name: format!("layer{layer}"), op: Op::Dense { clamp: None }, inputs, outputs });
            x = y;
        }
        graph.outputs = vec![x];
        graph
    }

    fn samples() -> Vec<Sample> {
        // The first input is all but zero, so what matters is in the small weights.
        let row =
            |i: i32| vec![1e-4 * i as f32, (i as f32 * 0.7).sin(), (i as f32 * 1.3).cos(), (i as f32 * 0.4).sin()];
        (0..24).map(|i| Sample::f32([1, 4], row(i))).collect()
    }

    fn options() -> CompileOptions {
        CompileOptions { scheme: QuantScheme::w8a8(), ..CompileOptions::default() }
    }

    /// Oracle: the ratio measured on the compiled program.
    #[test]
    fn the_layer_that_costs_most_keeps_f32() {
        let (graph, samples) = (model(), samples());
        let plain = compile_calibrated(graph.clone(), samples.clone(), &options()).unwrap();
        let before = plain.compare(samples.clone()).unwrap().snr_db;
        let made = compile_with_fallback(&graph, &samples, &options(), before + 1.5).unwrap();
        let after = made.compare(samples.clone()).unwrap().snr_db;
        assert!(after >= before + 1.5, "{before} dB, then {after} dB");
        let kept: Vec<&String> = made.program.notes.iter().filter(|n| n.contains("keeps f32")).collect();
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert!(kept[0].starts_with("layer1 "), "{kept:?}");
        // What is good enough is left alone.
        let same = compile_with_fallback(&graph, &samples, &options(), before - 1.0).unwrap();
        assert_eq!(same.artifact, plain.artifact);
        // With every layer in f32 nothing is lost.
        let all = compile_with_fallback(&graph, &samples, &options(), 1e6).unwrap();
        assert_eq!(all.compare(samples.clone()).unwrap().snr_db, f64::INFINITY);
        assert_eq!(all.program.notes.iter().filter(|n| n.contains("keeps f32")).count(), 3, "{:?}", all.program.notes);
    }

    #[test]
    fn layers_are_kept_by_name() {
        let graph = model();
        let mut options = options();
        keep_f32(&graph, &["layer0".into()], &mut options).unwrap();
        let made = compile_calibrated(graph.clone(), samples(), &options).unwrap();
        let formats: Vec<_> = made.program.steps.iter().filter(|s| s.op == selvedge_core::OpCode::Dense).collect();
        assert_eq!(formats[0].format, selvedge_core::Format::F32);
        assert!(formats[1..].iter().all(|s| s.format == selvedge_core::Format::W8));
        let error = keep_f32(&graph, &["layer9".into()], &mut options).unwrap_err().to_string();
        assert!(error.contains("layer9") && error.contains("layer0, layer1, layer2"), "{error}");
        assert!(matches!(compile_with_fallback(&graph, &[], &options, 30.0), Err(FallbackError::NoSamples)));
    }
}
