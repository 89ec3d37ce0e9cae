//! The audit chain without its storage: how a row becomes a line, a line a link, a batch of lines
//! a segment; how rows are sifted by a filter and how the whole chain is verified. No SQL here.

mod chain;
mod keys;
mod line;
mod segment;
mod sieve;
mod verify;

pub(crate) use chain::{Hash, genesis, mac_message};
pub(crate) use keys::{identity_key, path_key, row_keys};
pub(crate) use line::{AuditLines, CHAIN_CHARS, mint_chain, row_id};
pub(crate) use segment::{Segment, SegmentBuilder};
pub(crate) use sieve::Sieve;
pub(crate) use verify::{Verifier, Walk};
