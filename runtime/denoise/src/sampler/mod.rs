//! Samplers with one `step()` each. The caller owns all buffers; a sampler is a few words of state, `Copy`, that can be
//! stored between steps: with [`Noise::Key`](crate::Noise) a resumed run continues with the same bits.

mod ancestral;
mod consistency;
mod ddim;
mod guidance;
mod latent;
mod plms;
mod shallow;

pub use ancestral::{Ancestral, ancestral_update};
pub use consistency::{Boundary, Consistency, Multistep};
pub use ddim::{Ddim, ddim_update};
pub use guidance::{Form, Guidance, GuidanceSettings, Update};
pub use latent::{Latent, LatentBoundary, latent_update, scaled_step};
pub use plms::{Plms, plms_update};
pub use shallow::{Bands, boundary_kl, first_step_below, terminal_kl};

use crate::error::{DenoiseError, index};

/// Steps of a schedule from high to low, multiples of a stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strided {
    next: Option<usize>,
    stride: usize,
}

impl Strided {
    /// The multiples of `stride` below `start`, from the largest down to 0.
    pub fn below(start: usize, stride: usize, steps: usize) -> Result<Self, DenoiseError> {
        if start == 0 || start > steps || stride == 0 {
            return Err(DenoiseError::Step { step: index(start) });
        }
        Ok(Strided { next: Some((start - 1) / stride * stride), stride })
    }

    /// The step that comes next.
    pub fn now(&self) -> Option<usize> {
        self.next
    }

    /// The step that comes next, or the error that there is none.
    pub fn need(&self) -> Result<usize, DenoiseError> {
        self.next.ok_or(DenoiseError::Step { step: 0 })
    }

    /// The step behind the next one; `None` is the clean signal.
    pub fn after(&self) -> Option<usize> {
        self.next.and_then(|step| step.checked_sub(self.stride))
    }

    pub fn advance(&mut self) {
        self.next = self.after();
    }

    pub fn left(&self) -> usize {
        self.next.map_or(0, |step| step / self.stride + 1)
    }
}
