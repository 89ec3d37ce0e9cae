//! Two nodes over one store. Whoever is paused between what it read and what it writes finds that
//! the other went on: its write counts for nothing, and no effect is there twice.

use std::sync::Arc;

use scaivault_core::event::EventType;
use scaivault_core::ports::UnitName;
use scaivault_core::rotation::Phase;
use scaivault_core::secret::VersionState;
use scaivault_engine::{SecretWrite, Vault, VaultError};
use scaivault_testkit::Reply;

use crate::world::{
    DAY, HOUR, PAST_ANY_HOLD, RECEIVER, World, ninety_days, path, root, work, work_slice, write_of,
};

const AT: &str = "app/contended";

/// Runs all workers of `vault` in a task of their own, until a unit of this name is about to be
/// written.
async fn paused_at(
    w: &World,
    vault: &Arc<Vault>,
    name: UnitName,
) -> (Arc<scaivault_testkit::Stop>, tokio::task::JoinHandle<()>) {
    let stop = w.watched.stop_at(name);
    let vault = vault.clone();
    let task = tokio::spawn(async move { work(&vault).await });
    stop.arrived().await;
    (stop, task)
}

#[tokio::test]
async fn a_worker_paused_past_its_hold_writes_nothing() {
    let by_hand = [
        (UnitName::ScheduleWarn, 83, 0),
        (UnitName::RotationOpen, 90, 0),
        (UnitName::FanOut, 90, 0),
        (UnitName::DeliveryDone, 90, 0),
        (UnitName::RotationOverdue, 92, 0),
        (UnitName::RotationClose, 92, 1),
    ];
    let by_itself = [
        (UnitName::RotationOpen, 90, 0),
        (UnitName::RotationGenerate, 90, 0),
        (UnitName::RotationPromote, 90, 0),
        (UnitName::RotationClose, 92, 0),
    ];
    let cases = by_hand.map(|case| (false, case)).into_iter();
    for (auto, (name, day, hour)) in cases.chain(by_itself.map(|case| (true, case))) {
        let w = World::new().await;
        w.hear_all().await;
        let mut draft = ninety_days("p");
        draft.auto_generate = auto;
        w.rotated_secret(AT, draft).await;
        let start = w.now();
        let answered = name == UnitName::RotationClose && !auto;
        if answered {
            w.live_until(start.plus(DAY * 90)).await;
            w.jump(HOUR).await;
            w.put(AT, "second").await;
        }
        let then = start.plus(DAY * day).plus(HOUR * hour);
        w.live_until(then.minus(HOUR / 2)).await;
        w.clock.set(then);

        let (slow, quick) = (w.another_vault(), w.another_vault());
        let (stop, paused) = paused_at(&w, &slow, name).await;
        // While the claim holds, the other node keeps its hands off what is held.
        work(&quick).await;
        w.clock.advance(PAST_ANY_HOLD);
        work(&quick).await;
        let expect = (
            w.rotations(AT).await,
            w.versions(AT).await,
            w.told(RECEIVER),
        );
        stop.go();
        paused.await.unwrap();
        work(&quick).await;
        let found = (
            w.rotations(AT).await,
            w.versions(AT).await,
            w.told(RECEIVER),
        );
        assert_eq!(found.0, expect.0, "{name:?} auto={auto}");
        assert_eq!(found.1, expect.1, "{name:?} auto={auto}");
        assert_eq!(found.2, expect.2, "{name:?} auto={auto}");
        assert_told_once(&w, name);
        w.assert_chain_verifies().await;
    }
}

fn assert_told_once(w: &World, name: UnitName) {
    let told = |kind| w.told_of(RECEIVER, kind).len();
    match name {
        UnitName::ScheduleWarn => assert_eq!(told(EventType::RotationDue), 1),
        UnitName::RotationPromote | UnitName::RotationGenerate => {
            assert_eq!(told(EventType::SecretRotated), 1);
        }
        UnitName::RotationOverdue => assert_eq!(told(EventType::RotationOverdue), 1),
        UnitName::RotationClose => assert_eq!(told(EventType::RotationCompleted), 1),
        _ => {
            let due = w.told_of(RECEIVER, EventType::RotationDue);
            assert!(due.iter().filter(|data| data["due_now"] == true).count() <= 1);
        }
    }
}

#[tokio::test]
async fn while_a_claim_holds_nobody_else_begins() {
    let w = World::new().await;
    let mut draft = ninety_days("p");
    draft.auto_generate = true;
    draft.warn_before.clear();
    w.rotated_secret(AT, draft).await;
    w.clock.advance(DAY * 90);
    let (slow, quick) = (w.another_vault(), w.another_vault());
    let (stop, paused) = paused_at(&w, &slow, UnitName::RotationGenerate).await;
    let before = w.store.commits(UnitName::RotationGenerate);
    work(&quick).await;
    assert_eq!(
        w.store.commits(UnitName::RotationGenerate),
        before,
        "it is held"
    );
    stop.go();
    paused.await.unwrap();
    assert_eq!(w.head(AT).await.unwrap().current_version, 2);
    assert_eq!(w.rotations(AT).await.len(), 1);
}

#[tokio::test]
async fn of_two_answers_one_wins() {
    let w = World::new().await;
    w.hear_all().await;
    w.rotated_secret(AT, ninety_days("p")).await;
    let open = w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    let answer = |value: &str| SecretWrite {
        rotation_id: Some(open.id.clone()),
        ..write_of(AT, value)
    };
    let stop = w.watched.stop_at(UnitName::SecretWrite);
    let (slow, late) = (w.another_vault(), answer("late"));
    let late = tokio::spawn(async move { slow.secret_write(&root(), late).await.map(|_| ()) });
    stop.arrived().await;
    let won = w.vault.secret_write(&root(), answer("won")).await.unwrap();
    assert_eq!(won.answered.as_ref(), Some(&open.id));
    stop.go();
    assert_eq!(late.await.unwrap(), Err(VaultError::RotationConflict));
    // One that does not insist is a write like any other.
    let stop = w.watched.stop_at(UnitName::SecretWrite);
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    let slow = w.another_vault();
    let other = tokio::spawn(async move { slow.secret_write(&root(), write_of(AT, "slow")).await });
    stop.arrived().await;
    assert!(w.put(AT, "quick").await.answered.is_some());
    stop.go();
    let other = other.await.unwrap().unwrap();
    assert_eq!((other.answered, other.head.current_version), (None, 4));
    w.work().await;
    assert_eq!(w.told_of(RECEIVER, EventType::SecretRotated).len(), 2);
}

#[tokio::test]
async fn of_two_compare_and_sets_one_wins() {
    let w = World::new().await;
    w.put(AT, "first").await;
    let cas = |value: &str| SecretWrite {
        cas: Some(1),
        ..write_of(AT, value)
    };
    let stop = w.watched.stop_at(UnitName::SecretWrite);
    let (slow, late) = (w.another_vault(), cas("late"));
    let late = tokio::spawn(async move { slow.secret_write(&root(), late).await.map(|_| ()) });
    stop.arrived().await;
    w.vault.secret_write(&root(), cas("won")).await.unwrap();
    stop.go();
    assert_eq!(
        late.await.unwrap(),
        Err(VaultError::VersionConflict { current: 2 })
    );
    assert_eq!(w.versions(AT).await.len(), 2);
}

#[tokio::test]
async fn a_write_by_hand_is_never_overwritten_by_a_candidate() {
    let w = World::new().await;
    let mut draft = ninety_days("p");
    draft.auto_generate = true;
    draft.warn_before.clear();
    w.rotated_secret(AT, draft).await;
    w.clock.advance(DAY * 90);
    let slow = w.another_vault();
    let (stop, paused) = paused_at(&w, &slow, UnitName::RotationPromote).await;
    w.put(AT, "by hand").await;
    stop.go();
    paused.await.unwrap();
    w.clock.advance(PAST_ANY_HOLD);
    work(&slow).await;
    let rows = w.versions(AT).await;
    let states: Vec<_> = rows.iter().map(|row| (row.version, row.state)).collect();
    let expect = [
        (4, VersionState::Current),
        (3, VersionState::Previous),
        (2, VersionState::Withdrawn),
        (1, VersionState::Superseded),
    ];
    assert_eq!(states, expect);
    assert_eq!(w.read(&root(), AT, Some(3)).await.unwrap(), "by hand");
}

#[tokio::test]
async fn deletion_while_a_candidate_is_made() {
    for name in [UnitName::RotationGenerate, UnitName::RotationPromote] {
        let w = World::new().await;
        let mut draft = ninety_days("p");
        draft.auto_generate = true;
        draft.warn_before.clear();
        w.rotated_secret(AT, draft).await;
        w.clock.advance(DAY * 90);
        let slow = w.another_vault();
        let (stop, paused) = paused_at(&w, &slow, name).await;
        w.vault
            .secret_delete(&root(), &path(AT), false)
            .await
            .unwrap();
        stop.go();
        paused.await.unwrap();
        w.live(DAY).await;
        assert_eq!(w.rotations(AT).await[0].phase, Phase::RolledBack);
        w.vault.secret_undelete(&root(), &path(AT)).await.unwrap();
        let rows = w.versions(AT).await;
        assert!(
            rows.iter().all(|row| row.state != VersionState::Pending),
            "{name:?}"
        );
        assert_eq!(w.head(AT).await.unwrap().current_version, 1);
    }
}

#[tokio::test]
async fn a_delivery_that_outlives_its_claim_is_made_again_and_recorded_once() {
    let w = World::new().await;
    let hook = w.hear_all().await;
    w.courier.next(RECEIVER, [Reply::Held]);
    w.put(AT, "first").await;
    let slow = w.another_vault();
    let held = tokio::spawn(async move { work(&slow).await });
    while w.courier.holding() == 0 {
        tokio::task::yield_now().await;
    }
    let quick = w.another_vault();
    work(&quick).await;
    assert_eq!(
        w.courier.received(RECEIVER).len(),
        1,
        "one at a time per receiver"
    );
    w.clock.advance(PAST_ANY_HOLD);
    work(&quick).await;
    assert_eq!(w.courier.received(RECEIVER).len(), 2, "at least once");
    let list = w
        .vault
        .delivery_list(&root(), &hook, None, None, 10)
        .await
        .unwrap();
    w.courier.release();
    held.await.unwrap();
    let after = w
        .vault
        .delivery_list(&root(), &hook, None, None, 10)
        .await
        .unwrap();
    assert_eq!(after, list, "the late record counts for nothing");
    assert_eq!(w.envelopes(RECEIVER).len(), 1);
}

#[tokio::test]
async fn two_nodes_in_turn_do_everything_once() {
    let w = World::new().await;
    w.hear_all().await;
    let mut draft = ninety_days("auto");
    draft.auto_generate = true;
    draft.warn_before.clear();
    let policy = w.policy(draft).await;
    let names: Vec<String> = (0..90).map(|n| format!("app/s{n:02}")).collect();
    for name in &names {
        w.put(name, "first").await;
        w.assign(&policy.id, name).await;
    }
    w.clock.advance(DAY * 90);
    let nodes = [w.another_vault(), w.another_vault()];
    let mut idle = 0;
    for turn in 0..2_000 {
        let done = work_slice(&nodes[turn % 2]).await.unwrap();
        idle = if done == 0 { idle + 1 } else { 0 };
        if idle == 2 {
            break;
        }
    }
    assert_eq!(idle, 2, "they come to rest");
    for name in &names {
        assert_eq!(w.head(name).await.unwrap().current_version, 2);
        assert_eq!(w.rotations(name).await.len(), 1);
    }
    assert_eq!(w.told_of(RECEIVER, EventType::SecretRotated).len(), 90);
    assert_eq!(
        w.courier.received(RECEIVER).len(),
        w.envelopes(RECEIVER).len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_workers_of_two_nodes_at_once() {
    const WRITERS: usize = 4;
    const WRITES: usize = 25;
    let w = World::new().await;
    w.hear_all().await;
    let mut draft = ninety_days("auto");
    draft.auto_generate = true;
    let policy = w.policy(draft).await;
    for at in ["app/one", "app/two"] {
        let first = SecretWrite {
            max_versions: Some(1_000),
            ..write_of(at, "first")
        };
        w.vault.secret_write(&root(), first).await.unwrap();
        w.assign(&policy.id, at).await;
    }
    let nodes = [w.another_vault(), w.another_vault()];
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let node = nodes[writer % 2].clone();
        tasks.spawn(async move {
            let mut acknowledged = 0;
            for n in 0..WRITES {
                let at = ["app/one", "app/two"][n % 2];
                let value = format!("{writer}-{n}");
                match node.secret_write(&root(), write_of(at, &value)).await {
                    Ok(_) => acknowledged += 1,
                    Err(VaultError::VersionConflict { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            acknowledged
        });
    }
    for node in &nodes {
        let node = node.clone();
        tasks.spawn(async move {
            for n in 0..20 {
                let at = ["app/one", "app/two"][n % 2];
                match node.secret_rotate(&root(), &path(at)).await {
                    Ok(_) | Err(VaultError::Unavailable(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
                work_slice(&node).await.unwrap();
            }
            0
        });
    }
    let mut acknowledged = 0;
    while let Some(done) = tasks.join_next().await {
        acknowledged += done.unwrap();
    }
    w.clock.advance(PAST_ANY_HOLD);
    w.live(HOUR * 49).await;
    let rotated = w.told_of(RECEIVER, EventType::SecretRotated);
    let mut by_hand = 0;
    for at in ["app/one", "app/two"] {
        let rows = w.versions(at).await;
        let head = w.head(at).await.unwrap();
        assert_eq!(
            u64::try_from(rows.len()).unwrap(),
            head.latest_version,
            "no number is skipped"
        );
        let current = rows.iter().filter(|row| row.state == VersionState::Current);
        assert_eq!(current.count(), 1);
        assert!(rows.iter().all(|row| row.state != VersionState::Pending));
        by_hand += rows.iter().filter(|row| row.rotation_id.is_none()).count() - 1;
        for rotation in w.rotations(at).await {
            let times = rotated
                .iter()
                .filter(|data| data["rotation_id"] == rotation.id.as_str());
            let promoted = usize::from(rotation.grace_ends_at.is_some());
            assert_eq!(times.count(), promoted, "{rotation:?}");
            assert!(rotation.phase.is_final(), "{rotation:?}");
        }
        let mut sequence: Vec<u64> = w
            .envelopes(RECEIVER)
            .iter()
            .filter(|body| body["path"] == at)
            .map(|body| body["sequence"].as_u64().unwrap())
            .collect();
        sequence.sort_unstable();
        let whole: Vec<u64> = (1..=u64::try_from(sequence.len()).unwrap()).collect();
        assert_eq!(sequence, whole);
    }
    assert_eq!(
        by_hand, acknowledged,
        "every acknowledged write is a version"
    );
    w.assert_chain_verifies().await;
}
