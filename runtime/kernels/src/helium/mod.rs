//! Kernels for Armv8.1-M cores with Helium (MVE): Cortex-M52, M55, M85.
//!
//! The build decides ([`crate`]'s build script): there is nothing to ask the CPU for.

use crate::isa::IsaI8;
use crate::portable::delegate::{portable_f32, portable_i8};
use crate::select::IsaKind;

/// The instruction set of a build for cores with Helium.
#[derive(Clone, Copy, Debug)]
pub struct Helium;

impl IsaI8 for Helium {
    const KIND: IsaKind = IsaKind::Helium;

    portable_i8!(conv2d_w8 depthwise_w8 dense_w8 max_pool_i8 avg_pool_i8 add_i8 add_in_place_i8 mul_i8 rescale_i8
        table_i8 table_in_place_i8 softmax_i8 quantize_i8 dequantize_i8 dynamic_quantize_i8);
}

portable_f32!(Helium);
