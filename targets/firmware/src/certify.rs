//! Certificates on the device: the record of an input is the same bytes on every core.

use core::fmt::{self, Write};

use selvedge::certify::{
    Alpha, CertError, CertSpec, Certifier, Clean, Decision, Grid, Job, Request, Rule, Subject, Terms, record_bytes,
    shipped, state_bytes,
};
use selvedge::noise::tables;
use selvedge::{CodeMap, Error, Session, SessionClassifier};

use crate::fnv::Fnv;
use crate::{Board, Model};

/// Classes and codes of the digits.
pub const CLASSES: usize = 10;
const PIXELS: usize = 64;
/// Grey levels of a pixel.
const LEVELS: f32 = 16.0;
/// Inputs that are certified.
pub const CERTIFIED: usize = 3;

/// Noise of three grey levels.
pub static NOISE: &tables::Shipped = &tables::STEPS_3;
/// The radius: one sigma, in quarters.
const TARGET: u32 = 4;
/// Draws that choose the class; then at most so many that estimate its probability.
const DRAWS: [u32; 2] = [16, 128];

/// What was certified.
#[derive(Clone, Copy, Debug)]
pub struct Certified {
    pub decision: Decision,
    pub draws: u32,
    /// Over the record's bytes.
    pub record: u64,
}

/// Why nothing was.
#[derive(Clone, Copy, Debug)]
pub enum Failed {
    Session(Error),
    /// The plan, its table or a step was refused: not with this firmware's constants.
    Procedure,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Session(error)
    }
}

impl From<CertError> for Failed {
    fn from(_: CertError) -> Self {
        Failed::Procedure
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Session(error) => write!(f, "{error}"),
            Failed::Procedure => f.write_str("the procedure refused its constants"),
        }
    }
}

/// Certifies an input of f32 pixels, a draw at a time, put away and taken up again after each.
///
/// # Errors
/// [`Failed`].
pub fn certify(session: &mut Session<'_>, model: &[u8; 32], input: &[u8]) -> Result<Certified, Failed> {
    let mut codes = [0i16; PIXELS];
    for (code, pixel) in codes.iter_mut().zip(input.as_chunks::<4>().0) {
        *code = (f32::from_le_bytes(*pixel) * LEVELS + 0.5) as i16;
    }
    let table = NOISE.table().map_err(|_| Failed::Procedure)?;
    let rule = Rule::Sequential(shipped(TARGET).ok_or(Failed::Procedure)?);
    let [selection, samples] = DRAWS;
    let request = Request { rule, sigma: table.sigma(), selection, samples, target_r2: None };
    let spec = CertSpec::new(Alpha::ratio(1, 1000)?, request)?;
    // Wide: noise may leave the grey levels.
    let grid = Grid { low: i16::MIN, high: i16::MAX, scale: 1.0 / LEVELS, zero: 0 };
    let subject = Subject { model: *model, classes: CLASSES as u32, input: Clean::I16(&codes), grid };
    let terms = Terms::new(&spec, subject, &table)?;
    let job = Job::new(&terms, [5; 32]);
    let mut certifier = Certifier::<CLASSES>::new(&job)?;
    let mut classifier = SessionClassifier::new(session, CodeMap::Real { per_unit: LEVELS })?;
    let mut state = [0; state_bytes(CLASSES as u32)];
    while certifier.decision().is_none() {
        certifier.step(&mut classifier, 1).map_err(|_| Failed::Procedure)?;
        certifier.save(&mut state)?;
        certifier = Certifier::resume(&job, &state)?;
    }
    let mut record = [0; record_bytes(CLASSES as u32)];
    certifier.record(None)?.encode(&mut record)?;
    let mut fnv = Fnv::new();
    fnv.add(&record);
    let decision = certifier.decision().ok_or(Failed::Procedure)?;
    Ok(Certified { decision, draws: certifier.drawn(), record: fnv.value() })
}

/// The line of an input, the same on every machine.
impl fmt::Display for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decision {
            Decision::Certified { class, r2 } => write!(f, "class {class} within {r2}")?,
            _ => f.write_str("abstains")?,
        }
        write!(f, " after {} draws, record {:016x}", self.draws, self.record)
    }
}

/// Certifies the first inputs of a model; a line for each, and what the first took.
///
/// # Errors
/// [`Failed`].
pub fn run(model: &Model, arena: &mut [u8], board: &mut impl Board, out: &mut impl Write) -> Result<(), Failed> {
    let mut session = model.session(arena)?;
    let digest = selvedge::Artifact::parse(model.artifact)?.header().digest;
    for (index, input) in model.inputs().take(CERTIFIED).enumerate() {
        board.start();
        let certified = certify(&mut session, &digest, input)?;
        let instructions = board.stop();
        let _ = writeln!(out, "certify {} {index}: {certified}", model.name);
        let each = instructions / u64::from(certified.draws + DRAWS[0]);
        let _ = writeln!(out, "instructions {instructions}, {each} a draw");
    }
    Ok(())
}
