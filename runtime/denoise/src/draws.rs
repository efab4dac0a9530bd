//! Where the noise of a step comes from.

use crate::error::{DenoiseError, check_finite, check_len};
use crate::real::Real;
use selvedge_noise::{Domain, NoiseKey, Reals};

/// The standard normal numbers of a step.
#[derive(Clone, Copy, Debug)]
pub enum Noise<'a, T> {
    /// None at all: zeros.
    Off,
    /// These, one an element.
    Given(&'a [T]),
    /// From the counter: a function of key, run, step and element. Whatever was drawn before, a resumed run gets the
    /// same noise. Runs of a key differ in `run`, steps are below 2^32, elements too.
    Key {
        /// The key.
        key: &'a NoiseKey,
        /// Which run, below 2^30.
        run: u32,
    },
}

impl<'a, T: Real> Noise<'a, T> {
    /// Numbers for `len` elements at a step.
    pub(crate) fn draws(self, len: usize, step: usize) -> Result<Draws<'a, T>, DenoiseError> {
        Ok(match self {
            Noise::Off => Draws::Off,
            Noise::Given(values) => {
                check_len(values, len)?;
                check_finite(values)?;
                Draws::Given(values.iter())
            }
            Noise::Key { key, run } => {
                Draws::Key(key.reals(Domain::Extension, (u64::from(run) << 32) | step as u64 & 0xffff_ffff, 0))
            }
        })
    }
}

/// As many numbers as were asked for, or more.
// A value of this type lives on the stack for one step; without an allocator there is no box.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Draws<'a, T> {
    Off,
    Given(core::slice::Iter<'a, T>),
    Key(Reals<'a>),
}

impl<T: Real> Iterator for Draws<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        match self {
            Draws::Off => Some(T::ZERO),
            Draws::Given(values) => values.next().copied(),
            Draws::Key(reals) => Some(T::of(reals.normal())),
        }
    }
}
