//! Certificates on the device: the record of an input is the same bytes on every core.

use core::fmt::{self, Write};

use selvedge::certify::{
    Alpha, Certifier, Decision, Identity, Input, Look, Looks, Plan, Record, Rule, probability_for, state_bytes,
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
/// One sigma.
pub const TARGET: f64 = 3.0;
/// The probability of a false certificate.
pub const ALPHA: f64 = 0.001;

const fn look(n: u32, pass: u32, fail: Option<u32>) -> Look {
    Look { n, pass, fail }
}

/// As `look_at` makes them, which a device has no time for.
pub const LOOKS: [Look; 6] = [
    look(16, u32::MAX, Some(7)),
    look(32, u32::MAX, Some(18)),
    look(48, 48, Some(30)),
    look(64, 64, Some(41)),
    look(96, 93, Some(66)),
    look(128, 123, Some(90)),
];

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
    let mut codes = [0u8; PIXELS];
    for (code, pixel) in codes.iter_mut().zip(input.as_chunks::<4>().0) {
        *code = (f32::from_le_bytes(*pixel) * LEVELS + 0.5) as u8;
    }
    let refused = |_| Failed::Procedure;
    let table = NOISE.table().map_err(|_| Failed::Procedure)?;
    let p0 = probability_for(TARGET, table.tv_price(PIXELS as u32), table.sigma()).ok_or(Failed::Procedure)?;
    let rule = Rule::Sequential(Looks { p0, alpha: ALPHA, looks: &LOOKS });
    let alpha = Alpha::new(ALPHA).ok_or(Failed::Procedure)?;
    let plan = Plan::new(&table, PIXELS, CLASSES, 16, rule, alpha).map_err(refused)?;
    let identity = Identity { model: *model, nonce: [5; 32] };
    let codes = Input::U8(&codes);
    let mut certifier = Certifier::<CLASSES>::new(&plan, codes, &identity).map_err(refused)?;
    let mut classifier = SessionClassifier::new(session, CodeMap::Real { per_unit: LEVELS })?;
    let mut state = [0; state_bytes(CLASSES)];
    while certifier.decision().is_none() {
        certifier.step(&mut classifier, codes, 1).map_err(|_| Failed::Procedure)?;
        certifier.save(&mut state).ok_or(Failed::Procedure)?;
        certifier = Certifier::resume(&plan, codes, &identity, &state).map_err(|_| Failed::Procedure)?;
    }
    let mut record = [0; Record::bytes(CLASSES)];
    certifier.record(&mut record).ok_or(Failed::Procedure)?;
    let mut fnv = Fnv::new();
    fnv.add(&record);
    let decision = certifier.decision().ok_or(Failed::Procedure)?;
    Ok(Certified { decision, draws: certifier.progress().drawn, record: fnv.value() })
}

/// The line of an input, the same on every machine.
impl fmt::Display for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decision {
            Decision::Certified { class, radius_squared } => write!(f, "class {class} within {radius_squared}")?,
            Decision::Abstain(_) => f.write_str("abstains")?,
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
        let each = instructions / u64::from(certified.draws + 16);
        let _ = writeln!(out, "instructions {instructions}, {each} a draw");
    }
    Ok(())
}
