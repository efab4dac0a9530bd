//! The convolutions that were cut in two: form, rank, energy kept, multiply-accumulates.

use super::count;
use super::html::escape;
use super::svg::shorten;
use crate::passes::{ConvForm, FactorizedConv};
use std::fmt::Write;

fn form(conv: &FactorizedConv) -> &'static str {
    match conv.form {
        ConvForm::Channel => "channel-wise",
        ConvForm::Spatial => "spatial",
    }
}

/// Lines for the terminal.
pub(super) fn lines(out: &mut String, convs: &[FactorizedConv]) {
    if convs.is_empty() {
        return;
    }
    let sum = |of: fn(&FactorizedConv) -> u64| convs.iter().map(of).sum::<u64>();
    let (before, after) = (sum(|c| c.macs_before), sum(|c| c.macs_after));
    let _ = writeln!(out, "  low rank  {} convolutions: {} -> {} MACs", convs.len(), count(before), count(after));
    for conv in convs {
        let _ = writeln!(
            out,
            "            {}: {}, rank {}, {:.1} % of the energy, {} -> {} MACs",
            shorten(&conv.node),
            form(conv),
            conv.rank,
            conv.energy * 100.0,
            count(conv.macs_before),
            count(conv.macs_after)
        );
    }
}

/// A table of the report page.
pub(super) fn table(out: &mut String, convs: &[FactorizedConv]) {
    if convs.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Convolutions of low rank</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>layer</th><th class=\"l\">form</th>\
         <th>rank</th><th>energy</th><th>MACs before</th><th>MACs after</th></tr></thead>\n<tbody>\n",
    );
    for conv in convs {
        let _ = writeln!(
            out,
            "<tr><td title=\"{}\">{}</td><td class=\"l\">{}</td><td>{}</td><td>{:.1} %</td><td>{}</td><td>{}</td></tr>",
            escape(&conv.node),
            escape(&shorten(&conv.node)),
            form(conv),
            conv.rank,
            conv.energy * 100.0,
            count(conv.macs_before),
            count(conv.macs_after)
        );
    }
    out.push_str("</tbody>\n</table></div>\n");
}
