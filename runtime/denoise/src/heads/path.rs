//! How smoothly a generator's output follows its latent (Guo et al. 2024, "Smooth diffusion").

use crate::error::{DenoiseError, check_finite, check_len, require};
use crate::real::{Real, dot};

/// The point at t between two latents on the great circle through them (Shoemake 1985); straight where they are parallel.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Parameter`] for a zero vector or a t that is not
/// finite.
pub fn slerp<T: Real>(a: &[T], b: &[T], t: f64, out: &mut [T]) -> Result<(), DenoiseError> {
    check_len(b, a.len())?;
    check_len(out, a.len())?;
    check_finite(a)?;
    check_finite(b)?;
    let (length_a, length_b) = (libm::sqrt(dot(a, a)), libm::sqrt(dot(b, b)));
    require(length_a > 0.0 && length_b > 0.0 && t.is_finite())?;
    let cosine = (dot(a, b) / length_a / length_b).clamp(-1.0, 1.0);
    let angle = libm::acos(cosine);
    let sine = libm::sin(angle);
    let (from, to) = if sine.abs() < 1e-9 {
        (1.0 - t, t)
    } else {
        (libm::sin((1.0 - t) * angle) / sine, libm::sin(t * angle) / sine)
    };
    let (from, to) = (T::of(from), T::of(to));
    out.iter_mut().zip(a).zip(b).for_each(|((out, &a), &b)| *out = from * a + to * b);
    Ok(())
}

/// The population deviation of the distances (root mean squares) of neighbouring frames, one behind the other: 0 for an
/// output that moves evenly. Compares a quantized generator with its original.
///
/// # Errors
/// [`DenoiseError::Length`], [`DenoiseError::NotFinite`], [`DenoiseError::Samples`] for fewer than two frames.
pub fn path_deviation<T: Real>(frames: &[T], frame: usize) -> Result<f64, DenoiseError> {
    check_finite(frames)?;
    if frame == 0 || frames.len() < 2 * frame {
        return Err(DenoiseError::Samples { needed: 2 });
    }
    check_len(frames, frames.len() / frame * frame)?;
    let distances = || {
        frames.chunks_exact(frame).zip(frames.chunks_exact(frame).skip(1)).map(|(a, b)| {
            let square = |(&a, &b): (&T, &T)| (b.to_f64() - a.to_f64()) * (b.to_f64() - a.to_f64());
            libm::sqrt(a.iter().zip(b).map(square).sum::<f64>() / frame as f64)
        })
    };
    let count = (frames.len() / frame - 1) as f64;
    let mean = distances().sum::<f64>() / count;
    Ok(libm::sqrt(distances().map(|d| (d - mean) * (d - mean)).sum::<f64>() / count))
}
