//! Which instruction set runs.

/// The instruction sets this crate has kernels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsaKind {
    Reference,
    Portable,
    Avx2,
}

impl IsaKind {
    pub const ALL: [Self; 3] = [Self::Reference, Self::Portable, Self::Avx2];

    /// The name `SELVEDGE_ISA` takes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
        }
    }

    /// The inverse of [`IsaKind::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|isa| isa.name() == name)
    }

    /// Whether this CPU (without `std`: this build's target) has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Reference | Self::Portable => true,
            Self::Avx2 => has_avx2(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    crate::Avx2::detect().is_some()
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

/// The fastest instruction set available.
pub fn fastest() -> IsaKind {
    if IsaKind::Avx2.is_available() { IsaKind::Avx2 } else { IsaKind::Portable }
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
