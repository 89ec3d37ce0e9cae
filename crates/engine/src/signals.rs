//! Wake-ups inside one process. They only make things quicker: every worker also looks by
//! itself, so a lost signal costs time, never work.

use std::sync::Arc;

use scaivault_core::ports::Changes;
use tokio::sync::{Notify, watch};

/// The signals of one vault.
#[derive(Clone)]
pub struct Signals {
    outbox: Arc<Notify>,
    work: Arc<Notify>,
    targets: Arc<Notify>,
    campaigns: Arc<Notify>,
    notices: Arc<Notify>,
    leases: Arc<Notify>,
    tokens: Arc<Notify>,
    deliveries: Arc<watch::Sender<u64>>,
    rotations: Arc<watch::Sender<u64>>,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            outbox: Arc::default(),
            work: Arc::default(),
            targets: Arc::default(),
            campaigns: Arc::default(),
            notices: Arc::default(),
            leases: Arc::default(),
            tokens: Arc::default(),
            deliveries: Arc::new(watch::Sender::new(0)),
            rotations: Arc::new(watch::Sender::new(0)),
        }
    }
}

impl Signals {
    /// Completes after an event entered the outbox. One waiter.
    pub async fn outbox(&self) {
        self.outbox.notified().await;
    }

    /// Completes after a schedule or rotation changed. One waiter.
    pub async fn work(&self) {
        self.work.notified().await;
    }

    /// Completes after a rotation at a target may have become due. One waiter.
    pub async fn targets(&self) {
        self.targets.notified().await;
    }

    /// Completes after a campaign, or a rotation that may be of one, changed. One waiter.
    pub async fn campaigns(&self) {
        self.campaigns.notified().await;
    }

    /// Completes after a secret was given another end. One waiter.
    pub async fn notices(&self) {
        self.notices.notified().await;
    }

    /// Completes after leases were put to their end. One waiter.
    pub async fn leases(&self) {
        self.leases.notified().await;
    }

    /// Leases were put to their end.
    pub(crate) fn leases_end(&self) {
        self.leases.notify_one();
    }

    /// Completes after a token ended before its time. One waiter.
    pub async fn tokens(&self) {
        self.tokens.notified().await;
    }

    /// A token ended before its time.
    pub(crate) fn token_ended(&self) {
        self.tokens.notify_one();
    }

    /// A secret was given another end.
    pub(crate) fn end_given(&self) {
        self.notices.notify_one();
    }

    /// Changes whenever deliveries did. Any number of waiters.
    pub fn deliveries(&self) -> watch::Receiver<u64> {
        self.deliveries.subscribe()
    }

    /// Changes whenever a schedule or rotation did. Any number of waiters.
    pub fn rotations(&self) -> watch::Receiver<u64> {
        self.rotations.subscribe()
    }

    /// This vault made these changes: its workers go on, and whoever waits looks again.
    pub(crate) fn changed_here(&self, changes: &Changes) {
        if changes.outbox {
            self.outbox.notify_one();
        }
        if changes.work {
            self.work.notify_one();
            self.targets.notify_one();
            self.campaigns.notify_one();
        }
        self.changed_elsewhere(changes);
    }

    /// Another node made these changes: whoever waits looks again. Its own workers go on with what
    /// it began; this one's find what it leaves when they next look by themselves.
    pub(crate) fn changed_elsewhere(&self, changes: &Changes) {
        let next = |count: &mut u64| *count = count.wrapping_add(1);
        if changes.work || changes.everything {
            self.rotations.send_modify(next);
        }
        if changes.deliveries || changes.everything {
            self.deliveries.send_modify(next);
        }
    }
}
