//! Implicit fields: a tiny network from a point to an occupancy logit that is run several times on its own result (Sawdayee,
//! Vaxman and Bermano 2023, "OReX").

use crate::error::{DenoiseError, check_finite, check_len, part, require};
use crate::real::Real;

/// A dense layer, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a, T> {
    /// One row an output.
    pub weights: &'a [T],
    /// One an output.
    pub bias: &'a [T],
}

impl<T: Real> Dense<'_, T> {
    fn check(&self, inputs: usize) -> Result<(), DenoiseError> {
        check_len(self.weights, inputs * self.bias.len())?;
        check_finite(self.weights)?;
        check_finite(self.bias)
    }

    fn apply(&self, x: &[T], out: &mut [T]) {
        for ((out, row), &bias) in out.iter_mut().zip(self.weights.chunks_exact(x.len())).zip(self.bias) {
            *out = row.iter().zip(x).fold(T::ZERO, |sum, (&w, &x)| sum + w * x) + bias;
        }
    }
}

/// Frequencies of the cosines and sines that points are encoded with.
#[derive(Clone, Copy, Debug)]
pub struct Encoding<'a, T> {
    /// Of the cosines.
    pub cosines: &'a [T],
    /// Of the sines.
    pub sines: &'a [T],
}

/// The network. Its input is the point, cosines and sines of it (coordinate by coordinate), the logit, and a hidden state
/// with the pass embedded in it; the layers' outputs go through a leaky ReLU but for the last, whose first output is added
/// to the logit and whose others are the next hidden state.
#[derive(Clone, Copy, Debug)]
pub struct Implicit<'a, T> {
    encoding: Encoding<'a, T>,
    layers: &'a [Dense<'a, T>],
    hidden: usize,
    slope: T,
    width: usize,
}

/// Coordinates of a point.
const SPACE: usize = 3;

impl<'a, T: Real> Implicit<'a, T> {
    /// Of layers and the slope below 0 of the activation.
    ///
    /// # Errors
    /// [`DenoiseError::Length`] where layers do not fit each other or the encoding, [`DenoiseError::Shape`] for none,
    /// [`DenoiseError::NotFinite`], [`DenoiseError::Parameter`] for a hidden state of odd length.
    pub fn new(encoding: Encoding<'a, T>, layers: &'a [Dense<'a, T>], slope: f64) -> Result<Self, DenoiseError> {
        let hidden = layers.last().and_then(|last| last.bias.len().checked_sub(1)).ok_or(DenoiseError::Shape)?;
        require(hidden % 2 == 0)?;
        check_finite(encoding.cosines)?;
        check_finite(encoding.sines)?;
        let mut inputs = SPACE * (1 + encoding.cosines.len() + encoding.sines.len()) + 1 + hidden;
        let mut width = inputs;
        for layer in layers {
            layer.check(inputs)?;
            inputs = layer.bias.len();
            width = width.max(inputs);
        }
        Ok(Implicit { encoding, layers, hidden, slope: T::of(slope), width })
    }

    /// Elements of the work buffer: two layers and the hidden state.
    pub fn work_len(&self) -> usize {
        2 * self.width + self.hidden
    }

    /// The logit of a point after so many passes from a start; `each` sees it after every pass.
    ///
    /// # Errors
    /// [`DenoiseError::Length`], [`DenoiseError::Buffer`], [`DenoiseError::NotFinite`].
    pub fn evaluate(
        &self,
        point: &[T; SPACE],
        (logit, hidden): (T, &[T]),
        passes: u32,
        work: &mut [T],
        mut each: impl FnMut(T),
    ) -> Result<T, DenoiseError> {
        check_len(hidden, self.hidden)?;
        check_finite(point)?;
        check_finite(hidden)?;
        check_finite(&[logit])?;
        let (state, layers) = part(work, self.work_len())?.split_at_mut(self.hidden);
        let (mut now, mut then) = layers.split_at_mut(self.width);
        state.copy_from_slice(hidden);
        let mut logit = logit;
        for pass in 0..passes {
            for (pair, half) in state.chunks_exact_mut(2).zip(0u32..) {
                // Frequencies 2^half; exact.
                let angle = f64::from(pass) * libm::exp2(f64::from(half));
                let embedded = [libm::sin(angle), libm::cos(angle)];
                pair.iter_mut().zip(embedded).for_each(|(x, e)| *x += T::of(e));
            }
            let waves = (point
                .iter()
                .flat_map(|&x| self.encoding.cosines.iter().map(move |&f| wave(libm::cos, x * f))))
            .chain(point.iter().flat_map(|&x| self.encoding.sines.iter().map(move |&f| wave(libm::sin, x * f))));
            let input = point.iter().copied().chain(waves).chain([logit]).chain(state.iter().copied());
            let mut len = 0;
            for (to, x) in now.iter_mut().zip(input) {
                *to = x;
                len += 1;
            }
            for (number, layer) in self.layers.iter().enumerate() {
                let out = &mut then[..layer.bias.len()];
                layer.apply(&now[..len], out);
                if number + 1 < self.layers.len() {
                    out.iter_mut().for_each(|x| *x = if *x > T::ZERO { *x } else { self.slope * *x });
                }
                len = out.len();
                core::mem::swap(&mut now, &mut then);
            }
            logit += now[0];
            state.copy_from_slice(&now[1..len]);
            each(logit);
        }
        Ok(logit)
    }
}

fn wave<T: Real>(function: fn(f64) -> f64, x: T) -> T {
    T::of(function(x.to_f64()))
}
