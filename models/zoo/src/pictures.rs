//! Colour crops of eight pictures and a classifier for them that was trained under noise of a quarter of the
//! range.
//!
//! The pictures are in the public domain or under CC0; see `DATA-LICENCES.md`.

/// Rows and columns of a crop.
pub const SIDE: usize = 32;
/// Channels: red, green, blue.
pub const CHANNELS: usize = 3;
/// Values of a crop, channel by channel, each row-major.
pub const VALUES: usize = CHANNELS * SIDE * SIDE;
/// Classes: the pictures.
pub const CLASSES: usize = NAMES.len();
/// What the classes show.
pub const NAMES: [&str; 8] = ["cat", "coffee", "galaxies", "retina", "rocket", "bricks", "grass", "gravel"];
/// The noise that the classifier was trained at, in steps of the stored values: a quarter of the range.
pub const SIGMA_STEPS: f64 = 63.75;

/// The classifier: ONNX, opset 17, batch 1.
///
/// Input `image`, f32 `[1, 3, 32, 32]`, stored value / 255; output `logits`, f32 `[1, 8]`.
pub const ONNX: &[u8] = include_bytes!("../pictures/pictures.onnx");

/// Crops of [`test_set`], without noise, that [`ONNX`] classifies correctly in f32, measured with ONNX Runtime.
pub const F32_CORRECT: usize = 190;

/// Crops that [`golden_logits`] covers: the first ones of [`test_set`].
pub const GOLDEN_CROPS: usize = 16;

const TEST: Samples = Samples::parse(include_bytes!("../pictures/test.bin"));
const CALIBRATION: Samples = Samples::parse(include_bytes!("../pictures/calibration.bin"));

/// 192 crops of regions that training never saw; classes alternate, no two crops overlap.
pub const fn test_set() -> Samples {
    TEST
}

/// 64 crops of the training regions, without noise, for the choice of quantization ranges: add the noise first.
pub const fn calibration_set() -> Samples {
    CALIBRATION
}

/// ONNX Runtime's f32 logits for the first [`GOLDEN_CROPS`] crops of [`test_set`], without noise.
pub fn golden_logits() -> impl ExactSizeIterator<Item = [f32; CLASSES]> {
    let (values, _) = include_bytes!("../pictures/golden_logits.bin").as_chunks::<4>();
    values.as_chunks::<CLASSES>().0.iter().map(|row| row.map(f32::from_le_bytes))
}

/// A labelled set of crops, checked when the crate is compiled and read in place.
#[derive(Clone, Copy, Debug)]
pub struct Samples {
    values: &'static [[u8; VALUES]],
    labels: &'static [u8],
}

impl Samples {
    /// Reads the format `pictures/data.py` writes; evaluated at compile time only.
    ///
    /// | bytes | content |
    /// |---|---|
    /// | 4 | magic `SPIC` |
    /// | 1 | version, 1 |
    /// | 3 | height, width, channels |
    /// | 4 | crop count n, little-endian |
    /// | 3072 n | values, channel by channel, row-major |
    /// | n | labels |
    const fn parse(file: &'static [u8]) -> Self {
        let [b'S', b'P', b'I', b'C', 1, h, w, c, n0, n1, n2, n3, body @ ..] = file else {
            panic!("not a picture file of version 1");
        };
        assert!(*h as usize == SIDE && *w as usize == SIDE && *c as usize == CHANNELS, "format");
        let count = u32::from_le_bytes([*n0, *n1, *n2, *n3]) as usize;
        assert!(body.len() == count * (VALUES + 1), "length");
        let (values, labels) = body.split_at(count * VALUES);
        let mut i = 0;
        while i < count {
            assert!((labels[i] as usize) < CLASSES, "label");
            i += 1;
        }
        Self { values: values.as_chunks().0, labels }
    }

    /// The number of crops.
    pub const fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the set holds no crop.
    pub const fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Crop `index` as stored: channel by channel, row-major, 0 to 255.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub const fn values(&self, index: usize) -> &'static [u8; VALUES] {
        &self.values[index]
    }

    /// Crop `index` as the model takes it, 0 to 1.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> Vec<f32> {
        self.values(index).iter().map(|&value| f32::from(value) / 255.0).collect()
    }

    /// The class of crop `index`, a place in [`NAMES`].
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub const fn label(&self, index: usize) -> u8 {
        self.labels[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn sets_have_the_documented_size_and_alternating_classes() {
        for (set, size) in [(test_set(), 192), (calibration_set(), 64)] {
            assert_eq!(set.len(), size);
            assert!((0..size).all(|i| usize::from(set.label(i)) == i % CLASSES));
        }
        assert_eq!(golden_logits().len(), GOLDEN_CROPS);
        assert!(ONNX.len() < 200_000);
    }

    #[test]
    fn no_crop_is_in_both_sets_or_twice_in_one() {
        let both = [test_set(), calibration_set()];
        let distinct: HashSet<_> = both.iter().flat_map(|set| (0..set.len()).map(|i| set.values(i))).collect();
        assert_eq!(distinct.len(), 192 + 64);
    }

    #[test]
    fn constants_agree_with_what_training_recorded() {
        let expected: String = include_str!("../pictures/expected.json").split_whitespace().collect();
        for line in [
            format!("\"test_crops\":{},\"calibration_crops\":{},", test_set().len(), calibration_set().len()),
            format!("\"golden_crops\":{GOLDEN_CROPS},"),
            format!("\"clean_correct\":{F32_CORRECT},"),
            format!("\"sigma_steps\":{SIGMA_STEPS},"),
            format!("\"classes\":{:?},", NAMES).replace(' ', ""),
        ] {
            assert!(expected.contains(&line), "{line}");
        }
    }
}
