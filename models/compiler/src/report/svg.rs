//! A bar chart of SNR per layer, and a plot of loss over size.

use super::html::escape;
use super::{FrontierPoint, QuantReport};
use std::fmt::Write;

const ROW: usize = 18;
const LABEL: usize = 260;
const WIDTH: usize = 900;
/// Bars end here; what is better looks the same.
const FULL_DB: f64 = 60.0;

/// One bar a layer in the order of the model; empty without figures.
pub(super) fn chart(report: &QuantReport) -> String {
    let layers: Vec<_> = report.layers.iter().filter_map(|l| Some((l, l.figure()?))).collect();
    if layers.is_empty() {
        return String::new();
    }
    let height = layers.len() * ROW + 24;
    let scale = |db: f64| db.clamp(0.0, FULL_DB) / FULL_DB * (WIDTH - LABEL - 70) as f64;
    let mut out =
        format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"SNR per layer in decibels\">\n");
    for db in [0, 10, 20, 30, 40, 50, 60] {
        let x = LABEL as f64 + scale(f64::from(db));
        let bottom = height - 20;
        let _ = writeln!(out, "<line class=\"grid\" x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{bottom}\"/>");
        let _ = writeln!(
            out,
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{}\">{db} dB</text>",
            height - 6
        );
    }
    for (index, (layer, db)) in layers.iter().enumerate() {
        let y = index * ROW;
        let class = match db {
            _ if layer.f32_reason().is_some() => "bar f32",
            d if *d < 15.0 => "bar poor",
            d if *d < 25.0 => "bar fair",
            _ => "bar good",
        };
        let label = escape(&shorten(&layer.name));
        let text = if *db >= 999.0 { "exact".to_string() } else { format!("{db:.1}") };
        let width = scale(*db).max(1.0);
        let end = LABEL as f64 + width + 6.0;
        let _ = writeln!(
            out,
            "<g><title>{} {}: {text} dB</title><text class=\"label\" text-anchor=\"end\" x=\"{}\" y=\"{}\">{label}</text>\
             <rect class=\"{class}\" x=\"{LABEL}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\"/>\
             <text class=\"num\" x=\"{end:.1}\" y=\"{}\">{text}</text></g>",
            escape(&layer.op),
            escape(&layer.name),
            LABEL - 8,
            y + 13,
            y + 3,
            ROW - 5,
            y + 13,
        );
    }
    out.push_str("</svg>\n");
    out
}

/// The end of a long name: it tells layers apart.
/// SNR over bytes of artifacts: uniform widths as squares, mixtures as a line.
pub(super) fn plot(points: &[FrontierPoint]) -> String {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 300.0;
    const EDGE: f64 = 48.0;
    let finite = |p: &FrontierPoint| p.snr_db.clamp(-20.0, 120.0);
    let span = |of: &dyn Fn(&FrontierPoint) -> f64| {
        points.iter().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
    };
    let (left, right) = span(&|p| p.bytes as f64);
    let (bottom, top) = span(&finite);
    let x = |p: &FrontierPoint| EDGE + (p.bytes as f64 - left) / (right - left).max(1.0) * (WIDTH - 2.0 * EDGE);
    let y = |p: &FrontierPoint| HEIGHT - EDGE - (finite(p) - bottom) / (top - bottom).max(1e-9) * (HEIGHT - 2.0 * EDGE);
    let mut mixtures: Vec<&FrontierPoint> = points.iter().filter(|p| p.mixed && p.name != "chosen").collect();
    mixtures.sort_by_key(|p| p.bytes);
    let line: Vec<String> = mixtures.iter().map(|p| format!("{:.1},{:.1}", x(p), y(p))).collect();
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"SNR over artifact bytes\">");
    let _ =
        write!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"#2f855a\" stroke-width=\"2\"/>", line.join(" "));
    for p in points {
        let (cx, cy) = (x(p), y(p));
        let mark = match (p.mixed, p.name == "chosen") {
            (_, true) => format!(
                "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"7\" fill=\"none\" stroke=\"#c53030\" stroke-width=\"2\"/>"
            ),
            (true, _) => format!("<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"4\" fill=\"#2f855a\"/>"),
            (false, _) => format!(
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\" fill=\"#b7791f\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                cx - 4.0,
                cy - 4.0,
                cx + 8.0,
                cy + 14.0,
                escape(&p.name)
            ),
        };
        let _ = write!(out, "{mark}");
    }
    let _ = write!(
        out,
        "<text class=\"tick\" x=\"{EDGE}\" y=\"{:.0}\">{} bytes</text><text class=\"tick\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{} bytes</text>",
        HEIGHT - 8.0,
        left,
        WIDTH - EDGE,
        HEIGHT - 8.0,
        right
    );
    let _ = writeln!(
        out,
        "<text class=\"tick\" x=\"4\" y=\"20\">{top:.0} dB</text><text class=\"tick\" x=\"4\" y=\"{:.0}\">{bottom:.0} dB</text></svg>",
        HEIGHT - EDGE
    );
    out
}

pub(super) fn shorten(name: &str) -> String {
    let name = name.split(';').next().unwrap_or(name);
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= 38 { name.into() } else { format!("…{}", chars[chars.len() - 37..].iter().collect::<String>()) }
}
