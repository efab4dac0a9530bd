//! The thread's own time, which other processes do not lengthen, and the cycles in it.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

/// Seconds that this thread has run.
pub fn now() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Seconds of one of `times` runs.
pub fn seconds(times: usize, mut run: impl FnMut()) -> f64 {
    let start = now();
    (0..times).for_each(|_| run());
    (now() - start) / times as f64
}

/// Steps of [`cycles`].
pub const STEPS: usize = 1 << 18;
/// Cycles of a step: a shift, an exclusive or and a multiplication of 3, each waiting for the last.
pub const PER_STEP: f64 = 5.0;

/// [`STEPS`] steps that depend on each other.
pub fn cycles() {
    let mut x = black_box(1u64);
    for _ in 0..STEPS {
        x = (x ^ (x >> 29)).wrapping_mul(0x5851_f42d_4c95_7f2d);
    }
    black_box(x);
}
