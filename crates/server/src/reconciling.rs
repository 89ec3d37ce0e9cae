//! The loop that looks at the targets while a restored store is only reconciled.

use std::sync::Arc;
use std::time::Duration;

use scaivault_engine::Vault;

use crate::loops::Stop;

/// Between two rounds. In one only what is not known yet is looked at, and what was not reached an
/// hour ago; it is also how long it may take until another node's change of the mark is told.
const ROUND: Duration = Duration::from_secs(60);

pub(crate) async fn run(vault: Arc<Vault>, mut stop: Stop) {
    let mut told = false;
    while !*stop.borrow() {
        let held = vault.is_reconcile_only().await.unwrap_or(told);
        if held && !told {
            tracing::warn!(
                "this store was restored from a backup: nothing is changed at targets until \
                 'scaivault store resume'; see 'scaivault store reconcile'"
            );
        } else if told && !held {
            tracing::info!("the restored store was resumed: rotations go on");
        }
        told = held;
        let stopped = stop.clone();
        if let Err(error) = vault.reconcile_run_until(&|| *stopped.borrow()).await {
            tracing::warn!(worker = "reconcile", %error, "will try again");
        }
        tokio::select! {
            () = vault.reconcile_asked() => {}
            () = tokio::time::sleep(ROUND) => {}
            _ = stop.changed() => {}
        }
    }
}
