//! Counts of what the workers did, for the server's metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since start. Each only grows.
#[derive(Debug, Default)]
pub struct Tally {
    pub(crate) rotations_succeeded: AtomicU64,
    pub(crate) rotations_failed: AtomicU64,
    pub(crate) deliveries_succeeded: AtomicU64,
    pub(crate) deliveries_failed: AtomicU64,
}

/// A reading of [`Tally`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TallyReading {
    /// Rotations whose new value became current.
    pub rotations_succeeded: u64,
    /// Rotations parked or rolled back.
    pub rotations_failed: u64,
    /// Delivery attempts the receiver accepted.
    pub deliveries_succeeded: u64,
    /// Delivery attempts that failed.
    pub deliveries_failed: u64,
}

impl Tally {
    /// The counts now.
    pub fn read(&self) -> TallyReading {
        TallyReading {
            rotations_succeeded: self.rotations_succeeded.load(Ordering::Relaxed),
            rotations_failed: self.rotations_failed.load(Ordering::Relaxed),
            deliveries_succeeded: self.deliveries_succeeded.load(Ordering::Relaxed),
            deliveries_failed: self.deliveries_failed.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
