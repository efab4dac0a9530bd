//! Permutations of axes and of constant tensors, integer codes included.
use crate::graph::{Constant, QuantCodes, Value, map_constant};

pub(crate) fn is_identity(perm: &[usize]) -> bool {
    perm.iter().enumerate().all(|(axis, &from)| axis == from)
}

/// The permutation that undoes `perm`.
pub(crate) fn inverse(perm: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; perm.len()];
    for (axis, &from) in perm.iter().enumerate() {
        inverse[from] = axis;
    }
    inverse
}

/// One permutation in place of `first` and then `second`.
pub(crate) fn compose(first: &[usize], second: &[usize]) -> Vec<usize> {
    second.iter().map(|&axis| first[axis]).collect()
}

pub(crate) fn permuted<T: Copy>(items: &[T], perm: &[usize]) -> Vec<T> {
    perm.iter().map(|&axis| items[axis]).collect()
}

/// The permutation of the axes that `keep` selects, renumbered without the others.
pub(crate) fn restricted(perm: &[usize], keep: impl Fn(usize) -> bool) -> Vec<usize> {
    let kept: Vec<usize> = perm.iter().enumerate().filter(|(axis, _)| keep(*axis)).map(|(_, &from)| from).collect();
    kept.iter().map(|&from| kept.iter().filter(|&&other| other < from).count()).collect()
}

/// Whether transposing `shape` by `perm` leaves the elements where they are.
pub(crate) fn moves_only_units(perm: &[usize], shape: &[usize]) -> bool {
    let long: Vec<usize> = perm.iter().copied().filter(|&axis| shape[axis] != 1).collect();
    long.is_sorted()
}

/// Row-major `data` of `shape`, transposed.
pub(crate) fn transpose_data<T: Copy>(data: &[T], shape: &[usize], perm: &[usize]) -> Vec<T> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let (lengths, steps) = (permuted(shape, perm), permuted(&strides, perm));
    let mut position = vec![0; lengths.len()];
    let mut offset = 0;
    let mut out = Vec::with_capacity(data.len());
    for _ in 0..data.len() {
        out.push(data[offset]);
        for axis in (0..lengths.len()).rev() {
            position[axis] += 1;
            offset += steps[axis];
            if position[axis] < lengths[axis] {
                break;
            }
            offset -= steps[axis] * lengths[axis];
            position[axis] = 0;
        }
    }
    out
}

pub(crate) fn transpose_constant(data: &Constant, shape: &[usize], perm: &[usize]) -> Constant {
    map_constant!(data, v => transpose_data(v, shape, perm))
}

/// Shape of the scales of `codes` that belong to a tensor of `shape`.
fn scales_shape(codes: &QuantCodes, shape: &[usize]) -> Vec<usize> {
    let mut scales = if codes.block == 0 { vec![1; shape.len()] } else { shape.to_vec() };
    if codes.scales.len() > 1 || codes.block != 0 {
        scales[codes.axis] = shape[codes.axis].div_ceil(codes.block.max(1));
    }
    scales
}

fn transpose_codes(codes: &QuantCodes, shape: &[usize], perm: &[usize]) -> QuantCodes {
    let scales_shape = scales_shape(codes, shape);
    let single = codes.scales.len() == 1;
    QuantCodes {
        axis: if single && codes.block == 0 { codes.axis } else { inverse(perm)[codes.axis] },
        scales: if single { codes.scales.clone() } else { transpose_data(&codes.scales, &scales_shape, perm) },
        zeros: if single { codes.zeros.clone() } else { transpose_data(&codes.zeros, &scales_shape, perm) },
        codes: transpose_data(&codes.codes, shape, perm),
        ..*codes
    }
}

/// A constant value with its axes permuted.
pub(crate) fn transpose_value(value: &Value, perm: &[usize]) -> Value {
    Value {
        shape: permuted(&value.shape, perm),
        data: value.data.as_ref().map(|data| transpose_constant(data, &value.shape, perm)),
        codes: value.codes.as_ref().map(|codes| transpose_codes(codes, &value.shape, perm)),
        ..value.clone()
    }
}

/// A constant value of another shape with the same elements; `None` where the
/// axis of its scales has no counterpart in the new shape.
pub(crate) fn reshape_value(value: &Value, shape: &[usize]) -> Option<Value> {
    let mut value = value.clone();
    if let Some(codes) = &mut value.codes {
        if codes.scales.len() > 1 || codes.block != 0 {
            let before = |shape: &[usize], axis: usize| shape[..axis].iter().product::<usize>();
            let (length, outer) = (value.shape[codes.axis], before(&value.shape, codes.axis));
            codes.axis = (0..shape.len()).find(|&axis| shape[axis] == length && before(shape, axis) == outer)?;
        } else {
            codes.axis = 0;
        }
    }
    value.shape = shape.to_vec();
    Some(value)
}

/// `shape` with axes of length 1 in front, up to `rank`.
pub(crate) fn aligned(shape: &[usize], rank: usize) -> Vec<usize> {
    let mut aligned = vec![1; rank.saturating_sub(shape.len())];
    aligned.extend_from_slice(shape);
    aligned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_compose_and_invert() {
        let (first, second) = ([0, 3, 1, 2], [2, 0, 3, 1]);
        let data: Vec<usize> = (0..120).collect();
        let shape = [2, 3, 4, 5];
        let once = transpose_data(&data, &shape, &first);
        let twice = transpose_data(&once, &permuted(&shape, &first), &second);
        assert_eq!(twice, transpose_data(&data, &shape, &compose(&first, &second)));
        assert!(is_identity(&compose(&first, &inverse(&first))));
        let back = transpose_data(&once, &permuted(&shape, &first), &inverse(&first));
        assert_eq!(back, data);
    }

    #[test]
    fn blocked_scales_follow_their_axis() {
        // [2, 4] in blocks of 2 along axis 1.
        let codes = QuantCodes {
            bits: 4,
            signed: true,
            axis: 1,
            block: 2,
            scales: vec![1.0, 2.0, 3.0, 4.0],
            zeros: vec![0; 4],
            codes: vec![0, 1, 2, 3, 4, 5, 6, 7],
            dynamic: false,
        };
        let turned = transpose_codes(&codes, &[2, 4], &[1, 0]);
        assert_eq!(turned.axis, 0);
        assert_eq!(turned.scales, [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(turned.codes, [0, 4, 1, 5, 2, 6, 3, 7]);
    }

    #[test]
    fn units_move_freely() {
        assert!(moves_only_units(&[0, 3, 1, 2], &[2, 1, 1, 5]));
        assert!(moves_only_units(&[0, 3, 1, 2], &[2, 4, 5, 1]));
        assert!(!moves_only_units(&[0, 3, 1, 2], &[2, 4, 1, 5]));
        assert_eq!(restricted(&[0, 3, 1, 2], |axis| axis < 2), [0, 1]);
    }
}
