//! The noise level of an input, where nobody gives it.
//!
//! [`noise_level`] looks at the image alone and is the default. [`scan`] is Noise2Score's way; it holds only for a score
//! network that was trained on this very noise: with a network that is told σ it finds the σ that the network was told.

mod mad;
mod scan;

pub use mad::{Wavelet, noise_level, noise_level_of_signal};
pub use scan::{Candidates, Found, penalty, scan, scan_poisson, total_variation};

use crate::error::{DenoiseError, index};

/// One channel of an image, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a, T> {
    data: &'a [T],
    height: usize,
    width: usize,
    /// Elements from one pixel of a row to the next.
    step: usize,
    first: usize,
}

impl<'a, T: Copy> Plane<'a, T> {
    /// An image of one channel.
    ///
    /// # Errors
    /// [`DenoiseError::Shape`] for no pixels, [`DenoiseError::Length`] for another number of elements.
    pub fn new(data: &'a [T], height: usize, width: usize) -> Result<Self, DenoiseError> {
        Self::channel(data, height, width, 1, 0)
    }

    /// A channel of an interleaved image.
    ///
    /// # Errors
    /// Those of [`Plane::new`]; [`DenoiseError::Shape`] for a channel that does not exist.
    pub fn channel(
        data: &'a [T],
        height: usize,
        width: usize,
        channels: usize,
        channel: usize,
    ) -> Result<Self, DenoiseError> {
        let elements = height.checked_mul(width).and_then(|n| n.checked_mul(channels)).ok_or(DenoiseError::Shape)?;
        if elements == 0 || channel >= channels {
            return Err(DenoiseError::Shape);
        }
        if data.len() != elements {
            return Err(DenoiseError::Length { expected: index(elements) });
        }
        Ok(Plane { data, height, width, step: channels, first: channel })
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// Where a pixel lies in the data; both coordinates below the shape.
    #[inline]
    pub(crate) fn place(&self, row: usize, column: usize) -> usize {
        (row * self.width + column) * self.step + self.first
    }

    #[inline]
    pub(crate) fn at(&self, row: usize, column: usize) -> T {
        self.data[self.place(row, column)]
    }
}
