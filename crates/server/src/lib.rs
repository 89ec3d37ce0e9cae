//! The server: HTTP surface, configuration, wiring. The only crate that names a concrete store.

mod app;
mod assembly;
mod body;
mod call;
mod clock;
pub mod commands;
mod config;
mod cross_site;
mod cursor;
mod dispatcher;
mod egress;
mod entrance;
mod exports;
mod fields;
mod forward_lag;
mod forwarding;
mod lanes;
mod leasing;
/// Public for the benchmarks, which serve their constant through the same listener.
pub mod listener;
mod logging;
mod loops;
mod memory;
mod metrics;
mod openapi;
mod place;
mod prefix;
#[doc(hidden)]
pub mod probes;
mod problem;
mod query;
mod rate_limit;
mod readable;
mod recent;
mod reconciling;
mod retention;
mod routes;
mod storage;
mod streams;
mod strict;
mod vault_api;

pub use clock::SystemClock;
pub use memory::keep_private;
pub use scaivault_core::plaintext::Plaintext;
