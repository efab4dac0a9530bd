//! What the report says of models that make a picture of a picture.

use super::{Execution, LayerReport, QuantReport};

/// Whether a layer's weights or inputs have no more than 8 bits by the scheme and not by the file.
fn is_quantized(layer: &LayerReport) -> bool {
    let few = layer.weights.as_ref().is_some_and(|weights| weights.bits <= 8);
    layer.execution == Execution::Int8 || (layer.execution == Execution::Widened && few)
}

/// The warning for a picture that a quantized layer computes as a whole.
pub(super) fn image_form(report: &QuantReport) -> Option<String> {
    let picture = report.picture.as_ref()?;
    let last = picture.last_conv.as_ref()?;
    report.layers.iter().find(|layer| layer.name == *last && is_quantized(layer))?;
    // As --keep-f32 takes it.
    let last = last.split(';').next().unwrap_or(last);
    let (input, output) = (&picture.input, &picture.output);
    let remedy = format!(
        "retrain it to say what is to be added to '{input}' (residual form), or keep its last layers in f32 (--keep-f32 {last})"
    );
    match report.picture_loss() {
        Some((_, loss)) => loss.image_form.then(|| {
            format!(
                "'{output}' is the picture itself: '{last}' computes it and nothing adds '{input}'. Such networks lose most to \
                 few bits; {remedy}"
            )
        }),
        None => Some(format!(
            "'{output}' is as large as '{input}', and nothing adds '{input}' to what '{last}' computes: if it is the picture \
             itself and not what is to be added, few bits cost it most (--calibration tells); {remedy}"
        )),
    }
}
