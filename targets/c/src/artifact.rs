//! Artifacts, without a session.

use core::ffi::c_void;

use selvedge::Artifact;
use selvedge::artifact::ALIGNMENT;

use crate::status::Failure;
use crate::{Status, memory};

/// What an artifact's header states: `selvedge_artifact_info` in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SelvedgeArtifactInfo {
    /// Version of the format.
    pub version_major: u32,
    /// Version of the format.
    pub version_minor: u32,
    /// Length of the whole artifact.
    pub total_bytes: u32,
    /// Arena needed.
    pub arena_bytes: u32,
    /// Alignment of arena and artifact.
    pub alignment: u32,
    /// Number of inputs.
    pub inputs: u32,
    /// Number of outputs.
    pub outputs: u32,
    /// Number of steps.
    pub steps: u32,
    /// The stored SHA-256.
    pub digest: [u8; 32],
}

/// Parses an artifact that lies in C memory.
///
/// # Safety
/// `artifact` is null (which is refused) or points to `bytes` bytes that nobody writes while the
/// result is used.
pub(crate) unsafe fn parse<'a>(artifact: *const c_void, bytes: usize) -> Result<Artifact<'a>, Failure> {
    // SAFETY: as the caller promises.
    let bytes = unsafe { memory::slice(artifact.cast::<u8>(), bytes) }?;
    Ok(Artifact::parse(bytes)?)
}

/// Parses an artifact whose weights lie in a memory of their own.
///
/// # Safety
/// As [`parse`], for both.
pub(crate) unsafe fn parse_split<'a>(
    (head, head_bytes): (*const c_void, usize),
    (weights, weights_bytes): (*const c_void, usize),
) -> Result<Artifact<'a>, Failure> {
    // SAFETY: as the caller promises.
    let head = unsafe { memory::slice(head.cast::<u8>(), head_bytes) }?;
    // SAFETY: as the caller promises.
    let weights = unsafe { memory::slice(weights.cast::<u8>(), weights_bytes) }?;
    Ok(Artifact::parse_split(head, weights)?)
}

/// Reads header and section table.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_artifact_inspect(
    artifact: *const c_void,
    artifact_bytes: usize,
    info: *mut SelvedgeArtifactInfo,
) -> Status {
    let inspect = || {
        memory::pointer(info)?;
        // SAFETY: as the caller promises.
        let artifact = unsafe { parse(artifact, artifact_bytes) }?;
        let header = artifact.header();
        let found = SelvedgeArtifactInfo {
            version_major: header.version_major.into(),
            version_minor: header.version_minor.into(),
            total_bytes: header.total_bytes,
            arena_bytes: header.arena_bytes,
            alignment: ALIGNMENT as u32,
            inputs: header.inputs.into(),
            outputs: header.outputs.into(),
            steps: artifact.step_count() as u32,
            digest: header.digest,
        };
        // SAFETY: as the caller promises.
        unsafe { memory::store(info, found) }
    };
    inspect().into()
}

/// Compares the stored digest with that of the bytes.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_artifact_verify(artifact: *const c_void, artifact_bytes: usize) -> Status {
    // SAFETY: as the caller promises.
    let parsed = unsafe { parse(artifact, artifact_bytes) };
    parsed.and_then(|artifact| Ok(artifact.verify_digest()?)).into()
}

/// Compares the stored digest with that of a head and a weights file.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_split_verify(
    head: *const c_void,
    head_bytes: usize,
    weights: *const c_void,
    weights_bytes: usize,
) -> Status {
    // SAFETY: as the caller promises.
    let parsed = unsafe { parse_split((head, head_bytes), (weights, weights_bytes)) };
    parsed.and_then(|artifact| Ok(artifact.verify_digest()?)).into()
}

/// Bytes of the arena's regions, of an artifact or of a head.
///
/// # Safety
/// As `selvedge.h` states.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn selvedge_artifact_regions(
    artifact: *const c_void,
    artifact_bytes: usize,
    fast_bytes: *mut u32,
    slow_bytes: *mut u32,
) -> Status {
    let regions = || {
        memory::pointer(fast_bytes)?;
        memory::pointer(slow_bytes)?;
        // SAFETY: as the caller promises.
        let bytes = unsafe { memory::slice(artifact.cast::<u8>(), artifact_bytes) }?;
        let [fast, slow] = Artifact::parse_head(bytes)?.region_bytes();
        // SAFETY: as the caller promises.
        unsafe { memory::store(fast_bytes, fast as u32) }?;
        // SAFETY: as the caller promises.
        unsafe { memory::store(slow_bytes, slow as u32) }
    };
    regions().into()
}
