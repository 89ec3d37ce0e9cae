//! Handing the audit trail to collectors: how far behind they are, and what failed.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use scaivault_core::time::Timestamp;

use crate::commands::course::Lag;

/// The name of a destination, which is the operator's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    destination: String,
}

/// The figures of all destinations.
#[derive(Debug, Default)]
pub(crate) struct ForwardMetrics {
    lag_rows: Family<Labels, Gauge>,
    lag_seconds: Family<Labels, Gauge>,
    rows: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    /// Those that are too far behind.
    lagging: Mutex<BTreeSet<String>>,
}

impl ForwardMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "audit_forward_lag_rows",
            "Rows of the audit trail that a collector was not handed",
            self.lag_rows.clone(),
        );
        registry.register(
            "audit_forward_lag_seconds",
            "Age of the oldest of them; where nobody can say, the time since somebody could",
            self.lag_seconds.clone(),
        );
        registry.register(
            "audit_forward_rows",
            "Rows sent to a collector by this node, those that were sent again too",
            self.rows.clone(),
        );
        registry.register(
            "audit_forward_errors",
            "Times that a collector took nothing, or rows could not be read",
            self.errors.clone(),
        );
    }

    /// So many rows were sent.
    pub(crate) fn sent(&self, destination: &str, rows: u64) {
        self.rows.get_or_create(&labels(destination)).inc_by(rows);
    }

    /// Something failed.
    pub(crate) fn failed(&self, destination: &str) {
        self.errors.get_or_create(&labels(destination)).inc();
    }

    /// How far behind it is. More than `lag_max` is told of when it begins and when it ends.
    pub(crate) fn set_lag(&self, destination: &str, lag: Lag, now: Timestamp, lag_max: Duration) {
        let labels = labels(destination);
        let rows = i64::try_from(lag.rows).unwrap_or(i64::MAX);
        let behind = lag.since.map_or(Duration::ZERO, |since| {
            now.since(Timestamp::from_micros(since))
        });
        self.lag_rows.get_or_create(&labels).set(rows);
        self.behind(destination, behind, lag_max);
    }

    /// How far behind it is cannot be said since then: that counts as if nothing was handed over.
    pub(crate) fn lag_unknown(
        &self,
        destination: &str,
        since: Timestamp,
        now: Timestamp,
        lag_max: Duration,
    ) {
        self.behind(destination, now.since(since), lag_max);
    }

    fn behind(&self, destination: &str, behind: Duration, lag_max: Duration) {
        let labels = labels(destination);
        let seconds = i64::try_from(behind.as_secs()).unwrap_or(i64::MAX);
        self.lag_seconds.get_or_create(&labels).set(seconds);
        let mut lagging = self.lagging.lock();
        if behind > lag_max && lagging.insert(destination.to_owned()) {
            tracing::warn!(%destination, seconds, "a collector is far behind the audit trail");
        }
        if behind <= lag_max && lagging.remove(destination) {
            tracing::info!(%destination, "the collector has caught up with the audit trail");
        }
    }

    /// Whether a collector is too far behind.
    pub(crate) fn is_lagging(&self) -> bool {
        !self.lagging.lock().is_empty()
    }
}

fn labels(destination: &str) -> Labels {
    Labels {
        destination: destination.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_far_behind_is_told_of_until_it_has_caught_up() {
        let metrics = crate::metrics::Metrics::new();
        let of = |rows, since| Lag { rows, since };
        let now = Timestamp::from_micros(400_000_000);
        let forwards = &metrics.forwards;
        let set = |lag| forwards.set_lag("siem", lag, now, Duration::from_secs(300));
        set(of(7, Some(50_000_000)));
        assert!(forwards.is_lagging());
        forwards.sent("siem", 3);
        forwards.failed("siem");
        let text = metrics.render();
        for line in [
            "scaivault_audit_forward_lag_rows{destination=\"siem\"} 7",
            "scaivault_audit_forward_lag_seconds{destination=\"siem\"} 350",
            "scaivault_audit_forward_rows_total{destination=\"siem\"} 3",
            "scaivault_audit_forward_errors_total{destination=\"siem\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        set(of(0, None));
        assert!(!forwards.is_lagging());
        // The chain is broken, or the store does not answer.
        let unknown = |since| {
            let since = Timestamp::from_micros(since);
            forwards.lag_unknown("siem", since, now, Duration::from_secs(300));
        };
        unknown(399_000_000);
        assert!(!forwards.is_lagging());
        unknown(99_000_000);
        assert!(forwards.is_lagging());
    }
}
