//! Counted returns and what they certify.

use super::{PolicyJob, ReturnBound};
use crate::{Account, CertError, Counts, Price, closed_ball};
use selvedge_noise::{binomial, bounds, normal};

/// Returns of episodes, with room for `LEVELS` levels; resumable.
///
/// ```
/// use selvedge_certify::*;
/// use selvedge_noise::{NoiseTable, Sigma, build_table};
/// let sigma = Sigma::new(20, 1).expect("not zero");
/// let bytes = build_table(sigma)?;
/// let table = NoiseTable::parse(&bytes)?;
/// let request = PolicyRequest {
///     bound: ReturnBound::Levels(&[1]),
///     levels: &[0, 9],
///     sigma,
///     grid: Grid::int8(1.0, 0),
///     dimensions: 2,
///     steps: 9,
///     episodes: 400,
/// };
/// let terms = PolicyTerms::new(Alpha::ratio(1, 100)?, request, [1; 32], [2; 32], &table)?;
/// let job = PolicyJob::new(&terms, [7; 32]); // the nonce: from the verifier, who has terms.commitment()
/// let mut run = PolicyRun::<2>::new(&job)?;
/// while let Some(episode) = run.next_episode() {
///     // One point for each of 9 steps in which the first code is seen above the second.
///     let mut points = 0;
///     for step in 0..9 {
///         let mut seen = [0; 2];
///         job.observe(episode, step, &Clean::I8(&[60, -20]), |first, codes| {
///             seen[first..][..codes.len()].copy_from_slice(codes);
///             Ok::<(), ()>(())
///         })
///         .expect("fits");
///         points += i32::from(seen[0] > seen[1]);
///     }
///     run.finish(episode, points)?;
/// }
/// // All 9 points at least 9 times in 10, whatever is added to the observations within 6 grid steps in all.
/// assert!(run.radius(1, 0.9).expect("done").is_some_and(|r2| r2 >= 6 * 6));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PolicyRun<'a, const LEVELS: usize> {
    pub(super) job: &'a PolicyJob<'a>,
    pub(super) counts: Counts<LEVELS>,
}

impl<'a, const LEVELS: usize> PolicyRun<'a, LEVELS> {
    /// A run at its beginning.
    ///
    /// # Errors
    /// [`CertError::Levels`] for more levels than there is room for.
    pub fn new(job: &'a PolicyJob<'a>) -> Result<Self, CertError> {
        match job.terms().request().levels.len() <= LEVELS {
            true => Ok(PolicyRun { job, counts: Counts::default() }),
            false => Err(CertError::Levels { index: LEVELS as u32 }),
        }
    }

    /// The episode that comes next; `None` when done.
    pub fn next_episode(&self) -> Option<u32> {
        let done = self.counts.total() as u32;
        (done < self.job.terms().request().episodes).then_some(done)
    }

    /// The highest level that a return reaches.
    ///
    /// # Errors
    /// [`CertError::Return`] for one below all.
    pub fn level(&self, found: i32) -> Result<usize, CertError> {
        let levels = self.job.terms().request().levels;
        levels.partition_point(|&level| level <= found).checked_sub(1).ok_or(CertError::Return { found })
    }

    /// Counts the return of the next episode.
    ///
    /// # Errors
    /// [`CertError::Order`] for another episode, [`CertError::Return`].
    pub fn finish(&mut self, episode: u32, found: i32) -> Result<(), CertError> {
        if self.next_episode() != Some(episode) {
            return Err(CertError::Order);
        }
        let level = self.level(found)?;
        // There is room: levels are at most as many.
        let _ = self.counts.add(level);
        Ok(())
    }

    /// Adds the episodes from `first` on, counted elsewhere by their levels.
    ///
    /// # Errors
    /// [`CertError::Order`] for others than the next ones.
    pub fn merge(&mut self, first: u32, counts: &Counts<LEVELS>) -> Result<(), CertError> {
        let request = self.job.terms().request();
        let beyond = counts.as_slice().iter().skip(request.levels.len()).any(|&count| count > 0);
        let end = u64::from(first) + counts.total();
        if self.counts.total() != u64::from(first) || end > u64::from(request.episodes) || beyond {
            return Err(CertError::Order);
        }
        self.counts.merge(counts);
        Ok(())
    }

    /// Episodes by the level that they reached.
    pub fn counts(&self) -> &Counts<LEVELS> {
        &self.counts
    }

    /// What the bounds of a finished run cost.
    pub fn account(&self) -> Account {
        let terms = self.job.terms();
        let mut account = Account::open(terms.alpha());
        if self.next_episode().is_none() {
            self.each_share(&mut account, |_, _| {});
        }
        account
    }

    /// Every bound's level and share of α; all levels have the number 0 where one bound is for all.
    fn each_share(&self, account: &mut Account, mut each: impl FnMut(u16, f64)) {
        let terms = self.job.terms();
        let mut left = terms.alpha().again();
        match terms.request().bound {
            ReturnBound::Dkw => each(0, account.spend(left)),
            ReturnBound::Levels(chosen) => {
                for (&level, parts) in chosen.iter().zip((1..=chosen.len() as u32).rev()) {
                    let share;
                    (share, left) = left.split_off(1, parts);
                    each(level, account.spend(share));
                }
            }
        }
    }

    /// S̲: the lower bounds of reaching every level, without an attack. `None` before the last episode.
    fn survival(&self) -> Option<[f64; LEVELS]> {
        if self.next_episode().is_some() {
            return None;
        }
        let n = self.job.terms().request().episodes;
        let mut reached = [0u32; LEVELS];
        let mut above = 0u32;
        for (reached, &count) in reached.iter_mut().zip(self.counts.as_slice()).rev() {
            above = above.saturating_add(count);
            *reached = above;
        }
        let mut lower = [0.0; LEVELS];
        self.each_share(&mut Account::default(), |level, share| {
            if level > 0 {
                let level = usize::from(level);
                if let (Some(lower), Some(&reached)) = (lower.get_mut(level), reached.get(level)) {
                    *lower = binomial::lower_bound(reached, n, share);
                }
                return;
            }
            let shift = bounds::dkw_one_sided(n, share);
            for (lower, &reached) in lower.iter_mut().zip(&reached) {
                *lower = ((f64::from(reached) / f64::from(n)).next_down() - shift).next_down().max(0.0);
            }
        });
        // Who reaches a level reaches the lower ones.
        let mut best = 0.0f64;
        for lower in lower.iter_mut().rev() {
            best = best.max(*lower);
            *lower = best;
        }
        // No return is below the lowest one.
        if let Some(lowest) = lower.first_mut() {
            *lowest = 1.0;
        }
        Some(lower)
    }

    /// A number not above the expected return under every attack of at most `r2` squared grid steps in an episode.
    /// `None` before the last episode.
    pub fn mean(&self, r2: u64) -> Option<f64> {
        let survival = self.survival()?;
        let terms = self.job.terms();
        let attack = Attack::new(terms.price(), r2);
        let levels = terms.request().levels;
        let gains = levels.windows(2).zip(survival.iter().skip(1)).map(|(pair, &lower)| match pair {
            [low, high] => ((f64::from(*high) - f64::from(*low)) * attack.least(lower)).next_down().max(0.0),
            _ => 0.0,
        });
        let gains = gains.fold(0.0, |sum: f64, gain| (sum + gain).next_down().max(0.0));
        levels.first().map(|&lowest| (f64::from(lowest) + gains).next_down())
    }

    /// A number not above the probability that a return reaches a level, given by number, under every such attack. `None`
    /// before the last episode and for a level that there is not.
    pub fn success(&self, level: u16, r2: u64) -> Option<f64> {
        let lower = self.lower(level)?;
        Some(Attack::new(self.job.terms().price(), r2).least(lower))
    }

    /// The largest squared grid steps at which [`PolicyRun::success`] is known to be at least `probability`; `Some(None)`
    /// where there are none. `None` before the last episode and for a level that there is not.
    pub fn radius(&self, level: u16, probability: f64) -> Option<Option<u64>> {
        let lower = self.lower(level)?;
        let price = self.job.terms().price();
        let needed = normal::quantile_upper((probability + price.tau()).next_up());
        let sigmas = (price.standing(lower) - needed).next_down();
        Some(closed_ball(price.steps(sigmas)))
    }

    fn lower(&self, level: u16) -> Option<f64> {
        let survival = self.survival()?;
        let exists = usize::from(level) < self.job.terms().request().levels.len();
        survival.get(usize::from(level)).copied().filter(|_| exists)
    }
}

/// An attack of a length in σ.
struct Attack<'p> {
    price: &'p Price,
    sigmas: f64,
}

impl<'p> Attack<'p> {
    fn new(price: &'p Price, r2: u64) -> Self {
        let length = libm::sqrt(r2 as f64).next_up().next_up();
        Attack { price, sigmas: (length / price.sigma_lower()).next_up() }
    }

    /// A number not above `Φ(Φ⁻¹(p − τ) − ε/σ) − τ`, at least 0.
    fn least(&self, lower: f64) -> f64 {
        let least = normal::cdf_lower((self.price.standing(lower) - self.sigmas).next_down()) - self.price.tau();
        least.next_down().max(0.0)
    }
}
