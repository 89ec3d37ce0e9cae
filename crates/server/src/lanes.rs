//! Which targets are worked on: one piece of work each at a time, so that a target that hangs
//! holds one place. Leases are worked on engine by engine.

use std::collections::HashMap;

use scaivault_engine::VaultError;
use tokio::task::{Id, JoinSet};

/// The work in hand of one loop.
pub(crate) struct Lanes<K> {
    in_hand: JoinSet<Result<(), VaultError>>,
    running: HashMap<Id, Option<K>>,
}

impl<K> Default for Lanes<K> {
    fn default() -> Self {
        Self {
            in_hand: JoinSet::new(),
            running: HashMap::new(),
        }
    }
}

impl<K: Clone> Lanes<K> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.in_hand.len()
    }

    /// What is worked on.
    pub(crate) fn busy(&self) -> Vec<K> {
        self.running.values().flatten().cloned().collect()
    }

    /// Works at a target.
    pub(crate) fn start(
        &mut self,
        target: Option<K>,
        work: impl Future<Output = Result<(), VaultError>> + Send + 'static,
    ) {
        let task = self.in_hand.spawn(work);
        self.running.insert(task.id(), target);
    }

    /// Waits until one is done; pending for ever while there is none.
    pub(crate) async fn one_done(&mut self) {
        match self.in_hand.join_next_with_id().await {
            Some(Ok((id, outcome))) => {
                self.running.remove(&id);
                if let Err(error) = outcome {
                    tracing::warn!(%error, "work at a target was not recorded; it goes on later");
                }
            }
            Some(Err(error)) => {
                tracing::error!(%error, "work at a target ended abnormally");
                self.running.remove(&error.id());
            }
            None => std::future::pending().await,
        }
    }

    /// Waits for what is in hand.
    pub(crate) async fn finish(mut self) {
        while self.len() > 0 {
            self.one_done().await;
        }
    }
}
