//! Decides which nodes run in integers and on which grids.

use super::error::QuantizeError;
use super::float_outputs::float_outputs;
use super::grid::{activation_grid, clamped, wide_grid};
use super::low_bit::roles;
use super::roles::{Role, data_inputs, wide_role};
use super::scheme::{ActivationFormat, QuantScheme};
use super::unify_concat::unify_concat;
use crate::calibrate::Ranges;
use crate::graph::{ActQuant, CellKind, Clamp, Graph, Int8Cell, Node, Op, Recurrent, Unary, ValueId};

/// How a node will run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Run {
    /// In integers, by this pass's choice.
    Integer,
    /// As the model file has it.
    File,
    /// In f32, its weights stored in fewer bits.
    Widened,
    /// In f32; the reason.
    Float(String),
    /// Not about real numbers.
    Other,
}

pub(super) struct Plan {
    /// New grids of values; `None` where a value keeps what it has.
    pub grids: Vec<Option<ActQuant>>,
    /// Values whose f32 readers (or their place as a graph input) need the
    /// unrounded value: integer readers take a quantized copy.
    pub split: Vec<bool>,
    pub runs: Vec<Run>,
}

struct Planner<'a> {
    graph: &'a Graph,
    ranges: &'a Ranges,
    roles: Vec<Role>,
    wanted: Vec<bool>,
    /// Activations are int16.
    wide: bool,
    grids: Vec<Option<ActQuant>>,
    runs: Vec<Run>,
}

/// Plans static quantization with calibrated ranges.
pub(super) fn plan(graph: &Graph, ranges: &Ranges, scheme: &QuantScheme) -> Result<Plan, QuantizeError> {
    let wide = scheme.activations == ActivationFormat::I16;
    let mut roles = roles(graph, scheme);
    if wide {
        roles = graph.nodes.iter().zip(roles).map(|(node, role)| wide_role(node, role)).collect();
    }
    let mut planner = Planner {
        graph,
        ranges,
        roles,
        wide,
        wanted: vec![false; graph.values.len()],
        grids: vec![None; graph.values.len()],
        runs: Vec::with_capacity(graph.nodes.len()),
    };
    planner.want();
    for &input in &graph.inputs {
        if planner.wanted[input.index()] {
            planner.grids[input.index()] = Some(planner.own_grid(input, None)?);
        }
    }
    for index in 0..graph.nodes.len() {
        let run = planner.visit(index)?;
        planner.runs.push(run);
    }
    let Planner { roles, grids, runs, .. } = planner;
    let mut plan = Plan { grids, split: Vec::new(), runs };
    if scheme.float_outputs && !wide {
        float_outputs(graph, &roles, &mut plan);
    }
    unify_concat(graph, &roles, &mut plan);
    plan.split = split(graph, &plan);
    Ok(plan)
}

impl Planner<'_> {
    /// The integer grid of a value, given by the file or by this plan.
    fn grid(&self, id: ValueId) -> Option<ActQuant> {
        let fits = |q: &ActQuant| if self.wide { q.is_wide() } else { q.bits == 8 };
        self.graph.value(id).quant.or(self.grids[id.index()]).filter(fits)
    }

    /// All operands that are computed carry grids of the model file: where its
    /// author ended quantization, it stays ended.
    fn belongs_to_file(&self, node: &Node) -> bool {
        let mut computed = data_inputs(node).filter(|&id| !self.graph.value(id).is_constant()).peekable();
        computed.peek().is_some() && computed.all(|id| self.graph.value(id).quant.is_some())
    }

    /// Marks the values that layers read, also through nodes that only move them.
    fn want(&mut self) {
        for (index, node) in self.graph.nodes.iter().enumerate().rev() {
            let wants = match self.roles[index] {
                Role::Layer | Role::Recurrent => !self.belongs_to_file(node),
                Role::Move | Role::Join => self.wanted[node.outputs[0].index()],
                _ => false,
            };
            if wants {
                for id in data_inputs(node) {
                    let value = self.graph.value(id);
                    self.wanted[id.index()] |= value.quant.is_none() && !value.is_constant();
                }
            }
        }
    }

    /// A grid from the calibrated range.
    fn own_grid(&self, id: ValueId, clamp: Option<Clamp>) -> Result<ActQuant, QuantizeError> {
        let name = &self.graph.value(id).name;
        let range = self.ranges.get(name).ok_or_else(|| QuantizeError::MissingRange { value: name.clone() })?;
        // Of 16 bits one is room for values beyond those seen.
        let room = if self.wide { 2.0 } else { 1.0 };
        let (lo, hi) = clamped((range.lo * room, range.hi * room), clamp);
        if !lo.is_finite() || !hi.is_finite() {
            return Err(QuantizeError::Range { value: name.clone(), lo, hi });
        }
        Ok(if self.wide { wide_grid(lo, hi) } else { activation_grid(lo, hi) })
    }

    fn visit(&mut self, index: usize) -> Result<Run, QuantizeError> {
        let node = &self.graph.nodes[index];
        let Some(&output) = node.outputs.first() else { return Ok(Run::Other) };
        if matches!(self.roles[index], Role::Other) {
            return Ok(Run::Other);
        }
        if self.belongs_to_file(node) {
            return Ok(Run::File);
        }
        let missing = data_inputs(node)
            .find(|&id| !self.graph.value(id).is_constant() && self.grid(id).is_none())
            .map(|id| format!("its operand '{}' is computed in f32", self.graph.value(id).name));
        let all_constant = data_inputs(node).all(|id| self.graph.value(id).is_constant());
        let run = match &self.roles[index] {
            Role::Float(reason) => Run::Float(reason.clone()),
            _ if all_constant => Run::Float("its operands are constant".into()),
            _ => missing.map_or(Run::Integer, Run::Float),
        };
        if let (Run::Integer, Role::Recurrent) = (&run, &self.roles[index]) {
            self.recurrent_grids(node)?;
            return Ok(run);
        }
        for &more in node.outputs.iter().skip(1) {
            if self.wanted[more.index()] && self.graph.value(more).quant.is_none() {
                self.grids[more.index()] = Some(self.own_grid(more, None)?);
            }
        }
        if self.graph.value(output).quant.is_some() {
            return Ok(run);
        }
        let grid = match (&run, &self.roles[index]) {
            (Run::Integer, Role::Move) => data_inputs(node).next().and_then(|id| self.grid(id)),
            (Run::Integer, Role::Elementwise { fixed: Some(grid) }) => Some(*grid),
            (Run::Integer, _) => Some(self.own_grid(output, clamp_of(&node.op))?),
            _ if self.wanted[output.index()] => Some(self.own_grid(output, clamp_of(&node.op))?),
            _ => None,
        };
        self.grids[output.index()] = grid;
        Ok(run)
    }
}

impl Planner<'_> {
    /// The grid of h where it leaves the layer in int8; other states have one only where a layer reads them.
    fn recurrent_grids(&mut self, node: &Node) -> Result<(), QuantizeError> {
        let Op::Recurrent(layer) = &node.op else { return Ok(()) };
        let cell = int8_cell(self.graph, self.ranges, node, layer);
        let h = ActQuant { scale: cell.scale, zero_point: 0, bits: 8, unsigned: false };
        for (i, &id) in node.outputs.iter().enumerate() {
            let codes = if layer.cell == CellKind::Gru { 0 } else { 1 };
            let of_h = i < usize::from(layer.sequence) + codes;
            if of_h {
                self.grids[id.index()] = Some(h);
            } else if self.wanted[id.index()] {
                self.grids[id.index()] = Some(self.own_grid(id, None)?);
            }
        }
        Ok(())
    }
}

/// Grids inside of a recurrent layer. |h| is at most 1; of c only the last of each run was seen, hence the
/// room: twice the largest, four times where a run has several steps.
pub(super) fn int8_cell(graph: &Graph, ranges: &Ranges, node: &Node, layer: &Recurrent) -> Int8Cell {
    let range = |id: ValueId| ranges.get(&graph.value(id).name).map(|range| range.abs_max);
    let first = node.outputs.first().copied();
    let h = first.filter(|_| layer.sequence).and_then(range).filter(|&h| h > 1e-3 && h < 1.0).unwrap_or(1.0);
    let steps = node.inputs.first().copied().flatten().and_then(|x| graph.value(x).shape.first().copied());
    let room = if steps == Some(1) { 2.0 } else { 4.0 };
    let c = node.outputs.last().copied().filter(|_| layer.cell == CellKind::Lstm).and_then(range).unwrap_or(0.0);
    let bits = (0..5u32).find(|&bits| (1u32 << bits) as f32 >= c * room).unwrap_or(if c < 128.0 { 7 } else { 11 });
    Int8Cell { scale: h / 127.0, cell_bits: 15 - bits.max(2) }
}

/// Values that keep their f32 form next to a quantized copy.
fn split(graph: &Graph, plan: &Plan) -> Vec<bool> {
    let mut float = vec![false; graph.values.len()];
    for (node, run) in graph.nodes.iter().zip(&plan.runs) {
        if *run != Run::Integer {
            data_inputs(node).for_each(|id| float[id.index()] = true);
        }
    }
    graph.outputs.iter().for_each(|id| float[id.index()] = true);
    let mut split = vec![false; graph.values.len()];
    let planned = |id: ValueId| plan.grids[id.index()].is_some();
    for &input in &graph.inputs {
        split[input.index()] = planned(input);
    }
    for (node, run) in graph.nodes.iter().zip(&plan.runs) {
        for &output in &node.outputs {
            // What a node of the file writes is not touched, even where nobody else reads it.
            let shared = *run == Run::File || float[output.index()];
            split[output.index()] = *run != Run::Integer && shared && planned(output);
        }
    }
    split
}

/// The activation inside of an operation, as far as it bounds the output.
fn clamp_of(op: &Op) -> Option<Clamp> {
    match op {
        Op::GroupNorm { clamp, .. } => *clamp,
        Op::Conv { clamp, .. } | Op::Dense { clamp } | Op::Binary { clamp, .. } => *clamp,
        Op::Unary(Unary::Clip(clamp)) => Some(*clamp),
        Op::Unary(Unary::Relu | Unary::Abs) => Some(Clamp { lo: 0.0, hi: f32::INFINITY }),
        _ => None,
    }
}
