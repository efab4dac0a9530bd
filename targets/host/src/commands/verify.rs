//! `selvedge verify`: whether a record is what it says.

use super::certify_input::{self, InputArgs};
use crate::error::Failure;
use crate::files::open_artifact;
use selvedge::certify::{Decision, MOST_CLASSES, Record, VerifyError, check, rerun};
use selvedge::noise::{NoiseTable, Sigma};
use selvedge::{AlignedBuf, Artifact, Session, SessionClassifier};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Record that `certify --record` wrote
    record: PathBuf,
    #[command(flatten)]
    input: InputArgs,
    /// Entry of the input file that the record is of
    #[arg(long, default_value_t = 0)]
    entry: usize,
    /// Only check that the decision follows from the counts; make no draws
    #[arg(long)]
    quick: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let name = args.record.display().to_string();
    let bytes = std::fs::read(&args.record).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    let record = Record::parse(&bytes)
        .ok_or_else(|| Failure::bad(format!("{name}: no record, or damaged; `selvedge certify --record` makes one")))?;
    let sigma = Sigma::new(record.sigma.0, record.sigma.1).ok_or_else(|| Failure::bad(format!("{name}: no sigma")))?;
    let table = selvedge_noise::build_table(sigma).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    let table = NoiseTable::parse(&table).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    if args.quick {
        check(&record, &table).map_err(|e| no(&name, &e))?;
    } else {
        let file = open_artifact(&args.input.model)?;
        let artifact = Artifact::parse(&file).map_err(Failure::bad)?;
        let input = certify_input::load(&args.input, &artifact)?;
        if args.entry >= input.entries() {
            let entries = input.entries();
            return Err(Failure::bad(format!("--entry {}: the input has {entries} entries", args.entry)));
        }
        let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
        let mut session = Session::new(artifact, &mut arena).map_err(Failure::bad)?;
        let mut model = SessionClassifier::new(&mut session, input.map).map_err(Failure::bad)?;
        let digest = artifact.header().digest;
        rerun::<_, MOST_CLASSES>(&record, &table, &mut model, &digest, input.entry(args.entry))
            .map_err(|e| no(&name, &e))?;
    }
    let how = if args.quick {
        "the decision follows from the counts (no draw was made again)"
    } else {
        "every draw was made again"
    };
    let says = match record.decision {
        Decision::Certified { class, radius_squared } => {
            format!("class {class} for every change of the codes whose squares sum to {radius_squared} or less")
        }
        Decision::Abstain(reason) => format!("no certificate ({reason})"),
    };
    println!("{name}: {how}: {says}; false with probability at most {} over the draws", record.alpha);
    Ok(())
}

fn no<E: std::fmt::Display>(name: &str, error: &VerifyError<E>) -> Failure {
    match error {
        VerifyError::Run(_) | VerifyError::Plan(_) => Failure::bad(format!("{name}: {error}")),
        _ => Failure::No(format!("{name}: {error}")),
    }
}
