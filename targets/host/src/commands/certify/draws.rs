//! The draws of the rules that count predictions.

use super::input::MOST_CLASSES;
use super::model::Workers;
use crate::error::Failure;
use crate::progress;
use selvedge::certify::{Certifier, Counts, Job, Sink, Tree};
use selvedge::noise::Domain;

/// Draws of a thread between two looks at the progress.
pub const CHUNK: u32 = 64;

/// What a run leaves.
pub struct Run<'j> {
    pub certifier: Certifier<'j, MOST_CLASSES>,
    pub tree: Option<Box<Tree<MOST_CLASSES>>>,
    /// Of the estimation draws.
    pub predictions: Vec<u16>,
}

/// Draws until there is a verdict.
pub fn run<'j>(workers: &mut Workers<'_>, job: &'j Job<'j>, name: &str, tree: bool) -> Result<Run<'j>, Failure> {
    let samples = job.terms().spec().request().samples;
    let bar = progress::bar(samples as usize, "certifying").with_message(name.to_string());
    let mut tree = tree.then(|| Box::new(Tree::new(job)));
    let mut certifier = Certifier::new(job).map_err(Failure::bad)?;
    let mut predictions = Vec::new();
    while let Some(range) = certifier.next_range(CHUNK * workers.count()) {
        let classes = workers.each(range.first, range.len, |model, first, len| {
            let mut classes = Vec::with_capacity(len as usize);
            job.for_each(model, range.domain, first, len, |_, class| {
                classes.push(class as u16);
                Ok(())
            })
            .map_err(Failure::bad)?;
            Ok(classes)
        })?;
        let classes = classes.concat();
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
        if range.domain == Domain::Estimate {
            predictions.extend(classes);
        }
        bar.set_position(u64::from(certifier.drawn()));
    }
    bar.finish_and_clear();
    Ok(Run { certifier, tree, predictions })
}
