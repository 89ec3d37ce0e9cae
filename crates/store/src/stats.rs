//! Figures of the writer, for metrics: relaxed atomics, readable at any time at no cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A look at the writer's figures. Counts begin at the store's opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Transactions that became durable.
    pub commits: u64,
    /// Transactions that failed.
    pub commits_failed: u64,
    /// Units applied.
    pub units: u64,
    /// Units refused for a conflict or a duplicate.
    pub units_refused: u64,
    /// Audit rows written.
    pub audit_rows: u64,
    /// Audit rows not in the index yet.
    pub audit_unindexed: u64,
    /// How long the last transaction took, sync included, in µs.
    pub last_commit_us: u64,
    /// Units waiting for the writer.
    pub queue_len: usize,
    /// Rows refused because they are not what was written.
    pub rows_refused: u64,
}

/// The figures themselves.
#[derive(Default)]
pub struct Counters {
    commits: AtomicU64,
    commits_failed: AtomicU64,
    units: AtomicU64,
    units_refused: AtomicU64,
    audit_rows: AtomicU64,
    audit_unindexed: AtomicU64,
    last_commit_us: AtomicU64,
}

impl Counters {
    /// A transaction became durable.
    pub fn committed(&self, units: u64, refused: u64, audit_rows: u64, took: Duration) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.units.fetch_add(units, Ordering::Relaxed);
        self.units_refused.fetch_add(refused, Ordering::Relaxed);
        self.audit_rows.fetch_add(audit_rows, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.last_commit_us.store(micros, Ordering::Relaxed);
    }

    /// A transaction failed.
    pub fn failed(&self) {
        self.commits_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// So many audit rows are not in the index yet.
    pub fn unindexed(&self, rows: u64) {
        self.audit_unindexed.store(rows, Ordering::Relaxed);
    }

    /// As they are now.
    pub fn look(&self, queue_len: usize) -> StoreStats {
        StoreStats {
            commits: self.commits.load(Ordering::Relaxed),
            commits_failed: self.commits_failed.load(Ordering::Relaxed),
            units: self.units.load(Ordering::Relaxed),
            units_refused: self.units_refused.load(Ordering::Relaxed),
            audit_rows: self.audit_rows.load(Ordering::Relaxed),
            audit_unindexed: self.audit_unindexed.load(Ordering::Relaxed),
            last_commit_us: self.last_commit_us.load(Ordering::Relaxed),
            queue_len,
            rows_refused: 0,
        }
    }
}
