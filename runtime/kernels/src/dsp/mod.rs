//! Kernels for Arm cores with the DSP extension: Cortex-M4, M7, M33, and Armv7-A.
//!
//! The build decides ([`crate`]'s build script): there is nothing to ask the CPU for.

use crate::isa::IsaI8;
use crate::portable::delegate::{portable_f32, portable_i8};
use crate::select::IsaKind;

/// The instruction set of a build for cores with the DSP extension.
#[derive(Clone, Copy, Debug)]
pub struct Dsp;

impl IsaI8 for Dsp {
    const KIND: IsaKind = IsaKind::Dsp;

    portable_i8!(conv2d_w8 depthwise_w8 dense_w8 max_pool_i8 avg_pool_i8 add_i8 add_in_place_i8 mul_i8 rescale_i8
        table_i8 table_in_place_i8 softmax_i8 quantize_i8 dequantize_i8 dynamic_quantize_i8);
}

portable_f32!(Dsp);
