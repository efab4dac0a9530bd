//! Errors, `Copy` and small.

/// Why a plan can never answer, or is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// Inputs without coordinates, or too many for 32 bits.
    Dimensions,
    /// Fewer than two classes, or more than a record holds.
    Classes,
    /// Draws for the selection: at least one.
    Selection,
    /// Even if all draws gave one class, the confidence would not suffice; the number that could.
    TooFewDraws {
        /// The least number of draws with which an answer is possible.
        least: u32,
    },
    /// Looks have to be in order, with numbers of draws that rise.
    Looks,
    /// The target radius leaves no probability, or is not above 0.
    Target,
}

impl core::fmt::Display for PlanError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            PlanError::Dimensions => f.write_str("the input has no coordinates, or more than 2^31"),
            PlanError::Classes => f.write_str("2 to 4096 classes can be told apart"),
            PlanError::Selection => f.write_str("the class is chosen from draws of its own; give at least 1"),
            PlanError::TooFewDraws { least } => {
                write!(f, "with this alpha no outcome of so few draws is a certificate; give at least {least}")
            }
            PlanError::Looks => f.write_str("looks need rising numbers of draws, at most 64 of them"),
            PlanError::Target => f.write_str("the target radius has to be above 0 and below 8 sigma"),
        }
    }
}

impl core::error::Error for PlanError {}

/// Why a step was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// What the model said.
    Model(E),
    /// The input has another number of coordinates than the plan.
    Dimensions,
    /// The model gave a class that the plan does not have.
    Class(usize),
    /// The plan has another number of classes than the certifier.
    Classes,
    /// The input is not the one the certifier was made for.
    OtherInput,
    /// A saved state is damaged, or of another plan, model, input or nonce.
    State,
}

impl<E: core::fmt::Display> core::fmt::Display for Error<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Error::Model(error) => write!(f, "the model: {error}"),
            Error::Dimensions => f.write_str("the input has another number of coordinates than the plan"),
            Error::Class(class) => write!(f, "the model gave class {class}, which the plan does not have"),
            Error::Classes => f.write_str("the plan has another number of classes than the certifier"),
            Error::OtherInput => f.write_str("the input is not the one the certifier was made for"),
            Error::State => f.write_str("the saved state is damaged or of another plan, model, input or nonce"),
        }
    }
}

impl<E: core::fmt::Debug + core::fmt::Display> core::error::Error for Error<E> {}
