//! Errors of lowering and of the simulator.

use crate::graph::{Graph, Node};
use thiserror::Error;

/// Why a graph could not become a program.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum LowerError {
    /// The device has no form of this operation.
    #[error("node '{node}' ({op}, {shapes}): {reason}; {remedy}")]
    Unsupported { node: String, op: String, shapes: String, reason: String, remedy: String },
    /// A graph input, output or constant has a type the artifact cannot hold.
    #[error("value '{value}': {reason}; {remedy}")]
    Value { value: String, reason: String, remedy: String },
    /// The program or its data did not pass the runtime's own checks.
    #[error("running the program: {0}")]
    Runtime(String),
}

impl LowerError {
    pub(crate) fn node(graph: &Graph, node: &Node, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        let op = format!("{:?}", node.op);
        let op = op.split([' ', '(', '{']).next().unwrap_or_default().to_string();
        let shapes: Vec<String> =
            node.inputs.iter().flatten().map(|&id| format!("{:?}", graph.value(id).shape)).collect();
        let shapes = format!("inputs {}", shapes.join(" "));
        LowerError::Unsupported { node: node.name.clone(), op, shapes, reason: reason.into(), remedy: remedy.into() }
    }

    pub(crate) fn value(value: &str, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        LowerError::Value { value: value.into(), reason: reason.into(), remedy: remedy.into() }
    }
}
