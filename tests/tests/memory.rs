//! Oracle: the same model compiled for one region, its weights beside it. Regions, split artifacts
//! and staged weights change where bytes lie and no output.

use selvedge::{AlignedBuf, Artifact, IsaKind, Session, StagedSession, op};
use selvedge_compiler::data::{ArrayData, read_npz};
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::plan::{MemoryOptions, Region};
use selvedge_compiler::quantize::{QuantScheme, WeightFormat};
use selvedge_compiler::split::{join_weights, split_weights};
use selvedge_compiler::{CompileOptions, Compiled, compile};
use selvedge_tests::{data_dir, npz};
use selvedge_zoo::digits;

const NAMES: [&str; 2] = ["fast", "slow"];

/// Fast and slow memory of these many bytes.
fn regions(bytes: &[usize]) -> MemoryOptions {
    let regions = NAMES.iter().zip(bytes).map(|(name, &bytes)| Region { name: name.to_string(), bytes }).collect();
    MemoryOptions { regions, pins: Vec::new() }
}

fn compiled(onnx: &[u8], memory: MemoryOptions, stage_weights: Option<usize>) -> Compiled {
    compile(onnx, &CompileOptions { memory, stage_weights, ..CompileOptions::default() }).expect("compiles")
}

/// Bytes of every output for each input, on one instruction set.
macro_rules! outputs {
    ($session:expr, $inputs:expr) => {{
        let mut session = $session;
        let mut all = Vec::new();
        for input in $inputs {
            session.input(0).expect("input").copy_from_bytes(input).expect("fits");
            session.run().expect("runs");
            all.push(session.output(0).expect("output").bytes().to_vec());
        }
        all
    }};
}

fn isas() -> Vec<IsaKind> {
    IsaKind::ALL.into_iter().filter(|kind| kind.is_available()).collect()
}

fn whole(artifact: &[u8], inputs: &[&[u8]], isa: IsaKind) -> Vec<Vec<u8>> {
    let file = AlignedBuf::from(artifact);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    outputs!(Session::new(artifact, &mut arena).and_then(|s| s.with_isa(isa)).expect("valid"), inputs)
}

/// Two regions, the weights in a file of their own.
fn split(artifact: &[u8], inputs: &[&[u8]], isa: IsaKind) -> Vec<Vec<u8>> {
    let (head, weights) = split_weights(artifact).expect("an artifact");
    assert_eq!(join_weights(&head, &weights).as_deref(), Some(artifact));
    let (head, weights) = (AlignedBuf::from(&head[..]), AlignedBuf::from(&weights[..]));
    let artifact = Artifact::parse_split(&head, &weights).expect("sound");
    artifact.verify_digest().expect("digest");
    let [mut fast, mut slow] = artifact.region_bytes().map(AlignedBuf::zeroed);
    let session = Session::with_regions(artifact, [&mut fast, &mut slow], op::ALL);
    outputs!(session.and_then(|s| s.with_isa(isa)).expect("valid"), inputs)
}

/// Two regions, the weights read step by step.
fn staged(artifact: &[u8], inputs: &[&[u8]], isa: IsaKind) -> Vec<Vec<u8>> {
    let (head, weights) = split_weights(artifact).expect("an artifact");
    let head = AlignedBuf::from(&head[..]);
    let artifact = Artifact::parse_head(&head).expect("sound");
    let [mut fast, mut slow] = artifact.region_bytes().map(AlignedBuf::zeroed);
    let session = StagedSession::new(artifact, [&mut fast, &mut slow], op::ALL, &weights[..]).expect("valid");
    let mut session = session.with_isa(isa).expect("available");
    session.verify_digest().expect("digest");
    outputs!(session, inputs)
}

/// Compares every way of laying out the memory; says what went where.
///
/// `limit` is what staged weights may take at once: layers with more run in parts.
fn check(name: &str, onnx: &[u8], inputs: &[&[u8]], fast: usize, limit: usize) {
    let plain = compiled(onnx, MemoryOptions::default(), None);
    let divided = compiled(onnx, regions(&[fast, 1 << 20]), None);
    let streamed = compiled(onnx, regions(&[fast, 1 << 20]), Some(usize::MAX));
    let parts = compiled(onnx, regions(&[fast, 1 << 20]), Some(limit));
    assert!(parts.program.steps.len() > plain.program.steps.len(), "{name}: no layer has more than {limit} bytes");
    assert!(parts.plan.stages.iter().all(|stage| stage.bytes as usize <= limit), "{name}");
    for (what, compiled) in [("regions", &divided), ("staged", &streamed), ("staged in parts", &parts)] {
        let plan = &compiled.plan;
        assert!(plan.region_bytes[0] <= fast && plan.region_bytes[1] > 0, "{name}: {:?}", plan.region_bytes);
        let share = plan.traffic[0] as f64 / (plan.traffic[0] + plan.traffic[1]) as f64;
        let largest = plan.stages.iter().map(|stage| stage.bytes).max().unwrap_or(0);
        println!(
            "{name}, {what}: arena {} alone; fast {}, slow {}, {:.1} % of the traffic in fast; staged {largest}",
            plain.plan.arena_bytes,
            plan.region_bytes[0],
            plan.region_bytes[1],
            share * 100.0
        );
    }
    for isa in isas() {
        let want = whole(&plain.artifact, inputs, isa);
        for artifact in [&divided.artifact, &streamed.artifact, &parts.artifact] {
            assert_eq!(whole(artifact, inputs, isa), want, "{name}: one arena on {isa:?}");
            assert_eq!(split(artifact, inputs, isa), want, "{name}: regions and a split artifact on {isa:?}");
        }
        for artifact in [&streamed.artifact, &parts.artifact] {
            assert_eq!(staged(artifact, inputs, isa), want, "{name}: staged weights on {isa:?}");
        }
    }
}

#[test]
fn digits_gives_the_same_outputs_from_every_layout() {
    let images: Vec<Vec<u8>> =
        (0..8).map(|i| digits::test_set().image(i).iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    check("digits", digits::ONNX, &images, 2048, 4096);
}

#[test]
fn mlperf_models_give_the_same_outputs_from_every_layout() {
    let Some(data) = data_dir("memory layouts of the MLPerf Tiny models") else { return };
    let models = [("ad", 512, 16), ("ic", 16 << 10, 8), ("kws", 8 << 10, 2), ("sww", 4 << 10, 8), ("vww", 32 << 10, 4)];
    for (model, fast, limit) in models {
        let onnx = std::fs::read(data.join(format!("models/mlperf_tiny/{model}_int8.onnx"))).expect("model");
        let arrays = npz(&data.join(format!("models/expected/{model}.npz")));
        let ArrayData::I8(inputs) = &arrays["input"].data else { panic!("int8 input") };
        let bytes: Vec<u8> = inputs.iter().map(|&x| x as u8).collect();
        let entry = bytes.len() / arrays["input"].shape[0];
        let inputs: Vec<&[u8]> = bytes.chunks(entry).take(2).collect();
        check(model, &onnx, &inputs, fast, limit << 10);
    }
}

/// Every output of one run.
macro_rules! all_outputs {
    ($session:expr, $inputs:expr) => {{
        let mut session = $session;
        for (index, bytes) in $inputs.iter().enumerate() {
            session.input(index).and_then(|input| input.copy_from_bytes(bytes)).expect("fits");
        }
        session.run().expect("runs");
        let count = session.artifact().outputs().len();
        (0..count).map(|i| session.output(i).expect("output").bytes().to_vec()).collect::<Vec<_>>()
    }};
}

#[test]
fn models_of_many_kinds_give_the_same_outputs_with_staged_weights() {
    let Some(data) = data_dir("staged weights of the cases") else { return };
    let mut compared = 0;
    for dir in std::fs::read_dir(data.join("cases")).expect("cases").map(|e| e.expect("entry").path()) {
        let arrays = read_npz(&dir.join("data.npz")).expect("data");
        let inputs = || arrays.iter().filter_map(|(key, array)| Some((key.strip_prefix("in_")?, array)));
        let shapes: Vec<_> = inputs().map(|(name, array)| (name.to_string(), array.shape.clone())).collect();
        let bytes: Vec<Vec<u8>> = inputs().map(|(_, array)| array.data.to_bytes()).collect();
        let onnx = std::fs::read(dir.join("model.onnx")).expect("model");
        for weights in [WeightFormat::F32, WeightFormat::W8] {
            let options = |stage_weights| CompileOptions {
                import: ImportOptions { shapes: shapes.to_vec(), ..ImportOptions::default() },
                scheme: QuantScheme { weights, ..QuantScheme::w8a8() },
                stage_weights,
                ..CompileOptions::default()
            };
            let (Ok(plain), staged) = (compile(&onnx, &options(None)), compile(&onnx, &options(Some(usize::MAX))))
            else {
                continue;
            };
            let file = AlignedBuf::from(&plain.artifact[..]);
            let artifact = Artifact::parse(&file).expect("sound");
            let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
            let want = all_outputs!(Session::new(artifact, &mut arena).expect("valid"), bytes);
            let staged = staged.unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
            if staged.plan.stages.is_empty() {
                continue;
            }
            let (head, weights) = split_weights(&staged.artifact).expect("an artifact");
            let head = AlignedBuf::from(&head[..]);
            let artifact = Artifact::parse_head(&head).expect("sound");
            let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
            let session = StagedSession::new(artifact, [&mut arena, &mut []], op::ALL, &weights[..]);
            let session = session.unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
            assert_eq!(all_outputs!(session, bytes), want, "{}", dir.display());
            compared += 1;
        }
    }
    assert!(compared >= 10, "{compared}");
}

#[test]
fn a_model_of_one_region_costs_nothing_more() {
    let plain = compiled(digits::ONNX, MemoryOptions::default(), None);
    assert_eq!(compiled(digits::ONNX, regions(&[1 << 20]), None).artifact, plain.artifact);
    assert_eq!(compiled(digits::ONNX, regions(&[1 << 20, 1 << 20]), None).artifact, plain.artifact);
}

#[test]
fn too_little_memory_is_refused_with_byte_counts() {
    let refusal = |memory, stage_weights| {
        let options = CompileOptions { memory, stage_weights, ..CompileOptions::default() };
        compile(digits::ONNX, &options).expect_err("too small").to_string()
    };
    let plan = compiled(digits::ONNX, MemoryOptions::default(), None).plan;
    let text = refusal(regions(&[plan.arena_bytes - 16]), None);
    assert!(text.contains(&format!("needs {} bytes of 'fast', 16 more", plan.arena_bytes)), "{text}");
    assert!(text.contains("most are alive at step"), "{text}");
    let text = refusal(regions(&[16, 16]), None);
    assert!(text.contains("of 'slow'"), "{text}");
    // Not even one panel of channels fits.
    let text = refusal(MemoryOptions::default(), Some(64));
    assert!(text.contains("bytes of weights") && text.contains("more than the 64 that may be staged"), "{text}");
}
