//! Nobody is cut off by what is owed: neither the consumers of a rotation that is given up, nor the
//! manager, nor another secret; and nothing that is owed is forgotten.

use std::sync::Mutex;
use std::time::Duration;

use scaivault_core::audit::Action;
use scaivault_core::debt::{Debt, Owed};
use scaivault_core::event::EventType;
use scaivault_core::ids::{DebtId, TargetId};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Op, Record, Store, TargetReads, Unit, UnitName};
use scaivault_core::rotation::{Assignment, Phase, Reason};
use scaivault_core::secret::{Version, VersionState};
use scaivault_core::target::{Overlap, Target, TroubleKind};
use scaivault_engine::{Act, VaultError, default_tenant};
use scaivault_testkit::{Fault, Luck, When};
use serde_json::{Map, json};

use crate::attachments::{attach, to};
use crate::debts::{abandon, debts, settle, state_of};
use crate::targets::{AT, attached, check, follow, only, rotate, rules};
use crate::world::{DAY, HOUR, RECEIVER, World, caller, password, path, root, write_of};

const MANAGER: &str = "db/manager";

async fn act(
    w: &World,
    at: &str,
    act: Act,
) -> Result<scaivault_core::rotation::Rotation, VaultError> {
    let id = w.rotations(at).await.last().unwrap().id.clone();
    w.vault.rotation_act(&root(), &id, act).await
}

async fn put(w: &World, record: Record) {
    let unit = Unit::new(UnitName::TargetWrite).op(Op::Put(record));
    Store::commit(&*w.sqlite, unit).await.unwrap();
}

async fn steps(w: &World) -> Vec<String> {
    let rows = w.audit().await.into_iter();
    let rows = rows.filter(|row| row.action == Action::RotationDebt);
    rows.filter_map(|row| row.extra_data.phase).collect()
}

// ---- giving up after promotion -----------------------------------------------------------------

#[tokio::test]
async fn while_consumers_may_use_the_old_credential_it_is_given_up_by_force_alone() {
    let w = attached(rules()).await;
    w.hear_all().await;
    rotate(&w).await;
    for phase in [Phase::Propagating, Phase::Parked] {
        assert_eq!(w.rotations(AT).await[0].phase, phase);
        let refused = act(&w, AT, Act::Abandon).await.unwrap_err();
        assert_eq!(refused.code(), "rotation_conflict");
        let text = refused.to_string();
        assert!(text.ends_with("abandon with force"), "{text}");
        let view = w.rotations(AT).await[0].clone();
        assert!(!Act::legal(&view).contains(&Act::Abandon));
        w.vault.debts_run_once().await.unwrap();
        assert!(w.target.accepts("app_a", "first"), "nobody is cut off");
        w.jump(HOUR * 7).await; // past its deadline
    }
    let ended = act(&w, AT, Act::AbandonByForce).await.unwrap();
    assert_eq!(
        (ended.phase, ended.reason),
        (Phase::Completed, Some(Reason::Abandoned))
    );
    assert!(ended.at_target.unwrap().forced);
    w.work().await;
    let told = w.told_of(RECEIVER, EventType::RotationForced);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["cause"], "abandoned");
    assert_eq!(told[0]["revoked_version"], 1);
    let trail = w.audit().await;
    let row = trail.iter().rev().find(|row| {
        row.action == Action::RotationStep && row.extra_data.error.as_deref() == Some("abandoned")
    });
    assert_eq!(row.unwrap().extra_data.reason.as_deref(), Some("forced"));
    settle(&w).await;
    only(&w, "app_b");
}

#[tokio::test]
async fn once_the_revocation_has_begun_it_is_given_up_without_force() {
    let w = attached(rules()).await;
    w.hear_all().await;
    rotate(&w).await;
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.target.sessions_of("app_a", 0);
    w.target.next([Luck::Refused(TroubleKind::Privilege); 3]);
    for _ in 0..6 {
        w.jump(Duration::from_secs(15)).await;
    }
    let parked = w.rotations(AT).await.remove(0);
    let resumes = parked.at_target.unwrap().resume_phase;
    assert_eq!(resumes, Some(Phase::Revoking), "no right to revoke");
    let ended = act(&w, AT, Act::Abandon).await.unwrap();
    assert_eq!(ended.phase, Phase::Completed);
    w.work().await;
    assert_eq!(w.told_of(RECEIVER, EventType::RotationForced).len(), 0);
    settle(&w).await;
    only(&w, "app_b");
}

#[tokio::test]
async fn stepping_back_after_promotion_the_new_credential_is_not_cut_off_either() {
    let w = attached(rules()).await;
    rotate(&w).await;
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.target.sessions_of("app_b", 1);
    act(&w, AT, Act::RollBack).await.unwrap();
    w.work().await;
    assert_eq!(w.rotations(AT).await[0].phase, Phase::RollingBack);
    let refused = act(&w, AT, Act::Abandon).await;
    assert!(matches!(refused, Err(VaultError::IllegalAct { .. })));
    w.vault.debts_run_once().await.unwrap();
    assert_eq!(w.target.accepted().len(), 2, "both are let in");
}

// ---- the manager -------------------------------------------------------------------------------

/// The target has a manager that logs in as `mgr_a`; the manager's secret is being rotated, the
/// target takes its new password alone, and readers still get the old one.
async fn manager_in_between() -> World {
    let w = attached(rules()).await;
    let data = json!({"username": "mgr_a", "password": "m-first"});
    let write = scaivault_engine::SecretWrite {
        data: Plaintext::new(data.to_string().into_bytes()),
        ..write_of(MANAGER, "m-first")
    };
    w.vault.secret_write(&root(), write).await.unwrap();
    w.target.account("mgr_a", "m-first");
    let target = TargetReads::target_named(&*w.sqlite, &default_tenant(), "orders-db").await;
    let target = target.unwrap().unwrap();
    let changed = Target {
        manager_path: Some(path(MANAGER)),
        revision: target.revision + 1,
        ..target
    };
    put(&w, Record::Target(changed)).await;
    let row = w.assignment(AT).await.unwrap();
    w.assign(&row.policy_id, MANAGER).await;
    let mut attached = row.attached.unwrap();
    attached.is_manager = true;
    attached.account = json!({"accounts": ["mgr_a", "mgr_b"]})
        .as_object()
        .cloned()
        .unwrap();
    let old = w.assignment(MANAGER).await.unwrap();
    let assignment = Assignment {
        attached: Some(attached),
        revision: old.revision + 1,
        ..old
    };
    put(&w, Record::Assignment(assignment)).await;
    w.vault
        .secret_rotate(&root(), &path(MANAGER))
        .await
        .unwrap();
    let _ = w.vault.rotation_run_once().await;
    let rotation = w.rotations(MANAGER).await.pop().unwrap();
    let at = rotation.at_target.as_ref().unwrap();
    assert!(at.maybe_live && at.promoted_at.is_none(), "{rotation:?}");
    // This connector has no way to change its manager: what arrived is put there by hand.
    let new = w.stored(MANAGER, 2).await.unwrap();
    w.target.account("mgr_b", &new);
    w.target.account("mgr_a", "replaced");
    w
}

/// The password the target was spoken to with last.
fn spoken_with(w: &World) -> String {
    password(&Plaintext::new(w.target.manager().unwrap()))
}

#[tokio::test]
async fn a_manager_in_between_is_not_given_up_by_any_means() {
    let w = manager_in_between().await;
    for by in [Act::Abandon, Act::AbandonByForce] {
        let refused = act(&w, MANAGER, by).await;
        assert!(matches!(refused, Err(VaultError::IllegalAct { .. })));
    }
    assert_eq!(debts(&w).await, []);
}

#[tokio::test]
async fn rehearsals_sweeps_and_debts_use_the_manager_that_is_let_in() {
    let w = manager_in_between().await;
    let new = w.stored(MANAGER, 2).await.unwrap();
    let by = root();
    let done = w.vault.rehearse(&by, "orders-db", None, Map::new()).await;
    let done = done.unwrap();
    assert!(done.passed(), "{done:?}");
    assert_eq!(spoken_with(&w), new);
    w.target.account("scaivault_rehearsal_lost_a", "x");
    w.vault.target_sweep(&root(), "orders-db").await.unwrap();
    assert_eq!(spoken_with(&w), new);
    // An owed credential of another secret there.
    let w = manager_in_between().await;
    let new = w.stored(MANAGER, 2).await.unwrap();
    w.target.next([Luck::AnswerLost]);
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    let _ = w.vault.rotation_run_once().await;
    abandon(&w).await.unwrap();
    w.vault.debts_run_once().await.unwrap();
    assert_eq!(steps(&w).await[2..4], ["retire_begin", "retire"]);
    assert_eq!(spoken_with(&w), new);
}

#[tokio::test]
async fn a_manager_whose_working_value_is_owed_is_still_let_in() {
    let w = manager_in_between().await;
    let new = w.stored(MANAGER, 2).await.unwrap();
    // Its rotation was given up all the same.
    let row = w.versions(MANAGER).await;
    let row = row.into_iter().find(|row| row.version == 2).unwrap();
    let owed = Version {
        state: VersionState::Owed,
        revision: row.revision + 1,
        ..row
    };
    put(&w, Record::Version(owed)).await;
    let released = w.assignment(MANAGER).await.unwrap().released(w.now());
    put(&w, Record::Assignment(released)).await;
    w.vault.target_sweep(&root(), "orders-db").await.unwrap();
    assert_eq!(spoken_with(&w), new);
}

// ---- another secret ----------------------------------------------------------------------------

/// `AT` owes a password of `app_b` that was never set, and is detached.
async fn owing_and_detached() -> World {
    let w = attached(rules()).await;
    w.target.next([Luck::RequestLost]);
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    let _ = w.vault.rotation_run_once().await;
    abandon(&w).await.unwrap();
    assert_eq!(debts(&w).await.len(), 1);
    w
}

#[tokio::test]
async fn an_account_with_a_debt_of_another_secret_is_not_given_away() {
    let w = owing_and_detached().await;
    let policy = w.assignment(AT).await.unwrap().policy_id;
    let detached = w.vault.assignment_delete(&root(), &policy, &path(AT)).await;
    detached.unwrap();
    crate::attachments::credential(&w, "db/other", "app").await;
    let refused = attach(&w, &policy, "db/other", to("orders-db", "app")).await;
    let Err(VaultError::Validation(fields)) = refused else {
        panic!("attached to an account with a debt");
    };
    assert_eq!(fields[0].0, "account");
    assert!(fields[0].1.contains("dbt_"), "{fields:?}");
    settle(&w).await;
    attach(&w, &policy, "db/other", to("orders-db", "app"))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_account_of_another_secret_is_left_alone() {
    let w = owing_and_detached().await;
    let row = w.assignment(AT).await.unwrap();
    let policy = row.policy_id.clone();
    let detached = w.vault.assignment_delete(&root(), &policy, &path(AT)).await;
    detached.unwrap();
    // Another secret has the account, however that came.
    w.put("db/other", "theirs").await;
    w.assign(&policy, "db/other").await;
    w.target.account("app_b", "theirs");
    let old = w.assignment("db/other").await.unwrap();
    let assignment = Assignment {
        attached: row.attached,
        revision: old.revision + 1,
        ..old
    };
    put(&w, Record::Assignment(assignment)).await;
    let effects = w.target.effects();
    w.vault.debts_run_once().await.unwrap();
    let trouble = debts(&w).await[0].trouble.clone().unwrap();
    assert_eq!(trouble.code.as_deref(), Some("account_taken"));
    settle(&w).await;
    assert!(w.target.accepts("app_b", "theirs"));
    assert_eq!(w.target.effects(), effects);
}

// ---- the worker --------------------------------------------------------------------------------

#[tokio::test]
async fn a_value_goes_to_the_target_only_after_its_row_is_stored() {
    let mut w = attached(rules()).await;
    rotate(&w).await;
    abandon(&w).await.unwrap();
    w.store.arm(UnitName::DebtClaim, When::Nth(1), Fault::Unit);
    w.vault.debts_run_once().await.unwrap_err();
    assert_eq!(steps(&w).await, [""; 0]);
    w.store
        .arm(UnitName::DebtClaim, When::Nth(1), Fault::Answer);
    w.restart();
    w.vault.debts_run_once().await.unwrap_err();
    assert_eq!(steps(&w).await, ["login_begin"]);
    w.restart();
    w.vault.debts_run_once().await.unwrap();
    assert_eq!(debts(&w).await, []);
}

#[tokio::test]
async fn a_worker_that_pauses_past_its_claim_tells_the_target_nothing() {
    let w = attached(rules()).await;
    rotate(&w).await;
    abandon(&w).await.unwrap();
    let (clock, claims) = (w.clock.clone(), Mutex::new(0));
    w.watched.watch(move |unit, _| {
        let mut claims = claims.lock().unwrap();
        if unit.name == UnitName::DebtClaim {
            *claims += 1;
            if *claims == 2 {
                clock.advance(Duration::from_secs(59));
            }
        }
    });
    let effects = w.target.effects();
    w.vault.debts_run_once().await.unwrap();
    assert_eq!(w.target.effects(), effects, "its claim may be over");
    assert_eq!(steps(&w).await.last().unwrap(), "retire_begin");
    settle(&w).await;
    only(&w, "app_b");
    check(&w).await;
}

// ---- nothing is forgotten ----------------------------------------------------------------------

#[tokio::test]
async fn what_is_owed_is_not_purged_before_it_is_revoked() {
    let w = attached(rules()).await;
    rotate(&w).await;
    abandon(&w).await.unwrap();
    w.target.unreachable(true);
    let refused = w.vault.secret_delete(&root(), &path(AT), true).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, VaultError::CredentialOwed(_)));
    assert_eq!(refused.code(), "rotation_in_progress");
    w.vault
        .secret_delete(&root(), &path(AT), false)
        .await
        .unwrap();
    w.clock.advance(DAY * 400);
    assert_eq!(w.vault.secrets_purge(100).await.unwrap(), 0);
    assert_eq!(state_of(&w, 1).await, VersionState::Owed);
    w.target.unreachable(false);
    settle(&w).await;
    only(&w, "app_b");
    assert_eq!(w.vault.secrets_purge(100).await.unwrap(), 1);
}

/// So many debts of a target that is gone, each older than any other.
async fn many_debts(w: &World, number: usize) {
    let before = w.now().minus(DAY);
    let elsewhere = TargetId::mint(before, &*w.entropy);
    let mut unit = Unit::new(UnitName::DebtSweep);
    for _ in 0..number {
        let owed = Owed::Account {
            account: Map::new(),
            overlap: Overlap::TwoUsers,
            tag: "gone".to_owned(),
        };
        let id = DebtId::mint(before, &*w.entropy);
        let target = (elsewhere.clone(), "gone".to_owned());
        let debt = Debt::new(id, default_tenant(), target, owed, before, before);
        unit = unit.put(Record::Debt(Debt {
            wake_at: None,
            ..debt
        }));
    }
    Store::commit(&*w.sqlite, unit).await.unwrap();
}

#[tokio::test]
async fn a_debt_behind_a_thousand_others_is_seen() {
    let mut w = attached(rules()).await;
    many_debts(&w, 1_001).await;
    w.target.account("scaivault_rehearsal_lost_a", "x");
    let found = w.vault.target_sweep(&root(), "orders-db").await.unwrap();
    assert_eq!(found.len(), 1);
    let again = w.vault.target_sweep(&root(), "orders-db").await.unwrap();
    assert_eq!(again, [], "each is found once");
    w.clock.advance(HOUR);
    w.vault.debts_run_once().await.unwrap();

    rotate(&w).await;
    abandon(&w).await.unwrap();
    // The worker dies between its effect and the row that follows.
    w.store.arm(UnitName::DebtStep, When::Nth(2), Fault::Unit);
    w.vault.debts_run_once().await.unwrap_err();
    let opened = w.vault.secret_rotate(&root(), &path(AT)).await;
    assert!(matches!(opened, Err(VaultError::Unavailable(_))));
    w.restart();
    w.vault.debts_run_once().await.unwrap();
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    assert_eq!(follow(&mut w).await, Phase::Completed);
}
