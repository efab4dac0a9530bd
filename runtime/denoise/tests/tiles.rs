//! Oracle: the whole image as one tile, byte for byte.

use selvedge_denoise::*;
use selvedge_noise::{Domain, NoiseKey};
use std::convert::Infallible;

/// Three 3 × 3 convolutions with a nonlinearity between, zeros beyond the tile: receptive field 3 on each side.
fn network(height: usize, width: usize, channels: usize) -> impl ScoreModel<f32, Error = Infallible> {
    FromFn::new(Prediction::Residual, move |x: &[f32], _: f32, out: &mut [f32]| {
        let mut now = x.to_vec();
        for layer in 0..3 {
            for (place, to) in out.iter_mut().enumerate() {
                let (channel, row, column) = (place % channels, place / channels / width, place / channels % width);
                let mut sum = 0.1 * layer as f32;
                for (i, j, c) in (0..3).flat_map(|i| (0..3).flat_map(move |j| (0..channels).map(move |c| (i, j, c)))) {
                    let (y, x) = ((row + i).wrapping_sub(1), (column + j).wrapping_sub(1));
                    if y < height && x < width {
                        let weight = ((i * 7 + j * 3 + c * 5 + channel + layer) % 11) as f32 * 0.06 - 0.3;
                        sum += weight * now[(y * width + x) * channels + c];
                    }
                }
                *to = if layer < 2 { sum.max(0.1 * sum) } else { sum };
            }
            now.copy_from_slice(out);
        }
        Ok(())
    })
}

fn image(shape: Shape) -> Vec<f32> {
    let key = NoiseKey::from_bytes([1; 32]);
    key.reals(Domain::Extension, 0, 0).take(shape.height * shape.width * shape.channels).map(|x| x as f32).collect()
}

fn predict(shape: Shape, tile: (usize, usize), halo: (usize, usize), border: Border, image: &[f32]) -> Vec<u32> {
    let tiling = Tiling::new(shape, tile, halo, border).expect("fits");
    let (mut out, mut scratch) = (vec![f32::NAN; image.len()], vec![0.0; 2 * tiling.tile_len()]);
    let mut model = network(tile.0, tile.1, shape.channels);
    tiling.run(&mut model, 0.0, image, &mut out, &mut scratch).expect("runs");
    out.into_iter().map(f32::to_bits).collect()
}

#[test]
fn every_tile_size_gives_the_bytes_of_one_tile_where_the_halo_covers_the_receptive_field() {
    for (height, width, channels) in [(13, 17, 1), (1, 29, 2), (7, 7, 3), (24, 5, 1)] {
        let shape = Shape { height, width, channels, layout: Layout::Interleaved };
        let image = image(shape);
        for border in [Border::Reflect, Border::Replicate] {
            let whole = predict(shape, (height + 6, width + 6), (3, 3), border, &image);
            for tile in [(7, 7), (8, 11), (9, 30), (20, 10), (40, 41)] {
                assert!(predict(shape, tile, (3, 3), border, &image) == whole, "{height}x{width} {tile:?} {border:?}");
            }
            for tile in [(9, 9), (16, 12)] {
                assert!(predict(shape, tile, (4, 4), border, &image) == whole, "a wider halo: {tile:?}");
            }
            if height > 7 {
                assert!(predict(shape, (7, 7), (2, 2), border, &image) != whole, "a halo that is too narrow shows");
            }
        }
    }
}

#[test]
fn the_order_of_tiles_does_not_matter_and_layouts_agree() {
    let shape = Shape { height: 11, width: 10, channels: 2, layout: Layout::Interleaved };
    let image = image(shape);
    let expected = predict(shape, (9, 8), (3, 3), Border::Reflect, &image);
    let tiling = Tiling::new(shape, (9, 8), (3, 3), Border::Reflect).expect("fits");
    let planar = Tiling::new(Shape { layout: Layout::Planar, ..shape }, (9, 8), (3, 3), Border::Reflect).expect("fits");
    let turn = |from: &[f32], pixels: usize| -> Vec<f32> {
        (0..from.len()).map(|at| from[at % pixels * 2 + at / pixels]).collect()
    };
    let (mut out, mut input, mut output) = (vec![0.0; image.len()], vec![0.0; 144], vec![0.0; 144]);
    let mut other = vec![0.0; 144];
    let mut covered = 0;
    for number in (0..tiling.count()).rev() {
        let tile = tiling.tile(number).expect("exists");
        covered += tile.height * tile.width;
        tiling.gather(tile, &image, &mut input).expect("fits");
        planar.gather(tile, &turn(&image, 110), &mut other).expect("fits");
        assert_eq!(other, turn(&input, 72));
        network(9, 8, 2).predict(&input, 0.0, &mut output).expect("runs");
        tiling.scatter(tile, &output, &mut out).expect("fits");
    }
    assert_eq!(covered, 110);
    assert_eq!(out.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), expected);
    // As a model of its own, in a denoiser.
    let (mut scratch, mut clean) = (vec![0.0; 288], vec![0.0; image.len()]);
    let mut tiled = Tiled::new(network(9, 8, 2), tiling, &mut scratch).expect("room");
    let tweedie = Tweedie::new(Family::Gaussian { sigma: 0.1 }).expect("a law");
    tweedie.denoise(&mut tiled, 0.1, &image, &mut clean, &mut []).expect("runs");
    assert!(clean.iter().zip(&image).zip(&out).all(|((clean, y), r)| *clean == y + r), "the signal plus the residual");
}

#[test]
fn borders_are_mirrored_or_replicated_however_far_a_tile_reaches() {
    // Oracle: rows written out.
    let shape = Shape { height: 1, width: 3, channels: 1, layout: Layout::Planar };
    for (border, expected) in [
        (Border::Reflect, [1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0, 2.0, 1.0, 2.0, 3.0]),
        (Border::Replicate, [1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]),
    ] {
        let tiling = Tiling::new(shape, (1, 11), (0, 4), border).expect("fits");
        let mut row = [0.0; 11];
        tiling.gather(tiling.tile(0).expect("one"), &[1.0, 2.0, 3.0], &mut row).expect("fits");
        assert_eq!(row, expected);
    }
    let single = Shape { width: 1, ..shape };
    let tiling = Tiling::new(single, (3, 3), (1, 1), Border::Reflect).expect("fits");
    let mut tile = [0.0; 9];
    tiling.gather(tiling.tile(0).expect("one"), &[5.0], &mut tile).expect("fits");
    assert_eq!(tile, [5.0; 9]);
}

#[test]
fn tiles_that_cannot_be_are_refused() {
    let shape = Shape { height: 9, width: 9, channels: 1, layout: Layout::Planar };
    let new = |shape, tile, halo| Tiling::new(shape, tile, halo, Border::Reflect);
    assert_eq!(new(shape, (6, 9), (3, 3)).unwrap_err(), DenoiseError::Shape);
    assert_eq!(new(Shape { height: 0, ..shape }, (9, 9), (3, 3)).unwrap_err(), DenoiseError::Shape);
    assert_eq!(new(Shape { height: usize::MAX, ..shape }, (9, 9), (3, 3)).unwrap_err(), DenoiseError::Shape);
    assert_eq!(new(shape, (9, 9), (usize::MAX, 3)).unwrap_err(), DenoiseError::Shape);
    let tiling = new(shape, (12, 12), (4, 4)).expect("fits");
    assert!(tiling.aligned(4).is_ok() && tiling.aligned(3).is_err() && tiling.aligned(0).is_err());
    assert_eq!(tiling.tile(9).unwrap_err(), DenoiseError::Step { step: 9 });
    let (image, mut buffer) = ([0.0; 81], [0.0; 144]);
    let tile = tiling.tile(8).expect("the last");
    assert_eq!(tile, Tile { row: 8, column: 8, height: 1, width: 1 });
    assert!(tiling.gather(tile, &image[1..], &mut buffer).is_err());
    assert!(tiling.gather(tile, &image, &mut buffer[1..]).is_err());
    for bad in [
        Tile { row: 9, ..tile },
        Tile { height: 2, ..tile },
        Tile { column: usize::MAX, ..tile },
        Tile { width: 5, row: 0, column: 0, height: 1 },
    ] {
        assert_eq!(tiling.gather(bad, &image, &mut buffer), Err(DenoiseError::Shape));
        assert_eq!(tiling.scatter(bad, &buffer, &mut [0.0; 81]), Err(DenoiseError::Shape));
    }
}
