//! Layers and additions with int16 activations.

use super::context::Lowering;
use super::conv::ConvPlan;
use super::dense::LayerIo;
use super::error::LowerError;
use super::layer::{IntWeights, Rows, int_bias, int_weights};
use super::requant::bounded_multiplier;
use super::spec::{Spec, dequantize_i16};
use crate::graph::{Binary, Clamp, Node, Value, ValueId};
use crate::program::TensorId;
use selvedge_core::{DType, Format, OpCode, arith, params};
use selvedge_kernels::pack;
use zerocopy::IntoBytes;

/// Codes of real numbers on the int16 grid around 0; 0 for NaN.
pub(crate) fn wide_codes(reals: &[f32], scale: f32) -> impl Iterator<Item = i16> + '_ {
    reals.iter().map(move |&x| arith::quantize_i16(x, scale).unwrap_or(0))
}

/// The clamp of a fused activation as codes.
fn wide_clamp(clamp: Option<Clamp>, scale: f32) -> (i32, i32) {
    let code = |x: f32| i32::from(arith::quantize_i16(x, scale).unwrap_or(0));
    clamp.map_or((-32_768, 32_767), |c| (code(c.lo), code(c.hi)))
}

/// Factors and shift of an addition: the greatest shift with which both factors stay below 2^30.
fn sum_params(ratios: [f64; 2], (lo, hi): (i32, i32)) -> Option<params::AddI16> {
    let s = (1..=46u32).rev().find(|&s| ratios.iter().all(|r| r.abs() * 2f64.powi(s as i32) < 2f64.powi(30)))?;
    let [m1, m2] = ratios.map(|r| (r * 2f64.powi(s as i32)).round_ties_even() as i32);
    Some(params::AddI16 { m1, m2, s, lo, hi })
}

impl Lowering<'_> {
    /// The scale of a value that lives in int16; none while simulating.
    pub fn wide_scale(&self, id: ValueId) -> Option<f32> {
        let value = self.graph.value(id);
        let usable = !self.options.simulate && value.codes.is_none();
        value.quant.filter(|quant| usable && quant.is_wide()).map(|quant| quant.scale)
    }

    /// A tensor for a value in int16.
    pub fn wide_tensor(&mut self, id: ValueId, scale: f32) -> TensorId {
        let tensor = self.value_tensor(id, self.name(id, DType::I16), DType::I16, None);
        self.program.tensors[tensor].quant = Some((scale, 0));
        tensor
    }

    /// The value in int16, on the grid of its [`wide_scale`](Self::wide_scale).
    pub fn wide(&mut self, id: ValueId) -> Result<TensorId, LowerError> {
        let value = self.graph.value(id);
        let (Some(data), Some(scale)) = (value.f32s(), self.wide_scale(id)) else { return self.native(id) };
        let codes: Vec<i16> = wide_codes(data, scale).collect();
        let tensor = self.constant(&value.name, DType::I16, &value.shape, codes.as_bytes(), None);
        self.program.tensors[tensor].quant = Some((scale, 0));
        self.program.tensors[tensor].perm = value.perm.clone();
        Ok(tensor)
    }

    /// Pushes a step whose int16 result has this scale, and brings it to the value's own form.
    pub fn produce_wide(&mut self, node: &Node, spec: Spec, inputs: &[Option<TensorId>], out: ValueId, scale: f32) {
        if self.wide_scale(out) == Some(scale) {
            let tensor = self.wide_tensor(out, scale);
            self.push(&node.name, spec, inputs, &[tensor]);
            return self.set_native(out, tensor);
        }
        let tensor = self.value_tensor(out, self.raw_name(out), DType::I16, None);
        self.program.tensors[tensor].quant = Some((scale, 0));
        self.push(&node.name, spec, inputs, &[tensor]);
        let real = self.float_target(out);
        self.push(&node.name, dequantize_i16(scale), &[Some(tensor)], &[real]);
        self.settle_float(&node.name, out, real);
    }

    /// Stores weights and the constants of the epilogue; what they take, too.
    fn wide_arrays(
        &mut self,
        weights: &IntWeights,
        bias: Option<&Value>,
        packed: &[i8],
        (x, y): (f32, f32),
    ) -> Result<(params::LayerArrays, usize), String> {
        let channels = weights.scales.len();
        let bias = int_bias(bias, x, &weights.scales)?;
        let (mut multipliers, mut shifts) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        for (c, &scale) in weights.scales.iter().enumerate() {
            let bound = bias[c].abs() + (weights.sums[c].1 << 15);
            let ratio = f64::from(x) * f64::from(scale) / f64::from(y);
            // A channel that is always 0 needs no scale.
            let pair = if bound == 0 { Some((0, 31)) } else { bounded_multiplier(ratio, bound) };
            let (m, k) = pair
                .filter(|&(_, k)| k >= -30)
                .ok_or_else(|| format!("the scale of channel {c} is too large for its sums"))?;
            multipliers.push(m);
            shifts.push(k);
        }
        let arrays = params::LayerArrays {
            weights: self.pool.add_packed(packed),
            weights_bytes: packed.len() as u32,
            bias: self.pool.add_array(&bias),
            multiplier: self.pool.add_array(&multipliers),
            shift: self.pool.add_array(&shifts),
        };
        Ok((arrays, packed.len() + 13 * channels))
    }

    /// A convolution from int16 to int16, of these scales.
    pub fn conv_wide(
        &mut self,
        node: &Node,
        io: LayerIo,
        plan: &ConvPlan,
        clamp: Option<Clamp>,
        (x, y): (f32, f32),
    ) -> Result<(), String> {
        let graph = self.graph;
        let weights = int_weights(graph.value(io.w))?;
        let Rows::W8(rows) = &weights.rows else { return Err("its weights have fewer than 8 bits".into()) };
        let packed = plan.pack_int(rows);
        let (arrays, bytes) = self.wide_arrays(&weights, io.bias.map(|id| graph.value(id)), &packed, (x, y))?;
        let (lo, hi) = wide_clamp(clamp, y);
        let params = params::ConvI8 {
            window: plan.window,
            groups: plan.shape.groups as u32,
            arrays,
            pad_value: 0,
            output_zero_point: 0,
            lo,
            hi,
            lo_f32: f32::NEG_INFINITY,
            hi_f32: f32::INFINITY,
        };
        let kernel = if plan.depthwise { "depthwise_i16_w8" } else { "conv2d_i16_w8" };
        let spec = Spec::new(plan.op(), Format::I16W8, kernel)
            .params(&params)
            .macs(plan.macs())
            .scratch(plan.int_scratch())
            .weights_bytes(bytes);
        let input = self.wide(io.x).map_err(|e| e.to_string())?;
        self.produce_wide(node, spec, &[Some(input)], io.y, y);
        Ok(())
    }

    /// A dense layer from int16 to int16, of these scales.
    pub fn dense_wide(
        &mut self,
        node: &Node,
        io: LayerIo,
        clamp: Option<Clamp>,
        (x, y): (f32, f32),
    ) -> Result<(), String> {
        let graph = self.graph;
        let weights = int_weights(graph.value(io.w))?;
        let Rows::W8(rows) = &weights.rows else { return Err("its weights have fewer than 8 bits".into()) };
        let (n, k) = (graph.value(io.w).shape[0], graph.value(io.w).shape[1]);
        let mut packed = vec![0; pack::w8_bytes(n, k)];
        pack::pack_w8(rows, n, k, &mut packed);
        let (arrays, bytes) = self.wide_arrays(&weights, io.bias.map(|id| graph.value(id)), &packed, (x, y))?;
        let (lo, hi) = wide_clamp(clamp, y);
        let (lo_f32, hi_f32) = (f32::NEG_INFINITY, f32::INFINITY);
        let params = params::DenseI8 { arrays, output_zero_point: 0, lo, hi, lo_f32, hi_f32 };
        let spec = Spec::new(OpCode::Dense, Format::I16W8, "dense_i16_w8")
            .params(&params)
            .macs(graph.value(io.x).elements() * n)
            .weights_bytes(bytes);
        let input = self.wide(io.x).map_err(|e| e.to_string())?;
        self.produce_wide(node, spec, &[Some(input)], io.y, y);
        Ok(())
    }

    /// A sum or difference of int16 values; `false` where it is none.
    pub fn binary_wide(&mut self, node: &Node, kind: Binary, clamp: Option<Clamp>) -> Result<bool, LowerError> {
        let (a, b, y) = self.binary_operands(node)?;
        let sign = match kind {
            Binary::Add => 1.0,
            Binary::Sub => -1.0,
            _ => return Ok(false),
        };
        let (Some(sa), Some(sb), Some(sy)) = (self.wide_scale(a), self.wide_scale(b), self.wide_scale(y)) else {
            return Ok(false);
        };
        let ratios = [f64::from(sa) / f64::from(sy), sign * f64::from(sb) / f64::from(sy)];
        let Some(params) = sum_params(ratios, wide_clamp(clamp, sy)) else {
            self.note(node, "runs in f32: the ratio of its scales is out of range");
            return Ok(false);
        };
        let inputs = [Some(self.wide(a)?), Some(self.wide(b)?)];
        let spec = Spec::new(OpCode::Add, Format::I16, "add_i16").params(&params);
        self.produce_wide(node, spec, &inputs, y, sy);
        Ok(true)
    }
}
