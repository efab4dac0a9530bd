//! Activations of fewer than 8 bits as clamped 8-bit ones.
//!
//! Models trained with few bits quantize to a 4-bit type, or to 8 bits with a Clip between
//! QuantizeLinear and DequantizeLinear (QCDQ). Both restrict the codes to a part of an 8-bit grid,
//! and so does a Clip of the real value in front of the quantizer: rounding is monotonic and leaves the
//! bounds where they are. The bounds become the clamp of the layer in front and are never widened.

use std::collections::HashMap;

use tract_onnx::pb::NodeProto;

use super::attrs::node_name;
use super::model::Model;
use super::quant::{Grid, Params, output_elem, quantize};
use super::tensor::{Data, Elem, Tensor};

/// A quantizer of an activation: what it reads, its scale and zero point, its grid.
struct Quantizer {
    node: NodeProto,
    grid: Grid,
}

/// Rewrites the nodes of `model`. Nodes it does not understand stay for the lift to judge.
pub(crate) fn widen(model: &mut Model) {
    let mut out = Vec::new();
    let mut quantizers: HashMap<String, Quantizer> = HashMap::new();
    for node in std::mem::take(&mut model.nodes) {
        let step = match node.op_type.as_str() {
            "QuantizeLinear" => quantizer(model, node.clone(), &mut quantizers, &mut out),
            "DequantizeLinear" if !model.consts.contains_key(&node.input[0]) => {
                let mut wide = node.clone();
                widen_zero(model, &mut wide);
                out.push(wide);
                Some(())
            }
            "Clip" => clip(model, &node, &quantizers, &mut out),
            _ => None,
        };
        if step.is_none() {
            out.push(node);
        }
    }
    model.nodes = out;
}

fn quantizer(
    model: &mut Model,
    mut node: NodeProto,
    quantizers: &mut HashMap<String, Quantizer>,
    out: &mut Vec<NodeProto>,
) -> Option<()> {
    let params = Params::new(model, &node, 1, 2).ok()?;
    if let Some(x) = model.consts.get(&node.input[0]) {
        let y = quantize(x, &params, &node).ok()?;
        model.consts.insert(node.output[0].clone(), y);
        return Some(());
    }
    let elem = output_elem(&params, &node).ok()?;
    let grid = params.grid(elem).ok()?;
    if let Elem::Int { bits: ..8, signed } = elem {
        let (lo, hi) = elem.range();
        node.input[0] = clipped(model, &node, grid, (lo as i32, hi as i32), out);
        node.attribute.retain(|a| a.name != "output_dtype");
        node.input.resize(3, String::new());
        node.input[2] = zero(model, grid.zero, signed);
        out.push(node);
        return Some(());
    }
    quantizers.insert(node.output[0].clone(), Quantizer { node: node.clone(), grid });
    out.push(node);
    Some(())
}

/// A Clip of codes becomes a quantizer of the clipped value.
fn clip(
    model: &mut Model,
    node: &NodeProto,
    quantizers: &HashMap<String, Quantizer>,
    out: &mut Vec<NodeProto>,
) -> Option<()> {
    let codes = model.consts.get(&node.input[0]);
    let quantizer = quantizers.get(&node.input[0]);
    let elem = quantizer.map(|quantizer| quantizer.grid.elem).or(codes.map(|codes| codes.elem))?;
    let Elem::Int { bits: ..=16, .. } = elem else { return None };
    let bound = |i: usize, default: i64| match node.input.get(i).filter(|name| !name.is_empty()) {
        None => Some(default as i32),
        Some(name) => model.consts.get(name)?.i32s()?.first().copied(),
    };
    let (lo, hi) = elem.range();
    let (lo, hi) = (bound(1, lo)?, bound(2, hi)?);
    if lo > hi {
        return None;
    }
    if let Some(quantizer) = quantizer {
        let mut requantized = quantizer.node.clone();
        requantized.input[0] = clipped(model, &quantizer.node, quantizer.grid, (lo, hi), out);
        requantized.name = node_name(node);
        requantized.output[0] = node.output[0].clone();
        out.push(requantized);
        return Some(());
    }
    let codes = codes?;
    let data = Data::I32(codes.i32s()?.iter().map(|&v| v.clamp(lo, hi)).collect());
    let clamped = Tensor { data, codes: None, ..codes.clone() };
    model.consts.insert(node.output[0].clone(), clamped);
    Some(())
}

/// Emits a Clip of the real value that `node` quantizes to the range of codes; its output.
fn clipped(model: &mut Model, node: &NodeProto, grid: Grid, (lo, hi): (i32, i32), out: &mut Vec<NodeProto>) -> String {
    let mut bound = |code: i32| {
        let name = model.fresh(&format!("{}_bound", node.output[0]));
        let real = (code - grid.zero) as f32 * grid.scale;
        model.consts.insert(name.clone(), Tensor::f32(vec![], vec![real]));
        name
    };
    let (lo, hi) = (bound(lo), bound(hi));
    let name = model.fresh(&format!("{}_clipped", node.output[0]));
    out.push(NodeProto {
        op_type: "Clip".into(),
        name: node_name(node),
        input: vec![node.input[0].clone(), lo, hi],
        output: vec![name.clone()],
        ..Default::default()
    });
    name
}

/// Replaces the zero point of a type of fewer than 8 bits.
fn widen_zero(model: &mut Model, node: &mut NodeProto) {
    let Some(tensor) = node.input.get(2).and_then(|name| model.consts.get(name)) else { return };
    if let (Elem::Int { bits: ..8, signed }, Some(&[value])) = (tensor.elem, tensor.i32s()) {
        node.input[2] = zero(model, value, signed);
    }
}

/// A constant 8-bit zero point.
fn zero(model: &mut Model, value: i32, signed: bool) -> String {
    let name = model.fresh("zero_point_8");
    let elem = Elem::Int { bits: 8, signed };
    model.consts.insert(name.clone(), Tensor { dims: vec![], elem, data: Data::I32(vec![value]), codes: None });
    name
}
