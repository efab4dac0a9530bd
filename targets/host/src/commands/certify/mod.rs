//! `selvedge certify`: within which radius a smoothed prediction cannot change.

mod draws;
pub mod input;
mod l0;
mod l1;
mod l2;
mod margin;
mod measure;
pub mod model;
mod options;
mod outcome;
mod plot;
pub mod request;

use crate::error::Failure;
use input::{CertifyInput, InputArgs};
use l0::L0Args;
use l1::L1Args;
use measure::Measure;
use model::{Pool, Source, Workers};
use outcome::Outcome;
use request::RequestArgs;
use selvedge::certify::Subject;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Which changes of an input are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Norm {
    /// The root of the sum of squares, under Gaussian noise
    L2,
    /// The sum of absolute values, under splitting noise: certain, no draws
    L1,
    /// How many positions, any value each: a model that sees few of them
    L0,
}

impl fmt::Display for Norm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Norm::L2 => "l2",
            Norm::L1 => "l1",
            Norm::L0 => "l0",
        })
    }
}

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// How changes of the input are measured; the model has to be trained for the noise of the norm
    #[arg(long, value_enum, default_value_t = Norm::L2)]
    norm: Norm,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    l1: L1Args,
    #[command(flatten)]
    l0: L0Args,
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

/// What is asked, of what.
pub struct Task<'a> {
    args: &'a Args,
    source: &'a Source,
    input: &'a CertifyInput,
    model: [u8; 32],
    classes: usize,
    nonce: Option<[u8; 32]>,
}

impl<'a> Task<'a> {
    /// An entry as the subject of a certificate.
    fn subject(&self, entry: usize) -> Subject<'a> {
        self.input.subject(entry, self.model, self.classes)
    }

    /// The nonce that was given, or a new one.
    fn nonce(&self) -> Result<[u8; 32], Failure> {
        self.nonce.map_or_else(random, Ok)
    }

    /// Certifies entry by entry and says what became of each.
    fn each_entry(
        &self,
        measure: &Measure,
        mut one: impl FnMut(&mut Workers<'_>, usize) -> Result<Outcome, Failure>,
    ) -> Result<Vec<Outcome>, Failure> {
        let mut pool = Pool::new(self.source, self.input.map, self.args.threads, self.args.batch)?;
        let mut workers = pool.workers()?;
        let mut outcomes = Vec::new();
        for entry in 0..self.input.entries() {
            let begin = Instant::now();
            let mut outcome = one(&mut workers, entry)?;
            outcome.seconds = begin.elapsed().as_secs_f64();
            if !self.args.json {
                println!("{}", outcome.describe(&self.input.name(entry), measure));
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

pub fn run(args: &Args) -> Result<(), Failure> {
    options::check(args)?;
    let source = Source::open(&args.input)?;
    let input = input::load(&args.input, &source.front()?)?;
    let labels = args.labels.as_deref().map(|file| input::labels(file, input.entries())).transpose()?;
    let nonce = args.nonce.as_deref().map(hex).transpose()?;
    let (model, classes) = (source.name()?, source.classes()?);
    let task = Task { args, source: &source, input: &input, model, classes, nonce };
    let done = match args.norm {
        Norm::L2 => l2::run(&task),
        Norm::L1 => l1::run(&task),
        Norm::L0 => l0::run(&task),
    };
    match done? {
        Some((outcomes, measure)) => report(&task, &outcomes, &measure, labels.as_deref()),
        None => Ok(()),
    }
}

fn report(task: &Task<'_>, outcomes: &[Outcome], measure: &Measure, labels: Option<&[i64]>) -> Result<(), Failure> {
    let args = task.args;
    let right = |labels: &[i64]| -> Vec<Option<u64>> {
        outcomes.iter().zip(labels).map(|(outcome, &label)| outcome.right(label)).collect()
    };
    let curve = labels.map(|labels| measure.curve(&right(labels)));
    if let (Some(path), Some(curve)) = (&args.plot, &curve) {
        write(path, plot::svg(curve, measure).as_bytes())?;
    }
    if args.json {
        let names: Vec<String> = (0..outcomes.len()).map(|entry| task.input.name(entry)).collect();
        println!("{}", outcome::json(outcomes, &names, measure));
    } else {
        if outcomes.len() > 1 {
            print!("{}", outcome::summary(outcomes, measure));
        }
        if let Some(curve) = &curve {
            print!("{}", measure.table(curve));
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
