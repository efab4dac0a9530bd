//! The sampler against the law it has to have, and against itself in another order.

use selvedge_noise::{Domain, NoiseError, NoiseKey, NoiseTable, Sigma, build_table, normal};
use sha2::{Digest, Sha256};

fn table(numerator: u32, denominator: u32) -> Vec<u8> {
    build_table(Sigma::new(numerator, denominator).expect("not zero")).expect("builds")
}

fn key(seed: u8) -> NoiseKey {
    NoiseKey::derive(&[seed; 32], &[1; 32], &[2; 32], &[3; 32], &[4; 32])
}

#[test]
fn samples_follow_the_rounded_gaussian_by_chi_square() {
    // Oracle: P(z) = Φ((z+½)/σ) − Φ((z−½)/σ) in f64. The keys are fixed: the outcome is too.
    for (numerator, denominator) in [(1, 2), (13, 10), (4, 1), (51, 2), (255, 4)] {
        let bytes = table(numerator, denominator);
        let table = NoiseTable::parse(&bytes).expect("valid");
        let sigma = table.sigma().value();
        let (samples, width) = (400u64, 1000usize);
        let largest = i32::from(table.largest());
        let mut counts = vec![0u64; 2 * largest as usize + 1];
        let mut row = vec![0i16; width];
        for sample in 0..samples {
            table.fill(&key(9), Domain::Estimate, sample, 0, &mut row);
            row.iter().for_each(|&z| counts[(i32::from(z) + largest) as usize] += 1);
        }
        let total = samples as f64 * width as f64;
        let (mut chi, mut cells, mut rest, mut rest_count) = (0.0, 0, 0.0, 0.0);
        for (i, &count) in counts.iter().enumerate() {
            let z = f64::from(i as i32 - largest);
            let p = normal::cdf_upper((z + 0.5) / sigma) - normal::cdf_upper((z - 0.5) / sigma);
            if p * total < 10.0 {
                (rest, rest_count) = (rest + p * total, rest_count + count as f64);
                continue;
            }
            chi += (count as f64 - p * total).powi(2) / (p * total);
            cells += 1;
        }
        if rest > 1.0 {
            chi += (rest_count - rest).powi(2) / rest;
            cells += 1;
        }
        let free = f64::from(cells - 1);
        // 4 standard deviations of χ².
        assert!(chi < free + 4.0 * (2.0 * free).sqrt(), "σ = {sigma}: χ² = {chi:.1} with {free} degrees of freedom");
        assert!(chi > free - 4.0 * (2.0 * free).sqrt(), "σ = {sigma}: χ² = {chi:.1}, too even");
    }
}

#[test]
fn any_order_and_any_tile_gives_the_same_noise() {
    let bytes = table(255, 4);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let mut whole = vec![0i16; 3072];
    table.fill(&key(1), Domain::Estimate, 77, 0, &mut whole);
    for tile in [1usize, 7, 64, 1000] {
        let mut parts = vec![0i16; 3072];
        for (index, part) in parts.chunks_mut(tile).enumerate().collect::<Vec<_>>().into_iter().rev() {
            table.fill(&key(1), Domain::Estimate, 77, (index * tile) as u32, part);
        }
        assert!(parts == whole, "tiles of {tile}");
    }
    // Pieces that start and end anywhere, in any order, some twice.
    let mut state = 1u64;
    for _ in 0..300 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (first, len) = ((state >> 40) as usize % 3072, (state >> 20) as usize % 200);
        let mut part = vec![0i16; len.min(3072 - first)];
        table.fill(&key(1), Domain::Estimate, 77, first as u32, &mut part);
        assert!(part == whole[first..first + part.len()], "{first}, {len}");
    }
    // The last coordinates of all.
    let (mut last, mut one) = ([0i16; 20], [0i16; 1]);
    table.fill(&key(1), Domain::Estimate, 77, u32::MAX - 19, &mut last);
    for (back, z) in last.iter().rev().enumerate() {
        table.fill(&key(1), Domain::Estimate, 77, u32::MAX - back as u32, &mut one);
        assert_eq!(one[0], *z);
    }
    let mut other = vec![0i16; 3072];
    for (domain, sample, seed) in [(Domain::Select, 77, 1), (Domain::Estimate, 78, 1), (Domain::Estimate, 77, 2)] {
        table.fill(&key(seed), domain, sample, 0, &mut other);
        let same = other.iter().zip(&whole).filter(|(a, b)| a == b).count();
        assert!(same < 100, "{same} of 3072 coordinates are alike");
    }
}

#[test]
fn the_stream_is_pinned() {
    // What every other machine has to reproduce: 1000 samples of 64 coordinates.
    let bytes = table(255, 4);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let mut hash = Sha256::new();
    let mut row = [0i16; 64];
    for sample in 0..1000 {
        table.fill(&key(5), Domain::Estimate, sample, 0, &mut row);
        row.iter().for_each(|z| hash.update(z.to_le_bytes()));
    }
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(hex(&table.hash()), "bb6ad94a9c459d1a6a5a8d48149c3b2e75bb8d030566cfb83bcfd375ff60e0d3");
    assert_eq!(hex(&hash.finalize()), "e3b3a7fed3253402620ad040b3564f5430ea218f269c5e72931558b7b381a944");
}

#[test]
fn damaged_tables_are_refused_or_harmless() {
    let bytes = table(13, 10);
    assert!(NoiseTable::parse(&bytes).is_ok());
    for len in 0..bytes.len() {
        assert!(NoiseTable::parse(&bytes[..len]).is_err(), "cut to {len}");
    }
    let mut longer = bytes.clone();
    longer.extend([0; 4]);
    assert_eq!(NoiseTable::parse(&longer).map(|_| ()), Err(NoiseError::Length));
    let mut row = [0i16; 500];
    for at in 0..bytes.len() {
        for flip in [1u8, 0x80, 0xff] {
            let mut bad = bytes.clone();
            bad[at] ^= flip;
            if let Ok(table) = NoiseTable::parse(&bad) {
                assert_ne!(table.hash(), NoiseTable::parse(&bytes).expect("valid").hash());
                table.fill(&key(1), Domain::Select, 0, 0, &mut row);
            }
        }
    }
}

#[test]
fn the_price_of_64_bits_is_invisible() {
    // d·(bins/2 + 1)·2^−64, with the bins of the table: below the figure for 12σ-wide tables.
    let bytes = table(255, 4);
    let table = NoiseTable::parse(&bytes).expect("valid");
    let price = table.tv_price(3072);
    assert!(price > 3072.0 * f64::from(table.largest()) * 2f64.powi(-64) && price < 2e-13, "{price}");
}
