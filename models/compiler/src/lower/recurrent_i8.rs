//! LSTM and GRU in int8: rules 22 and 23 of `runtime/README.md`.

use super::context::Lowering;
use super::error::LowerError;
use super::recurrent::op;
use super::requant::multiplier;
use super::spec::{Grid, Spec, binary_spec, unary_spec};
use crate::graph::{Activation, CellKind, Int8Cell, Node, Op, Recurrent, Value, ValueId};
use crate::program::TensorId;
use selvedge_core::params::{self, recurrent};
use selvedge_core::{DType, Format, OpCode};
use selvedge_kernels::pack;
use selvedge_kernels::recurrent_i8::{GATE_BITS, TABLE};

/// Values of an activation at the gates −32768, −32640, …, 32768 (steps of 2^−12), in steps of 2^−15.
fn table(activation: Activation) -> Option<Vec<i16>> {
    let f = bounded(activation)?;
    let entry = |i: usize| {
        let x = (i as f64 * 128.0 - 32768.0) / 4096.0;
        (f(x) * 32768.0).round_ties_even().clamp(-32767.0, 32767.0) as i16
    };
    Some((0..TABLE).map(entry).collect())
}

/// Functions into −1..1 that saturate within ±8.
fn bounded(activation: Activation) -> Option<Box<dyn Fn(f64) -> f64>> {
    Some(match activation {
        Activation::Sigmoid => Box::new(|x| 1.0 / (1.0 + (-x).exp())),
        Activation::Tanh => Box::new(f64::tanh),
        Activation::HardSigmoid { alpha, beta } => {
            let (alpha, beta) = (f64::from(alpha), f64::from(beta));
            Box::new(move |x| (alpha * x + beta).clamp(0.0, 1.0))
        }
        _ => return None,
    })
}

/// Whether the layer has an int8 form, whatever its weights are; else the reason.
pub(crate) fn obstacle(layer: &Recurrent) -> Option<String> {
    let used = match layer.cell {
        CellKind::Lstm => 3,
        CellKind::Gru => 2,
        CellKind::Rnn => return Some("a simple recurrent network has no int8 form".into()),
    };
    if layer.live.is_some() {
        return Some("its weights are computed".into());
    }
    let unbounded = layer.activations.iter().take(used).find(|a| bounded(**a).is_none());
    let gate = matches!(layer.activations[0], Activation::Sigmoid | Activation::HardSigmoid { .. });
    match unbounded {
        Some(activation) => Some(format!("its activation {activation:?} is not bounded")),
        None if !gate => Some("its gates are not between 0 and 1".into()),
        None => None,
    }
}

/// Weights in codes, one scale a row.
struct Rows {
    codes: Vec<i8>,
    scales: Vec<f64>,
}

fn rows(value: &Value) -> Option<Rows> {
    let codes = value.codes.as_ref().filter(|c| c.bits == 8 && c.block == 0 && !c.dynamic)?;
    let count = *value.shape.first()?;
    let fits = codes.scales.len() == count && codes.axis == 0 && codes.zeros.iter().all(|&z| z == 0);
    let all = codes.codes.iter().map(|&c| i8::try_from(c).ok()).collect::<Option<Vec<_>>>()?;
    fits.then(|| Rows { codes: all, scales: codes.scales.iter().map(|&s| s.into()).collect() })
}

/// Multipliers, biases and their common shift.
struct Sums {
    shift: u32,
    multipliers: [Vec<i32>; 2],
    bias: Vec<i64>,
    recurrent_bias: Vec<i64>,
}

/// The largest shift up to 40 with multipliers below 2^31 and sums below 2^62.
fn sums(w: &Rows, r: &Rows, x: Grid, h: f64, biases: [&[f32]; 2], candidate: Option<usize>) -> Option<Sums> {
    let count = w.scales.len();
    let per = |rows: &Rows, row: usize| {
        let k = rows.codes.len() / count.max(1);
        rows.codes[row * k..][..k].iter().map(|&c| i64::from(c)).collect::<Vec<_>>()
    };
    let gate = 2f64.powi(GATE_BITS as i32);
    'shift: for shift in (0..=40u32).rev() {
        let unit = gate * 2f64.powi(shift as i32);
        let half = if shift == 0 { 0 } else { 1i64 << (shift - 1) };
        let mut made =
            Sums { shift, multipliers: [Vec::new(), Vec::new()], bias: Vec::new(), recurrent_bias: Vec::new() };
        for row in 0..count {
            let m = [w.scales[row] * f64::from(x.scale) * unit, r.scales[row] * h * unit].map(f64::round_ties_even);
            let bias = |at: usize| biases[at].get(if at == 0 { row } else { row - candidate.unwrap_or(0) });
            let bias_of = |at: usize| (f64::from(bias(at).copied().unwrap_or(0.0)) * unit).round_ties_even();
            let own = bias_of(0);
            let (of_w, of_r) = (per(w, row), per(r, row));
            let reach = |codes: &[i64]| 128.0 * codes.iter().map(|c| c.abs()).sum::<i64>() as f64;
            let linear = candidate.is_some_and(|first| row >= first);
            let more = if linear { bias_of(1) } else { 0.0 };
            let most = (2.0 * reach(&of_w)) * m[0] + reach(&of_r) * m[1] + own.abs() + more.abs() + half as f64;
            if m.iter().any(|&m| m >= 2f64.powi(31)) || most >= 2f64.powi(62) {
                continue 'shift;
            }
            let sum: i64 = of_w.iter().sum();
            made.multipliers[0].push(m[0] as i32);
            made.multipliers[1].push(m[1] as i32);
            made.bias.push(own as i64 + half - i64::from(x.zp) * sum * m[0] as i64);
            if linear {
                made.recurrent_bias.push(more as i64 + half);
            }
        }
        return Some(made);
    }
    None
}

fn packed(codes: &[i8], n: usize, k: usize) -> Vec<i8> {
    let mut out = vec![0; pack::w8_bytes(n, k)];
    pack::pack_w8(codes, n, k, &mut out);
    out
}

/// The integer states of a layer: inputs h, c and their scales.
#[derive(Clone, Copy)]
pub(crate) struct StateForm {
    pub dtype: DType,
    pub scale: f32,
}

/// How h and c of an int8 layer are stored between steps.
pub(crate) fn state_forms(cell: CellKind, int8: Int8Cell) -> [StateForm; 2] {
    let h = match cell {
        CellKind::Gru => StateForm { dtype: DType::I16, scale: 1.0 / 32768.0 },
        _ => StateForm { dtype: DType::I8, scale: int8.scale },
    };
    [h, StateForm { dtype: DType::I16, scale: 0.5f32.powi(int8.cell_bits as i32) }]
}

impl Lowering<'_> {
    /// Whether a recurrent layer runs in int8.
    pub(crate) fn int8_cell(&self, node: &Node, layer: &Recurrent) -> Option<Int8Cell> {
        let x = node.inputs.first().copied().flatten()?;
        layer.int8.filter(|_| !self.options.simulate && self.grid(x).is_some() && obstacle(layer).is_none())
    }

    pub(crate) fn lower_recurrent_i8(&mut self, node: &Node, layer: &Recurrent, int8: Int8Cell) -> Result<(), String> {
        let graph = self.graph;
        let operand = |slot: usize| node.inputs.get(slot).copied().flatten();
        let value = |slot: usize| operand(slot).map(|id| graph.value(id));
        let x = operand(0).ok_or("its input is missing")?;
        let grid = self.grid(x).ok_or("its input has no int8 grid")?;
        let (Some(w), Some(r)) = (value(Recurrent::WEIGHTS).and_then(rows), value(Recurrent::RECURRENT).and_then(rows))
        else {
            return Err("its weights are not symmetric int8, one scale a row".into());
        };
        if value(Recurrent::PEEPHOLES).is_some() {
            return Err("it has peepholes".into());
        }
        let (gru, hidden) = (layer.cell == CellKind::Gru, layer.hidden);
        let count = w.scales.len();
        let input = w.codes.len() / count.max(1);
        if input.max(hidden) >= 1 << 16 {
            return Err("its rows are too long".into());
        }
        let linear = gru && layer.linear_before_reset;
        let data = |slot: usize| value(slot).and_then(Value::f32s).unwrap_or(&[]);
        let candidate = linear.then_some(2 * hidden);
        let biases = [data(Recurrent::BIAS), data(Recurrent::RECURRENT_BIAS)];
        let sums = sums(&w, &r, grid, int8.scale.into(), biases, candidate).ok_or("its sums do not fit 64 bits")?;
        let used = if gru { [0, 1, 1] } else { [0, 1, 2] };
        let mut tables = [0; 3];
        for (to, which) in tables.iter_mut().zip(used) {
            let entries = table(layer.activations[which]).ok_or("its activations are not bounded")?;
            *to = self.pool.add_array(&entries);
        }
        let direct = if gru { 2 * hidden } else { count };
        let mut of_h = packed(&r.codes[..direct * hidden], direct, hidden);
        if gru {
            of_h.extend(packed(&r.codes[direct * hidden..], hidden, hidden));
        }
        let of_x = packed(&w.codes, count, input);
        let codes = [2f64.powi(-30), 2f64.powi(-15)].map(|unit| multiplier(unit / f64::from(int8.scale)));
        let flag = |on: bool, flag: u32| if on { flag } else { 0 };
        let bytes = of_x.len() + of_h.len() + 3 * TABLE * 2 + count * 16;
        let params = params::RecurrentI8 {
            hidden: hidden as u32,
            flags: flag(layer.reverse, recurrent::REVERSE)
                | flag(layer.input_forget, recurrent::INPUT_FORGET)
                | flag(linear, recurrent::LINEAR_BEFORE_RESET)
                | flag(layer.sequence, recurrent::SEQUENCE),
            clip: layer.clip.map_or(32767, |clip| (clip * 4096.0).min(32767.0) as i32),
            tables,
            weights: self.pool.add_packed(&of_x),
            recurrent: self.pool.add_packed(&of_h),
            multiplier_x: self.pool.add_array(&sums.multipliers[0]),
            multiplier_h: self.pool.add_array(&sums.multipliers[1]),
            bias: self.pool.add_array(&sums.bias),
            recurrent_bias: if linear { self.pool.add_array(&sums.recurrent_bias) } else { params::NONE },
            shift: sums.shift,
            cell_bits: int8.cell_bits,
            to_code_multiplier: codes.map(|c| c.0),
            to_code_shift: codes.map(|c| c.1.into()),
        };
        let (steps, batch) = match graph.value(x).shape.as_slice() {
            &[steps, batch, _] => (steps, batch),
            _ => return Err("its input has not 3 axes".into()),
        };
        let (code, _) = op(layer.cell);
        let spec = Spec::new(code, Format::W8, if gru { "gru_qs8_w8" } else { "lstm_qs8_w8" })
            .params(&params)
            .macs(steps * batch * count * (input + hidden))
            .weights_bytes(bytes)
            .scratch(batch * count * 8 + if gru { 2 * batch * hidden } else { 0 });
        let forms = state_forms(layer.cell, int8);
        let text = |e: LowerError| e.to_string();
        let mut inputs = vec![Some(self.int(x).map_err(text)?), None];
        for (slot, form) in [(Recurrent::STATE_H, forms[0]), (Recurrent::STATE_C, forms[1])] {
            let state = operand(slot).filter(|_| !(gru && slot == Recurrent::STATE_C));
            inputs.push(state.map(|id| self.state_before(node, id, form)).transpose().map_err(text)?);
        }
        inputs.push(operand(Recurrent::LENGTHS).map(|id| self.native(id)).transpose().map_err(text)?);
        let on = Grid { scale: int8.scale, zp: 0 };
        let mut outputs = Vec::new();
        for (i, &id) in node.outputs.iter().enumerate() {
            let state = i.checked_sub(usize::from(layer.sequence));
            let form = state.map_or(StateForm { dtype: DType::I8, scale: on.scale }, |state| forms[state]);
            let same = form.dtype == DType::I8 && self.grid(id) == Some(on);
            let name =
                if same { self.name(id, DType::I8) } else { format!("{}/{}", self.raw_name(id), form.dtype.name()) };
            outputs.push(self.value_tensor(id, name, form.dtype, Some(Grid { scale: form.scale, zp: 0 })));
        }
        self.push(&node.name, spec, &inputs, &outputs);
        for (&id, &tensor) in node.outputs.iter().zip(&outputs) {
            self.settle_state(node, id, tensor, on);
        }
        Ok(())
    }

    /// A state before the first step in the layer's integers.
    fn state_before(&mut self, node: &Node, id: ValueId, form: StateForm) -> Result<TensorId, LowerError> {
        let native = self.native(id)?;
        let tensor = &self.program.tensors[native];
        if tensor.dtype == form.dtype && tensor.quant == Some((form.scale, 0)) {
            return Ok(native);
        }
        let value = self.graph.value(id);
        let grid = Grid { scale: form.scale, zp: 0 };
        if let (DType::I16, Some(data)) = (form.dtype, value.f32s()) {
            let code = |&v: &f32| (v / form.scale).round_ties_even().clamp(-32768.0, 32767.0) as i16;
            let bytes: Vec<u8> = data.iter().flat_map(|v| code(v).to_le_bytes()).collect();
            let (name, shape) = (format!("{}/i16", value.name), value.shape.clone());
            return Ok(self.constant(&name, DType::I16, &shape, &bytes, Some(grid)));
        }
        let real = self.float(id)?;
        let codes =
            self.value_tensor(id, format!("{}/{}", self.raw_name(id), form.dtype.name()), form.dtype, Some(grid));
        if form.dtype == DType::I8 {
            self.push(&node.name, super::spec::quantize(grid), &[Some(real)], &[codes]);
            return Ok(codes);
        }
        // Exact: the scale is a power of two.
        let steps = self.f32_steps(id, real, 1.0 / form.scale);
        let rounded = self.raw_f32(id);
        self.push(&node.name, unary_spec(params::unary::ROUND, 0.0, 0.0), &[Some(steps)], &[rounded]);
        let bounded = self.raw_f32(id);
        let clip = unary_spec(params::unary::CLIP, -32768.0, 32767.0);
        self.push(&node.name, clip, &[Some(rounded)], &[bounded]);
        self.push(&node.name, super::spec::move_spec(OpCode::Cast, "cast"), &[Some(bounded)], &[codes]);
        Ok(codes)
    }

    /// Whether anything but the next run of a stream reads a value.
    fn is_read(&self, id: ValueId) -> bool {
        let graph = self.graph;
        let kept = |place: usize| self.integer_output(place).is_some();
        let output = graph.outputs.iter().enumerate().any(|(place, &output)| output == id && !kept(place));
        output || graph.nodes.iter().any(|node| node.inputs.contains(&Some(id)))
    }

    /// The form of a graph input that only an int8 layer reads, as a state it writes itself.
    pub(crate) fn integer_input(&self, place: usize) -> Option<StateForm> {
        let graph = self.graph;
        let state = graph.states.iter().find(|state| state.input == place)?;
        let (id, end) = (*graph.inputs.get(place)?, *graph.outputs.get(state.output)?);
        let mut readers = graph.nodes.iter().filter(|node| node.inputs.contains(&Some(id)));
        let (Some(node), None) = (readers.next(), readers.next()) else { return None };
        let Op::Recurrent(layer) = &node.op else { return None };
        let forms = state_forms(layer.cell, self.int8_cell(node, layer)?);
        let found = [(Recurrent::STATE_H, 0), (Recurrent::STATE_C, 1)].into_iter().find(|&(slot, which)| {
            let written = node.outputs.get(which + usize::from(layer.sequence));
            node.inputs.get(slot) == Some(&Some(id)) && written == Some(&end) && !graph.inputs.contains(&end)
        });
        let once = graph.inputs.iter().filter(|&&i| i == id).count() == 1 && !graph.is_output(id);
        found.filter(|_| once).map(|(_, which)| forms[which])
    }

    /// As [`integer_input`](Self::integer_input), of the output that ends there.
    pub(crate) fn integer_output(&self, place: usize) -> Option<StateForm> {
        let state = self.graph.states.iter().find(|state| state.output == place)?;
        self.integer_input(state.input)
    }

    fn raw_f32(&mut self, id: ValueId) -> TensorId {
        let name = format!("{}/f32", self.raw_name(id));
        self.value_tensor(id, name, DType::F32, None)
    }

    /// An f32 tensor of a value times a constant.
    fn f32_steps(&mut self, id: ValueId, from: TensorId, factor: f32) -> TensorId {
        let name = self.raw_name(id);
        let constant = self.constant(&format!("{name}/factor"), DType::F32, &[], &factor.to_le_bytes(), None);
        let to = self.raw_f32(id);
        let spec = binary_spec(params::binary::MUL, None);
        self.push(&name, spec, &[Some(from), Some(constant)], &[to]);
        to
    }

    /// Gives a value what the layer stored for it.
    fn settle_state(&mut self, node: &Node, id: ValueId, tensor: TensorId, on: Grid) {
        self.integer_states.insert(id, tensor);
        if self.program.tensors[tensor].dtype == DType::I8 {
            if self.is_read(id) {
                self.settle_int(&node.name, id, tensor, on);
            }
            return;
        }
        if !self.is_read(id) {
            return;
        }
        let scale = self.program.tensors[tensor].quant.map_or(1.0, |(scale, _)| scale);
        let name = self.raw_name(id);
        let cast = self.raw_f32(id);
        self.push(&name, super::spec::move_spec(OpCode::Cast, "cast"), &[Some(tensor)], &[cast]);
        let constant = self.constant(&format!("{name}/factor"), DType::F32, &[], &scale.to_le_bytes(), None);
        let real = self.float_target(id);
        let spec = binary_spec(params::binary::MUL, None);
        self.push(&name, spec, &[Some(cast), Some(constant)], &[real]);
        self.settle_float(&node.name, id, real);
    }
}
