//! Certificates in ℓ0: the number of positions that may be changed at will.
//!
//! After Levine and Feizi, "Robustness certificates for sparse adversarial attacks by randomized ablation" (AAAI 2020).
//! The model sees k of the d positions of an input, drawn at random, each subset with the same probability; the others are
//! ablated. g(x) is the class it gives most often.
//!
//! **Statement.** Where ρ positions differ, x and x' look the same to the model unless the subset meets one of them, which
//! has probability `Δ_ρ = 1 − C(d − ρ, k)/C(d, k)`. If A has more than ½ + Δ_ρ at x, it has more than ½ at x': `g(x') = A`
//! for every x' that differs in at most ρ positions. With a lower bound p̲ for A (n₀ draws select it, n others count
//! it; Clopper and Pearson 1934) the largest ρ with `p̲ − Δ_ρ > ½` is certified, Δ rounded up, all else down.
//!
//! **Subsets** come from the counter-based generator by selection sampling: exactly k positions, without bias, in one
//! pass and two counters ([`selvedge_noise::Subset`]); what is left of bias after 128 refused words, below 2^−96 in all, is
//! less than the last rounding. No noise table.
//!
//! **Ablated elements.** [`Ablated::Code`] writes a code, best one that no element has. [`Ablated::Mirror`] is the two
//! channels of the paper, for a model of twice as many inputs: x and low + high − x side by side, both low where
//! ablated, so that nothing present looks absent. Either way the certificate holds; the model has to be trained for it.
//! A **position** is an element, or a pixel with all its channels: [`Channels`].
//!
//! **α**: one bound, all of it. Memory: 8 bytes a class, a tile of 128 bytes.

mod run;

use crate::classify::count_classes;
use crate::grid::emit;
use crate::job::Hashes;
use crate::spec::{MOST, fewest};
use crate::{Alpha, CertError, Classify, Counts, Range, StepError, Subject};
pub use run::{AblationRun, L0Decision};
use selvedge_noise::{Domain, NoiseKey, Subset, binomial, bounds};
use sha2::{Digest, Sha256};

/// What the model sees of an element that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ablated {
    /// This code.
    Code(i16),
    /// Every element as two codes, x and low + high − x; ablated ones as low twice.
    Mirror,
}

/// Which elements make a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// So many neighbours each: channels innermost (NHWC). 1 for elements by themselves.
    Last(u32),
    /// So many planes, an element of each: channels outermost (NCHW).
    First(u32),
}

/// What is asked for besides the failure probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AblationRequest {
    /// Positions that are kept.
    pub keep: u32,
    /// What takes the place of the others.
    pub ablated: Ablated,
    /// What a position is.
    pub channels: Channels,
    /// Draws that select the class.
    pub selection: u32,
    /// Draws that estimate its probability.
    pub samples: u32,
    /// Positions below which the answer is an abstention.
    pub target: u32,
}

/// Request and input, before the nonce is known.
#[derive(Debug)]
pub struct Ablation<'a> {
    alpha: Alpha,
    request: AblationRequest,
    subject: Subject<'a>,
    positions: u32,
    hashes: Hashes,
}

impl<'a> Ablation<'a> {
    /// Takes the failure probability; refuses what could never be answered.
    ///
    /// # Errors
    /// [`CertError::Positions`], [`CertError::Selection`], [`CertError::Target`] where not even certainty reaches it,
    /// [`CertError::TooFewSamples`]; [`CertError::Classes`], [`CertError::Range`], [`CertError::OutOfRange`],
    /// [`CertError::Length`].
    pub fn new(alpha: Alpha, request: AblationRequest, subject: Subject<'a>) -> Result<Self, CertError> {
        let dimensions = subject.check()?;
        let (Channels::Last(channels) | Channels::First(channels)) = request.channels;
        let divides = dimensions.checked_rem(channels) == Some(0);
        let positions = dimensions.checked_div(channels).unwrap_or(0);
        if !divides || request.keep == 0 || request.keep >= positions {
            return Err(CertError::Positions);
        }
        if request.selection == 0 || request.selection > MOST || request.samples > MOST {
            return Err(CertError::Selection);
        }
        let answers = |n| {
            let certain = binomial::lower_bound(n, n, alpha.lower());
            largest(positions, request.keep, certain).is_some_and(|rho| rho >= request.target)
        };
        if !answers(request.samples) {
            return Err(fewest(request.samples, answers));
        }
        let mut hash = Sha256::new();
        hash.update(b"selvedge ablation v1");
        hash.update(alpha.units().to_le_bytes());
        let (kind, code) = match request.ablated {
            Ablated::Code(code) => (0u8, code),
            Ablated::Mirror => (1, 0),
        };
        let planes = u8::from(matches!(request.channels, Channels::First(_)));
        hash.update([kind, planes]);
        hash.update(code.to_le_bytes());
        for number in [request.keep, channels, request.selection, request.samples, request.target] {
            hash.update(number.to_le_bytes());
        }
        hash.update(subject.hash());
        let params = hash.finalize().into();
        let hashes = Hashes { model: subject.model, input: subject.input.hash(), params, table: [0; 32] };
        Ok(Ablation { alpha, request, subject, positions, hashes })
    }

    /// What the prover hands over before the verifier chooses the nonce: see [`crate::Terms::commitment`].
    pub fn commitment(&self) -> [u8; 32] {
        self.hashes.commitment()
    }

    /// Positions of the input.
    pub fn positions(&self) -> u32 {
        self.positions
    }
}

/// The most changed positions that a lower bound for the class's probability certifies. `None` for no class.
///
/// ```
/// use selvedge_certify::ablation::largest;
/// // 75 of 3072 positions kept: 10 of them may be changed where p̲ is 0.72.
/// assert_eq!(largest(3072, 75, 0.72), Some(10));
/// ```
pub fn largest(positions: u32, keep: u32, p_lower: f64) -> Option<u32> {
    let certified = |rho| (p_lower - bounds::ablation(positions, keep, rho)).next_down() > 0.5;
    if !certified(0) {
        return None;
    }
    let (mut enough, mut above) = (0, positions.saturating_sub(keep).saturating_add(1));
    while above - enough > 1 {
        let middle = enough + (above - enough) / 2;
        if certified(middle) { enough = middle } else { above = middle }
    }
    Some(enough)
}

/// A keyed ablation: every subset is determined.
#[derive(Debug)]
pub struct AblationJob<'a> {
    ablation: &'a Ablation<'a>,
    key: NoiseKey,
    binding: [u8; 32],
}

impl<'a> AblationJob<'a> {
    /// Keys it with a nonce, chosen after [`Ablation::commitment`].
    pub fn new(ablation: &'a Ablation<'a>, nonce: [u8; 32]) -> Self {
        let binding = ablation.hashes.binding(&nonce);
        AblationJob { ablation, key: ablation.hashes.key(&nonce), binding }
    }

    /// Counts the predictions of samples; ranges may be counted by any number of threads and merged.
    ///
    /// # Errors
    /// The model's; [`CertError::Class`], [`CertError::Classes`].
    pub fn count_range<const CLASSES: usize, M: Classify>(
        &self,
        model: &mut M,
        range: Range,
    ) -> Result<Counts<CLASSES>, StepError<M::Error>> {
        let write = |model: &mut M, index, sample| {
            self.write(range.domain, sample, |first, codes| model.write(index, first, codes))
        };
        count_classes(model, (range.first, range.len), self.ablation.subject.classes, write)
    }

    /// Hands on the codes of a sample, tile by tile.
    fn write<E>(
        &self,
        domain: Domain,
        sample: u32,
        write: impl FnMut(usize, &[i16]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Ablation { request, subject, positions, .. } = self.ablation;
        let (input, low, high) = (&subject.input, subject.grid.low, subject.grid.high);
        let subset = || self.key.subset(domain, sample.into(), *positions, request.keep);
        let mut kept = Kept { subset: subset(), left: 0, now: false };
        let mut is_kept = |element: usize| match request.channels {
            Channels::Last(channels) => kept.next(channels),
            Channels::First(_) => {
                if element.is_multiple_of(*positions as usize) {
                    kept.subset = subset();
                }
                kept.next(1)
            }
        };
        match request.ablated {
            Ablated::Code(code) => emit(input.len(), |i| if is_kept(i) { input.at(i) as i16 } else { code }, write),
            Ablated::Mirror => {
                let mut now = false;
                let code = |i: usize| {
                    let mirrored = i % 2 == 1;
                    if !mirrored {
                        now = is_kept(i / 2);
                    }
                    let value = input.at(i / 2);
                    match (now, mirrored) {
                        (true, false) => value as i16,
                        (true, true) => (i32::from(low) + i32::from(high) - value) as i16,
                        (false, _) => low,
                    }
                };
                emit(2 * input.len(), code, write)
            }
        }
    }
}

/// Membership, each position's so many times in a row.
struct Kept<'k> {
    subset: Subset<'k>,
    left: u32,
    now: bool,
}

impl Kept<'_> {
    fn next(&mut self, times: u32) -> bool {
        if self.left == 0 {
            self.now = self.subset.next().unwrap_or(false);
            self.left = times;
        }
        self.left -= 1;
        self.now
    }
}
