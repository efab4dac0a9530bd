//! The `selvedge` command.
#![forbid(unsafe_code)]

mod commands;
mod error;
mod feed;
mod files;
mod memory_map;
mod progress;
mod table;
mod timing;

use clap::{Parser, Subcommand};
use error::{Failure, exit};

/// Compile ONNX models to exact artifacts, and run, inspect, compare, time and certify them.
///
/// Exit codes: 0 done, 1 the answer is no, 2 bad input.
#[derive(Parser)]
#[command(name = "selvedge", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compile an ONNX model to an artifact
    Compile(Box<commands::compile::Args>),
    /// Make one version of an elastic artifact, as a device does at load
    #[command(disable_version_flag = true)]
    Select(commands::low_bit::SelectArgs),
    /// Attach LoRA adapters to an artifact, and detach them
    #[command(subcommand)]
    Adapter(commands::adapter::Args),
    /// Show an artifact's ops, flash, arena and memory map
    Inspect(commands::inspect::Args),
    /// Run an artifact on inputs from files
    Run(commands::run::Args),
    /// Compare an artifact with the float model, layer by layer
    Compare(commands::compare::Args),
    /// Time an artifact
    Bench(commands::bench::Args),
    /// Take noise out of a picture or of speech
    Denoise(commands::denoise::Args),
    /// Certify predictions: a radius within which the smoothed classifier cannot change
    Certify(Box<commands::certify::Args>),
    /// Check a record of `certify`, making every draw again
    Verify(commands::verify::Args),
    /// The whole story on an embedded model: compile, run, what it costs and what it loses
    Demo(commands::demo::Args),
}

fn main() -> std::process::ExitCode {
    let result: Result<(), Failure> = match Cli::parse().command {
        Command::Compile(args) => commands::compile::run(&args),
        Command::Select(args) => commands::low_bit::select(&args),
        Command::Adapter(args) => commands::adapter::run(&args),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
        Command::Denoise(args) => commands::denoise::run(&args),
        Command::Certify(args) => commands::certify::run(&args),
        Command::Verify(args) => commands::verify::run(&args),
        Command::Demo(args) => commands::demo::run(&args),
    };
    exit(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_subcommand_is_well_formed() {
        // What clap checks in development builds only, when the subcommand is used.
        Cli::command().debug_assert();
    }
}
