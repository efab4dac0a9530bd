//! What is asked for: rule, noise, failure probability, numbers of draws.

use super::input::CertifyInput;
use crate::error::Failure;
use selvedge::certify::{Alpha, CertError, CertSpec, GRID, LookTable, Price, Request, Rule, Simplex};
use selvedge::noise::{NoiseTable, Sigma};

#[derive(clap::Args)]
pub struct RequestArgs {
    /// Standard deviation of the noise in the input's units: 0.25 is a quarter of the range of a picture
    #[arg(long)]
    pub sigma: Option<f64>,
    /// The same in steps of the input's grid
    #[arg(long, conflicts_with = "sigma")]
    pub sigma_steps: Option<f64>,
    /// Probability that the statement is false; 0.001 if not given
    #[arg(long)]
    pub alpha: Option<f64>,
    /// Draws that choose the class; 100 if not given
    #[arg(long)]
    pub selection: Option<u32>,
    /// Draws that estimate its probability, at most; 10000 if not given
    #[arg(long)]
    pub draws: Option<u32>,
    /// A radius (in the input's units; positions for l0) that is enough. With l2 the run then stops as soon as it is certified
    /// or out of reach
    #[arg(long, value_name = "RADIUS")]
    pub target: Option<f64>,
    /// `sequential` stops when --target is decided (the default with one), `fixed` makes all draws (the default without),
    /// `largest` stops when the radius hardly grows, `partition` bounds each other class, `margin` weighs the scores of each
    /// draw (softmax, sparsemax or arg-max) in place of counting, `predict` names the class alone
    #[arg(long, value_parser = ["sequential", "fixed", "largest", "partition", "margin", "predict"])]
    pub rule: Option<String>,
    /// With --rule largest: growth of the radius, in sigmas, that is worth going on for; 0.05 if not given
    #[arg(long, value_name = "SIGMAS")]
    pub gain: Option<f64>,
}

/// Room for the rows of a look table.
pub struct Rows {
    samples: &'static [u32],
    accept: Vec<u32>,
    refuse: Vec<u32>,
}

impl Rows {
    /// Looks up to so many draws.
    pub fn new(draws: u32) -> Self {
        let count = GRID.iter().take_while(|&&n| n <= draws).count();
        Rows { samples: &GRID[..count], accept: vec![0; count], refuse: vec![0; count] }
    }

    /// The table for a squared radius.
    pub fn build(&mut self, price: &Price, r2: u64, alpha: &Alpha) -> Result<LookTable<'_>, CertError> {
        let Rows { samples, accept, refuse } = self;
        LookTable::build(price.null_probability(r2), alpha, samples, accept, refuse)
    }
}

impl RequestArgs {
    /// σ in grid steps, to 1/1024 of a step.
    pub fn sigma(&self, per_unit: f64) -> Result<Sigma, Failure> {
        let steps = self.sigma_steps.or(self.sigma.map(|sigma| sigma * per_unit)).unwrap_or(0.0);
        let parts = (steps * 1024.0).round();
        let sigma = (1.0..=4.0e6).contains(&parts).then(|| Sigma::new(parts as u32, 1024)).flatten();
        sigma.ok_or_else(|| {
            Failure::bad(format!("--sigma: {steps} steps of the input's grid; give 0.001 to 3000 steps"))
        })
    }

    /// The rule by name.
    pub fn rule(&self) -> &str {
        self.rule.as_deref().unwrap_or(if self.target.is_some() { "sequential" } else { "fixed" })
    }

    /// The failure probability.
    pub fn alpha(&self) -> f64 {
        self.alpha.unwrap_or(0.001)
    }

    /// Draws that choose the class.
    pub fn selection(&self) -> u32 {
        self.selection.unwrap_or(100)
    }

    /// Draws that estimate its probability, at most.
    pub fn draws(&self) -> u32 {
        self.draws.unwrap_or(10_000)
    }

    /// The failure probability, to be spent.
    pub fn alpha_units(&self) -> Result<Alpha, Failure> {
        let alpha = self.alpha();
        Alpha::from_f64(alpha).map_err(|_| Failure::bad(format!("--alpha {alpha}: give a probability between 0 and 1")))
    }

    /// The squared radius in grid steps.
    fn target_r2(&self, per_unit: f64) -> Result<Option<u64>, Failure> {
        let Some(target) = self.target else { return Ok(None) };
        let steps = target * per_unit;
        // A radius whose square was rounded below a whole number means that number.
        let r2 = (steps * steps * (1.0 + 1e-12)).floor();
        let r2 = (1.0..4e18).contains(&r2).then_some(r2 as u64);
        r2.map(Some).ok_or_else(|| {
            Failure::bad(format!("--target {target}: give a radius of at least one step of the input's grid"))
        })
    }

    /// The looks of a sequential run.
    pub fn looks<'r>(
        &self,
        input: &CertifyInput,
        table: &NoiseTable<'_>,
        rows: &'r mut Rows,
    ) -> Result<Option<LookTable<'r>>, Failure> {
        if self.rule() != "sequential" {
            return Ok(None);
        }
        let r2 = self.target_r2(input.per_unit)?;
        let r2 = r2.ok_or_else(|| Failure::bad("--rule sequential decides one radius; give --target"))?;
        if rows.samples.is_empty() {
            return Err(Failure::bad(format!("--draws {}: a target is looked at after 16 draws first", self.draws())));
        }
        let price = Price::new(table.sigma(), table.tv_price(input.size as u32));
        rows.build(&price, r2, &self.alpha_units()?).map(Some).map_err(|e| self.refused(&e))
    }

    /// The request, if it can be answered.
    pub fn spec<'t>(
        &self,
        input: &CertifyInput,
        sigma: Sigma,
        looks: Option<&'t LookTable<'t>>,
        maps: &'t [Simplex],
    ) -> Result<CertSpec<'t>, Failure> {
        let sigmas = self.gain.unwrap_or(0.05);
        let gain = (sigmas * 1000.0).round();
        if !(0.0..=1.0e6).contains(&gain) {
            return Err(Failure::bad(format!("--gain {sigmas}: give sigmas, such as 0.05")));
        }
        let rule = match (looks, self.rule()) {
            (Some(looks), _) => Rule::Sequential(looks),
            (None, "largest") => Rule::Largest { gain: gain as u32 },
            (None, "partition") => Rule::Partition,
            (None, "margin") => Rule::Margin(maps),
            (None, "predict") => Rule::Predict,
            (None, _) => Rule::Fixed,
        };
        let predicts = rule == Rule::Predict;
        if predicts && self.target.is_some() {
            return Err(Failure::bad("--rule predict certifies no radius; leave --target out"));
        }
        let request = Request {
            rule,
            sigma,
            selection: if predicts { 0 } else { self.selection() },
            samples: self.draws(),
            target_r2: self.target_r2(input.per_unit)?,
        };
        CertSpec::new(self.alpha_units()?, request).map_err(|e| self.refused(&e))
    }

    /// A refusal, with the option to change.
    pub fn refused(&self, error: &CertError) -> Failure {
        let option = match error {
            CertError::TooFewSamples { .. } => format!("--draws {}: ", self.draws()),
            CertError::Target => format!("--target {}: ", self.target.unwrap_or(0.0)),
            CertError::Selection => format!("--selection {}: ", self.selection()),
            CertError::Alpha => format!("--alpha {}: ", self.alpha()),
            CertError::Sigma => "--sigma: ".to_string(),
            _ => String::new(),
        };
        Failure::bad(format!("{option}{error}"))
    }
}
