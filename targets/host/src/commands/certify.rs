//! `selvedge certify`: within which radius a smoothed prediction cannot change.

use super::certify_input::{self, CertifyInput, InputArgs};
use crate::error::Failure;
use crate::files::open_artifact;
use crate::progress;
use selvedge::certify::{
    Alpha, Certifier, Decision, Identity, Input, LOOK_COUNTS, Look, Looks, MOST_CLASSES, Plan, Record, Rule, count,
    look_at, probability_for,
};
use selvedge::noise::{NoiseTable, Sigma};
use selvedge::{AlignedBuf, Artifact, Session, SessionClassifier};
use std::path::PathBuf;
use std::time::Instant;

/// Draws of a thread between two looks at the progress.
const CHUNK: u32 = 64;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Standard deviation of the noise in the input's units: 0.25 is a quarter of the range of a picture
    #[arg(long, required_unless_present = "sigma_steps")]
    sigma: Option<f64>,
    /// The same in steps of the input's grid
    #[arg(long, conflicts_with = "sigma")]
    sigma_steps: Option<f64>,
    /// Probability that the statement is false
    #[arg(long, default_value_t = 0.001)]
    alpha: f64,
    /// Draws that choose the class
    #[arg(long, default_value_t = 100)]
    selection: u32,
    /// Draws that estimate its probability; with --target the most that are made
    #[arg(long, default_value_t = 10_000)]
    draws: u32,
    /// Stop as soon as this radius (in the input's units) is certified or out of reach
    #[arg(long, value_name = "RADIUS")]
    target: Option<f64>,
    /// 64 hexadecimal digits chosen by whoever shall believe the result, after model and input are fixed; without, random ones
    #[arg(long, value_name = "HEX")]
    nonce: Option<String>,
    /// Right classes of the entries (.npy): prints the certified accuracy for radii
    #[arg(long, value_name = "FILE.npy")]
    labels: Option<String>,
    /// Write the record of the result, for `selvedge verify`; of several entries with their number in the name
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Threads; the counts are the same for any number
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What became of an entry.
struct Outcome {
    decision: Decision,
    drawn: u32,
    counts: Vec<u32>,
    seconds: f64,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let model = args.input.model.display().to_string();
    let failed = |e: &dyn std::fmt::Display| Failure::bad(format!("{model}: {e}"));
    let file = open_artifact(&args.input.model)?;
    let artifact = Artifact::parse(&file).map_err(|e| failed(&e))?;
    let input = certify_input::load(&args.input, &artifact)?;
    let classes = certify_input::classes(&artifact)?;
    let sigma = sigma(args, input.per_unit)?;
    let bytes = selvedge_noise::build_table(sigma).map_err(|e| Failure::bad(format!("--sigma: {e}")))?;
    let table = NoiseTable::parse(&bytes).map_err(|e| failed(&e))?;
    let looks = looks(args, &input, &table)?;
    let rule = match &looks {
        None => Rule::Fixed { n: args.draws },
        Some((p0, looks)) => Rule::Sequential(Looks { p0: *p0, alpha: args.alpha, looks }),
    };
    let alpha = Alpha::new(args.alpha)
        .ok_or_else(|| Failure::bad(format!("--alpha {}: give a probability between 0 and 1", args.alpha)))?;
    let plan = Plan::new(&table, input.size, classes, args.selection, rule, alpha)
        .map_err(|e| Failure::bad(format!("--draws {}: {e}", args.draws)))?;
    let labels = args.labels.as_deref().map(|file| certify_input::labels(file, input.entries())).transpose()?;
    let nonce = nonce(args.nonce.as_deref())?;
    let mut outcomes = Vec::new();
    for entry in 0..input.entries() {
        let identity = Identity { model: artifact.header().digest, nonce };
        let begin = Instant::now();
        let mut certifier =
            Certifier::<MOST_CLASSES>::new(&plan, input.entry(entry), &identity).map_err(|e| failed(&e))?;
        draw(&mut certifier, &plan, &artifact, &input, entry, args.threads.max(1))?;
        let decision = certifier.decision().ok_or_else(|| failed(&"no decision"))?;
        let (drawn, counts) = (certifier.progress().drawn, certifier.counts().1.to_vec());
        outcomes.push(Outcome { decision, drawn, counts, seconds: begin.elapsed().as_secs_f64() });
        if let Some(path) = &args.record {
            let mut record = vec![0; Record::bytes(classes)];
            certifier.record(&mut record).ok_or_else(|| failed(&"no record"))?;
            let path = numbered(path, entry, input.entries());
            std::fs::write(&path, record).map_err(|e| Failure::bad(format!("{}: {e}", path.display())))?;
        }
        if !args.json {
            println!("{}", describe(entry, outcomes.last(), sigma, &input));
        }
    }
    let certified = outcomes.iter().filter(|o| matches!(o.decision, Decision::Certified { .. })).count();
    if args.json {
        println!("{}", json(args, &outcomes, sigma, &input, certified));
    } else if let Some(labels) = &labels {
        print!("{}", accuracy(&outcomes, labels, sigma, &input));
    }
    match certified {
        0 => Err(Failure::No(if args.json { String::new() } else { "nothing is certified".into() })),
        _ => Ok(()),
    }
}

/// σ in grid steps, to 1/1024 of a step.
fn sigma(args: &Args, per_unit: f64) -> Result<Sigma, Failure> {
    let steps = args.sigma_steps.or(args.sigma.map(|sigma| sigma * per_unit)).unwrap_or(0.0);
    let parts = (steps * 1024.0).round();
    let sigma = (1.0..=4.0e6).contains(&parts).then(|| Sigma::new(parts as u32, 1024)).flatten();
    sigma.ok_or_else(|| Failure::bad(format!("--sigma: {steps} steps of the input's grid; give 0.001 to 3000 steps")))
}

/// The looks of a target radius.
fn looks(args: &Args, input: &CertifyInput, table: &NoiseTable<'_>) -> Result<Option<(f64, Vec<Look>)>, Failure> {
    let Some(target) = args.target else { return Ok(None) };
    let price = table.tv_price(input.size as u32);
    let p0 = probability_for(target * input.per_unit, price, table.sigma())
        .ok_or_else(|| Failure::bad(format!("--target {target}: give a radius above 0 and below 8 sigma")))?;
    let counts = LOOK_COUNTS.iter().take_while(|&&n| n <= args.draws);
    let looks: Vec<Look> = counts.map(|&n| look_at(n, p0, args.alpha)).collect();
    if looks.is_empty() {
        return Err(Failure::bad(format!("--draws {}: a target is looked at after 16 draws first", args.draws)));
    }
    Ok(Some((p0, looks)))
}

fn nonce(text: Option<&str>) -> Result<[u8; 32], Failure> {
    let mut nonce = [0; 32];
    match text {
        None => getrandom::fill(&mut nonce).map_err(|e| Failure::bad(format!("no random nonce: {e}; give --nonce")))?,
        Some(text) => {
            let digits: Option<Vec<u8>> = text.chars().map(|c| Some(c.to_digit(16)? as u8)).collect();
            let digits = digits.filter(|d| d.len() == 64);
            let digits = digits.ok_or_else(|| Failure::bad("--nonce: give 64 hexadecimal digits"))?;
            nonce.iter_mut().zip(digits.chunks(2)).for_each(|(byte, pair)| *byte = pair[0] << 4 | pair[1]);
        }
    }
    Ok(nonce)
}

/// Makes the draws, on threads with a session each.
fn draw(
    certifier: &mut Certifier<'_, MOST_CLASSES>,
    plan: &Plan<'_>,
    artifact: &Artifact<'_>,
    input: &CertifyInput,
    entry: usize,
    threads: usize,
) -> Result<(), Failure> {
    let bar = progress::bar(plan.budget() as usize, "certifying");
    let mut arenas: Vec<AlignedBuf> = (0..threads).map(|_| AlignedBuf::zeroed(artifact.arena_bytes())).collect();
    let mut sessions = Vec::new();
    for arena in &mut arenas {
        sessions.push(Session::new(*artifact, arena).map_err(Failure::bad)?);
    }
    let classes = usize::from(plan.classes());
    let codes: Input<'_> = input.entry(entry);
    while let Some(draws) = certifier.pending(CHUNK * threads as u32) {
        let key = certifier.key();
        let part = |session: &mut Session<'_>, samples: std::ops::Range<u64>| -> Result<Vec<u32>, Failure> {
            let mut counts = vec![0; classes];
            let mut model = SessionClassifier::new(session, input.map).map_err(Failure::bad)?;
            let noise = (plan.table(), key, draws.domain);
            count(&mut model, codes, noise, samples, &mut counts).map_err(Failure::bad)?;
            Ok(counts)
        };
        let (from, to) = (draws.samples.start, draws.samples.end);
        let each = (to - from).div_ceil(threads as u64).max(1);
        let parts: Vec<Result<Vec<u32>, Failure>> = std::thread::scope(|scope| {
            let spawned: Vec<_> = sessions
                .iter_mut()
                .enumerate()
                .map(|(i, session)| {
                    let begin = (from + i as u64 * each).min(to);
                    let samples = begin..(begin + each).min(to);
                    let part = &part;
                    scope.spawn(move || part(session, samples))
                })
                .collect();
            let lost = || Err(Failure::bad("a thread was lost"));
            spawned.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
        });
        let mut sum = vec![0; classes];
        for counts in parts {
            sum.iter_mut().zip(counts?).for_each(|(sum, count)| *sum += count);
        }
        certifier.add(&draws, &sum).map_err(|()| Failure::bad("draws were lost"))?;
        bar.set_position(u64::from(certifier.progress().drawn));
    }
    bar.finish_and_clear();
    Ok(())
}

/// The file of an entry's record.
fn numbered(path: &std::path::Path, entry: usize, entries: usize) -> PathBuf {
    match (entries, path.extension()) {
        (0 | 1, _) => path.to_path_buf(),
        (_, Some(extension)) => path.with_extension(format!("{entry}.{}", extension.to_string_lossy())),
        (_, None) => path.with_extension(entry.to_string()),
    }
}

/// A radius in the input's units.
fn units(radius_squared: u64, input: &CertifyInput) -> f64 {
    (radius_squared as f64).sqrt() / input.per_unit
}

fn describe(entry: usize, outcome: Option<&Outcome>, sigma: Sigma, input: &CertifyInput) -> String {
    let Some(outcome) = outcome else { return String::new() };
    let time = format!("{} draws, {:.2} s", outcome.drawn, outcome.seconds);
    match outcome.decision {
        Decision::Certified { class, radius_squared } => {
            let radius = units(radius_squared, input);
            let sigmas = (radius_squared as f64).sqrt() / sigma.value();
            format!(
                "entry {entry}: class {class} within radius {radius:.4} ({sigmas:.2} sigma; sum of squared steps at most \
                 {radius_squared}), {time}"
            )
        }
        Decision::Abstain(reason) => format!("entry {entry}: no certificate: {reason} ({time})"),
    }
}

/// Certified accuracy against the radius, as a table with bars.
fn accuracy(outcomes: &[Outcome], labels: &[i64], sigma: Sigma, input: &CertifyInput) -> String {
    let mut text = format!("{:>8}  {:>7}  certified accuracy, {} entries\n", "radius", "sigmas", outcomes.len());
    for quarter in 0..=16u32 {
        let sigmas = f64::from(quarter) / 4.0;
        let steps = sigmas * sigma.value();
        let right = |(outcome, label): &(&Outcome, &i64)| match outcome.decision {
            Decision::Certified { class, radius_squared } => {
                i64::from(class) == **label && (radius_squared as f64) >= steps * steps
            }
            Decision::Abstain(_) => false,
        };
        let count = outcomes.iter().zip(labels).filter(right).count();
        let part = count as f64 / outcomes.len().max(1) as f64;
        let bar = "#".repeat((part * 40.0).round() as usize);
        text += &format!("{:>8.4}  {sigmas:>7.2}  {:>5.1} % {bar}\n", steps / input.per_unit, part * 100.0);
        if count == 0 {
            break;
        }
    }
    text
}

fn json(args: &Args, outcomes: &[Outcome], sigma: Sigma, input: &CertifyInput, certified: usize) -> serde_json::Value {
    let entry = |outcome: &Outcome| {
        let (decision, reason, class, radius, square) = match outcome.decision {
            Decision::Certified { class, radius_squared } => {
                ("certified", None, Some(class), Some(units(radius_squared, input)), Some(radius_squared))
            }
            Decision::Abstain(reason) => ("abstain", Some(reason.to_string()), None, None, None),
        };
        serde_json::json!({
            "decision": decision, "reason": reason, "class": class, "radius": radius, "radius_sq_steps": square,
            "sigma": sigma.value() / input.per_unit, "sigma_steps": sigma.value(), "alpha": args.alpha,
            "n": outcome.drawn, "counts": outcome.counts, "seconds": outcome.seconds,
        })
    };
    match outcomes {
        [one] => entry(one),
        _ => serde_json::json!({
            "certified": certified, "inputs": outcomes.len(), "entries": outcomes.iter().map(entry).collect::<Vec<_>>(),
        }),
    }
}
