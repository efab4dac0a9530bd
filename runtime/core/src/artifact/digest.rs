//! SHA-256 over the artifact, its own field taken as zeros.

use super::header::HEADER_BYTES;
use sha2::{Digest, Sha256};

/// Digest of an artifact's bytes. The header's last 32 bytes count as zeros.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let split = bytes.len().min(HEADER_BYTES - 32);
    hash.update(&bytes[..split]);
    hash.update([0u8; 32]);
    hash.update(bytes.get(HEADER_BYTES..).unwrap_or(&[]));
    hash.finalize().into()
}
