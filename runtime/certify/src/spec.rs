//! What is asked for, checked before anything is drawn.

use crate::{Alpha, CertError, LookTable, Price, Simplex, largest};
use selvedge_noise::{Sigma, binomial};

/// The procedure.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Rule<'t> {
    /// CERTIFY of Cohen et al. (2019): one bound after a fixed number of draws.
    Fixed,
    /// PREDICT of the same: the most frequent class, if a two-sided binomial test tells it from the second.
    Predict,
    /// A preset radius, tested at every look of a table; valid whenever it stops.
    Sequential(&'t LookTable<'t>),
    /// The largest radius, with an early stop where it would not grow by much.
    ///
    /// Looks are fixed in advance at ⌈n/4ⁱ⌉ draws, i = 5…0, as far as at least 64; the last one has half of α, the
    /// others equal parts of the other half. All bounds hold at once with probability 1 − α (union bound), so the
    /// counts may choose at which look to stop, and the bound of that look is the certificate.
    Largest {
        /// Growth that is worth going on for, in thousandths of σ.
        gain: u32,
    },
    /// One bound against every other class, by a partition of the classes; a class may lead with less than one half.
    Partition,
    /// Means of a simplex map of the scores in place of counts, the map being chosen among these by the selection draws:
    /// see [`crate::MarginRun`].
    Margin(&'t [Simplex]),
}

impl Rule<'_> {
    /// Code in records.
    pub(crate) fn id(&self) -> u8 {
        match self {
            Rule::Fixed => 1,
            Rule::Predict => 2,
            Rule::Sequential(_) => 3,
            Rule::Largest { .. } => 4,
            Rule::Partition => 5,
            Rule::Margin(_) => 6,
        }
    }
}

/// The parts of a [`CertSpec`] besides the failure probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request<'t> {
    /// The procedure.
    pub rule: Rule<'t>,
    /// Standard deviation of the noise, in grid steps.
    pub sigma: Sigma,
    /// Draws that select the class (n₀); 0 for predictions.
    pub selection: u32,
    /// At most so many draws that estimate its probability (n).
    pub samples: u32,
    /// A squared radius in grid steps below which the answer is an abstention. Predictions have none.
    pub target_r2: Option<u64>,
}

/// A request that can be answered.
///
/// ```
/// use selvedge_certify::{Alpha, CertError, CertSpec, Request, Rule};
/// use selvedge_noise::Sigma;
/// let request = Request {
///     rule: Rule::Predict,
///     sigma: Sigma::new(16, 1).expect("not zero"),
///     selection: 0,
///     samples: 10,
///     target_r2: None,
/// };
/// // Not even 10 equal predictions of 10 tell two classes apart at 1/1000.
/// let refused = CertSpec::new(Alpha::ratio(1, 1000)?, request);
/// assert_eq!(refused.err(), Some(CertError::TooFewSamples { needed: 11 }));
/// # Ok::<(), CertError>(())
/// ```
#[derive(Debug)]
pub struct CertSpec<'t> {
    alpha: Alpha,
    request: Request<'t>,
}

/// Most draws that a request may name.
pub(crate) const MOST: u32 = 1 << 31;

/// The error for a number of draws that cannot answer: the smallest number that can, if any.
pub(crate) fn fewest(draws: u32, answers: impl Fn(u32) -> bool) -> CertError {
    if !answers(MOST) {
        return CertError::Target;
    }
    let (mut below, mut needed) = (draws, MOST);
    while needed - below > 1 {
        let middle = below + (needed - below) / 2;
        if answers(middle) { needed = middle } else { below = middle }
    }
    CertError::TooFewSamples { needed }
}

impl<'t> CertSpec<'t> {
    /// Takes the failure probability; refuses what could never be answered, whatever the model predicts.
    ///
    /// # Errors
    /// [`CertError::TooFewSamples`] with the smallest number of draws that could, [`CertError::Target`],
    /// [`CertError::Selection`], [`CertError::Sigma`], [`CertError::Alpha`], [`CertError::Maps`].
    pub fn new(alpha: Alpha, request: Request<'t>) -> Result<Self, CertError> {
        let sigma = request.sigma;
        if Sigma::new(sigma.numerator, sigma.denominator) != Some(sigma) {
            return Err(CertError::Sigma);
        }
        let predicts = matches!(request.rule, Rule::Predict);
        if (request.selection == 0) != predicts || request.selection > MOST || request.samples > MOST {
            return Err(CertError::Selection);
        }
        if predicts && request.target_r2.is_some() {
            return Err(CertError::Target);
        }
        if let Rule::Margin(maps) = request.rule
            && (maps.is_empty() || !maps.iter().all(Simplex::is_valid))
        {
            return Err(CertError::Maps);
        }
        let spec = CertSpec { alpha, request };
        spec.answerable(&Price::new(sigma, 0.0))?;
        Ok(spec)
    }

    /// The failure probability.
    pub fn alpha(&self) -> &Alpha {
        &self.alpha
    }

    /// Everything else.
    pub fn request(&self) -> &Request<'t> {
        &self.request
    }

    /// Whether the best outcome is an answer at this price.
    pub(crate) fn answerable(&self, price: &Price) -> Result<(), CertError> {
        let samples = self.request.samples;
        if let Rule::Sequential(table) = self.request.rule {
            return self.answerable_at_looks(table, price);
        }
        match self.reaches(samples, price) {
            true => Ok(()),
            // More draws that all agree never reach less.
            false => Err(fewest(samples, |n| self.reaches(n, price))),
        }
    }

    fn answerable_at_looks(&self, table: &LookTable<'_>, price: &Price) -> Result<(), CertError> {
        if table.alpha_units() > self.alpha.units() {
            return Err(CertError::Alpha);
        }
        if crate::closed_ball(table.radius(price)).is_none_or(|r2| r2 < self.request.target_r2.unwrap_or(0)) {
            return Err(CertError::Target);
        }
        let mut rows = table.samples().iter().zip(table.accept());
        match rows.find(|(n, accept)| accept <= n) {
            None => Err(CertError::Target),
            Some((&needed, _)) if needed > self.request.samples => Err(CertError::TooFewSamples { needed }),
            Some(_) => Ok(()),
        }
    }

    /// Whether `n` equal predictions are an answer.
    fn reaches(&self, n: u32, price: &Price) -> bool {
        let alpha = self.alpha.again();
        let share = match self.request.rule {
            Rule::Predict => return binomial::two_sided_half(n, 0) <= alpha.lower(),
            Rule::Largest { .. } => largest::Schedule::new(n).share(alpha, n),
            // At least two buckets; what the first one leaves bounds the others as well as their own bounds do.
            Rule::Partition => Some(alpha.split_off(1, 2).0),
            Rule::Fixed | Rule::Sequential(_) | Rule::Margin(_) => Some(alpha),
        };
        let Some(share) = share else { return false };
        let lower = match self.request.rule {
            // Every draw gave all to one class.
            Rule::Margin(maps) => {
                let lower = maps.iter().map(|map| map.certain(n, share.lower()));
                lower.fold(0.0, f64::max)
            }
            _ => binomial::lower_bound(n, n, share.lower()),
        };
        let radius = price.radius(lower);
        crate::open_ball(radius).is_some_and(|r2| r2 >= self.request.target_r2.unwrap_or(0))
    }
}
