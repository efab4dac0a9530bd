//! Oracle: the expected outputs in the test data of the `onnx` package (version 1.22.0, the last with node cases).
//! `tests/conformance/passing.txt` lists the cases that pass; it may only grow. `SELVEDGE_BLESS=1` adds to it,
//! `SELVEDGE_ONNX_FILTER=lstm` runs the cases with that in their name and says what became of each.

use selvedge_tests::conformance::{Case, Group, Outcome, cases, group, run, wheel};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cases that no fixed program can pass, and why: never counted as wrong.
const EXCLUDED: &[(&str, &str)] = &[];

fn all(cases: &[Case]) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(vec![None; cases.len()]);
    let work = || {
        while let Some((at, case)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            cases.get(at).map(|c| (at, c))
        } {
            let outcome = run(case);
            outcomes.lock().expect("no panic while held")[at] = Some(outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    outcomes.into_inner().expect("no panic while held").into_iter().map(|o| o.expect("each was run")).collect()
}

#[test]
fn onnx_cases_that_passed_pass_and_none_is_wrong() {
    let Some(wheel) = wheel("conformance with the onnx package") else { return };
    let mut cases = cases(&wheel).expect("a readable package");
    assert!(cases.len() > 1800, "{} cases: not the package of version 1.22.0", cases.len());
    let filter = std::env::var("SELVEDGE_ONNX_FILTER").ok();
    if let Some(filter) = &filter {
        cases.retain(|case| case.name.contains(filter.as_str()));
    }
    let outcomes = all(&cases);
    let list = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conformance/passing.txt");
    let listed: BTreeSet<String> =
        std::fs::read_to_string(&list).unwrap_or_default().lines().map(str::to_owned).collect();
    let mut passing = BTreeSet::new();
    let mut faults = Vec::new();
    let mut groups = [[0usize; 4]; 3];
    for (case, outcome) in cases.iter().zip(&outcomes) {
        let group = group(case);
        let node = case.name.starts_with("node/");
        let excluded = EXCLUDED.iter().find(|(name, _)| case.name == *name).map(|(_, why)| *why);
        let column = match outcome {
            Outcome::Passed { .. } => 0,
            Outcome::Folded => 1,
            Outcome::Refused(_) => 2,
            Outcome::Wrong(_) | Outcome::Panicked(_) => 3,
        };
        if node {
            groups[group as usize][column] += 1;
        }
        if filter.is_some() {
            println!("{} ({group:?}): {outcome:?}", case.name);
        }
        match outcome {
            Outcome::Passed { .. } => {
                passing.insert(case.name.clone());
            }
            Outcome::Wrong(_) | Outcome::Panicked(_) if excluded.is_none() => {
                faults.push(format!("{}: {outcome:?}", case.name));
            }
            other if listed.contains(&case.name) => faults.push(format!("{} passed before: {other:?}", case.name)),
            _ => {}
        }
    }
    println!("node cases by group: passed, known at compile time, refused, wrong");
    for (group, counts) in [Group::Vision, Group::Sound, Group::Rest].iter().zip(&groups) {
        println!("  {group:?}: {counts:?} of {}", counts.iter().sum::<usize>());
    }
    println!("{} of {} cases pass", passing.len(), cases.len());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    let new: Vec<&String> = passing.difference(&listed).collect();
    if !new.is_empty() && std::env::var_os("SELVEDGE_BLESS").is_some() {
        let all: Vec<&str> = passing.union(&listed).map(String::as_str).collect();
        std::fs::write(&list, all.join("\n") + "\n").expect("the list is writable");
    } else {
        assert!(
            new.is_empty() || filter.is_some(),
            "cases that pass now and are not listed (SELVEDGE_BLESS=1): {new:?}"
        );
    }
}
