//! The report's page and summary on a report written by hand.

use super::*;
use crate::compare::LayerComparison;

fn layer(name: &str, execution: Execution, db: f64) -> LayerReport {
    LayerReport {
        name: name.into(),
        op: "Conv".into(),
        value: format!("{name}:0"),
        shape: vec![1, 8, 8, 16],
        execution,
        macs: 147_456,
        f32_bytes: 9216,
        bytes: 2368,
        weights: Some(WeightReport {
            bits: 8,
            channels: 16,
            scale_min: 1e-3,
            scale_max: 0.02,
            snr_db: db,
            zero_channels: 1,
        }),
        activation: ActivationReport {
            seen: Some((-1.0, 4.0)),
            grid: Some((-0.5, 4.0)),
            scale: Some(0.0176),
            zero_point: Some(-100),
            constant_channels: 2,
            channels: 16,
        },
        snr_db: None,
        micros: None,
    }
}

fn report() -> QuantReport {
    let layers = vec![
        layer("features/conv <1> & \"more\"", Execution::Int8, 41.0),
        layer("block2", Execution::Int8, 12.0),
        layer("head", Execution::F32("Exp keeps its precision in f32".into()), f64::INFINITY),
    ];
    let sizes = Sizes { f32_bytes: 27_648, bytes: 7_104, ..Sizes::default() };
    QuantReport {
        model: "net".into(),
        mode: "int8".into(),
        samples: Some(8),
        layers,
        sizes,
        regions: Vec::new(),
        sensitivities: Vec::new(),
        frontier: Vec::new(),
        factorized: Vec::new(),
        picture: None,
        comparison: None,
    }
}

/// Every opened tag is closed in order; attributes are quoted; text is escaped.
fn assert_well_formed(html: &str) {
    const VOID: [&str; 4] = ["meta", "!DOCTYPE", "line", "rect"];
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        assert!(!tag.contains('<'), "{tag}");
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default().to_string();
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name.as_str()));
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn pages_are_well_formed_and_hold_every_layer() {
    let mut report = report();
    for _ in 0..2 {
        let html = report.to_html();
        assert_well_formed(&html);
        for text in
            ["features/conv &lt;1&gt; &amp; &quot;more&quot;", "block2", "head", "Exp keeps its precision", "27.0 KiB"]
        {
            assert!(html.contains(text), "{text}");
        }
        assert!(!html.contains("http") && !html.contains("src="), "no external parts");
        let rows = html.matches("<tr><td").count();
        assert_eq!(rows, 3);
        let table = &html[html.find("<tbody>").expect("a table")..];
        assert!(table.find("block2") < table.find("features/conv"), "worst first");
        let layers = vec![
            LayerComparison { name: "block2:0".into(), snr_db: 9.5, max_abs_diff: 1.0 },
            LayerComparison { name: "head:0".into(), snr_db: f64::INFINITY, max_abs_diff: 0.0 },
        ];
        report.set_comparison(Comparison {
            inputs: 40,
            top1_agreement: 0.975,
            snr_db: 22.0,
            max_abs_diff: 0.5,
            picture: None,
            layers,
            worst_layer: Some("block2:0".into()),
        });
        report.set_artifact(10_000, 2_048);
        report.set_times([("block2:0", 30.0), ("head:0", 10.0), ("moved", 1.0)].into_iter());
    }
    assert!(report.to_text().contains("block2: 30.0 of 40.0 us here (75 %)"), "{}", report.to_text());
    let html = report.to_html();
    assert!(html.contains("40.0 µs") && html.contains("<td>30.0</td>"), "{html}");
    assert!(html.contains("97.5 %") && html.contains("exact") && html.contains("2.0 KiB"));
}

#[test]
fn regions_of_the_arena_are_shown_with_their_share_of_the_traffic() {
    let mut plan = crate::plan::plan_memory(&crate::program::Program::default());
    (plan.region_bytes, plan.traffic) = ([2048, 8192], [900, 100]);
    let mut report = report();
    report.set_regions(&plan, "dtcm,sdram");
    let html = report.to_html();
    assert!(html.contains("of it in dtcm, 90.0 % of the traffic") && html.contains("of it in sdram"), "{html}");
    plan.region_bytes = [2048, 0];
    report.set_regions(&plan, "");
    assert!(report.regions.is_empty());
}

#[test]
fn summaries_are_short_and_name_the_worst_layer() {
    let text = report().to_text();
    assert!(text.lines().count() <= 10, "{text}");
    assert!(text.contains("2 int8, 0 as in the file, 1 f32") && text.contains("block2"), "{text}");
    assert!(text.contains("6 of 48 layer channels never changed"), "{text}");
    assert!(text.contains("head: Exp keeps its precision in f32"), "{text}");
}

#[test]
fn hints_point_at_samples_weights_and_f32_layers() {
    let hints = report().hints().join("\n");
    for text in ["8 leave the ranges to chance", "block2 (12.0 dB): its weights lose most", "head (Exp", "6 of 48"] {
        assert!(hints.contains(text), "{text}\n{hints}");
    }
}

#[test]
fn reports_survive_json() {
    let report = report();
    let json = serde_json::to_string(&report).expect("serializes");
    assert_eq!(serde_json::from_str::<QuantReport>(&json).expect("parses"), report);
}
