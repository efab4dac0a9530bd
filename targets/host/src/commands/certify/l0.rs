//! `--norm l0`: the model sees some positions of the input, drawn at random.

use super::draws::CHUNK;
use super::input::MOST_CLASSES;
use super::measure::Measure;
use super::outcome::{Answer, Outcome, Why};
use super::{Task, text};
use crate::error::Failure;
use crate::progress;
use selvedge::certify::ablation::{Ablated, Ablation, AblationJob, AblationRequest, AblationRun, Channels, L0Decision};
use selvedge::certify::{CertError, Range};

#[derive(clap::Args)]
pub struct L0Args {
    /// With --norm l0: positions that the model sees, of each draw others
    #[arg(long, value_name = "POSITIONS")]
    pub keep: Option<u32>,
    /// With --norm l0: the code of the input's grid that stands for what the model does not see; 0 if not given
    #[arg(long, value_name = "CODE", allow_hyphen_values = true)]
    pub ablated: Option<i16>,
    /// With --norm l0: a position is a pixel with all channels, the input's second axis (`first`) or its last one (`last`);
    /// without, every element is one
    #[arg(long, value_name = "AXIS", value_parser = ["first", "last"])]
    pub channels: Option<String>,
}

/// The request, and how many entries it is answered for.
fn request(task: &Task<'_>) -> Result<AblationRequest, Failure> {
    let (l0, common) = (&task.args.l0, &task.args.request);
    let needed = "--norm l0 needs --keep: how many positions the model sees, as in its training";
    let keep = l0.keep.ok_or_else(|| Failure::bad(needed))?;
    let target = common.target.unwrap_or(0.0);
    if target.fract() != 0.0 || !(0.0..=4e9).contains(&target) {
        return Err(Failure::bad(format!("--target {target}: with --norm l0 a number of positions")));
    }
    let front = task.source.front()?;
    let input = front.inputs().first().copied().unwrap_or(0);
    let dims = front.tensor(input as usize).map_err(Failure::bad)?.dims;
    let channels = match (l0.channels.as_deref(), dims) {
        (None, _) => Channels::Last(1),
        (Some("first"), [_, channels, _, ..]) => Channels::First(*channels),
        (Some("last"), [_, _, .., channels]) => Channels::Last(*channels),
        (Some(axis), _) => {
            return Err(Failure::bad(format!("--channels {axis}: the input of shape {dims:?} has no such axis")));
        }
    };
    let (ablated, grid) = (l0.ablated.unwrap_or(0), task.subject(0).grid);
    if !(grid.low..=grid.high).contains(&ablated) {
        let (low, high) = (grid.low, grid.high);
        return Err(Failure::bad(format!("--ablated {ablated}: the input's grid has the codes {low} to {high}")));
    }
    let (selection, samples) = (common.selection(), common.draws());
    Ok(AblationRequest { keep, ablated: Ablated::Code(ablated), channels, selection, samples, target: target as u32 })
}

/// All entries. `None` after their commitments, where only those are asked for.
pub fn run(task: &Task<'_>) -> Result<Option<(Vec<Outcome>, Measure)>, Failure> {
    let Task { args, input, .. } = task;
    let request = request(task)?;
    let refused = |e: CertError| match e {
        CertError::Positions => Failure::bad(format!("--keep {}: {e}", request.keep)),
        other => args.request.refused(&other),
    };
    let ablation =
        |entry: usize| Ablation::new(args.request.alpha_units()?, request, task.subject(entry)).map_err(refused);
    if args.commit {
        for entry in 0..input.entries() {
            println!("{}  {}", text(&ablation(entry)?.commitment()), input.name(entry));
        }
        return Ok(None);
    }
    let outcomes = task.each_entry(&Measure::L0, |workers, entry| {
        let (ablation, nonce) = (ablation(entry)?, task.nonce()?);
        let job = AblationJob::new(&ablation, nonce);
        let mut run = Box::new(AblationRun::<MOST_CLASSES>::new(&job).map_err(Failure::bad)?);
        let bar = progress::bar(request.samples as usize, "certifying").with_message(input.name(entry));
        while let Some(range) = run.next_range(CHUNK * workers.count()) {
            let parts = workers.each(range.first, range.len, |model, first, len| {
                let range = Range { first, len, ..range };
                Ok((range, job.count_range::<MOST_CLASSES, _>(model, range).map_err(Failure::bad)?))
            })?;
            for (range, counts) in &parts {
                run.merge(*range, counts).map_err(Failure::bad)?;
            }
            bar.set_position(run.counts()[1].total());
        }
        bar.finish_and_clear();
        let answer = match run.decision() {
            Some(L0Decision::Certified { class, rho }) => Answer::Within { class, reach: rho.into() },
            Some(L0Decision::Abstain) if request.target > 0 => Answer::Abstain(Why::TOO_FEW),
            Some(L0Decision::Abstain) => Answer::Abstain(Why::UNDECIDED),
            None => return Err(Failure::bad("no decision")),
        };
        Ok(Outcome::new(answer, request.samples, run.counts()[1].as_slice())
            .with("alpha", args.request.alpha())
            .with("keep", request.keep)
            .with("of", ablation.positions())
            .with("nonce", text(&nonce))
            .with("own_nonce", args.nonce.is_none()))
    })?;
    Ok(Some((outcomes, Measure::L0)))
}
