//! Images larger than a network's input, in tiles whose results fit together without a seam.
//!
//! A tile is cut into a core and a halo around it. The network sees both; only the core of its result is kept, and cores
//! cover the image without overlap. Where the halo is at least the network's receptive field (from its centre to its
//! edge), a kept pixel depends on the image alone: tiles of any size, in any order, give the same bytes. Beyond the image
//! a tile holds reflected or replicated pixels.
//!
//! A network with strides asks for tiles that begin at multiples of its total stride, too: give it as `align`.

use crate::error::{DenoiseError, StepError, check_len, index, part};
use crate::model::{ScoreModel, run};
use crate::real::Real;

/// What lies beyond the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// The image mirrored at its outermost pixels, which are not repeated.
    Reflect,
    /// The outermost pixel again and again.
    Replicate,
}

/// Order of an image's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Channel by channel (CHW).
    Planar,
    /// Pixel by pixel (HWC).
    Interleaved,
}

/// Rows, columns and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// Order of the elements.
    pub layout: Layout,
}

impl Shape {
    /// Elements, if they can be counted and are any.
    fn elements(&self) -> Option<usize> {
        self.height.checked_mul(self.width)?.checked_mul(self.channels).filter(|&n| n > 0)
    }

    fn place(&self, row: usize, column: usize, channel: usize) -> usize {
        match self.layout {
            Layout::Planar => (channel * self.height + row) * self.width + column,
            Layout::Interleaved => (row * self.width + column) * self.channels + channel,
        }
    }
}

/// The tiles of an image.
#[derive(Clone, Copy, Debug)]
pub struct Tiling {
    image: Shape,
    tile: Shape,
    halo: (usize, usize),
    border: Border,
}

/// A core: what part of the image a tile's result is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// First row.
    pub row: usize,
    /// First column.
    pub column: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Tiling {
    /// Tiles of `tile = (rows, columns)`, halo included, for an image; `halo = (rows, columns)` on each side. A halo of
    /// no rows suits signals of one dimension.
    ///
    /// # Errors
    /// [`DenoiseError::Shape`] for an image without elements or a tile that is not larger than its two halos.
    pub fn new(image: Shape, tile: (usize, usize), halo: (usize, usize), border: Border) -> Result<Self, DenoiseError> {
        let tile = Shape { height: tile.0, width: tile.1, ..image };
        let fits = |side: usize, halo: usize| halo.checked_mul(2).is_some_and(|both| both < side);
        if !fits(tile.height, halo.0) || !fits(tile.width, halo.1) {
            return Err(DenoiseError::Shape);
        }
        // Offsets are computed with signs.
        let large = |shape: &Shape| shape.elements().is_none_or(|n| n > isize::MAX as usize / 4);
        if large(&image) || large(&tile) {
            return Err(DenoiseError::Shape);
        }
        Ok(Tiling { image, tile, halo, border })
    }

    /// Makes sure that every tile begins at a multiple of a network's total stride.
    ///
    /// # Errors
    /// [`DenoiseError::Parameter`] where cores or halos are no multiples of it.
    pub fn aligned(self, align: usize) -> Result<Self, DenoiseError> {
        let (rows, columns) = self.core();
        let fits = align > 0 && [rows, columns, self.halo.0, self.halo.1].iter().all(|n| n.is_multiple_of(align));
        if fits { Ok(self) } else { Err(DenoiseError::Parameter) }
    }

    fn core(&self) -> (usize, usize) {
        (self.tile.height - 2 * self.halo.0, self.tile.width - 2 * self.halo.1)
    }

    /// Elements of a tile.
    pub fn tile_len(&self) -> usize {
        self.tile.height * self.tile.width * self.tile.channels
    }

    /// How many tiles.
    pub fn count(&self) -> usize {
        let (rows, columns) = self.core();
        self.image.height.div_ceil(rows) * self.image.width.div_ceil(columns)
    }

    /// A tile, row by row.
    ///
    /// # Errors
    /// [`DenoiseError::Step`] for one that does not exist.
    pub fn tile(&self, number: usize) -> Result<Tile, DenoiseError> {
        if number >= self.count() {
            return Err(DenoiseError::Step { step: index(number) });
        }
        let (rows, columns) = self.core();
        let across = self.image.width.div_ceil(columns);
        let (row, column) = (number / across * rows, number % across * columns);
        let (height, width) = (rows.min(self.image.height - row), columns.min(self.image.width - column));
        Ok(Tile { row, column, height, width })
    }

    /// Copies a tile with its halo out of an image.
    ///
    /// # Errors
    /// [`DenoiseError::Length`] for an image or buffer of another size, [`DenoiseError::Shape`] for a foreign tile.
    pub fn gather<T: Real>(&self, tile: Tile, image: &[T], out: &mut [T]) -> Result<(), DenoiseError> {
        check_len(image, self.image.elements().unwrap_or(0))?;
        check_len(out, self.tile_len())?;
        self.check(tile)?;
        for row in 0..self.tile.height {
            let from_row = self.border.index((tile.row + row) as isize - self.halo.0 as isize, self.image.height);
            for column in 0..self.tile.width {
                let offset = (tile.column + column) as isize - self.halo.1 as isize;
                let from_column = self.border.index(offset, self.image.width);
                for channel in 0..self.image.channels {
                    out[self.tile.place(row, column, channel)] =
                        image[self.image.place(from_row, from_column, channel)];
                }
            }
        }
        Ok(())
    }

    /// Copies the core of a tile's result to its place.
    ///
    /// # Errors
    /// Those of [`Tiling::gather`].
    pub fn scatter<T: Real>(&self, tile: Tile, result: &[T], image: &mut [T]) -> Result<(), DenoiseError> {
        check_len(image, self.image.elements().unwrap_or(0))?;
        check_len(result, self.tile_len())?;
        self.check(tile)?;
        for row in 0..tile.height {
            for column in 0..tile.width {
                for channel in 0..self.image.channels {
                    let from = self.tile.place(row + self.halo.0, column + self.halo.1, channel);
                    image[self.image.place(tile.row + row, tile.column + column, channel)] = result[from];
                }
            }
        }
        Ok(())
    }

    /// A tile is one of ours.
    fn check(&self, tile: Tile) -> Result<(), DenoiseError> {
        let (rows, columns) = self.core();
        let within = |first: usize, len: usize, core: usize, side: usize| {
            len <= core && first.checked_add(len).is_some_and(|end| end <= side)
        };
        let fits = within(tile.row, tile.height, rows, self.image.height)
            && within(tile.column, tile.width, columns, self.image.width);
        if fits { Ok(()) } else { Err(DenoiseError::Shape) }
    }

    /// Runs a model over all tiles: its predictions for the whole image in `out`. `scratch` has two tiles.
    ///
    /// # Errors
    /// The model's; [`DenoiseError::Length`], [`DenoiseError::Buffer`]; [`DenoiseError::NotFinite`] with an index into
    /// the tile.
    pub fn run<T: Real, M: ScoreModel<T>>(
        &self,
        model: &mut M,
        level: T,
        image: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), StepError<M::Error>> {
        check_len(out, image.len())?;
        let (input, output) = part(scratch, 2 * self.tile_len())?.split_at_mut(self.tile_len());
        for number in 0..self.count() {
            let tile = self.tile(number)?;
            self.gather(tile, image, input)?;
            run(model, input, level, output)?;
            self.scatter(tile, output, out)?;
        }
        Ok(())
    }
}

impl Border {
    /// The pixel of a row of `len` that stands for the one at `at`.
    fn index(self, at: isize, len: usize) -> usize {
        let last = len as isize - 1;
        match self {
            Border::Replicate => at.clamp(0, last) as usize,
            Border::Reflect if last == 0 => 0,
            Border::Reflect => {
                let folded = at.rem_euclid(2 * last);
                (if folded > last { 2 * last - folded } else { folded }) as usize
            }
        }
    }
}

/// A model that runs another one tile by tile: any sampler or estimator over images of any size.
pub struct Tiled<'b, M, T> {
    model: M,
    tiling: Tiling,
    scratch: &'b mut [T],
}

impl<'b, M: ScoreModel<T>, T: Real> Tiled<'b, M, T> {
    /// `model` takes tiles. `scratch` has two tiles.
    ///
    /// # Errors
    /// [`DenoiseError::Buffer`].
    pub fn new(model: M, tiling: Tiling, scratch: &'b mut [T]) -> Result<Self, DenoiseError> {
        Ok(Tiled { model, tiling, scratch: part(scratch, 2 * tiling.tile_len())? })
    }
}

impl<M: ScoreModel<T>, T: Real> ScoreModel<T> for Tiled<'_, M, T> {
    type Error = StepError<M::Error>;

    fn prediction(&self) -> crate::prediction::Prediction {
        self.model.prediction()
    }

    fn predict(&mut self, x: &[T], level: T, out: &mut [T]) -> Result<(), Self::Error> {
        self.tiling.run(&mut self.model, level, x, out, self.scratch)
    }
}
