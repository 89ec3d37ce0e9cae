//! Credentials made on request: how many were, and leases that have not ended, as last counted.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use scaivault_core::dynamic::LeaseState;
use scaivault_core::ports::LeaseFigures;
use scaivault_core::time::Timestamp;
use scaivault_engine::TallyReading;

use super::Outcome;
use super::labels::StatusLabels;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// The figures.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    by_state: Family<StateLabels, Gauge>,
    failing: Gauge,
    failing_oldest: Gauge,
    troubled: Gauge,
    made: Family<StatusLabels, Counter>,
    removed: Family<StatusLabels, Counter>,
}

fn status(outcome: Outcome) -> StatusLabels {
    StatusLabels {
        status: outcome.as_str(),
    }
}

impl Leases {
    pub(super) fn register(&self, registry: &mut Registry) {
        for state in LeaseState::ALL {
            if state != LeaseState::Revoked {
                self.gauge(state).set(0);
            }
        }
        for family in [&self.made, &self.removed] {
            for outcome in [Outcome::Success, Outcome::Failed] {
                drop(family.get_or_create(&status(outcome)));
            }
        }
        registry.register(
            "dynamic_leases",
            "Leases that have not ended",
            self.by_state.clone(),
        );
        registry.register(
            "dynamic_leases_failing",
            "Leases whose account could not be removed so far",
            self.failing.clone(),
        );
        registry.register(
            "dynamic_lease_failing_oldest_seconds",
            "For how long the oldest of them has been failing",
            self.failing_oldest.clone(),
        );
        registry.register(
            "dynamic_engines_in_trouble",
            "Engines whose target this node found in trouble when accounts were to be removed",
            self.troubled.clone(),
        );
        registry.register(
            "dynamic_credentials",
            "Credentials asked for",
            self.made.clone(),
        );
        registry.register(
            "dynamic_revocations",
            "Attempts to remove an account",
            self.removed.clone(),
        );
    }

    fn gauge(&self, state: LeaseState) -> Gauge {
        let state = state.as_str();
        self.by_state.get_or_create_owned(&StateLabels { state })
    }

    /// As counted at a time.
    pub(crate) fn set(&self, figures: &LeaseFigures, now: Timestamp) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for state in LeaseState::ALL {
            if state == LeaseState::Revoked {
                continue;
            }
            let found = figures.by_state.iter().find(|(of, _)| *of == state);
            self.gauge(state)
                .set(number(found.map_or(0, |(_, count)| *count)));
        }
        self.failing.set(number(figures.failing));
        let since = figures.failing_since;
        let oldest = since.map_or(0, |since| now.since(since).as_secs());
        self.failing_oldest.set(number(oldest));
    }

    /// Engines in trouble, as this node knows.
    pub(crate) fn set_troubled(&self, engines: usize) {
        self.troubled
            .set(i64::try_from(engines).unwrap_or(i64::MAX));
    }

    /// What was done between two readings.
    pub(crate) fn done(&self, before: &TallyReading, now: &TallyReading) {
        let add = |family: &Family<StatusLabels, Counter>, outcome, more: u64| {
            family.get_or_create(&status(outcome)).inc_by(more);
        };
        let made = now.credentials_made - before.credentials_made;
        add(&self.made, Outcome::Success, made);
        let failed = now.credentials_failed - before.credentials_failed;
        add(&self.made, Outcome::Failed, failed);
        let removed = now.accounts_removed - before.accounts_removed;
        add(&self.removed, Outcome::Success, removed);
        let failed = now.accounts_not_removed - before.accounts_not_removed;
        add(&self.removed, Outcome::Failed, failed);
    }
}
