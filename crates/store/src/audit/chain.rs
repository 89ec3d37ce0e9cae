//! The links of the chain: `h_n = SHA-256(h_(n-1) || line_n)`, from a beginning that is different
//! for every chain's name.

pub use scaivault_core::audit_anchor::{
    coded_head_message as coded_message, head_message as mac_message,
};
use sha2::{Digest, Sha256};

use crate::chain_mac::ChainMac;

/// A hash, or the place before the first row.
pub type Hash = [u8; 32];

/// How much of each row's hash a segment keeps beside its lines, to name a bad line.
pub(crate) const LINK_BYTES: usize = 8;

/// How a code over a head was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadCode {
    /// In a store in which every document has a code.
    Coded,
    /// Before that.
    Plain,
}

/// How this code over a head was made; `None` when it was not made by the key.
pub fn head_code(
    mac: &dyn ChainMac,
    (chain, first_seq, last_seq, head): (&str, u64, u64, &Hash),
    code: &[u8],
) -> Option<HeadCode> {
    if mac.verify(&coded_message(chain, first_seq, last_seq, head), code) {
        return Some(HeadCode::Coded);
    }
    let plain = mac.verify(&mac_message(chain, first_seq, last_seq, head), code);
    plain.then_some(HeadCode::Plain)
}

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
