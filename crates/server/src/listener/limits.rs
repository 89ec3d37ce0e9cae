//! What a listener allows its clients, and what it counts.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// Bounds of one listener.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// Open connections at once; one more is closed as soon as it is accepted.
    pub connections_max: usize,
    /// From the accepted connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// From a request's first byte (for the first request: from the connection) to the end of
    /// its head. Bodies are the business of the request timeout.
    pub head: Duration,
    /// How long a connection may rest between requests, or make no progress in taking an answer.
    pub idle: Duration,
    /// From the signal to stop to the end of requests in flight; what still runs is cut.
    pub drain: Duration,
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            drain: Duration::from_secs(25),
            head_bytes_max: 64 * 1_024,
        }
    }
}

/// Counts of one listener, readable and registrable while it runs. Clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct ConnectionCounters {
    /// Taken on.
    pub accepted: Counter,
    /// Closed at once because the listener was full.
    pub refused: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: Counter,
    /// Open now.
    pub open: Gauge,
}
