//! Maxima under windows of three axes and where they lie: one form for every instruction set.
//!
//! Tensors are `[batch, channels, depth, rows, columns]`.

use crate::conv_nd::ConvNd;

/// The greatest cell under each window, the first of equal ones; cells outside are not candidates. `indices`
/// count through the whole input, with `column_major` each plane's columns first. A NaN is the greatest.
pub fn max_pool_nd<T: Copy + PartialOrd>(x: &[T], s: &ConvNd, column_major: bool, out: &mut [T], indices: &mut [i64]) {
    let [depth, height, width] = s.input;
    let plane = (depth * height * width).max(1);
    let out_plane = s.output.iter().product::<usize>().max(1);
    let inside = |at: usize, tap: usize, i: usize| {
        let cell = at.wrapping_mul(s.stride[i]).wrapping_add(tap.wrapping_mul(s.dilation[i])).wrapping_sub(s.pad[i]);
        (cell < s.input[i]).then_some(cell)
    };
    let planes = out.chunks_exact_mut(out_plane).zip(indices.chunks_exact_mut(out_plane));
    for (number, (x, (out, indices))) in x.chunks_exact(plane).zip(planes).enumerate() {
        for (at, (y, index)) in out.iter_mut().zip(indices).enumerate() {
            let columns = s.output[2].max(1);
            let rows = s.output[1].max(1);
            let (od, or, oc) = (at / columns / rows, at / columns % rows, at % columns);
            let mut best: Option<(T, usize)> = None;
            for d in (0..s.kernel[0]).filter_map(|tap| inside(od, tap, 0)) {
                for r in (0..s.kernel[1]).filter_map(|tap| inside(or, tap, 1)) {
                    for c in (0..s.kernel[2]).filter_map(|tap| inside(oc, tap, 2)) {
                        let Some(&v) = x.get((d * height + r) * width + c) else { continue };
                        let place =
                            if column_major { (c * height + r) * depth + d } else { (d * height + r) * width + c };
                        // Not `v > b`: a NaN replaces what is none.
                        let keeps = best.is_some_and(|(b, _)| b >= v || b.partial_cmp(&b).is_none());
                        if !keeps {
                            best = Some((v, place));
                        }
                    }
                }
            }
            if let Some((value, place)) = best {
                *y = value;
                *index = (number * plane + place) as i64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Oracle: maxima and places read off by hand.
    #[test]
    fn the_first_of_equal_maxima_is_named() {
        let s = ConvNd {
            batch: 1,
            in_c: 1,
            out_c: 1,
            input: [1, 2, 3],
            output: [1, 1, 2],
            kernel: [1, 2, 2],
            stride: [1, 1, 1],
            dilation: [1, 1, 1],
            pad: [0; 3],
            groups: 1,
        };
        let (mut out, mut at) = ([0; 2], [0; 2]);
        max_pool_nd(&[1, 7, 7, 0, 7, 8], &s, false, &mut out, &mut at);
        assert_eq!((out, at), ([7, 8], [1, 5]));
        max_pool_nd(&[1, 7, 7, 0, 7, 8], &s, true, &mut out, &mut at);
        assert_eq!(at, [2, 5], "columns first: cell (0, 1) is 2, cell (1, 2) is 5");
    }
}
