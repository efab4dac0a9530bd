//! What int8 layers share: per-channel arrays, epilogues, the fused residual.

use selvedge_core::artifact::step_flags::{FUSED_ADD, IN_PLACE, OUT_F32, OUT_I32, WIDE};
use selvedge_core::params::{LayerArrays, ResidualAdd};
use selvedge_core::{DType, Error};
use selvedge_kernels::{Bias, Output, Raw, Requant, Residual, Scale};

use super::clamp_i8;
use crate::{StepCtx, Views};

/// Where the constants of an int8 layer's outputs come from.
pub(super) struct LayerParams {
    pub arrays: LayerArrays,
    pub zero_point: i32,
    pub lo: i32,
    pub hi: i32,
    pub lo_f32: f32,
    pub hi_f32: f32,
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
    /// Checks operands and arrays of a layer with `channels` outputs a position. `scales` says
    /// how many activation scales it can take.
    pub(super) fn of(
        ctx: &StepCtx<'a>,
        p: &LayerParams,
        channels: usize,
        scales: impl Fn(usize) -> bool,
    ) -> Result<Self, Error> {
        let step = ctx.step();
        ctx.flags(FUSED_ADD | WIDE | OUT_F32 | OUT_I32 | IN_PLACE)?;
        let fused = step.has(FUSED_ADD);
        let last = step.inputs.len().checked_sub(1).ok_or(ctx.bad())?;
        let plain = step.inputs.len() - usize::from(fused);
        ctx.counts(1..=3, 1)?;
        ctx.require((1..=2).contains(&plain) && ctx.in_place() == fused.then_some(last))?;
        let extra = if plain == 2 { ctx.optional_input(1)? } else { None };
        let arrays = &p.arrays;

        if step.has(OUT_F32) || step.has(OUT_I32) {
            ctx.require(!fused && !step.has(WIDE) && step.has(OUT_F32) != step.has(OUT_I32))?;
        }
        if step.has(OUT_F32) {
            ctx.output_of(0, DType::F32)?;
            if let Some(scale) = &extra {
                ctx.require(scale.dtype == DType::F32 && scales(scale.elements))?;
            }
            ctx.require(p.lo_f32 <= p.hi_f32)?;
            return Ok(Epilogue::F32 {
                w_scale: ctx.array(arrays.multiplier, channels)?,
                bias: ctx.array(arrays.bias, channels)?,
                lo: p.lo_f32,
                hi: p.hi_f32,
                scaled: extra.is_some(),
            });
        }
        if step.has(OUT_I32) {
            ctx.output_of(0, DType::I32)?;
            if let Some(zp) = &extra {
                ctx.require(matches!(zp.dtype, DType::I8 | DType::U8) && zp.elements == 1)?;
            }
            let column_sum = ctx.array(arrays.multiplier, channels)?;
            return Ok(Epilogue::I32 { column_sum, zero_point: extra.map(|t| t.dtype) });
        }
        let y = ctx.output_of(0, DType::I8)?;
        ctx.require(extra.is_none())?;
        let residual = if fused {
            let skip = ctx.input_of(last, DType::I8)?;
            ctx.require(skip.elements == y.elements && skip.record.offset == y.record.offset)?;
            // A layer cannot read what it overwrites.
            ctx.require(step.inputs.first() != step.inputs.last())?;
            let r: ResidualAdd = ctx.params_at(p.params_bytes)?;
            ctx.require(r.s <= 31)?;
            let (lo, hi) = clamp_i8(ctx, r.lo, r.hi)?;
            Some(Residual { m1: r.m1, m2: r.m2, c: r.c, s: r.s, lo, hi })
        } else {
            None
        };
        let (lo, hi) = clamp_i8(ctx, p.lo, p.hi)?;
        ctx.require((-128..=127).contains(&p.zero_point))?;
        Ok(Epilogue::I8(Requant {
            bias: if step.has(WIDE) {
                Bias::I64(ctx.array(arrays.bias, channels)?)
            } else {
                Bias::I32(ctx.array(arrays.bias, channels)?)
            },
            multiplier: ctx.array(arrays.multiplier, channels)?,
            shift: ctx.array(arrays.shift, channels)?,
            zero_point: p.zero_point,
            lo,
            hi,
            residual,
        }))
    }

    /// Checks the values of the arrays, once.
    pub(super) fn validate(&self, ctx: &StepCtx<'_>) -> Result<(), Error> {
        match self {
            Epilogue::I8(r) => {
                ctx.require(r.multiplier.iter().all(|&m| m >= 0))?;
                ctx.require(r.shift.iter().all(|&k| (-30..=31).contains(&k)))
            }
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
