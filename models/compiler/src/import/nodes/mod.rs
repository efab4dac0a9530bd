//! ONNX nodes to operators of the graph, one file per family.
mod affine_grid;
mod builder;
mod casts;
mod conv;
mod einsum;
mod elementwise;
mod gather;
mod grid_sample;
mod group_norm;
mod indexed;
mod known;
mod logic;
mod matmul;
mod movement;
mod norm;
mod normalize;
mod one_hot;
pub(crate) mod own_shapes;
mod pad;
mod pool;
mod quantize;
mod rearrange;
mod recurrent;
mod reduce;
mod resize;
mod resize_taps;
mod scan;
mod softmax;
mod steps;
mod window;

use std::collections::HashMap;

use tract_onnx::pb::NodeProto;

pub(crate) use builder::Builder;
pub(crate) use known::{refuse_unknown, unsupported};

use super::attrs::node_name;
use super::branches::{IF, first_output};
use super::error::{ImportError, NodeError, NodeResult, Result};
use super::model::Model;
use super::tensor::Tensor;
use super::twin::{Fact, FloatTwin};
use super::{FAKE_QUANT, Limits, fold_shapes, loose};
use crate::graph::{Constant, Graph, Op};

/// What one walk over the nodes gave.
pub(crate) enum Mapped {
    Graph(Graph),
    /// The first outputs of `If`s whose condition is known, and which branch they take.
    Branches(Vec<(String, bool)>),
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
    let mut chosen = Vec::new();
    let mut facts = Vec::new();
    for node in &model.nodes {
        if builder.skips(node) {
            continue;
        }
        if node.op_type == IF {
            let condition = builder.input(node, 0).ok().flatten().map(|id| builder.value(id).data.clone());
            match (condition, first_output(node)) {
                (Some(Some(Constant::Bool(c))), Some(output)) if c.len() == 1 => chosen.push((output.clone(), c[0])),
                _ => open.push(unsupported(
                    node,
                    "its condition depends on data".into(),
                    "fix the inputs it depends on with --shape and --bind, so that one branch remains".into(),
                )),
            }
            builder.give_up(node);
            continue;
        }
        let own = own_shapes::output(&mut builder, node);
        let known: &[_] = if let Some(Ok(own)) = &own { own } else { &[] };
        for (name, fact) in known {
            builder.check_size(name, &fact.shape)?;
            if !(hints.contains_key(name) || builder.inferred(name)) {
                facts.push((name.clone(), fact.clone()));
            }
        }
        let result = match builder.declare(node, known) {
            Ok(true) => map_node(&mut builder, node),
            Ok(false) => {
                let mut reason = "the shape of its output depends on data or could not be inferred".to_string();
                let mut remedy = "fix the input shapes with --shape and simplify the model".to_string();
                match own {
                    Some(Err(NodeError::Unsupported { reason: why, remedy: way })) => (reason, remedy) = (why, way),
                    Some(Err(NodeError::Invalid(why))) => reason = why,
                    Some(Err(NodeError::Other(e))) => return Err(e),
                    _ => {}
                }
                open.push(unsupported(node, reason, remedy));
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
    if !chosen.is_empty() {
        return Ok(Mapped::Branches(chosen));
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
        "Softmax" | "LogSoftmax" | "Hardmax" => softmax::softmax(b, node),
        "BatchNormalization" => normalize::batch_norm(b, node),
        "LayerNormalization" => norm::layer_norm(b, node),
        "LSTM" | "GRU" | "RNN" => recurrent::recurrent(b, node),
        "RMSNormalization" => norm::rms_norm(b, node),
        "LpNormalization" => normalize::lp_norm(b, node),
        "MeanVarianceNormalization" => normalize::mean_variance(b, node),
        "LRN" => normalize::local_response(b, node),
        "ArgMax" | "ArgMin" => scan::arg_reduce(b, node),
        "CumSum" | "CumProd" => scan::cum_sum(b, node),
        "GroupNormalization" | "InstanceNormalization" => group_norm::group_norm(b, node),
        op if op.starts_with("Reduce") => reduce::reduce(b, node),
        "Identity" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => movement::reshape(b, node),
        "Dropout" => movement::dropout(b, node),
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
        "OneHot" => one_hot::one_hot(b, node),
        "TopK" => indexed::top_k(b, node),
        "MaxUnpool" => indexed::max_unpool(b, node),
        "Slice" => gather::slice(b, node),
        "Split" => gather::split(b, node),
        "Gather" => gather::gather(b, node),
        "Shape" | "Size" | "ConstantOfShape" | "Range" => fold_shapes::fold(b, node),
        "Cast" | "CastLike" => casts::cast(b, node),
        "BitCast" => casts::bit_cast(b, node),
        loose::QUANTIZE => quantize::quantize(b, node),
        loose::DEQUANTIZE => quantize::dequantize(b, node),
        FAKE_QUANT => b.emit_from(node, Op::FakeQuant),
        "DynamicQuantizeLinear" => b.emit_from(node, Op::DynamicQuantizeLinear),
        _ if elementwise::map(b, node)? || logic::map(b, node)? => Ok(()),
        other => Err(NodeError::Invalid(format!("operator {other} is not mapped"))),
    }
}
