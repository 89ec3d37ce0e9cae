//! Connectors: one directory is one kind of target, spoken to through the port
//! [`scaivault_core::ports::Connector`].
//!
//! A connector knows the words of one system and nothing of rotation order, retries or storage:
//! those are the engine's. To add one: a module here, a line in [`registry`], a conformance call
//! in `tests/it`, a page in `docs/connectors/`.

#[cfg(any(
    feature = "postgresql",
    feature = "mysql",
    feature = "redis",
    feature = "http_key"
))]
mod begun;
mod bounded;
#[cfg(feature = "http_key")]
pub mod http_key;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(any(feature = "postgresql", feature = "mysql"))]
mod pool;
#[cfg(feature = "postgresql")]
pub mod postgresql;
#[cfg(any(feature = "postgresql", feature = "redis"))]
#[doc(hidden)]
pub mod probes;
#[cfg(feature = "redis")]
pub mod redis;
pub mod registry;
#[cfg(feature = "ssh")]
pub mod ssh;
#[cfg(any(feature = "postgresql", feature = "redis"))]
mod tls;
mod value;

pub use bounded::Bounded;
pub use registry::Registry;
