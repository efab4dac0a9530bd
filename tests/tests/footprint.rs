//! Oracle: the numbers in this file. Artifact and arena bytes may shrink; growth is a decision.

use selvedge_compiler::{CompileOptions, compile};
use selvedge_tests::data_dir;
use selvedge_zoo::digits;

/// Model, most bytes of artifact, most bytes of arena.
const MLPERF: &[(&str, usize, usize)] = &[
    ("ad_int8", 281_500, 768),
    ("ic_int8", 84_000, 33_920),
    ("kws_int8", 30_000, 16_512),
    ("sww_int8", 56_700, 7_168),
    ("vww_int8", 45_000, 55_360),
];

#[test]
fn zoo_artifacts_stay_small() {
    let compiled = compile(digits::ONNX, &CompileOptions::default()).expect("compiles");
    println!("digits dynamic: artifact {}, arena {}", compiled.artifact.len(), compiled.plan.arena_bytes);
    assert!(compiled.artifact.len() <= 24_000, "{} bytes", compiled.artifact.len());
    assert!(compiled.plan.arena_bytes <= 14_000, "{} bytes", compiled.plan.arena_bytes);
}

#[test]
fn mlperf_artifacts_and_arenas_stay_small() {
    let Some(data) = data_dir("footprints of the MLPerf Tiny models") else { return };
    for &(model, artifact, arena) in MLPERF {
        let onnx = std::fs::read(data.join(format!("models/mlperf_tiny/{model}.onnx"))).expect("model");
        let compiled = compile(&onnx, &CompileOptions::default()).unwrap_or_else(|e| panic!("{model}: {e}"));
        println!("{model}: artifact {}, arena {}", compiled.artifact.len(), compiled.plan.arena_bytes);
        assert!(compiled.artifact.len() <= artifact, "{model}: artifact {} over {artifact}", compiled.artifact.len());
        assert!(compiled.plan.arena_bytes <= arena, "{model}: arena {} over {arena}", compiled.plan.arena_bytes);
    }
}
