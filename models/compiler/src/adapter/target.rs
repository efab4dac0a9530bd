//! Which layer of the artifact a module of an adapter means.

use super::AdapterError;
use super::layer::DenseLayer;
use super::lora::LoraLayer;

/// Lower-case words and numbers of a name.
fn words(name: &str) -> Vec<String> {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase).collect()
}

/// Length of the longest end of `module` that stands somewhere in `layer`, word for word.
fn overlap(module: &[String], layer: &[String]) -> usize {
    let stands = |end: &[String]| layer.windows(end.len()).any(|window| window == end);
    (1..=module.len()).rev().find(|&len| stands(&module[module.len() - len..])).unwrap_or(0)
}

/// Index among `layers` of the one that `lora` is for: the one named in `map`, else the one whose
/// name shares the longest end of the module's, all of its numbers included.
///
/// # Errors
/// [`AdapterError::NoLayer`], [`AdapterError::Ambiguous`], [`AdapterError::Shape`].
pub(super) fn find(lora: &LoraLayer, layers: &[DenseLayer], map: &[(String, String)]) -> Result<usize, AdapterError> {
    let fits = |layer: &DenseLayer| (layer.n, layer.k) == (lora.n, lora.k);
    if let Some((_, wanted)) = map.iter().find(|(module, _)| *module == lora.module) {
        let at = layers.iter().position(|layer| layer.name == *wanted);
        let at = at.ok_or_else(|| no_layer(lora, layers))?;
        if !fits(&layers[at]) {
            return Err(AdapterError::Shape {
                module: lora.module.clone(),
                layer: wanted.clone(),
                found: (lora.n, lora.k),
                expected: (layers[at].n, layers[at].k),
            });
        }
        return Ok(at);
    }
    let module = words(&lora.module);
    let numbers_end = module.iter().position(|word| word.chars().all(|c| c.is_ascii_digit()));
    // Everything from the first number on has to match.
    let least = numbers_end.map_or(1, |at| module.len() - at);
    let scored: Vec<(usize, usize)> = layers
        .iter()
        .enumerate()
        .filter(|(_, layer)| fits(layer))
        .map(|(at, layer)| (overlap(&module, &words(&layer.name)), at))
        .filter(|&(score, _)| score >= least)
        .collect();
    let best = scored.iter().map(|&(score, _)| score).max();
    let mut of_best = scored.iter().filter(|&&(score, _)| Some(score) == best);
    match (of_best.next(), of_best.next()) {
        (Some(&(_, at)), None) => Ok(at),
        (Some(&(_, a)), Some(&(_, b))) => Err(AdapterError::Ambiguous {
            module: lora.module.clone(),
            first: layers[a].name.clone(),
            second: layers[b].name.clone(),
        }),
        (None, _) => Err(no_layer(lora, layers)),
    }
}

fn no_layer(lora: &LoraLayer, layers: &[DenseLayer]) -> AdapterError {
    let fitting = layers.iter().filter(|layer| (layer.n, layer.k) == (lora.n, lora.k));
    let mut names: Vec<&str> = fitting.map(|layer| layer.name.as_str()).take(4).collect();
    if names.is_empty() {
        names.push("none");
    }
    AdapterError::NoLayer { module: lora.module.clone(), n: lora.n, k: lora.k, fitting: names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, n: usize, k: usize) -> DenseLayer {
        DenseLayer { name: name.into(), n, k, ..DenseLayer::default() }
    }

    fn lora(module: &str, n: usize, k: usize) -> LoraLayer {
        LoraLayer { module: module.into(), rank: 1, n, k, down: Vec::new(), up: Vec::new(), scale: 1.0 }
    }

    #[test]
    fn modules_find_their_layers_in_names_of_different_exporters() {
        let layers = [
            layer("encoder.layer.1.attention.output.dense.output", 4, 4),
            layer("/encoder/layer.10/attention/output/dense/Add_output_0", 4, 4),
            layer("encoder.layer.1.output.dense.output", 4, 4),
            layer("encoder.layer.1.intermediate.dense.output", 8, 4),
        ];
        let find = |module: &str, n, k| super::find(&lora(module, n, k), &layers, &[]);
        assert_eq!(find("encoder.layer.1.attention.output.dense", 4, 4), Ok(0));
        assert_eq!(find("bert.encoder.layer.10.attention.output.dense", 4, 4), Ok(1));
        assert_eq!(find("encoder.layer.1.output.dense", 4, 4), Ok(2));
        assert_eq!(find("lora_te_encoder_layer_1_intermediate_dense", 8, 4), Ok(3));
        // Another layer's number, another shape.
        assert!(matches!(find("encoder.layer.2.output.dense", 4, 4), Err(AdapterError::NoLayer { .. })));
        assert!(matches!(find("encoder.layer.1.output.dense", 4, 5), Err(AdapterError::NoLayer { .. })));
        assert!(matches!(find("dense", 4, 4), Err(AdapterError::Ambiguous { .. })));
        let map = [("dense".to_string(), layers[2].name.clone())];
        assert_eq!(super::find(&lora("dense", 4, 4), &layers, &map), Ok(2));
        assert!(matches!(super::find(&lora("dense", 8, 4), &layers, &map), Err(AdapterError::Shape { .. })));
    }
}
