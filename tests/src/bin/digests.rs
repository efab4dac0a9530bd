//! Prints the digest lines of every model and input on one instruction set: the one that
//! `SELVEDGE_ISA` names, else the fastest. `--bless` writes the digest file with the reference
//! kernels, which define what is right.

use selvedge::IsaKind;
use selvedge_tests::{data_dir, device, digest};

const HEAD: &str = "\
# model, input, FNV-1a (64 bits) of the output bytes of every step, in execution order.
# Made with the reference kernels: cargo run -p selvedge-tests --bin digests -- --bless
";

fn main() {
    let bless = std::env::args().nth(1).as_deref() == Some("--bless");
    let kind = if bless { IsaKind::Reference } else { selvedge::best_isa().unwrap_or_else(|e| panic!("{e}")) };
    let mut models = device::zoo();
    match data_dir("digests of the MLPerf Tiny models") {
        Some(data) => models.extend(device::mlperf(&data)),
        None => assert!(!bless, "the file holds lines of models that are not here"),
    }
    let lines: Vec<String> = models.iter().flat_map(|model| digest::lines(model, kind)).collect();
    let text = lines.join("\n") + "\n";
    if bless {
        std::fs::write(digest::path(), HEAD.to_string() + &text).expect("a writable file");
    } else {
        print!("{text}");
    }
}
