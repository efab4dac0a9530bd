//! Orders of weights in the artifact, and scratch sizes. What is written here
//! is read by the kernels as it lies; nothing is repacked at load.
//!
//! **W8 layers (conv, dense).** `k` runs over (row, column, input channel) of
//! the window, padded with zeros to a multiple of 4. A panel is 8 channels of a
//! group; within it, each 4 consecutive `k` lie as `[8 channels][4 k]`, 32
//! bytes. The last panel holds the channels that are left, `c` < 8 of them,
//! as `[c channels][4 k]`, and is followed by zeros so that 32 bytes can be
//! read at its last `k`. Panels follow each other, groups follow each other.
//!
//! **W8 depthwise.** Taps (row, column) are padded with a zero tap to an even
//! count. A block is 8 channels; within it, each two consecutive taps lie as
//! `[8 channels][2 taps]`, 16 bytes. The last block is narrower likewise,
//! followed by zeros so that 16 bytes can be read at its last taps.
//!
//! **f32 layers** (weights f32, half or int8). Panels of 8 output channels, each `[k][8 channels]`, groups
//! as above. Depthwise: `[taps][channels padded to 8]`. Transposed
//! convolution: `[group][row][column][input channel][output channels of the group]`, not padded.

use crate::args::ConvShape;
use crate::element::Element;

/// Output channels of a panel.
pub const NR: usize = 8;
/// Consecutive `k` of one channel that lie together in W8 panels.
pub const KR: usize = 4;
/// Output pixels a convolution tile gathers.
pub const MR: usize = 4;

const fn up(n: usize, m: usize) -> usize {
    n.div_ceil(m) * m
}

/// Length of the per-channel arrays of a layer.
pub const fn padded_channels(n: usize) -> usize {
    up(n, NR)
}

/// Channels of panel (or block) `index` of `n` channels: 8, fewer in the last.
pub const fn panel_channels(n: usize, index: usize) -> usize {
    let left = n.saturating_sub(index * NR);
    if left < NR { left } else { NR }
}

/// Bytes of full panels of `column` bytes a channel, a narrow one and the zeros behind it:
/// what a full group of `unit` bytes a channel needs beyond the narrow one's last.
const fn panels_bytes(n: usize, column: usize, unit: usize) -> usize {
    let rest = n % NR;
    n * column + if rest == 0 { 0 } else { (NR - rest) * unit }
}

/// Bytes of a packed W8 matrix of `n` rows of `k`.
pub const fn w8_bytes(n: usize, k: usize) -> usize {
    panels_bytes(n, up(k, KR), KR)
}

/// Bytes of the packed W8 weights of a convolution.
pub const fn conv_w8_bytes(groups: usize, out_c: usize, in_c: usize, taps: usize) -> usize {
    match (out_c.checked_div(groups), in_c.checked_div(groups)) {
        (Some(out_c), Some(in_c)) => groups * w8_bytes(out_c, taps * in_c),
        _ => 0,
    }
}

/// Bytes of the packed W8 weights of a depthwise convolution.
pub const fn depthwise_w8_bytes(channels: usize, taps: usize) -> usize {
    panels_bytes(channels, up(taps, 2), 2)
}

/// Where entry `col` of row `row` lies in a packed W8 matrix of `n` rows of `k`.
pub const fn w8_at(n: usize, k: usize, row: usize, col: usize) -> usize {
    let panel = row / NR;
    panel * NR * up(k, KR) + col / KR * (panel_channels(n, panel) * KR) + row % NR * KR + col % KR
}

/// Where a tap of a channel lies in packed W8 depthwise weights.
pub const fn depthwise_w8_at(channels: usize, taps: usize, channel: usize, tap: usize) -> usize {
    let block = channel / NR;
    block * NR * up(taps, 2) + tap / 2 * (panel_channels(channels, block) * 2) + channel % NR * 2 + tap % 2
}

/// Packs `n` rows of `k` (row-major) into panels. `out` is [`w8_bytes`] long.
pub fn pack_w8(rows: &[i8], n: usize, k: usize, out: &mut [i8]) {
    out.fill(0);
    for row in 0..n {
        for col in 0..k {
            out[w8_at(n, k, row, col)] = rows[row * k + col];
        }
    }
}

/// Packs `[taps][channels]` depthwise weights. `out` is [`depthwise_w8_bytes`] long.
pub fn pack_depthwise_w8(weights: &[i8], channels: usize, taps: usize, out: &mut [i8]) {
    out.fill(0);
    for tap in 0..taps {
        for channel in 0..channels {
            out[depthwise_w8_at(channels, taps, channel, tap)] = weights[tap * channels + channel];
        }
    }
}

/// Scratch of a product of two int8 matrices, the right one `[n, k]`: it packed, and `n` f32.
pub const fn matmul_i8_scratch(n: usize, k: usize) -> usize {
    w8_bytes(n, k) + 4 * n
}

/// Elements of a packed f32 matrix of `n` rows of `k`.
pub const fn f32_elements(n: usize, k: usize) -> usize {
    up(n, NR) * k
}

/// Packs `n` rows of `k` (row-major) into panels of an f32 layer. `out` is [`f32_elements`] long.
pub fn pack_f32<E: Element>(rows: &[E], n: usize, k: usize, out: &mut [E]) {
    out.fill(E::default());
    for row in 0..n {
        for col in 0..k {
            out[row / NR * (NR * k) + col * NR + row % NR] = rows[row * k + col];
        }
    }
}

/// Elements of packed f32 depthwise weights.
pub const fn depthwise_f32_elements(channels: usize, taps: usize) -> usize {
    up(channels, NR) * taps
}

/// Packs `[taps][channels]` depthwise weights of an f32 layer. `out` is [`depthwise_f32_elements`] long.
pub fn pack_depthwise_f32<E: Element>(weights: &[E], channels: usize, taps: usize, out: &mut [E]) {
    out.fill(E::default());
    let padded = up(channels, NR);
    for tap in 0..taps {
        out[tap * padded..][..channels].copy_from_slice(&weights[tap * channels..][..channels]);
    }
}

/// Scratch of a W8 convolution: one tile of [`MR`] pixels, widened to i16.
pub const fn conv_w8_scratch(shape: &ConvShape) -> usize {
    match shape.in_c.checked_div(shape.groups) {
        Some(in_c) => MR * up(shape.kernel_h * shape.kernel_w * in_c, KR) * 2,
        None => 0,
    }
}

/// Scratch of a W8 depthwise convolution.
pub const fn depthwise_w8_scratch(_shape: &ConvShape) -> usize {
    0
}

/// Scratch of an f32 convolution: one tile of [`MR`] pixels.
pub const fn conv_f32_scratch(shape: &ConvShape) -> usize {
    MR * shape.kernel_h * shape.kernel_w * (shape.in_c / shape.groups) * 4
}

/// Scratch of an f32 depthwise convolution.
pub const fn depthwise_f32_scratch(_shape: &ConvShape) -> usize {
    0
}
