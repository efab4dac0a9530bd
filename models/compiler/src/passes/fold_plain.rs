//! Folds of integer arithmetic, comparisons, selection and scans: what the device's own kernels compute.
use super::constants::strides;
use super::fold_constants::broadcast;
use crate::graph::{Constant, DType, Op, Unary, Value};
use crate::lower::{elementwise, plain_int, reduce, table};
use selvedge_core::params::unary;
use selvedge_kernels::integer::{self, Integer};
use selvedge_kernels::scan::{Extremum, Running, Scan, arg_reduce, cum_sum};
use selvedge_kernels::{by_integer, compare};

/// Most elements of an operand or a result: they are held as 128 bits each.
const MAX_ELEMENTS: usize = 1 << 22;

/// The result of `op` on constants, where it is one of this file's.
pub(super) fn fold(op: &Op, inputs: &[&Value], out: &Value) -> Option<Constant> {
    let x = *inputs.first()?;
    let data = x.data.as_ref()?;
    if data.len().max(out.elements()) > MAX_ELEMENTS {
        return None;
    }
    match op {
        Op::Unary(f) => by_integer!(x.dtype, T => unary_int::<T>(*f, data, out.dtype), None),
        Op::Binary { kind, .. } => {
            let (a, b) = (broadcast(x, &out.shape)?, broadcast(inputs.get(1)?, &out.shape)?);
            by_integer!(out.dtype, T => {
                let f = integer::binary_function::<T>(elementwise::code(*kind));
                let pairs = elements::<T>(&a)?.into_iter().zip(elements::<T>(&b)?);
                constant(pairs.map(|(a, b)| f(a, b)), out.dtype)
            }, None)
        }
        Op::Compare { kind } => {
            let (a, b) = (broadcast(x, &out.shape)?, broadcast(inputs.get(1)?, &out.shape)?);
            let mut holds = vec![0; a.len()];
            let kind = plain_int::code(*kind);
            match (&a, &b) {
                (Constant::F32(a), Constant::F32(b)) => compare::compare(kind, a, b, &mut holds),
                (a, b) => compare::compare(kind, &a.integers()?, &b.integers()?, &mut holds),
            }
            Some(Constant::Bool(holds.iter().map(|&y| y != 0).collect()))
        }
        Op::Select => {
            let taken = broadcast(x, &out.shape)?.integers()?;
            let (yes, no) = (broadcast(inputs.get(1)?, &out.shape)?, broadcast(inputs.get(2)?, &out.shape)?);
            match (yes, no) {
                (Constant::F32(yes), Constant::F32(no)) => Some(Constant::F32(select(&taken, &yes, &no))),
                (yes, no) => {
                    Some(Constant::from_integers(&select(&taken, &yes.integers()?, &no.integers()?), out.dtype))
                }
            }
        }
        Op::Reduce { kind, axes, .. } => by_integer!(x.dtype, T => {
            let moved = rows(&elements::<T>(data)?, &x.shape, axes);
            let n = axes.iter().map(|&axis| x.shape[axis]).product();
            let code = reduce::code(*kind);
            if n == 0 || !integer::has_reduction(code) {
                return None;
            }
            constant(moved.chunks(n).map(|row| integer::reduce(code, row.iter().copied())), out.dtype)
        }, None),
        Op::ArgReduce { axis, least, last } => {
            let which = Extremum { least: *least, last: *last };
            let positions = match data {
                Constant::F32(v) => positions(which, v, &x.shape, *axis),
                data => {
                    by_integer!(x.dtype, T => positions(which, &elements::<T>(data)?, &x.shape, *axis), return None)
                }
            };
            Some(Constant::I64(positions))
        }
        Op::CumSum { axis, exclusive, reverse, product } => {
            let how = Running { exclusive: *exclusive, reverse: *reverse, product: *product };
            let (n, inner) = (x.shape[*axis], strides(&x.shape)[*axis]);
            match data {
                Constant::F32(v) => {
                    let mut sums = vec![0.0; v.len()];
                    cum_sum(v, n, inner, how, &mut sums);
                    Some(Constant::F32(sums))
                }
                data => by_integer!(x.dtype, T => {
                    let mut sums: Vec<T> = vec![0; data.len()];
                    cum_sum(&elements::<T>(data)?, n, inner, how, &mut sums);
                    constant(sums.into_iter(), out.dtype)
                }, None),
            }
        }
        _ => None,
    }
}

fn elements<T: TryFrom<i128>>(data: &Constant) -> Option<Vec<T>> {
    data.integers()?.into_iter().map(|x| T::try_from(x).ok()).collect()
}

fn constant<T: Into<i128>>(values: impl Iterator<Item = T>, dtype: DType) -> Option<Constant> {
    Some(Constant::from_integers(&values.map(Into::into).collect::<Vec<_>>(), dtype))
}

fn unary_int<T>(f: Unary, data: &Constant, dtype: DType) -> Option<Constant>
where
    T: Integer + TryFrom<i128> + Into<i128>,
{
    let kind = if f == Unary::Not && dtype == DType::Bool { unary::LOGICAL_NOT } else { table::code(f).0 };
    if !integer::has_unary(kind) {
        return None;
    }
    let f = integer::unary_function::<T>(kind);
    constant(elements::<T>(data)?.into_iter().map(f), dtype)
}

fn select<T: Copy>(taken: &[i128], yes: &[T], no: &[T]) -> Vec<T> {
    taken.iter().zip(yes.iter().zip(no)).map(|(&c, (&yes, &no))| if c != 0 { yes } else { no }).collect()
}

/// Elements with the reduced axes innermost.
fn rows<T: Copy>(v: &[T], shape: &[usize], axes: &[usize]) -> Vec<T> {
    let mut order: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
    order.extend(axes);
    super::constants::permute(v, shape, &order)
}

fn positions<T: Scan>(which: Extremum, v: &[T], shape: &[usize], axis: usize) -> Vec<i64> {
    let mut out = vec![0; v.len() / shape[axis].max(1)];
    arg_reduce(which, v, shape[axis], strides(shape)[axis], &mut out);
    out
}
