//! Retention and exports of the audit trail, as this process did them.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use scaivault_engine::TallyReading;

/// The figures.
#[derive(Debug, Default)]
pub(crate) struct TrailMetrics {
    removed: Counter,
    removed_at: Gauge,
    completed: Counter,
    failed: Counter,
    completed_at: Gauge,
}

impl TrailMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "audit_retention_rows",
            "Rows of the audit trail that retention removed",
            self.removed.clone(),
        );
        registry.register(
            "audit_retention_last_anchor_timestamp_seconds",
            "When it removed some last; 0 before that",
            self.removed_at.clone(),
        );
        registry.register(
            "audit_exports_completed",
            "Exports of the audit trail that were completed",
            self.completed.clone(),
        );
        registry.register(
            "audit_exports_failed",
            "Exports of the audit trail that were given up",
            self.failed.clone(),
        );
        registry.register(
            "audit_export_last_completed_timestamp_seconds",
            "When one was completed last; 0 before that",
            self.completed_at.clone(),
        );
    }

    /// What was counted since `before`.
    pub(crate) fn told(&self, now: &TallyReading, before: &TallyReading) {
        let seconds = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.removed
            .inc_by(now.audit_rows_removed - before.audit_rows_removed);
        self.removed_at.set(seconds(now.audit_removed_at_s));
        self.completed
            .inc_by(now.exports_completed - before.exports_completed);
        self.failed
            .inc_by(now.exports_failed - before.exports_failed);
        self.completed_at.set(seconds(now.export_completed_at_s));
    }
}
