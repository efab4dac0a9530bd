//! Oracle: `build_table`, whose thresholds are right in every bit (`reference.rs` compares them with 50 digits).

use selvedge_noise::{build_table, tables};
use sha2::{Digest, Sha256};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Makes the tables again and compares. With `SELVEDGE_WRITE_TABLES` set, the files are written anew and the hashes that
/// the source has to name are told.
#[test]
fn shipped_tables_are_what_build_table_makes() {
    let write = std::env::var_os("SELVEDGE_WRITE_TABLES").is_some();
    for shipped in tables::ALL {
        let sigma = shipped.sigma;
        let name = match sigma.denominator {
            1 => format!("{}", sigma.numerator),
            below => format!("{}_{below}", sigma.numerator),
        };
        let made = build_table(sigma).expect("builds");
        let hash = hex(&Sha256::digest(&made));
        if write {
            let path = format!("{}/src/tables/{name}.bin", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(&path, &made).expect("written");
            println!("{path}: {} bytes, {hash}", made.len());
            continue;
        }
        assert!(
            shipped.bytes == made,
            "{name}.bin is not what is made now; set SELVEDGE_WRITE_TABLES to write it anew"
        );
        assert_eq!(hex(&shipped.hash), hash, "the hash of {name}.bin");
        let table = shipped.table().expect("valid");
        assert_eq!((table.sigma(), hex(&table.hash())), (sigma, hash));
    }
}
