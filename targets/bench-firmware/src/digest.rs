//! One digest of a run: FNV-1a, 64 bits (Fowler, Noll and Vo), over the output bytes of every
//! step in execution order. The build script computes it on the host, the firmware on the board.

use selvedge::{Probe, StepCtx, StepOutputs};

pub struct Digest(u64);

impl Digest {
    pub const fn new() -> Self {
        Digest(0xcbf2_9ce4_8422_2325)
    }

    pub const fn value(&self) -> u64 {
        self.0
    }
}

impl Probe for Digest {
    fn after_step(&mut self, _: &StepCtx<'_>, outputs: &mut StepOutputs<'_>) {
        for i in 0..outputs.len() {
            for &byte in outputs.bytes(i) {
                self.0 = (self.0 ^ byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
    }
}
