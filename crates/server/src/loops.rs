//! The loops around the engine's workers: when to run, how to stop. Each finishes the step in
//! hand before it ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use scaivault_core::time::Timestamp;
use scaivault_engine::{Vault, VaultError};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

/// The longest a loop sleeps: a lost signal or a clock set back costs at most this.
const NAP_MAX: Duration = Duration::from_secs(15);
/// The shortest, so that a clock that stands still does not spin a loop.
const NAP_MIN: Duration = Duration::from_millis(5);
/// After trouble.
const NAP_TROUBLE: Duration = Duration::from_secs(1);
/// Between rounds of housekeeping.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

/// Tells every loop to stop.
pub(crate) type Stop = watch::Receiver<bool>;

/// Starts all loops.
pub(crate) fn start(vault: &Arc<Vault>, deliveries_max: usize, stop: &Stop) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    loops.spawn(rotations(vault.clone(), stop.clone()));
    loops.spawn(fan_out(vault.clone(), stop.clone()));
    loops.spawn(deliveries(vault.clone(), deliveries_max, stop.clone()));
    loops.spawn(housekeeping(vault.clone(), stop.clone()));
    loops
}

async fn rotations(vault: Arc<Vault>, mut stop: Stop) {
    while !*stop.borrow() {
        let nap = match vault.rotation_run_once().await {
            Ok(0) => until(&vault, next_rotation(&vault).await),
            Ok(_) => continue,
            Err(error) => trouble("rotation", &error),
        };
        tokio::select! {
            () = vault.signals().work() => {}
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn next_rotation(vault: &Vault) -> Option<Timestamp> {
    let next = vault.store().next_work().await.ok()?;
    [next.assignment_at, next.rotation_at]
        .into_iter()
        .flatten()
        .min()
}

async fn fan_out(vault: Arc<Vault>, mut stop: Stop) {
    while !*stop.borrow() {
        let nap = match vault.fan_out_run_once().await {
            Ok(0) => NAP_MAX,
            Ok(_) => continue,
            Err(error) => trouble("fan-out", &error),
        };
        tokio::select! {
            () = vault.signals().outbox() => {}
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
}

/// At most one delivery per receiver and `most` in all are in flight; a slow receiver holds one
/// place.
async fn deliveries(vault: Arc<Vault>, most: usize, mut stop: Stop) {
    let mut in_flight: JoinSet<Result<(), VaultError>> = JoinSet::new();
    let mut busy: HashMap<Id, String> = HashMap::new();
    let mut changes = vault.signals().deliveries();
    while !*stop.borrow() {
        changes.mark_unchanged();
        let mut nap = NAP_MAX;
        let room = most.saturating_sub(in_flight.len());
        if room > 0 {
            let receivers: Vec<String> = busy.values().cloned().collect();
            match vault.deliveries_claim(&receivers, room).await {
                Ok(claimed) if claimed.is_empty() => {
                    nap = until(&vault, next_delivery(&vault).await);
                    // Work that is due but belongs to a busy receiver waits for that one.
                    if !busy.is_empty() {
                        nap = nap.max(Duration::from_millis(200));
                    }
                }
                Ok(claimed) => {
                    for delivery in claimed {
                        let receiver = delivery.receiver().to_owned();
                        let vault = vault.clone();
                        let task =
                            in_flight.spawn(async move { vault.delivery_attempt(delivery).await });
                        busy.insert(task.id(), receiver);
                    }
                    continue;
                }
                Err(error) => nap = trouble("delivery", &error),
            }
        }
        tokio::select! {
            Some(done) = in_flight.join_next_with_id() => settle(done, &mut busy),
            _ = changes.changed() => {}
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
    while let Some(done) = in_flight.join_next_with_id().await {
        settle(done, &mut busy);
    }
}

fn settle(
    done: Result<(Id, Result<(), VaultError>), tokio::task::JoinError>,
    busy: &mut HashMap<Id, String>,
) {
    match done {
        Ok((id, outcome)) => {
            busy.remove(&id);
            if let Err(error) = outcome {
                tracing::warn!(%error, "a delivery's outcome was not recorded; it is tried again");
            }
        }
        Err(error) => {
            busy.remove(&error.id());
            tracing::error!(%error, "a delivery ended abnormally");
        }
    }
}

async fn next_delivery(vault: &Vault) -> Option<Timestamp> {
    vault.store().next_work().await.ok()?.delivery_at
}

async fn housekeeping(vault: Arc<Vault>, mut stop: Stop) {
    while !*stop.borrow() {
        let nap = match vault.housekeeping_run_once().await {
            Ok(0) => HOUSEKEEPING,
            Ok(_) => continue,
            Err(error) => trouble("housekeeping", &error).max(HOUSEKEEPING / 10),
        };
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
}

/// How long to sleep until `at` by the vault's clock.
fn until(vault: &Vault, at: Option<Timestamp>) -> Duration {
    match at {
        Some(at) => at.since(vault.now()).clamp(NAP_MIN, NAP_MAX),
        None => NAP_MAX,
    }
}

fn trouble(what: &str, error: &VaultError) -> Duration {
    tracing::warn!(worker = what, %error, "will try again");
    NAP_TROUBLE
}
