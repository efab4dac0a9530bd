//! The report as one HTML page without external parts.

use super::hints::dead;
use super::svg::{chart, plot, shorten};
use super::{Execution, LayerReport, QuantReport, bytes, count};
use std::fmt::Write;

const STYLE: &str = "
:root{--fg:#1b1f24;--bg:#fff;--muted:#667;--line:#dde1e6;--good:#2f855a;--fair:#b7791f;--poor:#c53030;--f32:#8a94a6;--card:#f6f8fa}
@media(prefers-color-scheme:dark){:root{--fg:#e6e9ee;--bg:#15181c;--muted:#98a2b3;--line:#2c323a;--good:#68d391;--fair:#ecc94b;--poor:#fc8181;--f32:#7b8699;--card:#1d2127}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.mode{color:var(--muted);margin:.2rem 0 1.2rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.7rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem .8rem}
.card b{display:block;font-size:1.15rem;font-variant-numeric:tabular-nums}.card span{color:var(--muted);font-size:.85rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.3rem .5rem;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--muted);font-weight:600}
td:first-child,th:first-child,td.l,th.l{text-align:left}td.l{white-space:normal}
svg{width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:var(--fg)}
svg .tick{fill:var(--muted)}svg .grid{stroke:var(--line)}
.bar{rx:2px}.bar.good{fill:var(--good)}.bar.fair{fill:var(--fair)}.bar.poor{fill:var(--poor)}.bar.f32{fill:var(--f32)}
.poor{color:var(--poor)}.fair{color:var(--fair)}.good{color:var(--good)}
li{margin:.3rem 0}footer{color:var(--muted);font-size:.85rem;margin-top:2rem}
";

pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

pub(super) fn page(report: &QuantReport) -> String {
    let name = if report.model.is_empty() { "model" } else { &report.model };
    let name = escape(name);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Quantization of {name}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Quantization of {name}</h1>\n<p class=\"mode\">{}</p>\n",
        escape(&report.mode)
    );
    cards(&mut out, report);
    let svg = chart(report);
    if !svg.is_empty() {
        let what = if report.comparison.is_some() { "Output SNR per layer" } else { "Weight SNR per layer" };
        let _ = write!(out, "<h2>{what}</h2>\n{svg}");
    }
    let hints = report.hints();
    if !hints.is_empty() {
        out.push_str("<h2>What to try</h2>\n<ul>\n");
        for hint in hints {
            let _ = writeln!(out, "<li>{}</li>", escape(&hint));
        }
        out.push_str("</ul>\n");
    }
    super::factors::table(&mut out, &report.factorized);
    table(&mut out, report);
    frontier(&mut out, report);
    sensitivities(&mut out, report);
    out.push_str(
        "<footer>SNR is 10·log10(Σ reference² / Σ error²) in dB: 20 dB is an error of 10 %, 40 dB of 1 %. \
         Grids are the real values that the codes −128 and 127 stand for.</footer>\n</body>\n</html>\n",
    );
    out
}

/// Models of uniform widths and mixtures, as a plot and a table.
fn frontier(out: &mut String, report: &QuantReport) {
    if report.frontier.is_empty() {
        return;
    }
    let _ = write!(out, "<h2>Size against loss: uniform widths and mixtures</h2>\n{}", plot(&report.frontier));
    out.push_str("<div class=\"wide\"><table><tr><th>model</th><th>bytes</th><th>µs here</th><th>SNR, dB</th><th>same top-1</th></tr>\n");
    for point in &report.frontier {
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{:.0}</td><td>{:.1}</td><td>{:.1} %</td></tr>",
            escape(&point.name),
            bytes(point.bytes),
            point.micros,
            point.snr_db,
            point.agreement * 100.0
        );
    }
    out.push_str("</table></div>\n");
}

/// What each width costs each layer.
fn sensitivities(out: &mut String, report: &QuantReport) {
    let Some(first) = report.sensitivities.first() else { return };
    out.push_str("<h2>Sensitivity: SNR of each layer's output by weight width, inputs in int8</h2>\n");
    let model = report.sensitivities.iter().any(|row| !row.model.is_empty());
    if model {
        out.push_str("<p>“model”: of the model's outputs, this layer alone with such weights.</p>\n");
    }
    out.push_str("<div class=\"wide\"><table><tr><th>layer</th>");
    for (name, _, _) in &first.widths {
        let _ = write!(out, "<th>{name}, dB</th>{}<th>bytes</th>", if model { "<th>model, dB</th>" } else { "" });
    }
    out.push_str("</tr>\n");
    for row in &report.sensitivities {
        let _ = write!(out, "<tr><td title=\"{}\">{}</td>", escape(&row.layer), escape(&shorten(&row.layer)));
        for (index, (_, size, snr)) in row.widths.iter().enumerate() {
            let class = if *snr >= 30.0 {
                "good"
            } else if *snr >= 15.0 {
                "fair"
            } else {
                "poor"
            };
            let _ = write!(out, "<td class=\"{class}\">{snr:.1}</td>");
            if model {
                let found = row.model.get(index).map_or("–".to_string(), |snr| format!("{snr:.1}"));
                let _ = write!(out, "<td>{found}</td>");
            }
            let _ = write!(out, "<td>{}</td>", bytes(*size));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
}

fn card(out: &mut String, figure: &str, label: &str) {
    let _ = writeln!(out, "<div class=\"card\"><b>{}</b><span>{}</span></div>", escape(figure), escape(label));
}

fn cards(out: &mut String, report: &QuantReport) {
    out.push_str("<div class=\"cards\">\n");
    let sizes = &report.sizes;
    let ratio = sizes.f32_bytes as f64 / sizes.bytes.max(1) as f64;
    card(
        out,
        &format!("{} → {}", bytes(sizes.f32_bytes), bytes(sizes.bytes)),
        &format!("constants, {ratio:.1}× smaller"),
    );
    if let Some(n) = sizes.artifact_bytes {
        card(out, &bytes(n), "artifact (flash)");
    }
    if let Some(n) = sizes.arena_bytes {
        card(out, &bytes(n), "arena (RAM)");
    }
    for region in &report.regions {
        let label = format!("of it in {}, {:.1} % of the traffic", region.name, region.traffic * 100.0);
        card(out, &bytes(region.bytes), &label);
    }
    card(out, &count(report.macs()), "multiply-accumulates");
    let micros: f64 = report.layers.iter().filter_map(|l| l.micros).sum();
    if micros > 0.0 {
        card(out, &format!("{micros:.1} µs"), "in the layers, on the machine that compiled");
    }
    let f32_macs: u64 = report.layers.iter().filter(|l| l.f32_reason().is_some()).map(|l| l.macs).sum();
    let share = 100.0 - 100.0 * f32_macs as f64 / report.macs().max(1) as f64;
    card(out, &format!("{share:.1} %"), "of the work in integers");
    if let Some(c) = &report.comparison {
        let db = if c.snr_db >= 999.0 { "exact".into() } else { format!("{:.1} dB", c.snr_db) };
        card(out, &db, "SNR at the outputs");
        card(out, &format!("{:.1} %", c.top1_agreement * 100.0), &format!("same top-1, {} inputs", c.inputs));
    }
    if let Some((picture, loss)) = report.picture_loss() {
        let db = if loss.psnr_db >= 999.0 { "exact".into() } else { format!("{:.1} dB", loss.psnr_db) };
        card(out, &db, &format!("PSNR of {} beside float", shorten(&picture.output)));
    }
    let (constant, channels) = dead(report);
    if channels > 0 {
        card(out, &format!("{constant} of {channels}"), "channels constant in calibration");
    }
    out.push_str("</div>\n");
}

/// A short decimal form.
fn number(x: f32) -> String {
    let magnitude = x.abs();
    if x == 0.0 || (0.01..10_000.0).contains(&magnitude) { format!("{x:.3}") } else { format!("{x:.2e}") }
}

fn pair(pair: Option<(f32, f32)>) -> String {
    pair.map_or("–".into(), |(lo, hi)| format!("{} … {}", number(lo), number(hi)))
}

fn decibels(db: Option<f64>) -> String {
    match db {
        None => "–".into(),
        Some(db) if db >= 999.0 => "exact".into(),
        Some(db) => {
            let class = if db < 15.0 {
                "poor"
            } else if db < 25.0 {
                "fair"
            } else {
                "good"
            };
            format!("<span class=\"{class}\">{db:.1}</span>")
        }
    }
}

/// Sorted by SNR, layers without a figure last.
fn table(out: &mut String, report: &QuantReport) {
    out.push_str(
        "<h2>Layers, worst first</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>layer</th><th class=\"l\">op</th>\
         <th>shape</th><th>output SNR</th><th>weight SNR</th><th>weight scales</th><th>seen</th><th>grid</th>\
         <th>zero point</th><th>MACs</th><th>µs here</th><th>constants</th><th>dead</th><th class=\"l\">runs</th></tr></thead>\n<tbody>\n",
    );
    let rest = report.layers.iter().filter(|l| l.figure().is_none());
    for layer in report.worst().into_iter().chain(rest) {
        row(out, layer);
    }
    out.push_str("</tbody>\n</table></div>\n");
}

fn row(out: &mut String, layer: &LayerReport) {
    let runs = match &layer.execution {
        Execution::Int8 => "int8".to_string(),
        Execution::Int16 => "int16".to_string(),
        Execution::File => "as in the file".to_string(),
        Execution::Widened => "f32, weights widened".to_string(),
        Execution::F32(reason) => format!("f32: {reason}"),
        Execution::Other => String::new(),
    };
    let shape: Vec<String> = layer.shape.iter().map(usize::to_string).collect();
    let weights = layer.weights.as_ref();
    let scales = weights.map(|w| (w.scale_min, w.scale_max));
    let zero = layer.activation.zero_point.map_or("–".into(), |z| z.to_string());
    let macs = if layer.macs == 0 { "–".into() } else { count(layer.macs) };
    let micros = layer.micros.map_or("–".into(), |us| format!("{us:.1}"));
    let constants = if layer.f32_bytes == 0 {
        "–".into()
    } else {
        format!("{} → {}", bytes(layer.f32_bytes), bytes(layer.bytes))
    };
    let dead = match layer.activation.channels {
        0 => "–".into(),
        n => format!("{}/{n}", layer.activation.constant_channels.max(weights.map_or(0, |w| w.zero_channels))),
    };
    let _ = writeln!(
        out,
        "<tr><td title=\"{}\">{}</td><td class=\"l\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td>{}</td><td>{zero}</td><td>{macs}</td><td>{micros}</td><td>{constants}</td><td>{dead}</td><td class=\"l\">{}</td></tr>",
        escape(&layer.name),
        escape(&shorten(&layer.name)),
        escape(&layer.op),
        shape.join("×"),
        decibels(layer.snr_db),
        decibels(weights.map(|w| w.snr_db)),
        pair(scales),
        pair(layer.activation.seen),
        pair(layer.activation.grid),
        escape(&runs),
    );
}
