//! ONNX files to graphs.
//!
//! The file is validated, its quantization is lifted out, tract infers the
//! shapes of what remains (the float twin), and the nodes are mapped to
//! [`Op`](crate::graph::Op)s.
mod attrs;
mod branches;
mod const_moves;
mod contrib;
mod error;
mod external;
mod fold_shapes;
mod lift;
mod loose;
mod model;
mod narrow;
mod nodes;
mod outline;
mod prune;
mod qops;
mod quant;
mod states;
mod tensor;
mod twin;
mod validate;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tract_onnx::pb::{ModelProto, TensorProto};
use tract_onnx::prelude::Framework;

pub use error::{ImportError, Unsupported};
pub use outline::{Declared, Outline, outline};
use twin::Constants;
pub use twin::{FloatTwin, NamedTensor, float_twin};

use crate::data::Array;
use crate::graph::{Constant, Graph};
use error::Result;
use model::Model;
use nodes::Mapped;

/// Operator that marks a value as living on an integer grid.
const FAKE_QUANT: &str = "FakeQuant";

/// Most rounds of shape inference; each gives the next more constants.
const MAX_ROUNDS: usize = 32;

/// Most rounds in which branches are put in place; each goes one level deeper.
const MAX_BRANCH_ROUNDS: usize = 256;

/// What the caller may state about a model.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// Input name and shape, for inputs whose shape the file leaves open.
    pub shapes: Vec<(String, Vec<usize>)>,
    /// Input name and its value; such an input is a constant, and what depends on it alone is computed here.
    pub bind: Vec<(String, Bound)>,
    /// Folder of the model file, for weights in files beside it; `None`: such models are refused.
    /// [`import_onnx`] takes the file's own.
    pub folder: Option<PathBuf>,
    /// Pairs of an input and the output whose value it takes in the next run: a model that runs frame by frame.
    pub states: Vec<(String, String)>,
    /// Recurrent layers without a state before their first step keep theirs from run to run.
    pub stream: bool,
    pub limits: Limits,
}

/// The value of an input that is the same in every run.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// That of all its elements.
    Number(f64),
    /// As many elements as the input has.
    Array(Array),
}

/// Bounds on the work and memory that a file may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Greatest total size in bytes of decoded constants; by default
    /// 4 times the file plus 64 MiB.
    pub decoded_bytes: Option<u64>,
    /// Greatest number of elements of one value; 2³¹ − 1 by default.
    pub max_elements: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { decoded_bytes: None, max_elements: i32::MAX as u64 }
    }
}

impl Limits {
    fn decoded_bytes(&self, file: usize) -> u128 {
        self.decoded_bytes.map_or(4 * file as u128 + (64 << 20), u128::from)
    }
}

/// Imports an ONNX file.
///
/// The graph has static shapes; constants are folded. Where the file is
/// quantized (QDQ or QOperator form), activations carry their grid in
/// [`quant`](crate::graph::Value::quant) and constants their codes.
///
/// ```no_run
/// use selvedge_compiler::import::{ImportOptions, import_onnx};
/// let graph = import_onnx("model.onnx".as_ref(), &ImportOptions::default())?;
/// println!("{} nodes", graph.nodes.len());
/// # Ok::<(), selvedge_compiler::import::ImportError>(())
/// ```
///
/// # Errors
/// Files that cannot be read or are malformed, inputs without a fixed shape,
/// and the complete list of unsupported nodes.
pub fn import_onnx(path: &Path, options: &ImportOptions) -> Result<Graph> {
    let bytes = std::fs::read(path).map_err(|source| ImportError::Read { path: path.display().to_string(), source })?;
    let folder = options.folder.clone().or_else(|| path.parent().map(Path::to_path_buf));
    import_onnx_bytes(&bytes, &ImportOptions { folder, ..options.clone() })
}

/// [`import_onnx`] for a file in memory.
///
/// # Errors
/// As [`import_onnx`].
pub fn import_onnx_bytes(bytes: &[u8], options: &ImportOptions) -> Result<Graph> {
    match rounds(prepare(bytes, options)?, options)? {
        Settled::Graph(mut graph) => {
            states::mark(&mut graph, options)?;
            Ok(*graph)
        }
        Settled::Branches(_) => {
            Err(ImportError::Analysis { at: "graph".into(), reason: "a branch was left behind".into() })
        }
    }
}

/// What a model became.
enum Settled {
    Graph(Box<Graph>),
    /// The first outputs of `If`s whose condition is known, and which branch they take.
    Branches(Vec<(String, bool)>),
}

/// Infers shapes until the whole model is mapped, or conditions of branches are known.
fn rounds(mut model: Model, options: &ImportOptions) -> Result<Settled> {
    let mut hints = HashMap::new();
    for _ in 0..MAX_ROUNDS {
        let (twin, refusal) = match FloatTwin::new(&model, &hints, Constants::Hidden) {
            Ok(twin) => (twin, None),
            Err(e) => (FloatTwin::blind(&model), Some(e)),
        };
        let mapped = nodes::map(&model, &twin, &hints, &options.limits);
        match mapped.map_err(|e| refusal.filter(|_| !matches!(e, ImportError::Unsupported(_))).unwrap_or(e))? {
            Mapped::Graph(graph) => return Ok(Settled::Graph(Box::new(graph))),
            Mapped::Branches(chosen) => return Ok(Settled::Branches(chosen)),
            Mapped::Learned { consts, facts } => {
                model.fix(consts);
                hints.extend(facts);
            }
        }
    }
    Err(ImportError::Analysis {
        at: "graph".into(),
        reason: format!("shapes are still open after {MAX_ROUNDS} rounds; simplify the model"),
    })
}

/// Reads and validates a file, puts branches in place and lifts the quantization out.
fn prepare(bytes: &[u8], options: &ImportOptions) -> Result<Model> {
    let mut proto = read(bytes)?;
    let beside = external::load(&mut proto, options)?;
    let size = bytes.len().saturating_add(usize::try_from(beside).unwrap_or(usize::MAX));
    for _ in 0..=MAX_BRANCH_ROUNDS {
        if let Some(graph) = &mut proto.graph {
            branches::expose(graph)?;
        }
        let model = lifted(&proto, size, options)?;
        if !model.nodes.iter().any(|node| node.op_type == branches::IF) {
            return Ok(model);
        }
        let (Settled::Branches(chosen), Some(graph)) = (rounds(model, options)?, &mut proto.graph) else { break };
        branches::inline(graph, &chosen)?;
    }
    Err(ImportError::Analysis {
        at: "graph".into(),
        reason: format!("branches are still open after {MAX_BRANCH_ROUNDS} rounds; simplify the model"),
    })
}

fn lifted(proto: &ModelProto, file_bytes: usize, options: &ImportOptions) -> Result<Model> {
    let mut model = Model::new(proto, file_bytes, options)?;
    contrib::expand(&mut model)?;
    loose::loosen(&mut model);
    narrow::widen(&mut model);
    lift::lift(&mut model)?;
    Ok(model)
}

fn read(mut bytes: &[u8]) -> Result<ModelProto> {
    let decode = AssertUnwindSafe(|| tract_onnx::onnx().proto_model_for_read(&mut bytes));
    let reason = match catch_unwind(decode) {
        Ok(Ok(proto)) => return Ok(proto),
        Ok(Err(e)) => e.chain().map(ToString::to_string).collect::<Vec<_>>().join(": "),
        Err(_) => "the decoder failed on an unforeseen condition".into(),
    };
    Err(ImportError::Protobuf { reason })
}

/// Name, type code, shape and elements of a serialized `TensorProto`.
pub(crate) fn decode_tensor(bytes: &[u8]) -> Result<(String, i32, Vec<usize>, Constant)> {
    let proto: TensorProto =
        prost::Message::decode(bytes).map_err(|e| ImportError::Protobuf { reason: format!("not a tensor: {e}") })?;
    let at = format!("tensor `{}`", proto.name);
    let tensor = tensor::decode(&proto, &at, Limits::default().decoded_bytes(bytes.len()))?;
    Ok((proto.name, proto.data_type, tensor.dims.clone(), tensor.constant()))
}
