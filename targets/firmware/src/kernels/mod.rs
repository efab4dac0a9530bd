//! Compares the kernels of this build's instruction set with the reference kernels, bit for bit,
//! on the device itself: cores without an operating system cannot run the test suite.
//!
//! Shapes are all small ones past a tile, then drawn ones, of a fixed seed; data include extreme
//! values; operands are misaligned now and then; bytes around an output must stay as they were.

mod elementwise;
mod epilogue;
mod layers;
mod low_bit;
mod pools;
mod rng;
mod workspace;

use core::fmt::{Debug, Write};

use selvedge_kernels::{Isa, NATIVE};

use rng::Rng;
pub use workspace::Workspace;

/// A kernel differs from its reference; what and where has been printed.
#[derive(Clone, Copy, Debug)]
pub struct Mismatch;

/// Runs all comparisons and prints how many cases each family had.
///
/// # Errors
/// At the first case that differs, after printing it.
pub fn run(workspace: &mut Workspace, out: &mut dyn Write) -> Result<(), Mismatch> {
    let isa = NATIVE.name();
    let mut suite = Suite { workspace, out, rng: Rng(1), cases: 0 };
    type Family = fn(&mut Suite<'_>) -> Result<(), Mismatch>;
    let families: [(&str, Family); 8] = [
        ("conv2d_w8", layers::conv2d),
        ("depthwise_w8", layers::depthwise),
        ("dense_w8", layers::dense),
        ("conv2d_low", low_bit::conv2d),
        ("dense_low", low_bit::dense),
        ("pools", pools::pools),
        ("elementwise", elementwise::integer),
        ("quantize", elementwise::quantize),
    ];
    for (seed, (name, family)) in families.into_iter().enumerate() {
        (suite.rng, suite.cases) = (Rng(seed as u64), 0);
        family(&mut suite)?;
        let cases = suite.cases;
        let _ = writeln!(suite.out, "{isa}: {name}: {cases} cases equal the reference");
    }
    Ok(())
}

/// Where data are drawn from, kept and compared.
struct Suite<'a> {
    workspace: &'a mut Workspace,
    out: &'a mut dyn Write,
    rng: Rng,
    cases: u32,
}

/// Whether two outputs are the same bits; prints the first element that is not.
fn same<T: Copy + Debug>(
    out: &mut dyn Write,
    kernel: &str,
    case: &dyn Debug,
    got: &[T],
    want: &[T],
    bits: impl Fn(T) -> u32,
) -> Result<(), Mismatch> {
    let Some(at) = got.iter().zip(want).position(|(&got, &want)| bits(got) != bits(want)) else { return Ok(()) };
    let (got, want) = (bits(got[at]), bits(want[at]));
    let isa = NATIVE.name();
    let _ = writeln!(out, "{kernel} of {isa} differs: element {at} is {got:#x}, the reference has {want:#x}; {case:?}");
    Err(Mismatch)
}
