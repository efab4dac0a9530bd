//! Instructions of dense and 1x1 layers, with weights of 8 bits and of fewer.

use core::fmt::Write;
use core::hint::black_box;

use selvedge_kernels::pack_low::{self, groups_of};
use selvedge_kernels::{Bias, Code, ConvShape, IsaI8, LowBit, NATIVE, Output, Requant, T2, W2, W3, W4, pack};

use crate::Board;
use crate::count::{CountError, check};

/// Largest layer: inputs or outputs, weights, channels, scratch.
const ELEMENTS: usize = 16 * 256;
const WEIGHTS: usize = 256 * 256;
const CHANNELS: usize = 256;
const SCRATCH: usize = 4 * (256 * 2 * 9 + 9 * 32);

/// k that share a scale.
const GROUP: usize = 64;

/// Static memory for [`run`].
#[repr(C, align(16))]
pub struct Workspace {
    w: [i8; WEIGHTS],
    codes: [u8; WEIGHTS / 2],
    scratch: [u8; SCRATCH],
    x: [i8; ELEMENTS],
    out: [i8; ELEMENTS],
    bias: [i32; CHANNELS],
    multiplier: [i32; CHANNELS],
    shift: [i8; CHANNELS],
    scales: [u8; CHANNELS * 4],
}

impl Workspace {
    #[allow(clippy::new_without_default, reason = "too large for the stack: for a static alone")]
    pub const fn new() -> Self {
        Self {
            w: [-77; WEIGHTS],
            codes: [0x96; WEIGHTS / 2],
            scratch: [0; SCRATCH],
            x: [55; ELEMENTS],
            out: [0; ELEMENTS],
            bias: [1234; CHANNELS],
            multiplier: [0x4765_4321; CHANNELS],
            shift: [9; CHANNELS],
            scales: [19; CHANNELS * 4],
        }
    }
}

/// A layer: rows or pixels, k, channels; the sides of its window.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    rows: usize,
    k: usize,
    n: usize,
    window: usize,
}

const SHAPES: [Shape; 9] = [
    Shape { name: "dense", rows: 1, k: 64, n: 64, window: 0 },
    Shape { name: "dense", rows: 1, k: 256, n: 64, window: 0 },
    Shape { name: "dense", rows: 1, k: 256, n: 10, window: 0 },
    Shape { name: "dense", rows: 1, k: 256, n: 256, window: 0 },
    Shape { name: "dense", rows: 8, k: 256, n: 64, window: 0 },
    Shape { name: "conv1x1", rows: 16, k: 32, n: 32, window: 1 },
    Shape { name: "conv1x1", rows: 16, k: 64, n: 64, window: 1 },
    Shape { name: "conv1x1", rows: 16, k: 128, n: 128, window: 1 },
    Shape { name: "conv3x3", rows: 16, k: 288, n: 32, window: 3 },
];

/// Writes, for each shape and kind of weights, `layer NAME ROWSxKxN WEIGHTS INSTRUCTIONS`.
///
/// # Errors
/// [`CountError::Counter`] before anything is counted.
pub fn run(workspace: &mut Workspace, board: &mut impl Board, out: &mut impl Write) -> Result<(), CountError> {
    let empty = check(board)?;
    for shape in SHAPES {
        let mut line = |weights: &str, count: u64| {
            let Shape { name, rows, k, n, .. } = shape;
            let _ = writeln!(out, "layer {name} {rows}x{k}x{n} {weights} {}", count.saturating_sub(empty));
        };
        line("w8", eight(workspace, board, shape));
        line("w4", low::<W4>(workspace, board, shape, 0, 8));
        line("w4g64", low::<W4>(workspace, board, shape, GROUP, 8));
        line("w3", low::<W3>(workspace, board, shape, 0, 4));
        line("w3g64", low::<W3>(workspace, board, shape, GROUP, 4));
        line("w2", low::<W2>(workspace, board, shape, 0, 2));
        line("w2g64", low::<W2>(workspace, board, shape, GROUP, 2));
        line("t2", low::<T2>(workspace, board, shape, 0, 1));
    }
    Ok(())
}

fn conv(shape: Shape) -> Option<ConvShape> {
    let (window, pad) = (shape.window, shape.window / 2);
    let in_c = shape.k / (window * window).max(1);
    ConvShape::of_window([1, 4, shape.rows / 4, in_c], shape.n, [window; 2], [1; 2], [1; 2], [pad; 4], 1)
        .filter(|_| window > 0)
}

fn requant<'a>(bias: &'a [i32], multiplier: &'a [i32], shift: &'a [i8], n: usize) -> Requant<'a> {
    Requant {
        bias: Bias::I32(&bias[..n]),
        multiplier: &multiplier[..n],
        shift: &shift[..n],
        zero_point: 3,
        lo: -128,
        hi: 127,
        residual: None,
    }
}

fn eight(ws: &mut Workspace, board: &mut impl Board, shape: Shape) -> u64 {
    let Shape { rows, k, n, .. } = shape;
    let conv = conv(shape);
    let in_k = conv.map_or(k, |s| s.in_c);
    let (x, w) = (black_box(&ws.x[..rows * in_k]), &ws.w[..pack::w8_bytes(n, k)]);
    let output = Output::I8(requant(&ws.bias, &ws.multiplier, &ws.shift, n), &mut ws.out[..rows * n]);
    let scratch = &mut ws.scratch[..conv.as_ref().map_or(0, pack::conv_w8_scratch)];
    board.start();
    match black_box(&conv) {
        Some(s) => NATIVE.conv2d_w8(x, w, s, 0, output, scratch),
        None => NATIVE.dense_w8(x, w, rows, k, n, output),
    }
    board.stop()
}

fn low<C: Code>(ws: &mut Workspace, board: &mut impl Board, shape: Shape, group: usize, zero: u8) -> u64 {
    let Shape { rows, k, n, .. } = shape;
    let conv = conv(shape);
    let in_k = conv.map_or(k, |s| s.in_c);
    let x = black_box(&ws.x[..rows * in_k]);
    let codes = &ws.codes[..pack_low::low_bytes(C::WIDTH, n, k)];
    let scales = if group == 0 { &[][..] } else { &ws.scales[..n * groups_of(k, group)] };
    let w = LowBit { n, k, codes, group, scales, offsets: &[], zero };
    let output = Output::I8(requant(&ws.bias, &ws.multiplier, &ws.shift, n), &mut ws.out[..rows * n]);
    let bytes = conv.as_ref().map_or(pack_low::dense_low_scratch(rows, k), pack_low::conv_low_scratch);
    let scratch = &mut ws.scratch[..bytes];
    board.start();
    match black_box(&conv) {
        Some(s) => NATIVE.conv2d_low::<C>(x, &w, s, 0, output, scratch),
        None => NATIVE.dense_low::<C>(x, &w, rows, output, scratch),
    }
    board.stop()
}
