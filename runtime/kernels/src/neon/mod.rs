//! Kernels for AArch64: plain NEON, with `sdot`, with `smmla`.

use crate::isa::IsaI8;
use crate::portable::delegate::{portable_f32, portable_i8};
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

macro_rules! levels {
    ($($isa:ident)*) => {$(
        impl IsaI8 for $isa {
            const KIND: IsaKind = IsaKind::$isa;

            portable_i8!(conv2d_w8 depthwise_w8 dense_w8 max_pool_i8 avg_pool_i8 add_i8 add_in_place_i8 mul_i8
                rescale_i8 table_i8 table_in_place_i8 softmax_i8 quantize_i8 dequantize_i8 dynamic_quantize_i8);
        }

        portable_f32!($isa);
    )*};
}

levels!(Neon NeonDotprod NeonI8mm);
