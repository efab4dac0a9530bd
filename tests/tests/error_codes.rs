//! Oracle: the table of error codes in `targets/README.md`, which users look numbers up in.

use std::collections::BTreeMap;
use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// `| 1 | `Truncated` | 9 | …`: pairs of cells.
fn documented(page: &str) -> BTreeMap<u8, String> {
    let mut codes = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect();
        for pair in cells.chunks_exact(2) {
            let kind = pair[1].strip_prefix('`').and_then(|kind| kind.strip_suffix('`'));
            if let (Ok(code), Some(kind)) = (pair[0].parse(), kind) {
                codes.insert(code, kind.to_string());
            }
        }
    }
    codes
}

/// `Truncated = 1,` in the enum's source.
fn declared(source: &str) -> BTreeMap<u8, String> {
    let pairs = source.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
    pairs.filter_map(|(kind, code)| Some((code.parse().ok()?, kind.to_string()))).collect()
}

#[test]
fn the_readme_lists_every_error_kind_with_its_code() {
    let declared = declared(&read("runtime/core/src/error.rs"));
    assert!(declared.len() >= 23, "{declared:?}");
    assert_eq!(documented(&read("targets/README.md")), declared);
}
