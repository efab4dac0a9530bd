//! How far a certificate reaches, in the units of its norm.

use selvedge::noise::Sigma;

/// What the number of a certificate counts.
#[derive(Clone, Copy, Debug)]
pub enum Measure {
    /// A sum of squared steps.
    L2 { sigma: Sigma, per_unit: f64 },
    /// Steps.
    L1 { per_unit: f64 },
    /// Changed positions.
    L0,
}

/// Entries that are right and certified up to some radius.
pub struct Point {
    /// Sigmas (l2), steps (l1) or positions (l0).
    mark: f64,
    /// In the input's units; positions for l0.
    pub radius: f64,
    pub count: usize,
}

/// Certified accuracy against the radius.
pub struct Curve {
    pub points: Vec<Point>,
    pub entries: usize,
}

/// Rows of a curve that is cut by whole steps.
const ROWS: u64 = 12;

impl Measure {
    /// The name of the norm.
    pub fn norm(&self) -> &'static str {
        match self {
            Measure::L2 { .. } => "l2",
            Measure::L1 { .. } => "l1",
            Measure::L0 => "l0",
        }
    }

    /// In the input's units; positions for l0.
    pub fn radius(&self, reach: u64) -> f64 {
        match self {
            Measure::L2 { per_unit, .. } => (reach as f64).sqrt() / per_unit,
            Measure::L1 { per_unit } => reach as f64 / per_unit,
            Measure::L0 => reach as f64,
        }
    }

    /// For people.
    pub fn words(&self, reach: u64) -> String {
        let radius = self.radius(reach);
        match self {
            Measure::L2 { sigma, .. } => {
                let sigmas = (reach as f64).sqrt() / sigma.value();
                format!("radius {radius:.4} ({sigmas:.2} sigma; sum of squared steps at most {reach})")
            }
            Measure::L1 { .. } => format!("l1 radius {radius:.4} ({reach} steps in all)"),
            Measure::L0 => format!("{reach} changed positions"),
        }
    }

    /// What runs of the model are called.
    pub fn runs(&self) -> &'static str {
        if matches!(self, Measure::L1 { .. }) { "passes" } else { "draws" }
    }

    /// The field of the JSON object that has the exact number.
    pub fn field(&self) -> &'static str {
        match self {
            Measure::L2 { .. } => "radius_sq_steps",
            Measure::L1 { .. } => "radius_steps",
            Measure::L0 => "positions",
        }
    }

    /// The curve of entries with these reaches where they are right: at quarters of a sigma, or at whole steps, up to
    /// the first that nothing reaches.
    pub fn curve(&self, right: &[Option<u64>]) -> Curve {
        let most = right.iter().flatten().max().copied().unwrap_or(0);
        let step = most.div_ceil(ROWS).max(1);
        let mut points = Vec::new();
        for row in 0..=20u32 {
            let (mark, radius, needed) = match self {
                Measure::L2 { sigma, per_unit } => {
                    let sigmas = f64::from(row) / 4.0;
                    let steps = sigmas * sigma.value();
                    (sigmas, steps / per_unit, steps * steps)
                }
                _ => {
                    let steps = u64::from(row) * step;
                    (steps as f64, self.radius(steps), steps as f64)
                }
            };
            let count = right.iter().flatten().filter(|&&reach| reach as f64 >= needed).count();
            points.push(Point { mark, radius, count });
            if count == 0 {
                break;
            }
        }
        Curve { points, entries: right.len() }
    }

    /// The curve as a table with bars.
    pub fn table(&self, curve: &Curve) -> String {
        let entries = curve.entries;
        let mut text = match self {
            Measure::L2 { .. } => format!("{:>8}  {:>7}", "radius", "sigmas"),
            Measure::L1 { .. } => format!("{:>9}  {:>7}", "l1 radius", "steps"),
            Measure::L0 => format!("{:>9}", "positions"),
        };
        text += &format!("  certified accuracy, {entries} entries\n");
        for Point { mark, radius, count } in &curve.points {
            let part = *count as f64 / entries.max(1) as f64;
            text += &match self {
                Measure::L2 { .. } => format!("{radius:>8.4}  {mark:>7.2}"),
                Measure::L1 { .. } => format!("{radius:>9.4}  {mark:>7.0}"),
                Measure::L0 => format!("{mark:>9.0}"),
            };
            text += &format!("  {:>5.1} % {}\n", part * 100.0, "#".repeat((part * 40.0).round() as usize));
        }
        text
    }

    /// A radius on the axis of a plot.
    pub fn tick(&self, radius: f64) -> String {
        match self {
            Measure::L0 => format!("{radius:.0}"),
            _ => format!("{radius:.3}"),
        }
    }

    /// What a plot's axis shows.
    pub fn caption(&self, entries: usize) -> String {
        match self {
            Measure::L2 { sigma, per_unit } => {
                format!("radius ({entries} entries, sigma {:.4})", sigma.value() / per_unit)
            }
            Measure::L1 { .. } => format!("l1 radius ({entries} entries)"),
            Measure::L0 => format!("changed positions ({entries} entries)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_end_where_nothing_reaches() {
        let sigma = Sigma::new(4, 1).expect("not zero");
        let l2 = Measure::L2 { sigma, per_unit: 16.0 };
        let counts = |curve: &Curve| curve.points.iter().map(|point| point.count).collect::<Vec<_>>();
        // Radii 0, 1 and 2 steps: quarters of sigma.
        assert_eq!(counts(&l2.curve(&[Some(0), Some(1), Some(4), None])), [3, 2, 1, 0]);
        assert_eq!(counts(&Measure::L0.curve(&[Some(2), None])), [1, 1, 1, 0]);
        let long = Measure::L1 { per_unit: 255.0 }.curve(&[Some(1000)]);
        assert_eq!(long.points.iter().map(|point| point.mark as u32).collect::<Vec<_>>()[..3], [0, 84, 168]);
        assert_eq!(counts(&long).last(), Some(&0));
        assert_eq!(counts(&Measure::L0.curve(&[None])), [0]);
    }
}
