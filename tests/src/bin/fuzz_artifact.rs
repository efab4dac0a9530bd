//! Mutates compiled artifacts, loads and runs each; a panic ends it with the seed that led there.
//!
//! `cargo run --release -p selvedge-tests --bin fuzz_artifact -- --executions 10000000`

use selvedge::AlignedBuf;
use selvedge_compiler::plan::{MemoryOptions, Region};
use selvedge_compiler::{CompileOptions, compile};
use selvedge_tests::exercise::{ARENA_LIMIT, Reached, exercise};
use selvedge_tests::fuzz_seeds;
use selvedge_tests::mutate::{Rng, mutate};
use std::time::Instant;

fn argument(name: &str, default: u64) -> u64 {
    let args: Vec<String> = std::env::args().collect();
    let value = args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    value.map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name} needs a number, not {v}")))
}

fn main() {
    let executions = argument("--executions", 1_000_000);
    let first = argument("--seed", 1);
    let seeds: Vec<AlignedBuf> = fuzz_seeds()
        .iter()
        .flat_map(|onnx| {
            // In one memory; in two with staged weights.
            let divided = [("fast", 2048), ("slow", ARENA_LIMIT)];
            let regions = divided.map(|(name, bytes)| Region { name: name.into(), bytes }).to_vec();
            let memory = MemoryOptions { regions, pins: Vec::new() };
            let divided = CompileOptions { memory, stage_weights: Some(ARENA_LIMIT), ..CompileOptions::default() };
            [CompileOptions::default(), divided]
                .map(|o| AlignedBuf::from(&compile(onnx, &o).expect("the seed model compiles").artifact[..]))
        })
        .collect();
    let largest = seeds.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut arena = AlignedBuf::zeroed(ARENA_LIMIT);
    let mut work = AlignedBuf::zeroed(largest);
    let (mut reached, mut slowest) = ([0u64; 4], std::time::Duration::ZERO);
    let start = Instant::now();
    for execution in 0..executions {
        let mut rng = Rng::new(first + execution);
        let seed = &seeds[rng.below(seeds.len())];
        let bytes = &mut work[..seed.len()];
        bytes.copy_from_slice(seed);
        // Weights are most of an artifact and hold no structure.
        let hot = selvedge_tests::structure_bytes(seed);
        let len = mutate(bytes, hot, &mut rng);
        let began = Instant::now();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| exercise(&work[..len], &mut arena)));
        slowest = slowest.max(began.elapsed());
        match result {
            Ok(Reached::Nothing) => reached[0] += 1,
            Ok(Reached::Parsed) => reached[1] += 1,
            Ok(Reached::Built) => reached[2] += 1,
            Ok(Reached::Ran) => reached[3] += 1,
            Err(_) => {
                eprintln!(
                    "panic at seed {} (repeat with --seed {} --executions 1)",
                    first + execution,
                    first + execution
                );
                std::process::exit(1);
            }
        }
    }
    println!(
        "{executions} executions in {:.1} s: {} refused by parse, {} by validation, {} ended in an error, {} ran; slowest {:.1} ms; no panic",
        start.elapsed().as_secs_f64(),
        reached[0],
        reached[1],
        reached[2],
        reached[3],
        slowest.as_secs_f64() * 1e3
    );
}
