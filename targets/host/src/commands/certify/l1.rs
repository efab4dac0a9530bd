//! `--norm l1`: splitting noise, every value of it in turn. Nothing is drawn, the answer is certain.

use super::draws::CHUNK;
use super::input::MOST_CLASSES;
use super::measure::Measure;
use super::outcome::{Answer, Outcome};
use super::{Task, text};
use crate::error::Failure;
use crate::progress;
use selvedge::CodeMap;
use selvedge::certify::CertError;
use selvedge::certify::splitting::{Splitting, SplittingRun, Template};

/// Splitting noise of half a unit to either side: 255 passes of a picture.
const LAMBDA: f64 = 0.5;

#[derive(clap::Args)]
pub struct L1Args {
    /// With --norm l1: the noise the model was trained with, in the input's units; 0.5 if neither this nor --passes is given
    #[arg(long, conflicts_with = "passes")]
    pub lambda: Option<f64>,
    /// With --norm l1: passes, 2·lambda in steps of the input's grid
    #[arg(long)]
    pub passes: Option<u32>,
    /// With --norm l1 and f32 inputs: the ends of the input's range in its units; 0,1 if not given
    #[arg(long, value_name = "LOW,HIGH", value_parser = ends, allow_hyphen_values = true)]
    pub range: Option<(f64, f64)>,
}

fn ends(text: &str) -> Result<(f64, f64), String> {
    let parts =
        text.split_once(',').and_then(|(low, high)| Some((low.trim().parse().ok()?, high.trim().parse().ok()?)));
    parts.ok_or_else(|| "give two numbers, such as -1,1".into())
}

impl L1Args {
    fn passes(&self, per_unit: f64) -> Result<u32, Failure> {
        if let Some(passes) = self.passes {
            return Ok(passes);
        }
        let lambda = self.lambda.unwrap_or(LAMBDA);
        let passes = (2.0 * lambda * per_unit).round();
        match (1.0..=1.7e7).contains(&passes) {
            true => Ok(passes as u32),
            false => Err(Failure::bad(format!(
                "--lambda {lambda}: {passes} passes; give half a step of the input's grid at least, and at most 2^23 steps"
            ))),
        }
    }

    /// The ends of the grid. Noise is not to leave the range that the model was trained on.
    fn ends(&self, map: CodeMap, own: (i16, i16), per_unit: f64) -> Result<(i16, i16), Failure> {
        let (low, high) = match (map, self.range) {
            (CodeMap::Codes { .. }, None) => return Ok(own),
            (CodeMap::Codes { .. }, Some(_)) => {
                return Err(Failure::bad("--range: an int8 or uint8 input has the range of its type; leave it out"));
            }
            (CodeMap::Real { .. }, None) => (0.0, 1.0),
            (CodeMap::Real { .. }, Some(range)) => range,
        };
        let code = |end: f64| (end * per_unit).round();
        if low < high && code(low) >= f64::from(i16::MIN) && code(high) <= f64::from(i16::MAX) {
            return Ok((code(low) as i16, code(high) as i16));
        }
        Err(Failure::bad(format!("--range {low},{high}: give the lower end first, both within 16 bits of grid steps")))
    }
}

/// All entries.
pub fn run(task: &Task<'_>) -> Result<Option<(Vec<Outcome>, Measure)>, Failure> {
    let (l1, input) = (&task.args.l1, task.input);
    let passes = l1.passes(input.per_unit)?;
    let measure = Measure::L1 { per_unit: input.per_unit };
    let outcomes = task.each_entry(&measure, |workers, entry| {
        let mut subject = task.subject(entry);
        let own = (subject.grid.low, subject.grid.high);
        (subject.grid.low, subject.grid.high) = l1.ends(input.map, own, input.per_unit)?;
        let (low, high) = (subject.grid.low, subject.grid.high);
        let splitting = Splitting::new(subject, passes, Template::PUBLIC).map_err(|e| refused(&e, passes))?;
        let mut run = Box::new(SplittingRun::<MOST_CLASSES>::new(&splitting).map_err(Failure::bad)?);
        let bar = progress::bar(passes as usize, "certifying").with_message(input.name(entry));
        while run.next_pass() < passes {
            let len = (CHUNK * workers.count()).min(passes - run.next_pass());
            let parts = workers.each(run.next_pass(), len, |model, first, len| {
                splitting.count_range::<MOST_CLASSES, _>(model, first, len).map_err(Failure::bad)
            })?;
            for part in &parts {
                run.merge(run.next_pass(), part).map_err(Failure::bad)?;
            }
            bar.set_position(u64::from(run.next_pass()));
        }
        bar.finish_and_clear();
        let certificate = run.certificate().ok_or_else(|| Failure::bad("no decision"))?;
        let answer = Answer::Within { class: certificate.class, reach: certificate.r1.into() };
        Ok(Outcome::new(answer, passes, run.votes().as_slice())
            .with("alpha", 0)
            .with("lambda", f64::from(passes) / (2.0 * input.per_unit))
            .with("grid_low", low)
            .with("grid_high", high)
            .with("hash", text(&splitting.hash())))
    })?;
    Ok(Some((outcomes, measure)))
}

fn refused(error: &CertError, passes: u32) -> Failure {
    match error {
        CertError::Passes => Failure::bad(format!("--passes {passes}: {error}")),
        CertError::OutOfRange { .. } => Failure::bad(format!("{error}; give it with --range")),
        _ => Failure::bad(error),
    }
}
