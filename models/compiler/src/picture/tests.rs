//! Oracles: the form that a graph was built in; figures worked out by hand.

use super::*;
use crate::compile_calibrated;
use crate::compile_loaded;
use crate::graph::{Clamp, Constant, Layout, Node, Window};
use crate::pipeline::CompileOptions;

const SIDE: usize = 8;

/// How a graph makes its output of the input `noisy` and of what its convolutions compute.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// The convolutions' result itself.
    Direct,
    /// The same, clipped and turned.
    Clipped,
    /// The input and the result added.
    Added,
    /// The result taken from a part of the input.
    Subtracted,
    /// Two results added.
    Branches,
}

fn graph(form: Form, kernel: [f32; 9]) -> Graph {
    let mut graph = Graph { name: "net".into(), ..Graph::default() };
    let shape = vec![1, SIDE, SIDE, 1];
    let add = |graph: &mut Graph, name: &str, op: Op, inputs: &[ValueId]| {
        let output = graph.add_value(Value::new(name, DType::F32, vec![1, SIDE, SIDE, 1]));
        let inputs = inputs.iter().map(|&id| Some(id)).collect();
        graph.nodes.push(Node { name: format!("n_{name}"), op, inputs, outputs: vec![output] });
        output
    };
    let x = graph.add_value(Value::new("noisy", DType::F32, shape.clone()));
    graph.inputs = vec![x];
    let w = Value::constant("w", vec![1, 1, 3, 3], Constant::F32(kernel.to_vec()));
    let w = graph.add_value(w);
    let window = Window { kernel: [3, 3], stride: [1, 1], dilation: [1, 1], pads: [1; 4] };
    let conv = || Op::Conv { window, groups: 1, layout: Layout::Nhwc, clamp: None };
    let clip = || Op::Unary(crate::graph::Unary::Clip(Clamp { lo: -100.0, hi: 100.0 }));
    let binary = |kind| Op::Binary { kind, clamp: None };
    let a = add(&mut graph, "a", conv(), &[x, w]);
    let y = match form {
        Form::Direct => a,
        Form::Clipped => {
            let clipped = add(&mut graph, "clipped", clip(), &[a]);
            add(&mut graph, "turned", Op::Transpose { perm: vec![0, 2, 1, 3] }, &[clipped])
        }
        Form::Added => add(&mut graph, "sum", binary(Binary::Add), &[a, x]),
        Form::Subtracted => {
            let part = add(&mut graph, "part", clip(), &[x]);
            add(&mut graph, "difference", binary(Binary::Sub), &[part, a])
        }
        Form::Branches => {
            let b = add(&mut graph, "b", conv(), &[x, w]);
            add(&mut graph, "sum", binary(Binary::Add), &[a, b])
        }
    };
    graph.outputs = vec![y];
    graph
}

const BLUR: [f32; 9] = [0.05, 0.1, 0.05, 0.1, 0.4, 0.1, 0.05, 0.1, 0.05];
/// What makes [`BLUR`] of a picture when it is added.
const TO_ADD: [f32; 9] = [0.05, 0.1, 0.05, 0.1, -0.6, 0.1, 0.05, 0.1, 0.05];

fn samples() -> Vec<Sample> {
    let pixel = |sample: usize, i: usize| 0.5 + 0.3 * ((i / SIDE + sample) as f32 * 0.6).sin() + 0.01 * (i % 7) as f32;
    (0..20).map(|s| Sample::f32([1, SIDE, SIDE, 1], (0..SIDE * SIDE).map(|i| pixel(s, i)).collect())).collect()
}

#[test]
fn what_adds_its_input_is_told_from_what_computes_the_picture() {
    for (form, last) in [
        (Form::Direct, Some("n_a")),
        (Form::Clipped, Some("n_a")),
        (Form::Added, None),
        (Form::Subtracted, None),
        (Form::Branches, Some("n_a")),
    ] {
        let found = PictureIo::of(&graph(form, BLUR)).expect("a picture of a picture");
        assert_eq!((found.input.as_str(), found.last_conv.as_deref()), ("noisy", last), "{form:?}");
    }
}

#[test]
fn outputs_of_other_shapes_and_inputs_that_are_no_pictures_do_not_count() {
    let mut other = graph(Form::Direct, BLUR);
    let output = other.outputs[0];
    other.value_mut(output).shape = vec![1, SIDE, SIDE / 2, 1];
    assert_eq!(PictureIo::of(&other), None);
    for (shape, counts) in [
        (vec![1, 3, 32, 32], true),
        (vec![1, 32, 32, 3], true),
        (vec![1, 16, 8, 8], false),
        (vec![1, 1, 1, 64], false),
        (vec![1, 1, 64], false),
        (vec![1, 64], false),
    ] {
        assert_eq!(is_picture(&Value::new("x", DType::F32, shape.clone())), counts, "{shape:?}");
    }
    assert!(!is_picture(&Value::new("x", DType::I64, vec![1, 1, SIDE, SIDE])));
}

#[test]
fn only_pictures_that_quantized_layers_compute_are_warned_about() {
    let options = CompileOptions::default();
    let compiled = |form, kernel| {
        let mut compiled = compile_calibrated(graph(form, kernel), samples(), &options).expect("compiles");
        let comparison = compiled.compare(samples()).expect("runs");
        compiled.report.set_comparison(comparison);
        compiled.report
    };
    let report = compiled(Form::Direct, BLUR);
    let warnings = report.warnings().join("\n");
    for part in ["'a'", "'noisy'", "residual form", "--keep-f32 n_a"] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    assert!(report.to_text().contains("warning   'a' is the picture itself"), "{}", report.to_text());
    assert!(report.to_html().contains("residual form") && report.to_html().contains("PSNR of a"));
    // The same structure saying what is to be added, and the sum in the graph.
    for (form, kernel) in [(Form::Direct, TO_ADD), (Form::Added, TO_ADD)] {
        let report = compiled(form, kernel);
        assert!(report.picture_loss().is_some(), "{form:?}");
        assert_eq!(report.warnings(), Vec::<String>::new(), "{form:?}");
    }
    // Nobody measured: said with an if.
    let report = compile_loaded(graph(Form::Direct, TO_ADD), &options).expect("compiles").report;
    let warnings = report.warnings().join("\n");
    assert!(warnings.contains("if it is the picture itself") && warnings.contains("--calibration"), "{warnings}");
    // In f32 nothing is lost.
    let float = CompileOptions { scheme: crate::quantize::QuantScheme::f32(), ..CompileOptions::default() };
    let report = compile_loaded(graph(Form::Direct, BLUR), &float).expect("compiles").report;
    assert_eq!(report.warnings(), Vec::<String>::new());
}

#[test]
fn the_ratio_is_that_of_the_range_to_the_error() {
    // Four elements from -1 to 3; errors of 0.1, -0.1, 0.1, 0.1: 20·log10(4 / 0.1).
    let watch = Watch::of(&graph(Form::Direct, BLUR)).expect("a picture");
    let float = [-1.0f32, 0.0, 3.0, 1.0];
    let quantized = [-0.9f32, -0.1, 3.1, 1.1];
    let shown = |data: [f32; 4]| {
        move |_: &Sample, observe: &mut Observe<'_>| {
            observe("a", &[4], &data);
            observe("other", &[4], &[9.0; 4]);
            Ok(())
        }
    };
    let sample = Sample::f32([1, 2, 2, 1], vec![0.0; 4]);
    let mut names = 0;
    watch.run(&mut shown(float), true, &sample, &mut |_, _, _| names += 1).expect("runs");
    watch.run(&mut shown(quantized), false, &sample, &mut |_, _, _| names += 1).expect("runs");
    let loss = watch.loss().expect("measured");
    assert!((loss.psnr_db - 20.0 * 40.0f64.log10()).abs() < 1e-4, "{loss:?}");
    assert_eq!((loss.peak, loss.image_form, names), (4.0, false, 4));
    // Nothing was run.
    assert_eq!(Watch::of(&graph(Form::Direct, BLUR)).and_then(Watch::loss), None);
}
