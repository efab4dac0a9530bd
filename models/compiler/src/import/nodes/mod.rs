//! ONNX nodes to operators of the graph, one file per family.
mod affine_grid;
mod builder;
mod choose;
mod conv;
mod einsum;
mod elementwise;
mod gather;
mod grid_sample;
mod group_norm;
mod indexed;
mod matmul;
mod movement;
mod norm;
pub(crate) mod own_shapes;
mod pad;
mod pool;
mod quantize;
mod rearrange;
mod recurrent;
mod reduce;
mod resize;
mod resize_taps;
mod window;

use std::collections::HashMap;

use tract_onnx::pb::NodeProto;

pub(crate) use builder::Builder;

use super::attrs::{self, node_name};
use super::error::{ImportError, NodeError, NodeResult, Result, Unsupported, refuse};
use super::model::Model;
use super::tensor::{Elem, Tensor};
use super::twin::{Fact, FloatTwin};
use super::{FAKE_QUANT, Limits, contrib, fold_shapes, loose};
use crate::graph::{Graph, Op};

/// Standard operators, the quantized ones included.
const STANDARD: &[&str] = &[
    "Abs",
    "Add",
    "AffineGrid",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Ceil",
    "CenterCropPad",
    "Clip",
    "Col2Im",
    "Compress",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "DepthToSpace",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "DynamicQuantizeLinear",
    "Einsum",
    "Elu",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "EyeLike",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GRU",
    "GridSample",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LSTM",
    "InstanceNormalization",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LpPool",
    "MatMul",
    "MatMulInteger",
    "Max",
    "MaxPool",
    "MaxUnpool",
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
    "Resize",
    "ReverseSequence",
    "Round",
    "Scatter",
    "ScatterElements",
    "ScatterND",
    "Shape",
    "Sigmoid",
    "Sign",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "TensorScatter",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Upsample",
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
    "QLinearSoftmax",
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
        let expanded = node.domain == "com.microsoft" && contrib::EXPANDED.contains(&node.op_type.as_str());
        if !known.contains(&node.op_type.as_str()) && !expanded {
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
        "NonMaxSuppression" | "ArgMax" | "ArgMin" | "NonZero" => {
            ("its result depends on data in a way a fixed program has no step for", "do it after the model's outputs")
        }
        _ if !matches!(node.domain.as_str(), "" | "ai.onnx" | "com.microsoft") => {
            ("operators of this domain are not known", "export with standard ONNX operators")
        }
        _ if node.domain == "com.microsoft" => (
            "an operator of ONNX Runtime's own that is not known",
            "save the model before ONNX Runtime optimizes it, or export with standard ONNX operators",
        ),
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
                let mut reason = "the shape of its output depends on data or could not be inferred".to_string();
                let mut remedy = "fix the input shapes with --shape and simplify the model".to_string();
                match own_shapes::output(&mut builder, node) {
                    Some(Ok(own)) => {
                        builder.declare_as(&own)?;
                        facts.extend(own.into_iter().filter(|(name, _)| !hints.contains_key(name)));
                        map_node(&mut builder, node)
                    }
                    own => {
                        match own {
                            Some(Err(NodeError::Unsupported { reason: why, remedy: way })) => {
                                (reason, remedy) = (why, way)
                            }
                            Some(Err(NodeError::Invalid(why))) => reason = why,
                            Some(Err(NodeError::Other(e))) => return Err(e),
                            _ => {}
                        }
                        open.push(unsupported(node, reason, remedy));
                        builder.give_up(node);
                        continue;
                    }
                }
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
        "LpPool" => pool::lp_pool(b, node),
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => pool::global(b, node),
        "Col2Im" => conv::col2im(b, node),
        "Resize" | "Upsample" => resize::resize(b, node),
        "Einsum" => einsum::einsum(b, node),
        "GridSample" => grid_sample::grid_sample(b, node),
        "AffineGrid" => affine_grid::affine_grid(b, node),
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
        "Pad" => pad::pad(b, node),
        "Expand" => rearrange::expand(b, node),
        "Tile" => rearrange::tile(b, node),
        "DepthToSpace" => rearrange::depth_to_space(b, node),
        "SpaceToDepth" => rearrange::space_to_depth(b, node),
        "Trilu" => rearrange::trilu(b, node),
        "ReverseSequence" => rearrange::reverse_sequence(b, node),
        "Compress" => rearrange::compress(b, node),
        "CenterCropPad" => rearrange::center_crop_pad(b, node),
        "EyeLike" => rearrange::eye_like(b, node),
        "GatherElements" => indexed::gather_elements(b, node),
        "GatherND" => indexed::gather_nd(b, node),
        "Scatter" | "ScatterElements" | "ScatterND" => indexed::scatter(b, node),
        "TensorScatter" => indexed::tensor_scatter(b, node),
        "TopK" => indexed::top_k(b, node),
        "MaxUnpool" => indexed::max_unpool(b, node),
        "Slice" => gather::slice(b, node),
        "Split" => gather::split(b, node),
        "Gather" => gather::gather(b, node),
        "Shape" | "Size" | "ConstantOfShape" | "Range" | "Equal" => fold_shapes::fold(b, node),
        "Where" => choose::choose(b, node),
        loose::QUANTIZE => quantize::quantize(b, node),
        loose::DEQUANTIZE => quantize::dequantize(b, node),
        FAKE_QUANT => b.emit_from(node, Op::FakeQuant),
        "DynamicQuantizeLinear" => b.emit_from(node, Op::DynamicQuantizeLinear),
        _ if elementwise::map(b, node)? => Ok(()),
        other => Err(NodeError::Invalid(format!("operator {other} is not mapped"))),
    }
}
