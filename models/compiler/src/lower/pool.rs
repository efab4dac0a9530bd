//! The weights section while it grows: every distinct run of bytes once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use zerocopy::{Immutable, IntoBytes};

/// Blocks start at a multiple of this many bytes.
pub(crate) const BLOCK_ALIGN: usize = 16;

/// Bytes of the weights section with content-addressed reuse.
#[derive(Debug, Default)]
pub(crate) struct WeightPool {
    pub bytes: Vec<u8>,
    seen: HashMap<u64, Vec<(usize, usize)>>,
    /// Keep what one step reads together: nothing is shared between blocks.
    staged: bool,
    /// Start of the block that grows.
    open: usize,
    /// Whether a step's arrays are in it.
    pending: bool,
}

impl WeightPool {
    pub fn new(staged: bool) -> Self {
        WeightPool { staged, ..Self::default() }
    }

    /// A pool that grows behind bytes which stay as they are; nothing of them is shared.
    pub fn after(bytes: Vec<u8>) -> Self {
        WeightPool { bytes, ..Self::default() }
    }

    /// Where the block that grows starts.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Begins a new block.
    pub fn close(&mut self) {
        self.open = self.bytes.len().next_multiple_of(BLOCK_ALIGN);
        self.bytes.resize(self.open, 0);
        self.seen.clear();
        self.pending = false;
    }

    /// A constant tensor. It joins the block of a step whose arrays are there already, else it
    /// lies by itself.
    pub fn add_constant(&mut self, data: &[u8], align: usize) -> u32 {
        let pending = self.pending;
        let offset = self.add(data, align);
        self.pending = pending;
        if self.staged && !pending {
            self.close();
        }
        offset
    }

    /// Offset of `data` at a multiple of `align`, stored unless it is there already.
    pub fn add(&mut self, data: &[u8], align: usize) -> u32 {
        self.pending = true;
        let mut hasher = DefaultHasher::new();
        data.hash(&mut hasher);
        let entries = self.seen.entry(hasher.finish()).or_default();
        for &(offset, len) in entries.iter() {
            if offset.is_multiple_of(align) && self.bytes[offset..offset + len] == *data {
                return offset as u32;
            }
        }
        let offset = self.bytes.len().next_multiple_of(align);
        self.bytes.resize(offset, 0);
        self.bytes.extend_from_slice(data);
        entries.push((offset, data.len()));
        offset as u32
    }

    /// A per-channel array of an int8 layer.
    pub fn add_array<T: IntoBytes + Immutable>(&mut self, values: &[T]) -> u32 {
        self.add(values.as_bytes(), size_of::<T>().max(4))
    }

    /// A per-channel array of an f32 layer, padded with zeros to a multiple of 8 entries.
    pub fn add_channels<T: IntoBytes + Immutable + Copy + Default>(&mut self, values: &[T]) -> u32 {
        let mut padded = values.to_vec();
        padded.resize(selvedge_kernels::pack::padded_channels(values.len()), T::default());
        self.add(padded.as_bytes(), size_of::<T>().max(4))
    }

    /// Packed weights.
    pub fn add_packed<T: IntoBytes + Immutable>(&mut self, values: &[T]) -> u32 {
        self.add(values.as_bytes(), 16)
    }
}
