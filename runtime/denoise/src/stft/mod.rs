//! Streaming short-time Fourier transform: blocks in, spectra to a network, blocks out, in the memory of one value.
//!
//! Without a network in between what comes out is what went in, [`Stft::LATENCY`] samples later. That holds for every pair
//! of windows, since each sample is divided by what the windows make of it; [`Stft::unscaled`] leaves that out for networks
//! that were trained to do it themselves. The delay that a listener hears is the latency, one block that has to be full
//! before it can be processed, the time a step takes, and whatever the network looks ahead.

mod fft;

pub use fft::Fft;

use crate::error::{DenoiseError, StepError, check_finite, part, require};
use crate::real::Real;
use core::f64::consts::PI;

/// Shape of a window over N samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// sin²(π·i/N): Hann's, periodic.
    Hann,
    /// sin(π·i/N), the root of it. Analysis and synthesis with it make a Hann window.
    RootHann,
    /// 1.
    Rectangular,
}

impl Window {
    fn at(self, i: usize, n: usize) -> f64 {
        let sine = libm::sin(PI * i as f64 / n as f64);
        match self {
            Window::Hann => sine * sine,
            Window::RootHann => sine,
            Window::Rectangular => 1.0,
        }
    }
}

/// Real and imaginary part of a frequency.
pub type Bin<T> = [T; 2];

/// The state of a stream: frames of N samples (a power of two), HOP new ones a step. 6·N numbers; nothing can be lost between
/// steps but by dropping the value.
///
/// ```
/// use selvedge_denoise::stft::{Stft, Window};
/// let mut stream = Stft::<f32, 512, 256>::new(Window::RootHann, Window::RootHann)?;
/// let mut spectrum = [[0.0; 2]; 257];
/// let mut out = [0.0; 256];
/// let block = [0.25; 256];
/// stream.step(&block, &mut out, &mut spectrum, |spectrum| {
///     spectrum.iter_mut().for_each(|[re, im]| (*re, *im) = (0.5 * *re, 0.5 * *im)); // the network's mask
///     Ok::<(), core::convert::Infallible>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Stft<T, const N: usize, const HOP: usize> {
    fft: Fft<T, N>,
    analysis: [T; N],
    synthesis: [T; N],
    input: [T; N],
    output: [T; N],
    frame: [T; N],
}

impl<T: Real, const N: usize, const HOP: usize> Stft<T, N, HOP> {
    /// Samples from a sample's way in to its way out.
    pub const LATENCY: usize = N - HOP;
    /// Frequencies of a spectrum: N/2 + 1.
    pub const BINS: usize = N / 2 + 1;

    /// A stream of silence so far.
    ///
    /// # Errors
    /// [`DenoiseError::Shape`] for an N that is no power of two from 4 on, or not a multiple of HOP;
    /// [`DenoiseError::Parameter`] for windows that leave a sample out.
    pub fn new(analysis: Window, synthesis: Window) -> Result<Self, DenoiseError> {
        if HOP == 0 || !N.is_multiple_of(HOP) {
            return Err(DenoiseError::Shape);
        }
        let fft = Fft::new()?;
        let weight = |i: usize| analysis.at(i, N) * synthesis.at(i, N);
        let sum = |i: usize| (i % HOP..N).step_by(HOP).fold(0.0, |sum, i| sum + weight(i));
        require((0..HOP).all(|i| sum(i) > 1e-3))?;
        Ok(Stft {
            fft,
            analysis: core::array::from_fn(|i| T::of(analysis.at(i, N))),
            synthesis: core::array::from_fn(|i| T::of(synthesis.at(i, N) / sum(i))),
            input: [T::ZERO; N],
            output: [T::ZERO; N],
            frame: [T::ZERO; N],
        })
    }

    /// Without the division by what the windows add up to.
    #[must_use]
    pub fn unscaled(mut self, synthesis: Window) -> Self {
        self.synthesis = core::array::from_fn(|i| T::of(synthesis.at(i, N)));
        self
    }

    /// Takes a block in and gives one out; `network` changes the spectrum (Σ x·e^(−2πi·jk/N), [`Stft::BINS`] of them) of
    /// the last N samples in place. A step that fails has moved nothing: repeat it, or give a block of zeros.
    ///
    /// # Errors
    /// The network's; [`DenoiseError::NotFinite`] for a sample, or for a number of the spectrum with index 2·bin or
    /// 2·bin + 1; [`DenoiseError::Buffer`].
    pub fn step<E>(
        &mut self,
        block: &[T; HOP],
        out: &mut [T; HOP],
        spectrum: &mut [Bin<T>],
        network: impl FnOnce(&mut [Bin<T>]) -> Result<(), E>,
    ) -> Result<(), StepError<E>> {
        self.step_in_two(block, out, spectrum, network, |_| Ok(()))
    }

    /// [`Stft::step`] with a second network, `refine`, that changes the N samples made of the spectrum in place, before
    /// the synthesis window and the overlap-add: DTLN's form (Westhausen and Meyer 2020).
    ///
    /// # Errors
    /// Those of [`Stft::step`], and those of `refine`; [`DenoiseError::NotFinite`] for what it returns, with its sample.
    pub fn step_in_two<E>(
        &mut self,
        block: &[T; HOP],
        out: &mut [T; HOP],
        spectrum: &mut [Bin<T>],
        network: impl FnOnce(&mut [Bin<T>]) -> Result<(), E>,
        refine: impl FnOnce(&mut [T; N]) -> Result<(), E>,
    ) -> Result<(), StepError<E>> {
        check_finite(block)?;
        let spectrum = part(spectrum, Self::BINS)?;
        let samples = self.input.iter().skip(HOP).chain(block);
        for ((to, &x), &window) in self.frame.iter_mut().zip(samples).zip(&self.analysis) {
            *to = window * x;
        }
        self.fft.forward(&self.frame, spectrum)?;
        network(spectrum).map_err(StepError::Model)?;
        check_finite(spectrum.as_flattened())?;
        self.fft.inverse(spectrum, &mut self.frame)?;
        refine(&mut self.frame).map_err(StepError::Model)?;
        check_finite(&self.frame)?;
        // From here on nothing fails.
        self.input.copy_within(HOP.., 0);
        self.input.iter_mut().rev().zip(block.iter().rev()).for_each(|(to, &x)| *to = x);
        for ((sum, &x), &window) in self.output.iter_mut().zip(&self.frame).zip(&self.synthesis) {
            *sum += window * x;
        }
        out.iter_mut().zip(&self.output).for_each(|(out, &x)| *out = x);
        self.output.copy_within(HOP.., 0);
        self.output.iter_mut().rev().take(HOP).for_each(|x| *x = T::ZERO);
        Ok(())
    }
}
