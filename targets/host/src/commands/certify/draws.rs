//! The draws, on threads with a session each.

use super::input::{CertifyInput, MOST_CLASSES};
use crate::error::Failure;
use crate::progress;
use selvedge::certify::{Certifier, Counts, Job, Range, Sink, Tree};
use selvedge::{AlignedBuf, Artifact, CodeMap, Session, SessionClassifier};

/// Draws of a thread between two looks at the progress.
const CHUNK: u32 = 64;

/// Artifact, memory and threads.
pub struct Pool {
    file: AlignedBuf,
    arenas: Vec<AlignedBuf>,
    map: CodeMap,
    batch: usize,
}

/// What a run leaves.
pub struct Run<'j> {
    pub certifier: Certifier<'j, MOST_CLASSES>,
    pub tree: Option<Box<Tree<MOST_CLASSES>>>,
    /// Of the estimation draws.
    pub predictions: Vec<u16>,
}

impl Pool {
    pub fn new(artifact: &Artifact<'_>, input: &CertifyInput, threads: usize, batch: usize) -> Result<Self, Failure> {
        let batch = batch.max(1);
        let file = match batch {
            1 => AlignedBuf::from(artifact.bytes()),
            _ => {
                let batched = selvedge_compiler::batched(artifact, batch);
                AlignedBuf::from(&batched.map_err(|e| Failure::bad(format!("--batch {batch}: {e}")))?[..])
            }
        };
        let arena_bytes = Artifact::parse(&file).map_err(Failure::bad)?.arena_bytes();
        let arenas = (0..threads.max(1)).map(|_| AlignedBuf::zeroed(arena_bytes)).collect();
        Ok(Pool { file, arenas, map: input.map, batch })
    }

    /// Draws until there is a verdict.
    pub fn run<'j>(&mut self, job: &'j Job<'j>, name: &str, tree: bool) -> Result<Run<'j>, Failure> {
        let artifact = Artifact::parse(&self.file).map_err(Failure::bad)?;
        let threads = self.arenas.len() as u32;
        let mut sessions = Vec::new();
        for arena in &mut self.arenas {
            sessions.push(Session::new(artifact, arena).map_err(Failure::bad)?);
        }
        let samples = job.terms().spec().request().samples;
        let bar = progress::bar(samples as usize, "certifying").with_message(name.to_string());
        let mut tree = tree.then(|| Box::new(Tree::new(job)));
        let mut certifier = Certifier::new(job).map_err(Failure::bad)?;
        let mut predictions = Vec::new();
        while let Some(range) = certifier.next_range(CHUNK * threads) {
            let classes = predict(job, &mut sessions, self.map, self.batch, range)?;
            let mut counts = Counts::default();
            for (sample, &class) in (range.first..).zip(&classes) {
                if let Some(tree) = &mut tree {
                    tree.take(range.domain, sample, usize::from(class)).map_err(Failure::bad)?;
                }
                if !counts.add(usize::from(class)) {
                    return Err(Failure::bad(format!("class {class} does not exist")));
                }
            }
            certifier.merge(range, &counts).map_err(Failure::bad)?;
            if range.domain == selvedge::noise::Domain::Estimate {
                predictions.extend(classes);
            }
            bar.set_position(u64::from(certifier.drawn()));
        }
        bar.finish_and_clear();
        Ok(Run { certifier, tree, predictions })
    }
}

/// The classes of a range of samples, in order.
fn predict(
    job: &Job<'_>,
    sessions: &mut [Session<'_>],
    map: CodeMap,
    batch: usize,
    range: Range,
) -> Result<Vec<u16>, Failure> {
    let part = |session: &mut Session<'_>, first: u32, len: u32| -> Result<Vec<u16>, Failure> {
        let mut model = SessionClassifier::batched(session, map, batch).map_err(Failure::bad)?;
        let mut classes = Vec::with_capacity(len as usize);
        job.for_each(&mut model, range.domain, first, len, |_, class| {
            classes.push(class as u16);
            Ok(())
        })
        .map_err(Failure::bad)?;
        Ok(classes)
    };
    let threads = sessions.len() as u32;
    if threads == 1 {
        return part(&mut sessions[0], range.first, range.len);
    }
    // Whole batches to each.
    let each = range.len.div_ceil(threads).next_multiple_of(batch as u32).max(1);
    let parts: Vec<Result<Vec<u16>, Failure>> = std::thread::scope(|scope| {
        let starts = (0..range.len).step_by(each as usize);
        let spawned: Vec<_> = sessions
            .iter_mut()
            .zip(starts)
            .map(|(session, start)| {
                let part = &part;
                scope.spawn(move || part(session, range.first + start, each.min(range.len - start)))
            })
            .collect();
        let lost = || Err(Failure::bad("a thread was lost"));
        spawned.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
    });
    let mut all = Vec::with_capacity(range.len as usize);
    for part in parts {
        all.extend(part?);
    }
    Ok(all)
}
