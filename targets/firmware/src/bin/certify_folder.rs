//! Prints the certificates of the digits in a folder that `device_inputs` wrote, as `certify` of the boards does.

use std::path::Path;
use std::{env, fs, process};

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_firmware::INPUTS;
use selvedge_firmware::certify::{CERTIFIED, certify};

fn print(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let file = AlignedBuf::from(&fs::read(folder.join("digits.slvg"))?[..]);
    let artifact = Artifact::parse(&file)?;
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena)?;
    let inputs = fs::read(folder.join("digits.inputs"))?;
    for (index, input) in inputs.chunks_exact(inputs.len() / INPUTS).take(CERTIFIED).enumerate() {
        let certified = certify(&mut session, &artifact.header().digest, input).map_err(|e| e.to_string())?;
        println!("certify digits {index}: {certified}");
    }
    Ok(())
}

fn main() {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: certify_folder FOLDER");
        process::exit(2);
    };
    if let Err(error) = print(Path::new(&folder)) {
        eprintln!("{error}");
        process::exit(1);
    }
}
