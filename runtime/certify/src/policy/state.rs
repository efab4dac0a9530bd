//! Saved states of [`PolicyRun`].

use super::{PolicyJob, PolicyRun};
use crate::bytes::{Reader, Writer};
use crate::{CertError, Counts};

const MAGIC: [u8; 4] = *b"SLVP";
const VERSION: u16 = 1;
const SEAL: usize = 12;

/// Bytes of a saved [`PolicyRun`].
pub const fn policy_state_bytes(levels: u32) -> usize {
    40 + 4 * levels as usize + SEAL
}

impl<'a, const LEVELS: usize> PolicyRun<'a, LEVELS> {
    /// Writes the state to the front of `to`: `{magic SLVP, version u16, levels u16, job 32 bytes, counts u32, 12 bytes of
    /// SHA-256}`. Returns its length.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the bytes needed.
    pub fn save(&self, to: &mut [u8]) -> Result<usize, CertError> {
        let levels = self.job.terms().request().levels.len();
        let needed = policy_state_bytes(levels as u32);
        let to = to.get_mut(..needed).ok_or(CertError::Buffer { needed: needed as u32 })?;
        let mut writer = Writer::new(to);
        writer.put(&MAGIC);
        writer.u16(VERSION);
        writer.u16(levels as u16);
        writer.put(self.job.binding());
        (0..levels).for_each(|level| writer.u32(self.counts.of(level)));
        writer.seal::<SEAL>();
        Ok(needed)
    }

    /// Goes on from a saved state of the same job.
    ///
    /// # Errors
    /// [`CertError::Foreign`] for the state of another job; [`CertError::Magic`], [`CertError::Version`],
    /// [`CertError::Checksum`] and [`CertError::Field`] for what is no state; those of [`PolicyRun::new`].
    pub fn resume(job: &'a PolicyJob<'a>, bytes: &[u8]) -> Result<Self, CertError> {
        if bytes.get(..4) != Some(&MAGIC) {
            return Err(CertError::Magic);
        }
        let mut reader = Reader::sealed::<SEAL>(bytes)?;
        let _: [u8; 4] = reader.take()?;
        if reader.u16()? != VERSION {
            return Err(CertError::Version);
        }
        let mut this = Self::new(job)?;
        let levels = usize::from(reader.u16()?);
        if reader.take::<32>()? != *job.binding() || levels != job.terms().request().levels.len() {
            return Err(CertError::Foreign);
        }
        let mut counts = [0; LEVELS];
        for count in counts.iter_mut().take(levels) {
            *count = reader.u32()?;
        }
        reader.end()?;
        let counts = Counts::from_slice(&counts).unwrap_or_default();
        this.merge(0, &counts).map_err(|_| reader.bad(0))?;
        Ok(this)
    }
}
