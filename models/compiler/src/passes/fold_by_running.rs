//! Constants that the device's own operators compute.
use crate::data::ArrayData;
use crate::graph::{Constant, Graph, Node, Value};
use crate::simulate::{SimMode, Simulator};

/// Most elements of operands and result together.
const MAX_ELEMENTS: usize = 1 << 16;

/// The result of `node`, whose inputs are all constant and which has one output; `None` where it has no form on
/// the device or refuses the data.
pub(super) fn fold_by_running(graph: &Graph, node: &Node) -> Option<Constant> {
    let &[output] = node.outputs.as_slice() else { return None };
    let mut alone = Graph::default();
    let (mut inputs, mut data, mut elements) = (Vec::new(), Vec::new(), graph.value(output).elements());
    for (index, &id) in node.inputs.iter().enumerate() {
        let Some(id) = id else {
            inputs.push(None);
            continue;
        };
        let value = graph.value(id);
        elements = elements.checked_add(value.elements())?;
        data.push(array(value.data.as_ref()?));
        let id = alone.add_value(Value::new(format!("x{index}"), value.dtype, value.shape.clone()));
        alone.inputs.push(id);
        inputs.push(Some(id));
    }
    if elements > MAX_ELEMENTS {
        return None;
    }
    let out = graph.value(output);
    let y = alone.add_value(Value::new("y", out.dtype, out.shape.clone()));
    alone.outputs.push(y);
    alone.nodes.push(Node { name: node.name.clone(), op: node.op.clone(), inputs, outputs: vec![y] });
    let outputs = Simulator::new(&alone, SimMode::Float).ok()?.run(&data, &mut |_, _, _| {}).ok()?;
    Some(match outputs.into_iter().next()?.data {
        ArrayData::F32(v) => Constant::F32(v),
        ArrayData::I64(v) => Constant::I64(v),
        ArrayData::I32(v) => Constant::I32(v),
        ArrayData::I8(v) => Constant::I8(v),
        ArrayData::U8(v) => Constant::U8(v),
        ArrayData::Bool(v) => Constant::Bool(v),
        ArrayData::I16(v) => Constant::I16(v),
        ArrayData::U16(v) => Constant::U16(v),
        ArrayData::U32(v) => Constant::U32(v),
        ArrayData::U64(v) => Constant::U64(v),
    })
}

fn array(data: &Constant) -> ArrayData {
    match data {
        Constant::F32(v) => ArrayData::F32(v.clone()),
        Constant::I64(v) => ArrayData::I64(v.clone()),
        Constant::I32(v) => ArrayData::I32(v.clone()),
        Constant::I8(v) => ArrayData::I8(v.clone()),
        Constant::U8(v) => ArrayData::U8(v.clone()),
        Constant::Bool(v) => ArrayData::Bool(v.clone()),
        Constant::I16(v) => ArrayData::I16(v.clone()),
        Constant::U16(v) => ArrayData::U16(v.clone()),
        Constant::U32(v) => ArrayData::U32(v.clone()),
        Constant::U64(v) => ArrayData::U64(v.clone()),
    }
}
