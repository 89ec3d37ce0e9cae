//! Claims: who gets due work, for how long, and what a worker that outlived its claim can still do.

use std::collections::HashSet;
use std::time::Duration;

use scaivault_core::ports::{CommitError, NextWork, Op, Record, RecordKind, Unit, UnitName};
use scaivault_core::time::Timestamp;

use super::samples::{
    T0, assignment, at, at_target, delivery, path, rotation, rotation_policy, target, tenant,
};
use super::{Subject, commit, put};

const HOLD: Duration = Duration::from_secs(60);

pub async fn due_assignments_are_claimed_longest_overdue_first(store: Subject) {
    let (a, b) = (
        rotation_policy(&tenant("a"), "1"),
        rotation_policy(&tenant("b"), "1"),
    );
    let rows = [
        assignment(&a, "s/1", Some(at(30))),
        assignment(&b, "s/2", Some(at(10))),
        assignment(&a, "s/3", None),
        assignment(&a, "s/4", Some(at(20))),
        assignment(&a, "s/5", Some(at(31))),
    ];
    put(&store, rows.clone().map(Record::Assignment)).await;
    let first = store.assignment_claim(at(30), HOLD, 2).await.unwrap();
    let paths: Vec<_> = first.iter().map(|row| row.path.as_str()).collect();
    assert_eq!(paths, ["s/2", "s/4"]);
    let mut expect = rows[1].clone();
    (expect.revision, expect.claimed_until) = (2, Some(at(90)));
    assert_eq!(first[0], expect);
    assert_eq!(
        store
            .assignment_find(&expect.tenant, &expect.path)
            .await
            .unwrap(),
        Some(expect)
    );
    let rest = store.assignment_claim(at(30), HOLD, 9).await.unwrap();
    assert_eq!(
        rest.iter().map(|row| row.path.as_str()).collect::<Vec<_>>(),
        ["s/1"]
    );
    assert_eq!(store.assignment_claim(at(30), HOLD, 9).await.unwrap(), []);
    assert_eq!(store.assignment_claim(at(31), HOLD, 0).await.unwrap(), []);
}

pub async fn due_rotations_are_claimed_longest_overdue_first(store: Subject) {
    let policy = rotation_policy(&tenant("a"), "1");
    let rows = [
        ("1", Some(at(30))),
        ("2", Some(at(10))),
        ("3", None),
        ("4", Some(at(31))),
    ]
    .map(|(id, wake)| rotation(&policy, id, "s", wake));
    put(&store, rows.clone().map(Record::Rotation)).await;
    let claimed = store.rotation_claim(at(30), HOLD, 9).await.unwrap();
    let ids: Vec<_> = claimed.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["rtn_2", "rtn_1"]);
    let mut expect = rows[1].clone();
    (expect.revision, expect.claimed_until) = (2, Some(at(90)));
    assert_eq!(claimed[0], expect);
    assert_eq!(
        store
            .rotation_find(&expect.tenant, &expect.id)
            .await
            .unwrap(),
        Some(expect)
    );
}

pub async fn targets_are_served_one_rotation_at_a_time(store: Subject) {
    let a = tenant("a");
    let policy = rotation_policy(&a, "1");
    let targets = ["1", "2", "3"].map(|id| target(&a, id));
    let rows = [
        at_target(rotation(&policy, "1", "s/1", Some(at(5))), &targets[0]),
        at_target(rotation(&policy, "2", "s/2", Some(at(3))), &targets[0]),
        at_target(rotation(&policy, "3", "s/3", Some(at(1))), &targets[1]),
        at_target(rotation(&policy, "4", "s/4", Some(at(50))), &targets[2]),
        rotation(&policy, "5", "s/5", Some(at(2))),
    ];
    put(&store, rows.map(Record::Rotation)).await;
    let ids = |rows: &[scaivault_core::rotation::Rotation]| -> Vec<String> {
        rows.iter().map(|row| row.id.to_string()).collect()
    };
    let local = store.rotation_claim(at(9), HOLD, 9).await.unwrap();
    assert_eq!(ids(&local), ["rtn_5"], "those at targets are claimed apart");
    let busy = [targets[1].id.clone()];
    let first = store.rotation_claim_at_targets(at(9), HOLD, &busy, 9).await;
    let first = first.unwrap();
    assert_eq!(
        ids(&first),
        ["rtn_2"],
        "the longest overdue of what is free"
    );
    assert_eq!(first[0].claimed_until, Some(at(69)));
    let second = store.rotation_claim_at_targets(at(9), HOLD, &[], 9).await;
    assert_eq!(
        ids(&second.unwrap()),
        ["rtn_3"],
        "a held target is passed over"
    );
    let third = store.rotation_claim_at_targets(at(9), HOLD, &[], 9).await;
    assert_eq!(ids(&third.unwrap()), [""; 0]);
    // Given back, the target is free for its next one.
    let mut back = first[0].clone();
    (back.revision, back.claimed_until, back.wake_at) = (3, None, Some(at(90)));
    put(&store, [Record::Rotation(back)]).await;
    assert_eq!(store.next_work().await.unwrap().rotation_at, Some(at(5)));
    let fourth = store.rotation_claim_at_targets(at(9), HOLD, &[], 9).await;
    assert_eq!(ids(&fourth.unwrap()), ["rtn_1"]);
    // Claims lapse; one call serves several targets, the one that waits longest first.
    let late = store.rotation_claim_at_targets(at(100), HOLD, &[], 2).await;
    assert_eq!(ids(&late.unwrap()), ["rtn_3", "rtn_1"]);
}

pub async fn a_claim_holds_until_it_lapses(store: Subject) {
    let policy = rotation_policy(&tenant("a"), "1");
    put(
        &store,
        [Record::Assignment(assignment(&policy, "s", Some(T0)))],
    )
    .await;
    assert_eq!(
        store.assignment_claim(at(0), HOLD, 9).await.unwrap()[0].revision,
        2
    );
    assert_eq!(store.assignment_claim(at(59), HOLD, 9).await.unwrap(), []);
    let again = store.assignment_claim(at(60), HOLD, 9).await.unwrap();
    assert_eq!(
        (again[0].revision, again[0].claimed_until),
        (3, Some(at(120)))
    );
    // Given back, it is free at once.
    let mut back = again[0].clone();
    (back.revision, back.claimed_until) = (4, None);
    put(&store, [Record::Assignment(back)]).await;
    assert_eq!(
        store.assignment_claim(at(60), HOLD, 9).await.unwrap()[0].revision,
        5
    );
}

pub async fn a_stale_worker_conflicts(store: Subject) {
    let policy = rotation_policy(&tenant("a"), "1");
    put(
        &store,
        [
            Record::Assignment(assignment(&policy, "s", Some(T0))),
            Record::Rotation(rotation(&policy, "1", "s", Some(T0))),
            Record::Delivery(delivery(&tenant("a"), "1", "wh_1", 1, Some(T0))),
        ],
    )
    .await;
    let slow = (
        store
            .assignment_claim(at(0), HOLD, 9)
            .await
            .unwrap()
            .remove(0),
        store
            .rotation_claim(at(0), HOLD, 9)
            .await
            .unwrap()
            .remove(0),
        store
            .delivery_claim(at(0), HOLD, &[], 9)
            .await
            .unwrap()
            .remove(0),
    );
    let fast = (
        store
            .assignment_claim(at(60), HOLD, 9)
            .await
            .unwrap()
            .remove(0),
        store
            .rotation_claim(at(60), HOLD, 9)
            .await
            .unwrap()
            .remove(0),
        store
            .delivery_claim(at(60), HOLD, &[], 9)
            .await
            .unwrap()
            .remove(0),
    );
    let answer = |record: Record| {
        let store = store.clone();
        async move {
            store
                .commit(Unit::new(UnitName::RotationClose).put(record))
                .await
        }
    };
    let next = |n: u64| n + 1;
    let (mut a, mut r, mut d) = slow;
    (a.revision, r.revision, d.revision) = (next(a.revision), next(r.revision), next(d.revision));
    assert_eq!(
        answer(Record::Assignment(a)).await,
        conflict(RecordKind::Assignment)
    );
    assert_eq!(
        answer(Record::Rotation(r)).await,
        conflict(RecordKind::Rotation)
    );
    assert_eq!(
        answer(Record::Delivery(d)).await,
        conflict(RecordKind::Delivery)
    );
    let (mut a, mut r, mut d) = fast;
    (a.revision, r.revision, d.revision) = (next(a.revision), next(r.revision), next(d.revision));
    assert!(answer(Record::Assignment(a)).await.is_ok());
    assert!(answer(Record::Rotation(r)).await.is_ok());
    assert!(answer(Record::Delivery(d)).await.is_ok());
}

fn conflict(kind: RecordKind) -> Result<scaivault_core::ports::Committed, CommitError> {
    Err(CommitError::Conflict(kind))
}

pub async fn one_rotation_is_claimed_if_free_and_due(store: Subject) {
    let policy = rotation_policy(&tenant("a"), "1");
    let rows =
        [("1", Some(at(10))), ("2", None)].map(|(id, wake)| rotation(&policy, id, "s", wake));
    put(&store, rows.clone().map(Record::Rotation)).await;
    let claim = |n: usize, secs| {
        let (store, row) = (store.clone(), rows[n].clone());
        async move {
            store
                .rotation_claim_one(&row.tenant, &row.id, at(secs), HOLD)
                .await
                .unwrap()
        }
    };
    assert_eq!(claim(0, 9).await, None);
    assert_eq!(claim(1, 99).await, None);
    let got = claim(0, 10).await.unwrap();
    assert_eq!((got.revision, got.claimed_until), (2, Some(at(70))));
    assert_eq!(claim(0, 69).await, None);
    assert_eq!(claim(0, 70).await.unwrap().revision, 3);
    let none = rotation(&policy, "9", "s", None);
    let found = store
        .rotation_claim_one(&none.tenant, &none.id, at(99), HOLD)
        .await;
    assert_eq!(found.unwrap(), None);
}

/// After a change of the policy its assignments are looked at again, by whoever; a worker that
/// looked under the old one cannot write what it found.
pub async fn waking_frees_and_fences(store: Subject) {
    let (one, two) = (
        rotation_policy(&tenant("a"), "1"),
        rotation_policy(&tenant("a"), "2"),
    );
    put(
        &store,
        [
            Record::Assignment(assignment(&one, "s/1", None)),
            Record::Assignment(assignment(&one, "s/2", Some(T0))),
            Record::Assignment(assignment(&two, "s/3", None)),
        ],
    )
    .await;
    let mut held = store
        .assignment_claim(at(0), HOLD, 9)
        .await
        .unwrap()
        .remove(0);
    let wake = Op::AssignmentsWake {
        tenant: tenant("a"),
        policy_id: one.id,
        at: at(5),
    };
    commit(&store, [wake]).await;
    held.revision += 1;
    let stale = store
        .commit(Unit::new(UnitName::ScheduleWait).put(Record::Assignment(held)))
        .await;
    assert_eq!(stale, conflict(RecordKind::Assignment));
    assert_eq!(store.assignment_claim(at(4), HOLD, 9).await.unwrap(), []);
    let mut woken = store.assignment_claim(at(5), HOLD, 9).await.unwrap();
    woken.sort_by(|x, y| x.path.cmp(&y.path));
    let seen: Vec<_> = woken
        .iter()
        .map(|row| (row.path.as_str(), row.wake_at, row.revision))
        .collect();
    assert_eq!(seen, [("s/1", Some(at(5)), 3), ("s/2", Some(at(5)), 4)]);
    let other = store
        .assignment_find(&tenant("a"), &path("s/3"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((other.wake_at, other.revision), (None, 1));
}

pub async fn the_next_work_is_known(store: Subject) {
    let a = tenant("a");
    let policy = rotation_policy(&a, "1");
    let expect = |assignment: Option<i64>, rotation: Option<i64>, delivery: Option<i64>| {
        let time = |secs: Option<i64>| secs.map(at);
        NextWork {
            assignment_at: time(assignment),
            rotation_at: time(rotation),
            delivery_at: time(delivery),
            ..NextWork::default()
        }
    };
    assert_eq!(store.next_work().await.unwrap(), NextWork::default());
    put(
        &store,
        [
            Record::Assignment(assignment(&policy, "s/1", Some(at(50)))),
            Record::Assignment(assignment(&policy, "s/2", Some(at(20)))),
            Record::Assignment(assignment(&policy, "s/3", None)),
            Record::Rotation(rotation(&policy, "1", "s/1", Some(at(7)))),
            Record::Delivery(delivery(&a, "1", "wh_1", 1, Some(at(8)))),
            Record::Delivery(delivery(&a, "2", "sub_1", 1, None)),
        ],
    )
    .await;
    assert_eq!(
        store.next_work().await.unwrap(),
        expect(Some(20), Some(7), Some(8))
    );
    // Claimed rows count at the end of their claim, unless they sleep longer.
    store
        .assignment_claim(at(20), Duration::from_secs(10), 1)
        .await
        .unwrap();
    store.rotation_claim(at(20), HOLD, 1).await.unwrap();
    store.delivery_claim(at(20), HOLD, &[], 1).await.unwrap();
    assert_eq!(
        store.next_work().await.unwrap(),
        expect(Some(30), Some(80), Some(80))
    );
    let mut asleep = store
        .rotation_find(&a, &rotation(&policy, "1", "s", None).id)
        .await
        .unwrap();
    let asleep = asleep.as_mut().unwrap();
    (asleep.wake_at, asleep.revision) = (Some(at(500)), 3);
    put(&store, [Record::Rotation(asleep.clone())]).await;
    assert_eq!(store.next_work().await.unwrap().rotation_at, Some(at(500)));
    (asleep.wake_at, asleep.revision) = (None, 4);
    put(&store, [Record::Rotation(asleep.clone())]).await;
    assert_eq!(store.next_work().await.unwrap().rotation_at, None);
}

/// Many workers at once: every row goes to exactly one of them.
pub async fn claims_race_without_overlap(store: Subject) {
    let policy = rotation_policy(&tenant("a"), "1");
    let rows =
        (0..100).map(|n| assignment(&policy, &format!("s/{n}"), Some(Timestamp::from_secs(n))));
    put(&store, rows.map(Record::Assignment)).await;
    let workers: Vec<_> = (0..10)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut got = Vec::new();
                loop {
                    let claimed = store.assignment_claim(T0, HOLD, 7).await.unwrap();
                    if claimed.is_empty() {
                        return got;
                    }
                    got.extend(claimed.into_iter().map(|row| (row.path, row.revision)));
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for worker in workers {
        all.extend(worker.await.unwrap());
    }
    assert_eq!(all.len(), 100);
    assert!(all.iter().all(|(_, revision)| *revision == 2));
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 100);
}
