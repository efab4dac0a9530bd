//! Oracles: numbers worked out by hand.

use super::*;
use crate::calibrate::Observe;

#[test]
fn measures_agree_with_hand_computed_values() {
    assert_eq!(snr_db(&[1.0, 2.0], &[1.0, 2.0]), f64::INFINITY);
    assert!((snr_db(&[3.0, 4.0], &[3.0, 4.5]) - 20.0).abs() < 1e-9);
    assert_eq!(max_abs_diff(&[1.0, -2.0], &[1.5, -4.0]), 2.0);
    assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
    assert_eq!(argmax(&[]), 0);
    assert_eq!(top1_agreement(&[1.0, 2.0, 5.0, 4.0], &[0.0, 1.0, 1.0, 2.0], 2), 0.5);
}

#[test]
fn values_meet_by_name_whatever_their_memory_order() {
    let mut reference = |sample: &Sample, observe: &mut Observe<'_>| {
        let x = sample.tensors[0].data.to_f32()[0];
        observe("a", &[1, 2, 2], &[x, 2.0, 3.0, 4.0]);
        observe("only here", &[1], &[0.0]);
        observe("y", &[1, 2], &[x, 1.0]);
        Ok(())
    };
    let mut test = |sample: &Sample, observe: &mut Observe<'_>| {
        let x = sample.tensors[0].data.to_f32()[0];
        observe("a", &[1, 2, 2], &[x, 3.0, 2.0, 4.0]);
        observe("y", &[1, 2], &[x - 0.5, 1.0]);
        Ok(())
    };
    let order = Order { perm: Some(vec![0, 2, 1]), channels: None };
    let orders = BTreeMap::from([("a".to_string(), order)]);
    let samples: Vec<Sample> = [0.0, 1.25, 3.0].map(|x| Sample::f32([1], vec![x])).into();
    let outputs = ["y".to_string()];
    let mut left = Side { model: &mut reference, orders: BTreeMap::new() };
    let mut right = Side { model: &mut test, orders };
    let result = compare_layers(&mut left, &mut right, samples, &outputs).expect("compares");
    assert_eq!((result.inputs, result.layers.len()), (3, 2));
    assert_eq!((result.layers[0].name.as_str(), result.layers[0].snr_db), ("a", f64::INFINITY));
    assert_eq!(result.worst_layer.as_deref(), Some("y"));
    assert!((result.top1_agreement - 2.0 / 3.0).abs() < 1e-12);
    assert_eq!(result.max_abs_diff, 0.5);
    let json = serde_json::to_string(&result).expect("serializes");
    assert!(json.contains("\"snr_db\":999.0"), "{json}");
    assert_eq!(serde_json::from_str::<Comparison>(&json).expect("parses").layers, result.layers);
    let missing = compare_layers(&mut left, &mut right, [Sample::f32([1], vec![0.0])], &["z".into()]);
    assert_eq!(missing, Err(CompareError::MissingOutput("z".into())));
}
