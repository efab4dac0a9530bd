//! A bar chart of SNR per layer.

use super::QuantReport;
use super::html::escape;
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
pub(super) fn shorten(name: &str) -> String {
    let name = name.split(';').next().unwrap_or(name);
    let chars: Vec<char> = name.chars().collect();
    if chars.len() <= 38 { name.into() } else { format!("…{}", chars[chars.len() - 37..].iter().collect::<String>()) }
}
