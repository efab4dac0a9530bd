//! Reading and writing numpy files.

use super::{Array, ArrayData};
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Write};
use std::path::{Path, PathBuf};

/// Largest array that is read, in bytes of the file's elements.
const LIMIT: u64 = 4 << 30;

/// What can be wrong with an array file.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: not a readable .npy or .npz file ({reason})")]
    Format { path: PathBuf, reason: String },
    #[error(
        "{path}: element type {dtype} is not supported; save the array as float32, int8, uint8, int16, int32, int64 or bool"
    )]
    DType { path: PathBuf, dtype: String },
    #[error("{path}: no array '{key}' in the file; it holds: {found}")]
    NoKey { path: PathBuf, key: String, found: String },
    #[error("{path}: the file holds several arrays ({found}); choose one as {path}:KEY")]
    Ambiguous { path: PathBuf, found: String },
    #[error("{path}: the file holds no array")]
    Empty { path: PathBuf },
}

fn read_npy(path: &Path, reader: impl Read) -> Result<Array, DataError> {
    let format = |reason: String| DataError::Format { path: path.into(), reason };
    let file = npyz::NpyFile::new(reader).map_err(|e| format(e.to_string()))?;
    let shape: Vec<usize> = file.shape().iter().map(|&d| d as usize).collect();
    let count = file.shape().iter().try_fold(1u64, |n, &d| n.checked_mul(d)).filter(|&n| n <= LIMIT);
    count.ok_or_else(|| format("the array is too large".into()))?;
    if file.order() == npyz::Order::Fortran && shape.len() > 1 {
        return Err(format("the array is in Fortran order; save numpy.ascontiguousarray(a)".into()));
    }
    let dtype = file.dtype().descr();
    let dtype = dtype.trim_matches(['\'', '"']).to_string();
    let read = |e: std::io::Error| DataError::Format { path: path.into(), reason: e.to_string() };
    let data = match dtype.as_str() {
        "<f4" => ArrayData::F32(file.into_vec().map_err(read)?),
        "<f8" => ArrayData::F32(file.into_vec::<f64>().map_err(read)?.into_iter().map(|x| x as f32).collect()),
        "|i1" => ArrayData::I8(file.into_vec().map_err(read)?),
        "|u1" => ArrayData::U8(file.into_vec().map_err(read)?),
        "<i2" => ArrayData::I16(file.into_vec().map_err(read)?),
        "<u2" => ArrayData::U16(file.into_vec().map_err(read)?),
        "<u4" => ArrayData::U32(file.into_vec().map_err(read)?),
        "<u8" => ArrayData::U64(file.into_vec().map_err(read)?),
        "<i4" => ArrayData::I32(file.into_vec().map_err(read)?),
        "<i8" => ArrayData::I64(file.into_vec().map_err(read)?),
        "|b1" => ArrayData::Bool(file.into_vec().map_err(read)?),
        _ => return Err(DataError::DType { path: path.into(), dtype }),
    };
    Ok(Array { shape, data })
}

/// Every array of an `.npz` file, in the order of the file.
pub fn read_npz(path: &Path) -> Result<Vec<(String, Array)>, DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let format = |reason: String| DataError::Format { path: path.into(), reason };
    let file = File::open(path).map_err(io)?;
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|e| format(e.to_string()))?;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| format(e.to_string()))?;
        if let Some(key) = entry.name().strip_suffix(".npy").map(str::to_owned) {
            arrays.push((key, read_npy(path, entry)?));
        }
    }
    Ok(arrays)
}

/// Reads `FILE.npy`, `FILE.npz` (with one array) or `FILE.npz:KEY`.
pub fn read_array(spec: &str) -> Result<Array, DataError> {
    let (path, key) = match spec.rsplit_once(".npz:") {
        Some((stem, key)) => (PathBuf::from(format!("{stem}.npz")), Some(key)),
        None => (PathBuf::from(spec), None),
    };
    if path.extension().is_some_and(|e| e == "npz") {
        let mut arrays = read_npz(&path)?;
        let found = arrays.iter().map(|(k, _)| k.as_str()).collect::<Vec<_>>().join(", ");
        return match key {
            Some(key) => {
                let at = arrays.iter().position(|(k, _)| k == key);
                let at = at.ok_or_else(|| DataError::NoKey { path, key: key.into(), found })?;
                Ok(arrays.swap_remove(at).1)
            }
            None if arrays.len() > 1 => Err(DataError::Ambiguous { path, found }),
            None => arrays.pop().map(|(_, a)| a).ok_or(DataError::Empty { path }),
        };
    }
    let file = File::open(&path).map_err(|source| DataError::Io { path: path.clone(), source })?;
    read_npy(&path, BufReader::new(file))
}

fn npy_bytes(array: &Array) -> std::io::Result<Vec<u8>> {
    use npyz::WriterBuilder;
    fn write<T: npyz::AutoSerialize + Copy>(shape: &[usize], data: &[T]) -> std::io::Result<Vec<u8>> {
        let shape: Vec<u64> = shape.iter().map(|&d| d as u64).collect();
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?;
        writer.extend(data.iter().copied())?;
        writer.finish()?;
        Ok(bytes.into_inner())
    }
    match &array.data {
        ArrayData::F32(v) => write(&array.shape, v),
        ArrayData::I8(v) => write(&array.shape, v),
        ArrayData::U8(v) => write(&array.shape, v),
        ArrayData::I16(v) => write(&array.shape, v),
        ArrayData::I32(v) => write(&array.shape, v),
        ArrayData::I64(v) => write(&array.shape, v),
        ArrayData::Bool(v) => write(&array.shape, v),
        ArrayData::U16(v) => write(&array.shape, v),
        ArrayData::U32(v) => write(&array.shape, v),
        ArrayData::U64(v) => write(&array.shape, v),
    }
}

/// Writes arrays under their names as one `.npz` file.
pub fn write_npz(path: &Path, arrays: &[(String, Array)]) -> Result<(), DataError> {
    let io = |source| DataError::Io { path: path.into(), source };
    let file = File::create(path).map_err(io)?;
    let mut archive = zip::ZipWriter::new(std::io::BufWriter::new(file));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, array) in arrays {
        archive.start_file(format!("{name}.npy"), options).map_err(|e| io(e.into()))?;
        archive.write_all(&npy_bytes(array).map_err(io)?).map_err(io)?;
    }
    archive.finish().map_err(|e| io(e.into()))?.flush().map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_survive_a_round_trip_and_errors_name_the_remedy() {
        let dir = std::env::temp_dir().join(format!("selvedge-npz-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a.npz");
        let arrays = vec![
            ("x".to_string(), Array::f32(vec![2, 3], vec![1.0, -2.5, 3.0, 4.0, 5.0, f32::INFINITY])),
            ("codes".to_string(), Array { shape: vec![4], data: ArrayData::I8(vec![-128, 0, 1, 127]) }),
        ];
        write_npz(&path, &arrays).unwrap();
        assert_eq!(read_npz(&path).unwrap(), arrays);
        let spec = path.to_str().unwrap();
        assert_eq!(read_array(&format!("{spec}:codes")).unwrap(), arrays[1].1);
        assert!(read_array(spec).unwrap_err().to_string().contains("choose one"));
        assert!(read_array(&format!("{spec}:y")).unwrap_err().to_string().contains("x, codes"));
        std::fs::write(&path, b"PK\x03\x04 damaged").unwrap();
        assert!(read_array(spec).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
