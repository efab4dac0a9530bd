//! Sequential certification: an e-process that may be looked at any time.
//!
//! To show that a class has probability above p0, let `E_n = ∫ (q/p0)^k·((1−q)/(1−p0))^(n−k) dπ(q)` over q in p0 to 1, k
//! of n draws having the class. Each factor has expectation at most 1 where the probability is at most p0, so
//! `P(E_n ≥ 1/α for any n) ≤ α` (Ville's inequality), and draws may stop as soon as `E_n ≥ 1/α`. π is Jeffreys' prior,
//! Beta(½, ½), cut to p0..1: with `q = sin²θ` it is uniform in θ. On a device nothing of this is computed: for each
//! number of draws looked at, a table says how many have to have the class.
//!
//! The same against the opposite tells when to give up; it costs no soundness.

/// A look: after `n` draws, certified with at least `pass` of the class, given up with at most `fail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Draws.
    pub n: u32,
    /// `u32::MAX`: no count is enough yet.
    pub pass: u32,
    /// `None`: no count is hopeless yet.
    pub fail: Option<u32>,
}

/// Looks of a plan at most.
pub const MOST_LOOKS: usize = 64;

/// Numbers of draws that are looked at: about every fifth more, to 100 000.
pub const LOOK_COUNTS: [u32; 36] = [
    16, 32, 48, 64, 96, 128, 160, 200, 250, 312, 391, 488, 610, 763, 954, 1192, 1490, 1863, 2328, 2910, 3638, 4547,
    5684, 7105, 8882, 11102, 13878, 17347, 21684, 27105, 33881, 42352, 52940, 66174, 82718, 100_000,
];

/// The probability with which a hopeful input is given up.
const FUTILITY: f64 = 0.01;
/// Cells of the integral.
const CELLS: u32 = 1024;
/// Standard deviations to both sides of the integrand's peak that are integrated; outside it is not negative.
const REACH: f64 = 10.0;
/// What rounding may change of a logarithm of some 10^6.
const SLACK: f64 = 1e-8;

/// A number not above `ln E` for `k` of `n` draws; −∞ for a `p0` outside 0 to 1.
///
/// The integrand is log-concave in θ: between two points it lies above the exponential through them, whose integral
/// is their logarithmic mean.
pub fn e_value(k: u32, n: u32, p0: f64) -> f64 {
    if !(p0 > 0.0 && p0 < 1.0) || k > n {
        return f64::NEG_INFINITY;
    }
    let (k, rest) = (f64::from(k), f64::from(n - k));
    let last = core::f64::consts::FRAC_PI_2;
    let whole = last - libm::asin(libm::sqrt(p0));
    // In θ the peak has a standard deviation of about 1/(2√n).
    let (peak, deviation) = (libm::asin(libm::sqrt(k / (k + rest).max(1.0))), 0.5 / libm::sqrt((k + rest).max(1.0)));
    let first = (peak - REACH * deviation).max(last - whole);
    let end = (peak + REACH * deviation).min(last);
    let width = end - first;
    if width.is_nan() || width <= 0.0 {
        return f64::NEG_INFINITY;
    }
    let (log_p, log_q) = (libm::log(p0), libm::log1p(-p0));
    let log = |cell: u32| {
        let theta = first + width * f64::from(cell) / f64::from(CELLS);
        let (sin, cos) = (libm::sin(theta), libm::cos(theta).max(0.0));
        // 0·ln 0 = 0
        let of_rest = if rest == 0.0 { 0.0 } else { rest * (2.0 * libm::log(cos) - log_q) };
        k * (2.0 * libm::log(sin) - log_p) + of_rest
    };
    // Two passes, so that no power leaves the range: the largest logarithm, then the sum.
    let largest = (0..=CELLS).map(log).fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    let mut left = log(0) - largest;
    for cell in 1..=CELLS {
        let right = log(cell) - largest;
        let (a, b) = (libm::exp(left), libm::exp(right));
        let slope = right - left;
        // A small slope: the lower end is as good.
        sum += if slope.abs() < 1e-6 { a.min(b) } else { ((b - a) / slope).max(a.min(b)).min(a.max(b)) };
        left = right;
    }
    largest + libm::log(sum / f64::from(CELLS) * (width / whole)) - SLACK
}

/// The least k of n draws with `ln E ≥ ln(1/alpha)`; `None` where not even n is enough.
fn enough(n: u32, p0: f64, alpha: f64) -> Option<u32> {
    let needed = -libm::log(alpha) * (1.0 + 4.0 * f64::EPSILON);
    if e_value(n, n, p0) < needed {
        return None;
    }
    // E rises with k where the class is more frequent than p0.
    let (mut above, mut found) = ((f64::from(n) * p0) as u32, n);
    while found - above > 1 {
        let middle = above + (found - above) / 2;
        if e_value(middle, n, p0) >= needed { found = middle } else { above = middle }
    }
    Some(found)
}

/// The look after `n` draws for a class that has to have a probability above `p0`. Made on hosts; a device gets the
/// result. Some milliseconds.
pub fn look_at(n: u32, p0: f64, alpha: f64) -> Look {
    let pass = enough(n, p0, alpha).unwrap_or(u32::MAX);
    // Not having the class, above 1 − p0.
    let fail = enough(n, 1.0 - p0, FUTILITY).map(|misses| n - misses);
    Look { n, pass, fail }
}

/// Looks with what they were made for. A plan checks their shape, not their counts: take them from [`look_at`], for
/// these `p0` and `alpha`. A verifier makes them anew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Looks<'a> {
    /// What the class's probability has to be above.
    pub p0: f64,
    /// The probability of passing although it is not, that the looks were made for.
    pub alpha: f64,
    /// In rising order of draws.
    pub looks: &'a [Look],
}

impl Looks<'_> {
    /// SHA-256 of everything in them.
    pub fn hash(&self) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(self.p0.to_le_bytes());
        hash.update(self.alpha.to_le_bytes());
        for look in self.looks {
            hash.update(look.n.to_le_bytes());
            hash.update(look.pass.to_le_bytes());
            // 0 is a count that can be hopeless: absent ones are told by the byte in front.
            hash.update([u8::from(look.fail.is_some())]);
            hash.update(look.fail.unwrap_or(0).to_le_bytes());
        }
        hash.finalize().into()
    }

    /// Rising draws within what [`e_value`] is precise for, counts that fit.
    pub(crate) fn valid(&self) -> bool {
        let mut before = 0;
        let fits = |look: &Look, before: u32| {
            let fail = look.fail.is_none_or(|fail| fail < look.pass && fail <= look.n);
            look.n > before && look.n <= 10_000_000 && (look.pass <= look.n || look.pass == u32::MAX) && fail
        };
        !self.looks.is_empty()
            && self.looks.len() <= MOST_LOOKS
            && self.looks.iter().all(|look| {
                let ok = fits(look, before);
                before = look.n;
                ok
            })
    }
}

/// The probability that a class has to have for a target radius of `steps` grid steps: not below
/// `Φ(steps/σ + Φ⁻¹(½ + tv)) + tv`. `None` for radii that are not above 0, and from about 8σ on.
pub fn probability_for(steps: f64, tv: f64, sigma: selvedge_noise::Sigma) -> Option<f64> {
    use selvedge_noise::normal;
    if !(steps > 0.0 && steps.is_finite() && (0.0..0.25).contains(&tv)) {
        return None;
    }
    let middle = if tv == 0.0 { 0.0 } else { normal::quantile_upper((0.5 + tv) * (1.0 + f64::EPSILON)) };
    let quantile = (steps / sigma.value() + middle) * (1.0 + 16.0 * f64::EPSILON) + f64::EPSILON;
    let p = (normal::cdf_upper(quantile) + tv) * (1.0 + 4.0 * f64::EPSILON);
    (p < 1.0).then_some(p)
}
