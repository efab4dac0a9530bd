//! Saved states: 56 bytes and 4 for each count.
//!
//! `{magic SLVS, version u16, classes u16, flags u8, 3 zeros, job 32 bytes, counts u32 of each phase, 12 bytes of
//! SHA-256}`. The seal finds damage, not forgery: a state that others can write has to be authenticated by the caller.

use crate::bytes::{Reader, Writer};
use crate::{CertError, Certifier, Counts, Decision, Job, Reason};

const MAGIC: [u8; 4] = *b"SLVS";
const VERSION: u16 = 1;
const SEAL: usize = 12;
/// Flag: the model was found to be no function.
const NON_DETERMINISTIC: u8 = 1;

/// Bytes of a saved state of [`Certifier`] and of other runs with two phases.
pub const fn state_bytes(classes: u32) -> usize {
    bytes(classes, 2)
}

const fn bytes(classes: u32, phases: usize) -> usize {
    44 + SEAL + 4 * phases * classes as usize
}

/// Writes a state to the front of `to`; returns its length.
pub(crate) fn write<const CLASSES: usize, const PHASES: usize>(
    to: &mut [u8],
    binding: &[u8; 32],
    classes: u32,
    flags: u8,
    counts: [&Counts<CLASSES>; PHASES],
) -> Result<usize, CertError> {
    let needed = bytes(classes, PHASES);
    let to = to.get_mut(..needed).ok_or(CertError::Buffer { needed: needed as u32 })?;
    let mut writer = Writer::new(to);
    writer.put(&MAGIC);
    writer.u16(VERSION);
    writer.u16(classes as u16);
    writer.put(&[flags, 0, 0, 0]);
    writer.put(binding);
    for counts in counts {
        (0..classes as usize).for_each(|class| writer.u32(counts.of(class)));
    }
    writer.seal::<SEAL>();
    Ok(needed)
}

/// Reads the counts and the flags of a state with this binding, flags being at most `most`.
pub(crate) fn read<const CLASSES: usize, const PHASES: usize>(
    from: &[u8],
    binding: &[u8; 32],
    classes: u32,
    most: u8,
) -> Result<([Counts<CLASSES>; PHASES], u8), CertError> {
    if from.get(..4) != Some(&MAGIC) {
        return Err(CertError::Magic);
    }
    let mut reader = Reader::sealed::<SEAL>(from)?;
    let _: [u8; 4] = reader.take()?;
    if reader.u16()? != VERSION {
        return Err(CertError::Version);
    }
    let found = u32::from(reader.u16()?);
    let flags = reader.u32()?;
    if flags > u32::from(most) {
        return Err(reader.bad(4));
    }
    if reader.take::<32>()? != *binding || found != classes {
        return Err(CertError::Foreign);
    }
    let mut phases = [Counts::default(); PHASES];
    for counts in &mut phases {
        let mut read = [0u32; CLASSES];
        for count in read.get_mut(..found as usize).ok_or(CertError::Classes { found })? {
            *count = reader.u32()?;
        }
        *counts = Counts::from_slice(&read).ok_or(CertError::Classes { found })?;
    }
    reader.end()?;
    Ok((phases, flags as u8))
}

impl<'a, const CLASSES: usize> Certifier<'a, CLASSES> {
    /// Writes the state to the front of `to`; returns its length.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the bytes needed.
    pub fn save(&self, to: &mut [u8]) -> Result<usize, CertError> {
        let classes = self.job.terms().subject().classes;
        let non_deterministic = self.decision == Some(Decision::Abstain(Reason::NonDeterministicBackend));
        let flags = if non_deterministic { NON_DETERMINISTIC } else { 0 };
        write(to, self.job.binding(), classes, flags, [&self.selection, &self.estimate])
    }

    /// Goes on from a saved state of the same job.
    ///
    /// # Errors
    /// [`CertError::Foreign`] for the state of another model, input, nonce or request; [`CertError::Magic`],
    /// [`CertError::Version`], [`CertError::Checksum`] and [`CertError::Field`] for what is no state.
    pub fn resume(job: &'a Job<'a>, bytes: &[u8]) -> Result<Self, CertError> {
        let mut this = Self::new(job)?;
        let classes = job.terms().subject().classes;
        let (counts, flags) = read(bytes, job.binding(), classes, NON_DETERMINISTIC)?;
        [this.selection, this.estimate] = counts;
        let request = job.terms().spec().request();
        check_phases(&this.selection, &this.estimate, request.selection, request.samples)?;
        this.settle();
        if flags == NON_DETERMINISTIC {
            this.decision = Some(Decision::Abstain(Reason::NonDeterministicBackend));
        }
        Ok(this)
    }
}

/// That estimation begins when selection is done, and neither has more draws than asked for.
pub(crate) fn check_phases<const CLASSES: usize>(
    selection: &Counts<CLASSES>,
    estimate: &Counts<CLASSES>,
    select: u32,
    samples: u32,
) -> Result<(), CertError> {
    let (selected, drawn) = (selection.total(), estimate.total());
    let whole = selected == u64::from(select);
    if selected > u64::from(select) || drawn > u64::from(samples) || (drawn > 0 && !whole) {
        return Err(CertError::Field { offset: 44 });
    }
    Ok(())
}
