//! Steps without operands, and the int8 grids they work on.

use crate::graph;
use selvedge_core::{Format, OpCode, arith, params};
use zerocopy::{Immutable, IntoBytes};

/// A signed 8-bit grid: real = (q − zp)·scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    pub scale: f32,
    pub zp: i32,
}

impl Grid {
    pub fn quantize(self, x: f32) -> i8 {
        arith::quantize(x, self.scale, self.zp).unwrap_or(self.zp.clamp(-128, 127) as i8)
    }

    pub fn real(self, q: i8) -> f32 {
        arith::dequantize(q, self.scale, self.zp)
    }

    /// The clamp of a fused activation on this grid.
    pub fn clamp(self, clamp: Option<graph::Clamp>) -> (i8, i8) {
        clamp.map_or((-128, 127), |c| (self.quantize(c.lo), self.quantize(c.hi)))
    }

    pub fn quant(self) -> Option<(f32, i32)> {
        Some((self.scale, self.zp))
    }
}

/// A step without its operands.
pub(crate) struct Spec {
    pub op: OpCode,
    pub format: Format,
    pub flags: u16,
    pub params: Vec<u8>,
    pub scratch: usize,
    pub macs: u64,
    pub weights_bytes: usize,
    pub kernel: &'static str,
}

impl Spec {
    pub fn new(op: OpCode, format: Format, kernel: &'static str) -> Self {
        Spec { op, format, flags: 0, params: Vec::new(), scratch: 0, macs: 0, weights_bytes: 0, kernel }
    }

    pub fn params<P: IntoBytes + Immutable>(mut self, params: &P) -> Self {
        self.params.extend_from_slice(params.as_bytes());
        self
    }

    /// Parameters behind those there are.
    pub fn more(mut self, bytes: &[u8]) -> Self {
        self.params.extend_from_slice(bytes);
        self
    }

    pub fn flags(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    pub fn macs(mut self, macs: usize) -> Self {
        self.macs = macs as u64;
        self
    }

    pub fn weights_bytes(mut self, bytes: usize) -> Self {
        self.weights_bytes = bytes;
        self
    }

    pub fn scratch(mut self, bytes: usize) -> Self {
        self.scratch = bytes;
        self
    }
}

pub(crate) fn quantize(grid: Grid) -> Spec {
    Spec::new(OpCode::Quantize, Format::F32, "quantize_i8")
        .params(&params::Quantize { scale: grid.scale, zero_point: grid.zp })
}

pub(crate) fn dequantize(grid: Grid) -> Spec {
    Spec::new(OpCode::Dequantize, Format::I8, "dequantize_i8")
        .params(&params::Quantize { scale: grid.scale, zero_point: grid.zp })
}

/// To the int16 grid around 0 of this scale.
pub(crate) fn quantize_i16(scale: f32) -> Spec {
    Spec::new(OpCode::Quantize, Format::I16, "quantize_i16").params(&params::Quantize { scale, zero_point: 0 })
}

pub(crate) fn dequantize_i16(scale: f32) -> Spec {
    Spec::new(OpCode::Dequantize, Format::I16, "dequantize_i16").params(&params::Quantize { scale, zero_point: 0 })
}

pub(crate) fn unary_spec(kind: u32, alpha: f32, beta: f32) -> Spec {
    let (op, name) = if kind >= params::unary::SIN { (OpCode::Trig, "trig_f32") } else { (OpCode::Unary, "unary_f32") };
    Spec::new(op, Format::F32, name).params(&params::Unary { kind, alpha, beta })
}

pub(crate) fn binary_spec(kind: u32, clamp: Option<graph::Clamp>) -> Spec {
    let (lo, hi) = clamp.map_or((f32::NEG_INFINITY, f32::INFINITY), |c| (c.lo, c.hi));
    Spec::new(OpCode::Binary, Format::F32, "binary_f32").params(&params::Binary { kind, lo, hi })
}

/// Moves bytes without looking at them.
pub(crate) fn move_spec(op: OpCode, kernel: &'static str) -> Spec {
    Spec::new(op, Format::Any, kernel)
}
