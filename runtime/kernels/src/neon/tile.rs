//! A tile of rows times a block of panels, on which convolution and dense layers rest.

use super::dot::{Dot, MAX_ROWS, Rows, Sums};
use super::epilogue::Blocks;
use crate::args::*;
use crate::pack::panel_channels;

/// The panels of a block and their epilogues.
pub struct Panels<'a> {
    pub bytes: &'a [i8],
    /// Bytes of a full panel.
    pub panel: usize,
    /// Channels of this block and of those behind it.
    pub channels: usize,
    pub blocks: &'a Blocks,
}

impl Panels<'_> {
    /// Stores what `dot` makes of each panel and its channels, the first `tile` rows, as output rows
    /// `row` and following.
    #[inline(always)]
    pub fn store<const R: usize>(
        &self,
        output: &mut Output<'_>,
        row: usize,
        tile: usize,
        dot: impl Fn(&[i8], usize) -> [Sums; R],
    ) {
        for (j, panel) in self.bytes.chunks(self.panel).enumerate() {
            let sums = dot(panel, panel_channels(self.channels, j));
            self.blocks.get(j).store(output, row, tile, &sums);
        }
    }
}

/// Multiplies `tile` rows, at most those of the level's tile, with each panel; they become output
/// rows `row` and following.
#[inline(always)]
pub fn store<'x, D: Dot>(
    level: D,
    x: impl Fn(usize) -> &'x [i8],
    panels: &Panels<'_>,
    output: &mut Output<'_>,
    row: usize,
    tile: usize,
) {
    const { assert!(D::ROWS == 4 || D::ROWS == MAX_ROWS) };
    match tile {
        0..=1 => level.store(&rows::<1>(x, tile), panels, output, row, tile),
        2 => level.store(&rows::<2>(x, tile), panels, output, row, tile),
        5.. if D::ROWS == MAX_ROWS => level.store(&rows::<MAX_ROWS>(x, tile), panels, output, row, tile),
        _ => level.store(&rows::<4>(x, tile), panels, output, row, tile),
    }
}

/// Rows behind the last one repeat it.
#[inline(always)]
fn rows<'x, const R: usize>(x: impl Fn(usize) -> &'x [i8], tile: usize) -> Rows<R> {
    Rows::new(core::array::from_fn(|i| x(i.min(tile.saturating_sub(1)))))
}
