//! Cutting an artifact in two: a head for internal flash, its weights for external memory.

use selvedge_core::artifact::{
    Artifact, HEADER_BYTES, Header, VERSION_MAJOR, VERSION_MINOR, WEIGHTS_MAGIC, WeightsHeader,
};
use zerocopy::{FromBytes, IntoBytes};

/// The head and the weights file of an artifact that [`emit`](crate::emit::emit) wrote.
///
/// The head is the artifact up to its weights section; the weights file is a header of 64 bytes
/// that names the artifact's digest, and that section. `None` for bytes that are no artifact, or
/// one whose weights are not its last section.
pub fn split_weights(artifact: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut words = vec![0u128; artifact.len().div_ceil(16)];
    words.as_mut_bytes()[..artifact.len()].copy_from_slice(artifact);
    let view = Artifact::parse(&words.as_bytes()[..artifact.len()]).ok()?;
    let at = artifact.len().checked_sub(view.weights_bytes())?;
    let (head, weights) = artifact.split_at_checked(at).filter(|(head, _)| head.len() == view.head().len())?;
    let header = WeightsHeader {
        magic: WEIGHTS_MAGIC,
        version_major: VERSION_MAJOR,
        version_minor: VERSION_MINOR,
        bytes: weights.len() as u32,
        reserved: [0; 5],
        digest: view.header().digest,
    };
    Some((head.to_vec(), [header.as_bytes(), weights].concat()))
}

/// The artifact that a head and a weights file were cut from. Whether they belong together is
/// for `Artifact::verify_digest` to say.
pub fn join_weights(head: &[u8], weights: &[u8]) -> Option<Vec<u8>> {
    let header = Header::read_from_prefix(head).ok()?.0;
    let whole = [head, weights.get(HEADER_BYTES..)?].concat();
    (whole.len() >= header.total_bytes as usize).then_some(whole)
}
