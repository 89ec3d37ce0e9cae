//! What a stretch of load came to.

use std::time::Duration;

/// Answers of one stretch.
pub(crate) struct Outcome {
    /// Of each answer, in µs, sorted.
    latencies_us: Vec<u32>,
    took: Duration,
}

impl Outcome {
    pub(crate) fn new(mut latencies_us: Vec<u32>, took: Duration) -> Self {
        latencies_us.sort_unstable();
        Self { latencies_us, took }
    }

    /// Several stretches as one.
    pub(crate) fn merge(outcomes: Vec<Self>) -> Self {
        let took = outcomes.iter().map(|outcome| outcome.took).sum();
        Self::new(
            outcomes
                .into_iter()
                .flat_map(|outcome| outcome.latencies_us)
                .collect(),
            took,
        )
    }

    pub(crate) fn count(&self) -> usize {
        self.latencies_us.len()
    }

    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.count() as f64 / self.took.as_secs_f64()
    }

    /// The latency that `share` of the answers did not exceed, in ms.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let last = self.count().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.latencies_us
            .get(at)
            .map_or(f64::NAN, |us| f64::from(*us) / 1_000.0)
    }
}
