//! The store's time: that of the database, carried on between looks by a clock of this machine
//! that nobody can set. Claims, waits and ends are written by one node and judged by another, so
//! they are all in one time; a node whose own clock is wrong, or jumps, does not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use scaivault_core::ports::Clock;
use scaivault_core::time::Timestamp;

/// Differences below this are not corrected: they are within what any look can tell.
const GRAIN: Duration = Duration::from_millis(1);

/// The clock of one store. Share it by cloning.
#[derive(Debug, Clone)]
pub struct StoreClock {
    /// The database's time when [`ticks`] was 0, in µs.
    offset: Arc<AtomicI64>,
}

/// Time since this machine started, the time it slept included.
fn ticks() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(CLOCK);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// A question for the time, on its way.
pub(crate) struct Asked(Duration);

impl Asked {
    pub(crate) fn now() -> Self {
        Self(ticks())
    }
}

impl StoreClock {
    /// Set by the answer to a first question.
    pub(crate) fn set(asked: &Asked, answer: i64) -> Self {
        let middle = asked.0 + ticks().saturating_sub(asked.0) / 2;
        Self {
            offset: Arc::new(AtomicI64::new(answer.saturating_sub(micros(middle)))),
        }
    }

    /// Corrected by another answer, where it is off by more than the question's way there and
    /// back can explain.
    pub(crate) fn correct(&self, asked: &Asked, answer: i64) {
        self.correct_at(asked.0, ticks(), answer);
    }

    fn correct_at(&self, asked: Duration, answered: Duration, answer: i64) {
        let way = answered.saturating_sub(asked) / 2;
        let measured = answer.saturating_sub(micros(asked + way));
        let off = measured.abs_diff(self.offset.load(Ordering::Acquire));
        if Duration::from_micros(off) > way + GRAIN {
            self.offset.store(measured, Ordering::Release);
        }
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let offset = self.offset.load(Ordering::Acquire);
        Timestamp::from_micros(offset.saturating_add(micros(ticks())))
    }

    fn monotonic(&self) -> Duration {
        ticks()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn it_is_corrected_by_no_more_than_is_certain() {
        let clock = StoreClock {
            offset: Arc::new(AtomicI64::new(1_000_000)),
        };
        let offset = || clock.offset.load(Ordering::Relaxed);
        // 40 ms for a way of 100 ms there and back: it may have been on the way there.
        clock.correct_at(ms(500), ms(600), 1_000_000 + 590_000);
        assert_eq!(offset(), 1_000_000);
        // The same by a quick answer is certain, forwards …
        clock.correct_at(ms(500), ms(502), 1_000_000 + 541_000);
        assert_eq!(offset(), 1_040_000);
        // … and backwards.
        clock.correct_at(ms(500), ms(502), 501_000);
        assert_eq!(offset(), 0);
    }

    #[test]
    fn it_runs() {
        let clock = StoreClock::set(&Asked::now(), 5_000_000);
        let (first, second) = (clock.now(), clock.now());
        assert!(first <= second && first >= Timestamp::from_micros(4_999_999));
        assert!(clock.monotonic() <= clock.monotonic());
    }
}
