//! Counts of what the workers did, for the server's metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since start. Each only grows.
#[derive(Debug, Default)]
pub struct Tally {
    pub(crate) rotations_succeeded: AtomicU64,
    pub(crate) rotations_failed: AtomicU64,
    pub(crate) deliveries_succeeded: AtomicU64,
    pub(crate) deliveries_failed: AtomicU64,
    pub(crate) credentials_made: AtomicU64,
    pub(crate) credentials_failed: AtomicU64,
    pub(crate) accounts_removed: AtomicU64,
    pub(crate) accounts_not_removed: AtomicU64,
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
    /// Credentials made on request.
    pub credentials_made: u64,
    /// Requests for one that the target did not serve.
    pub credentials_failed: u64,
    /// Accounts of leases removed.
    pub accounts_removed: u64,
    /// Attempts at that which failed.
    pub accounts_not_removed: u64,
}

impl Tally {
    /// The counts now.
    pub fn read(&self) -> TallyReading {
        TallyReading {
            rotations_succeeded: self.rotations_succeeded.load(Ordering::Relaxed),
            rotations_failed: self.rotations_failed.load(Ordering::Relaxed),
            deliveries_succeeded: self.deliveries_succeeded.load(Ordering::Relaxed),
            deliveries_failed: self.deliveries_failed.load(Ordering::Relaxed),
            credentials_made: self.credentials_made.load(Ordering::Relaxed),
            credentials_failed: self.credentials_failed.load(Ordering::Relaxed),
            accounts_removed: self.accounts_removed.load(Ordering::Relaxed),
            accounts_not_removed: self.accounts_not_removed.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
