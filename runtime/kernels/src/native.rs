//! The instruction set of a build that does not ask the CPU: firmware and other `no_std` programs.

#[cfg(selvedge_helium)]
mod chosen {
    pub type Native = crate::Helium;
    pub const NATIVE: Native = crate::Helium;
}

#[cfg(all(selvedge_dsp, not(selvedge_helium)))]
mod chosen {
    pub type Native = crate::Dsp;
    pub const NATIVE: Native = crate::Dsp;
}

#[cfg(selvedge_neon)]
mod chosen {
    pub type Native = crate::Neon;
    pub const NATIVE: Native = crate::Neon::BASELINE;
}

#[cfg(not(any(selvedge_dsp, selvedge_helium, selvedge_neon)))]
mod chosen {
    pub type Native = crate::Portable;
    pub const NATIVE: Native = crate::Portable;
}

pub use chosen::{NATIVE, Native};
