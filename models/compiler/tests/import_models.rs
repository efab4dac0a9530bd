//! Recorded models and cases import; the float twin runs. Oracle of the
//! shapes: the files' own value types.
mod common;

use selvedge_compiler::graph::{DType, Graph, Op};
use selvedge_compiler::import::{ImportOptions, float_twin, import_onnx};

/// Properties every imported graph has.
fn check(graph: &Graph, path: &str) {
    let mut defined: Vec<bool> = graph.values.iter().map(|v| v.is_constant()).collect();
    for i in &graph.inputs {
        defined[i.index()] = true;
    }
    for node in &graph.nodes {
        for i in node.inputs.iter().flatten() {
            assert!(defined[i.index()], "{path}: `{}` reads `{}` too early", node.name, graph.value(*i).name);
        }
        for o in &node.outputs {
            assert!(!defined[o.index()], "{path}: `{}` is defined twice", graph.value(*o).name);
            defined[o.index()] = true;
        }
        if node.op == Op::FakeQuant {
            assert!(graph.value(node.outputs[0]).quant.is_some(), "{path}: `{}` has no grid", node.name);
        }
    }
    for o in &graph.outputs {
        assert!(defined[o.index()], "{path}: output `{}` is not computed", graph.value(*o).name);
    }
    for v in &graph.values {
        if let Some(d) = &v.data {
            assert_eq!((d.len(), d.dtype()), (v.elements(), v.dtype), "{path}: constant `{}`", v.name);
        }
        if let Some(c) = &v.codes {
            assert_eq!(c.codes.len(), v.elements(), "{path}: codes of `{}`", v.name);
            assert_eq!(c.scales.len(), c.zeros.len());
            let expected = match (c.scales.len(), c.block) {
                (1, _) => 1,
                (_, 0) => v.shape[c.axis],
                (_, b) => v.elements() / v.shape[c.axis] * v.shape[c.axis].div_ceil(b),
            };
            assert_eq!(c.scales.len(), expected, "{path}: scales of `{}`", v.name);
        }
    }
}

fn count(graph: &Graph, f: impl Fn(&Op) -> bool) -> usize {
    graph.nodes.iter().filter(|n| f(&n.op)).count()
}

#[test]
fn mlperf_tiny_models_import() {
    let Some(data) = common::data() else { return };
    for path in common::onnx_files(data.join("models/mlperf_tiny")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let graph = import_onnx(&path, &ImportOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        check(&graph, &name);
        let quantized = count(&graph, |op| *op == Op::FakeQuant);
        let coded = graph.values.iter().filter(|v| v.codes.is_some()).count();
        println!("{name}: {} nodes, {quantized} FakeQuant, {coded} coded constants", graph.nodes.len());
        assert_eq!(quantized == 0, name.ends_with("fp32"), "{name}");
        let io = graph.value(graph.inputs[0]).io_dtype;
        assert_eq!(io, name.ends_with("_int8").then_some(DType::I8), "{name}");
        let io = graph.value(graph.outputs[0]).io_dtype;
        assert_eq!(io, name.ends_with("_int8").then_some(DType::I8), "{name}");
        // Every layer with weights keeps their codes, and 32-bit codes of its bias.
        for node in &graph.nodes {
            if matches!(node.op, Op::Conv { .. } | Op::Dense { .. }) && !name.ends_with("fp32") {
                let w = graph.value(node.inputs[1].unwrap());
                assert_eq!(w.codes.as_ref().map(|c| c.bits), Some(8), "{name}: weights of `{}`", node.name);
                if let Some(&Some(b)) = node.inputs.get(2) {
                    let b = graph.value(b);
                    assert_eq!(b.codes.as_ref().map(|c| c.bits), Some(32), "{name}: bias of `{}`", node.name);
                }
            }
        }
    }
}

#[test]
fn float_twins_of_mlperf_tiny_run() {
    let Some(data) = common::data() else { return };
    for path in common::onnx_files(data.join("models/mlperf_tiny")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !name.ends_with("fp32") || name.starts_with("iclarge") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let options = ImportOptions::default();
        let graph = import_onnx(&path, &options).unwrap();
        let twin = float_twin(&bytes, &options).unwrap();
        let shape = graph.value(graph.inputs[0]).shape.clone();
        let n = shape.iter().product();
        let x = (0..n).map(|i| (i % 17) as f32 / 17.0).collect();
        let y = twin.run(&[(shape, x)]).unwrap();
        let out = graph.value(graph.outputs[0]);
        assert_eq!((&y[0].0, &y[0].1), (&out.name, &out.shape));
        assert!(y[0].2.iter().all(|v| v.is_finite()), "{name}");
    }
}

#[test]
fn cases_import() {
    let Some(data) = common::data() else { return };
    let mut folders: Vec<_> = std::fs::read_dir(data.join("cases")).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let shapes = match &name[..2] {
            "11" => vec![("x".into(), vec![4, 12])],
            "12" => vec![("x".into(), vec![3, 2, 4, 4])],
            _ => vec![],
        };
        let options = ImportOptions { shapes, ..Default::default() };
        let graph = import_onnx(&folder.join("model.onnx"), &options).unwrap_or_else(|e| panic!("{name}: {e}"));
        check(&graph, &name);
        for node in &graph.nodes {
            let shapes: Vec<_> =
                node.outputs.iter().map(|o| (graph.value(*o).dtype, graph.value(*o).shape.clone())).collect();
            println!("{name}: {:?} -> {shapes:?}", node.op);
        }
    }
}
