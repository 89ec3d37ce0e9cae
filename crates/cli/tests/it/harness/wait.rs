//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long anything that happens by itself may take on a busy machine before a test gives up.
pub(crate) const SOON: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(25);

/// Asks `probe` again and again until it answers, at most for `within`.
#[track_caller]
pub(crate) fn eventually<T, F>(
    what: &str,
    within: Duration,
    mut probe: F,
) -> impl Future<Output = T>
where
    F: AsyncFnMut() -> Option<T>,
{
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "{caller}: not within {within:?}: {what}"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
}
