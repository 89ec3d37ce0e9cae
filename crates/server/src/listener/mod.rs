//! Accepting connections: clear text or TLS, HTTP/1.1 and HTTP/2, up to the [`Front`].
//!
//! Promises:
//! - a connection that says nothing, says it slowly, or stops half-way costs one place for a
//!   bounded time and never a thread;
//! - beyond the configured number, new connections are closed at once and counted, and those
//!   that exist are served as before;
//! - told to stop, it stops accepting at once, lets requests in flight finish, and returns after
//!   the drain deadline at the latest;
//! - handlers find the other side of the socket as [`PeerAddr`], never what a header claims;
//! - certificate files are replaced without a restart, and a bad replacement changes nothing;
//! - a client's certificate is good at every request, not only at the handshake (`client`).

mod accept;
mod client;
#[cfg(test)]
mod client_tests;
mod connection;
mod front;
mod limits;
mod patience;
#[cfg(test)]
mod tests;
mod tls;
mod trust;

pub use accept::serve;
pub use client::{CertificateRefused, ClientCertificate, Peer};
pub use connection::PeerAddr;
pub use front::Front;
pub use limits::{ConnectionCounters, ListenerLimits};
pub use tls::{Tls, TlsFiles};
pub use trust::ClientFiles;
