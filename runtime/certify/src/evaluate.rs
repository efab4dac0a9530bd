//! Models with several integer outputs, and noisy copies of their input.

use crate::classify::in_batches;
use crate::grid::{Place, for_each_tile, hash_grid};
use crate::job::Hashes;
use crate::{CertError, Clean, Grid, Price, StepError};
use selvedge_noise::{Domain, NoiseKey, NoiseTable};
use sha2::{Digest, Sha256};

/// A deterministic model of integer inputs with integer outputs: [`crate::Classify`] with numbers in place of a class.
pub trait Evaluate {
    /// Why a run failed.
    type Error;

    /// Inputs that one run takes.
    fn batch(&self) -> usize {
        1
    }

    /// Puts codes in place: see [`crate::Classify::write`].
    ///
    /// # Errors
    /// The model's own.
    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Self::Error>;

    /// Runs the first `samples` inputs.
    ///
    /// # Errors
    /// The model's own.
    fn run(&mut self, samples: usize) -> Result<(), Self::Error>;

    /// An output of one input of the last run: a code, or the label of a pixel.
    fn output(&self, sample: usize, index: usize) -> i32;
}

/// Model, clean input and noise.
#[derive(Clone, Copy, Debug)]
pub struct Noisy<'a> {
    /// SHA-256 that names the model.
    pub model: [u8; 32],
    /// The clean input.
    pub input: Clean<'a>,
    /// Its grid.
    pub grid: Grid,
    /// The noise that is added to it.
    pub table: &'a NoiseTable<'a>,
}

impl Noisy<'_> {
    /// The price of finite precision for this input, which has to lie in its grid.
    pub(crate) fn price(&self) -> Result<Price, CertError> {
        let dimensions = self.input.check(&self.grid)?;
        Ok(Price::new(self.table.sigma(), self.table.tv_price(dimensions)))
    }

    /// What a key is derived from; `request` names all that was asked for.
    pub(crate) fn hashes(&self, request: Sha256) -> Hashes {
        let mut hash = request;
        hash_grid(&mut hash, &self.grid);
        let params = hash.finalize().into();
        Hashes { model: self.model, input: self.input.hash(), params, table: self.table.hash() }
    }

    /// Evaluates the noisy copies `first..first + len` of a domain and hands each on, in order.
    pub(crate) fn for_each<M: Evaluate>(
        &self,
        model: &mut M,
        key: &NoiseKey,
        domain: Domain,
        range: (u32, u32),
        mut each: impl FnMut(&M, usize) -> Result<(), CertError>,
    ) -> Result<(), StepError<M::Error>> {
        let batch = model.batch();
        in_batches(
            model,
            batch,
            range,
            |model, index, sample| {
                let place = Place { table: self.table, key, domain, sample: sample.into() };
                let write = |first, codes: &[i16]| model.write(index, first, codes);
                for_each_tile(&self.input, &self.grid, place, write).map_err(StepError::Model)
            },
            |model, now| model.run(now).map_err(StepError::Model),
            |model, index, _| Ok(each(model, index)?),
        )
    }
}
