//! Oracle: ONNX Runtime without fusion, every quantized intermediate of two recorded inputs.
//! Each step is fed with the oracle's own values, so that differences do not add up.

use selvedge::{AlignedBuf, Artifact, OpCode, Probe, Session, StepCtx, StepOutputs};
use selvedge_compiler::data::{Array, ArrayData};
use selvedge_compiler::emit::{EmitOptions, Names};
use selvedge_compiler::program::Program;
use selvedge_compiler::{CompileOptions, compile};
use selvedge_tests::{data_dir, npz, permute};
use std::collections::BTreeMap;

#[derive(Default)]
struct Tally {
    elements: usize,
    equal: usize,
    largest: i32,
}

struct Oracle<'a> {
    arrays: &'a BTreeMap<String, Array>,
    program: &'a Program,
    entry: usize,
    layers: BTreeMap<String, (OpCode, Tally)>,
}

impl Oracle<'_> {
    /// The oracle's value of this entry in the order of our memory.
    fn expected(&self, name: &str, bytes: usize) -> Option<Vec<i8>> {
        let ArrayData::I8(all) = &self.arrays.get(name)?.data else { return None };
        let one = &all[self.entry * bytes..(self.entry + 1) * bytes];
        let tensor = self.program.tensors.iter().find(|t| t.name == name)?;
        Some(match &tensor.perm {
            None => one.to_vec(),
            Some(perm) => {
                let mut shape = vec![0; perm.len()];
                perm.iter().zip(&tensor.dims).for_each(|(&p, &d)| shape[p] = d);
                permute(one, &shape, perm)
            }
        })
    }
}

impl Probe for Oracle<'_> {
    fn after_step(&mut self, step: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        for (i, &tensor) in step.step().outputs.iter().enumerate() {
            let Some(name) = step.artifact().name(tensor as usize) else { continue };
            let Some(expected) = self.expected(name, outputs.bytes(i).len()) else { continue };
            let op = step.step().op().expect("a validated op");
            let tally = &mut self.layers.entry(name.to_string()).or_insert((op, Tally::default())).1;
            for (&byte, &want) in outputs.bytes(i).iter().zip(&expected) {
                let difference = (byte as i8 as i32 - want as i32).abs();
                tally.elements += 1;
                tally.equal += (difference == 0) as usize;
                tally.largest = tally.largest.max(difference);
            }
            let place = outputs.bytes_mut(i).iter_mut();
            place.zip(&expected).for_each(|(byte, &want)| *byte = want as u8);
        }
    }
}

fn check(model: &str) {
    let Some(data) = data_dir(&format!("layers of {model}")) else { return };
    let onnx = std::fs::read(data.join(format!("models/mlperf_tiny/{model}_int8.onnx"))).expect("model");
    let emit = EmitOptions { names: Names::All };
    let options = CompileOptions { fuse: false, dead_channels: false, emit, ..CompileOptions::default() };
    let compiled = compile(&onnx, &options).unwrap_or_else(|e| panic!("{model}: {e}"));
    let arrays = npz(&data.join(format!("models/expected/layers_{model}.npz")));
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid");
    let mut oracle = Oracle { arrays: &arrays, program: &compiled.program, entry: 0, layers: BTreeMap::new() };
    let ArrayData::I8(inputs) = &arrays["input"].data else { panic!("int8 input") };
    for (entry, input) in inputs.chunks(inputs.len() / 2).enumerate() {
        oracle.entry = entry;
        session.input(0).expect("input").copy_from_i8(input).expect("fits");
        session.run_probed(&mut oracle).expect("runs");
    }
    let missing: Vec<&String> = arrays.keys().filter(|k| *k != "input" && !oracle.layers.contains_key(*k)).collect();
    println!("{model}: {} values compared, not seen: {missing:?}", oracle.layers.len());
    assert!(missing.len() * 10 <= arrays.len(), "{model}: too many values of the oracle have no step: {missing:?}");
    for (name, (op, tally)) in &oracle.layers {
        let equal = tally.equal as f64 / tally.elements as f64;
        println!(
            "  {:18} {:.5} equal of {:6}, largest difference {}  {name}",
            op.name(),
            equal,
            tally.elements,
            tally.largest
        );
        assert!(tally.largest <= 1, "{model}, {name}: off by {}", tally.largest);
        let linear = matches!(op, OpCode::Conv2d | OpCode::DepthwiseConv2d | OpCode::Dense);
        let floor = if linear { 0.9999 } else { 0.99 };
        // One element of a small layer may differ without saying anything about the rate.
        assert!(equal >= floor || tally.elements - tally.equal <= 1, "{model}, {name}: {equal} equal");
    }
}

#[test]
fn ad_layers_are_within_one_step_of_onnxruntime() {
    check("ad");
}

#[test]
fn ic_layers_are_within_one_step_of_onnxruntime() {
    check("ic");
}

#[test]
fn kws_layers_are_within_one_step_of_onnxruntime() {
    check("kws");
}

#[test]
fn sww_layers_are_within_one_step_of_onnxruntime() {
    check("sww");
}

#[test]
fn vww_layers_are_within_one_step_of_onnxruntime() {
    check("vww");
}
