//! The links of the chain: `h_n = SHA-256(h_(n-1) || line_n)`, from a beginning that is different
//! for every chain's name.

pub use scaivault_core::audit_anchor::head_message as mac_message;
use sha2::{Digest, Sha256};

/// A hash, or the place before the first row.
pub type Hash = [u8; 32];

/// How much of each row's hash a segment keeps beside its lines, to name a bad line.
pub(crate) const LINK_BYTES: usize = 8;

/// What the first row links to.
pub fn genesis(chain: &str) -> Hash {
    Sha256::new()
        .chain_update(b"scaivault audit chain 1\0")
        .chain_update(chain)
        .finalize()
        .into()
}

/// The hash after one more line.
pub fn link(prev: &Hash, line: &[u8]) -> Hash {
    Sha256::new()
        .chain_update(prev)
        .chain_update(line)
        .finalize()
        .into()
}
