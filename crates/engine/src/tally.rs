//! Counts of what the workers did, for the server's metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use scaivault_core::time::Timestamp;

/// Counters since start. Each only grows.
#[derive(Debug, Default)]
pub struct Tally {
    pub(crate) rotations_succeeded: AtomicU64,
    pub(crate) rotations_failed: AtomicU64,
    pub(crate) deliveries_succeeded: AtomicU64,
    pub(crate) deliveries_failed: AtomicU64,
    pub(crate) audit_rows_removed: AtomicU64,
    pub(crate) audit_removed_at_s: AtomicU64,
    pub(crate) exports_completed: AtomicU64,
    pub(crate) exports_failed: AtomicU64,
    pub(crate) export_completed_at_s: AtomicU64,
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
    /// Rows of the audit trail that retention removed.
    pub audit_rows_removed: u64,
    /// When it did so last, seconds since 1970; 0 before that.
    pub audit_removed_at_s: u64,
    /// Exports of the audit trail that were completed.
    pub exports_completed: u64,
    /// Those that were given up.
    pub exports_failed: u64,
    /// When one was completed last, seconds since 1970; 0 before that.
    pub export_completed_at_s: u64,
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
            audit_rows_removed: self.audit_rows_removed.load(Ordering::Relaxed),
            audit_removed_at_s: self.audit_removed_at_s.load(Ordering::Relaxed),
            exports_completed: self.exports_completed.load(Ordering::Relaxed),
            exports_failed: self.exports_failed.load(Ordering::Relaxed),
            export_completed_at_s: self.export_completed_at_s.load(Ordering::Relaxed),
            credentials_made: self.credentials_made.load(Ordering::Relaxed),
            credentials_failed: self.credentials_failed.load(Ordering::Relaxed),
            accounts_removed: self.accounts_removed.load(Ordering::Relaxed),
            accounts_not_removed: self.accounts_not_removed.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn at(moment: &AtomicU64, now: Timestamp) {
        let seconds = u64::try_from(now.as_micros() / 1_000_000).unwrap_or(0);
        moment.store(seconds, Ordering::Relaxed);
    }
}
