//! Draws: a clean input, noise, and the class the model gives.

use crate::error::Error;
use selvedge_noise::{Domain, NoiseKey, NoiseTable};
use sha2::{Digest, Sha256};

/// Codes that are made at once.
const TILE: usize = 64;

/// A deterministic classifier on integer codes: what is smoothed. Whatever it does to a code that its input cannot
/// hold (saturate it) is a part of it, and has to depend on nothing but the codes.
pub trait Classifier {
    /// Why a run failed.
    type Error;

    /// Writes the codes `first..` of the input. Every coordinate is written before each [`classify`](Self::classify).
    ///
    /// # Errors
    /// The classifier's own.
    fn write(&mut self, first: usize, codes: &[i16]) -> Result<(), Self::Error>;

    /// Runs, and gives the class: the first one of the largest scores.
    ///
    /// # Errors
    /// The classifier's own.
    fn classify(&mut self) -> Result<usize, Self::Error>;
}

/// The codes of a clean input.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Signed bytes.
    I8(&'a [i8]),
    /// Unsigned bytes, as of pictures.
    U8(&'a [u8]),
    /// 16-bit codes, as of sound. Noise may take them to the ends of the range.
    I16(&'a [i16]),
}

impl Input<'_> {
    /// Coordinates.
    pub fn len(&self) -> usize {
        match self {
            Input::I8(codes) => codes.len(),
            Input::U8(codes) => codes.len(),
            Input::I16(codes) => codes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// SHA-256 of the type and the codes, little-endian.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        match self {
            Input::I8(codes) => {
                hash.update([1]);
                codes.iter().for_each(|code| hash.update(code.to_le_bytes()));
            }
            Input::U8(codes) => {
                hash.update([2]);
                hash.update(codes);
            }
            Input::I16(codes) => {
                hash.update([3]);
                codes.iter().for_each(|code| hash.update(code.to_le_bytes()));
            }
        }
        hash.finalize().into()
    }

    /// Number of the type in records.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Input::I8(_) => 1,
            Input::U8(_) => 2,
            Input::I16(_) => 3,
        }
    }

    /// Adds codes from `first` on to noise, within 16 bits.
    fn add_to(&self, first: usize, noise: &mut [i16]) {
        match self {
            Input::I8(codes) => add(codes, first, noise),
            Input::U8(codes) => add(codes, first, noise),
            Input::I16(codes) => add(codes, first, noise),
        }
    }
}

fn add<T: Copy + Into<i16>>(codes: &[T], first: usize, noise: &mut [i16]) {
    for (z, &code) in noise.iter_mut().zip(codes.get(first..).unwrap_or_default()) {
        *z = z.saturating_add(code.into());
    }
}

/// Classifies the draws `samples` of `domain` and adds to the counts of their classes. What a draw is depends on its
/// number only: parts of a range can be counted anywhere, in any order, and added up.
///
/// # Errors
/// [`Error::Model`]; [`Error::Class`] for a class without a count.
pub fn count<M: Classifier>(
    model: &mut M,
    input: Input<'_>,
    (table, key, domain): (&NoiseTable<'_>, &NoiseKey, Domain),
    samples: core::ops::Range<u64>,
    counts: &mut [u32],
) -> Result<(), Error<M::Error>> {
    let mut tile = [0i16; TILE];
    for sample in samples {
        for first in (0..input.len()).step_by(TILE) {
            let codes = tile.get_mut(..TILE.min(input.len() - first)).unwrap_or_default();
            table.fill(key, domain, sample, first as u32, codes);
            input.add_to(first, codes);
            model.write(first, codes).map_err(Error::Model)?;
        }
        let class = model.classify().map_err(Error::Model)?;
        let count = counts.get_mut(class).ok_or(Error::Class(class))?;
        *count = count.saturating_add(1);
    }
    Ok(())
}
