//! Random epilogues, and the comparison of a layer's outputs with the reference's.

use std::vec::Vec;

use super::buffers::{Guarded, Rng, assert_same};
use crate::args::*;

/// The epilogues a layer is tested with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    I8,
    /// With a fused residual.
    Residual,
    /// With a bias of 64 bits, with and without a residual.
    Wide,
    /// Effective scales of ½ and more.
    Large,
    F32,
    I32,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::I8, Self::Residual, Self::Wide, Self::Large, Self::F32, Self::I32];
}

/// Per-channel arrays and constants of one epilogue.
#[derive(Debug)]
pub struct Epilogue {
    kind: Kind,
    bias: Vec<i32>,
    wide_bias: Vec<i64>,
    multiplier: Vec<i32>,
    shift: Vec<i8>,
    zero_point: i32,
    lo: i8,
    hi: i8,
    residual: Residual,
    x_scale: Vec<f32>,
    w_scale: Vec<f32>,
    f32_bias: Vec<f32>,
    f32_bounds: (f32, f32),
    column_sum: Vec<i32>,
}

impl Epilogue {
    /// `k` products of int8 a sum; one scale a row where `row_scales`.
    pub fn random(rng: &mut Rng, kind: Kind, rows: usize, channels: usize, k: usize, row_scales: bool) -> Self {
        let n = channels;
        let magnitude = (k as i64 * 16384).max(1);
        let extreme = rng.range(0, 5) == 0;
        // Shifts around those that map the sums to int8, and now and then any.
        let natural = (64 - magnitude.leading_zeros() as i64 - 8).clamp(1, 31);
        let any_shift = rng.range(0, 3) == 0;
        let shift = |rng: &mut Rng| match kind {
            Kind::Large => rng.range(-3, 2),
            _ if any_shift => rng.range(1, 31),
            _ => rng.range((natural - 3).max(1), (natural + 2).min(31)),
        };
        let (lo, hi) = if rng.next() & 1 == 0 {
            (-128, 127)
        } else {
            let lo = rng.range(-128, 127);
            (lo, rng.range(lo, 127))
        };
        let bias =
            |rng: &mut Rng| if extreme { rng.range(-1 << 31, (1 << 31) - 1) } else { rng.range(-magnitude, magnitude) };
        // |acc|·m < 2^62 holds in wide layers: 2^34·2^27.
        let multiplier = |rng: &mut Rng| match (kind, rng.range(0, 7)) {
            (Kind::Wide, _) => rng.range(0, (1 << 27) - 1),
            (_, 0) => rng.range(0, 1 << 30),
            (_, 1) => (1 << 31) - 1,
            _ => rng.range(1 << 30, (1 << 31) - 1),
        };
        let array = |rng: &mut Rng, f: &dyn Fn(&mut Rng) -> i64| -> Vec<i64> {
            (0..n).map(|c| if c < channels { f(rng) } else { 0 }).collect()
        };
        let i32s = |v: Vec<i64>| v.into_iter().map(|v| v as i32).collect::<Vec<_>>();
        Self {
            kind,
            bias: i32s(array(rng, &bias)),
            wide_bias: array(rng, &|rng| rng.range(-1 << 33, 1 << 33)),
            multiplier: i32s(array(rng, &multiplier)),
            shift: array(rng, &shift).into_iter().map(|v| v as i8).collect(),
            zero_point: rng.range(-128, 127) as i32,
            lo: lo as i8,
            hi: hi as i8,
            residual: Residual {
                m1: rng.range(-(1 << 21), 1 << 21) as i32,
                m2: rng.range(-(1 << 21), 1 << 21) as i32,
                c: rng.range(-(1 << 29), 1 << 29) as i32,
                s: rng.range(14, 22) as u32,
                lo: rng.range(-128, 0) as i8,
                hi: rng.range(0, 127) as i8,
            },
            x_scale: rng.f32s(if row_scales { rows } else { 1 }),
            w_scale: rng.f32s(n),
            f32_bias: rng.f32s(n),
            f32_bounds: if rng.next() & 1 == 0 { (0.0, 6.0) } else { (f32::NEG_INFINITY, f32::INFINITY) },
            column_sum: i32s(array(rng, &|rng| rng.range(-1 << 31, (1 << 31) - 1))),
        }
    }

    fn requant(&self, residual: bool) -> Requant<'_> {
        Requant {
            bias: if self.kind == Kind::Wide { Bias::I64(&self.wide_bias) } else { Bias::I32(&self.bias) },
            multiplier: &self.multiplier,
            shift: &self.shift,
            zero_point: self.zero_point,
            lo: self.lo,
            hi: self.hi,
            residual: residual.then_some(self.residual),
        }
    }

    fn scale(&self) -> Scale<'_> {
        let (lo, hi) = self.f32_bounds;
        Scale { x_scale: &self.x_scale, w_scale: &self.w_scale, bias: &self.f32_bias, lo, hi }
    }

    /// Runs a layer of `elements` outputs twice, on the same former contents of the output, and
    /// compares the bits. `offset` misaligns the kernel's output.
    pub fn compare(
        &self,
        rng: &mut Rng,
        elements: usize,
        offset: usize,
        case: &dyn std::fmt::Debug,
        kernel: &mut dyn FnMut(Output<'_>),
        reference: &mut dyn FnMut(Output<'_>),
    ) {
        match self.kind {
            Kind::F32 => {
                let mut want = std::vec![0.0; elements];
                reference(Output::F32(self.scale(), &mut want));
                let mut got = Guarded::new(&std::vec![1.0; elements], 7.5, offset);
                kernel(Output::F32(self.scale(), got.get_mut()));
                let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_same(&bits(got.get()), &bits(&want), &(self, case));
                got.assert_redzones();
            }
            Kind::I32 => {
                let raw = Raw { zero_point: self.zero_point, column_sum: &self.column_sum };
                let mut want = std::vec![0; elements];
                reference(Output::I32(raw, &mut want));
                let mut got = Guarded::new(&std::vec![1; elements], 7, offset);
                kernel(Output::I32(raw, got.get_mut()));
                assert_same(got.get(), &want, &(self, case));
                got.assert_redzones();
            }
            _ => {
                let residual = self.kind == Kind::Residual || (self.kind != Kind::I8 && self.zero_point & 1 == 0);
                let before = rng.i8s(elements);
                let mut want = before.clone();
                reference(Output::I8(self.requant(residual), &mut want));
                let mut got = Guarded::new(&before, 0x5a, offset);
                kernel(Output::I8(self.requant(residual), got.get_mut()));
                assert_same(got.get(), &want, &(self, case));
                got.assert_redzones();
            }
        }
    }
}
