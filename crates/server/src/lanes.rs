//! Which targets are worked on: one rotation each at a time.

use std::collections::HashMap;
use std::sync::Arc;

use scaivault_core::ids::TargetId;
use scaivault_engine::{ClaimedProbe, ClaimedRotation, Vault, VaultError};
use tokio::task::{Id, JoinSet};

/// The rotations in hand of one server.
#[derive(Default)]
pub(crate) struct Lanes {
    in_hand: JoinSet<Result<(), VaultError>>,
    running: HashMap<Id, Option<TargetId>>,
}

impl Lanes {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.in_hand.len()
    }

    /// Targets that are worked on.
    pub(crate) fn busy(&self) -> Vec<TargetId> {
        self.running.values().flatten().cloned().collect()
    }

    /// Carries a claimed rotation on.
    pub(crate) fn start(&mut self, vault: Arc<Vault>, claimed: ClaimedRotation) {
        let target = claimed.target_id().cloned();
        let task = self
            .in_hand
            .spawn(async move { vault.target_work(claimed).await });
        self.running.insert(task.id(), target);
    }

    /// Tries a credential.
    pub(crate) fn probe(&mut self, vault: Arc<Vault>, claimed: ClaimedProbe) {
        let target = claimed.target_id().cloned();
        let task = self
            .in_hand
            .spawn(async move { vault.probe_work(claimed).await });
        self.running.insert(task.id(), target);
    }

    /// Waits until one is done; pending for ever while there is none.
    pub(crate) async fn one_done(&mut self) {
        match self.in_hand.join_next_with_id().await {
            Some(Ok((id, outcome))) => {
                self.running.remove(&id);
                if let Err(error) = outcome {
                    tracing::warn!(%error, "a rotation's step was not recorded; it goes on later");
                }
            }
            Some(Err(error)) => {
                tracing::error!(%error, "a rotation's step ended abnormally");
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
