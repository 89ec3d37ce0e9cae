//! Which targets debts are worked on at: one debt each at a time.

use std::collections::HashMap;
use std::sync::Arc;

use scaivault_core::ids::TargetId;
use scaivault_engine::{DueDebt, Vault, VaultError};
use tokio::task::{Id, JoinSet};

/// The debts in hand of one server.
#[derive(Default)]
pub(crate) struct DebtLanes {
    in_hand: JoinSet<Result<(), VaultError>>,
    running: HashMap<Id, TargetId>,
}

impl DebtLanes {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.in_hand.len()
    }

    /// Targets that are worked on.
    pub(crate) fn busy(&self) -> Vec<TargetId> {
        self.running.values().cloned().collect()
    }

    /// Carries a debt on.
    pub(crate) fn start(&mut self, vault: Arc<Vault>, due: DueDebt) {
        let target = due.target_id().clone();
        let task = self
            .in_hand
            .spawn(async move { vault.debt_work(due).await });
        self.running.insert(task.id(), target);
    }

    /// Waits until one is done; pending for ever while there is none.
    pub(crate) async fn one_done(&mut self) {
        match self.in_hand.join_next_with_id().await {
            Some(Ok((id, outcome))) => {
                self.running.remove(&id);
                if let Err(error) = outcome {
                    tracing::warn!(%error, "what came of a debt was not recorded; it is tried again");
                }
            }
            Some(Err(error)) => {
                tracing::error!(%error, "a debt's step ended abnormally");
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
