//! The loops around leases: what is over is removed, what hangs on a token that has ended is put to
//! its end, and what is at targets is compared with what is stored.

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::ids::EngineId;
use scaivault_engine::{Vault, VaultError};
use tokio::task::JoinSet;

use crate::lanes::Lanes;
use crate::loops::Stop;

/// The longest the loop sleeps: what another node made, or a lost signal, costs at most this.
const NAP_MAX: Duration = Duration::from_secs(2);
/// The same where no lease is stored that will end. One made here that is short wakes the loop.
const NAP_IDLE: Duration = Duration::from_secs(30);
/// The shortest.
const NAP_MIN: Duration = Duration::from_millis(5);
/// What is due belongs to an engine that is busy, or somebody else has it.
const NAP_BUSY: Duration = Duration::from_millis(100);
/// After trouble.
const NAP_TROUBLE: Duration = Duration::from_secs(1);
/// From one look for leases of tokens that have ended to the next. As a rule they end in the commit
/// that sees to the token's end; this finds those of requests that were under way then.
const TOKENS: Duration = Duration::from_secs(300);
/// From the start to the first sweep.
const SWEEP_FIRST: Duration = Duration::from_secs(600);
/// From one look for engines to sweep to the next; each is swept once a day, by one node.
const SWEEP: Duration = Duration::from_secs(3_600);
/// How long rows of ended leases are kept.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// From one look for such rows to the next.
const PRUNED: Duration = Duration::from_secs(60);
/// While there are more: others commit between two parts.
const PRUNED_NEXT: Duration = Duration::from_millis(50);

/// Starts them.
pub(crate) fn start(loops: &mut JoinSet<()>, vault: &Arc<Vault>, engines: usize, stop: &Stop) {
    loops.spawn(leases(vault.clone(), engines, stop.clone()));
    loops.spawn(tokens(vault.clone(), stop.clone()));
    loops.spawn(sweeps(vault.clone(), stop.clone()));
    loops.spawn(pruning(vault.clone(), stop.clone()));
}

/// Works on the leases of so many engines at a time; one whose target hangs holds one place.
async fn leases(vault: Arc<Vault>, most: usize, mut stop: Stop) {
    let mut lanes = Lanes::<EngineId>::default();
    while !*stop.borrow() {
        let mut nap = NAP_MAX;
        let room = most.max(1).saturating_sub(lanes.len());
        if room > 0 {
            match vault.leases_due(&lanes.busy(), room).await {
                Ok(due) if due.is_empty() => {
                    nap = next(&vault).await;
                    if nap <= NAP_MIN {
                        nap = match vault.leases_are_held() {
                            true => NAP_TROUBLE,
                            false => NAP_BUSY,
                        };
                    }
                }
                Ok(due) => {
                    for of_engine in due {
                        let (vault, engine) = (vault.clone(), of_engine.engine_id().clone());
                        lanes.start(
                            Some(engine),
                            async move { vault.leases_work(of_engine).await },
                        );
                    }
                    continue;
                }
                Err(error) => nap = trouble("leases", &error),
            }
        }
        tokio::select! {
            () = lanes.one_done() => {}
            () = vault.signals().leases() => {}
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
    lanes.finish().await;
}

async fn next(vault: &Vault) -> Duration {
    let next = vault.store().next_work().await.ok();
    match next.map(|next| next.lease_at) {
        Some(Some(at)) => at.since(vault.now()).clamp(NAP_MIN, NAP_MAX),
        Some(None) => NAP_IDLE,
        None => NAP_MAX,
    }
}

async fn tokens(vault: Arc<Vault>, mut stop: Stop) {
    while !*stop.borrow() {
        if let Err(error) = vault.leases_of_ended_tokens().await {
            trouble("leases of ended tokens", &error);
        }
        tokio::select! {
            () = tokio::time::sleep(TOKENS) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn sweeps(vault: Arc<Vault>, mut stop: Stop) {
    let mut nap = SWEEP_FIRST;
    while !*stop.borrow() {
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => return,
        }
        nap = match vault.engines_sweep_once().await {
            Ok(_) => SWEEP,
            Err(error) => trouble("sweep of engines", &error).max(SWEEP_FIRST),
        };
    }
}

/// Forgets leases that ended long ago, as fast as others end.
async fn pruning(vault: Arc<Vault>, mut stop: Stop) {
    while !*stop.borrow() {
        let nap = match vault.leases_prune(KEPT).await {
            Ok(0) => PRUNED,
            Ok(_) => PRUNED_NEXT,
            Err(error) => trouble("rows of ended leases", &error).max(PRUNED),
        };
        tokio::select! {
            () = tokio::time::sleep(nap) => {}
            _ = stop.changed() => {}
        }
    }
}

fn trouble(what: &str, error: &VaultError) -> Duration {
    tracing::warn!(worker = what, %error, "will try again");
    NAP_TROUBLE
}
