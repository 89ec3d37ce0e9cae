//! Rotations given up half-way, and what is done about what they leave at the target.

use std::time::Duration;

use scaivault_core::audit::Action;
use scaivault_core::debt::Debt;
use scaivault_core::event::EventType;
use scaivault_core::ports::{RunReads, UnitName};
use scaivault_core::rotation::{Phase, Reason};
use scaivault_core::secret::VersionState;
use scaivault_core::target::TroubleKind;
use scaivault_engine::{Act, VaultError, default_tenant};
use scaivault_testkit::{Fault, Luck, When};

use crate::targets::{AT, attached, check, follow, only, rotate, rules};
use crate::world::{DAY, HOUR, PAST_ANY_HOLD, RECEIVER, World, caller, path, root};

pub(crate) async fn debts(w: &World) -> Vec<Debt> {
    let rows = RunReads::debt_list(&*w.sqlite, &default_tenant(), None, 1_000).await;
    rows.unwrap()
}

/// The newest is given up, consumers or not.
pub(crate) async fn abandon(w: &World) -> Result<scaivault_core::rotation::Rotation, VaultError> {
    let id = w.rotations(AT).await.last().unwrap().id.clone();
    let act = Act::AbandonByForce;
    w.vault.rotation_act(&root(), &id, act).await
}

pub(crate) async fn state_of(w: &World, version: u64) -> VersionState {
    let rows = w.versions(AT).await;
    let row = rows.iter().find(|row| row.version == version);
    row.unwrap().state
}

/// Works on debts until there are none; time passes in between.
pub(crate) async fn settle(w: &World) {
    for _ in 0..60 {
        let _ = w.vault.debts_run_once().await;
        if debts(w).await.is_empty() {
            return;
        }
        w.clock.advance(Duration::from_secs(600));
    }
    panic!("never settled: {:?}", debts(w).await);
}

#[tokio::test]
async fn after_promotion_readers_keep_the_new_value_and_the_old_one_is_removed() {
    let w = attached(rules()).await;
    rotate(&w).await;
    let ended = abandon(&w).await.unwrap();
    assert_eq!(ended.phase, Phase::Completed);
    assert_eq!(ended.reason, Some(Reason::Abandoned));
    assert_eq!(w.head(AT).await.unwrap().current_version, 2);
    assert_eq!(state_of(&w, 1).await, VersionState::Owed);
    let assignment = w.assignment(AT).await.unwrap();
    assert_eq!(assignment.open_rotation, None, "the attachment is free");
    let old = w.read(&root(), AT, Some(1)).await;
    assert!(
        matches!(old, Err(VaultError::SecretExpired)),
        "nobody reads it"
    );
    check(&w).await;

    assert_eq!(debts(&w).await.len(), 1);
    w.vault.debts_run_once().await.unwrap();
    assert_eq!(debts(&w).await, []);
    assert_eq!(state_of(&w, 1).await, VersionState::Closed);
    only(&w, "app_b");
    let assignment = w.assignment(AT).await.unwrap();
    assert_eq!(assignment.claimed_until, None, "nothing is held");
    let trail = w.audit().await;
    let steps = trail
        .iter()
        .filter(|row| row.action == Action::RotationDebt);
    let steps: Vec<_> = steps
        .filter_map(|row| row.extra_data.phase.clone())
        .collect();
    let rows = ["login_begin", "login", "retire_begin", "retire"];
    assert_eq!(steps, [&rows[..], &rows[..2]].concat());
}

#[tokio::test]
async fn before_the_target_is_told_nothing_is_owed() {
    let w = attached(rules()).await;
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    let ended = abandon(&w).await.unwrap();
    assert_eq!(ended.phase, Phase::RolledBack);
    assert_eq!(debts(&w).await, []);
    assert_eq!(w.target.effects(), 0);
    let again = abandon(&w).await;
    assert!(matches!(again, Err(VaultError::IllegalAct { .. })));
}

#[tokio::test]
async fn a_change_that_may_still_arrive_is_fenced_before_its_debt_is_settled() {
    let w = attached(rules()).await;
    w.target
        .next([Luck::Late, Luck::Refused(TroubleKind::Privilege)]);
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    let _ = w.vault.rotation_run_once().await;
    let ended = abandon(&w).await.unwrap();
    assert_eq!(ended.phase, Phase::RolledBack);
    assert_eq!(state_of(&w, 2).await, VersionState::Owed);
    settle(&w).await;
    assert_eq!(w.target.arrive(), 1, "it arrives after all");
    only(&w, "app_a");
    assert!(w.target.accepts("app_a", "first"));
}

#[tokio::test]
async fn nothing_is_retired_while_a_rotation_is_unfinished_nor_what_the_current_value_needs() {
    let mut w = attached(rules()).await;
    rotate(&w).await;
    abandon(&w).await.unwrap();
    // The debt is app_a; the next rotation gives app_a a new password. It is the newest by its time.
    w.clock.advance(Duration::from_secs(1));
    rotate(&w).await;
    let effects = w.target.effects();
    for _ in 0..5 {
        w.vault.debts_run_once().await.unwrap();
        w.clock.advance(Duration::from_secs(600));
    }
    assert_eq!(w.target.effects(), effects, "nothing is told meanwhile");
    assert_eq!(w.head(AT).await.unwrap().current_version, 3);
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.target.sessions_of("app_b", 0);
    assert_eq!(follow(&mut w).await, Phase::Completed);
    settle(&w).await;
    only(&w, "app_a");
    check(&w).await;
    assert_eq!(state_of(&w, 1).await, VersionState::Closed);
}

#[tokio::test]
async fn an_owed_candidate_whose_account_the_current_value_needs_is_left_alone() {
    let mut w = attached(rules()).await;
    w.target.next([Luck::RequestLost]);
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    let _ = w.vault.rotation_run_once().await;
    abandon(&w).await.unwrap();
    assert_eq!(debts(&w).await.len(), 1);
    // The debt is a password of app_b that was never set; the next rotation moves to app_b. It is
    // the newest by its time.
    w.clock.advance(Duration::from_secs(1));
    rotate(&w).await;
    assert_eq!(follow(&mut w).await, Phase::Completed);
    only(&w, "app_b");
    let effects = w.target.effects();
    settle(&w).await;
    assert_eq!(w.target.effects(), effects, "the target was told nothing");
    only(&w, "app_b");
    assert_eq!(state_of(&w, 2).await, VersionState::Closed);
    check(&w).await;
}

#[tokio::test]
async fn no_rotation_opens_while_a_debt_is_being_told() {
    let mut w = attached(rules()).await;
    rotate(&w).await;
    abandon(&w).await.unwrap();
    // The worker dies between its effect and the row that follows.
    w.store.arm(UnitName::DebtStep, When::Nth(2), Fault::Unit);
    w.vault.debts_run_once().await.unwrap_err();
    let held = &debts(&w).await[0];
    assert!(held.to_tell && held.held_until.is_some());
    let opened = w.vault.secret_rotate(&root(), &path(AT)).await;
    assert!(matches!(opened, Err(VaultError::Unavailable(_))));
    let retried = w.vault.debt_retry(&root(), &held.id).await;
    assert!(matches!(retried, Err(VaultError::Unavailable(_))));
    w.clock.advance(PAST_ANY_HOLD);
    settle(&w).await;
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    assert_eq!(follow(&mut w).await, Phase::Completed);
    only(&w, "app_a");
}

#[tokio::test]
async fn every_commit_of_an_abandoned_rotation_and_its_debt_may_be_lost() {
    let names = [
        UnitName::RotationAbandon,
        UnitName::DebtClaim,
        UnitName::DebtStep,
        UnitName::DebtSettle,
    ];
    for name in names {
        for nth in 1..=3 {
            for fault in [Fault::Unit, Fault::Answer] {
                let mut w = attached(rules()).await;
                rotate(&w).await;
                w.store.arm(name, When::Nth(nth), fault);
                if abandon(&w).await.is_err() {
                    w.restart();
                    let _ = abandon(&w).await;
                }
                check(&w).await;
                for _ in 0..3 {
                    let _ = w.vault.debts_run_once().await;
                    check(&w).await;
                    w.restart();
                }
                settle(&w).await;
                let what = format!("{} {nth} {fault:?}", name.as_str());
                assert_eq!(state_of(&w, 1).await, VersionState::Closed, "{what}");
                assert_eq!(w.head(AT).await.unwrap().current_version, 2, "{what}");
                only(&w, "app_b");
            }
        }
    }
}

#[tokio::test]
async fn every_answer_of_the_target_may_be_lost_refused_or_late() {
    for luck in [
        Luck::AnswerLost,
        Luck::RequestLost,
        Luck::Late,
        Luck::Refused(TroubleKind::Privilege),
    ] {
        let w = attached(rules()).await;
        rotate(&w).await;
        abandon(&w).await.unwrap();
        w.target.next([luck]);
        settle(&w).await;
        w.target.arrive();
        check(&w).await;
        only(&w, "app_b");
    }
}

#[tokio::test]
async fn a_debt_is_tried_for_ever_at_a_low_rate_and_told_of_once_after_a_day() {
    let w = attached(rules()).await;
    w.hear_all().await;
    rotate(&w).await;
    abandon(&w).await.unwrap();
    w.target.unreachable(true);
    let end = w.now().plus(DAY * 3);
    while w.now() < end {
        w.vault.debts_run_once().await.unwrap();
        w.work().await;
        w.clock.advance(Duration::from_secs(60));
    }
    let debt = &debts(&w).await[0];
    assert!(
        (72..160).contains(&debt.attempts),
        "{} attempts",
        debt.attempts
    );
    let trouble = debt.trouble.as_ref().map(|trouble| trouble.kind);
    assert_eq!(trouble, Some(TroubleKind::Unreachable));
    assert_eq!(w.told_of(RECEIVER, EventType::RotationDebt).len(), 1);
    let figures = w.vault.debt_figures().await.unwrap();
    assert_eq!((figures.count, figures.oldest.as_secs() / 3_600), (1, 72));

    // By request it is tried at once.
    w.target.unreachable(false);
    w.vault.debt_retry(&root(), &debt.id).await.unwrap();
    w.vault.debts_run_once().await.unwrap();
    assert_eq!(debts(&w).await, []);
    only(&w, "app_b");
}

#[tokio::test]
async fn an_owed_version_does_not_age_out() {
    let w = attached(rules()).await;
    rotate(&w).await;
    abandon(&w).await.unwrap();
    w.target.unreachable(true);
    for number in 0..15 {
        let data =
            serde_json::json!({"username": "app_b", "password": format!("by hand {number}")});
        let write = scaivault_engine::SecretWrite {
            data: scaivault_core::plaintext::Plaintext::new(data.to_string().into_bytes()),
            ..crate::world::write_of(AT, "x")
        };
        w.vault.secret_write(&root(), write).await.unwrap();
    }
    assert_eq!(state_of(&w, 1).await, VersionState::Owed);
    w.target.unreachable(false);
    settle(&w).await;
    assert!(!w.target.accepts("app_a", "first"));
}

#[tokio::test]
async fn a_write_off_needs_an_administrator_and_a_reason_and_stays_on_the_trail() {
    let w = attached(rules()).await;
    rotate(&w).await;
    abandon(&w).await.unwrap();
    let id = debts(&w).await[0].id.clone();
    let rotate_only =
        crate::world::scoped("sa:x", &[scaivault_core::identity::Scope::SecretsRotate]);
    let refused = w.vault.debt_write_off(&rotate_only, &id, "gone").await;
    assert!(matches!(refused, Err(VaultError::Scope(_))));
    let (seen, _) = w.vault.debts_list(&rotate_only, None, 10).await.unwrap();
    assert_eq!(seen, [], "who may not rotate it does not see it");
    let empty = w.vault.debt_write_off(&root(), &id, "  ").await;
    assert!(matches!(empty, Err(VaultError::Validation(_))));
    for fault in [Fault::Unit, Fault::Answer] {
        w.store.arm(UnitName::DebtWriteOff, When::Nth(1), fault);
        let done = w.vault.debt_write_off(&root(), &id, "scrapped").await;
        assert!(done.is_err());
    }
    let done = w.vault.debt_write_off(&root(), &id, "scrapped").await;
    assert!(
        matches!(done, Err(VaultError::NotFound(_))),
        "it was written off"
    );
    assert_eq!(debts(&w).await, []);
    assert_eq!(state_of(&w, 1).await, VersionState::Closed);
    let trail = w.audit().await;
    let row = trail
        .iter()
        .filter(|row| row.action == Action::RotationDebtWriteOff && row.success);
    let reasons: Vec<_> = row
        .filter_map(|row| row.extra_data.reason.clone())
        .collect();
    assert_eq!(reasons, ["scrapped"]);
}

#[tokio::test]
async fn a_secret_deleted_in_the_middle_leaves_a_debt_and_no_orphan() {
    let w = attached(rules()).await;
    rotate(&w).await;
    let refused = w.vault.secret_delete(&root(), &path(AT), false).await;
    assert!(matches!(refused, Err(VaultError::RotationUnfinished(_))));
    abandon(&w).await.unwrap();
    let deleted = w.vault.secret_delete(&root(), &path(AT), false).await;
    deleted.unwrap();
    assert_eq!(debts(&w).await.len(), 1, "the old credential");
    settle(&w).await;
    only(&w, "app_b");
}

#[tokio::test]
async fn a_rotation_that_revokes_for_hours_is_shown_beside_the_debts() {
    let w = attached(rules()).await;
    rotate(&w).await;
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.target.sessions_of("app_a", 0);
    let refusals = [Luck::Refused(TroubleKind::Privilege); 40];
    w.target.next(refusals);
    for _ in 0..30 {
        w.clock.advance(Duration::from_secs(60));
        let _ = w.vault.rotation_run_once().await;
    }
    assert!(w.vault.debts_stuck(&root()).await.unwrap().is_empty());
    for _ in 0..8 {
        w.clock.advance(Duration::from_secs(900));
        let _ = w.vault.rotation_run_once().await;
    }
    let stuck = w.vault.debts_stuck(&root()).await.unwrap();
    assert_eq!(stuck.len(), 1);
    assert!(w.now().since(stuck[0].since) > HOUR);
}
