//! The storage ports of `core` on SQLite.
//!
//! * One writer thread commits whatever waits in one transaction, synced before anyone is
//!   answered ([`SqliteStore`]); reads run beside it on their own connections.
//! * Audit rows are a hash chain, kept in one segment per transaction, its heads authenticated by
//!   a key the store never sees ([`ChainMac`]).
//! * Whatever fails, the store goes on by itself as soon as it can, and says meanwhile what is
//!   wrong. An answer is never a guess.
//!
//! Opening takes two steps, as the key of the audit chain is itself kept in the store:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use scaivault_store::{ChainMac, SqliteOptions, SqliteStore};
//! # async fn example(entropy: &dyn scaivault_core::ports::Entropy, mac: Arc<dyn ChainMac>)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let store = SqliteStore::open(SqliteOptions::file("/var/lib/scaivault/store.db"), entropy)?;
//! // Read the keyring, make the missing keys, unwrap the audit chain's key. Then:
//! store.start_audit(mac).await?;
//! # Ok(())
//! # }
//! ```
//!
//! All SQL is in `sqlite/`, one file per aggregate; how to add one is said there.

pub mod audit;
pub mod backup;
mod chain_mac;
mod claims;
mod files;
mod offline;
mod options;
mod prepared;
mod readers;
mod reads;
mod refusal;
pub mod rows;
mod sqlite;
mod starting;
mod stats;
mod store;
pub mod transfer;
mod transfer_sides;
mod writer;

pub use chain_mac::ChainMac;
pub use offline::{OfflineStore, schema_columns};
pub use options::{AuditStartError, OpenError, SqliteOptions, SqlitePath};
pub use stats::{Counters, StoreStats};
pub use store::SqliteStore;
pub use transfer_sides::{SqliteDestination, SqliteSource};
