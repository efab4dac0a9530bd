//! Samplers on a trained model: digits from noise and from coarse estimates, in f32 and int8.
//!
//! Judges, both apart from the generators: the zoo's classifier, which is to see the digit that was asked for, and the
//! Fréchet distance of pixels to the held-out images. `SELVEDGE_DIGIT_SAMPLES=1000` sets the samples of each line.

use selvedge::denoise::sampler::{Ddim, Latent, LatentBoundary, boundary_kl, first_step_below};
use selvedge::denoise::transport::{Moments, wasserstein2_squared};
use selvedge::denoise::{Betas, Noise, Prediction, Schedule, ScoreModel};
use selvedge::noise::NoiseKey;
use selvedge::{AlignedBuf, Artifact, DType, Error, Session, SessionScore};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::data::{Array, ArrayData};
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::{CompileOptions, Compiled, compile_calibrated, compile_loaded, load};
use selvedge_tests::argmax;
use selvedge_zoo::digit_samples::{self as zoo, BETAS, GRID, STEPS};
use selvedge_zoo::digits::{self, CLASSES, PIXELS};

type Image = [f32; PIXELS];

/// Keys of the first noise and of the noise between steps: with one key for both, a step would get the first again.
const START: NoiseKey = NoiseKey::from_bytes([1; 32]);
const BETWEEN: NoiseKey = NoiseKey::from_bytes([2; 32]);

fn options(weights: WeightFormat) -> CompileOptions {
    CompileOptions { scheme: QuantScheme { weights, ..QuantScheme::w8a8() }, ..CompileOptions::default() }
}

fn float(onnx: &[u8]) -> Compiled {
    let options = options(WeightFormat::F32);
    compile_loaded(load(onnx, &options.import).expect("imports"), &options).expect("compiles")
}

fn int8(onnx: &[u8]) -> Compiled {
    let array = |shape: &[usize], data: &[f32]| Array { shape: shape.to_vec(), data: ArrayData::F32(data.to_vec()) };
    let samples = zoo::calibration().map(|(noisy, step, digit)| Sample {
        tensors: vec![
            array(&[1, 1, 8, 8], &noisy),
            array(&[1, 1], &[step]),
            array(&[1, CLASSES], &zoo::one_hot(digit)),
        ],
    });
    let options = options(WeightFormat::W8);
    compile_calibrated(load(onnx, &options.import).expect("imports"), samples, &options).expect("compiles")
}

fn with_session<R>(compiled: &Compiled, f: impl FnOnce(&mut Session<'_>) -> R) -> R {
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    f(&mut Session::new(artifact, &mut arena).expect("valid"))
}

fn fill(session: &mut Session<'_>, index: usize, values: &[f32]) -> Result<(), Error> {
    let input = session.input(index)?;
    if input.dtype() == DType::F32 { input.copy_from_f32(values) } else { input.quantize_from_f32(values) }
}

/// A generator that is asked for one digit. Runs are counted.
struct Asked<'s, 'a> {
    session: &'s mut Session<'a>,
    digit: usize,
    runs: usize,
}

impl ScoreModel<f32> for Asked<'_, '_> {
    type Error = Error;

    fn prediction(&self) -> Prediction {
        Prediction::Velocity
    }

    fn predict(&mut self, x: &[f32], step: f32, out: &mut [f32]) -> Result<(), Error> {
        // Before every run: an input's memory may hold something else after it.
        fill(self.session, 2, &zoo::one_hot(self.digit))?;
        self.runs += 1;
        SessionScore::new(self.session, Prediction::Velocity)?.with_level(1)?.predict(x, step, out)
    }
}

/// How samples are made.
#[derive(Clone, Copy)]
enum Way<'e> {
    /// DDIM with a stride, from noise.
    Ddim(usize),
    /// Consistency steps.
    Consistency(usize),
    /// DDIM with the stride of 25 steps, from estimates with the noise of a step.
    Shallow(usize, &'e [Image]),
}

struct Quality {
    /// Samples in which the classifier sees the digit.
    right: f64,
    /// Fréchet distance of pixels to the held-out images.
    distance: f64,
    /// Network runs a sample.
    runs: f64,
}

struct Judge {
    classifier: Compiled,
    mean: Vec<f64>,
    covariance: Vec<f64>,
}

fn moments(images: &[Image]) -> (Vec<f64>, Vec<f64>) {
    let (mut buffer, mut covariance) = (vec![0.0; PIXELS + PIXELS * PIXELS], vec![0.0; PIXELS * PIXELS]);
    let mut moments = Moments::new(PIXELS, &mut buffer).expect("room");
    images.iter().for_each(|image| moments.push(image).expect("finite"));
    moments.covariance(&mut covariance).expect("room");
    (moments.mean().to_vec(), covariance)
}

impl Judge {
    fn new() -> Self {
        let test: Vec<Image> = digits::test_set().iter().map(|(image, _)| image).collect();
        let (mean, covariance) = moments(&test);
        Judge { classifier: float(digits::ONNX), mean, covariance }
    }

    /// Image `i` was to show the digit i modulo 10.
    fn quality(&self, images: &[Image], runs: usize) -> Quality {
        let right = with_session(&self.classifier, |session| {
            let sees = |image: &Image| {
                session.input(0).expect("input").copy_from_f32(image).expect("fits");
                session.run().expect("runs");
                let mut logits = [0.0f32; CLASSES];
                session.output(0).expect("output").dequantize_into(&mut logits).expect("fits");
                argmax(&logits)
            };
            images.iter().map(sees).enumerate().filter(|(i, seen)| i % CLASSES == *seen).count()
        });
        let (mean, covariance) = moments(images);
        let mut work = vec![0.0; 6 * PIXELS * PIXELS];
        let distance =
            wasserstein2_squared((&mean, &covariance), (&self.mean, &self.covariance), &mut work).expect("room");
        let count = images.len() as f64;
        Quality { right: right as f64 / count, distance, runs: runs as f64 / count }
    }

    /// Makes and judges `count` samples, and prints a line.
    fn line(&self, name: &str, model: &Compiled, schedule: Schedule<'_>, way: Way<'_>, count: usize) -> Quality {
        let (images, runs) = with_session(model, |session| generate(session, schedule, way, count));
        let quality = self.quality(&images, runs);
        let Quality { right, distance, runs } = quality;
        println!("{name:<28} {runs:5.1} runs {:6.1} % right, distance {distance:.3}", 100.0 * right);
        quality
    }
}

fn generate(session: &mut Session<'_>, schedule: Schedule<'_>, way: Way<'_>, count: usize) -> (Vec<Image>, usize) {
    let boundary = LatentBoundary::new(0.5, 10.0).expect("above 0");
    let (mut scratch, mut runs) = (vec![0.0; PIXELS], 0);
    let one = |i: usize| {
        let mut model = Asked { session, digit: i % CLASSES, runs: 0 };
        let run = i as u32;
        let first = Noise::Key { key: &START, run };
        let mut x = [0.0; PIXELS];
        if let Way::Consistency(steps) = way {
            let mut sampler = Latent::new(schedule, boundary, GRID, steps).expect("divides");
            schedule.add_noise(STEPS - 1, &mut x, first).expect("a step");
            while sampler.next_step().is_some() {
                let noise = Noise::Key { key: &BETWEEN, run };
                sampler.step(&mut model, &mut x, &mut scratch, noise).expect("runs");
            }
        } else {
            let (start, stride) = match way {
                Way::Ddim(stride) => (STEPS, stride),
                Way::Shallow(start, _) => (start, STEPS / GRID),
                Way::Consistency(_) => unreachable!(),
            };
            if let Way::Shallow(_, estimates) = way {
                x = zoo::to_signal(&estimates[i]);
            }
            let mut sampler = Ddim::new(schedule, start, stride, 0.0).expect("in the schedule");
            schedule.add_noise(sampler.next_step().expect("one step"), &mut x, first).expect("a step");
            while sampler.next_step().is_some() {
                sampler.step(&mut model, &mut x, &mut scratch, Noise::Off).expect("runs");
            }
        }
        runs += model.runs;
        zoo::to_image(&x)
    };
    let images = (0..count).map(one).collect();
    (images, runs)
}

fn count() -> usize {
    std::env::var("SELVEDGE_DIGIT_SAMPLES").map_or(50, |count| count.parse().expect("a number of samples"))
}

fn with_schedule<R>(f: impl FnOnce(Schedule<'_>) -> R) -> R {
    let mut table = vec![0.0; STEPS];
    f(Schedule::build(Betas::Linear { start: BETAS.0, end: BETAS.1 }, &mut table).expect("falls"))
}

#[test]
fn digits_from_noise_are_those_asked_for_in_25_steps_two_and_one() {
    let (judge, count) = (Judge::new(), count());
    let floor: Vec<Image> = digits::calibration_set().iter().take(count).map(|(image, _)| image).collect();
    let floor = judge.quality(&floor, 0);
    println!("training images: {:.1} % right, distance {:.3}", 100.0 * floor.right, floor.distance);
    with_schedule(|schedule| {
        for (name, compile) in [("f32", float as fn(&[u8]) -> Compiled), ("int8", int8)] {
            let models = [zoo::DIFFUSION_ONNX, zoo::CONSISTENCY_ONNX].map(compile);
            println!("{name}: {} and {} bytes", models[0].artifact.len(), models[1].artifact.len());
            let line = |label: &str, model: &Compiled, way| {
                judge.line(&format!("{name} {label}"), model, schedule, way, count)
            };
            let long = line("DDIM", &models[0], Way::Ddim(STEPS / GRID));
            let short = line("DDIM", &models[0], Way::Ddim(STEPS / 2));
            let two = line("consistency", &models[1], Way::Consistency(2));
            let one = line("consistency", &models[1], Way::Consistency(1));
            assert_eq!([long.runs, short.runs, two.runs, one.runs], [25.0, 2.0, 2.0, 1.0]);
            assert!(long.right >= 0.85 && two.right >= 0.85 && one.right >= 0.85);
            assert!(two.distance < short.distance, "two steps are what the second network is for");
        }
    });
}

/// Mean squared distance of estimates to their images, as signals.
fn residual(estimates: &[Image], images: &[Image]) -> f64 {
    let pairs = estimates.iter().flatten().zip(images.iter().flatten());
    pairs.map(|(a, b)| f64::from(2.0 * (a - b)).powi(2)).sum::<f64>() / images.len() as f64
}

/// Means of blocks of 2x2 pixels.
fn coarse(image: &Image) -> Image {
    std::array::from_fn(|i| {
        let corner = i / 16 * 16 + i % 8 / 2 * 2;
        [0, 1, 8, 9].iter().map(|place| image[corner + place]).sum::<f32>() / 4.0
    })
}

/// The mean of the calibration images of each digit.
fn class_means() -> Vec<Image> {
    let mean = |digit: usize| {
        let set = digits::calibration_set();
        let of: Vec<Image> =
            set.iter().filter(|(_, label)| usize::from(*label) == digit).map(|(image, _)| image).collect();
        std::array::from_fn(|i| of.iter().map(|image| image[i]).sum::<f32>() / of.len() as f32)
    };
    (0..CLASSES).map(mean).collect()
}

#[test]
fn a_shallow_start_saves_runs_at_equal_quality() {
    let (judge, count) = (Judge::new(), count());
    // Sets run 0, 1, .. 9, 0, ..: the first images can stand for the digits that are asked for.
    let known: Vec<Image> = digits::calibration_set().iter().take(200).map(|(image, _)| image).collect();
    let held_out: Vec<Image> = (0..count).map(|i| digits::test_set().image(i % 400)).collect();
    assert!((0..400).all(|i| usize::from(digits::test_set().label(i)) == i % CLASSES));
    let means = class_means();
    let of_class = |count: usize| (0..count).map(|i| means[i % CLASSES]).collect::<Vec<Image>>();
    // What the residual is, known images tell: the start is chosen before anything is sampled.
    let kinds = [
        ("class means", residual(&of_class(200), &known), of_class(count)),
        (
            "blocks of 2x2",
            residual(&known.iter().map(coarse).collect::<Vec<_>>(), &known),
            held_out.iter().map(coarse).collect(),
        ),
    ];
    let diffusion = float(zoo::DIFFUSION_ONNX);
    with_schedule(|schedule| {
        let full = judge.line("from noise", &diffusion, schedule, Way::Ddim(STEPS / GRID), count);
        judge.line("from noise", &diffusion, schedule, Way::Ddim(STEPS / 10), count);
        for (name, residual, estimates) in &kinds {
            let plain = judge.quality(estimates, 0);
            println!(
                "{name}: residual {residual:.2}, {:.1} % right, distance {:.3}",
                100.0 * plain.right,
                plain.distance
            );
            let mut saved = 0.0;
            for limit in [0.1, 0.3, 1.0, 3.0] {
                let step = first_step_below(&schedule, *residual, limit).expect("a residual").expect("noise enough");
                assert!(boundary_kl(&schedule, step, *residual).expect("a step") <= limit);
                let label = format!("{name}, {limit} nats, {step}");
                let found = judge.line(&label, &diffusion, schedule, Way::Shallow(step + 1, estimates), count);
                if found.right >= full.right - 0.02 && found.distance <= full.distance * 1.1 {
                    saved = f64::max(saved, full.runs - found.runs);
                }
            }
            println!("{name}: {saved} runs of {} saved at equal quality", full.runs);
            assert!(saved >= 5.0, "{name}: {saved}");
            assert!(full.distance < plain.distance || *name != "class means", "an estimate is no sample");
        }
    });
}
