//! Rows of a quantized table.

use super::context::Lowering;
use super::layer::{Rows, int_weights};
use super::spec::Spec;
use crate::graph::ValueId;
use selvedge_core::{Format, OpCode, params};

impl Lowering<'_> {
    /// The step that gathers rows of the constant `table`, if that has int8 codes with a scale a row.
    pub fn quantized_table(&mut self, table: ValueId, axis: usize) -> Option<Spec> {
        let value = self.graph.value(table);
        let &[rows, row] = &value.shape[..] else { return None };
        let codes = value.codes.as_ref().filter(|codes| codes.dynamic && codes.scales.len() == rows)?;
        if axis != 0 || codes.bits != 8 || self.options.simulate {
            return None;
        }
        let table = int_weights(value).ok()?;
        let Rows::W8(codes) = &table.rows else { return None };
        let params = params::GatherW8 {
            table: self.pool.add_packed(codes),
            scales: self.pool.add_array(&table.scales),
            rows: rows as u32,
            row: row as u32,
        };
        let spec = Spec::new(OpCode::Gather, Format::W8, "gather_w8").params(&params);
        Some(spec.weights_bytes(rows * row + 4 * rows))
    }
}
