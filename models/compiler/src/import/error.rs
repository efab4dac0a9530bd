//! What can go wrong while a model file becomes a graph.
use std::fmt;

/// One node that the importer has no equivalent for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Name of the node, or of its first output where the file gave none.
    pub node: String,
    pub op_type: String,
    /// Operator domain; empty for the ONNX standard.
    pub domain: String,
    pub reason: String,
    /// The nearest way to a model that imports.
    pub remedy: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (domain, dot) = if self.domain.is_empty() { ("", "") } else { (self.domain.as_str(), ".") };
        write!(f, "node `{}` ({domain}{dot}{}): {}; {}", self.node, self.op_type, self.reason, self.remedy)
    }
}

/// Import failure. Every text names the place in the model and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("not an ONNX model: {reason}")]
    Protobuf { reason: String },
    #[error("invalid model: {at}: {reason}")]
    Invalid { at: String, reason: String },
    #[error("graph input `{input}`: {reason}; {remedy}")]
    Input { input: String, reason: String, remedy: String },
    #[error("not supported: {at}: {reason}; {remedy}")]
    Refused { at: String, reason: String, remedy: String },
    #[error("{at}: {bytes} bytes are over the limit of {limit}")]
    TooLarge { at: String, bytes: u128, limit: u128 },
    #[error("node `{node}` ({op_type}), inputs {shapes}: {reason}")]
    Node { node: String, op_type: String, shapes: String, reason: String },
    #[error("unsupported:{}", lines(.0))]
    Unsupported(Vec<Unsupported>),
    #[error("shape inference: {at}: {reason}")]
    Analysis { at: String, reason: String },
}

fn lines(list: &[Unsupported]) -> String {
    list.iter().map(|u| format!("\n  {u}")).collect()
}

pub(crate) type Result<T> = std::result::Result<T, ImportError>;

pub(crate) fn invalid<T>(at: impl Into<String>, reason: impl Into<String>) -> Result<T> {
    Err(ImportError::Invalid { at: at.into(), reason: reason.into() })
}

pub(crate) fn refused<T>(at: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Result<T> {
    Err(ImportError::Refused { at: at.into(), reason: reason.into(), remedy: remedy.into() })
}

/// Failure inside one node, before the node's name is attached.
#[derive(Debug)]
pub(crate) enum NodeError {
    Invalid(String),
    Unsupported { reason: String, remedy: String },
    Other(ImportError),
}

pub(crate) type NodeResult<T> = std::result::Result<T, NodeError>;

pub(crate) fn bad<T>(reason: impl Into<String>) -> NodeResult<T> {
    Err(NodeError::Invalid(reason.into()))
}

pub(crate) fn refuse<T>(reason: impl Into<String>, remedy: impl Into<String>) -> NodeResult<T> {
    Err(NodeError::Unsupported { reason: reason.into(), remedy: remedy.into() })
}

impl From<ImportError> for NodeError {
    fn from(e: ImportError) -> Self {
        NodeError::Other(e)
    }
}
