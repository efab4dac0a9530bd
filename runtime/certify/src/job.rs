//! What is certified: model, input, noise, request, and the key that ties the noise to them.

use crate::classify::{classes_of, count_classes, in_batches};
use crate::grid::{Place, for_each_tile, hash_grid};
use crate::{CertError, CertSpec, Classify, Clean, Counts, Grid, Price, Rule, StepError};
use selvedge_noise::{Domain, NoiseKey, NoiseTable};
use sha2::{Digest, Sha256};

/// The model and the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subject<'a> {
    /// SHA-256 that names the model: weights, graph and numerics. The digest of an artifact is one.
    pub model: [u8; 32],
    /// Classes of the model.
    pub classes: u32,
    /// The clean input.
    pub input: Clean<'a>,
    /// Its grid.
    pub grid: Grid,
}

impl Subject<'_> {
    /// The number of elements, if classes, grid and input are possible.
    pub(crate) fn check(&self) -> Result<u32, CertError> {
        if self.classes < 2 || self.classes > u32::from(u16::MAX) {
            return Err(CertError::Classes { found: self.classes });
        }
        self.input.check(&self.grid)
    }

    /// SHA-256 of input, grid and number of classes.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"selvedge subject v1");
        hash.update(self.input.hash());
        hash_grid(&mut hash, &self.grid);
        hash.update(self.classes.to_le_bytes());
        hash.finalize().into()
    }
}

/// Model, input, noise and request, before the nonce is known.
#[derive(Debug)]
pub struct Terms<'a> {
    spec: &'a CertSpec<'a>,
    subject: Subject<'a>,
    table: &'a NoiseTable<'a>,
    price: Price,
    pub(crate) hashes: Hashes,
}

/// The hashes that a key is derived from, the nonce left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hashes {
    pub model: [u8; 32],
    pub input: [u8; 32],
    pub params: [u8; 32],
    pub table: [u8; 32],
}

impl Hashes {
    /// The key of the noise for a nonce.
    pub fn key(&self, nonce: &[u8; 32]) -> NoiseKey {
        NoiseKey::derive(nonce, &self.model, &self.input, &self.params, &self.table)
    }

    /// Names the job of a nonce in saved states.
    pub fn binding(&self, nonce: &[u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"selvedge certify state v1");
        hash.update(self.commitment());
        hash.update(nonce);
        hash.finalize().into()
    }

    /// See [`Terms::commitment`].
    pub fn commitment(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"selvedge commitment v1");
        for part in [&self.model, &self.input, &self.params, &self.table] {
            hash.update(part);
        }
        hash.finalize().into()
    }
}

impl<'a> Terms<'a> {
    /// Checks the parts against each other; hashes input and table.
    ///
    /// # Errors
    /// [`CertError::Sigma`], [`CertError::Classes`], [`CertError::Range`], [`CertError::OutOfRange`],
    /// [`CertError::Length`], and those of [`CertSpec::new`] where the price of finite precision decides.
    pub fn new(spec: &'a CertSpec<'a>, subject: Subject<'a>, table: &'a NoiseTable<'a>) -> Result<Self, CertError> {
        if table.sigma() != spec.request().sigma {
            return Err(CertError::Sigma);
        }
        let dimensions = subject.check()?;
        let price = Price::new(table.sigma(), table.tv_price(dimensions));
        spec.answerable(&price)?;
        let params = params_hash(spec, subject.input.kind(), &subject.grid, dimensions, subject.classes);
        let hashes = Hashes { model: subject.model, input: subject.input.hash(), params, table: table.hash() };
        Ok(Terms { spec, subject, table, price, hashes })
    }

    /// What the prover hands over before the verifier chooses the nonce: a hash of model, input, request and table.
    ///
    /// A prover who may choose nonce or request after having seen the noise can try G of them, which multiplies the
    /// failure probability by up to G. With the commitment first and the nonce from the verifier, G is 1.
    pub fn commitment(&self) -> [u8; 32] {
        self.hashes.commitment()
    }

    /// The noise table.
    pub fn table(&self) -> &'a NoiseTable<'a> {
        self.table
    }

    /// The request.
    pub fn spec(&self) -> &'a CertSpec<'a> {
        self.spec
    }

    /// Model and input.
    pub fn subject(&self) -> &Subject<'a> {
        &self.subject
    }

    /// The price of finite precision for this input.
    pub fn price(&self) -> &Price {
        &self.price
    }
}

/// SHA-256 of everything that is fixed before the noise, apart from model, input and table.
pub(crate) fn params_hash(spec: &CertSpec<'_>, kind: u8, grid: &Grid, dimensions: u32, classes: u32) -> [u8; 32] {
    let request = spec.request();
    let mut hash = Sha256::new();
    hash.update(b"selvedge certify params v1");
    hash.update([request.rule.id(), kind]);
    hash_grid(&mut hash, grid);
    hash.update(dimensions.to_le_bytes());
    hash.update(classes.to_le_bytes());
    hash.update(request.sigma.numerator.to_le_bytes());
    hash.update(request.sigma.denominator.to_le_bytes());
    hash.update(spec.alpha().units().to_le_bytes());
    hash.update(request.selection.to_le_bytes());
    hash.update(request.samples.to_le_bytes());
    hash.update([u8::from(request.target_r2.is_some())]);
    hash.update(request.target_r2.unwrap_or(0).to_le_bytes());
    match request.rule {
        Rule::Sequential(table) => hash.update(table.hash()),
        Rule::Largest { gain } => hash.update(gain.to_le_bytes()),
        Rule::Margin(maps) => maps.iter().for_each(|map| hash.update(map.code())),
        _ => {}
    }
    hash.finalize().into()
}

/// A keyed job: every sample of its noise is determined.
#[derive(Debug)]
pub struct Job<'a> {
    terms: &'a Terms<'a>,
    nonce: [u8; 32],
    pub(crate) own_nonce: bool,
    key: NoiseKey,
    binding: [u8; 32],
}

impl<'a> Job<'a> {
    /// Keys the terms with a nonce, chosen after [`Terms::commitment`] by whoever is to believe the certificate.
    pub fn new(terms: &'a Terms<'a>, nonce: [u8; 32]) -> Self {
        let binding = terms.hashes.binding(&nonce);
        Job { terms, nonce, own_nonce: false, key: terms.hashes.key(&nonce), binding }
    }

    /// The same with a nonce of the prover's own choice, which the record says: whoever reads it knows that the failure
    /// probability holds only if the prover took the first nonce that came.
    pub fn with_own_nonce(terms: &'a Terms<'a>, nonce: [u8; 32]) -> Self {
        Job { own_nonce: true, ..Self::new(terms, nonce) }
    }

    /// The same model, input and noise for another procedure, whose request `params` names.
    pub(crate) fn extended(terms: &'a Terms<'a>, params: [u8; 32], nonce: [u8; 32]) -> Self {
        let hashes = Hashes { params, ..terms.hashes };
        Job { terms, nonce, own_nonce: false, key: hashes.key(&nonce), binding: hashes.binding(&nonce) }
    }

    /// The terms.
    pub fn terms(&self) -> &'a Terms<'a> {
        self.terms
    }

    /// The nonce.
    pub fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// Names the job in saved states.
    pub(crate) fn binding(&self) -> &[u8; 32] {
        &self.binding
    }

    /// Draws the samples `first..first + len` of a domain, classifies them in batches of the model, and hands each
    /// class on in order. What is predicted for a sample depends on nothing but its number.
    ///
    /// # Errors
    /// The model's; [`CertError::Class`].
    pub fn for_each<M: Classify>(
        &self,
        model: &mut M,
        domain: Domain,
        first: u32,
        len: u32,
        each: impl FnMut(u32, usize) -> Result<(), CertError>,
    ) -> Result<(), StepError<M::Error>> {
        classes_of(model, (first, len), self.terms.subject.classes, self.writer(domain), each)
    }

    /// [`Job::for_each`] for whatever a model has to say about an input of a run: it and the input's index in it.
    pub(crate) fn for_each_run<M: Classify>(
        &self,
        model: &mut M,
        domain: Domain,
        first: u32,
        len: u32,
        mut each: impl FnMut(u32, &M, usize) -> Result<(), StepError<M::Error>>,
    ) -> Result<(), StepError<M::Error>> {
        let batch = model.batch();
        let mut write = self.writer(domain);
        in_batches(
            model,
            batch,
            (first, len),
            |model, index, sample| write(model, index, sample).map_err(StepError::Model),
            |model, now| model.run(now).map_err(StepError::Model),
            |model, index, sample| each(sample, model, index),
        )
    }

    /// Counts the predictions of the samples `first..first + len`. Ranges may be counted anywhere, by any number of
    /// threads, and merged: see [`Counts::merge`] and `Certifier::merge`.
    ///
    /// # Errors
    /// Those of [`Job::for_each`]; [`CertError::Classes`].
    pub fn count_range<const CLASSES: usize, M: Classify>(
        &self,
        model: &mut M,
        domain: Domain,
        first: u32,
        len: u32,
    ) -> Result<Counts<CLASSES>, StepError<M::Error>> {
        count_classes(model, (first, len), self.terms.subject.classes, self.writer(domain))
    }

    /// Writes the noisy input of a sample to its place in a model's batch.
    fn writer<M: Classify>(&self, domain: Domain) -> impl FnMut(&mut M, usize, u32) -> Result<(), M::Error> {
        let subject = &self.terms.subject;
        move |model, index, sample| {
            let place = Place { table: self.terms.table, key: &self.key, domain, sample: sample.into() };
            for_each_tile(&subject.input, &subject.grid, place, |first, codes| model.write(index, first, codes))
        }
    }
}
