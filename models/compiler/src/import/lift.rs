//! Lifts quantization out of the graph: what remains computes in f32.
//!
//! An integer tensor between QuantizeLinear and DequantizeLinear is the float
//! tensor restricted to a grid, so operators that only move data act on the
//! float tensor as well. All tensors that share codes form a class; the class
//! gets its grid from any quantizing node that touches it. A class without
//! a grid (integers the model computes with) stays integer.
use std::collections::HashMap;

use tract_onnx::pb::NodeProto;

use super::attrs::node_name;
use super::error::{ImportError, NodeResult, Result, bad, refuse};
use super::model::{Input, Model, named};
use super::qops::{self, QOp};
use super::quant::{Grid, Params, dequantize, output_elem, quantize};
use super::tensor::{Elem, Tensor};
use super::{FAKE_QUANT, const_moves};
use crate::graph::ActQuant;

struct Class {
    elem: Elem,
    grid: Option<Grid>,
    /// A node that computes with the integer codes themselves.
    raw_use: Option<String>,
}

pub(crate) struct Lift<'a> {
    pub model: &'a mut Model,
    classes: Vec<Class>,
    class_of: HashMap<String, usize>,
    /// DequantizeLinear outputs that are their input.
    alias: HashMap<String, String>,
    pub out: Vec<NodeProto>,
}

/// Operators that copy elements of their first input (Concat: of all).
fn moves_data(op: &str) -> bool {
    matches!(
        op,
        "Transpose"
            | "Reshape"
            | "Flatten"
            | "Squeeze"
            | "Unsqueeze"
            | "Slice"
            | "Gather"
            | "Split"
            | "Concat"
            | "MaxPool"
            | "GlobalMaxPool"
            | "Identity"
            | "Pad"
            | "Expand"
            | "Tile"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "GatherElements"
            | "GatherND"
    )
}

/// Resampling that only copies elements.
fn picks_nearest(node: &NodeProto) -> NodeResult<bool> {
    let crops = super::attrs::string(node, "coordinate_transformation_mode", "")? == "tf_crop_and_resize";
    Ok(matches!(node.op_type.as_str(), "Resize" | "Upsample")
        && !crops
        && super::attrs::string(node, "mode", "nearest")? == "nearest")
}

/// Rewrites `model` in place. All nodes that cannot be lifted are reported at once.
pub(crate) fn lift(model: &mut Model) -> Result<()> {
    let nodes = const_moves::fold(model);
    let mut lift =
        Lift { model, classes: Vec::new(), class_of: HashMap::new(), alias: HashMap::new(), out: Vec::new() };
    let mut errors = Errors::default();
    for Input { name, elem, .. } in lift.model.inputs.clone() {
        if matches!(elem, Elem::Int { bits: 8 | 16, .. }) {
            lift.new_class(&name, elem, None);
        }
    }
    for node in &nodes {
        errors.take(node, |n| lift.scan(n));
    }
    for node in &nodes {
        if node.output.iter().chain(&node.input).any(|v| errors.touched.contains(v)) {
            continue;
        }
        errors.take(node, |n| lift.conflict(n));
    }
    errors.finish()?;
    let mut errors = Errors::default();
    for node in nodes {
        errors.take(&node, |n| lift.rewrite(n));
    }
    errors.finish()?;
    lift.finish();
    Ok(())
}

#[derive(Default)]
struct Errors {
    unsupported: Vec<super::Unsupported>,
    first: Option<ImportError>,
    touched: std::collections::HashSet<String>,
}

impl Errors {
    fn take(&mut self, node: &NodeProto, f: impl FnOnce(&NodeProto) -> NodeResult<()>) {
        // What reads the output of a refused node fails for no reason of its own.
        if node.input.iter().any(|i| self.touched.contains(i)) {
            self.touched.extend(node.output.iter().filter(|o| !o.is_empty()).cloned());
            return;
        }
        let Err(e) = f(node) else { return };
        self.touched.extend(node.output.iter().filter(|o| !o.is_empty()).cloned());
        match named(node, e) {
            ImportError::Unsupported(list) => self.unsupported.extend(list),
            other => {
                self.first.get_or_insert(other);
            }
        }
    }

    fn finish(self) -> Result<()> {
        match (self.first, self.unsupported.is_empty()) {
            (Some(e), _) => Err(e),
            (None, false) => Err(ImportError::Unsupported(self.unsupported)),
            (None, true) => Ok(()),
        }
    }
}

impl Lift<'_> {
    fn new_class(&mut self, value: &str, elem: Elem, grid: Option<Grid>) {
        self.classes.push(Class { elem, grid, raw_use: None });
        self.class_of.insert(value.into(), self.classes.len() - 1);
    }

    fn scan(&mut self, node: &NodeProto) -> NodeResult<()> {
        match node.op_type.as_str() {
            "QuantizeLinear" => {
                let params = Params::new(self.model, node, 1, 2)?;
                if let Some(x) = self.model.consts.get(&node.input[0]) {
                    let y = quantize(x, &params, node)?;
                    self.model.consts.insert(node.output[0].clone(), y);
                    return Ok(());
                }
                let elem = output_elem(&params, node)?;
                let grid = params.grid(elem)?;
                grid.act_quant()?;
                self.new_class(&node.output[0], elem, Some(grid));
                Ok(())
            }
            "DequantizeLinear" if self.model.consts.contains_key(&node.input[0]) => Ok(()),
            "DequantizeLinear" => self.set_grid(node, 0, 1, 2),
            op if moves_data(op) || picks_nearest(node)? => self.scan_move(node),
            // What branches do with a value shows when one is in place.
            "Shape" | "Size" | "If" => Ok(()),
            _ => match qops::describe(node)? {
                Some(q) => self.scan_qop(node, &q),
                None => {
                    for i in &node.input {
                        if let Some(&c) = self.class_of.get(i) {
                            self.classes[c].raw_use.get_or_insert_with(|| node_name(node));
                        }
                    }
                    Ok(())
                }
            },
        }
    }

    fn scan_qop(&mut self, node: &NodeProto, q: &QOp) -> NodeResult<()> {
        for &[x, s, z] in &q.operands {
            if !self.model.consts.contains_key(&node.input[x]) {
                self.set_grid(node, x, s, z)?;
            }
        }
        if let Some([s, z]) = q.output {
            let params = Params::new(self.model, node, s, z)?;
            let elem = output_elem(&params, node)?;
            let grid = params.grid(elem)?;
            grid.act_quant()?;
            self.new_class(&node.output[0], elem, Some(grid));
        }
        Ok(())
    }

    /// Node `node` reads input `x` as codes of the grid in inputs `s` and `z`.
    fn set_grid(&mut self, node: &NodeProto, x: usize, s: usize, z: usize) -> NodeResult<()> {
        let Some(&c) = self.class_of.get(&node.input[x]) else {
            return refuse(
                format!("it dequantizes `{}`, which no static quantization made", node.input[x]),
                "export with QuantizeLinear and DequantizeLinear in pairs",
            );
        };
        let grid = Params::new(self.model, node, s, z)?.grid(self.classes[c].elem)?;
        grid.act_quant()?;
        match self.classes[c].grid {
            Some(old) if old != grid => refuse(
                format!(
                    "it reads codes of scale {}, zero point {} as scale {}, zero point {}",
                    old.scale, old.zero, grid.scale, grid.zero
                ),
                "use one scale and zero point on both sides of an integer tensor",
            ),
            _ => {
                self.classes[c].grid = Some(grid);
                Ok(())
            }
        }
    }

    fn scan_move(&mut self, node: &NodeProto) -> NodeResult<()> {
        let data: Vec<Option<usize>> = match node.op_type.as_str() {
            "Concat" => node.input.iter().map(|i| self.class_of.get(i).copied()).collect(),
            _ => vec![self.class_of.get(&node.input[0]).copied()],
        };
        if data.iter().all(Option::is_none) {
            return Ok(());
        }
        let Some(first) = data[0] else { return mixed() };
        for other in data {
            let Some(other) = other else { return mixed() };
            if other == first {
                continue;
            }
            match (self.classes[first].grid, self.classes[other].grid) {
                (Some(a), Some(b)) if a == b => {}
                _ => return mixed(),
            }
        }
        for o in node.output.iter().filter(|o| !o.is_empty()) {
            self.class_of.insert(o.clone(), first);
        }
        Ok(())
    }

    /// Refuses nodes that compute with codes of a class that also has a grid.
    fn conflict(&mut self, node: &NodeProto) -> NodeResult<()> {
        for i in &node.input {
            let Some(class) = self.class_of.get(i).map(|&c| &self.classes[c]) else { continue };
            if class.grid.is_some() && class.raw_use.as_ref() == Some(&node_name(node)) {
                return refuse(
                    format!("it computes with the integer codes of `{i}`, which are also dequantized elsewhere"),
                    "export in QDQ form: DequantizeLinear, the float operator, QuantizeLinear",
                );
            }
        }
        Ok(())
    }

    /// The grid of a value, if it is on one.
    fn grid(&self, value: &str) -> Option<Grid> {
        self.class_of.get(value).and_then(|&c| self.classes[c].grid)
    }

    fn rewrite(&mut self, node: &NodeProto) -> NodeResult<()> {
        match node.op_type.as_str() {
            "QuantizeLinear" if self.model.consts.contains_key(&node.output[0]) => Ok(()),
            "QuantizeLinear" => {
                let x = self.resolve(&node.input[0]);
                self.fake_quant(node, x);
                Ok(())
            }
            "DequantizeLinear" => {
                if let Some(codes) = self.model.consts.get(&node.input[0]) {
                    let t = dequantize(codes, &Params::new(self.model, node, 1, 2)?, node, 1)?;
                    self.model.consts.insert(node.output[0].clone(), t);
                    return Ok(());
                }
                let x = self.resolve(&node.input[0]);
                if self.model.outputs.contains(&node.output[0]) {
                    self.push("Identity", &node_name(node), vec![x], node.output[0].clone());
                } else {
                    self.alias.insert(node.output[0].clone(), x);
                }
                Ok(())
            }
            _ => {
                if let Some(q) = qops::describe(node)? {
                    return qops::rewrite(self, node, &q);
                }
                let mut node = node.clone();
                if node.op_type == "Pad"
                    && let Some(grid) = self.grid(&node.input[0])
                {
                    self.pad_value(&mut node, grid)?;
                }
                for i in &mut node.input {
                    *i = self.resolve(i);
                }
                self.out.push(node);
                Ok(())
            }
        }
    }

    /// A Pad of codes pads with a code: give the real value instead.
    fn pad_value(&mut self, node: &mut NodeProto, grid: Grid) -> NodeResult<()> {
        let code = match node.input.get(2).filter(|n| !n.is_empty()) {
            None => 0,
            Some(v) => match self.model.consts.get(v).and_then(|t| t.i32s()) {
                Some(&[code]) => code,
                _ => return bad("its padding value is no constant of the tensor's type"),
            },
        };
        let name = self.model.fresh(&format!("{}_pad", node.output[0]));
        let real = (code - grid.zero) as f32 * grid.scale;
        self.model.consts.insert(name.clone(), Tensor::f32(vec![], vec![real]));
        node.input.resize(node.input.len().max(3), String::new());
        node.input[2] = name;
        Ok(())
    }

    /// The float value under a name.
    pub(crate) fn resolve(&self, name: &str) -> String {
        self.alias.get(name).cloned().unwrap_or_else(|| name.into())
    }

    pub(crate) fn push(&mut self, op: &str, name: &str, input: Vec<String>, output: String) {
        self.out.push(NodeProto {
            op_type: op.into(),
            name: name.into(),
            input,
            output: vec![output],
            ..Default::default()
        });
    }

    /// Puts `x` on the grid of the output of `node`.
    pub(crate) fn fake_quant(&mut self, node: &NodeProto, x: String) {
        self.push(FAKE_QUANT, &node_name(node), vec![x], node.output[0].clone());
    }

    fn finish(mut self) {
        let mut quant: HashMap<String, ActQuant> = HashMap::new();
        for (value, &c) in &self.class_of {
            if let Some(q) = self.classes[c].grid.and_then(|g| g.act_quant().ok()) {
                quant.insert(value.clone(), q);
            }
        }
        for input in &mut self.model.inputs {
            if quant.contains_key(&input.name) {
                input.io_dtype = input.elem.dtype();
                input.elem = Elem::F32;
            }
        }
        for o in &self.model.outputs {
            if let (true, Some(&c)) = (quant.contains_key(o), self.class_of.get(o))
                && let Some(dtype) = self.classes[c].elem.dtype()
            {
                self.model.output_dtypes.insert(o.clone(), dtype);
            }
        }
        self.model.quant = quant;
        self.model.nodes = std::mem::take(&mut self.out);
        self.model.prune();
    }
}

fn mixed<T>() -> NodeResult<T> {
    refuse(
        "it joins integer tensors of different or unknown grids",
        "dequantize before, quantize after, or use one scale and zero point",
    )
}
