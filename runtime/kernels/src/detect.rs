//! Instruction sets of this CPU beyond the portable one, one module each architecture.

#[cfg(selvedge_neon)]
use aarch64 as arch;
#[cfg(target_arch = "arm")]
use arm as arch;
#[cfg(not(any(selvedge_neon, target_arch = "arm", target_arch = "x86_64")))]
use other as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

pub use arch::has;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use crate::{Avx2, IsaKind};

    pub fn has(isa: IsaKind) -> bool {
        isa == IsaKind::Avx2 && Avx2::detect().is_some()
    }
}

#[cfg(selvedge_neon)]
mod aarch64 {
    use crate::{IsaKind, Neon, NeonDotprod, NeonI8mm};

    pub fn has(isa: IsaKind) -> bool {
        match isa {
            IsaKind::Neon => Neon::detect().is_some(),
            IsaKind::NeonDotprod => NeonDotprod::detect().is_some(),
            IsaKind::NeonI8mm => NeonI8mm::detect().is_some(),
            _ => false,
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use crate::IsaKind;

    /// What the build was made for.
    pub fn has(isa: IsaKind) -> bool {
        cfg!(selvedge_dsp) && isa == IsaKind::Dsp || cfg!(selvedge_helium) && isa == IsaKind::Helium
    }
}

#[cfg(not(any(selvedge_neon, target_arch = "arm", target_arch = "x86_64")))]
mod other {
    pub fn has(_: crate::IsaKind) -> bool {
        false
    }
}
