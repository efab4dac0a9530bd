//! Certificates in ℓ1 without randomness: splitting noise, every value of it in turn.
//!
//! After Levine and Feizi, "Improved, deterministic smoothing for L1 certified robustness" (ICML 2021). Thresholds lie
//! between the codes of a grid, q steps apart; an element is replaced by the middle of the cell that it lies in. Pass i of
//! q puts the thresholds of element j at `low + ((i + v_j) mod q) + ½ + q·m`, all integers m, with a fixed template v:
//! over the passes each element sees every place of its thresholds once. The class with most votes of the q passes, of
//! equal ones the first, is g(x).
//!
//! **Statement.** A step of one code in one element crosses a threshold in at most one of the passes, so ‖δ‖₁ steps
//! change at most ‖δ‖₁ votes, each of which moves the difference of two classes by at most 2. With votes n_A and n_B,
//! `g(x + δ) = A` for every δ with x + δ in the grid's range and `‖δ‖₁ ≤ min over B of ⌊(n_A − n_B − [B < A])/2⌋` steps.
//!
//! It is certain, α = 0: no sample, no key, no assumption on the template, which may be known to everybody. q = 2λ times
//! the range of the grid, λ being the noise of the paper: 255 for λ = ½ and 8 bits. A middle that is no whole step is
//! rounded down, which takes away half a step of what the model sees and nothing from the proof. The model has to be
//! trained on such inputs.
//!
//! Memory: 4 bytes a class, a tile of 128 bytes, 4 bytes an element for a template that is given.

use crate::classify::count_classes;
use crate::grid::emit;
use crate::{CertError, Classify, Counts, StepError, Subject, state};
use selvedge_noise::{Domain, NoiseKey};
use sha2::{Digest, Sha256};

/// Passes that a request may name.
const MOST: u32 = 1 << 24;

/// Where the thresholds of each element start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template<'a> {
    /// Uniform below the number of passes, from the counter-based generator under this key.
    Keyed([u8; 32]),
    /// These, one an element, modulo the number of passes.
    Given(&'a [u32]),
}

impl Template<'_> {
    /// The template of this library.
    pub const PUBLIC: Template<'static> = Template::Keyed(*b"selvedge splitting template v1\0\0");
}

/// What is certified: model, input, number of passes and template.
#[derive(Debug)]
pub struct Splitting<'a> {
    subject: Subject<'a>,
    passes: u32,
    template: Template<'a>,
    binding: [u8; 32],
}

/// A class and how far it reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Certificate {
    /// The class of the smoothed classifier.
    pub class: u16,
    /// It is the same at every point of the grid at an ℓ1 distance of at most so many steps; 0: at the input.
    pub r1: u32,
}

impl<'a> Splitting<'a> {
    /// Checks the parts against each other.
    ///
    /// # Errors
    /// [`CertError::Passes`] for none or more than 2^24, [`CertError::Template`] for one of another length than the
    /// input; [`CertError::Classes`], [`CertError::Range`], [`CertError::OutOfRange`], [`CertError::Length`].
    pub fn new(subject: Subject<'a>, passes: u32, template: Template<'a>) -> Result<Self, CertError> {
        if passes == 0 || passes > MOST {
            return Err(CertError::Passes);
        }
        let dimensions = subject.check()?;
        let mut hash = Sha256::new();
        hash.update(b"selvedge splitting v1");
        hash.update(subject.model);
        hash.update(subject.hash());
        hash.update(passes.to_le_bytes());
        match template {
            Template::Keyed(key) => {
                hash.update([0]);
                hash.update(key);
            }
            Template::Given(starts) if starts.len() != dimensions as usize => return Err(CertError::Template),
            Template::Given(starts) => {
                hash.update([1]);
                starts.iter().for_each(|start| hash.update(start.to_le_bytes()));
            }
        }
        Ok(Splitting { subject, passes, template, binding: hash.finalize().into() })
    }

    /// Passes there are.
    pub fn passes(&self) -> u32 {
        self.passes
    }

    /// SHA-256 of everything that decides the certificate.
    pub fn hash(&self) -> [u8; 32] {
        self.binding
    }

    /// Counts the votes of the passes `first..first + len`; ranges may be counted by any number of threads and merged.
    ///
    /// # Errors
    /// The model's; [`CertError::Order`] for passes that there are not; [`CertError::Class`], [`CertError::Classes`].
    pub fn count_range<const CLASSES: usize, M: Classify>(
        &self,
        model: &mut M,
        first: u32,
        len: u32,
    ) -> Result<Counts<CLASSES>, StepError<M::Error>> {
        if first.checked_add(len).is_none_or(|end| end > self.passes) {
            return Err(CertError::Order.into());
        }
        let write = |model: &mut M, index, pass| self.write(pass, |first, codes| model.write(index, first, codes));
        count_classes(model, (first, len), self.subject.classes, write)
    }

    /// Hands on the codes of a pass, tile by tile.
    fn write<E>(&self, pass: u32, write: impl FnMut(usize, &[i16]) -> Result<(), E>) -> Result<(), E> {
        let (input, grid, passes) = (&self.subject.input, &self.subject.grid, self.passes);
        let key = match self.template {
            Template::Keyed(key) => NoiseKey::from_bytes(key),
            Template::Given(_) => NoiseKey::from_bytes([0; 32]),
        };
        let mut starts = key.integers(Domain::Extension, 0, 0);
        let code = |index: usize| {
            let start = match self.template {
                Template::Keyed(_) => starts.below(passes),
                Template::Given(starts) => starts.get(index).map_or(0, |start| start % passes),
            };
            let phase = (start + pass) % passes;
            middle(input.at(index), i32::from(grid.low), i32::from(grid.high), phase as i32, passes as i32)
        };
        emit(input.len(), code, write)
    }
}

/// The middle, rounded down, of the cell of `value` between thresholds at `low + phase + ½` and all `passes` steps from
/// there; the outermost cells end at `low` and `high`.
fn middle(value: i32, low: i32, high: i32, phase: i32, passes: i32) -> i16 {
    // Everything below 2^26: in half steps above low.
    let (above, whole) = (value - low, 2 * (high - low));
    let (from, to) = match above > phase {
        true => {
            let from = 2 * (phase + (above - 1 - phase) / passes * passes) + 1;
            (from, (from + 2 * passes).min(whole))
        }
        false => (0, (2 * phase + 1).min(whole)),
    };
    (low + (from + to) / 4) as i16
}

/// A resumable run: votes, one count a class.
#[derive(Clone, Debug)]
pub struct SplittingRun<'a, const CLASSES: usize> {
    splitting: &'a Splitting<'a>,
    votes: Counts<CLASSES>,
}

impl<'a, const CLASSES: usize> SplittingRun<'a, CLASSES> {
    /// A run before its first pass.
    ///
    /// # Errors
    /// [`CertError::Classes`] where the model has more classes than there is room for.
    pub fn new(splitting: &'a Splitting<'a>) -> Result<Self, CertError> {
        match splitting.subject.classes {
            found if found as usize > CLASSES => Err(CertError::Classes { found }),
            _ => Ok(SplittingRun { splitting, votes: Counts::default() }),
        }
    }

    /// Makes at most `most` passes, at least one, and returns the certificate after the last one.
    ///
    /// # Errors
    /// Those of [`Splitting::count_range`]; passes of the failed call are not counted.
    pub fn step<M: Classify>(
        &mut self,
        model: &mut M,
        most: u32,
    ) -> Result<Option<L1Certificate>, StepError<M::Error>> {
        let first = self.next_pass();
        let len = most.max(1).min(self.splitting.passes.saturating_sub(first));
        let counts = self.splitting.count_range(model, first, len)?;
        self.merge(first, &counts)?;
        Ok(self.certificate())
    }

    /// The pass that comes next.
    pub fn next_pass(&self) -> u32 {
        self.votes.total() as u32
    }

    /// Adds the votes of the passes from `first` on, which has to be the next one.
    ///
    /// # Errors
    /// [`CertError::Order`] for other passes, or more than there are.
    pub fn merge(&mut self, first: u32, counts: &Counts<CLASSES>) -> Result<(), CertError> {
        let enough = self.votes.total() + counts.total() <= u64::from(self.splitting.passes);
        if first != self.next_pass() || !enough {
            return Err(CertError::Order);
        }
        self.votes.merge(counts);
        Ok(())
    }

    /// Votes so far.
    pub fn votes(&self) -> &Counts<CLASSES> {
        &self.votes
    }

    /// The certificate, once all passes are made.
    pub fn certificate(&self) -> Option<L1Certificate> {
        if self.next_pass() != self.splitting.passes {
            return None;
        }
        let votes = self.votes.as_slice().get(..self.splitting.subject.classes as usize)?;
        certificate(votes)
    }

    /// Writes the state, 56 bytes and 4 for each class, to the front of `to`; returns its length.
    ///
    /// # Errors
    /// [`CertError::Buffer`] with the bytes needed.
    pub fn save(&self, to: &mut [u8]) -> Result<usize, CertError> {
        state::write(to, &self.splitting.binding, self.splitting.subject.classes, 0, [&self.votes])
    }

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// [`CertError::Foreign`] for the state of another model, input, template or number of passes;
    /// [`CertError::Magic`], [`CertError::Version`], [`CertError::Checksum`], [`CertError::Field`] for what is no state.
    pub fn resume(splitting: &'a Splitting<'a>, bytes: &[u8]) -> Result<Self, CertError> {
        let mut this = Self::new(splitting)?;
        ([this.votes], _) = state::read(bytes, &splitting.binding, splitting.subject.classes, 0)?;
        match this.votes.total() <= u64::from(splitting.passes) {
            true => Ok(this),
            false => Err(CertError::Field { offset: 44 }),
        }
    }
}

/// What the votes of all passes prove. `None` for no votes.
///
/// ```
/// use selvedge_certify::splitting::{L1Certificate, certificate};
/// // 441 passes: 200 for class 0, 241 for class 1, which loses ties.
/// assert_eq!(certificate(&[200, 241, 0]), Some(L1Certificate { class: 1, r1: 20 }));
/// ```
pub fn certificate(votes: &[u32]) -> Option<L1Certificate> {
    let (mut class, mut most) = (0, *votes.first()?);
    for (other, &count) in votes.iter().enumerate() {
        if count > most {
            (class, most) = (other, count);
        }
    }
    let others = votes.iter().enumerate().filter(|(other, _)| *other != class);
    // A lower class with as many votes would win.
    let r1 = others.map(|(other, &count)| (most - count - u32::from(other < class)) / 2).min();
    Some(L1Certificate { class: u16::try_from(class).ok()?, r1: r1? })
}
