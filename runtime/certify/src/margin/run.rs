//! The state machine: classes, map and bound, estimation, verdict.

use super::bound::{Entry, Sums, Value};
use super::part::{add, merge};
use super::{Bound, MarginPart, Moments, Plan, Simplex, UNIT};
use crate::judge::answer;
use crate::{
    Account, CertError, Decision, Job, Mixing, Progress, Range, Reason, Rule, Scores, Step, StepError, open_ball,
};
use selvedge_noise::Domain;

/// A resumable run of [`Rule::Margin`] with room for `CLASSES` classes and `MAPS` maps.
///
/// ```
/// use selvedge_certify::*;
/// use selvedge_noise::{NoiseTable, Sigma, build_table};
/// # struct Mean(i32);
/// # impl Classify for Mean {
/// #     type Error = core::convert::Infallible;
/// #     fn write(&mut self, _: usize, first: usize, codes: &[i16]) -> Result<(), Self::Error> {
/// #         if first == 0 { self.0 = 0 }
/// #         self.0 += codes.iter().map(|&code| i32::from(code)).sum::<i32>();
/// #         Ok(())
/// #     }
/// #     fn run(&mut self, _: usize) -> Result<(), Self::Error> { Ok(()) }
/// #     fn class(&self, _: usize) -> usize { usize::from(self.0 > 0) }
/// # }
/// impl Scores for Mean {
///     fn scores(&self, _: usize, scores: &mut [i32]) -> Result<(), Self::Error> {
///         scores.copy_from_slice(&[0, self.0]);
///         Ok(())
///     }
/// }
/// let sigma = Sigma::new(8, 1).expect("not zero");
/// let bytes = build_table(sigma)?;
/// let table = NoiseTable::parse(&bytes)?;
/// let maps = [Simplex::Argmax, Simplex::Softmax { unit: 16 }, Simplex::Sparsemax { unit: 64 }];
/// let request = Request { rule: Rule::Margin(&maps), sigma, selection: 64, samples: 1000, target_r2: None };
/// let spec = CertSpec::new(Alpha::ratio(1, 1000)?, request)?;
/// let (input, grid) = (Clean::I8(&[2; 16]), Grid::int8(1.0, 0));
/// let terms = Terms::new(&spec, Subject { model: [1; 32], classes: 2, input, grid }, &table)?;
/// let job = Job::new(&terms, [7; 32]);
/// let mut run = MarginRun::<2, 3>::new(&job)?;
/// let decision = loop {
///     if let Step::Done(decision) = run.step(&mut Mean(0), 100)? {
///         break decision;
///     }
/// };
/// assert!(matches!(decision, Decision::Certified { class: 1, r2: 30..64 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MarginRun<'a, const CLASSES: usize, const MAPS: usize> {
    pub(super) job: &'a Job<'a>,
    pub(super) maps: &'a [Simplex],
    pub(super) selected: u32,
    pub(super) drawn: u32,
    /// The class under each map, from the first half of the selection on.
    pub(super) classes: [u16; MAPS],
    /// From the end of the selection on.
    pub(super) plan: Option<Plan>,
    /// Every map's sums while selecting; in the first row those of the chosen one while estimating.
    pub(super) table: [[Entry; CLASSES]; MAPS],
    pub(super) failed: bool,
}

impl<'a, const CLASSES: usize, const MAPS: usize> MarginRun<'a, CLASSES, MAPS> {
    /// A run at its beginning.
    ///
    /// # Errors
    /// [`CertError::Rule`] for another rule; [`CertError::Classes`] and [`CertError::Maps`] for more than there is room
    /// for.
    pub fn new(job: &'a Job<'a>) -> Result<Self, CertError> {
        let Rule::Margin(maps) = job.terms().spec().request().rule else { return Err(CertError::Rule) };
        let found = job.terms().subject().classes;
        if found as usize > CLASSES {
            return Err(CertError::Classes { found });
        }
        if maps.len() > MAPS || maps.len() > usize::from(u16::MAX) {
            return Err(CertError::Maps);
        }
        let table = [[Entry::default(); CLASSES]; MAPS];
        Ok(MarginRun { job, maps, selected: 0, drawn: 0, classes: [0; MAPS], plan: None, table, failed: false })
    }

    /// Draws at most `most` samples, at least one, and says where the run stands; hits are the class's weights, added up.
    ///
    /// # Errors
    /// The model's; nothing of a failed step is counted.
    pub fn step<M: Scores>(&mut self, model: &mut M, most: u32) -> Result<Step, StepError<M::Error>> {
        if let Some(range) = self.next_range(most) {
            let part = self.count(model, range)?;
            self.merge(range, &part)?;
        }
        Ok(self.status())
    }

    /// Weighs samples of [`MarginRun::next_range`] without adding them: for callers with several threads, who split the
    /// range, merge the parts with [`MarginPart::merge`] and add them with [`MarginRun::merge`].
    ///
    /// # Errors
    /// The model's.
    pub fn count<M: Scores>(
        &self,
        model: &mut M,
        range: Range,
    ) -> Result<MarginPart<CLASSES, MAPS>, StepError<M::Error>> {
        let table = [[Entry::default(); CLASSES]; MAPS];
        let (draws, domain, classes, plan) = (range.len, range.domain, self.classes, self.plan);
        let mut part = MarginPart { draws, domain, classes, plan, table };
        let (mut scores, mut weights) = ([0i32; CLASSES], [0u16; CLASSES]);
        let (scores, weights) = (&mut scores[..self.len()], &mut weights[..self.len()]);
        self.job.for_each_run(model, range.domain, range.first, range.len, |_, model, index| {
            model.scores(index, scores).map_err(StepError::Model)?;
            match self.plan {
                Some(plan) => {
                    let row = part.table.first_mut();
                    row.into_iter().for_each(|row| add(row, self.map(&plan), plan.class, scores, weights));
                }
                None => {
                    let rows = part.table.iter_mut().zip(self.maps).zip(&self.classes);
                    rows.for_each(|((row, map), &class)| add(row, *map, class, scores, weights));
                }
            }
            Ok(())
        })?;
        Ok(part)
    }

    /// Adds the weights of the samples of [`MarginRun::next_range`], or of the first of them.
    ///
    /// # Errors
    /// [`CertError::Order`] for other samples, and parts counted before class or map were chosen.
    pub fn merge(&mut self, range: Range, part: &MarginPart<CLASSES, MAPS>) -> Result<(), CertError> {
        let same = (part.draws, part.domain) == (range.len, range.domain);
        let chosen = (part.classes, part.plan) == (self.classes, self.plan);
        if self.next_range(range.len) != Some(range) || !same || !chosen {
            return Err(CertError::Order);
        }
        merge(&mut self.table, &part.table);
        match range.domain {
            Domain::Select => self.selected += range.len,
            _ => self.drawn += range.len,
        }
        self.choose();
        Ok(())
    }

    /// The samples that come next, at most `most` and at least one. `None` when done.
    pub fn next_range(&self, most: u32) -> Option<Range> {
        let request = self.job.terms().spec().request();
        let (domain, first, end) = match self.selected {
            _ if self.failed => return None,
            selected if selected < self.half() => (Domain::Select, selected, self.half()),
            selected if selected < request.selection => (Domain::Select, selected, request.selection),
            _ => (Domain::Estimate, self.drawn, request.samples),
        };
        let left = end.saturating_sub(first);
        (left > 0).then_some(Range { domain, first, len: most.max(1).min(left) })
    }

    /// Selection draws that choose the classes.
    pub(super) fn half(&self) -> u32 {
        self.job.terms().spec().request().selection.div_ceil(2)
    }

    pub(super) fn len(&self) -> usize {
        (self.job.terms().subject().classes as usize).min(CLASSES)
    }

    fn map(&self, plan: &Plan) -> Simplex {
        self.maps.get(usize::from(plan.map)).copied().unwrap_or(Simplex::Argmax)
    }

    /// At the end of either half of the selection: what follows from it, and zeros for what comes next.
    fn choose(&mut self) {
        let request = self.job.terms().spec().request();
        if self.drawn > 0 || self.plan.is_some() {
            return;
        }
        let len = self.len();
        if self.selected == self.half() {
            for ((class, map), row) in self.classes.iter_mut().zip(self.maps).zip(&self.table) {
                *class = Sums { map: *map, entries: &row[..len], n: self.selected }.top() as u16;
            }
            self.table = [[Entry::default(); CLASSES]; MAPS];
        }
        if self.selected == request.selection {
            self.plan = Some(self.best());
            self.table = [[Entry::default(); CLASSES]; MAPS];
        }
    }

    /// The map and bound with the largest radius, were the estimation to go on like the second half of the selection.
    fn best(&self) -> Plan {
        let terms = self.job.terms();
        let (price, spec) = (terms.price(), terms.spec());
        let (n, of) = (spec.request().samples, self.selected - self.half());
        let first = self.classes.first().copied().unwrap_or(0);
        let mut best = (f64::NEG_INFINITY, Plan { map: 0, class: first, bound: Bound::One });
        if of == 0 {
            return best.1;
        }
        for (number, ((map, row), &class)) in self.maps.iter().zip(&self.table).zip(&self.classes).enumerate() {
            let scaled = row.map(|entry| entry.scaled(n, of));
            let sums = Sums { map: *map, entries: &scaled[..self.len()], n };
            for bound in [Bound::One, Bound::Two, Bound::Margin] {
                let mut account = Account::open(spec.alpha());
                let value = sums.value(class.into(), bound, spec.alpha().again(), &mut account);
                let radius = value.radius(price);
                if radius > best.0 {
                    best = (radius, Plan { map: number as u16, class, bound });
                }
            }
        }
        best.1
    }

    /// Takes the scores of one sample twice; a difference ends the run with [`Reason::NonDeterministicBackend`].
    ///
    /// # Errors
    /// The model's.
    pub fn probe<M: Scores>(&mut self, model: &mut M, sample: u32) -> Result<Step, StepError<M::Error>> {
        let mut found = [[0i32; CLASSES]; 2];
        for scores in &mut found {
            let scores = &mut scores[..self.len()];
            self.job.for_each_run(model, Domain::Estimate, sample, 1, |_, model, index| {
                model.scores(index, scores).map_err(StepError::Model)
            })?;
        }
        self.failed |= found[0] != found[1];
        Ok(self.status())
    }

    /// Where the run stands.
    pub fn status(&self) -> Step {
        if let Some((decision, _)) = self.verdict() {
            return Step::Done(decision);
        }
        let class = self.plan.map_or(0, |plan| usize::from(plan.class));
        let weight = self.table.first().and_then(|row| row.get(class)).map_or(0, |entry| entry.moments.sum);
        Step::Progress(Progress {
            drawn: self.drawn,
            samples: self.job.terms().spec().request().samples,
            hits: if self.plan.is_some() { (weight / u64::from(UNIT)) as u32 } else { 0 },
        })
    }

    /// What the selection chose, once it has.
    pub fn plan(&self) -> Option<Plan> {
        self.plan
    }

    /// The moments of the chosen map's weights, class by class; all 0 before there is one.
    pub fn moments(&self) -> [Moments; CLASSES] {
        let row = self.plan.and(self.table.first()).copied();
        row.unwrap_or([Entry::default(); CLASSES]).map(|entry| entry.moments)
    }

    /// Selection and estimation draws so far.
    pub fn draws(&self) -> (u32, u32) {
        (self.selected, self.drawn)
    }

    /// The verdict and what it cost; `None` before the last draw.
    pub fn verdict(&self) -> Option<(Decision, Account)> {
        self.judge(|value| value.radius(self.job.terms().price()))
    }

    /// The verdict about a mixture with the map's smoothed classifier as its robust part, from the same bounds.
    pub fn mixed(&self, mixing: &Mixing) -> Option<(Decision, Account)> {
        self.judge(|value| value.mixed(self.job.terms().price(), mixing))
    }

    fn judge(&self, radius: impl Fn(Value) -> f64) -> Option<(Decision, Account)> {
        let spec = self.job.terms().spec();
        let mut account = Account::open(spec.alpha());
        if self.failed {
            return Some((Decision::Abstain(Reason::NonDeterministicBackend), account));
        }
        let (plan, row) = (self.plan?, self.table.first()?);
        if self.drawn < spec.request().samples {
            return None;
        }
        let sums = Sums { map: self.map(&plan), entries: &row[..self.len()], n: self.drawn };
        let value = sums.value(plan.class.into(), plan.bound, spec.alpha().again(), &mut account);
        let decision = open_ball(radius(value)).map(|r2| answer(plan.class.into(), r2, spec));
        Some((decision.unwrap_or(Decision::Abstain(Reason::UndecidedAtBudget)), account))
    }
}
