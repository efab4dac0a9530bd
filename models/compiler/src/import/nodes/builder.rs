//! The graph under construction and the ONNX names of its values.
use std::collections::{HashMap, HashSet};

use tract_onnx::pb::NodeProto;

use crate::graph::{Binary, Constant, DType, Graph, Node, Op, Reduce, Unary, Value, ValueId};
use crate::import::Limits;
use crate::import::attrs::node_name;
use crate::import::error::{ImportError, NodeResult, Result, bad, refuse};
use crate::import::model::{Model, fresh};
use crate::import::prune::prune;
use crate::import::tensor::Tensor;
use crate::import::twin::{Fact, FloatTwin};
use crate::passes::fold_node;

/// Elements that the nodes of any model may compute here.
const MIN_FOLDED: usize = 1 << 21;

pub(crate) struct Builder<'a> {
    pub opset: i64,
    graph: Graph,
    ids: HashMap<String, ValueId>,
    model: &'a Model,
    names: HashSet<String>,
    twin: &'a FloatTwin,
    max_elements: u64,
    /// Elements that may still be computed here: a small file can ask for constants of any size.
    to_fold: usize,
    /// Outputs of nodes that were refused, and what depends on them.
    lost: HashSet<String>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(model: &'a Model, twin: &'a FloatTwin, limits: &Limits) -> Result<Builder<'a>> {
        let mut graph = Graph { name: model.name.clone(), ..Default::default() };
        let mut ids = HashMap::new();
        for i in &model.inputs {
            let Some(dtype) = i.elem.dtype() else { continue };
            let mut value = Value::new(&i.name, dtype, i.dims.clone());
            value.quant = model.quant.get(&i.name).copied();
            value.io_dtype = i.io_dtype;
            let id = graph.add_value(value);
            graph.inputs.push(id);
            ids.insert(i.name.clone(), id);
        }
        let max_elements = limits.max_elements;
        let given: usize = model.consts.values().map(Tensor::len).sum();
        let to_fold = given.saturating_mul(2).max(MIN_FOLDED);
        let names = model.names.clone();
        Ok(Builder { opset: model.opset, graph, ids, model, names, twin, max_elements, to_fold, lost: HashSet::new() })
    }

    /// True, and the outputs are lost as well, where an input of `node` is lost.
    pub(crate) fn skips(&mut self, node: &NodeProto) -> bool {
        let skip = node.input.iter().any(|i| self.lost.contains(i));
        if skip {
            self.give_up(node);
        }
        skip
    }

    pub(crate) fn give_up(&mut self, node: &NodeProto) {
        self.lost.extend(node.output.iter().filter(|o| !o.is_empty()).cloned());
    }

    /// Creates the values `node` defines, of the shapes in `own`, else of those that tract found. False where a
    /// shape is still open.
    pub(crate) fn declare(&mut self, node: &NodeProto, own: &[(String, Fact)]) -> NodeResult<bool> {
        for o in node.output.iter().filter(|o| !o.is_empty()) {
            let known = own.iter().find(|(name, _)| name == o).map(|(_, fact)| fact.clone());
            let Some(Fact { dtype, shape }) = known.or_else(|| self.twin.fact(o)) else { return Ok(false) };
            self.check_size(o, &shape)?;
            let mut value = Value::new(o, dtype, shape);
            value.quant = self.model.quant.get(o).copied();
            let id = self.graph.add_value(value);
            self.ids.insert(o.clone(), id);
        }
        Ok(true)
    }

    /// Whether tract found the shape of a value.
    pub(crate) fn inferred(&self, value: &str) -> bool {
        self.twin.fact(value).is_some()
    }

    /// Outputs of the model's nodes that turned out to be constants.
    pub(crate) fn folded(&self) -> Vec<(String, Tensor)> {
        let mut out = Vec::new();
        let constant = |o: &String| o.is_empty() || self.ids.get(o).is_some_and(|&id| self.value(id).is_constant());
        for o in self.model.nodes.iter().filter(|n| n.output.iter().all(constant)).flat_map(|n| &n.output) {
            if let Some(&id) = self.ids.get(o)
                && let Value { data: Some(data), shape, codes, .. } = self.value(id)
            {
                let tensor = Tensor { codes: codes.clone(), ..Tensor::from_constant(shape.clone(), data) };
                out.push((o.clone(), tensor));
            }
        }
        out
    }

    pub(crate) fn check_size(&self, name: &str, shape: &[usize]) -> Result<()> {
        let n = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d as u64)).unwrap_or(u64::MAX);
        if n <= self.max_elements {
            return Ok(());
        }
        let (bytes, limit) = (n as u128 * 4, self.max_elements as u128 * 4);
        Err(ImportError::TooLarge { at: format!("value `{name}`"), bytes, limit })
    }

    /// Value of input `i` of `node`; `None` where it was left out.
    pub(crate) fn input(&mut self, node: &NodeProto, i: usize) -> NodeResult<Option<ValueId>> {
        let Some(name) = node.input.get(i).filter(|n| !n.is_empty()) else { return Ok(None) };
        if let Some(&id) = self.ids.get(name) {
            return Ok(Some(id));
        }
        let Some(t) = self.model.consts.get(name) else { return bad(format!("input `{name}` has no value")) };
        let mut value = Value::constant(name, t.dims.clone(), t.constant());
        value.codes = t.codes.clone();
        let id = self.graph.add_value(value);
        self.ids.insert(name.clone(), id);
        Ok(Some(id))
    }

    pub(crate) fn required(&mut self, node: &NodeProto, i: usize) -> NodeResult<ValueId> {
        match self.input(node, i)? {
            Some(id) => Ok(id),
            None => bad(format!("input {i} is missing")),
        }
    }

    pub(crate) fn inputs(&mut self, node: &NodeProto) -> NodeResult<Vec<Option<ValueId>>> {
        (0..node.input.len()).map(|i| self.input(node, i)).collect()
    }

    pub(crate) fn output(&self, node: &NodeProto, i: usize) -> NodeResult<ValueId> {
        match node.output.get(i).and_then(|o| self.ids.get(o)) {
            Some(&id) => Ok(id),
            None => bad(format!("output {i} is missing")),
        }
    }

    pub(crate) fn value(&self, id: ValueId) -> &Value {
        self.graph.value(id)
    }

    pub(crate) fn shape(&self, id: ValueId) -> Vec<usize> {
        self.graph.value(id).shape.clone()
    }

    /// Integers of a constant input; `None` where it was left out.
    pub(crate) fn ints(&mut self, node: &NodeProto, i: usize) -> NodeResult<Option<Vec<i64>>> {
        let Some(id) = self.input(node, i)? else { return Ok(None) };
        match &self.value(id).data {
            Some(data) => match data.integers() {
                Some(v) => Ok(Some(v.iter().map(|&x| x as i64).collect())),
                None => bad(format!("input {i} has type {:?}, expected integers", data.dtype())),
            },
            None => refuse(
                format!("its input `{}` is computed at run time", self.value(id).name),
                "fix the input shapes with --shape, or simplify the model so that it becomes a constant",
            ),
        }
    }

    /// The single number in a constant f32 input; `None` where it was left out.
    pub(crate) fn scalar(&mut self, node: &NodeProto, i: usize) -> NodeResult<Option<f32>> {
        let Some(id) = self.input(node, i)? else { return Ok(None) };
        match (&self.value(id).data, self.value(id).elements()) {
            (Some(Constant::F32(v)), 1) => Ok(Some(v[0])),
            (Some(data), 1) => match data.integers() {
                Some(v) => Ok(Some(v[0] as f32)),
                None => bad(format!("input {i} is no number")),
            },
            (None, _) => {
                refuse(format!("its input `{}` is computed at run time", self.value(id).name), "make it a constant")
            }
            _ => bad(format!("input {i} is no single number")),
        }
    }

    /// A value that the ONNX file has no name for.
    pub(crate) fn temp(&mut self, base: &str, dtype: DType, shape: Vec<usize>) -> NodeResult<ValueId> {
        self.check_size(base, &shape)?;
        let name = fresh(&mut self.names, base);
        Ok(self.graph.add_value(Value::new(name, dtype, shape)))
    }

    pub(crate) fn constant(&mut self, base: &str, shape: Vec<usize>, data: Constant) -> ValueId {
        let name = fresh(&mut self.names, base);
        self.graph.add_value(Value::constant(name, shape, data))
    }

    /// Adds a constant value that was derived from another.
    pub(crate) fn add(&mut self, mut value: Value) -> ValueId {
        value.name = fresh(&mut self.names, &value.name);
        self.graph.add_value(value)
    }

    /// Makes the output a constant.
    pub(crate) fn set_constant(&mut self, id: ValueId, data: Constant) -> NodeResult<()> {
        let value = self.graph.value_mut(id);
        if value.elements() != data.len() {
            return bad(format!("{} values for shape {:?}", data.len(), value.shape));
        }
        value.dtype = data.dtype();
        value.data = Some(data);
        Ok(())
    }

    /// Adds a node, or its result where all inputs are constant.
    pub(crate) fn emit(
        &mut self,
        node: &NodeProto,
        op: Op,
        inputs: Vec<Option<ValueId>>,
        output: ValueId,
    ) -> NodeResult<()> {
        self.push(Node { name: node_name(node), op, inputs, outputs: vec![output] })
    }

    /// Adds a node of several outputs.
    pub(crate) fn emit_to(
        &mut self,
        node: &NodeProto,
        op: Op,
        inputs: Vec<Option<ValueId>>,
        outputs: Vec<ValueId>,
    ) -> NodeResult<()> {
        self.push(Node { name: node_name(node), op, inputs, outputs })
    }

    /// Adds a node with the inputs and outputs of the ONNX node.
    pub(crate) fn emit_from(&mut self, node: &NodeProto, op: Op) -> NodeResult<()> {
        let inputs = self.inputs(node)?;
        let outputs = (0..node.output.len()).map(|i| self.output(node, i)).collect::<NodeResult<_>>()?;
        self.push(Node { name: node_name(node), op, inputs, outputs })
    }

    fn push(&mut self, node: Node) -> NodeResult<()> {
        let made: usize = node.outputs.iter().map(|&id| self.value(id).elements()).fold(0, usize::saturating_add);
        if made <= self.to_fold
            && let Some((data, codes)) = fold_node(&self.graph, &node)
        {
            self.to_fold -= made;
            self.set_constant(node.outputs[0], data)?;
            self.graph.value_mut(node.outputs[0]).codes = codes;
            return Ok(());
        }
        let dtype = self.value(node.outputs[0]).dtype;
        if dtype != DType::F32 && !has_integer_form(&node.op) {
            return refuse(
                format!("arithmetic on {dtype:?} tensors that has no integer form"),
                "cast to float in front",
            );
        }
        self.graph.nodes.push(node);
        Ok(())
    }

    /// `id` in another shape, of the same number of elements.
    pub(crate) fn reshape(&mut self, node: &NodeProto, id: ValueId, shape: Vec<usize>) -> NodeResult<ValueId> {
        if self.value(id).shape == shape {
            return Ok(id);
        }
        let out = self.like(id, shape)?;
        self.emit(node, Op::Reshape, vec![Some(id)], out)?;
        Ok(out)
    }

    pub(crate) fn transpose(&mut self, node: &NodeProto, id: ValueId, perm: Vec<usize>) -> NodeResult<ValueId> {
        let shape = perm.iter().map(|&p| self.value(id).shape[p]).collect();
        let out = self.like(id, shape)?;
        self.emit(node, Op::Transpose { perm }, vec![Some(id)], out)?;
        Ok(out)
    }

    /// A new value that holds elements of `id`, on the same grid.
    pub(crate) fn like(&mut self, id: ValueId, shape: Vec<usize>) -> NodeResult<ValueId> {
        let Value { name, dtype, quant, .. } = self.value(id);
        let (name, dtype, quant) = (name.clone(), *dtype, *quant);
        let out = self.temp(&name, dtype, shape)?;
        self.graph.value_mut(out).quant = quant;
        Ok(out)
    }

    /// Makes the output of `node` another name of `id`.
    pub(crate) fn alias(&mut self, node: &NodeProto, id: ValueId) {
        if let Some(o) = node.output.first() {
            self.ids.insert(o.clone(), id);
        }
    }

    pub(crate) fn shapes_of(&mut self, node: &NodeProto) -> String {
        let one = |n: &String| match self.ids.get(n).map(|&id| &self.graph.value(id).shape) {
            Some(s) => format!("{s:?}"),
            None => self.model.consts.get(n).map_or_else(|| "-".into(), |t| format!("{:?}", t.dims)),
        };
        node.input.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// Names the outputs and drops what nothing reads.
    pub(crate) fn finish(mut self) -> Result<Graph> {
        for o in self.model.outputs.clone() {
            let reader = NodeProto { input: vec![o.clone()], output: vec![o.clone()], ..Default::default() };
            let id = match self.input(&reader, 0) {
                Ok(Some(id)) => id,
                _ => {
                    return Err(ImportError::Analysis {
                        at: format!("output `{o}`"),
                        reason: "it has no value".into(),
                    });
                }
            };
            let id = self.name_output(&reader, &o, id)?;
            if let Some(dtype) = self.model.output_dtypes.get(&o) {
                self.graph.value_mut(id).io_dtype = Some(*dtype);
            }
            self.graph.outputs.push(id);
        }
        prune(&mut self.graph);
        Ok(self.graph)
    }

    /// The value that carries output `name`: `id` itself where that may be
    /// renamed, else a copy.
    fn name_output(&mut self, node: &NodeProto, name: &str, id: ValueId) -> Result<ValueId> {
        let taken = self.graph.inputs.contains(&id) || self.graph.outputs.contains(&id);
        if !taken && (self.value(id).name == name || !self.model.outputs.contains(&self.value(id).name)) {
            self.graph.value_mut(id).name = name.into();
            return Ok(id);
        }
        let Value { dtype, quant, shape, .. } = self.value(id).clone();
        let out = self.graph.add_value(Value { quant, ..Value::new(name, dtype, shape) });
        self.graph.nodes.push(Node {
            name: node_name(node),
            op: Op::Reshape,
            inputs: vec![Some(id)],
            outputs: vec![out],
        });
        Ok(out)
    }
}

/// Whether integers and booleans have the operation, if it is arithmetic at all.
fn has_integer_form(op: &Op) -> bool {
    match op {
        Op::Unary(f) => matches!(f, Unary::Neg | Unary::Abs | Unary::Sign | Unary::Not),
        Op::Binary { kind, clamp } => *kind != Binary::PRelu && clamp.is_none(),
        Op::Reduce { kind, .. } => *kind != Reduce::L2,
        _ => true,
    }
}
