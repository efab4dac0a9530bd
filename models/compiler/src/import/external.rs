//! Weights that a model keeps in files beside it.
//!
//! Only files in the model's own folder or below are read, by relative paths without links: a model file from
//! elsewhere cannot make the compiler read anything else (compare CVE-2022-25882, CVE-2024-27318).

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use tract_onnx::pb::{ModelProto, TensorProto};

use super::ImportOptions;
use super::error::{ImportError, Result, invalid, refused};

/// Marks a tensor whose data lies in another file (`TensorProto.DataLocation.EXTERNAL`).
const EXTERNAL: i32 = 1;

/// Reads what initializers keep in other files; bytes of the files used.
pub(crate) fn load(proto: &mut ModelProto, options: &ImportOptions) -> Result<u64> {
    let Some(graph) = &mut proto.graph else { return Ok(0) };
    let mut files: HashMap<PathBuf, (File, u64)> = HashMap::new();
    let (mut taken, mut allowed) = (0u128, 0u128);
    for tensor in &mut graph.initializer {
        if tensor.data_location != Some(EXTERNAL) && tensor.external_data.is_empty() {
            continue;
        }
        let at = format!("initializer `{}`", tensor.name);
        let Some(folder) = &options.folder else {
            let remedy = "compile the model from its own folder, or save it with its data inside";
            return refused(at, "its data is in an external file", remedy);
        };
        if !tensor.raw_data.is_empty() {
            return invalid(at, "it has data both inside and in an external file");
        }
        let place = Place::of(tensor, &at)?;
        let path = within(folder, &place.location, &at)?;
        if !files.contains_key(&path) {
            let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
            let (length, file) =
                opened.map_err(|source| ImportError::Read { path: path.display().to_string(), source })?;
            allowed += u128::from(length);
            files.insert(path.clone(), (file, length));
        }
        let Some((file, length)) = files.get_mut(&path) else { continue };
        let wanted = place.length.unwrap_or(length.saturating_sub(place.offset));
        if place.offset.checked_add(wanted).is_none_or(|end| end > *length) {
            return invalid(
                at,
                format!("it wants {wanted} bytes from {} of `{}`, which has {length}", place.offset, place.location),
            );
        }
        taken += u128::from(wanted);
        let limit = options.limits.decoded_bytes(usize::try_from(allowed).unwrap_or(usize::MAX));
        if taken > limit {
            return Err(ImportError::TooLarge { at, bytes: taken, limit });
        }
        let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(usize::MAX)];
        let read = file.seek(SeekFrom::Start(place.offset)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|source| ImportError::Read { path: path.display().to_string(), source })?;
        tensor.raw_data = bytes;
        tensor.external_data.clear();
        tensor.data_location = None;
    }
    Ok(u64::try_from(allowed).unwrap_or(u64::MAX))
}

/// Where a tensor's data lies.
struct Place {
    location: String,
    offset: u64,
    /// `None`: to the end of the file.
    length: Option<u64>,
}

impl Place {
    fn of(tensor: &TensorProto, at: &str) -> Result<Place> {
        let (mut location, mut offset, mut length) = (None, None, None);
        for entry in &tensor.external_data {
            let slot = match entry.key.as_str() {
                "location" => &mut location,
                "offset" => &mut offset,
                "length" => &mut length,
                // Of the whole file, by the standard; the artifact has a digest of its own.
                "checksum" => continue,
                other => return invalid(at, format!("external data with the unknown key `{other}`")),
            };
            if slot.replace(entry.value.as_str()).is_some() {
                return invalid(at, format!("external data states `{}` twice", entry.key));
            }
        }
        let number = |name: &str, text: Option<&str>| match text.map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(n)) => Ok(Some(n)),
            Some(Err(_)) => invalid(at, format!("the {name} of its external data is no number")),
        };
        let Some(location) = location.filter(|l| !l.is_empty()) else {
            return invalid(at, "its external data names no file");
        };
        let (offset, length) = (number("offset", offset)?.unwrap_or(0), number("length", length)?);
        Ok(Place { location: location.into(), offset, length })
    }
}

/// `location` in `folder`: a path of plain names that leads through no link to a regular file.
fn within(folder: &Path, location: &str, at: &str) -> Result<PathBuf> {
    let remedy = "keep the file in the model's folder and name it by a relative path";
    let mut path = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_path_buf() };
    for part in Path::new(location).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir => continue,
            _ => {
                return refused(at, format!("its external file `{location}` is outside of the model's folder"), remedy);
            }
        }
        let metadata = std::fs::symlink_metadata(&path)
            .map_err(|source| ImportError::Read { path: path.display().to_string(), source })?;
        if metadata.file_type().is_symlink() {
            return refused(at, format!("its external file `{location}` is reached through a link"), remedy);
        }
    }
    if !path.is_file() {
        return refused(at, format!("its external file `{location}` is no regular file"), remedy);
    }
    Ok(path)
}
