//! Rehearsals at a target in memory, and the sweep.

use std::time::Duration;

use scaivault_core::audit::Action;
use scaivault_core::ports::{TargetReads, UnitName};
use scaivault_core::target::{Overlap, TroubleKind};
use scaivault_engine::{Rehearsal, VaultError, default_tenant};
use scaivault_testkit::{Fault, Luck, When};
use serde_json::Map;

use crate::debts::debts;
use crate::targets::{AT, attached, only, rules};
use crate::world::{DAY, HOUR, World, path, root, scoped};

const TARGET: &str = "orders-db";

async fn rehearse(w: &World) -> Result<Rehearsal, VaultError> {
    w.vault.rehearse(&root(), TARGET, None, Map::new()).await
}

fn outcomes(rehearsal: &Rehearsal) -> Vec<(&'static str, &'static str)> {
    let steps = rehearsal.steps.iter();
    steps.map(|step| (step.name, step.outcome())).collect()
}

/// Nothing of a rehearsal is left, at the latest when the worker of debts has been there.
async fn nothing_is_left(w: &World, what: &str) {
    for _ in 0..30 {
        let _ = w.vault.debts_run_once().await;
        w.clock.advance(Duration::from_secs(120));
    }
    assert_eq!(debts(w).await, [], "{what}");
    only(w, "app_a");
    w.target.arrive();
    only(w, "app_a");
}

#[tokio::test]
async fn every_step_is_reported_and_nothing_is_left() {
    let w = attached(rules()).await;
    let done = rehearse(&w).await.unwrap();
    assert!(done.passed(), "{done:?}");
    let names = ["create", "verify", "switch", "drain", "revoke", "remove"];
    assert_eq!(outcomes(&done), names.map(|name| (name, "ok")));
    assert_eq!(done.overlap, Overlap::TwoUsers);
    assert_eq!(debts(&w).await, []);
    only(&w, "app_a");
    assert_eq!(w.versions(AT).await.len(), 1, "no value of it is stored");
    assert_eq!(
        w.target.effects(),
        4,
        "two credentials, one retired, all removed"
    );
}

#[tokio::test]
async fn an_attached_secret_rehearses_its_own_plan() {
    let w = attached(rules()).await;
    let policy = w.assignment(AT).await.unwrap().policy_id;
    let done = w.vault.rehearse_secret(&root(), &policy, &path(AT)).await;
    assert!(done.unwrap().passed());
    only(&w, "app_a");
    let stranger = scoped("sa:x", &[scaivault_core::identity::Scope::SecretsRotate]);
    let refused = w.vault.rehearse_secret(&stranger, &policy, &path(AT)).await;
    assert!(matches!(refused, Err(VaultError::Denied(_))));
    let refused = w.vault.rehearse(&stranger, TARGET, None, Map::new()).await;
    assert!(matches!(refused, Err(VaultError::Scope(_))));
}

#[tokio::test]
async fn what_cannot_be_rehearsed_is_refused_before_anything_happens() {
    let w = attached(rules()).await;
    let overlap = Some(Overlap::NKeys);
    let refused = w.vault.rehearse(&root(), TARGET, overlap, Map::new()).await;
    assert!(matches!(refused, Err(VaultError::Validation(_))));
    let missing = w.vault.rehearse(&root(), "nowhere", None, Map::new()).await;
    assert!(matches!(missing, Err(VaultError::NotFound(_))));
    assert_eq!(w.target.effects(), 0);
}

#[tokio::test]
async fn a_step_that_fails_ends_it_with_a_partial_report_and_the_rest_is_removed() {
    // The fourth change is the removal itself.
    for (nth, failed) in ["create", "switch", "revoke", "remove"].iter().enumerate() {
        for luck in [
            Luck::Refused(TroubleKind::Privilege),
            Luck::AnswerLost,
            Luck::RequestLost,
        ] {
            let w = attached(rules()).await;
            let mut script = vec![Luck::Good; nth];
            script.push(luck);
            w.target.next(script);
            let done = rehearse(&w).await.unwrap();
            let what = format!("{luck:?} at {failed}");
            assert!(!done.passed(), "{what}");
            let step = done.steps.iter().find(|step| step.trouble.is_some());
            assert_eq!(step.unwrap().name, *failed, "{what}");
            let skipped = done.steps.iter().filter(|step| step.took.is_none());
            let expect = [4, 2, 0, 0][nth];
            assert_eq!(skipped.count(), expect, "{what}");
            // Where nobody knows, it is removed once more.
            let refused = luck == Luck::Refused(TroubleKind::Privilege);
            assert_eq!(
                done.debt.is_some(),
                !refused || *failed == "remove",
                "{what}"
            );
            nothing_is_left(&w, &what).await;
        }
    }
}

#[tokio::test]
async fn what_arrives_after_the_removal_is_removed_later() {
    let w = attached(rules()).await;
    w.target.next([Luck::Late]);
    let done = rehearse(&w).await.unwrap();
    assert_eq!(done.steps[5].outcome(), "ok", "there was nothing to remove");
    assert_eq!(w.target.arrive(), 1);
    assert_eq!(w.target.accepted().len(), 2);
    nothing_is_left(&w, "late").await;
}

#[tokio::test]
async fn every_commit_of_a_rehearsal_may_be_lost() {
    for name in [UnitName::RehearsalBegin, UnitName::RehearsalEnd] {
        for fault in [Fault::Unit, Fault::Answer] {
            let mut w = attached(rules()).await;
            w.store.arm(name, When::Nth(1), fault);
            rehearse(&w).await.unwrap_err();
            if name == UnitName::RehearsalBegin {
                assert_eq!(w.target.effects(), 0, "nothing before the debt is stored");
            }
            w.restart();
            nothing_is_left(&w, &format!("{} {fault:?}", name.as_str())).await;
        }
    }
}

#[tokio::test]
async fn a_rehearsal_that_is_cut_is_cleaned_up_later() {
    let w = attached(rules()).await;
    w.target.next([Luck::Good, Luck::Good, Luck::Late]);
    w.store
        .arm(UnitName::RehearsalEnd, When::Every, Fault::Unit);
    w.target.next([Luck::RequestLost]);
    rehearse(&w).await.unwrap_err();
    assert!(w.target.accepted().len() > 1, "it left something");
    assert_eq!(w.vault.debts_run_once().await.unwrap(), 0, "not at once");
    nothing_is_left(&w, "cut").await;
}

#[tokio::test]
async fn the_sweep_finds_what_belongs_to_nothing_and_removes_it_an_hour_later() {
    let mut w = attached(rules()).await;
    w.target.account("scaivault_rehearsal_lost_a", "x");
    for fault in [Fault::Unit, Fault::Answer] {
        // The first one says that it begins.
        w.store.arm(UnitName::DebtSweep, When::Nth(2), fault);
        w.vault.target_sweep(&root(), TARGET).await.unwrap_err();
        w.restart();
    }
    assert_eq!(debts(&w).await.len(), 1);
    let again = w.vault.target_sweep(&root(), TARGET).await.unwrap();
    assert_eq!(again, [], "each is found once");
    w.vault.debts_run_once().await.unwrap();
    assert!(w.target.accepts("scaivault_rehearsal_lost_a", "x"));
    w.clock.advance(HOUR);
    w.vault.debts_run_once().await.unwrap();
    assert_eq!(debts(&w).await, []);
    only(&w, "app_a");
    // By itself, over every target.
    w.target.account("scaivault_rehearsal_other_a", "x");
    assert_eq!(w.vault.sweeps_run_once().await.unwrap(), 1);
    w.target.unreachable(true);
    assert_eq!(w.vault.sweeps_run_once().await.unwrap(), 0);
    let target = TargetReads::target_named(&*w.sqlite, &default_tenant(), TARGET).await;
    let by_id = target.unwrap().unwrap().id;
    let down = w.vault.target_sweep(&root(), by_id.as_str()).await;
    assert!(matches!(down, Err(VaultError::Unavailable(_))));
}

/// Nodes that were started together: each target is listed by one of them, and what is found at the
/// same time by another sweep is written down once.
#[tokio::test]
async fn sweeps_of_several_nodes_find_each_leftover_once() {
    let w = attached(rules()).await;
    let other = w.another_vault();
    w.target.account("scaivault_rehearsal_lost_a", "x");
    let (one, two) = tokio::join!(w.vault.sweeps_run_once(), other.sweeps_run_once());
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(debts(&w).await.len(), 1);
    let trail = w.audit().await;
    let sweeps = trail
        .iter()
        .filter(|row| row.action == Action::RotationSweep);
    assert_eq!(sweeps.count(), 2, "one began, and ended");
    // By hand, at the same time.
    w.target.account("scaivault_rehearsal_more_a", "x");
    let who = root();
    let (one, two) = tokio::join!(
        w.vault.target_sweep(&who, TARGET),
        other.target_sweep(&who, TARGET)
    );
    assert_eq!(one.unwrap().len() + two.unwrap().len(), 1);
    assert_eq!(debts(&w).await.len(), 2);
    // By themselves only once a day.
    w.target.account("scaivault_rehearsal_new_a", "x");
    w.clock.advance(HOUR);
    assert_eq!(other.sweeps_run_once().await.unwrap(), 0);
    w.clock.advance(DAY - HOUR);
    assert_eq!(other.sweeps_run_once().await.unwrap(), 1);
}
