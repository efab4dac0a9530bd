//! The certified-accuracy curve as a picture.

use super::measure::{Curve, Measure};
use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 44.0;
const TOP: f64 = 16.0;
const RIGHT: f64 = 16.0;

/// Accuracy in percent over the radius in the units of the norm.
pub fn svg(curve: &Curve, measure: &Measure) -> String {
    let most = curve.points.last().map_or(1.0, |point| point.radius);
    // A curve of one point has no length.
    let most = if most > 0.0 { most } else { 1.0 };
    let x = |radius: f64| LEFT + radius / most * (WIDTH - LEFT - RIGHT);
    let y = |part: f64| TOP + (1.0 - part) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for tenth in (0..=10).step_by(2) {
        let part = f64::from(tenth) / 10.0;
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {0:.1}H{1:.1}\" stroke=\"#ddd\"/><text x=\"{2:.1}\" y=\"{3:.1}\" text-anchor=\"end\">{4} %</text>",
            y(part),
            WIDTH - RIGHT,
            LEFT - 6.0,
            y(part) + 4.0,
            tenth * 10
        );
    }
    for point in curve.points.iter().step_by(if curve.points.len() > 10 { 4 } else { 2 }) {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(point.radius),
            HEIGHT - BOTTOM + 16.0,
            measure.tick(point.radius)
        );
    }
    let mut path = String::new();
    for (index, point) in curve.points.iter().enumerate() {
        let part = point.count as f64 / curve.entries.max(1) as f64;
        let _ = write!(path, "{}{:.1} {:.1}", if index == 0 { "M" } else { "L" }, x(point.radius), y(part));
    }
    let _ = write!(
        out,
        "<path d=\"{path}\" fill=\"none\" stroke=\"#0a6ebd\" stroke-width=\"2\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" \
         text-anchor=\"middle\">{}</text>\n</svg>\n",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        HEIGHT - 10.0,
        measure.caption(curve.entries)
    );
    out
}
