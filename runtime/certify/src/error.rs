//! What can be wrong with a request, a model, a state or a record.

use core::fmt;

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertError {
    /// The failure probability is not between 0 and 1, or a table needs more than there is.
    Alpha,
    /// With so few samples no outcome can be certified.
    TooFewSamples {
        /// The smallest number that could.
        needed: u32,
    },
    /// No number of samples (up to 2^31) reaches the target, or the look table is for a smaller radius.
    Target,
    /// The selection has no draws where the rule selects, or draws where it does not.
    Selection,
    /// The noise table has another standard deviation than the request.
    Sigma,
    /// Fewer than 2 classes, or more than the certifier has room for.
    Classes {
        /// How many there are.
        found: u32,
    },
    /// An input of no elements, or of more than 2^32 − 1.
    Length,
    /// The range of a grid is empty or leaves the element type.
    Range,
    /// An element of the clean input lies outside the range of its grid.
    OutOfRange {
        /// Which element.
        index: u32,
    },
    /// The model returned a class that does not exist.
    Class {
        /// The class.
        found: u32,
    },
    /// A look table whose samples do not rise, or which has a row that is not proved.
    Looks {
        /// The row.
        row: u32,
    },
    /// Samples that are not the next ones.
    Order,
    /// The buffer is too small.
    Buffer {
        /// Bytes, or entries, that are needed.
        needed: u32,
    },
    /// Not a state or record of this library.
    Magic,
    /// A version this library does not read.
    Version,
    /// Bytes were changed, or the end is missing.
    Checksum,
    /// A field holds what it cannot.
    Field {
        /// Its first byte.
        offset: u32,
    },
    /// The state belongs to another model, input, nonce or request.
    Foreign,
    /// The tree of predictions does not hold exactly the samples that were counted.
    Tree,
    /// The procedure does not go with the rule of the request.
    Rule,
    /// A checkerboard without elements, or with more than 2^32 − 1.
    Shape,
    /// The runs of two halves that differ in input, grid or classes.
    Halves,
    /// A mixture whose robust part is not above one half, or above 1.
    Mixing,
    /// No simplex map, more than there is room for, or one whose unit is 0 or above 2^31.
    Maps,
    /// Levels of returns that do not rise, are fewer than 2 or too many; or chosen ones that do not rise or do not exist.
    Levels {
        /// The first one.
        index: u32,
    },
    /// A return below the lowest level, which was to be the least possible.
    Return {
        /// The return.
        found: i32,
    },
    /// An episode or step that the request does not have.
    Episode,
    /// No passes, or more than 2^24.
    Passes,
    /// The template has another length than the input.
    Template,
    /// Positions to keep: at least 1, fewer than there are; channels that divide the input.
    Positions,
    /// No outputs, more or fewer than there is memory for, or a number that an output cannot have.
    Output {
        /// Which output, or how many.
        found: u32,
    },
    /// A threshold of a probability outside one half to 1.
    Threshold,
    /// A stump, tree or node that breaks the rules of its ensemble.
    Ensemble {
        /// Which one.
        index: u32,
    },
    /// The record of the parent is for something else, or proves nothing that an update could use.
    Parent,
}

impl fmt::Display for CertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertError::Alpha => f.write_str("alpha must lie between 0 and 1 and cover the look table's"),
            CertError::TooFewSamples { needed } => {
                write!(f, "no outcome can be certified with so few samples; take at least {needed}")
            }
            CertError::Target => f.write_str("the target radius is out of reach; lower it or raise sigma"),
            CertError::Selection => f.write_str("selection draws: at least 1, and none for a prediction"),
            CertError::Sigma => f.write_str("the noise table has another sigma than the request"),
            CertError::Classes { found } => write!(f, "{found} classes: at least 2, at most the certifier's capacity"),
            CertError::Length => f.write_str("the input has no elements, or more than 2^32 - 1"),
            CertError::Range => f.write_str("the grid's range is empty or leaves its element type"),
            CertError::OutOfRange { index } => write!(f, "element {index} of the input is outside the grid's range"),
            CertError::Class { found } => write!(f, "the model returned class {found}, which does not exist"),
            CertError::Looks { row } => write!(f, "row {row} of the look table is out of order or not proved"),
            CertError::Order => f.write_str("these are not the samples that come next"),
            CertError::Buffer { needed } => write!(f, "the buffer is too small; {needed} are needed"),
            CertError::Magic => f.write_str("not a state or record of this library"),
            CertError::Version => f.write_str("a version this library does not read"),
            CertError::Checksum => f.write_str("bytes were changed or are missing"),
            CertError::Field { offset } => write!(f, "the field at byte {offset} holds what it cannot"),
            CertError::Foreign => f.write_str("the state belongs to another model, input, nonce or request"),
            CertError::Tree => f.write_str("the tree does not hold exactly the samples that were counted"),
            CertError::Rule => f.write_str("the request's rule is not one that this procedure judges by"),
            CertError::Shape => f.write_str("height, width and channels: at least 1 each, at most 2^32 - 1 elements"),
            CertError::Halves => f.write_str("the runs of the halves have another input, grid or number of classes"),
            CertError::Maps => f.write_str("simplex maps: at least 1, at most the capacity, with units from 1 to 2^31"),
            CertError::Levels { index } => write!(f, "level {index} does not rise, does not exist or has no room"),
            CertError::Return { found } => write!(f, "a return of {found} is below the lowest level"),
            CertError::Episode => f.write_str("episodes (at most 2^30) and steps are those of the request"),
            CertError::Mixing => f.write_str("the robust model's share of a mixture must be above 1/2, at most 1"),
            CertError::Passes => f.write_str("splitting noise takes 1 to 2^24 passes"),
            CertError::Template => f.write_str("the template has another length than the input"),
            CertError::Positions => {
                f.write_str("keep at least 1 position and fewer than there are; channels have to divide the input")
            }
            CertError::Output { found } => write!(f, "output {found}: more or fewer than declared, or out of range"),
            CertError::Threshold => f.write_str("the threshold has to be at least one half and below 1"),
            CertError::Ensemble { index } => {
                write!(f, "entry {index} of the ensemble is out of order, out of range or shares a feature")
            }
            CertError::Parent => f.write_str("the parent's record is for something else, or proves nothing"),
        }
    }
}

impl core::error::Error for CertError {}

/// What went wrong in a step: the model's own error, or ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepError<E> {
    /// The model failed.
    Model(E),
    /// The model does not fit the job, or samples came out of order.
    Cert(CertError),
}

impl<E> From<CertError> for StepError<E> {
    fn from(error: CertError) -> Self {
        StepError::Cert(error)
    }
}

impl<E: fmt::Display> fmt::Display for StepError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepError::Model(error) => error.fmt(f),
            StepError::Cert(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for StepError<E> {}
