//! Patches of int8 convolutions: where the window of an output pixel lies in the input, or a
//! copy of it.

use core::arch::asm;

use super::product;
use crate::args::ConvShape;
use crate::pack::{KR, MR};
use crate::window;

/// The patches of consecutive output pixels of a group.
pub struct Patches<'a> {
    x: &'a [i8],
    s: &'a ConvShape,
    pad_value: i8,
    /// Bytes of a patch.
    k: usize,
    /// Where patches are one run of the input; else they are copied.
    direct: bool,
    /// Where those runs follow each other, one an output pixel: the bytes between them.
    flat: Option<usize>,
    /// Whether the taps of a window's row that lie inside are one run of the input.
    whole: bool,
    /// Bytes of a row of a window, and from one to the next.
    run: usize,
    line_step: usize,
    /// Bytes from a pixel's window to the next one's.
    pixel_step: usize,
    /// Where the group's channels begin.
    group_offset: usize,
    /// Output columns whose windows lie inside of the input's columns.
    columns: (usize, usize),
    /// The next output pixel.
    at: (usize, usize, usize),
    /// Rows of its window that lie inside, and where the first of them would begin in column 0
    /// of the output (wraps in the padding).
    rows: (usize, usize),
    line: usize,
}

impl<'a> Patches<'a> {
    /// From the first output pixel on; `None` where the input or the scratch is too short.
    pub fn new(x: &'a [i8], s: &'a ConvShape, pad_value: i8, group: usize, scratch: &[u8]) -> Option<Self> {
        let in_c = s.in_c / s.groups.max(1);
        let k = s.kernel_h * s.kernel_w * in_c;
        let direct = is_direct(s);
        let fits = x.len() >= product([s.batch, s.in_h, s.in_w, s.in_c]);
        let room = direct || scratch.len() >= MR * k.next_multiple_of(KR);
        let pixels = (s.stride_h, s.stride_w, s.out_h, s.out_w) == (1, 1, s.in_h, s.in_w);
        let flat = (direct && pixels && s.groups == 1).then_some(s.in_c);
        let columns = window::inner_columns(s);
        let mut new = Self {
            x,
            s,
            pad_value,
            k,
            direct,
            flat,
            whole: s.dilation_w == 1 && s.groups == 1,
            run: s.kernel_w * s.in_c,
            line_step: s.dilation_h * s.in_w * s.in_c,
            pixel_step: s.stride_w * s.in_c,
            group_offset: group * in_c,
            columns,
            at: (0, 0, 0),
            rows: (0, 0),
            line: 0,
        };
        new.enter();
        (fits && room).then_some(new)
    }

    /// Begins an output row.
    fn enter(&mut self) {
        let s = self.s;
        self.rows = window::taps_inside(self.at.1 * s.stride_h, s.pad_top, s.in_h, s.kernel_h, s.dilation_h);
        self.line = window::cell(s, self.at, self.rows.0, 0).wrapping_mul(s.in_c);
    }

    /// Goes on by `n` pixels of the same line, or to the begin of the next one.
    #[inline]
    fn advance(&mut self, n: usize) {
        self.at.2 += n;
        if self.at.2 >= self.s.out_w {
            self.at.2 = self.s.out_w - 1;
            self.at = window::next_pixel(self.s, self.at);
            self.enter();
        }
    }

    /// The patches of the next `n` ≤ 4 pixels, `k` readable bytes each, until `scratch` is
    /// written again; the last of them repeated. `None` where `scratch` is shorter than what `new` saw.
    #[inline]
    pub fn next(&mut self, n: usize, scratch: &mut [u8]) -> Option<[*const i8; MR]> {
        let last = n.saturating_sub(1);
        let rows = |first: *const i8, step: usize| [0, 1, 2, 3].map(|i: usize| first.wrapping_add(i.min(last) * step));
        if let Some(step) = self.flat {
            let first = self.x.as_ptr().wrapping_add(self.line);
            self.line += n * step;
            return Some(rows(first, step));
        }
        if self.direct {
            let mut rows = [self.x.as_ptr(); MR];
            for (i, to) in rows.iter_mut().enumerate() {
                *to = self.x.as_ptr().wrapping_add(self.line + self.at.2 * self.pixel_step + self.group_offset);
                if i < last {
                    self.advance(1);
                }
            }
            self.advance(1);
            return Some(rows);
        }
        let step = self.k.next_multiple_of(KR);
        let mut left = n;
        let mut patches = scratch.get_mut(..step * MR)?;
        while left > 0 {
            let mut taken = if self.whole { self.copy_inner(left, step, patches) } else { 0 };
            if taken == 0 {
                self.copy_one(patches.get_mut(..self.k)?);
                taken = 1;
            }
            self.advance(taken);
            left -= taken;
            patches = core::mem::take(&mut patches).get_mut(taken * step..)?;
        }
        Some(rows(scratch.as_ptr().cast(), step))
    }

    /// Copies the patches of up to `n` pixels whose windows lie inside of the input's columns to
    /// patches `step` bytes apart; their number, none where the first is not such a pixel.
    #[inline(never)]
    fn copy_inner(&self, n: usize, step: usize, patches: &mut [u8]) -> usize {
        let ox = self.at.2;
        let n = n.min(self.columns.1.saturating_sub(ox));
        if ox < self.columns.0 || n == 0 || patches.len() < n * step {
            return 0;
        }
        let s = self.s;
        let lines = self.rows.1 - self.rows.0;
        if lines < s.kernel_h {
            fill(patches.get_mut(..n * step).unwrap_or_default(), self.pad_value);
        }
        if lines > 0 {
            let copy = Lines { len: self.run, step: self.line_step, to_step: self.run, lines };
            let from = self.line.wrapping_add(ox * self.pixel_step);
            // SAFETY: the windows of the `n` pixels lie inside of the input in `lines` rows and
            // all columns; their copies are bytes of patches.
            unsafe {
                let to = patches.as_mut_ptr().add(self.rows.0 * self.run);
                copy.pixels(self.x.as_ptr().add(from), self.pixel_step, to, step, n);
            }
        }
        n
    }

    /// Copies the patch of the next pixel to `patch`, which is as long.
    #[inline(never)]
    fn copy_one(&self, patch: &mut [u8]) {
        let s = self.s;
        if self.whole {
            let cols = window::taps_inside(self.at.2 * s.stride_w, s.pad_left, s.in_w, s.kernel_w, 1);
            let (len, lines) = ((cols.1 - cols.0) * s.in_c, self.rows.1 - self.rows.0);
            fill(patch, self.pad_value);
            if lines * len > 0 {
                let from = self.line.wrapping_add(self.at.2 * self.pixel_step + cols.0 * s.in_c);
                let to = self.rows.0 * self.run + cols.0 * s.in_c;
                let copy = Lines { len, step: self.line_step, to_step: self.run, lines };
                // SAFETY: `len` bytes from the first tap inside on, in each row of the window
                // that lies inside, are cells of the input, which is as long as its shape;
                // their copies are bytes of the patch.
                unsafe { copy.pixels(self.x.as_ptr().add(from), 0, patch.as_mut_ptr().add(to), 0, 1) };
            }
            return;
        }
        let [rows, cols] = window::inside(s, self.at);
        let (in_c, kernel_w) = ((s.in_c / s.groups.max(1)).max(1), s.kernel_w.max(1));
        for (tap, cells) in patch.chunks_exact_mut(in_c).enumerate() {
            let (ky, kx) = (tap / kernel_w, tap % kernel_w);
            if rows.0 <= ky && ky < rows.1 && cols.0 <= kx && kx < cols.1 {
                let from = window::cell(s, self.at, ky, kx) * s.in_c + self.group_offset;
                let copy = Lines { len: cells.len(), step: 0, to_step: 0, lines: 1 };
                // SAFETY: the group's channels of a cell of the input, which is as long as its
                // shape, are copied to as many bytes.
                unsafe { copy.pixels(self.x.as_ptr().add(from), 0, cells.as_mut_ptr(), 0, 1) };
            } else {
                fill(cells, self.pad_value);
            }
        }
    }
}

/// Whether the patch of every output pixel is one contiguous run of the input.
#[inline]
fn is_direct(s: &ConvShape) -> bool {
    let reach = |out: usize, stride: usize, kernel: usize, dilation: usize| {
        product([out.saturating_sub(1), stride]).saturating_add(product([kernel.saturating_sub(1), dilation]))
    };
    s.kernel_h == 1
        && (s.kernel_w == 1 || s.dilation_w == 1 && s.groups == 1)
        && [s.pad_top, s.pad_left] == [0; 2]
        && reach(s.out_h, s.stride_h, 1, 1) < s.in_h
        && reach(s.out_w, s.stride_w, s.kernel_w, s.dilation_w) < s.in_w
}

/// As `slice::fill`, by vectors.
#[inline(never)]
fn fill(to: &mut [u8], value: i8) {
    // SAFETY: stores are predicated to the bytes there are.
    unsafe {
        asm!(
            "vdup.8 q0, {value}",
            "wlstp.8 lr, {n}, 3f",
            "2:",
            "vstrb.8 q0, [{to}], #16",
            "letp lr, 2b",
            "3:",
            value = in(reg) value as i32,
            n = in(reg) to.len(),
            to = inout(reg) to.as_mut_ptr() => _,
            out("lr") _,
            out("d0") _, out("d1") _,
            options(nostack),
        );
    }
}

/// Lines of the input to copy: `lines` ≥ 1 of `len` ≥ 1 bytes, `step` bytes apart, to lines
/// `to_step` bytes apart.
struct Lines {
    len: usize,
    step: usize,
    to_step: usize,
    lines: usize,
}

impl Lines {
    /// Copies the lines of `n` ≥ 1 pixels.
    ///
    /// # Safety
    /// The lines, `pixel_step` bytes apart from pixel to pixel, can be read; as many, `patch_step`
    /// bytes apart, can be written.
    #[inline(never)]
    unsafe fn pixels(&self, from: *const i8, pixel_step: usize, to: *mut u8, patch_step: usize, n: usize) {
        // From the end of a pixel's last line to the next pixel.
        let back = |step: usize, line_step: usize| step.wrapping_sub(self.lines.wrapping_mul(line_step));
        let (next, next_patch) = (back(pixel_step, self.step), back(patch_step, self.to_step));
        if self.len <= 16 {
            // SAFETY: the caller's claims; loads and stores are predicated to `len` bytes.
            unsafe {
                asm!(
                    "vctp.8 {len}",
                    "2:",
                    "dls lr, {lines}",
                    "3:",
                    "vpstt",
                    "vldrbt.u8 q0, [{from}]",
                    "vstrbt.8 q0, [{to}]",
                    "add {from}, {from}, {step}",
                    "add {to}, {to}, {to_step}",
                    "le lr, 3b",
                    "add {from}, {from}, {next}",
                    "add {to}, {to}, {next_patch}",
                    "subs {n}, {n}, #1",
                    "bne 2b",
                    from = inout(reg) from => _,
                    to = inout(reg) to => _,
                    len = in(reg) self.len,
                    step = in(reg) self.step,
                    to_step = in(reg) self.to_step,
                    lines = in(reg) self.lines,
                    next = in(reg) next,
                    next_patch = in(reg) next_patch,
                    n = inout(reg) n => _,
                    out("lr") _,
                    out("d0") _, out("d1") _,
                    options(nostack),
                );
            }
            return;
        }
        // A line's loop moves on by whole vectors.
        let moved = self.len.next_multiple_of(16);
        // SAFETY: the caller's claims; loads and stores are predicated to `len` bytes.
        unsafe {
            asm!(
                "2:",
                "mov {left}, {lines}",
                "3:",
                "dlstp.8 lr, {len}",
                "4:",
                "vldrb.u8 q0, [{from}], #16",
                "vstrb.8 q0, [{to}], #16",
                "letp lr, 4b",
                "add {from}, {from}, {step}",
                "add {to}, {to}, {to_step}",
                "subs {left}, {left}, #1",
                "bne 3b",
                "add {from}, {from}, {next}",
                "add {to}, {to}, {next_patch}",
                "subs {n}, {n}, #1",
                "bne 2b",
                left = out(reg) _,
                from = inout(reg) from => _,
                to = inout(reg) to => _,
                len = in(reg) self.len,
                step = in(reg) self.step.wrapping_sub(moved),
                to_step = in(reg) self.to_step.wrapping_sub(moved),
                lines = in(reg) self.lines,
                next = in(reg) next,
                next_patch = in(reg) next_patch,
                n = inout(reg) n => _,
                out("lr") _,
                out("d0") _, out("d1") _,
                options(nostack),
            );
        }
    }
}
