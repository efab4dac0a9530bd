//! A record: everything another party needs to check a certificate, or to make it again.

use crate::certifier::Certifier;
use crate::decision::{Decision, Reason};
use crate::plan::Rule;
use sha2::{Digest, Sha256};

/// Classes that a record holds at most.
pub const MOST_CLASSES: usize = 4096;

const MAGIC: [u8; 8] = *b"SLVCERT1";
const FIXED: usize = 232;
/// ChaCha8 with the layout of `selvedge-noise`.
const RNG: u8 = 1;

/// A record, read. Its layout is in `runtime/README.md`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// Classes counted.
    pub classes: u16,
    /// Codes of the input.
    pub dimensions: u32,
    /// σ in grid steps: above and below the line.
    pub sigma: (u32, u32),
    /// 1: i8, 2: u8, 3: i16.
    pub input_type: u8,
    /// Draws of the selection.
    pub selection: u32,
    /// Draws of the estimation.
    pub drawn: u32,
    /// Draws that were planned at most.
    pub budget: u32,
    /// The probability of a false certificate; spent on one bound.
    pub alpha: f64,
    /// Of the sequential rule; 0 for a fixed number of draws.
    pub p0: f64,
    /// What it says.
    pub decision: Decision,
    /// Digest of the model.
    pub model: [u8; 32],
    /// Hash of the input's codes.
    pub input: [u8; 32],
    /// Hash of the noise table.
    pub table: [u8; 32],
    /// The nonce.
    pub nonce: [u8; 32],
    /// Hash of the looks; zeros for a fixed number of draws.
    pub looks: [u8; 32],
    counts: &'a [[u8; 4]],
}

impl<'a> Record<'a> {
    /// Reads a record.
    ///
    /// `None` for bytes that are no record of this version, or damaged.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (body, check) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        if check != Sha256::digest(body).as_slice() {
            return None;
        }
        let mut reader = Reader(body);
        let magic: [u8; 8] = reader.take()?;
        let classes = u16::from_le_bytes(reader.take()?);
        let [rule, outcome] = reader.take()?;
        let dimensions = reader.word()?;
        let sigma = (reader.word()?, reader.word()?);
        let [bits, rng, input_type, zero] = reader.take()?;
        let (selection, drawn, budget) = (reader.word()?, reader.word()?, reader.word()?);
        let (alpha, p0) = (f64::from_le_bytes(reader.take()?), f64::from_le_bytes(reader.take()?));
        let radius_squared = u64::from_le_bytes(reader.take()?);
        let class = u16::from_le_bytes(reader.take()?);
        let zeros: [u8; 6] = reader.take()?;
        let (model, input, table) = (reader.take()?, reader.take()?, reader.take()?);
        let (nonce, looks) = (reader.take()?, reader.take()?);
        let (counts, rest) = reader.0.as_chunks::<4>();
        let decision = match (outcome, class, radius_squared) {
            (0, class, radius_squared) => Decision::Certified { class, radius_squared },
            (1, 0, 0) => Decision::Abstain(Reason::UndecidedAtBudget),
            (2, 0, 0) => Decision::Abstain(Reason::Futile),
            _ => return None,
        };
        let fixed = rule == 1 && p0 == 0.0 && looks == [0; 32];
        let known = magic == MAGIC && bits == 64 && rng == RNG && zero == 0 && zeros == [0; 6];
        let sizes = rest.is_empty() && counts.len() == 2 * usize::from(classes) && (1..=3).contains(&input_type);
        (known && sizes && (fixed || rule == 2)).then_some(Record {
            classes,
            dimensions,
            sigma,
            input_type,
            selection,
            drawn,
            budget,
            alpha,
            p0,
            decision,
            model,
            input,
            table,
            nonce,
            looks,
            counts,
        })
    }

    /// Counts of the selection's draws, by class.
    pub fn selection_counts(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        let half = self.counts.get(..usize::from(self.classes)).unwrap_or_default();
        half.iter().map(|word| u32::from_le_bytes(*word))
    }

    /// Counts of the estimation's draws, by class.
    pub fn estimate_counts(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        let half = self.counts.get(usize::from(self.classes)..).unwrap_or_default();
        half.iter().map(|word| u32::from_le_bytes(*word))
    }

    /// Bytes of a record of so many classes.
    pub const fn bytes(classes: usize) -> usize {
        FIXED + 8 * classes + 32
    }
}

impl<const CLASSES: usize> Certifier<'_, CLASSES> {
    /// Writes the record of a decision; gives its bytes. `None` before there is one, or where `out` is too short
    /// ([`Record::bytes`]).
    pub fn record(&self, out: &mut [u8]) -> Option<usize> {
        let decision = self.decision()?;
        let plan = self.plan;
        let bytes = Record::bytes(usize::from(plan.classes()));
        let (body, check) = out.get_mut(..bytes)?.split_at_mut_checked(bytes - 32)?;
        let (rule, p0, looks) = match plan.rule() {
            Rule::Fixed { .. } => (1, 0.0, [0; 32]),
            Rule::Sequential(looks) => (2, looks.p0, looks.hash()),
        };
        let (outcome, class, radius) = match decision {
            Decision::Certified { class, radius_squared } => (0, class, radius_squared),
            Decision::Abstain(reason) => (reason.code(), 0, 0),
        };
        let sigma = plan.table().sigma();
        let mut writer = Writer { out: body, at: 0 };
        writer.put(&MAGIC);
        writer.put(&plan.classes().to_le_bytes());
        writer.put(&[rule, outcome]);
        [plan.dimensions(), sigma.numerator, sigma.denominator].iter().for_each(|word| writer.put(&word.to_le_bytes()));
        writer.put(&[64, RNG, self.input_type, 0]);
        [plan.selection(), self.drawn, plan.budget()].iter().for_each(|word| writer.put(&word.to_le_bytes()));
        writer.put(&plan.alpha().to_le_bytes());
        writer.put(&p0.to_le_bytes());
        writer.put(&radius.to_le_bytes());
        writer.put(&class.to_le_bytes());
        writer.put(&[0; 6]);
        for hash in [self.identity.model, self.input, plan.table().hash(), self.identity.nonce, looks] {
            writer.put(&hash);
        }
        let (selection, estimate) = self.counts();
        selection.iter().chain(estimate).for_each(|word| writer.put(&word.to_le_bytes()));
        check.copy_from_slice(&Sha256::digest(&*body));
        Some(bytes)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn word(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(to) = self.out.get_mut(self.at..self.at + bytes.len()) {
            to.copy_from_slice(bytes);
        }
        self.at += bytes.len();
    }
}
