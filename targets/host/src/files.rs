//! Artifacts and inputs (arrays, pictures, sound) from files.

use crate::error::Failure;
use selvedge::{AlignedBuf, Artifact, ErrorKind};
use selvedge_compiler::data::{Array, ArrayData, read_array};
use selvedge_compiler::split::join_weights;
use std::path::Path;

/// Reads an artifact, checks its digest, and says what a file is when it is no artifact.
pub fn open_artifact(path: &Path) -> Result<AlignedBuf, Failure> {
    let bytes = std::fs::read(path).map_err(|e| Failure::bad(format!("{}: {e}", path.display())))?;
    if path.extension().is_some_and(|e| e == "onnx") {
        let path = path.display();
        return Err(Failure::bad(format!(
            "{path}: this is an ONNX model; first run `selvedge compile {path} -o OUT.slvg`"
        )));
    }
    let mut file = AlignedBuf::from(&bytes[..]);
    if let Ok(head) = Artifact::parse_head(&file)
        && head.header().total_bytes as usize > bytes.len()
    {
        file = AlignedBuf::from(&join(path, &head, &bytes)?[..]);
    }
    let sound = Artifact::parse(&file).and_then(|a| a.verify_digest());
    sound.map_err(|e| Failure::bad(format!("{}: {e}", path.display())))?;
    Ok(file)
}

/// The whole artifact of a head, from the weights file that its compiler wrote beside it.
fn join(path: &Path, head: &Artifact<'_>, bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let meta: Option<serde_json::Value> = head.meta().and_then(|meta| serde_json::from_str(meta).ok());
    let name = meta.as_ref().and_then(|meta| meta.get("weights_file")?.as_str());
    let truncated = || Failure::bad(format!("{}: {}", path.display(), selvedge::Error::from(ErrorKind::Truncated)));
    let weights_path = path.with_file_name(name.ok_or_else(truncated)?);
    let named = |e: &dyn std::fmt::Display| {
        Failure::bad(format!("{} (the weights of {}): {e}", weights_path.display(), path.display()))
    };
    let weights = AlignedBuf::from(&std::fs::read(&weights_path).map_err(|e| named(&e))?[..]);
    Artifact::parse_split(head.bytes(), &weights).map_err(|e| named(&e))?;
    join_weights(bytes, &weights).ok_or_else(truncated)
}

/// Reads one input: `.npy`, `.npz[:KEY]`, `.png` or `.wav`.
pub fn read_input(spec: &str) -> Result<Array, Failure> {
    let lower = spec.to_ascii_lowercase();
    if lower.ends_with(".png") {
        read_png(spec)
    } else if lower.ends_with(".wav") {
        read_wav(spec)
    } else if lower.ends_with(".npy") || lower.contains(".npz") {
        Ok(read_array(spec)?)
    } else {
        Err(Failure::bad(format!("{spec}: unknown kind of input; give .npy, .npz, .npz:KEY, .png or .wav")))
    }
}

/// A picture as u8 `[1, H, W, C]` (alpha dropped, 16 bits brought to 8).
fn read_png(path: &str) -> Result<Array, Failure> {
    let bad = |e: &dyn std::fmt::Display| Failure::bad(format!("{path}: {e}"));
    let file = std::fs::File::open(path).map_err(|e| bad(&e))?;
    let mut decoder = png::Decoder::new(std::io::BufReader::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|e| bad(&e))?;
    let size = reader.output_buffer_size().ok_or_else(|| bad(&"the picture is too large"))?;
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels).map_err(|e| bad(&e))?;
    pixels.truncate(info.buffer_size());
    let (stored, kept) = match info.color_type {
        png::ColorType::Grayscale => (1, 1),
        png::ColorType::GrayscaleAlpha => (2, 1),
        png::ColorType::Rgb => (3, 3),
        _ => (4, 3),
    };
    let data: Vec<u8> = pixels.chunks_exact(stored).flat_map(|p| p[..kept].iter().copied()).collect();
    Ok(Array { shape: vec![1, info.height as usize, info.width as usize, kept], data: ArrayData::U8(data) })
}

/// Samples of a recording in −1..1, channel beside channel.
pub fn wav_samples(path: &Path) -> Result<(hound::WavSpec, Vec<f32>), Failure> {
    let bad = |e: &dyn std::fmt::Display| Failure::bad(format!("{}: {e}", path.display()));
    let mut reader = hound::WavReader::open(path).map_err(|e| bad(&e))?;
    let spec = reader.spec();
    let samples: Result<Vec<f32>, hound::Error> = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().collect(),
        hound::SampleFormat::Int => {
            let full = (1i64 << (spec.bits_per_sample - 1)) as f32;
            reader.samples::<i32>().map(|s| s.map(|s| s as f32 / full)).collect()
        }
    };
    Ok((spec, samples.map_err(|e| bad(&e))?))
}

/// Sound as f32 in −1..1, `[1, samples]` (one channel) or `[1, samples, channels]`.
fn read_wav(path: &str) -> Result<Array, Failure> {
    let (spec, samples) = wav_samples(Path::new(path))?;
    let channels = spec.channels as usize;
    let mut shape = vec![1, samples.len() / channels.max(1)];
    if channels > 1 {
        shape.push(channels);
    }
    Ok(Array { shape, data: ArrayData::F32(samples) })
}
