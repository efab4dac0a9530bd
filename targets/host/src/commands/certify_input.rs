//! Inputs as codes on a grid, for `certify` and `verify`.

use crate::error::Failure;
use crate::feed::{Feed, fit};
use crate::files::read_input;
use selvedge::certify::{Input, MOST_CLASSES};
use selvedge::{AlignedBuf, Artifact, CodeMap, DType, Session};
use selvedge_compiler::data::{Array, ArrayData, read_array};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct InputArgs {
    /// Artifact: one input, scores of the classes as its first output
    pub model: PathBuf,
    /// Input: .png, or .npy/.npz[:KEY] with one entry or many
    #[arg(long)]
    input: String,
    /// For f32 inputs that come as real numbers: grid steps from 0 to 1 (16 for pixels of 0 to 16). Pictures and bytes have 255
    #[arg(long, value_name = "STEPS")]
    steps_per_unit: Option<f64>,
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
    /// Codes of an entry.
    pub size: usize,
    /// Grid steps of a unit of the input.
    pub per_unit: f64,
    /// From codes to the model's input.
    pub map: CodeMap,
}

impl CertifyInput {
    pub fn entries(&self) -> usize {
        let codes = match &self.codes {
            Codes::I8(codes) => codes.len(),
            Codes::U8(codes) => codes.len(),
            Codes::I16(codes) => codes.len(),
        };
        codes / self.size.max(1)
    }

    pub fn entry(&self, index: usize) -> Input<'_> {
        let range = index * self.size..(index + 1) * self.size;
        match &self.codes {
            Codes::I8(codes) => Input::I8(&codes[range]),
            Codes::U8(codes) => Input::U8(&codes[range]),
            Codes::I16(codes) => Input::I16(&codes[range]),
        }
    }
}

/// Reads the input and brings it to codes.
pub fn load(args: &InputArgs, artifact: &Artifact<'_>) -> Result<CertifyInput, Failure> {
    let [tensor] = artifact.inputs() else {
        let count = artifact.inputs().len();
        return Err(Failure::bad(format!("{}: it has {count} inputs; one can be certified", args.model.display())));
    };
    let view = artifact.tensor(*tensor as usize).map_err(Failure::bad)?;
    let name = artifact.name(*tensor as usize).unwrap_or("input0");
    let array = fit(&args.input, read_input(&args.input)?, name, view.dims)?;
    let size = view.elements;
    let real = |per_unit: f64| CodeMap::Real { per_unit: per_unit as f32 };
    let grid = view.quantization();
    let scale = grid.map_or(1.0, |(scale, _)| f64::from(scale));
    let refuse = |remedy: &str| Err(Failure::bad(format!("{}: {remedy}", args.input)));
    if args.steps_per_unit.is_some_and(|steps| !(steps > 0.0 && steps <= 32768.0)) {
        return refuse("--steps-per-unit has to be above 0, and at most 32768");
    }
    let (codes, per_unit, map) = match (view.dtype, array.data) {
        (DType::I8, ArrayData::I8(codes)) => (Codes::I8(codes), 1.0 / scale, CodeMap::Codes { offset: 0 }),
        (DType::U8, ArrayData::U8(codes)) => (Codes::U8(codes), 1.0 / scale, CodeMap::Codes { offset: 0 }),
        // A picture's bytes on an int8 grid, as `run` reads them: their unit is the range of a byte.
        (DType::I8, ArrayData::U8(codes)) => (Codes::U8(codes), 255.0, CodeMap::Codes { offset: -128 }),
        (DType::F32, ArrayData::U8(codes)) => (Codes::U8(codes), 255.0, real(255.0)),
        (DType::I8 | DType::U8, data @ ArrayData::F32(_)) => {
            let bytes = quantized(args, artifact, Array { shape: array.shape, data }, name)?;
            let codes = match view.dtype {
                DType::I8 => Codes::I8(bytes.iter().map(|&byte| byte as i8).collect()),
                _ => Codes::U8(bytes),
            };
            (codes, 1.0 / scale, CodeMap::Codes { offset: 0 })
        }
        (DType::F32, ArrayData::F32(values)) => {
            let Some(steps) = args.steps_per_unit else {
                return refuse(
                    "real numbers have no grid, and noise on floats proves nothing; give --steps-per-unit (255 for pictures scaled to 0..1)",
                );
            };
            let code = |x: &f32| f64::from(*x) * steps;
            if let Some(x) = values.iter().find(|x| (code(x) - code(x).round()).abs() > 1e-3 || code(x).abs() > 32767.0)
            {
                return refuse(&format!(
                    "{x} lies on no grid of {steps} steps a unit within 16 bits; round the input first"
                ));
            }
            (Codes::I16(values.iter().map(|x| code(x).round() as i16).collect()), steps, real(steps))
        }
        (wanted, found) => {
            return refuse(&format!("elements are {:?}, the input takes {}", found.dtype(), wanted.name()));
        }
    };
    Ok(CertifyInput { codes, size, per_unit, map })
}

/// The bytes that `run` would give an int8 or uint8 input, of all entries.
fn quantized(args: &InputArgs, artifact: &Artifact<'_>, array: Array, name: &str) -> Result<Vec<u8>, Failure> {
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(*artifact, &mut arena).map_err(Failure::bad)?;
    let dims = session.input(0).map_err(Failure::bad)?.dims();
    let feed = Feed::new(&args.input, array, name, dims)?;
    let mut bytes = Vec::new();
    for entry in 0..feed.entries() {
        feed.fill(&mut session, 0, entry)?;
        bytes.extend_from_slice(session.input(0).map_err(Failure::bad)?.into_bytes());
    }
    Ok(bytes)
}

/// Classes of the first output.
pub fn classes(artifact: &Artifact<'_>) -> Result<usize, Failure> {
    let first = artifact.outputs().first().map(|&tensor| artifact.tensor(tensor as usize).map(|view| view.elements));
    let classes = first.transpose().map_err(Failure::bad)?.unwrap_or(0);
    if (2..=MOST_CLASSES).contains(&classes) {
        return Ok(classes);
    }
    Err(Failure::bad(format!("the first output has {classes} elements; a classifier's has 2 to {MOST_CLASSES} scores")))
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
