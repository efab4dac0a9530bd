//! A picture of the arena: steps from left to right, bytes from bottom to top.

use selvedge_compiler::inspect::Summary;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 40.0;

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Renders a self-contained SVG. Hovering a rectangle names the tensor.
pub fn svg(summary: &Summary, title: &str) -> String {
    let columns = (summary.steps.len() + 2) as f64;
    let bytes = summary.arena_bytes.max(1) as f64;
    let x = |column: f64| LEFT + column / columns * WIDTH;
    let y = |byte: f64| TOP + HEIGHT - byte / bytes * HEIGHT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"14\">{}: arena {} bytes, lower bound {}</text>\n",
        LEFT + WIDTH + 20.0,
        TOP + HEIGHT + 50.0,
        escape(title),
        summary.arena_bytes,
        summary.arena_lower_bound_bytes
    );
    let mut rectangle = |from: usize, to: usize, offset: usize, len: usize, fill: &str, name: &str| {
        let (left, right) = (x(from as f64), x(to as f64 + 1.0));
        let (top, bottom) = (y((offset + len) as f64), y(offset as f64));
        svg += &format!(
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\" stroke=\"#333\" stroke-width=\"0.5\">\
             <title>{}: {len} bytes at {offset}</title></rect>\n",
            right - left,
            (bottom - top).max(0.5),
            escape(name)
        );
    };
    let palette = ["#8ecae6", "#b7e4c7", "#ffd6a5", "#cdb4db", "#f4acb7", "#e9ecef"];
    for (i, t) in summary.tensors.iter().enumerate() {
        rectangle(t.defined, t.last_use.max(t.defined), t.offset, t.bytes, palette[i % palette.len()], &t.name);
    }
    for step in &summary.steps {
        let now = step.index + 1;
        if step.scratch_bytes > 0 {
            rectangle(now, now, step.scratch_offset, step.scratch_bytes, "#d62828", "scratch");
        }
        if step.staged_bytes > 0 {
            rectangle(now, now, step.staged_offset, step.staged_bytes, "#6c757d", "staged weights");
        }
    }
    for region in summary.regions.iter().filter(|_| summary.regions.len() > 1) {
        let (bottom, right) = (y(region.offset as f64), LEFT + WIDTH);
        svg += &format!(
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom:.1}\" y2=\"{bottom:.1}\" stroke=\"#000\" stroke-width=\"1.5\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-weight=\"bold\">{}: {} bytes</text>\n",
            right - 4.0,
            bottom - 4.0,
            escape(&region.name),
            region.bytes
        );
    }
    for mark in 0..=4 {
        let byte = bytes * mark as f64 / 4.0;
        svg +=
            &format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{byte:.0}</text>\n", LEFT - 6.0, y(byte) + 4.0);
    }
    let every = summary.steps.len().div_ceil(30).max(1);
    for step in summary.steps.iter().step_by(every) {
        let middle = x(step.index as f64 + 1.5);
        svg += &format!(
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
            TOP + HEIGHT + 16.0,
            step.index
        );
    }
    svg + &format!(
        "<text x=\"{LEFT}\" y=\"{:.1}\">step (inputs before the first, outputs after the last); red: scratch, grey: staged weights</text>\n</svg>\n",
        TOP + HEIGHT + 38.0
    )
}
