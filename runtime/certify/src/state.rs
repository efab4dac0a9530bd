//! Saved states: 56 bytes and 8 for each class.
//!
//! `{magic SLVS, version u16, classes u16, flags u8, 3 zeros, job 32 bytes, counts u32 of both phases, 12 bytes of
//! SHA-256}`. The seal finds damage, not forgery: a state that others can write has to be authenticated by the caller.

use crate::bytes::{Reader, Writer};
use crate::{CertError, Certifier, Counts, Decision, Job, Reason};

const MAGIC: [u8; 4] = *b"SLVS";
const VERSION: u16 = 1;
const SEAL: usize = 12;
/// Flag: the model was found to be no function.
const NON_DETERMINISTIC: u8 = 1;

/// Bytes of a saved state.
pub const fn state_bytes(classes: u32) -> usize {
    44 + SEAL + 8 * classes as usize
}

impl<'a, const CLASSES: usize> Certifier<'a, CLASSES> {
    /// Writes the state to the front of `to`; returns its length.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the bytes needed.
    pub fn save(&self, to: &mut [u8]) -> Result<usize, CertError> {
        let classes = self.job.terms().subject().classes;
        let needed = state_bytes(classes);
        let to = to.get_mut(..needed).ok_or(CertError::Buffer { needed: needed as u32 })?;
        let mut writer = Writer::new(to);
        writer.put(&MAGIC);
        writer.u16(VERSION);
        writer.u16(classes as u16);
        let non_deterministic = self.decision == Some(Decision::Abstain(Reason::NonDeterministicBackend));
        writer.put(&[if non_deterministic { NON_DETERMINISTIC } else { 0 }, 0, 0, 0]);
        writer.put(self.job.binding());
        for counts in [&self.selection, &self.estimate] {
            (0..classes as usize).for_each(|class| writer.u32(counts.of(class)));
        }
        writer.seal::<SEAL>();
        Ok(needed)
    }

    /// Goes on from a saved state of the same job.
    ///
    /// # Errors
    /// [`CertError::Foreign`] for the state of another model, input, nonce or request; [`CertError::Magic`],
    /// [`CertError::Version`], [`CertError::Checksum`] and [`CertError::Field`] for what is no state.
    pub fn resume(job: &'a Job<'a>, bytes: &[u8]) -> Result<Self, CertError> {
        if bytes.get(..4) != Some(&MAGIC) {
            return Err(CertError::Magic);
        }
        let mut reader = Reader::sealed::<SEAL>(bytes)?;
        let _: [u8; 4] = reader.take()?;
        if reader.u16()? != VERSION {
            return Err(CertError::Version);
        }
        let mut this = Self::new(job)?;
        let classes = reader.u16()?;
        let flags = reader.u32()?;
        if flags > u32::from(NON_DETERMINISTIC) {
            return Err(reader.bad(4));
        }
        if reader.take::<32>()? != *job.binding() || u32::from(classes) != job.terms().subject().classes {
            return Err(CertError::Foreign);
        }
        for counts in [&mut this.selection, &mut this.estimate] {
            let mut read = [0u32; CLASSES];
            for count in read.iter_mut().take(usize::from(classes)) {
                *count = reader.u32()?;
            }
            *counts = Counts::from_slice(&read).ok_or(CertError::Classes { found: u32::from(classes) })?;
        }
        reader.end()?;
        let request = job.terms().spec().request();
        let (selected, drawn) = (this.selection.total(), this.estimate.total());
        let whole = selected == u64::from(request.selection);
        if selected > u64::from(request.selection) || drawn > u64::from(request.samples) || (drawn > 0 && !whole) {
            return Err(reader.bad(0));
        }
        this.settle();
        if flags == u32::from(NON_DETERMINISTIC) {
            this.decision = Some(Decision::Abstain(Reason::NonDeterministicBackend));
        }
        Ok(this)
    }
}
