//! Integer inputs, the grid they lie on, and noise added to them in place.

use crate::CertError;
use selvedge_noise::{Domain, NoiseKey, NoiseTable};
use sha2::{Digest, Sha256};

/// Codes that are drawn and written at a time; the only buffer there is.
const TILE: usize = 64;

/// The integer grid of an input: element type by the data itself, range here.
///
/// A noisy value that leaves `low..=high` is set to the end it passed. That is a part of the classifier: it acts on
/// clean input plus noise, the same for every input, and takes nothing from a certificate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Smallest value.
    pub low: i16,
    /// Largest value.
    pub high: i16,
    /// Real value of a step; for reading a record, the certificate is in steps.
    pub scale: f32,
    /// Code of real zero; likewise.
    pub zero: i32,
}

impl Grid {
    /// The grid of int8 tensors with this scale and zero point.
    pub const fn int8(scale: f32, zero: i32) -> Self {
        Grid { low: i8::MIN as i16, high: i8::MAX as i16, scale, zero }
    }
}

/// A clean input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clean<'a> {
    /// 8 bits with sign.
    I8(&'a [i8]),
    /// 8 bits without sign.
    U8(&'a [u8]),
    /// 16 bits with sign.
    I16(&'a [i16]),
}

impl Clean<'_> {
    /// Elements.
    pub fn len(&self) -> usize {
        match self {
            Clean::I8(data) => data.len(),
            Clean::U8(data) => data.len(),
            Clean::I16(data) => data.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An element; 0 for one that there is not.
    pub(crate) fn at(&self, index: usize) -> i32 {
        match self {
            Clean::I8(data) => data.get(index).map_or(0, |&value| value.into()),
            Clean::U8(data) => data.get(index).map_or(0, |&value| value.into()),
            Clean::I16(data) => data.get(index).map_or(0, |&value| value.into()),
        }
    }

    /// Code of the element type in records: 1, 2, 3.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Clean::I8(_) => 1,
            Clean::U8(_) => 2,
            Clean::I16(_) => 3,
        }
    }

    /// Checks that the grid fits the type and that every element lies in it.
    pub(crate) fn check(&self, grid: &Grid) -> Result<u32, CertError> {
        if !range_fits(self.kind(), grid) {
            return Err(CertError::Range);
        }
        let dimensions = u32::try_from(self.len()).map_err(|_| CertError::Length)?;
        if dimensions == 0 {
            return Err(CertError::Length);
        }
        let outside = match self {
            Clean::I8(data) => first_outside(data, grid),
            Clean::U8(data) => first_outside(data, grid),
            Clean::I16(data) => first_outside(data, grid),
        };
        match outside {
            Some(index) => Err(CertError::OutOfRange { index }),
            None => Ok(dimensions),
        }
    }

    /// SHA-256 of the elements in memory order, little-endian, with their type and number in front.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"selvedge input v1");
        hash.update([self.kind()]);
        hash.update((self.len() as u64).to_le_bytes());
        match self {
            Clean::I8(data) => data.iter().for_each(|v| hash.update(v.to_le_bytes())),
            Clean::U8(data) => hash.update(data),
            Clean::I16(data) => data.iter().for_each(|v| hash.update(v.to_le_bytes())),
        }
        hash.finalize().into()
    }
}

/// Whether the range of `grid` is not empty and lies in that of the element type.
pub(crate) fn range_fits(kind: u8, grid: &Grid) -> bool {
    let (low, high) = match kind {
        1 => (i16::from(i8::MIN), i16::from(i8::MAX)),
        2 => (0, 255),
        3 => (i16::MIN, i16::MAX),
        _ => return false,
    };
    low <= grid.low && grid.low < grid.high && grid.high <= high
}

fn first_outside<T: Copy + Into<i32>>(data: &[T], grid: &Grid) -> Option<u32> {
    let range = i32::from(grid.low)..=i32::from(grid.high);
    data.iter().position(|&value| !range.contains(&value.into())).map(|index| index as u32)
}

/// Adds a grid to a hash.
pub(crate) fn hash_grid(hash: &mut Sha256, grid: &Grid) {
    hash.update(grid.low.to_le_bytes());
    hash.update(grid.high.to_le_bytes());
    hash.update(grid.scale.to_bits().to_le_bytes());
    hash.update(grid.zero.to_le_bytes());
}

/// One place of the noise stream.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub table: &'a NoiseTable<'a>,
    pub key: &'a NoiseKey,
    pub domain: Domain,
    pub sample: u64,
}

/// Hands on `clean` plus the noise of a place, saturated, tile by tile with the number of its first element.
pub(crate) fn for_each_tile<E>(
    clean: &Clean<'_>,
    grid: &Grid,
    place: Place<'_>,
    write: impl FnMut(usize, &[i16]) -> Result<(), E>,
) -> Result<(), E> {
    match clean {
        Clean::I8(clean) => tiles(clean, grid, place, write),
        Clean::U8(clean) => tiles(clean, grid, place, write),
        Clean::I16(clean) => tiles(clean, grid, place, write),
    }
}

fn tiles<T: Copy + Into<i32>, E>(
    clean: &[T],
    grid: &Grid,
    place: Place<'_>,
    mut write: impl FnMut(usize, &[i16]) -> Result<(), E>,
) -> Result<(), E> {
    let mut tile = [0i16; TILE];
    let mut first = 0;
    for clean in clean.chunks(TILE) {
        let codes = &mut tile[..clean.len()];
        place.table.fill(place.key, place.domain, place.sample, first as u32, codes);
        for (&clean, code) in clean.iter().zip(codes.iter_mut()) {
            *code = (clean.into() + i32::from(*code)).clamp(grid.low.into(), grid.high.into()) as i16;
        }
        write(first, codes)?;
        first += clean.len();
    }
    Ok(())
}

/// Hands on `len` codes, made in order, tile by tile with the number of the first one.
pub(crate) fn emit<E>(
    len: usize,
    mut code: impl FnMut(usize) -> i16,
    mut write: impl FnMut(usize, &[i16]) -> Result<(), E>,
) -> Result<(), E> {
    let mut tile = [0i16; TILE];
    let mut first = 0;
    while first < len {
        let codes = &mut tile[..TILE.min(len - first)];
        (first..).zip(codes.iter_mut()).for_each(|(index, to)| *to = code(index));
        write(first, codes)?;
        first += codes.len();
    }
    Ok(())
}
