//! LoRA adapters in safetensors files: pairs of thin matrices, `W + strength·up·down` for a layer.

use super::AdapterError;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// An adapter file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoraAdapter {
    pub layers: Vec<LoraLayer>,
    /// What a user should know: assumptions that the file left open.
    pub notes: Vec<String>,
}

/// What an adapter adds to one layer: `scale · up · down`.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraLayer {
    /// Name of the module, as the file has it, without the prefix that PEFT puts before it.
    pub module: String,
    pub rank: usize,
    /// Columns of the layer: features it reads.
    pub k: usize,
    /// Rows of the layer: features it makes.
    pub n: usize,
    /// `[rank, k]`, row-major.
    pub down: Vec<f32>,
    /// `[n, rank]`, row-major.
    pub up: Vec<f32>,
    /// alpha / rank, or alpha / √rank with rank-stabilized scaling.
    pub scale: f32,
}

/// `adapter_config.json`, as PEFT writes it beside the weights.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LoraConfig {
    pub lora_alpha: Option<f32>,
    pub use_rslora: bool,
    pub use_dora: bool,
    /// Other values of alpha for modules whose names end so.
    pub alpha_pattern: HashMap<String, f32>,
}

/// Ends of tensor names: down, up, and what a layer may have beside them.
const DOWN: [&str; 4] = ["lora_A.weight", "lora_A.default.weight", "lora_down.weight", "lora.down.weight"];
const UP: [&str; 4] = ["lora_B.weight", "lora_B.default.weight", "lora_up.weight", "lora.up.weight"];
const ALPHA: &str = "alpha";

/// Parts of a module found so far.
#[derive(Default)]
struct Parts {
    down: Option<(Vec<usize>, Vec<f32>)>,
    up: Option<(Vec<usize>, Vec<f32>)>,
    alpha: Option<f32>,
}

impl LoraAdapter {
    /// Reads a safetensors file with the names of PEFT (`lora_A`, `lora_B`), of diffusers
    /// (`lora.down`, `lora.up`) or of kohya's scripts (`lora_down`, `lora_up`, `alpha`), in f32, f16 or
    /// bf16. The values of alpha in the file come before those of `config`; without either alpha is the rank.
    ///
    /// # Errors
    /// [`AdapterError`] for files that are damaged or hold another kind of adapter.
    pub fn read(bytes: &[u8], config: &LoraConfig) -> Result<Self, AdapterError> {
        if config.use_dora {
            return Err(AdapterError::Kind("DoRA changes the length of each row of the weights".into()));
        }
        let file = SafeTensors::deserialize(bytes).map_err(|e| AdapterError::File(e.to_string()))?;
        let mut modules: BTreeMap<String, Parts> = BTreeMap::new();
        let mut names: Vec<&str> = file.names();
        names.sort_unstable();
        for name in names {
            let view = file.tensor(name).map_err(|e| AdapterError::File(e.to_string()))?;
            let tensor = || Ok::<_, AdapterError>((view.shape().to_vec(), values(name, view.dtype(), view.data())?));
            let module = |ends: &[&str]| ends.iter().find_map(|end| name.strip_suffix(end)?.strip_suffix('.'));
            let ends: [&[&str]; 3] = [&DOWN, &UP, &[ALPHA]];
            let Some((which, module)) = ends.iter().enumerate().find_map(|(i, ends)| Some((i, module(ends)?))) else {
                return Err(AdapterError::Kind(format!("tensor '{name}' is no part of a LoRA pair")));
            };
            let parts = modules.entry(module.to_owned()).or_default();
            match which {
                0 => parts.down = Some(tensor()?),
                1 => parts.up = Some(tensor()?),
                _ => parts.alpha = tensor()?.1.first().copied(),
            }
        }
        let mut adapter = LoraAdapter::default();
        for (module, parts) in modules {
            adapter.layers.push(layer(&module, parts, config, &mut adapter.notes)?);
        }
        if adapter.layers.is_empty() {
            return Err(AdapterError::Kind("the file holds no tensors".into()));
        }
        Ok(adapter)
    }
}

fn layer(module: &str, parts: Parts, config: &LoraConfig, notes: &mut Vec<String>) -> Result<LoraLayer, AdapterError> {
    let half = |which| AdapterError::Layer { module: module.into(), reason: format!("its {which} matrix is missing") };
    let (down_shape, down) = parts.down.ok_or_else(|| half("down (A)"))?;
    let (up_shape, up) = parts.up.ok_or_else(|| half("up (B)"))?;
    let misfit = || AdapterError::Layer {
        module: module.into(),
        reason: format!(
            "down {down_shape:?} and up {up_shape:?} are not [rank, columns] and [rows, rank]; convolutions and embeddings cannot take an adapter"
        ),
    };
    let (&[rank, k], &[n, up_rank]) = (down_shape.as_slice(), up_shape.as_slice()) else { return Err(misfit()) };
    if rank == 0 || rank != up_rank || k == 0 || n == 0 {
        return Err(misfit());
    }
    if let Some(at) = down.iter().chain(&up).position(|v| !v.is_finite()) {
        let reason = format!("value {at} is NaN or infinite");
        return Err(AdapterError::Layer { module: module.into(), reason });
    }
    let pattern = config.alpha_pattern.iter().find(|(end, _)| module.ends_with(end.as_str())).map(|(_, &alpha)| alpha);
    let alpha = parts.alpha.or(pattern).or(config.lora_alpha);
    if alpha.is_none() && notes.is_empty() {
        notes.push("neither the file nor adapter_config.json gives alpha; it is taken to be the rank".into());
    }
    let rank_f32 = rank as f32;
    let divisor = if config.use_rslora { rank_f32.sqrt() } else { rank_f32 };
    let scale = alpha.map_or(1.0, |alpha| alpha / divisor);
    if !scale.is_finite() {
        return Err(AdapterError::Layer { module: module.into(), reason: "its alpha is NaN or infinite".into() });
    }
    let module = module.strip_prefix("base_model.model.").unwrap_or(module).to_owned();
    Ok(LoraLayer { module, rank, k, n, down, up, scale })
}

/// Little-endian floats of a tensor.
fn values(name: &str, dtype: Dtype, data: &[u8]) -> Result<Vec<f32>, AdapterError> {
    let halves = |read: fn([u8; 2]) -> f32| data.as_chunks::<2>().0.iter().map(|&b| read(b)).collect();
    Ok(match dtype {
        Dtype::F32 => data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F16 => halves(|b| half::f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => halves(|b| half::bf16::from_le_bytes(b).to_f32()),
        other => {
            return Err(AdapterError::Kind(format!("tensor '{name}' is {other:?}; f32, f16 and bf16 are read")));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    /// A file of f32 tensors: name, shape, first value; later ones count up.
    fn file(tensors: &[(&str, &[usize], f32)]) -> Vec<u8> {
        let data: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, shape, first)| {
                (0..shape.iter().product()).flat_map(|i: usize| (first + i as f32).to_le_bytes()).collect()
            })
            .collect();
        let view = |((name, shape, _), data): (&(&str, &[usize], f32), &'_ Vec<u8>)| {
            (name.to_string(), shape.to_vec(), data.clone())
        };
        let parts: Vec<(String, Vec<usize>, Vec<u8>)> = tensors.iter().zip(&data).map(view).collect();
        let views: Vec<(&str, TensorView<'_>)> = parts
            .iter()
            .map(|(name, shape, data)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), data).expect("fits")))
            .collect();
        safetensors::serialize(views, None).expect("writes")
    }

    #[test]
    fn names_of_three_trainers_are_read() {
        let config = LoraConfig { lora_alpha: Some(8.0), ..LoraConfig::default() };
        let ends = [
            ("lora_A.weight", "lora_B.weight"),
            ("lora_down.weight", "lora_up.weight"),
            ("lora.down.weight", "lora.up.weight"),
        ];
        for (down, up) in ends {
            let (down, up) = (format!("base_model.model.a.q.{down}"), format!("base_model.model.a.q.{up}"));
            let bytes = file(&[(&down, &[2, 3], 1.0), (&up, &[4, 2], -1.0)]);
            let adapter = LoraAdapter::read(&bytes, &config).expect("reads");
            let layer = &adapter.layers[0];
            assert_eq!((layer.module.as_str(), layer.rank, layer.k, layer.n, layer.scale), ("a.q", 2, 3, 4, 4.0));
            assert_eq!((layer.down[5], layer.up[0]), (6.0, -1.0));
            assert!(adapter.notes.is_empty());
        }
    }

    #[test]
    fn alpha_comes_from_the_file_then_the_configuration_and_its_absence_is_said() {
        let pair = [("m.lora_down.weight", &[4usize, 3][..], 0.0), ("m.lora_up.weight", &[2, 4], 0.0)];
        let read = |tensors: &[(&str, &[usize], f32)], config: &LoraConfig| {
            let adapter = LoraAdapter::read(&file(tensors), config).expect("reads");
            (adapter.layers[0].scale, adapter.notes.len())
        };
        let config: LoraConfig = serde_json::from_str(
            r#"{"lora_alpha": 8, "use_rslora": true, "peft_type": "LORA", "alpha_pattern": {"other": 3}}"#,
        )
        .expect("reads");
        assert_eq!(read(&pair, &LoraConfig::default()), (1.0, 1));
        assert_eq!(read(&pair, &config), (4.0, 0));
        let with_alpha = [pair[0], pair[1], ("m.alpha", &[][..], 2.0)];
        assert_eq!(read(&with_alpha, &LoraConfig::default()), (0.5, 0));
        let pattern = LoraConfig { alpha_pattern: [("m".to_string(), 1.0)].into(), ..config };
        assert_eq!(read(&pair, &pattern), (0.5, 0));
    }

    #[test]
    fn other_adapters_and_damaged_files_are_named() {
        let config = LoraConfig::default();
        let message = |bytes: &[u8]| LoraAdapter::read(bytes, &config).expect_err("refused").to_string();
        let whole = file(&[("m.lora_A.weight", &[2, 3], 1.0), ("m.lora_B.weight", &[4, 2], 1.0)]);
        for len in 0..whole.len() {
            assert!(message(&whole[..len]).contains("damaged"), "{len}");
        }
        assert!(message(&file(&[("m.lora_A.weight", &[2, 3], 1.0)])).contains("'m': its up (B) matrix is missing"));
        let rank = file(&[("m.lora_A.weight", &[2, 3], 1.0), ("m.lora_B.weight", &[4, 3], 1.0)]);
        assert!(message(&rank).contains("[2, 3]"));
        let conv = file(&[("m.lora_A.weight", &[2, 3, 1, 1], 1.0), ("m.lora_B.weight", &[4, 2, 1, 1], 1.0)]);
        assert!(message(&conv).contains("convolutions"));
        let nan = file(&[("m.lora_A.weight", &[2, 3], f32::NAN), ("m.lora_B.weight", &[4, 2], 1.0)]);
        assert!(message(&nan).contains("NaN"));
        assert!(message(&file(&[("m.hada_w1_a", &[2, 3], 1.0)])).contains("'m.hada_w1_a'"));
        let dora = LoraConfig { use_dora: true, ..config.clone() };
        assert!(LoraAdapter::read(&whole, &dora).expect_err("refused").to_string().contains("DoRA"));
    }
}
