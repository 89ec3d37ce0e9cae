//! Credentials of a target, rotated by the engine: in order, with every commit lost once, with
//! every change's answer lost once. After each: some stored value works, and in the end the old
//! one does not.

use std::time::Duration;

use scaivault_core::ids::TargetId;
use scaivault_core::ports::{Op, Record, Store, Unit, UnitName};
use scaivault_core::rotation::{Assignment, Attached, Phase, Reason, Rules, Which};
use scaivault_core::secret::VersionState;
use scaivault_core::target::{Overlap, Target, TroubleKind};
use scaivault_engine::{Act, VaultError, default_tenant};
use scaivault_testkit::{Fault, Luck, SCRIPTED, When};
use serde_json::json;

use crate::world::{HOUR, PAST_ANY_HOLD, World, caller, ninety_days, path, root, span};

pub(crate) const AT: &str = "db/orders";

/// A secret whose first credential the target accepts, attached to it, read by one consumer.
pub(crate) async fn attached(rules: Rules) -> World {
    attached_in(World::new().await, rules).await
}

/// The same in this world.
pub(crate) async fn attached_in(w: World, rules: Rules) -> World {
    let data = json!({"username": "app_a", "password": "first", "host": "db"});
    let write = scaivault_engine::SecretWrite {
        data: scaivault_core::plaintext::Plaintext::new(data.to_string().into_bytes()),
        ..crate::world::write_of(AT, "first")
    };
    w.vault.secret_write(&root(), write).await.unwrap();
    w.target.account("app_a", "first");
    w.target.sessions_of("app_a", 1);
    let mut draft = ninety_days("databases");
    draft.rules = rules;
    let policy = w.policy(draft).await;
    w.assign(&policy.id, AT).await;
    let target = Target {
        id: TargetId::mint(w.now(), &*w.entropy),
        tenant: default_tenant(),
        name: "orders-db".to_owned(),
        description: None,
        connector: SCRIPTED.to_owned(),
        settings: serde_json::Map::new(),
        manager_path: None,
        created_at: w.now(),
        updated_at: w.now(),
        revision: 1,
    };
    let old = w.assignment(AT).await.unwrap();
    let attached = Attached {
        target_id: target.id.clone(),
        target_name: target.name.clone(),
        overlap: Overlap::TwoUsers,
        account: json!({"accounts": ["app_a", "app_b"]})
            .as_object()
            .cloned()
            .unwrap(),
        is_manager: false,
    };
    let assignment = Assignment {
        attached: Some(attached),
        revision: old.revision + 1,
        ..old
    };
    let unit = Unit::new(UnitName::TargetWrite)
        .put(Record::Target(target))
        .op(Op::Put(Record::Assignment(assignment)));
    Store::commit(&*w.sqlite, unit).await.unwrap();
    w.grant("sa:app", "**", &[scaivault_core::access::Permission::Read])
        .await;
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w
}

/// Asks for a rotation and lets the worker do what can be done at once.
pub(crate) async fn rotate(w: &World) {
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    w.work().await;
}

pub(crate) fn rules() -> Rules {
    Rules {
        consumers: Which::Live(span("1h")),
        quiet_period: span("30s"),
        deadline: Some(span("6h")),
        ..Rules::default()
    }
}

/// What readers get is accepted, and nothing is accepted that is not stored.
pub(crate) async fn check(w: &World) {
    let rows = w.versions(AT).await;
    let head = w.head(AT).await.unwrap();
    let mut stored = Vec::new();
    for row in &rows {
        stored.push((row.version, w.stored(AT, row.version).await.unwrap()));
    }
    let accepted = w.target.accepted();
    let current = &stored
        .iter()
        .find(|(v, _)| *v == head.current_version)
        .unwrap()
        .1;
    assert!(
        accepted.iter().any(|(_, password)| password == current),
        "locked out: readers get v{} and the target accepts {} pairs",
        head.current_version,
        accepted.len()
    );
    for (_, password) in &accepted {
        let known = stored.iter().any(|(_, value)| value == password);
        assert!(known, "the target accepts a credential nobody stored");
    }
}

/// Works and lets time pass until the rotation ends; the consumer follows, its old sessions
/// close when it holds the new version.
pub(crate) async fn follow(w: &mut World) -> Phase {
    for _ in 0..200 {
        // A lost commit may surface as an error; the next round goes on from the record.
        let _ = crate::world::work_slice(&w.vault).await;
        check(w).await;
        let rotations = w.rotations(AT).await;
        let rotation = rotations.last().unwrap();
        if rotation.phase.is_final() {
            return rotation.phase;
        }
        if w.read(&caller("sa:app"), AT, None).await.is_ok() {
            let name = match rotation.phase {
                Phase::RollingBack => "app_b",
                _ => "app_a",
            };
            w.target.sessions_of(name, 0);
        }
        w.clock.advance(Duration::from_secs(15));
    }
    panic!("never ends: {:?}", w.rotations(AT).await.last());
}

pub(crate) fn only(w: &World, account: &str) {
    let accepted = w.target.accepted();
    let names: Vec<&str> = accepted.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [account]);
}

#[tokio::test]
async fn a_rotation_goes_through_every_phase_and_closes_the_old_credential() {
    let mut w = attached(rules()).await;
    rotate(&w).await;
    let phase = w.rotations(AT).await[0].phase;
    assert_eq!(phase, Phase::Propagating, "readers have the new value");
    assert_eq!(w.head(AT).await.unwrap().current_version, 2);
    assert!(w.target.accepts("app_a", "first"), "both are accepted");
    // The consumer is behind: nothing is revoked, however often the worker looks.
    for _ in 0..20 {
        w.clock.advance(Duration::from_secs(60));
        w.work().await;
        assert!(w.target.accepts("app_a", "first"));
    }
    assert_eq!(follow(&mut w).await, Phase::Completed);
    only(&w, "app_b");
    let states: Vec<_> = w.versions(AT).await.iter().map(|row| row.state).collect();
    assert_eq!(states, [VersionState::Current, VersionState::Closed]);
    // And back to the first account with the next one.
    rotate(&w).await;
    w.target.sessions_of("app_b", 0);
    assert_eq!(follow(&mut w).await, Phase::Completed);
    only(&w, "app_a");
    w.assert_chain_verifies().await;
}

#[tokio::test]
async fn an_open_session_of_the_old_account_holds_the_revocation() {
    let mut w = attached(rules()).await;
    rotate(&w).await;
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    for _ in 0..40 {
        w.target.sessions_of("app_a", 1);
        w.clock.advance(Duration::from_secs(60));
        w.work().await;
        assert!(w.target.accepts("app_a", "first"));
    }
    assert_eq!(w.rotations(AT).await[0].phase, Phase::Draining);
    assert_eq!(follow(&mut w).await, Phase::Completed);
    only(&w, "app_b");
}

#[tokio::test]
async fn every_commit_may_be_lost_before_and_after() {
    let names = [
        UnitName::RotationOpen,
        UnitName::RotationPlan,
        UnitName::RotationSend,
        UnitName::RotationSent,
        UnitName::RotationLook,
        UnitName::RotationEnter,
        UnitName::RotationPromote,
        UnitName::RotationClose,
        UnitName::RotationWait,
    ];
    for name in names {
        for nth in 1..=2 {
            for fault in [Fault::Unit, Fault::Answer] {
                let mut w = attached(rules()).await;
                w.store.arm(name, When::Nth(nth), fault);
                let asked = w.vault.secret_rotate(&root(), &path(AT)).await;
                check(&w).await;
                if asked.is_err() && w.rotations(AT).await.is_empty() {
                    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
                }
                // The process dies where it stands; the next one knows what is stored.
                w.restart();
                check(&w).await;
                let ended = follow(&mut w).await;
                assert_eq!(ended, Phase::Completed, "{} {nth} {fault:?}", name.as_str());
                only(&w, "app_b");
            }
        }
    }
}

#[tokio::test]
async fn every_change_may_be_lost_refused_or_late() {
    let lucks = [
        Luck::AnswerLost,
        Luck::RequestLost,
        Luck::Late,
        Luck::Refused(TroubleKind::Unreachable),
        Luck::Refused(TroubleKind::Privilege),
    ];
    for nth in 0..2 {
        for luck in lucks {
            let mut w = attached(rules()).await;
            let mut script = vec![Luck::Good; nth];
            script.push(luck);
            w.target.next(script);
            w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
            check(&w).await;
            let ended = follow(&mut w).await;
            w.target.arrive();
            check(&w).await;
            assert_eq!(ended, Phase::Completed, "{luck:?} at change {nth}");
            only(&w, "app_b");
        }
    }
}

#[tokio::test]
async fn a_target_that_is_down_parks_with_a_reason_and_resumes_by_itself() {
    let mut w = attached(rules()).await;
    w.target.unreachable(true);
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    w.live(HOUR).await;
    let rotation = &w.rotations(AT).await[0];
    assert_eq!(
        (rotation.phase, rotation.reason),
        (Phase::Parked, Some(Reason::TargetTrouble))
    );
    let trouble = rotation.trouble.as_ref().map(|trouble| trouble.kind);
    assert_eq!(trouble, Some(TroubleKind::Unreachable));
    assert_eq!(w.target.effects(), 0);
    w.target.unreachable(false);
    w.clock.advance(PAST_ANY_HOLD);
    w.clock.advance(HOUR);
    assert_eq!(follow(&mut w).await, Phase::Completed);
}

#[tokio::test]
async fn a_step_that_failed_waits_before_its_next_attempt() {
    let w = attached(rules()).await;
    w.target.next([Luck::Refused(TroubleKind::Unreachable); 3]);
    for failed in 1..=3 {
        match failed {
            1 => rotate(&w).await,
            _ => w.work().await,
        }
        let rotation = &w.rotations(AT).await[0];
        assert_eq!(
            (rotation.phase, rotation.attempts),
            (Phase::Applying, failed)
        );
        let next = rotation.wake_at.unwrap();
        assert!(next > w.now(), "not in the same breath");
        w.clock.set(next);
    }
    w.work().await;
    assert_eq!(w.rotations(AT).await[0].phase, Phase::Propagating);
}

#[tokio::test]
async fn a_reported_deadline_rolls_back_where_the_policy_says_so() {
    let mut w = attached(Rules {
        on_deadline: scaivault_core::rotation::OnDeadline::RollBack,
        ..rules()
    })
    .await;
    rotate(&w).await;
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    // A session of the old account never ends.
    for _ in 0..7 {
        w.target.sessions_of("app_a", 3);
        w.jump(HOUR).await;
        check(&w).await;
    }
    assert_eq!(w.head(AT).await.unwrap().current_version, 1);
    assert_eq!(follow(&mut w).await, Phase::RolledBack);
    only(&w, "app_a");
    assert!(w.target.accepts("app_a", "first"));
}

#[tokio::test]
async fn stepping_back_survives_the_loss_of_every_commit() {
    let names = [
        UnitName::RotationStepBack,
        UnitName::RotationDemote,
        UnitName::RotationSend,
        UnitName::RotationSent,
        UnitName::RotationLook,
        UnitName::RotationFinish,
    ];
    for name in names {
        for fault in [Fault::Unit, Fault::Answer] {
            let mut w = attached(Rules {
                on_deadline: scaivault_core::rotation::OnDeadline::RollBack,
                ..rules()
            })
            .await;
            rotate(&w).await;
            w.read(&caller("sa:app"), AT, None).await.unwrap();
            w.target.sessions_of("app_a", 3);
            w.clock.advance(HOUR * 7);
            w.store.arm(name, When::Nth(1), fault);
            let _ = crate::world::work_slice(&w.vault).await;
            check(&w).await;
            w.restart();
            let ended = follow(&mut w).await;
            assert_eq!(ended, Phase::RolledBack, "{} {fault:?}", name.as_str());
            only(&w, "app_a");
        }
    }
}

#[tokio::test]
async fn asking_again_in_between_opens_no_second_rotation_and_loses_no_candidate() {
    let mut w = attached(rules()).await;
    w.target.next([Luck::AnswerLost]);
    for _ in 0..12 {
        w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
        let _ = w.vault.rotation_run_once().await;
        check(&w).await;
        assert_eq!(w.rotations(AT).await.len(), 1);
        w.clock.advance(Duration::from_secs(5));
    }
    assert_eq!(w.versions(AT).await.len(), 2, "one candidate was made");
    assert_eq!(follow(&mut w).await, Phase::Completed);
    only(&w, "app_b");
}

#[tokio::test]
async fn a_person_rolls_back_while_consumers_move() {
    let mut w = attached(rules()).await;
    rotate(&w).await;
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    let id = w.rotations(AT).await[0].id.clone();
    let early = w.vault.rotation_act(&root(), &id, Act::Resume).await;
    assert!(matches!(early, Err(VaultError::IllegalAct { .. })));
    let stepping = w.vault.rotation_act(&root(), &id, Act::RollBack).await;
    assert_eq!(stepping.unwrap().phase, Phase::RollingBack);
    w.work().await;
    assert_eq!(w.head(AT).await.unwrap().current_version, 1);
    check(&w).await;
    assert_eq!(follow(&mut w).await, Phase::RolledBack);
    only(&w, "app_a");
    let ended = w.rotation(&id).await;
    assert_eq!(ended.reason, Some(Reason::ByHand));
    let late = w.vault.rotation_act(&root(), &id, Act::RollBack).await;
    assert!(matches!(late, Err(VaultError::IllegalAct { .. })));
}

#[tokio::test]
async fn a_parked_rotation_goes_on_at_once_when_resumed() {
    let mut w = attached(rules()).await;
    w.target.next([Luck::Refused(TroubleKind::Privilege)]);
    rotate(&w).await;
    let parked = w.rotations(AT).await[0].clone();
    assert_eq!(parked.phase, Phase::Parked);
    let stranger = caller("sa:stranger");
    let refused = w
        .vault
        .rotation_act(&stranger, &parked.id, Act::Resume)
        .await;
    assert!(refused.is_err(), "who may not rotate may not resume");
    w.vault
        .rotation_act(&root(), &parked.id, Act::Resume)
        .await
        .unwrap();
    w.work().await;
    assert_eq!(w.rotation(&parked.id).await.phase, Phase::Propagating);
    assert_eq!(follow(&mut w).await, Phase::Completed);
}

#[tokio::test]
async fn where_a_person_approves_nothing_is_revoked_before() {
    let mut w = attached(Rules {
        approval: true,
        ..rules()
    })
    .await;
    rotate(&w).await;
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.target.sessions_of("app_a", 0);
    for _ in 0..30 {
        w.clock.advance(Duration::from_secs(60));
        w.work().await;
        assert!(w.target.accepts("app_a", "first"));
    }
    let id = w.rotations(AT).await[0].id.clone();
    assert_eq!(w.rotation(&id).await.phase, Phase::Draining);
    let approved = w.vault.rotation_act(&root(), &id, Act::Approve).await;
    assert!(approved.unwrap().at_target.unwrap().approved_by.is_some());
    assert_eq!(follow(&mut w).await, Phase::Completed);
    only(&w, "app_b");
}

#[tokio::test]
async fn a_target_in_trouble_is_given_the_time_between_attempts() {
    let w = attached(rules()).await;
    w.target.unreachable(true);
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    w.vault.rotation_run_once().await.unwrap();
    let rotation = w.rotations(AT).await[0].clone();
    assert_eq!((rotation.phase, rotation.attempts), (Phase::Applying, 1));
    assert!(rotation.wake_at.is_some_and(|wake| wake > w.now()));
}

#[tokio::test]
async fn the_old_credential_is_not_retired_when_the_target_forgot_the_new_one() {
    let mut w = attached(rules()).await;
    rotate(&w).await;
    let new = w.stored(AT, 2).await.unwrap();
    w.target.account("app_b", "an older state");
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.target.sessions_of("app_a", 0);
    for _ in 0..40 {
        w.clock.advance(Duration::from_secs(15));
        w.work().await;
        let some = w.target.accepts("app_a", "first") || w.target.accepts("app_b", &new);
        assert!(some, "nothing that is stored is accepted");
    }
    assert_eq!(follow(&mut w).await, Phase::Completed);
    assert!(
        w.target.accepts("app_b", &new),
        "it was made to work again first"
    );
    only(&w, "app_b");
}
