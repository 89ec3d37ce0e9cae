//! When a lease is renewed.

use std::time::Duration;

use jiff::Timestamp;
use scaivault_api::dynamic::{Credential, Lease};
use tokio::time::Instant;

/// The first wait after an attempt that failed; doubles from there.
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// No lease is renewed more often.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Renew it.
    Renew,
    /// It cannot be renewed: its end is near.
    Last,
}

/// Two thirds of each term are waited, so that a third is left for what goes wrong. Terms are
/// measured by the server's clock alone and waited by ours, so that the two may differ.
pub(super) struct Keeper {
    until: String,
    next: Act,
    /// `None`: there is nothing to do any more.
    at: Option<Instant>,
    failures: u32,
}

impl Keeper {
    pub(super) fn new(made: &Credential) -> Self {
        let mut keeper = Self {
            until: String::new(),
            next: Act::Renew,
            at: None,
            failures: 0,
        };
        let term = Duration::from_secs(made.ttl);
        keeper.term(term, made.renewable, &made.expires_at);
        keeper
    }

    fn term(&mut self, term: Duration, renewable: bool, until: &str) {
        until.clone_into(&mut self.until);
        self.next = match renewable {
            true => Act::Renew,
            false => Act::Last,
        };
        self.at = Instant::now().checked_add(wait(term));
        self.failures = 0;
    }

    /// Ends when there is something to do; never, when there is nothing.
    pub(super) async fn due(&self) -> Act {
        match self.at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
        self.next
    }

    /// The lease's end, as the server says it.
    pub(super) fn until(&self) -> &str {
        &self.until
    }

    pub(super) fn renewed(&mut self, lease: &Lease) {
        let renewable = lease.expires_at != lease.max_expires_at;
        let from = lease.renewed_at.as_ref().unwrap_or(&lease.issued_at);
        match between(from, &lease.expires_at) {
            Some(term) => self.term(term, renewable, &lease.expires_at),
            None => self.failed(),
        }
    }

    /// It is tried again soon.
    pub(super) fn failed(&mut self) {
        let wait = AGAIN_MIN * 2_u32.saturating_pow(self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        self.at = Some(Instant::now() + wait.min(AGAIN_MAX));
    }

    /// It cannot be renewed any more.
    pub(super) fn over(&mut self) {
        self.next = Act::Last;
        self.at = Some(Instant::now());
    }

    /// There is nothing to do any more.
    pub(super) fn rest(&mut self) {
        self.at = None;
    }
}

fn wait(term: Duration) -> Duration {
    (term * 2 / 3).max(PAUSE_MIN)
}

fn between(from: &str, until: &str) -> Option<Duration> {
    let from: Timestamp = from.parse().ok()?;
    let until: Timestamp = until.parse().ok()?;
    until.duration_since(from).try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(ttl: u64, renewable: bool) -> Credential {
        serde_json::from_value(serde_json::json!({
            "lease_id": "lse_1", "engine": "e", "role": "r", "data": {}, "renewable": renewable,
            "ttl": ttl, "expires_at": "2026-01-01T00:01:00Z",
            "max_expires_at": "2026-01-01T01:00:00Z"
        }))
        .expect("a credential")
    }

    fn lease(renewed: &str, expires: &str) -> Lease {
        serde_json::from_value(serde_json::json!({
            "id": "lse_1", "engine_id": "eng_1", "role": "r", "account": "a",
            "identity_id": "sa:x", "token_id": null, "status": "active", "cause": null,
            "issued_at": "2026-01-01T00:00:00Z", "expires_at": expires,
            "max_expires_at": "2026-01-01T01:00:00Z", "renewed_at": renewed, "revoked_at": null,
            "attempts": 0, "failing_since": null, "trouble": null
        }))
        .expect("a lease")
    }

    /// How long it waits, by a clock that stands still but for what is waited for.
    async fn waits(keeper: &Keeper) -> (u64, Act) {
        let began = Instant::now();
        let act = keeper.due().await;
        (began.elapsed().as_secs(), act)
    }

    #[tokio::test(start_paused = true)]
    async fn two_thirds_of_each_term() {
        let mut keeper = Keeper::new(&made(60, true));
        assert_eq!(waits(&keeper).await, (40, Act::Renew));
        keeper.renewed(&lease("2026-01-01T00:00:40Z", "2026-01-01T00:30:40Z"));
        assert_eq!(waits(&keeper).await, (1_200, Act::Renew));
        keeper.renewed(&lease("2026-01-01T00:30:00Z", "2026-01-01T01:00:00Z"));
        assert_eq!(keeper.until(), "2026-01-01T01:00:00Z");
        assert_eq!(waits(&keeper).await, (1_200, Act::Last));
        assert_eq!(waits(&Keeper::new(&made(90, false))).await, (60, Act::Last));
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_tried_again_later_each_time() {
        let mut keeper = Keeper::new(&made(60, true));
        let mut waited = Vec::new();
        for _ in 0..8 {
            keeper.failed();
            waited.push(waits(&keeper).await.0);
        }
        assert_eq!(waited, [1, 2, 4, 8, 16, 32, 60, 60]);
        keeper.over();
        assert_eq!(waits(&keeper).await, (0, Act::Last));
        keeper.rest();
        let rests = tokio::time::timeout(Duration::from_secs(100_000), keeper.due());
        assert!(rests.await.is_err());
    }
}
