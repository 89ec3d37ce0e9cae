//! Services that are consistent only after a while: a key that was just made may be refused for
//! some seconds. A refusal counts once it has lasted that long.
//!
//! What is remembered is when a key was first seen refused, by its digest and only in memory. A
//! process that starts anew waits anew: later than needed, never too early.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::time::Instant;

/// Keys remembered at once.
const KEYS_MAX: usize = 4096;

/// A key at a service, without the key.
pub(super) type Digest = [u8; 32];

/// When keys were first refused.
#[derive(Default)]
pub(super) struct Settling(Mutex<HashMap<Digest, Instant>>);

/// The digest of a key at a service.
pub(super) fn digest(service: &str, key: &str) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(
        &u64::try_from(service.len())
            .unwrap_or(u64::MAX)
            .to_be_bytes(),
    );
    context.update(service.as_bytes());
    context.update(key.as_bytes());
    let mut out = Digest::default();
    out.copy_from_slice(context.finish().as_ref());
    out
}

impl Settling {
    /// The key was let in.
    pub(super) fn accepted(&self, key: &Digest) {
        self.lock().remove(key);
    }

    /// The key was refused. `None` when that counts, otherwise how long to wait.
    pub(super) fn refused(&self, key: Digest, now: Instant, window: Duration) -> Option<Duration> {
        if window.is_zero() {
            return None;
        }
        let mut first = self.lock();
        if first.len() >= KEYS_MAX && !first.contains_key(&key) {
            let oldest = first.iter().min_by_key(|(_, at)| **at).map(|(key, _)| *key);
            oldest.map(|oldest| first.remove(&oldest));
        }
        let since = now.saturating_duration_since(*first.entry(key).or_insert(now));
        // The entry stays: a later question about the same dead key is answered at once.
        window.checked_sub(since).filter(|left| !left.is_zero())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn a_refusal_counts_once_it_has_lasted() {
        let settling = Settling::default();
        let key = digest("a", "k");
        let start = Instant::now();
        assert_eq!(settling.refused(key, start, WINDOW), Some(WINDOW));
        let later = start + Duration::from_secs(4);
        assert_eq!(
            settling.refused(key, later, WINDOW),
            Some(Duration::from_secs(6))
        );
        assert_eq!(settling.refused(key, start + WINDOW, WINDOW), None);
        assert_eq!(settling.refused(key, start + WINDOW * 2, WINDOW), None);
        // Let in, then refused again: a new wait.
        settling.accepted(&key);
        assert_eq!(
            settling.refused(key, start + WINDOW * 2, WINDOW),
            Some(WINDOW)
        );
    }

    #[test]
    fn without_a_window_every_refusal_counts() {
        let settling = Settling::default();
        assert_eq!(
            settling.refused(digest("a", "k"), Instant::now(), Duration::ZERO),
            None
        );
        assert!(settling.lock().is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_apart() {
        let settling = Settling::default();
        let start = Instant::now();
        for at in 0..KEYS_MAX + 10 {
            settling.refused(digest("a", &at.to_string()), start, WINDOW);
        }
        assert_eq!(settling.lock().len(), KEYS_MAX);
        assert_ne!(digest("a", "bc"), digest("ab", "c"));
    }
}
