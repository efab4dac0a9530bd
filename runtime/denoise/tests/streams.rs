//! Oracles: the sum that defines the transform; the input, delayed.

use selvedge_denoise::stft::*;
use selvedge_denoise::{DenoiseError, Real, StepError, metrics};
use selvedge_noise::{Domain, NoiseKey};
use std::convert::Infallible;
use std::f64::consts::TAU;

fn noise(sample: u64, len: usize) -> Vec<f64> {
    NoiseKey::from_bytes([6; 32]).reals(Domain::Extension, sample, 0).take(len).collect()
}

fn transforms<T: Real, const N: usize>(tolerance: f64) {
    let fft = Fft::<T, N>::new().expect("a power of two");
    let values = noise(N as u64, N);
    let x: [T; N] = core::array::from_fn(|i| T::of(values[i]));
    let mut spectrum = vec![[T::ZERO; 2]; N / 2 + 1];
    fft.forward(&x, &mut spectrum).expect("room");
    for (k, bin) in spectrum.iter().enumerate() {
        let mut expected = [0.0; 2];
        for (j, x) in x.iter().enumerate() {
            let angle = TAU * (j * k % N) as f64 / N as f64;
            expected[0] += x.to_f64() * angle.cos();
            expected[1] -= x.to_f64() * angle.sin();
        }
        for (found, expected) in bin.iter().zip(expected) {
            let error = (found.to_f64() - expected).abs();
            assert!(error < tolerance * (N as f64).sqrt(), "{N}, {k}: {found} {expected}");
        }
    }
    let mut back = [T::ZERO; N];
    fft.inverse(&mut spectrum, &mut back).expect("room");
    for (found, x) in back.iter().zip(&x) {
        assert!((found.to_f64() - x.to_f64()).abs() < tolerance, "{N}: {found} {x}");
    }
    assert_eq!(fft.forward(&x, &mut spectrum[1..]), Err(DenoiseError::Buffer { needed: (N / 2 + 1) as u32 }));
}

#[test]
fn transforms_are_their_definition_and_their_inverses_on_all_sizes_up_to_1024() {
    transforms::<f64, 4>(1e-14);
    transforms::<f64, 8>(1e-14);
    transforms::<f64, 16>(1e-14);
    transforms::<f64, 32>(1e-14);
    transforms::<f64, 64>(1e-13);
    transforms::<f64, 128>(1e-13);
    transforms::<f64, 256>(1e-13);
    transforms::<f64, 512>(1e-13);
    transforms::<f64, 1024>(1e-13);
    transforms::<f32, 512>(2e-6);
    assert!(Fft::<f32, 2>::new().is_err() && Fft::<f32, 12>::new().is_err() && Fft::<f32, 0>::new().is_err());
}

/// What comes out of a stream that changes nothing.
fn through<const N: usize, const HOP: usize>(analysis: Window, synthesis: Window, input: &[f64]) -> Vec<f64> {
    let mut stream = Stft::<f64, N, HOP>::new(analysis, synthesis).expect("covers");
    let mut spectrum = vec![[f64::NAN; 2]; Stft::<f64, N, HOP>::BINS];
    let mut all = vec![];
    for block in input.chunks_exact(HOP) {
        let mut out = [f64::NAN; HOP];
        let block = block.try_into().expect("a block");
        stream.step(block, &mut out, &mut spectrum, |_| Ok::<(), Infallible>(())).expect("finite");
        all.extend(out);
    }
    all
}

fn delayed(found: &[f64], input: &[f64], latency: usize) {
    assert!(found[..latency].iter().all(|x| x.abs() < 1e-12), "silence before the first sample");
    for (i, (found, x)) in found[latency..].iter().zip(input).enumerate() {
        assert!((found - x).abs() < 1e-12, "{i}: {found} {x}");
    }
}

#[test]
fn what_goes_in_comes_out_after_the_latency_for_all_windows_and_hops() {
    let input = noise(1, 4096);
    use Window::{Hann, Rectangular, RootHann};
    for (analysis, synthesis) in [(RootHann, RootHann), (Hann, Hann), (Hann, Rectangular), (Rectangular, Rectangular)] {
        delayed(&through::<64, 16>(analysis, synthesis, &input), &input, 48);
        delayed(&through::<64, 32>(analysis, synthesis, &input), &input, 32);
        delayed(&through::<512, 128>(analysis, synthesis, &input), &input, 384);
        assert_eq!(Stft::<f64, 512, 128>::LATENCY, 384);
    }
    delayed(&through::<64, 64>(Rectangular, Rectangular, &input), &input, 0);
    // Hann's window is 0 at its first sample: without overlap that sample is lost.
    assert_eq!(Stft::<f64, 64, 64>::new(Hann, Rectangular).unwrap_err(), DenoiseError::Parameter);
    assert_eq!(Stft::<f64, 64, 48>::new(Hann, Hann).unwrap_err(), DenoiseError::Shape);
    assert_eq!(Stft::<f64, 64, 0>::new(Hann, Hann).unwrap_err(), DenoiseError::Shape);
}

#[test]
fn unscaled_streams_add_the_frames_up() {
    // Oracle: four overlapping frames without windows are four times the signal.
    let input = noise(2, 512);
    let stream = Stft::<f64, 32, 8>::new(Window::Rectangular, Window::Rectangular).expect("covers");
    let mut stream = stream.unscaled(Window::Rectangular);
    let mut all = vec![];
    for block in input.as_chunks::<8>().0 {
        let mut out = [0.0; 8];
        stream.step(block, &mut out, &mut [[0.0; 2]; 17], |_| Ok::<(), Infallible>(())).expect("finite");
        all.extend(out);
    }
    let four: Vec<f64> = input.iter().map(|x| 4.0 * x).collect();
    delayed(&all, &four, 24);
}

#[test]
fn a_mask_in_the_spectrum_takes_a_tone_out_and_a_failed_step_moves_nothing() {
    // Oracle: the signal without the tone.
    let wanted: Vec<f32> = (0..8192).map(|t| (TAU * 8.0 * t as f64 / 512.0).sin() as f32 * 0.5).collect();
    let noisy: Vec<f32> =
        wanted.iter().enumerate().map(|(t, x)| x + (TAU * 100.0 * t as f64 / 512.0).cos() as f32).collect();
    let run = |fail: bool| {
        let mut stream = Stft::<f32, 512, 256>::new(Window::RootHann, Window::RootHann).expect("covers");
        let (mut spectrum, mut all) = (vec![[0.0; 2]; 257], vec![]);
        for block in noisy.as_chunks::<256>().0 {
            let mut out = [0.0; 256];
            if fail {
                let mut broken = *block;
                broken[3] = f32::NAN;
                let error = stream.step(&broken, &mut out, &mut spectrum, |_| Ok::<(), &str>(()));
                assert_eq!(error, Err(StepError::Denoise(DenoiseError::NotFinite { index: 3 })));
                let error = stream.step(block, &mut out, &mut spectrum, |_| Err("busy"));
                assert_eq!(error, Err(StepError::Model("busy")));
                let error = stream.step(block, &mut out, &mut spectrum, |s| {
                    s[2][1] = f32::INFINITY;
                    Ok::<(), &str>(())
                });
                assert_eq!(error, Err(StepError::Denoise(DenoiseError::NotFinite { index: 5 })));
                let error = stream.step(block, &mut out, &mut spectrum[1..], |_| Ok::<(), &str>(()));
                assert_eq!(error, Err(StepError::Denoise(DenoiseError::Buffer { needed: 257 })));
                assert_eq!(out, [0.0; 256]);
            }
            let mask = |spectrum: &mut [Bin<f32>]| {
                spectrum.iter_mut().skip(50).for_each(|bin| *bin = [0.0; 2]);
                Ok::<(), &str>(())
            };
            stream.step(block, &mut out, &mut spectrum, mask).expect("finite");
            all.extend(out);
        }
        all
    };
    let found = run(false);
    assert_eq!(run(true), found);
    // From the first whole frame on.
    let quality = metrics::si_snr(&wanted[512..7680], &found[768..7936]).expect("varies");
    let before = metrics::si_snr(&wanted[512..7680], &noisy[512..7680]).expect("varies");
    assert!(quality > 60.0 && before < -5.0, "{before} dB to {quality} dB");
    assert_eq!(size_of::<Stft<f32, 512, 256>>(), 6 * 512 * 4);
}

#[test]
fn decibels_are_those_of_made_up_errors() {
    // Oracle: errors of a known size: 0.1 everywhere is 20 dB of a peak of 1; a tenth of noise across the signal is 20 dB.
    let truth = [0.0, 1.0, 0.5, 0.25];
    let found = truth.map(|x| x + 0.1);
    assert!((metrics::psnr(&truth, &found, 1.0).expect("fits") - 20.0).abs() < 1e-9);
    assert!((metrics::psnr(&truth, &found, 10.0).expect("fits") - 40.0).abs() < 1e-9);
    assert_eq!(metrics::psnr(&truth, &truth, 1.0), Ok(f64::INFINITY));
    let (signal, across) = ([1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]);
    for scale in [1.0, 7.0] {
        let mixed: Vec<f64> = signal.iter().zip(across).map(|(s, a)| scale * (s + 0.1 * a) + 3.0).collect();
        assert!((metrics::si_snr(&signal, &mixed).expect("varies") - 20.0).abs() < 1e-9);
    }
    assert!(metrics::si_snr(&[1.0f32; 4], &[1.0; 4]).is_err() && metrics::psnr::<f32>(&[], &[], 1.0).is_err());
    assert!(metrics::psnr(&truth, &found[1..], 1.0).is_err() && metrics::psnr(&truth, &found, 0.0).is_err());
}
