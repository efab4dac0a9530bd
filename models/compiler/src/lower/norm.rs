//! Layer normalization.

use super::context::Lowering;
use super::error::LowerError;
use super::spec::Spec;
use crate::graph::Node;
use selvedge_core::{Format, OpCode, params};

impl Lowering<'_> {
    pub fn lower_layer_norm(&mut self, node: &Node, epsilon: f32) -> Result<(), LowerError> {
        let graph = self.graph;
        let (x, y) = self.unary_operands(node)?;
        let parameter = |slot: usize| node.inputs.get(slot).copied().flatten().and_then(|id| graph.value(id).f32s());
        let row = graph.value(x).shape.last().copied().unwrap_or(1);
        let (Some(gamma), Some(beta)) = (parameter(1), parameter(2)) else {
            return Err(LowerError::node(graph, node, "its scale or bias is computed", "make both initializers"));
        };
        if gamma.len() != row || beta.len() != row {
            let reason = format!("its scale and bias have {} and {} values for rows of {row}", gamma.len(), beta.len());
            return Err(LowerError::node(graph, node, reason, "check the model file"));
        }
        let params = params::LayerNorm {
            row: row as u32,
            epsilon,
            gamma: self.pool.add_array(gamma),
            beta: self.pool.add_array(beta),
        };
        let input = self.float(x)?;
        let spec = Spec::new(OpCode::LayerNorm, Format::F32, "layer_norm_f32").params(&params).weights_bytes(row * 8);
        self.produce_float(node, spec, &[Some(input)], y);
        Ok(())
    }
}
