//! What an operator sees of a rotation at a target and does with it, and what consumers say.

use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::identity::Scope;
use scaivault_core::ids::RotationId;
use scaivault_core::ports::{Claims, ConsumerReads, Record, Store, Unit, UnitName};
use scaivault_core::rotation::{OnFailure, Phase, Reason, Rules};
use scaivault_engine::{Acknowledgement, Act, Caller, VaultError, default_tenant};
use scaivault_testkit::{Fault, When};

use crate::targets::{AT, attached, check, follow, only, rotate, rules};
use crate::world::{World, caller, path, root, scoped};

const HOLD: Duration = Duration::from_secs(60);

fn said(version: u64, applied: bool) -> Acknowledgement {
    Acknowledgement {
        version,
        applied,
        detail: (!applied).then(|| "password authentication failed".to_owned()),
    }
}

async fn ack(w: &World, who: &Caller, said: Acknowledgement) -> Result<u64, VaultError> {
    let acked = w.vault.secret_ack(who, &path(AT), said).await;
    acked.map(|(_, current)| current)
}

async fn newest(w: &World) -> RotationId {
    w.rotations(AT).await.last().unwrap().id.clone()
}

async fn waits_for(w: &World) -> Vec<String> {
    let id = newest(w).await;
    w.vault.rotation_show(&root(), &id).await.unwrap().waits_for
}

#[tokio::test]
async fn an_operator_is_told_by_name_what_a_rotation_waits_for() {
    let w = attached(Rules {
        approval: true,
        ..rules()
    })
    .await;
    rotate(&w).await;
    assert_eq!(
        waits_for(&w).await,
        ["1 of 1 consumer still holds v1: sa:app", "an approval"]
    );
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.jump(Duration::from_secs(15)).await;
    assert_eq!(
        waits_for(&w).await,
        ["1 session of app_a on orders-db", "an approval"]
    );
    w.target.sessions_of("app_a", 0);
    w.jump(Duration::from_secs(15)).await;
    w.clock.advance(Duration::from_secs(9));
    assert_eq!(
        waits_for(&w).await,
        ["quiet since 9 s of 30 s", "an approval"]
    );
    w.jump(Duration::from_secs(60)).await;
    assert_eq!(waits_for(&w).await, ["an approval"]);
    let view = w
        .vault
        .rotation_show(&root(), &newest(&w).await)
        .await
        .unwrap();
    assert_eq!(view.actions, [Act::RollBack, Act::Approve]);
}

#[tokio::test]
async fn who_may_not_rotate_is_told_nothing() {
    let w = attached(rules()).await;
    rotate(&w).await;
    let reader = scoped("sa:app", &[Scope::SecretsRead, Scope::SecretsRotate]);
    let hidden = w.vault.rotation_show(&reader, &newest(&w).await).await;
    assert!(matches!(hidden, Err(VaultError::NotFound(_))));
}

#[tokio::test]
async fn an_act_that_is_not_legal_says_what_is() {
    let w = attached(rules()).await;
    rotate(&w).await;
    let id = newest(&w).await;
    let refused = w.vault.rotation_act(&root(), &id, Act::Approve).await;
    let error = refused.unwrap_err();
    assert_eq!(error.code(), "rotation_conflict");
    assert_eq!(
        error.to_string(),
        "this rotation is propagating: only rollback is legal now"
    );
}

#[tokio::test]
async fn an_act_waits_for_the_step_under_way() {
    let w = attached(rules()).await;
    rotate(&w).await;
    w.clock.advance(Duration::from_secs(60));
    let held = Claims::rotation_claim_at_targets(&*w.sqlite, w.now(), HOLD, &[], 1).await;
    let held = held.unwrap().remove(0);
    let at_once = w.vault.rotation_act(&root(), &held.id, Act::RollBack).await;
    assert_eq!(at_once, Err(VaultError::StepUnderWay));
    let (vault, id) = (w.vault.clone(), held.id.clone());
    let acting = tokio::spawn(async move {
        let never = std::future::pending();
        vault
            .rotation_act_soon(&root(), &id, Act::RollBack, never)
            .await
    });
    tokio::task::yield_now().await;
    assert!(!acting.is_finished());
    // The worker ends its step; the commit of any operation makes the waiting one look again.
    let ended = Unit::new(UnitName::RotationWait).put(Record::Rotation(held.waiting(None)));
    Store::commit(&*w.sqlite, ended).await.unwrap();
    w.put("other", "x").await;
    w.rotated_secret("other/too", crate::world::ninety_days("other"))
        .await;
    assert_eq!(acting.await.unwrap().unwrap().phase, Phase::RollingBack);
}

#[tokio::test]
async fn a_request_that_waits_for_a_change_sees_it_or_gives_up() {
    let w = attached(rules()).await;
    rotate(&w).await;
    let shown = w.rotation(&newest(&w).await).await;
    let at_once = std::future::ready(());
    let vault = &w.vault;
    vault
        .rotation_changed(&shown, shown.revision, at_once)
        .await
        .unwrap();
    let (vault, row) = (w.vault.clone(), shown.clone());
    let waiting = tokio::spawn(async move {
        let never = std::future::pending();
        vault.rotation_changed(&row, row.revision, never).await
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    let by = root();
    let act = w.vault.rotation_act(&by, &shown.id, Act::RollBack);
    act.await.unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_acknowledgement_has_the_rotation_look_at_once() {
    let mut w = attached(rules()).await;
    let app = caller("sa:app");
    assert_eq!(ack(&w, &app, said(1, true)).await, Ok(1));
    rotate(&w).await;
    w.read(&app, AT, None).await.unwrap();
    w.jump(Duration::from_secs(10)).await;
    // It acknowledged once, so it is waited for.
    let seen = waits_for(&w).await;
    assert_eq!(seen, ["sa:app has not acknowledged v2"]);
    w.clock.advance(Duration::from_secs(3));
    assert_eq!(ack(&w, &app, said(2, true)).await, Ok(2));
    assert_eq!(w.rotations(AT).await[0].wake_at, Some(w.now()));
    w.work().await;
    assert_eq!(w.rotations(AT).await[0].phase, Phase::Draining);
    let rows = w.audit().await;
    let row = rows.iter().rfind(|row| row.action == Action::ConsumerAck);
    let row = row.unwrap();
    assert_eq!(
        (row.extra_data.version, row.extra_data.applied),
        (Some(2), Some(true))
    );
    assert_eq!(row.identity_id, "sa:app");
    assert_eq!(follow(&mut w).await, Phase::Completed);
    only(&w, "app_b");
}

#[tokio::test]
async fn a_consumer_that_fails_stops_the_rotation_as_the_policy_says() {
    for on_failure in [OnFailure::Hold, OnFailure::RollBack] {
        let mut w = attached(Rules {
            on_failure,
            ..rules()
        })
        .await;
        rotate(&w).await;
        let app = caller("sa:app");
        w.read(&app, AT, None).await.unwrap();
        ack(&w, &app, said(2, false)).await.unwrap();
        w.work().await;
        let rotation = w.rotations(AT).await[0].clone();
        if on_failure == OnFailure::Hold {
            assert_eq!(rotation.reason, Some(Reason::ConsumerFailed));
            assert!(
                waits_for(&w)
                    .await
                    .contains(&"sa:app reports that it fails with v2".to_owned())
            );
            let by = root();
            let act = w.vault.rotation_act(&by, &rotation.id, Act::RollBack);
            act.await.unwrap();
        }
        check(&w).await;
        w.work().await;
        assert_eq!(w.head(AT).await.unwrap().current_version, 1);
        assert_eq!(follow(&mut w).await, Phase::RolledBack);
        only(&w, "app_a");
    }
}

#[tokio::test]
async fn only_readers_acknowledge_and_only_versions_that_were_given_out() {
    let w = attached(rules()).await;
    let stranger = ack(&w, &caller("sa:stranger"), said(1, true)).await;
    assert!(matches!(stranger, Err(VaultError::Denied(_))));
    let unscoped = scoped("sa:app", &[Scope::SecretsList]);
    let refused = ack(&w, &unscoped, said(1, true)).await;
    assert_eq!(refused, Err(VaultError::Scope(Scope::SecretsRead)));
    for version in [0, 2, u64::MAX >> 1] {
        let absent = ack(&w, &caller("sa:app"), said(version, true)).await;
        assert_eq!(absent.unwrap_err().code(), "version_not_found");
    }
    // A candidate that nobody was given is not there either.
    w.target.unreachable(true);
    rotate(&w).await;
    assert_eq!(w.versions(AT).await.len(), 2);
    let absent = ack(&w, &caller("sa:app"), said(2, true)).await;
    assert_eq!(absent.unwrap_err().code(), "version_not_found");
}

#[tokio::test]
async fn what_a_consumer_says_is_for_those_who_rotate() {
    let w = attached(rules()).await;
    ack(&w, &caller("sa:app"), said(1, false)).await.unwrap();
    w.grant("sa:lister", "**", &[Permission::List]).await;
    w.grant("sa:rotator", "**", &[Permission::List, Permission::Rotate])
        .await;
    let detail = async |who: &Caller| {
        let listed = w.vault.secret_consumers(who, &path(AT)).await.unwrap().1;
        assert!(listed[0].failed_at.is_some());
        listed[0].detail.clone()
    };
    let lister = scoped("sa:lister", &[Scope::SecretsList, Scope::SecretsRotate]);
    assert_eq!(detail(&lister).await, None);
    let unscoped = scoped("sa:rotator", &[Scope::SecretsList]);
    assert_eq!(detail(&unscoped).await, None);
    let rotator = scoped("sa:rotator", &[Scope::SecretsList, Scope::SecretsRotate]);
    assert_eq!(
        detail(&rotator).await.as_deref(),
        Some("password authentication failed")
    );
}

#[tokio::test]
async fn an_acknowledgement_may_be_lost_and_made_again() {
    for fault in [Fault::Unit, Fault::Answer] {
        let mut w = attached(rules()).await;
        rotate(&w).await;
        let app = caller("sa:app");
        w.read(&app, AT, None).await.unwrap();
        w.store.arm(UnitName::ConsumerAck, When::Nth(1), fault);
        let lost = ack(&w, &app, said(2, true)).await;
        assert!(matches!(lost, Err(VaultError::Unavailable(_))), "{lost:?}");
        w.restart();
        ack(&w, &app, said(2, true)).await.unwrap();
        let (tenant, at) = (default_tenant(), path(AT));
        let ledger = ConsumerReads::consumer_list(&*w.sqlite, &tenant, &at).await;
        assert!(ledger.unwrap()[0].applied_at.is_some());
        assert_eq!(follow(&mut w).await, Phase::Completed);
    }
}
