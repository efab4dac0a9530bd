//! Einsum: diagonals, sums, and products of two operands at a time as batched matrix products.
use tract_onnx::pb::NodeProto;

use super::builder::Builder;
use super::window::agree;
use crate::graph::{DType, Op, Reduce, ValueId};
use crate::import::attrs;
use crate::import::error::{NodeResult, bad, refuse};

/// A letter, or an axis of the ellipsis counted from its end.
type Label = u32;

const ELLIPSIS: Label = 1 << 16;

/// An operand and the labels of its axes.
struct Term {
    id: ValueId,
    labels: Vec<Label>,
}

/// The equation with every axis named.
pub(super) struct Equation {
    inputs: Vec<Vec<Label>>,
    output: Vec<Label>,
}

/// Labels of one term for a tensor of `rank` axes; `None` leaves the ellipsis the axes of `ellipsis`.
fn labels(term: &str, ellipsis: impl Fn(usize) -> Option<usize>) -> NodeResult<Vec<Label>> {
    let letters = term.replace("...", "");
    if letters.len() + 3 < term.len() || !letters.chars().all(|c| c.is_ascii_alphabetic()) {
        return bad(format!("`{term}` is no term of an equation"));
    }
    let mut out = Vec::new();
    let (before, behind) = match term.split_once("...") {
        Some((before, behind)) => (before, Some(behind)),
        None => (term, None),
    };
    out.extend(before.chars().map(u32::from));
    if let Some(behind) = behind {
        let Some(n) = ellipsis(letters.len()) else { return bad(format!("`{term}` has more axes than its operand")) };
        out.extend((0..n as u32).rev().map(|i| ELLIPSIS + i));
        out.extend(behind.chars().map(u32::from));
    }
    Ok(out)
}

impl Equation {
    fn of(b: &mut Builder, node: &NodeProto) -> NodeResult<Equation> {
        let text: String = attrs::string(node, "equation", "")?.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = match text.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (text.as_str(), None),
        };
        let terms: Vec<&str> = left.split(',').collect();
        if terms.len() != node.input.len() {
            return bad(format!("equation `{text}` for {} operands", node.input.len()));
        }
        let mut inputs = Vec::new();
        for (i, term) in terms.iter().enumerate() {
            let id = b.required(node, i)?;
            let rank = b.shape(id).len();
            let named = labels(term, |letters| rank.checked_sub(letters))?;
            if named.len() != rank {
                return bad(format!("`{term}` for an operand of rank {rank}"));
            }
            inputs.push(named);
        }
        let wide = inputs.iter().flatten().filter(|&&l| l >= ELLIPSIS).max().map_or(0, |l| l - ELLIPSIS + 1);
        let output = match right {
            Some(right) => labels(right, |_| Some(wide as usize))?,
            None => {
                let all: Vec<Label> = inputs.iter().flatten().copied().collect();
                let once = |l: &Label| all.iter().filter(|&other| other == l).count() == 1;
                let mut letters: Vec<Label> = all.iter().copied().filter(|l| *l < ELLIPSIS && once(l)).collect();
                letters.sort_unstable();
                (0..wide).rev().map(|i| ELLIPSIS + i).chain(letters).collect()
            }
        };
        if let Some(l) = output.iter().find(|l| !inputs.iter().any(|i| i.contains(l))) {
            return bad(format!("the output's axis {l} is in no operand"));
        }
        Ok(Equation { inputs, output })
    }

    /// Length of a label's axis.
    fn length(&self, b: &mut Builder, node: &NodeProto, label: Label) -> NodeResult<usize> {
        let mut length = 1;
        for (i, labels) in self.inputs.iter().enumerate() {
            let id = b.required(node, i)?;
            for (&l, &d) in labels.iter().zip(&b.shape(id)) {
                match (l == label, d) {
                    (false, _) | (_, 1) => {}
                    (true, d) if length == 1 || length == d => length = d,
                    (true, d) => return bad(format!("axes of lengths {length} and {d} share a label")),
                }
            }
        }
        Ok(length)
    }
}

/// The shape of the result.
pub(super) fn shape(b: &mut Builder, node: &NodeProto) -> NodeResult<Vec<usize>> {
    let equation = Equation::of(b, node)?;
    equation.output.iter().map(|&l| equation.length(b, node, l)).collect()
}

pub(super) fn einsum(b: &mut Builder, node: &NodeProto) -> NodeResult<()> {
    let equation = Equation::of(b, node)?;
    let y = b.output(node, 0)?;
    agree(&shape(b, node)?, &b.shape(y))?;
    if b.value(y).dtype != DType::F32 {
        return refuse(format!("elements of type {:?}", b.value(y).dtype), "compute in f32");
    }
    let mut done: Option<Term> = None;
    for (i, labels) in equation.inputs.iter().enumerate() {
        let term = Term { id: b.required(node, i)?, labels: labels.clone() };
        let term = diagonals(b, node, &equation, term)?;
        let kept = |l: &Label| equation.output.contains(l) || equation.inputs[i + 1..].iter().flatten().any(|o| o == l);
        done = Some(match done {
            None => summed(b, node, term, |l| kept(l))?,
            Some(left) => product(b, node, left, term, kept)?,
        });
    }
    let Some(done) = done else { return bad("it has no operands") };
    let turned = ordered(b, node, done, &equation.output)?;
    b.emit(node, Op::Reshape, vec![Some(turned)], y)
}

/// Drops axes of length 1 that others broadcast, and takes the diagonal of axes with one label.
fn diagonals(b: &mut Builder, node: &NodeProto, equation: &Equation, mut term: Term) -> NodeResult<Term> {
    let mut shape = b.shape(term.id);
    for axis in (0..shape.len()).rev() {
        if shape[axis] == 1 && equation.length(b, node, term.labels[axis])? != 1 {
            shape.remove(axis);
            term.labels.remove(axis);
        }
    }
    term.id = b.reshape(node, term.id, shape)?;
    while let Some(second) = (1..term.labels.len()).find(|&i| term.labels[..i].contains(&term.labels[i])) {
        let label = term.labels[second];
        let first = term.labels.iter().position(|&l| l == label).unwrap_or(0);
        // Both last, as one axis of n·n, of which every (n + 1)th element is taken.
        let rest: Vec<usize> = (0..term.labels.len()).filter(|&i| i != first && i != second).collect();
        let turned = b.transpose(node, term.id, [rest.as_slice(), &[first, second]].concat())?;
        let shape = b.shape(turned);
        let (outer, n) = (&shape[..rest.len()], shape[rest.len()]);
        if shape[rest.len() + 1] != n {
            return bad("a diagonal of an oblong matrix");
        }
        let flat = b.reshape(node, turned, [outer, &[n * n]].concat())?;
        let out = b.like(flat, [outer, &[n]].concat())?;
        let mut step = vec![1; rest.len() + 1];
        step[rest.len()] = n as isize + 1;
        b.emit(node, Op::Slice { start: vec![0; rest.len() + 1], step }, vec![Some(flat)], out)?;
        term = Term { id: out, labels: rest.iter().map(|&i| term.labels[i]).chain([label]).collect() };
    }
    Ok(term)
}

/// Sums over the axes that are not kept.
fn summed(b: &mut Builder, node: &NodeProto, term: Term, kept: impl Fn(&Label) -> bool) -> NodeResult<Term> {
    let axes: Vec<usize> = (0..term.labels.len()).filter(|&i| !kept(&term.labels[i])).collect();
    if axes.is_empty() {
        return Ok(term);
    }
    let shape = b.shape(term.id);
    let left = |i: &usize| !axes.contains(i);
    let rest: Vec<usize> = (0..shape.len()).filter(left).collect();
    let out = b.like(term.id, rest.iter().map(|&i| shape[i]).collect())?;
    let labels = rest.iter().map(|&i| term.labels[i]).collect();
    b.emit(node, Op::Reduce { kind: Reduce::Sum, axes, keep_dims: false }, vec![Some(term.id)], out)?;
    Ok(Term { id: out, labels })
}

/// The axes of a term in another order.
fn ordered(b: &mut Builder, node: &NodeProto, term: Term, order: &[Label]) -> NodeResult<ValueId> {
    let perm: Option<Vec<usize>> = order.iter().map(|l| term.labels.iter().position(|other| other == l)).collect();
    match perm {
        Some(perm) if perm.iter().copied().eq(0..perm.len()) => Ok(term.id),
        Some(perm) if perm.len() == term.labels.len() => b.transpose(node, term.id, perm),
        _ => bad("an axis of the output is left over"),
    }
}

fn product(
    b: &mut Builder,
    node: &NodeProto,
    left: Term,
    right: Term,
    kept: impl Fn(&Label) -> bool,
) -> NodeResult<Term> {
    let left = summed(b, node, left, |l| kept(l) || right.labels.contains(l))?;
    let right = summed(b, node, right, |l| kept(l) || left.labels.contains(l))?;
    let part = |of: &Term, keep: &dyn Fn(&Label) -> bool| -> Vec<Label> {
        of.labels.iter().copied().filter(|l| keep(l)).collect()
    };
    let both = |l: &Label| left.labels.contains(l) && right.labels.contains(l);
    let batch = part(&left, &|l| both(l) && kept(l));
    let inner = part(&left, &|l| both(l) && !kept(l));
    let (rows, columns) = (part(&left, &|l| !both(l)), part(&right, &|l| !both(l)));
    let lengths = |b: &Builder, of: &Term, labels: &[Label]| -> Vec<usize> {
        let shape = b.shape(of.id);
        labels.iter().filter_map(|l| of.labels.iter().position(|o| o == l)).map(|i| shape[i]).collect()
    };
    let (batch_shape, row_shape) = (lengths(b, &left, &batch), lengths(b, &left, &rows));
    let (inner_shape, column_shape) = (lengths(b, &left, &inner), lengths(b, &right, &columns));
    let n = |shape: &[usize]| shape.iter().product::<usize>();
    let (bn, m, k, c) = (n(&batch_shape), n(&row_shape), n(&inner_shape), n(&column_shape));
    let a = ordered(b, node, left, &[batch.as_slice(), &rows, &inner].concat())?;
    let w = ordered(b, node, right, &[batch.as_slice(), &inner, &columns].concat())?;
    let (a, w) = (b.reshape(node, a, vec![bn, m, k])?, b.reshape(node, w, vec![bn, k, c])?);
    let out = b.temp("einsum", DType::F32, vec![bn, m, c])?;
    b.emit(node, Op::MatMul, vec![Some(a), Some(w)], out)?;
    let id = b.reshape(node, out, [batch_shape, row_shape, column_shape].concat())?;
    Ok(Term { id, labels: [batch, rows, columns].concat() })
}
