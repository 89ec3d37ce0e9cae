//! What a stretch of load came to.

use std::time::Duration;

/// Answers of one stretch, or of one connection's part in it.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Of each answer that counts, in µs; sorted when all are in.
    latencies_us: Vec<u32>,
    /// Answers that came within the counted time. A slow one that comes after its end counts
    /// among the latencies only, one that was asked for before its begin counts here too: so the
    /// rate is right however long an answer takes.
    within: usize,
    /// All that were asked for, before the counted time too.
    answers: usize,
    took: Duration,
}

impl Outcome {
    /// Nothing yet, counted for so long.
    pub(crate) fn of(took: Duration) -> Self {
        Self {
            took,
            ..Self::default()
        }
    }

    /// One more answer: its latency where that counts, and whether it came in the counted time.
    pub(crate) fn answer(&mut self, latency: Option<Duration>, within: bool) {
        let us = latency.map(|latency| u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        self.latencies_us.extend(us);
        self.within += usize::from(within);
        self.answers += 1;
    }

    /// With what another connection had in the same time.
    pub(crate) fn add(&mut self, other: Self) {
        self.latencies_us.extend(other.latencies_us);
        self.within += other.within;
        self.answers += other.answers;
    }

    pub(crate) fn sorted(mut self) -> Self {
        self.latencies_us.sort_unstable();
        self
    }

    /// Several stretches as one.
    pub(crate) fn merge(outcomes: Vec<Self>) -> Self {
        let mut all = Self::of(outcomes.iter().map(|outcome| outcome.took).sum());
        for outcome in outcomes {
            all.add(outcome);
        }
        all.sorted()
    }

    /// Answers whose latency counts.
    pub(crate) fn count(&self) -> usize {
        self.latencies_us.len()
    }

    /// All of them.
    pub(crate) fn answers(&self) -> usize {
        self.answers
    }

    /// Answers per second.
    pub(crate) fn rate(&self) -> f64 {
        self.within as f64 / self.took.as_secs_f64()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_after_the_end_counts_as_slow_but_not_as_done() {
        let (early, slow) = (Duration::from_millis(1), Duration::from_millis(900));
        let mut outcome = Outcome::of(Duration::from_secs(1));
        outcome.answer(None, false);
        outcome.answer(Some(early), true);
        outcome.answer(Some(slow), false);
        let outcome = outcome.sorted();
        assert!((outcome.rate() - 1.0).abs() < 1e-9);
        assert_eq!((outcome.count(), outcome.answers()), (2, 3));
        assert!((outcome.quantile_ms(1.0) - 900.0).abs() < 1e-9);
    }
}
