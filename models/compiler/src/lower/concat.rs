//! Concat.

use super::context::Lowering;
use super::error::LowerError;
use super::requant::rescale_constants;
use super::spec::{Grid, Spec, move_spec};
use crate::graph::{DType, Node, ValueId};
use selvedge_core::{Format, OpCode, params};

impl Lowering<'_> {
    pub fn lower_concat(&mut self, node: &Node, axis: usize) -> Result<(), LowerError> {
        let missing = || LowerError::node(self.graph, node, "an operand is missing", "check the model file");
        let inputs: Vec<ValueId> = node.inputs.iter().copied().collect::<Option<_>>().ok_or_else(missing)?;
        let y = *node.outputs.first().ok_or_else(missing)?;
        let head = params::Concat { axis: axis as u32 };
        if self.graph.value(y).dtype != DType::F32 {
            let tensors = inputs.iter().map(|&id| self.native(id).map(Some)).collect::<Result<Vec<_>, _>>()?;
            return self.produce_other(node, move_spec(OpCode::Concat, "concat").params(&head), &tensors, y);
        }
        let grids: Option<Vec<Grid>> = inputs.iter().map(|&id| self.grid(id)).collect();
        // Without a grid of its own the result keeps the grid its inputs share.
        let target = self.grid(y).or_else(|| {
            let grids = grids.as_ref()?;
            grids.first().copied().filter(|first| grids.iter().all(|grid| grid == first))
        });
        if let (Some(grids), Some(gy)) = (grids, target) {
            let rescales: Option<Vec<params::Rescale>> = grids.iter().map(|&grid| rescale(grid, gy)).collect();
            if let Some(rescales) = rescales {
                let mut spec = Spec::new(OpCode::Concat, Format::I8, "concat_i8").params(&head);
                for rescale in &rescales {
                    spec = spec.params(rescale);
                }
                let tensors = inputs.iter().map(|&id| self.int(id).map(Some)).collect::<Result<Vec<_>, _>>()?;
                self.produce_int(node, spec, &tensors, y, gy);
                return Ok(());
            }
            self.note(node, "runs in f32: the ratio of its scales is out of range");
        }
        let tensors = inputs.iter().map(|&id| self.float(id).map(Some)).collect::<Result<Vec<_>, _>>()?;
        self.produce_float(node, move_spec(OpCode::Concat, "concat").params(&head), &tensors, y);
        Ok(())
    }
}

fn rescale(x: Grid, y: Grid) -> Option<params::Rescale> {
    if x == y {
        return Some(params::Rescale { m: 0, c: 0, s: 0 });
    }
    let (m, c, s) = rescale_constants(&[x.scale as f64 / y.scale as f64], &[x.zp], y.zp)?;
    (s > 0 || m[0] != 0).then_some(params::Rescale { m: m[0], c, s })
}
