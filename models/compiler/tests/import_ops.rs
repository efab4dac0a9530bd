//! What single operators and quantization patterns become. Oracle: the ONNX
//! operator texts, by hand.
mod common;

use common::*;
use selvedge_compiler::graph::{ActQuant, Binary, DType, Graph, Layout, Op, Unary, Value};
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
    assert!(matches!(ops(&g)[..], [Op::Reshape, Op::Binary { kind: Binary::Add, .. }, Op::Expand]));
    assert_eq!(g.value(g.outputs[0]).shape, [3, 2, 4]);
}

#[test]
fn expanded_integers_are_cast_small() {
    let nodes = vec![
        node("Expand", &["m", "wide"], &["e"], vec![]),
        node("Cast", &["e"], &["c"], vec![int("to", 1)]),
        node("Mul", &["x", "c"], &["y"], vec![]),
    ];
    let inputs = vec![info("x", 1, &[2, 3, 4]), info("m", 7, &[3, 1])];
    let g = import(13, graph(inputs, vec![info("y", 1, &[])], nodes, vec![i64s("wide", &[3], &[2, 1, 4])]));
    let mul = Op::Binary { kind: Binary::Mul, clamp: None };
    assert_eq!(ops(&g), [Op::Reshape, Op::Expand, Op::Cast, mul]);
    assert_eq!(input(&g, 3, 1).shape, [2, 3, 4]);
}

#[test]
fn tables_take_computed_indices_of_both_widths() {
    for elem in [6, 7] {
        let nodes = vec![node("Gather", &["t", "i"], &["e"], vec![]), node("Mul", &["e", "x"], &["y"], vec![])];
        let inputs = vec![info("x", 1, &[2, 2]), info("i", elem, &[2])];
        let table = f32s("t", &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let g = import(17, graph(inputs, vec![info("y", 1, &[])], nodes, vec![table]));
        assert_eq!(ops(&g)[0], Op::Gather { axis: 0 });
        assert_eq!(input(&g, 0, 1).dtype, if elem == 6 { DType::I32 } else { DType::I64 });
    }
}

#[test]
fn masks_choose_between_numbers_and_tensors() {
    let m = || vec![info("x", 1, &[2, 3]), info("m", 7, &[1, 3])];
    let numbers = || vec![f32s("low", &[], &[f32::MIN]), f32s("zero", &[1], &[0.0])];
    let add = Op::Binary { kind: Binary::Add, clamp: None };
    for (yes, no) in [("low", "zero"), ("low", "x"), ("x", "low"), ("x", "zero")] {
        let nodes = vec![
            node("Cast", &["m"], &["c"], vec![int("to", 9)]),
            node("Where", &["c", yes, no], &["w"], vec![]),
            node("Add", &["w", "x"], &["y"], vec![]),
        ];
        let g = import(17, graph(m(), vec![info("y", 1, &[])], nodes, numbers()));
        assert_eq!(ops(&g), [Op::Cast, Op::Select, add.clone()]);
    }
}

#[test]
fn layer_normalization_over_the_last_axes() {
    let norm = |inputs: &[&str], attributes| vec![node("LayerNormalization", inputs, &["y"], attributes)];
    let init = |n: i64| vec![f32s("g", &[n], &vec![2.0; n as usize]), f32s("b", &[1], &[0.5])];
    let epsilon = float("epsilon", 1e-3);
    let g = simple(17, &[2, 3, 4], norm(&["x", "g", "b"], vec![epsilon]), init(4));
    assert_eq!(ops(&g), [Op::LayerNorm { epsilon: 1e-3 }]);
    assert_eq!(input(&g, 0, 2).f32s().unwrap(), [0.5; 4]);
    let g = simple(17, &[2, 3, 4], norm(&["x", "g"], vec![int("axis", 1)]), init(12));
    assert_eq!(ops(&g), [Op::Reshape, Op::LayerNorm { epsilon: 1e-5 }, Op::Reshape]);
    assert_eq!((input(&g, 1, 0).shape.as_slice(), input(&g, 1, 2).f32s().unwrap()), (&[2, 12][..], &[0.0; 12][..]));
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

#[test]
fn group_and_instance_normalization_are_one_operator() {
    let of = |op: &str, opset: i64, dims: &[i64], attributes: Vec<AttributeProto>, parameters: usize| {
        let values: Vec<f32> = (0..parameters).map(|i| 1.0 + i as f32).collect();
        let init = ["s", "b"].map(|name| f32s(name, &[parameters as i64], &values)).to_vec();
        simple(opset, dims, vec![node(op, &["x", "s", "b"], &["y"], attributes)], init)
    };
    let wanted = |groups, epsilon| Op::GroupNorm { groups, epsilon, layout: Layout::Nchw, clamp: None };
    // By channel, and before operator set 21 by group.
    let g = of("GroupNormalization", 21, &[2, 4, 3, 5], vec![int("num_groups", 2)], 4);
    assert_eq!(ops(&g), [wanted(2, 1e-5)]);
    assert_eq!(input(&g, 0, 1).f32s().unwrap(), [1.0, 2.0, 3.0, 4.0]);
    let g = of("GroupNormalization", 18, &[2, 4, 3, 5], vec![int("num_groups", 2), float("epsilon", 0.25)], 2);
    assert_eq!(ops(&g), [wanted(2, 0.25)]);
    assert_eq!(input(&g, 0, 2).f32s().unwrap(), [1.0, 1.0, 2.0, 2.0]);
    let g = of("InstanceNormalization", 17, &[1, 3, 7], vec![], 3);
    assert_eq!(ops(&g), [Op::Reshape, wanted(3, 1e-5), Op::Reshape]);
    assert_eq!(g.value(g.outputs[0]).shape, [1, 3, 7]);
    let g = of("InstanceNormalization", 17, &[1, 2, 2, 3, 4], vec![], 2);
    assert_eq!(g.value(g.nodes[1].inputs[0].unwrap()).shape, [1, 2, 1, 24]);
}

#[test]
fn group_normalizations_that_do_not_fit_are_refused_by_name() {
    let refused = |attributes: Vec<AttributeProto>, parameters: i64| {
        let init = ["s", "b"].map(|name| f32s(name, &[parameters], &vec![1.0; parameters as usize])).to_vec();
        let n = node("GroupNormalization", &["x", "s", "b"], &["y"], attributes);
        let g = graph(vec![info("x", 1, &[1, 4, 3, 3])], vec![info("y", 1, &[])], vec![n], init);
        import_onnx_bytes(&encode(&model(21, g)), &ImportOptions::default()).expect_err("refused").to_string()
    };
    for (attributes, parameters, reason) in [
        (vec![int("num_groups", 3)], 4, "num_groups 3 does not divide 4 channels"),
        (vec![], 4, "num_groups"),
        (vec![int("num_groups", 2)], 3, "parameter `s` of shape [3] for 4 channels in 2 groups"),
        (vec![int("num_groups", 2), float("epsilon", -1.0)], 4, "epsilon is -1"),
        (vec![int("num_groups", 2), int("stash_type", 11)], 4, "double precision"),
    ] {
        let found = refused(attributes, parameters);
        assert!(found.contains(reason), "{found}");
    }
}

/// Weight standardization on constant weights, spelled out as PyTorch and tf2onnx export it; the
/// small number inside of the root or added behind it, the deviation by N or by N − 1.
#[test]
fn standardized_weights_become_constants() {
    for (inside, unbiased, reduce_by_input) in
        [(true, false, false), (false, false, false), (false, true, true), (true, true, true)]
    {
        let (n, k) = (3usize, 2 * 3 * 3);
        let w: Vec<f32> = (0..n * k).map(|i| ((i * 37 + 11) % 23) as f32 / 7.0 - 1.5).collect();
        let axes = [1i64, 2, 3];
        let mean = |x: &str, y: &str| {
            if reduce_by_input {
                node("ReduceMean", &[x, "axes"], &[y], vec![int("keepdims", 1)])
            } else {
                node("ReduceMean", &[x], &[y], vec![ints("axes", &axes), int("keepdims", 1)])
            }
        };
        let mut nodes = vec![mean("w", "m"), node("Sub", &["w", "m"], &["d"], vec![])];
        nodes.push(if inside {
            node("Mul", &["d", "d"], &["d2"], vec![])
        } else {
            node("Pow", &["d", "two"], &["d2"], vec![])
        });
        nodes.push(mean("d2", "v0"));
        nodes.push(node("Mul", &["v0", "bessel"], &["v"], vec![]));
        if inside {
            nodes.push(node("Add", &["v", "eps"], &["ve"], vec![]));
            nodes.push(node("Sqrt", &["ve"], &["sd"], vec![]));
        } else {
            nodes.push(node("Sqrt", &["v"], &["s"], vec![]));
            nodes.push(node("Add", &["s", "eps"], &["sd"], vec![]));
        }
        nodes.push(node("Div", &["d", "sd"], &["hat"], vec![]));
        nodes.push(node("Conv", &["x", "hat"], &["y"], vec![ints("pads", &[1, 1, 1, 1])]));
        let bessel = if unbiased { k as f32 / (k as f32 - 1.0) } else { 1.0 };
        let init = vec![
            f32s("w", &[3, 2, 3, 3], &w),
            f32s("two", &[], &[2.0]),
            f32s("bessel", &[], &[bessel]),
            f32s("eps", &[], &[1e-3]),
            i64s("axes", &[3], &axes),
        ];
        let opset = if reduce_by_input { 18 } else { 17 };
        let g = simple(opset, &[1, 2, 5, 5], nodes, init);
        assert_eq!(g.nodes.len(), 1, "{:?}", ops(&g));
        let hat = input(&g, 0, 1).f32s().expect("constant weights");
        for (row, hat) in w.chunks(k).zip(hat.chunks(k)) {
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / k as f64;
            let variance =
                row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / k as f64 * f64::from(bessel);
            let deviation = if inside { (variance + 1e-3).sqrt() } else { variance.sqrt() + 1e-3 };
            for (&w, &found) in row.iter().zip(hat) {
                let want = (f64::from(w) - mean) / deviation;
                assert!((f64::from(found) - want).abs() <= 1e-5, "{found}, expected {want}");
            }
        }
    }
}
