//! What is timed: matrix products with weights of each width, in random data.

use std::hint::black_box;

use selvedge_kernels::*;

use crate::clock::{self, seconds};

/// Copies of weights that are to come from memory take more than caches hold.
const COLD: usize = 160 << 20;

/// A line of the table: a name, its work, and what is timed; returns seconds.
pub struct Line<'a> {
    pub name: String,
    /// Multiply-accumulates, bytes or cycles.
    pub work: f64,
    /// Bytes of weights read.
    pub bytes: usize,
    pub run: Box<dyn FnMut() -> f64 + 'a>,
}

pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// A product of activations `[m, k]` and weights `[n, k]`.
#[derive(Clone, Copy)]
pub struct Shape {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    /// Weights come from memory.
    pub cold: bool,
}

impl Shape {
    fn copies<T: Clone>(&self, one: Vec<T>) -> Vec<Vec<T>> {
        let bytes = size_of_val(one.as_slice());
        vec![one; if self.cold { COLD.div_ceil(bytes) } else { 1 }]
    }

    /// Products timed at a time, some milliseconds.
    fn times(&self) -> usize {
        if self.cold { 4 } else { (64_000_000 / self.macs()).max(1) }
    }

    fn macs(&self) -> usize {
        self.m * self.n * self.k
    }

    fn line<'a>(&self, name: impl Into<String>, bytes: usize, mut product: impl FnMut() + 'a) -> Line<'a> {
        let times = self.times();
        let run = Box::new(move || seconds(times, &mut product));
        Line { name: name.into(), work: self.macs() as f64, bytes, run }
    }
}

/// Activations, quantized anew in each product, and what is stored of one.
struct Rows {
    x: Vec<f32>,
    codes: Vec<i8>,
    scales: Vec<f32>,
    w_scale: Vec<f32>,
    bias: Vec<f32>,
    out: Vec<f32>,
    k: usize,
}

impl Rows {
    fn new(rng: &mut Rng, s: Shape) -> Self {
        Self {
            x: (0..s.m * s.k).map(|_| rng.next() as i32 as f32).collect(),
            codes: vec![0; s.m * s.k],
            scales: vec![0.0; s.m],
            w_scale: vec![0.01; s.n],
            bias: vec![0.5; s.n],
            out: vec![0.0; s.m * s.n],
            k: s.k,
        }
    }

    fn quantize(&mut self, isa: impl Isa) {
        assert!(isa.dynamic_quantize_i8(&self.x, self.k, &mut self.codes, &mut self.scales));
    }

    /// Where rows `first..first + live` go.
    fn output(&mut self, first: usize, live: usize) -> (&[i8], Output<'_>) {
        let n = self.w_scale.len();
        let scale = Scale {
            x_scale: &self.scales[first..first + live],
            w_scale: &self.w_scale,
            bias: &self.bias,
            lo: f32::MIN,
            hi: f32::MAX,
        };
        let codes = &self.codes[first * self.k..(first + live) * self.k];
        (codes, Output::F32(scale, &mut self.out[first * n..(first + live) * n]))
    }
}

pub fn f32<'a>(rng: &mut Rng, isa: impl Isa + 'a, s: Shape) -> Line<'a> {
    let w: Vec<f32> = (0..s.n.next_multiple_of(pack::NR) * s.k).map(|_| rng.next() as i32 as f32).collect();
    let bytes = w.len() * 4;
    let (w, mut rows, mut turn) = (s.copies(w), Rows::new(rng, s), 0);
    s.line("f32", bytes, move || {
        turn += 1;
        let layer = LayerF32 { weights: &w[turn % w.len()], scales: (), bias: &[], lo: f32::MIN, hi: f32::MAX };
        isa.dense_f32(&rows.x, s.m, s.k, s.n, &layer, &mut rows.out);
        black_box(&mut rows.out);
    })
}

pub fn w8<'a>(rng: &mut Rng, isa: impl Isa + 'a, s: Shape) -> Line<'a> {
    let w: Vec<i8> = (0..pack::w8_bytes(s.n, s.k)).map(|_| rng.next() as i8).collect();
    let bytes = w.len();
    let (w, mut rows, mut turn) = (s.copies(w), Rows::new(rng, s), 0);
    s.line("W8", bytes, move || {
        turn += 1;
        rows.quantize(isa);
        let (x, output) = rows.output(0, s.m);
        isa.dense_w8(x, &w[turn % w.len()], s.m, s.k, s.n, output);
        black_box(&mut rows.out);
    })
}

/// Packed weights.
struct Weights {
    s: Shape,
    group: usize,
    codes: Vec<Vec<u8>>,
    scales: Vec<u8>,
    zero: u8,
}

impl Weights {
    fn new(rng: &mut Rng, width: Width, s: Shape, group: usize) -> Self {
        let Shape { n, k, .. } = s;
        let most = if width == Width::T2 { 3 } else { u64::from(width.max()) + 1 };
        let codes: Vec<u8> = (0..n * k).map(|_| (rng.next() % most) as u8).collect();
        let mut packed = vec![0; pack_low::low_bytes(width, n, k)];
        pack_low::pack_low(width, &codes, n, k, &mut packed);
        let scales = if group > 0 { n * pack_low::groups_of(k, group) } else { 0 };
        Self {
            s,
            group,
            codes: s.copies(packed),
            scales: (0..scales).map(|_| rng.next() as u8).collect(),
            zero: if width == Width::T2 { 1 } else { width.max() / 2 + 1 },
        }
    }

    fn bytes(&self) -> usize {
        self.codes[0].len() + self.scales.len()
    }

    fn get(&self, turn: usize) -> LowBit<'_> {
        LowBit {
            n: self.s.n,
            k: self.s.k,
            codes: &self.codes[turn % self.codes.len()],
            group: self.group,
            scales: &self.scales,
            offsets: &[],
            zero: self.zero,
        }
    }
}

/// Scratch of a product of `rows` rows.
fn scratch(rows: usize, k: usize) -> Vec<u32> {
    vec![0; pack_low::dense_low_scratch(rows, k).div_ceil(4)]
}

/// Weights of a width with a scale a `group` of k; a row where it is 0.
pub fn low<'a, C: Code>(rng: &mut Rng, isa: impl Isa + 'a, s: Shape, group: usize) -> Line<'a> {
    let w = Weights::new(rng, C::WIDTH, s, group);
    let (mut rows, mut scratch, mut turn) = (Rows::new(rng, s), scratch(s.m, s.k), 0);
    let of = if group == 0 { "row".into() } else { format!("g{group}") };
    s.line(format!("{:?} {of}", C::WIDTH), w.bytes(), move || {
        turn += 1;
        rows.quantize(isa);
        let (x, output) = rows.output(0, s.m);
        isa.dense_low::<C>(x, &w.get(turn), s.m, output, bytemuck::cast_slice_mut(&mut scratch));
        black_box(&mut rows.out);
    })
}

/// W4 with a branch of rank 32, step by step as the runtime does: the projection down to int8,
/// then, some rows at a time, the layer's own sums, the projection up, both added and stored.
pub fn branched<'a>(rng: &mut Rng, isa: impl Isa + 'a, s: Shape, group: usize) -> Line<'a> {
    const RANK: usize = 32;
    // As the compiler lays it down.
    let at_once = if s.n * s.k < 1 << 21 { 8 } else { 32 };
    let w = Weights::new(rng, Width::W4, s, group);
    let mut w8 = |n, k| (0..pack::w8_bytes(n, k)).map(|_| rng.next() as i8).collect::<Vec<i8>>();
    let (down, up) = (w8(RANK, s.k), w8(s.n, RANK));
    let bytes = w.bytes() + down.len() + up.len();
    let copies = w.codes.len();
    let (down, up) = (vec![down; copies], vec![up; copies]);
    let mut rows = Rows::new(rng, s);
    let mut t = vec![0i8; s.m * RANK];
    let most = s.m.min(at_once);
    let (mut sums, mut more) = (vec![0i32; most * s.n], vec![0i32; most * s.n]);
    let (mut scratch, mut turn) = (scratch(most, s.k), 0);
    s.line(format!("W4 g{group} and rank {RANK}"), bytes, move || {
        turn += 1;
        rows.quantize(isa);
        let requant = Requant {
            bias: Bias::I32(&[0; RANK]),
            multiplier: &[1 << 30; RANK],
            shift: &[12; RANK],
            zero_point: 0,
            lo: -127,
            hi: 127,
            residual: None,
        };
        isa.dense_w8(&rows.codes, &down[turn % copies], s.m, s.k, RANK, Output::I8(requant, &mut t));
        let raw = Raw { zero_point: 0, column_sum: &[] };
        for (i, t) in t.chunks(most * RANK).enumerate() {
            let live = t.len() / RANK;
            let (sums, more) = (&mut sums[..live * s.n], &mut more[..live * s.n]);
            let (x, output) = rows.output(i * most, live);
            isa.dense_low::<W4>(x, &w.get(turn), live, Output::I32(raw, sums), bytemuck::cast_slice_mut(&mut scratch));
            isa.dense_w8(t, &up[turn % copies], live, RANK, s.n, Output::I32(raw, more));
            isa.add_branch(sums, more, 3);
            isa.store_sums(sums, live, s.n, output);
        }
        black_box(&mut rows.out);
    })
}

/// A convolution of a 16x16 image to as many channels, to int8; W8 where there is no `group`.
pub fn conv<'a, C: Code>(
    rng: &mut Rng,
    isa: impl Isa + 'a,
    window: usize,
    channels: usize,
    group: Option<usize>,
) -> Line<'a> {
    const SIDE: usize = 16;
    let pixels = SIDE * SIDE;
    let input = [1, SIDE, SIDE, channels];
    let shape = ConvShape::of_window(input, channels, [window; 2], [1; 2], [1; 2], [window / 2; 4], 1).expect("fits");
    let s = Shape { m: pixels, n: channels, k: window * window * channels, cold: false };
    let x: Vec<i8> = (0..pixels * channels).map(|_| rng.next() as i8).collect();
    let low = Weights::new(rng, C::WIDTH, s, group.unwrap_or(0));
    let w8: Vec<i8> = (0..pack::w8_bytes(channels, s.k)).map(|_| rng.next() as i8).collect();
    let (bias, multiplier, shift) = (vec![3; channels], vec![1 << 30; channels], vec![12; channels]);
    let mut out = vec![0i8; pixels * channels];
    let bytes = pack_low::conv_low_scratch(&shape).max(pack::conv_w8_scratch(&shape));
    let mut scratch = vec![0u32; bytes.div_ceil(4)];
    let (weights, bytes) = match group {
        Some(0) => (format!("{:?} row", C::WIDTH), low.bytes()),
        Some(group) => (format!("{:?} g{group}", C::WIDTH), low.bytes()),
        None => ("W8".to_string(), w8.len()),
    };
    s.line(format!("{window}x{window} {channels} {weights}"), bytes, move || {
        let requant = Requant {
            bias: Bias::I32(&bias),
            multiplier: &multiplier,
            shift: &shift,
            zero_point: 1,
            lo: -128,
            hi: 127,
            residual: None,
        };
        let (output, scratch) = (Output::I8(requant, &mut out), bytemuck::cast_slice_mut(&mut scratch));
        match group {
            Some(_) => isa.conv2d_low::<C>(&x, &low.get(0), &shape, 1, output, scratch),
            None => isa.conv2d_w8(&x, &w8, &shape, 1, output, scratch),
        }
        black_box(&mut out);
    })
}

/// 64 MiB at a time of a buffer that no cache holds, in `streams` places at once.
pub fn read<'a>(streams: usize) -> Line<'a> {
    const PART: usize = 64 << 20;
    let data = vec![1u64; 3 * PART / 8];
    let mut at = 0;
    let run = move || {
        let part = &data[at..at + PART / 8];
        at = if at + PART / 4 <= data.len() { at + PART / 8 } else { 0 };
        let each = part.len() / streams;
        seconds(1, || {
            let mut sums = [0u64; 16];
            let mut all: Vec<_> = part.chunks_exact(each).map(|part| part.chunks_exact(16)).collect();
            for _ in 0..each / 16 {
                for block in all.iter_mut().filter_map(Iterator::next) {
                    for (sum, &x) in sums.iter_mut().zip(block) {
                        *sum |= x;
                    }
                }
            }
            black_box(sums);
        })
    };
    Line { name: format!("read, {streams} streams"), work: PART as f64, bytes: PART, run: Box::new(run) }
}

/// The clock.
pub fn clock<'a>() -> Line<'a> {
    let work = clock::STEPS as f64 * clock::PER_STEP;
    Line { name: "clock".into(), work, bytes: 0, run: Box::new(|| seconds(1, clock::cycles)) }
}
