//! Writes the two convolutions in place of the one.

use super::plan::{Candidate, Choice};
use super::{ConvForm, FactorizedConv};
use crate::graph::{Constant, Graph, Layout, Node, Op, Value, Window};
use crate::passes::edit::{add_constant, fresh_name};

/// The two nodes for a candidate, their constants and the value between them added to the graph.
pub(super) fn factors(graph: &mut Graph, candidate: &Candidate, choice: Choice) -> ([Node; 2], FactorizedConv) {
    let node = graph.nodes[candidate.index].clone();
    let clamp = if let Op::Conv { clamp, .. } = node.op { clamp } else { None };
    let layout = candidate.layout;
    let form = &candidate.forms[choice.form];
    let (Candidate { outs, ins, window, .. }, rank) = (candidate, choice.rank);
    let (outs, ins, [kh, kw]) = (*outs, *ins, window.kernel);
    // Both factors take the square root of the singular values, so that their weights are of one size.
    let root: Vec<f64> = form.svd.sigma.iter().take(rank).map(|s| s.sqrt()).collect();
    let (u, vt) = (&form.svd.u, &form.svd.vt);
    let ([first_window, second_window], first, second): (_, Vec<f32>, Vec<f32>) = match form.form {
        ConvForm::Channel => {
            let k = ins * kh * kw;
            let first = (0..rank * k).map(|i| (root[i / k] * vt[(i / k, i % k)]) as f32).collect();
            let second = (0..outs * rank).map(|i| (root[i % rank] * u[(i / rank, i % rank)]) as f32).collect();
            ([*window, Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], pads: [0; 4] }], first, second)
        }
        ConvForm::Spatial => {
            let k = ins * kh;
            let first = (0..rank * k).map(|i| (root[i / k] * u[(i % k, i / k)]) as f32).collect();
            let second = (0..outs * rank * kw)
                .map(|i| {
                    let (out, r, column) = (i / (rank * kw), i / kw % rank, i % kw);
                    (root[r] * vt[(r, out * kw + column)]) as f32
                })
                .collect();
            (spatial_windows(window), first, second)
        }
    };
    let [first_kernel, second_kernel] = [first_window.kernel, second_window.kernel];

    let whole = graph.value(node.outputs[0]).clone();
    let in_w = node.inputs[0].map_or(0, |x| {
        let shape = &graph.value(x).shape;
        if layout == Layout::Nhwc { shape[2] } else { shape[3] }
    });
    let mut shape = whole.shape.clone();
    let (channels, columns) = if layout == Layout::Nhwc { (3, 2) } else { (1, 3) };
    shape[channels] = rank;
    if form.form == ConvForm::Spatial {
        shape[columns] = in_w;
    }
    let name = fresh_name(graph, &format!("{}.rank{rank}", whole.name));
    let between = graph.add_value(Value { quant: None, ..Value::new(name.clone(), whole.dtype, shape) });
    let base = node.inputs[1].map_or(String::new(), |w| graph.value(w).name.clone());
    let mut constant = |suffix: &str, shape: Vec<usize>, data: Vec<f32>| {
        let value = Value::constant("", shape, Constant::F32(data));
        add_constant(graph, &format!("{base}.{suffix}"), value)
    };
    let w1 = constant("first", vec![rank, ins, first_kernel[0], first_kernel[1]], first);
    let w2 = constant("second", vec![outs, rank, second_kernel[0], second_kernel[1]], second);

    let conv = |window, clamp| Op::Conv { window, groups: 1, layout, clamp };
    let one = Node {
        name: format!("{}.rank{rank}", node.name),
        op: conv(first_window, None),
        inputs: vec![node.inputs[0], Some(w1)],
        outputs: vec![between],
    };
    let rest = node.inputs.iter().skip(2).copied();
    let two = Node {
        name: node.name.clone(),
        op: conv(second_window, clamp),
        inputs: [Some(between), Some(w2)].into_iter().chain(rest).collect(),
        outputs: node.outputs,
    };
    let made = FactorizedConv {
        node: node.name,
        between: name,
        form: form.form,
        rank,
        energy: form.energy[rank - 1],
        macs_before: candidate.macs,
        macs_after: candidate.macs_of(choice),
    };
    ([one, two], made)
}

/// The window's rows, then its columns.
fn spatial_windows(w: &Window) -> [Window; 2] {
    let [top, left, bottom, right] = w.pads;
    let rows = Window {
        kernel: [w.kernel[0], 1],
        stride: [w.stride[0], 1],
        dilation: [w.dilation[0], 1],
        pads: [top, 0, bottom, 0],
    };
    let columns = Window {
        kernel: [1, w.kernel[1]],
        stride: [1, w.stride[1]],
        dilation: [1, w.dilation[1]],
        pads: [0, left, 0, right],
    };
    [rows, columns]
}

/// Puts the pairs, each with the index of the node it replaces, into the graph.
pub(super) fn replace(graph: &mut Graph, made: Vec<(usize, ([Node; 2], FactorizedConv))>) -> Vec<FactorizedConv> {
    let mut made = made.into_iter().peekable();
    let mut report = Vec::new();
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for (index, node) in std::mem::take(&mut graph.nodes).into_iter().enumerate() {
        match made.next_if(|(at, _)| *at == index) {
            Some((_, (pair, conv))) => {
                nodes.extend(pair);
                report.push(conv);
            }
            None => nodes.push(node),
        }
    }
    graph.nodes = nodes;
    report
}
