//! Arithmetic of plain integers and booleans, comparisons, selection, and scans along an axis.

use super::context::Lowering;
use super::elementwise;
use super::error::LowerError;
use super::spec::{Spec, move_spec};
use super::table;
use crate::graph::{self, Binary, Compare, Node, Unary, ValueId};
use crate::program::TensorId;
use selvedge_core::params::{compare, unary};
use selvedge_core::{Format, OpCode, params};
use selvedge_kernels::scan::Running;

pub(crate) fn code(kind: Compare) -> u32 {
    match kind {
        Compare::Equal => compare::EQUAL,
        Compare::NotEqual => compare::NOT_EQUAL,
        Compare::Less => compare::LESS,
        Compare::LessOrEqual => compare::LESS_OR_EQUAL,
        Compare::Greater => compare::GREATER,
        Compare::GreaterOrEqual => compare::GREATER_OR_EQUAL,
    }
}

impl Lowering<'_> {
    /// The value in its own type: f32 dequantized, others as they are; and which of both.
    fn plain(&mut self, id: ValueId) -> Result<(TensorId, Format), LowerError> {
        if self.graph.value(id).dtype == graph::DType::F32 {
            Ok((self.float(id)?, Format::F32))
        } else {
            Ok((self.native(id)?, Format::Int))
        }
    }

    pub fn lower_unary_int(&mut self, node: &Node, f: Unary, x: ValueId, y: ValueId) -> Result<(), LowerError> {
        let dtype = self.graph.value(x).dtype;
        let kind = match f {
            Unary::Not if dtype == graph::DType::Bool => unary::LOGICAL_NOT,
            Unary::Not | Unary::Neg | Unary::Abs | Unary::Sign => table::code(f).0,
            _ => {
                let reason = format!("there is no {f:?} of {dtype:?} tensors");
                return Err(LowerError::node(self.graph, node, reason, "cast to float in front of it"));
            }
        };
        let input = self.native(x)?;
        let params = params::Unary { kind, alpha: 0.0, beta: 0.0 };
        let spec = Spec::new(OpCode::Unary, Format::Int, "unary_int").params(&params);
        self.produce_other(node, spec, &[Some(input)], y)
    }

    pub fn lower_binary_int(&mut self, node: &Node, kind: Binary) -> Result<(), LowerError> {
        let (a, b, y) = self.binary_operands(node)?;
        let inputs = [Some(self.native(a)?), Some(self.native(b)?)];
        let params = params::Binary { kind: elementwise::code(kind), lo: 0.0, hi: 0.0 };
        let spec = Spec::new(OpCode::Binary, Format::Int, "binary_int").params(&params);
        self.produce_other(node, spec, &inputs, y)
    }

    pub fn lower_compare(&mut self, node: &Node, kind: Compare) -> Result<(), LowerError> {
        let (a, b, y) = self.binary_operands(node)?;
        let ((a, format), (b, _)) = (self.plain(a)?, self.plain(b)?);
        let spec = Spec::new(OpCode::Compare, format, "compare").params(&params::Compare { kind: code(kind) });
        self.produce_other(node, spec, &[Some(a), Some(b)], y)
    }

    pub fn lower_select(&mut self, node: &Node) -> Result<(), LowerError> {
        let (condition, yes, y) = self.binary_operands(node)?;
        let Some(no) = node.inputs.get(2).copied().flatten() else {
            return Err(LowerError::node(self.graph, node, "an operand is missing", "check the model"));
        };
        let inputs = [Some(self.native(condition)?), Some(self.plain(yes)?.0), Some(self.plain(no)?.0)];
        let spec = move_spec(OpCode::Select, "select");
        if self.graph.value(y).dtype == graph::DType::F32 {
            self.produce_float(node, spec, &inputs, y);
            return Ok(());
        }
        self.produce_other(node, spec, &inputs, y)
    }

    pub fn lower_arg_reduce(&mut self, node: &Node, axis: usize, least: bool, last: bool) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        let (input, format) = self.plain(x)?;
        let params = params::ArgReduce { axis: axis as u32, flags: u32::from(least) | u32::from(last) << 1 };
        let spec = Spec::new(OpCode::ArgReduce, format, "arg_reduce").params(&params);
        self.produce_other(node, spec, &[Some(input)], y)
    }

    pub fn lower_cum_sum(&mut self, node: &Node, axis: usize, how: Running) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        let (input, format) = self.plain(x)?;
        let flags = u32::from(how.exclusive) | u32::from(how.reverse) << 1 | u32::from(how.product) << 2;
        let params = params::CumSum { axis: axis as u32, flags };
        let spec = Spec::new(OpCode::CumSum, format, "cum_sum").params(&params);
        if format == Format::F32 {
            self.produce_float(node, spec, &[Some(input)], y);
            return Ok(());
        }
        self.produce_other(node, spec, &[Some(input)], y)
    }

    pub fn lower_bit_cast(&mut self, node: &Node) -> Result<(), LowerError> {
        let (x, y) = self.unary_operands(node)?;
        let input = self.plain(x)?.0;
        let spec = move_spec(OpCode::BitCast, "bit_cast");
        if self.graph.value(y).dtype == graph::DType::F32 {
            self.produce_float(node, spec, &[Some(input)], y);
            return Ok(());
        }
        self.produce_other(node, spec, &[Some(input)], y)
    }
}
