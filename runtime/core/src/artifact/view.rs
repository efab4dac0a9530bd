//! A checked view of an artifact's bytes. Nothing is copied, nothing allocated.

use super::digest::Digester;
use super::header::*;
use super::records::*;
use crate::shape::elements;
use crate::{DType, Error, ErrorKind, Format, OpCode};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// An artifact whose header and section table are sound.
///
/// Parsing proves that the sections lie inside of the bytes and are aligned;
/// records are proved by the session that is built on it.
#[derive(Clone, Copy, Debug)]
pub struct Artifact<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    tensors: &'a [TensorRecord],
    steps: &'a [StepRecord],
    operands: &'a [u16],
    params: &'a [u8],
    weights: &'a [u8],
    io: &'a [u16],
    names: &'a [u8],
    meta: &'a [u8],
    states: &'a [StateRecord],
}

/// One step with its operands and parameters resolved.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    pub record: &'a StepRecord,
    /// Tensor indices; [`NO_OPERAND`] where one was left out.
    pub inputs: &'a [u16],
    pub outputs: &'a [u16],
    pub params: &'a [u8],
}

/// One tensor record, decoded.
#[derive(Clone, Copy, Debug)]
pub struct TensorView<'a> {
    pub record: &'a TensorRecord,
    pub dtype: DType,
    pub dims: &'a [u32],
    /// Number of elements.
    pub elements: usize,
}

impl<'a> TensorView<'a> {
    #[inline]
    fn of(record: &'a TensorRecord) -> Option<Self> {
        let dtype = DType::from_u8(record.dtype)?;
        let dims = record.dims.get(..record.rank as usize)?;
        let elements = elements(dims).filter(|&n| n <= u32::MAX as usize / 8)?;
        Some(TensorView { record, dtype, dims, elements })
    }

    pub fn bytes(&self) -> usize {
        self.elements * self.dtype.size()
    }

    pub fn is_const(&self) -> bool {
        self.record.is_const()
    }

    /// Scale and zero point of an integer grid.
    pub fn quantization(&self) -> Option<(f32, i32)> {
        (self.record.flags & tensor_flags::QUANTIZED != 0).then_some((self.record.scale, self.record.zero_point as i32))
    }

    /// Byte range in the arena, or in the weights for a constant.
    #[inline]
    pub fn range(&self) -> core::ops::Range<usize> {
        let start = self.record.offset as usize;
        start..start.saturating_add(self.bytes())
    }
}

fn slice_of<T: FromBytes + Immutable + KnownLayout>(bytes: &[u8], kind: u32) -> Result<&[T], Error> {
    <[T]>::ref_from_bytes(bytes).map_err(|_| Error::new(ErrorKind::BadSection).with(kind as usize))
}

fn section<'a>(bytes: &'a [u8], entry: &SectionEntry) -> Result<&'a [u8], Error> {
    let start = entry.offset as usize;
    start
        .checked_add(entry.bytes as usize)
        .and_then(|end| bytes.get(start..end))
        .filter(|_| start.is_multiple_of(ALIGNMENT))
        .ok_or(Error::new(ErrorKind::OutOfBounds).with(entry.kind as usize))
}

impl<'a> Artifact<'a> {
    /// Reads header and section table. Costs the same for every model.
    ///
    /// # Errors
    /// [`ErrorKind::MisalignedArtifact`], [`ErrorKind::Truncated`], [`ErrorKind::BadMagic`],
    /// [`ErrorKind::BadVersion`], [`ErrorKind::BadSection`], [`ErrorKind::OutOfBounds`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = Self::header_of(bytes)?;
        let bytes = bytes.get(..header.total_bytes as usize).ok_or(ErrorKind::Truncated)?;
        Self::read(bytes, header, Self::table_of(bytes, header)?, None)
    }

    /// The header, its magic and version checked.
    pub(super) fn header_of(bytes: &'a [u8]) -> Result<&'a Header, Error> {
        if !(bytes.as_ptr() as usize).is_multiple_of(ALIGNMENT) {
            return Err(ErrorKind::MisalignedArtifact.into());
        }
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| ErrorKind::Truncated)?;
        if header.magic != MAGIC {
            return Err(ErrorKind::BadMagic.into());
        }
        if header.version_major != VERSION_MAJOR {
            return Err(Error::new(ErrorKind::BadVersion).with(header.version_major as usize));
        }
        Ok(header)
    }

    pub(super) fn table_of(bytes: &'a [u8], header: &Header) -> Result<&'a [SectionEntry], Error> {
        let table = (header.sections as usize)
            .checked_mul(size_of::<SectionEntry>())
            .and_then(|n| n.checked_add(HEADER_BYTES))
            .and_then(|end| bytes.get(HEADER_BYTES..end))
            .ok_or(ErrorKind::Truncated)?;
        slice_of(table, 0)
    }

    /// Reads the sections; the weights lie in `bytes` unless they are `apart`.
    pub(super) fn read(
        bytes: &'a [u8],
        header: &'a Header,
        table: &'a [SectionEntry],
        apart: Option<&'a [u8]>,
    ) -> Result<Self, Error> {
        let mut found: [Option<&'a [u8]>; 9] = [None; 9];
        for entry in table {
            let slot = match entry.kind {
                kind @ 1..=6 => kind as usize - 1,
                kind if kind == SectionKind::Names as u32 => 6,
                kind if kind == SectionKind::Meta as u32 => 7,
                kind if kind == SectionKind::States as u32 => 8,
                kind if kind & OPTIONAL != 0 => continue,
                kind => return Err(Error::new(ErrorKind::BadSection).with(kind as usize)),
            };
            let section = match apart {
                Some(weights) if entry.kind == SectionKind::Weights as u32 => weights,
                _ => section(bytes, entry)?,
            };
            if found[slot].replace(section).is_some() {
                return Err(Error::new(ErrorKind::BadSection).with(entry.kind as usize));
            }
        }
        let required = |slot: usize| found[slot].ok_or(Error::new(ErrorKind::BadSection).with(slot + 1));
        let artifact = Artifact {
            bytes,
            header,
            tensors: slice_of(required(0)?, 1)?,
            steps: slice_of(required(1)?, 2)?,
            operands: slice_of(required(2)?, 3)?,
            params: required(3)?,
            weights: required(4)?,
            io: slice_of(required(5)?, 6)?,
            names: found[6].unwrap_or(&[]),
            meta: found[7].unwrap_or(&[]),
            states: found[8].map_or(Ok(&[][..]), |states| slice_of(states, SectionKind::States as u32))?,
        };
        let most = u16::MAX as usize - 1;
        if artifact.tensors.len() > most || artifact.steps.len() > most {
            return Err(ErrorKind::BadSection.into());
        }
        if artifact.io.len() != header.inputs as usize + header.outputs as usize {
            return Err(Error::new(ErrorKind::BadSection).with(SectionKind::Io as usize));
        }
        Ok(artifact)
    }

    /// Compares the stored digest with that of the bytes.
    ///
    /// # Errors
    /// [`ErrorKind::DigestMismatch`].
    pub fn verify_digest(&self) -> Result<(), Error> {
        // Weights apart follow the bytes of the head.
        let apart = if self.bytes.len() < self.header.total_bytes as usize { self.weights } else { &[] };
        let sum = Digester::new(self.bytes).then(apart).finish();
        if sum == self.header.digest { Ok(()) } else { Err(ErrorKind::DigestMismatch.into()) }
    }

    /// The artifact's bytes; those in front of the weights where these lie apart.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn header(&self) -> &'a Header {
        self.header
    }

    pub fn arena_bytes(&self) -> usize {
        self.header.arena_bytes as usize
    }

    /// Bytes of the arena's two memory regions; the second is 0 where the arena is one region.
    pub fn region_bytes(&self) -> [usize; 2] {
        self.header.region_bytes()
    }

    pub fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    pub fn step_count(&self) -> usize {
        self.steps.len()
    }

    /// Tensor indices of the inputs.
    pub fn inputs(&self) -> &'a [u16] {
        self.io.get(..self.header.inputs as usize).unwrap_or(&[])
    }

    /// Tensor indices of the outputs.
    pub fn outputs(&self) -> &'a [u16] {
        self.io.get(self.header.inputs as usize..).unwrap_or(&[])
    }

    /// What the model keeps between runs.
    pub fn states(&self) -> &'a [StateRecord] {
        self.states
    }

    pub fn weights(&self) -> &'a [u8] {
        self.weights
    }

    /// A tensor record as it lies, not decoded.
    ///
    /// # Errors
    /// [`ErrorKind::BadTensor`] with the index.
    pub fn record(&self, index: usize) -> Result<&'a TensorRecord, Error> {
        self.tensors.get(index).ok_or_else(|| Error::new(ErrorKind::BadTensor).with(index))
    }

    /// Decodes a tensor record.
    ///
    /// # Errors
    /// [`ErrorKind::BadTensor`] with the index.
    pub fn tensor(&self, index: usize) -> Result<TensorView<'a>, Error> {
        self.decode(index).ok_or_else(|| Error::new(ErrorKind::BadTensor).with(index))
    }

    /// As [`Artifact::tensor`], `None` for a record that is not sound.
    #[inline]
    pub fn decode(&self, index: usize) -> Option<TensorView<'a>> {
        TensorView::of(self.tensors.get(index)?)
    }

    /// Resolves a step's operands and parameters.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfBounds`] at the step.
    pub fn step(&self, index: usize) -> Result<Step<'a>, Error> {
        let bad = || Error::new(ErrorKind::OutOfBounds).at_step(index);
        let record = self.steps.get(index).ok_or_else(bad)?;
        let (first, inputs, outputs) = (record.operands as usize, record.inputs as usize, record.outputs as usize);
        let operands =
            first.checked_add(inputs + outputs).and_then(|end| self.operands.get(first..end)).ok_or_else(bad)?;
        let (inputs, outputs) = operands.split_at_checked(inputs).ok_or_else(bad)?;
        let start = record.params as usize;
        let params = start.checked_add(record.params_bytes as usize).and_then(|end| self.params.get(start..end));
        Ok(Step { record, inputs, outputs, params: params.ok_or_else(bad)? })
    }

    /// Where the weights of each step lie and are read to, in an artifact compiled for that.
    ///
    /// # Errors
    /// [`ErrorKind::BadSection`] where there is not one record a step.
    pub fn stages(&self) -> Result<Option<&'a [StageRecord]>, Error> {
        let kind = SectionKind::Stages as u32;
        let Some(entry) = Self::table_of(self.bytes, self.header)?.iter().find(|e| e.kind == kind) else {
            return Ok(None);
        };
        let records: &[StageRecord] = slice_of(section(self.bytes, entry)?, kind)?;
        let bad = Error::new(ErrorKind::BadSection).with(kind as usize);
        if records.len() == self.steps.len() { Ok(Some(records)) } else { Err(bad) }
    }

    /// ONNX name of a tensor, where the artifact keeps names.
    pub fn name(&self, index: usize) -> Option<&'a str> {
        let offset = |i: usize| -> Option<usize> {
            let at = self.names.get(i * 4..i * 4 + 4)?;
            Some(u32::from_le_bytes(at.try_into().ok()?) as usize)
        };
        if index >= self.tensors.len() {
            return None;
        }
        let text = self.names.get((self.tensors.len() + 1) * 4..)?;
        core::str::from_utf8(text.get(offset(index)?..offset(index + 1)?)?).ok().filter(|name| !name.is_empty())
    }

    /// How the artifact was made, as JSON, where the artifact keeps it.
    pub fn meta(&self) -> Option<&'a str> {
        core::str::from_utf8(self.meta).ok().filter(|text| !text.is_empty())
    }
}

impl Step<'_> {
    pub fn op(&self) -> Option<OpCode> {
        OpCode::from_code(self.record.op)
    }

    pub fn format(&self) -> Option<Format> {
        Format::from_code(self.record.format)
    }

    /// Copies the parameter struct of an op from the front of the parameters.
    pub fn params<P: FromBytes + Immutable>(&self) -> Option<P> {
        P::read_from_prefix(self.params).ok().map(|(params, _)| params)
    }

    pub fn has(&self, flag: u16) -> bool {
        self.record.flags & flag != 0
    }
}
