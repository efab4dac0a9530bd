//! What decides the range of an activation.

/// Watches the values one tensor takes and proposes the range its grid should cover.
///
/// [`calibrate`](super::calibrate) keeps one observer per tensor, made by
/// [`fresh`](Observer::fresh) from the one it was given. Data is finite.
pub trait Observer {
    /// An observer with the same settings that has seen nothing.
    fn fresh(&self) -> Box<dyn Observer>;

    /// Takes in the values of one run.
    fn observe(&mut self, data: &[f32]);

    /// Lower and upper end of the range; `None` before the first value.
    fn bounds(&self) -> Option<(f32, f32)>;

    /// Name and setting for reports.
    fn name(&self) -> String;
}

impl Observer for Box<dyn Observer> {
    fn fresh(&self) -> Box<dyn Observer> {
        self.as_ref().fresh()
    }

    fn observe(&mut self, data: &[f32]) {
        self.as_mut().observe(data);
    }

    fn bounds(&self) -> Option<(f32, f32)> {
        self.as_ref().bounds()
    }

    fn name(&self) -> String {
        self.as_ref().name()
    }
}
