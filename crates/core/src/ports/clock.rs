//! Time.

use crate::time::Timestamp;

/// Tells the time. The only clock of the server; tests move theirs by hand.
pub trait Clock: Send + Sync {
    /// Now, UTC.
    fn now(&self) -> Timestamp;
}
