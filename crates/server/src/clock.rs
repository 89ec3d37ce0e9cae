//! The system's clock.

use std::sync::LazyLock;
use std::time::{Duration, Instant, UNIX_EPOCH};

use scaivault_core::ports::Clock;
use scaivault_core::time::Timestamp;

/// Wall-clock time, UTC.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
    fn monotonic(&self) -> Duration {
        START.elapsed()
    }
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
