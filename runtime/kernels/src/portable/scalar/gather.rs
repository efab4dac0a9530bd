//! Patches of int8 convolutions, by runs of cells.

use crate::args::ConvShape;
use crate::window;

/// Copies the patch of output pixel `at` and `group` to `patch`, padded with zeros to its length.
#[inline(never)]
pub fn patch(x: &[i8], s: &ConvShape, at: (usize, usize, usize), group: usize, pad_value: i8, patch: &mut [i8]) {
    let in_c = s.in_c.checked_div(s.groups).unwrap_or(0);
    let [rows, cols] = window::inside(s, at);
    // Cells of a row follow each other in memory, or are copied one by one.
    let whole = s.dilation_w == 1 && s.groups == 1;
    let mut rest = patch;
    for ky in 0..s.kernel_h {
        let cols = if (rows.0..rows.1).contains(&ky) { cols } else { (s.kernel_w, s.kernel_w) };
        let mut kx = 0;
        while kx < s.kernel_w {
            let inside = (cols.0..cols.1).contains(&kx);
            let end = match inside {
                true if whole => cols.1,
                true => kx + 1,
                false if kx < cols.0 => cols.0,
                false => s.kernel_w,
            };
            let Some((run, tail)) = rest.split_at_mut_checked((end - kx) * in_c) else { return };
            let start = window::cell(s, at, ky, kx).wrapping_mul(s.in_c).wrapping_add(group * in_c);
            match x.get(start..).and_then(|x| x.get(..run.len())) {
                Some(cells) if inside => run.copy_from_slice(cells),
                _ => run.fill(pad_value),
            }
            (rest, kx) = (tail, end);
        }
    }
    rest.fill(0);
}
