//! `selvedge certify`: within which radius a smoothed prediction cannot change.

mod draws;
pub mod input;
mod outcome;
mod plot;
pub mod request;

use crate::error::Failure;
use crate::files::open_artifact;
use draws::Pool;
use input::{CertifyInput, InputArgs, MOST_CLASSES};
use outcome::Outcome;
use request::{RequestArgs, Rows};
use selvedge::Artifact;
use selvedge::certify::{Job, Record, Terms, record_bytes};
use selvedge::noise::NoiseTable;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    request: RequestArgs,
    /// 64 hexadecimal digits chosen by whoever shall believe the result, after seeing the commitment; without, random
    /// ones, and the record says so
    #[arg(long, value_name = "HEX")]
    nonce: Option<String>,
    /// Print the commitment (to model, input, request and noise) of each entry and stop: the nonce is chosen after it
    #[arg(long)]
    commit: bool,
    /// Right classes of the entries (.npy): prints the certified accuracy for radii
    #[arg(long, value_name = "FILE.npy")]
    labels: Option<String>,
    /// With --labels: draw the certified accuracy against the radius
    #[arg(long, value_name = "FILE.svg", requires = "labels")]
    plot: Option<PathBuf>,
    /// Write the record of the result, for `selvedge verify`; of several entries with their number in the name
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Write the predictions of all draws, for spot checks; of several entries with their number in the name
    #[arg(long, value_name = "FILE", requires = "record")]
    predictions: Option<PathBuf>,
    /// Threads; the counts are the same for any number
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Noisy copies that one run takes; the counts are the same for any number
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let model = args.input.model.display().to_string();
    let failed = |e: &dyn std::fmt::Display| Failure::bad(format!("{model}: {e}"));
    let file = open_artifact(&args.input.model)?;
    let artifact = Artifact::parse(&file).map_err(|e| failed(&e))?;
    let input = input::load(&args.input, &artifact)?;
    let classes = input::classes(&artifact)?;
    let sigma = args.request.sigma(input.per_unit)?;
    let bytes = selvedge_noise::build_table(sigma).map_err(|e| Failure::bad(format!("--sigma: {e}")))?;
    let table = NoiseTable::parse(&bytes).map_err(|e| failed(&e))?;
    let mut rows = Rows::new(args.request.draws);
    let looks = args.request.looks(&input, &table, &mut rows)?;
    let spec = args.request.spec(&input, sigma, looks.as_ref())?;
    let labels = args.labels.as_deref().map(|file| input::labels(file, input.entries())).transpose()?;
    let nonce = args.nonce.as_deref().map(hex).transpose()?;
    let terms = |entry: usize| {
        let subject = input.subject(entry, artifact.header().digest, classes);
        Terms::new(&spec, subject, &table).map_err(|e| args.request.refused(&e))
    };
    if args.commit {
        for entry in 0..input.entries() {
            println!("{}  {}", text(&terms(entry)?.commitment()), input.name(entry));
        }
        return Ok(());
    }
    let mut pool = Pool::new(&artifact, &input, args.threads, args.batch)?;
    let mut outcomes = Vec::new();
    for entry in 0..input.entries() {
        let terms = terms(entry)?;
        let begin = Instant::now();
        let job = match nonce {
            Some(nonce) => Job::new(&terms, nonce),
            None => Job::with_own_nonce(&terms, random()?),
        };
        let run = pool.run(&job, &input.name(entry), args.record.is_some())?;
        let outcome =
            Outcome::of(&run.certifier, begin.elapsed().as_secs_f64()).ok_or_else(|| failed(&"no decision"))?;
        if let Some(path) = &args.record {
            let record = run.certifier.record(run.tree.as_deref()).map_err(|e| failed(&e))?;
            write_record(&numbered(path, entry, input.entries()), &record)?;
        }
        if let Some(path) = &args.predictions {
            let bytes: Vec<u8> = run.predictions.iter().flat_map(|class| class.to_le_bytes()).collect();
            write(&numbered(path, entry, input.entries()), &bytes)?;
        }
        if !args.json {
            println!("{}", outcome.describe(&input.name(entry), sigma, input.per_unit));
        }
        outcomes.push(outcome);
    }
    report(args, &outcomes, &input, sigma, labels.as_deref())
}

fn report(
    args: &Args,
    outcomes: &[Outcome],
    input: &CertifyInput,
    sigma: selvedge::noise::Sigma,
    labels: Option<&[i64]>,
) -> Result<(), Failure> {
    let curve = labels.map(|labels| outcome::curve(outcomes, labels, sigma));
    if let (Some(path), Some(curve)) = (&args.plot, &curve) {
        write(path, plot::svg(curve, outcomes.len(), sigma, input.per_unit).as_bytes())?;
    }
    if args.json {
        let names: Vec<String> = (0..outcomes.len()).map(|entry| input.name(entry)).collect();
        println!("{}", outcome::json(outcomes, &names, &args.request, sigma, input.per_unit));
    } else {
        if outcomes.len() > 1 {
            print!("{}", outcome::summary(outcomes));
        }
        if let Some(curve) = &curve {
            print!("{}", outcome::table(curve, outcomes.len(), sigma, input.per_unit));
        }
    }
    match outcomes.iter().any(Outcome::answers) {
        false => Err(Failure::No(if args.json { String::new() } else { "nothing is certified".into() })),
        true => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|e| Failure::bad(format!("{}: {e}", path.display())))
}

fn write_record(path: &Path, record: &Record<MOST_CLASSES>) -> Result<(), Failure> {
    let mut bytes = vec![0; record_bytes(record.classes)];
    record.encode(&mut bytes).map_err(Failure::bad)?;
    write(path, &bytes)
}

/// 32 bytes from their digits.
pub fn hex(text: &str) -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    let digits: Option<Vec<u8>> = text.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
    let digits = digits.filter(|digits| digits.len() == 64);
    let digits = digits.ok_or_else(|| Failure::bad(format!("'{text}': give 64 hexadecimal digits")))?;
    bytes.iter_mut().zip(digits.chunks(2)).for_each(|(byte, pair)| *byte = pair[0] << 4 | pair[1]);
    Ok(bytes)
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| Failure::bad(format!("no random numbers: {e}; give them by hand")))?;
    Ok(bytes)
}

/// The file of an entry.
fn numbered(path: &Path, entry: usize, entries: usize) -> PathBuf {
    match (entries, path.extension()) {
        (0 | 1, _) => path.to_path_buf(),
        (_, Some(extension)) => path.with_extension(format!("{entry}.{}", extension.to_string_lossy())),
        (_, None) => path.with_extension(entry.to_string()),
    }
}
