//! Times dense layers of every weight width on the fastest instruction set, in GMAC/s, beside the
//! rate at which memory is read. Rounds are interleaved; minimum and median of the rounds.
//!
//! `cargo run --release -p selvedge-kernels --features std --example low_bit [rounds [shape | conv]]`

use std::hint::black_box;
use std::time::Instant;

use selvedge_kernels::*;

/// Enough copies of the weights that none of one round is in a cache in the next.
const COLD: usize = 160 << 20;

/// Packed weights of `n` rows of `k`, `copies` times.
struct Weights {
    n: usize,
    k: usize,
    group: usize,
    codes: Vec<Vec<u8>>,
    scales: Vec<u8>,
    offsets: Vec<i16>,
    zero: u8,
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl Weights {
    fn new(rng: &mut Rng, width: Width, n: usize, k: usize, group: usize, asymmetric: bool, cold: bool) -> Self {
        let groups = pack_low::groups_of(k, group);
        let bytes = pack_low::low_bytes(width, n, k);
        let codes: Vec<u8> = (0..n * k).map(|_| (rng.next() % (u64::from(width.max()) + 1)) as u8).collect();
        let mut packed = vec![0; bytes];
        pack_low::pack_low(width, &codes, n, k, &mut packed);
        let copies = if cold { COLD.div_ceil(bytes) } else { 1 };
        Self {
            n,
            k,
            group,
            codes: vec![packed; copies],
            scales: if group > 0 { (0..n * groups).map(|_| rng.next() as u8).collect() } else { vec![] },
            offsets: if asymmetric { (0..n * groups).map(|_| rng.next() as i16 / 16).collect() } else { vec![] },
            zero: if asymmetric { 0 } else { width.max() / 2 + u8::from(width != Width::T2) },
        }
    }

    fn get(&self, i: usize) -> LowBit<'_> {
        LowBit {
            n: self.n,
            k: self.k,
            codes: &self.codes[i % self.codes.len()],
            group: self.group,
            scales: &self.scales,
            offsets: &self.offsets,
            zero: self.zero,
        }
    }
}

fn seconds(times: usize, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..times).for_each(|_| run());
    start.elapsed().as_secs_f64() / times as f64
}

/// A line of the table: a name, and what is timed; returns seconds.
type Line<'a> = (String, f64, Box<dyn FnMut() -> f64 + 'a>);

fn low<'a, C: Code>(
    rng: &mut Rng,
    isa: impl Isa + 'a,
    [m, n, k]: [usize; 3],
    group: usize,
    asymmetric: bool,
    times: usize,
    cold: bool,
) -> Line<'a> {
    let w = Weights::new(rng, C::WIDTH, n, k, group, asymmetric, cold);
    let x: Vec<i8> = (0..m * k).map(|_| rng.next() as i8).collect();
    let (w_scale, bias) = (vec![0.01; n], vec![0.5; n]);
    let mut out = vec![0.0; m * n];
    let mut scratch = vec![0u32; pack_low::dense_low_scratch(m, k).div_ceil(4)];
    let mut turn = 0;
    let name = format!(
        "{:?} {}{}",
        C::WIDTH,
        if group == 0 { "row".into() } else { format!("g{group}") },
        if asymmetric { " asym" } else { "" }
    );
    let run = move || {
        seconds(times, || {
            turn += 1;
            let scale = Scale { x_scale: &[0.1], w_scale: &w_scale, bias: &bias, lo: f32::MIN, hi: f32::MAX };
            let scratch: &mut [u8] = zerocopy::IntoBytes::as_mut_bytes(scratch.as_mut_slice());
            isa.dense_low::<C>(&x, &w.get(turn), m, Output::F32(scale, &mut out), scratch);
            black_box(&mut out);
        })
    };
    (name, (m * n * k) as f64, Box::new(run))
}

fn w8<'a>(rng: &mut Rng, isa: impl Isa + 'a, [m, n, k]: [usize; 3], times: usize, cold: bool) -> Line<'a> {
    let bytes = pack::w8_bytes(n, k);
    let w: Vec<i8> = (0..bytes).map(|_| rng.next() as i8).collect();
    let w = vec![w; if cold { COLD.div_ceil(bytes) } else { 1 }];
    let x: Vec<i8> = (0..m * k).map(|_| rng.next() as i8).collect();
    let (w_scale, bias) = (vec![0.01; n], vec![0.5; n]);
    let mut out = vec![0.0; m * n];
    let mut turn = 0;
    let run = move || {
        seconds(times, || {
            turn += 1;
            let scale = Scale { x_scale: &[0.1], w_scale: &w_scale, bias: &bias, lo: f32::MIN, hi: f32::MAX };
            isa.dense_w8(&x, &w[turn % w.len()], m, k, n, Output::F32(scale, &mut out));
            black_box(&mut out);
        })
    };
    ("W8".to_string(), (m * n * k) as f64, Box::new(run))
}

/// A convolution of a 16x16 image to as many channels, to int8; W8 where there is no `width`.
fn conv<'a, C: Code>(
    rng: &mut Rng,
    isa: impl Isa + 'a,
    window: usize,
    channels: usize,
    group: Option<usize>,
) -> Line<'a> {
    const SIDE: usize = 16;
    let pad = window / 2;
    let input = [1, SIDE, SIDE, channels];
    let s = ConvShape::of_window(input, channels, [window; 2], [1; 2], [1; 2], [pad; 4], 1).expect("fits");
    let k = window * window * channels;
    let x: Vec<i8> = (0..SIDE * SIDE * channels).map(|_| rng.next() as i8).collect();
    let low = Weights::new(rng, C::WIDTH, channels, k, group.unwrap_or(0), false, false);
    let w8: Vec<i8> = (0..pack::w8_bytes(channels, k)).map(|_| rng.next() as i8).collect();
    let (bias, multiplier, shift) = (vec![3; channels], vec![1 << 30; channels], vec![12; channels]);
    let mut out = vec![0i8; SIDE * SIDE * channels];
    let bytes = pack_low::conv_low_scratch(&s).max(pack::conv_w8_scratch(&s));
    let mut scratch = vec![0u32; bytes.div_ceil(4)];
    let name = match group {
        Some(group) => format!("conv {window}x{window} {channels} {:?} g{group}", C::WIDTH),
        None => format!("conv {window}x{window} {channels} W8"),
    };
    let run = move || {
        seconds(4, || {
            let requant = Requant {
                bias: Bias::I32(&bias),
                multiplier: &multiplier,
                shift: &shift,
                zero_point: 1,
                lo: -128,
                hi: 127,
                residual: None,
            };
            let scratch: &mut [u8] = zerocopy::IntoBytes::as_mut_bytes(scratch.as_mut_slice());
            let output = Output::I8(requant, &mut out);
            match group {
                Some(_) => isa.conv2d_low::<C>(&x, &low.get(0), &s, 1, output, scratch),
                None => isa.conv2d_w8(&x, &w8, &s, 1, output, scratch),
            }
            black_box(&mut out);
        })
    };
    (name, (SIDE * SIDE * channels * k) as f64, Box::new(run))
}

/// A layer with a branch of rank 32: the projection down to int8, the layer's own sums, the
/// projection up, both added and stored; 8 rows at a time.
fn branched<'a>(rng: &mut Rng, isa: impl Isa + 'a, [m, n, k]: [usize; 3], times: usize, cold: bool) -> Line<'a> {
    const RANK: usize = 32;
    const ROWS: usize = 8;
    let w = Weights::new(rng, Width::W4, n, k, 64, false, cold);
    let x: Vec<i8> = (0..m * k).map(|_| rng.next() as i8).collect();
    let down: Vec<i8> = (0..pack::w8_bytes(RANK, k)).map(|_| rng.next() as i8).collect();
    let up: Vec<i8> = (0..pack::w8_bytes(n, RANK)).map(|_| rng.next() as i8).collect();
    let copies = w.codes.len();
    let (down, up) = (vec![down; copies], vec![up; copies]);
    let (w_scale, bias) = (vec![0.01; n], vec![0.5; n]);
    let mut out = vec![0.0; m * n];
    let mut t = vec![0i8; m * RANK];
    let rows = m.min(ROWS);
    let (mut sums, mut more) = (vec![0i32; rows * n], vec![0i32; rows * n]);
    let mut scratch = vec![0u32; pack_low::dense_low_scratch(rows, k).div_ceil(4)];
    let mut turn = 0;
    let run = move || {
        seconds(times, || {
            turn += 1;
            let scratch: &mut [u8] = zerocopy::IntoBytes::as_mut_bytes(scratch.as_mut_slice());
            let requant = Requant {
                bias: Bias::I32(&[0; RANK]),
                multiplier: &[1 << 30; RANK],
                shift: &[12; RANK],
                zero_point: 0,
                lo: -127,
                hi: 127,
                residual: None,
            };
            isa.dense_w8(&x, &down[turn % copies], m, k, RANK, Output::I8(requant, &mut t));
            let raw = Raw { zero_point: 0, column_sum: &[] };
            for ((x, t), out) in x.chunks(rows * k).zip(t.chunks(rows * RANK)).zip(out.chunks_mut(rows * n)) {
                let live = x.len() / k;
                isa.dense_low::<W4>(x, &w.get(turn), live, Output::I32(raw, &mut sums), scratch);
                isa.dense_w8(t, &up[turn % copies], live, RANK, n, Output::I32(raw, &mut more));
                isa.add_branch(&mut sums, &more, 3);
                let scale = Scale { x_scale: &[0.1], w_scale: &w_scale, bias: &bias, lo: f32::MIN, hi: f32::MAX };
                isa.store_sums(&sums, live, n, Output::F32(scale, out));
            }
            black_box(&mut out);
        })
    };
    ("W4 g64 and rank 32".to_string(), (m * n * k) as f64, Box::new(run))
}

/// Seconds to read `bytes` of a buffer of `buffer`, 32 at a time.
fn read<'a>(buffer: usize, bytes: usize) -> Line<'a> {
    let data = vec![1u64; buffer / 8];
    let mut at = 0;
    let run = move || {
        let part = &data[at..at + bytes / 8];
        at = if at + bytes / 4 <= data.len() { at + bytes / 8 } else { 0 };
        seconds(1, || {
            let mut sums = [0u64; 16];
            for block in part.chunks_exact(16) {
                for (sum, &x) in sums.iter_mut().zip(block) {
                    *sum |= x;
                }
            }
            black_box(sums);
        })
    };
    (format!("read {} MB of {} MB, GB/s", bytes >> 20, buffer >> 20), bytes as f64, Box::new(run))
}

fn main() {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(30);
    let only = std::env::args().nth(2);
    let isa = Avx2::detect().expect("AVX2");
    let rng = &mut Rng(7);
    for shape in [[1, 256, 4096], [1, 4096, 4096], [1, 1024, 1024], [64, 2048, 2048], [64, 256, 256], [64, 4096, 4096]]
    {
        let [m, n, k] = shape;
        let name = format!("{m}x{k}x{n}");
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let cold = m == 1 && n * k >= 4096 * 4096;
        let times = if cold { 4 } else { (8_000_000 / (m * n * k)).max(1) };
        let mut lines: Vec<Line<'_>> = vec![
            w8(rng, isa, shape, times, cold),
            low::<W4>(rng, isa, shape, 64, false, times, cold),
            branched(rng, isa, shape, times, cold),
            low::<W4>(rng, isa, shape, 32, false, times, cold),
            low::<W4>(rng, isa, shape, 0, false, times, cold),
            low::<W4>(rng, isa, shape, 64, true, times, cold),
            low::<W3>(rng, isa, shape, 64, false, times, cold),
            low::<W2>(rng, isa, shape, 64, false, times, cold),
            low::<T2>(rng, isa, shape, 0, false, times, cold),
            read(256 << 20, 16 << 20),
            read(16 << 20, 16 << 20),
        ];
        let title = format!("{name}{}", if cold { ", weights from memory" } else { "" });
        report(&title, rounds, &mut lines);
    }
    if only.is_some_and(|only| only != "conv") {
        return;
    }
    let mut lines: Vec<Line<'_>> = vec![];
    for window in [1, 3] {
        for channels in [32, 64, 128] {
            lines.push(conv::<W4>(rng, isa, window, channels, None));
            lines.push(conv::<W4>(rng, isa, window, channels, Some(0)));
            lines.push(conv::<W4>(rng, isa, window, channels, Some(64)));
            lines.push(conv::<T2>(rng, isa, window, channels, Some(0)));
        }
    }
    report("convolutions of 16x16", rounds, &mut lines);
}

/// Runs the lines in turn, and prints the best and the median round of each.
fn report(title: &str, rounds: usize, lines: &mut [Line<'_>]) {
    let mut taken = vec![vec![]; lines.len()];
    for _ in 0..rounds {
        for (taken, (_, _, run)) in taken.iter_mut().zip(&mut *lines) {
            taken.push(run());
        }
    }
    println!("{title}");
    for (taken, (name, work, _)) in taken.iter_mut().zip(&*lines) {
        taken.sort_by(f64::total_cmp);
        let (min, median) = (taken[0], taken[taken.len() / 2]);
        let rate = |seconds: f64| work / seconds / 1e9;
        println!("  {name:30} {:9.1} us  best {:6.1}  median {:6.1}", min * 1e6, rate(min), rate(median));
    }
}
