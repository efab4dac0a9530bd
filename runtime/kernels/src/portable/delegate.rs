//! Methods of an instruction set that has no kernel of its own for them: those of [`Portable`](super::Portable).
#![allow(unused_macros, reason = "each build has other instruction sets")]

/// Int8 methods by name: `portable_i8!(max_pool_i8 avg_pool_i8)`, inside of an `impl IsaI8`.
macro_rules! portable_i8 {
    ($($name:ident)*) => { $($crate::portable::delegate::one_i8!($name);)* };
}

/// The layers with weights of fewer than 8 bits: `portable_low!(conv2d_low dense_low)`.
macro_rules! portable_low {
    ($($name:ident)*) => { $($crate::portable::delegate::one_low!($name);)* };
}

/// The methods `portable_low!` knows.
macro_rules! one_low {
    (conv2d_low) => {
        #[inline]
        fn conv2d_low<C: $crate::Code>(
            self,
            x: &[i8],
            w: &$crate::LowBit<'_>,
            shape: &$crate::ConvShape,
            pad_value: i8,
            output: $crate::Output<'_>,
            scratch: &mut [u8],
        ) {
            $crate::Portable.conv2d_low::<C>(x, w, shape, pad_value, output, scratch);
        }
    };
    (dense_low) => {
        #[inline]
        fn dense_low<C: $crate::Code>(
            self,
            x: &[i8],
            w: &$crate::LowBit<'_>,
            rows: usize,
            output: $crate::Output<'_>,
            scratch: &mut [u8],
        ) {
            $crate::Portable.dense_low::<C>(x, w, rows, output, scratch);
        }
    };
}

/// Every f32 method, as an `impl IsaF32`.
macro_rules! portable_f32 {
    ($isa:ty) => {
        #[rustfmt::skip]
        impl $crate::isa::IsaF32 for $isa {
            $crate::portable::delegate::forward! {
                fn conv2d_f32<E>(x: &[f32], shape: &$crate::ConvShape, layer: &$crate::LayerF32<'_, E>, out: &mut [f32], scratch: &mut [u8]);
                fn depthwise_f32<E>(x: &[f32], shape: &$crate::ConvShape, layer: &$crate::LayerF32<'_, E>, out: &mut [f32], scratch: &mut [u8]);
                fn conv_transpose2d_f32(x: &[f32], shape: &$crate::ConvShape, layer: &$crate::LayerF32<'_>, out: &mut [f32]);
                fn dense_f32<E>(x: &[f32], rows: usize, k: usize, n: usize, layer: &$crate::LayerF32<'_, E>, out: &mut [f32]);
                fn matmul_f32(a: &[f32], b: &[f32], m: usize, k: usize, n: usize, out: &mut [f32]);
                fn max_pool_f32(x: &[f32], shape: &$crate::ConvShape, out: &mut [f32]);
                fn avg_pool_f32(x: &[f32], shape: &$crate::ConvShape, pad_end: [usize; 2], count_pad: bool, out: &mut [f32]);
                fn unary_f32(kind: u32, alpha: f32, beta: f32, x: &[f32], out: &mut [f32]);
                fn unary_in_place_f32(kind: u32, alpha: f32, beta: f32, out: &mut [f32]);
                fn binary_f32(kind: u32, a: &[f32], b: &[f32], lo: f32, hi: f32, out: &mut [f32]);
                fn softmax_f32(x: &[f32], row: usize, out: &mut [f32]);
                fn reduce_f32(kind: u32, x: &[f32], outer: usize, n: usize, inner: usize, out: &mut [f32]);
                fn layer_norm_f32(x: &[f32], norm: &$crate::LayerNormF32<'_>, out: &mut [f32]);
            }
        }
    };
}

/// The int8 methods `portable_i8!` knows.
#[rustfmt::skip]
macro_rules! one_i8 {
    (conv2d_w8) => { $crate::portable::delegate::forward! {
        fn conv2d_w8(x: &[i8], w: &[i8], shape: &$crate::ConvShape, pad_value: i8, output: $crate::Output<'_>, scratch: &mut [u8]);
    } };
    (depthwise_w8) => { $crate::portable::delegate::forward! {
        fn depthwise_w8(x: &[i8], w: &[i8], shape: &$crate::ConvShape, pad_value: i8, output: $crate::Output<'_>, scratch: &mut [u8]);
    } };
    (dense_w8) => { $crate::portable::delegate::forward! {
        fn dense_w8(x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, output: $crate::Output<'_>);
    } };
    (max_pool_i8) => { $crate::portable::delegate::forward! {
        fn max_pool_i8(x: &[i8], shape: &$crate::ConvShape, out: &mut [i8]);
    } };
    (avg_pool_i8) => { $crate::portable::delegate::forward! {
        fn avg_pool_i8(x: &[i8], shape: &$crate::ConvShape, args: &$crate::AverageI8, out: &mut [i8]);
    } };
    (add_i8) => { $crate::portable::delegate::forward! {
        fn add_i8(a: &[i8], b: &[i8], args: &$crate::AddI8, out: &mut [i8]);
    } };
    (add_in_place_i8) => { $crate::portable::delegate::forward! {
        fn add_in_place_i8(a: &[i8], args: &$crate::AddI8, out: &mut [i8]);
    } };
    (mul_i8) => { $crate::portable::delegate::forward! {
        fn mul_i8(a: &[i8], b: &[i8], args: &$crate::MulI8, out: &mut [i8]);
    } };
    (rescale_i8) => { $crate::portable::delegate::forward! {
        fn rescale_i8(x: &[i8], m: i32, c: i32, s: u32, out: &mut [i8]);
    } };
    (table_i8) => { $crate::portable::delegate::forward! {
        fn table_i8(x: &[i8], table: &[i8], out: &mut [i8]);
    } };
    (table_in_place_i8) => { $crate::portable::delegate::forward! {
        fn table_in_place_i8(table: &[i8], out: &mut [i8]);
    } };
    (softmax_i8) => { $crate::portable::delegate::forward! {
        fn softmax_i8(x: &[i8], row: usize, args: &$crate::SoftmaxI8<'_>, out: &mut [i8]);
    } };
    (quantize_i8) => { $crate::portable::delegate::forward! {
        fn quantize_i8(x: &[f32], scale: f32, zero_point: i32, out: &mut [i8]) -> bool;
    } };
    (dequantize_i8) => { $crate::portable::delegate::forward! {
        fn dequantize_i8(x: &[i8], scale: f32, zero_point: i32, out: &mut [f32]);
    } };
    (dynamic_quantize_i8) => { $crate::portable::delegate::forward! {
        fn dynamic_quantize_i8(x: &[f32], row: usize, out: &mut [i8], scales: &mut [f32]) -> bool;
    } };
}

macro_rules! forward {
    ($(fn $name:ident$(<$element:ident>)?($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)*) => {
        $(#[inline]
        fn $name$(<$element: $crate::Element>)?(self, $($arg: $ty),*) $(-> $ret)? {
            $crate::portable::Portable.$name($($arg),*)
        })*
    };
}

#[allow(unused_imports, reason = "each build has other instruction sets")]
pub(crate) use {forward, one_i8, one_low, portable_f32, portable_i8, portable_low};
