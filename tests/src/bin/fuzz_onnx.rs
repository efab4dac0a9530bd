//! Mutates ONNX files, imports and compiles each; a panic, too much time or too much memory ends it with the seed
//! that led there.
//!
//! `cargo run --release -p selvedge-tests --bin fuzz_onnx -- --executions 100000`

use selvedge::AlignedBuf;
use selvedge_compiler::import::{ImportOptions, import_onnx_bytes};
use selvedge_compiler::{CompileOptions, compile};
use selvedge_tests::exercise::{ARENA_LIMIT, exercise};
use selvedge_tests::mutate::{Rng, mutate_file};
use selvedge_tests::{conformance, data_dir};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the importer may take for a file of so many bytes.
fn memory_limit(file: usize) -> u64 {
    4 * file as u64 + (64 << 20)
}

/// What import and compilation may take together.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Larger files are weights for the most part; mutating those finds little.
const SEED_LIMIT: u64 = 4 << 20;

/// Panics that shape inference met and the importer turned into an error.
static CAUGHT: AtomicU64 = AtomicU64::new(0);

fn argument(name: &str, default: u64) -> u64 {
    let args: Vec<String> = std::env::args().collect();
    let value = args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    value.map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name} needs a number, not {v}")))
}

fn onnx_files(dir: &Path, out: &mut Vec<Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut paths: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            onnx_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "onnx")
            && path.metadata().is_ok_and(|m| m.len() <= SEED_LIMIT)
            && let Ok(bytes) = std::fs::read(&path)
        {
            out.push(bytes);
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = selvedge_tests::fuzz_seeds();
    if let Some(data) = data_dir("mutations of real ONNX files") {
        onnx_files(&data.join("cases"), &mut seeds);
        onnx_files(&data.join("models"), &mut seeds);
    }
    if let Some(wheel) = conformance::wheel("mutations of the onnx package's models") {
        let cases = conformance::cases(&wheel).expect("a readable package");
        // As many as there are real models, so that these stay half of the work.
        let step = (cases.len() / (4 * seeds.len()).max(1)).max(1);
        seeds.extend(cases.into_iter().step_by(step).map(|case| case.model));
    }
    seeds
}

/// How far a file came: refused, imported, compiled, run.
fn execute(bytes: &[u8], arena: &mut [u8]) -> usize {
    if import_onnx_bytes(bytes, &ImportOptions::default()).is_err() {
        return 0;
    }
    let Ok(compiled) = compile(bytes, &CompileOptions::default()) else { return 1 };
    if compiled.artifact.len() < 1 << 22 && compiled.plan.arena_bytes <= ARENA_LIMIT {
        exercise(&AlignedBuf::from(&compiled.artifact[..]), arena);
        return 3;
    }
    2
}

fn main() {
    let (executions, first) = (argument("--executions", 10_000), argument("--seed", 1));
    let seeds = seeds();
    std::panic::set_hook(Box::new(|_| {
        CAUGHT.fetch_add(1, Ordering::Relaxed);
    }));
    let mut arena = AlignedBuf::zeroed(ARENA_LIMIT);
    let (mut reached, mut slowest, mut fullest) = ([0u64; 4], Duration::ZERO, 0f64);
    let start = Instant::now();
    for execution in first..first + executions {
        let mut rng = Rng::new(execution);
        let bytes = mutate_file(&seeds[rng.below(seeds.len())], &mut rng);
        let fail = |what: String| -> ! {
            println!("seed {execution}: {what} (repeat with --seed {execution} --executions 1)");
            std::process::exit(1)
        };
        let began = Instant::now();
        let mut result = Ok(0);
        let memory = allocation_counter::measure(|| {
            let import = || drop(import_onnx_bytes(&bytes, &ImportOptions::default()));
            result = catch_unwind(AssertUnwindSafe(import)).map(|()| 0);
        });
        result = result.and_then(|_| catch_unwind(AssertUnwindSafe(|| execute(&bytes, &mut arena))));
        match result {
            Ok(stage) => reached[stage] += 1,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                fail(format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")));
            }
        }
        let taken = began.elapsed();
        if taken > TIME_LIMIT {
            fail(format!("{:.1} s", taken.as_secs_f64()));
        }
        if memory.bytes_max > memory_limit(bytes.len()) {
            fail(format!("{} bytes of memory for a file of {}", memory.bytes_max, bytes.len()));
        }
        slowest = slowest.max(taken);
        fullest = fullest.max(memory.bytes_max as f64 / memory_limit(bytes.len()) as f64);
    }
    println!(
        "{executions} files from {} models in {:.1} s: {} refused, {} imported, {} compiled, {} run; slowest {:.0} ms, at most {:.0} % of the memory allowed; no panic ({} inside of shape inference became errors)",
        seeds.len(),
        start.elapsed().as_secs_f64(),
        reached[0],
        reached[1],
        reached[2],
        reached[3],
        slowest.as_secs_f64() * 1e3,
        fullest * 100.0,
        CAUGHT.load(Ordering::Relaxed)
    );
}
