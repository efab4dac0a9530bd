//! Kernels for Arm cores with the DSP extension: Cortex-M4, M7, M33, and Armv7-A.
//!
//! The build decides ([`crate`]'s build script): there is nothing to ask the CPU for.

/// `naked_asm!` of code for the DSP extension. Functions without a body are assembled for the
/// target's architecture, whatever its core; that of Armv8-M lacks the extension.
#[cfg(selvedge_armv8m)]
macro_rules! dsp_asm {
    ($($arg:tt)*) => { core::arch::naked_asm!(".cpu cortex-m33", $($arg)*) };
}
#[cfg(not(selvedge_armv8m))]
macro_rules! dsp_asm {
    ($($arg:tt)*) => { core::arch::naked_asm!($($arg)*) };
}

mod asm;
mod conv2d_w8;
mod dense_w8;
mod depthwise_w8;

mod elementwise_i8;
mod epilogue;
mod gather;
mod layers_i16;
mod low_bit;
mod low_lines;
mod low_row;
mod low_tile;
#[cfg(selvedge_thumb2)]
mod low_w3;
mod panels;
mod patch;
mod plane;
mod row;

use crate::args::*;
use crate::code::Code;
use crate::isa::IsaI8;
use crate::portable::delegate::{portable_f32, portable_i8};
use crate::select::IsaKind;

/// The instruction set of a build for cores with the DSP extension.
#[derive(Clone, Copy, Debug)]
pub struct Dsp;

impl IsaI8 for Dsp {
    const KIND: IsaKind = IsaKind::Dsp;

    fn conv2d_w8(
        self,
        x: &[i8],
        w: &[i8],
        shape: &ConvShape,
        pad_value: i8,
        mut output: Output<'_>,
        scratch: &mut [u8],
    ) {
        conv2d_w8::conv2d(x, w, shape, pad_value, &mut output, scratch);
    }

    fn dense_w8(self, x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, mut output: Output<'_>) {
        dense_w8::dense(x, w, rows, k, n, &mut output);
    }

    fn depthwise_w8(
        self,
        x: &[i8],
        w: &[i8],
        shape: &ConvShape,
        pad_value: i8,
        output: Output<'_>,
        _scratch: &mut [u8],
    ) {
        depthwise_w8::depthwise(x, w, shape, pad_value, output);
    }

    fn add_i8(self, a: &[i8], b: &[i8], args: &AddI8, out: &mut [i8]) {
        elementwise_i8::add(a, b, args, out);
    }

    fn add_in_place_i8(self, a: &[i8], args: &AddI8, out: &mut [i8]) {
        elementwise_i8::add_in_place(a, args, out);
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
        low_bit::conv2d::<C>(x, w, shape, pad_value, output, scratch);
    }

    fn dense_low<C: Code>(self, x: &[i8], w: &LowBit<'_>, rows: usize, output: Output<'_>, scratch: &mut [u8]) {
        low_bit::dense::<C>(x, w, rows, output, scratch);
    }

    portable_i8!(max_pool_i8 avg_pool_i8 mul_i8 rescale_i8
        table_i8 table_in_place_i8 softmax_i8 quantize_i8 dequantize_i8 dynamic_quantize_i8);
}

portable_f32!(Dsp);
