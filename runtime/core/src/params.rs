//! Parameter structs of the steps. Sizes are in elements, offsets in bytes from
//! the start of the weights section.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Marks an offset that is not used.
pub const NONE: u32 = u32::MAX;

macro_rules! params {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$fmeta:meta])* $field:ident: $ty:ty,)* })*) => {
        $($(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* })*
    };
}

params! {
    /// Window of a convolution or pool; bottom and right padding follow from the output's size.
    struct Window {
        kernel: [u16; 2],
        stride: [u16; 2],
        dilation: [u16; 2],
        /// top, left
        pad: [u16; 2],
    }

    /// Where an int8 layer's weights and per-channel arrays lie.
    struct LayerArrays {
        /// Packed weights.
        weights: u32,
        weights_bytes: u32,
        /// i32 per channel (i64 with `WIDE`, f32 with `OUT_F32`), zero
        /// point of the input folded in.
        bias: u32,
        /// Requantization multipliers, i32 per channel. With `OUT_F32`: weight scales, f32.
        /// With `OUT_I32`: sums of the weights, i32, for a zero point known at run time only.
        multiplier: u32,
        /// Requantization shifts, i8 per channel.
        shift: u32,
    }

    /// Follows the parameters of a layer with weights of fewer than 8 bits: how its codes are scaled.
    struct LowBit {
        /// Scales of the groups, u8 in the order of `kernels/src/pack_low.rs`; [`NONE`]: one group a row, scale 1.
        scales: u32,
        /// Offsets of the groups, i16 likewise; [`NONE`]: `zero` times the scale.
        mins: u32,
        /// k that share a scale, a multiple of 32; 0: all of a row.
        group: u32,
        /// The code that stands for 0.
        zero: u32,
    }

    /// Follows the parameters of DenseLowRank: the count of [`Branch`] structs behind it.
    struct Branches {
        count: u32,
    }

    /// Adds `(Σ up·t) << shift` to the sums of a dense layer, `t` being int8 `[rows, rank]`; a negative shift
    /// rounds to the right.
    struct Branch {
        /// int8 `[n, rank]`, packed as W8.
        up: u32,
        up_bytes: u32,
        rank: u32,
        shift: i32,
    }

    /// Conv2d, DepthwiseConv2d with int8 activations, or int16 ones: all zero points are 0 then, and biases i64. Followed by [`LowBit`] in formats below 8 bits, by [`ResidualAdd`] with `FUSED_ADD`.
    struct ConvI8 {
        window: Window,
        groups: u32,
        arrays: LayerArrays,
        /// Value of cells outside of the input: its zero point.
        pad_value: i32,
        output_zero_point: i32,
        lo: i32,
        hi: i32,
        /// Clamp of `OUT_F32` outputs.
        lo_f32: f32,
        hi_f32: f32,
    }

    /// ConvPair: two convolutions with int8 outputs. Followed by [`ResidualAdd`] with `FUSED_ADD`.
    struct ConvPair {
        first: ConvI8,
        second: ConvI8,
        /// Rows, columns, channels of the value between them.
        height: u32,
        width: u32,
        channels: u32,
        /// Bit 0: the first is a wide layer (its bias is i64), bit 1: the second.
        wide: u32,
    }

    /// Dense with int8 activations, or int16 ones (zero points 0, biases i64): rows `[…, K]` times `[N, K]`. Followed by
    /// [`LowBit`] in formats below 8 bits, by [`ResidualAdd`] with `FUSED_ADD` (Dense), by [`Branches`] (DenseLowRank).
    struct DenseI8 {
        arrays: LayerArrays,
        output_zero_point: i32,
        lo: i32,
        hi: i32,
        lo_f32: f32,
        hi_f32: f32,
    }

    /// Fused residual addition: y = clamp((conv·m1 + skip·m2 + c) >> s).
    struct ResidualAdd {
        m1: i32,
        m2: i32,
        c: i32,
        s: u32,
        lo: i32,
        hi: i32,
    }

    /// Follows the parameters of an f32 layer with int8 weights.
    struct WeightScales {
        /// f32 per channel padded to a multiple of 8.
        scales: u32,
    }

    /// Conv2d, DepthwiseConv2d, ConvTranspose2d in f32. Followed by [`WeightScales`] in format `F32W8`.
    struct ConvF32 {
        window: Window,
        groups: u32,
        weights: u32,
        weights_bytes: u32,
        /// f32 per channel padded to a multiple of 8, or [`NONE`].
        bias: u32,
        lo: f32,
        hi: f32,
    }

    /// Dense in f32. Followed by [`WeightScales`] in format `F32W8`.
    struct DenseF32 {
        weights: u32,
        weights_bytes: u32,
        bias: u32,
        lo: f32,
        hi: f32,
    }

    /// MaxPool2d.
    struct MaxPool {
        window: Window,
    }

    /// AvgPool2d; the integer fields are unused in f32.
    struct AvgPool {
        window: Window,
        /// bottom, right: cells that count with `count_include_pad`.
        pad_end: [u16; 2],
        count_include_pad: u32,
        input_zero_point: i32,
        multiplier: i32,
        shift: u32,
        output_zero_point: i32,
        lo: i32,
        hi: i32,
    }

    /// Integer Add.
    struct AddI8 {
        m1: i32,
        m2: i32,
        c: i32,
        s: u32,
        lo: i32,
        hi: i32,
    }

    /// Add of int16 values around 0: see `arith::add_i16`.
    struct AddI16 {
        m1: i32,
        m2: i32,
        s: u32,
        lo: i32,
        hi: i32,
    }

    /// Integer Mul.
    struct MulI8 {
        zero_point: [i32; 2],
        multiplier: i32,
        shift: i32,
        output_zero_point: i32,
        lo: i32,
        hi: i32,
    }

    /// Integer Softmax over the last axis.
    struct SoftmaxI8 {
        /// 32 u32 exponentials: see `arith::softmax_exponential`.
        table: u32,
        inverse: u32,
        shift: u32,
        output_zero_point: i32,
    }

    /// 256 int8 entries, index q + 128.
    struct TableI8 {
        table: u32,
    }

    /// Concat; with format `I8` followed by one [`Rescale`] an input.
    struct Concat {
        axis: u32,
    }

    /// y = clamp((q·m + c) >> s); m = 0 and s = 0 copies.
    struct Rescale {
        m: i32,
        c: i32,
        s: u32,
    }

    /// Quantize, Dequantize; the zero point is 0 in format `I16`.
    struct Quantize {
        scale: f32,
        zero_point: i32,
    }

    /// DynamicQuantize, DynamicQuantize4, UnpackA4: one scale for each `row` consecutive elements.
    struct DynamicQuantize {
        row: u32,
    }

    struct Transpose {
        perm: [u8; 8],
    }

    struct Pad {
        begin: [u32; 6],
        /// The element's bytes, low first.
        value: [u8; 8],
    }

    struct Slice {
        start: [u32; 6],
        step: [i32; 6],
    }

    struct Gather {
        axis: u32,
    }

    /// Scatter. `kind` 0: ONNX ScatterElements along `axis`; 1: ScatterND (`axis` is 0).
    struct Scatter {
        kind: u32,
        axis: u32,
        /// A [`scatter`] code.
        reduction: u32,
    }

    /// GatherElements. `kind` 0: ONNX GatherElements along `axis`; 1: GatherND, `axis` counts its batch axes.
    struct GatherElements {
        kind: u32,
        axis: u32,
    }

    /// TopK; how many is in the output's shape.
    struct TopK {
        axis: u32,
        /// 1: the largest first; 0: the smallest first.
        largest: u32,
    }

    /// Resample: element j of the output's axis is the sum over t < taps of `weights[j·taps + t]` times element
    /// `indices[j·taps + t]` of the input's.
    struct Resample {
        axis: u32,
        taps: u32,
        /// u32
        indices: u32,
        /// f32
        weights: u32,
    }

    /// Window over three axes (depth, rows, columns); padding behind follows from the output's size.
    struct WindowNd {
        kernel: [u16; 3],
        stride: [u16; 3],
        dilation: [u16; 3],
        pad: [u16; 3],
    }

    /// ConvNd in f32.
    struct ConvNd {
        window: WindowNd,
        groups: u32,
        /// 1: transposed.
        transposed: u32,
    }

    /// MaxPoolNd.
    struct MaxPoolNd {
        window: WindowNd,
        /// 1: indices count columns first (ONNX storage_order).
        column_major: u32,
    }

    /// GridSample.
    struct GridSample {
        /// 0: nearest, 1: linear, 2: cubic.
        mode: u32,
        /// 0: zeros, 1: border, 2: reflection.
        outside: u32,
        align_corners: u32,
    }

    /// Gather of rows of an int8 table; row i is `code·scale[i]`.
    struct GatherW8 {
        /// int8, `[rows, row]`.
        table: u32,
        /// f32, one a row of the table.
        scales: u32,
        rows: u32,
        row: u32,
    }

    /// Unary and Trig: a [`unary`] code and up to two constants.
    struct Unary {
        kind: u32,
        alpha: f32,
        beta: f32,
    }

    /// Binary: a [`binary`] code, clamp of the result in f32.
    struct Binary {
        kind: u32,
        lo: f32,
        hi: f32,
    }

    /// Compare: a [`compare`] code.
    struct Compare {
        kind: u32,
    }

    /// ArgReduce over one axis; bit 0 of `flags`: the least element, bit 1: the last of equal ones.
    struct ArgReduce {
        axis: u32,
        flags: u32,
    }

    /// CumSum along one axis; bit 0 of `flags`: without the element itself, bit 1: from the end, bit 2: products.
    struct CumSum {
        axis: u32,
        flags: u32,
    }

    /// Reduce over the axes whose bits are set.
    struct Reduce {
        kind: u32,
        axes: u32,
    }

    /// LayerNorm in f32 of each `row` consecutive elements.
    struct LayerNorm {
        row: u32,
        epsilon: f32,
        /// f32, one an element of a row.
        gamma: u32,
        /// As `gamma`.
        beta: u32,
    }

    /// GroupNorm of neighbouring channels of each image.
    struct GroupNorm {
        groups: u32,
        /// Added to the variance; int8: in squared steps of the input.
        epsilon: f32,
        /// f32, one a channel; int8: in steps of the output.
        gamma: u32,
        /// As `gamma`; int8: the output's zero point is added.
        beta: u32,
        lo: i32,
        hi: i32,
        /// Clamp of f32 outputs.
        lo_f32: f32,
        hi_f32: f32,
    }

    /// Lstm, Gru, Rnn in f32. Gates lie in the order of ONNX: i, o, f, c; z, r, h.
    struct RecurrentF32 {
        hidden: u32,
        /// Bits of [`recurrent`].
        flags: u32,
        /// Bound of what goes into the gates' activations; ∞: none.
        clip: f32,
        /// f, g, h of ONNX: [`unary`] or [`recurrent`] codes, each with two constants.
        activations: [u32; 3],
        alpha: [f32; 3],
        beta: [f32; 3],
        /// Packed `[gates·hidden, input]`; with `LIVE` unused, as the four below.
        weights: u32,
        /// Packed `[gates·hidden, hidden]`; Gru: `[2·hidden, hidden]` of z and r, then `[hidden, hidden]` of h.
        recurrent: u32,
        /// f32 a gate, padded to a multiple of 8: both biases of ONNX added; [`NONE`]: zeros.
        bias: u32,
        /// Gru with `LINEAR_BEFORE_RESET`: the recurrent bias of h, padded likewise; or [`NONE`].
        recurrent_bias: u32,
        /// f32 `[3·hidden]` for i, o, f; or [`NONE`].
        peepholes: u32,
    }

    /// Lstm, Gru in int8; the order of gates is that of [`RecurrentF32`].
    struct RecurrentI8 {
        hidden: u32,
        /// Bits of [`recurrent`].
        flags: u32,
        /// Bound of gates in steps of 2^−12; 32767: none.
        clip: i32,
        /// i16 tables of f, g, h of ONNX, 513 entries each.
        tables: [u32; 3],
        /// Packed as W8: `[gates·hidden, input]`.
        weights: u32,
        /// Packed as W8: `[gates·hidden, hidden]`; Gru: `[2·hidden, hidden]` of z and r, then `[hidden, hidden]` of h.
        recurrent: u32,
        /// i32 a gate: multipliers of the products with x and with h.
        multiplier_x: u32,
        multiplier_h: u32,
        /// i64 a gate, in units of 2^−(12+shift).
        bias: u32,
        /// Gru with `LINEAR_BEFORE_RESET`: i64 `[hidden]` likewise; else [`NONE`].
        recurrent_bias: u32,
        shift: u32,
        /// Fraction bits of c.
        cell_bits: u32,
        /// Requantization to codes of h, from steps of 2^−30 and of 2^−15.
        to_code_multiplier: [i32; 2],
        to_code_shift: [i32; 2],
    }
}

/// Flags of recurrent layers, and codes of activations that are no [`unary`] function.
pub mod recurrent {
    /// From the last time step to the first.
    pub const REVERSE: u32 = 1;
    /// Lstm: f = 1 − i.
    pub const INPUT_FORGET: u32 = 2;
    /// Gru: the reset gate scales the product with the recurrent weights, not its input.
    pub const LINEAR_BEFORE_RESET: u32 = 4;
    /// Output 0 is the state of h after every step `[steps, batch, hidden]`.
    pub const SEQUENCE: u32 = 8;
    /// Input 1 holds weights, recurrent weights, bias, recurrent bias and peepholes one after the other,
    /// row-major; the last two as the next flags say.
    pub const LIVE: u32 = 16;
    pub const LIVE_RECURRENT_BIAS: u32 = 32;
    pub const LIVE_PEEPHOLES: u32 = 64;
    pub const ALL_FLAGS: u32 = 127;

    /// alpha·x + beta
    pub const AFFINE: u32 = 256;
    /// x where x > alpha, else 0
    pub const THRESHOLDED_RELU: u32 = 257;
    /// alpha·tanh(beta·x)
    pub const SCALED_TANH: u32 = 258;
    /// x/(1 + |x|)
    pub const SOFTSIGN: u32 = 259;
}

/// Codes of functions of one number.
pub mod unary {
    pub const RELU: u32 = 0;
    /// alpha
    pub const LEAKY_RELU: u32 = 1;
    /// alpha = lower, beta = upper bound
    pub const CLIP: u32 = 2;
    pub const SIGMOID: u32 = 3;
    pub const TANH: u32 = 4;
    /// clamp(alpha·x + beta, 0, 1)
    pub const HARD_SIGMOID: u32 = 5;
    pub const HARD_SWISH: u32 = 6;
    /// alpha
    pub const ELU: u32 = 7;
    pub const SOFTPLUS: u32 = 8;
    pub const ERF: u32 = 9;
    pub const GELU: u32 = 10;
    pub const SILU: u32 = 11;
    pub const EXP: u32 = 12;
    pub const LOG: u32 = 13;
    pub const SQRT: u32 = 14;
    pub const RECIPROCAL: u32 = 15;
    pub const NEG: u32 = 16;
    pub const ABS: u32 = 17;
    pub const FLOOR: u32 = 18;
    pub const CEIL: u32 = 19;
    /// ties to even
    pub const ROUND: u32 = 20;
    pub const SIGN: u32 = 21;
    /// alpha = scale, beta = zero point on the signed 8-bit grid: quantize and dequantize again
    pub const FAKE_QUANT: u32 = 22;
    /// max(x, 0) + min(alpha·(e^(x/alpha) − 1), 0)
    pub const CELU: u32 = 23;
    /// beta·x, or beta·alpha·(e^x − 1) where x ≤ 0
    pub const SELU: u32 = 24;
    /// x·tanh(softplus(x))
    pub const MISH: u32 = 25;
    /// x/(1 + |x|)
    pub const SOFTSIGN: u32 = 26;
    /// x where x > alpha, else 0
    pub const THRESHOLDED_RELU: u32 = 27;
    /// x + beta where x < −alpha, x − beta where x > alpha, else 0
    pub const SHRINK: u32 = 28;
    /// x·sigmoid(alpha·x)
    pub const SWISH: u32 = 29;
    /// x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³)))
    pub const GELU_TANH: u32 = 30;
    /// The last one of Unary in f32.
    pub const LAST: u32 = GELU_TANH;
    /// Integers: every bit.
    pub const NOT: u32 = 40;
    /// Booleans.
    pub const LOGICAL_NOT: u32 = 41;
    /// The codes from here on belong to Trig.
    pub const SIN: u32 = 64;
    pub const COS: u32 = 65;
    pub const TAN: u32 = 66;
    pub const ASIN: u32 = 67;
    pub const ACOS: u32 = 68;
    pub const ATAN: u32 = 69;
    pub const SINH: u32 = 70;
    pub const COSH: u32 = 71;
    pub const ASINH: u32 = 72;
    pub const ACOSH: u32 = 73;
    pub const ATANH: u32 = 74;
    pub const LAST_TRIG: u32 = ATANH;
}

/// Codes of functions of two numbers.
pub mod binary {
    pub const ADD: u32 = 0;
    pub const SUB: u32 = 1;
    pub const MUL: u32 = 2;
    pub const DIV: u32 = 3;
    pub const MAX: u32 = 4;
    pub const MIN: u32 = 5;
    pub const POW: u32 = 6;
    pub const PRELU: u32 = 7;
    /// Remainder with the sign of the divisor.
    pub const MOD: u32 = 8;
    /// Remainder with the sign of the dividend.
    pub const FMOD: u32 = 9;
    /// The last one in f32.
    pub const LAST: u32 = FMOD;
    pub const AND: u32 = 10;
    pub const OR: u32 = 11;
    pub const XOR: u32 = 12;
    /// 0 from the type's width on.
    pub const SHIFT_LEFT: u32 = 13;
    /// With the sign of signed types; 0 from the type's width on.
    pub const SHIFT_RIGHT: u32 = 14;
    /// The last one of integers.
    pub const LAST_INT: u32 = SHIFT_RIGHT;
}

/// What Scatter does with what lies there.
pub mod scatter {
    pub const REPLACE: u32 = 0;
    pub const ADD: u32 = 1;
    pub const MUL: u32 = 2;
    pub const MIN: u32 = 3;
    pub const MAX: u32 = 4;
    pub const LAST: u32 = MAX;
}

/// Codes of comparisons.
pub mod compare {
    pub const EQUAL: u32 = 0;
    pub const NOT_EQUAL: u32 = 1;
    pub const LESS: u32 = 2;
    pub const LESS_OR_EQUAL: u32 = 3;
    pub const GREATER: u32 = 4;
    pub const GREATER_OR_EQUAL: u32 = 5;
    pub const LAST: u32 = GREATER_OR_EQUAL;
}

/// Codes of reductions.
pub mod reduce {
    pub const MEAN: u32 = 0;
    pub const SUM: u32 = 1;
    pub const MAX: u32 = 2;
    pub const MIN: u32 = 3;
    pub const PROD: u32 = 4;
    pub const SUM_SQUARE: u32 = 5;
    pub const L2: u32 = 6;
    pub const LAST: u32 = L2;
}
