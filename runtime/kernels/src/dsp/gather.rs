//! Patches of convolutions, widened as the inner loops read them.
//!
//! Rows are padded to whole quads with what happens to follow: weights are zero there.

use super::epilogue::per_channel;
use super::patch::{self, Runs, Task};
use crate::args::ConvShape;
use crate::pack::KR;
use crate::window;

/// Longest patch that is put together from bytes before it is widened.
const KEPT: usize = 128;

/// The patches of a convolution's output pixels.
pub struct Patches<'a> {
    x: &'a [i8],
    s: &'a ConvShape,
    in_c: usize,
    /// Neither groups nor taps apart: lines of the window are runs of the input.
    whole: bool,
    /// The patch of a pixel without padding.
    inner: Runs,
    task: Task,
    /// Whether that is copied before it is widened.
    copied: bool,
    /// Rows and columns where it can begin.
    starts: [usize; 2],
    kept: [i8; KEPT + KR],
}

impl<'a> Patches<'a> {
    pub fn new(x: &'a [i8], s: &'a ConvShape, pad_value: i8) -> Self {
        let in_c = s.in_c / s.groups.max(1);
        let line = s.dilation_h * s.in_w * s.in_c;
        let middle = s.kernel_w * in_c;
        let inner = Runs { above: 0, rows: s.kernel_h, below: 0, left: 0, middle, right: 0, pad_value, line };
        let copied = !middle.is_multiple_of(KR);
        let whole = s.groups == 1 && s.dilation_w == 1;
        let starts = |size: usize, kernel: usize, dilation: usize| size.saturating_sub((kernel - 1) * dilation);
        let starts = if whole && !(copied && s.kernel_h * middle > KEPT) {
            [starts(s.in_h, s.kernel_h, s.dilation_h), starts(s.in_w, s.kernel_w, s.dilation_w)]
        } else {
            [0; 2]
        };
        Self { x, s, in_c, whole, inner, task: inner.task(!copied), copied, starts, kept: [0; KEPT + KR] }
    }

    /// Widens the patch of output pixel `at` (batch, row, column) and `group`.
    #[inline]
    pub fn widen(&mut self, at: (usize, usize, usize), group: usize, to: &mut [u32], step: usize) {
        let s = self.s;
        let y = (at.1 * s.stride_h).wrapping_sub(s.pad_top);
        let z = (at.2 * s.stride_w).wrapping_sub(s.pad_left);
        if y < self.starts[0] && z < self.starts[1] {
            let first = ((at.0 * s.in_h + y) * s.in_w + z) * s.in_c;
            let x = self.x.get(first..).unwrap_or_default();
            if !self.copied {
                return self.task.widen(x, to, step);
            } else if self.task.copy(x, &mut self.kept) {
                return self.widen_kept(to, step);
            }
        }
        self.widen_border(at, group, to, step);
    }

    fn widen_kept(&self, to: &mut [u32], step: usize) {
        let k = self.s.kernel_h * self.inner.middle;
        patch::widen(self.kept.get(..k.next_multiple_of(KR)).unwrap_or_default(), to, step);
    }

    /// Any patch.
    #[inline(never)]
    fn widen_border(&mut self, at: (usize, usize, usize), group: usize, to: &mut [u32], step: usize) {
        let (runs, first) = self.border(at);
        let x = self.x.get(first..).unwrap_or_default();
        let widen = self.in_c.is_multiple_of(KR);
        let k = self.s.kernel_h * self.inner.middle;
        let mut task = runs.task(widen);
        if self.whole && widen {
            task.widen(x, to, step);
        } else if self.whole && k <= KEPT && task.copy(x, &mut self.kept) {
            self.widen_kept(to, step);
        } else {
            self.by_taps(at, group, to, step);
        }
    }

    /// The patch of a pixel whose window leaves the input, and where its first cell inside lies.
    fn border(&self, at: (usize, usize, usize)) -> (Runs, usize) {
        let s = self.s;
        let [mut rows, cols] = window::inside(s, at);
        if cols.0 == cols.1 {
            rows = (s.kernel_h, s.kernel_h);
        }
        let line = self.inner.middle;
        let runs = Runs {
            above: rows.0 * line,
            rows: rows.1 - rows.0,
            below: (s.kernel_h - rows.1) * line,
            left: cols.0 * self.in_c,
            middle: (cols.1 - cols.0) * self.in_c,
            right: (s.kernel_w - cols.1) * self.in_c,
            ..self.inner
        };
        (runs, window::cell(s, at, rows.0, cols.0).wrapping_mul(s.in_c))
    }

    /// One value after the other.
    #[cold]
    #[inline(never)]
    fn by_taps(&self, at: (usize, usize, usize), group: usize, to: &mut [u32], step: usize) {
        let s = self.s;
        let mut i = 0;
        for ky in 0..s.kernel_h {
            for kx in 0..s.kernel_w {
                for c in 0..self.in_c {
                    let value = under_tap(self.x, s, at, [ky, kx], group * self.in_c + c, self.inner.pad_value);
                    let Some(word) = to.get_mut(i / KR * step + i % 2 * (step / 2)) else { return };
                    let value = value as u16 as u32;
                    *word = if i % KR >= 2 { *word & 0xffff | value << 16 } else { value };
                    i += 1;
                }
            }
        }
    }
}

/// The value of `channel` under a tap of the window of output pixel `at`.
#[cold]
#[inline(never)]
pub fn under_tap(
    x: &[i8],
    s: &ConvShape,
    at: (usize, usize, usize),
    tap: [usize; 2],
    channel: usize,
    pad_value: i8,
) -> i8 {
    let y = (at.1 * s.stride_h + tap[0] * s.dilation_h).wrapping_sub(s.pad_top);
    let z = (at.2 * s.stride_w + tap[1] * s.dilation_w).wrapping_sub(s.pad_left);
    if y >= s.in_h || z >= s.in_w {
        return pad_value;
    }
    per_channel(x, ((at.0 * s.in_h + y) * s.in_w + z) * s.in_c + channel)
}
