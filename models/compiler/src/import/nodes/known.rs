//! The operators that are imported, and what the others are told.
use tract_onnx::pb::NodeProto;

use super::{casts, normalize};
use crate::import::attrs::node_name;
use crate::import::contrib;
use crate::import::error::{ImportError, NodeResult, Result, Unsupported};

/// Standard operators, the quantized ones included.
const STANDARD: &[&str] = &[
    "Abs",
    "Acos",
    "Acosh",
    "Add",
    "AffineGrid",
    "And",
    "ArgMax",
    "ArgMin",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "AveragePool",
    "BatchNormalization",
    "BitCast",
    "BitShift",
    "BitwiseAnd",
    "BitwiseNot",
    "BitwiseOr",
    "BitwiseXor",
    "Cast",
    "CastLike",
    "Ceil",
    "Celu",
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
    "Cos",
    "Cosh",
    "CumProd",
    "CumSum",
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
    "GRU",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "Greater",
    "GreaterOrEqual",
    "GridSample",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "If",
    "InstanceNormalization",
    "IsInf",
    "IsNaN",
    "LRN",
    "LSTM",
    "LayerNormalization",
    "LeakyRelu",
    "Less",
    "LessOrEqual",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "LpPool",
    "MatMul",
    "MatMulInteger",
    "Max",
    "MaxPool",
    "MaxUnpool",
    "Mean",
    "MeanVarianceNormalization",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Not",
    "OneHot",
    "Or",
    "PRelu",
    "Pad",
    "Pow",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "RMSNormalization",
    "RNN",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
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
    "Selu",
    "Shape",
    "Shrink",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tan",
    "Tanh",
    "TensorScatter",
    "ThresholdedRelu",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Upsample",
    "Where",
    "Xor",
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
            match super::super::model::named(node, e) {
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
        "Cast" => casts::code(node).map(drop)?,
        "BatchNormalization" => normalize::inference_only(node)?,
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
        "Loop" | "Scan" => (
            "control flow with a subgraph",
            "fix the inputs it depends on and simplify the model (constant folding) so that one branch remains",
        ),
        "NonMaxSuppression" | "NonZero" => {
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
