//! Oracle: a closure that plays the float model, y = x · [1, −2, 0] per channel.

use super::*;
use crate::graph::{Constant, Node, Value};

fn scaled_graph() -> Graph {
    let mut graph = Graph::default();
    let x = graph.add_value(Value::new("x", DType::F32, vec![1, 3]));
    let w = graph.add_value(Value::constant("w", vec![3, 3], Constant::F32(vec![0.0; 9])));
    let y = graph.add_value(Value::new("y", DType::F32, vec![1, 3]));
    let op = Op::Dense { clamp: None };
    graph.nodes.push(Node { name: "scale".into(), op, inputs: vec![Some(x), Some(w)], outputs: vec![y] });
    (graph.inputs, graph.outputs) = (vec![x], vec![y]);
    graph
}

fn run(sample: &Sample, observe: &mut Observe<'_>) -> Result<(), String> {
    let ArrayData::F32(x) = &sample.tensors[0].data else { return Err("not f32".into()) };
    let y: Vec<f32> = x.iter().zip([1.0, -2.0, 0.0]).map(|(x, f)| x * f).collect();
    observe("x", &[1, 3], x);
    observe("y", &[1, 3], &y);
    observe("y/scratch", &[1], &[f32::NAN]);
    Ok(())
}

fn samples(rows: &[[f32; 3]]) -> Vec<Sample> {
    rows.iter().map(|row| Sample::f32([1, 3], row.to_vec())).collect()
}

#[test]
fn ranges_hold_extremes_counts_and_constant_channels() {
    let graph = scaled_graph();
    let data = samples(&[[1.0, 2.0, 3.0], [-4.0, 0.5, 0.25]]);
    let ranges = calibrate_with(&graph, &mut run, data, MinMax::new()).expect("calibrates");
    assert_eq!((ranges.samples, ranges.observer.as_str()), (2, "min-max"));
    let x = ranges.get("x").expect("seen");
    assert_eq!((x.min, x.max, x.lo, x.hi, x.abs_max, x.count), (-4.0, 3.0, -4.0, 3.0, 4.0, 6));
    let y = ranges.get("y").expect("seen");
    assert_eq!((y.min, y.max, y.channels, y.constant_channels), (-4.0, 1.0, 3, 1));
    assert_eq!(ranges.values.len(), 2);
    let text = serde_json::to_string(&ranges).expect("serializes");
    assert_eq!(serde_json::from_str::<Ranges>(&text).expect("parses"), ranges);
}

#[test]
fn bad_sets_are_refused_by_name() {
    let graph = scaled_graph();
    let error = |rows: Vec<Sample>| calibrate_with(&graph, &mut run, rows, MinMax::new()).expect_err("refused");
    assert_eq!(error(Vec::new()), CalibrateError::Empty);
    let nan = error(samples(&[[1.0, 2.0, 3.0], [0.0, f32::NAN, 0.0]])).to_string();
    assert!(nan.contains("sample 1") && nan.contains("'x'") && nan.contains("NaN at element 1"), "{nan}");
    let overflow = error(samples(&[[0.0, f32::MAX, 0.0]])).to_string();
    assert!(overflow.contains("'y'") && overflow.contains("infinity"), "{overflow}");
    let shape = error(vec![Sample::f32([3], vec![0.0; 3])]).to_string();
    assert!(shape.contains("expected shape [1, 3], found [3]"), "{shape}");
    let mut failing = |_: &Sample, _: &mut Observe<'_>| Err("no kernel".to_string());
    let error = calibrate_with(&graph, &mut failing, samples(&[[0.0; 3]]), MinMax::new()).expect_err("refused");
    assert_eq!(error.to_string(), "sample 0: no kernel");
}
