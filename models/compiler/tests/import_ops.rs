//! What single operators and quantization patterns become. Oracle: the ONNX
//! operator texts, by hand.
mod common;

use common::*;
use selvedge_compiler::graph::{ActQuant, Binary, DType, Graph, Op, Unary, Value};
use selvedge_compiler::import::{ImportOptions, float_twin, import_onnx_bytes};
use tract_onnx::pb::*;

fn import(opset: i64, g: GraphProto) -> Graph {
    import_onnx_bytes(&encode(&model(opset, g)), &ImportOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

/// One float input `x` of shape `dims` and one float output `y`.
fn simple(opset: i64, dims: &[i64], nodes: Vec<NodeProto>, init: Vec<TensorProto>) -> Graph {
    import(opset, graph(vec![info("x", 1, dims)], vec![info("y", 1, &[])], nodes, init))
}

fn ops(g: &Graph) -> Vec<Op> {
    g.nodes.iter().map(|n| n.op.clone()).collect()
}

fn input(g: &Graph, node: usize, i: usize) -> &Value {
    g.value(g.nodes[node].inputs[i].unwrap())
}

#[test]
fn ceil_mode_pools_count_only_stated_pads() {
    let attributes = |count| {
        vec![
            ints("kernel_shape", &[2, 2]),
            ints("strides", &[2, 2]),
            ints("pads", &[1, 1, 0, 0]),
            int("ceil_mode", 1),
            int("count_include_pad", count),
        ]
    };
    let pool = |count| simple(19, &[1, 1, 4, 4], vec![node("AveragePool", &["x"], &["y"], attributes(count))], vec![]);
    let g = pool(0);
    let Op::AvgPool { window, count_include_pad: false, .. } = g.nodes[0].op else { panic!("{:?}", ops(&g)) };
    assert_eq!(window.pads, [1, 1, 1, 1]);
    let g = pool(1);
    assert_eq!(g.nodes[0].op, Op::Pad { begin: vec![0, 0, 1, 1], end: vec![0; 4], value: 0.0 });
    let Op::AvgPool { window, count_include_pad: false, .. } = g.nodes[1].op else { panic!("{:?}", ops(&g)) };
    assert_eq!(window.pads, [0, 0, 1, 1]);
    assert_eq!(g.value(g.outputs[0]).shape, [1, 1, 3, 3]);
}

#[test]
fn same_padding_puts_the_odd_cell_where_it_belongs() {
    for (mode, pads) in [("SAME_UPPER", [0, 0, 1, 1]), ("SAME_LOWER", [1, 1, 0, 0])] {
        let n = node("Conv", &["x", "w"], &["y"], vec![string("auto_pad", mode)]);
        let g = simple(17, &[1, 1, 4, 4], vec![n], vec![f32s("w", &[1, 1, 2, 2], &[1.0; 4])]);
        let Op::Conv { window, .. } = g.nodes[0].op else { panic!("{:?}", ops(&g)) };
        assert_eq!(window.pads, pads, "{mode}");
    }
}

#[test]
fn one_dimensional_convolutions_become_two_dimensional_and_keep_codes() {
    let nodes = vec![
        node("DequantizeLinear", &["w", "s"], &["d"], vec![int("axis", 0)]),
        node("Conv", &["x", "d"], &["y"], vec![ints("strides", &[2]), ints("pads", &[1, 0])]),
    ];
    let init = vec![codes("w", 3, &[2, 1, 3], &[1, 2, 3, 4, 5, 6]), f32s("s", &[2], &[0.5, 0.25])];
    let g = simple(17, &[1, 1, 6], nodes, init);
    assert!(matches!(ops(&g)[..], [Op::Reshape, Op::Conv { .. }, Op::Reshape]));
    let Op::Conv { window, .. } = g.nodes[1].op else { unreachable!() };
    assert_eq!((window.kernel, window.stride, window.pads), ([1, 3], [1, 2], [0, 1, 0, 0]));
    let w = input(&g, 1, 1);
    assert_eq!((w.shape.as_slice(), w.codes.as_ref().unwrap().axis), (&[2, 1, 1, 3][..], 0));
    assert_eq!(w.f32s().unwrap(), [0.5, 1.0, 1.5, 1.0, 1.25, 1.5]);
    assert_eq!(g.value(g.outputs[0]).shape, [1, 2, 3]);
}

#[test]
fn softmax_flattens_before_operator_set_13() {
    let n = || vec![node("Softmax", &["x"], &["y"], vec![int("axis", 1)])];
    let g = simple(11, &[2, 3, 4], n(), vec![]);
    assert_eq!(ops(&g), [Op::Reshape, Op::Softmax { axis: 1 }, Op::Reshape]);
    assert_eq!(g.value(g.nodes[0].outputs[0]).shape, [2, 12]);
    assert_eq!(ops(&simple(13, &[2, 3, 4], n(), vec![])), [Op::Softmax { axis: 1 }]);
}

#[test]
fn gemm_folds_alpha_and_beta_into_constants() {
    let n = node("Gemm", &["x", "w", "c"], &["y"], vec![float("alpha", 2.0), float("beta", 0.5), int("transB", 0)]);
    let init = vec![f32s("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), f32s("c", &[1, 3], &[2.0, 4.0, 6.0])];
    let g = simple(17, &[1, 2], vec![n], init);
    assert_eq!(ops(&g), [Op::Dense { clamp: None }]);
    assert_eq!(input(&g, 0, 1).f32s().unwrap(), [2.0, 8.0, 4.0, 10.0, 6.0, 12.0]);
    assert_eq!((input(&g, 0, 2).shape.as_slice(), input(&g, 0, 2).f32s().unwrap()), (&[3][..], &[1.0, 2.0, 3.0][..]));
}

#[test]
fn blocked_int4_weights_follow_transposes() {
    // [N, K] in the file, transposed for MatMul, as PyTorch exports it.
    let nodes = vec![
        node("DequantizeLinear", &["w", "s"], &["d"], vec![int("axis", 1), int("block_size", 2)]),
        node("Transpose", &["d"], &["t"], vec![]),
        node("MatMul", &["x", "t"], &["y"], vec![]),
    ];
    let init = vec![codes("w", 22, &[2, 4], &[0x21, 0x43, 0x65, 0xf7]), f32s("s", &[2, 2], &[1.0, 2.0, 3.0, 4.0])];
    let g = simple(21, &[1, 4], nodes, init);
    assert_eq!(ops(&g), [Op::Dense { clamp: None }]);
    let w = input(&g, 0, 1);
    let c = w.codes.as_ref().unwrap();
    assert_eq!((c.bits, c.axis, c.block), (4, 1, 2));
    assert_eq!(c.codes, [1, 2, 3, 4, 5, 6, 7, -1]);
    assert_eq!(c.scales, [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(w.f32s().unwrap(), [1.0, 2.0, 6.0, 8.0, 15.0, 18.0, 28.0, -4.0]);
}

#[test]
fn unsigned_grids_are_shifted() {
    for (elem, zero, expected, bits, unsigned) in
        [(2, 200, 72, 8, true), (3, -5, -5, 8, false), (4, 32768, 0, 16, true), (5, 7, 7, 16, false)]
    {
        let nodes = vec![
            node("QuantizeLinear", &["x", "s", "z"], &["q"], vec![]),
            node("DequantizeLinear", &["q", "s", "z"], &["d"], vec![]),
            node("Relu", &["d"], &["y"], vec![]),
        ];
        let g = simple(21, &[3], nodes, vec![f32s("s", &[], &[0.5]), codes("z", elem, &[], &[zero])]);
        assert_eq!(ops(&g), [Op::FakeQuant, Op::Unary(Unary::Relu)]);
        let quant = g.value(g.nodes[0].outputs[0]).quant;
        assert_eq!(quant, Some(ActQuant { scale: 0.5, zero_point: expected, bits, unsigned }));
    }
}

/// s = 0.5, z = 3 (uint8).
fn grid() -> Vec<TensorProto> {
    vec![f32s("s", &[], &[0.5]), codes("z", 2, &[], &[3])]
}

#[test]
fn integers_that_only_move_stay_on_their_grid() {
    let nodes = vec![
        node("Transpose", &["x"], &["t"], vec![ints("perm", &[0, 3, 1, 2])]),
        node("MaxPool", &["t"], &["p"], vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]),
        node("Pad", &["p", "pads"], &["f"], vec![]),
        node("DequantizeLinear", &["f", "s", "z"], &["a"], vec![]),
        node("DequantizeLinear", &["f", "s", "z"], &["b"], vec![]),
        node("Add", &["a", "b"], &["sum"], vec![]),
        node("QuantizeLinear", &["sum", "s", "z"], &["y"], vec![]),
    ];
    let mut init = grid();
    init.push(i64s("pads", &[8], &[0, 0, 1, 0, 0, 0, 0, 0]));
    let g = import(19, graph(vec![info("x", 2, &[1, 4, 4, 2])], vec![info("y", 2, &[])], nodes, init));
    let q = Some(ActQuant { scale: 0.5, zero_point: -125, bits: 8, unsigned: true });
    let (x, y) = (g.value(g.inputs[0]), g.value(g.outputs[0]));
    assert_eq!((x.dtype, x.quant, x.io_dtype), (DType::F32, q, Some(DType::U8)));
    assert_eq!((y.dtype, y.quant, y.io_dtype), (DType::F32, q, Some(DType::U8)));
    assert!(matches!(
        ops(&g)[..],
        [Op::Transpose { .. }, Op::MaxPool { .. }, Op::Pad { value: -1.5, .. }, Op::Binary { .. }, Op::FakeQuant]
    ));
    for n in &g.nodes[..3] {
        assert_eq!(g.value(n.outputs[0]).quant, q);
    }
    assert_eq!(g.nodes[3].inputs[0], g.nodes[3].inputs[1]);
}

#[test]
fn one_grid_can_leave_as_integers_and_as_floats() {
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "z"], &["q"], vec![]),
        node("DequantizeLinear", &["q", "s", "z"], &["y"], vec![]),
    ];
    let g = import(19, graph(vec![info("x", 1, &[2])], vec![info("q", 2, &[2]), info("y", 1, &[2])], nodes, grid()));
    let names: Vec<&str> = g.outputs.iter().map(|&o| g.value(o).name.as_str()).collect();
    let types: Vec<_> = g.outputs.iter().map(|&o| g.value(o).io_dtype).collect();
    assert_eq!((names.as_slice(), types.as_slice()), (&["q", "y"][..], &[Some(DType::U8), None][..]));
    assert_eq!(ops(&g), [Op::FakeQuant, Op::Reshape]);
}

#[test]
fn integers_without_a_grid_stay_integers() {
    let n = vec![node("MatMulInteger", &["x", "w", "z"], &["y"], vec![])];
    let init = vec![codes("w", 3, &[2, 1], &[1, -2]), codes("z", 2, &[], &[3])];
    let g = import(19, graph(vec![info("x", 2, &[1, 2])], vec![info("y", 6, &[1, 1])], n, init));
    assert_eq!(ops(&g), [Op::MatMulInteger]);
    assert_eq!((g.value(g.inputs[0]).dtype, g.value(g.outputs[0]).dtype), (DType::U8, DType::I32));
    assert_eq!(input(&g, 0, 1).dtype, DType::I8);
}

#[test]
fn quantized_operators_keep_weight_and_bias_codes() {
    let inputs = ["x", "s", "z", "w", "ws", "wz", "b", "s", "z"];
    let qgemm = NodeProto { domain: "com.microsoft".into(), ..node("QGemm", &inputs, &["y"], vec![int("transB", 1)]) };
    let mut init = grid();
    init.extend([
        codes("w", 3, &[2, 3], &[1, 2, 3, 4, 5, 6]),
        f32s("ws", &[2], &[0.5, 0.25]),
        codes("wz", 3, &[2], &[0, 0]),
        codes("b", 6, &[2], &[100, -100]),
    ]);
    let g = import(17, graph(vec![info("x", 2, &[1, 3])], vec![info("y", 2, &[])], vec![qgemm], init.clone()));
    assert_eq!(ops(&g), [Op::Dense { clamp: None }, Op::FakeQuant]);
    let w = input(&g, 0, 1).codes.as_ref().unwrap();
    assert_eq!((w.axis, w.scales.as_slice(), w.codes.as_slice()), (0, &[0.5, 0.25][..], &[1, 2, 3, 4, 5, 6][..]));
    let b = input(&g, 0, 2).codes.as_ref().unwrap();
    assert_eq!((b.bits, b.scales.as_slice(), b.codes.as_slice()), (32, &[0.25, 0.125][..], &[100, -100][..]));
    assert_eq!(input(&g, 0, 2).f32s().unwrap(), [25.0, -12.5]);

    let product = node("QLinearMatMul", &["x", "s", "z", "m", "ws", "wz", "s", "z"], &["y"], vec![]);
    init.push(codes("m", 3, &[3, 2], &[1, 2, 3, 4, 5, 6]));
    let g = import(17, graph(vec![info("x", 2, &[1, 3])], vec![info("y", 2, &[])], vec![product], init));
    let w = input(&g, 0, 1).codes.as_ref().unwrap();
    assert_eq!((w.axis, w.scales.len(), w.codes.as_slice()), (0, 2, &[1, 3, 5, 2, 4, 6][..]));
}

#[test]
fn quantizing_a_constant_gives_codes() {
    let nodes = vec![
        node("QuantizeLinear", &["w", "s", "z"], &["q"], vec![]),
        node("DequantizeLinear", &["q", "s", "z"], &["d"], vec![]),
        node("Mul", &["x", "d"], &["y"], vec![]),
    ];
    let mut init = grid();
    init.push(f32s("w", &[4], &[0.25, 0.75, -9.0, 999.0]));
    let g = simple(19, &[4], nodes, init);
    let d = input(&g, 0, 1);
    assert_eq!(d.codes.as_ref().unwrap().codes, [3, 5, 0, 255]);
    assert_eq!(d.f32s().unwrap(), [0.0, 1.0, -1.5, 126.0]);
}

#[test]
fn shape_chains_fold() {
    let nodes = vec![
        node("Shape", &["x"], &["sh"], vec![]),
        node("Gather", &["sh", "zero"], &["n"], vec![int("axis", 0)]),
        node("Unsqueeze", &["n", "axes"], &["n1"], vec![]),
        node("Concat", &["n1", "rest"], &["to"], vec![int("axis", 0)]),
        node("Reshape", &["x", "to"], &["r"], vec![]),
        node("Shape", &["r"], &["rs"], vec![]),
        node("ConstantOfShape", &["rs"], &["zeros"], vec![]),
        node("Add", &["r", "zeros"], &["a"], vec![]),
        node("Expand", &["a", "wide"], &["y"], vec![]),
    ];
    let init = vec![
        i64s("zero", &[], &[0]),
        i64s("axes", &[1], &[0]),
        i64s("rest", &[2], &[1, -1]),
        i64s("wide", &[3], &[1, 2, 1]),
    ];
    let g = simple(13, &[3, 2, 2], nodes, init);
    assert!(matches!(
        ops(&g)[..],
        [Op::Reshape, Op::Binary { kind: Binary::Add, .. }, Op::Binary { kind: Binary::Mul, .. }]
    ));
    assert_eq!(g.value(g.outputs[0]).shape, [3, 2, 4]);
}

#[test]
fn slices_split_and_variadic_operators() {
    let nodes = vec![
        node("Slice", &["x", "starts", "ends", "axes", "steps"], &["a"], vec![]),
        node("Split", &["x", "parts"], &["b", "c"], vec![int("axis", 1)]),
        node("Max", &["a", "b", "c"], &["y"], vec![]),
    ];
    let init = vec![
        i64s("starts", &[1], &[-1]),
        i64s("ends", &[1], &[i64::MIN]),
        i64s("axes", &[1], &[1]),
        i64s("steps", &[1], &[-2]),
        i64s("parts", &[2], &[2, 2]),
    ];
    let g = simple(13, &[1, 4], nodes, init);
    let max = Op::Binary { kind: Binary::Max, clamp: None };
    assert_eq!(
        ops(&g),
        [
            Op::Slice { start: vec![0, 3], step: vec![1, -2] },
            Op::Slice { start: vec![0, 0], step: vec![1, 1] },
            Op::Slice { start: vec![0, 2], step: vec![1, 1] },
            max.clone(),
            max
        ]
    );
}

#[test]
fn the_float_twin_has_no_quantization_and_gives_named_values() {
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "z"], &["q"], vec![]),
        node("DequantizeLinear", &["q", "s", "z"], &["d"], vec![]),
        node("Relu", &["d"], &["r"], vec![]),
        node("Neg", &["r"], &["y"], vec![]),
    ];
    let m = model(19, graph(vec![info("x", 1, &[-1, 2])], vec![info("y", 1, &[])], nodes, grid()));
    let twin = float_twin(&encode(&m), &ImportOptions::default()).unwrap();
    let x = (vec![1, 2], vec![0.3, -7.0]);
    assert_eq!(twin.run(std::slice::from_ref(&x)).unwrap(), [("y".to_string(), vec![1, 2], vec![-0.3, 0.0])]);
    let values = twin.run_values(std::slice::from_ref(&x), &["q", "r"]).unwrap();
    assert_eq!((values[0].2.as_slice(), values[1].2.as_slice()), (&[0.3, -7.0][..], &[0.3, 0.0][..]));
    assert!(twin.run(&[]).is_err());
}
