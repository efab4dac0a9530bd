//! Patches of int8 convolutions.

use core::arch::aarch64::*;
use core::ops::Range;

use super::mem::*;
use crate::args::ConvShape;
use crate::pack::KR;
use crate::window;

/// What is the same for all patches of a convolution.
pub struct Gather<'a> {
    x: &'a [i8],
    s: &'a ConvShape,
    pad_value: i8,
    /// Output rows and columns whose windows lie inside the input, where each row of the window
    /// is one run of the input; else none.
    inside: [Range<usize>; 2],
    /// Bytes of a row of the window; from a row of the window to the next.
    run: usize,
    line: usize,
    /// Bytes from the first run's begin to the last one's end, rounded up to 16, in the input and
    /// in a patch.
    read: usize,
    written: usize,
    /// Clears what is no k in the last quad of a patch.
    mask: u32,
}

impl<'a> Gather<'a> {
    pub fn new(x: &'a [i8], s: &'a ConvShape, pad_value: i8) -> Self {
        let axis = |size: usize, kernel: usize, stride: usize, dilation: usize, pad: usize| {
            let begin = pad.div_ceil(stride);
            let end = (size + pad).checked_sub((kernel - 1) * dilation + 1).map_or(0, |last| last / stride + 1);
            begin..end
        };
        let runs = s.dilation_w == 1 && s.groups == 1;
        let inside = if runs {
            [
                axis(s.in_h, s.kernel_h, s.stride_h, s.dilation_h, s.pad_top),
                axis(s.in_w, s.kernel_w, s.stride_w, s.dilation_w, s.pad_left),
            ]
        } else {
            [0..0, 0..0]
        };
        let k = s.kernel_h * s.kernel_w * (s.in_c / s.groups);
        let mask = u32::MAX >> (8 * (k.next_multiple_of(KR) - k));
        let (run, line) = (s.kernel_w * s.in_c, s.dilation_h * s.in_w * s.in_c);
        let last = |stride: usize| (s.kernel_h - 1) * stride + run.next_multiple_of(16);
        Self { x, s, pad_value, inside, run, line, read: last(line), written: last(run), mask }
    }

    /// Writes the patch of output pixel `at` and `group`, padded with zeros to `row` bytes (whole
    /// quads), to the front of `to`; what lies behind it in `to` may be overwritten too.
    #[inline]
    #[target_feature(enable = "neon")]
    pub fn patch(&self, at: (usize, usize, usize), group: usize, to: &mut [i8], row: usize) {
        if self.inside[0].contains(&at.1) && self.inside[1].contains(&at.2) {
            let start = window::cell(self.s, at, 0, 0) * self.s.in_c;
            if self.written <= to.len() && start + self.read <= self.x.len() {
                // SAFETY: the last run, rounded up, ends inside of both slices.
                unsafe { self.copy_runs(start, to) };
                return self.clear(to, row);
            }
        }
        self.patch_of_any(at, group, to);
        self.clear(to, row);
    }

    /// Windows that reach over an edge of the input, or are dilated or of a group.
    #[inline(never)]
    #[target_feature(enable = "neon")]
    fn patch_of_any(&self, at: (usize, usize, usize), group: usize, to: &mut [i8]) {
        let mut done = 0;
        window::patch_runs(self.s, at, group, |start, len| {
            let to = &mut to[done..];
            match start {
                Some(start) => copy_over(&self.x[start..], len, to),
                None => fill_over(self.pad_value, len, to),
            }
            done += len;
        });
    }

    /// Copies the rows of the window whose first begins at `start`, in steps of 16 bytes.
    ///
    /// # Safety
    /// Each of them, rounded up to 16 bytes, lies in `x` and in `to`.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn copy_runs(&self, start: usize, to: &mut [i8]) {
        let (x, to) = (self.x.as_ptr(), to.as_mut_ptr());
        for ky in 0..self.s.kernel_h {
            let mut i = 0;
            while i < self.run {
                // SAFETY: the caller's claim.
                unsafe { vst1q_s8(to.add(ky * self.run + i), vld1q_s8(x.add(start + ky * self.line + i))) };
                i += 16;
            }
        }
    }

    #[inline]
    fn clear(&self, to: &mut [i8], row: usize) {
        if let Some(quad) = to[..row].last_chunk_mut::<KR>() {
            let bytes = u32::from_le_bytes(quad.map(|x| x as u8)) & self.mask;
            *quad = bytes.to_le_bytes().map(|x| x as i8);
        }
    }
}

/// Copies the first `len` elements of `x`, and up to 15 more where both have room.
#[inline]
#[target_feature(enable = "neon")]
fn copy_over(x: &[i8], len: usize, to: &mut [i8]) {
    let mut done = 0;
    while done < len {
        let (x, to) = (&x[done..], &mut to[done..]);
        match (x.first_chunk::<16>(), to.first_chunk_mut::<16>()) {
            (Some(x), Some(to)) => store16(to, load16(x)),
            _ => return to[..len - done].copy_from_slice(&x[..len - done]),
        }
        done += 16;
    }
}

/// Writes `value` `len` times, and up to 15 times more where there is room.
#[inline]
#[target_feature(enable = "neon")]
fn fill_over(value: i8, len: usize, to: &mut [i8]) {
    let mut done = 0;
    while done < len {
        let to = &mut to[done..];
        match to.first_chunk_mut::<16>() {
            Some(to) => store16(to, vdupq_n_s8(value)),
            None => return to[..len - done].fill(value),
        }
        done += 16;
    }
}
