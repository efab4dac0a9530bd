//! Patches of int8 convolutions.

use crate::args::ConvShape;
use crate::window;

/// Copies the patch of output pixel `at` and `group` to `patch`, padded with zeros to its
/// length.
#[inline(always)]
pub fn patch(x: &[i8], s: &ConvShape, at: (usize, usize, usize), group: usize, pad_value: i8, patch: &mut [u8]) {
    let mut rest = patch;
    window::patch_runs(s, at, group, |start, len| {
        let Some((run, tail)) = core::mem::take(&mut rest).split_at_mut_checked(len) else { return };
        rest = tail;
        match start.and_then(|start| x.get(start..)?.get(..len)) {
            Some(cells) => run.iter_mut().zip(cells).for_each(|(to, &from)| *to = from as u8),
            None => run.fill(pad_value as u8),
        }
    });
    rest.fill(0);
}
