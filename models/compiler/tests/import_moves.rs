//! Movement, gathers and scatters, pools, convolutions, Einsum and Resize, imported and run. Oracle: the formulas
//! and examples of the ONNX operator texts, as loops over all indices, in f64.
mod common;

use common::*;
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::import::{ImportOptions, import_onnx_bytes};
use selvedge_compiler::load;
use selvedge_compiler::simulate::{SimMode, Simulator};
use tract_onnx::pb::*;

/// Runs one node at operator set 19 on inputs `x0`, `x1`, …; the results are `y0`, ….
fn run(
    op: &str,
    attributes: Vec<AttributeProto>,
    inputs: &[(&[i64], ArrayData)],
    init: Vec<TensorProto>,
) -> Vec<ArrayData> {
    run_to(op, attributes, inputs, init, 1)
}

fn run_to(
    op: &str,
    attributes: Vec<AttributeProto>,
    inputs: &[(&[i64], ArrayData)],
    init: Vec<TensorProto>,
    outputs: usize,
) -> Vec<ArrayData> {
    let names: Vec<String> =
        (0..inputs.len()).map(|i| format!("x{i}")).chain(init.iter().map(|t| t.name.clone())).collect();
    let results: Vec<String> = (0..outputs).map(|i| format!("y{i}")).collect();
    let of =
        |names: &[String]| names.iter().map(|n| if n.starts_with('_') { String::new() } else { n.clone() }).collect();
    let node = NodeProto {
        op_type: op.into(),
        name: "n".into(),
        input: of(&names),
        output: of(&results),
        attribute: attributes,
        ..Default::default()
    };
    let code = |data: &ArrayData| match data {
        ArrayData::F32(_) => 1,
        ArrayData::U8(_) => 2,
        ArrayData::I8(_) => 3,
        ArrayData::I64(_) => 7,
        _ => panic!("an input of another type"),
    };
    let infos = inputs.iter().enumerate().map(|(i, (dims, data))| info(&format!("x{i}"), code(data), dims)).collect();
    let out = results.iter().map(|y| info(y, 0, &[])).collect();
    let init = init.into_iter().filter(|t| !t.name.starts_with('_')).collect();
    let bytes = encode(&common::model(19, graph(infos, out, vec![node], init)));
    let graph = load(&bytes, &ImportOptions::default()).unwrap_or_else(|e| panic!("{op}: {e}"));
    let mut simulator = Simulator::new(&graph, SimMode::Float).unwrap_or_else(|e| panic!("{op}: {e}"));
    let data: Vec<ArrayData> = inputs.iter().map(|(_, data)| data.clone()).collect();
    simulator
        .run(&data, &mut |_, _, _| {})
        .unwrap_or_else(|e| panic!("{op}: {e}"))
        .into_iter()
        .map(|o| o.data)
        .collect()
}

/// An input that is left out.
fn none() -> TensorProto {
    TensorProto { name: "_".into(), ..Default::default() }
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37 + 11) % 23) as f32 / 4.0 - 2.5).collect()
}

fn floats(data: &ArrayData) -> &[f32] {
    let ArrayData::F32(v) = data else { panic!("{data:?}") };
    v
}

fn close(found: &ArrayData, want: &[f64], what: &str) {
    let found = floats(found);
    assert_eq!(found.len(), want.len(), "{what}");
    for (i, (&f, &w)) in found.iter().zip(want).enumerate() {
        assert!((f64::from(f) - w).abs() <= 1e-5 * (1.0 + w.abs()), "{what} {i}: {f} {w}");
    }
}

/// All positions of a shape.
fn positions(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for &d in shape {
        all = all.into_iter().flat_map(|p: Vec<usize>| (0..d).map(move |i| [p.clone(), vec![i]].concat())).collect();
    }
    all
}

fn at(shape: &[usize], p: &[usize]) -> usize {
    p.iter().zip(shape).fold(0, |sum, (p, n)| sum * n + p)
}

#[test]
fn pads_of_every_mode_and_negative_ones() {
    let x = ArrayData::F32(vec![1.0, 2.0, 3.0]);
    let pad = |mode: &str, pads: [i64; 2]| {
        run("Pad", vec![string("mode", mode)], &[(&[3], x.clone())], vec![i64s("pads", &[2], &pads)]).remove(0)
    };
    for (mode, pads, want) in [
        ("edge", [2, 1], vec![1.0, 1.0, 1.0, 2.0, 3.0, 3.0]),
        ("reflect", [2, 2], vec![3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0]),
        ("wrap", [2, 4], vec![2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0]),
        ("constant", [-1, 2], vec![2.0, 3.0, 0.0, 0.0]),
        ("constant", [0, -2], vec![1.0]),
        ("edge", [-2, 1], vec![3.0, 3.0]),
    ] {
        assert_eq!(pad(mode, pads), ArrayData::F32(want), "{mode} {pads:?}");
    }
}

#[test]
fn blocks_of_channels_become_pixels_and_back() {
    let x = numbers(8 * 6);
    for mode in ["DCR", "CRD"] {
        let attributes = vec![int("blocksize", 2), string("mode", mode)];
        let y = run("DepthToSpace", attributes, &[(&[1, 8, 2, 3], ArrayData::F32(x.clone()))], vec![]).remove(0);
        for p in positions(&[2, 4, 6]) {
            let (c, block) = (p[0], p[1] % 2 * 2 + p[2] % 2);
            let channel = if mode == "DCR" { block * 2 + c } else { c * 4 + block };
            assert_eq!(floats(&y)[at(&[2, 4, 6], &p)], x[at(&[8, 2, 3], &[channel, p[1] / 2, p[2] / 2])], "{mode}");
        }
        let back = run("SpaceToDepth", vec![int("blocksize", 2)], &[(&[1, 2, 4, 6], y)], vec![]).remove(0);
        assert_eq!(back == ArrayData::F32(x.clone()), mode == "DCR");
    }
}

#[test]
fn tiles_triangles_reversals_and_selections() {
    let x = ArrayData::I64((0..6).collect());
    let tile = run("Tile", vec![], &[(&[2, 3], x.clone())], vec![i64s("r", &[2], &[2, 2])]).remove(0);
    let row = |i: i64| [3 * i, 3 * i + 1, 3 * i + 2].repeat(2);
    assert_eq!(tile, ArrayData::I64([row(0), row(1), row(0), row(1)].concat()));
    let lower = run("Trilu", vec![int("upper", 0)], &[(&[2, 3], x.clone())], vec![i64s("k", &[], &[1])]).remove(0);
    assert_eq!(lower, ArrayData::I64(vec![0, 1, 0, 3, 4, 5]));
    let upper = run("Trilu", vec![], &[(&[2, 3], x.clone())], vec![]).remove(0);
    assert_eq!(upper, ArrayData::I64(vec![0, 1, 2, 0, 4, 5]));
    let reversed = run(
        "ReverseSequence",
        vec![int("time_axis", 1), int("batch_axis", 0)],
        &[(&[2, 3], x.clone())],
        vec![i64s("l", &[2], &[2, 3])],
    );
    assert_eq!(reversed[0], ArrayData::I64(vec![1, 0, 2, 5, 4, 3]));
    let condition = codes("c", 9, &[3], &[1, 0, 1]);
    let kept = run("Compress", vec![int("axis", -1)], &[(&[2, 3], x)], vec![condition]).remove(0);
    assert_eq!(kept, ArrayData::I64(vec![0, 2, 3, 5]));
}

#[test]
fn gathers_and_scatters_of_the_standard_s_examples() {
    // ScatterND, first example.
    let data = ArrayData::F32((1..=8).map(|v| v as f32).collect());
    let at = ArrayData::I64(vec![4, 3, 1, 7]);
    let updates = ArrayData::F32(vec![9.0, 10.0, 11.0, 12.0]);
    let y = run("ScatterND", vec![], &[(&[8], data), (&[4, 1], at), (&[4], updates)], vec![]).remove(0);
    assert_eq!(y, ArrayData::F32(vec![1.0, 11.0, 3.0, 10.0, 9.0, 6.0, 7.0, 12.0]));
    // ScatterElements, second example.
    let data = ArrayData::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0]);
    let (at, updates) = (ArrayData::I64(vec![1, 3]), ArrayData::F32(vec![1.1, 2.1]));
    let inputs = [(&[1, 5][..], data), (&[1, 2][..], at), (&[1, 2][..], updates)];
    let y = run("ScatterElements", vec![int("axis", 1)], &inputs, vec![]).remove(0);
    assert_eq!(y, ArrayData::F32(vec![1.0, 1.1, 3.0, 2.1, 5.0]));
    // GatherND, fourth example: batch_dims = 1.
    let data = ArrayData::I64((0..8).collect());
    let y = run(
        "GatherND",
        vec![int("batch_dims", 1)],
        &[(&[2, 2, 2], data), (&[2, 1], ArrayData::I64(vec![1, 0]))],
        vec![],
    );
    assert_eq!(y[0], ArrayData::I64(vec![2, 3, 4, 5]));
    // TopK, example of the text.
    let data = ArrayData::F32((0..12).map(|v| v as f32).collect());
    let y = run_to("TopK", vec![], &[(&[3, 4], data)], vec![i64s("k", &[1], &[3])], 2);
    assert_eq!(y[0], ArrayData::F32(vec![3.0, 2.0, 1.0, 7.0, 6.0, 5.0, 11.0, 10.0, 9.0]));
    assert_eq!(y[1], ArrayData::I64([3, 2, 1].repeat(3)));
}

/// Cells (output, input, tap) of one axis.
fn meets(out: usize, len: usize, [kernel, stride, dilation, pad]: [usize; 4]) -> Vec<(usize, usize, usize)> {
    let all = positions(&[out, kernel]).into_iter();
    all.filter_map(|p| {
        let i = (p[0] * stride + p[1] * dilation).checked_sub(pad)?;
        (i < len).then_some((p[0], i, p[1]))
    })
    .collect()
}

#[test]
fn convolutions_with_computed_weights_and_of_three_axes() {
    for bound in [false, true] {
        let (x, w, bias) = (numbers(2 * 4 * 60), numbers(6 * 2 * 12), numbers(6));
        let attributes = vec![
            int("group", 2),
            ints("pads", &[1, 0, 1, 0, 1, 1]),
            ints("strides", &[1, 2, 1]),
            ints("dilations", &[1, 1, 2]),
        ];
        let mut inputs = vec![(&[2, 4, 3, 4, 5][..], ArrayData::F32(x.clone()))];
        let mut init = vec![];
        if bound {
            init = vec![f32s("w", &[6, 2, 2, 3, 2], &w), f32s("b", &[6], &bias)];
        } else {
            inputs.push((&[6, 2, 2, 3, 2], ArrayData::F32(w.clone())));
            inputs.push((&[6], ArrayData::F32(bias.clone())));
        }
        let y = run("Conv", attributes, &inputs, init).remove(0);
        // Lengths: (3 + 1 − 2) + 1, (4 + 1 − 3)/2 + 1, (5 + 1 + 1 − 3) + 1.
        let out = [3, 2, 5];
        let mut want = vec![0.0; 2 * 6 * 30];
        for p in positions(&[2, 6]) {
            for (od, id, kd) in meets(3, 3, [2, 1, 1, 1]) {
                for (or, ir, kr) in meets(2, 4, [3, 2, 1, 0]) {
                    for (oc, ic, kc) in meets(5, 5, [2, 1, 2, 1]) {
                        for k in 0..2 {
                            let channel = p[1] / 3 * 2 + k;
                            want[at(&[2, 6, out[0], out[1], out[2]], &[p[0], p[1], od, or, oc])] +=
                                f64::from(x[at(&[2, 4, 3, 4, 5], &[p[0], channel, id, ir, ic])])
                                    * f64::from(w[at(&[6, 2, 2, 3, 2], &[p[1], k, kd, kr, kc])]);
                        }
                    }
                }
            }
        }
        let want: Vec<f64> = want.iter().enumerate().map(|(i, v)| v + f64::from(bias[i / 30 % 6])).collect();
        close(&y, &want, "Conv");
    }
}

#[test]
fn a_computed_bias_is_added_to_a_layer_with_constant_weights() {
    let (x, w) = (numbers(9), numbers(4));
    let bias = ArrayData::F32(vec![7.0]);
    let node = NodeProto {
        op_type: "Conv".into(),
        input: vec!["x0".into(), "w".into(), "x1".into()],
        output: vec!["y0".into()],
        ..Default::default()
    };
    let inputs = vec![info("x0", 1, &[1, 1, 3, 3]), info("x1", 1, &[1])];
    let g = graph(inputs, vec![info("y0", 1, &[])], vec![node], vec![f32s("w", &[1, 1, 2, 2], &w)]);
    let graph = load(&encode(&common::model(19, g)), &ImportOptions::default()).unwrap();
    let mut simulator = Simulator::new(&graph, SimMode::Float).unwrap();
    let y = simulator.run(&[ArrayData::F32(x.clone()), bias], &mut |_, _, _| {}).unwrap().remove(0).data;
    let cell = |r: usize, c: usize| -> f64 {
        7.0 + positions(&[2, 2])
            .iter()
            .map(|k| f64::from(x[(r + k[0]) * 3 + c + k[1]] * w[k[0] * 2 + k[1]]))
            .sum::<f64>()
    };
    close(&y, &[cell(0, 0), cell(0, 1), cell(1, 0), cell(1, 1)], "Conv");
}

#[test]
fn pools_of_three_axes_are_means_maxima_and_norms_of_their_windows() {
    let x = numbers(2 * 60);
    let shape = [2, 3, 4, 5];
    let geometry = [(3, 3, [2, 1, 1, 1]), (2, 4, [3, 2, 1, 1]), (5, 5, [2, 1, 2, 1])];
    let attributes = || {
        vec![
            ints("kernel_shape", &[2, 3, 2]),
            ints("strides", &[1, 2, 1]),
            ints("dilations", &[1, 1, 2]),
            ints("pads", &[1, 1, 1, 0, 0, 1]),
        ]
    };
    let with = |more: Vec<AttributeProto>| attributes().into_iter().chain(more).collect::<Vec<_>>();
    let windows: Vec<Vec<(f64, usize)>> = positions(&[2, 3, 2, 5])
        .iter()
        .map(|p| {
            let axis = |i: usize| {
                let (out, len, g) = geometry[i];
                meets(out, len, g).into_iter().filter(|m| m.0 == p[i + 1]).map(|m| m.1).collect::<Vec<_>>()
            };
            let (d, r, c) = (axis(0), axis(1), axis(2));
            let mut cells = vec![];
            for p3 in positions(&[d.len(), r.len(), c.len()]) {
                let place = at(&shape, &[p[0], d[p3[0]], r[p3[1]], c[p3[2]]]);
                cells.push((f64::from(x[place]), place));
            }
            cells
        })
        .collect();
    let input = [(&[1, 2, 3, 4, 5][..], ArrayData::F32(x.clone()))];
    let sum = |w: &Vec<(f64, usize)>| w.iter().map(|c| c.0).sum::<f64>();
    let max = |w: &Vec<(f64, usize)>| w.iter().map(|c| c.0).fold(f64::MIN, f64::max);
    let means: Vec<f64> = windows.iter().map(|w| sum(w) / w.len() as f64).collect();
    close(&run("AveragePool", attributes(), &input, vec![])[0], &means, "AveragePool");
    let maxima: Vec<f64> = windows.iter().map(max).collect();
    close(&run("MaxPool", attributes(), &input, vec![])[0], &maxima, "MaxPool");
    let both = run_to("MaxPool", attributes(), &input, vec![], 2);
    close(&both[0], &maxima, "MaxPool with indices");
    let first = |(w, m): (&Vec<(f64, usize)>, &f64)| w.iter().find(|c| c.0 == *m).map_or(0, |c| c.1 as i64);
    assert_eq!(both[1], ArrayData::I64(windows.iter().zip(&maxima).map(first).collect()));
    for p in [1, 2, 3] {
        let norm = |w: &Vec<(f64, usize)>| w.iter().map(|c| c.0.abs().powi(p)).sum::<f64>().powf(1.0 / f64::from(p));
        let want: Vec<f64> = windows.iter().map(norm).collect();
        close(&run("LpPool", with(vec![int("p", p.into())]), &input, vec![])[0], &want, "LpPool");
    }
}

#[test]
fn maxima_of_bytes_are_exact() {
    let x: Vec<u8> = (0..16).map(|i| (i * 91 + 7) as u8).collect();
    let attributes = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    let y = run("MaxPool", attributes, &[(&[1, 1, 4, 4], ArrayData::U8(x.clone()))], vec![]).remove(0);
    let want = positions(&[2, 2])
        .iter()
        .map(|p| positions(&[2, 2]).iter().map(|k| x[(p[0] * 2 + k[0]) * 4 + p[1] * 2 + k[1]]).max().unwrap_or(0))
        .collect();
    assert_eq!(y, ArrayData::U8(want));
}

#[test]
fn equations_are_sums_over_their_letters() {
    let (a, w) = (numbers(24), numbers(12));
    let einsum = |equation: &str, inputs: &[(&[i64], ArrayData)]| {
        run("Einsum", vec![string("equation", equation)], inputs, vec![]).remove(0)
    };
    let (three, two) = ((&[2, 3, 4][..], ArrayData::F32(a.clone())), (&[4, 3][..], ArrayData::F32(w.clone())));
    let (a, w) = (|b, i, j| f64::from(a[at(&[2, 3, 4], &[b, i, j])]), |j: usize, k: usize| f64::from(w[j * 3 + k]));
    let sum = |n: usize, f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>();
    let want: Vec<f64> = positions(&[2, 3, 3]).iter().map(|p| sum(4, &|j| a(p[0], p[1], j) * w(j, p[2]))).collect();
    close(&einsum("...ij,jk->...ik", &[three.clone(), two.clone()]), &want, "product");
    let want: Vec<f64> = positions(&[3, 2]).iter().map(|p| sum(4, &|j| a(p[1], p[0], j) * w(j, p[0]))).collect();
    close(&einsum("bij,ji->ib", &[three.clone(), two.clone()]), &want, "shared letter of the output");
    let want: Vec<f64> = positions(&[4, 2]).iter().map(|p| sum(3, &|i| a(p[1], i, p[0]))).collect();
    close(&einsum("bij->jb", &[three]), &want, "sum and transposition");
    let square = (&[3, 3][..], ArrayData::F32(numbers(9)));
    let n = numbers(9);
    close(&einsum("ii->i", std::slice::from_ref(&square)), &[n[0], n[4], n[8]].map(f64::from), "diagonal");
    close(&einsum("ii", &[square]), &[f64::from(n[0] + n[4] + n[8])], "trace");
}

#[test]
fn resizing_interpolates_rows_and_columns() {
    // Examples of the text: resize_upsample_scales_linear, resize_upsample_scales_nearest, tf_crop_and_resize.
    let x = (&[1, 1, 2, 2][..], ArrayData::F32(vec![1.0, 2.0, 3.0, 4.0]));
    let scales = |v: [f32; 2]| vec![none(), f32s("scales", &[4], &[1.0, 1.0, v[0], v[1]])];
    let y = run("Resize", vec![string("mode", "linear")], std::slice::from_ref(&x), scales([2.0, 2.0])).remove(0);
    let rows = [[1.0, 1.25, 1.75, 2.0], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3.0, 3.25, 3.75, 4.0]];
    close(&y, &rows.concat(), "linear");
    let y = run("Resize", vec![string("mode", "nearest")], std::slice::from_ref(&x), scales([2.0, 3.0])).remove(0);
    let rows = [[1.0, 1.0, 1.0, 2.0, 2.0, 2.0], [3.0, 3.0, 3.0, 4.0, 4.0, 4.0]];
    close(&y, &[rows[0], rows[0], rows[1], rows[1]].concat(), "nearest");
    let attributes = vec![
        string("mode", "linear"),
        string("coordinate_transformation_mode", "tf_crop_and_resize"),
        float("extrapolation_value", 10.0),
    ];
    let init =
        vec![f32s("roi", &[8], &[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0]), none(), i64s("sizes", &[4], &[1, 1, 1, 3])];
    // Column coordinates 0, 1, 2 of two; row 0.5.
    close(&run("Resize", attributes, &[x], init)[0], &[2.0, 3.0, 10.0], "beyond the border");
}

#[test]
fn caches_take_their_updates_where_the_places_say() {
    let cache = ArrayData::F32(vec![0.0; 8]);
    let update = ArrayData::F32(vec![1.0, 2.0, 3.0, 4.0]);
    // [batch 2, places 4, width 1]: two places each, from 1 and, around the end, from 3.
    let inputs = [(&[2, 4, 1][..], cache), (&[2, 2, 1][..], update)];
    let y = run("TensorScatter", vec![string("mode", "circular")], &inputs, vec![i64s("at", &[2], &[1, 3])]).remove(0);
    assert_eq!(y, ArrayData::F32(vec![0.0, 1.0, 2.0, 0.0, 4.0, 0.0, 0.0, 3.0]));
}

#[test]
fn what_depends_on_data_is_refused_by_name() {
    let refused = |op: &str, inputs: &[(&str, i32, &[i64])], attributes| {
        let names: Vec<&str> = inputs.iter().map(|i| i.0).collect();
        let infos = inputs.iter().map(|(name, code, dims)| info(name, *code, dims)).collect();
        let g = graph(infos, vec![info("y", 0, &[])], vec![node(op, &names, &["y"], attributes)], vec![]);
        import_onnx_bytes(&encode(&common::model(19, g)), &ImportOptions::default()).unwrap_err().to_string()
    };
    let e = refused("NonZero", &[("x", 1, &[3])], vec![]);
    assert!(e.contains("n_y") && e.contains("depends on data"), "{e}");
    let e = refused("Compress", &[("x", 1, &[3]), ("c", 9, &[3])], vec![int("axis", 0)]);
    assert!(e.contains("n_y") && e.contains("how many elements it selects") && e.contains("constant"), "{e}");
    let e = refused("TopK", &[("x", 1, &[3]), ("k", 7, &[1])], vec![]);
    assert!(e.contains("`k` is computed at run time"), "{e}");
}

#[test]
fn models_that_tract_refuses_get_their_shapes_here() {
    // Cubic interpolation, which tract does not know, in front of operators that need a shape.
    let nodes = vec![
        node("Resize", &["x", "", "scales"], &["r"], vec![string("mode", "cubic")]),
        node("Shape", &["r"], &["s"], vec![]),
        node("Reshape", &["x", "flat"], &["f"], vec![]),
        node("Resize", &["r", "", "", "sizes"], &["q"], vec![string("mode", "linear")]),
        node("Transpose", &["q"], &["t"], vec![ints("perm", &[0, 2, 3, 1])]),
        node("Expand", &["f", "s"], &["e"], vec![]),
    ];
    let init = vec![
        f32s("scales", &[4], &[1.0, 1.0, 2.0, 2.0]),
        i64s("sizes", &[4], &[1, 1, 3, 5]),
        i64s("flat", &[4], &[1, 16, 1, 1]),
    ];
    let outputs = vec![info("t", 1, &[]), info("e", 1, &[])];
    let g = graph(vec![info("x", 1, &[1, 1, 4, 4])], outputs, nodes, init);
    let graph = import_onnx_bytes(&encode(&common::model(19, g)), &ImportOptions::default()).unwrap();
    let shapes: Vec<&[usize]> = graph.outputs.iter().map(|&o| graph.value(o).shape.as_slice()).collect();
    assert_eq!(shapes, [&[1, 3, 5, 1][..], &[1, 16, 8, 8]]);
}
