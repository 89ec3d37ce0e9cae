//! Rotations that have not ended, and credentials that do not work, as last counted.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use scaivault_core::ports::RotationFigures;
use scaivault_core::rotation::Phase;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

/// The gauges.
#[derive(Debug, Default)]
pub(crate) struct OpenRotations {
    by_phase: Family<PhaseLabels, Gauge>,
    overdue: Gauge,
    delayed: Gauge,
    drifting: Gauge,
}

impl OpenRotations {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "rotations_open",
            "Rotations that have not ended, by phase",
            self.by_phase.clone(),
        );
        registry.register(
            "rotations_overdue",
            "Rotations that brought no new value in time",
            self.overdue.clone(),
        );
        registry.register(
            "rotations_delayed",
            "Rotations whose consumers take longer than the bound",
            self.delayed.clone(),
        );
        registry.register(
            "credentials_drifting",
            "Stored credentials that were found not to work at their target",
            self.drifting.clone(),
        );
    }

    /// As counted now. Every phase has its series, so that one that is empty says 0.
    pub(crate) fn set(&self, figures: &RotationFigures) {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for phase in Phase::ALL.into_iter().filter(|phase| !phase.is_final()) {
            let phase = phase.as_str();
            let count = figures.by_phase.get(phase).copied().unwrap_or(0);
            self.by_phase
                .get_or_create(&PhaseLabels { phase })
                .set(number(count));
        }
        self.overdue.set(number(figures.overdue));
        self.delayed.set(number(figures.delayed));
        self.drifting.set(number(figures.drifting));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_phase_that_empties_says_so() {
        let metrics = crate::metrics::Metrics::new();
        let mut figures = RotationFigures {
            by_phase: BTreeMap::from([("parked", 2)]),
            overdue: 1,
            delayed: 3,
            drifting: 4,
        };
        metrics.open_rotations.set(&figures);
        let has = |line: &str| {
            let text = metrics.render();
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        };
        has(r#"scaivault_rotations_open{phase="parked"} 2"#);
        has(r#"scaivault_rotations_open{phase="draining"} 0"#);
        has("scaivault_rotations_overdue 1");
        has("scaivault_rotations_delayed 3");
        has("scaivault_credentials_drifting 4");
        figures.by_phase.clear();
        metrics.open_rotations.set(&figures);
        has(r#"scaivault_rotations_open{phase="parked"} 0"#);
    }
}
