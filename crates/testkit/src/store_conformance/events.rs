//! The outbox: places, sequences, the fan-out mark, pruning.

use scaivault_core::delivery::{Delivery, DeliveryState};
use scaivault_core::ports::{CommitError, Op, Record, RecordKind, Unit, UnitName};

use super::samples::{at, delivery, event, key, subscription, tenant};
use super::{Subject, commit, put};

async fn sequences(store: &Subject) -> Vec<(String, u64)> {
    let (_, events) = store.fan_out_pending(1_000).await.unwrap();
    events
        .iter()
        .map(|stored| {
            let of = stored.event.path.as_ref().map_or("-", |path| path.as_str());
            (
                format!(
                    "{}/{of}",
                    stored.event.tenant.as_str().trim_start_matches("tnt_")
                ),
                stored.sequence,
            )
        })
        .collect()
}

fn emit(owner: &str, id: &str, at_path: Option<&str>) -> Op {
    Op::Emit(event(&tenant(owner), id, at_path))
}

pub async fn sequences_have_no_gap(store: Subject) {
    let first = commit(
        &store,
        [emit("a", "1", Some("x")), emit("a", "2", Some("y"))],
    )
    .await;
    assert_eq!(first.events, 2);
    commit(
        &store,
        [
            emit("a", "3", Some("x")),
            emit("b", "1", Some("x")),
            emit("a", "4", Some("x")),
        ],
    )
    .await;
    let expect = [("a/x", 1), ("a/y", 1), ("a/x", 2), ("b/x", 1), ("a/x", 3)];
    assert_eq!(
        sequences(&store).await,
        expect.map(|(of, n)| (of.to_owned(), n))
    );
}

pub async fn sequences_survive_failed_units(store: Subject) {
    put(&store, [Record::Key(key("1"))]).await;
    for n in 0..5 {
        let unit = Unit::new(UnitName::SecretWrite)
            .op(emit("a", &format!("lost{n}"), Some("x")))
            .put(Record::Key(key("1")));
        assert!(store.commit(unit).await.is_err());
        commit(&store, [emit("a", &format!("kept{n}"), Some("x"))]).await;
    }
    let found: Vec<u64> = sequences(&store)
        .await
        .into_iter()
        .map(|(_, n)| n)
        .collect();
    assert_eq!(found, [1, 2, 3, 4, 5]);
}

pub async fn events_without_path_have_no_sequence(store: Subject) {
    commit(
        &store,
        [
            emit("a", "1", None),
            emit("a", "2", None),
            emit("a", "3", Some("x")),
        ],
    )
    .await;
    let found: Vec<u64> = sequences(&store)
        .await
        .into_iter()
        .map(|(_, n)| n)
        .collect();
    assert_eq!(found, [0, 0, 1]);
}

/// Also after the newest were pruned: a place is never used twice.
pub async fn positions_increase(store: Subject) {
    commit(&store, [emit("a", "1", None), emit("a", "2", None)]).await;
    let (mark, events) = store.fan_out_pending(9).await.unwrap();
    assert_eq!(mark, 0);
    assert!(events[0].position > 0 && events[1].position > events[0].position);
    let last = events[1].position;
    commit(
        &store,
        [
            Op::FanOutAdvance { from: 0, to: last },
            Op::EventsPrune {
                before: at(1_000_000),
            },
        ],
    )
    .await;
    assert_eq!(
        store
            .event_find(&tenant("a"), &events[1].event.id)
            .await
            .unwrap(),
        None
    );
    commit(&store, [emit("a", "3", None)]).await;
    let (_, events) = store.fan_out_pending(9).await.unwrap();
    assert_eq!(events.len(), 1);
    assert!(events[0].position > last);
}

pub async fn the_mark_moves_by_compare_and_swap(store: Subject) {
    commit(&store, ["1", "2", "3"].map(|id| emit("a", id, Some("x")))).await;
    let (mark, events) = store.fan_out_pending(2).await.unwrap();
    assert_eq!((mark, events.len()), (0, 2));
    let second = events[1].position;
    let advance = |from, to| {
        let unit = Unit::new(UnitName::FanOut).op(Op::FanOutAdvance { from, to });
        let store = store.clone();
        async move { store.commit(unit).await }
    };
    assert!(matches!(
        advance(second, second + 1).await,
        Err(CommitError::Conflict(_))
    ));
    assert!(advance(0, second).await.is_ok());
    assert!(matches!(
        advance(0, second).await,
        Err(CommitError::Conflict(_))
    ));
    let (mark, events) = store.fan_out_pending(9).await.unwrap();
    assert_eq!((mark, events.len()), (second, 1));
    // In a unit that fails it stays where it was.
    put(&store, [Record::Key(key("1"))]).await;
    let unit = Unit::new(UnitName::FanOut)
        .op(Op::FanOutAdvance {
            from: second,
            to: second + 9,
        })
        .put(Record::Key(key("1")));
    assert_eq!(
        store.commit(unit).await,
        Err(CommitError::Conflict(RecordKind::Key))
    );
    assert_eq!(store.fan_out_pending(9).await.unwrap().0, second);
}

pub async fn pruning_spares_pending_and_new(store: Subject) {
    let a = tenant("a");
    let ops = (0..6i64).map(|n| {
        let mut made = event(&a, &n.to_string(), Some("x"));
        made.at = at(n);
        Op::Emit(made)
    });
    commit(&store, ops).await;
    let (_, events) = store.fan_out_pending(9).await.unwrap();
    let place = |n: usize| events[n].position;
    let mut done = delivery(&a, "1", "sub_1", place(1), None);
    done.state = DeliveryState::Success;
    let waiting = delivery(&a, "2", "sub_1", place(2), None);
    put(&store, [done, waiting.clone()].map(Record::Delivery)).await;
    put(&store, [Record::Subscription(subscription(&a, "1"))]).await;
    let left = || async {
        let mut left = Vec::new();
        for (n, event) in events.iter().enumerate() {
            if store
                .event_find(&a, &event.event.id)
                .await
                .unwrap()
                .is_some()
            {
                left.push(n);
            }
        }
        left
    };
    let prune = |secs| Op::EventsPrune { before: at(secs) };
    commit(&store, [prune(100)]).await;
    assert_eq!(left().await, [0, 1, 2, 3, 4, 5], "nothing was fanned out");
    commit(
        &store,
        [
            Op::FanOutAdvance {
                from: 0,
                to: place(4),
            },
            prune(4),
        ],
    )
    .await;
    assert_eq!(
        left().await,
        [2, 4, 5],
        "2 is pending, 4 is not before 4, 5 not fanned out"
    );
    commit(&store, [prune(100)]).await;
    assert_eq!(left().await, [2, 5]);
    commit(&store, [Op::Delete(Record::Delivery(waiting)), prune(100)]).await;
    assert_eq!(left().await, [5]);
}

/// Somebody who did not know yet that a subscription is gone kept an event for it.
pub async fn nothing_is_kept_for_a_subscription_that_is_gone(store: Subject) {
    let a = tenant("a");
    commit(
        &store,
        [
            emit("a", "1", Some("x")),
            emit("a", "2", Some("x")),
            emit("a", "3", Some("x")),
        ],
    )
    .await;
    let (_, events) = store.fan_out_pending(9).await.unwrap();
    let place = |n: usize| events[n].position;
    put(&store, [Record::Subscription(subscription(&a, "1"))]).await;
    // Another tenant's is not ours.
    put(
        &store,
        [Record::Subscription(subscription(&tenant("b"), "2"))],
    )
    .await;
    let rows = [
        delivery(&a, "1", "sub_1", place(0), None),
        delivery(&a, "2", "sub_2", place(1), None),
        delivery(&a, "3", "sub_2", place(2), Some(at(1))),
    ];
    put(&store, rows.map(Record::Delivery)).await;
    let prune = [
        Op::FanOutAdvance {
            from: 0,
            to: place(2),
        },
        Op::EventsPrune { before: at(100) },
    ];
    commit(&store, prune).await;
    let mut left = Vec::new();
    for event in &events {
        let found = store.event_find(&a, &event.event.id).await.unwrap();
        left.push(found.is_some());
    }
    assert_eq!(
        left,
        [true, false, true],
        "what is sent is given up by itself"
    );
}

pub async fn pruning_takes_deliveries_along(store: Subject) {
    let a = tenant("a");
    commit(
        &store,
        [emit("a", "1", Some("x")), emit("a", "2", Some("x"))],
    )
    .await;
    let (_, events) = store.fan_out_pending(9).await.unwrap();
    let done = |id: &str, n: usize| {
        let mut row = delivery(&a, id, "wh_1", events[n].position, None);
        row.state = DeliveryState::Failed;
        Record::Delivery(row)
    };
    put(&store, [done("1", 0), done("2", 0), done("3", 1)]).await;
    commit(
        &store,
        [
            Op::FanOutAdvance {
                from: 0,
                to: events[0].position,
            },
            Op::EventsPrune { before: at(1) },
        ],
    )
    .await;
    let found = store
        .delivery_list(&a, "wh_1", None, None, 9)
        .await
        .unwrap();
    assert_eq!(
        found.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(),
        ["del_3"]
    );
    // The path's sequence goes on.
    commit(&store, [emit("a", "3", Some("x"))]).await;
    let (_, events) = store.fan_out_pending(9).await.unwrap();
    assert_eq!(events.last().unwrap().sequence, 3);
}

pub async fn deliveries_of_tests_are_pruned(store: Subject) {
    let of_test = |id: &str, made: i64, state| Delivery {
        state,
        created_at: at(made),
        ..delivery(&tenant("a"), id, "wh_1", 0, None)
    };
    let rows = [
        of_test("1", 10, DeliveryState::Success),
        of_test("2", 20, DeliveryState::Failed),
        of_test("3", 99, DeliveryState::Failed),
    ];
    put(&store, rows.iter().cloned().map(Record::Delivery)).await;
    commit(&store, [Op::EventsPrune { before: at(50) }]).await;
    let left = store
        .delivery_list(&tenant("a"), "wh_1", None, None, 9)
        .await;
    assert_eq!(left.unwrap(), rows[2..]);
}
