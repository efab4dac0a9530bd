//! Malformed and hostile files are refused with a named reason, and no bytes
//! make the importer panic.
mod common;

use common::*;
use selvedge_compiler::import::ImportError;
use selvedge_compiler::import::{ImportOptions, Unsupported, import_onnx_bytes};
use tract_onnx::pb::*;

fn import(bytes: &[u8]) -> Result<selvedge_compiler::graph::Graph, ImportError> {
    import_onnx_bytes(bytes, &ImportOptions::default())
}

/// The message of a model that must be refused.
fn refused(m: &ModelProto) -> String {
    match import(&encode(m)) {
        Ok(_) => panic!("a malformed model was accepted"),
        Err(e) => e.to_string(),
    }
}

#[track_caller]
fn expect(m: &ModelProto, parts: &[&str]) {
    let message = refused(m);
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

/// x [1,2,4,4] through one node to y.
fn one(op: &str, inputs: &[&str], attributes: Vec<AttributeProto>, init: Vec<TensorProto>) -> ModelProto {
    let inputs: Vec<&str> = std::iter::once("x").chain(inputs.iter().copied()).collect();
    let n = node(op, &inputs, &["y"], attributes);
    model(17, graph(vec![info("x", 1, &[1, 2, 4, 4])], vec![info("y", 1, &[])], vec![n], init))
}

fn conv(attributes: Vec<AttributeProto>, weights: &[i64]) -> ModelProto {
    let n: i64 = weights.iter().product();
    one("Conv", &["w"], attributes, vec![f32s("w", weights, &vec![0.5; n as usize])])
}

fn with_initializer(t: TensorProto) -> ModelProto {
    one("Add", &["w"], vec![], vec![t])
}

#[test]
fn structure_is_checked() {
    expect(&ModelProto { graph: None, ..model(17, GraphProto::default()) }, &["it has no graph"]);
    assert!(import(&[]).unwrap_err().to_string().contains("no graph"));
    let mut m = one("Relu", &[], vec![], vec![]);
    m.opset_import.clear();
    expect(&m, &["opset_import"]);
    let mut m = one("Elu", &[], vec![], vec![]);
    m.opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 1 }];
    expect(&m, &["operator set 1", "version_converter"]);
    let mut m = one("Relu", &[], vec![], vec![]);
    m.graph.as_mut().unwrap().output.clear();
    expect(&m, &["no output"]);
    expect(&one("Add", &["nowhere"], vec![], vec![]), &["`n_y`", "`nowhere` is defined nowhere"]);
    let g = |nodes| model(17, graph(vec![info("x", 1, &[2])], vec![info("y", 1, &[2])], nodes, vec![]));
    let cycle = vec![node("Add", &["x", "b"], &["y"], vec![]), node("Relu", &["y"], &["b"], vec![])];
    expect(&g(cycle), &["cycle"]);
    let twice = vec![node("Relu", &["x"], &["y"], vec![]), node("Neg", &["x"], &["y"], vec![])];
    expect(&g(twice), &["`y` is defined twice"]);
    expect(&one("Relu", &[], vec![int("a", 1), int("a", 2)], vec![]), &["`a` is given twice"]);
    let w = || f32s("w", &[1], &[1.0]);
    expect(&one("Add", &["w"], vec![], vec![w(), w()]), &["initializer `w`", "twice"]);
    let unsorted = vec![node("Neg", &["a"], &["y"], vec![]), node("Relu", &["x"], &["a"], vec![])];
    assert_eq!(import(&encode(&g(unsorted))).unwrap().nodes.len(), 2);
}

#[test]
fn tensors_are_checked() {
    let base = || f32s("w", &[2], &[1.0, 2.0]);
    expect(&with_initializer(f32s("w", &[2], &[1.0])), &["initializer `w`", "need 2", "has 1"]);
    expect(&with_initializer(f32s("w", &[2], &[1.0; 3])), &["need 2", "has 3"]);
    expect(&with_initializer(TensorProto { raw_data: vec![0; 7], ..f32s("w", &[2], &[]) }), &["need 8", "has 7"]);
    expect(&with_initializer(TensorProto { raw_data: vec![0; 8], ..base() }), &["raw_data and float_data"]);
    expect(&with_initializer(f32s("w", &[-1], &[])), &["negative dimension"]);
    expect(&with_initializer(f32s("w", &[i64::MAX, 4], &[])), &["overflows"]);
    expect(&with_initializer(f32s("w", &[1 << 40], &[])), &["initializer `w`", "over the limit"]);
    expect(&with_initializer(TensorProto { data_type: 99, ..base() }), &["type 99"]);
    expect(&with_initializer(TensorProto { data_type: 8, ..base() }), &["STRING"]);
    expect(&with_initializer(TensorProto { data_type: 7, ..base() }), &["INT64 data in field float_data"]);
    expect(&with_initializer(codes("w", 3, &[1], &[300])), &["300", "INT8"]);
    let key = StringStringEntryProto { key: "location".into(), value: "../x".into() };
    let external = TensorProto { data_location: Some(1), external_data: vec![key], ..f32s("w", &[2], &[]) };
    expect(&with_initializer(external), &["initializer `w`", "external file", "inside"]);
}

/// A model whose addend lies in a file beside it.
fn beside(entries: &[(&str, &str)]) -> ModelProto {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto { key: (*key).into(), value: (*value).into() };
    let external_data = entries.iter().map(entry).collect();
    with_initializer(TensorProto { data_location: Some(1), external_data, ..f32s("w", &[2, 1, 1], &[]) })
}

#[test]
fn external_data_is_read_from_the_models_folder_only() {
    let root = std::env::temp_dir().join(format!("selvedge-external-{}", std::process::id()));
    let folder = root.join("model");
    std::fs::create_dir_all(folder.join("parts")).unwrap();
    let floats: Vec<u8> = [0.0f32, 1.5, -2.5].iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.join("parts/w.bin"), &floats).unwrap();
    std::fs::write(root.join("outside.bin"), &floats).unwrap();
    let options = ImportOptions { folder: Some(folder.clone()), ..Default::default() };
    let read =
        |entries: &[(&str, &str)]| import_onnx_bytes(&encode(&beside(entries)), &options).map_err(|e| e.to_string());
    let graph = read(&[("location", "parts/w.bin"), ("offset", "4"), ("length", "8")]).unwrap();
    assert!(graph.values.iter().any(|v| v.f32s() == Some(&[1.5, -2.5])));
    let refused = |entries: &[(&str, &str)], part: &str| {
        let message = read(entries).expect_err("refused");
        assert!(message.contains(part), "`{part}` is not in: {message}");
    };
    refused(&[("location", "../outside.bin")], "outside of the model's folder");
    refused(&[("location", root.join("outside.bin").to_str().unwrap())], "outside of the model's folder");
    refused(&[("location", "parts/../../outside.bin")], "outside of the model's folder");
    refused(&[("location", "parts")], "no regular file");
    refused(&[("location", "nothing.bin")], "nothing.bin");
    refused(&[], "names no file");
    refused(&[("offset", "4")], "names no file");
    refused(&[("location", "parts/w.bin")], "need 8 bytes, the file has 12");
    refused(&[("location", "parts/w.bin"), ("offset", "8"), ("length", "8")], "which has 12");
    refused(&[("location", "parts/w.bin"), ("offset", "-4")], "no number");
    refused(&[("location", "parts/w.bin"), ("length", "18446744073709551615"), ("offset", "2")], "which has 12");
    refused(&[("location", "parts/w.bin"), ("location", "parts/w.bin")], "twice");
    refused(&[("location", "parts/w.bin"), ("mode", "x")], "unknown key");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(root.join("outside.bin"), folder.join("link.bin")).unwrap();
        refused(&[("location", "link.bin")], "through a link");
        std::os::unix::fs::symlink(&root, folder.join("up")).unwrap();
        refused(&[("location", "up/outside.bin")], "through a link");
    }
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn attributes_are_checked() {
    expect(&conv(vec![int("group", 0)], &[2, 2, 3, 3]), &["`n_y` (Conv)", "group"]);
    expect(&conv(vec![int("group", 3)], &[2, 2, 3, 3]), &["group 3"]);
    expect(&conv(vec![ints("strides", &[0, 1])], &[2, 2, 3, 3]), &["strides"]);
    expect(&conv(vec![ints("strides", &[1])], &[2, 2, 3, 3]), &["strides", "1 entries"]);
    expect(&conv(vec![ints("pads", &[1, 1])], &[2, 2, 3, 3]), &["pads", "2 entries"]);
    expect(&conv(vec![ints("pads", &[-1, 0, 0, 0])], &[2, 2, 3, 3]), &["pads"]);
    expect(&conv(vec![ints("dilations", &[1 << 40, 1])], &[2, 2, 3, 3]), &["dilations"]);
    expect(&conv(vec![ints("kernel_shape", &[5, 5])], &[2, 2, 3, 3]), &["kernel_shape"]);
    expect(&conv(vec![int("strides", 1)], &[2, 2, 3, 3]), &["attribute `strides` has type"]);
    expect(&conv(vec![], &[2, 2]), &["no convolution kernel"]);
    expect(&conv(vec![], &[2, 2, 3]), &["n"]);
    expect(&conv(vec![], &[2, 5, 3, 3]), &["y"]);
    expect(&one("Softmax", &[], vec![int("axis", -100_000)], vec![]), &["`axis` is out of range"]);
    expect(&one("Softmax", &[], vec![int("axis", 7)], vec![]), &["y"]);
    expect(&one("Transpose", &[], vec![ints("perm", &[0, 0, 1, 2])], vec![]), &["no permutation"]);
    expect(&one("MaxPool", &[], vec![], vec![]), &["kernel_shape", "missing"]);
    expect(&one("MaxPool", &[], vec![ints("kernel_shape", &[9, 9])], vec![]), &["y"]);
    expect(&one("Reshape", &["s"], vec![], vec![i64s("s", &[1], &[7])]), &["y"]);
    expect(&one("Gather", &["i"], vec![], vec![i64s("i", &[1], &[5])]), &["y"]);
    expect(&one("Conv", &[], vec![], vec![]), &["1 inputs"]);
    let huge = vec![node("ConstantOfShape", &["s"], &["z"], vec![]), node("Add", &["x", "z"], &["y"], vec![])];
    let m = model(
        17,
        graph(vec![info("x", 1, &[1])], vec![info("y", 1, &[])], huge, vec![i64s("s", &[2], &[1 << 20, 1 << 20])]),
    );
    expect(&m, &["`z`", "over the limit"]);
}

fn qdq(scale: TensorProto, zero: TensorProto) -> ModelProto {
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "z"], &["q"], vec![]),
        node("DequantizeLinear", &["q", "s", "z"], &["y"], vec![]),
    ];
    model(19, graph(vec![info("x", 1, &[1, 2])], vec![info("y", 1, &[1, 2])], nodes, vec![scale, zero]))
}

#[test]
fn quantization_parameters_are_checked() {
    let zero = || codes("z", 3, &[], &[0]);
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e-40] {
        expect(&qdq(f32s("s", &[], &[bad]), zero()), &["QuantizeLinear", "scale"]);
    }
    assert!(import(&encode(&qdq(f32s("s", &[2], &[1.0, 2.0]), codes("z", 3, &[2], &[0, 0])))).is_ok(), "per channel");
    expect(&qdq(f32s("s", &[2], &[1.0, -2.0]), codes("z", 3, &[2], &[0, 0])), &["scale -2", "positive"]);
    expect(&qdq(f32s("s", &[3], &[1.0; 3]), codes("z", 3, &[3], &[0; 3])), &["[3] for axis 1 of [1, 2]"]);
    expect(&qdq(f32s("s", &[], &[1.0]), codes("z", 3, &[2], &[0, 0])), &["zero point of shape"]);
    expect(&qdq(f32s("s", &[], &[1.0]), codes("z", 2, &[], &[256])), &["256", "UINT8"]);
    expect(&qdq(f32s("s", &[], &[1.0]), codes("z", 6, &[], &[3])), &["2, 4, 8 or 16 bits"]);
    assert!(import(&encode(&qdq(f32s("s", &[], &[1.0]), codes("z", 22, &[], &[3])))).is_ok(), "INT4 activations");
    expect(&qdq(f32s("s", &[], &[1.0]), f32s("z", &[], &[0.0])), &["zero point of type"]);
    let weights = |attributes, scale: TensorProto, zero: TensorProto| {
        let nodes = vec![
            node("DequantizeLinear", &["w", "s", "z"], &["d"], attributes),
            node("MatMul", &["x", "d"], &["y"], vec![]),
        ];
        let w = codes("w", 3, &[4, 2], &[1; 8]);
        model(21, graph(vec![info("x", 1, &[1, 4])], vec![info("y", 1, &[1, 2])], nodes, vec![w, scale, zero]))
    };
    let two = || f32s("s", &[2], &[1.0, 2.0]);
    assert!(import(&encode(&weights(vec![], two(), codes("z", 3, &[2], &[0, 0])))).is_ok());
    expect(&weights(vec![int("axis", 0)], two(), codes("z", 3, &[2], &[0, 0])), &["expected [4]"]);
    expect(&weights(vec![int("axis", 9)], two(), codes("z", 3, &[2], &[0, 0])), &["axis 9"]);
    expect(&weights(vec![int("block_size", -2)], two(), codes("z", 3, &[2], &[0, 0])), &["block_size -2"]);
    expect(&weights(vec![int("block_size", 3)], two(), codes("z", 3, &[2], &[0, 0])), &["block_size 3"]);
    expect(&weights(vec![], two(), codes("z", 2, &[2], &[0, 0])), &["zero point of type"]);
}

#[test]
fn integer_codes_of_a_grid_cannot_be_computed_with() {
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "z"], &["q"], vec![]),
        node("MatMulInteger", &["q", "w"], &["y"], vec![]),
    ];
    let init = vec![f32s("s", &[], &[1.0]), codes("z", 2, &[], &[0]), codes("w", 3, &[2, 1], &[1, 2])];
    let m = model(19, graph(vec![info("x", 1, &[1, 2])], vec![info("y", 6, &[1, 1])], nodes, init));
    expect(&m, &["`n_y` (MatMulInteger)", "QDQ"]);
    let nodes = vec![
        node("QuantizeLinear", &["x", "s", "z"], &["q"], vec![]),
        node("DequantizeLinear", &["q", "t", "z"], &["y"], vec![]),
    ];
    let init = vec![f32s("s", &[], &[1.0]), f32s("t", &[], &[2.0]), codes("z", 2, &[], &[0])];
    let m = model(19, graph(vec![info("x", 1, &[1, 2])], vec![info("y", 1, &[1, 2])], nodes, init));
    expect(&m, &["scale 1", "scale 2"]);
}

#[test]
fn all_unsupported_nodes_are_listed_at_once() {
    let nodes = vec![
        node("Loop", &["x"], &["a"], vec![]),
        node("Det", &["a"], &["b"], vec![]),
        NodeProto { domain: "my.ops".into(), ..node("Relu", &["b"], &["y"], vec![]) },
    ];
    let m = model(17, graph(vec![info("x", 1, &[2])], vec![info("y", 1, &[2])], nodes, vec![]));
    let Err(ImportError::Unsupported(list)) = import(&encode(&m)) else { panic!("accepted") };
    let ops: Vec<&str> = list.iter().map(|u: &Unsupported| u.op_type.as_str()).collect();
    assert_eq!(ops, ["Loop", "Det", "Relu"]);
    expect(&m, &["`n_a` (Loop)", "control flow", "my.ops.Relu", "standard ONNX"]);
}

#[test]
fn open_dimensions_need_a_shape() {
    let n = || vec![node("Relu", &["x"], &["y"], vec![])];
    let m = model(17, graph(vec![info("x", 1, &[2, -1])], vec![info("y", 1, &[])], n(), vec![]));
    expect(&m, &["graph input `x`", "axis 1", "--shape x="]);
    let shaped = |shape: &[usize]| {
        let options = ImportOptions { shapes: vec![("x".into(), shape.to_vec())], ..Default::default() };
        import_onnx_bytes(&encode(&m), &options)
    };
    assert_eq!(shaped(&[2, 5]).unwrap().values[0].shape, [2, 5]);
    for (shape, part) in [(&[3, 5][..], "fixed to 2"), (&[2], "1 dimensions"), (&[2, 0], "holds nothing")] {
        let e = shaped(shape).unwrap_err().to_string();
        assert!(e.contains(part), "{e}");
    }
    let options = ImportOptions { shapes: vec![("q".into(), vec![1])], ..Default::default() };
    assert!(import_onnx_bytes(&encode(&m), &options).unwrap_err().to_string().contains("no such input"));
    let batch = model(17, graph(vec![info("x", 1, &[-1, 3])], vec![info("y", 1, &[])], n(), vec![]));
    assert_eq!(import(&encode(&batch)).unwrap().values[0].shape, [1, 3]);
}

/// A length-delimited protobuf field.
fn field(tag: u8, inner: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    let mut n = inner.len();
    while n >= 128 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
    out.extend(inner);
    out
}

#[test]
fn deep_nesting_and_false_lengths_are_refused() {
    // GraphProto.node (1) > NodeProto.attribute (5) > AttributeProto.g (6).
    let mut nested = Vec::new();
    for _ in 0..1000 {
        nested = field(1, &field(5, &field(6, &nested)));
    }
    let e = import(&field(7, &nested)).unwrap_err().to_string();
    assert!(e.contains("recursion"), "{e}");
    let mut bytes = vec![7 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0x07];
    bytes.extend([0; 24]);
    assert!(matches!(import(&bytes), Err(ImportError::Protobuf { .. })));
}

fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 16) as usize
}

#[test]
fn mutated_files_do_not_panic() {
    let Some(data) = data() else { return };
    let mut files: Vec<_> = std::fs::read_dir(data.join("cases")).unwrap().map(|e| e.unwrap().path()).collect();
    files.iter_mut().for_each(|p| p.push("model.onnx"));
    for name in ["ad_int8", "kws_int8", "kws_qu8s8", "ic_int8", "kws_fp32"] {
        files.push(data.join(format!("models/mlperf_tiny/{name}.onnx")));
    }
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|p| std::fs::read(p).unwrap()).collect();
    let mut state = 0x5e1f_ed6e_0000_0001;
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..2000 {
        let mut bytes = seeds[random(&mut state) % seeds.len()].clone();
        for _ in 0..=random(&mut state) % 3 {
            // Weights fill the large files; the structure is at either end.
            let len = bytes.len().max(1);
            let near = random(&mut state) % len.min(4000);
            let at = if random(&mut state).is_multiple_of(2) { near } else { len - 1 - near };
            match random(&mut state) % 5 {
                0 => bytes[at] ^= 1 << (random(&mut state) % 8),
                1 => bytes[at] = random(&mut state) as u8,
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + random(&mut state) % 64).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                _ => bytes[at] = [0, 0x7f, 0x80, 0xff][random(&mut state) % 4],
            }
            if bytes.is_empty() {
                break;
            }
        }
        match import(&bytes) {
            Ok(_) => accepted += 1,
            Err(e) => {
                refused += 1;
                assert!(!e.to_string().is_empty(), "round {round}");
            }
        }
    }
    println!("{accepted} accepted, {refused} refused");
    assert!(accepted > 0 && refused > 0);
}
