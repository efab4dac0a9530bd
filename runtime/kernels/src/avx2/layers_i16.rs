//! Layers with int16 activations: the portable loops around the inner product of W8 panels, which takes int16 rows.

use zerocopy::IntoBytes;

use super::mem::store_i32;
use super::{Avx2, dot};
use crate::args::*;
use crate::isa::IsaI16;
use crate::pack::NR;
use crate::portable::layers_i16::{self, DotI16};

impl DotI16 for Avx2 {
    #[inline(always)]
    fn block<const R: usize>(self, panel: &[i8], channels: usize, rows: [&[i16]; R]) -> [[i32; NR]; R] {
        // SAFETY: `self` is the proof that the CPU has AVX2.
        unsafe { block(panel, channels, rows) }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn block<const R: usize>(panel: &[i8], channels: usize, rows: [&[i16]; R]) -> [[i32; NR]; R] {
    let vectors = dot::dot(panel, channels, rows.map(<[i16]>::as_bytes));
    let mut sums = [[0; NR]; R];
    for (sums, vector) in sums.iter_mut().zip(vectors) {
        store_i32(sums, vector);
    }
    sums
}

/// Methods that are a portable body with AVX2 switched on.
macro_rules! with_avx2 {
    ($(fn $name:ident($this:ident $(, $arg:ident: $ty:ty)*) $(-> $ret:ty)? $body:block)*) => {
        $(fn $name(self $(, $arg: $ty)*) $(-> $ret)? {
            #[target_feature(enable = "avx2")]
            #[allow(unused_variables, reason = "some bodies have no inner product")]
            fn body(isa: Avx2 $(, $arg: $ty)*) $(-> $ret)? {
                let $this = isa;
                $body
            }
            // SAFETY: `self` is the proof that the CPU has AVX2.
            unsafe { body(self $(, $arg)*) }
        })*
    };
}

#[rustfmt::skip]
impl IsaI16 for Avx2 {
    with_avx2! {
        fn conv2d_i16(isa, x: &[i16], w: &[i8], s: &ConvShape, q: &RequantI16<'_>, out: &mut [i16], scratch: &mut [u8]) {
            layers_i16::conv2d_with(isa, x, w, s, q, out, scratch);
        }
        fn depthwise_i16(isa, x: &[i16], w: &[i8], s: &ConvShape, q: &RequantI16<'_>, out: &mut [i16]) {
            layers_i16::depthwise_with(x, w, s, q, out);
        }
        fn dense_i16(isa, x: &[i16], w: &[i8], k: usize, n: usize, q: &RequantI16<'_>, out: &mut [i16]) {
            layers_i16::dense_with(isa, x, w, k, n, q, out);
        }
        fn add_i16(isa, a: &[i16], b: &[i16], args: &AddI16, out: &mut [i16]) {
            layers_i16::add_with(a, b, args, out);
        }
        fn add_in_place_i16(isa, a: &[i16], args: &AddI16, out: &mut [i16]) {
            layers_i16::add_in_place_with(a, args, out);
        }
        fn quantize_i16(isa, x: &[f32], scale: f32, out: &mut [i16]) -> bool {
            layers_i16::quantize_with(x, scale, out)
        }
        fn dequantize_i16(isa, x: &[i16], scale: f32, out: &mut [f32]) {
            layers_i16::dequantize_with(x, scale, out);
        }
    }
}
