//! Windows of convolutions and pools: checked once, then plain numbers.

use selvedge_core::Error;
use selvedge_core::artifact::TensorView;
use selvedge_core::params::Window;
use selvedge_kernels::ConvShape;

use crate::StepCtx;

/// Largest product of sizes: it fits 32 bits with room for a factor of 4.
const LARGEST: u64 = 1 << 29;

/// Whether the product of these numbers is one a kernel may compute in 32 bits.
pub(super) fn fits(factors: &[usize]) -> bool {
    let mut product = 1u64;
    for &f in factors {
        product = product.saturating_mul(f as u64);
    }
    product <= LARGEST
}

/// A shape of four dimensions: batch, rows, columns, channels.
pub(super) fn nhwc(ctx: &StepCtx<'_>, tensor: &TensorView<'_>) -> Result<[usize; 4], Error> {
    let dims: [u32; 4] = tensor.dims.try_into().map_err(|_| ctx.bad())?;
    Ok(dims.map(|d| d as usize))
}

/// Geometry of a window over `x` whose positions are the pixels of `y`.
///
/// The end padding that `y`'s size implies is less than 2^16 and, but for the remainder of the
/// stride, not negative. All position arithmetic then fits 31 bits.
pub(super) fn window_shape(
    ctx: &StepCtx<'_>,
    x: &TensorView<'_>,
    y: &TensorView<'_>,
    window: &Window,
    groups: usize,
) -> Result<ConvShape, Error> {
    let shape = raw_shape(ctx, x, y, window, groups)?;
    for (input, output, kernel, stride, dilation, pad) in axes(&shape) {
        let reach = (output - 1) * stride + (kernel - 1) * dilation + 1;
        let end = reach - pad - input;
        ctx.require(end > -stride && end <= u16::MAX as i64)?;
    }
    Ok(shape)
}

/// Geometry of a transposed convolution: `x` and `y` change places.
pub(super) fn transposed_shape(
    ctx: &StepCtx<'_>,
    x: &TensorView<'_>,
    y: &TensorView<'_>,
    window: &Window,
    groups: usize,
) -> Result<ConvShape, Error> {
    let shape = raw_shape(ctx, x, y, window, groups)?;
    for (input, output, kernel, stride, dilation, pad) in axes(&shape) {
        let reach = (input - 1) * stride + (kernel - 1) * dilation + 1;
        // Output cells behind the last tap hold the bias alone (ONNX output_padding).
        ctx.require(reach <= i32::MAX as i64 && output + pad <= reach + u16::MAX as i64)?;
    }
    Ok(shape)
}

/// (input, output, kernel, stride, dilation, pad) of rows and columns.
fn axes(s: &ConvShape) -> [(i64, i64, i64, i64, i64, i64); 2] {
    let axis = |v: [usize; 6]| {
        let [a, b, c, d, e, f] = v.map(|n| n as i64);
        (a, b, c, d, e, f)
    };
    [
        axis([s.in_h, s.out_h, s.kernel_h, s.stride_h, s.dilation_h, s.pad_top]),
        axis([s.in_w, s.out_w, s.kernel_w, s.stride_w, s.dilation_w, s.pad_left]),
    ]
}

fn raw_shape(
    ctx: &StepCtx<'_>,
    x: &TensorView<'_>,
    y: &TensorView<'_>,
    window: &Window,
    groups: usize,
) -> Result<ConvShape, Error> {
    let [batch, in_h, in_w, in_c] = nhwc(ctx, x)?;
    let [out_batch, out_h, out_w, out_c] = nhwc(ctx, y)?;
    let [kernel_h, kernel_w] = window.kernel.map(usize::from);
    let [stride_h, stride_w] = window.stride.map(usize::from);
    let [dilation_h, dilation_w] = window.dilation.map(usize::from);
    let [pad_top, pad_left] = window.pad.map(usize::from);
    let positive = [kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, groups];
    ctx.require(batch == out_batch && !positive.contains(&0))?;
    ctx.require(in_c.is_multiple_of(groups) && out_c.is_multiple_of(groups))?;
    ctx.require(fits(&[kernel_h, kernel_w]) && kernel_h * kernel_w <= 1 << 22)?;
    Ok(ConvShape {
        batch,
        in_h,
        in_w,
        in_c,
        out_h,
        out_w,
        out_c,
        kernel_h,
        kernel_w,
        stride_h,
        stride_w,
        dilation_h,
        dilation_w,
        pad_top,
        pad_left,
        groups,
    })
}

/// Whether the sizes of a convolution's packed weights and scratch fit 31 bits.
pub(super) fn layer_fits(s: &ConvShape) -> bool {
    let (in_c, out_c) = (s.in_c / s.groups.max(1), s.out_c / s.groups.max(1));
    fits(&[s.kernel_h, s.kernel_w, in_c + 4, 4]) && fits(&[s.kernel_h, s.kernel_w, in_c + 4, s.groups, out_c + 8])
}

/// Whether a dense layer's packed weights fit 31 bits.
pub(super) fn dense_fits(n: usize, k: usize) -> bool {
    fits(&[n.saturating_add(8), k.saturating_add(4)])
}

/// Rows of the last axis: (number of rows, length of a row).
pub(super) fn rows(ctx: &StepCtx<'_>, tensor: &TensorView<'_>) -> Result<(usize, usize), Error> {
    let row = *tensor.dims.last().ok_or(ctx.bad())? as usize;
    ctx.require(row > 0)?;
    Ok((tensor.elements / row.max(1), row))
}
