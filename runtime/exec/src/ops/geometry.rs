//! Windows of convolutions and pools: checked once, then plain numbers.

use selvedge_core::Error;
use selvedge_core::artifact::{TensorRecord, TensorView};
use selvedge_core::params::Window;
use selvedge_kernels::ConvShape;

use crate::StepCtx;

/// Largest product of sizes: it fits 32 bits with room for a factor of 4.
const LARGEST: usize = 1 << 29;

/// Rows or columns of a window.
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
}

impl Axis {
    /// Cells from the first tap of the first of `positions` windows to the last tap of the last.
    #[inline(always)]
    fn reach(&self, positions: usize) -> Option<usize> {
        let last = positions.checked_sub(1)?.checked_mul(self.stride)?;
        self.kernel.checked_sub(1)?.checked_mul(self.dilation)?.checked_add(last)?.checked_add(1)
    }
}

/// Geometry of a window over `x` whose positions are the pixels of `y`.
///
/// The end padding that `y`'s size implies is less than 2^16 and, but for the remainder of the
/// stride, not negative. All position arithmetic then fits 31 bits.
pub(super) fn window_shape(x: &TensorRecord, y: &TensorRecord, window: &Window, groups: usize) -> Option<ConvShape> {
    shape(
        x,
        y,
        window,
        groups,
        #[inline(always)]
        |axis| {
            // Tensors have less than 2^29 elements, padding is less than 2^16.
            let padded = axis.input + axis.pad;
            let reach = axis.reach(axis.output);
            reach.is_some_and(|reach| reach <= padded + u16::MAX as usize && reach + axis.stride > padded)
        },
    )
}

/// Geometry of a transposed convolution: `x` and `y` change places.
pub(super) fn transposed_shape(
    x: &TensorRecord,
    y: &TensorRecord,
    window: &Window,
    groups: usize,
) -> Option<ConvShape> {
    shape(x, y, window, groups, |axis| {
        // Output cells behind the last tap hold the bias alone (ONNX output_padding).
        let reach = axis.reach(axis.input).filter(|&reach| reach <= i32::MAX as usize);
        reach.is_some_and(|reach| axis.output + axis.pad <= reach + u16::MAX as usize)
    })
}

fn shape(
    x: &TensorRecord,
    y: &TensorRecord,
    window: &Window,
    groups: usize,
    fits: impl Fn(&Axis) -> bool,
) -> Option<ConvShape> {
    let ([batch, in_h, in_w, in_c, ..], [out_batch, out_h, out_w, out_c, ..]) = (x.dims, y.dims);
    let axis = |i: usize, input: u32, output: u32| {
        let at = |pair: &[u16; 2]| pair.get(i).copied().unwrap_or(0) as usize;
        Axis {
            input: input as usize,
            output: output as usize,
            kernel: at(&window.kernel),
            stride: at(&window.stride),
            dilation: at(&window.dilation),
            pad: at(&window.pad),
        }
    };
    let (rows, cols) = (axis(0, in_h, out_h), axis(1, in_w, out_w));
    let positive = |axis: &Axis| axis.kernel > 0 && axis.stride > 0 && axis.dilation > 0;
    let divides = |channels: u32| (channels as usize).checked_rem(groups) == Some(0);
    let sound = (x.rank == 4 && y.rank == 4 && batch == out_batch)
        && (positive(&rows) && positive(&cols) && rows.kernel * cols.kernel <= 1 << 22)
        && (divides(in_c) && divides(out_c))
        && (fits(&rows) && fits(&cols));
    if !sound {
        return None;
    }
    Some(ConvShape {
        batch: batch as usize,
        in_h: rows.input,
        in_w: cols.input,
        in_c: in_c as usize,
        out_h: rows.output,
        out_w: cols.output,
        out_c: out_c as usize,
        kernel_h: rows.kernel,
        kernel_w: cols.kernel,
        stride_h: rows.stride,
        stride_w: cols.stride,
        dilation_h: rows.dilation,
        dilation_w: cols.dilation,
        pad_top: rows.pad,
        pad_left: cols.pad,
        groups,
    })
}

/// Whether the sizes of a convolution's packed weights and scratch fit 31 bits.
pub(super) fn layer_fits(s: &ConvShape) -> bool {
    let (in_c, out_c) = (s.in_c / s.groups.max(1), s.out_c / s.groups.max(1));
    let k = (s.kernel_h * s.kernel_w).checked_mul(in_c + 4).filter(|&k| k <= LARGEST / 4);
    let all = k.and_then(|k| k.checked_mul(s.groups)?.checked_mul(out_c + 8));
    all.is_some_and(|all| all <= LARGEST)
}

/// Whether a dense layer's packed weights fit 31 bits.
pub(super) fn dense_fits(n: usize, k: usize) -> bool {
    // Tensors have less than 2^29 elements.
    (n + 8).checked_mul(k + 4).is_some_and(|all| all <= LARGEST)
}

/// Rows of the last axis: (number of rows, length of a row).
pub(super) fn rows(ctx: &StepCtx<'_>, tensor: &TensorView<'_>) -> Result<(usize, usize), Error> {
    let row = *tensor.dims.last().ok_or(ctx.bad())? as usize;
    ctx.require(row > 0)?;
    Ok((tensor.elements / row.max(1), row))
}

/// An axis of a tensor: `[outer, n, inner]`.
pub(super) struct AxisSpan {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
}

/// What lies before, on and behind an axis, which has elements.
pub(super) fn axis_span(ctx: &StepCtx<'_>, tensor: &TensorView<'_>, axis: u32) -> Result<AxisSpan, Error> {
    let (before, from) = tensor.dims.split_at_checked(axis as usize).ok_or(ctx.bad())?;
    let (&n, behind) = from.split_first().ok_or(ctx.bad())?;
    ctx.require(n > 0)?;
    let product = |dims: &[u32]| dims.iter().map(|&d| d as usize).product();
    Ok(AxisSpan { outer: product(before), n: n as usize, inner: product(behind) })
}
