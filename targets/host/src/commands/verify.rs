//! `selvedge verify`: whether a record is what it says.

use super::certify::input::{self, InputArgs, MOST_CLASSES};
use super::certify::model::{Pool, Source};
use super::certify::request::Rows;
use super::certify::{hex, random};
use crate::error::Failure;
use selvedge::certify::verify::{self, CheckError, Claim, VerifyError};
use selvedge::certify::{Alpha, CertSpec, Decision, LookTable, Price, Proof, Record, Request, Rule, SHIPPED, Terms};
use selvedge::noise::NoiseTable;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// Record that `certify --record` wrote
    record: PathBuf,
    #[command(flatten)]
    input: InputArgs,
    /// Entry of the input file that the record is of
    #[arg(long, default_value_t = 0)]
    entry: usize,
    /// The nonce that you chose; without, the record's own is believed
    #[arg(long, value_name = "HEX")]
    nonce: Option<String>,
    /// The commitment that you had before you chose the nonce
    #[arg(long, value_name = "HEX")]
    commitment: Option<String>,
    /// Only check that the decision follows from the counts; make no draws
    #[arg(long, conflicts_with = "spot")]
    quick: bool,
    /// Make the selection and so many of the other draws again, chosen at random now, and check them against the tree of
    /// predictions
    #[arg(long, value_name = "DRAWS", requires = "predictions")]
    spot: Option<u32>,
    /// With --spot: what `certify --predictions` wrote
    #[arg(long, value_name = "FILE")]
    predictions: Option<PathBuf>,
    /// With --spot: probability that false predictions are not seen
    #[arg(long, default_value_t = 0.001)]
    beta: f64,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let name = args.record.display().to_string();
    let bytes = read(&args.record)?;
    let record = Record::<MOST_CLASSES>::parse(&bytes).map_err(|e| {
        Failure::bad(format!("{name}: no record, or damaged ({e}); `selvedge certify --record` makes one"))
    })?;
    let table = selvedge_noise::build_table(record.sigma).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    let table = NoiseTable::parse(&table).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    let mut rows = Rows::new(record.samples);
    let looks = looks(&record, &table, &mut rows)?;
    let source = Source::open(&args.input)?;
    let input = input::load(&args.input, &source.front()?)?;
    if args.entry >= input.entries() {
        let entries = input.entries();
        return Err(Failure::bad(format!("--entry {}: the input has {entries} entries", args.entry)));
    }
    let spec = spec(&record, looks.as_ref()).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    let subject = input.subject(args.entry, source.name()?, source.classes()?);
    let terms = Terms::new(&spec, subject, &table).map_err(|e| Failure::No(format!("{name}: {e}")))?;
    let claim = claim(args, &record, &terms)?;
    let no = |e: &VerifyError| Failure::No(format!("{name}: {e}"));
    let mut pool = Pool::new(&source, input.map, 1, 1)?;
    let mut workers = pool.workers()?;
    let mut model = workers.first()?;
    let failed = |e: CheckError<selvedge::Error>| match e {
        CheckError::Model(e) => Failure::bad(format!("{name}: {e}")),
        CheckError::Verify(e) => no(&e),
    };
    let mut stands = Some(record.decision);
    let how = match (args.quick, args.spot) {
        (true, _) => {
            verify::arithmetic(&record, &claim, &table, looks.as_ref()).map_err(|e| no(&e))?;
            "the decision follows from the counts (no draw was made again)".to_string()
        }
        (false, None) => {
            verify::full(&record, &claim, &terms, &mut model).map_err(failed)?;
            "every draw was made again".to_string()
        }
        (false, Some(checks)) => {
            let predictions = predictions(args.predictions.as_deref())?;
            let prove = |sample| Proof::<MOST_CLASSES>::new(&predictions, sample, record.classes);
            verify::spot(&record, &claim, &terms, &mut model, &random()?, checks, prove).map_err(failed)?;
            let assured = verify::assured(&record, &claim, &table, looks.as_ref(), checks, args.beta);
            stands = assured.map_err(|e| no(&e))?;
            let share = verify::undetected(checks, args.beta) * 100.0;
            format!(
                "{checks} draws were made again; less than {share:.2} % of all are false but with probability {}",
                args.beta
            )
        }
    };
    // A spot check adds its own chance of not seeing what is false.
    let missed = if args.spot.is_some() { args.beta } else { 0.0 };
    let failure = at_most(record.alpha as f64 / 2f64.powi(64) + missed);
    let says = match stands {
        Some(Decision::Certified { class, r2 }) => {
            format!("class {class} for every change of the codes whose squares sum to {r2} or less")
        }
        Some(Decision::Predicted { class }) => format!("class {class} at the input itself"),
        Some(Decision::Abstain(reason)) => format!("no answer ({reason:?})"),
        None => "so few checks leave no answer; make more".to_string(),
    };
    println!("{name}: {how}: {says}; false with probability at most {failure} over the draws");
    match (&args.nonce, record.own_nonce) {
        (None, true) => {
            println!("the prover chose the nonce: the probability holds only if it was the first one tried")
        }
        (None, false) => {
            println!("no --nonce was given: check that the record's is the one you chose after the commitment")
        }
        (Some(_), _) => {}
    }
    Ok(())
}

/// A short number that is not below `value`.
fn at_most(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) < value { near.next_up() } else { near }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::bad(format!("{}: {e}", path.display())))
}

/// What the verifier knows; where he gives nothing, the record's word.
fn claim(args: &Args, record: &Record<MOST_CLASSES>, terms: &Terms<'_>) -> Result<Claim, Failure> {
    let nonce = args.nonce.as_deref().map(hex).transpose()?;
    let commitment = args.commitment.as_deref().map(hex).transpose()?;
    Ok(Claim {
        nonce: nonce.unwrap_or(record.nonce),
        own_nonce: nonce.is_none() && record.own_nonce,
        commitment: commitment.unwrap_or(terms.commitment()),
    })
}

/// The look table that a record names: one that is shipped, or that of its target.
fn looks<'r>(
    record: &Record<MOST_CLASSES>,
    table: &NoiseTable<'_>,
    rows: &'r mut Rows,
) -> Result<Option<LookTable<'r>>, Failure> {
    const SEQUENTIAL: u8 = 3;
    if record.rule != SEQUENTIAL {
        return Ok(None);
    }
    if let Some((_, shipped)) = SHIPPED.iter().find(|(_, shipped)| shipped.hash() == record.looks) {
        return Ok(Some(*shipped));
    }
    let price = Price::new(record.sigma, table.tv_price(record.dimensions));
    let unknown = || Failure::bad("the record has a look table that is neither shipped nor that of its target");
    let alpha = Alpha::from_units(record.alpha).map_err(Failure::bad)?;
    let looks = rows.build(&price, record.target_r2.ok_or_else(unknown)?, &alpha).map_err(Failure::bad)?;
    if looks.hash() == record.looks { Ok(Some(looks)) } else { Err(unknown()) }
}

/// The request of a record.
fn spec<'t>(
    record: &Record<MOST_CLASSES>,
    looks: Option<&'t LookTable<'t>>,
) -> Result<CertSpec<'t>, selvedge::certify::CertError> {
    let rule = match (looks, record.rule) {
        (Some(looks), _) => Rule::Sequential(looks),
        (None, 2) => Rule::Predict,
        (None, 4) => Rule::Largest { gain: record.gain },
        (None, 5) => Rule::Partition,
        (None, _) => Rule::Fixed,
    };
    let request = Request {
        rule,
        sigma: record.sigma,
        selection: record.selection,
        samples: record.samples,
        target_r2: record.target_r2,
    };
    CertSpec::new(Alpha::from_units(record.alpha)?, request)
}

fn predictions(path: Option<&Path>) -> Result<Vec<u16>, Failure> {
    let path = path.ok_or_else(|| Failure::bad("--spot needs --predictions"))?;
    Ok(read(path)?.as_chunks::<2>().0.iter().map(|&class| u16::from_le_bytes(class)).collect())
}
