//! The main job under a virtual clock: a schedule of ninety days, warned of, announced, answered
//! from outside, told, drained and closed; and what happens when somebody does not play along.

use scaivault_core::access::Permission;
use scaivault_core::delivery::{AttemptError, DeliveryState};
use scaivault_core::event::EventType;
use scaivault_core::identity::Scope;
use scaivault_core::ports::{Op, Record, RotationReads, SecretReads, Store, Unit, UnitName};
use scaivault_core::rotation::{FailureKind, Phase, Reason, Trigger};
use scaivault_core::seal::Sealed;
use scaivault_core::secret::{SealedVersion, Version, VersionState};
use scaivault_core::time::Timestamp;
use scaivault_engine::{RotationPolicyChange, SecretWrite, VaultError, default_tenant};
use scaivault_testkit::Reply;
use serde_json::Value;

use crate::world::{
    DAY, HOUR, RECEIVER, World, caller, ninety_days, path, root, scoped, span, write_of,
};

const SECRET: &str = "integrations/salesforce/oauth";

fn due_now(told: &[Value], due_now: bool) -> Vec<&Value> {
    let due = told.iter().filter(|data| data["due_now"] == due_now);
    due.collect()
}

fn moment(text: &Value) -> Timestamp {
    Timestamp::parse_rfc3339(text.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn ninety_days_from_assignment_to_completion() {
    let w = World::new().await;
    w.hear_all().await;
    let policy = w.rotated_secret(SECRET, ninety_days("oauth")).await;
    w.grant(
        "sa:minter",
        SECRET,
        &[Permission::Write, Permission::Rotate],
    )
    .await;
    w.grant("sa:reader", SECRET, &[Permission::Read]).await;
    let (minter, reader) = (caller("sa:minter"), caller("sa:reader"));
    let due_at = w.now().plus(DAY * 90);

    // Nothing is told for 83 days; then each threshold once.
    w.live_until(due_at.minus(DAY * 7).minus(HOUR)).await;
    assert!(w.told_of(RECEIVER, EventType::RotationDue).is_empty());
    w.live_until(due_at.minus(DAY * 7)).await;
    w.live_until(due_at.minus(DAY * 2)).await;
    let told = w.told_of(RECEIVER, EventType::RotationDue);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["threshold"], "7d");
    w.live_until(due_at.minus(HOUR)).await;
    let told = w.told_of(RECEIVER, EventType::RotationDue);
    assert_eq!(told.len(), 2);
    assert_eq!(told[1]["threshold"], "1d");
    for warning in &told {
        assert_eq!(warning["due_now"], false);
        assert_eq!(moment(&warning["next_rotation_at"]), due_at);
        assert_eq!(warning["rotation_policy_id"], policy.as_str());
        assert_eq!(warning["rotation_policy_name"], "oauth");
        assert_eq!(warning["current_version"], 1);
        assert!(warning.get("rotation_id").is_none());
    }

    // Due.
    w.live_until(due_at).await;
    let told = w.told_of(RECEIVER, EventType::RotationDue);
    let due = due_now(&told, true);
    assert_eq!((told.len(), due.len()), (3, 1));
    assert!(due[0].get("threshold").is_none());
    assert_eq!(moment(&due[0]["next_rotation_at"]), due_at);
    let open = w.rotations(SECRET).await.pop().unwrap();
    assert_eq!(
        (open.phase, open.trigger),
        (Phase::Generating, Trigger::Schedule)
    );
    assert_eq!(due[0]["rotation_id"], open.id.as_str());

    // Answered two hours later, for this very rotation.
    assert_eq!(w.read(&reader, SECRET, None).await.unwrap(), "first");
    w.live(HOUR * 2).await;
    let answered_at = w.now();
    let answer = SecretWrite {
        rotation_id: Some(open.id.clone()),
        ..write_of(SECRET, "second")
    };
    let written = w.vault.secret_write(&minter, answer).await.unwrap();
    assert_eq!(written.answered.as_ref(), Some(&open.id));
    assert_eq!(written.head.current_version, 2);
    w.work().await;
    let updated = w.told_of(RECEIVER, EventType::SecretUpdated);
    assert_eq!(updated.len(), 1);
    assert_eq!(updated[0]["is_rotation"], true);
    let rotated = w.told_of(RECEIVER, EventType::SecretRotated);
    assert_eq!(rotated.len(), 1);
    assert_eq!(
        (&rotated[0]["old_version"], &rotated[0]["new_version"]),
        (&1.into(), &2.into())
    );
    assert_eq!(rotated[0]["auto_generated"], false);
    let closes_at = answered_at.plus(HOUR * 48);
    assert_eq!(moment(&rotated[0]["grace_period_ends"]), closes_at);

    // Grace: the current one without a number, the replaced one by number.
    assert_eq!(w.read(&reader, SECRET, None).await.unwrap(), "second");
    assert_eq!(w.read(&reader, SECRET, Some(1)).await.unwrap(), "first");
    assert_eq!(w.rotation(&open.id).await.phase, Phase::Draining);
    w.live_until(closes_at.minus(HOUR)).await;
    assert_eq!(w.read(&reader, SECRET, Some(1)).await.unwrap(), "first");
    // The grace period ends by the clock, not when a worker gets to it.
    w.clock.set(closes_at);
    let closed = w.read(&reader, SECRET, Some(1)).await;
    assert_eq!(closed.unwrap_err(), VaultError::SecretExpired);
    w.work().await;
    let closed = w.read(&reader, SECRET, Some(1)).await;
    assert_eq!(closed.unwrap_err(), VaultError::SecretExpired);
    let completed = w.rotation(&open.id).await;
    assert_eq!(
        (completed.phase, completed.reason),
        (Phase::Completed, None)
    );
    assert_eq!(w.told_of(RECEIVER, EventType::RotationCompleted).len(), 1);
    assert_eq!(w.versions(SECRET).await[1].state, VersionState::Closed);

    // And again, ninety days after the answer.
    let next = w.assignment(SECRET).await.unwrap();
    assert_eq!(next.next_rotation_at, answered_at.plus(DAY * 90));
    w.live_until(next.next_rotation_at).await;
    let told = w.told_of(RECEIVER, EventType::RotationDue);
    assert_eq!(
        (due_now(&told, false).len(), due_now(&told, true).len()),
        (4, 2)
    );

    // The sequence of the path has no gap, and every step is on the trail.
    let sequence: Vec<u64> = w
        .envelopes(RECEIVER)
        .iter()
        .filter(|body| body["path"] == SECRET)
        .map(|body| body["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(
        sequence,
        (1..=u64::try_from(sequence.len()).unwrap()).collect::<Vec<_>>()
    );
    w.assert_chain_verifies().await;
}

#[tokio::test]
async fn nobody_answers_then_somebody_does_late() {
    let w = World::new().await;
    w.hear_all().await;
    w.rotated_secret(SECRET, ninety_days("oauth")).await;
    w.grant("sa:minter", "**", &[Permission::Write, Permission::Rotate])
        .await;
    let due_at = w.now().plus(DAY * 90);

    w.live_until(due_at.plus(HOUR * 48).minus(HOUR)).await;
    assert!(w.told_of(RECEIVER, EventType::RotationOverdue).is_empty());
    w.live_until(due_at.plus(HOUR * 48)).await;
    let overdue = w.told_of(RECEIVER, EventType::RotationOverdue);
    assert_eq!(overdue.len(), 1);
    assert_eq!(moment(&overdue[0]["due_at"]), due_at);
    assert_eq!(moment(&overdue[0]["overdue_since"]), due_at.plus(HOUR * 48));
    let parked = w.rotations(SECRET).await.pop().unwrap();
    assert_eq!(
        (parked.phase, parked.reason),
        (Phase::Parked, Some(Reason::Overdue))
    );

    // Half a year of silence adds nothing: it waits for a person, and the old value serves.
    w.live(DAY * 180).await;
    assert_eq!(w.told_of(RECEIVER, EventType::RotationOverdue).len(), 1);
    assert_eq!(w.rotations(SECRET).await.len(), 1);
    assert_eq!(w.read(&root(), SECRET, None).await.unwrap(), "first");

    let written = w
        .put_as(&caller("sa:minter"), SECRET, "second")
        .await
        .unwrap();
    assert_eq!(written.answered, Some(parked.id.clone()));
    w.live(HOUR * 48).await;
    let done = w.rotation(&parked.id).await;
    assert_eq!((done.phase, done.reason), (Phase::Completed, None));
    assert_eq!(w.told_of(RECEIVER, EventType::SecretRotated).len(), 1);
}

#[tokio::test]
async fn asking_again_for_a_parked_rotation_announces_it_again() {
    let w = World::new().await;
    w.hear_all().await;
    w.rotated_secret(SECRET, ninety_days("oauth")).await;
    w.live(DAY * 93).await;
    let parked = w.rotations(SECRET).await.pop().unwrap();
    assert_eq!(parked.phase, Phase::Parked);

    let again = w.vault.secret_rotate(&root(), &path(SECRET)).await.unwrap();
    assert_eq!((&again.id, again.phase), (&parked.id, Phase::Generating));
    assert_eq!(again.overdue_at, w.now().plus(HOUR * 48));
    w.work().await;
    let told = w.told_of(RECEIVER, EventType::RotationDue);
    assert_eq!(due_now(&told, true).len(), 2);
    assert_eq!(w.rotations(SECRET).await.len(), 1);
    w.live(HOUR * 48).await;
    assert_eq!(w.told_of(RECEIVER, EventType::RotationOverdue).len(), 2);
}

#[tokio::test]
async fn a_receiver_that_always_refuses_is_tried_for_34_hours_then_told_of() {
    let w = World::new().await;
    const REFUSING: &str = "https://refusing.example/hook";
    w.webhook(RECEIVER, &[EventType::RotationFailed]).await;
    let refusing = w.webhook(REFUSING, &[EventType::RotationDue]).await;
    w.courier.always(REFUSING, Reply::Refuse(503));
    let mut draft = ninety_days("oauth");
    draft.warn_before.clear();
    w.rotated_secret(SECRET, draft).await;
    let due_at = w.now().plus(DAY * 90);
    w.live_until(due_at.plus(HOUR * 40)).await;

    let attempts = w.courier.attempts(REFUSING);
    let waits: Vec<u64> = attempts
        .windows(2)
        .map(|pair| pair[1].since(pair[0]).as_secs())
        .collect();
    assert_eq!(attempts[0], due_at);
    assert_eq!(waits, [30, 300, 1_800, 7_200, 28_800, 86_400]);
    let list = w
        .vault
        .delivery_list(&root(), &refusing.id, None, None, 10)
        .await;
    let delivery = list.unwrap().pop().unwrap();
    assert_eq!(
        (delivery.state, delivery.attempts),
        (DeliveryState::Failed, 7)
    );
    assert_eq!(
        (delivery.error, delivery.response_code),
        (Some(AttemptError::Status), Some(503))
    );

    let failed = w.told_of(RECEIVER, EventType::RotationFailed);
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["error"], "delivery_failed");
    let rotation = w.rotations(SECRET).await.pop().unwrap();
    assert_eq!(
        rotation.phase,
        Phase::Generating,
        "it still waits for its value"
    );
    assert_eq!(
        rotation.last_failure.unwrap().kind,
        FailureKind::DeliveryFailed
    );
    // Overdue comes in its own time, and the answer still counts.
    w.live_until(due_at.plus(HOUR * 48)).await;
    assert_eq!(w.rotation(&rotation.id).await.phase, Phase::Parked);
    assert_eq!(w.put(SECRET, "second").await.answered, Some(rotation.id));
}

#[tokio::test]
async fn only_who_may_rotate_answers() {
    let w = World::new().await;
    w.hear_all().await;
    w.rotated_secret(SECRET, ninety_days("oauth")).await;
    w.grant("sa:writer", "**", &[Permission::Write]).await;
    w.grant("sa:minter", "**", &[Permission::Write, Permission::Rotate])
        .await;
    w.live(DAY * 90).await;
    let open = w.rotations(SECRET).await.pop().unwrap();

    // A plain writer writes, and answers nothing; nor does the right without the scope.
    let written = w
        .put_as(&caller("sa:writer"), SECRET, "by hand")
        .await
        .unwrap();
    assert_eq!(written.answered, None);
    let no_scope = scoped("sa:minter", &[Scope::SecretsWrite]);
    let written = w.put_as(&no_scope, SECRET, "by hand again").await.unwrap();
    assert_eq!(written.answered, None);
    // Claiming to answer without the right is refused, and changes nothing.
    let claimed = || SecretWrite {
        rotation_id: Some(open.id.clone()),
        ..write_of(SECRET, "stolen")
    };
    let refused = w.vault.secret_write(&caller("sa:writer"), claimed()).await;
    assert_eq!(refused.unwrap_err().code(), "access_denied");
    let refused = w.vault.secret_write(&no_scope, claimed()).await;
    assert_eq!(refused.unwrap_err().code(), "insufficient_scope");
    assert_eq!(w.head(SECRET).await.unwrap().current_version, 3);
    assert_eq!(w.rotation(&open.id).await.phase, Phase::Generating);
    assert!(w.told_of(RECEIVER, EventType::SecretRotated).is_empty());

    let written = w
        .put_as(&caller("sa:minter"), SECRET, "minted")
        .await
        .unwrap();
    assert_eq!(written.answered, Some(open.id.clone()));
    let done = w.rotation(&open.id).await;
    assert_eq!((done.from_version, done.to_version), (3, Some(4)));
    // A second answer to the same rotation is too late.
    let late = w.vault.secret_write(&caller("sa:minter"), claimed()).await;
    assert_eq!(late.unwrap_err(), VaultError::RotationConflict);
    // By hand replaced versions stay readable by number; only the rotated one closes.
    w.live(HOUR * 48).await;
    assert_eq!(w.read(&root(), SECRET, Some(2)).await.unwrap(), "by hand");
    let closed = w.read(&root(), SECRET, Some(3)).await;
    assert_eq!(closed.unwrap_err(), VaultError::SecretExpired);
}

#[tokio::test]
async fn the_server_makes_the_value_itself() {
    let w = World::new().await;
    w.hear_all().await;
    let mut draft = ninety_days("auto");
    draft.auto_generate = true;
    w.rotated_secret(SECRET, draft).await;
    let due_at = w.now().plus(DAY * 90);
    w.live_until(due_at.minus(HOUR)).await;
    assert_eq!(
        w.told_of(RECEIVER, EventType::RotationDue).len(),
        2,
        "it is warned of"
    );
    w.live_until(due_at).await;
    let fresh = w.read(&root(), SECRET, None).await.unwrap();
    assert_eq!(fresh.len(), 32);
    assert_ne!(fresh, "first");
    assert_eq!(w.read(&root(), SECRET, Some(1)).await.unwrap(), "first");
    let told = w.told_of(RECEIVER, EventType::RotationDue);
    assert!(
        due_now(&told, true).is_empty(),
        "nobody outside is asked for a value"
    );
    let rotated = w.told_of(RECEIVER, EventType::SecretRotated);
    assert_eq!(rotated.len(), 1);
    assert_eq!(rotated[0]["auto_generated"], true);
    w.live(HOUR * 48).await;
    assert_eq!(w.rotations(SECRET).await[0].phase, Phase::Completed);
    let closed = w.read(&root(), SECRET, Some(1)).await;
    assert_eq!(closed.unwrap_err(), VaultError::SecretExpired);
    // At once by request, with a worker about or not.
    let now = w.vault.secret_rotate(&root(), &path(SECRET)).await.unwrap();
    assert_eq!((now.phase, now.trigger), (Phase::Draining, Trigger::Manual));
    assert_eq!(w.head(SECRET).await.unwrap().current_version, 3);
}

#[tokio::test]
async fn a_value_with_nothing_to_make_is_parked_at_once() {
    let w = World::new().await;
    w.hear_all().await;
    let mut draft = ninety_days("auto");
    draft.auto_generate = true;
    draft.warn_before.clear();
    let policy = w.policy(draft).await;
    let write = SecretWrite {
        data: scaivault_core::plaintext::Plaintext::new(br#"{"host":"h","port":5}"#.to_vec()),
        ..write_of(SECRET, "")
    };
    w.vault.secret_write(&root(), write).await.unwrap();
    w.assign(&policy.id, SECRET).await;
    w.live(DAY * 91).await;
    let parked = w.rotations(SECRET).await.pop().unwrap();
    assert_eq!(
        (parked.phase, parked.reason),
        (Phase::Parked, Some(Reason::NothingToGenerate))
    );
    assert_eq!(w.store.commits(UnitName::RotationFail), 0);
    let failed = w.told_of(RECEIVER, EventType::RotationFailed);
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["error"], "nothing_to_generate");
    assert_eq!(w.vault.tally().read().rotations_failed, 1);
    assert_eq!(w.head(SECRET).await.unwrap().current_version, 1);
    // A person writes one that can be made anew and asks again.
    w.put(SECRET, "another").await;
    let again = w.vault.secret_rotate(&root(), &path(SECRET)).await.unwrap();
    assert_eq!((again.id, again.phase), (parked.id, Phase::Draining));
}

/// Puts bytes that do not open in the place of the current value, past the vault.
async fn damage(w: &World) {
    let mut head = w.head(SECRET).await.unwrap();
    let rows = SecretReads::version_list(&*w.sqlite, &head.tenant, &head.path).await;
    let mut old = rows.unwrap().swap_remove(0);
    let damaged = Version {
        version: head.latest_version + 1,
        revision: 1,
        ..old.clone()
    };
    old.state = VersionState::Superseded;
    old.revision += 1;
    head.revision += 1;
    head.latest_version = damaged.version;
    head.current_version = damaged.version;
    let unit = Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(head))
        .put(Record::Version(old))
        .op(Op::VersionInsert(SealedVersion {
            version: damaged,
            sealed: Sealed(vec![7; 200]),
        }));
    Store::commit(&*w.sqlite, unit).await.unwrap();
}

#[tokio::test]
async fn a_value_that_cannot_be_made_is_tried_eight_times_then_parked() {
    let w = World::new().await;
    w.hear_all().await;
    let mut draft = ninety_days("auto");
    draft.auto_generate = true;
    draft.warn_before.clear();
    let policy = w.policy(draft).await;
    w.put(SECRET, "first").await;
    w.assign(&policy.id, SECRET).await;
    damage(&w).await;
    w.live(DAY * 91).await;
    let parked = w.rotations(SECRET).await.pop().unwrap();
    assert_eq!(
        (parked.phase, parked.reason),
        (Phase::Parked, Some(Reason::GenerateFailed))
    );
    assert_eq!(w.store.commits(UnitName::RotationFail), 7);
    let failed = w.told_of(RECEIVER, EventType::RotationFailed);
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["error"], "generate_failed");
    assert_eq!(w.head(SECRET).await.unwrap().current_version, 2);
}

#[tokio::test]
async fn a_disabled_policy_stands_still() {
    let w = World::new().await;
    w.hear_all().await;
    let policy = w.rotated_secret(SECRET, ninety_days("oauth")).await;
    let active = |is_active| RotationPolicyChange {
        is_active: Some(is_active),
        ..RotationPolicyChange::default()
    };
    w.live(DAY * 10).await;
    let off = w
        .vault
        .rotation_policy_change(&root(), &policy, active(false))
        .await;
    off.unwrap();
    w.live(DAY * 365).await;
    assert!(w.told_of(RECEIVER, EventType::RotationDue).is_empty());
    assert!(w.rotations(SECRET).await.is_empty());
    let on = w
        .vault
        .rotation_policy_change(&root(), &policy, active(true))
        .await;
    on.unwrap();
    w.work().await;
    let told = w.told_of(RECEIVER, EventType::RotationDue);
    assert_eq!(
        (told.len(), due_now(&told, true).len()),
        (1, 1),
        "one rotation, no old warnings"
    );
}

#[tokio::test]
async fn an_interval_changed_in_the_midst_counts_from_the_last_rotation() {
    let w = World::new().await;
    w.hear_all().await;
    let policy = w.rotated_secret(SECRET, ninety_days("oauth")).await;
    let start = w.now();
    let interval = |text| RotationPolicyChange {
        interval: Some(span(text)),
        ..RotationPolicyChange::default()
    };
    w.live_until(start.plus(DAY * 84)).await;
    assert_eq!(w.told_of(RECEIVER, EventType::RotationDue).len(), 1);
    // Longer: the warning comes again for the new date.
    let longer = w
        .vault
        .rotation_policy_change(&root(), &policy, interval("120d"))
        .await;
    longer.unwrap();
    w.live_until(start.plus(DAY * 100)).await;
    assert_eq!(w.told_of(RECEIVER, EventType::RotationDue).len(), 1);
    w.live_until(start.plus(DAY * 114)).await;
    let told = w.told_of(RECEIVER, EventType::RotationDue);
    assert_eq!(told.len(), 2);
    assert_eq!(moment(&told[1]["next_rotation_at"]), start.plus(DAY * 120));
    // Shorter than what has passed: at once.
    let shorter = w
        .vault
        .rotation_policy_change(&root(), &policy, interval("30d"))
        .await;
    shorter.unwrap();
    w.work().await;
    let told = w.told_of(RECEIVER, EventType::RotationDue);
    assert_eq!(due_now(&told, true).len(), 1);
    w.put(SECRET, "second").await;
    let next = w.assignment(SECRET).await.unwrap().next_rotation_at;
    assert_eq!(next, w.now().plus(DAY * 30));
}

#[tokio::test]
async fn every_secret_has_its_own_schedule() {
    let w = World::new().await;
    w.hear_all().await;
    let mut draft = ninety_days("shared");
    draft.warn_before.clear();
    let policy = w.policy(draft).await;
    let start = w.now();
    let names: Vec<String> = (0..12).map(|n| format!("app/service-{n:02}")).collect();
    for name in &names {
        w.put(name, "first").await;
        w.assign(&policy.id, name).await;
        w.live(DAY * 5).await;
    }
    for (n, name) in names.iter().enumerate() {
        let due_at = start
            .plus(DAY * 5 * u32::try_from(n).unwrap())
            .plus(DAY * 90);
        assert_eq!(w.assignment(name).await.unwrap().next_rotation_at, due_at);
        w.live_until(due_at.minus(HOUR)).await;
        assert!(w.rotations(name).await.is_empty(), "{name} is early");
        w.live_until(due_at).await;
        assert_eq!(w.rotations(name).await.len(), 1, "{name} is late");
        w.put(name, "second").await;
    }
    assert_eq!(w.told_of(RECEIVER, EventType::SecretRotated).len(), 11);
}

#[tokio::test]
async fn a_server_that_was_down_over_several_due_points_rotates_once() {
    for months in [3, 4, 9, 30] {
        let mut w = World::new().await;
        w.hear_all().await;
        w.rotated_secret(SECRET, ninety_days("oauth")).await;
        w.work().await;
        w.restart();
        w.jump(DAY * 30 * months + DAY).await;
        let told = w.told_of(RECEIVER, EventType::RotationDue);
        assert_eq!(
            (told.len(), due_now(&told, true).len()),
            (1, 1),
            "{months} months"
        );
        assert_eq!(w.rotations(SECRET).await.len(), 1);
        // The next interval counts from the answer, not from the missed dates.
        w.put(SECRET, "second").await;
        let next = w.assignment(SECRET).await.unwrap().next_rotation_at;
        assert_eq!(next, w.now().plus(DAY * 90));
        w.live(DAY * 60).await;
        assert_eq!(w.rotations(SECRET).await.len(), 1);
    }
}

#[tokio::test]
async fn warnings_missed_while_down_are_told_once_by_the_tightest() {
    let mut w = World::new().await;
    w.hear_all().await;
    w.rotated_secret(SECRET, ninety_days("oauth")).await;
    w.work().await;
    let due_at = w.now().plus(DAY * 90);
    w.restart();
    w.clock.set(due_at.minus(HOUR));
    w.work().await;
    let told = w.told_of(RECEIVER, EventType::RotationDue);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["threshold"], &told[0]["due_now"]),
        (&"1d".into(), &false.into())
    );
}

#[tokio::test]
async fn a_clock_set_back_a_year_harms_nothing() {
    let w = World::new().await;
    w.hear_all().await;
    w.rotated_secret(SECRET, ninety_days("oauth")).await;
    w.grant("sa:reader", SECRET, &[Permission::Read]).await;
    let reader = caller("sa:reader");
    w.live(DAY * 90).await;
    w.put(SECRET, "second").await;
    w.work().await;
    w.clock.rewind(DAY * 365);
    w.work().await;
    // Everything still serves: reads, writes, and the events of the writes.
    assert_eq!(w.read(&reader, SECRET, None).await.unwrap(), "second");
    assert_eq!(w.read(&reader, SECRET, Some(1)).await.unwrap(), "first");
    w.put("app/made-in-the-past", "value").await;
    w.work().await;
    let created = w.told_of(RECEIVER, EventType::SecretCreated);
    assert_eq!(created.len(), 2, "receivers still hear what happens");
    assert!(w.told_of(RECEIVER, EventType::RotationOverdue).is_empty());
    assert_eq!(w.rotations(SECRET).await.len(), 1);

    // A grace period does not close early for it, and time catches up.
    w.clock.advance(DAY * 365);
    w.live(HOUR * 47).await;
    assert_eq!(w.read(&reader, SECRET, Some(1)).await.unwrap(), "first");
    w.live(HOUR).await;
    let closed = w.read(&reader, SECRET, Some(1)).await;
    assert_eq!(closed.unwrap_err(), VaultError::SecretExpired);
    assert_eq!(w.rotations(SECRET).await[0].phase, Phase::Completed);
    w.assert_chain_verifies().await;
}

#[tokio::test]
async fn policy_rotate_fires_for_the_named_secrets_or_none() {
    let w = World::new().await;
    w.hear_all().await;
    let policy = w.policy(ninety_days("oauth")).await;
    for name in ["app/a", "app/b", "app/c"] {
        w.put(name, "first").await;
    }
    w.assign(&policy.id, "app/a").await;
    w.assign(&policy.id, "app/b").await;
    let some = Some(vec![path("app/a"), path("app/c")]);
    let refused = w
        .vault
        .rotation_policy_rotate(&root(), &policy.id, some)
        .await;
    assert_eq!(refused.unwrap_err().code(), "assignment_not_found");
    assert!(
        w.rotations("app/a").await.is_empty(),
        "nothing is rotated then"
    );
    let some = Some(vec![path("app/b")]);
    let begun = w
        .vault
        .rotation_policy_rotate(&root(), &policy.id, some)
        .await
        .unwrap();
    assert_eq!(begun.len(), 1);
    let begun = w
        .vault
        .rotation_policy_rotate(&root(), &policy.id, None)
        .await
        .unwrap();
    assert_eq!(begun.len(), 2);
    w.work().await;
    let told = w.told_of(RECEIVER, EventType::RotationDue);
    assert_eq!(due_now(&told, true).len(), 3, "b was announced twice");
    assert_eq!(w.rotations("app/b").await.len(), 1);
}

#[tokio::test]
async fn a_rotation_woken_early_goes_back_to_waiting() {
    let w = World::new().await;
    w.rotated_secret(SECRET, ninety_days("oauth")).await;
    w.live(DAY * 90).await;
    let open = w.rotations(SECRET).await.pop().unwrap();
    let early = open.waiting(Some(w.now()));
    let unit = Unit::new(UnitName::RotationWait).op(Op::Put(Record::Rotation(early)));
    Store::commit(&*w.sqlite, unit).await.unwrap();
    w.work().await;
    assert_eq!(w.store.commits(UnitName::RotationWait), 1);
    let waits = RotationReads::rotation_find(&*w.sqlite, &default_tenant(), &open.id).await;
    let waits = waits.unwrap().unwrap();
    assert_eq!(
        (waits.phase, waits.wake_at),
        (Phase::Generating, Some(open.overdue_at))
    );
    assert_eq!(waits.claimed_until, None);
}
