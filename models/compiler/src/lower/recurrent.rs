//! LSTM, GRU and simple recurrent networks.

use super::context::Lowering;
use super::error::LowerError;
use super::spec::Spec;
use crate::graph::{Activation, CellKind, Node, Recurrent};
use selvedge_core::params::{self, recurrent, unary};
use selvedge_core::{Format, OpCode};
use selvedge_kernels::pack;
use zerocopy::IntoBytes;

/// Time steps whose products with x the device computes at once.
const CHUNK: usize = 8;

fn code(activation: Activation) -> (u32, f32, f32) {
    match activation {
        Activation::Relu => (unary::RELU, 0.0, 0.0),
        Activation::Tanh => (unary::TANH, 0.0, 0.0),
        Activation::Sigmoid => (unary::SIGMOID, 0.0, 0.0),
        Activation::Affine { alpha, beta } => (recurrent::AFFINE, alpha, beta),
        Activation::LeakyRelu { alpha } => (unary::LEAKY_RELU, alpha, 0.0),
        Activation::ThresholdedRelu { alpha } => (recurrent::THRESHOLDED_RELU, alpha, 0.0),
        Activation::ScaledTanh { alpha, beta } => (recurrent::SCALED_TANH, alpha, beta),
        Activation::HardSigmoid { alpha, beta } => (unary::HARD_SIGMOID, alpha, beta),
        Activation::Elu { alpha } => (unary::ELU, alpha, 0.0),
        Activation::Softsign => (recurrent::SOFTSIGN, 0.0, 0.0),
        Activation::Softplus => (unary::SOFTPLUS, 0.0, 0.0),
    }
}

pub(crate) fn op(cell: CellKind) -> (OpCode, &'static str) {
    match cell {
        CellKind::Lstm => (OpCode::Lstm, "lstm_f32"),
        CellKind::Gru => (OpCode::Gru, "gru_f32"),
        CellKind::Rnn => (OpCode::Rnn, "rnn_f32"),
    }
}

/// `n` rows of `k`, packed.
fn packed(rows: &[f32], n: usize, k: usize) -> Vec<f32> {
    let mut out = vec![0f32; pack::f32_elements(n, k)];
    pack::pack_f32(rows, n, k, &mut out);
    out
}

impl Lowering<'_> {
    pub fn lower_recurrent(&mut self, node: &Node, layer: &Recurrent) -> Result<(), LowerError> {
        if let Some(int8) = self.int8_cell(node, layer) {
            match self.lower_recurrent_i8(node, layer, int8) {
                Ok(()) => return Ok(()),
                Err(reason) => self.note(node, format!("runs in f32: {reason}")),
            }
        }
        let graph = self.graph;
        let operand = |slot: usize| node.inputs.get(slot).copied().flatten();
        let Some(x) = operand(0) else {
            return Err(LowerError::node(graph, node, "an operand is missing", "check the model file"));
        };
        let &[steps, batch, input] = graph.value(x).shape.as_slice() else {
            return Err(LowerError::node(graph, node, "its input has not 3 axes", "check the model file"));
        };
        let (hidden, rows) = (layer.hidden, layer.cell.gates() * layer.hidden);
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        let live = layer.live;
        let flags = flag(layer.reverse, recurrent::REVERSE)
            | flag(layer.input_forget, recurrent::INPUT_FORGET)
            | flag(layer.linear_before_reset, recurrent::LINEAR_BEFORE_RESET)
            | flag(layer.sequence, recurrent::SEQUENCE)
            | flag(live.is_some(), recurrent::LIVE)
            | flag(live.is_some_and(|live| live.recurrent_bias), recurrent::LIVE_RECURRENT_BIAS)
            | flag(live.is_some_and(|live| live.peepholes), recurrent::LIVE_PEEPHOLES);
        let codes = layer.activations.map(code);
        let mut params = params::RecurrentF32 {
            hidden: hidden as u32,
            flags,
            clip: layer.clip.unwrap_or(f32::INFINITY),
            activations: codes.map(|c| c.0),
            alpha: codes.map(|c| c.1),
            beta: codes.map(|c| c.2),
            weights: params::NONE,
            recurrent: params::NONE,
            bias: params::NONE,
            recurrent_bias: params::NONE,
            peepholes: params::NONE,
        };
        let gru = layer.cell == CellKind::Gru;
        // As the device's own account has it: gates of a chunk, products with h, r·h.
        let mut scratch = (steps.min(CHUNK) + 1) * batch * rows + if gru { batch * hidden } else { 0 };
        let mut weights_bytes = 0;
        let direct = if gru { 2 * hidden } else { rows };
        if live.is_some() {
            scratch += pack::f32_elements(rows, input) + pack::f32_elements(direct, hidden);
            scratch += pack::f32_elements(rows - direct, hidden);
            scratch += pack::padded_channels(rows) + pack::padded_channels(hidden);
        } else {
            let data = |slot: usize| operand(slot).and_then(|id| graph.value(id).f32s());
            let (Some(w), Some(r)) = (data(Recurrent::WEIGHTS), data(Recurrent::RECURRENT)) else {
                return Err(LowerError::node(graph, node, "its weights are not f32", "dequantize them in the model"));
            };
            let w = packed(w, rows, input);
            let mut both = packed(&r[..direct * hidden], direct, hidden);
            both.extend(packed(&r[direct * hidden..], rows - direct, hidden));
            weights_bytes += (w.len() + both.len()) * 4;
            (params.weights, params.recurrent) = (self.pool.add_packed(&w), self.pool.add_packed(&both));
            for (slot, to) in
                [(Recurrent::BIAS, &mut params.bias), (Recurrent::RECURRENT_BIAS, &mut params.recurrent_bias)]
            {
                if let Some(bias) = data(slot) {
                    *to = self.pool.add_channels(bias);
                    weights_bytes += pack::padded_channels(bias.len()) * 4;
                }
            }
            if let Some(peepholes) = data(Recurrent::PEEPHOLES) {
                params.peepholes = self.pool.add(peepholes.as_bytes(), 4);
                weights_bytes += peepholes.len() * 4;
            }
        }
        let mut inputs = vec![Some(self.float(x)?)];
        for slot in [Recurrent::WEIGHTS, Recurrent::STATE_H, Recurrent::STATE_C] {
            let id = operand(slot).filter(|_| slot != Recurrent::WEIGHTS || live.is_some());
            inputs.push(id.map(|id| self.float(id)).transpose()?);
        }
        inputs.push(operand(Recurrent::LENGTHS).map(|id| self.native(id)).transpose()?);
        let (op, kernel) = op(layer.cell);
        let spec = Spec::new(op, Format::F32, kernel)
            .params(&params)
            .macs(steps * batch * rows * (input + hidden))
            .weights_bytes(weights_bytes)
            .scratch(scratch * 4);
        let outputs: Vec<_> = node.outputs.iter().map(|&id| self.float_target(id)).collect();
        self.push(&node.name, spec, &inputs, &outputs);
        for (&id, tensor) in node.outputs.iter().zip(outputs) {
            self.settle_float(&node.name, id, tensor);
        }
        Ok(())
    }
}
