//! Failure probability as a value that can be spent once.

use crate::CertError;

/// 2^−64.
const UNIT: f64 = 1.0 / 18_446_744_073_709_551_616.0;

/// A failure probability, in whole units of 2^−64, that is handed on and never copied.
///
/// A confidence bound takes its share by value, so that a share cannot pay for two bounds; the sum of all shares is
/// at most what was split, exactly, since they are integers.
///
/// ```
/// use selvedge_certify::{Account, Alpha};
/// let alpha = Alpha::ratio(1, 1000)?;
/// let mut account = Account::open(&alpha);
/// let [left, right] = alpha.split();
/// assert!(account.spend(left) <= 0.0005);
/// account.spend(right);
/// assert!(account.spent() <= account.budget());
/// # Ok::<(), selvedge_certify::CertError>(())
/// ```
///
/// A share that was spent is gone:
///
/// ```compile_fail,E0382
/// use selvedge_certify::{Account, Alpha};
/// let alpha = Alpha::ratio(1, 1000).unwrap();
/// let mut account = Account::open(&alpha);
/// account.spend(alpha);
/// account.spend(alpha);
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Alpha(u64);

impl Alpha {
    /// Nothing left.
    pub(crate) const NONE: Alpha = Alpha(0);

    /// `numerator/denominator`, rounded down to a unit.
    ///
    /// # Errors
    /// [`CertError::Alpha`] outside 0 to 1.
    pub const fn ratio(numerator: u32, denominator: u32) -> Result<Self, CertError> {
        if numerator == 0 || numerator >= denominator {
            return Err(CertError::Alpha);
        }
        Ok(Alpha((((numerator as u128) << 64) / denominator as u128) as u64))
    }

    /// The number below `value`: a decimal that was rounded up to `value` is not exceeded.
    ///
    /// # Errors
    /// [`CertError::Alpha`] for NaN and what is not between 0 and 1, or is so small that no unit is left.
    pub const fn from_f64(value: f64) -> Result<Self, CertError> {
        if !(value > 0.0 && value < 1.0) {
            return Err(CertError::Alpha);
        }
        Self::from_units((value.next_down() / UNIT) as u64)
    }

    /// `units·2^−64`.
    ///
    /// # Errors
    /// [`CertError::Alpha`] for zero.
    pub const fn from_units(units: u64) -> Result<Self, CertError> {
        if units == 0 { Err(CertError::Alpha) } else { Ok(Alpha(units)) }
    }

    /// In units of 2^−64.
    pub const fn units(&self) -> u64 {
        self.0
    }

    /// A number below the probability, for bounds.
    pub const fn lower(&self) -> f64 {
        (self.0 as f64).next_down() * UNIT
    }

    /// Equal shares; what does not divide is lost.
    pub fn split<const N: usize>(self) -> [Alpha; N] {
        core::array::from_fn(|_| Alpha(self.0 / N.max(1) as u64))
    }

    /// `numerator/denominator` of it, rounded down, and the rest. All of it where the fraction is not below 1.
    pub fn split_off(self, numerator: u32, denominator: u32) -> (Alpha, Alpha) {
        if numerator >= denominator {
            return (self, Alpha(0));
        }
        let share = (u128::from(self.0) * u128::from(numerator) / u128::from(denominator)) as u64;
        (Alpha(share), Alpha(self.0 - share))
    }

    /// The failure probability of a procedure whose verdict is worked out again from the same counts: the same
    /// event, not a second one.
    pub(crate) const fn again(&self) -> Alpha {
        Alpha(self.0)
    }
}

/// What a procedure may spend and what it has spent, in units of 2^−64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    budget: u64,
    spent: u64,
    shares: u32,
}

impl Account {
    /// An account over `alpha`, nothing spent.
    pub const fn open(alpha: &Alpha) -> Self {
        Account { budget: alpha.0, spent: 0, shares: 0 }
    }

    /// Takes a share and returns a number not above it, for the bound that it pays.
    pub fn spend(&mut self, share: Alpha) -> f64 {
        self.spent = self.spent.saturating_add(share.0);
        self.shares = self.shares.saturating_add(1);
        share.lower()
    }

    /// What may be spent.
    pub const fn budget(&self) -> u64 {
        self.budget
    }

    /// The sum of the shares taken.
    pub const fn spent(&self) -> u64 {
        self.spent
    }

    /// How many bounds were paid.
    pub const fn shares(&self) -> u32 {
        self.shares
    }
}
