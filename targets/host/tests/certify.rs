//! `selvedge certify` with Gaussian noise, and `selvedge verify`, as a user calls them.

mod common;

use common::{Room, denoiser_artifact, npy};

/// Noise of one grey level of sixteen, a radius of as much.
const ASKED: &str = "certify digits.slvg --input one.npy --steps-per-unit 16 --sigma-steps 1";
const CHECKED: &str = "digits.slvg --input one.npy --steps-per-unit 16";

#[test]
fn a_record_verifies_and_a_changed_one_does_not() {
    let room = Room::new("record");
    room.put_digits("one.npy", 2);
    let done = room.run(&format!("{ASKED} --target 0.0625 --draws 500 --record a.rec --json"));
    let json = done.json();
    assert_eq!((json["answered"].as_u64(), json["inputs"].as_u64()), (Some(2), Some(2)));
    assert_eq!(
        (json["entries"][0]["radius_sq_steps"].as_u64(), json["entries"][0]["norm"].as_str()),
        (Some(1), Some("l2"))
    );
    for how in ["", "--quick"] {
        let done = room.run(&format!("verify a.0.rec {CHECKED} {how}"));
        assert_eq!(done.code, 0, "{}", done.err);
        assert!(done.out.contains("the prover chose the nonce"), "{}", done.out);
    }
    // Another input; another nonce; a byte of damage; something else.
    assert_eq!(room.run(&format!("verify a.0.rec {CHECKED} --entry 1")).code, 1);
    let nonce = "ab".repeat(32);
    assert_eq!(room.run(&format!("verify a.0.rec {CHECKED} --nonce {nonce}")).code, 1);
    let mut record = room.read("a.0.rec");
    record[100] ^= 1;
    room.put("damaged.rec", &record);
    room.run(&format!("verify damaged.rec {CHECKED}")).refused(&["damaged.rec", "certify --record"]);
    room.run(&format!("verify one.npy {CHECKED}")).refused(&["no record"]);
}

#[test]
fn spot_checks_find_false_predictions() {
    let room = Room::new("spot");
    room.put_digits("one.npy", 1);
    let nonce = "5c".repeat(32);
    let asked = format!("{ASKED} --draws 200 --nonce {nonce} --record a.rec --predictions a.bin");
    assert_eq!(room.run(&asked).code, 0);
    let checked = format!("verify a.rec {CHECKED} --nonce {nonce} --spot 40");
    let done = room.run(&format!("{checked} --predictions a.bin"));
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("40 draws were made again") && !done.out.contains("the prover chose"), "{}", done.out);
    let mut predictions = room.read("a.bin");
    predictions.iter_mut().step_by(2).for_each(|class| *class = (*class + 1) % 10);
    room.put("false.bin", &predictions);
    assert_eq!(room.run(&format!("{checked} --predictions false.bin")).code, 1);
    room.run(&checked).refused(&["--predictions"]);
}

#[test]
fn a_nonce_follows_a_commitment() {
    let room = Room::new("commit");
    room.put_digits("one.npy", 1);
    let done = room.run(&format!("{ASKED} --draws 200 --commit"));
    let commitment = done.out.split_whitespace().next().expect("digits").to_string();
    assert_eq!((done.code, commitment.len()), (0, 64));
    let nonce = "07".repeat(32);
    assert_eq!(room.run(&format!("{ASKED} --draws 200 --nonce {nonce} --record a.rec")).code, 0);
    let claim = |commitment: &str| format!("verify a.rec {CHECKED} --nonce {nonce} --commitment {commitment} --quick");
    assert_eq!(room.run(&claim(&commitment)).code, 0);
    assert_eq!(room.run(&claim(&nonce)).code, 1);
}

#[test]
fn batches_and_threads_change_nothing() {
    let room = Room::new("threads");
    room.put_digits("one.npy", 1);
    let nonce = "11".repeat(32);
    for rule in ["fixed", "largest", "partition", "margin", "predict"] {
        let of = |how: &str| {
            let mut json = room.run(&format!("{ASKED} --draws 300 --rule {rule} --nonce {nonce} --json {how}")).json();
            json["seconds"] = 0.into();
            json
        };
        let plain = of("");
        assert_eq!(plain, of("--threads 3"), "{rule}");
        assert_eq!(plain, of("--batch 7"), "{rule}");
        assert_eq!(plain, of("--threads 2 --batch 5"), "{rule}");
    }
}

#[test]
fn the_margin_rule_names_its_map() {
    let room = Room::new("margin");
    room.put_digits("one.npy", 1);
    let json = room.run(&format!("{ASKED} --rule margin --draws 500 --json")).json();
    assert_eq!((json["rule"].as_str(), json["decision"].as_str()), (Some("margin"), Some("certified")));
    assert!(json["map"].is_string() && json["radius_sq_steps"].as_u64() > Some(0), "{json}");
    room.run(&format!("{ASKED} --rule margin --record a.rec")).refused(&["--record", "weights", "leave --record out"]);
}

#[test]
fn a_denoiser_is_a_part_of_the_model() {
    let room = Room::new("denoiser");
    room.put_digits("one.npy", 1);
    room.put("relu.slvg", &denoiser_artifact());
    let asked = format!("{ASKED} --denoiser relu.slvg --draws 200 --record a.rec");
    let done = room.run(&asked);
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(room.run(&format!("verify a.rec {CHECKED} --denoiser relu.slvg")).code, 0);
    assert_eq!(room.run(&format!("verify a.rec {CHECKED}")).code, 1);
    room.run(&format!("{ASKED} --denoiser digits.slvg")).refused(&["--denoiser", "type, grid and size"]);
    room.run(&format!("{ASKED} --denoiser relu.slvg --rule margin")).refused(&["--rule margin", "--denoiser"]);
}

#[test]
fn folders_are_read_in_order() {
    let room = Room::new("folder");
    room.put_digits("in/b.npy", 1);
    room.put_digits("in/a.npy", 2);
    room.put("in/notes.txt", b"no input");
    let done = room.run("certify digits.slvg --input in --steps-per-unit 16 --sigma-steps 1 --draws 100 --json");
    let json = done.json();
    let names: Vec<&str> = (0..3).filter_map(|i| json["entries"][i]["entry"].as_str()).collect();
    assert_eq!(names, ["a.npy 0", "a.npy 1", "b.npy"]);
    std::fs::create_dir(room.path("empty")).expect("made");
    room.run("certify digits.slvg --input empty --sigma-steps 1").refused(&["empty", ".npy"]);
}

#[test]
fn labels_give_a_curve() {
    let room = Room::new("curve");
    room.put_digits("one.npy", 4);
    let done = room.run(&format!("{ASKED} --draws 100 --labels labels.npy --plot curve.svg"));
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("4 of 4 answered") && done.out.contains("sigmas"), "{}", done.out);
    assert!(done.out.contains("certified accuracy, 4 entries") && done.out.contains(" 100.0 % ####"), "{}", done.out);
    assert!(room.read("curve.svg").starts_with(b"<svg"));
}

#[test]
fn bad_input_is_named_with_the_remedy() {
    let room = Room::new("bad");
    room.put_digits("one.npy", 1);
    room.run(&format!("{ASKED} --drws 100")).refused(&["--drws", "--draws"]);
    room.run(&format!("{ASKED} --draws 9")).refused(&["--draws 9", "at least 10"]);
    room.run(&format!("{ASKED} --target 40 --rule fixed")).refused(&["--target 40"]);
    room.run(&format!("{ASKED} --alpha 2")).refused(&["--alpha 2", "between 0 and 1"]);
    room.run("certify digits.slvg --input one.npy --sigma-steps 1").refused(&["one.npy", "--steps-per-unit"]);
    room.run("certify digits.slvg --input one.npy --steps-per-unit 16").refused(&["--sigma"]);
    room.run("certify missing.slvg --input one.npy --sigma-steps 1").refused(&["missing.slvg"]);
    room.run(&format!("{ASKED} --gain 0.1")).refused(&["--gain", "--rule largest"]);
    let mut pixels = vec![0.25f32; 64];
    pixels[9] = f32::NAN;
    room.put("nan.npy", &npy("<f4", &[1, 1, 8, 8], pixels.iter().flat_map(|x| x.to_le_bytes()).collect()));
    let done = room.run("certify digits.slvg --input nan.npy --steps-per-unit 16 --sigma-steps 1");
    done.refused(&["nan.npy", "NaN"]);
}
