//! Kernels for Armv8.1-M cores with Helium (MVE): Cortex-M52, M55, M85.
//!
//! The build decides ([`crate`]'s build script): there is nothing to ask the CPU for. Compilers
//! have no intrinsics for MVE, and vectorize loops at the highest optimization level only; so
//! its instructions are in `asm!` blocks with their registers named. Blocks with many operands
//! load them from a struct; where r6 and r7, which compilers keep for themselves, are needed, a
//! block saves and restores them. Widening loads and narrowing stores take r0 to r7 alone as
//! base, VMLADAVA even registers alone as sum. Blocks that set the predicate (VPR), which they
//! cannot declare, are functions of their own and never inlined: no predicate of the compiler's
//! lives across a call.

mod conv2d_w8;
mod dense_w8;
mod depthwise_w8;
mod dot;
mod elementwise_i8;
mod epilogue;
mod gather;
mod low_bit;
mod low_groups;
mod low_lines;
mod low_loops;
mod low_panels;
mod low_w3;
mod pool_i8;
mod row_i8;
mod taps;
mod tile_i8;
mod tile_loops;

use crate::args::*;
use crate::code::Code;
use crate::isa::IsaI8;
use crate::portable::delegate::{portable_f32, portable_i8};
use crate::select::IsaKind;

/// Product of sizes; where it leaves the address space, a length that no slice has.
fn product<const N: usize>(sizes: [usize; N]) -> usize {
    let product = sizes.into_iter().fold(1, usize::saturating_mul);
    if product > isize::MAX as usize { usize::MAX } else { product }
}

/// The instruction set of a build for cores with Helium.
#[derive(Clone, Copy, Debug)]
pub struct Helium;

impl IsaI8 for Helium {
    const KIND: IsaKind = IsaKind::Helium;

    fn conv2d_w8(self, x: &[i8], w: &[i8], shape: &ConvShape, pad_value: i8, output: Output<'_>, scratch: &mut [u8]) {
        conv2d_w8::conv2d(x, w, shape, pad_value, output, scratch);
    }

    fn depthwise_w8(
        self,
        x: &[i8],
        w: &[i8],
        shape: &ConvShape,
        pad_value: i8,
        output: Output<'_>,
        scratch: &mut [u8],
    ) {
        depthwise_w8::depthwise(x, w, shape, pad_value, output, scratch);
    }

    fn dense_w8(self, x: &[i8], w: &[i8], rows: usize, k: usize, n: usize, output: Output<'_>) {
        dense_w8::dense(x, w, rows, k, n, output);
    }

    fn max_pool_i8(self, x: &[i8], shape: &ConvShape, out: &mut [i8]) {
        pool_i8::max_pool(x, shape, out);
    }

    fn avg_pool_i8(self, x: &[i8], shape: &ConvShape, args: &AverageI8, out: &mut [i8]) {
        pool_i8::avg_pool(x, shape, args, out);
    }

    fn add_i8(self, a: &[i8], b: &[i8], args: &AddI8, out: &mut [i8]) {
        elementwise_i8::add(a, b, args, out);
    }

    fn add_in_place_i8(self, a: &[i8], args: &AddI8, out: &mut [i8]) {
        elementwise_i8::add_in_place(a, args, out);
    }

    fn rescale_i8(self, x: &[i8], m: i32, c: i32, s: u32, out: &mut [i8]) {
        elementwise_i8::rescale(x, m, c, s, out);
    }

    fn table_i8(self, x: &[i8], table: &[i8], out: &mut [i8]) {
        elementwise_i8::table(x, table, out);
    }

    fn table_in_place_i8(self, table: &[i8], out: &mut [i8]) {
        elementwise_i8::table_in_place(table, out);
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

    portable_i8!(mul_i8 softmax_i8 quantize_i8 dequantize_i8 dynamic_quantize_i8);
}

portable_f32!(Helium);

impl crate::isa::IsaI16 for Helium {}
