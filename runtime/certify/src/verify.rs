//! Checking a record that somebody else made.

use crate::alpha::Alpha;
use crate::certifier::{Certifier, Identity, most_frequent};
use crate::draw::{Classifier, Input};
use crate::error::{Error, PlanError};
use crate::looks::{LOOK_COUNTS, Look, Looks, MOST_LOOKS, look_at};
use crate::plan::{Plan, Rule};
use crate::record::Record;
use selvedge_noise::NoiseTable;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError<E> {
    /// It was made with another noise table.
    Table,
    /// Its plan is none.
    Plan(PlanError),
    /// Its looks are not those of its target, its α and the standard numbers of draws.
    Looks,
    /// Its counts are not of the draws it states.
    Counts,
    /// Its decision does not follow from its counts.
    Decision,
    /// It is of another input.
    Input,
    /// It is of another model.
    Model,
    /// The draws made again gave other counts.
    Recount,
    /// A draw could not be made again.
    Run(Error<E>),
}

impl<E: core::fmt::Display> core::fmt::Display for VerifyError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            VerifyError::Table => f.write_str("the record was made with another noise table"),
            VerifyError::Plan(error) => write!(f, "the record's plan is none: {error}"),
            VerifyError::Looks => f.write_str("the record's looks are not those of its target radius and alpha"),
            VerifyError::Counts => f.write_str("the record's counts are not of the draws it states"),
            VerifyError::Decision => f.write_str("the record's decision does not follow from its counts"),
            VerifyError::Input => f.write_str("the record is of another input"),
            VerifyError::Model => f.write_str("the record is of another model"),
            VerifyError::Recount => f.write_str("the draws made again gave other counts"),
            VerifyError::Run(error) => write!(f, "a draw could not be made again: {error}"),
        }
    }
}

impl<E: core::fmt::Debug + core::fmt::Display> core::error::Error for VerifyError<E> {}

/// Gives `then` the plan of a record, its looks made anew.
fn with_plan<E, T>(
    record: &Record<'_>,
    table: &NoiseTable<'_>,
    then: impl FnOnce(&Plan<'_>) -> Result<T, VerifyError<E>>,
) -> Result<T, VerifyError<E>> {
    let sigma = table.sigma();
    if table.hash() != record.table || (sigma.numerator, sigma.denominator) != record.sigma {
        return Err(VerifyError::Table);
    }
    let mut memory = [Look { n: 0, pass: 0, fail: None }; MOST_LOOKS];
    let rule = if record.looks == [0; 32] {
        Rule::Fixed { n: record.budget }
    } else {
        let mut count = 0;
        for (&n, look) in LOOK_COUNTS.iter().take_while(|n| **n <= record.budget).zip(&mut memory) {
            *look = look_at(n, record.p0, record.alpha);
            count += 1;
        }
        let looks = Looks { p0: record.p0, alpha: record.alpha, looks: memory.get(..count).unwrap_or_default() };
        if looks.hash() != record.looks {
            return Err(VerifyError::Looks);
        }
        Rule::Sequential(looks)
    };
    let alpha = Alpha::new(record.alpha).ok_or(VerifyError::Counts)?;
    let (dimensions, classes) = (record.dimensions as usize, usize::from(record.classes));
    let plan = Plan::new(table, dimensions, classes, record.selection, rule, alpha).map_err(VerifyError::Plan)?;
    if plan.budget() != record.budget {
        return Err(VerifyError::Looks);
    }
    then(&plan)
}

/// Checks that what a record says follows from its counts: the arithmetic, the bounds, the looks, α. It proves
/// nothing about the counts themselves: [`rerun`] does.
///
/// # Errors
/// [`VerifyError`].
pub fn check(record: &Record<'_>, table: &NoiseTable<'_>) -> Result<(), VerifyError<core::convert::Infallible>> {
    with_plan(record, table, |plan| consistent(record, plan))
}

fn consistent<E>(record: &Record<'_>, plan: &Plan<'_>) -> Result<(), VerifyError<E>> {
    let sum = |counts: &mut dyn Iterator<Item = u32>| counts.map(u64::from).sum::<u64>();
    if sum(&mut record.selection_counts()) != u64::from(record.selection)
        || sum(&mut record.estimate_counts()) != u64::from(record.drawn)
    {
        return Err(VerifyError::Counts);
    }
    let class = most_frequent(record.selection_counts());
    let count = record.estimate_counts().nth(usize::from(class)).unwrap_or(0);
    match plan.decide(class, count, record.drawn) {
        Some(decision) if decision == record.decision => Ok(()),
        _ => Err(VerifyError::Decision),
    }
}

/// Makes every draw of a record again and compares counts and decision: whoever trusts the model and the input has
/// nothing left to believe but the nonce's age. `CLASSES` may be more than the record's classes.
///
/// # Errors
/// [`VerifyError`].
pub fn rerun<M: Classifier, const CLASSES: usize>(
    record: &Record<'_>,
    table: &NoiseTable<'_>,
    model: &mut M,
    model_digest: &[u8; 32],
    input: Input<'_>,
) -> Result<(), VerifyError<M::Error>> {
    if record.model != *model_digest {
        return Err(VerifyError::Model);
    }
    if record.input != input.hash() || record.input_type != input.code() {
        return Err(VerifyError::Input);
    }
    with_plan(record, table, |plan| {
        consistent(record, plan)?;
        let identity = Identity { model: record.model, nonce: record.nonce };
        let mut certifier = Certifier::<CLASSES>::new(plan, input, &identity).map_err(VerifyError::Plan)?;
        while certifier.decision().is_none() {
            certifier.step(model, input, 1024).map_err(VerifyError::Run)?;
        }
        let (selection, estimate) = certifier.counts();
        let same = |found: &[u32], stated: &mut dyn Iterator<Item = u32>| found.iter().copied().eq(stated);
        let equal = same(selection, &mut record.selection_counts()) && same(estimate, &mut record.estimate_counts());
        if equal && certifier.decision() == Some(record.decision) { Ok(()) } else { Err(VerifyError::Recount) }
    })
}
