//! The candidates that were measured, and the choice among them.

use super::bench::{Bench, WIDTHS};
use super::{Budget, LayerCost, MixedError, Search, WidthCost, choose, cost, effect};
use crate::pipeline::{CompileError, Compiled};
use crate::report::FrontierPoint;

/// Mixtures whose estimated loss is at most this many times the least one's are measured (2 dB).
const CLOSE: f64 = 1.6;
/// Mixtures compiled for one budget by one search, each with less room, until one fits.
const TRIES: usize = 4;

/// A mixture or a uniform width as measured.
struct Tried {
    point: FrontierPoint,
    widths: Vec<usize>,
    /// Microseconds as the sum of the layers has them.
    micros: f64,
}

/// Layers, and everything that was tried for them.
pub(super) struct Field<'a> {
    pub bench: Bench<'a>,
    pub layers: Vec<LayerCost>,
    /// With losses of the layers' own outputs.
    own: Vec<LayerCost>,
    tried: Vec<Tried>,
    /// Mixtures that do not fit what they were made for, and their bytes.
    over: Vec<(Vec<usize>, usize)>,
    /// What does not depend on widths: everything of the int8 model but these layers.
    fixed: (usize, f64),
}

/// Compiles widths by the method that was asked for.
type Final<'f> = dyn FnMut(&Bench<'_>, &[LayerCost], &[usize]) -> Result<Compiled, CompileError> + 'f;

impl<'a> Field<'a> {
    pub fn new(bench: Bench<'a>, layers: Vec<LayerCost>) -> Self {
        let own = layers.clone();
        Field { bench, layers, own, tried: Vec::new(), over: Vec::new(), fixed: (0, 0.0) }
    }

    /// Compiles and measures the uniform widths; bytes and times of the layers are those of these models.
    pub fn uniform(&mut self) -> Result<(), CompileError> {
        for (width, name) in WIDTHS.into_iter().enumerate() {
            let widths = vec![width; self.layers.len()];
            let compiled = self.bench.mixture(&self.layers, &widths)?;
            let micros = cost::step_micros(&compiled).map_err(MixedError::Run)?;
            cost::set_measured(&mut self.layers, width, &compiled, &micros);
            let point = self.bench.point(name, &compiled, false)?;
            self.tried.push(Tried { micros: point.micros, point, widths });
        }
        let int8 = &self.tried[0].point;
        let micros: f64 = self.layers.iter().map(|layer| layer.widths[0].micros).sum();
        self.fixed = (int8.bytes.saturating_sub(self.weights(0)), (int8.micros - micros).max(0.0));
        self.own.clone_from(&self.layers);
        Ok(())
    }

    /// Bytes of all layers at a width.
    fn weights(&self, width: usize) -> usize {
        self.layers.iter().map(|layer| layer.widths[width].bytes).sum()
    }

    /// Measures what the widths of each layer cost the model's outputs.
    pub fn measure_effects(&mut self, progress: &mut dyn FnMut()) -> Result<(), CompileError> {
        let weights = self.bench.weights(&self.layers)?;
        let measured = effect::measure(self.bench.graph, &self.bench.outputs, &weights, &mut self.layers, progress);
        Ok(measured.map_err(MixedError::Run)?)
    }

    /// Bytes of artifacts to try mixtures for: those of the uniform models, and some in equal steps.
    pub fn budgets(&self, points: usize) -> Vec<usize> {
        let uniform: Vec<usize> = self.tried.iter().filter(|t| !t.point.mixed).map(|t| t.point.bytes).collect();
        let least = uniform.iter().copied().min().unwrap_or(0);
        let most = uniform.iter().copied().max().unwrap_or(0);
        let mut budgets: Vec<usize> = (1..points).map(|step| least + (most - least) * step / points).collect();
        budgets.extend(uniform.into_iter().filter(|&bytes| bytes > least && bytes < most));
        budgets.sort_unstable();
        budgets.dedup();
        budgets
    }

    /// Compiles and measures the best mixtures, by the estimates, within a budget.
    pub fn try_within(&mut self, bytes: usize, micros: f64) -> Result<(), CompileError> {
        let searches = match self.bench.mixed.search {
            Search::Best => vec![(Search::Knapsack, false), (Search::Genetic, false), (Search::Knapsack, true)],
            search => vec![(search, false)],
        };
        let mut least = f64::INFINITY;
        for (search, own) in searches {
            let mut room = bytes.saturating_sub(self.fixed.0);
            for _ in 0..TRIES {
                let budget = Budget { bytes: room, micros: micros - self.fixed.1 };
                let layers = if own { &self.own } else { &self.layers };
                let Some(widths) = choose(layers, &budget, search) else { break };
                let loss = self.sum(&widths, |cost| cost.loss);
                if loss > least * CLOSE {
                    break;
                }
                least = least.min(loss);
                // Which channels are dead depends on all widths together: what the sum of the layers does not show.
                match self.try_one(&widths, bytes)? {
                    0 => break,
                    over => room = room.saturating_sub(over.max(room / 256)),
                }
            }
        }
        Ok(())
    }

    fn sum(&self, widths: &[usize], of: impl Fn(&WidthCost) -> f64) -> f64 {
        self.layers.iter().zip(widths).map(|(layer, &width)| of(&layer.widths[width])).sum()
    }

    /// Compiles a mixture, measures it if it fits, and says by how many bytes it does not.
    fn try_one(&mut self, widths: &[usize], bytes: usize) -> Result<usize, CompileError> {
        let tried = self.tried.iter().map(|tried| (&tried.widths, tried.point.bytes));
        let known = tried.chain(self.over.iter().map(|(widths, bytes)| (widths, *bytes)));
        let known = known.filter(|(other, _)| *other == widths).map(|(_, bytes)| bytes).next();
        if let Some(over) = known.map(|known| known.saturating_sub(bytes)).filter(|&over| over > 0) {
            return Ok(over);
        }
        if self.tried.iter().any(|tried| tried.widths == widths) {
            return Ok(0);
        }
        let compiled = self.bench.mixture(&self.layers, widths)?;
        let found = compiled.artifact.len();
        if found > bytes {
            self.over.push((widths.to_vec(), found));
            return Ok(found - bytes);
        }
        let point = self.bench.point("", &compiled, true)?;
        let micros = self.fixed.1 + self.sum(widths, |cost| cost.micros);
        self.tried.push(Tried { point, widths: widths.to_vec(), micros });
        Ok(0)
    }

    /// The uniform models, then the mixtures that none of fewer bytes is better than, by size.
    pub fn frontier(&self) -> Vec<FrontierPoint> {
        let mut points: Vec<FrontierPoint> =
            self.tried.iter().filter(|t| !t.point.mixed).map(|t| t.point.clone()).collect();
        let mut mixtures: Vec<&Tried> = self.tried.iter().filter(|t| t.point.mixed).collect();
        mixtures.sort_by(|a, b| a.point.bytes.cmp(&b.point.bytes).then(b.point.snr_db.total_cmp(&a.point.snr_db)));
        let mut best = f64::NEG_INFINITY;
        for mixture in mixtures {
            let uniform = points.iter().filter(|p| !p.mixed && p.bytes <= mixture.point.bytes);
            let bar = uniform.map(|p| p.snr_db).fold(best, f64::max);
            if mixture.point.snr_db > bar {
                best = mixture.point.snr_db;
                let name = format!("mixture {}", points.len() + 1 - WIDTHS.len());
                points.push(FrontierPoint { name, ..mixture.point.clone() });
            }
        }
        points
    }

    /// Whether anything can hold the budget, as far as the sum of the layers tells.
    pub fn feasible(&self) -> bool {
        let mixed = self.bench.mixed;
        let (bytes, micros) = (mixed.bytes.unwrap_or(usize::MAX), mixed.micros.unwrap_or(f64::INFINITY));
        let budget = Budget { bytes: bytes.saturating_sub(self.fixed.0), micros: micros - self.fixed.1 };
        self.tried.iter().any(|tried| self.fits(tried, bytes))
            || bytes >= self.fixed.0 && choose(&self.layers, &budget, Search::Knapsack).is_some()
    }

    fn fits(&self, tried: &Tried, bytes: usize) -> bool {
        let micros = tried.point.micros.min(tried.micros);
        tried.point.bytes <= bytes && self.bench.mixed.micros.is_none_or(|most| micros <= most)
    }

    /// The least of everything, against what was asked for.
    pub fn refusal(&self) -> MixedError {
        let mixed = self.bench.mixed;
        let asked = [mixed.bytes.map(|b| format!("{b} bytes")), mixed.micros.map(|t| format!("{t:.0} µs"))];
        let least = |f: &dyn Fn(&WidthCost) -> f64| -> f64 {
            self.layers.iter().map(|layer| layer.widths.iter().map(f).fold(f64::INFINITY, f64::min)).sum()
        };
        let uniform = self.tried.iter().map(|tried| tried.point.bytes).min().unwrap_or(0);
        // Where the sum of the layers fits and the artifact does not, the smallest that was made.
        let sum = self.fixed.0 + least(&|w| w.bytes as f64) as usize;
        MixedError::Budget {
            asked: asked.into_iter().flatten().collect::<Vec<_>>().join(" and "),
            least_bytes: if mixed.bytes.is_some_and(|most| sum <= most) { uniform } else { sum },
            least_micros: self.fixed.1 + least(&|w| w.micros),
        }
    }

    /// Compiles the best that fits by `finish`, and the best uniform width that fits; the better of the two. Where an
    /// agreement was asked for, the smallest that agrees enough.
    pub fn choose(&mut self, finish: &mut Final<'_>) -> Result<(Vec<usize>, Compiled), CompileError> {
        let most = self.bench.mixed.bytes.unwrap_or(usize::MAX);
        // Branches and other channels that are dead may make it larger than it was: then with less room.
        let mut room = most;
        loop {
            let best = |mixed: bool| {
                let fitting = self.tried.iter().filter(|t| self.fits(t, room) && t.point.mixed == mixed);
                fitting.max_by(|a, b| a.point.snr_db.total_cmp(&b.point.snr_db).then(b.point.bytes.cmp(&a.point.bytes)))
            };
            let finalists = match self.bench.mixed.agreement {
                Some(asked) => [Some(self.agreeing(asked, room)?), None],
                None => [best(false), best(true)],
            };
            let finalists: Vec<Vec<usize>> =
                finalists.into_iter().flatten().map(|tried| tried.widths.clone()).collect();
            let mut found: Option<(f64, Vec<usize>, Compiled)> = None;
            let mut over = usize::MAX;
            for widths in finalists {
                let compiled = finish(&self.bench, &self.layers, &widths)?;
                if compiled.artifact.len() > most {
                    over = over.min(compiled.artifact.len() - most);
                    continue;
                }
                let snr = self.bench.point("", &compiled, true)?.snr_db;
                if found.as_ref().is_none_or(|(best, _, _)| snr > *best) {
                    found = Some((snr, widths, compiled));
                }
            }
            match found {
                Some((_, widths, compiled)) => return Ok((widths, compiled)),
                None if over == usize::MAX || over >= room => return Err(self.refusal().into()),
                None => {
                    room -= over.max(room / 64).min(room);
                    self.try_within(room, self.bench.mixed.micros.unwrap_or(f64::INFINITY))?;
                }
            }
        }
    }

    /// The smallest that agrees enough.
    fn agreeing(&self, asked: f64, most: usize) -> Result<&Tried, MixedError> {
        let fitting = || self.tried.iter().filter(|tried| self.fits(tried, most));
        let enough = fitting().filter(|tried| tried.point.agreement >= asked);
        let best = fitting().map(|tried| tried.point.agreement).fold(0.0, f64::max);
        enough
            .min_by_key(|tried| tried.point.bytes)
            .ok_or(MixedError::Agreement { asked: asked * 100.0, best: best * 100.0 })
    }
}
