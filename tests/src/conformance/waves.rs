//! Which operators a case needs.

use super::Case;
use selvedge_compiler::import::outline;

/// The first group that holds every operator of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Convolutional and dense networks, float and quantized.
    Vision,
    /// Sound, detection, denoising, parts of transformers.
    Sound,
    /// Everything else, and the element types that no device here has (floats of 8 and 4 bits, bfloat16, doubles,
    /// strings).
    Rest,
}

const VISION: &str = "QuantizeLinear DequantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger \
    DynamicQuantizeLinear Conv MatMul Gemm Add Sub Mul Div Max Min Relu Clip LeakyRelu PRelu Sigmoid Tanh HardSigmoid \
    HardSwish Softmax MaxPool AveragePool GlobalAveragePool GlobalMaxPool BatchNormalization Flatten Reshape Transpose \
    Squeeze Unsqueeze Concat Identity Constant Dropout Pad ReduceMean Cast";

const SOUND: &str = "ConvTranspose GRU LSTM RNN Resize Upsample Slice Split Gather Shape Size ConstantOfShape Expand Tile \
    Where Equal Less LessOrEqual Greater GreaterOrEqual And Or Xor Not Mean Sum Pow Sqrt Exp Log Abs Neg Reciprocal Floor \
    Ceil Round Sign Erf Elu Selu Celu Mish Softplus Softsign ThresholdedRelu Gelu Swish Shrink LogSoftmax Hardmax \
    LayerNormalization InstanceNormalization GroupNormalization RMSNormalization LpNormalization LRN \
    MeanVarianceNormalization ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMin ReduceProd ReduceSum \
    ReduceSumSquare ArgMax ArgMin DepthToSpace SpaceToDepth Trilu Range CumSum CastLike LpPool IsNaN IsInf";

/// Codes of `TensorProto.DataType` that put a case into the rest.
const OTHER_TYPES: [i32; 12] = [0, 8, 11, 14, 15, 16, 17, 18, 19, 20, 23, 24];

/// The group of a case.
pub fn group(case: &Case) -> Group {
    let Ok(outline) = outline(&case.model) else { return Group::Rest };
    let values = outline.inputs.iter().chain(&outline.outputs);
    if values.into_iter().any(|v| OTHER_TYPES.contains(&v.type_code)) {
        return Group::Rest;
    }
    let of = |op: &(String, String)| {
        let within = |list: &str| list.split_whitespace().any(|known| known == op.1);
        match op.0.as_str() {
            "" | "ai.onnx" if within(VISION) => Group::Vision,
            "" | "ai.onnx" if within(SOUND) => Group::Sound,
            _ => Group::Rest,
        }
    };
    outline.ops.iter().map(of).max().unwrap_or(Group::Rest)
}
