//! Times dense layers of every weight width on AVX2 beside f32 and the rate at which memory is
//! read: one thread, its own time, rounds interleaved, medians. Activations are quantized within.
//!
//! `cargo run --release -p selvedge-bench --bin low_bit -- [rounds [MxKxN[:cold] | conv]…]`

#[cfg(target_arch = "x86_64")]
mod clock;
#[cfg(target_arch = "x86_64")]
mod lines;

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    eprintln!("NOT MEASURED: this CPU has no AVX2");
}

#[cfg(target_arch = "x86_64")]
fn main() {
    use lines::*;
    use selvedge_kernels::{Avx2, T2, W2, W3, W4};

    let Some(isa) = Avx2::detect() else {
        eprintln!("NOT MEASURED: this CPU has no AVX2");
        return;
    };
    let mut args = std::env::args().skip(1);
    let rounds = args.next().map_or(25, |rounds| rounds.parse().expect("rounds: a number"));
    let mut shapes: Vec<String> = args.collect();
    if shapes.is_empty() {
        shapes = ["64x1024x1024", "64x2048x2048", "64x4096x4096", "1x4096x4096:cold", "1x4096x4096"]
            .map(String::from)
            .to_vec();
    }
    let rng = &mut Rng(7);
    for text in &shapes {
        if text == "conv" {
            let mut lines = vec![clock(), read(1), read(2), read(4)];
            for (window, channels) in [(1, 32), (1, 64), (1, 128), (3, 32), (3, 64), (3, 128)] {
                lines.push(conv::<W4>(rng, isa, window, channels, None));
                lines.push(conv::<W4>(rng, isa, window, channels, Some(0)));
                lines.push(conv::<W4>(rng, isa, window, channels, Some(64)));
                lines.push(conv::<T2>(rng, isa, window, channels, Some(0)));
            }
            report("convolutions of 16x16", "the first", rounds, &mut lines);
            continue;
        }
        let (dims, cold) = text.strip_suffix(":cold").map_or((text.as_str(), false), |dims| (dims, true));
        let dims: Vec<usize> = dims.split('x').map(|dim| dim.parse().expect("MxKxN[:cold]")).collect();
        let [m, k, n] = dims[..] else { panic!("{text}: MxKxN[:cold]") };
        let s = Shape { m, n, k, cold };
        let mut lines = vec![
            clock(),
            read(1),
            read(2),
            read(4),
            f32(rng, isa, s),
            w8(rng, isa, s),
            low::<W4>(rng, isa, s, 0),
            low::<W4>(rng, isa, s, 128),
            low::<W4>(rng, isa, s, 64),
            branched(rng, isa, s, 64),
            low::<W4>(rng, isa, s, 32),
            low::<W3>(rng, isa, s, 64),
            low::<W2>(rng, isa, s, 64),
            low::<T2>(rng, isa, s, 0),
        ];
        report(text, "f32", rounds, &mut lines);
    }
}

/// Runs the lines in turn; prints the clock, the best rate of reading, and of each other line the
/// median and how many times as fast as the first it is, the median of the rounds' ratios.
#[cfg(target_arch = "x86_64")]
fn report(title: &str, first: &str, rounds: usize, lines: &mut [lines::Line<'_>]) {
    let mut taken = vec![vec![]; lines.len()];
    for _ in 0..rounds {
        for (taken, line) in taken.iter_mut().zip(&mut *lines) {
            taken.push((line.run)());
        }
    }
    let rate = |line: usize| lines[line].work / median(taken[line].iter().copied()) / 1e9;
    let ratio = |slow: usize, fast: usize| {
        let work = lines[fast].work / lines[slow].work;
        median(taken[slow].iter().zip(&taken[fast]).map(|(slow, fast)| slow / fast * work))
    };
    let clock = rate(0);
    let read = (1..4).map(rate).fold(0.0, f64::max);
    println!("\n{title}: clock {clock:.2} GHz, memory read at {read:.1} GB/s\n");
    println!(
        "| | µs, median | best | GMAC/s | MAC/cycle | of {first} | weights, GB/s |\n|---|---|---|---|---|---|---|"
    );
    for (i, line) in lines.iter().enumerate().skip(4) {
        let seconds = median(taken[i].iter().copied());
        println!(
            "| {} | {:.0} | {:.0} | {:.1} | {:.1} | {:.2} | {:.1} |",
            line.name,
            seconds * 1e6,
            taken[i].iter().copied().fold(f64::MAX, f64::min) * 1e6,
            rate(i),
            rate(i) / clock,
            ratio(4, i),
            line.bytes as f64 / seconds / 1e9
        );
    }
    let find = |name: &str| lines.iter().position(|line| line.name == name);
    for (slow, fast) in [("W8", "W4 g64"), ("W4 g64", "T2 row"), ("W4 row", "T2 row"), ("W4 g64 and rank 32", "W4 g64")]
    {
        if let (Some(a), Some(b)) = (find(slow), find(fast)) {
            println!("\n{fast} is {:.3} times as fast as {slow}", ratio(a, b));
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
