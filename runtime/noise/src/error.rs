//! Why a noise table cannot be used.

/// Why a noise table was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoiseError {
    /// Not a noise table, or of a version this library does not know.
    Magic,
    /// The table is shorter or longer than its header says.
    Length,
    /// σ is zero or a fraction that is not in lowest terms.
    Sigma,
    /// Thresholds that fall, or the first one below the middle.
    Order,
    /// So many thresholds that a sample would not fit 16 bits, or none.
    Count,
    /// A threshold lies so near to an integer that its last bit cannot be told.
    Precision,
}

impl core::fmt::Display for NoiseError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            NoiseError::Magic => "not a noise table of this version; make it again",
            NoiseError::Length => "the noise table is cut short or has bytes behind its end; copy it again",
            NoiseError::Sigma => "the noise table's sigma is zero or no reduced fraction; make it again",
            NoiseError::Order => "the noise table's thresholds are out of order; copy it again",
            NoiseError::Count => "the noise table has no thresholds or too many; sigma is at most 3000 steps",
            NoiseError::Precision => "a threshold of this sigma cannot be told in 64 bits; choose a nearby one",
        })
    }
}

impl core::error::Error for NoiseError {}
