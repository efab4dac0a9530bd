//! Little-endian fields one behind the other.

use crate::CertError;
use sha2::{Digest, Sha256};

/// Writes fields to a buffer whose length was checked; what does not fit is left out.
pub(crate) struct Writer<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Writer { bytes, at: 0 }
    }

    pub fn put(&mut self, field: &[u8]) {
        if let Some(to) = self.bytes.get_mut(self.at..).and_then(|rest| rest.get_mut(..field.len())) {
            to.copy_from_slice(field);
        }
        self.at += field.len();
    }

    pub fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    pub fn u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    pub fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    /// The first bytes of the SHA-256 of all that was written.
    pub fn seal<const N: usize>(self) {
        let (body, rest) = self.bytes.split_at_mut(self.at.min(self.bytes.len()));
        let digest = Sha256::digest(body);
        rest.iter_mut().take(N).zip(digest).for_each(|(to, byte)| *to = byte);
    }
}

/// Reads fields; errors name the offset.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Checks the seal of `bytes`, which takes its last N bytes, and reads what is before it.
    pub fn sealed<const N: usize>(bytes: &'a [u8]) -> Result<Self, CertError> {
        let (body, seal) = bytes.split_last_chunk::<N>().ok_or(CertError::Checksum)?;
        let digest = Sha256::digest(body);
        match digest.get(..N) == Some(seal.as_slice()) {
            true => Ok(Reader { bytes: body, at: 0 }),
            false => Err(CertError::Checksum),
        }
    }

    /// The offset of the next field.
    pub fn offset(&self) -> u32 {
        self.at as u32
    }

    /// The error for the field that ends here and has `bytes` bytes.
    pub fn bad(&self, bytes: usize) -> CertError {
        CertError::Field { offset: self.at.saturating_sub(bytes) as u32 }
    }

    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], CertError> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let (field, _) = rest.split_first_chunk::<N>().ok_or(CertError::Field { offset: self.offset() })?;
        self.at += N;
        Ok(*field)
    }

    pub fn u16(&mut self) -> Result<u16, CertError> {
        self.take().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, CertError> {
        self.take().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, CertError> {
        self.take().map(u64::from_le_bytes)
    }

    /// That nothing is left.
    pub fn end(&self) -> Result<(), CertError> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(CertError::Field { offset: self.offset() }) }
    }
}
