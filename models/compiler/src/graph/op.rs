//! Operators of the compiler's graph. Fewer than ONNX has: import maps
//! synonyms (Flatten, Squeeze, Gemm with a constant matrix, …) onto these.

use super::Recurrent;

/// Order of the axes a spatial operator reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// ONNX: batch, channels, rows, columns.
    Nchw,
    /// The device: batch, rows, columns, channels.
    Nhwc,
}

/// Clamp fused behind a linear operator, in real values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clamp {
    pub lo: f32,
    pub hi: f32,
}

/// Window of a convolution or pool over two spatial axes. One-dimensional
/// operators are brought to two with a first axis of length 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// top, left, bottom, right; never negative here.
    pub pads: [usize; 4],
}

/// Window over three spatial axes (depth, rows, columns); the missing ones of fewer have length 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowNd {
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub dilation: [usize; 3],
    /// In front of each axis; what lies behind follows from the output's shape.
    pub pad: [usize; 3],
}

/// How the elements of an axis are made: element j of the new axis is the sum over t < `count` of
/// `weights[j·count + t]` times element `indices[j·count + t]` of the old one.
#[derive(Clone, Debug, PartialEq)]
pub struct Taps {
    pub count: usize,
    pub indices: Vec<u32>,
    pub weights: Vec<f32>,
}

/// Which cells around a point GridSample weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridMode {
    Nearest,
    Linear,
    Cubic,
}

/// What lies outside of what GridSample samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridOutside {
    Zeros,
    Border,
    Reflection,
}

/// What a scatter does with the element that lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scattering {
    Replace,
    Add,
    Mul,
    Min,
    Max,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// inputs: x, w, optional bias. w is `[OC, IC/groups, KH, KW]` whatever the layout.
    Conv {
        window: Window,
        groups: usize,
        layout: Layout,
        clamp: Option<Clamp>,
    },
    /// inputs: x, w, optional bias. w is `[IC, OC/groups, KH, KW]`.
    ConvTranspose {
        window: Window,
        groups: usize,
        output_padding: [usize; 2],
        layout: Layout,
    },
    /// inputs: x `[…, K]`, constant w `[N, K]`, optional constant bias `[N]`.
    Dense {
        clamp: Option<Clamp>,
    },
    /// inputs: a `[…, M, K]`, b `[…, K, N]`, batch axes broadcast as in ONNX MatMul.
    MatMul,
    /// As MatMul with equal batch axes; both operands are quantized at run time, one scale a row of
    /// a and a column of b. With `transposed`, b is `[…, N, K]`.
    DynamicMatMul {
        transposed: bool,
    },
    /// inputs: x `[…, C]`, constant gamma and beta `[C]`: normalizes the last axis.
    LayerNorm {
        epsilon: f32,
    },
    /// inputs: x, scale, bias, mean, variance, each constant `[C]` on axis 1 (inference form).
    BatchNorm {
        epsilon: f32,
    },
    /// inputs: x, scale, bias, the latter constant `[C]`. Normalizes groups of neighbouring channels of each
    /// image (one group: as LayerNormalization over all but the batch; C groups: InstanceNormalization).
    GroupNorm {
        groups: usize,
        epsilon: f32,
        layout: Layout,
        clamp: Option<Clamp>,
    },
    /// LSTM, GRU or RNN in one direction.
    Recurrent(Recurrent),
    MaxPool {
        window: Window,
        layout: Layout,
    },
    /// Divisor: the cells inside the input, or with `count_include_pad` all
    /// cells inside the padded input.
    AvgPool {
        window: Window,
        layout: Layout,
        count_include_pad: bool,
    },
    Unary(Unary),
    /// inputs: a, b, broadcast as in ONNX. `clamp` only behind Add and Sub.
    Binary {
        kind: Binary,
        clamp: Option<Clamp>,
    },
    Softmax {
        axis: usize,
    },
    /// axes ascending, not negative.
    Reduce {
        kind: Reduce,
        axes: Vec<usize>,
        keep_dims: bool,
    },
    /// inputs: x. The output's shape says it all (Flatten, Squeeze, … too).
    Reshape,
    Transpose {
        perm: Vec<usize>,
    },
    Concat {
        axis: usize,
    },
    /// inputs: x. begin and end counts per axis, value in real numbers.
    Pad {
        begin: Vec<usize>,
        end: Vec<usize>,
        value: f32,
    },
    /// inputs: x. One start, step per axis; lengths are in the output's shape.
    Slice {
        start: Vec<usize>,
        step: Vec<isize>,
    },
    /// inputs: x, constant or computed i64 indices.
    Gather {
        axis: usize,
    },
    /// inputs: x. Axes of length 1 and missing ones in front are repeated to the output's shape.
    Expand,
    /// inputs: x, indices. ONNX GatherElements along `axis`, or with `nd` GatherND, whose batch axes `axis` counts.
    GatherElements {
        nd: bool,
        axis: usize,
    },
    /// inputs: x, indices, updates. ONNX ScatterElements along `axis`, or with `nd` ScatterND.
    Scatter {
        nd: bool,
        axis: usize,
        reduction: Scattering,
    },
    /// inputs: x; outputs: the best elements along the axis, sorted, and their indices (i64). How many is in the
    /// outputs' shape.
    TopK {
        axis: usize,
        largest: bool,
    },
    /// inputs: x f32. Interpolation along one axis.
    Resample {
        axis: usize,
        taps: Taps,
    },
    /// inputs: x `[N, C, D, H, W]`, w, optional bias `[OC]`; f32, all may be computed. w is `[OC, IC/groups, …]`,
    /// transposed `[IC, OC/groups, …]`.
    ConvNd {
        window: WindowNd,
        groups: usize,
        transposed: bool,
    },
    /// inputs: x `[N, C, D, H, W]`; outputs: maxima and their indices (i64) in the whole input, columns first
    /// with `column_major`.
    MaxPoolNd {
        window: WindowNd,
        column_major: bool,
    },
    /// inputs: x `[N, C, …]`, grid `[N, …, 2 or 3]`; f32. Interpolation at computed points.
    GridSample {
        mode: GridMode,
        outside: GridOutside,
        align_corners: bool,
    },
    /// inputs: x. The target is the output's dtype.
    Cast,
    /// inputs: a, b of one type, broadcast as in ONNX; output Bool.
    Compare {
        kind: Compare,
    },
    /// inputs: condition (Bool), what is taken where it holds, what elsewhere; all broadcast.
    Select,
    /// inputs: x; output i64, shaped with or without the axis.
    ArgReduce {
        axis: usize,
        /// ArgMin.
        least: bool,
        /// Of equal elements the last.
        last: bool,
    },
    /// inputs: x.
    CumSum {
        axis: usize,
        exclusive: bool,
        reverse: bool,
        /// Products instead of sums.
        product: bool,
    },
    /// inputs: x; the same bits as the output's type.
    BitCast,
    /// inputs: x; the output's `quant` is the grid. QuantizeLinear + DequantizeLinear.
    FakeQuant,
    /// inputs: x f32; outputs: y u8, scale f32 `[]`, zero point u8 `[]` (ONNX formula).
    DynamicQuantizeLinear,
    /// inputs: a (u8/i8), constant b (u8/i8), optional zero points of a and b; output i32.
    MatMulInteger,
    /// inputs: x (u8/i8), constant w, optional zero points; output i32.
    ConvInteger {
        window: Window,
        groups: usize,
        layout: Layout,
    },
}

/// Elementwise functions of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    Relu,
    LeakyRelu {
        alpha: f32,
    },
    Clip(Clamp),
    Sigmoid,
    Tanh,
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    HardSwish,
    Elu {
        alpha: f32,
    },
    Softplus,
    Erf,
    /// Exact form (with erf).
    Gelu,
    /// x · sigmoid(x).
    Silu,
    Exp,
    Log,
    Sqrt,
    Reciprocal,
    Neg,
    Abs,
    Floor,
    Ceil,
    /// Ties to even.
    Round,
    Sign,
    /// alpha > 0
    Celu {
        alpha: f32,
    },
    Selu {
        alpha: f32,
        gamma: f32,
    },
    Mish,
    Softsign,
    ThresholdedRelu {
        alpha: f32,
    },
    Shrink {
        lambda: f32,
        bias: f32,
    },
    /// x · sigmoid(alpha · x).
    Swish {
        alpha: f32,
    },
    /// The form with tanh.
    GeluTanh,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Asinh,
    Acosh,
    Atanh,
    /// Of booleans; of integers every bit.
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Max,
    Min,
    Pow,
    /// a ≥ 0: a, else a · b.
    PRelu,
    /// Remainder with the sign of b.
    Mod,
    /// Remainder with the sign of a.
    Fmod,
    /// Of booleans, or of the bits of integers.
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    /// Truncated in integers.
    Mean,
    Sum,
    Max,
    Min,
    Prod,
    SumSquare,
    L2,
}
