//! Deliveries: fair among receivers, in order within each, and the figures about them.

use std::collections::BTreeSet;
use std::time::Duration;

use scaivault_core::delivery::{AttemptError, Attempted, Delivery, DeliveryState};
use scaivault_core::ports::{Op, Record};

use super::samples::{T0, at, delivery, event, subscription, tenant};
use super::{Subject, commit, put};

const HOLD: Duration = Duration::from_secs(60);

fn refused() -> Attempted {
    Attempted {
        response_code: Some(500),
        error: Some(AttemptError::Status),
        duration: Duration::from_millis(40),
    }
}

fn accepted() -> Attempted {
    Attempted {
        response_code: Some(200),
        error: None,
        duration: Duration::from_millis(20),
    }
}

/// A delivery to `receiver` of the event at `position`, named after both.
fn due(receiver: &str, position: u64, secs: i64) -> Delivery {
    let id = format!("{}-{position:04}", receiver.replace('_', "-"));
    delivery(&tenant("a"), &id, receiver, position, Some(at(secs)))
}

async fn claim(store: &Subject, secs: i64, busy: &[&str], limit: usize) -> Vec<Delivery> {
    let busy: Vec<String> = busy.iter().map(|name| (*name).to_owned()).collect();
    store
        .delivery_claim(at(secs), HOLD, &busy, limit)
        .await
        .unwrap()
}

/// Receiver and event of each, in no order: receivers have none among each other.
fn who(rows: &[Delivery]) -> BTreeSet<(String, u64)> {
    let seen: BTreeSet<_> = rows
        .iter()
        .map(|row| (row.receiver.as_str().to_owned(), row.event_position))
        .collect();
    assert_eq!(seen.len(), rows.len(), "a row was handed out twice");
    seen
}

fn set(rows: &[(&str, u64)]) -> BTreeSet<(String, u64)> {
    rows.iter()
        .map(|(receiver, position)| ((*receiver).to_owned(), *position))
        .collect()
}

async fn put_all(store: &Subject, rows: &[Delivery]) {
    put(store, rows.iter().cloned().map(Record::Delivery)).await;
}

pub async fn each_receiver_gets_its_oldest_due_delivery(store: Subject) {
    let rows = [
        due("wh_1", 5, 10),
        due("wh_1", 3, 12),
        due("wh_2", 4, 1),
        due("wh_2", 9, 0),
        due("sub_3", 7, 50),
    ];
    put_all(&store, &rows).await;
    let claimed = claim(&store, 20, &[], 9).await;
    assert_eq!(who(&claimed), set(&[("wh_1", 3), ("wh_2", 4)]));
    for row in claimed {
        assert_eq!((row.revision, row.claimed_until), (2, Some(at(80))));
        assert_eq!(
            store.delivery_find(&row.tenant, &row.id).await.unwrap(),
            Some(row)
        );
    }
}

pub async fn busy_receivers_are_passed_over(store: Subject) {
    put_all(
        &store,
        &[due("wh_1", 1, 0), due("wh_2", 1, 0), due("wh_3", 1, 0)],
    )
    .await;
    let claimed = claim(&store, 0, &["wh_1", "wh_3", "wh_x"], 9).await;
    assert_eq!(who(&claimed), set(&[("wh_2", 1)]));
    assert_eq!(
        who(&claim(&store, 0, &["wh_1"], 9).await),
        set(&[("wh_3", 1)])
    );
    assert_eq!(claim(&store, 0, &["wh_1"], 9).await, []);
}

/// A second delivery at the same time, by another worker, would break the receiver's order.
pub async fn a_receiver_with_a_held_delivery_is_passed_over(store: Subject) {
    put_all(
        &store,
        &[due("wh_1", 1, 0), due("wh_1", 2, 0), due("wh_2", 3, 0)],
    )
    .await;
    assert_eq!(claim(&store, 0, &[], 9).await.len(), 2);
    assert_eq!(claim(&store, 59, &[], 9).await, []);
    // When the claim lapses, the same delivery comes again, before the next one.
    let again = claim(&store, 60, &["wh_2"], 9).await;
    assert_eq!(who(&again), set(&[("wh_1", 1)]));
    assert_eq!(again[0].revision, 3);
    put_all(&store, &[again[0].after(accepted(), at(60))]).await;
    assert_eq!(
        who(&claim(&store, 60, &["wh_2"], 9).await),
        set(&[("wh_1", 2)])
    );
}

pub async fn a_retry_does_not_hold_back_newer_ones(store: Subject) {
    put_all(
        &store,
        &[due("wh_1", 1, 0), due("wh_1", 2, 0), due("wh_1", 3, 0)],
    )
    .await;
    let first = claim(&store, 0, &[], 9).await.remove(0);
    put_all(&store, &[first.after(refused(), at(0))]).await; // again at 30
    let second = claim(&store, 1, &[], 9).await.remove(0);
    assert_eq!(second.event_position, 2);
    put_all(&store, &[second.after(accepted(), at(1))]).await;
    // Due again, the older one comes before the newer one.
    assert_eq!(who(&claim(&store, 30, &[], 9).await), set(&[("wh_1", 1)]));
}

pub async fn no_receiver_starves(store: Subject) {
    let names: Vec<String> = (0..20).map(|n| format!("wh_{n:02}")).collect();
    let rows: Vec<_> = (0..5)
        .flat_map(|n| names.iter().map(move |name| due(name, n + 1, 0)))
        .collect();
    put_all(&store, &rows).await;
    let mut served = BTreeSet::new();
    for round in 0..10 {
        let claimed = claim(&store, round, &[], 4).await;
        assert_eq!(claimed.len(), 4);
        for row in claimed {
            served.insert(row.receiver.as_str().to_owned());
            put_all(&store, &[row.after(accepted(), at(round))]).await;
        }
    }
    assert_eq!(
        served.len(),
        20,
        "after ten rounds of four, every one was served"
    );
}

pub async fn polling_deliveries_are_never_claimed(store: Subject) {
    let mut odd = due("wh_1", 1, 0);
    (odd.state, odd.revision) = (DeliveryState::Failed, 1);
    put_all(
        &store,
        &[delivery(&tenant("a"), "p", "sub_1", 1, None), odd],
    )
    .await;
    assert_eq!(claim(&store, 1_000, &[], 9).await, []);
    assert_eq!(store.next_work().await.unwrap().delivery_at, None);
}

pub async fn an_attempted_delivery_comes_again_when_due(store: Subject) {
    put_all(&store, &[due("wh_1", 1, 0)]).await;
    let row = claim(&store, 0, &[], 9).await.remove(0);
    put_all(&store, &[row.after(refused(), at(2))]).await;
    assert_eq!(claim(&store, 31, &[], 9).await, []);
    assert_eq!(store.next_work().await.unwrap().delivery_at, Some(at(32)));
    let again = claim(&store, 32, &[], 9).await;
    assert_eq!((again[0].attempts, again[0].revision), (1, 4));
    // A clock that was set back finds nothing due.
    put_all(&store, &[again[0].after(refused(), at(32))]).await; // again at 332
    assert_eq!(claim(&store, 100, &[], 9).await, []);
    put_all(&store, &[due("wh_2", 2, 200)]).await;
    assert_eq!(
        who(&claim(&store, 332, &["wh_1"], 9).await),
        set(&[("wh_2", 2)])
    );
    assert_eq!(claim(&store, 331, &[], 9).await, []);
    assert_eq!(who(&claim(&store, 332, &[], 9).await), set(&[("wh_1", 1)]));
}

pub async fn done_deliveries_leave_the_queue(store: Subject) {
    let rows = [due("wh_1", 1, 0), due("wh_1", 2, 0), due("wh_1", 3, 0)];
    put_all(&store, &rows).await;
    let first = claim(&store, 0, &[], 9).await.remove(0);
    put_all(&store, &[first.after(accepted(), at(0))]).await;
    commit(&store, [Op::Delete(Record::Delivery(rows[1].clone()))]).await;
    let third = claim(&store, 0, &[], 9).await;
    assert_eq!(who(&third), set(&[("wh_1", 3)]));
    put_all(&store, &[third[0].after(accepted(), at(0))]).await;
    assert_eq!(claim(&store, 1_000_000, &[], 9).await, []);
    assert_eq!(store.next_work().await.unwrap().delivery_at, None);
    // One that waits can be deleted, too.
    let waiting = due("wh_1", 4, 500);
    put_all(&store, std::slice::from_ref(&waiting)).await;
    commit(&store, [Op::Delete(Record::Delivery(waiting))]).await;
    assert_eq!(claim(&store, 1_000_000, &[], 9).await, []);
}

pub async fn deliveries_are_listed_newest_first(store: Subject) {
    let mut rows: Vec<_> = (0..6).map(|n| due("wh_1", n, 0)).collect();
    rows[2].state = DeliveryState::Success;
    rows[4].state = DeliveryState::Failed;
    put_all(&store, &rows).await;
    put_all(&store, &[due("wh_2", 3, 0)]).await;
    let list = |state, after: Option<usize>, limit| {
        let (store, after) = (store.clone(), after.map(|n| rows[n].id.clone()));
        async move {
            let after = after.as_ref().map(|id| id.as_str());
            let found = store
                .delivery_list(&tenant("a"), "wh_1", state, after, limit)
                .await;
            found
                .unwrap()
                .iter()
                .map(|row| row.event_position)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(list(None, None, 9).await, [5, 4, 3, 2, 1, 0]);
    assert_eq!(list(None, None, 2).await, [5, 4]);
    assert_eq!(list(None, Some(4), 2).await, [3, 2]);
    assert_eq!(
        list(Some(DeliveryState::Pending), None, 9).await,
        [5, 3, 1, 0]
    );
    assert_eq!(list(Some(DeliveryState::Pending), Some(3), 9).await, [1, 0]);
    assert_eq!(list(Some(DeliveryState::Success), None, 9).await, [2]);
    assert_eq!(list(Some(DeliveryState::Failed), None, 9).await, [4]);
}

pub async fn deliveries_are_counted(store: Subject) {
    let a = tenant("a");
    let stats = || store.delivery_stats(&a, "wh_1", at(0));
    assert_eq!(
        stats().await.unwrap(),
        scaivault_core::ports::DeliveryStats::default()
    );
    let mut rows: Vec<_> = (0..5).map(|n| due("wh_1", n, 0)).collect();
    rows[0].created_at = at(-1);
    rows[0].duration_ms = Some(9_999);
    put_all(&store, &rows).await;
    put_all(&store, &[due("wh_2", 1, 0)]).await;
    put_all(
        &store,
        &[
            rows[1].after(accepted(), at(1)),
            rows[2].after(refused(), at(1)),
        ],
    )
    .await;
    let found = stats().await.unwrap();
    assert_eq!((found.total, found.succeeded, found.dropped), (4, 1, 0));
    assert!(
        (found.latency_ms - 30.0).abs() < 0.001,
        "{}",
        found.latency_ms
    );
    let later = store.delivery_stats(&a, "wh_1", at(1)).await.unwrap();
    assert_eq!((later.total, later.succeeded), (0, 0));
}

pub async fn unacked_events_come_oldest_first(store: Subject) {
    let a = tenant("a");
    let ids = ["1", "2", "3", "4"];
    commit(&store, ids.map(|id| Op::Emit(event(&a, id, Some("app/x"))))).await;
    let (_, events) = store.fan_out_pending(9).await.unwrap();
    let rows: Vec<_> = events
        .iter()
        .map(|event| {
            let id = event.event.id.as_str().replace("evt_", "u");
            delivery(&a, &id, "sub_1", event.position, None)
        })
        .collect();
    put_all(&store, &[rows[2].clone(), rows[0].clone(), rows[1].clone()]).await;
    put_all(
        &store,
        &[delivery(&a, "other", "sub_2", events[3].position, None)],
    )
    .await;
    let feed = subscription(&a, "1").id;
    let unacked = |after, limit| {
        let (store, a, feed) = (store.clone(), a.clone(), feed.clone());
        async move {
            let found = store
                .delivery_unacked(&a, &feed, after, limit)
                .await
                .unwrap();
            found
                .into_iter()
                .map(|(row, event)| (row, event.id.to_string()))
                .collect::<Vec<_>>()
        }
    };
    let all = unacked(0, 9).await;
    let names: Vec<_> = all.iter().map(|(_, event)| event.as_str()).collect();
    assert_eq!(names, ["evt_1", "evt_2", "evt_3"]);
    assert_eq!(all[1].0, rows[1]);
    assert_eq!(unacked(events[0].position, 1).await[0].1, "evt_2");
    assert_eq!(unacked(events[2].position, 9).await, []);
    // Acknowledged ones are gone from it.
    put_all(&store, &[rows[1].after(accepted(), at(1))]).await;
    assert_eq!(unacked(0, 9).await.len(), 2);
}

pub async fn buffers_are_trimmed_and_counted(store: Subject) {
    let a = tenant("a");
    put(&store, [Record::Subscription(subscription(&a, "1"))]).await;
    let row = |n: u64| delivery(&a, &format!("b{n:02}"), "sub_1", n, None);
    let mut rows: Vec<_> = (1..=10).map(row).collect();
    rows[9].state = DeliveryState::Success;
    put_all(&store, &rows).await;
    put_all(
        &store,
        &[delivery(&a, "other", "sub_2", 1, None), due("wh_1", 1, 0)],
    )
    .await;
    let trim = |receiver: &str, keep| Op::BufferTrim {
        receiver: receiver.into(),
        keep,
    };
    let left = || async {
        let pending = Some(DeliveryState::Pending);
        let found = store
            .delivery_list(&a, "sub_1", pending, None, 99)
            .await
            .unwrap();
        let dropped = store.delivery_stats(&a, "sub_1", T0).await.unwrap().dropped;
        (
            found
                .iter()
                .map(|row| row.event_position)
                .collect::<Vec<_>>(),
            dropped,
        )
    };
    commit(&store, [trim("sub_1", 9)]).await;
    assert_eq!(left().await.1, 0);
    commit(&store, [trim("sub_1", 4)]).await;
    assert_eq!(left().await, (vec![9, 8, 7, 6], 5));
    commit(&store, [trim("sub_1", 4), trim("sub_1", 3)]).await;
    assert_eq!(left().await, (vec![9, 8, 7], 6));
    commit(&store, [trim("sub_1", 0)]).await;
    assert_eq!(left().await, (vec![], 9));
    // Neither done deliveries nor other receivers lose anything; nor does one that is sent.
    commit(&store, [trim("wh_1", 0)]).await;
    assert_eq!(
        store
            .delivery_list(&a, "sub_1", None, None, 9)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        store
            .delivery_list(&a, "sub_2", None, None, 9)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        store
            .delivery_list(&a, "wh_1", None, None, 9)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        store.delivery_stats(&a, "sub_2", T0).await.unwrap().dropped,
        0
    );
}

/// A receiver that is down gathers rows, some waiting for their retry; the others are served.
pub async fn a_dead_receiver_costs_the_others_nothing(store: Subject) {
    let mut rows: Vec<_> = (0..3_000).map(|n| due("wh_dead", n, 0)).collect();
    for row in rows.iter_mut().step_by(2) {
        row.next_attempt_at = Some(at(5_000));
    }
    put_all(&store, &rows).await;
    put_all(
        &store,
        &[due("wh_alive", 9_000, 0), due("wh_zzz", 9_001, 0)],
    )
    .await;
    let claimed = claim(&store, 0, &["wh_dead"], 9).await;
    assert_eq!(
        who(&claimed),
        set(&[("wh_alive", 9_000), ("wh_zzz", 9_001)])
    );
    assert_eq!(who(&claim(&store, 0, &[], 9).await), set(&[("wh_dead", 1)]));
}

pub async fn ended_deliveries_are_found_oldest_first(store: Subject) {
    let ended = |position: u64, state, made: i64| Delivery {
        state,
        next_attempt_at: None,
        created_at: at(made),
        ..due("wh_1", position, 0)
    };
    let (failed, success) = (DeliveryState::Failed, DeliveryState::Success);
    let rows = [
        ended(4, failed, 40),
        ended(1, failed, 10),
        ended(2, success, 20),
        ended(3, failed, 30),
        due("wh_1", 5, 0),
        Delivery {
            receiver: due("wh_2", 1, 0).receiver,
            ..ended(6, failed, 20)
        },
    ];
    put_all(&store, &rows).await;
    let found = async |state, made, after: Option<&str>, limit| {
        let rows = store
            .delivery_ended(&tenant("a"), "wh_1", state, made, after, limit)
            .await
            .unwrap();
        rows.iter()
            .map(|row| row.event_position)
            .collect::<Vec<_>>()
    };
    let always = (None, None);
    assert_eq!(found(Some(failed), always, None, 9).await, [1, 3, 4]);
    assert_eq!(found(Some(success), always, None, 9).await, [2]);
    assert_eq!(found(None, always, None, 9).await, [1, 2, 3, 4]);
    assert_eq!(found(None, always, None, 2).await, [1, 2]);
    assert_eq!(found(None, always, Some("del_wh-1-0002"), 9).await, [3, 4]);
    let from = (Some(at(20)), Some(at(40)));
    assert_eq!(found(None, from, None, 9).await, [2, 3], "from, and before");
    assert!(
        found(Some(DeliveryState::Pending), always, None, 9)
            .await
            .is_empty()
    );
    let other = store
        .delivery_ended(&tenant("b"), "wh_1", None, always, None, 9)
        .await;
    assert!(other.unwrap().is_empty(), "another tenant's");
}

pub async fn the_first_of_a_lane_is_found(store: Subject) {
    let in_lane = |receiver, position, lane: &str| Delivery {
        lane: Some(lane.to_owned()),
        ..due(receiver, position, 0)
    };
    let rows = [
        in_lane("wh_1", 7, "app/a"),
        in_lane("wh_1", 3, "app/a"),
        in_lane("wh_1", 2, "app/b"),
        in_lane("wh_1", 5, ""),
        in_lane("wh_2", 1, "app/a"),
        due("wh_1", 1, 0),
    ];
    put_all(&store, &rows).await;
    let first = async |owner, lane| {
        let found = store.delivery_behind(&tenant(owner), "wh_1", lane, 0).await;
        found.unwrap()
    };
    assert_eq!(first("a", "app/a").await.as_ref(), Some(&rows[1]));
    assert_eq!(first("a", "").await.as_ref(), Some(&rows[3]));
    assert_eq!(first("b", "app/a").await, None);
    let behind = store
        .delivery_behind(&tenant("a"), "wh_1", "app/a", 3)
        .await;
    assert_eq!(behind.unwrap().as_ref(), Some(&rows[0]));
    // Claimed, it is still the first, as it stands; ended, the next one is.
    let claimed = claim(&store, 10, &["wh_2"], 1).await;
    assert_eq!(claimed[0].event_position, 1, "no lane is no order");
    put_all(&store, &[claimed[0].after(accepted(), at(10))]).await;
    let claimed = claim(&store, 10, &["wh_2"], 1).await;
    assert_eq!(first("a", "app/b").await.as_ref(), claimed.first());
    put_all(&store, &[claimed[0].after(accepted(), at(10))]).await;
    assert_eq!(first("a", "app/b").await, None);
    put_all(&store, &[rows[1].held_back(at(10))]).await;
    let held = first("a", "app/a").await.unwrap();
    assert!(held.held && held.event_position == 3);
}
