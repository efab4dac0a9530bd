//! `depthwise_w8__dsp_4x1`: one channel, four pixels of a line.
//!
//! The input of a band of output pixels is copied, one channel of it widened to i16 and
//! surrounded by padding, to a plane on the stack. What follows knows no border. Lines run along
//! the axis that wastes fewer of the four pixels.

use super::asm::Mode;
use super::epilogue::{self, Block, per_channel};
use super::gather::under_tap;
use super::panels::FOLDED;
use super::plane::{self, Task, Window};
use crate::args::*;
use crate::pack::{NR, depthwise_w8_at};
use crate::window;

/// Cells of the plane: 1.4 KiB.
const CELLS: usize = 720;
/// Words for the weights of one channel.
const WEIGHTS: usize = 32;
/// Longest line of a band.
const LINE: usize = 48;

type Cells = [u32; CELLS / 2];

/// One axis of the convolution; steps in pixels, or taps.
struct Axis {
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    pad: usize,
    x_step: usize,
    out_step: usize,
    tap_step: usize,
}

#[rustfmt::skip]
impl Axis {
    fn rows(s: &ConvShape) -> Self {
        Self {
            input: s.in_h, output: s.out_h, kernel: s.kernel_h, stride: s.stride_h, dilation: s.dilation_h,
            pad: s.pad_top, x_step: s.in_w, out_step: s.out_w, tap_step: s.kernel_w,
        }
    }

    fn cols(s: &ConvShape) -> Self {
        Self {
            input: s.in_w, output: s.out_w, kernel: s.kernel_w, stride: s.stride_w, dilation: s.dilation_w,
            pad: s.pad_left, x_step: 1, out_step: 1, tap_step: 1,
        }
    }
}

impl Axis {
    /// Cells under the windows of `outputs` outputs.
    fn reach(&self, outputs: usize) -> usize {
        (outputs - 1) * self.stride + (self.kernel - 1) * self.dilation + 1
    }

    /// Of `cells` cells from padded position `from` on: how many lie before the input, how many
    /// inside, and where in the input those begin.
    fn inside(&self, from: usize, cells: usize) -> [usize; 3] {
        let before = self.pad.saturating_sub(from).min(cells);
        let inside = (self.input + self.pad).saturating_sub(from + before).min(cells - before);
        [before, inside, (from + before).saturating_sub(self.pad)]
    }
}

/// How the plane is used: lines along one axis, bands of `lines` lines of `cols` outputs.
struct Plan<'a> {
    s: &'a ConvShape,
    across: Axis,
    along: Axis,
    lines: usize,
    cols: usize,
    /// Cells of a line of the plane, even.
    width: usize,
    /// Words of weights of a line of the window, and whether they hold two taps each.
    pairs: usize,
    paired: bool,
}

impl<'a> Plan<'a> {
    /// `None` where the plane is too small.
    #[inline(never)]
    fn new(s: &'a ConvShape) -> Option<Self> {
        let (mut across, mut along) = (Axis::rows(s), Axis::cols(s));
        if across.output.div_ceil(4) * along.output < along.output.div_ceil(4) * across.output {
            core::mem::swap(&mut across, &mut along);
        }
        let paired = along.dilation == 1;
        let pairs = if paired { along.kernel.div_ceil(2) } else { along.kernel };
        // Outputs of a line are computed by fours, taps in pairs.
        let cells = CELLS.checked_sub(3 * along.stride + 2)?;
        let widest = cells.checked_div(across.reach(1))? / 2 * 2;
        let fit = widest.checked_sub(along.reach(1))?.checked_div(along.stride)? + 1;
        let cols = along.output.min(fit).min(LINE);
        let width = along.reach(cols).next_multiple_of(2);
        let lines = cells.checked_div(width)?.checked_sub(across.reach(1))?.checked_div(across.stride)? + 1;
        let lines = lines.min(across.output);
        (pairs * across.kernel <= WEIGHTS).then_some(Self { s, across, along, lines, cols, width, pairs, paired })
    }

    /// Where both taps of each word of weights lie in a block of `channels` channels;
    /// `u16::MAX` for none.
    #[inline(never)]
    fn offsets(&self, channels: usize) -> [[u16; 2]; WEIGHTS] {
        let mut offsets = [[u16::MAX; 2]; WEIGHTS];
        for line in 0..self.across.kernel {
            for i in 0..self.along.kernel {
                let (word, half) = if self.paired { (i / 2, i % 2) } else { (i, 0) };
                let tap = line * self.across.tap_step + i * self.along.tap_step;
                if let Some(offsets) = offsets.get_mut(line * self.pairs + word) {
                    offsets[half] = (tap / 2 * channels * 2 + tap % 2) as u16;
                }
            }
        }
        offsets
    }
}

/// Needs no scratch. Windows too large for the plane take a plain loop. Exact.
pub fn depthwise(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, mut output: Output<'_>) {
    if s.kernel_h * s.kernel_w == 0 || s.out_h * s.out_w * s.out_c == 0 {
        return;
    }
    let Some(plan) = Plan::new(s) else { return plain(x, w, s, pad_value, &mut output) };
    let mut cells = [0u32; CELLS / 2];
    let pad = pad_value as u16 as u32 * 0x1_0001;
    for b in 0..s.batch {
        for line in (0..plan.across.output).step_by(plan.lines.max(1)) {
            for col in (0..plan.along.output).step_by(plan.cols.max(1)) {
                cells.fill(pad);
                let lines = plan.lines.min(plan.across.output - line);
                let cols = plan.cols.min(plan.along.output - col);
                Band { plan: &plan, b, line, col, lines, cols }.run(x, w, &mut cells, &mut output);
            }
        }
    }
}

/// Whether the inner loops have the epilogue of a channel.
fn is_fused(q: &Requant<'_>, channel: usize) -> bool {
    matches!(q.bias, Bias::I32(_)) && q.residual.is_none() && per_channel(q.shift, channel) >= 2
}

/// Output pixels whose windows the plane holds.
struct Band<'a> {
    plan: &'a Plan<'a>,
    b: usize,
    line: usize,
    col: usize,
    lines: usize,
    cols: usize,
}

impl Band<'_> {
    /// One channel after the other.
    fn run(&self, x: &[i8], w: &[i8], cells: &mut Cells, output: &mut Output<'_>) {
        let Plan { s, across, along, width, pairs, .. } = self.plan;
        let (width, channels) = (*width, s.out_c);
        // Cells inside of the input.
        let [above, lines, y] = across.inside(self.line * across.stride, across.reach(self.lines));
        let [before, n, z] = along.inside(self.col * along.stride, along.reach(self.cols));
        let from = (self.b * s.in_h * s.in_w + y * across.x_step + z * along.x_step) * channels;
        let (x_step, x_line) = (along.x_step * channels, across.x_step * channels);
        let to = above * width + before;
        let some = lines > 0 && n > 0;
        // The last cell read: by the last of four outputs, by the partner of its last tap.
        let last = (across.reach(self.lines) - 1) * width + along.reach(self.cols.next_multiple_of(4)) + 1;
        let x_end = if some { from + (lines - 1) * x_line + (n - 1) * x_step + channels } else { 0 };
        if last > CELLS || x_end > x.len() || (some && to + (lines - 1) * width + n > CELLS) {
            return;
        }
        let pixel = self.b * s.out_h * s.out_w + self.line * across.out_step + self.col * along.out_step;
        let mut words = [0u32; WEIGHTS];
        let mut task = self.task(cells, &words);
        let block = NR * (s.kernel_h * s.kernel_w).next_multiple_of(2);
        let mut offsets = self.plan.offsets(NR);
        let used = pairs * across.kernel;
        for channel in 0..channels {
            if some {
                let cells = cells.as_mut_ptr().cast::<i16>();
                // SAFETY: the last byte, for the last channel, and the last cell were compared
                // with the lengths above.
                unsafe {
                    plane::widen(x.as_ptr().add(from + channel), cells.add(to), n, x_step, lines, x_line, width * 2);
                }
            }
            if channel.is_multiple_of(NR) && channels - channel < NR {
                offsets = self.plan.offsets(channels - channel);
            }
            let w = w.get(channel / NR * block + channel % NR * 2..).unwrap_or_default();
            for (word, at) in words.iter_mut().zip(&offsets).take(used) {
                let [low, high] = at.map(|at| w.get(at as usize).copied().unwrap_or_default() as u16 as u32);
                *word = low | high << 16;
            }
            task.weights = words.as_ptr();
            task.plane = cells.as_ptr().cast();
            task.lines = self.lines;
            match output {
                Output::I8(q, out) if is_fused(q, channel) => {
                    let Bias::I32(bias) = q.bias else { return };
                    let first = pixel * channels + channel;
                    let end = first + (self.lines - 1) * task.out_line + (self.cols - 1) * task.out_step;
                    let Some(out) = out.get_mut(first..end + 1) else { return };
                    let k = per_channel(q.shift, channel);
                    let full = (q.lo, q.hi) == (-128, 127) && k <= FOLDED;
                    task.mode = if full { Mode::Full } else { Mode::Clamped };
                    task.bias = per_channel(bias, channel);
                    task.multiplier = per_channel(q.multiplier, channel);
                    task.rounding = if full { 2 * q.zero_point + 1 } else { 1 } << ((k - 2) & 31);
                    task.shift = (k - 1) as u32 & 31;
                    (task.lo, task.hi, task.zero_point) = (q.lo as i32, q.hi as i32, q.zero_point);
                    task.out = out.as_mut_ptr();
                    // SAFETY: the cells were compared with their number, the outputs are in `out`.
                    unsafe { plane::lines(&mut task) }
                }
                _ => self.sums(&mut task, pixel, channel, output),
            }
        }
    }

    fn task(&self, cells: &Cells, words: &[u32; WEIGHTS]) -> Task {
        let Plan { s, across, along, width, pairs, .. } = self.plan;
        let three = (across.kernel, along.kernel, along.dilation) == (3, 3, 1);
        Task {
            weights: words.as_ptr(),
            row_step: across.dilation * width * 2,
            bias: 0,
            window: match along.stride {
                1 if three => Window::Three1,
                2 if three => Window::Three2,
                _ => Window::Any,
            },
            multiplier: 0,
            rounding: 0,
            shift: 0,
            mode: Mode::Sums,
            out: core::ptr::null_mut(),
            out_step: along.out_step * s.out_c,
            out_line: across.out_step * s.out_c,
            plane: cells.as_ptr().cast(),
            plane_line: across.stride * width * 2,
            lines: self.lines,
            outputs: self.cols,
            x_step: along.stride * 2,
            rows: across.kernel,
            pairs: *pairs,
            pair_step: if along.dilation == 1 { 4 } else { along.dilation * 2 },
            lo: 0,
            hi: 0,
            zero_point: 0,
            state: [0; 4],
        }
    }

    /// The outputs of one channel by sums, line by line.
    #[cold]
    #[inline(never)]
    fn sums(&self, task: &mut Task, pixel: usize, channel: usize, output: &mut Output<'_>) {
        let Plan { s, across, along, .. } = self.plan;
        (task.mode, task.bias) = (Mode::Sums, 0);
        for line in 0..self.lines {
            let mut sums = [0i32; LINE];
            task.out = sums.as_mut_ptr().cast();
            task.lines = 1;
            // SAFETY: as for fused outputs; the sums of a line, by fours, fit `LINE`. The loops
            // have moved `plane` to the line.
            unsafe { plane::lines(task) }
            let row = pixel + line * across.out_step;
            let (row_step, channels) = (along.out_step, s.out_c);
            let block = Block { row, row_step, rows: self.cols, channel, live: 1, channels };
            epilogue::store(output, &block, &sums, self.cols);
        }
    }
}

/// One output after the other.
#[cold]
#[inline(never)]
fn plain(x: &[i8], w: &[i8], s: &ConvShape, pad_value: i8, output: &mut Output<'_>) {
    let mut at = (0, 0, 0);
    for row in 0..s.batch * s.out_h * s.out_w {
        for channel in 0..s.out_c {
            let (mut sum, mut tap) = (0i32, 0);
            for ky in 0..s.kernel_h {
                for kx in 0..s.kernel_w {
                    let value = under_tap(x, s, at, [ky, kx], channel, pad_value);
                    let weight = per_channel(w, depthwise_w8_at(s.out_c, s.kernel_h * s.kernel_w, channel, tap));
                    sum = sum.wrapping_add(value as i32 * weight as i32);
                    tap += 1;
                }
            }
            epilogue::store_one(output, row, channel, s.out_c, sum);
        }
        at = window::next_pixel(s, at);
    }
}
