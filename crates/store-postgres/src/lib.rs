//! The storage ports of `core` on PostgreSQL: one database shared by any number of nodes.
//!
//! * Each node has one writer that commits whatever waits in one transaction: by one statement, or,
//!   where a unit of it is refused, with a savepoint for each; reads and claims run beside it on a bounded set of connections.
//! * What is relied on: `READ COMMITTED`, row locks, `FOR UPDATE SKIP LOCKED`, a commit that is
//!   durable when it is answered, and, while migrating, one advisory lock. No leader, no
//!   procedural code. Notifications make nodes hear of each other's changes
//!   sooner ([`scaivault_core::ports::ChangeFeed`]); looking by the clock makes it certain.
//! * One time for all nodes: the database's ([`StoreClock`]).
//! * The audit chain is per node ([`PostgresOptions::node`]): nodes never wait for each other's
//!   chains. The verifier reads them all.
//! * Whatever fails, the store goes on by itself as soon as it can, and says meanwhile what is
//!   wrong. A commit whose answer was lost is looked up, never guessed.
//!
//! All SQL is in `sql/`, one file per subject. A new aggregate is a table in a new migration, a
//! file there with `put`, `delete` and its reads, and a line in `sql/plan.rs`.

mod claims;
mod clock;
mod conn;
mod feed;
mod offline;
mod options;
mod pool;
mod prepared;
mod refusal;
mod sql;
mod starting;
mod step;
mod store;
mod tls;
mod together;
mod transfer_sides;
mod writer;

pub use clock::StoreClock;
pub use offline::OfflinePostgres;
pub use options::{OpenError, PostgresOptions};
pub use scaivault_store::{AuditStartError, ChainMac};
pub use store::PostgresStore;
pub use transfer_sides::{PostgresDestination, PostgresSource, mark_restored};
