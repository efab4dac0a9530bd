//! Patches of a planar image or latent, their transport, and both as one convolution.
//!
//! A patch is p × p pixels of all channels, p odd, in the order channel, row, column. Every pixel has a patch around it,
//! which reaches over the border into replicated pixels; a pixel's result is the mean of what all patches over it say.

use super::Moments;
use crate::error::{DenoiseError, check_finite, check_len, part, require};
use crate::real::Real;

/// Channels, rows, columns of a planar image, and the side of its patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latent {
    channels: usize,
    height: usize,
    width: usize,
    patch: usize,
}

impl Latent {
    /// # Errors
    /// [`DenoiseError::Shape`] for no elements, [`DenoiseError::Parameter`] for a patch whose side is not odd.
    pub fn new(channels: usize, height: usize, width: usize, patch: usize) -> Result<Self, DenoiseError> {
        require(patch % 2 == 1)?;
        let elements = channels.checked_mul(height).and_then(|n| n.checked_mul(width)).unwrap_or(0);
        let dimension = patch.checked_mul(patch).and_then(|n| n.checked_mul(channels)).unwrap_or(0);
        let countable = dimension.checked_mul(dimension).is_some();
        if elements == 0 || dimension == 0 || !countable || elements > isize::MAX as usize / 8 {
            return Err(DenoiseError::Shape);
        }
        Ok(Latent { channels, height, width, patch })
    }

    /// Elements.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Elements of a patch.
    pub fn dimension(&self) -> usize {
        self.channels * self.patch * self.patch
    }

    /// The patch around a pixel, replicated beyond the border.
    fn gather<T: Real>(&self, image: &[T], row: usize, column: usize, out: &mut [T]) {
        let (p, reach) = (self.patch, (self.patch / 2) as isize);
        let clamp = |at: usize, offset: usize, side: usize| {
            (at as isize + offset as isize - reach).clamp(0, side as isize - 1) as usize
        };
        for (place, out) in out.iter_mut().enumerate() {
            let (channel, down, across) = (place / (p * p), place / p % p, place % p);
            let (from_row, from_column) = (clamp(row, down, self.height), clamp(column, across, self.width));
            *out = image[(channel * self.height + from_row) * self.width + from_column];
        }
    }
}

/// Takes all patches that lie within an image into moments. `patch` has [`Latent::dimension`] elements.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::Buffer`], [`DenoiseError::NotFinite`].
pub fn gather_statistics<T: Real>(
    latent: Latent,
    image: &[T],
    patch: &mut [T],
    moments: &mut Moments<'_>,
) -> Result<(), DenoiseError> {
    check_len(image, latent.len())?;
    check_finite(image)?;
    let patch = part(patch, latent.dimension())?;
    let reach = latent.patch / 2;
    for row in reach..latent.height.saturating_sub(reach) {
        for column in reach..latent.width.saturating_sub(reach) {
            latent.gather(image, row, column, patch);
            moments.push(patch)?;
        }
    }
    Ok(())
}

/// Transports every patch by `map·(patch − source_mean) + target_mean` and puts the mean of all in `out`. `work` has
/// twice [`Latent::dimension`] elements.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::Buffer`], [`DenoiseError::NotFinite`].
pub fn transport_patches<T: Real>(
    latent: Latent,
    map: &[T],
    (source_mean, target_mean): (&[T], &[T]),
    image: &[T],
    out: &mut [T],
    work: &mut [T],
) -> Result<(), DenoiseError> {
    let dimension = latent.dimension();
    check_len(map, dimension * dimension)?;
    check_len(source_mean, dimension)?;
    check_len(target_mean, dimension)?;
    check_len(image, latent.len())?;
    check_len(out, latent.len())?;
    [map, source_mean, target_mean, image].into_iter().try_for_each(check_finite)?;
    let (patch, moved) = part(work, 2 * dimension)?.split_at_mut(dimension);
    let Latent { height, width, patch: p, .. } = latent;
    let reach = p / 2;
    out.fill(T::ZERO);
    for row in 0..height {
        for column in 0..width {
            latent.gather(image, row, column, patch);
            patch.iter_mut().zip(source_mean).for_each(|(x, &mean)| *x -= mean);
            for ((to, weights), &mean) in moved.iter_mut().zip(map.chunks_exact(dimension)).zip(target_mean) {
                *to = mean + weights.iter().zip(&*patch).fold(T::ZERO, |sum, (&w, &x)| sum + w * x);
            }
            for (place, &value) in moved.iter().enumerate() {
                let (channel, down, across) = (place / (p * p), place / p % p, place % p);
                let (to_row, to_column) = ((row + down).wrapping_sub(reach), (column + across).wrapping_sub(reach));
                if to_row < height && to_column < width {
                    out[(channel * height + to_row) * width + to_column] += value;
                }
            }
        }
    }
    // Patches over a pixel: centres at most `reach` away, within the image.
    let over = |at: usize, side: usize| (at + reach).min(side - 1) - at.saturating_sub(reach) + 1;
    for (place, value) in out.iter_mut().enumerate() {
        let (row, column) = (place / width % height, place % width);
        *value = *value / T::of((over(row, height) * over(column, width)) as f64);
    }
    Ok(())
}

/// Elements of the kernel of [`fold_kernel`].
pub const fn kernel_len(channels: usize, patch: usize) -> usize {
    let side = (2 * patch).saturating_sub(1);
    channels * channels * side * side
}

/// Transport and mean as one convolution: the kernel (output channel, input channel, 2p − 1 rows, 2p − 1 columns) and a
/// bias an output channel. With replicated borders it equals [`transport_patches`] up to rounding at every pixel at least
/// p/2 from the border; nearer to it fewer patches have a say.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`].
pub fn fold_kernel(
    latent: Latent,
    map: &[f64],
    (source_mean, target_mean): (&[f64], &[f64]),
    kernel: &mut [f64],
    bias: &mut [f64],
) -> Result<(), DenoiseError> {
    let (p, channels, dimension) = (latent.patch, latent.channels, latent.dimension());
    check_len(map, dimension * dimension)?;
    check_len(source_mean, dimension)?;
    check_len(target_mean, dimension)?;
    check_len(kernel, kernel_len(channels, p))?;
    check_len(bias, channels)?;
    [map, source_mean, target_mean].into_iter().try_for_each(check_finite)?;
    let (side, share) = (2 * p - 1, 1.0 / (p * p) as f64);
    kernel.fill(0.0);
    bias.fill(0.0);
    for (to, weights) in map.chunks_exact(dimension).enumerate() {
        let (channel, down, across) = (to / (p * p), to / p % p, to % p);
        let moved = weights.iter().zip(source_mean).fold(0.0, |sum, (w, mean)| sum + w * mean);
        bias[channel] += share * (target_mean[to] - moved);
        for (from, &weight) in weights.iter().enumerate() {
            // The patch's centre lies (down, across) before the pixel, the input (row, column) behind the centre.
            let (input, row, column) = (from / (p * p), from / p % p, from % p);
            let (row, column) = (row + p - 1 - down, column + p - 1 - across);
            kernel[((channel * channels + input) * side + row) * side + column] += share * weight;
        }
    }
    Ok(())
}
