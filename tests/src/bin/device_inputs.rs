//! Writes what firmware embeds: for each model its artifact, its inputs and its `ops!` line.
//!
//! usage: `device_inputs FOLDER`. Files: `models.txt` (a name a line), `NAME.slvg`,
//! `NAME.inputs` (raw bytes, one input after the other), `NAME.ops`,
//! `NAME.macs` (multiply-accumulates of a run). Of the model that `regions.txt` names, compiled
//! for two memories: `regions.slvg`, the same as `regions.head` and `regions.weights`, and
//! `staged.head` and `staged.weights`. `streams.txt` names models that keep state, whose inputs are
//! frames of one stream; the others do not. Unchanged files keep their time, so that nothing is built
//! again.

use std::path::{Path, PathBuf};
use std::{env, fs};

use selvedge_tests::{data_dir, device};

fn write(path: &Path, bytes: &[u8]) {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return;
    }
    fs::write(path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

fn main() {
    let Some(folder) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: device_inputs FOLDER");
        std::process::exit(2);
    };
    fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut models = device::zoo();
    let data = data_dir("MLPerf Tiny models on devices");
    if let Some(data) = &data {
        models.extend(device::mlperf(data));
    }
    write_models(&folder, "models.txt", &models);
    write_models(&folder, "streams.txt", &device::streams(data.as_deref()));
    let layouts = device::layouts(data.as_deref());
    write(&folder.join("regions.slvg"), &layouts.regions);
    for (name, (head, weights)) in [("regions", &layouts.split), ("staged", &layouts.staged)] {
        write(&folder.join(format!("{name}.head")), head);
        write(&folder.join(format!("{name}.weights")), weights);
    }
    write(&folder.join("regions.txt"), layouts.name.as_bytes());
    println!("{} models in {}", models.len(), folder.display());
}

/// A file of names, and the files of each model.
fn write_models(folder: &Path, list: &str, models: &[device::DeviceModel]) {
    let mut names = String::new();
    for model in models {
        let file = |suffix: &str| folder.join(format!("{}.{suffix}", model.name));
        write(&file("slvg"), &model.artifact);
        write(&file("inputs"), &model.inputs.concat());
        let summary = model.summary();
        write(&file("ops"), summary.ops.as_bytes());
        write(&file("macs"), summary.macs.to_string().as_bytes());
        names += &format!("{}\n", model.name);
    }
    write(&folder.join(list), names.as_bytes());
}
