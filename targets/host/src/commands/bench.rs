//! `selvedge bench`: time of a run and of each step.

use crate::commands::inspect::{shorten, summary_of};
use crate::error::Failure;
use crate::files::open_artifact;
use crate::table::render;
use crate::timing::{Stats, StepTimes, clock_ghz, stats, time};
use selvedge::{AlignedBuf, Artifact, DType, Error, StreamSession, state_bytes};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Args {
    /// Artifact to time
    model: PathBuf,
    /// Runs that are timed as one (copies of the input, one after the other)
    #[arg(long, default_value_t = 1, value_name = "N")]
    batch: usize,
    /// Sessions that run side by side, one a thread
    #[arg(long, default_value_t = 1, value_name = "N")]
    threads: usize,
    /// Time of each step
    #[arg(long)]
    layers: bool,
    /// Seconds to measure
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    seconds: f64,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.batch == 0 || args.threads == 0 || !(args.seconds > 0.0 && args.seconds < 3600.0) {
        return Err(Failure::bad("--batch and --threads are at least 1, --seconds is between 0 and 3600"));
    }
    let file = open_artifact(&args.model)?;
    let model = args.model.display().to_string();
    let failed = |e: Error| Failure::bad(format!("{model}: {e}"));
    let summary = summary_of(&file).map_err(failed)?;
    let budget = Duration::from_secs_f64(args.seconds);
    let measure = || measure(&file, args.batch, budget);
    let all: Vec<Result<(Stats, &'static str), Error>> = if args.threads == 1 {
        vec![measure()]
    } else {
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..args.threads).map(|_| scope.spawn(measure)).collect();
            workers.into_iter().map(|w| w.join().unwrap_or(Err(selvedge::ErrorKind::Busy.into()))).collect()
        })
    };
    let all = all.into_iter().collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let isa = all[0].1;
    let median = |f: fn(&Stats) -> f64| all.iter().map(|(s, _)| f(s)).fold(0.0, f64::max);
    let (median_us, min_us) = (median(|s| s.median_us) / args.batch as f64, median(|s| s.min_us) / args.batch as f64);
    let runs: usize = all.iter().map(|(s, _)| s.runs * args.batch).sum();
    let gmac = summary.macs as f64 * args.threads as f64 / median_us / 1e3;
    let clock = clock_ghz();
    let layers = if args.layers { layers(&file, budget).map_err(failed)? } else { Vec::new() };
    let rows: Vec<_> = layers.iter().zip(&summary.steps).collect();
    let mut out = std::io::stdout().lock();
    if args.json {
        let layers: Vec<_> = rows
            .iter()
            .map(|(s, step)| {
                json!({"index": step.index, "op": step.op, "name": step.name, "kernel": step.kernel,
                       "median_us": s.median_us, "mac_per_cycle": step.macs as f64 / (s.median_us * 1e3 * clock)})
            })
            .collect();
        let object = json!({"isa": isa, "threads": args.threads, "batch": args.batch, "runs": runs,
            "median_us": median_us, "min_us": min_us, "macs": summary.macs, "gmac_per_s": gmac, "clock_ghz": clock, "layers": layers});
        writeln!(out, "{object}")?;
        return Ok(());
    }
    writeln!(
        out,
        "{model}: median {median_us:.1} us, min {min_us:.1} us, {gmac:.2} GMAC/s, {runs} runs, {isa}, {} thread(s)",
        args.threads
    )?;
    if args.layers {
        let table: Vec<Vec<String>> = rows
            .iter()
            .map(|(s, step)| {
                let rate = step.macs as f64 / (s.median_us * 1e3 * clock);
                let index = step.index.to_string();
                vec![
                    index,
                    step.op.clone(),
                    format!("{:.2}", s.median_us),
                    format!("{rate:.1}"),
                    step.kernel.clone(),
                    shorten(&step.name),
                ]
            })
            .collect();
        write!(out, "\n{}", render(&["step", "op", "median us", "MAC/cycle", "kernel", "name"], &table))?;
    }
    Ok(())
}

fn measure(file: &AlignedBuf, batch: usize, budget: Duration) -> Result<(Stats, &'static str), Error> {
    let artifact = Artifact::parse(file)?;
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut state = vec![0; state_bytes(&artifact)];
    let mut session = StreamSession::new(artifact, &mut arena, &mut state)?;
    if batch == 1 {
        let s = time(&mut session, budget, 20, &mut fill)?;
        return Ok((s, session.isa().name()));
    }
    let mut seconds = Vec::new();
    let start = std::time::Instant::now();
    fill(&mut session)?;
    session.step()?;
    while seconds.len() < 5 || start.elapsed() < budget {
        let began = std::time::Instant::now();
        for _ in 0..batch {
            fill(&mut session)?;
            session.step()?;
        }
        seconds.push(began.elapsed().as_secs_f64());
    }
    Ok((stats(seconds), session.isa().name()))
}

/// Times of each step on inputs of a fixed pattern, over about `budget`.
pub fn layers(file: &AlignedBuf, budget: Duration) -> Result<Vec<Stats>, Error> {
    let artifact = Artifact::parse(file)?;
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut state = vec![0; state_bytes(&artifact)];
    let mut session = StreamSession::new(artifact, &mut arena, &mut state)?;
    let mut times = StepTimes::new(artifact.step_count());
    let start = std::time::Instant::now();
    let mut rounds = 0;
    while rounds < 20 || (start.elapsed() < budget && rounds < 20_000) {
        fill(&mut session)?;
        session.step_probed(&mut times)?;
        rounds += 1;
    }
    Ok(times.seconds.into_iter().map(stats).collect())
}

/// A fixed pattern in every input: a ramp, in −1..1 for f32.
pub fn fill(session: &mut StreamSession<'_>) -> Result<(), Error> {
    for index in 0..session.input_count() {
        let input = session.input(index)?;
        match input.dtype() {
            DType::F32 => {
                for (i, chunk) in input.into_bytes().chunks_exact_mut(4).enumerate() {
                    chunk.copy_from_slice(&((i * 37 % 256) as f32 / 128.0 - 1.0).to_le_bytes());
                }
            }
            DType::I8 | DType::U8 => {
                for (i, byte) in input.into_bytes().iter_mut().enumerate() {
                    *byte = (i * 37) as u8;
                }
            }
            _ => input.into_bytes().fill(0),
        }
    }
    Ok(())
}
