//! Blocks of the weights: what one step reads, kept together so that it can be read at once.

use super::context::Lowering;
use super::pool::BLOCK_ALIGN;
use super::spec::Spec;
use crate::program::{Storage, TensorId};
use std::ops::Range;

impl Lowering<'_> {
    /// The block of the weights that a step reads: its arrays and its constant operands, which are
    /// copied where they lie elsewhere.
    pub fn block(&mut self, spec: &Spec, inputs: &mut [Option<TensorId>]) -> Range<usize> {
        let arrays = spec.weights_bytes > 0;
        let from = self.pool.open();
        let lone = inputs.iter().flatten().filter(|&&t| self.constant_range(t).is_some()).count() == 1;
        let (mut start, mut end) = if arrays { (from, self.pool.bytes.len()) } else { (usize::MAX, 0) };
        for input in inputs.iter_mut().flatten() {
            let Some(mut range) = self.constant_range(*input) else { continue };
            let elsewhere = if arrays { range.start < from } else { !lone };
            if elsewhere {
                let mut copy = self.program.tensors[*input].clone();
                let bytes = self.pool.bytes[range.clone()].to_vec();
                let offset = self.pool.add_constant(&bytes, copy.dtype.size().max(4));
                range = offset as usize..offset as usize + bytes.len();
                copy.storage = Storage::Const(offset);
                self.program.tensors.push(copy);
                *input = self.program.tensors.len() - 1;
            }
            (start, end) = (start.min(range.start), end.max(range.end));
        }
        if arrays {
            self.pool.close();
        }
        if start >= end { 0..0 } else { start / BLOCK_ALIGN * BLOCK_ALIGN..end }
    }

    fn constant_range(&self, tensor: TensorId) -> Option<Range<usize>> {
        let tensor = &self.program.tensors[tensor];
        match tensor.storage {
            Storage::Const(offset) => Some(offset as usize..offset as usize + tensor.bytes()),
            Storage::Arena => None,
        }
    }
}
