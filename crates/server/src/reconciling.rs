//! The loop that looks at the targets while a restored store is only reconciled.

use std::sync::Arc;
use std::time::Duration;

use scaivault_engine::Vault;

use crate::loops::Stop;

/// Between two looks at all targets.
const LOOK: Duration = Duration::from_secs(600);
/// Between two looks at the mark, which another node may have changed; and after trouble.
const MARK: Duration = Duration::from_secs(15);

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
        let nap = match vault.reconcile_run_once().await {
            Ok(0) => MARK,
            Ok(_) => LOOK,
            Err(error) => {
                tracing::warn!(worker = "reconcile", %error, "will try again");
                MARK
            }
        };
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
}
