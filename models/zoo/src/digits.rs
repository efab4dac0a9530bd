//! Handwritten digits: 8x8 grey images in ten classes and a convolutional classifier for them.
//!
//! The images are a part of the UCI data set "Optical Recognition of Handwritten Digits"
//! (E. Alpaydin and C. Kaynak, 1998), CC BY 4.0; see `DATA-LICENCES.md`.

pub mod noise;

/// Rows of an image.
pub const HEIGHT: usize = 8;
/// Columns of an image.
pub const WIDTH: usize = 8;
/// Pixels of an image, in row-major order.
pub const PIXELS: usize = HEIGHT * WIDTH;
/// Classes: the digits 0 to 9.
pub const CLASSES: usize = 10;
/// The highest stored pixel value (full ink); an image's `f32` values are the stored ones over this.
pub const MAX_PIXEL: u8 = 16;

/// The classifier: ONNX, opset 17, batch normalization not folded.
///
/// Input `image`, f32 `[N, 1, 8, 8]` in 0 to 1 (0 paper, 1 full ink); output `logits`, f32 `[N, 10]`,
/// unnormalised scores per digit.
pub const ONNX: &[u8] = include_bytes!("../digits/digits.onnx");

/// The same network trained with rank pruning: its 3x3 layers of 32 channels have low rank in the
/// spatial form. Inputs and outputs as those of [`ONNX`].
pub const TRP_ONNX: &[u8] = include_bytes!("../digits/digits_trp.onnx");

/// The network trained with few bits: `digits/train_qat.py`.
#[derive(Clone, Copy, Debug)]
pub struct QatNet {
    /// Name: `lsq4` (4-bit weights and activations), `lsq3` (3-bit), `ternary` (ternary weights, 8-bit activations).
    pub name: &'static str,
    /// ONNX with QuantizeLinear and DequantizeLinear; inputs and outputs as those of [`ONNX`].
    pub onnx: &'static [u8],
    /// The greatest code of activations between the layers.
    pub greatest_code: u8,
    /// Test images that ONNX Runtime classifies correctly, as they are and under each [`Shift`].
    pub correct: [usize; 5],
    golden: &'static [u8],
}

impl QatNet {
    /// ONNX Runtime's logits for the first [`GOLDEN_IMAGES`] images of [`test_set`].
    pub fn golden_logits(&self) -> impl ExactSizeIterator<Item = [f32; CLASSES]> + use<> {
        self.golden.as_chunks::<{ 4 * CLASSES }>().0.iter().map(logits)
    }
}

/// The networks trained with few bits.
pub const QAT: [QatNet; 3] = [
    QatNet {
        name: "lsq4",
        onnx: include_bytes!("../digits/digits_lsq4.onnx"),
        greatest_code: 15,
        correct: [447, 438, 444, 441, 442],
        golden: include_bytes!("../digits/golden_lsq4.bin"),
    },
    QatNet {
        name: "lsq3",
        onnx: include_bytes!("../digits/digits_lsq3.onnx"),
        greatest_code: 7,
        correct: [443, 437, 434, 443, 434],
        golden: include_bytes!("../digits/golden_lsq3.bin"),
    },
    QatNet {
        name: "ternary",
        onnx: include_bytes!("../digits/digits_ternary.onnx"),
        greatest_code: 255,
        correct: [444, 433, 440, 435, 441],
        golden: include_bytes!("../digits/golden_ternary.bin"),
    },
];

/// What happened to the test images before a network saw them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    Plain,
    /// Turned by 15 degrees.
    Turned,
    /// Turned by 15 degrees the other way.
    TurnedBack,
    /// 0.15 added to every pixel.
    Brighter,
    /// 0.15 subtracted from every pixel.
    Darker,
}

/// Steps of the shifted images' pixels in one.
const SHIFTED_STEPS: f32 = 240.0;
const SHIFTED: &[[u8; PIXELS]] = {
    let (images, rest) = include_bytes!("../digits/shifted.bin").as_chunks();
    assert!(rest.is_empty() && images.len() == 4 * TEST.labels.len(), "shifted.bin: length");
    images
};

impl Shift {
    pub const ALL: [Self; 5] = [Self::Plain, Self::Turned, Self::TurnedBack, Self::Brighter, Self::Darker];

    /// Image `index` of [`test_set`] under this shift.
    ///
    /// # Panics
    ///
    /// If `index` is not below the length of the set.
    pub fn image(self, index: usize) -> [f32; PIXELS] {
        match self {
            Self::Plain => TEST.image(index),
            _ => {
                assert!(index < TEST.len(), "image {index} of {}", TEST.len());
                SHIFTED[(self as usize - 1) * TEST.len() + index].map(|step| f32::from(step) / SHIFTED_STEPS)
            }
        }
    }
}

/// Images of [`test_set`] that [`ONNX`] classifies correctly in f32, measured with ONNX Runtime.
///
/// The two highest logits differ by more than 0.2 on every test image, so that f32 rounding cannot
/// change this count.
pub const F32_CORRECT: usize = 447;

/// Images that [`golden_logits`] covers: the first ones of [`test_set`].
pub const GOLDEN_IMAGES: usize = 32;

const TEST: Samples = Samples::parse(include_bytes!("../digits/test.bin"));
const CALIBRATION: Samples = Samples::parse(include_bytes!("../digits/calibration.bin"));
const GOLDEN: &[[u8; 4 * CLASSES]] = {
    let (rows, rest) = include_bytes!("../digits/golden_logits.bin").as_chunks();
    assert!(rest.is_empty() && rows.len() == GOLDEN_IMAGES, "golden_logits.bin: length");
    rows
};

/// The 450 held-out images, which had no part in training or in the choice of the model.
///
/// The labels run 0, 1, ... 9, 0, 1, ..., so that every prefix is balanced.
pub const fn test_set() -> Samples {
    TEST
}

/// 256 training images, in the order of classes of [`test_set`], for the choice of quantization ranges.
pub const fn calibration_set() -> Samples {
    CALIBRATION
}

/// ONNX Runtime's f32 logits for the first [`GOLDEN_IMAGES`] images of [`test_set`].
pub fn golden_logits() -> impl ExactSizeIterator<Item = [f32; CLASSES]> {
    GOLDEN.iter().map(logits)
}

fn logits(row: &[u8; 4 * CLASSES]) -> [f32; CLASSES] {
    let (values, _) = row.as_chunks();
    std::array::from_fn(|class| f32::from_le_bytes(values[class]))
}

/// A labelled set of images, checked when the crate is compiled and read in place.
#[derive(Clone, Copy, Debug)]
pub struct Samples {
    pixels: &'static [[u8; PIXELS]],
    labels: &'static [u8],
}

impl Samples {
    /// Reads the format `digits/data.py` writes; evaluated at compile time only.
    ///
    /// | bytes | content |
    /// |---|---|
    /// | 4 | magic `SDIG` |
    /// | 1 | version, 1 |
    /// | 3 | height, width, highest pixel value |
    /// | 4 | image count n, little-endian |
    /// | 64 n | pixels, row-major |
    /// | n | labels |
    const fn parse(file: &'static [u8]) -> Self {
        let [b'S', b'D', b'I', b'G', 1, h, w, max, n0, n1, n2, n3, body @ ..] = file else {
            panic!("not a digit file of version 1");
        };
        assert!(*h as usize == HEIGHT && *w as usize == WIDTH && *max == MAX_PIXEL, "image format");
        let count = u32::from_le_bytes([*n0, *n1, *n2, *n3]) as usize;
        assert!(body.len() == count * (PIXELS + 1), "length");
        let (pixels, labels) = body.split_at(count * PIXELS);
        let mut i = 0;
        while i < pixels.len() {
            assert!(pixels[i] <= MAX_PIXEL, "pixel value");
            i += 1;
        }
        let mut i = 0;
        while i < count {
            assert!((labels[i] as usize) < CLASSES, "label");
            i += 1;
        }
        Self { pixels: pixels.as_chunks().0, labels }
    }

    /// The number of images.
    pub const fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the set holds no image.
    pub const fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of the whole set as a model input: `[len, 1, 8, 8]` (NCHW).
    pub const fn shape(&self) -> [usize; 4] {
        [self.len(), 1, HEIGHT, WIDTH]
    }

    /// Image `index` as the model takes it: row-major, 0 (paper) to 1 (full ink).
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> [f32; PIXELS] {
        to_f32(self.pixels(index))
    }

    /// Image `index` as stored: row-major, 0 (paper) to [`MAX_PIXEL`] (full ink).
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub const fn pixels(&self, index: usize) -> &'static [u8; PIXELS] {
        &self.pixels[index]
    }

    /// The digit that image `index` shows, 0 to 9.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub const fn label(&self, index: usize) -> u8 {
        self.labels[index]
    }

    /// Every image, as [`image`](Self::image) gives it, with its label.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ([f32; PIXELS], u8)> + use<> {
        self.pixels.iter().zip(self.labels).map(|(pixels, &label)| (to_f32(pixels), label))
    }
}

fn to_f32(pixels: &[u8; PIXELS]) -> [f32; PIXELS] {
    pixels.map(|value| f32::from(value) / f32::from(MAX_PIXEL))
}

/// Draws an image of values from 0 to 1: a line per row of 8, two characters per pixel.
///
/// Values outside that range are drawn as the nearest one in it.
pub fn ascii(image: &[f32]) -> String {
    const INK: [&str; 6] = ["  ", "..", "::", "++", "%%", "@@"];
    let mut drawing = String::with_capacity(image.len() * 2 + image.len().div_ceil(WIDTH));
    for row in image.chunks(WIDTH) {
        for value in row {
            let level = (value * (INK.len() - 1) as f32).round() as usize;
            drawing.push_str(INK[level.min(INK.len() - 1)]);
        }
        drawing.push('\n');
    }
    drawing
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn class_counts(samples: Samples) -> [usize; CLASSES] {
        let mut counts = [0; CLASSES];
        for (_, label) in samples.iter() {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    #[test]
    fn sets_are_balanced_and_of_the_documented_size() {
        for (samples, size) in [(test_set(), 450), (calibration_set(), 256)] {
            assert_eq!(samples.len(), size);
            assert_eq!(samples.shape(), [size, 1, 8, 8]);
            assert_eq!(samples.iter().len(), size);
            let counts = class_counts(samples);
            let even = size / CLASSES;
            assert!(counts.iter().all(|count| count.abs_diff(even) <= 2), "{counts:?}");
            let prefix: Vec<u8> = (0..2 * CLASSES).map(|i| samples.label(i)).collect();
            assert!(prefix.iter().enumerate().all(|(i, &label)| usize::from(label) == i % CLASSES));
        }
    }

    #[test]
    fn no_image_is_in_both_sets_or_twice_in_one() {
        let both = [test_set(), calibration_set()];
        let distinct: HashSet<_> = both.iter().flat_map(|set| (0..set.len()).map(|i| set.pixels(i))).collect();
        assert_eq!(distinct.len(), both.iter().map(Samples::len).sum::<usize>());
    }

    #[test]
    fn images_are_scaled_to_the_unit_range() {
        let samples = test_set();
        let mut highest = 0.0_f32;
        for (i, (image, label)) in samples.iter().enumerate() {
            assert_eq!(image, samples.image(i));
            assert_eq!(label, samples.label(i));
            assert!(image.iter().all(|value| (0.0..=1.0).contains(value)));
            highest = image.iter().copied().fold(highest, f32::max);
        }
        assert_eq!(highest, 1.0);
    }

    #[test]
    fn golden_logits_pick_the_labels() {
        let golden = golden_logits();
        assert_eq!(golden.len(), GOLDEN_IMAGES);
        for (i, logits) in golden.enumerate() {
            let best = (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            assert_eq!(best, usize::from(test_set().label(i)), "image {i}");
        }
    }

    #[test]
    fn constants_agree_with_what_training_recorded() {
        let expected = include_str!("../digits/expected.json");
        for line in [
            format!("\"test_images\": {},", test_set().len()),
            format!("\"calibration_images\": {},", calibration_set().len()),
            format!("\"golden_images\": {GOLDEN_IMAGES},"),
            format!("\"f32_correct\": {F32_CORRECT},"),
        ] {
            assert!(expected.contains(&line), "{line}");
        }
        assert!(ONNX.len() < 200_000);
    }

    #[test]
    fn counts_of_the_networks_with_few_bits_are_those_training_recorded() {
        let expected: String = include_str!("../digits/expected_qat.json").split_whitespace().collect();
        for net in QAT {
            let [plain, turned, back, brighter, darker] = net.correct;
            let line = format!(
                "\"{}\":{{\"plain\":{plain},\"turned_15\":{turned},\"turned_minus_15\":{back},\"brighter\":{brighter},\"darker\":{darker}}}",
                net.name
            );
            assert!(expected.contains(&line), "{line}");
            assert_eq!(net.golden_logits().len(), GOLDEN_IMAGES);
        }
        assert_eq!(Shift::Plain.image(3), test_set().image(3));
        let mean = |shift: Shift| (0..450).map(|i| shift.image(i).iter().sum::<f32>()).sum::<f32>();
        assert!(mean(Shift::Brighter) > mean(Shift::Plain) && mean(Shift::Darker) < mean(Shift::Plain));
    }

    #[test]
    fn ascii_draws_eight_rows_and_clamps() {
        let drawing = ascii(&test_set().image(0));
        assert_eq!(drawing.lines().count(), HEIGHT);
        assert!(drawing.lines().all(|line| line.len() == 2 * WIDTH));
        assert_eq!(ascii(&[-1.0, 0.0, 1.0, 2.0, f32::NAN]), "    @@@@  \n");
    }
}
