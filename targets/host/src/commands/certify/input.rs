//! Inputs as codes on a grid, for `certify` and `verify`.

use crate::error::Failure;
use crate::feed::{Feed, fit};
use crate::files::read_input;
use selvedge::certify::{Clean, Grid, Subject};
use selvedge::{AlignedBuf, Artifact, CodeMap, DType, Session};
use selvedge_compiler::data::{Array, ArrayData, read_array};
use std::path::{Path, PathBuf};

/// Room for classes.
pub const MOST_CLASSES: usize = 1024;

#[derive(clap::Args)]
pub struct InputArgs {
    /// Artifact: one input, scores of the classes as its first output
    pub model: PathBuf,
    /// Input: .png, or .npy/.npz[:KEY] with one entry or many; or a folder of such files
    #[arg(long)]
    input: String,
    /// For f32 inputs that come as real numbers: grid steps from 0 to 1 (16 for pixels of 0 to 16). Pictures and bytes have 255
    #[arg(long, value_name = "STEPS")]
    steps_per_unit: Option<f64>,
    /// Artifact of a denoiser that the noisy input goes through first: its first output is the model's input
    #[arg(long, value_name = "D.slvg")]
    pub denoiser: Option<PathBuf>,
}

/// Codes of all entries.
enum Codes {
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
}

/// What is certified, as codes.
pub struct CertifyInput {
    codes: Codes,
    /// Code of real zero.
    zero: i32,
    /// Codes of an entry.
    pub size: usize,
    /// Grid steps of a unit of the input.
    pub per_unit: f64,
    /// From codes to the model's input.
    pub map: CodeMap,
    /// Where each entry came from.
    names: Vec<String>,
}

impl CertifyInput {
    pub fn entries(&self) -> usize {
        self.names.len()
    }

    pub fn name(&self, index: usize) -> String {
        self.names.get(index).cloned().unwrap_or_default()
    }

    /// An entry as the subject of a certificate.
    pub fn subject(&self, index: usize, model: [u8; 32], classes: usize) -> Subject<'_> {
        let range = index * self.size..(index + 1) * self.size;
        let (input, (low, high)) = match &self.codes {
            Codes::I8(codes) => (Clean::I8(&codes[range]), (i8::MIN.into(), i8::MAX.into())),
            Codes::U8(codes) => (Clean::U8(&codes[range]), (0, 255)),
            Codes::I16(codes) => (Clean::I16(&codes[range]), (i16::MIN, i16::MAX)),
        };
        let grid = Grid { low, high, scale: (1.0 / self.per_unit) as f32, zero: self.zero };
        Subject { model, classes: classes as u32, input, grid }
    }

    /// Adds the entries of another file.
    fn append(&mut self, other: CertifyInput) -> bool {
        if (self.per_unit, self.map, self.zero) != (other.per_unit, other.map, other.zero) {
            return false;
        }
        match (&mut self.codes, other.codes) {
            (Codes::I8(codes), Codes::I8(more)) => codes.extend(more),
            (Codes::U8(codes), Codes::U8(more)) => codes.extend(more),
            (Codes::I16(codes), Codes::I16(more)) => codes.extend(more),
            _ => return false,
        }
        self.names.extend(other.names);
        true
    }
}

/// Reads the input and brings it to codes.
pub fn load(args: &InputArgs, artifact: &Artifact<'_>) -> Result<CertifyInput, Failure> {
    if args.steps_per_unit.is_some_and(|steps| !(steps > 0.0 && steps <= 32768.0)) {
        return Err(Failure::bad("--steps-per-unit has to be above 0, and at most 32768"));
    }
    let folder = Path::new(&args.input);
    if !folder.is_dir() {
        return load_file(args, &args.input, artifact, "entry");
    }
    let mut files: Vec<String> = Vec::new();
    for file in std::fs::read_dir(folder).map_err(|e| Failure::bad(format!("{}: {e}", args.input)))? {
        let path = file?.path();
        let known =
            |e: &std::ffi::OsStr| ["png", "npy", "npz", "wav"].contains(&e.to_string_lossy().to_lowercase().as_str());
        if path.extension().is_some_and(known) {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    files.sort();
    let mut all: Option<CertifyInput> = None;
    for file in &files {
        let name = Path::new(file).file_name().map_or(file.clone(), |name| name.to_string_lossy().into_owned());
        let input = load_file(args, file, artifact, &name)?;
        let Some(all) = &mut all else {
            all = Some(input);
            continue;
        };
        if !all.append(input) {
            return Err(Failure::bad(format!("{file}: it lies on another grid than {}", files[0])));
        }
    }
    all.ok_or_else(|| Failure::bad(format!("{}: no .png, .npy, .npz or .wav in this folder", args.input)))
}

fn load_file(args: &InputArgs, source: &str, artifact: &Artifact<'_>, entry: &str) -> Result<CertifyInput, Failure> {
    let [tensor] = artifact.inputs() else {
        let count = artifact.inputs().len();
        let file = args.denoiser.as_ref().unwrap_or(&args.model).display();
        return Err(Failure::bad(format!("{file}: it has {count} inputs; one can be certified")));
    };
    let view = artifact.tensor(*tensor as usize).map_err(Failure::bad)?;
    let name = artifact.name(*tensor as usize).unwrap_or("input0");
    let array = fit(source, read_input(source)?, name, view.dims)?;
    let size = view.elements;
    let real = |per_unit: f64| CodeMap::Real { per_unit: per_unit as f32 };
    let (scale, zero) = view.quantization().map_or((1.0, 0), |(scale, zero)| (f64::from(scale), zero));
    let own = CodeMap::Codes { offset: 0 };
    let refuse = |remedy: &str| Err(Failure::bad(format!("{source}: {remedy}")));
    let wide = |codes: Vec<u8>| Codes::I16(codes.iter().map(|&code| code.into()).collect());
    let (codes, per_unit, map, zero) = match (view.dtype, array.data) {
        (DType::I8, ArrayData::I8(codes)) => (Codes::I8(codes), 1.0 / scale, own, zero),
        (DType::U8, ArrayData::U8(codes)) => (Codes::U8(codes), 1.0 / scale, own, zero),
        // A picture's bytes on an int8 grid, as `run` reads them: their unit is the range of a byte.
        (DType::I8, ArrayData::U8(codes)) => (Codes::U8(codes), 255.0, CodeMap::Codes { offset: -128 }, 0),
        // Noise may leave the range of a byte here: nothing is lost to saturation.
        (DType::F32, ArrayData::U8(codes)) => (wide(codes), 255.0, real(255.0), 0),
        (DType::I8 | DType::U8, data @ ArrayData::F32(_)) => {
            let bytes = quantized(source, artifact, Array { shape: array.shape, data }, name)?;
            let codes = match view.dtype {
                DType::I8 => Codes::I8(bytes.iter().map(|&byte| byte as i8).collect()),
                _ => Codes::U8(bytes),
            };
            (codes, 1.0 / scale, own, zero)
        }
        (DType::F32, ArrayData::F32(values)) => {
            let Some(steps) = args.steps_per_unit else {
                return refuse(
                    "real numbers have no grid, and noise on floats proves nothing; give --steps-per-unit (255 for pictures scaled to 0..1)",
                );
            };
            let code = |x: &f32| f64::from(*x) * steps;
            // NaN is on no grid.
            let on_grid = |x: &f32| (code(x) - code(x).round()).abs() <= 1e-3 && code(x).abs() <= 32767.0;
            if let Some(x) = values.iter().find(|x| !on_grid(x)) {
                return refuse(&format!(
                    "{x} lies on no grid of {steps} steps a unit within 16 bits; round the input first"
                ));
            }
            (Codes::I16(values.iter().map(|x| code(x).round() as i16).collect()), steps, real(steps), 0)
        }
        (wanted, found) => {
            return refuse(&format!("elements are {:?}, the input takes {}", found.dtype(), wanted.name()));
        }
    };
    let count = match &codes {
        Codes::I8(codes) => codes.len(),
        Codes::U8(codes) => codes.len(),
        Codes::I16(codes) => codes.len(),
    } / size.max(1);
    let named = |i: usize| match (entry, count) {
        ("entry", _) => format!("entry {i}"),
        (file, 1) => file.to_string(),
        (file, _) => format!("{file} {i}"),
    };
    Ok(CertifyInput { codes, zero, size, per_unit, map, names: (0..count).map(named).collect() })
}

/// The bytes that `run` would give an int8 or uint8 input, of all entries.
fn quantized(source: &str, artifact: &Artifact<'_>, array: Array, name: &str) -> Result<Vec<u8>, Failure> {
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(*artifact, &mut arena).map_err(Failure::bad)?;
    let dims = session.input(0).map_err(Failure::bad)?.dims();
    let feed = Feed::new(source, array, name, dims)?;
    let mut bytes = Vec::new();
    for entry in 0..feed.entries() {
        feed.fill(&mut session, 0, entry)?;
        bytes.extend_from_slice(session.input(0).map_err(Failure::bad)?.into_bytes());
    }
    Ok(bytes)
}

/// Right classes, one an entry.
pub fn labels(file: &str, entries: usize) -> Result<Vec<i64>, Failure> {
    let Array { data, .. } = read_array(file)?;
    let labels: Vec<i64> = match data {
        ArrayData::I64(labels) => labels,
        ArrayData::I32(labels) => labels.iter().map(|&l| i64::from(l)).collect(),
        ArrayData::U8(labels) => labels.iter().map(|&l| i64::from(l)).collect(),
        other => return Err(Failure::bad(format!("{file}: classes are integers, not {:?}", other.dtype()))),
    };
    if labels.len() != entries {
        return Err(Failure::bad(format!("{file}: {} classes for {entries} entries", labels.len())));
    }
    Ok(labels)
}
