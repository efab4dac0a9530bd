//! What f32 layers store their weights as: f32, IEEE half, or int8 with a scale a channel.
//!
//! A layer computes with the widened weights in the order of f32 weights; widening is exact. Scales
//! multiply the finished sum, once an output, in front of the bias.

use core::fmt::Debug;

/// The element types there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    F32,
    F16,
    I8,
}

mod sealed {
    use super::Element;
    use crate::args::{ConvShape, LayerF32};
    use crate::portable::{Portable, f32_conv2d, f32_dense, f32_depthwise};

    /// The portable layers, each compiled here for its type: a generic function would be compiled where it is called,
    /// and firmware compiles that for size.
    pub trait Layers: Sized {
        fn conv2d(x: &[f32], shape: &ConvShape, layer: &LayerF32<'_, Self>, out: &mut [f32], scratch: &mut [u8])
        where
            Self: Element;
        fn depthwise(x: &[f32], shape: &ConvShape, layer: &LayerF32<'_, Self>, out: &mut [f32])
        where
            Self: Element;
        fn dense(x: &[f32], rows: usize, k: usize, n: usize, layer: &LayerF32<'_, Self>, out: &mut [f32])
        where
            Self: Element;
    }

    macro_rules! layers {
        ($($t:ty),*) => {
            $(impl Layers for $t {
                fn conv2d(x: &[f32], shape: &ConvShape, layer: &LayerF32<'_, $t>, out: &mut [f32], scratch: &mut [u8]) {
                    f32_conv2d::conv2d(Portable, x, shape, layer, out, scratch);
                }

                fn depthwise(x: &[f32], shape: &ConvShape, layer: &LayerF32<'_, $t>, out: &mut [f32]) {
                    f32_depthwise::depthwise(x, shape, layer, out);
                }

                fn dense(x: &[f32], rows: usize, k: usize, n: usize, layer: &LayerF32<'_, $t>, out: &mut [f32]) {
                    f32_dense::dense(Portable, x, rows, k, n, layer, out);
                }
            })*
        };
    }
    layers!(f32, u16, i8);
}

/// Element type of the weights of an f32 layer; `u16` holds the bits of an IEEE half.
pub trait Element: sealed::Layers + Copy + Default + 'static {
    /// Which type it is, so that kernels can load it.
    const STORED: Stored;
    /// Scales of the output channels: padded as the bias is, or none.
    type Scales<'a>: Copy + Debug;

    /// The f32 it stands for, exactly.
    fn widen(self) -> f32;

    /// Multiplies sums of the channels from `channel` on by their scales.
    fn scale(scales: Self::Scales<'_>, channel: usize, sums: &mut [f32]);
}

impl Element for f32 {
    const STORED: Stored = Stored::F32;
    type Scales<'a> = ();

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn scale(_: (), _: usize, _: &mut [f32]) {}
}

impl Element for u16 {
    const STORED: Stored = Stored::F16;
    type Scales<'a> = ();

    /// Without a half type: the exponent moves by 112. Subnormal halves are a mantissa under the
    /// exponent of 2^−14 less that power of two, which is exact.
    #[inline(always)]
    fn widen(self) -> f32 {
        const LEAST: u32 = 113 << 23;
        let (sign, exponent) = (u32::from(self & 0x8000) << 16, self & 0x7c00);
        let magnitude = u32::from(self & 0x7fff) << 13;
        let normal = magnitude + if exponent == 0x7c00 { 224 << 23 } else { 112 << 23 };
        let subnormal = (f32::from_bits(magnitude | LEAST) - f32::from_bits(LEAST)).to_bits();
        f32::from_bits(sign | if exponent == 0 { subnormal } else { normal })
    }

    #[inline(always)]
    fn scale(_: (), _: usize, _: &mut [f32]) {}
}

impl Element for i8 {
    const STORED: Stored = Stored::I8;
    type Scales<'a> = &'a [f32];

    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn scale(scales: &[f32], channel: usize, sums: &mut [f32]) {
        let scales = scales.get(channel..).unwrap_or_default();
        for (sum, scale) in sums.iter_mut().zip(scales) {
            *sum *= scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle: the `half` crate.
    #[test]
    fn every_half_widens_exactly() {
        for bits in 0..=u16::MAX {
            let (found, want) = (bits.widen(), half::f16::from_bits(bits).to_f32());
            assert!(found.to_bits() == want.to_bits() || found.is_nan() && want.is_nan(), "{bits:04x}: {found} {want}");
        }
    }
}
