//! What is asked about a policy, and the noise of its observations.

use crate::grid::{Place, for_each_tile, range_fits};
use crate::job::Hashes;
use crate::{Alpha, CertError, Clean, Grid, Price, StepError};
use selvedge_noise::{Domain, NoiseKey, NoiseTable, Sigma, bounds};
use sha2::{Digest, Sha256};

/// Episodes at most: their numbers and those of steps share 62 bits.
const MOST: u32 = 1 << 30;

/// How the probabilities of returns are bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnBound<'t> {
    /// All levels at once, by the largest deviation of a distribution function.
    Dkw,
    /// Each of these levels by itself, by number; rising, from 1 on.
    Levels(&'t [u16]),
}

/// What is asked about a policy besides the failure probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolicyRequest<'t> {
    /// How returns are bounded.
    pub bound: ReturnBound<'t>,
    /// The levels, rising; the first one is the least return that there can be.
    pub levels: &'t [i32],
    /// Standard deviation of the noise, in grid steps.
    pub sigma: Sigma,
    /// Grid of the observations.
    pub grid: Grid,
    /// Codes of an observation.
    pub dimensions: u32,
    /// Observations of an episode at most.
    pub steps: u32,
    /// Episodes, at most 2^30.
    pub episodes: u32,
}

/// Policy, environment, noise and request, before the nonce is known.
#[derive(Debug)]
pub struct PolicyTerms<'a> {
    alpha: Alpha,
    request: PolicyRequest<'a>,
    table: &'a NoiseTable<'a>,
    price: Price,
    hashes: Hashes,
}

impl<'a> PolicyTerms<'a> {
    /// `policy` and `environment` are SHA-256 that name everything each depends on: the network, its preprocessing and
    /// memory; the environment's program, parameters and how it uses a seed.
    ///
    /// # Errors
    /// [`CertError::Sigma`], [`CertError::Range`], [`CertError::Length`], [`CertError::Episode`],
    /// [`CertError::Levels`], [`CertError::TooFewSamples`].
    pub fn new(
        alpha: Alpha,
        request: PolicyRequest<'a>,
        policy: [u8; 32],
        environment: [u8; 32],
        table: &'a NoiseTable<'a>,
    ) -> Result<Self, CertError> {
        if table.sigma() != request.sigma {
            return Err(CertError::Sigma);
        }
        // The widest type; an observation's own is checked when it is seen.
        if !range_fits(3, &request.grid) {
            return Err(CertError::Range);
        }
        if request.dimensions == 0 {
            return Err(CertError::Length);
        }
        if request.steps == 0 || request.episodes == 0 || request.episodes > MOST {
            return Err(CertError::Episode);
        }
        check_levels(&request)?;
        if request.bound == ReturnBound::Dkw {
            // Even if every episode reached a level.
            let reaches = |n: u32| bounds::dkw_one_sided(n, alpha.lower()) < 1.0;
            if !reaches(request.episodes) {
                let needed = (request.episodes..MOST).find(|&n| reaches(n)).unwrap_or(MOST);
                return Err(CertError::TooFewSamples { needed });
            }
        }
        let tau = f64::from(request.steps) * table.tv_price(request.dimensions) * (1.0 + 4.0 * f64::EPSILON);
        let price = Price::new(request.sigma, tau);
        let params = params_hash(&alpha, &request);
        let hashes = Hashes { model: policy, input: environment, params, table: table.hash() };
        Ok(PolicyTerms { alpha, request, table, price, hashes })
    }

    /// As [`crate::Terms::commitment`]: what is handed over before the verifier chooses the nonce.
    pub fn commitment(&self) -> [u8; 32] {
        self.hashes.commitment()
    }

    /// The failure probability.
    pub fn alpha(&self) -> &Alpha {
        &self.alpha
    }

    /// The request.
    pub fn request(&self) -> &PolicyRequest<'a> {
        &self.request
    }

    /// The price of finite precision for an episode.
    pub fn price(&self) -> &Price {
        &self.price
    }
}

fn check_levels(request: &PolicyRequest<'_>) -> Result<(), CertError> {
    let levels = request.levels;
    if levels.len() < 2 || levels.len() > usize::from(u16::MAX) {
        return Err(CertError::Levels { index: levels.len() as u32 });
    }
    if let Some(index) = levels.windows(2).position(|pair| matches!(pair, [a, b] if a >= b)) {
        return Err(CertError::Levels { index: index as u32 + 1 });
    }
    let ReturnBound::Levels(chosen) = request.bound else { return Ok(()) };
    let mut before = 0;
    for &level in chosen {
        if level <= before || usize::from(level) >= levels.len() {
            return Err(CertError::Levels { index: level.into() });
        }
        before = level;
    }
    if chosen.is_empty() { Err(CertError::Levels { index: 0 }) } else { Ok(()) }
}

fn params_hash(alpha: &Alpha, request: &PolicyRequest<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"selvedge policy params v1");
    hash.update(alpha.units().to_le_bytes());
    hash.update(request.sigma.numerator.to_le_bytes());
    hash.update(request.sigma.denominator.to_le_bytes());
    hash.update(request.grid.low.to_le_bytes());
    hash.update(request.grid.high.to_le_bytes());
    hash.update(request.grid.scale.to_bits().to_le_bytes());
    hash.update(request.grid.zero.to_le_bytes());
    for number in [request.dimensions, request.steps, request.episodes, request.levels.len() as u32] {
        hash.update(number.to_le_bytes());
    }
    request.levels.iter().for_each(|level| hash.update(level.to_le_bytes()));
    match request.bound {
        ReturnBound::Dkw => hash.update([1]),
        ReturnBound::Levels(chosen) => {
            hash.update([2]);
            chosen.iter().for_each(|level| hash.update(level.to_le_bytes()));
        }
    }
    hash.finalize().into()
}

/// A keyed job: the noise of every observation is determined.
#[derive(Debug)]
pub struct PolicyJob<'a> {
    terms: &'a PolicyTerms<'a>,
    key: NoiseKey,
    binding: [u8; 32],
}

impl<'a> PolicyJob<'a> {
    /// Keys the terms with a nonce, chosen after [`PolicyTerms::commitment`] by whoever is to believe the result.
    pub fn new(terms: &'a PolicyTerms<'a>, nonce: [u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"selvedge policy state v1");
        hash.update(terms.commitment());
        hash.update(nonce);
        PolicyJob { terms, key: terms.hashes.key(&nonce), binding: hash.finalize().into() }
    }

    /// The terms.
    pub fn terms(&self) -> &'a PolicyTerms<'a> {
        self.terms
    }

    /// Names the job in saved states.
    pub(crate) fn binding(&self) -> &[u8; 32] {
        &self.binding
    }

    /// A seed for the environment's own chance in an episode, SHA-256 of job and number.
    pub fn seed(&self, episode: u32) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"selvedge episode seed v1");
        hash.update(self.binding);
        hash.update(episode.to_le_bytes());
        hash.finalize().into()
    }

    /// Hands on the observation of a step with its noise, tile by tile with the number of the first element, as
    /// [`crate::Classify::write`] takes them. A frame that is stacked again keeps the codes it got here.
    ///
    /// # Errors
    /// What `write` returns; [`CertError::Episode`], [`CertError::Length`], [`CertError::Range`] for an observation whose
    /// type does not hold the grid, [`CertError::OutOfRange`].
    pub fn observe<E>(
        &self,
        episode: u32,
        step: u32,
        clean: &Clean<'_>,
        write: impl FnMut(usize, &[i16]) -> Result<(), E>,
    ) -> Result<(), StepError<E>> {
        let request = &self.terms.request;
        if episode >= request.episodes || step >= request.steps {
            return Err(CertError::Episode.into());
        }
        if clean.check(&request.grid)? != request.dimensions {
            return Err(CertError::Length.into());
        }
        let sample = u64::from(episode) << 32 | u64::from(step);
        let place = Place { table: self.terms.table, key: &self.key, domain: Domain::Estimate, sample };
        for_each_tile(clean, &request.grid, place, write).map_err(StepError::Model)
    }
}
