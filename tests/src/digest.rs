//! Digests of every step's outputs, and the file that all targets are compared with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use selvedge::{AlignedBuf, Artifact, IsaKind, Probe, Session, StepCtx, StepOutputs};

use crate::device::DeviceModel;

/// FNV-1a, 64 bits (Fowler, Noll and Vo), going on from `hash`.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3))
}

/// The digest over the output bytes of all steps so far, after each step.
#[derive(Clone, Default)]
pub struct Digests(pub Vec<u64>);

impl Probe for Digests {
    fn after_step(&mut self, _: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        let before = self.0.last().copied().unwrap_or(0xcbf2_9ce4_8422_2325);
        self.0.push((0..outputs.len()).fold(before, |hash, i| fnv(hash, outputs.bytes(i))));
    }
}

/// Lines of the digest file: `model input digest`.
pub fn lines(model: &DeviceModel, kind: IsaKind) -> Vec<String> {
    let file = AlignedBuf::from(&model.artifact[..]);
    let artifact = Artifact::parse(&file).expect("sound");
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena).expect("valid").with_isa(kind).expect("available");
    let mut line = |(i, input): (usize, &Vec<u8>)| {
        session.input(0).expect("input").copy_from_bytes(input).expect("fits");
        let mut digests = Digests::default();
        session.run_probed(&mut digests).expect("runs");
        format!("{} {i} {:016x}", model.name, digests.0.last().expect("a step"))
    };
    model.inputs.iter().enumerate().map(&mut line).collect()
}

/// The digest file.
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("digests.txt")
}

/// Lines of the digest file by model.
pub fn recorded() -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(path()).unwrap_or_else(|e| panic!("{}: {e}", path().display()));
    let mut models = BTreeMap::<String, Vec<String>>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let model = line.split(' ').next().unwrap_or_default();
        models.entry(model.to_string()).or_default().push(line.to_string());
    }
    models
}
