//! Gaussian noise: the rules that count, and the one that weighs.

use super::measure::Measure;
use super::outcome::Outcome;
use super::request::Rows;
use super::{Task, draws, margin, numbered, text, write};
use crate::error::Failure;
use selvedge::certify::{Job, Record, Terms, record_bytes};
use selvedge::noise::{NoiseTable, Sigma};
use std::path::Path;

/// All entries. `None` after their commitments, where only those are asked for.
pub fn run(task: &Task<'_>) -> Result<Option<(Vec<Outcome>, Measure)>, Failure> {
    let Task { args, input, .. } = task;
    let request = &args.request;
    let sigma = request.sigma(input.per_unit)?;
    let table = selvedge_noise::build_table(sigma).map_err(|e| Failure::bad(format!("--sigma: {e}")))?;
    let table = NoiseTable::parse(&table).map_err(Failure::bad)?;
    let mut rows = Rows::new(request.draws());
    let looks = request.looks(input, &table, &mut rows)?;
    let maps = margin::maps(task.source)?;
    let spec = request.spec(input, sigma, looks.as_ref(), &maps)?;
    let terms = |entry: usize| Terms::new(&spec, task.subject(entry), &table).map_err(|e| request.refused(&e));
    if args.commit {
        for entry in 0..input.entries() {
            println!("{}  {}", text(&terms(entry)?.commitment()), input.name(entry));
        }
        return Ok(None);
    }
    let measure = Measure::L2 { sigma, per_unit: input.per_unit };
    let outcomes = task.each_entry(&measure, |workers, entry| {
        let (terms, nonce) = (terms(entry)?, task.nonce()?);
        let job = match args.nonce {
            Some(_) => Job::new(&terms, nonce),
            None => Job::with_own_nonce(&terms, nonce),
        };
        let name = input.name(entry);
        let outcome = match request.rule() {
            "margin" => margin::run(workers, &job, &name, &maps)?,
            _ => {
                let run = draws::run(workers, &job, &name, args.record.is_some())?;
                keep(task, entry, &run)?;
                let decision = run.certifier.decision().ok_or_else(|| Failure::bad("no decision"))?;
                Outcome::new(decision.into(), run.certifier.drawn(), run.certifier.estimate().as_slice())
            }
        };
        Ok(fields(outcome, task, sigma).with("nonce", text(&nonce)).with("own_nonce", args.nonce.is_none()))
    })?;
    Ok(Some((outcomes, measure)))
}

fn fields(outcome: Outcome, task: &Task<'_>, sigma: Sigma) -> Outcome {
    outcome
        .with("rule", task.args.request.rule())
        .with("sigma", sigma.value() / task.input.per_unit)
        .with("sigma_steps", sigma.value())
        .with("alpha", task.args.request.alpha())
}

/// Writes record and predictions where they are asked for.
fn keep(task: &Task<'_>, entry: usize, run: &draws::Run<'_>) -> Result<(), Failure> {
    let (args, entries) = (task.args, task.input.entries());
    if let Some(path) = &args.record {
        let record = run.certifier.record(run.tree.as_deref()).map_err(Failure::bad)?;
        write_record(&numbered(path, entry, entries), &record)?;
    }
    if let Some(path) = &args.predictions {
        let bytes: Vec<u8> = run.predictions.iter().flat_map(|class| class.to_le_bytes()).collect();
        write(&numbered(path, entry, entries), &bytes)?;
    }
    Ok(())
}

fn write_record<const CLASSES: usize>(path: &Path, record: &Record<CLASSES>) -> Result<(), Failure> {
    let mut bytes = vec![0; record_bytes(record.classes)];
    record.encode(&mut bytes).map_err(Failure::bad)?;
    write(path, &bytes)
}
