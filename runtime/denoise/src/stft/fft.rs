//! The discrete Fourier transform of real signals: half as many complex numbers (Sorensen et al. 1987), transformed by
//! radix 2 with decimation in time (Cooley and Tukey 1965).

use super::Bin;
use crate::error::{DenoiseError, part};
use crate::real::Real;
use core::f64::consts::TAU;

/// Cosines of a transform of N real numbers.
#[derive(Clone, Copy, Debug)]
pub struct Fft<T, const N: usize> {
    cosines: [T; N],
}

impl<T: Real, const N: usize> Fft<T, N> {
    /// # Errors
    /// [`DenoiseError::Shape`] for an N that is no power of two from 4 on.
    pub fn new() -> Result<Self, DenoiseError> {
        if N < 4 || !N.is_power_of_two() {
            return Err(DenoiseError::Shape);
        }
        // The first quadrant, and the others by their signs: zeros and ones are exact.
        let first = |i: usize| if i == N / 4 { 0.0 } else { libm::cos(TAU * i as f64 / N as f64) };
        let cosines = core::array::from_fn(|i| {
            let half = i.min(N - i);
            T::of(if half <= N / 4 { first(half) } else { -first(N / 2 - half) })
        });
        Ok(Fft { cosines })
    }

    /// e^(−2πi·k/N), k < N.
    #[inline]
    fn root(&self, k: usize) -> Bin<T> {
        [self.cosines[k], -self.cosines[(k + 3 * N / 4) % N]]
    }

    /// X_k = Σ x_j·e^(−2πi·jk/N) for k from 0 to N/2.
    ///
    /// # Errors
    /// [`DenoiseError::Buffer`] for fewer than N/2 + 1 results.
    pub fn forward(&self, x: &[T; N], out: &mut [Bin<T>]) -> Result<(), DenoiseError> {
        let out = part(out, N / 2 + 1)?;
        for (z, pair) in out.iter_mut().zip(x.chunks_exact(2)) {
            *z = [pair[0], pair[1]];
        }
        let half = N / 2;
        self.complex(&mut out[..half]);
        let half_t = T::of(0.5);
        let first = out[0];
        for k in 1..=half / 2 {
            let (a, b) = (out[k], conjugate(out[half - k]));
            let even = scale(add(a, b), half_t);
            // Times 1/i.
            let [re, im] = scale(subtract(a, b), half_t);
            let odd = times(self.root(k), [im, -re]);
            (out[k], out[half - k]) = (add(even, odd), conjugate(subtract(even, odd)));
        }
        (out[0], out[half]) = ([first[0] + first[1], T::ZERO], [first[0] - first[1], T::ZERO]);
        Ok(())
    }

    /// The way back, with its 1/N. The spectrum is used up; imaginary parts of its first and last number do not count.
    ///
    /// # Errors
    /// [`DenoiseError::Buffer`] for fewer than N/2 + 1 numbers.
    pub fn inverse(&self, spectrum: &mut [Bin<T>], out: &mut [T; N]) -> Result<(), DenoiseError> {
        let spectrum = part(spectrum, N / 2 + 1)?;
        let (half, half_t) = (N / 2, T::of(0.5));
        let (first, last) = (spectrum[0][0], spectrum[half][0]);
        for k in 1..=half / 2 {
            let (a, b) = (spectrum[k], conjugate(spectrum[half - k]));
            let even = scale(add(a, b), half_t);
            let odd = times(conjugate(self.root(k)), scale(subtract(a, b), half_t));
            // even + i·odd, and the conjugate of even − i·odd.
            let turned = [-odd[1], odd[0]];
            (spectrum[k], spectrum[half - k]) = (add(even, turned), conjugate(subtract(even, turned)));
        }
        spectrum[0] = [half_t * (first + last), half_t * (first - last)];
        // The inverse transform is the transform of the conjugates, conjugated.
        let spectrum = &mut spectrum[..half];
        spectrum.iter_mut().for_each(|z| *z = conjugate(*z));
        self.complex(spectrum);
        let share = T::of(2.0 / N as f64);
        for (pair, z) in out.chunks_exact_mut(2).zip(spectrum) {
            (pair[0], pair[1]) = (share * z[0], -(share * z[1]));
        }
        Ok(())
    }

    /// N/2 complex numbers in place.
    fn complex(&self, z: &mut [Bin<T>]) {
        let n = z.len();
        let shift = usize::BITS - n.trailing_zeros();
        for i in 0..n {
            let j = if n > 1 { i.reverse_bits() >> shift } else { 0 };
            if i < j {
                z.swap(i, j);
            }
        }
        let mut width = 1;
        while width < n {
            for block in z.chunks_exact_mut(2 * width) {
                let (low, high) = block.split_at_mut(width);
                for (k, (a, b)) in low.iter_mut().zip(high).enumerate() {
                    let turned = times(self.root(k * (N / (2 * width))), *b);
                    (*a, *b) = (add(*a, turned), subtract(*a, turned));
                }
            }
            width *= 2;
        }
    }
}

#[inline]
fn add<T: Real>(a: Bin<T>, b: Bin<T>) -> Bin<T> {
    [a[0] + b[0], a[1] + b[1]]
}

#[inline]
fn subtract<T: Real>(a: Bin<T>, b: Bin<T>) -> Bin<T> {
    [a[0] - b[0], a[1] - b[1]]
}

#[inline]
fn times<T: Real>(a: Bin<T>, b: Bin<T>) -> Bin<T> {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

#[inline]
fn scale<T: Real>(a: Bin<T>, by: T) -> Bin<T> {
    [by * a[0], by * a[1]]
}

#[inline]
fn conjugate<T: Real>(a: Bin<T>) -> Bin<T> {
    [a[0], -a[1]]
}
