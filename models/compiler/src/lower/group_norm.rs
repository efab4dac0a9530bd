//! Group normalization.

use super::context::Lowering;
use super::error::LowerError;
use super::layer::float_clamp;
use super::spec::{Grid, Spec};
use crate::graph::{Clamp, Layout, Node};
use selvedge_core::{Format, OpCode, params};
use selvedge_kernels::group_norm::{Constants, LARGEST_GROUP_I8};

/// Factors from which on the int8 form would cut its multipliers.
const LARGEST_FACTOR: f64 = (1 << 20) as f64;

/// Constants of the int8 form.
struct Int {
    epsilon: f32,
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

/// In steps of the grids; the error is the reason why there is no such form.
fn int(x: Grid, y: Grid, n: usize, epsilon: f32, gamma: &[f32], beta: &[f32]) -> Result<Int, String> {
    if n > LARGEST_GROUP_I8 {
        return Err(format!("a group has {n} elements"));
    }
    let (step_x, step_y) = (f64::from(x.scale), f64::from(y.scale));
    let epsilon = (f64::from(epsilon) / (step_x * step_x)) as f32;
    let gamma: Vec<f32> = gamma.iter().map(|&g| (f64::from(g) / step_y) as f32).collect();
    let beta: Vec<f32> = beta.iter().map(|&b| (f64::from(b) / step_y + f64::from(y.zp)) as f32).collect();
    if !epsilon.is_finite() || gamma.iter().chain(&beta).any(|v| !v.is_finite()) {
        return Err("its parameters leave f32 in steps of the grids".into());
    }
    // The variance of n codes is at least (n − 1)/n², where it is not zero.
    let largest = gamma.iter().fold(0.0f64, |most, &g| most.max(f64::from(g).abs()));
    let inverse = 1.0 / (f64::from(epsilon) + 0.5 / n as f64).sqrt();
    if largest * inverse >= LARGEST_FACTOR {
        return Err("its scale is too large for the grid of its output".into());
    }
    Ok(Int { epsilon, gamma, beta })
}

impl Lowering<'_> {
    pub fn lower_group_norm(
        &mut self,
        node: &Node,
        groups: usize,
        epsilon: f32,
        layout: Layout,
        clamp: Option<Clamp>,
    ) -> Result<(), LowerError> {
        self.require_nhwc(node, layout)?;
        let graph = self.graph;
        let (x, y) = self.unary_operands(node)?;
        let shape = &graph.value(x).shape;
        let channels = shape.last().copied().unwrap_or(1);
        let parameter = |slot: usize| {
            let data = node.inputs.get(slot).copied().flatten().and_then(|id| graph.value(id).f32s());
            data.filter(|data| data.len() == channels).ok_or_else(|| {
                let reason = format!("its scale or bias is not {channels} constants, one a channel");
                LowerError::node(graph, node, reason, "make both initializers")
            })
        };
        let (gamma, beta) = (parameter(1)?, parameter(2)?);
        if groups == 0 || channels % groups != 0 {
            return Err(LowerError::node(graph, node, "channels do not divide into groups", "check the model"));
        }
        let n = shape.iter().skip(1).product::<usize>() / groups;
        let (lo_f32, hi_f32) = float_clamp(clamp);
        let groups = groups as u32;
        if let (Some(gx), Some(gy)) = (self.grid(x), self.grid(y)) {
            match int(gx, gy, n, epsilon, gamma, beta) {
                Ok(Int { epsilon, gamma, beta }) => {
                    let (lo, hi) = gy.clamp(clamp);
                    let (lo, hi) = (lo as i32, hi as i32);
                    let (gamma, beta) = (self.pool.add_array(&gamma), self.pool.add_array(&beta));
                    let params = params::GroupNorm { groups, epsilon, gamma, beta, lo, hi, lo_f32, hi_f32 };
                    let spec = Spec::new(OpCode::GroupNorm, Format::I8, "group_norm_i8")
                        .params(&params)
                        .weights_bytes(channels * 8)
                        .scratch(channels * size_of::<Constants>());
                    let input = self.int(x)?;
                    self.produce_int(node, spec, &[Some(input)], y, gy);
                    return Ok(());
                }
                Err(reason) => self.note(node, format!("runs in f32: {reason}")),
            }
        }
        let (gamma, beta) = (self.pool.add_array(gamma), self.pool.add_array(beta));
        let params = params::GroupNorm { groups, epsilon, gamma, beta, lo: -128, hi: 127, lo_f32, hi_f32 };
        let spec =
            Spec::new(OpCode::GroupNorm, Format::F32, "group_norm_f32").params(&params).weights_bytes(channels * 8);
        let input = self.float(x)?;
        self.produce_float(node, spec, &[Some(input)], y);
        Ok(())
    }
}
