//! `selvedge inspect`: what an artifact holds and costs.

use crate::error::Failure;
use crate::files::open_artifact;
use crate::memory_map;
use crate::table::{render, thousands};
use selvedge::{AlignedBuf, Artifact, IsaKind, best_isa, kernel_name};
use selvedge_compiler::inspect::{StepSummary, Summary, summarize};
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Artifact to inspect
    model: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
    /// Write a picture of the arena over the steps
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let file = open_artifact(&args.model)?;
    let name = args.model.display().to_string();
    let summary = summary_of(&file).map_err(|e| Failure::bad(format!("{name}: {e}")))?;
    if let Some(path) = &args.svg {
        std::fs::write(path, memory_map::svg(&summary, &name))
            .map_err(|e| Failure::bad(format!("{}: {e}", path.display())))?;
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&summary).map_err(Failure::bad)?)?;
    } else {
        out.write_all(text(&name, &summary).as_bytes())?;
    }
    Ok(())
}

/// Reads the summary; kernels are named for the instruction set this machine would use.
pub fn summary_of(file: &AlignedBuf) -> Result<Summary, selvedge::Error> {
    let artifact = Artifact::parse(file)?;
    let isa = best_isa().unwrap_or(IsaKind::Portable);
    summarize(&artifact, &|op, format| kernel_name(op, format, isa).to_string())
}

fn text(name: &str, s: &Summary) -> String {
    let shape = |dims: &[u32]| dims.iter().map(u32::to_string).collect::<Vec<_>>().join("x");
    let mut text = format!("{name}\n");
    for (what, ports) in [("input", &s.inputs), ("output", &s.outputs)] {
        for p in ports {
            let grid = match (p.scale, p.zero_point) {
                (Some(scale), Some(zp)) => format!(", real = (q - {zp}) * {scale}"),
                _ => String::new(),
            };
            let kept = if p.state { ", state" } else { "" };
            let place = match &p.region {
                Some(region) if s.regions.len() > 1 => format!(", in {region}"),
                _ => String::new(),
            };
            text += &format!("{what:>10}  {} {} {}{grid}{kept}{place}\n", p.name, p.dtype, shape(&p.shape));
        }
    }
    text += &format!(
        "{:>10}  {} bytes, of them weights {}\n",
        "flash",
        thousands(s.artifact_bytes as u64),
        thousands(s.weights_bytes as u64)
    );
    text += &format!(
        "{:>10}  {} bytes (inputs, outputs and scratch included; lower bound {})\n",
        "arena",
        thousands(s.arena_bytes as u64),
        thousands(s.arena_lower_bound_bytes as u64)
    );
    if s.state_bytes > 0 {
        text += &format!("{:>10}  {} bytes between frames\n", "state", thousands(s.state_bytes as u64));
    }
    if s.regions.len() > 1 {
        for region in &s.regions {
            text += &format!("{:>10}  {} bytes\n", region.name, thousands(region.bytes as u64));
        }
    }
    if let Some(bytes) = s.staged_bytes {
        text +=
            &format!("{:>10}  weights are read step by step, at most {} bytes\n", "staged", thousands(bytes as u64));
    }
    text += &format!("{:>10}  {}\n{:>10}  {}\n\n", "MACs", thousands(s.macs), "ops", s.ops);
    let rows: Vec<Vec<String>> = s
        .steps
        .iter()
        .map(|step| {
            let mut row = vec![
                step.index.to_string(),
                step.op.clone(),
                shape(&step.output_shape),
                step.macs.to_string(),
                step.weights_bytes.to_string(),
                step.scratch_bytes.to_string(),
                step.kernel.clone(),
                shorten(&step.name),
            ];
            if s.regions.len() > 1 {
                row.insert(6, places(step));
            }
            if s.staged_bytes.is_some() {
                row.insert(6, step.staged_bytes.to_string());
            }
            row
        })
        .collect();
    let mut head = vec!["step", "op", "output", "MACs", "weights", "scratch", "kernel", "name"];
    if s.regions.len() > 1 {
        head.insert(6, "in > out (scratch, staged)");
    }
    if s.staged_bytes.is_some() {
        head.insert(6, "staged");
    }
    text + &render(&head, &rows)
}

/// Where a step's operands lie: `slow > fast (fast, slow)`.
fn places(step: &StepSummary) -> String {
    let mut text = format!("{} > {}", step.input_regions.join("+"), step.output_region);
    let beside = [&step.scratch_region, &step.staged_region].map(|r| r.as_deref().unwrap_or("-"));
    if beside != ["-", "-"] {
        text += &format!(" ({})", if beside[1] == "-" { beside[0].to_string() } else { beside.join(", ") });
    }
    text
}

/// The last 40 characters of a long name.
pub fn shorten(name: &str) -> String {
    let count = name.chars().count();
    if count <= 40 { name.to_string() } else { format!("…{}", name.chars().skip(count - 39).collect::<String>()) }
}
