//! Artifacts cut in two: a head with the records, and a file with the weights.
//!
//! The head is the artifact up to its weights section, the last; the weights file is a
//! [`WeightsHeader`] and that section. Both name the digest of the whole.

use super::header::*;
use super::view::Artifact;
use crate::{Error, ErrorKind};
use zerocopy::FromBytes;

impl<'a> Artifact<'a> {
    /// Reads an artifact whose weights lie elsewhere in memory, such as external flash that is
    /// mapped into the address space. `weights` is the whole weights file; both parts start at
    /// a multiple of 16.
    ///
    /// # Errors
    /// As [`Artifact::parse`]; for the weights file [`ErrorKind::MisalignedArtifact`],
    /// [`ErrorKind::BadMagic`], [`ErrorKind::BadVersion`], [`ErrorKind::Truncated`], and
    /// [`ErrorKind::WeightsMismatch`] where it belongs to another artifact.
    pub fn parse_split(head: &'a [u8], weights: &'a [u8]) -> Result<Self, Error> {
        let (head, header, table, entry) = Self::head_of(head)?;
        if !(weights.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
            return Err(ErrorKind::MisalignedArtifact.into());
        }
        let (file, weights) = WeightsHeader::ref_from_prefix(weights).map_err(|_| ErrorKind::Truncated)?;
        check(header, entry, file)?;
        let weights = weights.get(..entry.bytes as usize).ok_or(ErrorKind::Truncated)?;
        Self::read(head, header, table, Some(weights))
    }

    /// Reads the head of an artifact whose weights are not in memory: [`Artifact::weights`] is
    /// empty.
    ///
    /// # Errors
    /// As [`Artifact::parse`].
    pub fn parse_head(head: &'a [u8]) -> Result<Self, Error> {
        let (head, header, table, _) = Self::head_of(head)?;
        Self::read(head, header, table, Some(&[]))
    }

    /// Bytes of the weights section, wherever it lies.
    pub fn weights_bytes(&self) -> usize {
        Self::head_of(self.bytes()).map_or(self.weights().len(), |(_, _, _, entry)| entry.bytes as usize)
    }

    /// Header and records: the bytes in front of the weights section.
    pub fn head(&self) -> &'a [u8] {
        Self::head_of(self.bytes()).map_or(self.bytes(), |(head, ..)| head)
    }

    /// Checks the first [`HEADER_BYTES`] of a weights file against the artifact.
    ///
    /// # Errors
    /// [`ErrorKind::BadMagic`], [`ErrorKind::BadVersion`], [`ErrorKind::WeightsMismatch`].
    pub fn check_weights(&self, front: &[u8; HEADER_BYTES]) -> Result<(), Error> {
        let (_, header, _, entry) = Self::head_of(self.bytes())?;
        let file = WeightsHeader::read_from_bytes(front).map_err(|_| ErrorKind::Truncated)?;
        check(header, entry, &file)
    }

    /// The artifact's bytes in front of the weights section, which is the last.
    #[allow(clippy::type_complexity)]
    fn head_of(bytes: &'a [u8]) -> Result<(&'a [u8], &'a Header, &'a [SectionEntry], &'a SectionEntry), Error> {
        let header = Self::header_of(bytes)?;
        let table = Self::table_of(bytes, header)?;
        let bad = Error::new(ErrorKind::BadSection).with(SectionKind::Weights as usize);
        let entry = table.iter().find(|entry| entry.kind == SectionKind::Weights as u32).ok_or(bad)?;
        if entry.offset.checked_add(entry.bytes) != Some(header.total_bytes) {
            return Err(bad);
        }
        Ok((bytes.get(..entry.offset as usize).ok_or(ErrorKind::Truncated)?, header, table, entry))
    }
}

fn check(header: &Header, entry: &SectionEntry, file: &WeightsHeader) -> Result<(), Error> {
    if file.magic != WEIGHTS_MAGIC {
        return Err(ErrorKind::BadMagic.into());
    }
    if file.version_major != VERSION_MAJOR {
        return Err(Error::new(ErrorKind::BadVersion).with(file.version_major as usize));
    }
    if file.digest != header.digest || file.bytes != entry.bytes {
        return Err(ErrorKind::WeightsMismatch.into());
    }
    Ok(())
}
