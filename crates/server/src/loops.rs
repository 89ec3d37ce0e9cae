//! The loops around the engine's workers: when to run, how to stop. Each finishes the step in
//! hand before it ends.

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::ports::ExportSink;
use scaivault_core::time::Timestamp;
use scaivault_engine::{LOOK_EVERY, Vault, VaultError};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::AuditSection;
use crate::dispatcher::Dispatcher;
use crate::lanes::Lanes;

/// The longest a loop sleeps: a lost signal, a clock set back, or work that a node left behind
/// costs at most this.
const NAP_MAX: Duration = Duration::from_secs(5);
/// The shortest, so that a clock that stands still does not spin a loop.
const NAP_MIN: Duration = Duration::from_millis(5);
/// What is due could not be taken: somebody else has it, or its target is busy.
const NAP_BUSY: Duration = Duration::from_millis(200);
/// After trouble.
const NAP_TROUBLE: Duration = Duration::from_secs(1);
/// Debts are tried at a low rate: nothing is gained by looking more often.
const DEBT_NAP_MIN: Duration = Duration::from_millis(500);
/// From the start to the first sweep.
const SWEEP_FIRST: Duration = Duration::from_secs(600);
/// From one look for targets to sweep to the next; each is swept once a day, by one node.
const SWEEP: Duration = Duration::from_secs(3_600);
/// Between two looks for exports that are asked for.
const EXPORTS: Duration = Duration::from_secs(2);
/// Between rounds of housekeeping.
const HOUSEKEEPING: Duration = Duration::from_secs(600);

/// Tells every loop to stop.
pub(crate) type Stop = watch::Receiver<bool>;

/// Starts all loops.
pub(crate) fn start(
    vault: &Arc<Vault>,
    deliveries_max: usize,
    targets_max: usize,
    unread_ttl: Option<Duration>,
    audit: &AuditSection,
    export_sink: Option<&Arc<dyn ExportSink>>,
    stop: &Stop,
) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    loops.spawn(crate::reconciling::run(vault.clone(), stop.clone()));
    loops.spawn(rotations(vault.clone(), stop.clone()));
    loops.spawn(campaigns(vault.clone(), stop.clone()));
    loops.spawn(targets(vault.clone(), targets_max, stop.clone()));
    loops.spawn(debts(vault.clone(), targets_max, stop.clone()));
    loops.spawn(sweeps(vault.clone(), stop.clone()));
    crate::leasing::start(&mut loops, vault, targets_max, stop);
    loops.spawn(notices(vault.clone(), stop.clone()));
    loops.spawn(tokens(vault.clone(), stop.clone()));
    loops.spawn(transit(vault.clone(), stop.clone()));
    loops.spawn(fan_out(vault.clone(), stop.clone()));
    loops.spawn(deliveries(vault.clone(), deliveries_max, stop.clone()));
    loops.spawn(housekeeping(vault.clone(), unread_ttl, stop.clone()));
    loops.spawn(issuers(vault.clone(), stop.clone()));
    loops.spawn(crate::retention::run(
        vault.clone(),
        audit.clone(),
        stop.clone(),
    ));
    if let Some(sink) = export_sink {
        loops.spawn(exports(vault.clone(), sink.clone(), stop.clone()));
    }
    if vault.has_neighbours() {
        loops.spawn(neighbours(vault.clone(), stop.clone()));
    }
    loops
}

async fn rotations(vault: Arc<Vault>, mut stop: Stop) {
    while !*stop.borrow() {
        let nap = match vault.schedule_run_once().await {
            Ok(0) => not_free(until(&vault, next_rotation(&vault).await)),
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

async fn campaigns(vault: Arc<Vault>, mut stop: Stop) {
    while !*stop.borrow() {
        let nap = match vault.campaigns_run_once().await {
            Ok(0) => not_free(until(&vault, next_campaign(&vault).await)),
            Ok(_) => continue,
            Err(error) => trouble("campaign", &error),
        };
        tokio::select! {
            () = vault.signals().campaigns() => {}
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn next_campaign(vault: &Vault) -> Option<Timestamp> {
    vault.store().next_work().await.ok()?.campaign_at
}

/// Works on so many targets at a time; a target has one rotation in hand at a time, so one that
/// hangs holds one place.
async fn targets(vault: Arc<Vault>, most: usize, mut stop: Stop) {
    let mut lanes = Lanes::default();
    while !*stop.borrow() {
        let mut nap = NAP_MAX;
        let room = most.max(1).saturating_sub(lanes.len());
        if room > 0 {
            match vault.targets_claim(&lanes.busy(), room).await {
                Ok(claimed) if claimed.is_empty() => {
                    // Whether credentials still work is looked at when nothing else is due.
                    match vault.probes_claim(&lanes.busy(), room).await {
                        Ok(probes) if probes.is_empty() => {
                            nap = until(&vault, next_rotation(&vault).await);
                        }
                        Ok(probes) => {
                            for probe in probes {
                                let (vault, target) = (vault.clone(), probe.target_id().cloned());
                                lanes.start(target, async move { vault.probe_work(probe).await });
                            }
                            continue;
                        }
                        Err(error) => nap = trouble("drift check", &error),
                    }
                    // Work that is due but belongs to a busy target waits for that one.
                    nap = match lanes.len() {
                        0 => not_free(nap),
                        _ => nap.max(NAP_BUSY),
                    };
                }
                Ok(claimed) => {
                    for rotation in claimed {
                        let (vault, target) = (vault.clone(), rotation.target_id().cloned());
                        lanes.start(target, async move { vault.target_work(rotation).await });
                    }
                    continue;
                }
                Err(error) => nap = trouble("targets", &error),
            }
        }
        tokio::select! {
            () = lanes.one_done() => {}
            () = vault.signals().targets() => {}
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
    lanes.finish().await;
}

/// Works on debts of so many targets at a time, beside the rotations; one that hangs holds one
/// place.
async fn debts(vault: Arc<Vault>, most: usize, mut stop: Stop) {
    let mut lanes = Lanes::default();
    while !*stop.borrow() {
        let mut nap = NAP_MAX;
        let room = most.max(1).saturating_sub(lanes.len());
        if room > 0 {
            match vault.debts_due(&lanes.busy(), room).await {
                Ok(due) if due.is_empty() => {
                    nap = until(&vault, next_debt(&vault).await).max(DEBT_NAP_MIN);
                }
                Ok(due) => {
                    for debt in due {
                        let (vault, target) = (vault.clone(), debt.target_id().clone());
                        lanes.start(Some(target), async move { vault.debt_work(debt).await });
                    }
                    continue;
                }
                Err(error) => nap = trouble("debts", &error),
            }
        }
        tokio::select! {
            () = lanes.one_done() => {}
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
    lanes.finish().await;
}

async fn next_debt(vault: &Vault) -> Option<Timestamp> {
    vault.store().next_work().await.ok()?.debt_at
}

/// Sweeps targets once a day each, the first time a while after the start.
async fn sweeps(vault: Arc<Vault>, mut stop: Stop) {
    let mut nap = SWEEP_FIRST;
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => return,
        }
        nap = match vault.sweeps_run_once().await {
            Ok(_) => SWEEP,
            Err(error) => trouble("sweep", &error).max(SWEEP_FIRST),
        };
    }
}

/// Nothing was free though something is due: looking at once again would find the same.
fn not_free(nap: Duration) -> Duration {
    if nap > NAP_MIN { nap } else { NAP_BUSY }
}

async fn next_rotation(vault: &Vault) -> Option<Timestamp> {
    let next = vault.store().next_work().await.ok()?;
    [next.assignment_at, next.rotation_at, next.probe_at]
        .into_iter()
        .flatten()
        .min()
}

/// Tells that values end.
async fn notices(vault: Arc<Vault>, mut stop: Stop) {
    while !*stop.borrow() {
        let nap = match vault.notices_run_once().await {
            Ok(0) => not_free(until(&vault, next_notice(&vault).await)),
            Ok(_) => continue,
            Err(error) => trouble("expiry", &error),
        };
        tokio::select! {
            () = vault.signals().notices() => {}
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn next_notice(vault: &Vault) -> Option<Timestamp> {
    vault.store().next_work().await.ok()?.notice_at
}

/// Sees to what follows from the end of tokens. Ends by the clock are looked for every few seconds.
async fn tokens(vault: Arc<Vault>, mut stop: Stop) {
    while !*stop.borrow() {
        let nap = match vault.tokens_ended_run_once().await {
            Ok(0) => NAP_MAX,
            Ok(_) => continue,
            Err(error) => trouble("tokens", &error),
        };
        tokio::select! {
            () = vault.signals().tokens() => {}
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Rotates keys of transit mounts whose time has come: looked for every few seconds.
async fn transit(vault: Arc<Vault>, mut stop: Stop) {
    while !*stop.borrow() {
        let nap = match vault.transit_run_once().await {
            Ok(0) => NAP_MAX,
            Ok(_) => continue,
            Err(error) => trouble("transit keys", &error),
        };
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
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

async fn deliveries(vault: Arc<Vault>, most: usize, mut stop: Stop) {
    let mut dispatcher = Dispatcher::new(vault.clone(), most);
    let mut changes = vault.signals().deliveries();
    while !*stop.borrow() {
        changes.mark_unchanged();
        let mut nap = NAP_MAX;
        let (room, busy) = (dispatcher.room(), dispatcher.busy());
        if room > 0 {
            match vault.deliveries_claim(&busy, room).await {
                Ok(claimed) if claimed.is_empty() => {
                    nap = until(&vault, next_delivery(&vault).await);
                    // Work that is due but belongs to a busy receiver waits for that one.
                    if !busy.is_empty() {
                        nap = nap.max(Duration::from_millis(200));
                    }
                }
                Ok(claimed) => {
                    claimed
                        .into_iter()
                        .for_each(|delivery| dispatcher.take(delivery));
                    continue;
                }
                Err(error) => nap = trouble("delivery", &error),
            }
        }
        tokio::select! {
            () = dispatcher.one_done() => {}
            _ = changes.changed() => {}
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
    dispatcher.finish().await;
}

async fn next_delivery(vault: &Vault) -> Option<Timestamp> {
    vault.store().next_work().await.ok()?.delivery_at
}

/// Follows what other nodes change. Looking is what keeps the caches in use.
async fn neighbours(vault: Arc<Vault>, mut stop: Stop) {
    let mut failed = false;
    while !*stop.borrow() {
        match vault.neighbours_look().await {
            Ok(()) if failed => {
                tracing::info!("the store tells again what other nodes change");
                failed = false;
            }
            Ok(()) => {}
            Err(error) if !failed => {
                tracing::warn!(
                    %error,
                    "what other nodes change is not known: everything is read from the store"
                );
                failed = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            () = vault.neighbours_news() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = stop.changed() => {}
        }
    }
}

/// Keeps the keys of issuers fresh.
async fn issuers(vault: Arc<Vault>, mut stop: Stop) {
    while !*stop.borrow() {
        let look = async {
            let nap = vault.issuers_run_once().await.unwrap_or(NAP_MAX);
            tokio::time::sleep(nap.max(NAP_BUSY)).await;
        };
        tokio::select! {
            () = look => {}
            _ = stop.changed() => {}
        }
    }
}

/// Writes exports of the audit trail, a part of each at a time.
async fn exports(vault: Arc<Vault>, sink: Arc<dyn ExportSink>, mut stop: Stop) {
    while !*stop.borrow() {
        let nap = match vault.exports_run_once(&*sink).await {
            Ok(0) => EXPORTS,
            Ok(_) => continue,
            Err(error) => trouble("audit exports", &error),
        };
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn housekeeping(vault: Arc<Vault>, unread_ttl: Option<Duration>, mut stop: Stop) {
    while !*stop.borrow() {
        if let Err(error) = vault.subscriptions_expire(unread_ttl).await {
            trouble("unread subscriptions", &error);
        }
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
