//! Generators of handwritten digits: a diffusion model told the step and the digit, and a consistency model of it.
//!
//! Trained by `digit_samples/train.py` on the images that [`digits`] was trained on; see `DATA-LICENCES.md`.

use crate::digits;

/// The diffusion model: ONNX, opset 17, 65 964 parameters.
///
/// Inputs `noisy`, f32 `[1, 1, 8, 8]`, a digit (0..1 mapped to −1..1) with noise, `step`, f32 `[1, 1]`, 0 to 999, and
/// `digit`, f32 `[1, 10]`, 1 at the class that is asked for. Output `velocity`, f32 `[1, 1, 8, 8]`.
pub const DIFFUSION_ONNX: &[u8] = include_bytes!("../digit_samples/digit_diffusion.onnx");

/// The consistency model; inputs and output are those of [`DIFFUSION_ONNX`]. It knows the steps that
/// [`GRID`] divides 1000 into: 999, 959 and so on.
pub const CONSISTENCY_ONNX: &[u8] = include_bytes!("../digit_samples/digit_consistency.onnx");

/// Steps of the schedule.
pub const STEPS: usize = 1000;
/// β of the first and the last step; linear between.
pub const BETAS: (f64, f64) = (1e-4, 0.02);
/// Equal parts of the schedule that the consistency model was distilled on.
pub const GRID: usize = 25;

/// Pixels of 0..1 as the networks take them, −1..1.
pub fn to_signal(image: &[f32; digits::PIXELS]) -> [f32; digits::PIXELS] {
    image.map(|pixel| 2.0 * pixel - 1.0)
}

/// The way back, cut to 0..1.
pub fn to_image(signal: &[f32; digits::PIXELS]) -> [f32; digits::PIXELS] {
    signal.map(|x| (0.5 * x + 0.5).clamp(0.0, 1.0))
}

/// The input `digit`.
///
/// # Panics
///
/// If `digit` is not below 10.
pub fn one_hot(digit: usize) -> [f32; digits::CLASSES] {
    let mut asked = [0.0; digits::CLASSES];
    asked[digit] = 1.0;
    asked
}

/// `noisy`, `step` and digit for the choice of quantization ranges: the calibration images with noise of steps
/// spread over the schedule.
pub fn calibration() -> impl Iterator<Item = ([f32; digits::PIXELS], f32, usize)> {
    let alpha_bar: Vec<f64> = (0..STEPS)
        .scan(1.0, |product, step| {
            *product *= 1.0 - (BETAS.0 + (BETAS.1 - BETAS.0) * step as f64 / (STEPS - 1) as f64);
            Some(*product)
        })
        .collect();
    let mut noise = crate::Noise(5);
    digits::calibration_set().iter().enumerate().map(move |(index, (image, label))| {
        // 389 has no factor in common with 1000: neighbours, who differ in class, differ in step too.
        let step = if index == 0 { STEPS - 1 } else { index * 389 % STEPS };
        let (s, n) = (alpha_bar[step].sqrt() as f32, (1.0 - alpha_bar[step]).sqrt() as f32);
        (to_signal(&image).map(|x| s * x + n * noise.normal()), step as f32, usize::from(label))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_covers_the_schedule_and_every_digit_with_the_power_of_its_steps() {
        let all: Vec<_> = calibration().collect();
        for part in 0..10 {
            let steps = all.iter().filter(|(_, step, _)| *step as usize / 100 == part).count();
            assert!(steps >= 20, "{part}: {steps}");
            assert!(all.iter().filter(|(_, _, digit)| *digit == part).count() >= 20);
        }
        // Behind step 800 there is nearly nothing but noise.
        let late = all.iter().filter(|(_, step, _)| *step > 800.0).flat_map(|(x, ..)| x);
        let (count, power) = late.fold((0.0, 0.0), |(n, sum), x| (n + 1.0, sum + x * x));
        assert!((power / count - 1.0_f32).abs() < 0.05, "{}", power / count);
    }

    #[test]
    fn images_come_back_from_signals() {
        let image = digits::test_set().image(3);
        assert_eq!(to_image(&to_signal(&image)), image);
        assert_eq!(to_image(&[1.5; 64]), [1.0; 64]);
    }
}
