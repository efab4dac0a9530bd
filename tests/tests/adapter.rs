//! Oracle: the adapter's product in float. What a branch adds is within its stated error, and an
//! artifact whose adapters were detached is the artifact, byte for byte.

use selvedge::{AlignedBuf, Artifact, IsaKind, Probe, Session, StepCtx, StepOutputs};
use selvedge_compiler::adapter::{
    AdapterError, AttachOptions, Attached, LoraAdapter, LoraLayer, Observations, Observer, attach, attached, detach,
};
use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::emit::{EmitOptions, Names};
use selvedge_compiler::graph::{Clamp, Constant, DType, Graph, Node, Op, Value};
use selvedge_compiler::lowbit::Width;
use selvedge_compiler::prepare::PrepareOptions;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::{CompileOptions, compile_calibrated, compile_loaded};
use selvedge_tests::isas;
use selvedge_tests::mutate::Rng;

const ROWS: usize = 11;
const K: usize = 72;
const HIDDEN: usize = 40;
const N: usize = 21;

fn normal(count: usize, seed: u64, scale: f32) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let mut uniform = || (rng.next_u64() >> 40) as f32 / (1u32 << 24) as f32;
    (0..count).map(|_| ((0..12).map(|_| uniform()).sum::<f32>() - 6.0) * scale).collect()
}

/// Two dense layers with a ReLU between them.
fn model() -> Graph {
    let mut graph = Graph::default();
    let mut value = |name: &str, shape: &[usize], data: Option<Vec<f32>>| {
        let mut value = Value::new(name, DType::F32, shape.to_vec());
        value.data = data.map(Constant::F32);
        graph.add_value(value)
    };
    let x = value("x", &[ROWS, K], None);
    let w1 = value("layers.0.up.weight", &[HIDDEN, K], Some(normal(HIDDEN * K, 1, 0.1)));
    let b1 = value("layers.0.up.bias", &[HIDDEN], Some(normal(HIDDEN, 2, 0.3)));
    let h = value("layers.0.up.output", &[ROWS, HIDDEN], None);
    let w2 = value("layers.0.down.weight", &[N, HIDDEN], Some(normal(N * HIDDEN, 3, 0.1)));
    let y = value("layers.0.down.output", &[ROWS, N], None);
    graph.inputs.push(x);
    graph.outputs.push(y);
    let relu = Clamp { lo: 0.0, hi: f32::INFINITY };
    let mut node = |name: &str, clamp, inputs, outputs| {
        graph.nodes.push(Node { name: name.into(), op: Op::Dense { clamp }, inputs, outputs });
    };
    node("up", Some(relu), vec![Some(x), Some(w1), Some(b1)], vec![h]);
    node("down", None, vec![Some(h), Some(w2)], vec![y]);
    graph
}

fn lora(module: &str, n: usize, k: usize, rank: usize, seed: u64) -> LoraLayer {
    let (down, up) = (normal(rank * k, seed, 0.1), normal(n * rank, seed + 1, 0.1));
    LoraLayer { module: module.into(), rank, k, n, down, up, scale: 2.0 }
}

fn adapter(rank: usize, seed: u64) -> LoraAdapter {
    let layers = vec![lora("layers.0.up", HIDDEN, K, rank, seed), lora("layers.0.down", N, HIDDEN, rank, seed + 5)];
    LoraAdapter { layers, notes: Vec::new() }
}

/// The model with the adapter's products added to its weights.
fn merged(adapter: &LoraAdapter) -> Graph {
    let mut graph = model();
    for lora in &adapter.layers {
        let name = format!("{}.weight", lora.module);
        let value = graph.values.iter_mut().find(|value| value.name == name).expect("a weight");
        let Some(Constant::F32(weights)) = &mut value.data else { panic!("floats") };
        for (i, w) in weights.iter_mut().enumerate() {
            *w += product(lora, i / lora.k, i % lora.k);
        }
    }
    graph
}

fn product(lora: &LoraLayer, row: usize, col: usize) -> f32 {
    (0..lora.rank).map(|r| lora.up[row * lora.rank + r] * lora.down[r * lora.k + col]).sum::<f32>() * lora.scale
}

fn compiled(graph: Graph, scheme: QuantScheme, calibrated: bool) -> Vec<u8> {
    let options = CompileOptions {
        scheme: QuantScheme { edges_w8: false, ..scheme },
        emit: EmitOptions { names: Names::All },
        ..CompileOptions::default()
    };
    let samples = (0..8).map(|i| Sample::f32([ROWS, K], normal(ROWS * K, 100 + i, 1.0)));
    let made = if calibrated { compile_calibrated(graph, samples, &options) } else { compile_loaded(graph, &options) };
    made.expect("compiles").artifact
}

/// Formats, with activations on static grids or quantized at run time.
fn bases() -> Vec<(String, Vec<u8>)> {
    let schemes = [
        QuantScheme::w8a8(),
        QuantScheme::low_bit(Width::W4, 32),
        QuantScheme::low_bit(Width::W3, 0),
        QuantScheme::low_bit(Width::W2, 64),
        QuantScheme::low_bit(Width::T2, 0),
    ];
    let cases = schemes.iter().flat_map(|scheme| [true, false].map(|calibrated| (scheme, calibrated)));
    let named = cases.map(|(scheme, calibrated)| {
        let name = format!("{}, calibrated: {calibrated}", scheme.weights.describe());
        (name, compiled(model(), scheme.clone(), calibrated))
    });
    named.collect()
}

fn with<T>(artifact: &[u8], f: impl FnOnce(&Artifact<'_>) -> T) -> T {
    let file = AlignedBuf::from(artifact);
    f(&Artifact::parse(&file).expect("sound"))
}

fn run(artifact: &[u8], kind: IsaKind, x: &[f32]) -> Vec<f32> {
    run_probed(artifact, kind, x, &mut Nothing)
}

struct Nothing;

impl Probe for Nothing {
    fn after_step(&mut self, _: &StepCtx<'_>, _: &mut StepOutputs<'_>) {}
}

fn run_probed(artifact: &[u8], kind: IsaKind, x: &[f32], probe: &mut impl Probe) -> Vec<f32> {
    let file = AlignedBuf::from(artifact);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).and_then(|session| session.with_isa(kind)).expect("valid");
    session.input(0).expect("input").quantize_from_f32(x).expect("fits");
    session.run_probed(probe).expect("runs");
    let mut values = vec![0.0; ROWS * N];
    session.output(0).expect("output").dequantize_into(&mut values).expect("fits");
    values
}

fn options(name: &str, observed: Observations) -> AttachOptions {
    AttachOptions { name: name.into(), strength: 1.0, map: Vec::new(), observed }
}

fn observe(base: &[u8], x: &[f32]) -> Observations {
    let mut observer = with(base, Observer::new).expect("watches");
    run_probed(base, IsaKind::Reference, x, &mut observer);
    observer.finish()
}

fn joined(base: &[u8], adapter: &LoraAdapter, name: &str) -> Attached {
    with(base, |base| attach(base, adapter, &options(name, Observations::default()))).expect("attaches")
}

fn without(artifact: &[u8], name: &str) -> Vec<u8> {
    with(artifact, |artifact| detach(artifact, name)).expect("detaches").artifact
}

#[test]
fn detaching_gives_the_artifact_byte_for_byte_whatever_else_is_attached() {
    let (first, second) = (adapter(16, 10), adapter(5, 50));
    for (name, base) in bases() {
        let one = joined(&base, &first, "first").artifact;
        assert!(without(&one, "first") == base, "{name}");
        let both = joined(&one, &second, "second").artifact;
        assert!(without(&both, "second") == one, "{name}");
        let other = joined(&base, &second, "second").artifact;
        assert!(without(&both, "first") == other, "{name}: the one below another");
        assert!(without(&without(&both, "first"), "second") == base, "{name}: both");
        let there = with(&both, attached).expect("sound");
        let names: Vec<(&str, usize)> = there.iter().map(|a| (a.name.as_str(), a.layers)).collect();
        assert_eq!(names, [("first", 2), ("second", 2)]);
    }
}

#[test]
fn the_base_keeps_its_weights_and_a_strength_of_zero_changes_no_output() {
    let x = normal(ROWS * K, 7, 1.0);
    for (name, base) in bases() {
        let weights = with(&base, |base| base.weights().to_vec());
        let none = AttachOptions { strength: 0.0, ..options("none", Observations::default()) };
        let attached = with(&base, |base| attach(base, &adapter(16, 10), &none)).expect("attaches");
        with(&attached.artifact, |artifact| assert!(artifact.weights().starts_with(&weights), "{name}"));
        let kind = IsaKind::Reference;
        assert_eq!(run(&attached.artifact, kind, &x), run(&base, kind, &x), "{name}");
    }
}

#[test]
fn artifacts_with_adapters_give_the_bytes_of_the_reference_kernels() {
    let isas = isas("adapters");
    let x = normal(ROWS * K, 7, 1.0);
    for (name, base) in bases() {
        let both = joined(&joined(&base, &adapter(16, 10), "a").artifact, &adapter(33, 50), "b").artifact;
        let want = run(&both, IsaKind::Reference, &x);
        for &kind in &isas {
            assert_eq!(run(&both, kind, &x), want, "{name}, {kind:?}");
        }
    }
}

/// The int8 activations that the last layer reads, and their scales.
#[derive(Default)]
struct Hidden {
    codes: Vec<i8>,
    scales: Vec<f32>,
}

impl Probe for Hidden {
    fn after_step(&mut self, step: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        let dynamic = step.step().outputs.len() == 2;
        let dims = outputs.tensor(0).map(|t| t.dims.to_vec()).unwrap_or_default();
        if dynamic && dims == [ROWS as u32, HIDDEN as u32] {
            self.codes = outputs.bytes(0).iter().map(|&b| b as i8).collect();
            self.scales = outputs.bytes(1).as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
        }
    }
}

#[test]
fn what_a_branch_adds_is_the_product_in_float_within_the_stated_error() {
    let x = normal(ROWS * K, 7, 1.0);
    let lora = lora("layers.0.down", N, HIDDEN, 16, 30);
    let adapter = LoraAdapter { layers: vec![lora.clone()], notes: Vec::new() };
    for scheme in [QuantScheme::w8a8(), QuantScheme::low_bit(Width::W4, 32), QuantScheme::low_bit(Width::T2, 0)] {
        let base = compiled(model(), scheme.clone(), false);
        let seen = observe(&base, &x);
        let made = with(&base, |base| attach(base, &adapter, &options("lora", seen))).expect("attaches");
        let mut hidden = Hidden::default();
        let plain = run_probed(&base, IsaKind::Reference, &x, &mut hidden);
        let found = run(&made.artifact, IsaKind::Reference, &x);
        let (mut signal, mut noise) = (0.0, 0.0);
        for row in 0..ROWS {
            for n in 0..N {
                let codes = &hidden.codes[row * HIDDEN..][..HIDDEN];
                let real = codes.iter().enumerate().map(|(k, &c)| f64::from(c) * f64::from(product(&lora, n, k)));
                let want = real.sum::<f64>() * f64::from(hidden.scales[row]);
                let added = f64::from(found[row * N + n]) - f64::from(plain[row * N + n]);
                signal += want * want;
                noise += (added - want) * (added - want);
            }
        }
        let error = f64::sqrt(noise / signal);
        let report = &made.layers[0];
        assert!(report.observed && report.layer == "layers.0.down.output");
        assert!(report.relative_error < 0.03, "{report:?}");
        // Half a step of the layer's sums comes on top where the branch shifts to the right.
        assert!(error < 1.1 * report.relative_error + 2e-3, "{}: {error} {report:?}", scheme.weights.describe());
    }
}

#[test]
fn an_attached_adapter_equals_merging_in_float_as_closely_as_the_artifact_its_model() {
    let x = normal(ROWS * K, 7, 1.0);
    let adapter = adapter(16, 10);
    let float = |graph: Graph| run(&compiled(graph, QuantScheme::f32(), false), IsaKind::Reference, &x);
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let (plain, want) = (float(model()), float(merged(&adapter)));
    assert!(distance(&plain, &want) > 0.2 * distance(&want, &vec![0.0; want.len()]), "the adapter changes much");
    let base = compiled(model(), QuantScheme::w8a8(), false);
    let made = with(&base, |base| attach(base, &adapter, &options("a", observe(base.bytes(), &x)))).expect("attaches");
    let found = run(&made.artifact, IsaKind::Reference, &x);
    let (own, all) = (distance(&run(&base, IsaKind::Reference, &x), &plain), distance(&found, &want));
    let branch = made.layers.iter().map(|layer| layer.relative_error).fold(0.0, f64::max) * distance(&plain, &want);
    println!("artifact against model: {own:.4}; with the adapter: {all:.4}, of which branches up to {branch:.4}");
    assert!(all < 1.5 * own + 1.5 * branch, "{all} {own} {branch}");
}

#[test]
fn misfits_are_named_with_a_remedy() {
    let (_, base) = &bases()[0];
    let refused = |adapter: &LoraAdapter, options: &AttachOptions| {
        with(base, |base| attach(base, adapter, options)).expect_err("refused")
    };
    let plain = options("a", Observations::default());
    let one = |layer: LoraLayer| LoraAdapter { layers: vec![layer], notes: Vec::new() };
    let error = refused(&one(lora("layers.1.up", HIDDEN, K, 4, 1)), &plain);
    assert!(error.to_string().contains("'layers.1.up'") && error.to_string().contains("--map"), "{error}");
    let error = refused(&one(lora("layers.0.up", HIDDEN, K + 1, 4, 1)), &plain);
    assert!(matches!(error, AdapterError::NoLayer { .. }), "{error}");
    let twice = LoraAdapter {
        layers: vec![lora("layers.0.up", HIDDEN, K, 4, 1), lora("b.layers.0.up", HIDDEN, K, 4, 1)],
        notes: Vec::new(),
    };
    assert!(matches!(refused(&twice, &plain), AdapterError::Twice { .. }));
    assert!(matches!(refused(&adapter(4, 1), &options("a b", Observations::default())), AdapterError::Name(_)));
    let strong = AttachOptions { strength: 1e9, ..plain.clone() };
    assert!(refused(&adapter(4, 1), &strong).to_string().contains("--strength"));
    let made = joined(base, &adapter(4, 1), "a").artifact;
    let again = with(&made, |made| attach(made, &adapter(4, 1), &plain)).expect_err("refused");
    assert_eq!(again, AdapterError::Attached("a".into()));
    let none = with(&made, |made| detach(made, "b")).expect_err("refused");
    assert!(none.to_string().contains("there are: a"), "{none}");
    let how = PrepareOptions { low_rank: 16, svdquant: true, ..PrepareOptions::default() };
    let compile = CompileOptions {
        scheme: QuantScheme { edges_w8: false, ..QuantScheme::low_bit(Width::W4, 32) },
        prepare: Some(how),
        dynamic: true,
        emit: EmitOptions { names: Names::All },
        ..CompileOptions::default()
    };
    let samples = (0..8).map(|i| Sample::f32([ROWS, K], normal(ROWS * K, 100 + i, 1.0)));
    let smoothed = compile_calibrated(model(), samples, &compile).expect("compiles").artifact;
    let error = with(&smoothed, |smoothed| attach(smoothed, &adapter(4, 1), &plain)).expect_err("refused");
    assert!(error.to_string().contains("--svdquant"), "{error}");
    // A third branch is the last; a fourth is refused.
    let more = joined(&joined(&made, &adapter(4, 2), "b").artifact, &adapter(4, 3), "c").artifact;
    let error =
        with(&more, |more| attach(more, &adapter(4, 4), &options("d", Observations::default()))).expect_err("refused");
    assert!(error.to_string().contains("3 branches"), "{error}");
}
