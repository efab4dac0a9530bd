//! `selvedge denoise`: noise out of pictures and speech.

mod network;
mod picture;
mod sound;
mod wav;

use crate::error::Failure;
use crate::progress;
use network::Network;
use picture::Picture;
use selvedge::denoise::blind::{Plane, Wavelet, noise_level};
use selvedge::denoise::{
    DenoiseError, Family, PoissonRule, Prediction, Stabilizer, Tweedie, blind_shape, blind_zeta, metrics,
};
use std::io::Write;
use std::path::PathBuf;

/// A lower estimate is no noise: a tenth of a step of 8 bits.
const LEAST: f64 = 0.1 / 255.0;

#[derive(clap::Args)]
pub struct Args {
    /// Noisy picture: .png (gray or RGB, 8 or 16 bits) or .npy (`[H, W]` or `[H, W, C]`; u8, or f32 in 0..1); or speech: .wav
    /// of 16 000 samples a second
    input: PathBuf,
    /// Where the result goes: .png (as many bits as the input) or .npy (f32 in 0..1); .wav
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Artifact of a denoiser of one channel and one tile size `[1, 1, H, W]`, that takes the standard deviation of the
    /// noise as a second input or not at all; without it the zoo's denoiser, in f32. For speech GTCRN's streaming model or
    /// DTLN's first, compiled with --state for each cache
    #[arg(long, value_name = "FILE.slvg")]
    model: Option<PathBuf>,
    /// For speech: DTLN's second model
    #[arg(long, value_name = "FILE.slvg", requires = "model")]
    second: Option<PathBuf>,
    /// What the model of a picture predicts
    #[arg(long, default_value = "residual", value_parser = ["residual", "noise", "clean"], requires = "model")]
    predicts: String,
    /// Pixels around a pixel that its result depends on
    #[arg(long, value_name = "N", default_value_t = 16, requires = "model")]
    halo: usize,
    /// Law of the noise
    #[arg(long, default_value = "gaussian", value_parser = ["gaussian", "poisson", "gamma"])]
    family: String,
    /// How much noise: gaussian, the standard deviation in 1/255 of the range, as in 25; poisson, the signal of one count as
    /// a part of the range, as in 0.01; gamma, the shape, as in 100; estimated from the picture where it is not given
    #[arg(long, value_name = "NUMBER")]
    level: Option<f64>,
    /// What it is without noise: PSNR of pictures, SI-SNR of speech before and after are printed
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Also write input, result and reference side by side
    #[arg(long, value_name = "FILE.png")]
    side_by_side: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.input.extension().is_some_and(|e| e.eq_ignore_ascii_case("wav")) {
        return sound::run(args);
    }
    let name = args.input.display().to_string();
    let noisy = Picture::read(&args.input)?;
    let reference = args.reference.as_deref().map(Picture::read).transpose()?;
    if let Some(reference) = reference.as_ref().filter(|reference| !reference.same_shape(&noisy)) {
        return Err(Failure::bad(format!(
            "--reference is {}, {name} is {}; both have to be of one size",
            reference.describe(),
            noisy.describe()
        )));
    }
    let planes: Vec<Vec<f32>> = (0..noisy.channels()).map(|channel| noisy.plane(channel)).collect();
    let families: Result<Vec<Family>, Failure> =
        planes.iter().map(|plane| family(args, plane, noisy.size()).map_err(|e| e.prefixed(&name))).collect();
    let families = families?;
    let network = match &args.model {
        None => Network::of_zoo(network::TILE)?,
        Some(path) => Network::open(path, args.halo, prediction(&args.predicts))?,
    };
    let mut out = std::io::stdout().lock();
    let mut result = noisy.clone();
    let bar = progress::bar(noisy.channels() * network.tiles(&noisy)?, "denoising");
    for (channel, (plane, family)) in planes.into_iter().zip(families).enumerate() {
        let of = if noisy.channels() > 1 { format!("channel {channel}: ") } else { String::new() };
        let how = if args.level.is_some() { "given" } else { "estimated" };
        writeln!(out, "{of}{} ({how})", describe(family))?;
        let denoised = denoise(&network, family, plane, noisy.size(), &bar);
        result.set_plane(channel, &denoised.map_err(|e| e.prefixed(&name))?);
    }
    bar.finish_and_clear();
    result.write(&args.output)?;
    writeln!(out, "{}: {}", args.output.display(), result.describe())?;
    if let Some(reference) = &reference {
        let [before, after] = [&noisy, &result].map(|picture| picture.psnr(reference));
        writeln!(out, "PSNR {:.2} dB before, {:.2} dB after", before?, after?)?;
    }
    if let Some(path) = &args.side_by_side {
        let all: Vec<&Picture> = [&noisy, &result].into_iter().chain(&reference).collect();
        Picture::beside(&all).write(path)?;
    }
    Ok(())
}

fn prediction(name: &str) -> Prediction {
    match name {
        "noise" => Prediction::Noise,
        "clean" => Prediction::Clean,
        _ => Prediction::Residual,
    }
}

/// The noise law of a plane, its level given or estimated.
fn family(args: &Args, plane: &[f32], size: (usize, usize)) -> Result<Family, Failure> {
    let sigma = |plane: &[f32]| noise_level(&Plane::new(plane, size.0, size.1)?, Wavelet::default());
    let mut scratch = vec![0.0; plane.len()];
    let blind = |found: Result<f64, DenoiseError>| {
        found.map_err(|e| Failure::bad(format!("the noise cannot be estimated: {e}; give it by --level")))
    };
    let family = match (args.family.as_str(), args.level) {
        ("poisson", level) => {
            let zeta = level.map_or_else(|| blind(blind_zeta(plane, &mut scratch, sigma)), Ok)?;
            Family::Poisson { zeta, rule: PoissonRule::Half }
        }
        ("gamma", level) => {
            let shape = level.map_or_else(|| blind(blind_shape(plane, &mut scratch, sigma)), Ok)?;
            Family::Gamma { shape }
        }
        (_, Some(level)) => Family::Gaussian { sigma: level / 255.0 },
        (_, None) => Family::Gaussian { sigma: blind(sigma(plane))? },
    };
    let noise = Stabilizer::new(family);
    match args.level {
        Some(level) => noise.map(|_| family).map_err(|e| Failure::bad(format!("--level {level}: {e}"))),
        None if noise.is_ok_and(|noise| noise.sigma() > LEAST) => Ok(family),
        None => Err(Failure::bad("no noise is found in it; give --level to denoise anyway")),
    }
}

fn describe(family: Family) -> String {
    match family {
        Family::Gaussian { sigma } => format!("Gaussian noise of {:.1}/255", sigma * 255.0),
        Family::Poisson { zeta, .. } => format!("Poisson noise, {zeta:.4} of the range a count"),
        Family::Gamma { shape } => format!("Gamma noise of shape {shape:.1}"),
    }
}

/// One plane, by the network for Gaussian noise behind the transform of the family.
pub fn denoise(
    network: &Network,
    family: Family,
    mut plane: Vec<f32>,
    size: (usize, usize),
    bar: &indicatif::ProgressBar,
) -> Result<Vec<f32>, Failure> {
    let stabilizer = Stabilizer::new(family).map_err(Failure::bad)?;
    stabilizer.forward(&mut plane).map_err(Failure::bad)?;
    let gaussian = Tweedie::new(Family::Gaussian { sigma: stabilizer.sigma() }).map_err(Failure::bad)?;
    let mut result = vec![0.0; plane.len()];
    network.denoise(&gaussian, stabilizer.sigma(), &plane, size, &mut result, bar)?;
    stabilizer.inverse(&mut result).map_err(Failure::bad)?;
    result.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0));
    Ok(result)
}

/// The zoo's denoiser on a picture of the zoo with noise: the picture, what was made of it, and PSNR before and after.
pub struct Shown {
    pub all: Picture,
    pub before: f64,
    pub after: f64,
    pub estimated: f64,
}

/// For the demo: a picture of the zoo with noise of `level`, denoised without being told the level.
pub fn show(level: f32) -> Result<Shown, Failure> {
    use selvedge_zoo::denoiser;
    let size = (96, 192);
    let clean = denoiser::sample_picture(size.0, size.1);
    let noisy = denoiser::with_noise(&clean, level);
    let plane = Plane::new(&noisy, size.0, size.1).map_err(Failure::bad)?;
    let sigma = noise_level(&plane, Wavelet::default()).map_err(Failure::bad)?;
    let network = Network::of_zoo(network::TILE)?;
    let bar = progress::bar(0, "denoising");
    let result = denoise(&network, Family::Gaussian { sigma }, noisy.clone(), size, &bar)?;
    bar.finish_and_clear();
    let clipped: Vec<f32> = noisy.iter().map(|x| x.clamp(0.0, 1.0)).collect();
    let psnr = |found: &[f32]| metrics::psnr(&clean, found, 1.0).map_err(Failure::bad);
    let (before, after) = (psnr(&clipped)?, psnr(&result)?);
    let gray = |plane: &[f32]| Picture::gray(plane.to_vec(), size);
    let all = [gray(&noisy), gray(&result), gray(&clean)];
    Ok(Shown { all: Picture::beside(&all.iter().collect::<Vec<_>>()), before, after, estimated: sigma })
}
