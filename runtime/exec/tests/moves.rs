//! Ops that move or broadcast elements, against index arithmetic written out (the oracle of every
//! test here), on random shapes of up to six dimensions.
mod support;

use proptest::prelude::*;
use selvedge_core::params::*;
use selvedge_core::{DType, Format, OpCode as Op};
use support::zoo::single;
use support::{as_f32, as_i8, f32s, i8s, params};

fn product(dims: &[u32]) -> usize {
    dims.iter().map(|&d| d as usize).product()
}

/// All indices of a shape, the last dimension fastest.
fn indices(dims: &[u32]) -> Vec<Vec<usize>> {
    (0..product(dims))
        .map(|mut at| {
            let mut index: Vec<usize> = dims
                .iter()
                .rev()
                .map(|&d| {
                    let i = at % d as usize;
                    at /= d as usize;
                    i
                })
                .collect();
            index.reverse();
            index
        })
        .collect()
}

/// Position of an index; where a shape is shorter or 1, the index is broadcast.
fn at(dims: &[u32], index: &[usize]) -> usize {
    let skip = index.len() - dims.len();
    dims.iter().zip(&index[skip..]).fold(0, |p, (&d, &i)| p * d as usize + if d == 1 { 0 } else { i })
}

fn codes(n: usize) -> Vec<i8> {
    (0..n).map(|i| (i * 91 + 7) as i8).collect()
}

fn padded<T: Copy + Default, const N: usize>(values: &[T]) -> [T; N] {
    let mut out = [T::default(); N];
    out[..values.len()].copy_from_slice(values);
    out
}

fn shape(max: u32) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(1..=max, 1..=6)
}

/// Two shapes and what they broadcast to.
fn broadcasting() -> impl Strategy<Value = (Vec<u32>, Vec<u32>, Vec<u32>)> {
    prop::collection::vec((1u32..=4, 0u8..4), 0..=6).prop_flat_map(|axes| {
        let rank = axes.len();
        (Just(axes), 0..=rank, 0..=rank).prop_map(|(axes, a_from, b_from)| {
            let (a_from, b_from) = (a_from.min(b_from), if a_from < b_from { b_from } else { 0 });
            let mut dims = (Vec::new(), Vec::new(), Vec::new());
            for (i, &(d, fate)) in axes.iter().enumerate() {
                let a = if fate == 1 || i < a_from { 1 } else { d };
                let b = if fate == 2 || i < b_from { 1 } else { d };
                if i >= a_from {
                    dims.0.push(a);
                }
                if i >= b_from {
                    dims.1.push(b);
                }
                dims.2.push(a.max(b));
            }
            dims
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn transpose_equals_index_arithmetic(dims in shape(4), seed in any::<u64>()) {
        let mut perm: Vec<u8> = (0..dims.len() as u8).collect();
        for i in (1..perm.len()).rev() {
            perm.swap(i, (seed >> (8 * i)) as usize % (i + 1));
        }
        let out: Vec<u32> = perm.iter().map(|&p| dims[p as usize]).collect();
        for size in [DType::I8, DType::I16, DType::F32, DType::I64] {
            let p = single((Op::Transpose, Format::Any), &[(size, &dims)], &[(size, &out)], |_| {
                (params(Transpose { perm: padded(&perm) }), 0)
            });
            let x: Vec<u8> = (0..product(&dims) * size.size()).map(|i| (i * 3) as u8).collect();
            let y = p.run(&[&x]).unwrap();
            for (i, index) in indices(&out).iter().enumerate() {
                let mut from = vec![0; dims.len()];
                perm.iter().zip(index).for_each(|(&p, &i)| from[p as usize] = i);
                let (n, j) = (size.size(), at(&dims, &from));
                prop_assert_eq!(&y[i * n..][..n], &x[j * n..][..n]);
            }
        }
    }

    #[test]
    fn pad_equals_index_arithmetic(axes in prop::collection::vec((1u32..=3, 0u32..=2, 0u32..=2), 1..=6)) {
        let dims: Vec<u32> = axes.iter().map(|a| a.0).collect();
        let begin: Vec<u32> = axes.iter().map(|a| a.1).collect();
        let out: Vec<u32> = axes.iter().map(|a| a.0 + a.1 + a.2).collect();
        let p = single((Op::Pad, Format::Any), &[(DType::I8, &dims)], &[(DType::I8, &out)], |_| {
            (params(Pad { begin: padded(&begin), value: [77, 0, 0, 0, 0, 0, 0, 0] }), 0)
        });
        let x = codes(product(&dims));
        let want: Vec<i8> = indices(&out)
            .iter()
            .map(|index| {
                let from: Option<Vec<usize>> = index
                    .iter()
                    .zip(&axes)
                    .map(|(&i, a)| i.checked_sub(a.1 as usize).filter(|&i| i < a.0 as usize))
                    .collect();
                from.map_or(77, |from| x[at(&dims, &from)])
            })
            .collect();
        prop_assert_eq!(as_i8(&p.run(&[i8s(&x)]).unwrap()), want);
    }

    #[test]
    fn slice_equals_index_arithmetic(axes in prop::collection::vec((1u32..=5, 0u32..5, -2i32..=2), 1..=6)) {
        let axes: Vec<(u32, u32, i32, u32)> = axes
            .into_iter()
            .map(|(size, start, step)| {
                let (start, step) = (start % size, if step == 0 { 3 } else { step });
                let room = if step > 0 { size - 1 - start } else { start };
                (size, start, step, room / step.unsigned_abs() + 1)
            })
            .collect();
        let dims: Vec<u32> = axes.iter().map(|a| a.0).collect();
        let out: Vec<u32> = axes.iter().map(|a| a.3).collect();
        let start: Vec<u32> = axes.iter().map(|a| a.1).collect();
        let step: Vec<i32> = axes.iter().map(|a| a.2).collect();
        let p = single((Op::Slice, Format::Any), &[(DType::I8, &dims)], &[(DType::I8, &out)], |_| {
            (params(Slice { start: padded(&start), step: padded(&step) }), 0)
        });
        let x = codes(product(&dims));
        let want: Vec<i8> = indices(&out)
            .iter()
            .map(|index| {
                let from: Vec<usize> =
                    index.iter().zip(&axes).map(|(&i, a)| (a.1 as i32 + i as i32 * a.2) as usize).collect();
                x[at(&dims, &from)]
            })
            .collect();
        prop_assert_eq!(as_i8(&p.run(&[i8s(&x)]).unwrap()), want);
    }

    #[test]
    fn gather_equals_index_arithmetic(
        dims in shape(4).prop_filter("room for the indices", |d| d.len() <= 5),
        axis in any::<prop::sample::Index>(),
        picks in prop::collection::vec(any::<i64>(), 1..5),
    ) {
        let axis = axis.index(dims.len());
        let size = dims[axis] as i64;
        let picks: Vec<i64> = picks.iter().map(|p| p.rem_euclid(2 * size) - size).collect();
        let mut out = dims.clone();
        out[axis] = picks.len() as u32;
        let indexes = [picks.len() as u32];
        let p = single(
            (Op::Gather, Format::Any),
            &[(DType::I8, &dims), (DType::I64, &indexes)],
            &[(DType::I8, &out)],
            |_| (params(Gather { axis: axis as u32 }), 0),
        );
        let x = codes(product(&dims));
        let want: Vec<i8> = indices(&out)
            .iter()
            .map(|index| {
                let mut from = index.clone();
                from[axis] = picks[index[axis]].rem_euclid(size) as usize;
                x[at(&dims, &from)]
            })
            .collect();
        prop_assert_eq!(as_i8(&p.run(&[i8s(&x), bytemuck::cast_slice(&picks)]).unwrap()), want);
    }

    #[test]
    fn broadcasts_equal_index_arithmetic((a, b, out) in broadcasting()) {
        let (x, z) = (codes(product(&a)), codes(product(&b) + 3)[3..].to_vec());
        let pairs: Vec<(i8, i8)> = indices(&out).iter().map(|i| (x[at(&a, i)], z[at(&b, i)])).collect();

        let add = AddI8 { m1: 1, m2: -1, c: 0, s: 0, lo: -128, hi: 127 };
        let shapes = [(DType::I8, &a[..]), (DType::I8, &b)];
        let p = single((Op::Add, Format::I8), &shapes, &[(DType::I8, &out)], |_| (params(add), 0));
        let want: Vec<i8> = pairs.iter().map(|&(x, z)| x.saturating_sub(z)).collect();
        prop_assert_eq!(as_i8(&p.run(&[i8s(&x), i8s(&z)]).unwrap()), &want[..]);
        for (side, dims) in [(0, &a), (1, &b)] {
            if product(dims) == product(&out) {
                let mut p = p.clone();
                p.in_place(side);
                prop_assert_eq!(as_i8(&p.run(&[i8s(&x), i8s(&z)]).unwrap()), &want[..]);
            }
        }

        // Scale one: shifted left by 2, then 2^30 / 2^32.
        let mul =
            MulI8 { zero_point: [3, -5], multiplier: 1 << 30, shift: -1, output_zero_point: 0, lo: -128, hi: 127 };
        let p = single((Op::Mul, Format::I8), &shapes, &[(DType::I8, &out)], |_| (params(mul), 0));
        let want: Vec<i8> =
            pairs.iter().map(|&(x, z)| ((x as i32 - 3) * (z as i32 + 5)).clamp(-128, 127) as i8).collect();
        prop_assert_eq!(as_i8(&p.run(&[i8s(&x), i8s(&z)]).unwrap()), want);

        let real = |v: &[i8]| v.iter().map(|&v| v as f32).collect::<Vec<_>>();
        let div = Binary { kind: binary::DIV, lo: -50.0, hi: 60.0 };
        let shapes = [(DType::F32, &a[..]), (DType::F32, &b)];
        let p = single((Op::Binary, Format::F32), &shapes, &[(DType::F32, &out)], |_| (params(div), 0));
        let y = as_f32(&p.run(&[f32s(&real(&x)), f32s(&real(&z))]).unwrap());
        for (y, (x, z)) in y.iter().zip(pairs) {
            let want = (x as f32 / z as f32).clamp(-50.0, 60.0);
            prop_assert!(*y == want || (y.is_nan() && want.is_nan()));
        }
    }

    #[test]
    fn concat_equals_index_arithmetic(
        dims in shape(3),
        axis in any::<prop::sample::Index>(),
        lengths in prop::collection::vec(1u32..=3, 1..12),
    ) {
        let axis = axis.index(dims.len());
        let parts: Vec<Vec<u32>> = lengths
            .iter()
            .map(|&n| {
                let mut part = dims.clone();
                part[axis] = n;
                part
            })
            .collect();
        let mut out = dims.clone();
        out[axis] = lengths.iter().sum();
        let inputs: Vec<(DType, &[u32])> = parts.iter().map(|d| (DType::I8, &d[..])).collect();
        let p = single((Op::Concat, Format::Any), &inputs, &[(DType::I8, &out)], |_| {
            (params(Concat { axis: axis as u32 }), 0)
        });
        let data: Vec<Vec<i8>> = parts.iter().enumerate().map(|(i, d)| vec![i as i8; product(d)]).collect();
        let bytes: Vec<&[u8]> = data.iter().map(|d| i8s(d)).collect();
        let owner: Vec<usize> = lengths.iter().enumerate().flat_map(|(i, &n)| vec![i; n as usize]).collect();
        let want: Vec<i8> = indices(&out).iter().map(|i| owner[i[axis]] as i8).collect();
        prop_assert_eq!(as_i8(&p.run(&bytes).unwrap()), want);
    }
}
