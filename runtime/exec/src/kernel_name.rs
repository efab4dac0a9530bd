//! Which kernel an op runs on, for reports.

use selvedge_core::{Format, OpCode};
use selvedge_kernels::{Family, IsaKind, KERNELS};

/// Name of the kernel that an op of this format runs on; empty for ops that move bytes.
pub fn kernel_name(op: OpCode, format: Format, isa: IsaKind) -> &'static str {
    let Some(family) = family(op, format) else { return "" };
    let of = |isa: IsaKind| KERNELS.iter().find(|kernel| kernel.family == family && kernel.isa == isa);
    of(isa).or_else(|| of(IsaKind::Portable)).map_or("", |kernel| kernel.name)
}

fn family(op: OpCode, format: Format) -> Option<Family> {
    use Format::{F16, F32, F32W8, I8, I16, I16W8, T2, W2, W3, W4, W8};
    Some(match (op, format) {
        (OpCode::Conv2d | OpCode::ConvPair, W8) => Family::Conv2dW8,
        (OpCode::DepthwiseConv2d, W8) => Family::DepthwiseW8,
        (OpCode::Dense | OpCode::DenseLowRank, W8) => Family::DenseW8,
        (OpCode::Conv2d, W4) => Family::Conv2dW4,
        (OpCode::DepthwiseConv2d, W4) => Family::DepthwiseW4,
        (OpCode::Dense | OpCode::DenseLowRank, W4) => Family::DenseW4,
        (OpCode::Conv2d, W3) => Family::Conv2dW3,
        (OpCode::DepthwiseConv2d, W3) => Family::DepthwiseW3,
        (OpCode::Dense | OpCode::DenseLowRank, W3) => Family::DenseW3,
        (OpCode::Conv2d, W2) => Family::Conv2dW2,
        (OpCode::DepthwiseConv2d, W2) => Family::DepthwiseW2,
        (OpCode::Dense | OpCode::DenseLowRank, W2) => Family::DenseW2,
        (OpCode::Conv2d, T2) => Family::Conv2dT2,
        (OpCode::DepthwiseConv2d, T2) => Family::DepthwiseT2,
        (OpCode::Dense | OpCode::DenseLowRank, T2) => Family::DenseT2,
        (OpCode::MaxPool2d, I8) => Family::MaxPoolI8,
        (OpCode::AvgPool2d, I8) => Family::AvgPoolI8,
        (OpCode::Add, I8) => Family::AddI8,
        (OpCode::Mul, I8) => Family::MulI8,
        (OpCode::Concat, I8) => Family::RescaleI8,
        (OpCode::Table, I8) => Family::TableI8,
        (OpCode::Softmax, I8) => Family::SoftmaxI8,
        (OpCode::Conv2d, I16W8) => Family::Conv2dI16W8,
        (OpCode::DepthwiseConv2d, I16W8) => Family::DepthwiseI16W8,
        (OpCode::Dense, I16W8) => Family::DenseI16W8,
        (OpCode::Add, I16) => Family::AddI16,
        (OpCode::Quantize, I16) => Family::QuantizeI16,
        (OpCode::Dequantize, I16) => Family::DequantizeI16,
        (OpCode::Quantize, _) => Family::QuantizeI8,
        (OpCode::Dequantize, _) => Family::DequantizeI8,
        (OpCode::DynamicQuantize, _) => Family::DynamicQuantizeI8,
        (OpCode::Conv2d, F32) => Family::Conv2dF32,
        (OpCode::DepthwiseConv2d, F32) => Family::DepthwiseF32,
        (OpCode::ConvTranspose2d, F32) => Family::ConvTranspose2dF32,
        (OpCode::Dense, F32) => Family::DenseF32,
        (OpCode::Conv2d, F16) => Family::Conv2dF32F16,
        (OpCode::DepthwiseConv2d, F16) => Family::DepthwiseF32F16,
        (OpCode::Dense, F16) => Family::DenseF32F16,
        (OpCode::Conv2d, F32W8) => Family::Conv2dF32W8,
        (OpCode::DepthwiseConv2d, F32W8) => Family::DepthwiseF32W8,
        (OpCode::Dense, F32W8) => Family::DenseF32W8,
        (OpCode::MatMul, F32) => Family::MatmulF32,
        (OpCode::MaxPool2d, F32) => Family::MaxPoolF32,
        (OpCode::AvgPool2d, F32) => Family::AvgPoolF32,
        (OpCode::Unary, F32) => Family::UnaryF32,
        (OpCode::Binary, F32) => Family::BinaryF32,
        (OpCode::Softmax, F32) => Family::SoftmaxF32,
        (OpCode::Reduce, F32) => Family::ReduceF32,
        (OpCode::LayerNorm, F32) => Family::LayerNormF32,
        (OpCode::MatMul, I8) => Family::MatmulI8,
        (OpCode::Gather, W8) => Family::DequantizeI8,
        _ => return None,
    })
}
