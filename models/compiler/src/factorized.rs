//! Compiles a graph whose convolutions were factorized, and says so in the report.

use crate::graph::Graph;
use crate::passes::factorize_convs;
use crate::pipeline::{CompileError, CompileOptions, Compiled};

/// Factorizes as the options say, compiles, and compares with the graph as it was.
pub(crate) fn with_factors(
    mut graph: Graph,
    options: &CompileOptions,
    compile: impl FnOnce(Graph, &CompileOptions) -> Result<Compiled, CompileError>,
) -> Result<Compiled, CompileError> {
    let Some(how) = &options.factorize else { return compile(graph, options) };
    let whole = graph.clone();
    let made = factorize_convs(&mut graph, how)?;
    let between = made.iter().map(|conv| conv.between.clone());
    let pairs = options.pairs.iter().cloned().chain(between).collect();
    let mut compiled = compile(graph, &CompileOptions { pairs, ..options.clone() })?;
    // What factorization costs is a part of the loss.
    compiled.float_graph = whole;
    compiled.report.factorized = made;
    Ok(compiled)
}
