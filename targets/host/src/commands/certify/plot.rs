//! The certified-accuracy curve as a picture.

use super::outcome::Point;
use selvedge::noise::Sigma;
use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 44.0;
const TOP: f64 = 16.0;
const RIGHT: f64 = 16.0;

/// Accuracy in percent over the radius in the input's units.
pub fn svg(curve: &[Point], entries: usize, sigma: Sigma, per_unit: f64) -> String {
    let most = curve.last().map_or(1.0, |&(sigmas, _)| sigmas).max(0.25);
    let x = |sigmas: f64| LEFT + sigmas / most * (WIDTH - LEFT - RIGHT);
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
    for &(sigmas, _) in curve.iter().step_by(if curve.len() > 10 { 4 } else { 2 }) {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.3}</text>",
            x(sigmas),
            HEIGHT - BOTTOM + 16.0,
            sigmas * sigma.value() / per_unit
        );
    }
    let mut path = String::new();
    for (index, &(sigmas, count)) in curve.iter().enumerate() {
        let part = count as f64 / entries.max(1) as f64;
        let _ = write!(path, "{}{:.1} {:.1}", if index == 0 { "M" } else { "L" }, x(sigmas), y(part));
    }
    let _ = write!(
        out,
        "<path d=\"{path}\" fill=\"none\" stroke=\"#0a6ebd\" stroke-width=\"2\"/>\n<text x=\"{:.1}\" y=\"{:.1}\" \
         text-anchor=\"middle\">radius ({entries} entries, sigma {:.4})</text>\n</svg>\n",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        HEIGHT - 10.0,
        sigma.value() / per_unit
    );
    out
}
