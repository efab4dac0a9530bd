//! The command, a digit classifier for it, and files for both.
#![allow(dead_code)]

use selvedge_compiler::calibrate::Sample;
use selvedge_compiler::{CompileOptions, compile_calibrated, compile_loaded, load};
use selvedge_zoo::digits;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run of the command leaves.
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Done {
    /// The JSON object on stdout.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).expect("one object")
    }

    /// Bad input, with a message that says so much.
    pub fn refused(&self, says: &[&str]) {
        assert_eq!(self.code, 2, "{}{}", self.out, self.err);
        for part in says {
            assert!(self.err.contains(part), "'{part}' is not in: {}", self.err);
        }
    }
}

/// A folder of a test's own.
pub struct Room(PathBuf);

impl Room {
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("made");
        let room = Room(path);
        room.put("digits.slvg", &digit_artifact());
        room
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(&path, bytes).expect("written");
        self.path(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).expect("is there")
    }

    /// Runs the command in this folder; words are parted by spaces.
    pub fn run(&self, words: &str) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
        let done = command.args(words.split_whitespace()).current_dir(&self.0).output().expect("runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Done { code: done.status.code().expect("ends"), out: text(done.stdout), err: text(done.stderr) }
    }

    /// The first digits of the test set but one, which noise turns easily, and what they are.
    pub fn put_digits(&self, name: &str, count: usize) {
        let set = digits::test_set();
        let pixels: Vec<f32> = (1..=count).flat_map(|i| set.image(i)).collect();
        self.put(name, &npy("<f4", &[count, 1, 8, 8], pixels.iter().flat_map(|x| x.to_le_bytes()).collect()));
        let labels = (1..=count).flat_map(|i| i64::from(set.label(i)).to_le_bytes()).collect();
        self.put("labels.npy", &npy("<i8", &[count], labels));
    }
}

/// The digit classifier in int8, its input and scores in f32.
fn digit_artifact() -> Vec<u8> {
    let options = CompileOptions::default();
    let set = digits::calibration_set();
    let samples = (0..32).map(|i| Sample::f32([1, 1, 8, 8], set.image(i).to_vec()));
    let graph = load(digits::ONNX, &options.import).expect("imports");
    compile_calibrated(graph, samples, &options).expect("compiles").artifact
}

/// A denoiser that knows one thing: ink is not negative.
pub fn denoiser_artifact() -> Vec<u8> {
    let options = CompileOptions::default();
    let graph = load(&relu(), &options.import).expect("imports");
    compile_loaded(graph, &options).expect("compiles").artifact
}

/// A field of a protobuf message: bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, bytes.len() as u8];
    out.extend(bytes);
    out
}

/// A field that is a small number.
fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

/// An ONNX model of one Relu, f32 `[1, 1, 8, 8]`.
fn relu() -> Vec<u8> {
    let dims = [1, 1, 8, 8].map(|size| field(1, &number(1, size))).concat();
    let tensor = field(1, &[number(1, 1), field(2, &dims)].concat());
    let value = |name: &[u8]| [field(1, name), field(2, &tensor)].concat();
    let node = [field(1, b"x"), field(2, b"y"), field(4, b"Relu")].concat();
    let graph = [field(1, &node), field(2, b"g"), field(11, &value(b"x")), field(12, &value(b"y"))].concat();
    [number(1, 8), field(7, &graph), field(8, &number(2, 17))].concat()
}

/// An array file.
pub fn npy(dtype: &str, shape: &[usize], data: Vec<u8>) -> Vec<u8> {
    let shape: String = shape.iter().map(|size| format!("{size},")).collect();
    let mut head = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({shape}), }}");
    while !(head.len() + 11).is_multiple_of(64) {
        head.push(' ');
    }
    head.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((head.len() as u16).to_le_bytes());
    file.extend(head.as_bytes());
    file.extend(data);
    file
}
