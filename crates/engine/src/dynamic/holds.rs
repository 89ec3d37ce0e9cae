//! Engines whose target is in trouble: left alone for a while that grows, then asked about a few
//! leases first. Without that, every lease by itself would knock at a target that is down, or send
//! a password that is wrong until the account is locked.
//!
//! In memory alone: a node that starts knows of no trouble yet, and learns it by one batch.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use scaivault_core::ids::EngineId;
use scaivault_core::ports::Effect;
use scaivault_core::rotation::Jitter;
use scaivault_core::target::TroubleKind;
use scaivault_core::time::Timestamp;

/// Leases of one engine that are removed by one call.
pub(super) const TOGETHER: usize = 50;
/// Leases that are written down in one commit: few enough that a read, whose row goes through the
/// same writer, does not wait long behind them.
pub(super) const WRITTEN: usize = 10;
/// Such calls beside each other at one target, once the first one found it well.
const BESIDE: usize = 4;
/// Leases of one engine in hand at a time.
pub(super) const OF_EACH: usize = TOGETHER * (1 + BESIDE);
/// The first wait; doubles from there.
const WAIT: Duration = Duration::from_secs(10);
/// The longest.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// By so much a batch shrinks with each trouble, and grows again when there is none.
const STEP: usize = 8;

struct Hold {
    until: Timestamp,
    failures: u32,
    batch: usize,
}

/// What is known of engines in trouble.
#[derive(Default)]
pub(crate) struct EngineHolds(Mutex<HashMap<EngineId, Hold>>);

impl EngineHolds {
    /// Those in trouble: all of them, or only those that are left alone now.
    pub(super) fn troubled(&self, left_alone_at: Option<Timestamp>) -> Vec<EngineId> {
        let holds = self.0.lock();
        let now = |hold: &Hold| {
            left_alone_at.is_none_or(|now| {
                // A clock that was set back must not make the wait longer than any is.
                now < hold.until && hold.until < now.plus(2 * WAIT_MAX)
            })
        };
        let found = holds.iter().filter(|(_, hold)| now(hold));
        found.map(|(id, _)| id.clone()).collect()
    }

    /// How many leases to try at a time.
    pub(super) fn batch(&self, id: &EngineId) -> usize {
        self.0.lock().get(id).map_or(OF_EACH, |hold| hold.batch)
    }

    /// Its target is in trouble.
    pub(super) fn failed(&self, id: &EngineId, jitter: Jitter, now: Timestamp) {
        let mut holds = self.0.lock();
        let hold = holds.entry(id.clone()).or_insert(Hold {
            until: now,
            failures: 0,
            batch: TOGETHER,
        });
        let wait = WAIT.saturating_mul(1 << hold.failures.min(16));
        hold.until = now.plus(jitter.spread(wait.min(WAIT_MAX)));
        hold.failures = hold.failures.saturating_add(1);
        hold.batch = (hold.batch / STEP).max(1);
    }

    /// Its target answers again.
    pub(super) fn worked(&self, id: &EngineId) {
        let mut holds = self.0.lock();
        if let Some(hold) = holds.get_mut(id) {
            hold.batch *= STEP;
            hold.failures = 0;
            if hold.batch >= TOGETHER {
                holds.remove(id);
            }
        }
    }
}

/// Whether what went wrong is the target's or its manager's, whichever account it is about.
pub(super) fn is_of_target(effects: &[Effect]) -> bool {
    let one = |effect: &Effect| match effect {
        Effect::Applied(_) => false,
        Effect::NotApplied(trouble) | Effect::Unknown(trouble) => matches!(
            trouble.kind,
            TroubleKind::Unreachable
                | TroubleKind::NotPermitted
                | TroubleKind::TimedOut
                | TroubleKind::Interrupted
                | TroubleKind::Tls
                | TroubleKind::ManagerRefused
                | TroubleKind::ManagerMissing
                | TroubleKind::Throttled
                | TroubleKind::Credential
                | TroubleKind::Protocol
        ),
    };
    !effects.is_empty() && effects.iter().all(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_makes_waits_longer_and_batches_smaller_until_it_is_over() {
        let holds = EngineHolds::default();
        let id = EngineId::parse("eng_1").unwrap();
        let now = Timestamp::from_secs(1_000_000);
        assert_eq!(holds.batch(&id), OF_EACH);
        holds.failed(&id, Jitter(u64::MAX), now);
        assert_eq!(holds.batch(&id), 6);
        let only = [id.clone()];
        assert_eq!(holds.troubled(Some(now)), only);
        assert_eq!(holds.troubled(Some(now.plus(WAIT))), []);
        assert_eq!(holds.troubled(None), only, "still the last in turn");
        for _ in 0..40 {
            holds.failed(&id, Jitter(u64::MAX), now);
        }
        assert_eq!(holds.batch(&id), 1);
        assert_eq!(holds.troubled(Some(now.plus(WAIT_MAX))), []);
        holds.worked(&id);
        assert_eq!(holds.batch(&id), STEP);
        holds.worked(&id);
        assert_eq!(holds.troubled(None), []);
    }
}
