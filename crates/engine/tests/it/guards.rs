//! What stands between a value and a host of somebody's choice, and between a target and the loss
//! of its manager.

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditRow};
use scaivault_core::debt::{Debt, Owed};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{DebtId, RotationId, RotationPolicyId, TargetId};
use scaivault_core::ports::{Op, Record, Store, TargetReads, Unit, UnitName};
use scaivault_core::rotation::{Assignment, Attached};
use scaivault_core::secret::SecretHead;
use scaivault_core::target::{Overlap, Target};
use scaivault_core::time::Timestamp;
use scaivault_engine::{
    Attach, AttachTo, Caller, TargetChange, TargetDraft, VaultError, default_tenant,
};
use scaivault_testkit::{Fault, SCRIPTED, When};
use serde_json::{Map, Value, json};

use crate::attachments::{attach, credential, policy, to};
use crate::debts::debts;
use crate::targets::rules;
use crate::world::{DAY, HOUR, World, caller, path, root, scoped};

const AT: &str = "db/orders";
const MANAGER: &str = "db/manager";

/// A secret, a policy, and a target with a manager, nothing attached yet.
async fn managed() -> (World, RotationPolicyId, Target) {
    let w = World::new().await;
    w.target.needs_manager(true);
    credential(&w, AT, "app").await;
    w.put(MANAGER, "of-the-manager").await;
    let draft = TargetDraft {
        name: "orders-db".to_owned(),
        description: None,
        connector: SCRIPTED.to_owned(),
        settings: Map::new(),
        manager_path: Some(path(MANAGER)),
    };
    let target = w.vault.target_create(&root(), draft).await.unwrap();
    let policy = policy(&w, "databases", rules()).await;
    (w, policy, target)
}

async fn attach_as(
    w: &World,
    who: &Caller,
    policy: &RotationPolicyId,
    to: AttachTo,
) -> Result<(), VaultError> {
    let attach = Attach {
        to: Some(to),
        turn: None,
    };
    let made = w
        .vault
        .assignment_attach(who, policy, &path(AT), &attach)
        .await;
    made.map(|_| ())
}

async fn moved(w: &World, who: &Caller, host: &str) -> Result<Target, VaultError> {
    let settings = json!({ "host": host }).as_object().cloned().unwrap();
    let change = TargetChange {
        settings,
        ..TargetChange::default()
    };
    w.vault.target_change(who, "orders-db", change).await
}

async fn stored(w: &World) -> Target {
    let found = TargetReads::target_named(&*w.sqlite, &default_tenant(), "orders-db").await;
    found.unwrap().unwrap()
}

async fn commit(w: &World, unit: Unit) {
    Store::commit(&*w.sqlite, unit).await.unwrap();
}

/// Rows of an action, oldest first.
async fn rows(w: &World, action: Action) -> Vec<AuditRow> {
    let all = w.audit().await.into_iter();
    all.filter(|row| row.action == action).collect()
}

/// What is still to be removed of the secret at `at`.
async fn owe(w: &World, target: &Target, at: &str) -> Debt {
    let now = w.now();
    let attached = Attached {
        target_id: target.id.clone(),
        target_name: target.name.clone(),
        overlap: Overlap::TwoUsers,
        account: Map::new(),
        is_manager: false,
    };
    let owed = Owed::Credential {
        path: path(at),
        version: 1,
        rotation_id: RotationId::mint(now, &*w.entropy),
        attached,
        may_arrive: false,
    };
    let id = DebtId::mint(now, &*w.entropy);
    let whose = (target.id.clone(), target.name.clone());
    let debt = Debt::new(id, default_tenant(), whose, owed, now, now.plus(DAY));
    let unit = Unit::new(UnitName::DebtStep).put(Record::Debt(debt.clone()));
    commit(w, unit).await;
    debt
}

/// The right to administer alone would hand any value to a host of one's own.
#[tokio::test]
async fn whoever_attaches_a_secret_to_a_target_may_read_it() {
    let (w, policy, _) = managed().await;
    let admin = caller("user:admin");
    let untried = AttachTo {
        strategy: Some(Overlap::TwoUsers),
        unverified: true,
        ..to("orders-db", "app")
    };
    for given in [to("orders-db", "app"), untried] {
        let refused = attach_as(&w, &admin, &policy, given).await;
        assert!(matches!(refused, Err(VaultError::Denied(_))), "{refused:?}");
    }
    assert!(w.assignment(AT).await.is_none());
    assert_eq!(w.target.manager(), None, "the target was not asked");
    let row = rows(&w, Action::RotationAssign).await.remove(0);
    assert!(!row.success);
    assert_eq!(row.secret_path, Some(path(AT)));
    // A schedule alone sends nothing.
    let alone = w.vault.assignment_create(&admin, &policy, &path(AT)).await;
    alone.unwrap();

    w.grant("user:admin", AT, &[Permission::Read]).await;
    let narrow = scoped("user:admin", &[Scope::Admin]);
    let refused = attach_as(&w, &narrow, &policy, to("orders-db", "app")).await;
    assert_eq!(refused, Err(VaultError::Scope(Scope::SecretsRead)));
    let made = attach_as(&w, &admin, &policy, to("orders-db", "app")).await;
    made.unwrap();
}

#[tokio::test]
async fn whoever_moves_a_target_may_read_all_that_is_sent_there() {
    let (w, policy, target) = managed().await;
    attach(&w, &policy, AT, to("orders-db", "app"))
        .await
        .unwrap();
    let debt = owe(&w, &target, "db/gone").await;
    let admin = caller("user:admin");
    let mut refused_for = Vec::new();
    for granted in [MANAGER, "db/gone", AT] {
        let refused = moved(&w, &admin, "mine").await;
        assert!(matches!(refused, Err(VaultError::Denied(_))), "{refused:?}");
        let row = rows(&w, Action::TargetUpdate).await.pop().unwrap();
        assert!(!row.success);
        refused_for.extend(row.secret_path);
        w.grant("user:admin", granted, &[Permission::Read]).await;
    }
    assert_eq!(refused_for, [path(MANAGER), path("db/gone"), path(AT)]);
    assert_eq!(stored(&w).await.settings, Map::new());
    assert_eq!(moved(&w, &admin, "b").await.unwrap().settings["host"], "b");
    assert_eq!(debts(&w).await, [debt]);
}

#[tokio::test]
async fn no_value_is_sent_to_be_adopted_before_its_row_is_on_the_trail() {
    for (nth, expect_manager) in [(1, false), (2, true)] {
        let (w, policy, _) = managed().await;
        // A login would be refused, and so be seen.
        w.target.account("app_a", "another");
        w.store
            .arm(UnitName::AuditOnly, When::Nth(nth), Fault::Unit);
        let refused = attach(&w, &policy, AT, to("orders-db", "app")).await;
        assert!(
            matches!(refused, Err(VaultError::Unavailable(_))),
            "{nth}: {refused:?}"
        );
        assert_eq!(w.target.manager().is_some(), expect_manager, "{nth}");
    }
    let (w, policy, target) = managed().await;
    attach(&w, &policy, AT, to("orders-db", "app"))
        .await
        .unwrap();
    let trail = w.audit().await;
    let about = trail.iter().filter(|row| row.secret_path.is_some());
    let about: Vec<_> = about
        .filter(|row| matches!(row.action, Action::Read | Action::RotationAssign))
        .map(|row| {
            let path = row.secret_path.as_ref().unwrap().as_str();
            (row.action, path, row.extra_data.target_id.clone())
        })
        .collect();
    let there = Some(target.id);
    assert_eq!(
        about,
        [
            (Action::Read, MANAGER, there.clone()),
            (Action::Read, AT, there),
            (Action::RotationAssign, AT, None),
        ]
    );
}

#[tokio::test]
async fn a_look_for_drift_sends_nothing_before_its_row_is_on_the_trail() {
    let (w, policy, target) = managed().await;
    attach(&w, &policy, AT, to("orders-db", "app"))
        .await
        .unwrap();
    let before = rows(&w, Action::Read).await.len();
    w.target.account("app_a", "changed");
    w.clock.advance(HOUR);
    let look = async || w.vault.probes_claim(&[], 9).await.unwrap().remove(0);
    w.store.arm(UnitName::AuditOnly, When::Nth(1), Fault::Unit);
    w.vault.probe_work(look().await).await.unwrap_err();
    let probe = w.assignment(AT).await.unwrap().probe;
    assert_eq!(probe.suspicion, None, "the target was not asked");
    w.clock.advance(crate::world::PAST_ANY_HOLD);
    w.vault.probe_work(look().await).await.unwrap();
    let probe = w.assignment(AT).await.unwrap().probe;
    assert!(probe.suspicion.is_some());
    let reads = rows(&w, Action::Read).await.split_off(before);
    assert_eq!(reads.len(), 1);
    assert_eq!(reads[0].secret_path, Some(path(AT)));
    assert_eq!(reads[0].extra_data.target_id, Some(target.id));
    assert_eq!(reads[0].extra_data.version, Some(1));
}

#[tokio::test]
async fn a_managers_secret_is_not_deleted_while_a_target_names_it() {
    let (w, _, target) = managed().await;
    let at = path(MANAGER);
    for permanent in [false, true] {
        let refused = w.vault.secret_delete(&root(), &at, permanent).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused, VaultError::ManagerInUse(target.name.clone()));
        assert_eq!(refused.code(), "target_in_use");
    }
    assert_eq!(w.head(MANAGER).await.unwrap().recoverable_until, None);
    // As a store from before this refusal may have it.
    let head = w.head(MANAGER).await.unwrap();
    let gone = SecretHead {
        recoverable_until: Some(w.now().plus(HOUR)),
        revision: head.revision + 1,
        ..head
    };
    commit(
        &w,
        Unit::new(UnitName::SecretDelete).put(Record::Secret(gone)),
    )
    .await;
    w.clock.advance(HOUR * 2);
    assert_eq!(w.vault.secrets_purge(9).await.unwrap(), 0, "it is kept");
    w.vault.target_delete(&root(), "orders-db").await.unwrap();
    assert_eq!(w.vault.secrets_purge(9).await.unwrap(), 1);
}

/// Whoever read the head of the secret before, to delete it, conflicts.
#[tokio::test]
async fn naming_a_managers_secret_writes_its_head() {
    let (w, _, target) = managed().await;
    assert_eq!(w.head(MANAGER).await.unwrap().revision, 2);
    w.put("db/other", "of-another").await;
    let change = TargetChange {
        manager_path: Some(path("db/other")),
        ..TargetChange::default()
    };
    let id = target.id.as_str();
    w.vault.target_change(&root(), id, change).await.unwrap();
    assert_eq!(w.head("db/other").await.unwrap().revision, 2);
    moved(&w, &root(), "b").await.unwrap();
    assert_eq!(
        w.head("db/other").await.unwrap().revision,
        2,
        "named already"
    );
    let deleted = w.vault.secret_delete(&root(), &path(MANAGER), false).await;
    deleted.unwrap();
}

#[tokio::test]
async fn a_target_is_not_deleted_while_something_is_owed_there() {
    let (w, _, target) = managed().await;
    let debt = owe(&w, &target, "db/gone").await;
    let refused = w.vault.target_delete(&root(), "orders-db").await;
    assert_eq!(refused, Err(VaultError::TargetInUse));
    let unit = Unit::new(UnitName::DebtSettle).op(Op::Delete(Record::Debt(debt)));
    commit(&w, unit).await;
    w.vault.target_delete(&root(), "orders-db").await.unwrap();
}

#[tokio::test]
async fn a_target_keeps_its_manager_while_that_is_attached_as_such() {
    let (w, policy, target) = managed().await;
    w.put("db/other", "of-another").await;
    w.assign(&policy, MANAGER).await;
    let row = w.assignment(MANAGER).await.unwrap();
    let attached = Assignment {
        attached: Some(Attached {
            target_id: target.id.clone(),
            target_name: target.name.clone(),
            overlap: Overlap::None,
            account: Map::new(),
            is_manager: true,
        }),
        revision: row.revision + 1,
        ..row
    };
    let unit = Unit::new(UnitName::AssignmentWrite).put(Record::Assignment(attached));
    commit(&w, unit).await;
    let change = async || {
        let change = TargetChange {
            manager_path: Some(path("db/other")),
            ..TargetChange::default()
        };
        w.vault.target_change(&root(), "orders-db", change).await
    };
    let Err(VaultError::Validation(problems)) = change().await else {
        panic!("it is accepted")
    };
    assert_eq!(problems[0].0, "manager_path");
    assert!(problems[0].1.contains(MANAGER), "{problems:?}");
    assert_eq!(stored(&w).await.manager_path, Some(path(MANAGER)));
    moved(&w, &root(), "b").await.unwrap();
    let at = path(MANAGER);
    w.vault
        .assignment_delete(&root(), &policy, &at)
        .await
        .unwrap();
    assert_eq!(change().await.unwrap().manager_path, Some(path("db/other")));
}

#[tokio::test]
async fn one_rehearsal_at_a_time_is_under_way_at_a_target() {
    let (w, _, target) = managed().await;
    let rehearse = async || {
        let none: Map<String, Value> = Map::new();
        w.vault.rehearse(&root(), "orders-db", None, none).await
    };
    let revision = async |id: &TargetId| {
        let found = TargetReads::target_find(&*w.sqlite, &default_tenant(), id).await;
        found.unwrap().unwrap().revision
    };
    // It is cut before its end.
    w.store
        .arm(UnitName::RehearsalEnd, When::Nth(1), Fault::Unit);
    let _ = rehearse().await.unwrap_err();
    let (effects, began) = (w.target.effects(), w.now());
    assert_eq!(
        revision(&target.id).await,
        2,
        "of two at once, one conflicts"
    );
    let second = rehearse().await;
    assert!(
        matches!(&second, Err(VaultError::Unavailable(why)) if why.contains("rehearsal")),
        "{second:?}"
    );
    assert_eq!(w.target.effects(), effects);
    let free: Timestamp = debts(&w).await[0].wake_at.unwrap();
    assert!(free > began);
    w.clock.set(free);
    assert!(rehearse().await.unwrap().passed());
}
