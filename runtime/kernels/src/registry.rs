//! Every kernel, declared once: the declaration makes its entry in [`KERNELS`] and its tests.

use crate::select::IsaKind;

/// A kernel of this build.
#[derive(Clone, Copy, Debug)]
pub struct KernelInfo {
    /// Family, types, instruction set, tile.
    pub name: &'static str,
    pub isa: IsaKind,
    pub family: Family,
    /// Output rows (pixels) and columns (channels) computed together; 1x1 where there is no tile.
    pub tile: (u8, u8),
}

/// What a kernel computes: a method of [`IsaI8`](crate::IsaI8), [`IsaI16`](crate::IsaI16) or
/// [`IsaF32`](crate::IsaF32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Conv2dW8,
    DepthwiseW8,
    DenseW8,
    Conv2dW4,
    Conv2dW3,
    Conv2dW2,
    Conv2dT2,
    DepthwiseW4,
    DepthwiseW3,
    DepthwiseW2,
    DepthwiseT2,
    DenseW4,
    DenseW3,
    DenseW2,
    DenseT2,
    MaxPoolI8,
    AvgPoolI8,
    AddI8,
    MulI8,
    RescaleI8,
    TableI8,
    SoftmaxI8,
    QuantizeI8,
    DequantizeI8,
    DynamicQuantizeI8,
    Conv2dF32,
    DepthwiseF32,
    ConvTranspose2dF32,
    DenseF32,
    Conv2dF32F16,
    DepthwiseF32F16,
    DenseF32F16,
    Conv2dF32W8,
    DepthwiseF32W8,
    DenseF32W8,
    MatmulF32,
    MaxPoolF32,
    AvgPoolF32,
    UnaryF32,
    BinaryF32,
    SoftmaxF32,
    ReduceF32,
    LayerNormF32,
    MatmulI8,
    Conv2dI16W8,
    DepthwiseI16W8,
    DenseI16W8,
    AddI16,
    QuantizeI16,
    DequantizeI16,
}

macro_rules! kernels {
    ($($isa:ident, cfg $cfg:tt { $($name:ident { family: $family:ident, tile: ($mr:literal, $nr:literal) })* })*) => {
        /// Every kernel of this build.
        pub const KERNELS: &[KernelInfo] = &[$($(
            #[cfg $cfg]
            KernelInfo {
                name: stringify!($name),
                isa: IsaKind::$isa,
                family: Family::$family,
                tile: ($mr, $nr),
            },
        )*)*];

        #[cfg(test)]
        #[allow(non_snake_case)]
        mod tests {
            $($(
                #[cfg $cfg]
                mod $name {
                    crate::testing::families!($family, crate::$isa);
                }
            )*)*
        }
    };
}

kernels! {
    Reference, cfg(all()) {
        conv2d_w8__reference { family: Conv2dW8, tile: (1, 1) }
        depthwise_w8__reference { family: DepthwiseW8, tile: (1, 1) }
        dense_w8__reference { family: DenseW8, tile: (1, 1) }
        conv2d_w4__reference { family: Conv2dW4, tile: (1, 1) }
        conv2d_w3__reference { family: Conv2dW3, tile: (1, 1) }
        conv2d_w2__reference { family: Conv2dW2, tile: (1, 1) }
        conv2d_t2__reference { family: Conv2dT2, tile: (1, 1) }
        depthwise_w4__reference { family: DepthwiseW4, tile: (1, 1) }
        depthwise_w3__reference { family: DepthwiseW3, tile: (1, 1) }
        depthwise_w2__reference { family: DepthwiseW2, tile: (1, 1) }
        depthwise_t2__reference { family: DepthwiseT2, tile: (1, 1) }
        dense_w4__reference { family: DenseW4, tile: (1, 1) }
        dense_w3__reference { family: DenseW3, tile: (1, 1) }
        dense_w2__reference { family: DenseW2, tile: (1, 1) }
        dense_t2__reference { family: DenseT2, tile: (1, 1) }
        max_pool_i8__reference { family: MaxPoolI8, tile: (1, 1) }
        avg_pool_i8__reference { family: AvgPoolI8, tile: (1, 1) }
        add_i8__reference { family: AddI8, tile: (1, 1) }
        mul_i8__reference { family: MulI8, tile: (1, 1) }
        rescale_i8__reference { family: RescaleI8, tile: (1, 1) }
        table_i8__reference { family: TableI8, tile: (1, 1) }
        softmax_i8__reference { family: SoftmaxI8, tile: (1, 1) }
        quantize_i8__reference { family: QuantizeI8, tile: (1, 1) }
        dequantize_i8__reference { family: DequantizeI8, tile: (1, 1) }
        dynamic_quantize_i8__reference { family: DynamicQuantizeI8, tile: (1, 1) }
        matmul_i8__reference { family: MatmulI8, tile: (1, 1) }
        conv2d_f32__reference { family: Conv2dF32, tile: (1, 1) }
        conv2d_f32_f16__reference { family: Conv2dF32F16, tile: (1, 1) }
        conv2d_f32_w8__reference { family: Conv2dF32W8, tile: (1, 1) }
        depthwise_f32__reference { family: DepthwiseF32, tile: (1, 1) }
        depthwise_f32_f16__reference { family: DepthwiseF32F16, tile: (1, 1) }
        depthwise_f32_w8__reference { family: DepthwiseF32W8, tile: (1, 1) }
        conv_transpose2d_f32__reference { family: ConvTranspose2dF32, tile: (1, 1) }
        dense_f32__reference { family: DenseF32, tile: (1, 1) }
        dense_f32_f16__reference { family: DenseF32F16, tile: (1, 1) }
        dense_f32_w8__reference { family: DenseF32W8, tile: (1, 1) }
        matmul_f32__reference { family: MatmulF32, tile: (1, 1) }
        max_pool_f32__reference { family: MaxPoolF32, tile: (1, 1) }
        avg_pool_f32__reference { family: AvgPoolF32, tile: (1, 1) }
        unary_f32__reference { family: UnaryF32, tile: (1, 1) }
        binary_f32__reference { family: BinaryF32, tile: (1, 1) }
        softmax_f32__reference { family: SoftmaxF32, tile: (1, 1) }
        reduce_f32__reference { family: ReduceF32, tile: (1, 1) }
        layer_norm_f32__reference { family: LayerNormF32, tile: (1, 1) }
        conv2d_i16_w8__reference { family: Conv2dI16W8, tile: (1, 1) }
        depthwise_i16_w8__reference { family: DepthwiseI16W8, tile: (1, 1) }
        dense_i16_w8__reference { family: DenseI16W8, tile: (1, 1) }
        add_i16__reference { family: AddI16, tile: (1, 1) }
        quantize_i16__reference { family: QuantizeI16, tile: (1, 1) }
        dequantize_i16__reference { family: DequantizeI16, tile: (1, 1) }
    }
    Portable, cfg(all()) {
        conv2d_w8__portable_4x8 { family: Conv2dW8, tile: (4, 8) }
        depthwise_w8__portable_1x8 { family: DepthwiseW8, tile: (1, 8) }
        dense_w8__portable_4x8 { family: DenseW8, tile: (4, 8) }
        conv2d_w4__portable_4x8 { family: Conv2dW4, tile: (4, 8) }
        conv2d_w3__portable_4x8 { family: Conv2dW3, tile: (4, 8) }
        conv2d_w2__portable_4x8 { family: Conv2dW2, tile: (4, 8) }
        conv2d_t2__portable_4x8 { family: Conv2dT2, tile: (4, 8) }
        depthwise_w4__portable_1x8 { family: DepthwiseW4, tile: (1, 8) }
        depthwise_w3__portable_1x8 { family: DepthwiseW3, tile: (1, 8) }
        depthwise_w2__portable_1x8 { family: DepthwiseW2, tile: (1, 8) }
        depthwise_t2__portable_1x8 { family: DepthwiseT2, tile: (1, 8) }
        dense_w4__portable_4x8 { family: DenseW4, tile: (4, 8) }
        dense_w3__portable_4x8 { family: DenseW3, tile: (4, 8) }
        dense_w2__portable_4x8 { family: DenseW2, tile: (4, 8) }
        dense_t2__portable_4x8 { family: DenseT2, tile: (4, 8) }
        max_pool_i8__portable { family: MaxPoolI8, tile: (1, 1) }
        avg_pool_i8__portable_1x32 { family: AvgPoolI8, tile: (1, 32) }
        add_i8__portable { family: AddI8, tile: (1, 1) }
        mul_i8__portable { family: MulI8, tile: (1, 1) }
        rescale_i8__portable { family: RescaleI8, tile: (1, 1) }
        table_i8__portable { family: TableI8, tile: (1, 1) }
        softmax_i8__portable { family: SoftmaxI8, tile: (1, 1) }
        quantize_i8__portable { family: QuantizeI8, tile: (1, 1) }
        dequantize_i8__portable { family: DequantizeI8, tile: (1, 1) }
        dynamic_quantize_i8__portable { family: DynamicQuantizeI8, tile: (1, 1) }
        matmul_i8__portable_4x8 { family: MatmulI8, tile: (4, 8) }
        conv2d_f32__portable_4x8 { family: Conv2dF32, tile: (4, 8) }
        conv2d_f32_f16__portable_4x8 { family: Conv2dF32F16, tile: (4, 8) }
        conv2d_f32_w8__portable_4x8 { family: Conv2dF32W8, tile: (4, 8) }
        depthwise_f32__portable { family: DepthwiseF32, tile: (1, 1) }
        depthwise_f32_f16__portable { family: DepthwiseF32F16, tile: (1, 1) }
        depthwise_f32_w8__portable { family: DepthwiseF32W8, tile: (1, 1) }
        conv_transpose2d_f32__portable_1x32 { family: ConvTranspose2dF32, tile: (1, 32) }
        dense_f32__portable_4x8 { family: DenseF32, tile: (4, 8) }
        dense_f32_f16__portable_4x8 { family: DenseF32F16, tile: (4, 8) }
        dense_f32_w8__portable_4x8 { family: DenseF32W8, tile: (4, 8) }
        matmul_f32__portable_4x8 { family: MatmulF32, tile: (4, 8) }
        max_pool_f32__portable { family: MaxPoolF32, tile: (1, 1) }
        avg_pool_f32__portable_1x8 { family: AvgPoolF32, tile: (1, 8) }
        unary_f32__portable { family: UnaryF32, tile: (1, 1) }
        binary_f32__portable { family: BinaryF32, tile: (1, 1) }
        softmax_f32__portable { family: SoftmaxF32, tile: (1, 1) }
        reduce_f32__portable_1x8 { family: ReduceF32, tile: (1, 8) }
        layer_norm_f32__portable_1x8 { family: LayerNormF32, tile: (1, 8) }
        conv2d_i16_w8__portable_4x8 { family: Conv2dI16W8, tile: (4, 8) }
        depthwise_i16_w8__portable_1x8 { family: DepthwiseI16W8, tile: (1, 8) }
        dense_i16_w8__portable_4x8 { family: DenseI16W8, tile: (4, 8) }
        add_i16__portable { family: AddI16, tile: (1, 1) }
        quantize_i16__portable { family: QuantizeI16, tile: (1, 1) }
        dequantize_i16__portable { family: DequantizeI16, tile: (1, 1) }
    }
    Avx2, cfg(target_arch = "x86_64") {
        conv2d_w8__avx2_4x8 { family: Conv2dW8, tile: (4, 8) }
        depthwise_w8__avx2_4x8 { family: DepthwiseW8, tile: (4, 8) }
        dense_w8__avx2_4x8 { family: DenseW8, tile: (4, 8) }
        conv2d_w4__avx2_4x16 { family: Conv2dW4, tile: (4, 16) }
        conv2d_w3__avx2_4x16 { family: Conv2dW3, tile: (4, 16) }
        conv2d_w2__avx2_4x16 { family: Conv2dW2, tile: (4, 16) }
        conv2d_t2__avx2_4x16 { family: Conv2dT2, tile: (4, 16) }
        depthwise_w4__avx2_4x8 { family: DepthwiseW4, tile: (4, 8) }
        depthwise_w3__avx2_4x8 { family: DepthwiseW3, tile: (4, 8) }
        depthwise_w2__avx2_4x8 { family: DepthwiseW2, tile: (4, 8) }
        depthwise_t2__avx2_4x8 { family: DepthwiseT2, tile: (4, 8) }
        dense_w4__avx2_4x16 { family: DenseW4, tile: (4, 16) }
        dense_w3__avx2_4x16 { family: DenseW3, tile: (4, 16) }
        dense_w2__avx2_4x16 { family: DenseW2, tile: (4, 16) }
        dense_t2__avx2_4x16 { family: DenseT2, tile: (4, 16) }
        max_pool_i8__avx2 { family: MaxPoolI8, tile: (1, 1) }
        avg_pool_i8__avx2_1x32 { family: AvgPoolI8, tile: (1, 32) }
        add_i8__avx2 { family: AddI8, tile: (1, 1) }
        mul_i8__avx2_1x32 { family: MulI8, tile: (1, 32) }
        rescale_i8__avx2 { family: RescaleI8, tile: (1, 1) }
        table_i8__avx2 { family: TableI8, tile: (1, 1) }
        softmax_i8__avx2 { family: SoftmaxI8, tile: (1, 1) }
        quantize_i8__avx2 { family: QuantizeI8, tile: (1, 1) }
        dequantize_i8__avx2 { family: DequantizeI8, tile: (1, 1) }
        dynamic_quantize_i8__avx2 { family: DynamicQuantizeI8, tile: (1, 1) }
        matmul_i8__avx2_4x8 { family: MatmulI8, tile: (4, 8) }
        conv2d_f32__avx2_4x16 { family: Conv2dF32, tile: (4, 16) }
        conv2d_f32_f16__avx2_4x16 { family: Conv2dF32F16, tile: (4, 16) }
        conv2d_f32_w8__avx2_4x16 { family: Conv2dF32W8, tile: (4, 16) }
        depthwise_f32__avx2 { family: DepthwiseF32, tile: (1, 1) }
        depthwise_f32_f16__avx2 { family: DepthwiseF32F16, tile: (1, 1) }
        depthwise_f32_w8__avx2 { family: DepthwiseF32W8, tile: (1, 1) }
        conv_transpose2d_f32__avx2_1x32 { family: ConvTranspose2dF32, tile: (1, 32) }
        dense_f32__avx2_4x16 { family: DenseF32, tile: (4, 16) }
        dense_f32_f16__avx2_4x16 { family: DenseF32F16, tile: (4, 16) }
        dense_f32_w8__avx2_4x16 { family: DenseF32W8, tile: (4, 16) }
        matmul_f32__avx2_4x16 { family: MatmulF32, tile: (4, 16) }
        max_pool_f32__avx2 { family: MaxPoolF32, tile: (1, 1) }
        avg_pool_f32__avx2_1x8 { family: AvgPoolF32, tile: (1, 8) }
        unary_f32__avx2 { family: UnaryF32, tile: (1, 1) }
        binary_f32__avx2 { family: BinaryF32, tile: (1, 1) }
        softmax_f32__avx2 { family: SoftmaxF32, tile: (1, 1) }
        reduce_f32__avx2_1x8 { family: ReduceF32, tile: (1, 8) }
        layer_norm_f32__avx2_1x8 { family: LayerNormF32, tile: (1, 8) }
        conv2d_i16_w8__avx2_4x8 { family: Conv2dI16W8, tile: (4, 8) }
        depthwise_i16_w8__avx2_1x8 { family: DepthwiseI16W8, tile: (1, 8) }
        dense_i16_w8__avx2_4x8 { family: DenseI16W8, tile: (4, 8) }
        add_i16__avx2 { family: AddI16, tile: (1, 1) }
        quantize_i16__avx2 { family: QuantizeI16, tile: (1, 1) }
        dequantize_i16__avx2 { family: DequantizeI16, tile: (1, 1) }
    }
    Dsp, cfg(selvedge_dsp) {
        conv2d_w8__dsp_4x8 { family: Conv2dW8, tile: (4, 8) }
        depthwise_w8__dsp_4x1 { family: DepthwiseW8, tile: (4, 1) }
        dense_w8__dsp_1x4 { family: DenseW8, tile: (1, 4) }
        conv2d_w4__dsp_4x8 { family: Conv2dW4, tile: (4, 8) }
        conv2d_w3__dsp_4x8 { family: Conv2dW3, tile: (4, 8) }
        conv2d_w2__dsp_4x8 { family: Conv2dW2, tile: (4, 8) }
        conv2d_t2__dsp_4x8 { family: Conv2dT2, tile: (4, 8) }
        dense_w4__dsp_4x8 { family: DenseW4, tile: (4, 8) }
        dense_w3__dsp_4x8 { family: DenseW3, tile: (4, 8) }
        dense_w2__dsp_4x8 { family: DenseW2, tile: (4, 8) }
        dense_t2__dsp_4x8 { family: DenseT2, tile: (4, 8) }
        add_i8__dsp { family: AddI8, tile: (1, 1) }
        conv2d_i16_w8__dsp_1x4 { family: Conv2dI16W8, tile: (1, 4) }
        dense_i16_w8__dsp_1x4 { family: DenseI16W8, tile: (1, 4) }
    }
    Helium, cfg(selvedge_helium) {
        conv2d_w8__helium_4x8 { family: Conv2dW8, tile: (4, 8) }
        depthwise_w8__helium_2x8 { family: DepthwiseW8, tile: (2, 8) }
        dense_w8__helium_4x8 { family: DenseW8, tile: (4, 8) }
        conv2d_w4__helium_4x8 { family: Conv2dW4, tile: (4, 8) }
        conv2d_w3__helium_4x8 { family: Conv2dW3, tile: (4, 8) }
        conv2d_w2__helium_4x8 { family: Conv2dW2, tile: (4, 8) }
        conv2d_t2__helium_4x8 { family: Conv2dT2, tile: (4, 8) }
        dense_w4__helium_4x8 { family: DenseW4, tile: (4, 8) }
        dense_w3__helium_4x8 { family: DenseW3, tile: (4, 8) }
        dense_w2__helium_4x8 { family: DenseW2, tile: (4, 8) }
        dense_t2__helium_4x8 { family: DenseT2, tile: (4, 8) }
        max_pool_i8__helium_1x16 { family: MaxPoolI8, tile: (1, 16) }
        avg_pool_i8__helium_1x16 { family: AvgPoolI8, tile: (1, 16) }
        add_i8__helium { family: AddI8, tile: (1, 1) }
        rescale_i8__helium { family: RescaleI8, tile: (1, 1) }
        table_i8__helium { family: TableI8, tile: (1, 1) }
    }
    Neon, cfg(selvedge_neon) {
        conv2d_w8__neon_4x8 { family: Conv2dW8, tile: (4, 8) }
        depthwise_w8__neon_4x8 { family: DepthwiseW8, tile: (4, 8) }
        dense_w8__neon_4x8 { family: DenseW8, tile: (4, 8) }
        conv2d_w4__neon_4x8 { family: Conv2dW4, tile: (4, 8) }
        conv2d_w3__neon_4x8 { family: Conv2dW3, tile: (4, 8) }
        conv2d_w2__neon_4x8 { family: Conv2dW2, tile: (4, 8) }
        conv2d_t2__neon_4x8 { family: Conv2dT2, tile: (4, 8) }
        depthwise_w4__neon_4x8 { family: DepthwiseW4, tile: (4, 8) }
        depthwise_w3__neon_4x8 { family: DepthwiseW3, tile: (4, 8) }
        depthwise_w2__neon_4x8 { family: DepthwiseW2, tile: (4, 8) }
        depthwise_t2__neon_4x8 { family: DepthwiseT2, tile: (4, 8) }
        dense_w4__neon_4x8 { family: DenseW4, tile: (4, 8) }
        dense_w3__neon_4x8 { family: DenseW3, tile: (4, 8) }
        dense_w2__neon_4x8 { family: DenseW2, tile: (4, 8) }
        dense_t2__neon_4x8 { family: DenseT2, tile: (4, 8) }
        max_pool_i8__neon { family: MaxPoolI8, tile: (1, 1) }
        avg_pool_i8__neon_1x32 { family: AvgPoolI8, tile: (1, 32) }
        add_i8__neon_1x8 { family: AddI8, tile: (1, 8) }
        mul_i8__neon_1x8 { family: MulI8, tile: (1, 8) }
        rescale_i8__neon_1x8 { family: RescaleI8, tile: (1, 8) }
        table_i8__neon_1x16 { family: TableI8, tile: (1, 16) }
        softmax_i8__neon { family: SoftmaxI8, tile: (1, 1) }
        quantize_i8__neon { family: QuantizeI8, tile: (1, 1) }
        dequantize_i8__neon { family: DequantizeI8, tile: (1, 1) }
        dynamic_quantize_i8__neon { family: DynamicQuantizeI8, tile: (1, 1) }
        matmul_i8__neon_4x8 { family: MatmulI8, tile: (4, 8) }
        conv2d_f32__neon_4x16 { family: Conv2dF32, tile: (4, 16) }
        conv2d_f32_f16__neon_4x16 { family: Conv2dF32F16, tile: (4, 16) }
        conv2d_f32_w8__neon_4x16 { family: Conv2dF32W8, tile: (4, 16) }
        depthwise_f32__neon { family: DepthwiseF32, tile: (1, 1) }
        depthwise_f32_f16__neon { family: DepthwiseF32F16, tile: (1, 1) }
        depthwise_f32_w8__neon { family: DepthwiseF32W8, tile: (1, 1) }
        conv_transpose2d_f32__neon_1x32 { family: ConvTranspose2dF32, tile: (1, 32) }
        dense_f32__neon_4x16 { family: DenseF32, tile: (4, 16) }
        dense_f32_f16__neon_4x16 { family: DenseF32F16, tile: (4, 16) }
        dense_f32_w8__neon_4x16 { family: DenseF32W8, tile: (4, 16) }
        matmul_f32__neon_4x16 { family: MatmulF32, tile: (4, 16) }
        max_pool_f32__neon { family: MaxPoolF32, tile: (1, 1) }
        avg_pool_f32__neon_1x8 { family: AvgPoolF32, tile: (1, 8) }
        unary_f32__neon { family: UnaryF32, tile: (1, 1) }
        binary_f32__neon { family: BinaryF32, tile: (1, 1) }
        softmax_f32__neon { family: SoftmaxF32, tile: (1, 1) }
        reduce_f32__neon_1x8 { family: ReduceF32, tile: (1, 8) }
        layer_norm_f32__neon_1x8 { family: LayerNormF32, tile: (1, 8) }
    }
    NeonDotprod, cfg(selvedge_neon) {
        conv2d_w8__neon_dotprod_8x8 { family: Conv2dW8, tile: (8, 8) }
        depthwise_w8__neon_dotprod_4x8 { family: DepthwiseW8, tile: (4, 8) }
        dense_w8__neon_dotprod_8x8 { family: DenseW8, tile: (8, 8) }
        conv2d_w4__neon_dotprod_8x8 { family: Conv2dW4, tile: (8, 8) }
        conv2d_w3__neon_dotprod_8x8 { family: Conv2dW3, tile: (8, 8) }
        conv2d_w2__neon_dotprod_8x8 { family: Conv2dW2, tile: (8, 8) }
        conv2d_t2__neon_dotprod_8x8 { family: Conv2dT2, tile: (8, 8) }
        depthwise_w4__neon_dotprod_4x8 { family: DepthwiseW4, tile: (4, 8) }
        depthwise_w3__neon_dotprod_4x8 { family: DepthwiseW3, tile: (4, 8) }
        depthwise_w2__neon_dotprod_4x8 { family: DepthwiseW2, tile: (4, 8) }
        depthwise_t2__neon_dotprod_4x8 { family: DepthwiseT2, tile: (4, 8) }
        dense_w4__neon_dotprod_8x8 { family: DenseW4, tile: (8, 8) }
        dense_w3__neon_dotprod_8x8 { family: DenseW3, tile: (8, 8) }
        dense_w2__neon_dotprod_8x8 { family: DenseW2, tile: (8, 8) }
        dense_t2__neon_dotprod_8x8 { family: DenseT2, tile: (8, 8) }
        max_pool_i8__neon_dotprod { family: MaxPoolI8, tile: (1, 1) }
        avg_pool_i8__neon_dotprod_1x32 { family: AvgPoolI8, tile: (1, 32) }
        add_i8__neon_dotprod_1x8 { family: AddI8, tile: (1, 8) }
        mul_i8__neon_dotprod_1x8 { family: MulI8, tile: (1, 8) }
        rescale_i8__neon_dotprod_1x8 { family: RescaleI8, tile: (1, 8) }
        table_i8__neon_dotprod_1x16 { family: TableI8, tile: (1, 16) }
        softmax_i8__neon_dotprod { family: SoftmaxI8, tile: (1, 1) }
        quantize_i8__neon_dotprod { family: QuantizeI8, tile: (1, 1) }
        dequantize_i8__neon_dotprod { family: DequantizeI8, tile: (1, 1) }
        dynamic_quantize_i8__neon_dotprod { family: DynamicQuantizeI8, tile: (1, 1) }
        matmul_i8__neon_dotprod_4x8 { family: MatmulI8, tile: (4, 8) }
        conv2d_f32__neon_dotprod_4x16 { family: Conv2dF32, tile: (4, 16) }
        conv2d_f32_f16__neon_dotprod_4x16 { family: Conv2dF32F16, tile: (4, 16) }
        conv2d_f32_w8__neon_dotprod_4x16 { family: Conv2dF32W8, tile: (4, 16) }
        depthwise_f32__neon_dotprod { family: DepthwiseF32, tile: (1, 1) }
        depthwise_f32_f16__neon_dotprod { family: DepthwiseF32F16, tile: (1, 1) }
        depthwise_f32_w8__neon_dotprod { family: DepthwiseF32W8, tile: (1, 1) }
        conv_transpose2d_f32__neon_dotprod_1x32 { family: ConvTranspose2dF32, tile: (1, 32) }
        dense_f32__neon_dotprod_4x16 { family: DenseF32, tile: (4, 16) }
        dense_f32_f16__neon_dotprod_4x16 { family: DenseF32F16, tile: (4, 16) }
        dense_f32_w8__neon_dotprod_4x16 { family: DenseF32W8, tile: (4, 16) }
        matmul_f32__neon_dotprod_4x16 { family: MatmulF32, tile: (4, 16) }
        max_pool_f32__neon_dotprod { family: MaxPoolF32, tile: (1, 1) }
        avg_pool_f32__neon_dotprod_1x8 { family: AvgPoolF32, tile: (1, 8) }
        unary_f32__neon_dotprod { family: UnaryF32, tile: (1, 1) }
        binary_f32__neon_dotprod { family: BinaryF32, tile: (1, 1) }
        softmax_f32__neon_dotprod { family: SoftmaxF32, tile: (1, 1) }
        reduce_f32__neon_dotprod_1x8 { family: ReduceF32, tile: (1, 8) }
        layer_norm_f32__neon_dotprod_1x8 { family: LayerNormF32, tile: (1, 8) }
    }
    NeonI8mm, cfg(selvedge_neon) {
        conv2d_w8__neon_i8mm_8x8 { family: Conv2dW8, tile: (8, 8) }
        depthwise_w8__neon_i8mm_4x8 { family: DepthwiseW8, tile: (4, 8) }
        dense_w8__neon_i8mm_8x8 { family: DenseW8, tile: (8, 8) }
        conv2d_w4__neon_i8mm_8x8 { family: Conv2dW4, tile: (8, 8) }
        conv2d_w3__neon_i8mm_8x8 { family: Conv2dW3, tile: (8, 8) }
        conv2d_w2__neon_i8mm_8x8 { family: Conv2dW2, tile: (8, 8) }
        conv2d_t2__neon_i8mm_8x8 { family: Conv2dT2, tile: (8, 8) }
        depthwise_w4__neon_i8mm_4x8 { family: DepthwiseW4, tile: (4, 8) }
        depthwise_w3__neon_i8mm_4x8 { family: DepthwiseW3, tile: (4, 8) }
        depthwise_w2__neon_i8mm_4x8 { family: DepthwiseW2, tile: (4, 8) }
        depthwise_t2__neon_i8mm_4x8 { family: DepthwiseT2, tile: (4, 8) }
        dense_w4__neon_i8mm_8x8 { family: DenseW4, tile: (8, 8) }
        dense_w3__neon_i8mm_8x8 { family: DenseW3, tile: (8, 8) }
        dense_w2__neon_i8mm_8x8 { family: DenseW2, tile: (8, 8) }
        dense_t2__neon_i8mm_8x8 { family: DenseT2, tile: (8, 8) }
        max_pool_i8__neon_i8mm { family: MaxPoolI8, tile: (1, 1) }
        avg_pool_i8__neon_i8mm_1x32 { family: AvgPoolI8, tile: (1, 32) }
        add_i8__neon_i8mm_1x8 { family: AddI8, tile: (1, 8) }
        mul_i8__neon_i8mm_1x8 { family: MulI8, tile: (1, 8) }
        rescale_i8__neon_i8mm_1x8 { family: RescaleI8, tile: (1, 8) }
        table_i8__neon_i8mm_1x16 { family: TableI8, tile: (1, 16) }
        softmax_i8__neon_i8mm { family: SoftmaxI8, tile: (1, 1) }
        quantize_i8__neon_i8mm { family: QuantizeI8, tile: (1, 1) }
        dequantize_i8__neon_i8mm { family: DequantizeI8, tile: (1, 1) }
        dynamic_quantize_i8__neon_i8mm { family: DynamicQuantizeI8, tile: (1, 1) }
        matmul_i8__neon_i8mm_8x8 { family: MatmulI8, tile: (8, 8) }
        conv2d_f32__neon_i8mm_4x16 { family: Conv2dF32, tile: (4, 16) }
        conv2d_f32_f16__neon_i8mm_4x16 { family: Conv2dF32F16, tile: (4, 16) }
        conv2d_f32_w8__neon_i8mm_4x16 { family: Conv2dF32W8, tile: (4, 16) }
        depthwise_f32__neon_i8mm { family: DepthwiseF32, tile: (1, 1) }
        depthwise_f32_f16__neon_i8mm { family: DepthwiseF32F16, tile: (1, 1) }
        depthwise_f32_w8__neon_i8mm { family: DepthwiseF32W8, tile: (1, 1) }
        conv_transpose2d_f32__neon_i8mm_1x32 { family: ConvTranspose2dF32, tile: (1, 32) }
        dense_f32__neon_i8mm_4x16 { family: DenseF32, tile: (4, 16) }
        dense_f32_f16__neon_i8mm_4x16 { family: DenseF32F16, tile: (4, 16) }
        dense_f32_w8__neon_i8mm_4x16 { family: DenseF32W8, tile: (4, 16) }
        matmul_f32__neon_i8mm_4x16 { family: MatmulF32, tile: (4, 16) }
        max_pool_f32__neon_i8mm { family: MaxPoolF32, tile: (1, 1) }
        avg_pool_f32__neon_i8mm_1x8 { family: AvgPoolF32, tile: (1, 8) }
        unary_f32__neon_i8mm { family: UnaryF32, tile: (1, 1) }
        binary_f32__neon_i8mm { family: BinaryF32, tile: (1, 1) }
        softmax_f32__neon_i8mm { family: SoftmaxF32, tile: (1, 1) }
        reduce_f32__neon_i8mm_1x8 { family: ReduceF32, tile: (1, 8) }
        layer_norm_f32__neon_i8mm_1x8 { family: LayerNormF32, tile: (1, 8) }
    }
}
