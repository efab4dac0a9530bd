//! Speech: recordings through a streaming transform and networks that keep state.

use super::Args;
use super::wav::Recording;
use crate::error::Failure;
use crate::files::open_artifact;
use crate::progress;
use indicatif::ProgressBar;
use selvedge::denoise::metrics;
use selvedge::denoise::stft::{Bin, Stft, Window};
use selvedge::{AlignedBuf, Artifact, DType, Error, StreamSession, state_bytes};
use std::io::Write;
use std::path::Path;

/// Samples a second of both kinds of networks.
const RATE: u32 = 16_000;

/// An artifact and where it came from.
struct Model {
    file: AlignedBuf,
    name: String,
}

impl Model {
    fn open(path: &Path) -> Result<Self, Failure> {
        Ok(Model { file: open_artifact(path)?, name: path.display().to_string() })
    }

    fn failed(&self, e: Error) -> Failure {
        Failure::bad(format!("{}: {e}", self.name))
    }

    /// Checks that a frame of so many numbers becomes one of so many others, states left out.
    fn check(&self, [taken, given]: [usize; 2], kind: &str) -> Result<(), Failure> {
        self.with(|session| {
            let one = session.input_count() == 1 && session.output_count() == 1;
            let sizes = match one {
                true => Some([
                    session.input(0).map_err(|e| self.failed(e))?.elements(),
                    session.output(0).map_err(|e| self.failed(e))?.elements(),
                ]),
                false => None,
            };
            let real = one && session.input(0).is_ok_and(|input| matches!(input.dtype(), DType::F32 | DType::I8 | DType::U8));
            if sizes == Some([taken, given]) && real {
                return Ok(());
            }
            Err(Failure::bad(format!(
                "{}: {kind} makes {given} numbers of {taken} and keeps the rest as states; compile it with --state for each \
                 cache (it has {} inputs and {} outputs that are no states)",
                self.name,
                session.input_count(),
                session.output_count()
            )))
        })
    }

    /// Shows a stream whose state is new.
    fn with<R>(&self, f: impl FnOnce(&mut StreamSession<'_>) -> Result<R, Failure>) -> Result<R, Failure> {
        let artifact = Artifact::parse(&self.file).map_err(|e| self.failed(e))?;
        let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
        let mut state = vec![0; state_bytes(&artifact)];
        let mut session = StreamSession::new(artifact, &mut arena, &mut state).map_err(|e| self.failed(e))?;
        f(&mut session)
    }
}

fn write(session: &mut StreamSession<'_>, values: &[f32]) -> Result<(), Error> {
    let input = session.input(0)?;
    match input.dtype() {
        DType::F32 => input.copy_from_f32(values),
        _ => input.quantize_from_f32(values),
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let name = args.input.display().to_string();
    let Some(model) = &args.model else {
        return Err(Failure::bad(format!(
            "{name}: sound needs --model; one compiled from GTCRN, or --model and --second from both of DTLN"
        )));
    };
    if args.level.is_some() || args.family != "gaussian" || args.side_by_side.is_some() {
        return Err(Failure::bad(
            "--level, --family and --side-by-side are for pictures; speech models are told nothing",
        ));
    }
    let first = Model::open(model)?;
    let second = args.second.as_deref().map(Model::open).transpose()?;
    match &second {
        None => first.check([GTCRN_BINS * 2; 2], "GTCRN")?,
        Some(second) => {
            first.check([DTLN_BINS; 2], "DTLN's first model")?;
            second.check([DTLN_BLOCK; 2], "DTLN's second model")?;
        }
    }
    let noisy = Recording::read(&args.input, RATE)?;
    let reference = args.reference.as_deref().map(|path| Recording::read(path, RATE)).transpose()?;
    let shape = |r: &Recording| (r.channels.len(), r.channels[0].len());
    if let Some(reference) = reference.as_ref().filter(|reference| shape(reference) != shape(&noisy)) {
        let ((a, b), (c, d)) = (shape(reference), shape(&noisy));
        return Err(Failure::bad(format!(
            "--reference has {a} channels of {b} samples, {name} {c} of {d}; both have to be of one length"
        )));
    }
    let mut out = std::io::stdout().lock();
    for note in noisy.notes() {
        writeln!(out, "note: {note}")?;
    }
    let hop = if second.is_some() { DTLN_HOP } else { GTCRN_HOP };
    let blocks: usize = noisy.channels.iter().map(|channel| channel.len().div_ceil(hop)).sum();
    let bar = progress::bar(blocks, "denoising");
    let denoise = |channel: &Vec<f32>| match &second {
        None => gtcrn(&first, channel, &bar),
        Some(second) => dtln(&first, second, channel, &bar),
    };
    let found = noisy.channels.iter().map(denoise).collect::<Result<Vec<_>, _>>()?;
    bar.finish_and_clear();
    noisy.write(&args.output, &found)?;
    let seconds = noisy.channels[0].len() as f64 / f64::from(RATE);
    writeln!(out, "{}: {seconds:.2} s, {} channel(s)", args.output.display(), found.len())?;
    for (channel, found) in found.iter().enumerate() {
        let Some(reference) = &reference else { break };
        let [before, after] =
            [&noisy.channels[channel], found].map(|x| metrics::si_snr(&reference.channels[channel], x));
        let numbers = (before.map_err(Failure::bad)?, after.map_err(Failure::bad)?);
        writeln!(out, "SI-SNR {:.2} dB before, {:.2} dB after", numbers.0, numbers.1)?;
    }
    Ok(())
}

/// Of the published streaming model: 16 ms a block, 16 ms late.
const GTCRN_HOP: usize = 256;
const GTCRN_BINS: usize = 257;

/// GTCRN (Rong et al. 2024): the spectrum in, the spectrum out.
fn gtcrn(model: &Model, noisy: &[f32], bar: &ProgressBar) -> Result<Vec<f32>, Failure> {
    model.with(|session| {
        let mut network = |spectrum: &mut [Bin<f32>]| -> Result<(), Error> {
            write(session, spectrum.as_flattened())?;
            session.step()?;
            session.output(0)?.dequantize_into(spectrum.as_flattened_mut())
        };
        let mut stream =
            Stft::<f32, { 2 * GTCRN_HOP }, GTCRN_HOP>::new(Window::RootHann, Window::RootHann).map_err(Failure::bad)?;
        let (mut spectrum, mut out, mut all) = (vec![[0.0; 2]; GTCRN_BINS], [0.0; GTCRN_HOP], Vec::new());
        for block in blocks::<GTCRN_HOP>(noisy, GTCRN_HOP) {
            let step = stream.step(&block, &mut out, &mut spectrum, &mut network);
            step.map_err(|e| Failure::bad(format!("{}: {e}", model.name)))?;
            all.extend(out);
            bar.inc(1);
        }
        Ok(all[GTCRN_HOP..][..noisy.len()].to_vec())
    })
}

/// Of the published models: blocks of 32 ms, 8 ms apart.
const DTLN_BLOCK: usize = 512;
const DTLN_HOP: usize = 128;
const DTLN_BINS: usize = 257;

/// DTLN (Westhausen and Meyer 2020): a mask of the magnitudes, then a network over samples.
fn dtln(first: &Model, second: &Model, noisy: &[f32], bar: &ProgressBar) -> Result<Vec<f32>, Failure> {
    let late = DTLN_BLOCK - DTLN_HOP;
    let mut all = Vec::new();
    first.with(|masks| {
        second.with(|samples| {
            let made = Stft::<f32, DTLN_BLOCK, DTLN_HOP>::new(Window::Rectangular, Window::Rectangular);
            let mut stream = made.map_err(Failure::bad)?.unscaled(Window::Rectangular);
            let (mut spectrum, mut out) = (vec![[0.0; 2]; DTLN_BINS], [0.0; DTLN_HOP]);
            for block in blocks::<DTLN_HOP>(noisy, late) {
                let mask = |spectrum: &mut [Bin<f32>]| -> Result<(), Error> {
                    let mut values: Vec<f32> = spectrum.iter().map(|bin| bin[0].hypot(bin[1])).collect();
                    write(masks, &values)?;
                    masks.step()?;
                    masks.output(0)?.dequantize_into(&mut values)?;
                    spectrum.iter_mut().zip(values).for_each(|(bin, mask)| *bin = bin.map(|x| x * mask));
                    Ok(())
                };
                let refine = |frame: &mut [f32; DTLN_BLOCK]| -> Result<(), Error> {
                    write(samples, frame)?;
                    samples.step()?;
                    samples.output(0)?.dequantize_into(frame)
                };
                let step = stream.step_in_two(&block, &mut out, &mut spectrum, mask, refine);
                step.map_err(|e| Failure::bad(format!("{}: {e}", first.name)))?;
                all.extend(out);
                bar.inc(1);
            }
            Ok(())
        })
    })?;
    Ok(all[late..][..noisy.len()].to_vec())
}

/// Blocks of a recording, with zeros behind it until `late` samples more have come out.
fn blocks<const N: usize>(samples: &[f32], late: usize) -> impl Iterator<Item = [f32; N]> {
    let at = |i: usize| samples.get(i).copied().unwrap_or(0.0);
    (0..(samples.len() + late).div_ceil(N)).map(move |block| std::array::from_fn(|i| at(block * N + i)))
}
