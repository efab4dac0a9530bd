//! What int8 layers share: per-channel arrays, epilogues, the fused residual.

use selvedge_core::artifact::TensorView;
use selvedge_core::artifact::step_flags::{FUSED_ADD, IN_PLACE, OUT_F32, OUT_I32, WIDE};
use selvedge_core::params::{LayerArrays, ResidualAdd};
use selvedge_core::{DType, Error};
use selvedge_kernels::{Bias, Output, Raw, Requant, Residual, Scale};

use super::clamp_i8;
use crate::{StepCtx, Views};

/// Where the constants of an int8 layer's outputs come from.
pub(super) struct LayerParams<'a> {
    pub arrays: &'a LayerArrays,
    pub zero_point: i32,
    pub lo: i32,
    pub hi: i32,
    pub lo_f32: f32,
    pub hi_f32: f32,
    /// Inputs of the layer proper; further ones are its branches'.
    pub inputs: usize,
    /// Bytes of the layer's own parameter struct; [`ResidualAdd`] follows it.
    pub params_bytes: usize,
}

/// A layer's epilogue, its arrays resolved; operands come at run time.
pub(super) enum Epilogue<'a> {
    I8(Requant<'a>),
    F32 { w_scale: &'a [f32], bias: &'a [f32], lo: f32, hi: f32, scaled: bool },
    I32 { column_sum: &'a [i32], zero_point: Option<DType> },
}

impl<'a> Epilogue<'a> {
    /// Checks operands and arrays of a layer with `channels` outputs a position and one activation
    /// scale, or `rows` of them.
    pub(super) fn of(ctx: &StepCtx<'a>, p: &LayerParams<'_>, channels: usize, rows: usize) -> Option<Self> {
        let step = ctx.step();
        let y = ctx.artifact().record(*step.outputs.first()? as usize).ok()?;
        ctx.flags(FUSED_ADD | WIDE | OUT_F32 | OUT_I32 | IN_PLACE).ok()?;
        require((1..=3).contains(&p.inputs) && step.outputs.len() == 1)?;
        let fused = step.has(FUSED_ADD);
        let last = p.inputs.checked_sub(1)?;
        let plain = p.inputs - usize::from(fused);
        require((1..=2).contains(&plain) && ctx.in_place() == fused.then_some(last))?;
        let extra = if plain == 2 { ctx.optional_input(1).ok()? } else { None };
        let arrays = p.arrays;

        if !(step.has(OUT_F32) || step.has(OUT_I32)) {
            require(y.dtype == DType::I8 as u8 && extra.is_none())?;
            let residual = if fused { Some(residual(ctx, p, last)?) } else { None };
            let (lo, hi) = clamp_i8(p.lo, p.hi)?;
            require((-128..=127).contains(&p.zero_point))?;
            return Some(Epilogue::I8(Requant {
                bias: if step.has(WIDE) {
                    Bias::I64(ctx.array(arrays.bias, channels).ok()?)
                } else {
                    Bias::I32(ctx.array(arrays.bias, channels).ok()?)
                },
                multiplier: ctx.array(arrays.multiplier, channels).ok()?,
                shift: ctx.array(arrays.shift, channels).ok()?,
                zero_point: p.zero_point,
                lo,
                hi,
                residual,
            }));
        }
        require(!fused && !step.has(WIDE) && step.has(OUT_F32) != step.has(OUT_I32))?;
        Self::unfused(ctx, p, channels, rows, extra, y.dtype)
    }

    /// Of f32 or i32 outputs.
    #[cold]
    #[inline(never)]
    fn unfused(
        ctx: &StepCtx<'a>,
        p: &LayerParams<'_>,
        channels: usize,
        rows: usize,
        extra: Option<TensorView<'a>>,
        y: u8,
    ) -> Option<Self> {
        let arrays = p.arrays;
        if ctx.step().has(OUT_I32) {
            let is_zero_point = |t: &TensorView<'_>| matches!(t.dtype, DType::I8 | DType::U8) && t.elements == 1;
            require(y == DType::I32 as u8 && extra.as_ref().is_none_or(is_zero_point))?;
            let column_sum = ctx.array(arrays.multiplier, channels).ok()?;
            return Some(Epilogue::I32 { column_sum, zero_point: extra.map(|t| t.dtype) });
        }
        let is_scale = |t: &TensorView<'_>| t.dtype == DType::F32 && (t.elements == 1 || t.elements == rows);
        require(y == DType::F32 as u8 && extra.as_ref().is_none_or(is_scale) && p.lo_f32 <= p.hi_f32)?;
        Some(Epilogue::F32 {
            w_scale: ctx.array(arrays.multiplier, channels).ok()?,
            bias: ctx.array(arrays.bias, channels).ok()?,
            lo: p.lo_f32,
            hi: p.hi_f32,
            scaled: extra.is_some(),
        })
    }

    /// Checks the values of the arrays, once.
    pub(super) fn validate(&self, ctx: &StepCtx<'_>) -> Result<(), Error> {
        match self {
            Epilogue::I8(r) => ctx.require(not_negative(r.multiplier) && are_shifts(r.shift)),
            Epilogue::F32 { .. } | Epilogue::I32 { .. } => Ok(()),
        }
    }

    /// The zero point a tensor gives at run time, on the int8 grid.
    pub(super) fn runtime_zero_point(&self, views: &Views<'_>) -> Result<Option<i8>, Error> {
        let Epilogue::I32 { zero_point: Some(dtype), .. } = self else { return Ok(None) };
        let value = views.input::<i8>(1)?.first().copied().unwrap_or(0);
        Ok(Some(if *dtype == DType::U8 { (value as u8 ^ 0x80) as i8 } else { value }))
    }

    /// The kernel's output argument.
    pub(super) fn output<'o>(self, views: &mut Views<'o>) -> Result<Output<'o>, Error>
    where
        'a: 'o,
    {
        let zero_point = self.runtime_zero_point(views)?.unwrap_or(0) as i32;
        Ok(match self {
            Epilogue::I8(requant) => Output::I8(requant, views.output(0)?),
            Epilogue::F32 { w_scale, bias, lo, hi, scaled } => {
                let x_scale: &[f32] = if scaled { views.input(1)? } else { &[1.0] };
                Output::F32(Scale { x_scale, w_scale, bias, lo, hi }, views.output(0)?)
            }
            Epilogue::I32 { column_sum, .. } => Output::I32(Raw { zero_point, column_sum }, views.output(0)?),
        })
    }
}

/// The fused addition of the last input, which the output lies on.
pub(super) fn residual(ctx: &StepCtx<'_>, p: &LayerParams<'_>, last: usize) -> Option<Residual> {
    let (skip, y) = (ctx.input_of(last, DType::I8).ok()?, ctx.output(0).ok()?);
    require(skip.elements == y.elements && skip.record.offset == y.record.offset)?;
    // A layer cannot read what it overwrites.
    require(ctx.step().inputs.first() != ctx.step().inputs.last())?;
    let r: &ResidualAdd = ctx.params_at(p.params_bytes).ok()?;
    let (lo, hi) = clamp_i8(r.lo, r.hi)?;
    require(r.s <= 31)?;
    Some(Residual { m1: r.m1, m2: r.m2, c: r.c, s: r.s, lo, hi })
}

/// `None` unless the condition holds.
pub(super) fn require(condition: bool) -> Option<()> {
    condition.then_some(())
}

/// Whether no value is negative: the sign bit of none is set.
pub(super) fn not_negative(values: &[i32]) -> bool {
    let (eights, rest) = values.as_chunks::<8>();
    let signs = eights.iter().fold(0, |signs, v| signs | v[0] | v[1] | v[2] | v[3] | v[4] | v[5] | v[6] | v[7]);
    rest.iter().fold(signs, |signs, v| signs | v) >= 0
}

/// Whether all values lie in −30..=31. Most are in 0..=31, where the upper three bits are zero.
pub(super) fn are_shifts(values: &[i8]) -> bool {
    let (fours, rest) = values.as_chunks::<4>();
    let bits = fours.iter().fold(0, |bits, v| bits | u32::from_le_bytes(v.map(|k| k as u8)));
    bits & 0xe0e0_e0e0 == 0 && rest.iter().all(|&k| k & !31 == 0) || values.iter().all(|&k| (-30..=31).contains(&k))
}
