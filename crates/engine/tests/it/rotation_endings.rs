//! What takes a rotation's ground away ends it cleanly: no candidate is forgotten, nothing of an
//! old secret touches a new one at its path, and one bad row stands before nobody.

use scaivault_core::audit::Action;
use scaivault_core::delivery::{AttemptError, DeliveryState};
use scaivault_core::event::EventType;
use scaivault_core::ports::{Record, Store, Unit, UnitName};
use scaivault_core::rotation::{Phase, Reason, Rotation};
use scaivault_core::seal::Sealed;
use scaivault_core::secret::VersionState;
use scaivault_store::SqliteOptions;
use scaivault_testkit::{Fault, Reply, When};

use crate::world::{DAY, HOUR, RECEIVER, World, ninety_days, path, root};

const AT: &str = "app/ending";

/// A rotation whose candidate is made and whose promotion never comes through.
async fn with_candidate(w: &World) -> Rotation {
    let mut draft = ninety_days("auto");
    draft.auto_generate = true;
    w.rotated_secret(AT, draft).await;
    w.store
        .arm(UnitName::RotationPromote, When::Every, Fault::Unit);
    let rotation = w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    assert_eq!(rotation.phase, Phase::Verifying);
    w.store.disarm();
    rotation
}

async fn assert_candidate_withdrawn(w: &World, rotation: &Rotation, reason: Reason) {
    let ended = w.rotation(&rotation.id).await;
    assert_eq!(
        (ended.phase, ended.reason),
        (Phase::RolledBack, Some(reason))
    );
    let rows = w.versions(AT).await;
    let states: Vec<_> = rows.iter().map(|row| row.state).collect();
    assert_eq!(states, [VersionState::Withdrawn, VersionState::Current]);
    let audit = w.audit().await;
    let told = audit.iter().filter(|row| {
        row.action == Action::RotationStep && row.extra_data.phase.as_deref() == Some("rolled_back")
    });
    assert_eq!(told.count(), 1, "the end is on the trail");
}

#[tokio::test]
async fn detaching_withdraws_the_candidate() {
    let w = World::new().await;
    let rotation = with_candidate(&w).await;
    w.vault
        .assignment_delete(&root(), &rotation.policy_id, &path(AT))
        .await
        .unwrap();
    assert_candidate_withdrawn(&w, &rotation, Reason::Detached).await;
}

#[tokio::test]
async fn deleting_the_policy_withdraws_the_candidate() {
    let w = World::new().await;
    let rotation = with_candidate(&w).await;
    w.vault
        .rotation_policy_delete(&root(), &rotation.policy_id)
        .await
        .unwrap();
    assert_candidate_withdrawn(&w, &rotation, Reason::Detached).await;
}

#[tokio::test]
async fn soft_deletion_withdraws_the_candidate() {
    let w = World::new().await;
    let rotation = with_candidate(&w).await;
    w.vault
        .secret_delete(&root(), &path(AT), false)
        .await
        .unwrap();
    w.vault.secret_undelete(&root(), &path(AT)).await.unwrap();
    assert_candidate_withdrawn(&w, &rotation, Reason::SecretDeleted).await;
    w.live(DAY * 200).await;
    assert_eq!(w.read(&root(), AT, None).await.unwrap(), "first");
}

#[tokio::test]
async fn an_old_rotation_does_not_close_a_version_of_a_new_secret() {
    let w = World::new().await;
    w.hear_all().await;
    let policy = w.rotated_secret(AT, ninety_days("p")).await;
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    let old = w.put(AT, "second").await.answered.unwrap();
    w.live(HOUR * 40).await;
    w.vault
        .secret_delete(&root(), &path(AT), true)
        .await
        .unwrap();
    let ended = w.rotation(&old).await;
    assert_eq!(
        (ended.phase, ended.reason),
        (Phase::Completed, Some(Reason::SecretDeleted))
    );
    // The same path, the same numbers, a grace period of its own.
    w.put(AT, "new first").await;
    w.assign(&policy, AT).await;
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    w.put(AT, "new second").await;
    w.live(HOUR * 47).await;
    assert_eq!(w.read(&root(), AT, Some(1)).await.unwrap(), "new first");
    assert!(w.told_of(RECEIVER, EventType::RotationCompleted).is_empty());
    w.live(HOUR).await;
    assert_eq!(w.told_of(RECEIVER, EventType::RotationCompleted).len(), 1);
}

/// Attaches the secret to a policy that is deleted before the attachment is written.
async fn attach_to_a_policy_that_goes(w: &World) {
    let going = w.policy(ninety_days("going")).await;
    let stop = w.watched.stop_at(UnitName::AssignmentWrite);
    let (vault, id) = (w.vault.clone(), going.id.clone());
    let attaching = tokio::spawn(async move {
        let attached = vault.assignment_create(&root(), &id, &path(AT)).await;
        attached.map(|_| ())
    });
    stop.arrived().await;
    let deleted = w.vault.rotation_policy_delete(&root(), &going.id).await;
    deleted.unwrap();
    stop.go();
    attaching.await.unwrap().unwrap();
}

async fn assert_detached_by_a_worker(w: &World) {
    assert!(w.assignment(AT).await.is_none());
    let audit = w.audit().await;
    let told = audit.iter();
    let told = told.filter(|row| row.action == Action::RotationUnassign);
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn an_attachment_made_while_its_policy_went_goes_too() {
    let w = World::new().await;
    w.put(AT, "first").await;
    attach_to_a_policy_that_goes(&w).await;
    w.live(DAY * 90).await;
    assert_detached_by_a_worker(&w).await;
    assert!(w.rotations(AT).await.is_empty());
}

#[tokio::test]
async fn it_goes_when_what_waits_under_it_is_answered() {
    let w = World::new().await;
    w.rotated_secret(AT, ninety_days("first")).await;
    let open = w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    attach_to_a_policy_that_goes(&w).await;
    w.live(HOUR).await;
    assert_eq!(w.put(AT, "second").await.answered, Some(open.id));
    w.live(DAY * 90).await;
    assert_detached_by_a_worker(&w).await;
}

#[tokio::test]
async fn one_row_that_does_not_decode_stands_before_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let w = World::open(SqliteOptions::file(&file), 1).await;
    let bad = w.rotated_secret("app/a-bad", ninety_days("bad")).await;
    w.live(HOUR).await;
    w.rotated_secret("app/b-good", ninety_days("good")).await;
    let side_door = rusqlite::Connection::open(&file).unwrap();
    let damage = "UPDATE rotation_policy SET doc = '{}' WHERE id = ?1";
    assert_eq!(side_door.execute(damage, [bad.as_str()]).unwrap(), 1);
    w.clock.advance(DAY * 100);
    let done = w.vault.rotation_run_once().await;
    assert_eq!(
        done.unwrap_err().code(),
        "internal_error",
        "it is not passed over silently"
    );
    assert_eq!(w.rotations("app/b-good").await.len(), 1);
    assert!(w.rotations("app/a-bad").await.is_empty());
}

#[tokio::test]
async fn a_receiver_whose_secret_does_not_open_fails_like_any_other() {
    let mut w = World::new().await;
    w.hear_all().await;
    const BROKEN: &str = "https://broken.example/hook";
    let mut webhook = w.webhook(BROKEN, &[EventType::SecretCreated]).await;
    webhook.signing_secret = Sealed(vec![1, 2, 3]);
    webhook.revision += 1;
    let unit = Unit::new(UnitName::WebhookWrite).put(Record::Webhook(webhook.clone()));
    Store::commit(&*w.sqlite, unit).await.unwrap();
    w.vault = w.another_vault();
    w.put(AT, "first").await;
    w.live(HOUR * 40).await;
    let list = w
        .vault
        .delivery_list(&root(), &webhook.id, None, None, 10)
        .await
        .unwrap();
    let states: Vec<_> = list
        .iter()
        .map(|d| (d.state, d.attempts, d.error))
        .collect();
    assert_eq!(
        states,
        [(DeliveryState::Failed, 7, Some(AttemptError::Receiver))]
    );
    assert!(w.courier.attempts(BROKEN).is_empty());
    assert_eq!(w.told_of(RECEIVER, EventType::SecretCreated).len(), 1);
}

#[tokio::test]
async fn an_attempt_is_recorded_though_its_rotation_went_on_meanwhile() {
    let w = World::new().await;
    let hook = w.webhook(RECEIVER, &[EventType::RotationDue]).await;
    w.courier.always(RECEIVER, Reply::Refuse(500));
    let mut draft = ninety_days("p");
    draft.grace_period = crate::world::span("90d");
    w.rotated_secret(AT, draft).await;
    let open = w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    // Six attempts; the seventh is the last.
    w.live(HOUR * 12).await;
    let last = w.now().plus(HOUR * 24);
    w.clock.set(last);
    let stop = w.watched.stop_at(UnitName::DeliveryDone);
    let claimed = w
        .vault
        .deliveries_claim(&[], 1)
        .await
        .unwrap()
        .pop()
        .unwrap();
    let vault = w.vault.clone();
    let attempt = tokio::spawn(async move { vault.delivery_attempt(claimed).await });
    stop.arrived().await;
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    stop.go();
    attempt.await.unwrap().unwrap();
    assert_eq!(w.courier.attempts(RECEIVER).len(), 7);
    let list = w
        .vault
        .delivery_list(&root(), &hook.id, None, None, 10)
        .await
        .unwrap();
    let first = list.last().unwrap();
    assert_eq!((first.state, first.attempts), (DeliveryState::Failed, 7));
    assert!(w.rotation(&open.id).await.last_failure.is_some());
}
