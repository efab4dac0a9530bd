//! `--rule margin`: weights of the classes, added up, in place of counts.

use super::draws::CHUNK;
use super::input::MOST_CLASSES;
use super::model::{Source, Workers};
use super::outcome::{Answer, Outcome};
use crate::error::Failure;
use crate::progress;
use selvedge::DType;
use selvedge::certify::{Bound, Decision, Job, MarginRun, Range, Simplex, Step};

/// Maps that the selection draws choose among.
const MAPS: usize = 6;
/// Differences of scores, in the output's units, that count as 1.
const TEMPERATURES: [f64; 3] = [0.25, 1.0, 4.0];
/// Integer scores of an f32 output have so many steps.
const REAL_STEPS: f64 = 65_536.0;

/// arg-max, softmax at three temperatures and sparsemax at two, in steps of the scores.
pub fn maps(source: &Source) -> Result<[Simplex; MAPS], Failure> {
    let artifact = source.classifier()?;
    let first = artifact.outputs().first().copied().unwrap_or(0);
    let view = artifact.tensor(first as usize).map_err(Failure::bad)?;
    let scale = view.quantization().map_or(1.0, |(scale, _)| f64::from(scale));
    let one = if view.dtype == DType::F32 { REAL_STEPS } else { 1.0 / scale };
    let unit = |temperature: f64| (temperature * one).round().clamp(1.0, f64::from(1u32 << 31)) as u32;
    let [cold, warm, hot] = TEMPERATURES.map(unit);
    Ok([
        Simplex::Argmax,
        Simplex::Softmax { unit: cold },
        Simplex::Softmax { unit: warm },
        Simplex::Softmax { unit: hot },
        Simplex::Sparsemax { unit: warm },
        Simplex::Sparsemax { unit: hot },
    ])
}

/// What a map is called.
fn name(map: Option<&Simplex>, maps: &[Simplex; MAPS]) -> String {
    let temperature = |unit: &u32| {
        let units = maps.iter().filter_map(|map| if let Simplex::Softmax { unit } = map { Some(unit) } else { None });
        let found = units.zip(TEMPERATURES).find(|(known, _)| *known == unit);
        found.map_or(0.0, |(_, temperature)| temperature)
    };
    match map {
        Some(Simplex::Softmax { unit }) => format!("softmax at temperature {}", temperature(unit)),
        Some(Simplex::Sparsemax { unit }) => format!("sparsemax at temperature {}", temperature(unit)),
        _ => "argmax".into(),
    }
}

/// All draws of an entry.
pub fn run(workers: &mut Workers<'_>, job: &Job<'_>, entry: &str, maps: &[Simplex; MAPS]) -> Result<Outcome, Failure> {
    let samples = job.terms().spec().request().samples;
    let bar = progress::bar(samples as usize, "certifying").with_message(entry.to_string());
    let mut run = Box::new(MarginRun::<MOST_CLASSES, MAPS>::new(job).map_err(Failure::bad)?);
    while let Some(range) = run.next_range(CHUNK * workers.count()) {
        let parts = workers.each(range.first, range.len, |model, first, len| {
            run.count(model, Range { first, len, ..range }).map(Box::new).map_err(Failure::bad)
        })?;
        let mut parts = parts.into_iter();
        let mut all = parts.next().ok_or_else(|| Failure::bad("no draws"))?;
        parts.for_each(|part| all.merge(&part));
        run.merge(range, &all).map_err(Failure::bad)?;
        bar.set_position(u64::from(run.draws().1));
    }
    bar.finish_and_clear();
    let Step::Done(decision) = run.status() else { return Err(Failure::bad("no decision")) };
    Ok(outcome(&run, decision, maps))
}

fn outcome(run: &MarginRun<'_, MOST_CLASSES, MAPS>, decision: Decision, maps: &[Simplex; MAPS]) -> Outcome {
    let mut outcome = Outcome::new(Answer::from(decision), run.draws().1, &[]);
    if let Some(plan) = run.plan() {
        let bound = match plan.bound {
            Bound::One => "one",
            Bound::Two => "two",
            Bound::Margin => "margin",
        };
        let map = name(maps.get(usize::from(plan.map)), maps);
        outcome.note = format!("of the {map}, bound '{bound}', ");
        outcome = outcome.with("map", map).with("bound", bound);
    }
    outcome
}
