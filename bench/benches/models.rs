//! One inference of each model on the instruction set `SELVEDGE_ISA` names (default: the fastest).

use criterion::{Criterion, criterion_group, criterion_main};
use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_bench::{fill, models};

fn bench(c: &mut Criterion) {
    for model in models() {
        let bytes = model.bytes();
        let artifact = Artifact::parse(&bytes).expect("sound");
        let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
        let mut session = Session::new(artifact, &mut arena).expect("valid");
        c.bench_function(&model.name, |b| {
            b.iter(|| {
                fill(&mut session).expect("inputs");
                session.run().expect("runs");
            })
        });
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
