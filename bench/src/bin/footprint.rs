//! Bytes and MACs of each model as a Markdown table.

use selvedge_bench::models;

fn main() {
    println!("| model | MACs | steps | artifact bytes | of them weights | arena bytes | lower bound |");
    println!("|---|---|---|---|---|---|---|");
    for model in models() {
        let c = &model.compiled;
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            model.name,
            c.program.macs(),
            c.program.steps.len(),
            c.artifact.len(),
            c.program.weights.len(),
            c.plan.arena_bytes,
            c.plan.lower_bound
        );
    }
}
