//! Oracle: embeddings of all-MiniLM-L6-v2 made by ONNX Runtime in f32, on held-out sentences.
//! Domain: the folder `SELVEDGE_MINILM` that `models/zoo/minilm/make.py` writes.

use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;

use selvedge::{AlignedBuf, Artifact, IsaKind, Session};
use selvedge_compiler::data::{Array, read_npz};
use selvedge_compiler::graph::Graph;
use selvedge_compiler::quantize::QuantScheme;
use selvedge_compiler::{CompileOptions, compile_loaded, load};

/// Sentences that are compared; the whole set is measured by `selvedge run`, see `models/README.md`.
const SENTENCES: usize = 16;

struct Encoder {
    graph: Graph,
    ids: Vec<Vec<u8>>,
    masks: Vec<Vec<u8>>,
    embeddings: Vec<Vec<f32>>,
}

static ENCODER: LazyLock<Option<Encoder>> = LazyLock::new(read);

/// The encoder; says which test does not run without it.
fn encoder(test: &str) -> Option<&'static Encoder> {
    if ENCODER.is_none() {
        let _ = writeln!(
            std::io::stderr(),
            "NOT TESTED: {test}: set SELVEDGE_MINILM to the folder that models/zoo/minilm/make.py wrote"
        );
    }
    ENCODER.as_ref()
}

fn read() -> Option<Encoder> {
    let folder = std::env::var_os("SELVEDGE_MINILM").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.join("minilm.onnx").exists())?;
    let onnx = std::fs::read(folder.join("minilm.onnx")).expect("reads");
    let graph = load(&onnx, &CompileOptions::default().import).expect("imports");
    let arrays = read_npz(&folder.join("test.npz")).expect("reads");
    let get = |key: &str| arrays.iter().find(|(name, _)| name == key).map(|(_, array)| array).expect("key");
    let bytes = |array: &Array| -> Vec<Vec<u8>> {
        let all = array.data.to_bytes();
        all.chunks(all.len() / array.shape[0]).take(SENTENCES).map(<[u8]>::to_vec).collect()
    };
    let golden = get("embedding");
    let embeddings = golden.data.to_f32().chunks(golden.shape[1]).take(SENTENCES).map(<[f32]>::to_vec).collect();
    Some(Encoder { graph, ids: bytes(get("input_ids")), masks: bytes(get("attention_mask")), embeddings })
}

impl Encoder {
    /// Bytes of the artifact, and what it makes of each sentence.
    fn run(&self, scheme: QuantScheme) -> (usize, Vec<Vec<f32>>) {
        let artifact = self.compiled(scheme);
        (artifact.len(), self.embed(&artifact, None, SENTENCES).expect("the fastest"))
    }

    fn compiled(&self, scheme: QuantScheme) -> Vec<u8> {
        let options = CompileOptions { scheme, ..CompileOptions::default() };
        compile_loaded(self.graph.clone(), &options).expect("compiles").artifact
    }

    /// The first `count` sentences on an instruction set; `None` where this CPU lacks it.
    fn embed(&self, artifact: &[u8], isa: Option<IsaKind>, count: usize) -> Option<Vec<Vec<f32>>> {
        let file = AlignedBuf::from(artifact);
        let artifact = Artifact::parse(&file).expect("sound");
        let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
        let mut session = Session::new(artifact, &mut arena).expect("valid");
        if let Some(isa) = isa {
            session = session.with_isa(isa).ok()?;
        }
        let run = |(ids, mask): (&Vec<u8>, &Vec<u8>)| {
            session.input(0).and_then(|input| input.copy_from_bytes(ids)).expect("fits");
            session.input(1).and_then(|input| input.copy_from_bytes(mask)).expect("fits");
            session.run().expect("runs");
            let mut values = vec![0.0; self.embeddings[0].len()];
            session.output(0).expect("output").dequantize_into(&mut values).expect("fits");
            values
        };
        Some(self.ids.iter().zip(&self.masks).take(count).map(run).collect())
    }

    /// Mean cosine to the oracle.
    fn cosine(&self, found: &[Vec<f32>]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let cosine = |(a, b): (&Vec<f32>, &Vec<f32>)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        found.iter().zip(&self.embeddings).map(cosine).sum::<f64>() / found.len() as f64
    }
}

#[test]
fn f32_embeddings_equal_onnxruntime_within_1e_4() {
    let Some(encoder) = encoder("f32_embeddings_equal_onnxruntime_within_1e_4") else { return };
    let (_, found) = encoder.run(QuantScheme::f32());
    for (i, (found, golden)) in found.iter().zip(&encoder.embeddings).enumerate() {
        for (x, want) in found.iter().zip(golden) {
            assert!((x - want).abs() <= 1e-4, "sentence {i}: {x}, expected {want}");
        }
    }
}

#[test]
fn w8_embeddings_have_a_mean_cosine_of_0_997_to_float() {
    let Some(encoder) = encoder("w8_embeddings_have_a_mean_cosine_of_0_997_to_float") else { return };
    let (bytes, found) = encoder.run(QuantScheme::w8a8());
    let cosine = encoder.cosine(&found);
    assert!(cosine >= 0.997, "{cosine}");
    // 11.7 MB of embeddings and 10.6 MB of layers in int8, the rest is scales, biases and positions.
    assert!(bytes < 23_000_000, "{bytes}");
    let (_, float_attention) = encoder.run(QuantScheme { int8_matmul: false, ..QuantScheme::w8a8() });
    let without = encoder.cosine(&float_attention);
    println!("mean cosine {cosine:.5}, with attention in f32 {without:.5}");
    assert!(without - cosine < 1e-3, "int8 attention costs {}", without - cosine);
}

/// Oracle: the reference kernels. Domain: one sentence, every instruction set of this machine.
#[test]
fn w8_embeddings_are_the_same_bits_on_every_instruction_set() {
    let Some(encoder) = encoder("w8_embeddings_are_the_same_bits_on_every_instruction_set") else { return };
    let artifact = encoder.compiled(QuantScheme::w8a8());
    let bits = |isa| {
        let found = encoder.embed(&artifact, Some(isa), 1)?;
        Some(found[0].iter().map(|x| x.to_bits()).collect::<Vec<u32>>())
    };
    let want = bits(IsaKind::Reference).expect("always there");
    for isa in IsaKind::ALL {
        match bits(isa) {
            Some(found) => assert_eq!(found, want, "{}", isa.name()),
            None => {
                let _ = writeln!(std::io::stderr(), "NOT TESTED: the encoder on {}: this CPU lacks it", isa.name());
            }
        }
    }
}
