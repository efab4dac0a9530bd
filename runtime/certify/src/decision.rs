//! What comes out.

/// The outcome of a certification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The smoothed classifier gives `class` for every input within the radius.
    Certified {
        /// The class.
        class: u16,
        /// Largest `Σδ²` of the input's codes that is covered.
        radius_squared: u64,
    },
    /// Nothing is said.
    Abstain(Reason),
}

/// Why nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// All draws were made, and the class's probability may be ½ or less.
    UndecidedAtBudget,
    /// The draws speak against the target radius: more of them would hardly reach it.
    Futile,
}

impl Reason {
    pub(crate) fn code(self) -> u8 {
        match self {
            Reason::UndecidedAtBudget => 1,
            Reason::Futile => 2,
        }
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Reason::UndecidedAtBudget => "undecided after all draws; more draws or a smaller target radius may decide",
            Reason::Futile => "the draws speak against the target radius; try a smaller one",
        })
    }
}
