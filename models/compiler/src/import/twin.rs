//! The float twin: the model without its quantization, as tract sees it.
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value as Dim};
use tract_onnx::pb::{self, AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use tract_onnx::prelude::{Tensor as TractTensor, *};
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

use super::error::{ImportError, Result};
use super::model::Model;
use super::nodes::own_shapes::opaque;
use super::tensor::{Data, Elem, Tensor};
use super::{FAKE_QUANT, ImportOptions, loose, prepare};
use crate::graph::DType;

/// Type and shape of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    pub dtype: DType,
    pub shape: Vec<usize>,
}

/// What tract gets to know of the constants.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Constants {
    /// All: the twin can run.
    Known,
    /// Those that shapes are computed from; the rest become inputs. tract
    /// evaluates what it can while it infers, and a small hostile file can ask
    /// for a constant of any size.
    Hidden,
}

/// Most elements of an integer constant that takes part in shape computations.
const MAX_SHAPE_ELEMENTS: usize = 4096;

/// Name, shape and values of a result.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// A model with its quantization taken out, run by tract: the f32 oracle.
pub struct FloatTwin {
    model: InferenceModel,
    outlets: HashMap<String, OutletId>,
    inputs: Vec<(String, Fact)>,
    outputs: Vec<String>,
}

/// The float twin of an ONNX file.
///
/// # Errors
/// As [`import_onnx_bytes`](super::import_onnx_bytes), except that operators
/// need only be known to tract.
pub fn float_twin(bytes: &[u8], options: &ImportOptions) -> Result<FloatTwin> {
    FloatTwin::new(&prepare(bytes, options)?, &HashMap::new(), Constants::Known)
}

/// The last line against panics in tract on models that passed validation.
fn guarded<T>(at: &str, f: impl FnOnce() -> TractResult<T>) -> Result<T> {
    let reason = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(v)) => return Ok(v),
        Ok(Err(e)) => e.chain().map(ToString::to_string).collect::<Vec<_>>().join(": "),
        Err(_) => "tract failed on an unforeseen condition".into(),
    };
    // Contexts quote whole nodes with their attributes and tensors.
    let reason =
        if reason.len() > 2000 { format!("{}…", reason.chars().take(2000).collect::<String>()) } else { reason };
    Err(ImportError::Analysis { at: at.into(), reason })
}

impl FloatTwin {
    /// `hints` are facts of values that tract cannot infer by itself.
    pub(crate) fn new(model: &Model, hints: &HashMap<String, Fact>, constants: Constants) -> Result<FloatTwin> {
        let proto = proto(model, constants);
        let parsed = guarded("graph", || {
            let mut parsed = onnx().with_ignore_value_info(true).parse(&proto, None)?;
            for (name, fact) in hints {
                if let Some(outlet) = parsed.outlets_by_name.get(name) {
                    let fact = InferenceFact::dt_shape(datum_type(fact.dtype), fact.shape.as_slice());
                    parsed.model.set_outlet_fact(*outlet, fact)?;
                }
            }
            parsed.model.analyse(false)?;
            Ok(parsed)
        })?;
        let mut inputs = Vec::new();
        for i in &model.inputs {
            let Some(dtype) = i.elem.dtype() else { continue };
            inputs.push((i.name.clone(), Fact { dtype, shape: i.dims.clone() }));
        }
        Ok(FloatTwin { model: parsed.model, outlets: parsed.outlets_by_name, inputs, outputs: model.outputs.clone() })
    }

    /// A twin that knows nothing but the inputs, for models that tract refuses.
    pub(crate) fn blind(model: &Model) -> FloatTwin {
        FloatTwin {
            model: InferenceModel::default(),
            outlets: HashMap::new(),
            inputs: Vec::new(),
            outputs: model.outputs.clone(),
        }
    }

    /// Type and shape of a value, where tract could find both.
    pub(crate) fn fact(&self, value: &str) -> Option<Fact> {
        let fact = self.model.outlet_fact(*self.outlets.get(value)?).ok()?;
        let shape = fact.shape.concretize()?.iter().map(|d| d.to_usize().ok()).collect::<Option<Vec<_>>>()?;
        let dtype = match fact.datum_type.concretize()? {
            DatumType::F32 => DType::F32,
            DatumType::Bool => DType::Bool,
            DatumType::I8 => DType::I8,
            DatumType::U8 => DType::U8,
            DatumType::I16 => DType::I16,
            DatumType::U16 => DType::U16,
            DatumType::I32 => DType::I32,
            DatumType::I64 | DatumType::TDim => DType::I64,
            DatumType::U32 => DType::U32,
            DatumType::U64 => DType::U64,
            _ => return None,
        };
        Some(Fact { dtype, shape })
    }

    /// Runs the twin on one tensor per graph input, in the model's order, and
    /// returns name, shape and values of each graph output. Values of other
    /// types than f32 are converted on the way in and out.
    ///
    /// # Errors
    /// Wrong counts or shapes of inputs, and whatever tract refuses.
    pub fn run(&self, inputs: &[(Vec<usize>, Vec<f32>)]) -> Result<Vec<NamedTensor>> {
        let names: Vec<&str> = self.outputs.iter().map(String::as_str).collect();
        self.run_values(inputs, &names)
    }

    /// [`FloatTwin::run`] for any named values of the graph.
    ///
    /// # Errors
    /// Also if a name is no value of the twin.
    pub fn run_values(&self, inputs: &[(Vec<usize>, Vec<f32>)], values: &[&str]) -> Result<Vec<NamedTensor>> {
        let error = |at: &str, reason: String| ImportError::Analysis { at: at.into(), reason };
        if inputs.len() != self.inputs.len() {
            return Err(error("inputs", format!("{} given, the model has {}", inputs.len(), self.inputs.len())));
        }
        let mut tensors = TVec::new();
        for ((name, fact), (shape, data)) in self.inputs.iter().zip(inputs) {
            if *shape != fact.shape || data.len() != shape.iter().product::<usize>() {
                let reason = format!("shape {shape:?} with {} values, expected {:?}", data.len(), fact.shape);
                return Err(error(&format!("input `{name}`"), reason));
            }
            let t = guarded(name, || {
                let t = TractTensor::from_shape(shape, data)?;
                Ok(t.cast_to_dt(datum_type(fact.dtype))?.into_owned())
            })?;
            tensors.push(t.into_tvalue());
        }
        let mut outlets = Vec::new();
        for v in values {
            match self.outlets.get(*v) {
                Some(o) => outlets.push(*o),
                None => return Err(error(&format!("value `{v}`"), "the twin has no such value".into())),
            }
        }
        let results = guarded("float twin", || {
            let mut model = self.model.clone();
            model.select_output_outlets(&outlets)?;
            model.into_typed()?.into_decluttered()?.into_runnable()?.run(tensors)
        })?;
        let mut out = Vec::new();
        for (name, t) in values.iter().zip(results) {
            let data = guarded(name, || {
                let t = t.cast_to::<f32>()?;
                Ok(t.to_plain_array_view::<f32>()?.iter().copied().collect::<Vec<f32>>())
            })?;
            out.push(((*name).to_string(), t.shape().to_vec(), data));
        }
        Ok(out)
    }
}

fn datum_type(dtype: DType) -> DatumType {
    match dtype {
        DType::F32 => DatumType::F32,
        DType::Bool => DatumType::Bool,
        DType::I8 => DatumType::I8,
        DType::U8 => DatumType::U8,
        DType::I16 => DatumType::I16,
        DType::U16 => DatumType::U16,
        DType::I32 => DatumType::I32,
        DType::I64 => DatumType::I64,
        DType::U32 => DatumType::U32,
        DType::U64 => DatumType::U64,
    }
}

fn proto(model: &Model, constants: Constants) -> ModelProto {
    let mut input: Vec<ValueInfoProto> = model.inputs.iter().map(|i| value_info(&i.name, i.elem, &i.dims)).collect();
    let mut names: Vec<&String> = model.consts.keys().collect();
    names.sort();
    let hidden = |t: &Tensor| match t.data {
        _ if constants == Constants::Known => false,
        Data::F32(_) => t.len() > 1,
        _ => t.len() > MAX_SHAPE_ELEMENTS,
    };
    let mut initializer = Vec::new();
    // Values that tract can evaluate during inference.
    let mut evaluable: HashSet<&str> = HashSet::new();
    for name in names {
        let t = &model.consts[name];
        if hidden(t) {
            input.push(value_info(name, t.elem, &t.dims));
        } else {
            initializer.push(tensor(name, t));
            evaluable.insert(name);
        }
    }
    let mut nodes = Vec::with_capacity(model.nodes.len());
    for n in &model.nodes {
        let mut twin = node(n);
        let known = |i: &String| i.is_empty() || evaluable.contains(i.as_str());
        if n.op_type == "Shape" || n.op_type == "Size" || n.input.iter().all(known) {
            evaluable.extend(n.output.iter().map(String::as_str));
            if constants != Constants::Known && grows(&n.op_type) {
                twin.op_type = "SizeFromValue".into();
            }
        }
        if constants == Constants::Hidden && opaque(&n.op_type) {
            // tract gives an operator that it does not know one output.
            for output in n.output.iter().filter(|o| !o.is_empty()) {
                let (name, output) = (output.clone(), vec![output.clone()]);
                nodes.push(NodeProto { op_type: "Opaque".into(), name, output, ..twin.clone() });
            }
            continue;
        }
        nodes.push(twin);
    }
    let graph = GraphProto {
        name: model.name.clone(),
        node: nodes,
        initializer,
        input,
        output: model.outputs.iter().map(|o| ValueInfoProto { name: o.clone(), ..Default::default() }).collect(),
        ..Default::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![pb::OperatorSetIdProto { domain: String::new(), version: model.opset }],
        graph: Some(graph),
        ..Default::default()
    }
}

/// Operators whose output may be far larger than their inputs.
fn grows(op: &str) -> bool {
    matches!(op, "ConstantOfShape" | "Range" | "Expand" | "Pad" | "Conv" | "ConvInteger" | "ConvTranspose")
        || op.ends_with("Pool")
}

/// Names are replaced by output names, which are unique.
fn node(n: &NodeProto) -> NodeProto {
    let mut n = n.clone();
    n.name = n.output.iter().find(|o| !o.is_empty()).cloned().unwrap_or_default();
    n.domain = String::new();
    match n.op_type.as_str() {
        FAKE_QUANT => n.op_type = "Identity".into(),
        // For shapes and types; the values are computed by the operators that they are mapped to.
        loose::QUANTIZE | loose::DEQUANTIZE => {
            n.op_type = "Cast".into();
            n.input.truncate(1);
            n.attribute.retain(|a| a.name == "to");
            for a in &mut n.attribute {
                a.i = Elem::from_code(a.i as i32).map_or(a.i, |e| type_code(e.whole_bytes()).into());
            }
        }
        // All floating types are f32 here.
        "Cast" => {
            for a in n.attribute.iter_mut().filter(|a| a.name == "to" && matches!(a.i, 10 | 11 | 16)) {
                a.i = 1;
            }
        }
        // tract lets `pads` win over `auto_pad`, ONNX the other way round.
        "Conv" | "ConvTranspose" | "ConvInteger" | "MaxPool" | "AveragePool" => {
            let auto = |a: &AttributeProto| a.name == "auto_pad" && a.s != b"NOTSET" && !a.s.is_empty();
            if n.attribute.iter().any(auto) {
                n.attribute.retain(|a| a.name != "pads");
            }
        }
        _ => {}
    }
    n
}

fn type_code(elem: Elem) -> i32 {
    match elem {
        Elem::F32 => 1,
        Elem::Bool => 9,
        Elem::Int { bits: 8, signed: false } => 2,
        Elem::Int { bits: 8, signed: true } => 3,
        Elem::Int { bits: 16, signed: false } => 4,
        Elem::Int { bits: 16, signed: true } => 5,
        Elem::Int { bits: 64, signed: true } => 7,
        Elem::Int { bits: 32, signed: false } => 12,
        Elem::Int { bits: 64, signed: false } => 13,
        Elem::Int { .. } => 6,
    }
}

fn value_info(name: &str, elem: Elem, dims: &[usize]) -> ValueInfoProto {
    let dim = |d: &usize| Dimension { value: Some(Dim::DimValue(*d as i64)), ..Default::default() };
    let shape = pb::TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = pb::type_proto::Tensor { elem_type: type_code(elem), shape: Some(shape) };
    let value = Some(pb::type_proto::Value::TensorType(tensor));
    ValueInfoProto {
        name: name.into(),
        r#type: Some(pb::TypeProto { value, ..Default::default() }),
        ..Default::default()
    }
}

fn tensor(name: &str, t: &Tensor) -> TensorProto {
    let raw_data = match (&t.data, type_code(t.elem)) {
        (Data::F32(v), _) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::I64(v), 12) => v.iter().flat_map(|&x| (x as u32).to_le_bytes()).collect(),
        (Data::I64(v), _) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::Bool(v), _) => v.iter().map(|&x| x as u8).collect(),
        (Data::I32(v), 2 | 3) => v.iter().map(|&x| x as u8).collect(),
        (Data::I32(v), 4 | 5) => v.iter().flat_map(|&x| (x as u16).to_le_bytes()).collect(),
        (Data::I32(v), _) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
    };
    TensorProto {
        name: name.into(),
        dims: t.dims.iter().map(|&d| d as i64).collect(),
        data_type: type_code(t.elem),
        raw_data,
        ..Default::default()
    }
}
