//! `selvedge denoise` on pictures, as a user calls it. Oracles: the clean picture; the level that was added; one tile of
//! the whole picture.

mod common;

use common::{Room, npy};
use selvedge_compiler::import::ImportOptions;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::{CompileOptions, compile};
use selvedge_zoo::denoiser;

fn put(room: &Room, name: &str, plane: &[f32], shape: &[usize]) {
    room.put(name, &npy("<f4", shape, plane.iter().flat_map(|x| x.to_le_bytes()).collect()));
}

/// The two numbers of the line `PSNR … dB before, … dB after`.
fn psnr(out: &str) -> (f64, f64) {
    let line = out.lines().find(|line| line.starts_with("PSNR")).expect("a reference was given");
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

/// The zoo's denoiser in f32 for tiles of `side` pixels.
fn artifact(side: usize) -> Vec<u8> {
    let shapes = vec![("noisy".to_string(), vec![1, 1, side, side])];
    let import = ImportOptions { shapes, ..ImportOptions::default() };
    let options = CompileOptions { import, scheme: QuantScheme::f32(), ..CompileOptions::default() };
    compile(denoiser::ONNX, &options).expect("compiles").artifact
}

#[test]
fn a_picture_is_denoised_at_a_level_that_nobody_gave() {
    let room = Room::new("denoise");
    let size = [72, 130];
    let clean = denoiser::sample_picture(size[0], size[1]);
    let noisy = denoiser::with_noise(&clean, 25.0 / 255.0);
    put(&room, "clean.npy", &clean, &size);
    put(&room, "noisy.npy", &noisy, &size);
    let done = room.run("denoise noisy.npy -o out.png --reference clean.npy --side-by-side all.png");
    assert_eq!(done.code, 0, "{}", done.err);
    let (before, after) = psnr(&done.out);
    assert!(after > before + 5.0, "{}", done.out);
    let said: f64 =
        done.out.split("noise of ").nth(1).and_then(|t| t.split('/').next()).expect("said").parse().expect("a number");
    assert!((said / 25.0 - 1.0).abs() < 0.08, "{}", done.out);
    let decoder = |name: &str| png::Decoder::new(std::io::Cursor::new(room.read(name))).read_info().expect("a picture");
    let (out, all) = (decoder("out.png"), decoder("all.png"));
    assert_eq!((out.info().width, out.info().height, all.info().width), (130, 72, 390));
    // Told the level, about as good; a result is a picture again.
    let told = room.run("denoise noisy.npy -o told.npy --level 25 --reference clean.npy");
    assert!((psnr(&told.out).1 - after).abs() < 0.5, "{}", told.out);
    assert_eq!(room.run("denoise told.npy -o again.png --level 5").code, 0);
}

#[test]
fn any_tile_gives_the_same_bytes_also_one_whose_arena_has_64_kib() {
    let room = Room::new("denoise_tiles");
    let size = [41, 53];
    put(&room, "noisy.npy", &denoiser::with_noise(&denoiser::sample_picture(size[0], size[1]), 0.1), &size);
    for side in [30, 48, 80] {
        let bytes = artifact(side);
        let file = selvedge::AlignedBuf::from(&bytes[..]);
        let arena = selvedge::Artifact::parse(&file).expect("sound").arena_bytes();
        assert!(side > 30 || arena <= 64 * 1024, "{arena}");
        room.put(&format!("{side}.slvg"), &bytes);
        let done = room.run(&format!("denoise noisy.npy -o {side}.npy --model {side}.slvg --halo 12 --level 25"));
        assert_eq!(done.code, 0, "{}", done.err);
    }
    assert!(room.read("30.npy") == room.read("80.npy") && room.read("48.npy") == room.read("80.npy"));
}

#[test]
fn poisson_and_gamma_noise_and_colours() {
    let room = Room::new("denoise_families");
    let size = [64, 96];
    let clean = denoiser::sample_picture(size[0], size[1]);
    put(&room, "clean.npy", &clean, &size);
    // The variance of the law by the noise at hand: ζ·x, x²/k.
    let drawn = denoiser::with_noise(&vec![0.0; clean.len()], 1.0);
    let noisy = |variance: fn(f32) -> f32| -> Vec<f32> {
        clean.iter().zip(&drawn).map(|(&x, n)| (x + variance(x).sqrt() * n).max(0.0)).collect()
    };
    put(&room, "poisson.npy", &noisy(|x| 0.01 * x), &size);
    put(&room, "gamma.npy", &noisy(|x| x * x / 50.0), &size);
    for family in ["poisson", "gamma"] {
        let done = room.run(&format!("denoise {family}.npy -o out.npy --family {family} --reference clean.npy"));
        assert_eq!(done.code, 0, "{}", done.err);
        let (before, after) = psnr(&done.out);
        assert!(after > before + 2.0, "{family}: {}", done.out);
    }
    let colours: Vec<f32> = clean.iter().flat_map(|&x| [x, 0.5 * x, 1.0 - x]).collect();
    put(&room, "colours.npy", &denoiser::with_noise(&colours, 0.1), &[size[0], size[1], 3]);
    let done = room.run("denoise colours.npy -o out.png");
    assert_eq!((done.code, done.out.matches("channel").count()), (0, 3), "{}{}", done.out, done.err);
}

#[test]
fn what_is_no_picture_is_refused_by_name() {
    let room = Room::new("denoise_refused");
    let flat = vec![0.5f32; 16 * 16];
    put(&room, "flat.npy", &flat, &[16, 16]);
    put(&room, "small.npy", &flat[..128], &[8, 16]);
    put(&room, "line.npy", &flat, &[256]);
    put(&room, "codes.npy", &flat.iter().map(|x| x * 400.0).collect::<Vec<_>>(), &[16, 16]);
    let mut broken = flat.clone();
    broken[35] = f32::NAN;
    put(&room, "nan.npy", &broken, &[16, 16]);
    room.put("cut.png", b"\x89PNG\r\n\x1a\n\0\0");
    room.put("text.txt", b"hello");
    for (words, says) in [
        ("nan.npy -o o.png", &["nan.npy", "row 2, column 3", "NaN"][..]),
        ("missing.png -o o.png", &["missing.png"]),
        ("cut.png -o o.png", &["cut.png"]),
        ("text.txt -o o.png", &["text.txt", ".png or .npy", ".wav"]),
        (". -o o.png", &["folder"]),
        ("line.npy -o o.png", &["[256]", "[H, W]"]),
        ("codes.npy -o o.png", &["200", "0..1"]),
        ("flat.npy -o o.png", &["flat.npy", "no noise is found", "--level"]),
        ("flat.npy -o o.png --level 0", &["--level 0", "above 0"]),
        ("flat.npy -o o.png --level 20 --family gamma --reference small.npy", &["16x8", "16x16", "one size"]),
        ("flat.npy -o o.txt --level 20", &["o.txt", ".png or .npy"]),
        ("flat.npy -o o.png --level 20 --model digits.slvg", &["digits.slvg", "[1, 1, H, W]"]),
        ("flat.npy -o o.png --level 20 --model text.txt", &["text.txt"]),
    ] {
        room.run(&format!("denoise {words}")).refused(says);
    }
}
