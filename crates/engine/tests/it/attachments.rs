//! Attaching secrets to targets: nothing is attached that does not work, nothing is taken away
//! from under a rotation that may have left something at its target.

use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::ids::{RotationPolicyId, TargetId};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Record, Store, TargetReads, Unit, UnitName};
use scaivault_core::rotation::{Calendar, Phase, Reason, Rules, RulesChange, Turn, Which};
use scaivault_core::target::{Overlap, Target};
use scaivault_engine::{
    Act, Attach, AttachTo, Attachment, Missing, RotationPolicyChange, VaultError, default_tenant,
};
use scaivault_testkit::{Fault, SCRIPTED, When};
use serde_json::json;

use crate::world::{HOUR, World, caller, ninety_days, path, root, span, work_slice, write_of};

const AT: &str = "db/orders";

pub(crate) async fn target(w: &World, name: &str) -> TargetId {
    let target = Target {
        id: TargetId::mint(w.now(), &*w.entropy),
        tenant: default_tenant(),
        name: name.to_owned(),
        description: None,
        connector: SCRIPTED.to_owned(),
        settings: serde_json::Map::new(),
        manager_path: None,
        created_at: w.now(),
        updated_at: w.now(),
        swept_at: None,
        revision: 1,
    };
    let id = target.id.clone();
    let unit = Unit::new(UnitName::TargetWrite).put(Record::Target(target));
    Store::commit(&*w.sqlite, unit).await.unwrap();
    id
}

/// A credential of the account `<name>_a`, which the target accepts.
pub(crate) async fn credential(w: &World, at: &str, name: &str) {
    let user = format!("{name}_a");
    let data = json!({"username": user, "password": "first"});
    let write = scaivault_engine::SecretWrite {
        data: Plaintext::new(data.to_string().into_bytes()),
        ..write_of(at, "first")
    };
    w.vault.secret_write(&root(), write).await.unwrap();
    w.target.account(&user, "first");
}

pub(crate) fn to(target: &str, name: &str) -> AttachTo {
    let account = json!({"accounts": [format!("{name}_a"), format!("{name}_b")]});
    AttachTo {
        target: target.to_owned(),
        account: account.as_object().cloned(),
        ..AttachTo::default()
    }
}

pub(crate) async fn attach(
    w: &World,
    policy: &RotationPolicyId,
    at: &str,
    to: AttachTo,
) -> Result<Attachment, VaultError> {
    let attach = Attach {
        to: Some(to),
        turn: None,
    };
    let at = path(at);
    w.vault
        .assignment_attach(&root(), policy, &at, &attach)
        .await
}

fn rules() -> Rules {
    Rules {
        consumers: Which::Live(span("1h")),
        quiet_period: span("30s"),
        deadline: Some(span("6h")),
        ..Rules::default()
    }
}

pub(crate) async fn policy(w: &World, name: &str, rules: Rules) -> RotationPolicyId {
    let mut draft = ninety_days(name);
    draft.rules = rules;
    w.policy(draft).await.id
}

/// A secret, its target and its policy, not attached yet.
async fn furnished() -> (World, RotationPolicyId) {
    let w = World::new().await;
    credential(&w, AT, "app").await;
    target(&w, "orders-db").await;
    let policy = policy(&w, "databases", rules()).await;
    w.grant("sa:app", "**", &[Permission::Read]).await;
    (w, policy)
}

/// Lets time pass until the newest rotation of `at` has ended; its consumer follows.
async fn ended(w: &World, at: &str) -> Phase {
    for _ in 0..200 {
        work_slice(&w.vault).await.unwrap();
        let last = w.rotations(at).await.pop().unwrap();
        if last.phase.is_final() {
            return last.phase;
        }
        let _ = w.read(&caller("sa:app"), at, None).await;
        w.clock.advance(Duration::from_secs(15));
    }
    panic!("never ends: {:?}", w.rotations(at).await.last());
}

fn fields(error: VaultError) -> Vec<String> {
    match error {
        VaultError::Validation(fields) => fields.into_iter().map(|(field, _)| field).collect(),
        other => panic!("not about fields: {other:?}"),
    }
}

#[tokio::test]
async fn a_credential_is_adopted_after_a_real_login_and_then_rotates() {
    let (w, policy) = furnished().await;
    let made = attach(&w, &policy, AT, to("orders-db", "app")).await;
    let row = made.unwrap().assignment;
    let attached = row.attached.unwrap();
    assert_eq!(attached.overlap, Overlap::TwoUsers, "the safest there");
    assert_eq!(attached.target_name, "orders-db");
    assert_eq!(w.target.effects(), 0, "adopted without a change");
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    assert_eq!(ended(&w, AT).await, Phase::Completed);
    assert!(!w.target.accepts("app_a", "first"));
    w.assert_chain_verifies().await;
}

#[tokio::test]
async fn what_the_target_refuses_is_not_attached_unless_a_person_says_so() {
    let (w, policy) = furnished().await;
    w.target.account("app_a", "another");
    let refused = attach(&w, &policy, AT, to("orders-db", "app")).await;
    let Err(VaultError::NotAdopted { trouble, advice }) = refused else {
        panic!("attached: {refused:?}");
    };
    assert_eq!(trouble, "credential");
    assert!(advice.contains("nothing was attached"), "{advice}");
    w.target.unreachable(true);
    let unknown = attach(&w, &policy, AT, to("orders-db", "app")).await;
    assert!(
        matches!(&unknown, Err(VaultError::NotAdopted { trouble, .. }) if *trouble == "unreachable"),
        "{unknown:?}"
    );
    assert!(w.assignment(AT).await.is_none());
    let audit = w.audit().await;
    let failed = |row: &&scaivault_core::audit::AuditRow| {
        row.action == Action::RotationAssign && !row.success
    };
    assert_eq!(
        audit.iter().filter(failed).count(),
        2,
        "both are on the trail"
    );
    let trusted = AttachTo {
        strategy: Some(Overlap::TwoUsers),
        unverified: true,
        ..to("orders-db", "app")
    };
    attach(&w, &policy, AT, trusted).await.unwrap();
    assert!(w.assignment(AT).await.unwrap().attached.is_some());
    assert_eq!(w.target.effects(), 0);
}

#[tokio::test]
async fn bad_attachments_name_their_field() {
    let (w, policy) = furnished().await;
    let base = || to("orders-db", "app");
    let cases = [
        (to("no-such-target", "app"), vec!["target"]),
        (
            AttachTo {
                strategy: Some(Overlap::NKeys),
                ..base()
            },
            vec!["strategy"],
        ),
        (
            AttachTo {
                account: Some(serde_json::Map::new()),
                ..base()
            },
            vec!["account.accounts"],
        ),
        (
            AttachTo {
                manager: true,
                ..base()
            },
            vec!["manager"],
        ),
        (
            AttachTo {
                create: true,
                ..base()
            },
            vec!["create"],
        ),
        (
            AttachTo {
                strategy: Some(Overlap::None),
                ..base()
            },
            vec!["strategy"],
        ),
    ];
    for (given, expect) in cases {
        let refused = attach(&w, &policy, AT, given.clone()).await;
        assert_eq!(fields(refused.unwrap_err()), expect, "{given:?}");
    }
    let absent = attach(&w, &policy, "db/absent", base()).await;
    assert_eq!(absent.unwrap_err(), VaultError::NotFound(Missing::Secret));
    // One account is rotated as one secret.
    attach(&w, &policy, AT, base()).await.unwrap();
    credential(&w, "db/other", "app").await;
    let taken = attach(&w, &policy, "db/other", base()).await;
    assert_eq!(fields(taken.unwrap_err()), ["account"]);
    let stranger = caller("sa:stranger");
    let attach = Attach {
        to: Some(AttachTo {
            create: true,
            ..to("orders-db", "new")
        }),
        turn: None,
    };
    let new = path("db/new");
    let refused = w
        .vault
        .assignment_attach(&stranger, &policy, &new, &attach)
        .await;
    assert!(matches!(refused, Err(VaultError::Denied(_))), "{refused:?}");
}

#[tokio::test]
async fn an_attachment_is_written_over_what_was_looked_at() {
    let (w, policy) = furnished().await;
    let id = target(&w, "second-db").await;
    let (head, tenant) = (w.head(AT).await.unwrap(), default_tenant());
    attach(&w, &policy, AT, to(id.as_str(), "app"))
        .await
        .unwrap();
    // Whoever read head or target before loses against the attachment.
    assert_eq!(w.head(AT).await.unwrap().revision, head.revision + 1);
    let found = TargetReads::target_find(&*w.sqlite, &tenant, &id).await;
    let found = found.unwrap().unwrap();
    assert_eq!(found.revision, 2);
    let refused = w.vault.target_delete(&root(), id.as_str()).await;
    assert_eq!(refused, Err(VaultError::TargetInUse));
    // Again changes nothing; other settings change it.
    let again = attach(&w, &policy, AT, to(id.as_str(), "app")).await;
    assert_eq!(again.unwrap().assignment, w.assignment(AT).await.unwrap());
    let moved = attach(&w, &policy, AT, to("orders-db", "app")).await;
    let attached = moved.unwrap().assignment.attached.unwrap();
    assert_eq!(attached.target_name, "orders-db");
    w.vault.target_delete(&root(), id.as_str()).await.unwrap();
}

#[tokio::test]
async fn a_new_credential_is_made_by_its_first_rotation() {
    let (w, policy) = furnished().await;
    let create = || AttachTo {
        create: true,
        ..to("orders-db", "fresh")
    };
    for fault in [Fault::Unit, Fault::Answer] {
        let at = format!("db/new-{fault:?}").to_lowercase();
        w.store.arm(UnitName::AssignmentWrite, When::Nth(1), fault);
        let mut name = create();
        name.account = to("orders-db", &at.replace('/', "_")).account;
        let lost = attach(&w, &policy, &at, name.clone()).await;
        assert!(matches!(lost, Err(VaultError::Unavailable(_))), "{lost:?}");
        let again = attach(&w, &policy, &at, name).await;
        match fault {
            // All of it was there: the secret, its attachment, its rotation.
            Fault::Answer => assert!(
                matches!(again, Err(VaultError::RotationUnfinished(_))),
                "{again:?}"
            ),
            _ => assert!(again.unwrap().assignment.open_rotation.is_some()),
        }
        assert_eq!(w.rotations(&at).await.len(), 1);
        let early = w.read(&root(), &at, None).await;
        assert_eq!(early.unwrap_err(), VaultError::NotFound(Missing::Version));
        assert_eq!(ended(&w, &at).await, Phase::Completed);
        let password = w.read(&root(), &at, None).await.unwrap();
        let user = format!("{}_a", at.replace('/', "_"));
        assert!(w.target.accepts(&user, &password));
        let twice = attach(&w, &policy, &at, create()).await;
        assert_eq!(fields(twice.unwrap_err()), ["create"]);
    }
    w.assert_chain_verifies().await;
}

#[tokio::test]
async fn without_overlap_the_policy_accepts_the_gap_by_name() {
    let (w, strict) = furnished().await;
    let accepting = Rules {
        accept_gap: true,
        ..rules()
    };
    let lenient = policy(&w, "lenient", accepting).await;
    w.target.supports(&[Overlap::None]);
    let none = || AttachTo {
        strategy: Some(Overlap::None),
        ..to("orders-db", "app")
    };
    let refused = attach(&w, &strict, AT, none()).await;
    assert_eq!(fields(refused.unwrap_err()), ["strategy"]);
    let unasked = attach(&w, &strict, AT, to("orders-db", "app")).await;
    assert_eq!(fields(unasked.unwrap_err()), ["strategy"]);
    attach(&w, &lenient, AT, none()).await.unwrap();
    // Neither the policy nor the secret may slip from under the promise.
    let change = RotationPolicyChange {
        rules: Some(RulesChange {
            accept_gap: Some(false),
            ..RulesChange::default()
        }),
        ..RotationPolicyChange::default()
    };
    let refused = w
        .vault
        .rotation_policy_change(&root(), &lenient, change)
        .await;
    assert_eq!(fields(refused.unwrap_err()), ["rules.accept_gap"]);
    let at = path(AT);
    let moved = w.vault.assignment_create(&root(), &strict, &at).await;
    assert_eq!(fields(moved.unwrap_err()), ["strategy"]);
    let mut write = write_of(AT, "first");
    write.rotation_policy_id = Some(strict.clone());
    let moved = w.vault.secret_write(&root(), write).await;
    assert_eq!(fields(moved.unwrap_err()), ["options.rotation_policy_id"]);
    // And if it does, the rotation stops before anything is told to the target.
    let row = w.assignment(AT).await.unwrap();
    let slipped = scaivault_core::rotation::Assignment {
        policy_id: strict,
        revision: row.revision + 1,
        ..row
    };
    let unit = Unit::new(UnitName::AssignmentWrite).put(Record::Assignment(slipped));
    Store::commit(&*w.sqlite, unit).await.unwrap();
    w.vault.secret_rotate(&root(), &at).await.unwrap();
    w.work().await;
    let rotation = w.rotations(AT).await.pop().unwrap();
    assert_eq!(
        (rotation.phase, rotation.reason),
        (Phase::Parked, Some(Reason::GapNotAccepted))
    );
    w.vault
        .rotation_act(&root(), &rotation.id, Act::Resume)
        .await
        .unwrap();
    w.work().await;
    assert_eq!(w.rotation(&rotation.id).await.phase, Phase::Parked);
    assert_eq!(w.target.effects(), 0);
}

/// Everything that would take the ground from under the rotation of [`AT`].
async fn undermine(w: &World, policy: &RotationPolicyId, other: &RotationPolicyId) -> Vec<String> {
    let at = path(AT);
    let vault = &w.vault;
    let mut moved = write_of(AT, "by-hand");
    moved.rotation_policy_id = Some(other.clone());
    let second = AttachTo {
        ..to("second-db", "app")
    };
    let outcomes = [
        (
            "soft delete",
            vault.secret_delete(&root(), &at, false).await.err(),
        ),
        (
            "permanent delete",
            vault.secret_delete(&root(), &at, true).await.err(),
        ),
        (
            "detach",
            vault.assignment_delete(&root(), policy, &at).await.err(),
        ),
        (
            "move",
            vault.assignment_create(&root(), other, &at).await.err(),
        ),
        ("other target", attach(w, policy, AT, second).await.err()),
        (
            "delete policy",
            vault.rotation_policy_delete(&root(), policy).await.err(),
        ),
        ("put", w.put_as(&root(), AT, "by-hand").await.err()),
        (
            "put and move",
            vault.secret_write(&root(), moved).await.err(),
        ),
    ];
    let id = w.rotations(AT).await.pop().unwrap().id;
    let expect = VaultError::RotationUnfinished(id);
    let slipped = outcomes.into_iter();
    slipped
        .filter(|(_, error)| error.as_ref() != Some(&expect))
        .map(|(what, error)| format!("{what}: {error:?}"))
        .collect()
}

#[tokio::test]
async fn nothing_is_taken_from_under_a_rotation_at_a_target() {
    let (w, policy_id) = furnished().await;
    target(&w, "second-db").await;
    let other = policy(&w, "other", rules()).await;
    attach(&w, &policy_id, AT, to("orders-db", "app"))
        .await
        .unwrap();
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..200 {
        let phase = w.rotations(AT).await.pop().unwrap().phase;
        if phase.is_final() {
            break;
        }
        if !seen.contains(&phase) {
            seen.push(phase);
            let slipped = undermine(&w, &policy_id, &other).await;
            assert!(slipped.is_empty(), "in {phase:?}: {slipped:?}");
        }
        work_slice(&w.vault).await.unwrap();
        let _ = w.read(&caller("sa:app"), AT, None).await;
        w.clock.advance(Duration::from_secs(5));
    }
    let expect = [Phase::Generating, Phase::Propagating, Phase::Draining];
    assert!(expect.iter().all(|one| seen.contains(one)), "{seen:?}");
    // Parked is unfinished as well.
    w.target.unreachable(true);
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    w.live(HOUR).await;
    assert_eq!(w.rotations(AT).await.pop().unwrap().phase, Phase::Parked);
    let slipped = undermine(&w, &policy_id, &other).await;
    assert!(slipped.is_empty(), "{slipped:?}");
    w.target.unreachable(false);
    let id = w.rotations(AT).await.pop().unwrap().id;
    let back = w.vault.rotation_act(&root(), &id, Act::RollBack).await;
    back.unwrap();
    assert_eq!(ended(&w, AT).await, Phase::RolledBack);
    // Over: all of it is allowed again.
    w.put(AT, "by-hand").await;
    let at = path(AT);
    w.vault
        .assignment_create(&root(), &other, &at)
        .await
        .unwrap();
    w.vault
        .rotation_policy_delete(&root(), &policy_id)
        .await
        .unwrap();
    w.vault
        .assignment_delete(&root(), &other, &at)
        .await
        .unwrap();
    w.vault.secret_delete(&root(), &at, true).await.unwrap();
    w.assert_chain_verifies().await;
}

#[tokio::test]
async fn a_group_is_kept_and_its_name_checked() {
    let (w, policy) = furnished().await;
    let grouped = |name: &str| Attach {
        to: Some(to("orders-db", "app")),
        turn: Some(Turn {
            group: name.to_owned(),
            order: 3,
        }),
    };
    let at = path(AT);
    for bad in ["", " x", "x\n", &"x".repeat(65)] {
        let refused = w
            .vault
            .assignment_attach(&root(), &policy, &at, &grouped(bad))
            .await;
        assert_eq!(fields(refused.unwrap_err()), ["group.name"]);
    }
    w.vault
        .assignment_attach(&root(), &policy, &at, &grouped("orders"))
        .await
        .unwrap();
    // What is not given stays.
    w.vault
        .assignment_create(&root(), &policy, &at)
        .await
        .unwrap();
    let row = w.assignment(AT).await.unwrap();
    assert_eq!(row.turn.unwrap().order, 3);
    assert!(row.attached.is_some());
}

#[tokio::test]
async fn what_waited_for_a_value_from_outside_ends_when_a_target_is_told() {
    let (w, policy) = furnished().await;
    w.assign(&policy, AT).await;
    let waiting = w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    assert!(waiting.awaits_value());
    attach(&w, &policy, AT, to("orders-db", "app"))
        .await
        .unwrap();
    let ended = w.rotation(&waiting.id).await;
    assert_eq!(
        (ended.phase, ended.reason),
        (Phase::RolledBack, Some(Reason::Detached))
    );
    let next = w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    assert!(next.at_target.is_some());
    w.assert_chain_verifies().await;
}

#[tokio::test]
async fn a_secret_that_goes_all_the_same_parks_its_rotation_until_it_is_back() {
    let (w, policy) = furnished().await;
    attach(&w, &policy, AT, to("orders-db", "app"))
        .await
        .unwrap();
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    w.work().await;
    // As a store from before these refusals may have it.
    let deleted = async |until: Option<scaivault_core::time::Timestamp>| {
        let head = w.head(AT).await.unwrap();
        let head = scaivault_core::secret::SecretHead {
            recoverable_until: until,
            revision: head.revision + 1,
            ..head
        };
        let unit = Unit::new(UnitName::SecretDelete).put(Record::Secret(head));
        Store::commit(&*w.sqlite, unit).await.unwrap();
    };
    deleted(Some(w.now().plus(HOUR))).await;
    w.jump(HOUR * 2).await;
    let parked = w.rotations(AT).await.pop().unwrap();
    assert_eq!(
        (parked.phase, parked.reason),
        (Phase::Parked, Some(Reason::SecretDeleted)),
        "ending it would leave a credential that nobody looks after"
    );
    assert_eq!(
        w.vault.secrets_purge(10).await.unwrap(),
        0,
        "nor is it purged"
    );
    deleted(None).await;
    w.vault
        .rotation_act(&root(), &parked.id, Act::Resume)
        .await
        .unwrap();
    assert_eq!(ended(&w, AT).await, Phase::Completed);
}

/// The next moment of this weekday (0: Thursday) and hour in UTC.
fn next(w: &World, weekday: i64, hour: i64) -> scaivault_core::time::Timestamp {
    let now = w.now().as_secs();
    let day = now / 86_400;
    let ahead = (weekday - day % 7).rem_euclid(7);
    let at = (day + ahead) * 86_400 + hour * 3_600;
    let at = if at > now { at } else { at + 7 * 86_400 };
    scaivault_core::time::Timestamp::from_secs(at)
}

fn calendar(windows: serde_json::Value, cron: Option<&str>) -> Calendar {
    let given = json!({"windows": windows, "cron": cron, "time_zone": "UTC"});
    serde_json::from_value(given).unwrap()
}

#[tokio::test]
async fn rotations_by_schedule_begin_in_windows_and_those_by_hand_at_once() {
    let w = World::new().await;
    let mut draft = ninety_days("saturdays");
    draft.auto_generate = true;
    draft.interval = span("1d");
    draft.warn_before = Vec::new();
    draft.calendar = calendar(
        json!([{"days": ["sat"], "from": "22:00", "to": "04:00"}]),
        None,
    );
    w.rotated_secret("a/b", draft).await;
    let now = w.now();
    let mut opens = next(&w, 2, 22);
    if opens < now.plus(Duration::from_secs(86_400)) {
        opens = opens.plus(7 * 24 * HOUR); // not due before
    }
    let due = w.assignment("a/b").await.unwrap().next_rotation_at;
    assert_eq!(due, opens);
    // Down from before the window until an hour after it: not outside, but in the next one.
    w.clock.set(opens.plus(7 * HOUR));
    w.work().await;
    assert!(w.rotations("a/b").await.is_empty());
    let week = opens.plus(7 * 24 * HOUR);
    assert_eq!(w.assignment("a/b").await.unwrap().next_rotation_at, week);
    w.live_until(week.plus(Duration::from_secs(1))).await;
    let rotations = w.rotations("a/b").await;
    assert_eq!(rotations.len(), 1);
    assert_eq!(rotations[0].opened_at, week);
    // By hand on a Wednesday.
    w.live_until(week.plus(4 * 24 * HOUR)).await;
    w.vault.secret_rotate(&root(), &path("a/b")).await.unwrap();
    assert_eq!(w.rotations("a/b").await.len(), 2);
    // A server that is down only for a part of the window uses the rest of it.
    let third = w.assignment("a/b").await.unwrap().next_rotation_at;
    assert_eq!(third, week.plus(7 * 24 * HOUR));
    w.clock.set(third.plus(5 * HOUR));
    w.work().await;
    assert_eq!(w.rotations("a/b").await.len(), 3);
}

#[tokio::test]
async fn cron_takes_the_place_of_the_interval() {
    let w = World::new().await;
    let mut draft = ninety_days("sundays");
    draft.auto_generate = true;
    draft.calendar = calendar(json!([]), Some("0 3 * * sun"));
    let id = w.rotated_secret("a/b", draft).await;
    let first = next(&w, 3, 3);
    assert_eq!(w.assignment("a/b").await.unwrap().next_rotation_at, first);
    w.live_until(first.plus(Duration::from_secs(1))).await;
    assert_eq!(w.rotations("a/b").await[0].opened_at, first);
    let second = first.plus(7 * 24 * HOUR);
    assert_eq!(w.assignment("a/b").await.unwrap().next_rotation_at, second);
    // Without the pattern an interval is needed again.
    let none = || scaivault_core::rotation::CalendarChange {
        cron: Some(None),
        ..Default::default()
    };
    let change = RotationPolicyChange {
        calendar: Some(none()),
        ..RotationPolicyChange::default()
    };
    let refused = w.vault.rotation_policy_change(&root(), &id, change).await;
    assert_eq!(fields(refused.unwrap_err()), ["interval"]);
    let change = RotationPolicyChange {
        calendar: Some(none()),
        interval: Some(span("2d")),
        ..RotationPolicyChange::default()
    };
    w.vault
        .rotation_policy_change(&root(), &id, change)
        .await
        .unwrap();
    w.work().await;
    let due = w.assignment("a/b").await.unwrap().next_rotation_at;
    assert_eq!(due, first.plus(2 * 24 * HOUR));
}
