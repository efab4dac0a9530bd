//! Which instruction set runs.

use crate::detect;

/// The instruction sets this crate has kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum IsaKind {
    Reference,
    Portable,
    /// Armv7E-M and Armv8-M cores with the DSP extension, Armv7-A.
    Dsp,
    /// Armv8.1-M vectors (MVE), integer part.
    Helium,
    Neon,
    /// NEON with `sdot`.
    NeonDotprod,
    /// NEON with `sdot` and `smmla`.
    NeonI8mm,
    Avx2,
}

impl IsaKind {
    /// On one CPU, from the slowest to the fastest.
    pub const ALL: [Self; 8] = [
        Self::Reference,
        Self::Portable,
        Self::Dsp,
        Self::Helium,
        Self::Neon,
        Self::NeonDotprod,
        Self::NeonI8mm,
        Self::Avx2,
    ];

    /// The name `SELVEDGE_ISA` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Portable => "portable",
            Self::Dsp => "dsp",
            Self::Helium => "helium",
            Self::Neon => "neon",
            Self::NeonDotprod => "neon-dotprod",
            Self::NeonI8mm => "neon-i8mm",
            Self::Avx2 => "avx2",
        }
    }

    /// The inverse of [`IsaKind::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Whether this CPU (without `std`: this build's target) has it.
    pub fn is_available(self) -> bool {
        matches!(self, Self::Reference | Self::Portable) || detect::has(self)
    }
}

/// The fastest instruction set available.
pub fn fastest() -> IsaKind {
    IsaKind::ALL.into_iter().rfind(|isa| isa.is_available()).unwrap_or(IsaKind::Portable)
}

/// `SELVEDGE_ISA` names no instruction set that this CPU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsaUnavailable;

impl core::fmt::Display for IsaUnavailable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SELVEDGE_ISA names no instruction set this CPU has; it has")?;
        let available = IsaKind::ALL.into_iter().filter(|isa| isa.is_available());
        for (i, isa) in available.enumerate() {
            write!(f, "{} {}", if i == 0 { "" } else { "," }, isa.name())?;
        }
        Ok(())
    }
}

impl core::error::Error for IsaUnavailable {}

/// The instruction set called `name`, or the fastest one where there is no name.
fn choose(name: Option<&str>) -> Result<IsaKind, IsaUnavailable> {
    match name {
        None | Some("") => Ok(fastest()),
        Some(name) => IsaKind::from_name(name).filter(|isa| isa.is_available()).ok_or(IsaUnavailable),
    }
}

/// The instruction set to run with: the one `SELVEDGE_ISA` names, else the fastest.
///
/// # Errors
/// If `SELVEDGE_ISA` names one that is unknown or that the CPU lacks; the message lists those
/// it has.
#[cfg(any(feature = "std", test))]
pub fn best() -> Result<IsaKind, IsaUnavailable> {
    choose(std::env::var_os("SELVEDGE_ISA").as_deref().map(|name| name.to_str().unwrap_or("?")))
}

/// The fastest instruction set of this build's target.
///
/// # Errors
/// None without `std`.
#[cfg(not(any(feature = "std", test)))]
pub fn best() -> Result<IsaKind, IsaUnavailable> {
    choose(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choose_takes_available_names_and_lists_them_otherwise() {
        assert_eq!(choose(Some("reference")), Ok(IsaKind::Reference));
        assert_eq!(choose(Some("portable")), Ok(IsaKind::Portable));
        assert_eq!(choose(None), Ok(fastest()));
        assert_eq!(choose(Some("avx1024")), Err(IsaUnavailable));
        let message = std::string::ToString::to_string(&IsaUnavailable);
        assert!(message.contains("reference, portable"), "{message}");
    }
}
