//! LSTM, GRU and RNN. Oracle of the f32 form: the equations of the ONNX operator texts in f64; of a stream: all
//! frames at once; of the int8 form: the f32 model, within a bound that does not grow with the number of steps.
mod common;

use common::*;
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::simulate::{InputData, SimMode, Simulator};
use selvedge_compiler::{CompileOptions, Compiled, compile, compile_calibrated, load};
use selvedge_core::{Artifact, DType, Format, OpCode};
use selvedge_exec::{STATE_HEADER_BYTES, StreamSession, state_bytes};
use tract_onnx::pb::*;
use zerocopy::IntoBytes;

struct Random(u64);

impl Random {
    /// In −1..1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn list(&mut self, n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|_| self.next() * scale).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Lstm,
    Gru,
    Rnn,
}

#[derive(Clone, Debug)]
struct Case {
    kind: Kind,
    direction: &'static str,
    batch_first: bool,
    linear: bool,
    forget: bool,
    clip: f32,
    peepholes: bool,
    lengths: Option<Vec<i32>>,
    states: bool,
    bias: bool,
    activations: Vec<&'static str>,
    sizes: [usize; 4],
}

impl Case {
    fn new(kind: Kind, direction: &'static str) -> Self {
        Case {
            kind,
            direction,
            batch_first: false,
            linear: false,
            forget: false,
            clip: 0.0,
            peepholes: false,
            lengths: None,
            states: true,
            bias: true,
            activations: vec![],
            sizes: [11, 2, 3, 5],
        }
    }

    fn directions(&self) -> usize {
        if self.direction == "bidirectional" { 2 } else { 1 }
    }

    fn gates(&self) -> usize {
        match self.kind {
            Kind::Lstm => 4,
            Kind::Gru => 3,
            Kind::Rnn => 1,
        }
    }
}

/// Everything that goes into a layer, as ONNX has it with `layout` 0.
struct Tensors {
    x: Vec<f32>,
    w: Vec<f32>,
    r: Vec<f32>,
    b: Vec<f32>,
    h: Vec<f32>,
    c: Vec<f32>,
    p: Vec<f32>,
}

fn tensors(case: &Case, seed: u64) -> Tensors {
    let mut random = Random(seed * 977 + 3);
    let [t, n, i, h] = case.sizes;
    let (d, g) = (case.directions(), case.gates());
    let states = if case.states { 1.0 } else { 0.0 };
    Tensors {
        x: random.list(t * n * i, 2.0),
        w: random.list(d * g * h * i, 0.7),
        r: random.list(d * g * h * h, 0.5),
        b: random.list(2 * d * g * h, if case.bias { 0.3 } else { 0.0 }),
        h: random.list(d * n * h, states),
        c: random.list(d * n * h, states),
        p: random.list(3 * d * h, if case.peepholes { 0.4 } else { 0.0 }),
    }
}

fn activation(name: &str, x: f64) -> f64 {
    match name {
        "Relu" => x.max(0.0),
        "Tanh" => x.tanh(),
        "Sigmoid" => 1.0 / (1.0 + (-x).exp()),
        "Affine" => 0.9 * x + 0.1,
        "LeakyRelu" => {
            if x < 0.0 {
                0.9 * x
            } else {
                x
            }
        }
        "ThresholdedRelu" => {
            if x > 0.9 {
                x
            } else {
                0.0
            }
        }
        "ScaledTanh" => 0.9 * (0.1 * x).tanh(),
        "HardSigmoid" => (0.9 * x + 0.1).clamp(0.0, 1.0),
        "Elu" => {
            if x < 0.0 {
                0.9 * x.exp_m1()
            } else {
                x
            }
        }
        "Softsign" => x / (1.0 + x.abs()),
        "Softplus" => x.exp().ln_1p(),
        other => panic!("{other}"),
    }
}

/// Functions that take an alpha (0.9 here), and those that take a beta (0.1) as well.
fn constants(names: &[&str]) -> (Vec<f32>, Vec<f32>) {
    let alpha = ["Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu"];
    let beta = ["Affine", "ScaledTanh", "HardSigmoid"];
    let count = |of: &[&str]| names.iter().filter(|n| of.contains(n)).count();
    (vec![0.9; count(&alpha)], vec![0.1; count(&beta)])
}

/// Y `[t, d, n, h]`, Y_h and Y_c `[d, n, h]`.
fn oracle(case: &Case, v: &Tensors) -> [Vec<f64>; 3] {
    let [t, n, i, h] = case.sizes;
    let (d, g) = (case.directions(), case.gates());
    let default: &[&str] = match case.kind {
        Kind::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        Kind::Gru => &["Sigmoid", "Tanh"],
        Kind::Rnn => &["Tanh"],
    };
    let per = default.len();
    let (mut y, mut all_h, mut all_c) = (vec![0.0; t * d * n * h], vec![0.0; d * n * h], vec![0.0; d * n * h]);
    for dir in 0..d {
        let names = if case.activations.is_empty() { default } else { &case.activations[dir * per..][..per] };
        let clip = |x: f64| if case.clip > 0.0 { x.clamp(-f64::from(case.clip), f64::from(case.clip)) } else { x };
        let act = |which: usize, x: f64| activation(names[which], clip(x));
        let w = |row: usize, k: usize| f64::from(v.w[(dir * g * h + row) * i + k]);
        let r = |row: usize, k: usize| f64::from(v.r[(dir * g * h + row) * h + k]);
        let b = |row: usize| f64::from(v.b[dir * 2 * g * h + row]);
        let p = |gate: usize, j: usize| f64::from(v.p[dir * 3 * h + gate * h + j]);
        for row in 0..n {
            let mut state: Vec<f64> = v.h[(dir * n + row) * h..][..h].iter().map(|&x| x.into()).collect();
            let mut cell: Vec<f64> = v.c[(dir * n + row) * h..][..h].iter().map(|&x| x.into()).collect();
            let length = case.lengths.as_ref().map_or(t, |l| l[row] as usize);
            let backwards = case.direction == "reverse" || dir == 1;
            for step in 0..length {
                let time = if backwards { length - 1 - step } else { step };
                let of_x = |row_of: usize| {
                    (0..i).map(|k| w(row_of, k) * f64::from(v.x[(time * n + row) * i + k])).sum::<f64>() + b(row_of)
                };
                let of_h = |row_of: usize, from: &[f64]| {
                    (0..h).map(|k| r(row_of, k) * from[k]).sum::<f64>() + b(g * h + row_of)
                };
                let before = state.clone();
                match case.kind {
                    Kind::Lstm => {
                        for j in 0..h {
                            let z = |gate: usize| of_x(gate * h + j) + of_h(gate * h + j, &before);
                            let input = act(0, z(0) + p(0, j) * cell[j]);
                            let forget = if case.forget { 1.0 - input } else { act(0, z(2) + p(2, j) * cell[j]) };
                            cell[j] = forget * cell[j] + input * act(1, z(3));
                            let output = act(0, z(1) + p(1, j) * cell[j]);
                            state[j] = output * activation(names[2], cell[j]);
                        }
                    }
                    Kind::Gru => {
                        let z: Vec<f64> = (0..h).map(|j| act(0, of_x(j) + of_h(j, &before))).collect();
                        let reset: Vec<f64> = (0..h).map(|j| act(0, of_x(h + j) + of_h(h + j, &before))).collect();
                        let scaled: Vec<f64> = (0..h).map(|j| reset[j] * before[j]).collect();
                        for j in 0..h {
                            let row_of = 2 * h + j;
                            let inner =
                                if case.linear { reset[j] * of_h(row_of, &before) } else { of_h(row_of, &scaled) };
                            let candidate = act(1, of_x(row_of) + inner);
                            state[j] = (1.0 - z[j]) * candidate + z[j] * before[j];
                        }
                    }
                    Kind::Rnn => (0..h).for_each(|j| state[j] = act(0, of_x(j) + of_h(j, &before))),
                }
                y[((time * d + dir) * n + row) * h..][..h].copy_from_slice(&state);
            }
            all_h[(dir * n + row) * h..][..h].copy_from_slice(&state);
            all_c[(dir * n + row) * h..][..h].copy_from_slice(&cell);
        }
    }
    [y, all_h, all_c]
}

/// `data` of these dims with its axes in another order.
fn transposed<T: Copy>(data: &[T], dims: &[usize], perm: &[usize]) -> Vec<T> {
    let stride = |axis: usize| dims[axis + 1..].iter().product::<usize>();
    let to: Vec<usize> = perm.iter().map(|&p| dims[p]).collect();
    let place = |mut flat: usize| {
        let mut from = 0;
        for axis in (0..to.len()).rev() {
            from += flat % to[axis] * stride(perm[axis]);
            flat /= to[axis];
        }
        from
    };
    (0..data.len()).map(|flat| data[place(flat)]).collect()
}

/// The model with its weights as constants; inputs x, then the states.
fn onnx(case: &Case, v: &Tensors) -> Vec<u8> {
    let [t, n, i, h] = case.sizes.map(|s| s as i64);
    let (d, g) = (case.directions() as i64, case.gates() as i64);
    let op = ["LSTM", "GRU", "RNN"][case.kind as usize];
    let mut attributes = vec![int("hidden_size", h), string("direction", case.direction)];
    if case.batch_first {
        attributes.push(int("layout", 1));
    }
    if case.linear {
        attributes.push(int("linear_before_reset", 1));
    }
    if case.forget {
        attributes.push(int("input_forget", 1));
    }
    if case.clip > 0.0 {
        attributes.push(float("clip", case.clip));
    }
    if !case.activations.is_empty() {
        let (alpha, beta) = constants(&case.activations);
        let strings = case.activations.iter().map(|s| s.as_bytes().to_vec()).collect();
        let kind = attribute_proto::AttributeType::Strings as i32;
        attributes.push(AttributeProto { name: "activations".into(), r#type: kind, strings, ..Default::default() });
        for (name, floats) in [("activation_alpha", alpha), ("activation_beta", beta)] {
            let kind = attribute_proto::AttributeType::Floats as i32;
            attributes.push(AttributeProto { name: name.into(), r#type: kind, floats, ..Default::default() });
        }
    }
    let mut init = vec![f32s("w", &[d, g * h, i], &v.w), f32s("r", &[d, g * h, h], &v.r)];
    let mut names = vec!["x", "w", "r", "", "", "", "", ""];
    if case.bias {
        init.push(f32s("b", &[d, 2 * g * h], &v.b));
        names[3] = "b";
    }
    if let Some(lengths) = &case.lengths {
        let int32_data = lengths.clone();
        init.push(TensorProto { name: "l".into(), dims: vec![n], data_type: 6, int32_data, ..Default::default() });
        names[4] = "l";
    }
    let state = if case.batch_first { [n, d, h] } else { [d, n, h] };
    let mut inputs = vec![info("x", 1, &if case.batch_first { [n, t, i] } else { [t, n, i] })];
    if case.states {
        inputs.push(info("h", 1, &state));
        names[5] = "h";
        if case.kind == Kind::Lstm {
            inputs.push(info("c", 1, &state));
            names[6] = "c";
        }
    }
    if case.peepholes {
        init.push(f32s("p", &[d, 3 * h], &v.p));
        names[7] = "p";
    }
    while names.last() == Some(&"") {
        names.pop();
    }
    let outputs: &[&str] = if case.kind == Kind::Lstm { &["y", "yh", "yc"] } else { &["y", "yh"] };
    let node = node(op, &names, outputs, attributes);
    let outputs = outputs.iter().map(|o| info(o, 1, &[])).collect();
    encode(&model(14, graph(inputs, outputs, vec![node], init)))
}

fn check(case: &Case, seed: u64) {
    let v = tensors(case, seed);
    let [t, n, i, h] = case.sizes;
    let d = case.directions();
    let graph = load(&onnx(case, &v), &ImportOptions::default()).unwrap_or_else(|e| panic!("{case:?}: {e}"));
    let mut simulator = Simulator::new(&graph, SimMode::Integer).unwrap_or_else(|e| panic!("{case:?}: {e}"));
    let first = |data: &[f32], dims: [usize; 3]| match case.batch_first {
        true => transposed(data, &dims, &[1, 0, 2]),
        false => data.to_vec(),
    };
    let mut inputs = vec![InputData::F32(first(&v.x, [t, n, i]))];
    if case.states {
        inputs.push(InputData::F32(first(&v.h, [d, n, h])));
        if case.kind == Kind::Lstm {
            inputs.push(InputData::F32(first(&v.c, [d, n, h])));
        }
    }
    let found = simulator.run(&inputs, &mut |_, _, _| {}).unwrap_or_else(|e| panic!("{case:?}: {e}"));
    let [y, yh, yc] = oracle(case, &v);
    let expected = match case.batch_first {
        true => [
            transposed(&y, &[t, d, n, h], &[2, 0, 1, 3]),
            transposed(&yh, &[d, n, h], &[1, 0, 2]),
            transposed(&yc, &[d, n, h], &[1, 0, 2]),
        ],
        false => [y, yh, yc],
    };
    for (output, expected) in found.iter().zip(&expected) {
        let values = output.to_f32();
        assert_eq!(values.len(), expected.len(), "{case:?} {}", output.name);
        for (index, (&a, &b)) in values.iter().zip(expected).enumerate() {
            assert!((f64::from(a) - b).abs() <= 2e-5 * (1.0 + b.abs()), "{case:?} {}[{index}]: {a} {b}", output.name);
        }
    }
}

#[test]
fn f32_layers_equal_the_operator_texts() {
    let mut seed = 0;
    for kind in [Kind::Lstm, Kind::Gru, Kind::Rnn] {
        for direction in ["forward", "reverse", "bidirectional"] {
            let plain = Case::new(kind, direction);
            let d = plain.directions();
            let mut cases = vec![plain.clone()];
            cases.push(Case { batch_first: true, ..plain.clone() });
            cases.push(Case { lengths: Some(vec![11, 4]), clip: 0.5, ..plain.clone() });
            cases.push(Case {
                states: false,
                bias: false,
                batch_first: true,
                lengths: Some(vec![7, 9]),
                ..plain.clone()
            });
            cases.push(Case { sizes: [1, 1, 17, 33], linear: true, ..plain.clone() });
            cases.push(Case { linear: true, forget: true, peepholes: kind == Kind::Lstm, ..plain.clone() });
            cases.push(Case { peepholes: kind == Kind::Lstm, clip: 0.7, ..plain.clone() });
            let lists: &[&[&str]] = match kind {
                Kind::Lstm => &[&["HardSigmoid", "ScaledTanh", "Softsign"], &["Sigmoid", "Elu", "Affine"]],
                Kind::Gru => &[&["HardSigmoid", "Softsign"], &["Sigmoid", "LeakyRelu"]],
                Kind::Rnn => &[&["ThresholdedRelu"], &["Softplus"], &["Relu"], &["Elu"]],
            };
            for list in lists {
                cases.push(Case { activations: list.repeat(d), clip: 2.0, ..plain.clone() });
            }
            for case in cases {
                seed += 1;
                check(&case, seed);
            }
        }
    }
    assert!(seed > 75, "{seed} cases");
}

/// One layer that is stable over any number of steps, and frames for it.
fn stream_case(kind: Kind, linear: bool, frames: usize) -> (Case, Tensors) {
    let mut case = Case::new(kind, "forward");
    (case.linear, case.states, case.sizes) = (linear, false, [frames, 1, 12, 24]);
    let mut v = tensors(&case, 40 + kind as u64);
    // Inputs like those of a sensor: they wander, and sometimes jump.
    let mut random = Random(9);
    let mut at = [0f32; 12];
    for x in v.x.chunks_mut(12) {
        for (at, x) in at.iter_mut().zip(x) {
            *at = if random.next() > 0.98 { 2.0 * random.next() } else { 0.97 * *at + 0.15 * random.next() };
            *x = at.clamp(-1.5, 1.5);
        }
    }
    let scale = |w: &mut [f32], by: f32| w.iter_mut().for_each(|w| *w *= by);
    scale(&mut v.w, 0.8);
    scale(&mut v.r, 0.7);
    (case, v)
}

fn artifact(bytes: &[u8]) -> Vec<u128> {
    let mut words = vec![0u128; bytes.len().div_ceil(16)];
    words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    words
}

/// h of every frame, frame by frame through one state.
fn run_stream(compiled: &Compiled, x: &[f32]) -> Vec<Vec<f32>> {
    let words = artifact(&compiled.artifact);
    let model = Artifact::parse(&words.as_bytes()[..compiled.artifact.len()]).expect("an artifact");
    let mut arena = vec![0u128; model.arena_bytes().div_ceil(16)];
    let mut state = vec![0; state_bytes(&model)];
    let mut session = StreamSession::new(model, arena.as_mut_bytes(), &mut state).expect("a session");
    let mut all = Vec::new();
    for frame in x.chunks(12) {
        let input = session.input(0).expect("an input");
        match input.dtype() {
            DType::F32 => input.copy_from_f32(frame).expect("fits"),
            _ => input.quantize_from_f32(frame).expect("fits"),
        }
        session.step().expect("runs");
        let output = session.output(0).expect("an output");
        let mut values = vec![0.0; output.elements()];
        output.dequantize_into(&mut values).expect("fits");
        all.push(values);
    }
    all
}

fn compile_stream(case: &Case, v: &Tensors, int8: bool) -> Compiled {
    let frame = Case { sizes: [1, 1, 12, 24], ..case.clone() };
    let import = ImportOptions { stream: true, ..ImportOptions::default() };
    let mut options = CompileOptions { import, ..CompileOptions::default() };
    let onnx = onnx(&frame, v);
    if !int8 {
        options.scheme = QuantScheme { weights: WeightFormat::F32, ..QuantScheme::w8a8() };
        return compile(&onnx, &options).expect("compiles");
    }
    let graph = load(&onnx, &options.import).expect("loads");
    let samples: Vec<Sample> = v.x.chunks(12).take(2000).map(|x| Sample::f32([1, 1, 12], x.to_vec())).collect();
    compile_calibrated(graph, samples, &options).expect("compiles")
}

#[test]
fn a_stream_equals_all_frames_at_once() {
    for (kind, linear) in [(Kind::Lstm, false), (Kind::Gru, false), (Kind::Gru, true), (Kind::Rnn, false)] {
        let (case, v) = stream_case(kind, linear, 50);
        let compiled = compile_stream(&case, &v, false);
        let frames = run_stream(&compiled, &v.x);
        let graph = load(&onnx(&case, &v), &ImportOptions::default()).expect("loads");
        let mut whole = Simulator::new(&graph, SimMode::Integer).expect("lowers");
        let found = whole.run(&[ArrayData::F32(v.x.clone())], &mut |_, _, _| {}).expect("runs");
        assert_eq!(frames.concat(), found[0].to_f32(), "{kind:?}: the same bits");
    }
}

/// Greatest and mean |error| of h over each tenth of the frames.
fn errors(kind: Kind, linear: bool) -> Vec<[f32; 2]> {
    let (case, v) = stream_case(kind, linear, 10_000);
    let (float, int8) = (compile_stream(&case, &v, false), compile_stream(&case, &v, true));
    let codes: Vec<_> = int8.program.steps.iter().map(|s| (s.op, s.format)).collect();
    let wanted = if kind == Kind::Lstm { OpCode::Lstm } else { OpCode::Gru };
    assert!(codes.contains(&(wanted, Format::W8)), "{codes:?} {:?}", int8.program.notes);
    let kept: usize =
        int8.program.states.iter().map(|s| int8.program.tensors[int8.program.inputs[s.input]].bytes()).sum();
    // h in int8 and c in int16, or h in int16.
    assert_eq!(kept, if kind == Kind::Lstm { 24 * 3 } else { 24 * 2 });
    let (a, b) = (run_stream(&float, &v.x), run_stream(&int8, &v.x));
    let error = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| (a - b).abs()).collect::<Vec<_>>();
    let each: Vec<Vec<f32>> = a.iter().zip(&b).map(error).collect();
    let of = |part: &[Vec<f32>]| {
        let all = part.concat();
        [all.iter().copied().fold(0f32, f32::max), all.iter().sum::<f32>() / all.len() as f32]
    };
    each.chunks(1000).map(of).collect()
}

/// The stated bound: |h − h of f32| (h is in −1..1) stays below 0.1 at every step and below 0.01 in the mean of
/// any thousand, and is no larger in the last thousands than in the first.
#[test]
fn int8_stays_within_its_bound_over_10_000_steps() {
    for (kind, linear) in [(Kind::Lstm, false), (Kind::Gru, false), (Kind::Gru, true)] {
        let tenths = errors(kind, linear);
        println!("{kind:?} linear {linear}: {tenths:?}");
        assert!(tenths.iter().all(|&[most, mean]| most < 0.1 && mean < 0.01), "{kind:?}: {tenths:?}");
        let mean = |part: &[[f32; 2]]| part.iter().map(|[_, mean]| mean).sum::<f32>();
        assert!(mean(&tenths[7..]) < 1.2 * mean(&tenths[..3]), "{kind:?}: {tenths:?}");
    }
}

#[test]
fn states_are_named_checked_and_go_on() {
    let (case, v) = stream_case(Kind::Lstm, false, 40);
    let frame = Case { sizes: [1, 1, 12, 24], states: true, ..case.clone() };
    let pairs = |list: &[(&str, &str)]| ImportOptions {
        states: list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect(),
        ..ImportOptions::default()
    };
    let options = |import| CompileOptions {
        import,
        scheme: QuantScheme { weights: WeightFormat::F32, ..QuantScheme::w8a8() },
        ..CompileOptions::default()
    };
    let onnx = onnx(&frame, &v);
    let named = compile(&onnx, &options(pairs(&[("h", "yh"), ("c", "yc")]))).expect("compiles");
    assert_eq!(run_stream(&named, &v.x), run_stream(&compile_stream(&case, &v, false), &v.x));
    for (wrong, said) in [(("h", "nothing"), "names no input and output"), (("x", "yh"), "it is F32")] {
        let error = compile(&onnx, &options(pairs(&[wrong]))).expect_err("a wrong pair").to_string();
        assert!(error.contains(said), "{error}");
    }
    assert_eq!(named.program.states.len(), 2);
    assert_eq!(
        named
            .program
            .states
            .iter()
            .map(|s| named.program.tensors[named.program.inputs[s.input]].bytes())
            .sum::<usize>()
            + STATE_HEADER_BYTES,
        24 * 8 + 24
    );
}
