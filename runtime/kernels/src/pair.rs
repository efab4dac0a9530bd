//! Two convolutions as one: the second's window slides over a few rows of the first's output.

use crate::args::ConvShape;
use crate::pack::conv_w8_scratch;

/// Rows of its input that a convolution needs for one row of its output.
pub const fn window_rows(s: &ConvShape) -> usize {
    s.kernel_h.saturating_sub(1).saturating_mul(s.dilation_h).saturating_add(1)
}

/// Bytes in front of the rows in between: the scratch of either convolution.
pub const fn pair_work(first: &ConvShape, second: &ConvShape) -> usize {
    let (a, b) = (conv_w8_scratch(first), conv_w8_scratch(second));
    if a > b { a } else { b }
}

/// Bytes of the rows in between: as many as the second's window is high.
pub const fn pair_rows(second: &ConvShape) -> usize {
    window_rows(second).saturating_mul(second.in_w).saturating_mul(second.in_c)
}

/// Scratch of a pair of W8 convolutions.
pub const fn pair_scratch(first: &ConvShape, second: &ConvShape) -> usize {
    pair_work(first, second).saturating_add(pair_rows(second))
}
