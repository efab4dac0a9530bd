//! Elastic artifacts: one file that holds a model in several widths. The weights are there once, in
//! 8 bits; the device chooses a version, and its artifact is made in memory.
//!
//! | bytes | content |
//! |---|---|
//! | 0..64 | [`Header`] |
//! | 64.. | [`Version`] records, then [`Master`] records, then [`Segment`] and [`Derived`] records |
//! | … | heads (an artifact without its weights), ratios (`u32`), segments, int8 masters |
//!
//! All offsets count from the start of the file, but those called `to`, which count from the start
//! of the weights section of the artifact that is made.

use selvedge_core::artifact::digest;
use selvedge_core::params::NONE;
use selvedge_core::{Error, ErrorKind, Format, arith};
use selvedge_kernels::{Width, pack, pack_low};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First bytes of an elastic artifact.
pub const ELASTIC_MAGIC: [u8; 4] = *b"SLVE";
/// Another version cannot be read.
pub const ELASTIC_VERSION: u32 = 1;

macro_rules! records {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$fmeta:meta])* $field:ident: $ty:ty,)* })*) => {
        $($(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* })*
    };
}

records! {
    /// The first 64 bytes.
    struct Header {
        /// `SLVE`
        magic: [u8; 4],
        /// [`ELASTIC_VERSION`]
        version: u32,
        /// Length of the file.
        total_bytes: u32,
        /// Count of [`Version`] records.
        versions: u32,
        /// Count of [`Master`] records.
        masters: u32,
        /// Count of [`Segment`] records.
        segments: u32,
        /// Count of [`Derived`] records.
        derived: u32,
        /// Zero.
        reserved: u32,
        /// SHA-256 of the file with this field zeroed.
        digest: [u8; 32],
    }

    /// One artifact that can be made.
    struct Version {
        /// Its name, such as `w4`, padded with zeros.
        name: [u8; 16],
        /// Where its head lies.
        head: u32,
        /// Length of the head; the weights section follows it in the artifact.
        head_bytes: u32,
        /// Length of the weights section.
        weights_bytes: u32,
        /// Arena the artifact needs.
        arena_bytes: u32,
        /// Its first [`Segment`].
        first_segment: u32,
        /// Count of its segments.
        segments: u32,
        /// Its first [`Derived`].
        first_derived: u32,
        /// Count of them.
        derived: u32,
    }

    /// The int8 weights of a layer: `groups` matrices `[n, k]`, row-major.
    struct Master {
        /// Where they lie.
        at: u32,
        /// Convolution groups.
        groups: u32,
        /// Rows of a group.
        n: u32,
        /// Length of a row.
        k: u32,
    }

    /// Bytes that are copied.
    struct Segment {
        /// Where they lie.
        from: u32,
        /// Where they go.
        to: u32,
        /// How many.
        bytes: u32,
    }

    /// Packed weights that are made from a master.
    struct Derived {
        /// Index of the [`Master`].
        master: u32,
        /// Where the packed weights go.
        to: u32,
        /// Code of their [`Format`]; bit 8: depthwise.
        format: u32,
        /// k that share a scale; 0: all of a row.
        group: u32,
        /// The code that stands for 0.
        zero: u32,
        /// Where the rows' ratios lie (see [`arith::elastic_code`]), `u32` each; unused for 8 bits.
        ratios: u32,
        /// Where the scales of the groups are, which a segment brings; [`NONE`] without groups.
        scales: u32,
    }
}

/// Set in [`Derived::format`] for depthwise convolutions.
pub const DEPTHWISE: u32 = 0x100;

/// A checked view of an elastic artifact.
#[derive(Clone, Copy, Debug)]
pub struct Elastic<'a> {
    bytes: &'a [u8],
    versions: &'a [Version],
    masters: &'a [Master],
    segments: &'a [Segment],
    derived: &'a [Derived],
}

/// A version an elastic artifact offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionInfo<'a> {
    /// Such as `w4`.
    pub name: &'a str,
    /// Bytes of its artifact.
    pub artifact_bytes: usize,
    /// Bytes of arena it runs in.
    pub arena_bytes: usize,
}

impl<'a> Elastic<'a> {
    /// Reads header and records. `bytes` are aligned to 16.
    ///
    /// # Errors
    /// [`ErrorKind::MisalignedArtifact`], [`ErrorKind::Truncated`], [`ErrorKind::BadMagic`],
    /// [`ErrorKind::BadVersion`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if !(bytes.as_ptr() as usize).is_multiple_of(16) {
            return Err(ErrorKind::MisalignedArtifact.into());
        }
        let (header, rest) = Header::ref_from_prefix(bytes).map_err(|_| ErrorKind::Truncated)?;
        if header.magic != ELASTIC_MAGIC {
            return Err(ErrorKind::BadMagic.into());
        }
        if header.version != ELASTIC_VERSION {
            return Err(Error::new(ErrorKind::BadVersion).with(header.version as usize));
        }
        let bytes = bytes.get(..header.total_bytes as usize).ok_or(ErrorKind::Truncated)?;
        let (versions, rest) = records(rest, header.versions)?;
        let (masters, rest) = records(rest, header.masters)?;
        let (segments, rest) = records(rest, header.segments)?;
        let (derived, _) = records(rest, header.derived)?;
        Ok(Elastic { bytes, versions, masters, segments, derived })
    }

    /// Compares the stored digest with that of the bytes.
    ///
    /// # Errors
    /// [`ErrorKind::DigestMismatch`].
    pub fn verify_digest(&self) -> Result<(), Error> {
        let stored = Header::ref_from_prefix(self.bytes).map_err(|_| ErrorKind::Truncated)?.0.digest;
        // The digest of artifacts leaves out the same 32 bytes.
        if digest(self.bytes) == stored { Ok(()) } else { Err(ErrorKind::DigestMismatch.into()) }
    }

    /// Number of versions.
    pub fn count(&self) -> usize {
        self.versions.len()
    }

    /// What version `index` is and needs.
    pub fn version(&self, index: usize) -> Option<VersionInfo<'a>> {
        let version = self.versions.get(index)?;
        let end = version.name.iter().position(|&b| b == 0).unwrap_or(version.name.len());
        Some(VersionInfo {
            name: core::str::from_utf8(version.name.get(..end)?).ok()?,
            artifact_bytes: (version.head_bytes as usize).checked_add(version.weights_bytes as usize)?,
            arena_bytes: version.arena_bytes as usize,
        })
    }

    /// The version called `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        (0..self.count()).find(|&index| self.version(index).is_some_and(|version| version.name == name))
    }

    /// The version with the largest artifact that fits `bytes` together with its arena.
    pub fn fitting(&self, bytes: usize) -> Option<usize> {
        let size = |index: usize| self.version(index).map(|v| (v.artifact_bytes, v.arena_bytes));
        let fits = |&index: &usize| size(index).is_some_and(|(a, b)| a.checked_add(b).is_some_and(|all| all <= bytes));
        (0..self.count()).filter(fits).max_by_key(|&index| size(index))
    }

    /// Makes the artifact of version `index` in `out`, aligned to 16: the bytes that the compiler
    /// would have written for it.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfBounds`] for a version that is not there and for damaged records,
    /// [`ErrorKind::WrongLength`] with the bytes needed where `out` is too short.
    pub fn make<'o>(&self, index: usize, out: &'o mut [u8]) -> Result<&'o [u8], Error> {
        let bad = Error::new(ErrorKind::OutOfBounds).with(index);
        let version = self.versions.get(index).ok_or(bad)?;
        let needed = self.version(index).ok_or(bad)?.artifact_bytes;
        let out = out.get_mut(..needed).ok_or(Error::new(ErrorKind::WrongLength).with(needed))?;
        self.fill(version, out).ok_or(bad)?;
        Ok(out)
    }

    fn fill(&self, version: &Version, out: &mut [u8]) -> Option<()> {
        let (head, weights) = out.split_at_mut_checked(version.head_bytes as usize)?;
        head.copy_from_slice(self.slice(version.head, head.len())?);
        weights.fill(0);
        let (first, count) = (version.first_segment as usize, version.segments as usize);
        for segment in self.segments.get(first..)?.get(..count)? {
            let bytes = self.slice(segment.from, segment.bytes as usize)?;
            weights.get_mut(segment.to as usize..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        }
        let (first, count) = (version.first_derived as usize, version.derived as usize);
        self.derived.get(first..)?.get(..count)?.iter().try_for_each(|derived| self.derive(derived, weights))
    }

    fn slice(&self, at: u32, bytes: usize) -> Option<&'a [u8]> {
        self.bytes.get(at as usize..)?.get(..bytes)
    }

    /// Packs one layer.
    fn derive(&self, derived: &Derived, weights: &mut [u8]) -> Option<()> {
        let master = self.masters.get(derived.master as usize)?;
        let (groups, n, k) = (master.groups as usize, master.n as usize, master.k as usize);
        // Sizes of nothing would make loops over nothing, however many.
        let each = n.checked_mul(k).filter(|&each| each > 0)?;
        let codes = self.slice(master.at, groups.checked_mul(each)?)?;
        let depthwise = derived.format & DEPTHWISE != 0;
        let format = Format::from_code((derived.format & 0xff) as u8)?;
        if depthwise && groups != 1 {
            return None;
        }
        let Some(width) = width_of(format) else {
            return pack_int8(codes, [groups, n, k], depthwise, derived, weights);
        };
        let count = pack_low::groups_of(k, derived.group as usize);
        let bytes =
            if depthwise { pack_low::depthwise_low_bytes(width, n, k) } else { pack_low::low_bytes(width, n, k) };
        let ratios = self.slice(derived.ratios, groups.checked_mul(n)?.checked_mul(4)?)?.as_chunks::<4>().0;
        let (zero, to) = (derived.zero as u8, derived.to as usize);
        for group in 0..groups {
            let at = to.checked_add(group.checked_mul(bytes)?)?;
            if depthwise {
                let out = weights.get_mut(at..)?.get_mut(..bytes)?;
                pack_low::clear_depthwise_low(width, zero, n, k, out);
            }
            for row in 0..n {
                let ratio = u32::from_le_bytes(*ratios.get(group * n + row)?);
                for col in 0..k {
                    let g = col.checked_div(derived.group as usize).unwrap_or(0);
                    let scale = match derived.scales {
                        NONE => 1,
                        scales => {
                            let place = group.checked_mul(n * count)? + pack_low::scale_at(n, count, row, g);
                            *weights.get((scales as usize).checked_add(place)?)?
                        }
                    };
                    let master = *codes.get(group * each + row * k + col)? as i8;
                    let code = arith::elastic_code(master, ratio, scale, zero, width.max());
                    let out = weights.get_mut(at..)?.get_mut(..bytes)?;
                    if depthwise {
                        pack_low::put_depthwise_code(width, out, (n, k), (row, col), code);
                    } else {
                        pack_low::put_code(width, out, (n, k), (row, col), code);
                    }
                }
            }
        }
        Some(())
    }
}

/// The width of a format of fewer than 8 bits.
fn width_of(format: Format) -> Option<Width> {
    Some(match format {
        Format::W4 => Width::W4,
        Format::W3 => Width::W3,
        Format::W2 => Width::W2,
        Format::T2 => Width::T2,
        _ => return None,
    })
}

/// Packs the master itself.
fn pack_int8(
    codes: &[u8],
    [groups, n, k]: [usize; 3],
    depthwise: bool,
    derived: &Derived,
    weights: &mut [u8],
) -> Option<()> {
    let bytes = if depthwise { pack::depthwise_w8_bytes(n, k) } else { pack::w8_bytes(n, k) };
    for group in 0..groups {
        let at = (derived.to as usize).checked_add(group.checked_mul(bytes)?)?;
        let out = weights.get_mut(at..)?.get_mut(..bytes)?;
        for row in 0..n {
            for col in 0..k {
                let place = if depthwise { pack::depthwise_w8_at(n, k, row, col) } else { pack::w8_at(n, k, row, col) };
                *out.get_mut(place)? = *codes.get((group * n + row) * k + col)?;
            }
        }
    }
    Some(())
}

/// The first `count` records of `bytes`, and what follows.
fn records<T: FromBytes + Immutable + KnownLayout>(bytes: &[u8], count: u32) -> Result<(&[T], &[u8]), Error> {
    let length = (count as usize).checked_mul(size_of::<T>()).ok_or(ErrorKind::Truncated)?;
    let (records, rest) = bytes.split_at_checked(length).ok_or(ErrorKind::Truncated)?;
    Ok((<[T]>::ref_from_bytes(records).map_err(|_| ErrorKind::MisalignedArtifact)?, rest))
}
