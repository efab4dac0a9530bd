//! Add, Sub, Mul, tables, softmax.

use super::*;
use selvedge_core::OpCode;

fn binary(kind: Binary) -> Op {
    Op::Binary { kind, clamp: None }
}

#[test]
fn sums_and_products_stay_within_one_step() {
    let (ga, gb, gy) = ((0.07f32, -128), (0.21f32, 30), (0.23f32, -50));
    for (kind, gy) in [(Binary::Add, gy), (Binary::Sub, gy), (Binary::Mul, (1.7f32, 3))] {
        for shape_b in [vec![1, 8, 8, 4], vec![4]] {
            let mut b = Build::new(2);
            let (x, z) = (b.input(&[1, 8, 8, 4], ga.0, ga.1), b.input(&shape_b, gb.0, gb.1));
            let y = b.node(binary(kind), &[x, z], &[1, 8, 8, 4], Some(gy));
            b.output(y);
            let n: usize = shape_b.iter().product();
            let (qa, qb) = (b.codes(256, -128, 127), b.codes(n, -128, 127));
            let (ra, rb) = (reals(&qa, ga.0, ga.1), reals(&qb, gb.0, gb.1));
            let real = ra.iter().enumerate().map(|(i, a)| match kind {
                Binary::Add => a + rb[i % n],
                Binary::Sub => a - rb[i % n],
                _ => a * rb[i % n],
            });
            let real: Vec<f64> = real.collect();
            assert_within(&run_int(&b.graph, &[qa, qb]), real, gy, (-128, 127), 0.501);
        }
    }
}

#[test]
fn adding_a_value_to_itself_needs_no_second_buffer() {
    let mut b = Build::new(2);
    let x = b.input(&[1, 16], 0.1, 5);
    let y = b.node(binary(Binary::Add), &[x, x], &[1, 16], Some((0.2, 0)));
    b.output(y);
    let q = b.codes(16, -128, 127);
    let real: Vec<f64> = reals(&q, 0.1, 5).iter().map(|x| x + x).collect();
    assert_within(&run_int(&b.graph, &[q]), real, (0.2, 0), (-128, 127), 0.501);
}

#[test]
fn functions_of_one_value_are_tables() {
    let mut b = Build::new(3);
    let x = b.input(&[256], 0.04, -3);
    let half = b.constant(&[], Constant::F32(vec![0.5]));
    let h = b.node(Op::Unary(Unary::Sigmoid), &[x], &[256], Some((1.0 / 256.0, -128)));
    let y = b.node(binary(Binary::Sub), &[half, h], &[256], Some((0.004, 0)));
    b.output(y);
    let lowered = program(&b.graph, true);
    assert!(lowered.steps.iter().all(|step| step.op == OpCode::Table));
    // The second table runs in place; the first may since the input is dead.
    assert!(lowered.steps.iter().all(|step| step.in_place == Some(0)));
    let q: Vec<i32> = (-128..128).collect();
    let s: Vec<f64> = reals(&q, 0.04, -3).iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect();
    let grid = |v: f64| ((v * 256.0).round_ties_even() - 128.0).clamp(-128.0, 127.0);
    let real = s.iter().map(|&v| 0.5 - (grid(v) + 128.0) / 256.0);
    assert_rounded(&run_int(&b.graph, &[q]), real, (0.004, 0), (-128, 127));
}

#[test]
fn softmax_over_any_axis_stays_within_one_step() {
    for axis in [0, 1, 2] {
        let shape = [3, 4, 5];
        let mut b = Build::new(4);
        let x = b.input(&shape, 0.09, 4);
        let y = b.node(Op::Softmax { axis }, &[x], &shape, Some((1.0 / 256.0, -128)));
        b.output(y);
        let q = b.codes(60, -128, 127);
        let r = reals(&q, 0.09, 4);
        let stride: usize = shape[axis + 1..].iter().product();
        let real = (0..60).map(|i| {
            let first = i - i / stride % shape[axis] * stride;
            let sum: f64 = (0..shape[axis]).map(|j| r[first + j * stride].exp()).sum();
            r[i].exp() / sum
        });
        assert_within(&run_int(&b.graph, std::slice::from_ref(&q)), real, (1.0 / 256.0, -128), (-128, 127), 0.51);
    }
}

#[test]
fn a_changed_grid_is_a_table() {
    let mut b = Build::new(5);
    let x = b.input(&[256], 0.04, -3);
    let y = b.node(Op::FakeQuant, &[x], &[256], Some((0.1, 7)));
    b.output(y);
    let q: Vec<i32> = (-128..128).collect();
    let real = reals(&q, 0.04, -3);
    assert_rounded(&run_int(&b.graph, &[q]), real, (0.1, 7), (-128, 127));
}
