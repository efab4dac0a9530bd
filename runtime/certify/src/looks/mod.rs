//! Tables for sequential certification: at which draws to look, and how many hits decide.

mod tables;

use crate::eprocess;
use crate::{Alpha, CertError, Price};
use sha2::{Digest, Sha256};
pub use tables::{GRID, SHIPPED};

/// Written where no number of hits is enough.
pub const NEVER: u32 = u32::MAX;
/// Significance at which a hopeless run is given up. Costs time and answers, never soundness.
const FUTILITY: f64 = 0.01;

/// Draws at which to look, hits that certify (`accept`), hits below which to give up (`refuse`).
///
/// Every row of `accept` is proved: so many hits give an e-value of at least 1/α against p ≤ p0 (see
/// [`eprocess`]). With probability at least 1 − α no run with p ≤ p0 is ever accepted, so an
/// accepted one has p > p0. On the device a look is two comparisons of integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LookTable<'t> {
    p0: f64,
    alpha: u64,
    samples: &'t [u32],
    accept: &'t [u32],
    refuse: &'t [u32],
}

impl<'t> LookTable<'t> {
    /// A table whose rows are proved here: one integral a row, milliseconds on a host.
    ///
    /// # Errors
    /// [`CertError::Looks`] with the first row out of order or not proved.
    pub fn new(
        p0: f64,
        alpha: &Alpha,
        samples: &'t [u32],
        accept: &'t [u32],
        refuse: &'t [u32],
    ) -> Result<Self, CertError> {
        let rows = samples.len();
        if rows == 0 || accept.len() != rows || refuse.len() != rows {
            return Err(CertError::Looks { row: 0 });
        }
        let mut before = 0;
        for (row, (&n, &k)) in samples.iter().zip(accept).enumerate() {
            let proved = k == NEVER || (k <= n && eprocess::rejects(k, n, p0, alpha.lower()));
            if n <= before || !proved {
                return Err(CertError::Looks { row: row as u32 });
            }
            before = n;
        }
        Ok(LookTable { p0, alpha: alpha.units(), samples, accept, refuse })
    }

    /// Fills `accept` and `refuse` with the best rows for these looks: some 20 integrals a row, for hosts.
    ///
    /// `p0` is [`Price::null_probability`] of the target.
    ///
    /// ```
    /// use selvedge_certify::{Alpha, GRID, LookTable, Price};
    /// use selvedge_noise::Sigma;
    /// let price = Price::new(Sigma::new(16, 1).expect("not zero"), 1e-13); // τ: NoiseTable::tv_price
    /// let (mut accept, mut refuse) = ([0; 5], [0; 5]);
    /// let alpha = Alpha::ratio(1, 100)?;
    /// let p0 = price.null_probability(300);
    /// let table = LookTable::build(p0, &alpha, &GRID[..5], &mut accept, &mut refuse)?;
    /// assert_eq!(table.accept()[4], 93); // of 96 draws: r = 1.083σ
    /// # Ok::<(), selvedge_certify::CertError>(())
    /// ```
    ///
    /// # Errors
    /// [`CertError::Looks`] for looks that do not rise and slices of different lengths.
    pub fn build(
        p0: f64,
        alpha: &Alpha,
        samples: &'t [u32],
        accept: &'t mut [u32],
        refuse: &'t mut [u32],
    ) -> Result<Self, CertError> {
        for ((&n, accept), refuse) in samples.iter().zip(&mut *accept).zip(&mut *refuse) {
            *accept = eprocess::min_count(n, p0, alpha.lower()).unwrap_or(NEVER);
            // Misses against P(miss) ≤ 1 − p0: refused below n − k_min + 1 hits.
            *refuse = eprocess::min_count(n, 1.0 - p0, FUTILITY).map_or(0, |misses| n - misses + 1);
        }
        Self::new(p0, alpha, samples, accept, refuse)
    }

    /// The probability whose being exceeded is proved by an accepted run.
    pub fn p0(&self) -> f64 {
        self.p0
    }

    /// The failure probability, in units of 2^−64.
    pub fn alpha_units(&self) -> u64 {
        self.alpha
    }

    /// Draws at which to look, rising.
    pub fn samples(&self) -> &'t [u32] {
        self.samples
    }

    /// The smallest number of hits that certifies at each look.
    pub fn accept(&self) -> &'t [u32] {
        self.accept
    }

    /// At fewer hits than this a look gives up.
    pub fn refuse(&self) -> &'t [u32] {
        self.refuse
    }

    /// The radius of an accepted run, in grid steps, rounded down. The ball is closed, since p exceeds p0 strictly.
    pub fn radius(&self, price: &Price) -> f64 {
        price.radius(self.p0)
    }

    /// Hits that accept and refuse after `drawn` draws, if that is a look.
    pub(crate) fn row(&self, drawn: u32) -> Option<(u32, u32)> {
        let row = self.samples.binary_search(&drawn).ok()?;
        Some((*self.accept.get(row)?, *self.refuse.get(row)?))
    }

    /// SHA-256 of p0, α and all rows, little-endian.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"selvedge looks v1");
        hash.update(self.p0.to_le_bytes());
        hash.update(self.alpha.to_le_bytes());
        for column in [self.samples, self.accept, self.refuse] {
            hash.update((column.len() as u32).to_le_bytes());
            column.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        hash.finalize().into()
    }
}

/// The shipped table for a radius in quarters of σ (1, 2, 3, 4, 5, 6, 8, 10, 12) at α = 1/1000.
///
/// Each is proved for a p0 that is 10⁻¹⁰ above Φ(r/σ): enough for the price of finite precision up to τ = 10⁻¹¹,
/// with which the radius of the table is not below r.
pub fn shipped(quarters: u32) -> Option<&'static LookTable<'static>> {
    SHIPPED.iter().find(|(name, _)| *name == quarters).map(|(_, table)| table)
}
