//! Clocks for tests: one that stands still, one that is moved by hand. Neither reads the time of
//! the machine, so a test gives the same result on every day of the year.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use scaivault_core::ports::Clock;
use scaivault_core::time::Timestamp;

/// Always the same time.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A clock that moves only when told to, in either direction. Share it in an `Arc`: whoever holds
/// it sees every move at once.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock showing `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.as_micros()))
    }

    /// Moves it on and returns the new time.
    pub fn advance(&self, by: Duration) -> Timestamp {
        self.shift(|now| now.plus(by))
    }

    /// Moves it back and returns the new time: a clock that jumps is part of the fault model.
    pub fn rewind(&self, by: Duration) -> Timestamp {
        self.shift(|now| now.minus(by))
    }

    /// Puts it at `to`, be that earlier or later.
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.as_micros(), Ordering::SeqCst);
    }

    fn shift(&self, step: impl Fn(Timestamp) -> Timestamp) -> Timestamp {
        let moved = |micros| step(Timestamp::from_micros(micros)).as_micros();
        let before = self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| Some(moved(now)));
        Timestamp::from_micros(moved(before.unwrap_or_else(|unmoved| unmoved)))
    }
}

impl Default for ManualClock {
    /// 15 January 2027, 08:00 UTC: late enough for every example of the documentation.
    fn default() -> Self {
        Self::new(Timestamp::from_secs(1_800_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_fixed_clock_stands_still() {
        let clock = FixedClock(Timestamp::from_secs(7));
        assert_eq!(
            (clock.now(), clock.now()),
            (Timestamp::from_secs(7), Timestamp::from_secs(7))
        );
    }

    #[test]
    fn a_manual_clock_moves_when_told_for_every_holder() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(100)));
        let seen: Arc<dyn Clock> = clock.clone();
        assert_eq!(
            clock.advance(Duration::from_secs(5)),
            Timestamp::from_secs(105)
        );
        assert_eq!(seen.now(), Timestamp::from_secs(105));
        assert_eq!(
            clock.rewind(Duration::from_secs(50)),
            Timestamp::from_secs(55)
        );
        assert_eq!(seen.now(), Timestamp::from_secs(55));
        clock.set(Timestamp::from_secs(9));
        assert_eq!(seen.now(), Timestamp::from_secs(9));
        assert_eq!(
            ManualClock::default().now().to_rfc3339(),
            "2027-01-15T08:00:00Z"
        );
    }
}
