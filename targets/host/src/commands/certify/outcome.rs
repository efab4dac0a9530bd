//! What became of the entries, for people and programs.

use super::measure::Measure;
use selvedge::certify::{Decision, Reason};
use serde_json::{Map, Value, json};

/// What is certified.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// The class, so far as a [`Measure`] says.
    Within { class: u16, reach: u64 },
    /// The class at the input itself.
    At { class: u16 },
    /// Nothing.
    Abstain(Why),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Why {
    /// As a word.
    name: &'static str,
    /// With what can be done.
    words: &'static str,
    /// What is certified, but is too little.
    reach: Option<u64>,
}

impl Why {
    pub const UNDECIDED: Why =
        Why { name: "undecided_at_budget", words: "the draws do not decide it; more may", reach: None };
    /// Of ablation with a target.
    pub const TOO_FEW: Why = Why {
        name: "undecided_at_budget",
        words: "no class has a proved majority, or fewer positions are certified than --target",
        reach: None,
    };
}

impl From<Decision> for Answer {
    fn from(decision: Decision) -> Self {
        let why = |name, words| Answer::Abstain(Why { name, words, reach: None });
        match decision {
            Decision::Certified { class, r2 } => Answer::Within { class, reach: r2 },
            Decision::Predicted { class } => Answer::At { class },
            Decision::Abstain(Reason::UndecidedAtBudget) => Answer::Abstain(Why::UNDECIDED),
            Decision::Abstain(Reason::Futility) => {
                why("futility", "given up, an answer was not to be expected; try a smaller target")
            }
            Decision::Abstain(Reason::BelowTarget { r2 }) => {
                Answer::Abstain(Why { name: "below_target", words: "", reach: Some(r2) })
            }
            Decision::Abstain(Reason::NonDeterministicBackend) => {
                why("non_deterministic_backend", "the model gives one input two classes")
            }
            Decision::Abstain(Reason::Cancelled) => why("cancelled", "cancelled"),
            Decision::Abstain(_) => why("other", "other"),
        }
    }
}

/// What became of an entry.
pub struct Outcome {
    pub answer: Answer,
    /// Draws or passes.
    pub drawn: u32,
    /// Predictions that the answer rests on, class by class; none for rules that do not count.
    pub counts: Vec<u32>,
    /// More to say, in front of the draws.
    pub note: String,
    /// More fields of the JSON object.
    pub fields: Map<String, Value>,
    pub seconds: f64,
}

impl Outcome {
    pub fn new(answer: Answer, drawn: u32, counts: &[u32]) -> Self {
        let classes = counts.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        let (note, fields, seconds) = (String::new(), Map::new(), 0.0);
        Outcome { answer, drawn, counts: counts[..classes].to_vec(), note, fields, seconds }
    }

    /// Adds a field of the JSON object.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.into(), value.into());
        self
    }

    /// Whether there is an answer.
    pub fn answers(&self) -> bool {
        !matches!(self.answer, Answer::Abstain(_))
    }

    /// The line of an entry.
    pub fn describe(&self, name: &str, measure: &Measure) -> String {
        let time = format!("{}{} {}, {:.2} s", self.note, self.drawn, measure.runs(), self.seconds);
        match self.answer {
            Answer::Within { class, reach } => format!("{name}: class {class} within {}, {time}", measure.words(reach)),
            Answer::At { class } => format!("{name}: class {class}, {time}"),
            Answer::Abstain(Why { reach: Some(reach), .. }) => {
                format!("{name}: no answer: only {} is certified ({time})", measure.words(reach))
            }
            Answer::Abstain(Why { words, .. }) => format!("{name}: no answer: {words} ({time})"),
        }
    }

    /// How far a right answer reaches.
    pub fn right(&self, label: i64) -> Option<u64> {
        match self.answer {
            Answer::Within { class, reach } if i64::from(class) == label => Some(reach),
            Answer::At { class } if i64::from(class) == label => Some(0),
            _ => None,
        }
    }

    fn json(&self, name: &str, measure: &Measure) -> Value {
        let (decision, reason, class, reach) = match self.answer {
            Answer::Within { class, reach } => ("certified", None, Some(class), Some(reach)),
            Answer::At { class } => ("predicted", None, Some(class), None),
            Answer::Abstain(why) => ("abstain", Some(why.name), None, why.reach),
        };
        let mut value = json!({
            "entry": name, "norm": measure.norm(), "decision": decision, "reason": reason, "class": class,
            "radius": reach.map(|reach| measure.radius(reach)), measure.field(): reach,
            "n": self.drawn, "counts": self.counts, "seconds": self.seconds,
        });
        if let Value::Object(object) = &mut value {
            object.extend(self.fields.clone());
        }
        value
    }
}

/// How many answers there are and what they took.
pub fn summary(outcomes: &[Outcome], measure: &Measure) -> String {
    let mut draws: Vec<u32> = outcomes.iter().map(|outcome| outcome.drawn).collect();
    draws.sort_unstable();
    let (total, entries) = (draws.iter().map(|&n| f64::from(n)).sum::<f64>(), outcomes.len().max(1));
    let answers = outcomes.iter().filter(|outcome| outcome.answers()).count();
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.seconds).sum();
    let mut text = format!(
        "{answers} of {} answered; {}: mean {:.0}, median {}, most {}; {:.3} s an entry\n",
        outcomes.len(),
        measure.runs(),
        total / entries as f64,
        draws.get(entries / 2).unwrap_or(&0),
        draws.last().unwrap_or(&0),
        seconds / entries as f64
    );
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for outcome in outcomes {
        if let Answer::Abstain(why) = outcome.answer {
            match reasons.iter_mut().find(|(known, _)| *known == why.name) {
                Some((_, count)) => *count += 1,
                None => reasons.push((why.name, 1)),
            }
        }
    }
    if !reasons.is_empty() {
        let list: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        text += &format!("abstentions: {}\n", list.join(", "));
    }
    text
}

/// One object: that of the entry, or of all of them.
pub fn json(outcomes: &[Outcome], names: &[String], measure: &Measure) -> Value {
    let mut entries: Vec<Value> =
        outcomes.iter().zip(names).map(|(outcome, name)| outcome.json(name, measure)).collect();
    if entries.len() == 1 {
        return entries.remove(0);
    }
    let answered = outcomes.iter().filter(|outcome| outcome.answers()).count();
    json!({ "answered": answered, "inputs": outcomes.len(), "entries": entries })
}
