//! Kernels for x86-64 CPUs with AVX2.
//!
//! What has no kernel of its own here is the portable body, compiled again for AVX2.

mod conv2d_w8;
mod dense_w8;
mod depthwise_w8;
mod dot;
mod elementwise_i8;
mod epilogue;
mod f32_impl;
mod f32_tile;
mod gather;
mod layers_i16;
mod low_layer;
mod low_plan;
mod low_tile;
mod mem;
mod sums;

use crate::args::*;
use crate::code::Code;
use crate::isa::IsaI8;
use crate::portable;
use crate::select::IsaKind;

/// A value is the proof that the CPU has AVX2, and F16C, which every CPU with AVX2 has.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// Asks the CPU.
    #[cfg(any(feature = "std", test))]
    pub fn detect() -> Option<Self> {
        let all = std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("f16c");
        all.then_some(Self(()))
    }

    /// Without `std`: whether the build assumes both.
    #[cfg(not(any(feature = "std", test)))]
    pub fn detect() -> Option<Self> {
        cfg!(all(target_feature = "avx2", target_feature = "f16c")).then_some(Self(()))
    }
}

/// Methods whose bodies are functions compiled for AVX2.
macro_rules! methods {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? = $body:path;)*) => {
        $(fn $name(self, $($arg: $ty),*) $(-> $ret)? {
            #[target_feature(enable = "avx2")]
            fn body($($arg: $ty),*) $(-> $ret)? {
                $body($($arg),*)
            }
            // SAFETY: `self` is the proof that the CPU has AVX2.
            unsafe { body($($arg),*) }
        })*
    };
}

#[rustfmt::skip]
impl IsaI8 for Avx2 {
    const KIND: IsaKind = IsaKind::Avx2;

    fn conv2d_low<C: Code>(
        self,
        x: &[i8],
        w: &LowBit<'_>,
        shape: &ConvShape,
        pad_value: i8,
        output: Output<'_>,
        scratch: &mut [u8],
    ) {
        // SAFETY: `self` is the proof that the CPU has AVX2.
        unsafe { low_layer::conv2d::<C>(x, w, shape, pad_value, output, scratch) }
    }

    fn dense_low<C: Code>(self, x: &[i8], w: &LowBit<'_>, rows: usize, output: Output<'_>, scratch: &mut [u8]) {
        // SAFETY: `self` is the proof that the CPU has AVX2.
        unsafe { low_layer::dense::<C>(x, w, rows, output, scratch) }
    }

    methods! {
        fn conv2d_w8(x: &[i8], w: &[i8], shape: &ConvShape, pad_value: i8, output: Output<'_>, scratch: &mut [u8])
            = conv2d_w8::conv2d;
        fn depthwise_w8(x: &[i8], w: &[i8], shape: &ConvShape, pad_value: i8, output: Output<'_>, scratch: &mut [u8])
            = depthwise_w8::depthwise;
        fn dense_w8(x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, output: Output<'_>)
            = dense_w8::dense;
        fn add_branch(sums: &mut [i32], more: &[i32], shift: i32)
            = portable::epilogue::add_branch;
        fn store_sums(sums: &[i32], rows: usize, n: usize, output: Output<'_>)
            = sums::store_sums;
        fn max_pool_i8(x: &[i8], shape: &ConvShape, out: &mut [i8])
            = portable::pool_i8::max_pool;
        fn avg_pool_i8(x: &[i8], shape: &ConvShape, args: &AverageI8, out: &mut [i8])
            = portable::pool_i8::avg_pool;
        fn add_i8(a: &[i8], b: &[i8], args: &AddI8, out: &mut [i8])
            = portable::elementwise_i8::add;
        fn add_in_place_i8(a: &[i8], args: &AddI8, out: &mut [i8])
            = portable::elementwise_i8::add_in_place;
        fn mul_i8(a: &[i8], b: &[i8], args: &MulI8, out: &mut [i8])
            = elementwise_i8::mul;
        fn rescale_i8(x: &[i8], m: i32, c: i32, s: u32, out: &mut [i8])
            = portable::elementwise_i8::rescale;
        fn table_i8(x: &[i8], table: &[i8], out: &mut [i8])
            = portable::elementwise_i8::table;
        fn table_in_place_i8(table: &[i8], out: &mut [i8])
            = portable::elementwise_i8::table_in_place;
        fn softmax_i8(x: &[i8], row: usize, args: &SoftmaxI8<'_>, out: &mut [i8])
            = portable::softmax_i8::softmax;
        fn quantize_i8(x: &[f32], scale: f32, zero_point: i32, out: &mut [i8]) -> bool
            = portable::quantize_i8::quantize;
        fn dequantize_i8(x: &[i8], scale: f32, zero_point: i32, out: &mut [f32])
            = portable::quantize_i8::dequantize;
        fn dynamic_quantize_i8(x: &[f32], row: usize, out: &mut [i8], scales: &mut [f32]) -> bool
            = portable::quantize_i8::dynamic_quantize;
    }
}
