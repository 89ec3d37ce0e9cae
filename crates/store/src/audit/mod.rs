//! The audit chain without its storage, for every engine: how a row becomes a line, a line a link, a batch of lines
//! a segment; how rows are sifted by a filter and how the whole chain is verified. No SQL here.

mod chain;
mod keys;
mod line;
mod prune;
mod segment;
mod sieve;
mod taken;
mod verify;

pub use chain::{Hash, HeadCode, coded_message, genesis, head_code, link, mac_message};
pub use keys::{filter_key, row_keys};
pub use line::{AuditLines, CHAIN_CHARS, mint_chain, row_id};
pub use prune::{Candidate, Front, exported_upto, prunable};
pub use segment::{Segment, SegmentBuilder};
pub use sieve::{Sieve, Undecodable};
pub use taken::{ChainHead, TakenSegment};
pub use verify::{Verifier, Walk};
