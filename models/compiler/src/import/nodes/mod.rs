//! ONNX nodes to operators of the graph, one file per family.
mod builder;
mod choose;
mod conv;
mod elementwise;
mod gather;
mod group_norm;
mod matmul;
mod movement;
mod norm;
mod own_shapes;
mod pool;
mod recurrent;
mod reduce;
mod window;

use std::collections::HashMap;

use tract_onnx::pb::NodeProto;

pub(crate) use builder::Builder;

use super::attrs::{self, node_name};
use super::error::{ImportError, NodeError, NodeResult, Result, Unsupported, refuse};
use super::model::Model;
use super::tensor::{Elem, Tensor};
use super::twin::{Fact, FloatTwin};
use super::{FAKE_QUANT, Limits, fold_shapes};
use crate::graph::{Graph, Op};

/// Standard operators, the quantized ones included.
const STANDARD: &[&str] = &[
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "DynamicQuantizeLinear",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GRU",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LSTM",
    "LayerNormalization",
    "InstanceNormalization",
    "LeakyRelu",
    "Log",
    "MatMul",
    "MatMulInteger",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "RNN",
    "Range",
    "Reciprocal",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Round",
    "Shape",
    "Sigmoid",
    "Sign",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Where",
];

/// Operators of the domain `com.microsoft`.
const CONTRIB: &[&str] = &[
    "DequantizeLinear",
    "Gelu",
    "QGemm",
    "QLinearAdd",
    "QLinearAveragePool",
    "QLinearConcat",
    "QLinearGlobalAveragePool",
    "QLinearLeakyRelu",
    "QLinearMul",
    "QLinearSigmoid",
    "QuantizeLinear",
];

/// Reports all nodes whose operator is not known, before any other work.
pub(crate) fn refuse_unknown(nodes: &[NodeProto]) -> Result<()> {
    let mut list = Vec::new();
    for node in nodes {
        let known = match node.domain.as_str() {
            "" | "ai.onnx" => STANDARD,
            "com.microsoft" => CONTRIB,
            _ => &[],
        };
        if !known.contains(&node.op_type.as_str()) {
            let (reason, remedy) = remedy(node);
            list.push(unsupported(node, reason.into(), remedy.into()));
        } else if let Err(e) = precheck(node) {
            match super::model::named(node, e) {
                ImportError::Unsupported(one) => list.extend(one),
                other => return Err(other),
            }
        }
    }
    if list.is_empty() { Ok(()) } else { Err(ImportError::Unsupported(list)) }
}

/// Refusals that do not depend on shapes and that tract does not survive.
fn precheck(node: &NodeProto) -> NodeResult<()> {
    match node.op_type.as_str() {
        "Cast" => {
            let to = attrs::int(node, "to", 0)?;
            let elem = i32::try_from(to).ok().and_then(Elem::from_code).and_then(Elem::dtype);
            // Values are kept in f32, so nothing would be rounded to the 8 bits that bfloat16 has.
            if elem.is_none() || to == 16 {
                let name = super::tensor::type_name(i32::try_from(to).unwrap_or(0));
                return refuse(format!("a cast to {name}"), "cast to f32, bool or an integer of 8 to 64 bits");
            }
        }
        "BatchNormalization" => reduce::inference_only(node)?,
        "Pad" => movement::constant_pad_only(node)?,
        _ => {}
    }
    Ok(())
}

pub(crate) fn unsupported(node: &NodeProto, reason: String, remedy: String) -> Unsupported {
    let (op_type, domain) = (node.op_type.clone(), node.domain.clone());
    Unsupported { node: node_name(node), op_type, domain, reason, remedy }
}

fn remedy(node: &NodeProto) -> (&'static str, &'static str) {
    let op = node.op_type.as_str();
    match op {
        "If" | "Loop" | "Scan" => (
            "control flow with a subgraph",
            "fix the inputs it depends on and simplify the model (constant folding) so that one branch remains",
        ),
        "MeanVarianceNormalization" => (
            "fused normalization is not supported",
            "export it decomposed into ReduceMean, Sub, Mul, Sqrt and Div (operator set 16 or lower)",
        ),
        "LogSoftmax" => ("no such operator", "export Softmax, and take the logarithm outside or with Log"),
        "NonMaxSuppression" | "TopK" | "ArgMax" | "ArgMin" | "NonZero" => {
            ("its result depends on data in a way a fixed program has no step for", "do it after the model's outputs")
        }
        "Resize" | "Upsample" => ("resampling is not supported", "use ConvTranspose, or resample outside the model"),
        "MatMulNBits" => ("blocked weights in a private format", "export DequantizeLinear with block_size on INT4"),
        _ if !matches!(node.domain.as_str(), "" | "ai.onnx" | "com.microsoft") => {
            ("operators of this domain are not known", "export with standard ONNX operators")
        }
        _ => ("no such operator", "export it decomposed into supported operators, or move it outside the model"),
    }
}

/// What one walk over the nodes gave.
pub(crate) enum Mapped {
    Graph(Graph),
    /// A shape was open, but these constants and facts were found on the way.
    Learned {
        consts: Vec<(String, Tensor)>,
        facts: Vec<(String, Fact)>,
    },
}

/// Maps every node. Errors of the kind "unsupported" are collected over the
/// whole model; any other ends the import.
pub(crate) fn map(model: &Model, twin: &FloatTwin, hints: &HashMap<String, Fact>, limits: &Limits) -> Result<Mapped> {
    let mut builder = Builder::new(model, twin, limits)?;
    let mut list = Vec::new();
    let mut open = Vec::new();
    let mut facts = Vec::new();
    for node in &model.nodes {
        if builder.skips(node) {
            continue;
        }
        let result = match builder.declare(node) {
            Ok(true) => map_node(&mut builder, node),
            Ok(false) => {
                if let Some(shape) = own_shapes::output(&mut builder, node) {
                    for (name, fact) in &shape {
                        builder.check_size(name, &fact.shape)?;
                    }
                    facts.extend(shape.into_iter().filter(|(name, _)| !hints.contains_key(name)));
                }
                open.push(unsupported(
                    node,
                    "the shape of its output depends on data or could not be inferred".into(),
                    "fix the input shapes with --shape and simplify the model".into(),
                ));
                builder.give_up(node);
                continue;
            }
            Err(e) => Err(e),
        };
        match result {
            Ok(()) => {}
            Err(NodeError::Unsupported { reason, remedy }) => {
                list.push(unsupported(node, reason, remedy));
                builder.give_up(node);
            }
            Err(NodeError::Other(e)) => return Err(e),
            Err(NodeError::Invalid(reason)) => {
                return Err(ImportError::Node {
                    node: node_name(node),
                    op_type: node.op_type.clone(),
                    shapes: builder.shapes_of(node),
                    reason,
                });
            }
        }
    }
    if !open.is_empty() {
        let consts = builder.folded();
        if !(consts.is_empty() && facts.is_empty()) {
            return Ok(Mapped::Learned { consts, facts });
        }
        list.extend(open);
    }
    if !list.is_empty() {
        return Err(ImportError::Unsupported(list));
    }
    builder.finish().map(Mapped::Graph)
}

fn map_node(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    match node.op_type.as_str() {
        "Conv" => conv::conv(b, node),
        "ConvTranspose" => conv::conv_transpose(b, node),
        "ConvInteger" => conv::conv_integer(b, node),
        "MaxPool" | "AveragePool" => pool::pool(b, node),
        "GlobalAveragePool" | "GlobalMaxPool" => pool::global(b, node),
        "MatMul" => matmul::matmul(b, node),
        "Gemm" => matmul::gemm(b, node),
        "MatMulInteger" => matmul::matmul_integer(b, node),
        "Softmax" => reduce::softmax(b, node),
        "BatchNormalization" => reduce::batch_norm(b, node),
        "LayerNormalization" => norm::layer_norm(b, node),
        "LSTM" | "GRU" | "RNN" => recurrent::recurrent(b, node),
        "GroupNormalization" | "InstanceNormalization" => group_norm::group_norm(b, node),
        op if op.starts_with("Reduce") => reduce::reduce(b, node),
        "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Dropout" => movement::reshape(b, node),
        "Transpose" => movement::transpose(b, node),
        "Concat" => movement::concat(b, node),
        "Pad" => movement::pad(b, node),
        "Expand" => movement::expand(b, node),
        "Slice" => gather::slice(b, node),
        "Split" => gather::split(b, node),
        "Gather" => gather::gather(b, node),
        "Shape" | "Size" | "ConstantOfShape" | "Range" | "Equal" => fold_shapes::fold(b, node),
        "Where" => choose::choose(b, node),
        FAKE_QUANT => b.emit_from(node, Op::FakeQuant),
        "DynamicQuantizeLinear" => b.emit_from(node, Op::DynamicQuantizeLinear),
        _ if elementwise::map(b, node)? => Ok(()),
        other => Err(NodeError::Invalid(format!("operator {other} is not mapped"))),
    }
}
