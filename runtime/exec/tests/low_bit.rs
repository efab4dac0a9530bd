//! Layers with weights of fewer than 8 bits and low-rank branches. Oracle: the formula, in i64.
mod support;

use support::zoo::numbers;
use support::zoo_low::{FORMATS, Groups, K, N, RANKS, ROWS, SHIFTS, codes, low_rank};
use support::{as_f32, f32s, i8s, zoo};

use selvedge_core::params::{Branches, DenseI8, LowBit};
use selvedge_core::{ErrorKind, Format};
use selvedge_kernels::Width;

/// Σ x·w of a row and a channel, `w` scaled and offset.
fn layer_sum(width: Option<Width>, x: &[i8], channel: usize) -> i64 {
    let Some(width) = width else {
        return x.iter().zip(&numbers(N * K)[channel * K..]).map(|(&x, &w)| i64::from(x) * i64::from(w)).sum();
    };
    let groups = Groups::of_32(N, K, true);
    let codes = codes(width, N * K);
    let weight = |k: usize| {
        let g = channel * K.div_ceil(32) + k / 32;
        i64::from(groups.scales[g]) * i64::from(codes[channel * K + k]) - i64::from(groups.offsets[g])
    };
    x.iter().enumerate().map(|(k, &x)| i64::from(x) * weight(k)).sum()
}

/// With `more` bytes of scratch than a layer needs.
fn check(format: Format, width: Option<Width>, more: u32) {
    let mut p = low_rank(format, width);
    p.steps[0].scratch_bytes += more;
    p.arena_bytes += more;
    let (x, scales) = (numbers(ROWS * K), (0..ROWS).map(|r| 0.5 + r as f32).collect::<Vec<_>>());
    let t = RANKS.map(|rank| numbers(ROWS * rank));
    let got = as_f32(&p.run(&[i8s(&x), f32s(&scales), i8s(&t[0]), i8s(&t[1])]).unwrap());
    for row in 0..ROWS {
        for channel in 0..N {
            let mut sum = layer_sum(width, &x[row * K..][..K], channel);
            for ((t, rank), shift) in t.iter().zip(RANKS).zip(SHIFTS) {
                let up = &numbers(N * rank)[channel * rank..][..rank];
                let more: i64 = t[row * rank..].iter().zip(up).map(|(&t, &u)| i64::from(t) * i64::from(u)).sum();
                sum += if shift < 0 { (more + (1 << (-shift - 1))) >> -shift } else { more << shift };
            }
            let want = sum as f32 * (scales[row] * 0.25) + 0.5;
            assert_eq!(got[row * N + channel], want, "{format:?}, row {row}, channel {channel}");
        }
    }
}

#[test]
fn sums_of_branches_end_in_the_sums_of_the_layer() {
    // Chunks of 8 rows, and all rows at once.
    for more in [0, 4096] {
        check(Format::W8, None, more);
        for (format, width) in FORMATS {
            check(format, Some(width), more);
        }
    }
}

#[test]
fn broken_low_bit_and_branch_parameters_are_refused() {
    let (dense, low) = (size_of::<DenseI8>(), size_of::<LowBit>());
    let branches = dense + low;
    let first = branches + size_of::<Branches>();
    let damage = |at: usize, value: u32| {
        let mut p = low_rank(Format::W4, Some(Width::W4));
        p.params[at..at + 4].copy_from_slice(&value.to_le_bytes());
        p.refusal().map(|error| error.kind())
    };
    assert_eq!(damage(dense + 8, 32), None, "the group it has");
    for (at, value) in [
        (dense, u32::MAX - 1), // scales
        (dense, u32::MAX),     // groups without scales
        (dense + 4, 1),        // misaligned offsets
        (dense + 8, 33),       // group
        (dense + 8, 0),        // whole rows with scales
        (dense + 12, 3),       // zero beside offsets
        (branches, 0),
        (branches, 1),
        (branches, 3),
        (first + 4, 1),  // bytes
        (first + 8, 16), // rank
        (first + 12, 32),
        (first, u32::MAX - 100),
    ] {
        assert_eq!(damage(at, value), Some(ErrorKind::BadStep), "{value} at {at}");
    }
    // A code that no ternary weight has is the compiler's mistake, not the device's: no refusal.
    let p = zoo::all().into_iter().find(|(name, _)| *name == "low-bit dense").unwrap().1;
    assert_eq!(p.refusal(), None);
}
