//! The links of the chain: `h_n = SHA-256(h_(n-1) || line_n)`, from a beginning that is different
//! for every chain's name.

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

/// What the code of a segment is made over. Every part has a fixed length, but for the name,
/// which comes last: no two segments share a message.
pub fn mac_message(chain: &str, first_seq: u64, last_seq: u64, head: &Hash) -> Vec<u8> {
    let mut message = Vec::with_capacity(96);
    message.extend_from_slice(b"scaivault audit head 1\0");
    message.extend_from_slice(&first_seq.to_be_bytes());
    message.extend_from_slice(&last_seq.to_be_bytes());
    message.extend_from_slice(head);
    message.extend_from_slice(chain.as_bytes());
    message
}
