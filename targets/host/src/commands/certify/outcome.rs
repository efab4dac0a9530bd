//! What became of the entries, for people and programs.

use super::input::MOST_CLASSES;
use super::request::RequestArgs;
use selvedge::certify::{Certifier, Decision, Reason};
use selvedge::noise::Sigma;

/// What became of an entry.
pub struct Outcome {
    pub decision: Decision,
    drawn: u32,
    counts: Vec<u32>,
    seconds: f64,
}

/// A point of the certified-accuracy curve: radius in sigmas, entries that are right and certified so far.
pub type Point = (f64, usize);

impl Outcome {
    pub fn of(certifier: &Certifier<'_, MOST_CLASSES>, seconds: f64) -> Option<Self> {
        let mut counts = certifier.estimate().as_slice().to_vec();
        let classes = counts.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        counts.truncate(classes);
        Some(Outcome { decision: certifier.decision()?, drawn: certifier.drawn(), counts, seconds })
    }

    /// Whether there is an answer.
    pub fn answers(&self) -> bool {
        !matches!(self.decision, Decision::Abstain(_))
    }

    /// The line of an entry.
    pub fn describe(&self, name: &str, sigma: Sigma, per_unit: f64) -> String {
        let time = format!("{} draws, {:.2} s", self.drawn, self.seconds);
        match self.decision {
            Decision::Certified { class, r2 } => {
                let radius = (r2 as f64).sqrt();
                format!(
                    "{name}: class {class} within radius {:.4} ({:.2} sigma; sum of squared steps at most {r2}), {time}",
                    radius / per_unit,
                    radius / sigma.value()
                )
            }
            Decision::Predicted { class } => format!("{name}: class {class}, {time}"),
            Decision::Abstain(reason) => {
                format!("{name}: no answer: {} ({time})", why(reason, sigma, per_unit))
            }
        }
    }

    /// The squared radius of a right answer.
    fn right(&self, label: i64) -> Option<u64> {
        match self.decision {
            Decision::Certified { class, r2 } if i64::from(class) == label => Some(r2),
            Decision::Predicted { class } if i64::from(class) == label => Some(0),
            _ => None,
        }
    }
}

/// An abstention in words, with what can be done.
fn why(reason: Reason, sigma: Sigma, per_unit: f64) -> String {
    match reason {
        Reason::UndecidedAtBudget => "the draws do not decide it; more may".into(),
        Reason::Futility => "given up, an answer was not to be expected; try a smaller target".into(),
        Reason::BelowTarget { r2 } => {
            let radius = (r2 as f64).sqrt();
            format!("only radius {:.4} ({:.2} sigma) is certified", radius / per_unit, radius / sigma.value())
        }
        Reason::NonDeterministicBackend => "the model gives one input two classes".into(),
        other => name(other).into(),
    }
}

/// An abstention as a word.
fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::UndecidedAtBudget => "undecided_at_budget",
        Reason::Futility => "futility",
        Reason::BelowTarget { .. } => "below_target",
        Reason::NonDeterministicBackend => "non_deterministic_backend",
        Reason::Cancelled => "cancelled",
        _ => "other",
    }
}

/// How many answers there are and what they took.
pub fn summary(outcomes: &[Outcome]) -> String {
    let mut draws: Vec<u32> = outcomes.iter().map(|outcome| outcome.drawn).collect();
    draws.sort_unstable();
    let (total, entries) = (draws.iter().map(|&n| f64::from(n)).sum::<f64>(), outcomes.len().max(1));
    let answers = outcomes.iter().filter(|outcome| outcome.answers()).count();
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.seconds).sum();
    let mut text = format!(
        "{answers} of {} answered; draws: mean {:.0}, median {}, most {}; {:.3} s an entry\n",
        outcomes.len(),
        total / entries as f64,
        draws.get(entries / 2).unwrap_or(&0),
        draws.last().unwrap_or(&0),
        seconds / entries as f64
    );
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for outcome in outcomes {
        if let Decision::Abstain(reason) = outcome.decision {
            match reasons.iter_mut().find(|(known, _)| *known == name(reason)) {
                Some((_, count)) => *count += 1,
                None => reasons.push((name(reason), 1)),
            }
        }
    }
    if !reasons.is_empty() {
        let list: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        text += &format!("abstentions: {}\n", list.join(", "));
    }
    text
}

/// Certified accuracy at quarters of a sigma, up to the first radius that nothing reaches.
pub fn curve(outcomes: &[Outcome], labels: &[i64], sigma: Sigma) -> Vec<Point> {
    let mut points = Vec::new();
    for quarter in 0..=20u32 {
        let sigmas = f64::from(quarter) / 4.0;
        let steps = sigmas * sigma.value();
        let reaches =
            |(outcome, label): &(&Outcome, &i64)| outcome.right(**label).is_some_and(|r2| r2 as f64 >= steps * steps);
        let count = outcomes.iter().zip(labels).filter(reaches).count();
        points.push((sigmas, count));
        if count == 0 {
            break;
        }
    }
    points
}

/// The curve as a table with bars.
pub fn table(curve: &[Point], entries: usize, sigma: Sigma, per_unit: f64) -> String {
    let mut text = format!("{:>8}  {:>7}  certified accuracy, {entries} entries\n", "radius", "sigmas");
    for &(sigmas, count) in curve {
        let part = count as f64 / entries.max(1) as f64;
        let bar = "#".repeat((part * 40.0).round() as usize);
        let radius = sigmas * sigma.value() / per_unit;
        text += &format!("{radius:>8.4}  {sigmas:>7.2}  {:>5.1} % {bar}\n", part * 100.0);
    }
    text
}

pub fn json(
    outcomes: &[Outcome],
    names: &[String],
    request: &RequestArgs,
    sigma: Sigma,
    per_unit: f64,
) -> serde_json::Value {
    let entry = |(outcome, name_of): (&Outcome, &String)| {
        let (decision, reason, class, square) = match outcome.decision {
            Decision::Certified { class, r2 } => ("certified", None, Some(class), Some(r2)),
            Decision::Predicted { class } => ("predicted", None, Some(class), None),
            Decision::Abstain(Reason::BelowTarget { r2 }) => ("abstain", Some("below_target"), None, Some(r2)),
            Decision::Abstain(reason) => ("abstain", Some(name(reason)), None, None),
        };
        serde_json::json!({
            "entry": name_of, "decision": decision, "reason": reason, "class": class,
            "radius": square.map(|r2| (r2 as f64).sqrt() / per_unit), "radius_sq_steps": square,
            "rule": request.rule(), "sigma": sigma.value() / per_unit, "sigma_steps": sigma.value(),
            "alpha": request.alpha, "n": outcome.drawn, "counts": outcome.counts, "seconds": outcome.seconds,
        })
    };
    let mut entries: Vec<serde_json::Value> = outcomes.iter().zip(names).map(entry).collect();
    if entries.len() == 1 {
        return entries.remove(0);
    }
    let answered = outcomes.iter().filter(|outcome| outcome.answers()).count();
    serde_json::json!({ "answered": answered, "inputs": outcomes.len(), "entries": entries })
}
