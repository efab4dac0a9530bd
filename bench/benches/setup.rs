//! What stands between an artifact in memory and the first run: parse, validate; the digest apart.

use criterion::{Criterion, criterion_group, criterion_main};
use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_bench::models;
use std::hint::black_box;

fn bench(c: &mut Criterion) {
    for model in models() {
        let bytes = model.bytes();
        let mut arena = AlignedBuf::zeroed(Artifact::parse(&bytes).expect("sound").arena_bytes());
        c.bench_function(&format!("{} parse and Session::new", model.name), |b| {
            b.iter(|| {
                let artifact = Artifact::parse(black_box(&bytes)).expect("sound");
                black_box(Session::new(artifact, &mut arena).expect("valid").arena_bytes())
            })
        });
        let artifact = Artifact::parse(&bytes).expect("sound");
        c.bench_function(&format!("{} verify_digest", model.name), |b| b.iter(|| black_box(artifact).verify_digest()));
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
