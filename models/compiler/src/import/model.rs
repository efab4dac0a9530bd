//! The validated model: nodes in order, constants decoded, inputs concrete.
use std::collections::{HashMap, HashSet};

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, type_proto};

use super::attrs;
use super::error::{ImportError, NodeError, NodeResult, Result, bad, invalid, refuse, refused};
use super::nodes;
use super::tensor::{self, Data, Elem, Tensor};
use super::{Bound, ImportOptions, validate};
use crate::data::ArrayData;
use crate::graph::{ActQuant, DType};

/// A graph input with every dimension known.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub name: String,
    /// The type that is passed: codes of fewer than 8 bits travel one a byte.
    pub elem: Elem,
    /// The type that the file states.
    pub declared: Elem,
    pub dims: Vec<usize>,
    /// Set where the file passes integers of a quantized grid.
    pub io_dtype: Option<DType>,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub name: String,
    pub opset: i64,
    pub inputs: Vec<Input>,
    pub outputs: Vec<String>,
    /// Each node after the producers of its inputs; no Constant nodes.
    pub nodes: Vec<NodeProto>,
    pub consts: HashMap<String, Tensor>,
    /// Grids of activations, filled in when quantization is lifted out.
    pub quant: HashMap<String, ActQuant>,
    /// Integer types of quantized graph outputs, likewise.
    pub output_dtypes: HashMap<String, DType>,
    /// Every value name in use.
    pub(crate) names: HashSet<String>,
}

impl Model {
    /// Validates `proto`; `file_bytes` is its encoded size.
    pub(crate) fn new(proto: &ModelProto, file_bytes: usize, options: &ImportOptions) -> Result<Model> {
        let Some(graph) = &proto.graph else { return invalid("model", "it has no graph") };
        let mut ordered = validate::order(graph)?;
        stated_casts(graph, &mut ordered);
        nodes::refuse_unknown(&ordered)?;
        let opset = validate::opset(proto, &ordered)?;
        let limit = options.limits.decoded_bytes(file_bytes);
        let mut spent = 0u128;
        let mut consts = HashMap::new();
        for t in &graph.initializer {
            let at = format!("initializer `{}`", t.name);
            let decoded = tensor::decode(t, &at, limit)?;
            spent += decoded.len() as u128;
            consts.insert(t.name.clone(), decoded);
        }
        let mut kept = Vec::with_capacity(ordered.len());
        for node in ordered {
            if node.op_type != "Constant" {
                kept.push(node);
                continue;
            }
            let value = constant(&node, limit).map_err(|e| named(&node, e))?;
            spent += value.len() as u128;
            consts.insert(node.output[0].clone(), value);
        }
        if spent > limit {
            return Err(ImportError::TooLarge { at: "constants".into(), bytes: spent, limit });
        }
        let mut inputs = inputs(graph, &consts, options)?;
        for (name, value) in &options.bind {
            consts.insert(name.clone(), bound(&mut inputs, name, value)?);
        }
        for node in &kept {
            validate::node(node, |name| consts.get(name).map(|t| t.dims.clone()))?;
        }
        let names = inputs.iter().map(|i| &i.name).chain(consts.keys());
        let names = names.chain(kept.iter().flat_map(|n| &n.output)).cloned().collect();
        let mut model = Model {
            name: graph.name.clone(),
            opset,
            inputs,
            outputs: graph.output.iter().map(|o| o.name.clone()).collect(),
            nodes: kept,
            consts,
            quant: HashMap::new(),
            output_dtypes: HashMap::new(),
            names,
        };
        model.prune();
        Ok(model)
    }

    /// Drops nodes, and trailing outputs of nodes, that no output depends on.
    pub(crate) fn prune(&mut self) {
        let mut used: HashSet<String> = self.outputs.iter().cloned().collect();
        let mut kept = Vec::with_capacity(self.nodes.len());
        for mut node in std::mem::take(&mut self.nodes).into_iter().rev() {
            if !node.output.iter().any(|o| used.contains(o)) {
                continue;
            }
            while node.output.last().is_some_and(|o| !used.contains(o)) && node.op_type != "Split" {
                node.output.pop();
            }
            used.extend(node.input.iter().cloned());
            kept.push(node);
        }
        kept.reverse();
        self.nodes = kept;
        self.consts.retain(|name, _| used.contains(name));
    }

    pub(crate) fn fresh(&mut self, base: &str) -> String {
        fresh(&mut self.names, base)
    }

    /// Replaces nodes whose outputs all turned out to be constants.
    pub(crate) fn fix(&mut self, consts: Vec<(String, Tensor)>) {
        self.consts.extend(consts);
        let consts = &self.consts;
        self.nodes.retain(|n| !n.output.iter().all(|o| o.is_empty() || consts.contains_key(o)));
        self.prune();
    }
}

/// A name like `base` that is not in `names` yet.
pub(crate) fn fresh(names: &mut HashSet<String>, base: &str) -> String {
    let mut name = base.to_string();
    while !names.insert(name.clone()) {
        name.push('_');
    }
    name
}

/// Attaches the node to an error; unsupported nodes stay alone in their list.
pub(crate) fn named(node: &NodeProto, e: NodeError) -> ImportError {
    match e {
        NodeError::Invalid(reason) => ImportError::Invalid { at: validate::at(node), reason },
        NodeError::Unsupported { reason, remedy } => {
            ImportError::Unsupported(vec![nodes::unsupported(node, reason, remedy)])
        }
        NodeError::Other(e) => e,
    }
}

/// CastLike becomes Cast where the file states the type: a value does not keep it, as f32 stands for all floats.
fn stated_casts(graph: &GraphProto, nodes: &mut [NodeProto]) {
    let mut codes: HashMap<&str, i32> = graph.initializer.iter().map(|t| (t.name.as_str(), t.data_type)).collect();
    for i in graph.input.iter().chain(&graph.value_info) {
        if let Some(type_proto::Value::TensorType(t)) = i.r#type.as_ref().and_then(|t| t.value.as_ref()) {
            codes.insert(&i.name, t.elem_type);
        }
    }
    for node in nodes.iter_mut().filter(|node| node.op_type == "CastLike" && node.domain.is_empty()) {
        let Some(&code) = node.input.get(1).and_then(|like| codes.get(like.as_str())) else { continue };
        node.op_type = "Cast".into();
        node.input.truncate(1);
        node.attribute.retain(|a| a.name != "to");
        node.attribute.push(AttributeProto {
            name: "to".into(),
            r#type: AttributeType::Int as i32,
            i: code.into(),
            ..Default::default()
        });
    }
}

fn constant(node: &NodeProto, limit: u128) -> NodeResult<Tensor> {
    let [a] = node.attribute.as_slice() else { return bad("a Constant has exactly one attribute") };
    let list = |n: usize| vec![n];
    Ok(match a.name.as_str() {
        "value" => match attrs::tensor(node, "value")? {
            Some(t) => tensor::decode(t, &validate::at(node), limit)?,
            None => return bad("attribute `value` holds no tensor"),
        },
        "value_float" => Tensor::f32(vec![], vec![attrs::float(node, "value_float", 0.0)?]),
        "value_int" => Tensor::i64(vec![], vec![attrs::int(node, "value_int", 0)?]),
        "value_floats" => {
            let v = attrs::floats(node, "value_floats")?.unwrap_or(&[]);
            Tensor::f32(list(v.len()), v.to_vec())
        }
        "value_ints" => {
            let v = attrs::ints(node, "value_ints")?.unwrap_or(&[]);
            Tensor::i64(list(v.len()), v.to_vec())
        }
        other => {
            return refuse(format!("a constant given as `{other}`"), "store it as a dense tensor of numbers");
        }
    })
}

fn inputs(graph: &GraphProto, consts: &HashMap<String, Tensor>, options: &ImportOptions) -> Result<Vec<Input>> {
    let real: Vec<&ValueInfoProto> = graph.input.iter().filter(|i| !consts.contains_key(&i.name)).collect();
    if let Some((name, _)) = options.shapes.iter().find(|(n, _)| !real.iter().any(|i| i.name == *n)) {
        let names: Vec<&str> = real.iter().map(|i| i.name.as_str()).collect();
        return Err(ImportError::Input {
            input: name.clone(),
            reason: "the model has no such input".into(),
            remedy: format!("give --shape for one of {names:?}"),
        });
    }
    // A symbol means the same number wherever it stands: what --shape gives,
    // or 1 where it is the batch of some input.
    let mut symbols: HashMap<String, usize> = HashMap::new();
    let mut types = Vec::new();
    for i in &real {
        let (elem, dims) = input_type(i)?;
        let given = options.shapes.iter().find(|(n, _)| *n == i.name).map(|(_, s)| s.as_slice());
        if let (Some(g), Some(d)) = (given, &dims)
            && g.len() != d.len()
        {
            let reason = format!("--shape gives {} dimensions, the model has {}", g.len(), d.len());
            return Err(ImportError::Input { input: i.name.clone(), reason, remedy: "correct --shape".into() });
        }
        if let (Some(g), Some(d)) = (given, &dims) {
            for (g, d) in g.iter().zip(d) {
                if let Some(Dim::DimParam(p)) = d {
                    symbols.insert(p.clone(), *g);
                }
            }
        }
        types.push((i, elem, dims, given));
    }
    for (_, _, dims, _) in &types {
        if let Some(Some(Dim::DimParam(p))) = dims.as_ref().and_then(|d| d.first())
            && p != "?"
            && !p.is_empty()
        {
            symbols.entry(p.clone()).or_insert(1);
        }
    }
    types
        .into_iter()
        .map(|(i, elem, dims, given)| {
            let dims = resolve(&i.name, dims, given, &symbols)?;
            if dims.contains(&0) && !options.bind.iter().any(|(name, _)| *name == i.name) {
                return Err(ImportError::Input {
                    input: i.name.clone(),
                    reason: format!("it has shape {dims:?}, which holds nothing"),
                    remedy: "correct --shape".into(),
                });
            }
            let elements = dims.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64)).unwrap_or(u64::MAX);
            if elements > options.limits.max_elements {
                let (bytes, limit) = (elements as u128, options.limits.max_elements as u128);
                return Err(ImportError::TooLarge { at: format!("graph input `{}`", i.name), bytes, limit });
            }
            Ok(Input { name: i.name.clone(), elem: elem.whole_bytes(), declared: elem, dims, io_dtype: None })
        })
        .collect()
}

/// Takes an input away and returns the constant in its place.
fn bound(inputs: &mut Vec<Input>, name: &str, value: &Bound) -> Result<Tensor> {
    let error = |reason: String, remedy: &str| ImportError::Input { input: name.into(), reason, remedy: remedy.into() };
    let Some(index) = inputs.iter().position(|input| input.name == name) else {
        let names: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
        let remedy = format!("bind one of {names:?}");
        return Err(error("the model has no such input".into(), &remedy));
    };
    if inputs.len() == 1 {
        return Err(error("it is the only input".into(), "leave --bind out"));
    }
    let Input { declared: elem, dims, .. } = inputs.remove(index);
    let elements: usize = dims.iter().product();
    let wrong = |value: String| error(format!("{value} is no value of its element type"), "bind a value it can hold");
    let data = match value {
        &Bound::Number(x) => match elem {
            Elem::F32 => Data::F32(vec![x as f32; elements]),
            Elem::Bool if x == 0.0 || x == 1.0 => Data::Bool(vec![x == 1.0; elements]),
            Elem::Int { .. } if x.fract() == 0.0 && x.abs() < 9e15 => {
                integers(elem, vec![x as i64; elements]).map_err(|v| wrong(v.to_string()))?
            }
            _ => return Err(wrong(x.to_string())),
        },
        Bound::Array(array) => {
            if array.shape != dims {
                let reason = format!("it has shape {dims:?}, the bound array {:?}", array.shape);
                return Err(error(reason, "bind an array of the input's shape"));
            }
            match (elem, &array.data) {
                (Elem::F32, data) => Data::F32(data.to_f32()),
                (Elem::Bool, ArrayData::Bool(v)) => Data::Bool(v.clone()),
                (Elem::Int { .. }, data) => match data.to_i64() {
                    Some(v) => integers(elem, v).map_err(|v| wrong(v.to_string()))?,
                    None => return Err(wrong("an array of floats".into())),
                },
                _ => return Err(wrong("an array of numbers".into())),
            }
        }
    };
    Ok(Tensor { dims, elem, data, codes: None })
}

/// Integers as `elem` stores them, or the first that it cannot.
fn integers(elem: Elem, values: Vec<i64>) -> std::result::Result<Data, i64> {
    let (lo, hi) = elem.range();
    if let Some(&out) = values.iter().find(|v| !(lo..=hi).contains(*v)) {
        return Err(out);
    }
    Ok(match elem {
        Elem::Int { bits: 64, .. } | Elem::Int { bits: 32, signed: false } => Data::I64(values),
        _ => Data::I32(values.into_iter().map(|v| v as i32).collect()),
    })
}

type Dims = Option<Vec<Option<Dim>>>;

fn input_type(i: &ValueInfoProto) -> Result<(Elem, Dims)> {
    let at = format!("graph input `{}`", i.name);
    let Some(type_proto::Value::TensorType(t)) = i.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        return refused(at, "it is no tensor (a sequence, map or optional)", "pass tensors");
    };
    let elem = match Elem::from_code(t.elem_type) {
        Some(e) if e.dtype().is_some() || matches!(e, Elem::Int { bits: ..8, .. }) => e,
        _ => {
            let reason = format!("element type {}", tensor::type_name(t.elem_type));
            return refused(at, reason, "use f32, or an integer type of 8, 16, 32 or 64 bits");
        }
    };
    let Some(shape) = &t.shape else { return Ok((elem, None)) };
    if shape.dim.len() > 16 {
        return refused(at, "it has more than 16 dimensions", "reshape it");
    }
    for d in &shape.dim {
        if let Some(Dim::DimValue(v)) = d.value
            && v < -1
        {
            return invalid(at, format!("negative dimension {v}"));
        }
    }
    Ok((elem, Some(shape.dim.iter().map(|d| d.value.clone()).collect())))
}

fn resolve(name: &str, dims: Dims, given: Option<&[usize]>, symbols: &HashMap<String, usize>) -> Result<Vec<usize>> {
    let error = |reason: String, remedy: String| ImportError::Input { input: name.into(), reason, remedy };
    let Some(dims) = dims else {
        let remedy = format!("give --shape {name}=…");
        return given.map(<[usize]>::to_vec).ok_or_else(|| error("its rank is not stated".into(), remedy));
    };
    let rank = dims.len();
    let mut out = Vec::with_capacity(rank);
    for (axis, d) in dims.into_iter().enumerate() {
        let given = given.map(|g| g[axis]);
        out.push(match (&d, given) {
            (Some(Dim::DimValue(v)), Some(g)) if *v >= 0 && *v as usize != g && !(*v == 0 && axis == 0) => {
                return Err(error(format!("axis {axis} is fixed to {v} in the model"), "correct --shape".into()));
            }
            (_, Some(g)) => g,
            (Some(Dim::DimValue(v)), None) if *v > 0 => *v as usize,
            (Some(Dim::DimParam(p)), None) if symbols.contains_key(p) => symbols[p],
            (_, None) if axis == 0 => 1,
            (Some(Dim::DimParam(p)), None) => {
                let remedy = format!("give --shape {name}={}", vec!["N"; rank].join("x"));
                return Err(error(format!("axis {axis} (`{p}`) has no fixed length"), remedy));
            }
            _ => {
                let remedy = format!("give --shape {name}={}", vec!["N"; rank].join("x"));
                return Err(error(format!("axis {axis} has no fixed length"), remedy));
            }
        });
    }
    Ok(out)
}
