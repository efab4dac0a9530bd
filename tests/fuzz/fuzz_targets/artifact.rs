//! Any bytes as an artifact: parse, validate, run. A panic is a finding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use selvedge::AlignedBuf;
use selvedge_tests::exercise::{ARENA_LIMIT, exercise};

fuzz_target!(|data: &[u8]| {
    let artifact = AlignedBuf::from(data);
    let mut arena = AlignedBuf::zeroed(ARENA_LIMIT);
    exercise(&artifact, &mut arena);
});
