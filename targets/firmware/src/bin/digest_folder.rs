//! Prints the digest lines of a folder that `device_inputs` wrote, on the instruction set that
//! `SELVEDGE_ISA` names: for systems with files on which the compiler is not built.

use std::path::Path;
use std::{env, fs, process};

use selvedge::{AlignedBuf, Artifact, Session};
use selvedge_firmware::INPUTS;
use selvedge_firmware::digest::{Line, digest};

fn print(folder: &Path, model: &str) -> Result<(), Box<dyn std::error::Error>> {
    let file = AlignedBuf::from(&fs::read(folder.join(format!("{model}.slvg")))?[..]);
    let artifact = Artifact::parse(&file)?;
    let mut arena = AlignedBuf::zeroed(artifact.arena_bytes());
    let mut session = Session::new(artifact, &mut arena)?;
    let inputs = fs::read(folder.join(format!("{model}.inputs")))?;
    for (input, bytes) in inputs.chunks_exact(inputs.len() / INPUTS).enumerate() {
        println!("{}", Line { model, input, digest: digest(&mut session, bytes)? });
    }
    Ok(())
}

fn main() {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: digest_folder FOLDER");
        process::exit(2);
    };
    let folder = Path::new(&folder);
    let models = fs::read_to_string(folder.join("models.txt")).unwrap_or_else(|e| panic!("models.txt: {e}"));
    for model in models.lines() {
        print(folder, model).unwrap_or_else(|e| panic!("{model}: {e}"));
    }
}
