//! Oracles: the network in f64 from the integers of its file; ONNX Runtime's logits and counts, f32
//! between rounded values. Domain: digits trained with 4 bits, 3 bits and ternary weights.

use selvedge::{AlignedBuf, Artifact, IsaKind, OpCode, Probe, Session, StepCtx, StepOutputs};
use selvedge_compiler::emit::{EmitOptions, Names};
use selvedge_compiler::graph::Graph;
use selvedge_compiler::{CompileOptions, Compiled, compile, load};
use selvedge_core::Format;
use selvedge_core::params::ConvI8;
use selvedge_tests::{argmax, isas};
use selvedge_zoo::digits::{self, QatNet};
use std::collections::HashMap;
use zerocopy::FromBytes;

fn compiled(net: &QatNet) -> Compiled {
    let options = CompileOptions { emit: EmitOptions { names: Names::All }, ..CompileOptions::default() };
    compile(net.onnx, &options).expect("compiles without flags")
}

/// Codes of every int8 value, by name.
#[derive(Default)]
struct Codes(HashMap<String, Vec<i8>>);

impl Probe for Codes {
    fn after_step(&mut self, step: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        for (i, &tensor) in step.step().outputs.iter().enumerate() {
            if let Some(name) = step.artifact().name(usize::from(tensor)) {
                self.0.insert(name.to_owned(), outputs.bytes(i).iter().map(|&b| b as i8).collect());
            }
        }
    }
}

struct Model<'a>(Session<'a>);

impl Model<'_> {
    fn run(&mut self, image: &[f32], probe: &mut impl Probe) -> Vec<f32> {
        self.0.input(0).expect("input").quantize_from_f32(image).expect("fits");
        self.0.run_probed(probe).expect("runs");
        let mut logits = vec![0.0; 10];
        self.0.output(0).expect("output").dequantize_into(&mut logits).expect("ten logits");
        logits
    }
}

/// Runs `f` on the artifact of a net, with the fastest kernels or those asked for.
fn with_model<T>(made: &Compiled, kind: Option<IsaKind>, f: impl FnOnce(&mut Model<'_>) -> T) -> T {
    let file = AlignedBuf::from(&made.artifact[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid");
    if let Some(kind) = kind {
        session = session.with_isa(kind).expect("of this CPU");
    }
    f(&mut Model(session))
}

/// The network in f64.
struct Oracle {
    graph: Graph,
    /// Greatest code between the layers.
    most: f64,
}

/// Name, input and output channels, kernel, stride, depthwise.
const LAYERS: [(&str, usize, usize, usize, usize, bool); 5] = [
    ("conv1", 1, 16, 3, 1, false),
    ("dw2", 16, 16, 3, 2, true),
    ("pw3", 16, 32, 1, 1, false),
    ("conv4", 32, 32, 3, 1, false),
    ("conv5", 32, 32, 3, 1, false),
];

impl Oracle {
    fn scale(&self, name: &str) -> f64 {
        let value = self.graph.values.iter().find(|v| v.name.starts_with(&format!("{name}.")) && v.quant.is_some());
        f64::from(value.expect("a quantized value").quant.expect("a grid").scale)
    }

    /// Codes, scales of the output channels, and the bias in steps of the sums.
    fn layer(&self, name: &str) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let of = |part: &str| {
            let value = self.graph.values.iter().find(|v| v.name == format!("{name}.{part}")).expect("a constant");
            value.codes.as_ref().expect("codes")
        };
        let real = |codes: &[i32]| codes.iter().map(|&c| f64::from(c)).collect::<Vec<f64>>();
        let (weight, bias) = (of("weight"), of("bias"));
        let n = bias.codes.len();
        let scales = (0..n).map(|c| f64::from(weight.scales[if weight.scales.len() == 1 { 0 } else { c }])).collect();
        (real(&weight.codes), scales, real(&bias.codes))
    }

    /// Codes of every quantized value of an image, and the logits.
    fn run(&self, image: &[f32]) -> (HashMap<String, Vec<f64>>, Vec<f64>) {
        let rounded = |x: f64, lo: f64, hi: f64| x.round_ties_even().clamp(lo, hi);
        let mut seen = HashMap::new();
        let (mut size, mut x_scale) = (8, self.scale("input"));
        let mut x: Vec<f64> = image.iter().map(|&v| rounded(f64::from(v) / x_scale, 0.0, 255.0)).collect();
        let (mut kept, mut kept_scale) = (Vec::new(), 0.0);
        for (i, &(name, inputs, outputs, kernel, stride, depthwise)) in LAYERS.iter().enumerate() {
            let (w, scales, bias) = self.layer(name);
            let (next, pad) = (size / stride, kernel / 2);
            let mut y = vec![0.0; outputs * next * next];
            for (at, y) in y.iter_mut().enumerate() {
                let (c, row, col) = (at / (next * next), at / next % next, at % next);
                let per = if depthwise { 1 } else { inputs };
                let mut sum = bias[c];
                for k in 0..per * kernel * kernel {
                    let (from, ky, kx) = (k / (kernel * kernel), k / kernel % kernel, k % kernel);
                    let (r, q) = (row * stride + ky, col * stride + kx);
                    if (pad..size + pad).contains(&r) && (pad..size + pad).contains(&q) {
                        let channel = if depthwise { c } else { from };
                        sum += w[c * per * kernel * kernel + k] * x[(channel * size + r - pad) * size + q - pad];
                    }
                }
                *y = sum * x_scale * scales[c];
            }
            if i == 4 {
                let scale = self.scale("sum");
                let codes: Vec<f64> = y.iter().map(|v| rounded(v / scale, -128.0, 127.0)).collect();
                y = codes.iter().zip(&kept).map(|(a, b): (&f64, &f64)| a * scale + b * kept_scale).collect();
                seen.insert("sum".to_string(), codes);
            }
            x_scale = self.scale(&format!("act{}", i + 1));
            x = y.iter().map(|v| rounded(v / x_scale, 0.0, self.most)).collect();
            seen.insert(format!("act{}", i + 1), x.clone());
            size = next;
            if i == 2 {
                (kept, kept_scale) = (x.clone(), x_scale);
            }
        }
        let scale = self.scale("features");
        let cells = size * size;
        let mean = |of: &[f64]| rounded(of.iter().sum::<f64>() / cells as f64 * x_scale / scale, 0.0, 255.0);
        let features: Vec<f64> = x.chunks(cells).map(mean).collect();
        seen.insert("features".into(), features.clone());
        let (w, scales, bias) = self.layer("fc");
        let logit = |c: usize| {
            let sum: f64 = w[c * 32..][..32].iter().zip(&features).map(|(w, x)| w * x).sum();
            (sum + bias[c]) * scale * scales[c]
        };
        (seen, (0..10).map(logit).collect())
    }
}

/// Values of `[C, H, W]` in the order `[H, W, C]`.
fn channels_last(values: &[f64], channels: usize) -> Vec<f64> {
    let cells = values.len() / channels;
    (0..values.len()).map(|i| values[i % channels * cells + i / channels]).collect()
}

#[test]
fn every_code_of_the_test_set_equals_the_network_in_f64() {
    let test = digits::test_set();
    for net in &digits::QAT {
        let made = compiled(net);
        let oracle = Oracle {
            graph: load(net.onnx, &CompileOptions::default().import).expect("imports"),
            most: f64::from(net.greatest_code),
        };
        let (mut compared, mut unequal, mut largest) = (0usize, 0usize, 0f64);
        with_model(&made, Some(IsaKind::Reference), |model| {
            for i in (0..test.len()).step_by(5) {
                let mut codes = Codes::default();
                let logits = model.run(&test.image(i), &mut codes);
                let (want, want_logits) = oracle.run(&test.image(i));
                for (name, want) in want {
                    let named = codes.0.iter().find(|(key, _)| key.starts_with(&format!("{name}.")));
                    // A value that a fused residual addition passes over in registers has no tensor.
                    let Some((_, found)) = named else {
                        assert_eq!(name, "sum");
                        continue;
                    };
                    let channels = if name == "act1" || name == "act2" { 16 } else { 32 };
                    let shift = if name == "sum" { 0.0 } else { 128.0 };
                    let want = channels_last(&want, channels);
                    assert_eq!(found.len(), want.len(), "{name}");
                    compared += want.len();
                    unequal += found.iter().zip(&want).filter(|&(&f, &w)| f64::from(f) + shift != w).count();
                }
                for (found, want) in logits.iter().zip(want_logits) {
                    largest = largest.max((f64::from(*found) - want).abs());
                }
            }
        });
        println!("{}: {unequal} of {compared} codes unequal, logits within {largest:.2e}", net.name);
        assert!(compared > 100_000);
        assert_eq!(unequal, 0, "{}", net.name);
        assert!(largest < 1e-4, "{}: {largest}", net.name);
    }
}

#[test]
fn logits_and_counts_are_those_of_onnxruntime_also_on_turned_and_brighter_images() {
    let test = digits::test_set();
    for net in &digits::QAT {
        let made = compiled(net);
        let mut nothing = Codes::default();
        with_model(&made, None, |model| {
            for (i, want) in net.golden_logits().enumerate() {
                let found = model.run(&test.image(i), &mut nothing);
                for (found, want) in found.iter().zip(want) {
                    assert!((found - want).abs() < 1e-3, "{}, image {i}: {found} {want}", net.name);
                }
            }
            for (shift, &want) in digits::Shift::ALL.iter().zip(&net.correct) {
                let images = (0..test.len()).map(|i| shift.image(i));
                let right = images
                    .enumerate()
                    .filter(|(i, x)| argmax(&model.run(x, &mut nothing)) == usize::from(test.label(*i)));
                let right = right.count();
                println!("{}, {shift:?}: {right} of {}, ONNX Runtime {want}", net.name, test.len());
                // Half a point.
                assert!(right.abs_diff(want) * 200 <= test.len(), "{}, {shift:?}: {right} {want}", net.name);
            }
        });
    }
}

#[test]
fn weights_take_their_bits_and_activations_keep_their_clamp() {
    for net in &digits::QAT {
        let made = compiled(net);
        let layers: Vec<_> =
            made.program.steps.iter().filter(|s| matches!(s.op, OpCode::Conv2d | OpCode::DepthwiseConv2d)).collect();
        assert_eq!(layers.len(), 5, "{}", net.name);
        let wanted = match net.name {
            "lsq4" => Format::W4,
            "lsq3" => Format::W3,
            _ => Format::T2,
        };
        for (i, step) in layers.iter().enumerate() {
            assert_eq!(step.format, if i == 0 { Format::W8 } else { wanted }, "{}, {}", net.name, step.name);
            let (params, _) = ConvI8::read_from_prefix(&step.params).expect("parameters");
            let fused = i == 4;
            if !fused {
                assert_eq!(params.hi - params.output_zero_point, i32::from(net.greatest_code), "{}", step.name);
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_bytes_of_the_reference_kernels() {
    let isas = isas("digits trained with few bits");
    let test = digits::test_set();
    for net in &digits::QAT {
        let made = compiled(net);
        let run = |kind| {
            with_model(&made, Some(kind), |model| {
                (0..8).map(|i| model.run(&test.image(i), &mut Codes::default())).collect::<Vec<_>>()
            })
        };
        let want = run(IsaKind::Reference);
        for &kind in &isas {
            assert_eq!(run(kind), want, "{}, {kind:?}", net.name);
        }
    }
}
