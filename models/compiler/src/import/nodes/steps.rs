//! Steps that operators are made of.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::elementwise::broadcast;
use super::reduce::reduced;
use crate::graph::{Binary, Compare, Constant, DType, Op, Reduce, Unary, ValueId};
use crate::import::error::{NodeResult, bad};

/// Each writes `out`, or a new value of the shape that follows from the operands.
impl Builder<'_> {
    pub(crate) fn unary(
        &mut self,
        node: &NodeProto,
        f: Unary,
        x: ValueId,
        out: Option<ValueId>,
    ) -> NodeResult<ValueId> {
        let out = match out {
            Some(out) => out,
            None => self.temp(&node.op_type, self.value(x).dtype, self.shape(x))?,
        };
        self.emit(node, Op::Unary(f), vec![Some(x)], out)?;
        Ok(out)
    }

    pub(crate) fn binary(
        &mut self,
        node: &NodeProto,
        kind: Binary,
        a: ValueId,
        b: ValueId,
        out: Option<ValueId>,
    ) -> NodeResult<ValueId> {
        let out = self.broadcast_target(node, a, b, self.value(a).dtype, out)?;
        self.emit(node, Op::Binary { kind, clamp: None }, vec![Some(a), Some(b)], out)?;
        Ok(out)
    }

    pub(crate) fn compare(
        &mut self,
        node: &NodeProto,
        kind: Compare,
        a: ValueId,
        b: ValueId,
        out: Option<ValueId>,
    ) -> NodeResult<ValueId> {
        let out = self.broadcast_target(node, a, b, DType::Bool, out)?;
        self.emit(node, Op::Compare { kind }, vec![Some(a), Some(b)], out)?;
        Ok(out)
    }

    fn broadcast_target(
        &mut self,
        node: &NodeProto,
        a: ValueId,
        b: ValueId,
        dtype: DType,
        out: Option<ValueId>,
    ) -> NodeResult<ValueId> {
        let (sa, sb) = (self.shape(a), self.shape(b));
        let Some(shape) = broadcast(&sa, &sb) else { return bad(format!("{sa:?} and {sb:?} do not broadcast")) };
        match out {
            Some(out) if self.shape(out) != shape => {
                bad(format!("output of shape {:?}, expected {shape:?}", self.shape(out)))
            }
            Some(out) => Ok(out),
            None => self.temp(&node.op_type, dtype, shape),
        }
    }

    /// A reduction that keeps the axes.
    pub(crate) fn reduce(&mut self, node: &NodeProto, kind: Reduce, x: ValueId, axes: &[usize]) -> NodeResult<ValueId> {
        let out = self.temp(&node.op_type, self.value(x).dtype, reduced(&self.shape(x), axes, true))?;
        self.emit(node, Op::Reduce { kind, axes: axes.to_vec(), keep_dims: true }, vec![Some(x)], out)?;
        Ok(out)
    }

    /// `x` in another type; itself where it has it.
    pub(crate) fn cast(&mut self, node: &NodeProto, x: ValueId, dtype: DType) -> NodeResult<ValueId> {
        if self.value(x).dtype == dtype {
            return Ok(x);
        }
        let out = self.temp(&node.op_type, dtype, self.shape(x))?;
        self.emit(node, Op::Cast, vec![Some(x)], out)?;
        Ok(out)
    }

    /// A constant without axes.
    pub(crate) fn number(&mut self, node: &NodeProto, value: f32) -> ValueId {
        self.constant(&node.op_type, vec![], Constant::F32(vec![value]))
    }
}
