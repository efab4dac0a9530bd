//! The two halves of an input, and the classifier of one of them.

use crate::{CertError, Classify};
use sha2::{Digest, Sha256};

/// Codes that are gathered at a time.
const TILE: usize = 64;

/// A half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Places whose row and column have an even sum.
    Left,
    /// The others.
    Right,
}

/// Which elements of an image belong to which half: those of a checkerboard's fields, with all their channels.
///
/// A signal is an image of one row: even and odd samples.
///
/// ```
/// use selvedge_certify::{Checkerboard, Side};
/// let board = Checkerboard::new(32, 32, 3, false)?; // rows, columns, channels
/// assert_eq!((board.len(Side::Left), board.len(Side::Right)), (1536, 1536));
/// assert_eq!(board.place(3), (Side::Right, 0)); // the second pixel's first channel
/// # Ok::<(), selvedge_certify::CertError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Checkerboard {
    height: u32,
    width: u32,
    channels: u32,
    planar: bool,
}

impl Checkerboard {
    /// An image of `height × width` places with `channels` elements each: the innermost dimension, or, if `planar`, the
    /// outermost.
    ///
    /// # Errors
    /// [`CertError::Shape`].
    pub const fn new(height: u32, width: u32, channels: u32, planar: bool) -> Result<Self, CertError> {
        let Some(places) = height.checked_mul(width) else { return Err(CertError::Shape) };
        match places.checked_mul(channels) {
            None | Some(0) => Err(CertError::Shape),
            Some(_) => Ok(Checkerboard { height, width, channels, planar }),
        }
    }

    /// The half that an element belongs to, and its number in it. Halves keep the order of the whole.
    pub const fn place(&self, element: u32) -> (Side, u32) {
        let places = self.height * self.width;
        let (place, channel) = match self.planar {
            true => (element % places, element / places),
            false => (element / self.channels, element % self.channels),
        };
        let (row, column) = (place / self.width, place % self.width);
        let side = if row % 2 == column % 2 { Side::Left } else { Side::Right };
        let left = self.left_before(row, column);
        let rank = if matches!(side, Side::Left) { left } else { place - left };
        let number = match self.planar {
            true => channel.wrapping_mul(self.places(side)).wrapping_add(rank),
            false => rank * self.channels + channel,
        };
        (side, number)
    }

    /// Elements of a half.
    pub const fn len(&self, side: Side) -> u32 {
        self.places(side) * self.channels
    }

    /// Whether a half has no elements: the right one of a single place.
    pub const fn is_empty(&self, side: Side) -> bool {
        self.len(side) == 0
    }

    const fn places(&self, side: Side) -> u32 {
        let all = self.height * self.width;
        match side {
            Side::Left => all.div_ceil(2),
            Side::Right => all / 2,
        }
    }

    /// Left places before one in the order of rows.
    const fn left_before(&self, row: u32, column: u32) -> u32 {
        match self.width % 2 {
            // Fields alternate across the ends of rows.
            1 => (row * self.width + column).div_ceil(2),
            _ => row * (self.width / 2) + (column + 1 - row % 2) / 2,
        }
    }

    /// A name for [`crate::Subject::model`] of the classifier of a half: SHA-256 of the split, the side and the name of
    /// the model behind it.
    pub fn name(&self, side: Side, model: &[u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"selvedge checkerboard v1");
        [self.height, self.width, self.channels].iter().for_each(|size| hash.update(size.to_le_bytes()));
        hash.update([u8::from(self.planar), u8::from(side == Side::Right)]);
        hash.update(model);
        hash.finalize().into()
    }
}

/// The classifier of one half as a classifier of the whole input: codes of the other half never reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half<M> {
    board: Checkerboard,
    side: Side,
    model: M,
}

impl<M: Classify> Half<M> {
    /// `model` takes the [`Checkerboard::len`] elements of the half, in the order of the whole.
    pub const fn new(board: Checkerboard, side: Side, model: M) -> Self {
        Half { board, side, model }
    }

    /// The model.
    pub fn into_inner(self) -> M {
        self.model
    }
}

impl<M: Classify> Classify for Half<M> {
    type Error = M::Error;

    fn batch(&self) -> usize {
        self.model.batch()
    }

    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), M::Error> {
        let mut element = first as u32;
        for codes in codes.chunks(TILE) {
            let (mut tile, mut filled, mut start) = ([0i16; TILE], 0, None);
            for &code in codes {
                let (side, number) = self.board.place(element);
                element = element.wrapping_add(1);
                if side == self.side {
                    start = start.or(Some(number as usize));
                    tile[filled] = code;
                    filled += 1;
                }
            }
            if let Some(start) = start {
                self.model.write(sample, start, &tile[..filled])?;
            }
        }
        Ok(())
    }

    fn run(&mut self, samples: usize) -> Result<(), M::Error> {
        self.model.run(samples)
    }

    fn class(&self, sample: usize) -> usize {
        self.model.class(sample)
    }
}
