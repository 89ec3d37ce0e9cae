//! Time.

use std::time::Duration;

use crate::time::Timestamp;

/// Tells the time. The only clock of the server; tests move theirs by hand.
pub trait Clock: Send + Sync {
    /// Now, UTC.
    fn now(&self) -> Timestamp;

    /// Time since some moment. Where the machine has a clock that nobody can set, it is that one:
    /// what it says of how long something took holds also when [`Clock::now`] jumps.
    fn monotonic(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.now().as_micros()).unwrap_or(0))
    }
}
