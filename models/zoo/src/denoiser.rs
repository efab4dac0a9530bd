//! A denoiser of gray pictures, told the level of the noise.
//!
//! Trained on pictures in the public domain or under CC0 and on drawn shapes, by `denoiser/train.py`; see
//! `DATA-LICENCES.md`.

use crate::{Noise, pictures};

/// The network: ONNX, opset 17, 39 369 parameters.
///
/// Inputs `noisy`, f32 `[1, 1, H, W]` in 0..1 with even H and W, and `level`, f32 `[1, 1, 1, 1]`, the standard deviation of
/// the noise in the same unit, up to 55/255. Output `added`, as large as `noisy`: what is to be added to it.
pub const ONNX: &[u8] = include_bytes!("../denoiser/denoiser.onnx");

/// The same network with ternary weights in its four middle layers and 8-bit activations, quantized in the file
/// (`denoiser/train_ternary.py`). Inputs and outputs as those of [`ONNX`].
pub const TERNARY_ONNX: &[u8] = include_bytes!("../denoiser/denoiser_ternary.onnx");

/// A network of the same form that learned the score of noisy pictures from noisy pictures alone (`denoiser/train_score.py`). Inputs and
/// output as those of [`ONNX`]: the output is the level's square times the score.
pub const SCORE_ONNX: &[u8] = include_bytes!("../denoiser/denoiser_score.onnx");

/// Pixels around a pixel that its result depends on, on each side: six 3×3 convolutions over blocks of 2×2 pixels.
pub const HALO: usize = 12;

/// The levels of [`calibration`], in 1/255.
const LEVELS: [f32; 4] = [5.0, 15.0, 25.0, 50.0];

/// How far beyond 0..1 the pixels of [`calibration`] go: a finer grid of the input is worth more than the whole value of what
/// little noise takes further, as the picture is added behind the network.
const OUTSIDE: f32 = 0.4;

/// Noisy squares of `side` pixels with their levels, for the choice of quantization ranges.
pub fn calibration(side: usize) -> impl Iterator<Item = (Vec<f32>, f32)> {
    (0..8).map(move |index| {
        let level = LEVELS[index % LEVELS.len()] / 255.0;
        let mut noise = Noise(index as u32 + 1);
        let clean = mosaic(pictures::calibration_set(), index * 3, side, side);
        let noisy = clean.iter().map(|x| (x + level * noise.normal()).clamp(-OUTSIDE, 1.0 + OUTSIDE));
        (noisy.collect(), level)
    })
}

/// A gray picture of `height` rows put together from crops of [`pictures::test_set`], in 0..1: to show, not to measure, as
/// the network was trained on most of these pictures.
pub fn sample_picture(height: usize, width: usize) -> Vec<f32> {
    mosaic(pictures::test_set(), 0, height, width)
}

/// A picture with noise of a level, the same on every machine.
pub fn with_noise(clean: &[f32], level: f32) -> Vec<f32> {
    let mut noise = Noise(77);
    clean.iter().map(|x| x + level * noise.normal()).collect()
}

/// Crops side by side, from crop `first` on.
fn mosaic(set: pictures::Samples, first: usize, height: usize, width: usize) -> Vec<f32> {
    let (down, across) = (height.div_ceil(pictures::SIDE), width.div_ceil(pictures::SIDE));
    let crops: Vec<Vec<f32>> = (0..down * across).map(|i| set.image((first + i) % set.len())).collect();
    let pixel = |at: usize| {
        let (row, column) = (at / width, at % width);
        let image = &crops[row / pictures::SIDE * across + column / pictures::SIDE];
        let place = row % pictures::SIDE * pictures::SIDE + column % pictures::SIDE;
        let channel = |c: usize| image[c * pictures::SIDE * pictures::SIDE + place];
        0.299 * channel(0) + 0.587 * channel(1) + 0.114 * channel(2)
    };
    (0..height * width).map(pixel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_has_every_level_and_noise_of_that_level() {
        let mut levels: Vec<f32> = Vec::new();
        for (index, (noisy, level)) in calibration(64).enumerate() {
            let clean = mosaic(pictures::calibration_set(), index * 3, 64, 64);
            let power = noisy.iter().zip(&clean).map(|(n, c)| (n - c) * (n - c)).sum::<f32>() / 4096.0;
            assert!((power.sqrt() / level - 1.0).abs() < 0.05, "{level}: {}", power.sqrt());
            levels.push(level * 255.0);
        }
        assert!(LEVELS.iter().all(|l| levels.iter().any(|found| (found - l).abs() < 1e-3)));
    }
}
