//! Digit classifiers that were trained under Gaussian noise, so that smoothing certifies something; see
//! `digits/train_noise.py`, `digits/train_conditioned.py` and `digits/train_denoiser.py`.
//!
//! Noise is `round(N(0, sigma^2))` in steps of the stored pixels (16 steps are the full range), added without
//! clipping: inputs leave the range 0 to 1.

use super::{CLASSES, GOLDEN_IMAGES, HEIGHT, MAX_PIXEL, PIXELS, WIDTH, logits};

/// A classifier trained at one level of noise; inputs and outputs as those of [`ONNX`](super::ONNX), batch 1.
#[derive(Clone, Copy, Debug)]
pub struct NoiseNet {
    /// Name: `noise_025` or `noise_050`.
    pub name: &'static str,
    /// The network: ONNX, opset 17, batch normalization not folded.
    pub onnx: &'static [u8],
    /// The noise it was trained at, in steps of the stored pixels.
    pub sigma_steps: u8,
    /// Test images without noise that ONNX Runtime classifies correctly.
    pub f32_correct: usize,
    calibration: Noisy,
    golden: &'static [u8],
}

impl NoiseNet {
    /// The calibration images under noise of [`sigma_steps`](Self::sigma_steps): quantization ranges chosen
    /// with them hold the noise, ranges chosen with images alone cut it.
    pub const fn calibration_set(&self) -> Noisy {
        self.calibration
    }

    /// ONNX Runtime's logits for the first [`GOLDEN_IMAGES`] images of [`test_set`](super::test_set), without noise.
    pub fn golden_logits(&self) -> impl ExactSizeIterator<Item = [f32; CLASSES]> + use<> {
        self.golden.as_chunks::<{ 4 * CLASSES }>().0.iter().map(logits)
    }
}

/// The networks at a quarter and at half of the range.
pub const NOISE: [NoiseNet; 2] = [
    NoiseNet {
        name: "noise_025",
        onnx: include_bytes!("../../digits/digits_noise_025.onnx"),
        sigma_steps: 4,
        f32_correct: 447,
        calibration: Noisy::parse(include_bytes!("../../digits/calibration_noise_025.bin")),
        golden: include_bytes!("../../digits/golden_noise_025.bin"),
    },
    NoiseNet {
        name: "noise_050",
        onnx: include_bytes!("../../digits/digits_noise_050.onnx"),
        sigma_steps: 8,
        f32_correct: 440,
        calibration: Noisy::parse(include_bytes!("../../digits/calibration_noise_050.bin")),
        golden: include_bytes!("../../digits/golden_noise_050.bin"),
    },
];

/// One classifier for every level of noise from 0.1 to 1 of the range: ONNX, opset 17, batch 1, inputs `image`
/// (as that of [`ONNX`](super::ONNX)) and `sigma`, f32 `[1, 1]`, the level in units of the range.
pub const CONDITIONED_ONNX: &[u8] = include_bytes!("../../digits/digits_conditioned.onnx");

/// Values of `sigma` that [`conditioned_golden_logits`] covers.
pub const CONDITIONED_LEVELS: [f32; 3] = [0.25, 0.5, 1.0];

/// ONNX Runtime's logits for the first [`GOLDEN_IMAGES`] images of [`test_set`](super::test_set) at level
/// `CONDITIONED_LEVELS[level]`.
///
/// # Panics
///
/// If there is no such level.
pub fn conditioned_golden_logits(level: usize) -> impl ExactSizeIterator<Item = [f32; CLASSES]> {
    let (rows, _) = include_bytes!("../../digits/golden_conditioned.bin").as_chunks::<{ 4 * CLASSES }>();
    rows[level * GOLDEN_IMAGES..(level + 1) * GOLDEN_IMAGES].iter().map(logits)
}

/// A denoiser for noise of half of the range: ONNX, opset 17, batch 1, `image` to `denoised`, both f32
/// `[1, 1, 8, 8]`. For comparison: in front of [`ONNX`](super::ONNX) it makes a classifier of noisy images.
pub const DENOISER_050_ONNX: &[u8] = include_bytes!("../../digits/digits_denoiser_050.onnx");

/// Noisy images and what ONNX Runtime's run of [`DENOISER_050_ONNX`] makes of them.
pub fn denoiser_golden() -> impl ExactSizeIterator<Item = ([f32; PIXELS], [f32; PIXELS])> {
    let (given, outputs) = include_bytes!("../../digits/golden_denoiser_050.bin").split_at(GOLDEN_IMAGES * PIXELS);
    let outputs = outputs.as_chunks::<4>().0.as_chunks::<PIXELS>().0;
    given.as_chunks().0.iter().zip(outputs).map(|(given, output)| (unit(given), output.map(f32::from_le_bytes)))
}

/// A labelled set of images with noise, checked when the crate is compiled and read in place.
#[derive(Clone, Copy, Debug)]
pub struct Noisy {
    pixels: &'static [[u8; PIXELS]],
    labels: &'static [u8],
}

impl Noisy {
    /// Reads the format of `Samples::parse` in version 2: the pixels are signed bytes.
    const fn parse(file: &'static [u8]) -> Self {
        let [b'S', b'D', b'I', b'G', 2, h, w, max, n0, n1, n2, n3, body @ ..] = file else {
            panic!("not a digit file of version 2");
        };
        assert!(*h as usize == HEIGHT && *w as usize == WIDTH && *max == MAX_PIXEL, "image format");
        let count = u32::from_le_bytes([*n0, *n1, *n2, *n3]) as usize;
        assert!(body.len() == count * (PIXELS + 1), "length");
        let (pixels, labels) = body.split_at(count * PIXELS);
        Self { pixels: pixels.as_chunks().0, labels }
    }

    /// The number of images.
    pub const fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the set holds no image.
    pub const fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Image `index` as the model takes it: row-major, 0 paper, 1 full ink, and the noise.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> [f32; PIXELS] {
        unit(&self.pixels[index])
    }

    /// The digit that image `index` shows, 0 to 9.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub const fn label(&self, index: usize) -> u8 {
        self.labels[index]
    }
}

fn unit(steps: &[u8; PIXELS]) -> [f32; PIXELS] {
    steps.map(|step| f32::from(step.cast_signed()) / f32::from(MAX_PIXEL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digits::{calibration_set, test_set};

    fn recorded(json: &str) -> String {
        json.split_whitespace().collect()
    }

    #[test]
    fn sizes_and_counts_are_those_that_training_recorded() {
        let expected = recorded(include_str!("../../digits/expected_noise.json"));
        for net in NOISE {
            assert!(net.onnx.len() < 200_000, "{}", net.name);
            assert_eq!(net.golden_logits().len(), GOLDEN_IMAGES);
            assert_eq!(net.calibration_set().len(), calibration_set().len());
            let line = format!(
                "\"{}\":{{\"images\":{},\"sigma_steps\":{}.0,\"draws\":10000,\"clean_correct\":{},",
                net.name,
                test_set().len(),
                net.sigma_steps,
                net.f32_correct
            );
            assert!(expected.contains(&line), "{line}");
        }
        assert!(CONDITIONED_ONNX.len() < 200_000 && DENOISER_050_ONNX.len() < 50_000);
        assert!((0..CONDITIONED_LEVELS.len()).all(|level| conditioned_golden_logits(level).len() == GOLDEN_IMAGES));
        assert_eq!(denoiser_golden().len(), GOLDEN_IMAGES);
    }

    #[test]
    fn noise_of_the_calibration_images_has_the_stated_deviation() {
        for net in NOISE {
            let (noisy, plain) = (net.calibration_set(), calibration_set());
            let mut squares = 0.0;
            for i in 0..noisy.len() {
                assert_eq!(noisy.label(i), plain.label(i));
                let pairs = noisy.image(i).into_iter().zip(plain.image(i));
                squares += pairs.map(|(a, b)| f64::from((a - b) * f32::from(MAX_PIXEL)).powi(2)).sum::<f64>();
            }
            let deviation = (squares / (noisy.len() * PIXELS) as f64).sqrt();
            assert!((deviation / f64::from(net.sigma_steps) - 1.0).abs() < 0.02, "{}: {deviation}", net.name);
        }
    }

    #[test]
    fn the_denoiser_lowers_the_error() {
        type Image = [f32; PIXELS];
        let error = |pick: fn((Image, Image)) -> Image| {
            let images = denoiser_golden().map(pick).enumerate();
            images
                .map(|(i, x)| x.iter().zip(test_set().image(i)).map(|(a, b)| (a - b).powi(2)).sum::<f32>())
                .sum::<f32>()
        };
        assert!(error(|(_, denoised)| denoised) < 0.25 * error(|(noisy, _)| noisy));
    }
}
