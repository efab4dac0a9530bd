//! A certification that is put away and taken up again.

use crate::certifier::{Certifier, Identity};
use crate::draw::Input;
use crate::error::Error;
use crate::plan::Plan;
use core::convert::Infallible;
use sha2::{Digest, Sha256};

const MAGIC: [u8; 8] = *b"SLVCSTA1";
/// Bytes of a state beside 8 for each class.
const FIXED: usize = 8 + 4 + 4 + 32 + 32;

/// Bytes that the state of a certifier takes: 80 and 8 for each class.
pub const fn state_bytes(classes: usize) -> usize {
    FIXED + 8 * classes
}

impl<'p, const CLASSES: usize> Certifier<'p, CLASSES> {
    /// Writes the state; gives its bytes. `None` where `out` is too short ([`state_bytes`]).
    pub fn save(&self, out: &mut [u8]) -> Option<usize> {
        let bytes = state_bytes(usize::from(self.plan.classes()));
        let (selection, estimate) = self.counts();
        let (body, rest) = out.get_mut(..bytes)?.split_at_mut_checked(bytes - 32)?;
        let words = [self.selected, self.drawn];
        let words = words.iter().chain(selection).chain(estimate).flat_map(|word| word.to_le_bytes());
        let all = MAGIC.into_iter().chain(self.binding()).chain(words);
        body.iter_mut().zip(all).for_each(|(to, byte)| *to = byte);
        rest.copy_from_slice(&Sha256::digest(&*body));
        Some(bytes)
    }

    /// Goes on where [`save`](Self::save) was called.
    ///
    /// # Errors
    /// [`Error::State`] for a state that is damaged, or of another plan, model, input or nonce.
    pub fn resume(
        plan: &'p Plan<'p>,
        input: Input<'_>,
        identity: &Identity,
        state: &[u8],
    ) -> Result<Self, Error<Infallible>> {
        let mut certifier = Self::new(plan, input, identity).map_err(|_| Error::Dimensions)?;
        let classes = usize::from(plan.classes());
        let state = state.get(..state_bytes(classes)).ok_or(Error::State)?;
        let (body, check) = state.split_at_checked(state.len() - 32).ok_or(Error::State)?;
        let (magic, body_rest) = body.split_at_checked(8).ok_or(Error::State)?;
        let (binding, words) = body_rest.split_at_checked(32).ok_or(Error::State)?;
        if magic != MAGIC || check != Sha256::digest(body).as_slice() || binding != certifier.binding() {
            return Err(Error::State);
        }
        let mut words = words.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        let mut next = || words.next().ok_or(Error::State);
        (certifier.selected, certifier.drawn) = (next()?, next()?);
        for counts in [&mut certifier.selection, &mut certifier.estimate] {
            for count in counts.iter_mut().take(classes) {
                *count = next()?;
            }
        }
        let sum = |counts: &[u32]| counts.iter().map(|&count| u64::from(count)).sum::<u64>();
        let sums = [(sum(&certifier.selection), certifier.selected), (sum(&certifier.estimate), certifier.drawn)];
        let fits = sums.iter().all(|&(sum, draws)| sum == u64::from(draws));
        if !fits || certifier.selected > plan.selection() || certifier.drawn > plan.budget() {
            return Err(Error::State);
        }
        Ok(certifier)
    }
}
