//! What is smoothed: an artifact, or a denoiser and an artifact; and the threads that run it.

use super::input::{InputArgs, MOST_CLASSES};
use crate::error::Failure;
use crate::files::open_artifact;
use selvedge::certify::{Classify, Scores, denoised_name};
use selvedge::{AlignedBuf, Artifact, CodeMap, DenoisedClassifier, Error, ErrorKind, Session, SessionClassifier};

/// The files, whole and sound.
pub struct Source {
    classifier: AlignedBuf,
    denoiser: Option<AlignedBuf>,
}

impl Source {
    /// Reads them.
    pub fn open(args: &InputArgs) -> Result<Self, Failure> {
        let denoiser = args.denoiser.as_deref().map(open_artifact).transpose()?;
        Ok(Source { classifier: open_artifact(&args.model)?, denoiser })
    }

    /// The artifact that takes the noisy codes.
    pub fn front(&self) -> Result<Artifact<'_>, Failure> {
        Artifact::parse(self.denoiser.as_ref().unwrap_or(&self.classifier)).map_err(Failure::bad)
    }

    /// The artifact that gives the scores.
    pub fn classifier(&self) -> Result<Artifact<'_>, Failure> {
        Artifact::parse(&self.classifier).map_err(Failure::bad)
    }

    /// What a certificate calls the model.
    pub fn name(&self) -> Result<[u8; 32], Failure> {
        let classifier = self.classifier()?.header().digest;
        Ok(match &self.denoiser {
            Some(_) => denoised_name(&self.front()?.header().digest, &classifier),
            None => classifier,
        })
    }

    /// Classes of the first output.
    pub fn classes(&self) -> Result<usize, Failure> {
        let artifact = self.classifier()?;
        let first = artifact.outputs().first().map(|&tensor| artifact.tensor(tensor as usize));
        let classes = first.transpose().map_err(Failure::bad)?.map_or(0, |view| view.elements);
        if (2..=MOST_CLASSES).contains(&classes) {
            return Ok(classes);
        }
        let wanted = format!("a classifier's has 2 to {MOST_CLASSES} scores");
        Err(Failure::bad(format!("the first output has {classes} elements; {wanted}")))
    }

    /// The same for many inputs at once.
    fn batched(&self, batch: usize) -> Result<Self, Failure> {
        let file = |bytes: &AlignedBuf| -> Result<AlignedBuf, Failure> {
            let artifact = Artifact::parse(bytes).map_err(Failure::bad)?;
            if batch == 1 {
                return Ok(AlignedBuf::from(artifact.bytes()));
            }
            let batched = selvedge_compiler::batched(&artifact, batch);
            Ok(AlignedBuf::from(&batched.map_err(|e| Failure::bad(format!("--batch {batch}: {e}")))?[..]))
        };
        let denoiser = self.denoiser.as_ref().map(&file).transpose()?;
        Ok(Source { classifier: file(&self.classifier)?, denoiser })
    }
}

/// Files and memory of some threads.
pub struct Pool {
    source: Source,
    arenas: Vec<[AlignedBuf; 2]>,
    map: CodeMap,
    batch: usize,
}

/// A thread's sessions.
struct Pair<'a> {
    classifier: Session<'a>,
    denoiser: Option<Session<'a>>,
}

/// The sessions of all threads.
pub struct Workers<'a> {
    pairs: Vec<Pair<'a>>,
    map: CodeMap,
    batch: usize,
}

impl Pool {
    /// For `threads` threads that run `batch` inputs at once.
    pub fn new(source: &Source, map: CodeMap, threads: usize, batch: usize) -> Result<Self, Failure> {
        let batch = batch.max(1);
        let source = source.batched(batch)?;
        let size = source.classifier()?.arena_bytes();
        let front = if source.denoiser.is_some() { source.front()?.arena_bytes() } else { 0 };
        let arenas = (0..threads.max(1)).map(|_| [AlignedBuf::zeroed(size), AlignedBuf::zeroed(front)]).collect();
        Ok(Pool { source, arenas, map, batch })
    }

    /// The sessions.
    pub fn workers(&mut self) -> Result<Workers<'_>, Failure> {
        let Pool { source, arenas, map, batch } = self;
        let mut pairs = Vec::with_capacity(arenas.len());
        for [arena, front] in arenas {
            let denoiser = match source.denoiser {
                Some(_) => Some(Session::new(source.front()?, front).map_err(Failure::bad)?),
                None => None,
            };
            pairs.push(Pair { classifier: Session::new(source.classifier()?, arena).map_err(Failure::bad)?, denoiser });
        }
        let mut workers = Workers { pairs, map: *map, batch: *batch };
        // What does not fit is said before anything is drawn.
        workers.first()?;
        Ok(workers)
    }
}

impl<'a> Pair<'a> {
    fn model(&mut self, map: CodeMap, batch: usize) -> Result<Model<'_, 'a>, Failure> {
        let Some(denoiser) = &mut self.denoiser else {
            return SessionClassifier::batched(&mut self.classifier, map, batch)
                .map(Model::Plain)
                .map_err(Failure::bad);
        };
        let front = SessionClassifier::batched(denoiser, map, batch).map_err(Failure::bad)?;
        DenoisedClassifier::new(front, &mut self.classifier).map(Model::Denoised).map_err(|e| {
            Failure::bad(format!(
                "--denoiser: its first output is not what the classifier takes ({e}); compile both so that type, grid and \
                 size agree, f32 for one"
            ))
        })
    }
}

impl<'a> Workers<'a> {
    /// Threads.
    pub fn count(&self) -> u32 {
        self.pairs.len() as u32
    }

    /// The model of the first thread.
    pub fn first(&mut self) -> Result<Model<'_, 'a>, Failure> {
        let (map, batch) = (self.map, self.batch);
        self.pairs.first_mut().ok_or_else(|| Failure::bad("no threads"))?.model(map, batch)
    }

    /// Cuts `first..first + len` into a piece for each thread, whole batches but for the last; what the pieces give, in
    /// order.
    pub fn each<T: Send>(
        &mut self,
        first: u32,
        len: u32,
        part: impl Fn(&mut Model<'_, '_>, u32, u32) -> Result<T, Failure> + Sync,
    ) -> Result<Vec<T>, Failure> {
        let (map, batch) = (self.map, self.batch);
        if self.count() == 1 {
            return Ok(vec![part(&mut self.first()?, first, len)?]);
        }
        let each = len.div_ceil(self.count()).next_multiple_of(batch as u32).max(1);
        std::thread::scope(|scope| {
            let starts = (0..len).step_by(each as usize);
            let spawned: Vec<_> = self
                .pairs
                .iter_mut()
                .zip(starts)
                .map(|(pair, start)| {
                    let part = &part;
                    scope.spawn(move || part(&mut pair.model(map, batch)?, first + start, each.min(len - start)))
                })
                .collect();
            let lost = || Err(Failure::bad("a thread was lost"));
            spawned.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
        })
    }
}

/// A classifier of noisy codes.
pub enum Model<'s, 'a> {
    Plain(SessionClassifier<'s, 'a>),
    Denoised(DenoisedClassifier<'s, 'a, 's, 'a>),
}

impl Classify for Model<'_, '_> {
    type Error = Error;

    fn batch(&self) -> usize {
        match self {
            Model::Plain(model) => Classify::batch(model),
            Model::Denoised(model) => model.batch(),
        }
    }

    fn write(&mut self, sample: usize, first: usize, codes: &[i16]) -> Result<(), Error> {
        match self {
            Model::Plain(model) => Classify::write(model, sample, first, codes),
            Model::Denoised(model) => model.write(sample, first, codes),
        }
    }

    fn run(&mut self, samples: usize) -> Result<(), Error> {
        match self {
            Model::Plain(model) => Classify::run(model, samples),
            Model::Denoised(model) => model.run(samples),
        }
    }

    fn class(&self, sample: usize) -> usize {
        match self {
            Model::Plain(model) => model.class(sample),
            Model::Denoised(model) => model.class(sample),
        }
    }
}

/// A denoised pair has none to hand out.
impl Scores for Model<'_, '_> {
    fn scores(&self, sample: usize, scores: &mut [i32]) -> Result<(), Error> {
        match self {
            Model::Plain(model) => model.scores(sample, scores),
            Model::Denoised(_) => Err(ErrorKind::WrongType.into()),
        }
    }
}
