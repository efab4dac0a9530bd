//! The compiler's own graph: single assignment, static shapes, f32 semantics.
//!
//! Quantization is not an operator here but a property of values: a value
//! whose `quant` is set is only ever seen on that integer grid. Whatever could
//! not be attached to a producer stays as an explicit [`Op::FakeQuant`].
mod op;
mod recurrent;
mod value;

pub use op::*;
pub use recurrent::*;
pub(crate) use value::map_constant;
pub use value::*;

/// A model between import and lowering.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub name: String,
    /// Every value, indexed by [`ValueId`]. Constants carry their data.
    pub values: Vec<Value>,
    /// In an order in which each node follows the producers of its inputs.
    pub nodes: Vec<Node>,
    /// Graph inputs in the order of the model file.
    pub inputs: Vec<ValueId>,
    /// Graph outputs in the order of the model file.
    pub outputs: Vec<ValueId>,
    /// What a stream keeps from one run to the next.
    pub states: Vec<State>,
}

/// An input that takes the value an output had in the run before.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Place in [`Graph::inputs`].
    pub input: usize,
    /// Place in [`Graph::outputs`].
    pub output: usize,
    /// Real values before the first run; empty: zeros.
    pub initial: Vec<f32>,
}

/// One operation. Optional ONNX inputs that were left out are `None`.
#[derive(Clone, Debug)]
pub struct Node {
    /// Name of the ONNX node, or of its first output where the file gave none.
    pub name: String,
    pub op: Op,
    pub inputs: Vec<Option<ValueId>>,
    pub outputs: Vec<ValueId>,
}

impl Graph {
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    pub fn value_mut(&mut self, id: ValueId) -> &mut Value {
        &mut self.values[id.index()]
    }

    /// Adds a value and returns its id.
    pub fn add_value(&mut self, value: Value) -> ValueId {
        self.values.push(value);
        ValueId(self.values.len() as u32 - 1)
    }

    /// Index of the node that produces each value; `None` for inputs and constants.
    pub fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for output in &node.outputs {
                producers[output.index()] = Some(index);
            }
        }
        producers
    }

    /// Indices of the nodes that read each value, one entry per use.
    pub fn consumers(&self) -> Vec<Vec<usize>> {
        let mut consumers = vec![Vec::new(); self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for input in node.inputs.iter().flatten() {
                consumers[input.index()].push(index);
            }
        }
        consumers
    }

    /// Makes every reader of `from`, graph outputs included, read `to` instead.
    pub fn replace_uses(&mut self, from: ValueId, to: ValueId) {
        for node in &mut self.nodes {
            for input in node.inputs.iter_mut().flatten() {
                if *input == from {
                    *input = to;
                }
            }
        }
        for output in &mut self.outputs {
            if *output == from {
                *output = to;
            }
        }
    }

    /// The inputs that are no state, in order.
    pub fn plain_inputs(&self) -> Vec<ValueId> {
        let state = |place: usize| self.states.iter().any(|state| state.input == place);
        self.inputs.iter().enumerate().filter(|&(place, _)| !state(place)).map(|(_, &id)| id).collect()
    }

    pub fn is_output(&self, id: ValueId) -> bool {
        self.outputs.contains(&id)
    }
}
