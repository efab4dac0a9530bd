//! `selvedge demo`: the whole story on the digit classifier of the zoo.

use crate::commands::compile::compile_with_progress;
use crate::commands::{demo_certificate, denoise};
use crate::error::Failure;
use crate::progress;
use crate::table::{render, thousands};
use crate::timing::{Stats, time};
use selvedge::{AlignedBuf, Artifact, StreamSession};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::{CompileOptions, load};
use selvedge_zoo::digits;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    /// Write digits_f32.slvg and digits_int8.slvg here, and the picture that is else written to the folder for temporary files
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// One version of the model with what it did on the test set.
struct Version {
    name: &'static str,
    flash: usize,
    arena: usize,
    macs: u64,
    isa: &'static str,
    predictions: Vec<usize>,
    time: Stats,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let began = Instant::now();
    let mut out = std::io::stdout().lock();
    let test = digits::test_set();
    writeln!(
        out,
        "selvedge {}: handwritten digits, 8x8 pixels; an ONNX model of {} bytes, compiled here and now",
        env!("CARGO_PKG_VERSION"),
        thousands(digits::ONNX.len() as u64)
    )?;
    let f32_version = version("f32", WeightFormat::F32, args)?;
    let int8_version = version("int8", WeightFormat::W8, args)?;
    let labels: Vec<usize> = (0..test.len()).map(|i| test.label(i) as usize).collect();
    let rows = [&f32_version, &int8_version].map(|v| {
        let right = v.predictions.iter().zip(&labels).filter(|(p, l)| p == l).count();
        vec![
            v.name.to_string(),
            format!("{:.2} % ({right} of {})", 100.0 * right as f64 / labels.len() as f64, labels.len()),
            thousands(v.flash as u64),
            thousands(v.arena as u64),
            thousands(v.macs),
            format!("{:.1}", v.time.median_us),
            v.isa.to_string(),
        ]
    });
    write!(
        out,
        "\n{}",
        render(&["", "test accuracy", "flash bytes", "arena bytes", "MACs", "us per image", "kernels"], &rows)
    )?;
    let agree = f32_version.predictions.iter().zip(&int8_version.predictions).filter(|(a, b)| a == b).count();
    writeln!(
        out,
        "f32 and int8 agree on {agree} of {} test images; int8 was calibrated on {} training images",
        labels.len(),
        digits::calibration_set().len()
    )?;
    let wrong = (0..labels.len()).find(|&i| int8_version.predictions[i] != labels[i]);
    let shown: Vec<usize> = [0, 14].into_iter().chain(wrong).collect();
    for index in shown {
        let prediction = int8_version.predictions[index];
        let verdict = if prediction == labels[index] { "right" } else { "wrong" };
        writeln!(out, "\ntest image {index}: int8 says {prediction}, it is {} ({verdict})", labels[index])?;
        out.write_all(digits::ascii(&test.image(index)).as_bytes())?;
    }
    demo_certificate::run(&mut out)?;
    picture(&mut out, args)?;
    writeln!(
        out,
        "\ndone in {:.1} s; next: selvedge compile YOUR.onnx -o YOUR.slvg --calibration INPUTS.npz",
        began.elapsed().as_secs_f64()
    )?;
    Ok(())
}

/// A picture with noise, denoised, as a file.
fn picture(out: &mut impl Write, args: &Args) -> Result<(), Failure> {
    let level = 25.0 / 255.0;
    let shown = denoise::show(level)?;
    let path = args.keep.clone().unwrap_or_else(std::env::temp_dir).join("selvedge_denoised.png");
    shown.all.write(&path)?;
    writeln!(
        out,
        "\npictures with noise of 25/255, estimated as {:.1}/255, denoised: PSNR {:.1} dB before, {:.1} dB after\n\
         noisy, denoised and clean side by side: {}",
        shown.estimated * 255.0,
        shown.before,
        shown.after,
        path.display()
    )?;
    Ok(())
}

fn version(name: &'static str, weights: WeightFormat, args: &Args) -> Result<Version, Failure> {
    let options =
        CompileOptions { scheme: QuantScheme { weights, ..QuantScheme::w8a8() }, ..CompileOptions::default() };
    let graph = load(digits::ONNX, &options.import).map_err(Failure::bad)?;
    let calibration = digits::calibration_set();
    let shape = digits::test_set().shape();
    let samples =
        (0..calibration.len()).map(|i| Sample::f32([1, shape[1], shape[2], shape[3]], calibration.image(i).to_vec()));
    let samples = (weights == WeightFormat::W8).then(|| samples.collect());
    let compiled = compile_with_progress(graph, samples, &options)?;
    if let Some(dir) = &args.keep {
        let path = dir.join(format!("digits_{name}.slvg"));
        std::fs::write(&path, &compiled.artifact).map_err(|e| Failure::bad(format!("{}: {e}", path.display())))?;
    }
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).map_err(Failure::bad)?;
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = StreamSession::new(artifact, &mut arena, &mut []).map_err(Failure::bad)?;
    let test = digits::test_set();
    let bar = progress::bar(test.len(), "testing");
    let mut predictions = Vec::with_capacity(test.len());
    for index in 0..test.len() {
        session.input(0).and_then(|input| input.quantize_from_f32(&test.image(index))).map_err(Failure::bad)?;
        session.step().map_err(Failure::bad)?;
        predictions.push(session.output(0).map_err(Failure::bad)?.argmax());
        bar.inc(1);
    }
    bar.finish_and_clear();
    let image = test.image(0);
    let mut write = |session: &mut StreamSession<'_>| session.input(0)?.quantize_from_f32(&image);
    let time = time(&mut session, Duration::from_millis(300), 50, &mut write).map_err(Failure::bad)?;
    Ok(Version {
        name,
        flash: compiled.artifact.len(),
        arena: artifact.arena_bytes(),
        macs: compiled.program.macs(),
        isa: session.isa().name(),
        predictions,
        time,
    })
}
