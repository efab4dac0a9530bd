//! Random epilogues of int8 layers, and the comparison of both outputs.

use core::fmt::{Debug, Write};

use selvedge_kernels::{Bias, Output, Raw, Requant, Residual, Scale};

use super::rng::Rng;
use super::workspace::{Channels, Outputs};
use super::{Mismatch, same};

/// The epilogues a layer is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    I8,
    /// With a fused residual.
    Residual,
    /// With a bias of 64 bits, with and without a residual.
    Wide,
    /// Effective scales of ½ and more, with and without a residual.
    Large,
    F32,
    I32,
}

impl Kind {
    /// Every kind, the most used one twice.
    pub const ALL: [Self; 7] = [Self::I8, Self::Residual, Self::Wide, Self::Large, Self::F32, Self::I32, Self::I8];
}

/// Constants of one epilogue; its arrays are [`Channels`].
#[derive(Clone, Copy, Debug)]
pub struct Epilogue {
    kind: Kind,
    channels: usize,
    zero_point: i32,
    lo: i8,
    hi: i8,
    residual: Option<Residual>,
    x_scales: usize,
    relu6: bool,
}

impl Epilogue {
    /// For sums of `k` products of int8, and `x_scales` activation scales.
    pub fn draw(rng: &mut Rng, kind: Kind, arrays: &mut Channels, channels: usize, k: usize, x_scales: usize) -> Self {
        let magnitude = (k as i64 * 16384).max(1);
        let extreme = rng.range(0, 5) == 0;
        // Shifts around those that map the sums to int8, and now and then any.
        let natural = (64 - magnitude.leading_zeros() as i64 - 8).clamp(1, 31);
        let any_shift = rng.range(0, 3) == 0;
        for c in 0..channels {
            arrays.bias[c] = if extreme { rng.i32() } else { rng.range(-magnitude, magnitude) as i32 };
            arrays.wide_bias[c] = rng.range(-1 << 30, 1 << 30) << 3;
            // |acc|·m < 2^62 holds in wide layers: 2^34·2^27.
            arrays.multiplier[c] = match (kind, rng.range(0, 7)) {
                (Kind::Wide, _) => rng.range(0, (1 << 27) - 1),
                (_, 0) => rng.range(0, 1 << 30),
                (_, 1) => (1 << 31) - 1,
                _ => rng.range(1 << 30, (1 << 31) - 1),
            } as i32;
            arrays.shift[c] = match kind {
                Kind::Large => rng.range(-3, 2),
                _ if any_shift => rng.range(1, 31),
                _ => rng.range((natural - 3).max(1), (natural + 2).min(31)),
            } as i8;
            arrays.w_scale[c] = rng.f32();
            arrays.f32_bias[c] = rng.f32();
            arrays.column_sum[c] = rng.i32();
        }
        arrays.x_scale.iter_mut().take(x_scales).for_each(|scale| *scale = rng.f32());
        let lo = if rng.flip() { -128 } else { rng.range(-128, 127) };
        let residual = Residual {
            m1: rng.range(-(1 << 21), 1 << 21) as i32,
            m2: rng.range(-(1 << 21), 1 << 21) as i32,
            c: rng.range(-(1 << 29), 1 << 29) as i32,
            s: rng.range(14, 22) as u32,
            lo: rng.range(-128, 0) as i8,
            hi: rng.range(0, 127) as i8,
        };
        Self {
            kind,
            channels,
            zero_point: rng.range(-128, 127) as i32,
            lo: lo as i8,
            hi: if rng.flip() { 127 } else { rng.range(lo, 127) as i8 },
            residual: (kind == Kind::Residual || kind != Kind::I8 && rng.flip()).then_some(residual),
            x_scales,
            relu6: rng.flip(),
        }
    }

    fn requant<'a>(&self, arrays: &'a Channels) -> Requant<'a> {
        let n = ..self.channels;
        Requant {
            bias: if self.kind == Kind::Wide { Bias::I64(&arrays.wide_bias[n]) } else { Bias::I32(&arrays.bias[n]) },
            multiplier: &arrays.multiplier[n],
            shift: &arrays.shift[n],
            zero_point: self.zero_point,
            lo: self.lo,
            hi: self.hi,
            residual: self.residual,
        }
    }

    fn scale<'a>(&self, arrays: &'a Channels) -> Scale<'a> {
        let n = ..self.channels;
        let (lo, hi) = if self.relu6 { (0.0, 6.0) } else { (f32::NEG_INFINITY, f32::INFINITY) };
        let x_scale = &arrays.x_scale[..self.x_scales];
        Scale { x_scale, w_scale: &arrays.w_scale[n], bias: &arrays.f32_bias[n], lo, hi }
    }

    /// Runs a layer of `elements` outputs twice, on the same former contents of the output, and
    /// compares the bits. `offset` misaligns the outputs.
    #[allow(clippy::too_many_arguments)]
    pub fn compare(
        &self,
        out: &mut dyn Write,
        rng: &mut Rng,
        arrays: &Channels,
        (i8s, i32s, f32s): (&mut Outputs<i8>, &mut Outputs<i32>, &mut Outputs<f32>),
        elements: usize,
        offset: usize,
        (name, case): (&str, &dyn Debug),
        kernel: &mut dyn FnMut(Output<'_>),
        reference: &mut dyn FnMut(Output<'_>),
    ) -> Result<(), Mismatch> {
        match self.kind {
            Kind::F32 => {
                let (got, want) = f32s.pair(elements, offset, || 7.5);
                kernel(Output::F32(self.scale(arrays), got));
                reference(Output::F32(self.scale(arrays), want));
                let (got, want) = f32s.all(elements, offset);
                same(out, name, &(case, self), got, want, f32::to_bits)
            }
            Kind::I32 => {
                let column_sum = &arrays.column_sum[..self.channels];
                let raw = Raw { zero_point: self.zero_point, column_sum };
                let (got, want) = i32s.pair(elements, offset, || 7);
                kernel(Output::I32(raw, got));
                reference(Output::I32(raw, want));
                let (got, want) = i32s.all(elements, offset);
                same(out, name, &(case, self), got, want, |v| v as u32)
            }
            _ => {
                let (got, want) = i8s.pair(elements, offset, || rng.next() as i8);
                kernel(Output::I8(self.requant(arrays), got));
                reference(Output::I8(self.requant(arrays), want));
                let (got, want) = i8s.all(elements, offset);
                same(out, name, &(case, self), got, want, |v| v as u8 as u32)
            }
        }
    }
}
