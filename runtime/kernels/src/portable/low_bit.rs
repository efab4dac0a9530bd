//! `dense_w4__portable_4x8`, `conv2d_w4__portable_4x8`, … : tiles of 4 rows or patches times 8
//! channels of weights with fewer than 8 bits.
//!
//! Scratch holds the rows of a tile as bytes, padded with zeros to whole spans, then the sums of
//! their spans.

use super::dot::VECTORS;
use super::{epilogue, gather};
use crate::args::*;
use crate::code::Code;
use crate::pack::{MR, NR, panel_channels};
use crate::pack_low::{SPAN, groups_of, low_bytes, padded_k, panel_bytes};
use crate::window;

/// Exact.
#[inline(always)]
pub fn dense<C: Code>(x: &[i8], w: &LowBit<'_>, rows: usize, mut output: Output<'_>, scratch: &mut [u8]) {
    let k = w.k;
    let panels = Panels { w: *w, channel: 0, channels: w.n };
    for (i, block) in x.chunks((MR * k).max(1)).enumerate().take(rows.div_ceil(MR)) {
        let tile = (rows - i * MR).min(MR);
        let Some(mut lines) = Lines::new(scratch, tile, k) else { return };
        for (row, x) in block.chunks(k.max(1)).enumerate().take(tile) {
            if let Some((line, rest)) = lines.line(row).and_then(|line| line.split_at_mut_checked(x.len())) {
                line.iter_mut().zip(x).for_each(|(to, &from)| *to = from as u8);
                rest.fill(0);
            }
        }
        lines.sum();
        panels.run::<C>(&lines, i * MR, &mut output);
    }
}

/// Exact.
#[inline(always)]
pub fn conv2d<C: Code>(
    x: &[i8],
    w: &LowBit<'_>,
    s: &ConvShape,
    pad_value: i8,
    mut output: Output<'_>,
    scratch: &mut [u8],
) {
    let (Some(in_c), Some(out_c)) = (s.in_c.checked_div(s.groups), s.out_c.checked_div(s.groups)) else { return };
    let k = s.kernel_h * s.kernel_w * in_c;
    let pixels = s.batch * s.out_h * s.out_w;
    for group in 0..s.groups {
        let Some(w) = of_conv_group::<C>(w, group) else { return };
        let panels = Panels { w, channel: group * out_c, channels: s.out_c };
        let (mut pixel, mut at) = (0, (0, 0, 0));
        while pixel < pixels {
            let tile = (pixels - pixel).min(MR);
            let Some(mut lines) = Lines::new(scratch, tile, k) else { return };
            for row in 0..tile {
                if let Some(line) = lines.line(row) {
                    gather::patch(x, s, at, group, pad_value, line);
                }
                at = window::next_pixel(s, at);
            }
            lines.sum();
            panels.run::<C>(&lines, pixel, &mut output);
            pixel += tile;
        }
    }
}

/// The weights of one group of a convolution.
#[inline(always)]
pub fn of_conv_group<'a, C: Code>(w: &LowBit<'a>, group: usize) -> Option<LowBit<'a>> {
    let scales = w.n * groups_of(w.k, w.group);
    Some(LowBit {
        codes: w.codes.get(group * low_bytes(C::WIDTH, w.n, w.k)..)?,
        scales: if w.scales.is_empty() { &[] } else { w.scales.get(group * scales..)? },
        offsets: if w.offsets.is_empty() { &[] } else { w.offsets.get(group * scales..)? },
        ..*w
    })
}

/// The rows of a tile and the sums of their spans.
struct Lines<'a> {
    bytes: &'a mut [u8],
    sums: &'a mut [[u8; 4]],
    /// Bytes of a row.
    line: usize,
    tile: usize,
}

impl<'a> Lines<'a> {
    #[inline(always)]
    fn new(scratch: &'a mut [u8], tile: usize, k: usize) -> Option<Self> {
        let line = padded_k(k);
        let (bytes, sums) = scratch.split_at_mut_checked(tile * line)?;
        Some(Self { bytes, sums: sums.as_chunks_mut().0.get_mut(..tile * (line / SPAN))?, line, tile })
    }

    #[inline(always)]
    fn line(&mut self, row: usize) -> Option<&mut [u8]> {
        self.bytes.get_mut(row * self.line..)?.get_mut(..self.line)
    }

    #[inline(always)]
    fn sum(&mut self) {
        for (sum, span) in self.sums.iter_mut().zip(self.bytes.chunks_exact(SPAN)) {
            *sum = span.iter().map(|&x| x as i8 as i32).sum::<i32>().to_le_bytes();
        }
    }

    /// Spans `first..first + count` of row `row`: their bytes and their sum.
    #[inline(always)]
    fn spans(&self, row: usize, first: usize, count: usize) -> (&[u8], i32) {
        let at = row * (self.line / SPAN) + first;
        let bytes = self.bytes.get(at * SPAN..).and_then(|bytes| bytes.get(..count * SPAN)).unwrap_or_default();
        let sums = self.sums.get(at..).and_then(|sums| sums.get(..count)).unwrap_or_default();
        (bytes, sums.iter().fold(0, |sum, &more| sum.wrapping_add(i32::from_le_bytes(more))))
    }
}

/// The weights of a layer, or of a group of a convolution.
struct Panels<'a> {
    w: LowBit<'a>,
    /// Of the output: the first one, and all.
    channel: usize,
    channels: usize,
}

impl Panels<'_> {
    /// Every channel of a tile whose first row is output row `row`.
    #[inline(always)]
    fn run<C: Code>(&self, lines: &Lines<'_>, row: usize, output: &mut Output<'_>) {
        for panel in 0..self.w.n.div_ceil(NR) {
            let live = panel_channels(self.w.n, panel);
            let channel = self.channel + panel * NR;
            let mut store =
                |j: usize, acc: &[i32; NR]| epilogue::store(output, row + j, channel, live, self.channels, acc);
            if lines.tile == MR {
                let sums: [[i32; NR]; MR] = self.sums::<C, MR>(lines, 0, panel, live);
                sums.iter().enumerate().for_each(|(j, acc)| store(j, acc));
            } else {
                for j in 0..lines.tile {
                    let [acc] = self.sums::<C, 1>(lines, j, panel, live);
                    store(j, &acc);
                }
            }
        }
    }

    /// Sums of `R` rows from `row` on times the `live` channels of a panel.
    #[inline(always)]
    fn sums<C: Code, const R: usize>(
        &self,
        lines: &Lines<'_>,
        row: usize,
        panel: usize,
        live: usize,
    ) -> [[i32; NR]; R] {
        let mut acc = [[0i32; NR]; R];
        let (w, width) = (&self.w, C::WIDTH);
        let codes = w.codes.get(panel * panel_bytes(width, NR, w.k)..).unwrap_or_default();
        let spans = lines.line / SPAN;
        let groups = groups_of(w.k, w.group);
        let per_group = if w.group == 0 { spans } else { w.group / SPAN };
        for g in 0..groups {
            let first = g * per_group;
            let count = per_group.min(spans - first);
            let codes = codes.get(panel_bytes(width, live, first * SPAN)..).unwrap_or_default();
            let rows: [(&[u8], i32); R] = core::array::from_fn(|r| lines.spans(row + r, first, count));
            let sums = dot::<C, R>(codes, live, rows.map(|(bytes, _)| bytes), w.k - first * SPAN);
            let place = panel * NR * groups + g * live;
            for c in 0..live.min(NR) {
                let scale = w.scales.get(place + c).map_or(1, |&s| i32::from(s));
                let offset = w.offsets.get(place + c).map_or(i32::from(w.zero) * scale, |&o| i32::from(o));
                for ((acc, sums), (_, x_sum)) in acc.iter_mut().zip(&sums).zip(&rows) {
                    let more = sums[c].wrapping_mul(scale).wrapping_sub(offset.wrapping_mul(*x_sum));
                    acc[c] = acc[c].wrapping_add(more);
                }
            }
        }
        acc
    }
}

/// Sums `code·x` of rows of whole spans; `k` is what is left of the layer's rows. Those past
/// `live` are unspecified.
#[inline(always)]
fn dot<C: Code, const R: usize>(codes: &[u8], live: usize, rows: [&[u8]; R], k: usize) -> [[i32; NR]; R] {
    // Several rows share what the codes take.
    if VECTORS || R > 1 { dot_lanes::<C, R>(codes, live, rows, k) } else { dot_registers::<C, R>(codes, live, rows, k) }
}

/// One channel and row after the other.
#[inline(never)]
fn dot_registers<C: Code, const R: usize>(codes: &[u8], live: usize, rows: [&[u8]; R], k: usize) -> [[i32; NR]; R] {
    let block = C::WIDTH.block();
    let words = codes.as_chunks::<4>().0;
    let mut acc = [[0i32; NR]; R];
    let len = rows.first().map_or(0, |row| row.len()).min(k.next_multiple_of(block));
    for (acc, row) in acc.iter_mut().zip(rows) {
        let x = row.get(..len).unwrap_or_default().as_chunks::<4>().0;
        for (channel, acc) in acc.iter_mut().enumerate().take(live) {
            *acc = dot_channel::<C>(words.get(channel..).unwrap_or_default(), live, x);
        }
    }
    acc
}

/// Words `live` apart times the quads of a row.
#[inline(always)]
fn dot_channel<C: Code>(mut words: &[[u8; 4]], live: usize, x: &[[u8; 4]]) -> i32 {
    let mut sum = 0i32;
    for x in x.chunks_exact(C::WIDTH.block() / 4) {
        let mut block = [0u32; 3];
        for word in block.iter_mut().take(C::WIDTH.runs()) {
            let Some(&bytes) = words.first() else { return sum };
            *word = u32::from_le_bytes(bytes);
            words = words.get(live..).unwrap_or_default();
        }
        for (field, x) in x.iter().enumerate() {
            let four = C::four(&block, field) as i32;
            // An array's `map` would go through memory.
            let &[x0, x1, x2, x3] = x;
            let byte = |x: u8| i32::from(x as i8);
            let (x0, x1, x2, x3) = (byte(x0), byte(x1), byte(x2), byte(x3));
            sum = sum.wrapping_add((four & 255) * x0).wrapping_add((four >> 8 & 255) * x1);
            sum = sum.wrapping_add((four >> 16 & 255) * x2).wrapping_add((four >> 24) * x3);
        }
    }
    sum
}

/// The channels side by side.
#[inline(always)]
fn dot_lanes<C: Code, const R: usize>(codes: &[u8], live: usize, rows: [&[u8]; R], k: usize) -> [[i32; NR]; R] {
    let (block, runs) = (C::WIDTH.block(), C::WIDTH.runs());
    let (words, rows) = (codes.as_chunks::<4>().0, rows.map(|row| row.as_chunks::<4>().0));
    let mut acc = [[0i32; NR]; R];
    let blocks = rows.first().map_or(0, |row| row.len() * 4).min(k.next_multiple_of(block)) / block;
    for b in 0..blocks {
        let mut block_words = [[0u32; 3]; NR];
        for (c, of_channel) in block_words.iter_mut().enumerate().take(live) {
            for (run, word) in of_channel.iter_mut().enumerate().take(runs) {
                let bytes = words.get((b * runs + run) * live + c).copied().unwrap_or_default();
                *word = u32::from_le_bytes(bytes);
            }
        }
        for field in 0..block / 4 {
            let fours: [u32; NR] = core::array::from_fn(|c| C::four(&block_words[c], field));
            for (acc, row) in acc.iter_mut().zip(&rows) {
                let x = row.get(b * (block / 4) + field).copied().unwrap_or_default();
                let [x0, x1, x2, x3] = x;
                let byte = |x: u8| i32::from(x as i8);
                let (x0, x1, x2, x3) = (byte(x0), byte(x1), byte(x2), byte(x3));
                for (sum, four) in acc.iter_mut().zip(fours) {
                    let four = four as i32;
                    let low = (four & 255) * x0 + (four >> 8 & 255) * x1;
                    *sum = sum.wrapping_add(low + (four >> 16 & 255) * x2 + (four >> 24) * x3);
                }
            }
        }
    }
    acc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{T2, W2, W3, W4};
    use crate::testing::buffers::Rng;

    fn both<C: Code>(rng: &mut Rng) {
        for live in 1..=NR {
            for k in [32, 64, 96] {
                let codes: std::vec::Vec<u8> =
                    rng.i8s(panel_bytes(C::WIDTH, live, k)).iter().map(|&x| x as u8).collect();
                let rows: [std::vec::Vec<u8>; 4] =
                    core::array::from_fn(|_| rng.i8s(k).iter().map(|&x| x as u8).collect());
                let rows = [0, 1, 2, 3].map(|i| rows[i].as_slice());
                let (lanes, registers) =
                    (dot_lanes::<C, 4>(&codes, live, rows, k), dot_registers::<C, 4>(&codes, live, rows, k));
                for (lanes, registers) in lanes.iter().zip(&registers) {
                    assert_eq!(lanes[..live], registers[..live], "{:?} {live} {k}", C::WIDTH);
                }
            }
        }
    }

    #[test]
    fn both_forms_equal_each_other_on_random_panels_up_to_3_spans() {
        let rng = &mut Rng(21);
        both::<W4>(rng);
        both::<W3>(rng);
        both::<W2>(rng);
        both::<T2>(rng);
    }
}
