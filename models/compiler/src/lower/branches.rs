//! Low-rank branches of dense layers: a projection of the input to a few int8 values, shared by the
//! layers that read the same one, and its way into the layer's sums.

use super::context::Lowering;
use super::pool::WeightPool;
use super::requant::multiplier;
use super::spec::Spec;
use crate::graph::{LowRankBranch, Node};
use crate::program::TensorId;
use selvedge_core::{DType, Format, OpCode, params};
use selvedge_kernels::pack;

/// Branches of one step.
pub(crate) const MAX_BRANCHES: usize = 3;
/// Rows whose sums the executor holds at once, at least.
const ROWS: usize = 8;
/// The same of layers with [`LARGE`] weights, which do not stay in a host's second cache from one
/// chunk of rows to the next.
const ROWS_OF_LARGE: usize = 32;
const LARGE: usize = 1 << 21;

/// Scratch that the sums of `rows` rows of a layer with branches take.
pub(crate) fn sums_bytes(rows: usize, n: usize) -> usize {
    2 * 4 * n * rows
}

/// Rows that a layer with branches and weights `[n, k]` runs at once.
pub(crate) fn rows_at_once(rows: usize, n: usize, k: usize) -> usize {
    rows.min(if n.saturating_mul(k) < LARGE { ROWS } else { ROWS_OF_LARGE })
}

/// Weights `[n, k]` as a step reads them.
fn packed(rows: &[i8], n: usize, k: usize) -> Vec<i8> {
    let mut out = vec![0; pack::w8_bytes(n, k)];
    pack::pack_w8(rows, n, k, &mut out);
    out
}

/// The layer `t = requantize(down·x)` of a branch, for an int8 x whose zero point is `zero_point`; bytes of its weights.
pub(crate) fn down_layer(
    pool: &mut WeightPool,
    branch: &LowRankBranch,
    zero_point: i32,
    k: usize,
) -> (params::DenseI8, usize) {
    let pairs: Vec<(i32, i8)> = branch.down_scale.iter().map(|&scale| multiplier(scale)).collect();
    let sum = |row: &[i8]| row.iter().map(|&w| i32::from(w)).sum::<i32>();
    let bias: Vec<i32> = branch.down.chunks(k.max(1)).map(|row| -zero_point * sum(row)).collect();
    let weights = packed(&branch.down, branch.rank, k);
    let arrays = params::LayerArrays {
        weights: pool.add_packed(&weights),
        weights_bytes: weights.len() as u32,
        bias: pool.add_array(&bias),
        multiplier: pool.add_array(&pairs.iter().map(|pair| pair.0).collect::<Vec<_>>()),
        shift: pool.add_array(&pairs.iter().map(|pair| pair.1).collect::<Vec<_>>()),
    };
    let params = params::DenseI8 {
        arrays,
        output_zero_point: 0,
        lo: -127,
        hi: 127,
        lo_f32: f32::NEG_INFINITY,
        hi_f32: f32::INFINITY,
    };
    (params, weights.len())
}

/// The way of a branch into the sums of a layer of `n` channels; bytes of its weights.
pub(crate) fn up_branch(pool: &mut WeightPool, branch: &LowRankBranch, n: usize) -> (params::Branch, usize) {
    let up = packed(&branch.up, n, branch.rank);
    let params = params::Branch {
        up: pool.add_packed(&up),
        up_bytes: up.len() as u32,
        rank: branch.rank as u32,
        shift: branch.shift,
    };
    (params, up.len())
}

impl Lowering<'_> {
    /// The projections of `x`, an int8 tensor of `rows` rows whose zero point is `zero_point`.
    pub fn down_projections(
        &mut self,
        node: &Node,
        x: TensorId,
        zero_point: i32,
        (rows, k): (usize, usize),
        branches: &[LowRankBranch],
    ) -> Result<Vec<TensorId>, String> {
        if branches.len() > MAX_BRANCHES {
            return Err(format!("it has {} low-rank branches; {MAX_BRANCHES} are possible", branches.len()));
        }
        branches.iter().map(|branch| self.down_projection(node, x, zero_point, (rows, k), branch)).collect()
    }

    fn down_projection(
        &mut self,
        node: &Node,
        x: TensorId,
        zero_point: i32,
        (rows, k): (usize, usize),
        branch: &LowRankBranch,
    ) -> Result<TensorId, String> {
        let rank = branch.rank;
        if branch.down.len() != rank * k || branch.down_scale.len() != rank || rank == 0 {
            return Err("a low-rank branch has other sizes than the layer".into());
        }
        let (params, weights) = down_layer(&mut self.pool, branch, zero_point, k);
        let spec = Spec::new(OpCode::Dense, Format::W8, "dense_qs8_w8")
            .params(&params)
            .macs(rows * rank * k)
            .weights_bytes(weights + rank * 9);
        // Layers that share the input and the projection share the step.
        let same = |step: &&crate::program::ProgramStep| {
            step.op == spec.op && step.format == spec.format && step.params == spec.params && step.inputs == [Some(x)]
        };
        if let Some(step) = self.program.steps.iter().find(same) {
            return Ok(step.outputs[0]);
        }
        let mut dims = self.dims(x).to_vec();
        if let Some(last) = dims.last_mut() {
            *last = rank;
        }
        let name = format!("{}/down{}", node.name, self.program.steps.len());
        let t = self.tensor(name, DType::I8, &dims, None);
        self.push(&format!("{}/down", node.name), spec, &[Some(x)], &[t]);
        Ok(t)
    }

    /// The parameters of a layer's branches, behind its own; bytes they store.
    pub fn store_branches(&mut self, n: usize, branches: &[LowRankBranch], spec: Spec) -> (Spec, usize) {
        let mut spec = spec.params(&params::Branches { count: branches.len() as u32 });
        let mut bytes = 0;
        for branch in branches {
            let (params, up) = up_branch(&mut self.pool, branch, n);
            bytes += up;
            spec = spec.params(&params);
        }
        (spec, bytes)
    }
}
