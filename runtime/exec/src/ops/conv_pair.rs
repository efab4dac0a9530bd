//! Two convolutions with int8 activations and weights, run as one.
//!
//! Of the first one's output only the rows exist that the second one's window covers. They are
//! computed when the window reaches them, each once, and leave in the order they came.

use core::cell::Cell;
use core::marker::PhantomData;

use selvedge_core::artifact::TensorRecord;
use selvedge_core::artifact::step_flags::{FUSED_ADD, IN_PLACE};
use selvedge_core::params::{self, ConvI8};
use selvedge_core::{DType, Error, Format, OpCode};
use selvedge_kernels::{Bias, ConvShape, Isa, Output, Requant, pack, pair};

use super::geometry::{layer_fits, window_shape};
use super::layer_i8::{Epilogue, LayerParams, require, residual};
use super::{W8, clamp_i8, weights_i8};
use crate::{Op, RunCtx, StepCtx};

/// Two convolutions, the value between them never whole; `F` is the weight format of both.
pub struct ConvPair<F>(PhantomData<F>);

/// One of the two.
struct Half<'a> {
    shape: ConvShape,
    weights: &'a [i8],
    pad_value: i8,
    requant: Requant<'a>,
}

struct Plan<'a> {
    first: Half<'a>,
    second: Half<'a>,
}

impl<'a> Half<'a> {
    fn of(ctx: &StepCtx<'a>, p: &ConvI8, shape: ConvShape, wide: bool) -> Option<Self> {
        require(layer_fits(&shape))?;
        let channels = shape.out_c;
        let bytes = pack::conv_w8_bytes(shape.groups, channels, shape.in_c, shape.kernel_h * shape.kernel_w);
        let (lo, hi) = clamp_i8(p.lo, p.hi)?;
        require((-128..=127).contains(&p.output_zero_point))?;
        let requant = Requant {
            bias: if wide {
                Bias::I64(ctx.array(p.arrays.bias, channels).ok()?)
            } else {
                Bias::I32(ctx.array(p.arrays.bias, channels).ok()?)
            },
            multiplier: ctx.array(p.arrays.multiplier, channels).ok()?,
            shift: ctx.array(p.arrays.shift, channels).ok()?,
            zero_point: p.output_zero_point,
            lo,
            hi,
            residual: None,
        };
        let weights = weights_i8(ctx, &p.arrays, bytes)?;
        Some(Half { shape, weights, pad_value: i8::try_from(p.pad_value).ok()?, requant })
    }

    fn run<I: Isa>(&self, isa: I, shape: &ConvShape, x: &[i8], y: &mut [i8], scratch: &mut [u8]) {
        isa.conv2d_w8(x, self.weights, shape, self.pad_value, Output::I8(self.requant, y), scratch);
    }

    /// Computes row `row` of the output of one image, for which `x` is the input.
    fn run_row<I: Isa>(&self, isa: I, row: usize, x: &[i8], y: &mut [i8], scratch: &mut [u8]) -> Option<()> {
        let s = &self.shape;
        let width = s.in_w * s.in_c;
        let top = row * s.stride_h;
        let window = pair::window_rows(s);
        let (mut above, mut from) = (s.pad_top.saturating_sub(top), top.saturating_sub(s.pad_top));
        if from >= s.in_h || above >= window {
            // The window lies in the padding: as far above the input as below it.
            (above, from) = (window, 0);
        }
        let rows = window.saturating_sub(above).min(s.in_h.saturating_sub(from)).max(1);
        let x = x.get(from.checked_mul(width)?..)?.get(..rows.checked_mul(width)?)?;
        let shape = ConvShape { batch: 1, in_h: rows, out_h: 1, pad_top: above, ..*s };
        self.run(isa, &shape, x, y, scratch);
        Some(())
    }
}

/// Shapes of both convolutions.
fn shapes(ctx: &StepCtx<'_>, p: &params::ConvPair) -> Option<[ConvShape; 2]> {
    let record = |operands: &[u16]| ctx.artifact().record(*operands.first()? as usize).ok();
    let (x, y) = (record(ctx.step().inputs)?, record(ctx.step().outputs)?);
    require(x.dtype == DType::I8 as u8 && y.dtype == DType::I8 as u8)?;
    let dims = [*x.dims.first()?, p.height, p.width, p.channels, 0, 0];
    let elements = dims.iter().take(4).try_fold(1u32, |all, &n| all.checked_mul(n))?;
    // As for every tensor.
    require(elements > 0 && elements < 1 << 29)?;
    let between = TensorRecord { rank: 4, dims, ..*x };
    let first = window_shape(x, &between, &p.first.window, p.first.groups as usize)?;
    let second = window_shape(&between, y, &p.second.window, p.second.groups as usize)?;
    Some([first, second])
}

impl<'a> Plan<'a> {
    fn of(ctx: &StepCtx<'a>) -> Option<Self> {
        let p: &params::ConvPair = ctx.params().ok()?;
        let step = ctx.step();
        ctx.flags(FUSED_ADD | IN_PLACE).ok()?;
        let fused = step.has(FUSED_ADD);
        require(step.inputs.len() == 1 + usize::from(fused) && step.outputs.len() == 1)?;
        require(ctx.in_place() == fused.then_some(1) && p.wide < 4)?;
        let [a, b] = shapes(ctx, p)?;
        // In sizes of the target, before anything is multiplied out.
        require(layer_fits(&a) && layer_fits(&b))?;
        let between = pair::window_rows(&b).checked_mul(b.in_w)?.checked_mul(b.in_c)?;
        require(between < 1 << 30)?;
        ctx.scratch(pair::pair_scratch(&a, &b)).ok()?;
        let first = Half::of(ctx, &p.first, a, p.wide & 1 != 0)?;
        let mut second = Half::of(ctx, &p.second, b, p.wide & 2 != 0)?;
        if fused {
            let layer = LayerParams {
                arrays: &p.second.arrays,
                zero_point: p.second.output_zero_point,
                lo: p.second.lo,
                hi: p.second.hi,
                lo_f32: p.second.lo_f32,
                hi_f32: p.second.hi_f32,
                inputs: 2,
                params_bytes: size_of::<params::ConvPair>(),
            };
            second.requant.residual = Some(residual(ctx, &layer, 1)?);
        }
        Some(Plan { first, second })
    }

    /// Runs all images. Slices have the lengths that were proved.
    fn run<I: Isa>(&self, isa: I, x: &[i8], y: &mut [i8], scratch: &mut [u8]) -> Option<()> {
        let (a, b) = (&self.first.shape, &self.second.shape);
        let (work, lines) = scratch.split_at_mut_checked(pair::pair_work(a, b))?;
        let lines: &mut [i8] = bytemuck::try_cast_slice_mut(lines).ok()?;
        let lines = lines.get_mut(..pair::pair_rows(b))?;
        let (line, rows) = (b.in_w * b.in_c, pair::window_rows(b));
        let inputs = x.chunks_exact((a.in_h * a.in_w * a.in_c).max(1));
        let outputs = y.chunks_exact_mut((b.out_h * b.out_w * b.out_c).max(1));
        let shape = ConvShape { batch: 1, in_h: rows, out_h: 1, pad_top: 0, ..*b };
        for (x, y) in inputs.zip(outputs) {
            // Rows of the second's input are counted from the top of its padding.
            let mut end = 0;
            for (row, y) in y.chunks_exact_mut((b.out_w * b.out_c).max(1)).enumerate() {
                let start = row * b.stride_h;
                let kept = usize::saturating_sub(end, start);
                if kept > 0 {
                    keep_last(lines, kept.checked_mul(line)?);
                }
                for (i, line) in lines.chunks_exact_mut(line.max(1)).enumerate().skip(kept) {
                    match (start + i).checked_sub(b.pad_top).filter(|&row| row < b.in_h) {
                        Some(row) => self.first.run_row(isa, row, x, line, work)?,
                        None => line.fill(self.second.pad_value),
                    }
                }
                end = start + rows;
                self.second.run(isa, &shape, lines, y, work);
            }
        }
        Some(())
    }
}

/// Moves the last `count` values to the front.
fn keep_last(values: &mut [i8], count: usize) {
    let cells = Cell::from_mut(values).as_slice_of_cells();
    let from = cells.get(cells.len().saturating_sub(count)..).unwrap_or_default();
    for (to, from) in cells.iter().zip(from) {
        to.set(from.get());
    }
}

impl Op for ConvPair<W8> {
    const CODE: OpCode = OpCode::ConvPair;
    const FORMAT: Format = Format::W8;

    fn validate(ctx: &StepCtx<'_>) -> Result<(), Error> {
        let Some(plan) = Plan::of(ctx) else { return Err(ctx.bad()) };
        Epilogue::I8(plan.first.requant).validate(ctx)?;
        Epilogue::I8(plan.second.requant).validate(ctx)
    }

    fn run<I: Isa>(ctx: &mut RunCtx<'_>, isa: I) -> Result<(), Error> {
        let bad = ctx.step.bad();
        let Some(plan) = Plan::of(&ctx.step) else { return Err(bad) };
        let mut views = ctx.views()?;
        let scratch = views.scratch(pair::pair_scratch(&plan.first.shape, &plan.second.shape))?;
        let (x, y) = (views.input(0)?, views.output(0)?);
        plan.run(isa, x, y, scratch).ok_or(bad)
    }
}
