//! Brings values of two models into one memory order.

use crate::graph::Graph;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How a value lies in memory, relative to the ONNX value of its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Order {
    /// `stored = Transpose(value, perm)`.
    pub perm: Option<Vec<usize>>,
    /// The channels of the last axis, after `perm`, that are stored.
    pub channels: Option<Vec<usize>>,
}

/// The orders of a graph's values that differ from ONNX.
pub fn orders(graph: &Graph) -> BTreeMap<String, Order> {
    let differs = graph.values.iter().filter(|v| v.perm.is_some() || v.channels.is_some());
    differs.map(|v| (v.name.clone(), Order { perm: v.perm.clone(), channels: v.channels.clone() })).collect()
}

impl Order {
    pub(super) fn fits(&self, dims: &[usize]) -> bool {
        let perm = self.perm.as_ref().is_none_or(|perm| perm.len() == dims.len());
        perm && self.channels.as_ref().is_none_or(|kept| dims.last() == Some(&kept.len()))
    }
}

/// A value as a model showed it.
pub(super) struct Shown {
    pub dims: Vec<usize>,
    pub data: Vec<f32>,
    pub order: Option<Order>,
}

impl Shown {
    fn perm(&self) -> Option<&Vec<usize>> {
        self.order.as_ref().and_then(|order| order.perm.as_ref())
    }

    fn channels(&self) -> Option<&Vec<usize>> {
        self.order.as_ref().and_then(|order| order.channels.as_ref())
    }
}

/// Elements of two values.
type Pair<'v> = (Cow<'v, [f32]>, Cow<'v, [f32]>);

/// Both values' elements in the same order, restricted to the channels both
/// store. `None` where each lacks other channels.
pub(super) fn align<'v>(a: &'v Shown, b: &'v Shown) -> Option<Pair<'v>> {
    if a.order == b.order {
        return Some((Cow::Borrowed(&a.data), Cow::Borrowed(&b.data)));
    }
    match (a.channels(), b.channels()) {
        (None, None) => Some((onnx(a), onnx(b))),
        (None, Some(kept)) => Some((select(&stored_like(a, b), b, kept), Cow::Borrowed(&b.data))),
        (Some(kept), None) => Some((Cow::Borrowed(&a.data), select(&stored_like(b, a), a, kept))),
        (Some(_), Some(_)) => None,
    }
}

/// The value in ONNX order.
fn onnx(value: &Shown) -> Cow<'_, [f32]> {
    match value.perm() {
        None => Cow::Borrowed(&value.data),
        Some(perm) => Cow::Owned(scatter(&value.dims, &value.data, perm, false)),
    }
}

/// A complete value in the order `like` is stored in, with all its channels.
fn stored_like<'v>(value: &'v Shown, like: &Shown) -> Cow<'v, [f32]> {
    if value.perm() == like.perm() {
        return Cow::Borrowed(&value.data);
    }
    let data = onnx(value);
    let Some(perm) = like.perm() else { return data };
    let mut dims = like.dims.clone();
    let rest: usize = dims[..dims.len() - 1].iter().product();
    if let Some(last) = dims.last_mut() {
        *last = data.len() / rest.max(1);
    }
    if dims.iter().product::<usize>() != data.len() {
        return data;
    }
    Cow::Owned(scatter(&dims, &data, perm, true))
}

/// The `kept` channels of a complete value.
fn select<'v>(data: &[f32], like: &Shown, kept: &[usize]) -> Cow<'v, [f32]> {
    let rest: usize = like.dims[..like.dims.len() - 1].iter().product();
    let all = (data.len() / rest.max(1)).max(1);
    Cow::Owned(data.chunks(all).flat_map(|row| kept.iter().filter_map(|&c| row.get(c).copied())).collect())
}

/// With `gather` unset, undoes `stored = Transpose(value, perm)`; set, does it.
/// `dims` are those of the stored form.
fn scatter(dims: &[usize], data: &[f32], perm: &[usize], gather: bool) -> Vec<f32> {
    let mut shape = vec![0; dims.len()];
    for (axis, &source) in perm.iter().enumerate() {
        shape[source] = dims[axis];
    }
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let mut out = vec![0.0; data.len()];
    let mut index = vec![0; dims.len()];
    for position in 0..data.len() {
        let at: usize = index.iter().zip(perm).map(|(i, &source)| i * strides[source]).sum();
        if gather {
            out[position] = data[at];
        } else {
            out[at] = data[position];
        }
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            if index[axis] < dims[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(dims: &[usize], data: Vec<f32>, perm: Option<Vec<usize>>, channels: Option<Vec<usize>>) -> Shown {
        Shown { dims: dims.to_vec(), data, order: Some(Order { perm, channels }) }
    }

    #[test]
    fn transposed_values_come_back_to_onnx_order() {
        // value [2, 3, 2] stored as [2, 2, 3] with perm [0, 2, 1].
        let value: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let stored: Vec<f32> = (0..12).map(|i| value[(i / 6) * 6 + (i % 3) * 2 + (i / 3) % 2]).collect();
        let plain = Shown { dims: vec![2, 3, 2], data: value.clone(), order: None };
        let permuted = shown(&[2, 2, 3], stored.clone(), Some(vec![0, 2, 1]), None);
        let (a, b) = align(&plain, &permuted).expect("aligned");
        assert_eq!((a.as_ref(), b.as_ref()), (value.as_slice(), value.as_slice()));

        // The same with channels 0 and 2 of 3 kept.
        let kept: Vec<f32> = stored.chunks(3).flat_map(|row| [row[0], row[2]]).collect();
        let pruned = shown(&[2, 2, 2], kept.clone(), Some(vec![0, 2, 1]), Some(vec![0, 2]));
        for (a, b) in [(&plain, &pruned), (&pruned, &plain), (&permuted, &pruned)] {
            let (a, b) = align(a, b).expect("aligned");
            assert_eq!((a.as_ref(), b.as_ref()), (kept.as_slice(), kept.as_slice()));
        }
    }
}
