//! The report in a few lines.

use super::hints::dead;
use super::svg::shorten;
use super::{Execution, QuantReport, bytes, count};
use std::fmt::Write;

pub(super) fn summary(report: &QuantReport) -> String {
    let mut out = String::new();
    let of = |wanted: fn(&Execution) -> bool| report.layers.iter().filter(|l| wanted(&l.execution)).count();
    let int8 = of(|e| *e == Execution::Int8);
    let int16 = of(|e| *e == Execution::Int16);
    let file = of(|e| *e == Execution::File);
    let widened = of(|e| *e == Execution::Widened);
    let f32s = of(|e| matches!(e, Execution::F32(_)));
    // What the file quantized throughout was not touched by the scheme.
    let mode = if file > 0 && int8 + int16 + widened + f32s == 0 { "quantized as in the file" } else { &report.mode };
    let _ = writeln!(out, "{}: {mode}", report.model);
    let widened_text = if widened > 0 { format!("{widened} f32 with narrower weights, ") } else { String::new() };
    let integers = if int16 > 0 { format!("{int16} int16") } else { format!("{int8} int8") };
    let macs = count(report.macs());
    let _ = writeln!(out, "  steps     {integers}, {file} as in the file, {widened_text}{f32s} f32; {macs} MACs");
    let sizes = &report.sizes;
    let _ = write!(out, "  constants {} -> {}", bytes(sizes.f32_bytes), bytes(sizes.bytes));
    if let (Some(artifact), Some(arena)) = (sizes.artifact_bytes, sizes.arena_bytes) {
        let _ = write!(out, "; artifact {}, arena {}", bytes(artifact), bytes(arena));
    }
    out.push('\n');
    if let Some(c) = &report.comparison {
        let agreement = c.top1_agreement * 100.0;
        let _ = writeln!(
            out,
            "  accuracy  {:.1} dB at the outputs, {agreement:.1} % same top-1 on {} inputs",
            c.snr_db.min(999.0),
            c.inputs
        );
    }
    if let Some((picture, loss)) = report.picture_loss() {
        let (db, peak) = (loss.psnr_db.min(999.0), loss.peak);
        let _ =
            writeln!(out, "  picture   {}: PSNR {db:.1} dB beside float (peak {peak:.3})", shorten(&picture.output));
    }
    for warning in report.warnings() {
        let _ = writeln!(out, "  warning   {warning}");
    }
    super::factors::lines(&mut out, &report.factorized);
    let (constant, channels) = dead(report);
    if constant > 0 {
        let _ = writeln!(out, "  dead      {constant} of {channels} layer channels never changed in calibration");
    }
    let what = if report.comparison.is_some() { "output" } else { "weight" };
    let lossy = |layer: &&super::LayerReport| layer.figure().is_some_and(|figure| figure < 900.0);
    for layer in report.worst().into_iter().filter(lossy).take(3) {
        let _ = writeln!(
            out,
            "  worst     {} {}: {what} SNR {:.1} dB",
            layer.op,
            shorten(&layer.name),
            layer.figure().unwrap_or(0.0)
        );
    }
    let all: f64 = report.layers.iter().filter_map(|l| l.micros).sum();
    if let Some(slowest) = report.slowest() {
        let micros = slowest.micros.unwrap_or(0.0);
        let share = 100.0 * micros / all;
        let _ = writeln!(
            out,
            "  slowest   {} {}: {micros:.1} of {all:.1} us here ({share:.0} %)",
            slowest.op,
            shorten(&slowest.name)
        );
    }
    for layer in report.layers.iter().filter(|l| l.macs > 0 && int8 + widened > 0) {
        if let Some(reason) = layer.f32_reason() {
            let _ = writeln!(out, "  f32       {} {}: {reason}", layer.op, shorten(&layer.name));
        }
    }
    out
}
