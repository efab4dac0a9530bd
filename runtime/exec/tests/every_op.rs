//! What holds for every entry of the op table, on one small program each.
mod support;

use proptest::prelude::*;
use selvedge_core::Artifact;
use selvedge_exec::{Session, ops};
use selvedge_kernels::IsaKind;
use support::{Aligned, Program, zoo};

/// Runs a program on every instruction set (`Program::run_all` compares them).
fn run(p: &Program) -> Vec<Vec<u8>> {
    let inputs = zoo::inputs(p);
    let inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    p.run_all(&inputs).unwrap()
}

#[test]
fn every_entry_of_the_table_has_a_program() {
    let programs = zoo::all();
    for entry in ops::ALL {
        let found = programs.iter().flat_map(|(_, p)| &p.steps);
        let mut found = found.filter(|s| s.op == entry.code as u16 && s.format == entry.format as u8);
        assert!(found.next().is_some(), "{:?} {:?} has no program", entry.code, entry.format);
    }
}

#[test]
fn every_entry_of_the_table_is_there_once() {
    for (i, a) in ops::ALL.iter().enumerate() {
        assert!(ops::ALL[..i].iter().all(|b| (a.code, a.format) != (b.code, b.format)), "{:?}", a.code);
    }
}

#[test]
fn every_program_is_accepted_and_gives_the_same_bytes_on_every_instruction_set() {
    for (name, p) in zoo::all() {
        assert_eq!(p.refusal(), None, "{name}");
        assert_eq!(run(&p), run(&p), "{name}");
    }
}

#[test]
fn in_place_gives_the_bytes_of_its_twin() {
    let programs = zoo::all();
    for (name, p) in &programs {
        let twin = programs.iter().find(|(other, _)| format!("{other} in place") == *name);
        // Those twins whose parameters and shapes are the same.
        let same =
            |t: &Program| t.params == p.params && t.tensors.iter().map(|t| t.dims).eq(p.tensors.iter().map(|t| t.dims));
        if let Some((_, twin)) = twin.filter(|(_, t)| same(t)) {
            assert_eq!(run(p), run(twin), "{name}");
        }
    }
}

/// Parses, validates and runs; whatever comes of it, there is no panic.
fn survive(bytes: &Aligned, arena: &mut Aligned) {
    let Ok(artifact) = Artifact::parse(bytes) else { return };
    if artifact.arena_bytes() > arena.len() {
        return;
    }
    for kind in IsaKind::ALL {
        arena.fill(0x55);
        let Ok(session) = Session::new(artifact, arena) else { return };
        if let Ok(mut session) = session.with_isa(kind) {
            let _ = session.run();
        }
    }
}

#[test]
fn every_byte_changed_in_every_program_is_survived() {
    let mut arena = Aligned::zeroed(8192);
    for (_, p) in zoo::all() {
        let bytes = p.bytes();
        for at in 0..bytes.len() {
            for mask in [0x01, 0x04, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                survive(&changed, &mut arena);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Records with several fields overwritten by values near the edges of their types.
    #[test]
    fn damaged_records_are_survived(
        which in 0usize..1000,
        changes in prop::collection::vec((0usize..5000, 0usize..3, any::<u32>()), 1..6),
    ) {
        const EDGES: [u32; 12] =
            [0, 1, 2, 3, 7, 255, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x7fc0_0000];
        let programs = zoo::all();
        let mut p = programs[which % programs.len()].1.clone();
        for (at, area, value) in changes {
            let bytes: &mut [u8] = match area {
                0 => &mut p.params,
                1 => zerocopy::IntoBytes::as_mut_bytes(&mut p.tensors[..]),
                _ => zerocopy::IntoBytes::as_mut_bytes(&mut p.steps[..]),
            };
            let value = if value % 3 == 0 { value } else { EDGES[value as usize % EDGES.len()] };
            if bytes.len() >= 4 {
                let at = at % (bytes.len() / 2 - 1) * 2;
                let width = if at.is_multiple_of(4) { 4 } else { 2 };
                bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
        }
        survive(&p.bytes(), &mut Aligned::zeroed(8192));
    }
}
