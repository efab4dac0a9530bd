//! Recordings as channels of f32 in −1..1, from and to .wav files.

use crate::error::Failure;
use crate::files::wav_samples;
use std::path::Path;

pub struct Recording {
    pub channels: Vec<Vec<f32>>,
    spec: hound::WavSpec,
}

impl Recording {
    /// A recording of `rate` samples a second; others are refused.
    pub fn read(path: &Path, rate: u32) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let bad = |e: &dyn std::fmt::Display| Failure::bad(format!("{name}: {e}"));
        let (spec, samples) = wav_samples(path)?;
        if spec.sample_rate != rate {
            return Err(bad(&format!(
                "it has {} samples a second, the model takes {rate}; convert it with `sox IN.wav -r {rate} OUT.wav`",
                spec.sample_rate
            )));
        }
        let count = usize::from(spec.channels.max(1));
        if samples.len() < count {
            return Err(bad(&"it has no samples"));
        }
        if let Some(at) = samples.iter().position(|x| !x.is_finite()) {
            let second = (at / count) as f64 / f64::from(rate);
            return Err(bad(&format!("the sample at {second:.3} s is NaN or infinite; repair or cut it out")));
        }
        let channels = (0..count).map(|c| samples.iter().skip(c).step_by(count).copied().collect()).collect();
        Ok(Recording { channels, spec })
    }

    /// What is to be known of it before it is denoised.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.channels.len() > 1 {
            notes.push(format!("{} channels, each denoised by itself", self.channels.len()));
        }
        if self.spec.bits_per_sample == 8 {
            notes.push("8 bits a sample: its own rounding is noise at −48 dB; the result has 16".to_string());
        }
        for (channel, samples) in self.channels.iter().enumerate() {
            let of = if self.channels.len() > 1 { format!("channel {channel}: ") } else { String::new() };
            if samples.iter().all(|&x| x == samples[0]) {
                notes.push(format!("{of}it is silent"));
            }
            let clipped = clipped(samples);
            if clipped > 0 {
                notes.push(format!("{of}{clipped} samples are clipped: what is cut off is not restored"));
            }
        }
        notes
    }

    /// Writes channels as this recording is written; integers of at least 16 bits.
    pub fn write(&self, path: &Path, channels: &[Vec<f32>]) -> Result<(), Failure> {
        let bad = |e: &dyn std::fmt::Display| Failure::bad(format!("{}: {e}", path.display()));
        let bits = self.spec.bits_per_sample.max(16);
        let spec = hound::WavSpec { bits_per_sample: bits, ..self.spec };
        let mut writer = hound::WavWriter::create(path, spec).map_err(|e| bad(&e))?;
        let full = (1i64 << (bits - 1)) as f64;
        for at in 0..channels[0].len() {
            for channel in channels {
                let written = match spec.sample_format {
                    hound::SampleFormat::Float => writer.write_sample(channel[at]),
                    hound::SampleFormat::Int => {
                        let code = (f64::from(channel[at]) * full).round().clamp(-full, full - 1.0);
                        writer.write_sample(code as i32)
                    }
                };
                written.map_err(|e| bad(&e))?;
            }
        }
        writer.finalize().map_err(|e| bad(&e))
    }
}

/// Samples in runs of three or more at full scale.
fn clipped(samples: &[f32]) -> usize {
    let full = samples.iter().map(|x| u32::from(x.abs() >= 0.9999));
    let (mut sum, mut run) = (0, 0);
    for at in full.chain([0]) {
        if at == 1 {
            run += 1;
        } else {
            sum += if run >= 3 { run } else { 0 };
            run = 0;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_peaks_are_not_clipped_and_runs_are() {
        assert_eq!(clipped(&[0.1, 1.0, 0.2, -1.0, -1.0, 0.0]), 0);
        assert_eq!(clipped(&[0.1, 1.0, 1.0, 1.0, 0.2, -1.0, -1.0, -1.0, -1.0]), 7);
    }
}
