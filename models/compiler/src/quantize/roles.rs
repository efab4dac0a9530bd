//! What an operation needs to run in integers.

use crate::graph::{ActQuant, Binary, DType, Graph, Node, Op, Recurrent, Unary, ValueId};
use crate::lower::recurrent_i8::obstacle;

/// The part an operation plays in a quantized graph.
pub(super) enum Role {
    /// Conv or Dense with constant f32 weights: what quantization is for. Wants its input in int8.
    Layer,
    /// Moves or selects elements: its output has the grid of its input.
    Move,
    /// A recurrent layer with constant weights: wants its input in int8, its h has a grid of its own.
    Recurrent,
    /// Runs in integers once all its operands are int8, onto a grid of its own
    /// or a fixed one.
    Elementwise { fixed: Option<ActQuant> },
    /// As `Elementwise`, and worth quantizing its inputs for when a layer reads the result.
    Join,
    /// Has no integer form; the reason.
    Float(String),
    /// Not about real numbers at all (shapes, indices).
    Other,
}

/// The operands that are data, not indices or weights.
pub(super) fn data_inputs(node: &Node) -> impl Iterator<Item = ValueId> + '_ {
    let slots = match node.op {
        Op::Binary { .. } | Op::Concat { .. } | Op::MatMul | Op::Compare { .. } => 0..node.inputs.len(),
        Op::Select => 1..node.inputs.len(),
        _ => 0..1,
    };
    node.inputs.get(slots).unwrap_or_default().iter().flatten().copied()
}

/// Name of an operation for reports.
pub(crate) fn op_name(op: &Op) -> String {
    let text = match op {
        Op::Unary(unary) => format!("{unary:?}"),
        Op::Binary { kind, .. } => format!("{kind:?}"),
        Op::Reduce { kind, .. } => format!("Reduce{kind:?}"),
        op => format!("{op:?}"),
    };
    text.split([' ', '(', '{']).next().unwrap_or_default().to_string()
}

/// Weights and bias of a layer: reasons why it cannot be quantized here.
fn layer_obstacle(graph: &Graph, node: &Node) -> Option<String> {
    let weights = node.inputs.get(1).copied().flatten().map(|id| graph.value(id));
    let Some(weights) = weights.filter(|w| w.f32s().is_some()) else {
        return Some("its weights are computed".into());
    };
    if weights.codes.is_some() {
        return Some("the model file already quantizes its weights".into());
    }
    if weights.elements() == 0 {
        return Some("its weights are empty".into());
    }
    let bias = node.inputs.get(2).copied().flatten().map(|id| graph.value(id));
    if bias.is_some_and(|b| b.f32s().is_none_or(|data| data.is_empty())) {
        return Some("its bias is computed".into());
    }
    None
}

fn recurrent_obstacle(graph: &Graph, node: &Node) -> Option<String> {
    let value = |slot: usize| node.inputs.get(slot).copied().flatten().map(|id| graph.value(id));
    if value(Recurrent::PEEPHOLES).is_some() {
        return Some("it has peepholes".into());
    }
    let weights = [Recurrent::WEIGHTS, Recurrent::RECURRENT].map(value);
    match weights.into_iter().all(|w| w.is_some_and(|w| w.f32s().is_some() && w.codes.is_none())) {
        true => None,
        false => Some("its weights are computed or quantized by the model file".into()),
    }
}

/// Functions whose 256-entry table is as good as int8 operands allow. Those that
/// stretch a part of their range (exp, log, reciprocal, …) keep f32.
fn table(unary: &Unary) -> Option<Option<ActQuant>> {
    use super::grid::{SIGNED_UNIT, UNIT};
    Some(match unary {
        Unary::Sigmoid | Unary::HardSigmoid { .. } => Some(UNIT),
        Unary::Tanh | Unary::Erf => Some(SIGNED_UNIT),
        Unary::Relu | Unary::LeakyRelu { .. } | Unary::Clip(_) | Unary::HardSwish | Unary::Elu { .. } => None,
        Unary::Gelu | Unary::Silu | Unary::Softplus | Unary::Neg | Unary::Abs => None,
        Unary::Celu { .. } | Unary::Selu { .. } | Unary::Mish | Unary::Softsign => None,
        Unary::Swish { .. } | Unary::GeluTanh => None,
        _ => return None,
    })
}

/// The role of a node between int16 layers, where fewer operations have an integer form.
pub(super) fn wide_role(node: &Node, role: Role) -> Role {
    match role {
        Role::Layer | Role::Float(_) | Role::Other => role,
        Role::Move if !matches!(node.op, Op::MaxPool { .. }) => role,
        Role::Elementwise { .. } if matches!(node.op, Op::Binary { kind: Binary::Add | Binary::Sub, .. }) => role,
        _ => Role::Float(format!("{} has no int16 form", op_name(&node.op))),
    }
}

/// The role of a node.
pub(super) fn role(graph: &Graph, node: &Node) -> Role {
    let Some(&output) = node.outputs.first() else { return Role::Other };
    let float = |id: ValueId| graph.value(id).dtype == DType::F32;
    if matches!(node.op, Op::FakeQuant) {
        return Role::Float("the model file quantizes here".into());
    }
    if !float(output) || !data_inputs(node).all(float) {
        return Role::Other;
    }
    match &node.op {
        Op::Conv { .. } | Op::Dense { .. } => match layer_obstacle(graph, node) {
            None => Role::Layer,
            Some(reason) => Role::Float(reason),
        },
        Op::Recurrent(layer) => match obstacle(layer).or_else(|| recurrent_obstacle(graph, node)) {
            None => Role::Recurrent,
            Some(reason) => Role::Float(reason),
        },
        Op::Reshape | Op::Transpose { .. } | Op::Slice { .. } | Op::Gather { .. } | Op::MaxPool { .. } => Role::Move,
        Op::Expand | Op::GatherElements { .. } => Role::Move,
        Op::Pad { value, .. } if *value == 0.0 => Role::Move,
        Op::Pad { .. } => Role::Float("its padding is not zero".into()),
        Op::AvgPool { .. } | Op::GroupNorm { .. } => Role::Elementwise { fixed: None },
        Op::Binary { kind: Binary::Add | Binary::Sub | Binary::Mul, .. } => Role::Elementwise { fixed: None },
        Op::Concat { .. } => Role::Join,
        Op::Unary(unary) => match table(unary) {
            Some(fixed) => Role::Elementwise { fixed },
            None => Role::Float(format!("{} keeps its precision in f32", op_name(&node.op))),
        },
        Op::Softmax { axis } if axis + 1 == graph.value(output).shape.len() => {
            Role::Elementwise { fixed: Some(super::grid::UNIT) }
        }
        Op::Softmax { .. } => Role::Float("its axis is not the last".into()),
        op => Role::Float(format!("{} has no integer form", op_name(op))),
    }
}
