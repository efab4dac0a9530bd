//! Pictures as planes of f32 in 0..1, from and to files.

use crate::error::Failure;
use selvedge::denoise::metrics;
use selvedge_compiler::data::{Array, ArrayData, read_array};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;

/// Larger pictures are refused: their planes would not fit into the memory of most machines.
const MOST_PIXELS: usize = 1 << 28;

/// A gray picture (one plane) or RGB (three).
#[derive(Clone, Debug)]
pub struct Picture {
    height: usize,
    width: usize,
    planes: Vec<Vec<f32>>,
    /// Bits a sample in a .png.
    bits: u8,
}

impl Picture {
    pub fn gray(plane: Vec<f32>, (height, width): (usize, usize)) -> Self {
        Picture { height, width, planes: vec![plane], bits: 8 }
    }

    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        if path.is_dir() {
            return Err(Failure::bad(format!("{name}: this is a folder; give a picture")));
        }
        let picture = match extension(path).as_str() {
            "png" => read_png(path),
            "npy" => read_npy(&name),
            _ => Err(Failure::bad("unknown kind of input; give a picture (.png or .npy) or speech (.wav)")),
        };
        let picture = picture.map_err(|e| e.prefixed(&name))?;
        for (channel, plane) in picture.planes.iter().enumerate() {
            if let Some(at) = plane.iter().position(|x| !x.is_finite()) {
                let (row, column) = (at / picture.width, at % picture.width);
                return Err(Failure::bad(format!(
                    "{name}: row {row}, column {column}, channel {channel} is NaN or infinite; repair or cut it out"
                )));
            }
        }
        Ok(picture)
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    pub fn channels(&self) -> usize {
        self.planes.len()
    }

    pub fn plane(&self, channel: usize) -> Vec<f32> {
        self.planes[channel].clone()
    }

    pub fn set_plane(&mut self, channel: usize, plane: &[f32]) {
        self.planes[channel] = plane.to_vec();
    }

    pub fn same_shape(&self, other: &Picture) -> bool {
        self.size() == other.size() && self.channels() == other.channels()
    }

    pub fn describe(&self) -> String {
        let kind = if self.channels() == 1 { "gray" } else { "RGB" };
        format!("{}x{} pixels, {kind}", self.width, self.height)
    }

    /// Over all planes, both clipped to 0..1.
    pub fn psnr(&self, truth: &Picture) -> Result<f64, Failure> {
        let all =
            |picture: &Picture| -> Vec<f32> { picture.planes.iter().flatten().map(|x| x.clamp(0.0, 1.0)).collect() };
        metrics::psnr(&all(truth), &all(self), 1.0).map_err(Failure::bad)
    }

    /// Pictures of one size in a row.
    pub fn beside(all: &[&Picture]) -> Picture {
        let (height, width) = all[0].size();
        let row = |channel: usize, row: usize| {
            all.iter().flat_map(move |p| p.planes[channel][row * width..][..width].iter().copied())
        };
        let planes = (0..all[0].channels()).map(|c| (0..height).flat_map(|r| row(c, r)).collect()).collect();
        Picture { height, width: width * all.len(), planes, bits: all[0].bits }
    }

    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let written = match extension(path).as_str() {
            "png" => self.write_png(path),
            "npy" => self.write_npy(path),
            _ => Err(Failure::bad("unknown kind of picture; end its name in .png or .npy")),
        };
        written.map_err(|e| e.prefixed(&path.display().to_string()))
    }

    /// Samples pixel by pixel.
    fn interleaved(&self) -> impl Iterator<Item = f32> {
        (0..self.height * self.width).flat_map(|at| self.planes.iter().map(move |plane| plane[at]))
    }

    fn write_png(&self, path: &Path) -> Result<(), Failure> {
        let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), self.width as u32, self.height as u32);
        encoder.set_color(if self.channels() == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb });
        encoder.set_depth(if self.bits == 16 { png::BitDepth::Sixteen } else { png::BitDepth::Eight });
        let most = if self.bits == 16 { 65_535.0 } else { 255.0 };
        let codes = self.interleaved().map(|x| (x.clamp(0.0, 1.0) * most).round() as u16);
        let bytes: Vec<u8> = match self.bits {
            16 => codes.flat_map(u16::to_be_bytes).collect(),
            _ => codes.map(|code| code as u8).collect(),
        };
        let mut writer = encoder.write_header().map_err(Failure::bad)?;
        writer.write_image_data(&bytes).map_err(Failure::bad)?;
        writer.finish().map_err(Failure::bad)
    }

    fn write_npy(&self, path: &Path) -> Result<(), Failure> {
        let channels = if self.channels() == 1 { String::new() } else { format!(", {}", self.channels()) };
        let head = format!(
            "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}{channels}), }}",
            self.height, self.width
        );
        let padded = (10 + head.len() + 1).next_multiple_of(64) - 11;
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(((padded + 1) as u16).to_le_bytes());
        bytes.extend(format!("{head:padded$}\n").bytes());
        bytes.extend(self.interleaved().flat_map(f32::to_le_bytes));
        Ok(std::fs::write(path, bytes)?)
    }
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

/// Planes of samples that lie pixel by pixel.
fn planes(samples: &[f32], channels: usize) -> Vec<Vec<f32>> {
    (0..channels).map(|c| samples.iter().skip(c).step_by(channels).copied().collect()).collect()
}

fn read_png(path: &Path) -> Result<Picture, Failure> {
    let mut decoder = png::Decoder::new(BufReader::new(File::open(path)?));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(Failure::bad)?;
    let (color, depth) = reader.output_color_type();
    let channels = match color {
        png::ColorType::Grayscale => 1,
        png::ColorType::Rgb => 3,
        _ => {
            return Err(Failure::bad(
                "it has an alpha channel, which is no picture of anything; take it off first (`magick IN -alpha off OUT`)",
            ));
        }
    };
    let (height, width) = (reader.info().height as usize, reader.info().width as usize);
    check_size(height, width)?;
    let size = reader.output_buffer_size().ok_or_else(|| Failure::bad("the picture is too large"))?;
    let mut pixels = vec![0; size];
    reader.next_frame(&mut pixels).map_err(Failure::bad)?;
    let (bits, samples): (u8, Vec<f32>) = match depth {
        png::BitDepth::Sixteen => {
            (16, pixels.as_chunks::<2>().0.iter().map(|&b| f32::from(u16::from_be_bytes(b)) / 65_535.0).collect())
        }
        _ => (8, pixels.iter().map(|&b| f32::from(b) / 255.0).collect()),
    };
    Ok(Picture { height, width, planes: planes(&samples[..height * width * channels], channels), bits })
}

fn read_npy(name: &str) -> Result<Picture, Failure> {
    let Array { shape, data } = read_array(name)?;
    let (height, width, channels) = match shape[..] {
        [h, w] | [1, h, w] | [h, w, 1] | [1, 1, h, w] => (h, w, 1),
        [h, w, 3] => (h, w, 3),
        _ => return Err(Failure::bad(format!("an array of shape {shape:?} is no picture; give [H, W] or [H, W, 3]"))),
    };
    check_size(height, width)?;
    let samples: Vec<f32> = match &data {
        ArrayData::U8(v) => v.iter().map(|&b| f32::from(b) / 255.0).collect(),
        ArrayData::F32(v) => v.clone(),
        other => return Err(Failure::bad(format!("elements are {:?}; give u8, or f32 in 0..1", other.dtype()))),
    };
    if let Some(most) = samples.iter().copied().reduce(f32::max).filter(|&most| most > 4.0 && most.is_finite()) {
        return Err(Failure::bad(format!("it holds values up to {most}; bring them to 0..1 first")));
    }
    Ok(Picture { height, width, planes: planes(&samples, channels), bits: 8 })
}

fn check_size(height: usize, width: usize) -> Result<(), Failure> {
    match height.checked_mul(width) {
        Some(0) => Err(Failure::bad("it has no pixels")),
        Some(pixels) if pixels <= MOST_PIXELS => Ok(()),
        _ => Err(Failure::bad(format!("{width}x{height} pixels are too many; cut it into parts"))),
    }
}
