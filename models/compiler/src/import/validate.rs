//! Structure of a model file, proven before anything relies on it: names,
//! order, uniqueness, attribute lengths.
use std::collections::{BTreeSet, HashMap, HashSet};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::attrs::{self, node_name};
use super::error::{ImportError, NodeError, NodeResult, Result, bad, invalid, refused};

/// First operator set whose broadcasting and attributes are understood.
const MIN_OPSET: i64 = 7;
/// Operators that mean the same in every older set.
const UNCHANGED: &[&str] = &[
    "Abs",
    "Ceil",
    "Constant",
    "Exp",
    "Floor",
    "Identity",
    "LeakyRelu",
    "Log",
    "Neg",
    "Not",
    "Reciprocal",
    "Relu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tanh",
    "Transpose",
];

/// Greatest stride, dilation, pad or kernel length taken for meant.
const MAX_EXTENT: i64 = 1 << 24;

/// Version of the standard operator set.
pub(crate) fn opset(proto: &ModelProto, nodes: &[NodeProto]) -> Result<i64> {
    let mut found = proto.opset_import.iter().filter(|o| o.domain.is_empty() || o.domain == "ai.onnx");
    let Some(first) = found.next() else {
        return invalid("opset_import", "no version of the standard operator set is stated");
    };
    if found.any(|o| o.version != first.version) {
        return invalid("opset_import", "two versions of the standard operator set are stated");
    }
    if first.version < MIN_OPSET && !nodes.iter().all(|node| UNCHANGED.contains(&node.op_type.as_str())) {
        let reason = format!("operator set {} is older than {MIN_OPSET}", first.version);
        return refused("opset_import", reason, "convert the model with onnx.version_converter");
    }
    Ok(first.version)
}

/// Checks names and uniqueness and returns the nodes in topological order.
pub(crate) fn order(graph: &GraphProto) -> Result<Vec<NodeProto>> {
    if !graph.sparse_initializer.is_empty() {
        return refused("sparse_initializer", "sparse tensors", "store them dense");
    }
    if graph.output.is_empty() {
        return invalid("graph", "it has no output");
    }
    let mut defined: HashSet<&str> = HashSet::new();
    for t in &graph.initializer {
        if t.name.is_empty() {
            return invalid("initializer", "one has no name");
        }
        if !defined.insert(&t.name) {
            return invalid(format!("initializer `{}`", t.name), "the name is defined twice");
        }
    }
    let initializers = defined.clone();
    let mut inputs = HashSet::new();
    for i in &graph.input {
        if i.name.is_empty() || !inputs.insert(i.name.as_str()) {
            return invalid(format!("graph input `{}`", i.name), "the name is empty or defined twice");
        }
        // Old files list their initializers as inputs too.
        if !initializers.contains(i.name.as_str()) {
            defined.insert(&i.name);
        }
    }
    let mut producer: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        node_fields(node)?;
        for o in node.output.iter().filter(|o| !o.is_empty()) {
            if defined.contains(o.as_str()) || producer.insert(o, index).is_some() {
                return invalid(at(node), format!("its output `{o}` is defined twice"));
            }
        }
    }
    let known = |name: &str| defined.contains(name) || producer.contains_key(name);
    for node in &graph.node {
        if let Some(i) = node.input.iter().find(|i| !i.is_empty() && !known(i)) {
            return invalid(at(node), format!("its input `{i}` is defined nowhere"));
        }
    }
    let mut outputs = HashSet::new();
    for o in &graph.output {
        if !known(&o.name) {
            return invalid(format!("graph output `{}`", o.name), "it is defined nowhere");
        }
        if !outputs.insert(&o.name) {
            return invalid(format!("graph output `{}`", o.name), "it is listed twice");
        }
    }
    topological(graph, &producer)
}

fn topological(graph: &GraphProto, producer: &HashMap<&str, usize>) -> Result<Vec<NodeProto>> {
    let mut waits = vec![0usize; graph.node.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.node.len()];
    for (index, node) in graph.node.iter().enumerate() {
        for i in &node.input {
            if let Some(&p) = producer.get(i.as_str()) {
                waits[index] += 1;
                readers[p].push(index);
            }
        }
    }
    let mut ready: BTreeSet<usize> = (0..waits.len()).filter(|&i| waits[i] == 0).collect();
    let mut nodes = Vec::with_capacity(waits.len());
    while let Some(index) = ready.pop_first() {
        nodes.push(graph.node[index].clone());
        for &r in &readers[index] {
            waits[r] -= 1;
            if waits[r] == 0 {
                ready.insert(r);
            }
        }
    }
    match waits.iter().position(|&w| w > 0) {
        Some(stuck) => invalid(at(&graph.node[stuck]), "it depends on its own output (the graph has a cycle)"),
        None => Ok(nodes),
    }
}

/// The node as error messages name it.
pub(crate) fn at(node: &NodeProto) -> String {
    format!("node `{}` ({})", node_name(node), node.op_type)
}

fn node_fields(node: &NodeProto) -> Result<()> {
    if node.op_type.is_empty() {
        return invalid(at(node), "it has no op_type");
    }
    if node.output.iter().all(|o| o.is_empty()) {
        return invalid(at(node), "it has no output");
    }
    let mut names = HashSet::new();
    for a in &node.attribute {
        if !names.insert(&a.name) {
            return invalid(at(node), format!("attribute `{}` is given twice", a.name));
        }
        if !a.ref_attr_name.is_empty() {
            return invalid(at(node), format!("attribute `{}` refers to a function's attribute", a.name));
        }
    }
    Ok(())
}

/// Checks counts of inputs and lengths and ranges of attributes. `dims` gives
/// the dimensions of constant inputs.
pub(crate) fn node(node: &NodeProto, dims: impl Fn(&str) -> Option<Vec<usize>>) -> Result<()> {
    check(node, dims).map_err(|e| match e {
        NodeError::Invalid(reason) => ImportError::Invalid { at: at(node), reason },
        NodeError::Unsupported { reason, .. } => ImportError::Invalid { at: at(node), reason },
        NodeError::Other(e) => e,
    })
}

fn check(node: &NodeProto, dims: impl Fn(&str) -> Option<Vec<usize>>) -> NodeResult<()> {
    let (least, most) = arity(&node.op_type);
    if node.input.len() < least || node.input.len() > most || node.input.iter().take(least).any(|i| i.is_empty()) {
        return bad(format!("it has {} inputs, expected {least} to {most}", node.input.len()));
    }
    let weight = match node.op_type.as_str() {
        "Conv" | "ConvTranspose" | "ConvInteger" => Some(1),
        "QLinearConv" => Some(3),
        "MaxPool" | "AveragePool" | "QLinearAveragePool" => None,
        _ => {
            for name in ["axis", "batch_dims"] {
                if attrs::int(node, name, 0)?.unsigned_abs() > 64 {
                    return bad(format!("attribute `{name}` is out of range"));
                }
            }
            return axes_and_perm(node);
        }
    };
    let weight_dims = weight.and_then(|i| node.input.get(i)).and_then(|w| dims(w));
    let kernel = attrs::ints(node, "kernel_shape")?;
    if weight.is_none() && kernel.is_none() {
        return bad("attribute `kernel_shape` is missing");
    }
    let mut rank = kernel.map(<[i64]>::len);
    if let Some(w) = &weight_dims {
        if w.len() < 3 || w.contains(&0) {
            return bad(format!("weights of shape {w:?} are no convolution kernel"));
        }
        let spatial: Vec<i64> = w[2..].iter().map(|&d| d as i64).collect();
        if kernel.is_some_and(|k| k != spatial) {
            return bad(format!("kernel_shape {kernel:?} differs from the weights' {spatial:?}"));
        }
        rank = Some(spatial.len());
        groups(node, w)?;
    } else if attrs::int(node, "group", 1)? < 1 {
        return bad("group must be at least 1");
    }
    for (name, least, per_axis) in
        [("kernel_shape", 1, 1), ("strides", 1, 1), ("dilations", 1, 1), ("pads", 0, 2), ("output_padding", 0, 1)]
    {
        let Some(list) = attrs::ints(node, name)? else { continue };
        if list.iter().any(|v| !(least..=MAX_EXTENT).contains(v)) {
            return bad(format!("{name} {list:?} must be within {least}..={MAX_EXTENT}"));
        }
        match rank {
            Some(r) if list.len() != r * per_axis => {
                return bad(format!("{name} {list:?} has {} entries for {r} spatial axes", list.len()));
            }
            None => rank = Some(list.len() / per_axis),
            _ => {}
        }
    }
    Ok(())
}

fn groups(node: &NodeProto, w: &[usize]) -> NodeResult<()> {
    let group = attrs::int(node, "group", 1)?;
    if group < 1 {
        return bad(format!("group is {group}, must be at least 1"));
    }
    if w[0] as i64 % group != 0 {
        return bad(format!("group {group} does not divide the {} channels of the weights", w[0]));
    }
    Ok(())
}

fn axes_and_perm(node: &NodeProto) -> NodeResult<()> {
    if node.op_type == "Transpose"
        && let Some(perm) = attrs::ints(node, "perm")?
    {
        let mut sorted = perm.to_vec();
        sorted.sort_unstable();
        if sorted.iter().enumerate().any(|(i, &p)| p != i as i64) {
            return bad(format!("perm {perm:?} is no permutation"));
        }
    }
    for name in ["axes", "split", "pads", "starts", "ends"] {
        if attrs::ints(node, name)?.is_some_and(|l| l.len() > 64) {
            return bad(format!("attribute `{name}` has more than 64 entries"));
        }
    }
    if attrs::ints(node, "axes")?.is_some_and(|l| l.iter().any(|a| a.unsigned_abs() > 64)) {
        return bad("attribute `axes` is out of range");
    }
    Ok(())
}

/// Least and greatest number of inputs.
fn arity(op: &str) -> (usize, usize) {
    match op {
        "Constant" => (0, 0),
        "QuantizeLinear" | "DequantizeLinear" => (2, 3),
        "QLinearConv" => (8, 9),
        "QLinearMatMul" => (8, 8),
        "QGemm" => (6, 9),
        "QLinearAdd" | "QLinearMul" => (7, 8),
        "Conv" | "ConvTranspose" => (2, 3),
        "ConvInteger" | "MatMulInteger" => (2, 4),
        "MatMul" | "Add" | "Sub" | "Mul" | "Div" | "Pow" | "PRelu" | "Gather" | "Expand" | "Equal" => (2, 2),
        "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "And" | "Or" | "Xor" | "Mod" => (2, 2),
        "BitShift" | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" | "CastLike" | "CumSum" | "CumProd"
        | "RMSNormalization" => (2, 2),
        "Gemm" => (2, 3),
        "Reshape" => (2, 2),
        "BatchNormalization" => (5, 5),
        "Where" | "Range" | "GroupNormalization" | "InstanceNormalization" => (3, 3),
        "Slice" => (1, 5),
        "Pad" => (1, 4),
        "Clip" | "Dropout" => (1, 3),
        "Squeeze" | "Unsqueeze" | "Split" => (1, 2),
        "LSTM" => (3, 8),
        "GRU" | "RNN" => (3, 6),
        "Concat" | "Max" | "Min" | "Sum" | "Mean" => (1, usize::MAX),
        "LayerNormalization" => (2, 3),
        "Sin" | "Cos" | "Tan" | "Asin" | "Acos" | "Atan" | "Sinh" | "Cosh" | "Asinh" | "Acosh" | "Atanh" => (1, 1),
        "Selu" | "Celu" | "Mish" | "Softsign" | "ThresholdedRelu" | "Shrink" | "Swish" | "Not" | "BitwiseNot" => (1, 1),
        "IsNaN" | "IsInf" | "ArgMax" | "ArgMin" | "LogSoftmax" | "Hardmax" | "LRN" | "LpNormalization" => (1, 1),
        "MeanVarianceNormalization" => (1, 1),
        op if op.starts_with("Reduce") => (1, 2),
        "Relu"
        | "LeakyRelu"
        | "Sigmoid"
        | "Tanh"
        | "HardSigmoid"
        | "HardSwish"
        | "Elu"
        | "Softplus"
        | "Erf"
        | "Gelu"
        | "Exp"
        | "Log"
        | "Sqrt"
        | "Reciprocal"
        | "Neg"
        | "Abs"
        | "Floor"
        | "Ceil"
        | "Round"
        | "Sign"
        | "Softmax"
        | "MaxPool"
        | "AveragePool"
        | "GlobalAveragePool"
        | "GlobalMaxPool"
        | "Flatten"
        | "Transpose"
        | "Identity"
        | "ConstantOfShape"
        | "Shape"
        | "Size"
        | "Cast"
        | "DynamicQuantizeLinear" => (1, 1),
        _ => (0, usize::MAX),
    }
}
