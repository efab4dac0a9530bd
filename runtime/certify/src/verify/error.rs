//! Why a record was not accepted.

use crate::{CertError, StepError};
use core::fmt;

/// Why a record was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The nonce is another one.
    Nonce,
    /// Model, input, request or noise table are not those of the commitment.
    Commitment,
    /// The noise table is not that of the record.
    Table,
    /// The look table is missing or not that of the record.
    Looks,
    /// The request of the record could not have been made, or the rerun could not.
    Refused(CertError),
    /// The counts do not lead to this decision by this rule.
    Decision,
    /// The account of the failure probability is another one.
    Account,
    /// The record makes no claim that counts could support.
    NoClaim,
    /// The record has no tree of predictions.
    NoTree,
    /// The model or the input at hand is not that of the record.
    Terms,
    /// The proof for a sample is missing or does not lead to the root.
    Proof {
        /// Which sample.
        sample: u32,
    },
    /// A sample is predicted otherwise.
    Prediction {
        /// Which sample.
        sample: u32,
    },
    /// Other counts.
    Counts,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerifyError::Nonce => f.write_str("the nonce is not the verifier's"),
            VerifyError::Commitment => f.write_str("model, input, request or noise table are not those committed to"),
            VerifyError::Table => f.write_str("the noise table is not that of the record"),
            VerifyError::Looks => f.write_str("the look table is missing or not that of the record"),
            VerifyError::Refused(error) => write!(f, "the request of the record cannot be run: {error}"),
            VerifyError::Decision => f.write_str("the decision does not follow from the counts"),
            VerifyError::Account => f.write_str("the account of alpha does not follow from the rule"),
            VerifyError::NoClaim => f.write_str("the run was broken off: there is nothing to confirm"),
            VerifyError::NoTree => {
                f.write_str("the record has no tree of predictions; only a full rerun checks counts")
            }
            VerifyError::Terms => f.write_str("the model or input at hand is not that of the record"),
            VerifyError::Proof { sample } => write!(f, "the proof of sample {sample} does not lead to the root"),
            VerifyError::Prediction { sample } => write!(f, "sample {sample} is predicted otherwise"),
            VerifyError::Counts => f.write_str("the counts are others"),
        }
    }
}

impl core::error::Error for VerifyError {}

/// The model failed, or the record was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckError<E> {
    /// The model's error.
    Model(E),
    /// The reason.
    Verify(VerifyError),
}

impl<E> From<VerifyError> for CheckError<E> {
    fn from(error: VerifyError) -> Self {
        CheckError::Verify(error)
    }
}

impl<E> From<StepError<E>> for CheckError<E> {
    fn from(error: StepError<E>) -> Self {
        match error {
            StepError::Model(error) => CheckError::Model(error),
            StepError::Cert(error) => CheckError::Verify(VerifyError::Refused(error)),
        }
    }
}

impl<E: fmt::Display> fmt::Display for CheckError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckError::Model(error) => error.fmt(f),
            CheckError::Verify(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for CheckError<E> {}
