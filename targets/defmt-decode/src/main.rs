//! usage: `selvedge-defmt-decode IMAGE < FRAMES`
//!
//! Prints the log lines of the frames that a firmware wrote to semihosting's standard output.

use std::io::{Read, stdin};
use std::{env, fs, process};

use defmt_decoder::{DecodeError, Table};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(image) = env::args_os().nth(1) else {
        eprintln!("usage: selvedge-defmt-decode IMAGE < FRAMES");
        process::exit(2);
    };
    let table = Table::parse(&fs::read(image)?)?.ok_or("the image has no .defmt section")?;
    let mut bytes = Vec::new();
    stdin().read_to_end(&mut bytes)?;
    let mut decoder = table.new_stream_decoder();
    decoder.received(&bytes);
    let mut frames = 0;
    loop {
        match decoder.decode() {
            Ok(frame) => {
                let level = frame.level().map_or("PRINT", |level| level.as_str());
                println!("{level:5} {}", frame.display_message());
                frames += 1;
            }
            Err(DecodeError::UnexpectedEof) => break,
            Err(DecodeError::Malformed) => return Err("a frame is malformed".into()),
        }
    }
    if frames == 0 { Err("no frame".into()) } else { Ok(()) }
}
