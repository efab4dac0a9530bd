//! Test families, one generic function a claim. The registry instantiates them for each kernel.

pub mod buffers;
pub mod elementwise;
pub mod f32_buffers;
pub mod f32_conv;
pub mod f32_dense;
pub mod f32_elementwise;
pub mod f32_reduction;
mod families;
pub mod layers;
pub mod layers_i16;
pub mod low_bit;
pub mod matmul_i8;
mod outputs;
pub mod pools;
pub mod quantizers;
mod requantize;

pub(crate) use families::{families, tests};

use crate::isa::{IsaI8, IsaI16};
use crate::select::IsaKind;
use crate::{Portable, Reference};

/// An instruction set the tests can ask for.
pub trait Testable: IsaI8 + IsaI16 {
    fn detect() -> Option<Self>;
}

impl Testable for Reference {
    fn detect() -> Option<Self> {
        Some(Self)
    }
}

impl Testable for Portable {
    fn detect() -> Option<Self> {
        Some(Self)
    }
}

#[cfg(target_arch = "x86_64")]
impl Testable for crate::Avx2 {
    fn detect() -> Option<Self> {
        crate::Avx2::detect()
    }
}

#[cfg(selvedge_dsp)]
impl Testable for crate::Dsp {
    fn detect() -> Option<Self> {
        Some(Self)
    }
}

#[cfg(selvedge_neon)]
mod neon {
    macro_rules! testable {
        ($($isa:ident)*) => {$(
            impl super::Testable for crate::$isa {
                fn detect() -> Option<Self> {
                    crate::$isa::detect()
                }
            }
        )*};
    }

    testable!(Neon NeonDotprod NeonI8mm);
}

/// Runs `test` if the CPU has the instruction set; else says what was not tested, and fails if
/// `SELVEDGE_REQUIRE_ISA` (a list with commas) names it.
pub fn with<I: Testable>(what: &str, test: impl FnOnce(I)) {
    match I::detect() {
        Some(isa) => test(isa),
        None => {
            let name = I::KIND.name();
            let _ = std::io::Write::write_all(
                &mut std::io::stderr(),
                std::format!("NOT TESTED: {what}: this CPU has no {name}\n").as_bytes(),
            );
            let required = std::env::var("SELVEDGE_REQUIRE_ISA").unwrap_or_default();
            assert!(!required.split(',').any(|isa| isa.trim() == name), "SELVEDGE_REQUIRE_ISA names {name}");
        }
    }
}

/// `SELVEDGE_REQUIRE_ISA` names only instruction sets this build has tests for.
#[test]
fn required_isas_are_known() {
    let required = std::env::var("SELVEDGE_REQUIRE_ISA").unwrap_or_default();
    for name in required.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let known = crate::registry::KERNELS.iter().any(|kernel| kernel.isa.name() == name);
        assert!(known, "SELVEDGE_REQUIRE_ISA names {name}, which this build has no kernels for");
    }
    assert_eq!(IsaKind::ALL.map(|kind| IsaKind::from_name(kind.name())), IsaKind::ALL.map(Some));
}
