//! Faults that users of other runtimes reported, as small models run by `Session` on every instruction set of this
//! machine. `reported.txt` names the test of every class of report. Oracle: the operator texts of ONNX, in f64 and
//! in exact integers.
mod common;

use common::*;
use selvedge_compiler::compile;
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::{CompileOptions, Compiled};
use selvedge_core::{Artifact, ErrorKind};
use selvedge_exec::Session;
use selvedge_kernels::IsaKind;
use tract_onnx::pb::*;
use zerocopy::IntoBytes;

/// Compiles nodes at operator set 21 without quantizing anything that the file does not.
fn compiled(
    inputs: &[(&str, i32, &[i64])],
    nodes: Vec<NodeProto>,
    init: Vec<TensorProto>,
    outputs: &[(&str, i32)],
) -> Compiled {
    let inputs = inputs.iter().map(|&(name, code, dims)| info(name, code, dims)).collect();
    let outputs = outputs.iter().map(|&(name, code)| info(name, code, &[])).collect();
    let mut proto = model(21, graph(inputs, outputs, nodes, init));
    proto.opset_import.push(OperatorSetIdProto { domain: "com.microsoft".into(), version: 1 });
    let scheme = QuantScheme { weights: WeightFormat::F32, ..QuantScheme::w8a8() };
    compile(&encode(&proto), &CompileOptions { scheme, ..CompileOptions::default() }).unwrap_or_else(|e| panic!("{e}"))
}

/// The outputs of a model, the same bytes on all instruction sets.
fn outputs(compiled: &Compiled, inputs: &[ArrayData]) -> Vec<ArrayData> {
    let file = aligned(&compiled.artifact, 0);
    let artifact = Artifact::parse(&file.as_bytes()[..compiled.artifact.len()]).expect("an artifact");
    let mut arena = vec![0u128; artifact.arena_bytes().div_ceil(16)];
    let mut found: Option<Vec<Vec<u8>>> = None;
    for isa in IsaKind::ALL.into_iter().filter(|isa| isa.is_available()) {
        let mut session = Session::new(artifact, arena.as_mut_bytes()).expect("valid").with_isa(isa).expect("here");
        for (i, data) in inputs.iter().enumerate() {
            session.input(i).and_then(|input| input.copy_from_bytes(&data.to_bytes())).expect("fits");
        }
        session.run().expect("runs");
        let bytes = (0..session.output_count()).map(|i| session.output(i).expect("there").bytes().to_vec()).collect();
        assert_eq!(found.get_or_insert_with(|| Vec::clone(&bytes)), &bytes, "{}", isa.name());
    }
    let dtypes = artifact.outputs().iter().map(|&o| artifact.tensor(o as usize).expect("a tensor").dtype);
    let all = dtypes.zip(found.expect("one at least"));
    all.map(|(dtype, bytes)| ArrayData::from_bytes(dtype.into(), &bytes).expect("whole elements")).collect()
}

/// Bytes that start `offset` behind a multiple of 16.
fn aligned(bytes: &[u8], offset: usize) -> Vec<u128> {
    let mut words = vec![0u128; (bytes.len() + offset).div_ceil(16)];
    words.as_mut_bytes()[offset..offset + bytes.len()].copy_from_slice(bytes);
    words
}

fn int8_ops(compiled: &Compiled) -> Vec<String> {
    compiled.program.steps.iter().map(|s| format!("{}<{}>", s.op.name(), s.format.name())).collect()
}

fn whole(data: &ArrayData) -> Vec<i64> {
    data.to_f32().into_iter().map(|v| v as i64).collect()
}

/// x / scale + zero point by ONNX: ties to even, saturated.
fn quantized(x: f64, scale: f64, zero: i64, (lo, hi): (i64, i64)) -> i64 {
    ((x / scale).round_ties_even() + zero as f64).clamp(lo as f64, hi as f64) as i64
}

const S8: (i64, i64) = (-128, 127);
const U8: (i64, i64) = (0, 255);

fn within_one(found: &[i64], expected: &[i64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let off = found.iter().zip(expected).filter(|(f, e)| f != e).count();
    assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= 1), "{what}: {found:?}, expected {expected:?}");
    assert!(off * 10 <= found.len(), "{what}: {off} of {} codes are one off", found.len());
}

fn ramp(n: usize, range: (i64, i64)) -> Vec<i64> {
    (0..n as i64).map(|i| range.0 + (i * 89 + 17).rem_euclid(range.1 - range.0 + 1)).collect()
}

fn array(values: &[i64], signed: bool) -> ArrayData {
    match signed {
        true => ArrayData::I8(values.iter().map(|&v| v as i8).collect()),
        false => ArrayData::U8(values.iter().map(|&v| v as u8).collect()),
    }
}

fn tensor(name: &str, signed: bool, dims: &[i64], values: &[i64]) -> TensorProto {
    codes(name, if signed { 3 } else { 2 }, dims, &values.iter().map(|&v| v as i32).collect::<Vec<_>>())
}

fn scalar(name: &str, signed: bool, value: i64) -> TensorProto {
    tensor(name, signed, &[], &[value])
}

#[test]
fn quantizing_rounds_ties_to_even_and_saturates_at_both_ends() {
    let x: Vec<f32> = (-700..700).map(|k| k as f32 * 0.25).chain([3e9, -3e9, f32::INFINITY, -129.0 * 0.5]).collect();
    for (signed, zero, range) in [(true, 0, S8), (true, -7, S8), (false, 0, U8), (false, 131, U8)] {
        let n = node("QuantizeLinear", &["x", "s", "z"], &["y"], vec![]);
        let init = vec![f32s("s", &[], &[0.5]), scalar("z", signed, zero)];
        let model = compiled(&[("x", 1, &[1, x.len() as i64])], vec![n], init, &[("y", if signed { 3 } else { 2 })]);
        let found = whole(&outputs(&model, &[ArrayData::F32(x.clone())])[0]);
        let expected: Vec<i64> = x.iter().map(|&x| quantized(f64::from(x), 0.5, zero, range)).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn half_precision_is_quantized_with_rounding() {
    // Every finite half from −64 to 64 that is a multiple of 1/32, by a scale that is a half as well.
    let x: Vec<f32> = (-2048..2048).map(|k| k as f32 / 32.0).collect();
    let scale = TensorProto { name: "s".into(), data_type: 10, int32_data: vec![0x3a00], ..Default::default() }; // 0.75
    let n = node("QuantizeLinear", &["x", "s", "z"], &["y"], vec![]);
    let model = compiled(&[("x", 10, &[1, 4096])], vec![n], vec![scale, scalar("z", true, 0)], &[("y", 3)]);
    let found = whole(&outputs(&model, &[ArrayData::F32(x.clone())])[0]);
    let expected: Vec<i64> = x.iter().map(|&x| quantized(f64::from(x), 0.75, 0, S8)).collect();
    assert_eq!(found, expected);
}

#[test]
fn products_of_unsigned_and_signed_bytes_do_not_saturate() {
    for k in [2usize, 3, 64, 260] {
        let w: Vec<i64> = (0..k * 3).map(|i| [127, -128, if i % 2 == 0 { 127 } else { -128 }][i % 3]).collect();
        let n = node("MatMulInteger", &["x", "w"], &["y"], vec![]);
        let init = vec![tensor("w", true, &[k as i64, 3], &w)];
        let model = compiled(&[("x", 2, &[1, k as i64])], vec![n], init, &[("y", 6)]);
        let found = whole(&outputs(&model, &[ArrayData::U8(vec![255; k])])[0]);
        let expected: Vec<i64> = (0..3).map(|c| (0..k).map(|i| 255 * w[i * 3 + c]).sum()).collect();
        assert_eq!(found, expected, "{k} products");
    }
}

/// A 2-D convolution of codes; `x` is `[1, channels, height, width]`.
struct Conv<'a> {
    x: &'a [i64],
    size: [usize; 3],
    signed: bool,
    w: &'a [i64],
    /// Output channels, input channels of a group, kernel.
    shape: [usize; 4],
    /// Zero point of each output channel's weights.
    wz: &'a [i64],
    /// Top, left, bottom, right.
    pads: [usize; 4],
    stride: usize,
    dilation: usize,
    groups: usize,
}

const XS: f32 = 0.03;
const WS: f32 = 0.007;
const YS: f32 = 0.11;

impl Conv<'_> {
    fn zeros(&self) -> (i64, i64) {
        if self.signed { (-11, 5) } else { (37, 120) }
    }

    fn range(&self) -> (i64, i64) {
        if self.signed { S8 } else { U8 }
    }

    /// Codes by the formula of QLinearConv: a cell outside is the zero point.
    fn expected(&self) -> Vec<i64> {
        let ([_, h, w], [oc, ic, kh, kw]) = (self.size, self.shape);
        let [top, left, bottom, right] = self.pads;
        let out = |n: usize, pads: usize, k: usize| (n + pads - self.dilation * (k - 1) - 1) / self.stride + 1;
        let (oh, ow) = (out(h, top + bottom, kh), out(w, left + right, kw));
        let (xz, yz) = self.zeros();
        let mut all = Vec::new();
        for (o, y, x) in (0..oc).flat_map(|o| (0..oh).flat_map(move |y| (0..ow).map(move |x| (o, y, x)))) {
            let mut sum = 0;
            for (i, r, c) in (0..ic).flat_map(|i| (0..kh).flat_map(move |r| (0..kw).map(move |c| (i, r, c)))) {
                let (row, column) = (y * self.stride + r * self.dilation, x * self.stride + c * self.dilation);
                if (top..top + h).contains(&row) && (left..left + w).contains(&column) {
                    let channel = o / (oc / self.groups) * ic + i;
                    let code = self.x[(channel * h + row - top) * w + column - left];
                    sum += (code - xz) * (self.w[((o * ic + i) * kh + r) * kw + c] - self.wz[o % self.wz.len()]);
                }
            }
            let real = sum as f64 * f64::from(XS) * f64::from(WS);
            all.push(quantized(real, f64::from(YS), yz, self.range()));
        }
        all
    }

    fn init(&self) -> Vec<TensorProto> {
        let ((xz, yz), shape) = (self.zeros(), self.shape.map(|d| d as i64));
        let wz = match self.wz {
            &[zero] => scalar("wz", true, zero),
            zeros => tensor("wz", true, &[zeros.len() as i64], zeros),
        };
        let ws = match self.wz.len() {
            1 => f32s("ws", &[], &[WS]),
            n => f32s("ws", &[n as i64], &vec![WS; n]),
        };
        let scales = [f32s("xs", &[], &[XS]), f32s("ys", &[], &[YS]), ws];
        let zeros = [scalar("xz", self.signed, xz), scalar("yz", self.signed, yz), wz];
        [tensor("w", true, &shape, self.w)].into_iter().chain(scales).chain(zeros).collect()
    }

    fn attributes(&self) -> Vec<AttributeProto> {
        let two = |n: usize| [n as i64, n as i64];
        vec![
            ints("pads", &self.pads.map(|p| p as i64)),
            ints("strides", &two(self.stride)),
            ints("dilations", &two(self.dilation)),
            int("group", self.groups as i64),
        ]
    }

    /// Runs the nodes on x; says which steps the device has.
    fn check(&self, nodes: Vec<NodeProto>, what: &str) {
        let [c, h, w] = self.size.map(|d| d as i64);
        let code = if self.signed { 3 } else { 2 };
        let model = compiled(&[("x", code, &[1, c, h, w])], nodes, self.init(), &[("y", code)]);
        let ops = int8_ops(&model);
        assert!(ops.iter().any(|op| op.ends_with("Conv2d<W8>")), "{what}: {ops:?}");
        assert!(ops.iter().all(|op| !op.contains("F32")), "{what}: {ops:?}");
        let found = outputs(&model, &[array(self.x, self.signed)]);
        within_one(&whole(&found[0]), &self.expected(), what);
    }

    fn qlinear(&self, what: &str) {
        let inputs = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"];
        self.check(vec![node("QLinearConv", &inputs, &["y"], self.attributes())], what);
    }

    fn qdq(&self, what: &str) {
        let axis = || vec![int("axis", 0)];
        let nodes = vec![
            node("DequantizeLinear", &["x", "xs", "xz"], &["xd"], vec![]),
            node("DequantizeLinear", &["w", "ws", "wz"], &["wd"], axis()),
            node("Conv", &["xd", "wd"], &["c"], self.attributes()),
            node("QuantizeLinear", &["c", "ys", "yz"], &["y"], vec![]),
        ];
        self.check(nodes, what);
    }
}

#[test]
fn cells_outside_of_the_image_are_the_zero_point_with_pads_of_every_side() {
    for signed in [true, false] {
        let range = if signed { S8 } else { U8 };
        let (x, w) = (ramp(3 * 5 * 6, range), ramp(4 * 3 * 9, S8));
        for pads in [[0, 1, 2, 1], [1, 1, 1, 1], [2, 0, 0, 2]] {
            let conv = Conv {
                x: &x,
                size: [3, 5, 6],
                signed,
                w: &w,
                shape: [4, 3, 3, 3],
                wz: &[0],
                pads,
                stride: 1,
                dilation: 1,
                groups: 1,
            };
            conv.qlinear(&format!("QLinearConv, pads {pads:?}"));
            conv.qdq(&format!("QDQ, pads {pads:?}"));
        }
    }
}

/// Without pads, strides, dilations and groups.
fn plain<'a>(x: &'a [i64], size: [usize; 3], w: &'a [i64], shape: [usize; 4]) -> Conv<'a> {
    Conv { x, size, signed: true, w, shape, wz: &[0], pads: [0; 4], stride: 1, dilation: 1, groups: 1 }
}

#[test]
fn dilated_depthwise_strided_and_narrow_quantized_convolutions_follow_the_formula() {
    let (x, w) = (ramp(6 * 9 * 9, S8), ramp(6 * 9, S8));
    let depthwise = Conv { groups: 6, dilation: 2, pads: [2; 4], ..plain(&x, [6, 9, 9], &w, [6, 1, 3, 3]) };
    depthwise.qlinear("depthwise, dilation 2");
    let (x, w) = (ramp(4 * 13, S8), ramp(5 * 4 * 3, S8));
    plain(&x, [4, 1, 13], &w, [5, 4, 1, 3]).qlinear("1×N, odd width");
    for channels in [1usize, 3, 15, 17, 33] {
        let (x, w) = (ramp(channels * 7 * 7, S8), ramp(2 * channels, S8));
        let conv = plain(&x, [channels, 7, 7], &w, [2, channels, 1, 1]);
        conv.qlinear(&format!("1×1 of {channels} channels"));
        Conv { stride: 2, ..conv }.qlinear(&format!("1×1 of {channels} channels, stride 2"));
    }
}

#[test]
fn weights_may_have_a_zero_point_for_each_channel() {
    let (x, w) = (ramp(3 * 6 * 6, U8), ramp(4 * 3 * 9, S8));
    let conv = Conv {
        x: &x,
        size: [3, 6, 6],
        signed: false,
        w: &w,
        shape: [4, 3, 3, 3],
        wz: &[3, -5, 0, 17],
        pads: [1; 4],
        stride: 1,
        dilation: 1,
        groups: 1,
    };
    let ((xz, yz), code) = (conv.zeros(), 2);
    let inputs = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"];
    let n = node("QLinearConv", &inputs, &["y"], conv.attributes());
    let model = compiled(&[("x", code, &[1, 3, 6, 6])], vec![n], conv.init(), &[("y", code)]);
    let found = outputs(&model, &[array(&x, false)]);
    within_one(&whole(&found[0]), &conv.expected(), &format!("zero points {xz} {yz}"));
}

#[test]
fn quantized_one_dimensional_convolutions_run() {
    let (x, w) = (ramp(2 * 9, S8), ramp(3 * 2 * 3, S8));
    let conv = Conv {
        x: &x,
        size: [2, 1, 9],
        signed: true,
        w: &w,
        shape: [3, 2, 1, 3],
        wz: &[0],
        pads: [0, 1, 0, 2],
        stride: 1,
        dilation: 1,
        groups: 1,
    };
    let mut init = conv.init();
    init[0].dims = vec![3, 2, 3];
    let inputs = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"];
    let n = node("QLinearConv", &inputs, &["y"], vec![ints("pads", &[1, 2])]);
    let model = compiled(&[("x", 3, &[1, 2, 9])], vec![n], init, &[("y", 3)]);
    within_one(&whole(&outputs(&model, &[array(&x, true)])[0]), &conv.expected(), "1-D");
}

#[test]
fn quantized_sums_stay_in_integers_and_follow_the_formula() {
    let (a, b): (Vec<i64>, Vec<i64>) = (ramp(256, S8), ramp(256, S8).into_iter().rev().collect());
    let scales = [("as", 0.05f32), ("bs", 0.021), ("ys", 0.06)];
    let zeros = [("az", 4), ("bz", -9), ("yz", 12)];
    let init = || -> Vec<TensorProto> {
        let scales = scales.map(|(name, scale)| f32s(name, &[], &[scale]));
        scales.into_iter().chain(zeros.map(|(name, zero)| scalar(name, true, zero))).collect()
    };
    let real = |code: i64, which: usize| (code - zeros[which].1) as f64 * f64::from(scales[which].1);
    let sum = |(&a, &b): (&i64, &i64)| quantized(real(a, 0) + real(b, 1), f64::from(scales[2].1), zeros[2].1, S8);
    let expected: Vec<i64> = a.iter().zip(&b).map(sum).collect();
    let inputs = ["a", "as", "az", "b", "bs", "bz", "ys", "yz"];
    let contrib = NodeProto { domain: "com.microsoft".into(), ..node("QLinearAdd", &inputs, &["y"], vec![]) };
    let qdq = vec![
        node("DequantizeLinear", &["a", "as", "az"], &["ad"], vec![]),
        node("DequantizeLinear", &["b", "bs", "bz"], &["bd"], vec![]),
        node("Add", &["ad", "bd"], &["c"], vec![]),
        node("QuantizeLinear", &["c", "ys", "yz"], &["y"], vec![]),
    ];
    for nodes in [vec![contrib], qdq] {
        let model = compiled(&[("a", 3, &[1, 256]), ("b", 3, &[1, 256])], nodes, init(), &[("y", 3)]);
        assert_eq!(int8_ops(&model), ["Add<I8>"]);
        let found = outputs(&model, &[array(&a, true), array(&b, true)]);
        within_one(&whole(&found[0]), &expected, "Add");
    }
}

#[test]
fn a_softmax_with_one_winner_neither_wraps_nor_saturates_its_rivals() {
    let rows: [[i64; 4]; 5] = [[127, -128, -128, -128], [0, 4, 8, 12], [5, 5, 5, 5], [-128; 4], [127, 126, 0, -127]];
    for (scale, signed_zero) in [(0.25f32, -128i64), (1.0, -128), (0.5, -128)] {
        let init = vec![
            f32s("xs", &[], &[scale]),
            scalar("xz", true, 0),
            f32s("ys", &[], &[1.0 / 256.0]),
            scalar("yz", true, signed_zero),
        ];
        let nodes = vec![
            node("DequantizeLinear", &["x", "xs", "xz"], &["d"], vec![]),
            node("Softmax", &["d"], &["p"], vec![int("axis", -1)]),
            node("QuantizeLinear", &["p", "ys", "yz"], &["y"], vec![]),
        ];
        let model = compiled(&[("x", 3, &[5, 4])], nodes, init, &[("y", 3)]);
        let found = outputs(&model, &[array(rows.as_flattened(), true)]);
        let expected = rows.iter().flat_map(|row| {
            let e = row.map(|q| ((q - row.iter().max().expect("four")) as f64 * f64::from(scale)).exp());
            let sum: f64 = e.iter().sum();
            e.map(|e| quantized(e / sum, 1.0 / 256.0, signed_zero, S8))
        });
        let (found, expected) = (whole(&found[0]), expected.collect::<Vec<_>>());
        assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() <= 1), "{scale}: {found:?}, {expected:?}");
    }
}

#[test]
fn padding_never_wins_a_maximum_and_is_left_out_of_means() {
    let x: Vec<i64> = (0..25).map(|i| -128 + i * 3).collect();
    let pool = |op: &str, more: Vec<AttributeProto>| {
        let attributes =
            [vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])], more].concat();
        vec![
            node("DequantizeLinear", &["x", "s", "z"], &["d"], vec![]),
            node(op, &["d"], &["p"], attributes),
            node("QuantizeLinear", &["p", "s", "z"], &["y"], vec![]),
        ]
    };
    let init = || vec![f32s("s", &[], &[0.1]), scalar("z", true, 20)];
    let run = |nodes| {
        whole(&outputs(&compiled(&[("x", 3, &[1, 1, 5, 5])], nodes, init(), &[("y", 3)]), &[array(&x, true)])[0])
    };
    // Codes of the cells inside of each window.
    let windows: Vec<Vec<i64>> = (0..9)
        .map(|at| {
            let (top, left) = (at / 3 * 2, at % 3 * 2);
            let inside = |n: usize| (n.max(1) - 1)..(n + 2).min(5);
            inside(top).flat_map(|r| inside(left).map(move |c| (r, c))).map(|(r, c)| x[r * 5 + c]).collect()
        })
        .collect();
    let most: Vec<i64> = windows.iter().map(|w| *w.iter().max().expect("a cell")).collect();
    assert_eq!(run(pool("MaxPool", vec![])), most);
    for (counted, attribute) in [(false, 0), (true, 1)] {
        let mean = |w: &Vec<i64>| {
            let real: f64 = w.iter().map(|&q| (q - 20) as f64 * f64::from(0.1f32)).sum();
            quantized(real / if counted { 9.0 } else { w.len() as f64 }, f64::from(0.1f32), 20, S8)
        };
        let found = run(pool("AveragePool", vec![int("count_include_pad", attribute)]));
        // Means of an even number of codes may be ties, which float arithmetic breaks either way.
        let expected = windows.iter().map(mean);
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() <= 1), "{found:?}");
    }
}

#[test]
fn transposed_convolutions_have_the_size_and_sums_of_the_text() {
    // Kernel, stride, pads (top, left, bottom, right), dilation, output padding, groups, SAME.
    type Case = ([usize; 2], [usize; 2], [usize; 4], [usize; 2], [usize; 2], usize, bool);
    let cases: [Case; 4] = [
        ([3, 3], [3, 3], [1, 1, 1, 1], [2, 2], [0, 0], 1, false),
        ([2, 2], [1, 1], [1, 1, 1, 1], [2, 2], [0, 0], 1, false),
        ([2, 3], [2, 2], [0, 0, 0, 1], [1, 1], [0, 0], 1, true),
        ([3, 3], [1, 2], [1, 1, 1, 1], [1, 1], [0, 1], 2, false),
    ];
    for (k, stride, pads, dilation, more, groups, same) in cases {
        let ([h, w], [ic, per_group]) = ([4usize, 5usize], [2usize, 2usize]);
        let x: Vec<f32> = ramp(ic * h * w, S8).into_iter().map(|v| v as f32 / 64.0).collect();
        let weights: Vec<f32> = ramp(ic * per_group * k[0] * k[1], S8).into_iter().map(|v| v as f32 / 64.0).collect();
        let mut attributes = vec![
            ints("strides", &stride.map(|v| v as i64)),
            ints("dilations", &dilation.map(|v| v as i64)),
            int("group", groups as i64),
        ];
        match same {
            true => attributes.push(string("auto_pad", "SAME_UPPER")),
            false => attributes.push(ints("pads", &pads.map(|v| v as i64))),
        }
        if more != [0, 0] {
            attributes.push(ints("output_padding", &more.map(|v| v as i64)));
        }
        let n = node("ConvTranspose", &["x", "w"], &["y"], attributes);
        let dims = [ic, per_group, k[0], k[1]].map(|d| d as i64);
        let model = compiled(
            &[("x", 1, &[1, ic as i64, h as i64, w as i64])],
            vec![n],
            vec![f32s("w", &dims, &weights)],
            &[("y", 1)],
        );
        let size =
            |i: usize, n: usize| stride[i] * (n - 1) + more[i] + (k[i] - 1) * dilation[i] + 1 - pads[i] - pads[i + 2];
        let (oh, ow, oc) = (size(0, h), size(1, w), per_group * groups);
        let mut expected = vec![0f64; oc * oh * ow];
        for (at, &value) in x.iter().enumerate() {
            let (channel, r, c) = (at / (h * w), at / w % h, at % w);
            for (tap, o) in (0..k[0] * k[1]).flat_map(|tap| (0..per_group).map(move |o| (tap, o))) {
                let (row, column) =
                    (r * stride[0] + tap / k[1] * dilation[0], c * stride[1] + tap % k[1] * dilation[1]);
                let (row, column) = (row.wrapping_sub(pads[0]), column.wrapping_sub(pads[1]));
                if row < oh && column < ow {
                    let out = channel / (ic / groups) * per_group + o;
                    let weight = weights[(channel * per_group + o) * k[0] * k[1] + tap];
                    expected[(out * oh + row) * ow + column] += f64::from(value) * f64::from(weight);
                }
            }
        }
        let found = outputs(&model, &[ArrayData::F32(x)])[0].to_f32();
        assert_eq!(found.len(), expected.len(), "{k:?} {stride:?}");
        assert!(found.iter().zip(&expected).all(|(&f, e)| (f64::from(f) - e).abs() < 1e-5), "{k:?} {stride:?}");
    }
}

#[test]
fn dequantized_constants_keep_their_sign_their_axis_and_their_blocks() {
    // A constant without a zero point that is reshaped: negative codes stay negative.
    let nodes = vec![
        node("DequantizeLinear", &["w", "s"], &["d"], vec![]),
        node("Reshape", &["d", "shape"], &["r"], vec![]),
        node("Add", &["x", "r"], &["y"], vec![]),
    ];
    let w = [-128i64, -1, 127, -64];
    let init = vec![tensor("w", true, &[4], &w), f32s("s", &[], &[0.5]), i64s("shape", &[2], &[2, 2])];
    let model = compiled(&[("x", 1, &[2, 2])], nodes, init, &[("y", 1)]);
    assert_eq!(outputs(&model, &[ArrayData::F32(vec![0.0; 4])])[0].to_f32(), [-64.0, -0.5, 63.5, -32.0]);
    // Scales along an axis that moves: w `[3, 2]` becomes `[2, 3]` before it is dequantized on axis 0.
    let nodes = vec![
        node("Transpose", &["w"], &["t"], vec![ints("perm", &[1, 0])]),
        node("DequantizeLinear", &["t", "s"], &["d"], vec![int("axis", 0)]),
        node("MatMul", &["x", "d"], &["y"], vec![]),
    ];
    let init = || vec![tensor("w", true, &[3, 2], &[1, -2, 3, -4, 5, -6]), f32s("s", &[2], &[0.5, 2.0])];
    let model = compiled(&[("x", 1, &[1, 2])], nodes, init(), &[("y", 1)]);
    assert_eq!(outputs(&model, &[ArrayData::F32(vec![1.0, 1.0])])[0].to_f32(), [0.5 - 4.0, 1.5 - 8.0, 2.5 - 12.0]);
    // Blocks of two along axis 1: a scale for each pair of columns.
    let nodes = vec![
        node("DequantizeLinear", &["w", "s"], &["d"], vec![int("axis", 1), int("block_size", 2)]),
        node("MatMul", &["x", "d"], &["y"], vec![]),
    ];
    let init =
        vec![tensor("w", true, &[2, 4], &[1, 2, 3, 4, -5, -6, -7, -8]), f32s("s", &[2, 2], &[1.0, 10.0, 0.5, 4.0])];
    let model = compiled(&[("x", 1, &[1, 2])], nodes, init, &[("y", 1)]);
    let expected = [1.0 - 2.5, 2.0 - 3.0, 30.0 - 28.0, 40.0 - 32.0];
    assert_eq!(outputs(&model, &[ArrayData::F32(vec![1.0, 1.0])])[0].to_f32(), expected);
}

#[test]
fn quantizers_may_share_one_zero_point() {
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "z"], &["a"], vec![]),
        node("Relu", &["x"], &["r"], vec![]),
        node("QuantizeLinear", &["r", "s", "z"], &["b"], vec![]),
    ];
    let init = vec![f32s("s", &[1], &[0.5]), tensor("z", true, &[1], &[-3])];
    let model = compiled(&[("x", 1, &[1, 3])], nodes, init, &[("a", 3), ("b", 3)]);
    let found = outputs(&model, &[ArrayData::F32(vec![-2.0, 0.25, 9.0])]);
    assert_eq!((whole(&found[0]), whole(&found[1])), (vec![-7, -3, 15], vec![-3, -3, 15]));
}

#[test]
fn a_nan_reaches_the_output_from_every_place() {
    let n = 19;
    let nodes = vec![
        node("Relu", &["x"], &["r"], vec![]),
        node("Clip", &["x", "lo", "hi"], &["c"], vec![]),
        node("ReduceMax", &["x", "axes"], &["m"], vec![int("keepdims", 1)]),
    ];
    let init = vec![f32s("lo", &[], &[-1.0]), f32s("hi", &[], &[1.0]), i64s("axes", &[1], &[1])];
    let model = compiled(&[("x", 1, &[1, n as i64])], nodes, init, &[("r", 1), ("c", 1), ("m", 1)]);
    for place in 0..n {
        let mut x: Vec<f32> = (0..n).map(|i| i as f32 - 9.0).collect();
        x[place] = f32::NAN;
        let found = outputs(&model, &[ArrayData::F32(x.clone())]);
        for (output, bounds) in [(0, (0.0, f32::INFINITY)), (1, (-1.0, 1.0))] {
            let values = found[output].to_f32();
            let same =
                |(i, &v): (usize, &f32)| if i == place { v.is_nan() } else { v == x[i].clamp(bounds.0, bounds.1) };
            assert!(values.iter().enumerate().all(same), "{place}: {values:?}");
        }
        assert!(found[2].to_f32()[0].is_nan(), "{place}");
    }
}

#[test]
fn a_file_at_any_odd_address_is_refused_and_none_crashes() {
    let n = node("Relu", &["x"], &["y"], vec![]);
    let bytes = compiled(&[("x", 1, &[1, 5])], vec![n], vec![], &[("y", 1)]).artifact;
    for offset in 1..16 {
        let words = aligned(&bytes, offset);
        let at = &words.as_bytes()[offset..offset + bytes.len()];
        assert_eq!(Artifact::parse(at).expect_err("odd").kind(), ErrorKind::MisalignedArtifact, "{offset}");
    }
    let words = aligned(&bytes, 0);
    let artifact = Artifact::parse(&words.as_bytes()[..bytes.len()]).expect("even");
    let mut arena = vec![0u128; artifact.arena_bytes().div_ceil(16) + 1];
    for offset in 1..16 {
        let refused = Session::new(artifact, &mut arena.as_mut_bytes()[offset..]).expect_err("odd");
        assert_eq!(refused.kind(), ErrorKind::MisalignedArena, "{offset}");
    }
}

/// Each class of report has a test, and `reported.txt` says where.
#[test]
fn every_class_of_report_names_its_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut classes = Vec::new();
    for line in include_str!("reported.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let parts: Vec<&str> = line.split(" | ").collect();
        let [class, _, file, test] = parts[..] else { panic!("{line}: class | what | file | test") };
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let found = if file.ends_with(".rs") { text.contains(&format!("fn {test}(")) } else { text.contains(test) };
        assert!(found, "{line}: {file} has no {test}");
        classes.push(class.parse::<u32>().unwrap_or_else(|e| panic!("{line}: {e}")));
    }
    assert_eq!(classes, (1..=48).collect::<Vec<_>>());
}
