//! Kernels for AArch64: plain NEON, with `sdot`, with `smmla`. The levels differ in the inner
//! product of int8 layers ([`dot::Dot`], [`low_dot::LowDot`]); all else is one code.
//!
//! What has no kernel of its own here is the portable body: NEON is part of the target.

mod conv2d_w8;
mod dense_w8;
mod depthwise_w8;
mod dot;
mod dotprod;
mod elementwise_i8;
mod epilogue;
mod f32_impl;
mod f32_tile;
mod gather;
mod i8mm;
mod low_codes;
mod low_conv2d;
mod low_dense;
mod low_dot;
mod low_dotprod;
mod low_i8mm;
mod low_panel;
#[cfg(test)]
#[allow(non_snake_case, reason = "targets/aarch64.sh picks tests by `__` and an instruction set")]
mod low_tests;
mod low_tile;
mod mem;
mod rounding;
mod tile;

use self::dot::Dot;
use self::low_dot::LowDot;
use crate::args::*;
use crate::code::Code;
use crate::isa::{IsaI8, IsaI16};
use crate::portable::delegate::portable_i8;
use crate::select::IsaKind;

/// NEON without extensions; every AArch64 CPU that Rust's hard-float targets name has it.
#[derive(Clone, Copy, Debug)]
pub struct Neon(());

/// A value is the proof that the CPU has `sdot`.
#[derive(Clone, Copy, Debug)]
pub struct NeonDotprod(());

/// A value is the proof that the CPU has `sdot` and `smmla`.
#[derive(Clone, Copy, Debug)]
pub struct NeonI8mm(());

impl Neon {
    /// The baseline of the target.
    pub const BASELINE: Self = Self(());

    /// Always there.
    pub fn detect() -> Option<Self> {
        Some(Self::BASELINE)
    }
}

impl NeonDotprod {
    /// Asks the CPU.
    #[cfg(any(feature = "std", test))]
    pub fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("dotprod").then_some(Self(()))
    }

    /// Without `std`: whether the build assumes it.
    #[cfg(not(any(feature = "std", test)))]
    pub fn detect() -> Option<Self> {
        cfg!(target_feature = "dotprod").then_some(Self(()))
    }
}

impl NeonI8mm {
    /// Asks the CPU.
    #[cfg(any(feature = "std", test))]
    pub fn detect() -> Option<Self> {
        let both =
            std::arch::is_aarch64_feature_detected!("dotprod") && std::arch::is_aarch64_feature_detected!("i8mm");
        both.then_some(Self(()))
    }

    /// Without `std`: whether the build assumes both.
    #[cfg(not(any(feature = "std", test)))]
    pub fn detect() -> Option<Self> {
        cfg!(all(target_feature = "dotprod", target_feature = "i8mm")).then_some(Self(()))
    }
}

/// Methods whose bodies are functions compiled for `$features`; those of a layer take the level.
macro_rules! methods {
    ($features:literal $(fn $name:ident($($arg:ident: $ty:ty),*) = $body:path;)*) => {
        $(fn $name(self, $($arg: $ty),*) {
            #[target_feature(enable = $features)]
            fn body($($arg: $ty),*) {
                $body($($arg),*)
            }
            // SAFETY: `self` is the proof that the CPU has the features.
            unsafe { body($($arg),*) }
        })*
    };
}

/// The methods in which the levels differ, with `$level` the [`Dot`] of a level.
macro_rules! layers {
    ($features:literal, $level:path) => {
        fn conv2d_w8(
            self,
            x: &[i8],
            w: &[i8],
            shape: &ConvShape,
            pad_value: i8,
            output: Output<'_>,
            scratch: &mut [u8],
        ) {
            #[target_feature(enable = $features)]
            fn body<D: Dot>(d: D, x: &[i8], w: &[i8], s: &ConvShape, pad: i8, output: Output<'_>, scratch: &mut [u8]) {
                conv2d_w8::conv2d(d, x, w, s, pad, output, scratch);
            }
            // SAFETY: `self` is the proof that the CPU has the features.
            unsafe { body($level(self), x, w, shape, pad_value, output, scratch) }
        }

        fn dense_w8(self, x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, output: Output<'_>) {
            #[target_feature(enable = $features)]
            fn body<D: Dot>(d: D, x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, output: Output<'_>) {
                dense_w8::dense(d, x, w, rows, k, n, output);
            }
            // SAFETY: `self` is the proof that the CPU has the features.
            unsafe { body($level(self), x, w, rows, k, n, output) }
        }

        fn conv2d_low<C: Code>(
            self,
            x: &[i8],
            w: &LowBit<'_>,
            shape: &ConvShape,
            pad_value: i8,
            output: Output<'_>,
            scratch: &mut [u8],
        ) {
            #[target_feature(enable = $features)]
            fn body<L: LowDot, C: Code>(
                l: L,
                x: &[i8],
                w: &LowBit<'_>,
                s: &ConvShape,
                pad: i8,
                output: Output<'_>,
                scratch: &mut [u8],
            ) {
                low_conv2d::conv2d::<L, C>(l, x, w, s, pad, output, scratch);
            }
            // SAFETY: `self` is the proof that the CPU has the features.
            unsafe { body::<_, C>($level(self), x, w, shape, pad_value, output, scratch) }
        }

        fn dense_low<C: Code>(self, x: &[i8], w: &LowBit<'_>, rows: usize, output: Output<'_>, scratch: &mut [u8]) {
            #[target_feature(enable = $features)]
            fn body<L: LowDot, C: Code>(
                l: L,
                x: &[i8],
                w: &LowBit<'_>,
                rows: usize,
                output: Output<'_>,
                scratch: &mut [u8],
            ) {
                low_dense::dense::<L, C>(l, x, w, rows, output, scratch);
            }
            // SAFETY: `self` is the proof that the CPU has the features.
            unsafe { body::<_, C>($level(self), x, w, rows, output, scratch) }
        }
    };
}

#[rustfmt::skip]
impl IsaI8 for Neon {
    const KIND: IsaKind = IsaKind::Neon;

    layers!("neon", dot::Products::from);
    methods! { "neon"
        fn depthwise_w8(x: &[i8], w: &[i8], shape: &ConvShape, pad_value: i8, output: Output<'_>, scratch: &mut [u8])
            = depthwise_w8::depthwise;
        fn add_i8(a: &[i8], b: &[i8], args: &AddI8, out: &mut [i8]) = elementwise_i8::add;
        fn add_in_place_i8(a: &[i8], args: &AddI8, out: &mut [i8]) = elementwise_i8::add_in_place;
        fn mul_i8(a: &[i8], b: &[i8], args: &MulI8, out: &mut [i8]) = elementwise_i8::mul;
        fn rescale_i8(x: &[i8], m: i32, c: i32, s: u32, out: &mut [i8]) = elementwise_i8::rescale;
        fn table_i8(x: &[i8], table: &[i8], out: &mut [i8]) = elementwise_i8::table;
        fn table_in_place_i8(table: &[i8], out: &mut [i8]) = elementwise_i8::table_in_place;
    }
    portable_i8!(max_pool_i8 avg_pool_i8 softmax_i8 quantize_i8 dequantize_i8 dynamic_quantize_i8);
}

/// Methods that are those of [`Neon`].
macro_rules! as_neon {
    ($(fn $name:ident($($arg:ident: $ty:ty),*);)*) => {
        $(fn $name(self, $($arg: $ty),*) {
            Neon::BASELINE.$name($($arg),*);
        })*
    };
}

macro_rules! extensions {
    ($($isa:ident: $features:literal)*) => {$(
        #[rustfmt::skip]
        impl IsaI8 for $isa {
            const KIND: IsaKind = IsaKind::$isa;

            layers!($features, core::convert::identity);
            as_neon! {
                fn depthwise_w8(x: &[i8], w: &[i8], shape: &ConvShape, pad_value: i8, output: Output<'_>, scratch: &mut [u8]);
                fn add_i8(a: &[i8], b: &[i8], args: &AddI8, out: &mut [i8]);
                fn add_in_place_i8(a: &[i8], args: &AddI8, out: &mut [i8]);
                fn mul_i8(a: &[i8], b: &[i8], args: &MulI8, out: &mut [i8]);
                fn rescale_i8(x: &[i8], m: i32, c: i32, s: u32, out: &mut [i8]);
                fn table_i8(x: &[i8], table: &[i8], out: &mut [i8]);
                fn table_in_place_i8(table: &[i8], out: &mut [i8]);
            }
                    portable_i8!(max_pool_i8 avg_pool_i8 softmax_i8 quantize_i8 dequantize_i8 dynamic_quantize_i8);
        }
    )*};
}

extensions! {
    NeonDotprod: "neon,dotprod"
    NeonI8mm: "neon,dotprod,i8mm"
}

impl IsaI16 for Neon {}
impl IsaI16 for NeonDotprod {}
impl IsaI16 for NeonI8mm {}
