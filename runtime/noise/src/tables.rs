//! Noise tables that ship with the library; those not named are not linked.
//!
//! They are what `build_table` makes; `tests/tables.rs` makes them again and compares, and writes the files anew with
//! `SELVEDGE_WRITE_TABLES=1 cargo test -p selvedge-noise --test tables`.

use crate::{NoiseError, NoiseTable, Sigma};

/// A table with what it was made for.
#[derive(Debug)]
pub struct Shipped {
    /// The standard deviation, in grid steps.
    pub sigma: Sigma,
    /// The table.
    pub bytes: &'static [u8],
    /// SHA-256 of the bytes.
    pub hash: [u8; 32],
}

impl Shipped {
    /// The table, validated.
    ///
    /// ```
    /// use selvedge_noise::{Domain, NoiseKey, tables};
    ///
    /// let table = tables::STEPS_2.table()?;
    /// let key = NoiseKey::derive(&[7; 32], &[0; 32], &[0; 32], &[0; 32], &tables::STEPS_2.hash);
    /// let mut noise = [0i16; 64];
    /// table.fill(&key, Domain::Estimate, 0, 0, &mut noise);
    /// assert!(noise.iter().all(|z| z.unsigned_abs() <= table.largest()));
    /// # Ok::<(), selvedge_noise::NoiseError>(())
    /// ```
    ///
    /// # Errors
    /// [`NoiseError`] for bytes that were changed.
    pub fn table(&self) -> Result<NoiseTable<'static>, NoiseError> {
        NoiseTable::parse(self.bytes)
    }
}

/// A hash in hexadecimal digits.
const fn hex(digits: &str) -> [u8; 32] {
    const fn digit(c: u8) -> u8 {
        if c >= b'a' { c - b'a' + 10 } else { c - b'0' }
    }
    let digits = digits.as_bytes();
    let (mut bytes, mut i) = ([0; 32], 0);
    while i < 32 {
        bytes[i] = digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]);
        i += 1;
    }
    bytes
}

/// One step: 4-bit codes, little noise. 96 bytes.
pub static STEPS_1: Shipped = Shipped {
    sigma: Sigma { numerator: 1, denominator: 1 },
    bytes: include_bytes!("tables/1.bin"),
    hash: hex("b46cf5687ae96df6feeecb30cce4686417f6b6460f84f87ce91929310bc9fc2d"),
};

/// Two steps: 1/8 of 4-bit codes. 168 bytes.
pub static STEPS_2: Shipped = Shipped {
    sigma: Sigma { numerator: 2, denominator: 1 },
    bytes: include_bytes!("tables/2.bin"),
    hash: hex("31ee763af95bd681b613dda1bf235e85f3cbad11c9a06d1e36c207ba48479a66"),
};

/// Three steps: 3/16 of 4-bit codes. 240 bytes.
pub static STEPS_3: Shipped = Shipped {
    sigma: Sigma { numerator: 3, denominator: 1 },
    bytes: include_bytes!("tables/3.bin"),
    hash: hex("f69623d5d154532134392f7e27a72397ad4e7e8e07ee20f21535e9a185dcfce1"),
};

/// Four steps: 1/4 of 4-bit codes. 312 bytes.
pub static STEPS_4: Shipped = Shipped {
    sigma: Sigma { numerator: 4, denominator: 1 },
    bytes: include_bytes!("tables/4.bin"),
    hash: hex("fedf8d8ec1199148ea62aff3cf5d160df808adccb0e42f0b88ae4a4d5c147acf"),
};

/// 63.75 steps: 0.25 of the range of 8-bit codes. 4656 bytes.
pub static U8_QUARTER: Shipped = Shipped {
    sigma: Sigma { numerator: 255, denominator: 4 },
    bytes: include_bytes!("tables/255_4.bin"),
    hash: hex("bb6ad94a9c459d1a6a5a8d48149c3b2e75bb8d030566cfb83bcfd375ff60e0d3"),
};

/// 127.5 steps: 0.5 of the range of 8-bit codes. 9288 bytes.
pub static U8_HALF: Shipped = Shipped {
    sigma: Sigma { numerator: 255, denominator: 2 },
    bytes: include_bytes!("tables/255_2.bin"),
    hash: hex("8caccaed7f7c1b23b64e8b73e3ae3f8d0453d80ec12400e2fc6cc6a7f5561fc6"),
};

/// All of them.
pub static ALL: [&Shipped; 6] = [&STEPS_1, &STEPS_2, &STEPS_3, &STEPS_4, &U8_QUARTER, &U8_HALF];
