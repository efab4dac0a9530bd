//! Quantizers that no fixed grid of an activation expresses: parameters computed at run time, one scale a channel or
//! a block, 16-bit inputs and outputs of the graph, integers that no quantizer made.
//!
//! They become operators of their own here, with the type of the codes as an attribute, and are computed by the
//! formula of the standard: `(code − zero point) · scale`, and `saturate(round(x / scale) + zero point)`.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{AttributeProto, NodeProto, attribute_proto::AttributeType};

use super::attrs;
use super::model::Model;
use super::tensor::{Data, Elem};

/// A quantizer computed by the formula. Attribute `to`: type code of the codes.
pub(crate) const QUANTIZE: &str = "ComputedQuantizeLinear";
/// A dequantizer computed by the formula.
pub(crate) const DEQUANTIZE: &str = "ComputedDequantizeLinear";

/// Type code of f32.
const FLOAT: i32 = 1;
const UINT8: i32 = 2;

/// Renames the quantizers of `model` that have no grid.
pub(crate) fn loosen(model: &mut Model) {
    let mut types: HashMap<String, Elem> = model.inputs.iter().map(|i| (i.name.clone(), i.declared)).collect();
    let outputs: HashSet<&String> = model.outputs.iter().collect();
    let mut loose: Vec<(usize, &str, i32)> = Vec::new();
    for (index, node) in model.nodes.iter().enumerate() {
        let elem = |name: Option<&String>| {
            let name = name.filter(|n| !n.is_empty())?;
            model.consts.get(name).map(|t| t.elem).or_else(|| types.get(name).copied())
        };
        let Some(output) = node.output.first() else { continue };
        let made = match node.op_type.as_str() {
            "QuantizeLinear" if !model.consts.contains_key(&node.input[0]) => {
                let stated = attrs::int(node, "output_dtype", 0).ok().and_then(|t| i32::try_from(t).ok());
                let stated = stated.filter(|&t| t != 0).and_then(Elem::from_code);
                let zero = node.input.get(2).filter(|n| !n.is_empty());
                let to = match zero {
                    Some(_) => elem(zero),
                    None => stated.or(Elem::from_code(UINT8)),
                };
                let wide = matches!(to, Some(Elem::Int { bits: 16, .. })) && outputs.contains(output);
                if let Some(to) = to
                    && (wide || !one_grid(model, node))
                {
                    loose.push((index, QUANTIZE, code(to)));
                }
                to
            }
            "DequantizeLinear" if !model.consts.contains_key(&node.input[0]) => {
                let from = elem(node.input.first());
                let wide = matches!(from, Some(Elem::Int { bits: 16, .. })) && model.is_input(&node.input[0]);
                let raw = matches!(from, Some(Elem::Int { bits: 32.., .. }));
                if wide || raw || !one_grid(model, node) {
                    loose.push((index, DEQUANTIZE, FLOAT));
                }
                Some(Elem::F32)
            }
            "MatMulInteger" | "ConvInteger" => Elem::from_code(6),
            "DynamicQuantizeLinear" => Elem::from_code(UINT8),
            "Cast" => attrs::int(node, "to", 0).ok().and_then(|t| Elem::from_code(i32::try_from(t).ok()?)),
            "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" | "Identity" | "Flatten" | "Slice" | "Gather" => {
                elem(node.input.first())
            }
            _ => None,
        };
        if let Some(made) = made {
            types.insert(output.clone(), made);
            if node.op_type == "DynamicQuantizeLinear"
                && let Some(zero) = node.output.get(2)
            {
                types.insert(zero.clone(), made);
            }
        }
    }
    for (index, op, to) in loose {
        let node = &mut model.nodes[index];
        node.op_type = op.into();
        node.attribute.push(AttributeProto {
            name: "to".into(),
            r#type: AttributeType::Int as i32,
            i: to.into(),
            ..Default::default()
        });
    }
}

/// Scale and zero point are one constant each.
fn one_grid(model: &Model, node: &NodeProto) -> bool {
    let one = |i: usize| match node.input.get(i).filter(|n| !n.is_empty()) {
        None => true,
        Some(name) => model.consts.get(name).is_some_and(|t| t.len() == 1 && !matches!(t.data, Data::I64(_))),
    };
    one(1) && one(2) && attrs::int(node, "block_size", 0).is_ok_and(|b| b == 0)
}

/// `TensorProto.DataType` of an integer type; codes of fewer than 8 bits keep theirs.
fn code(elem: Elem) -> i32 {
    match elem {
        Elem::F32 => FLOAT,
        Elem::Bool => 9,
        Elem::Int { bits: 2, signed } => 25 + i32::from(signed),
        Elem::Int { bits: 4, signed } => 21 + i32::from(signed),
        Elem::Int { bits: 8, signed } => 2 + i32::from(signed),
        Elem::Int { bits: 16, signed } => 4 + i32::from(signed),
        Elem::Int { bits: 32, signed: true } => 6,
        Elem::Int { bits: 32, .. } => 12,
        Elem::Int { signed: true, .. } => 7,
        Elem::Int { .. } => 13,
    }
}

impl Model {
    fn is_input(&self, name: &str) -> bool {
        self.inputs.iter().any(|i| i.name == name)
    }
}
