//! Moves of constant tensors that keep their quantization codes.
use crate::graph::{Constant, QuantCodes, map_constant};

/// Row-major strides of `shape`.
pub(crate) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut out = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        out[i - 1] = out[i] * shape[i];
    }
    out
}

/// The permutation an ONNX Transpose states; reversal by default.
pub(crate) fn permutation(perm: Option<&[i64]>, rank: usize) -> Option<Vec<usize>> {
    let Some(perm) = perm else { return Some((0..rank).rev().collect()) };
    let perm: Vec<usize> = perm.iter().map(|&p| usize::try_from(p).ok()).collect::<Option<_>>()?;
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    (sorted.len() == rank && sorted.iter().enumerate().all(|(i, &p)| i == p)).then_some(perm)
}

/// Elements picked by walking `shape` with `step` elements per axis from `start`.
pub(crate) fn gather_strided<T: Copy>(data: &[T], start: isize, step: &[isize], shape: &[usize]) -> Vec<T> {
    let total: usize = shape.iter().product();
    let mut out = Vec::with_capacity(total);
    let mut index = vec![0usize; shape.len()];
    let mut at = start;
    for _ in 0..total {
        out.push(data[at as usize]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += step[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= step[axis] * shape[axis] as isize;
            index[axis] = 0;
        }
    }
    out
}

/// Transposed copy of `data` of shape `shape`.
pub(crate) fn permute<T: Copy>(data: &[T], shape: &[usize], perm: &[usize]) -> Vec<T> {
    let from = strides(shape);
    let step: Vec<isize> = perm.iter().map(|&p| from[p] as isize).collect();
    let to: Vec<usize> = perm.iter().map(|&p| shape[p]).collect();
    gather_strided(data, 0, &step, &to)
}

/// [`gather_strided`] on a constant of any type.
pub(crate) fn gather_constant(data: &Constant, start: isize, step: &[isize], shape: &[usize]) -> Constant {
    map_constant!(data, v => gather_strided(v, start, step, shape))
}

/// Codes of a transposed tensor.
pub(crate) fn transpose_codes(codes: &QuantCodes, shape: &[usize], perm: &[usize]) -> QuantCodes {
    let moved = permute(&codes.codes, shape, perm);
    if codes.scales.len() <= 1 && codes.block == 0 {
        return QuantCodes { codes: moved, ..codes.clone() };
    }
    let axis = perm.iter().position(|&p| p == codes.axis).unwrap_or(0);
    if codes.block == 0 {
        return QuantCodes { axis, codes: moved, ..codes.clone() };
    }
    let mut blocks = shape.to_vec();
    blocks[codes.axis] = blocks[codes.axis].div_ceil(codes.block);
    QuantCodes {
        axis,
        codes: moved,
        scales: permute(&codes.scales, &blocks, perm),
        zeros: permute(&codes.zeros, &blocks, perm),
        ..codes.clone()
    }
}

/// Codes of a reshaped tensor; `None` where the quantized axis does not survive.
pub(crate) fn reshape_codes(codes: &QuantCodes, from: &[usize], to: &[usize]) -> Option<QuantCodes> {
    if codes.scales.len() <= 1 && codes.block == 0 {
        return Some(codes.clone());
    }
    let outer: usize = from[..codes.axis].iter().product();
    let length = from[codes.axis];
    let mut before = 1;
    for (axis, &d) in to.iter().enumerate() {
        if before == outer && d == length {
            return Some(QuantCodes { axis, ..codes.clone() });
        }
        before *= d;
    }
    None
}

/// Multiplies every scale by `factor`, as scaling the real values does.
pub(crate) fn scale_codes(codes: &QuantCodes, factor: f32) -> QuantCodes {
    QuantCodes { scales: codes.scales.iter().map(|s| s * factor).collect(), ..codes.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_scales_follow_a_transpose() {
        let codes = QuantCodes {
            bits: 4,
            signed: true,
            axis: 0,
            block: 2,
            scales: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            zeros: vec![0; 6],
            codes: (0..12).collect(),
            dynamic: false,
        };
        let t = transpose_codes(&codes, &[4, 3], &[1, 0]);
        assert_eq!((t.axis, t.block), (1, 2));
        assert_eq!(t.scales, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(t.codes, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]);
    }

    #[test]
    fn per_channel_codes_follow_a_reshape_that_keeps_the_axis() {
        let codes = QuantCodes {
            bits: 8,
            signed: true,
            axis: 0,
            block: 0,
            scales: vec![1.0, 2.0],
            zeros: vec![0; 2],
            codes: (0..6).collect(),
            dynamic: false,
        };
        assert_eq!(reshape_codes(&codes, &[2, 3], &[1, 2, 3]).unwrap().axis, 1);
        assert!(reshape_codes(&codes, &[2, 3], &[3, 2]).is_none());
    }
}
