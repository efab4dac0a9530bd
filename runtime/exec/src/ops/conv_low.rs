//! Conv2d and DepthwiseConv2d with int8 activations and weights of fewer than 8 bits.

use selvedge_core::params::ConvI8;
use selvedge_core::{Error, Format, OpCode};
use selvedge_kernels::{Code, ConvShape, Isa, LowBit, T2, W2, W3, W4, pack_low};

use super::conv_i8::shape;
use super::geometry::layer_fits;
use super::layer_i8::{Epilogue, LayerParams, require};
use super::low_bit::low_bit;
use super::{Conv2d, DepthwiseConv2d};
use crate::{Op, RunCtx, StepCtx};

struct Plan<'a> {
    w: LowBit<'a>,
    pad_value: i8,
    epilogue: Epilogue<'a>,
    scratch: usize,
}

impl<'a> Plan<'a> {
    fn of<C: Code>(ctx: &StepCtx<'a>, s: &ConvShape, depthwise: bool) -> Option<Self> {
        let p: &ConvI8 = ctx.params().ok()?;
        let layer = LayerParams {
            arrays: &p.arrays,
            zero_point: p.output_zero_point,
            lo: p.lo,
            hi: p.hi,
            lo_f32: p.lo_f32,
            hi_f32: p.hi_f32,
            inputs: ctx.step().inputs.len(),
            params_bytes: size_of::<ConvI8>() + size_of::<selvedge_core::params::LowBit>(),
        };
        require(layer_fits(s))?;
        let taps = s.kernel_h * s.kernel_w;
        let (bytes, scratch, sizes) = if depthwise {
            require(s.in_c == s.groups && s.out_c == s.groups)?;
            let bytes = pack_low::depthwise_low_bytes(C::WIDTH, s.out_c, taps);
            (bytes, pack_low::depthwise_low_scratch(s), [1, s.out_c, taps])
        } else {
            let (out_c, in_c) = (s.out_c.checked_div(s.groups)?, s.in_c.checked_div(s.groups)?);
            let bytes = pack_low::conv_low_bytes(C::WIDTH, s.groups, s.out_c, s.in_c, taps);
            (bytes, pack_low::conv_low_scratch(s), [s.groups, out_c, taps * in_c])
        };
        ctx.scratch(scratch).ok()?;
        let w = low_bit::<C>(ctx, size_of::<ConvI8>(), &p.arrays, bytes, sizes)?;
        // The weights of a depthwise layer are code − zero.
        require(!depthwise || (w.group == 0 && w.offsets.is_empty()))?;
        let pad_value = i8::try_from(p.pad_value).ok()?;
        let epilogue = Epilogue::of(ctx, &layer, s.out_c, 1)?;
        Some(Plan { w, pad_value, epilogue, scratch })
    }
}

fn validate<C: Code>(ctx: &StepCtx<'_>, depthwise: bool) -> Result<(), Error> {
    let shape = shape(ctx);
    let plan = shape.as_ref().and_then(|shape| Plan::of::<C>(ctx, shape, depthwise));
    plan.as_ref().ok_or(ctx.bad())?.epilogue.validate(ctx)
}

macro_rules! conv {
    ($op:ident, $depthwise:literal, $kernel:ident: $($code:ident)*) => {$(
        impl Op for $op<$code> {
            const CODE: OpCode = OpCode::$op;
            const FORMAT: Format = Format::$code;

            fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
                validate::<$code>(ctx, $depthwise)
            }

            fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
                let Some(shape) = shape(&ctx.step) else { return Err(ctx.step.bad()) };
                let plan = Plan::of::<$code>(&ctx.step, &shape, $depthwise).ok_or(ctx.step.bad())?;
                let mut views = ctx.views()?;
                let pad_value = plan.epilogue.runtime_zero_point(&views)?.unwrap_or(plan.pad_value);
                let (x, scratch) = (views.input(0)?, views.scratch(plan.scratch)?);
                let output = plan.epilogue.output(&mut views)?;
                isa.$kernel::<$code>(x, &plan.w, &shape, pad_value, output, scratch);
                Ok(())
            }
        }
    )*};
}

conv!(Conv2d, false, conv2d_low: W4 W3 W2 T2);
conv!(DepthwiseConv2d, true, depthwise_low: W4 W3 W2 T2);
