//! Order of weights with fewer than 8 bits in the artifact, read by the kernels of every
//! instruction set as it lies, and scratch sizes.
//!
//! **Layers (conv, dense).** Panels of 8 channels as in [`crate::pack`]; k in the same order. A
//! run is `[channels of the panel][4 bytes]`: 32 bytes, fewer in the last panel, which zeros
//! follow so that 32 bytes can be read at its last run. Codes are unsigned; k is padded with
//! code 0 to whole blocks.
//!
//! | width | block | runs of a block |
//! |---|---|---|
//! | W4 | 8 k | byte j: k = j in its low half, k = 4 + j in its high half |
//! | W2, T2 | 16 k | bits 2f and 2f + 1 of byte j: k = 4f + j |
//! | W3 | 32 k | the low two bits of k 0..16 and of k 16..32 as W2; then bit f of byte j: bit 2 of k = 4f + j |
//!
//! **Group scales and offsets.** `[convolution group][panel][k group][channels of the panel]`.
//!
//! **Depthwise.** The codes of the order [`crate::pack::depthwise_w8_at`], padding included
//! (code `zero`): W4 two a byte and W2, T2 four a byte, the first lowest; W3 the low two bits
//! likewise, then the third bits, eight a byte.

use crate::args::ConvShape;
pub use crate::code::Width;
use crate::pack::{MR, NR, depthwise_w8_at, depthwise_w8_bytes, depthwise_w8_scratch, panel_channels};

/// Bytes of a channel in a run.
const WORD: usize = 4;
/// k that a sum of activations spans at least: group sizes are multiples of it, and so is the
/// padded length of rows in scratch.
pub const SPAN: usize = 32;

/// Bytes of one channel's codes.
const fn column(width: Width, k: usize) -> usize {
    k.div_ceil(width.block()) * width.runs() * WORD
}

/// Bytes of the packed codes of `n` rows of `k`.
pub const fn low_bytes(width: Width, n: usize, k: usize) -> usize {
    let rest = n % NR;
    n * column(width, k) + if rest == 0 { 0 } else { (NR - rest) * WORD }
}

/// Bytes of a panel of `channels` channels, without the zeros behind the last one.
pub const fn panel_bytes(width: Width, channels: usize, k: usize) -> usize {
    channels * column(width, k)
}

/// Bytes of the packed codes of a convolution.
pub const fn conv_low_bytes(width: Width, groups: usize, out_c: usize, in_c: usize, taps: usize) -> usize {
    match (out_c.checked_div(groups), in_c.checked_div(groups)) {
        (Some(out_c), Some(in_c)) => groups * low_bytes(width, out_c, taps * in_c),
        _ => 0,
    }
}

/// Groups of k that have a scale; 1 where `group` is 0, the whole row.
pub const fn groups_of(k: usize, group: usize) -> usize {
    if group == 0 { 1 } else { k.div_ceil(group) }
}

/// Where the scale of k group `g` of `row` lies among those of `n` rows.
pub const fn scale_at(n: usize, groups: usize, row: usize, g: usize) -> usize {
    let panel = row / NR;
    panel * NR * groups + g * panel_channels(n, panel) + row % NR
}

/// Byte and lowest bit of the code of entry `col` of `row`; for W3 those of its low two bits.
const fn low_at(width: Width, n: usize, k: usize, row: usize, col: usize) -> (usize, u32) {
    let panel = row / NR;
    let live = panel_channels(n, panel);
    let (run, bit) = match width {
        Width::W4 => (col / 8, col % 8 / 4 * 4),
        Width::W2 | Width::T2 => (col / 16, col % 16 / 4 * 2),
        Width::W3 => (col / 32 * 3 + col % 32 / 16, col % 16 / 4 * 2),
    };
    (panel * NR * column(width, k) + run * live * WORD + row % NR * WORD + col % 4, bit as u32)
}

/// Byte and bit of the third bit of a W3 code.
const fn high_at(n: usize, k: usize, row: usize, col: usize) -> (usize, u32) {
    let panel = row / NR;
    let run = col / 32 * 3 + 2;
    let at = panel * NR * column(Width::W3, k) + run * panel_channels(n, panel) * WORD + row % NR * WORD + col % 4;
    (at, (col % 32 / 4) as u32)
}

/// The code of entry `col` of `row` in packed codes of `n` rows of `k`.
pub fn low_code(width: Width, codes: &[u8], n: usize, k: usize, row: usize, col: usize) -> u8 {
    let (at, bit) = low_at(width, n, k, row, col);
    let byte = |at: usize| codes.get(at).copied().unwrap_or(0);
    match width {
        Width::W3 => {
            let (high, of) = high_at(n, k, row, col);
            byte(at) >> bit & 3 | (byte(high) >> of & 1) << 2
        }
        _ => byte(at) >> bit & ((1 << width.bits()) - 1) as u8,
    }
}

/// Puts the code of entry `col` of `row` into packed codes of `n` rows of `k` whose bits are zero
/// there; nothing where `out` is too short.
pub fn put_code(width: Width, out: &mut [u8], (n, k): (usize, usize), (row, col): (usize, usize), code: u8) {
    let mut put = |(at, bit): (usize, u32), bits: u8| {
        if let Some(byte) = out.get_mut(at) {
            *byte |= bits << bit;
        }
    };
    put(low_at(width, n, k, row, col), code & if width.bits() == 4 { 15 } else { 3 });
    if width == Width::W3 {
        put(high_at(n, k, row, col), code >> 2 & 1);
    }
}

/// Packs codes `[n, k]` (row-major). `out` is [`low_bytes`] long.
pub fn pack_low(width: Width, codes: &[u8], n: usize, k: usize, out: &mut [u8]) {
    out.fill(0);
    for row in 0..n {
        for col in 0..k {
            put_code(width, out, (n, k), (row, col), codes[row * k + col]);
        }
    }
}

/// Puts values `[n, groups]` (row-major) in the order of [`scale_at`].
pub fn pack_scales<T: Copy>(values: &[T], n: usize, groups: usize, out: &mut [T]) {
    for row in 0..n {
        for g in 0..groups {
            out[scale_at(n, groups, row, g)] = values[row * groups + g];
        }
    }
}

/// Bytes of the packed codes of a depthwise convolution.
pub const fn depthwise_low_bytes(width: Width, channels: usize, taps: usize) -> usize {
    let codes = depthwise_w8_bytes(channels, taps);
    match width {
        Width::W4 => codes.div_ceil(2),
        Width::W2 | Width::T2 => codes.div_ceil(4),
        Width::W3 => codes.div_ceil(4) + codes.div_ceil(8),
    }
}

/// Packs codes `[taps][channels]`. `out` is [`depthwise_low_bytes`] long.
pub fn pack_depthwise_low(width: Width, codes: &[u8], zero: u8, channels: usize, taps: usize, out: &mut [u8]) {
    clear_depthwise_low(width, zero, channels, taps, out);
    for tap in 0..taps {
        for channel in 0..channels {
            put_depthwise_code(width, out, (channels, taps), (channel, tap), codes[tap * channels + channel]);
        }
    }
}

/// Fills packed codes of a depthwise convolution with `zero`.
pub fn clear_depthwise_low(width: Width, zero: u8, channels: usize, taps: usize, out: &mut [u8]) {
    let len = depthwise_w8_bytes(channels, taps);
    (0..len).for_each(|at| put_at(width, out, len, at, zero));
}

/// Puts the code of a tap of a channel into packed codes of a depthwise convolution; nothing where
/// `out` is too short.
pub fn put_depthwise_code(
    width: Width,
    out: &mut [u8],
    (channels, taps): (usize, usize),
    (channel, tap): (usize, usize),
    code: u8,
) {
    let len = depthwise_w8_bytes(channels, taps);
    put_at(width, out, len, depthwise_w8_at(channels, taps, channel, tap), code);
}

/// Puts code `at` of `len`.
fn put_at(width: Width, out: &mut [u8], len: usize, at: usize, code: u8) {
    let mut bits = |at: usize, bit: usize, mask: u8, value: u8| {
        if let Some(byte) = out.get_mut(at) {
            *byte = *byte & !(mask << bit) | (value & mask) << bit;
        }
    };
    match width {
        Width::W4 => bits(at / 2, at % 2 * 4, 15, code),
        _ => {
            bits(at / 4, at % 4 * 2, 3, code);
            if width == Width::W3 {
                bits(len.div_ceil(4) + at / 8, at % 8, 1, code >> 2);
            }
        }
    }
}

/// The weights `code − zero` of a packed depthwise convolution, in the order of W8. `out` is
/// `depthwise_w8_bytes` long.
pub fn unpack_depthwise_low(width: Width, codes: &[u8], zero: u8, out: &mut [i8]) {
    let high = out.len().div_ceil(4);
    let byte = |at: usize| codes.get(at).copied().unwrap_or(0);
    for (at, out) in out.iter_mut().enumerate() {
        let code = match width {
            Width::W4 => byte(at / 2) >> (at % 2 * 4) & 15,
            Width::W2 | Width::T2 => byte(at / 4) >> (at % 4 * 2) & 3,
            Width::W3 => byte(at / 4) >> (at % 4 * 2) & 3 | (byte(high + at / 8) >> (at % 8) & 1) << 2,
        };
        *out = (code as i8).wrapping_sub(zero as i8);
    }
}

/// k of a row in scratch: padded to whole spans.
pub const fn padded_k(k: usize) -> usize {
    k.div_ceil(SPAN) * SPAN
}

/// Scratch of a tile of up to [`MR`] rows of `k`: 2 bytes for each padded k, and 4 for each span.
const fn tile_scratch(rows: usize, k: usize) -> usize {
    let rows = if rows < MR { rows } else { MR };
    rows * (padded_k(k) * 2 + padded_k(k) / SPAN * 4)
}

/// Scratch of a dense layer of `rows` rows of `k`.
pub const fn dense_low_scratch(rows: usize, k: usize) -> usize {
    tile_scratch(rows, k)
}

/// Scratch of a convolution.
pub const fn conv_low_scratch(shape: &ConvShape) -> usize {
    match shape.in_c.checked_div(shape.groups) {
        Some(in_c) => tile_scratch(MR, shape.kernel_h * shape.kernel_w * in_c),
        None => 0,
    }
}

/// Scratch of a depthwise convolution: its weights as W8, then the scratch of that.
pub const fn depthwise_low_scratch(shape: &ConvShape) -> usize {
    depthwise_w8_bytes(shape.out_c, shape.kernel_h * shape.kernel_w) + depthwise_w8_scratch(shape)
}
