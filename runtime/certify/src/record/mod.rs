//! The certificate record: what was asked, what was counted, what follows. Layout: `runtime/README.md`, "Certificates".

mod codec;

use crate::{Account, Alpha, CertError, Certifier, Counts, Decision, Grid, Reason, Rule, Tree};
pub use codec::record_bytes;
use selvedge_noise::Sigma;

/// A certificate, or an abstention, with all that a second party needs to check it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<const CLASSES: usize> {
    /// Version of the library that made it, `major·2^16 + minor·2^8 + patch`. For people; nothing depends on it.
    pub library: u32,
    /// SHA-256 that names the model.
    pub model: [u8; 32],
    /// SHA-256 of the clean input.
    pub input: [u8; 32],
    /// SHA-256 of the noise table.
    pub table: [u8; 32],
    /// The nonce; of the verifier, where `own_nonce` does not say otherwise.
    pub nonce: [u8; 32],
    /// Whether the prover says to have chosen the nonce. That it is not so is known to those alone who chose it.
    pub own_nonce: bool,
    /// SHA-256 of the request, grid and shape: see [`crate::Terms`].
    pub params: [u8; 32],
    /// SHA-256 of the look table; zeros for rules without one.
    pub looks: [u8; 32],
    /// Element type: 1 int8, 2 uint8, 3 int16.
    pub kind: u8,
    /// The input's grid.
    pub grid: Grid,
    /// Elements of the input.
    pub dimensions: u32,
    /// Classes of the model.
    pub classes: u32,
    /// Standard deviation of the noise in grid steps.
    pub sigma: Sigma,
    /// Rule: 1 fixed, 2 predict, 3 sequential, 4 largest, 5 partition.
    pub rule: u8,
    /// Thousandths of σ that rule 4 goes on for; 0 for others.
    pub gain: u32,
    /// Selection draws asked for.
    pub selection: u32,
    /// Estimation draws at most.
    pub samples: u32,
    /// The squared radius that was asked for.
    pub target_r2: Option<u64>,
    /// Failure probability, and the shares of it that were spent, in units of 2^−64.
    pub alpha: u64,
    /// See `alpha`.
    pub spent: u64,
    /// How many bounds it was spent on.
    pub shares: u32,
    /// What was decided.
    pub decision: Decision,
    /// Predictions of the selection and estimation draws.
    pub counts: [Counts<CLASSES>; 2],
    /// Roots of the trees of predictions of both.
    pub roots: Option<[[u8; 32]; 2]>,
}

/// The library's own version.
pub(crate) const fn library_version() -> u32 {
    const fn number(text: &str) -> u32 {
        let (bytes, mut value, mut i) = (text.as_bytes(), 0u32, 0);
        while i < bytes.len() {
            value = value * 10 + (bytes[i] - b'0') as u32;
            i += 1;
        }
        value
    }
    number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"))
}

impl<const CLASSES: usize> Certifier<'_, CLASSES> {
    /// The record of the run; an unfinished one abstains as [`Reason::Cancelled`].
    ///
    /// # Errors
    /// [`CertError::Tree`] where `tree` does not hold exactly the samples that were counted.
    pub fn record(&self, tree: Option<&Tree<CLASSES>>) -> Result<Record<CLASSES>, CertError> {
        let terms = self.job.terms();
        let (subject, request, hashes) = (terms.subject(), terms.spec().request(), &terms.hashes);
        let roots = tree.map(|tree| tree.roots(self.job, self.selected(), self.drawn())).transpose()?;
        Ok(Record {
            library: library_version(),
            model: hashes.model,
            input: hashes.input,
            table: hashes.table,
            nonce: *self.job.nonce(),
            own_nonce: self.job.own_nonce,
            params: hashes.params,
            looks: if let Rule::Sequential(table) = request.rule { table.hash() } else { [0; 32] },
            kind: subject.input.kind(),
            grid: subject.grid,
            dimensions: subject.input.len() as u32,
            classes: subject.classes,
            sigma: request.sigma,
            rule: request.rule.id(),
            gain: if let Rule::Largest { gain } = request.rule { gain } else { 0 },
            selection: request.selection,
            samples: request.samples,
            target_r2: request.target_r2,
            alpha: terms.spec().alpha().units(),
            spent: self.account.spent(),
            shares: self.account.shares(),
            decision: self.decision.unwrap_or(Decision::Abstain(Reason::Cancelled)),
            counts: [self.selection, self.estimate],
            roots,
        })
    }
}

impl<const CLASSES: usize> Record<CLASSES> {
    /// What was spent of what.
    ///
    /// # Errors
    /// [`CertError::Alpha`] for a record made up without any.
    pub fn account(&self) -> Result<Account, CertError> {
        let mut account = Account::open(&Alpha::from_units(self.alpha)?);
        if self.spent > 0 {
            let _ = account.spend(Alpha::from_units(self.spent)?);
        }
        Ok(account)
    }
}
