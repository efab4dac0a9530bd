//! What a model file says of itself, before anything of it is judged.

use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::{GraphProto, ValueInfoProto, type_proto};

use super::error::{ImportError, Result};

/// A graph input or output as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub name: String,
    /// `TensorProto.DataType`; 0 where the value is no tensor.
    pub type_code: i32,
    /// `None` for an open rank; each dimension `None` where it is a symbol or not given.
    pub dims: Option<Vec<Option<usize>>>,
}

/// Inputs, outputs and operators of a model file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Without those that initializers give.
    pub inputs: Vec<Declared>,
    pub outputs: Vec<Declared>,
    /// Domain (empty: the standard) and operator of each node, subgraphs included.
    pub ops: Vec<(String, String)>,
}

/// Reads the outline of an ONNX file; nothing of it is validated.
///
/// # Errors
/// [`ImportError::Protobuf`], [`ImportError::Invalid`] for a file without a graph.
pub fn outline(bytes: &[u8]) -> Result<Outline> {
    let proto = super::read(bytes)?;
    let Some(graph) = &proto.graph else {
        return Err(ImportError::Invalid { at: "model".into(), reason: "it has no graph".into() });
    };
    let given = |name: &str| graph.initializer.iter().any(|t| t.name == name);
    let inputs = graph.input.iter().filter(|i| !given(&i.name)).map(declared).collect();
    let mut ops = Vec::new();
    let mut open: Vec<&GraphProto> = vec![graph];
    while let Some(graph) = open.pop() {
        for node in &graph.node {
            ops.push((node.domain.clone(), node.op_type.clone()));
            open.extend(node.attribute.iter().filter_map(|a| a.g.as_ref()));
        }
    }
    Ok(Outline { inputs, outputs: graph.output.iter().map(declared).collect(), ops })
}

fn declared(value: &ValueInfoProto) -> Declared {
    let name = value.name.clone();
    let Some(type_proto::Value::TensorType(t)) = value.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return Declared { name, type_code: 0, dims: None };
    };
    let dim = |d: &Option<Dim>| match d {
        Some(Dim::DimValue(v)) => usize::try_from(*v).ok(),
        _ => None,
    };
    let dims = t.shape.as_ref().map(|s| s.dim.iter().map(|d| dim(&d.value)).collect());
    Declared { name, type_code: t.elem_type, dims }
}
