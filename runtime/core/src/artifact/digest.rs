//! SHA-256 over the artifact, its own field taken as zeros.

use super::header::HEADER_BYTES;
use sha2::{Digest, Sha256};

/// Digest of an artifact's bytes. The header's last 32 bytes count as zeros.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Digester::new(bytes).finish()
}

/// [`digest`] of an artifact whose bytes come in pieces.
pub struct Digester(Sha256);

impl Digester {
    /// Begins with the header and what follows it.
    pub fn new(front: &[u8]) -> Self {
        let mut hash = Sha256::new();
        let split = front.len().min(HEADER_BYTES - 32);
        hash.update(&front[..split]);
        hash.update([0u8; 32]);
        hash.update(front.get(HEADER_BYTES..).unwrap_or(&[]));
        Digester(hash)
    }

    /// Goes on with the next bytes.
    #[must_use]
    pub fn then(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
