//! Records as bytes.

use super::Record;
use crate::bytes::{Reader, Writer};
use crate::grid::range_fits;
use crate::{CertError, Counts, Decision, Grid, Reason};
use selvedge_noise::Sigma;

const MAGIC: [u8; 8] = *b"SLVCERT2";
const VERSION: u16 = 1;
/// ChaCha8, keyed and numbered as in `selvedge_noise`, rounded Gaussian by 64-bit thresholds.
const GENERATOR: u16 = 1;
const THRESHOLD_BITS: u8 = 64;
const SEAL: usize = 32;
const TREE: u8 = 1;
const TARGET: u8 = 2;
const OWN_NONCE: u8 = 4;

/// Bytes of a record.
pub const fn record_bytes(classes: u32) -> usize {
    368 + SEAL + 8 * classes as usize
}

/// Codes of a decision: kind, reason, class, squared radius.
fn codes(decision: Decision) -> (u8, u8, u32, u64) {
    match decision {
        Decision::Certified { class, r2 } => (1, 0, class.into(), r2),
        Decision::Predicted { class } => (2, 0, class.into(), 0),
        Decision::Abstain(reason) => match reason {
            Reason::UndecidedAtBudget => (3, 1, 0, 0),
            Reason::Futility => (3, 2, 0, 0),
            Reason::BelowTarget { r2 } => (3, 3, 0, r2),
            Reason::NonDeterministicBackend => (3, 4, 0, 0),
            Reason::Cancelled => (3, 5, 0, 0),
        },
    }
}

fn decision(kind: u8, reason: u8, class: u32, r2: u64) -> Option<Decision> {
    let class16 = u16::try_from(class).ok()?;
    let decision = match (kind, reason) {
        (1, 0) => Decision::Certified { class: class16, r2 },
        (2, 0) => Decision::Predicted { class: class16 },
        (3, 1) => Decision::Abstain(Reason::UndecidedAtBudget),
        (3, 2) => Decision::Abstain(Reason::Futility),
        (3, 3) => Decision::Abstain(Reason::BelowTarget { r2 }),
        (3, 4) => Decision::Abstain(Reason::NonDeterministicBackend),
        (3, 5) => Decision::Abstain(Reason::Cancelled),
        _ => return None,
    };
    // Fields without a meaning are zero.
    (codes(decision) == (kind, reason, class, r2)).then_some(decision)
}

impl<const CLASSES: usize> Record<CLASSES> {
    /// Writes the record to the front of `to`; returns its length.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the bytes needed, [`CertError::Classes`].
    pub fn encode(&self, to: &mut [u8]) -> Result<usize, CertError> {
        if self.classes as usize > CLASSES {
            return Err(CertError::Classes { found: self.classes });
        }
        let needed = record_bytes(self.classes);
        let to = to.get_mut(..needed).ok_or(CertError::Buffer { needed: needed as u32 })?;
        let (kind, reason, class, r2) = codes(self.decision);
        let mut w = Writer::new(to);
        w.put(&MAGIC);
        w.u16(VERSION);
        w.u16(GENERATOR);
        let parts = [(self.roots.is_some(), TREE), (self.target_r2.is_some(), TARGET), (self.own_nonce, OWN_NONCE)];
        let flags = parts.iter().map(|&(set, flag)| if set { flag } else { 0 }).sum();
        w.put(&[self.rule, kind, reason, flags, self.kind, THRESHOLD_BITS]);
        w.put(&self.grid.low.to_le_bytes());
        w.put(&self.grid.high.to_le_bytes());
        w.u16(0);
        w.u32(self.library);
        w.u32(self.grid.scale.to_bits());
        w.put(&self.grid.zero.to_le_bytes());
        let words =
            [self.dimensions, self.classes, self.sigma.numerator, self.sigma.denominator, self.selection, self.samples];
        words.iter().for_each(|&word| w.u32(word));
        w.u32(self.counts[1].total() as u32);
        w.u64(self.alpha);
        w.u64(self.spent);
        w.u32(self.shares);
        w.u32(self.gain);
        w.u64(self.target_r2.unwrap_or(0));
        w.u64(r2);
        w.u32(class);
        w.u32(0);
        let roots = self.roots.unwrap_or_default();
        let hashes =
            [&self.model, &self.input, &self.table, &self.nonce, &self.params, &self.looks, &roots[0], &roots[1]];
        hashes.iter().for_each(|hash| w.put(hash.as_slice()));
        for counts in &self.counts {
            (0..self.classes as usize).for_each(|class| w.u32(counts.of(class)));
        }
        w.seal::<SEAL>();
        Ok(needed)
    }

    /// Reads a record; every byte string that is accepted is the encoding of what is returned.
    ///
    /// # Errors
    /// [`CertError::Magic`], [`CertError::Version`], [`CertError::Checksum`], [`CertError::Field`] with the offset,
    /// [`CertError::Classes`] where there are more than `CLASSES`.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertError> {
        if bytes.get(..8) != Some(&MAGIC) {
            return Err(CertError::Magic);
        }
        let mut r = Reader::sealed::<SEAL>(bytes)?;
        let _: [u8; 8] = r.take()?;
        if r.u16()? != VERSION || r.u16()? != GENERATOR {
            return Err(CertError::Version);
        }
        let [rule, verdict, reason, flags, kind, bits] = r.take()?;
        if !(1..=5).contains(&rule) || flags > (TREE | TARGET | OWN_NONCE) || bits != THRESHOLD_BITS {
            return Err(r.bad(6));
        }
        let (low, high) = (i16::from_le_bytes(r.take()?), i16::from_le_bytes(r.take()?));
        if r.u16()? != 0 {
            return Err(r.bad(2));
        }
        let library = r.u32()?;
        let grid = Grid { low, high, scale: f32::from_bits(r.u32()?), zero: i32::from_le_bytes(r.take()?) };
        if !range_fits(kind, &grid) {
            return Err(r.bad(16));
        }
        let (dimensions, classes) = (r.u32()?, r.u32()?);
        if classes as usize > CLASSES || classes < 2 || dimensions == 0 {
            return Err(CertError::Classes { found: classes });
        }
        let sigma = Sigma { numerator: r.u32()?, denominator: r.u32()? };
        if Sigma::new(sigma.numerator, sigma.denominator) != Some(sigma) {
            return Err(r.bad(8));
        }
        let (selection, samples, drawn) = (r.u32()?, r.u32()?, r.u32()?);
        let (alpha, spent) = (r.u64()?, r.u64()?);
        if alpha == 0 || spent > alpha || drawn > samples {
            return Err(r.bad(16));
        }
        let (shares, gain, target, r2) = (r.u32()?, r.u32()?, r.u64()?, r.u64()?);
        let class = r.u32()?;
        let decision = decision(verdict, reason, class, r2).filter(|_| class < classes).ok_or(r.bad(4))?;
        if r.u32()? != 0 || (flags & TARGET == 0 && target != 0) || (rule != 4 && gain != 0) {
            return Err(r.bad(4));
        }
        let (model, input, table, nonce) = (r.take()?, r.take()?, r.take()?, r.take()?);
        let (params, looks) = (r.take()?, r.take()?);
        let roots = [r.take()?, r.take()?];
        if (flags & TREE == 0 && roots != [[0; 32]; 2]) || (rule != 3 && looks != [0; 32]) {
            return Err(r.bad(64));
        }
        let mut counts = [Counts::default(); 2];
        for (counts, most) in counts.iter_mut().zip([selection, drawn]) {
            let mut read = [0; CLASSES];
            for count in read.iter_mut().take(classes as usize) {
                *count = r.u32()?;
            }
            *counts = Counts::from_slice(&read).unwrap_or_default();
            if counts.total() > u64::from(most) {
                return Err(r.bad(4 * classes as usize));
            }
        }
        // Estimation follows the whole selection.
        if counts[1].total() != u64::from(drawn) || (drawn > 0 && counts[0].total() != u64::from(selection)) {
            return Err(r.bad(4));
        }
        r.end()?;
        let target_r2 = (flags & TARGET != 0).then_some(target);
        let roots = (flags & TREE != 0).then_some(roots);
        let own_nonce = flags & OWN_NONCE != 0;
        #[rustfmt::skip]
        let record = Record {
            library, model, input, table, nonce, own_nonce, params, looks, kind, grid, dimensions, classes, sigma, rule,
            gain, selection, samples, target_r2, alpha, spent, shares, decision, counts, roots,
        };
        Ok(record)
    }
}
