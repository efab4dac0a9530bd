//! `max_pool_i8__reference`, `avg_pool_i8__reference`.

use selvedge_core::arith;

use crate::args::*;

/// Largest value of the window's cells inside the input; −128 where there is none.
pub fn max_pool(x: &[i8], shape: &ConvShape, out: &mut [i8]) {
    for (at, out) in out.iter_mut().enumerate() {
        let mut best = i8::MIN;
        window(shape, at, |cell, _| {
            if let Some(cell) = cell {
                best = best.max(x[cell]);
            }
        });
        *out = best;
    }
}

/// `arith::average` over the cells inside the input, or with `count_pad` inside the padded input.
pub fn avg_pool(x: &[i8], shape: &ConvShape, args: &AverageI8, out: &mut [i8]) {
    let s = shape;
    let (rows, cols) = ((s.in_h + args.pad_end[0]) as i64, (s.in_w + args.pad_end[1]) as i64);
    for (at, out) in out.iter_mut().enumerate() {
        let (mut sum, mut n) = (0i64, 0);
        window(shape, at, |cell, (y, z)| match cell {
            Some(cell) => {
                sum += x[cell] as i64 - args.input_zero_point as i64;
                n += 1;
            }
            None => n += (args.count_pad && y < rows && z < cols) as i32,
        });
        let (lo, hi) = (args.lo as i32, args.hi as i32);
        *out = arith::average(sum as i32, n, args.multiplier, args.shift, args.zero_point, lo, hi) as i8;
    }
}

/// Calls `f` for each cell of the window of output element `at`: its index if it lies
/// inside the input, and its row and column.
fn window(s: &ConvShape, at: usize, mut f: impl FnMut(Option<usize>, (i64, i64))) {
    let (channel, pixel) = (at % s.in_c, at / s.in_c);
    let (b, oy, ox) = (pixel / (s.out_h * s.out_w), pixel / s.out_w % s.out_h, pixel % s.out_w);
    for ky in 0..s.kernel_h {
        for kx in 0..s.kernel_w {
            let y = (oy * s.stride_h + ky * s.dilation_h) as i64 - s.pad_top as i64;
            let z = (ox * s.stride_w + kx * s.dilation_w) as i64 - s.pad_left as i64;
            let inside = (0..s.in_h as i64).contains(&y) && (0..s.in_w as i64).contains(&z);
            let cell = inside.then(|| ((b * s.in_h + y as usize) * s.in_w + z as usize) * s.in_c + channel);
            f(cell, (y, z));
        }
    }
}
