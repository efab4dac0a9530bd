//! `selvedge certify` in l1 and l0.

mod common;

use common::Room;

const L1: &str = "certify digits.slvg --input one.npy --steps-per-unit 16 --norm l1";
const L0: &str = "certify digits.slvg --input one.npy --steps-per-unit 16 --norm l0";

#[test]
fn l1_is_certain_and_the_same_every_time() {
    let room = Room::new("l1");
    room.put_digits("one.npy", 2);
    let of = |how: &str| {
        let mut json = room.run(&format!("{L1} --json {how}")).json();
        for entry in json["entries"].as_array_mut().expect("two") {
            entry["seconds"] = 0.into();
        }
        json
    };
    let plain = of("--passes 8");
    let entry = &plain["entries"][0];
    assert_eq!(
        (entry["norm"].as_str(), entry["alpha"].as_f64(), entry["n"].as_u64()),
        (Some("l1"), Some(0.0), Some(8))
    );
    let votes: u64 = entry["counts"].as_array().expect("votes").iter().filter_map(|count| count.as_u64()).sum();
    assert_eq!(votes, 8);
    // Half the lead of the votes, in steps of 1/16.
    let steps = entry["radius_steps"].as_u64().expect("a number");
    assert!(steps <= 4 && entry["radius"].as_f64() == Some(steps as f64 / 16.0), "{entry}");
    assert_eq!((entry["grid_low"].as_i64(), entry["grid_high"].as_i64()), (Some(0), Some(16)));
    for how in ["--passes 8 --threads 3", "--passes 8 --batch 3", "--lambda 0.25"] {
        assert_eq!(plain, of(how), "{how}");
    }
    assert_eq!(of("")["entries"][0]["n"].as_u64(), Some(16));
}

#[test]
fn l1_has_a_curve_in_steps() {
    let room = Room::new("l1_curve");
    room.put_digits("one.npy", 3);
    let done = room.run(&format!("{L1} --passes 4 --labels labels.npy --plot curve.svg"));
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("within l1 radius") && done.out.contains("4 passes"), "{}", done.out);
    assert!(done.out.contains("l1 radius    steps  certified accuracy, 3 entries"), "{}", done.out);
    assert!(String::from_utf8(room.read("curve.svg")).expect("text").contains("l1 radius (3 entries)"));
}

#[test]
fn l0_counts_positions() {
    let room = Room::new("l0");
    room.put_digits("one.npy", 1);
    let nonce = "2a".repeat(32);
    let of = |how: &str| {
        let mut json = room.run(&format!("{L0} --keep 60 --draws 200 --nonce {nonce} --json {how}")).json();
        json["seconds"] = 0.into();
        json
    };
    let plain = of("");
    assert_eq!(
        (plain["norm"].as_str(), plain["keep"].as_u64(), plain["of"].as_u64()),
        (Some("l0"), Some(60), Some(64))
    );
    assert!(plain["positions"].is_u64() && plain["radius"].as_f64() == plain["positions"].as_f64(), "{plain}");
    for how in ["--threads 3", "--batch 4", "--channels first", "--ablated 0"] {
        let other = of(how);
        // Other channels are another request, and another request has other draws.
        let field = if how.starts_with("--channels") { "of" } else { "counts" };
        assert_eq!(plain[field], other[field], "{how}");
    }
    let done = room.run(&format!("{L0} --keep 60 --draws 200 --labels labels.npy"));
    assert!(
        done.out.contains("changed positions") && done.out.contains("positions  certified accuracy"),
        "{}",
        done.out
    );
    assert_eq!(room.run(&format!("{L0} --keep 60 --commit")).out.split_whitespace().next().map(str::len), Some(64));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let room = Room::new("norms_bad");
    room.put_digits("one.npy", 1);
    for option in ["--sigma 0.1", "--alpha 0.01", "--draws 10", "--rule fixed", "--commit", "--keep 3", "--target 1"] {
        let name = option.split(' ').next().expect("a name");
        room.run(&format!("{L1} {option}")).refused(&[name, "--norm l1", "leave it out", "--norm l"]);
    }
    for option in ["--sigma-steps 1", "--passes 3", "--rule margin", "--range 0,1"] {
        let name = option.split(' ').next().expect("a name");
        room.run(&format!("{L0} --keep 3 {option}")).refused(&[name, "--norm l0", "leave it out"]);
    }
    let l2 = "certify digits.slvg --input one.npy --steps-per-unit 16";
    room.run(&format!("{l2} --sigma 0.1 --lambda 0.5")).refused(&["--lambda", "--norm l2", "--norm l1"]);
    room.run(&format!("{L1} --record a.rec")).refused(&["--record", "certain", "leave --record out"]);
    room.run(&format!("{L0} --keep 3 --record a.rec")).refused(&["--record", "--nonce", "Leave --record out"]);
    room.run(L0).refused(&["--keep"]);
    room.run(&format!("{L0} --keep 64")).refused(&["--keep 64", "fewer than there are"]);
    room.run(&format!("{L0} --keep 60 --draws 5")).refused(&["--draws 5", "at least"]);
    room.run(&format!("{L0} --keep 60 --target 1.5")).refused(&["--target 1.5", "positions"]);
    room.run(&format!("{L1} --passes 0")).refused(&["--passes 0"]);
    room.run(&format!("{L1} --range 0,0.5")).refused(&["outside the grid's range", "--range"]);
    room.run(&format!("{L1} --range -1")).refused(&["--range", "two numbers"]);
    room.run(&format!("{L1} --range 1,0")).refused(&["--range 1,0", "lower end first"]);
    assert_eq!(room.run(&format!("{L1} --range -1,1 --passes 2")).code, 0);
    room.run(&format!("{l2} --norm l7")).refused(&["l7"]);
}
