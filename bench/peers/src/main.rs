//! selvedge beside tract and rten on the same models, one thread, one process, rounds interleaved.
//!
//! `cargo run --release -- [--rounds N] [--json]` reads the models from `SELVEDGE_DATA`
//! (default `../shared` beside the workspace). Every runner gets the same input codes.
//! `SELVEDGE_ISA=avx2|portable` chooses our kernels.

mod runners;

use runners::{Runner, rten_runner, selvedge_runner, tract_runner};
use std::path::PathBuf;
use std::time::Instant;

/// Seconds a runner gets in one round.
const SLICE: f64 = 0.08;

struct Entry {
    name: String,
    run: Runner,
    /// Per round: the median time of one run.
    rounds: Vec<f64>,
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    // rten sizes its pool once, from the environment.
    if std::env::var_os("RTEN_NUM_THREADS").is_none() {
        let program = std::env::current_exe().expect("own path");
        let status = std::process::Command::new(program)
            .args(std::env::args_os().skip(1))
            .env("RTEN_NUM_THREADS", "1")
            .status()
            .expect("runs itself");
        std::process::exit(status.code().unwrap_or(2));
    }
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let rounds: usize = value("--rounds").map_or(15, |v| v.parse().expect("--rounds N"));
    let json = args.iter().any(|a| a == "--json");
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let data = std::env::var_os("SELVEDGE_DATA").map_or(default, PathBuf::from).join("models/mlperf_tiny");
    let mut report = Vec::new();
    for model in ["kws", "vww", "ic", "ad"] {
        let mut entries = Vec::new();
        for form in ["fp32", "int8", "qu8s8"] {
            let path = data.join(format!("{model}_{form}.onnx"));
            let makers: [(&str, fn(&std::path::Path) -> Result<Runner, String>); 3] =
                [("selvedge", selvedge_runner), ("tract", tract_runner), ("rten", rten_runner)];
            for (peer, make) in makers {
                match make(&path) {
                    Ok(run) => entries.push(Entry { name: format!("{peer} {form}"), run, rounds: Vec::new() }),
                    Err(e) => eprintln!("{model}: {peer} {form}: {e}"),
                }
            }
        }
        for round in 0..=rounds {
            for entry in &mut entries {
                let mut times = Vec::new();
                let start = Instant::now();
                while start.elapsed().as_secs_f64() < SLICE || times.len() < 3 {
                    let began = Instant::now();
                    (entry.run)();
                    times.push(began.elapsed().as_secs_f64());
                }
                // The first round warms up.
                if round > 0 {
                    entry.rounds.push(median(&mut times));
                }
            }
        }
        let mut results: Vec<(String, f64, f64)> = entries
            .into_iter()
            .map(|mut e| {
                let mid = median(&mut e.rounds) * 1e6;
                (e.name, mid, e.rounds.first().copied().unwrap_or(f64::NAN) * 1e6)
            })
            .collect();
        let ours = results.iter().find(|r| r.0 == "selvedge int8").map_or(f64::NAN, |r| r.1);
        results.sort_by(|a, b| a.1.total_cmp(&b.1));
        for (name, mid, best) in &results {
            if json {
                report.push(serde_json::json!({"model": model, "runner": name, "median_us": mid, "best_round_us": best, "ratio_to_selvedge_int8": mid / ours}));
            } else {
                println!(
                    "{model:4} {name:16} median {mid:9.1} us  best round {best:9.1} us  {:5.2} x selvedge int8",
                    mid / ours
                );
            }
        }
    }
    if json {
        println!("{}", serde_json::Value::Array(report));
    }
}
