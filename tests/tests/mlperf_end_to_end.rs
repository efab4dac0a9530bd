//! Oracle: ONNX Runtime without fusion (`ort_unfused`) on recorded inputs of the published int8 models.

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_compiler::data::ArrayData;
use selvedge_compiler::{CompileOptions, Compiled, compile};
use selvedge_tests::{argmax, data_dir, npz};

fn compile_int8(data: &std::path::Path, model: &str, options: &CompileOptions) -> Compiled {
    let onnx = std::fs::read(data.join(format!("models/mlperf_tiny/{model}_int8.onnx"))).expect("model");
    compile(&onnx, options).unwrap_or_else(|e| panic!("{model}: {e}"))
}

/// Outputs of the artifact for each input, on the instruction set this machine offers.
fn run_all(artifact: &[u8], inputs: &[i8], count: usize) -> Vec<Vec<i8>> {
    let file = AlignedBuf::from(artifact);
    let artifact = Artifact::parse(&file).expect("sound");
    artifact.verify_digest().expect("digest");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid");
    let run = |input: &[i8]| {
        session.input(0).expect("input").copy_from_i8(input).expect("fits");
        session.run().expect("runs");
        session.output(0).expect("output").as_i8().expect("int8 output").to_vec()
    };
    inputs.chunks(inputs.len() / count).map(run).collect()
}

fn check(model: &str, least_equal: f64) {
    let Some(data) = data_dir(&format!("{model} end to end")) else { return };
    let compiled = compile_int8(&data, model, &CompileOptions::default());
    let arrays = npz(&data.join(format!("models/expected/{model}.npz")));
    let (ArrayData::I8(inputs), ArrayData::I8(expected)) = (&arrays["input"].data, &arrays["ort_unfused"].data) else {
        panic!("int8 arrays")
    };
    let count = arrays["input"].shape[0];
    let outputs = run_all(&compiled.artifact, inputs, count);
    let expected: Vec<&[i8]> = expected.chunks(expected.len() / count).collect();
    let (mut equal, mut total, mut clear, mut agree) = (0, 0, 0, 0);
    for (ours, &want) in outputs.iter().zip(&expected) {
        equal += ours.iter().zip(want).filter(|(a, b)| a == b).count();
        total += want.len();
        let best = argmax(want);
        let second = want.iter().enumerate().filter(|&(i, _)| i != best).map(|(_, &q)| q).max().unwrap_or(i8::MIN);
        if want[best] as i32 - second as i32 >= 2 {
            clear += 1;
            agree += (argmax(ours) == best) as usize;
        }
    }
    let share = equal as f64 / total as f64;
    println!(
        "{model}: {:.2} % of {total} elements equal; arg-max equal on {agree} of {clear} clear inputs",
        share * 100.0
    );
    assert!(share >= least_equal, "{model}: {share} equal, at least {least_equal} asked");
    assert!(agree as f64 >= 0.98 * clear as f64, "{model}: arg-max {agree} of {clear}");
}

#[test]
fn ad_equals_onnxruntime_on_98_percent() {
    check("ad", 0.98);
}

#[test]
fn ic_equals_onnxruntime_on_90_percent() {
    check("ic", 0.90);
}

#[test]
fn kws_equals_onnxruntime_on_98_percent() {
    check("kws", 0.98);
}

#[test]
fn sww_equals_onnxruntime_on_98_percent() {
    check("sww", 0.98);
}

#[test]
fn vww_equals_onnxruntime_on_90_percent() {
    check("vww", 0.90);
}

#[test]
fn dead_channels_of_vww_vanish_and_change_no_output() {
    let Some(data) = data_dir("dead channels of vww") else { return };
    let pruned = compile_int8(&data, "vww", &CompileOptions::default());
    let whole = compile_int8(&data, "vww", &CompileOptions { dead_channels: false, ..CompileOptions::default() });
    println!(
        "vww: {} MACs, {} bytes; whole {} MACs, {} bytes",
        pruned.program.macs(),
        pruned.artifact.len(),
        whole.program.macs(),
        whole.artifact.len()
    );
    assert!(pruned.program.macs() <= 3_800_000, "{} MACs", pruned.program.macs());
    assert!(pruned.artifact.len() <= 45_000, "{} bytes", pruned.artifact.len());
    let arrays = npz(&data.join("models/expected/vww.npz"));
    let ArrayData::I8(inputs) = &arrays["input"].data else { panic!("int8 input") };
    let count = arrays["input"].shape[0];
    assert_eq!(run_all(&pruned.artifact, inputs, count), run_all(&whole.artifact, inputs, count));
}

#[test]
fn arenas_fit_the_published_budgets() {
    let Some(data) = data_dir("arena budgets") else { return };
    for (model, budget) in [("ad", 1_408), ("ic", 49_500), ("kws", 16_600), ("vww", 57_000)] {
        let compiled = compile_int8(&data, model, &CompileOptions::default());
        let (arena, bound) = (compiled.plan.arena_bytes, compiled.plan.lower_bound);
        println!("{model}: arena {arena}, lower bound {bound}, budget {budget}");
        assert!(arena <= budget, "{model}: arena {arena} over {budget}");
        assert!(bound <= arena);
    }
}
