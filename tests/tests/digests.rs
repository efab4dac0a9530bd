//! Oracle: `digests.txt`, made with the reference kernels. Every step of every model gives the
//! recorded bytes on every instruction set of this machine; `targets/` compares boards with the
//! same file. Rungs below: the reference kernels against integer arithmetic (`runtime/kernels`),
//! whole models against ONNX Runtime (`mlperf_end_to_end.rs`).

use selvedge_tests::device::{self, DeviceModel, INPUTS};
use selvedge_tests::{data_dir, digest, isas};

fn check(what: &str, models: &[DeviceModel]) {
    let isas = isas(what);
    let recorded = digest::recorded();
    for model in models {
        let name = &model.name;
        let want = recorded.get(name).unwrap_or_else(|| panic!("{name}: no lines in {}", digest::path().display()));
        assert_eq!(want.len(), INPUTS, "{name}: recorded lines");
        for &kind in &isas {
            let found = digest::lines(model, kind);
            assert_eq!(&found, want, "{name} on {}: `digests -- --bless` where this is meant", kind.name());
        }
    }
}

#[test]
fn zoo_digests_equal_the_recorded_ones_on_every_isa() {
    check("zoo", &device::zoo());
}

#[test]
fn mlperf_digests_equal_the_recorded_ones_on_every_isa() {
    let Some(data) = data_dir("digests of the MLPerf Tiny models") else { return };
    check("MLPerf Tiny models", &device::mlperf(&data));
}

#[test]
fn every_recorded_model_is_one_that_targets_run() {
    let names: Vec<String> = digest::recorded().into_keys().collect();
    let zoo = ["", "_f32", "_lsq3", "_lsq4", "_norm", "_pairs", "_ternary", "_w4g32"].map(|end| format!("digits{end}"));
    let others = ["ad", "ic", "kws", "sww", "vww"].map(String::from);
    let mut run = [zoo.as_slice(), &others].concat();
    run.sort();
    assert_eq!(names, run);
}
