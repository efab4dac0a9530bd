//! Folds explicit Pad nodes into the windows that read them.
use super::edit::{input, producer, same_grid};
use crate::graph::{Graph, Layout, Op, Unary, ValueId, Window};

/// Pads the spatial axes of a Conv's input with zeros, of a MaxPool's with −∞
/// (or zeros where nothing is negative), of an AvgPool's with zeros that
/// count: the window takes them over. Returns the windows that grew; Pads
/// without readers are for `dead_code`.
pub fn fold_pads(graph: &mut Graph) -> usize {
    let mut folded = 0;
    for index in 0..graph.nodes.len() {
        while fold(graph, index).is_some() {
            folded += 1;
        }
    }
    folded
}

fn fold(graph: &mut Graph, index: usize) -> Option<()> {
    let (window, layout) = match &graph.nodes[index].op {
        Op::Conv { window, layout, .. } | Op::MaxPool { window, layout } | Op::AvgPool { window, layout, .. } => {
            (*window, *layout)
        }
        _ => return None,
    };
    let padded = input(graph, index, 0)?;
    let pad = producer(graph, padded)?;
    let x = input(graph, pad, 0)?;
    let Op::Pad { begin, end, value } = &graph.nodes[pad].op else { return None };
    let [rows, columns] = match layout {
        Layout::Nchw => [2, 3],
        Layout::Nhwc => [1, 2],
    };
    let others = (0..begin.len()).filter(|&axis| axis != rows && axis != columns);
    if begin.len() != 4 || others.clone().any(|axis| begin[axis] + end[axis] > 0) {
        return None;
    }
    if !same_grid(graph.value(x).quant, graph.value(padded).quant) {
        return None;
    }
    let [top, left, bottom, right] = window.pads;
    let pads = [top + begin[rows], left + begin[columns], bottom + end[rows], right + end[columns]];
    let grown = Window { pads, ..window };
    let exact = match &graph.nodes[index].op {
        Op::Conv { .. } => *value == 0.0,
        Op::MaxPool { .. } => {
            let lowest = *value == f32::NEG_INFINITY || *value == f32::MIN;
            let zeros = *value == 0.0 && window.pads == [0; 4] && not_negative(graph, x);
            (lowest || zeros) && touches_input(&grown)
        }
        Op::AvgPool { count_include_pad, .. } => *value == 0.0 && (*count_include_pad || window.pads == [0; 4]),
        _ => false,
    };
    if !exact {
        return None;
    }
    match &mut graph.nodes[index].op {
        Op::AvgPool { window, count_include_pad, .. } => {
            *window = grown;
            *count_include_pad = true;
        }
        Op::Conv { window, .. } | Op::MaxPool { window, .. } => *window = grown,
        _ => return None,
    }
    graph.nodes[index].inputs[0] = Some(x);
    Some(())
}

/// Whether no window lies in the padding alone.
fn touches_input(window: &Window) -> bool {
    (0..2).all(|axis| {
        let reach = (window.kernel[axis] - 1) * window.dilation[axis];
        window.dilation[axis] == 1 && window.pads[axis] <= reach && window.pads[axis + 2] <= reach
    })
}

/// Whether the producer of `x` clamps at zero or above.
fn not_negative(graph: &Graph, x: ValueId) -> bool {
    let Some(source) = producer(graph, x) else { return false };
    match &graph.nodes[source].op {
        Op::Unary(Unary::Relu) | Op::Softmax { .. } => true,
        Op::Unary(Unary::Clip(clamp)) => clamp.lo >= 0.0,
        Op::Conv { clamp, .. } | Op::Dense { clamp } | Op::Binary { clamp, .. } => clamp.is_some_and(|c| c.lo >= 0.0),
        Op::Reshape | Op::Transpose { .. } | Op::MaxPool { .. } => {
            input(graph, source, 0).is_some_and(|x| not_negative(graph, x))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::dead_code;
    use super::super::testing::{Build, check, count, square};
    use super::*;

    fn pad(b: &mut Build, x: ValueId, before: usize, after: usize, value: f32) -> ValueId {
        let mut shape = b.graph.value(x).shape.clone();
        shape[2] += before + after;
        shape[3] += before + after;
        let op = Op::Pad { begin: vec![0, 0, before, before], end: vec![0, 0, after, after], value };
        b.node(op, &[x], &shape)
    }

    fn pads_left(b: Build, outputs: &[ValueId]) -> usize {
        let graph = check(b.finish(outputs), |graph| {
            fold_pads(graph);
            dead_code(graph);
        });
        count(&graph, |op| matches!(op, Op::Pad { .. }))
    }

    #[test]
    fn zeros_fold_into_conv_and_counting_average() {
        let mut b = Build::new();
        let x = b.input(&[1, 2, 6, 6]);
        let p = pad(&mut b, x, 0, 1, 0.0);
        let y = b.conv(p, 3, 3, 2);
        let q = pad(&mut b, y, 1, 1, 0.0);
        let pool = |count_include_pad| Op::AvgPool { window: square(3, 1, 0), layout: Layout::Nchw, count_include_pad };
        let z = b.node(pool(false), &[q], &[1, 3, 4, 4]);
        assert_eq!(pads_left(b, &[z]), 0);
    }

    #[test]
    fn an_average_that_skips_its_own_pads_keeps_the_node() {
        let mut b = Build::new();
        let x = b.input(&[1, 2, 6, 6]);
        let p = pad(&mut b, x, 1, 1, 0.0);
        let op = Op::AvgPool { window: square(3, 1, 1), layout: Layout::Nchw, count_include_pad: false };
        let z = b.node(op, &[p], &[1, 2, 8, 8]);
        assert_eq!(pads_left(b, &[z]), 1);
    }

    #[test]
    fn zeros_before_a_max_need_a_clamp_in_front() {
        for relu in [false, true] {
            let mut b = Build::new();
            let x = b.input(&[1, 2, 6, 6]);
            let y = if relu { b.unary(Unary::Relu, x) } else { x };
            let p = pad(&mut b, y, 1, 1, 0.0);
            let z = b.node(Op::MaxPool { window: square(3, 1, 0), layout: Layout::Nchw }, &[p], &[1, 2, 6, 6]);
            assert_eq!(pads_left(b, &[z]), usize::from(!relu));
        }
    }

    #[test]
    fn a_window_inside_the_padding_keeps_the_node() {
        let mut b = Build::new();
        let x = b.input(&[1, 2, 6, 6]);
        let y = b.unary(Unary::Relu, x);
        let p = pad(&mut b, y, 3, 0, f32::NEG_INFINITY);
        let z = b.node(Op::MaxPool { window: square(2, 1, 0), layout: Layout::Nchw }, &[p], &[1, 2, 8, 8]);
        let graph = b.finish(&[z]);
        let mut folded = graph.clone();
        assert_eq!(fold_pads(&mut folded), 0);
    }
}
