//! The outbox of two nodes: no event is passed over, however slowly another one commits.

use std::sync::Arc;

use scaivault_core::ports::{EventReads, Op, Store, Unit, UnitName};
use scaivault_testkit::store_conformance::samples::{event, tenant};

use crate::database::{Database, RUNTIME};
use crate::proxy::{Plan, Proxy};

fn emit(id: &str) -> Unit {
    Unit::new(UnitName::SecretWrite).emit(event(&tenant("a"), id, None))
}

#[test]
fn an_event_is_not_seen_before_the_one_that_came_first() {
    RUNTIME.block_on(async {
        let (database, proxy) = (Database::new(), Proxy::start().await);
        let slow = Arc::new(database.open_at("node-1", proxy.port).await);
        let quick = Arc::new(database.open("node-2").await);
        // So that every statement is prepared, and the next commit is the event's.
        slow.commit(emit("0")).await.unwrap();
        proxy.plan(Plan::Hold);
        let first = Arc::clone(&slow);
        let first = RUNTIME.spawn(async move { first.commit(emit("1")).await });
        proxy.met().await;
        database.await_held("event_position");
        let second = Arc::clone(&quick);
        let second = RUNTIME.spawn(async move { second.commit(emit("2")).await });
        database.await_waiting();
        let (_, events) = quick.fan_out_pending(9).await.unwrap();
        assert_eq!(events.len(), 1, "neither of the two is to be seen");
        proxy.plan(Plan::Pass);
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
        let (_, events) = quick.fan_out_pending(9).await.unwrap();
        let ids: Vec<_> = events.iter().map(|event| event.event.id.as_str()).collect();
        assert_eq!(ids, ["evt_0", "evt_1", "evt_2"]);
        assert!(events.is_sorted_by(|older, newer| older.position < newer.position));
    });
}

#[test]
fn whoever_follows_the_outbox_sees_every_event_once() {
    const TASKS: usize = 8;
    const EVENTS: usize = 40;
    RUNTIME.block_on(async {
        let database = Database::new();
        let stores = [
            Arc::new(database.open("node-1").await),
            Arc::new(database.open("node-2").await),
        ];
        let tasks = (0..TASKS).map(|task| {
            let store = Arc::clone(&stores[task % 2]);
            RUNTIME.spawn(async move {
                for n in 0..EVENTS {
                    store.commit(emit(&format!("{task}-{n}"))).await.unwrap();
                }
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let (mut seen, mut at) = (Vec::new(), 0);
        while seen.len() < TASKS * EVENTS {
            let done = tasks.iter().all(|task| task.is_finished());
            let (mark, events) = stores[1].fan_out_pending(7).await.unwrap();
            assert_eq!(mark, at);
            let Some(last) = events.last() else {
                assert!(!done, "{} of {} were seen", seen.len(), TASKS * EVENTS);
                continue;
            };
            let advance = Op::FanOutAdvance {
                from: mark,
                to: last.position,
            };
            let moved = Unit::new(UnitName::FanOut).op(advance);
            stores[0].commit(moved).await.unwrap();
            at = last.position;
            seen.extend(events.iter().map(|event| event.event.id.to_string()));
        }
        for task in tasks {
            task.await.unwrap();
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), TASKS * EVENTS);
    });
}

/// A unit whose event is there already shows only at the end of the batch; the others of the batch
/// are committed all the same.
#[test]
fn an_event_that_is_there_already_harms_nobody_else() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = Arc::new(database.open("node-1").await);
        store.commit(emit("there")).await.unwrap();
        let units = (0..30).map(|n| match n % 10 {
            5 => emit("there"),
            _ => emit(&n.to_string()),
        });
        let tasks = units.map(|unit| {
            let store = Arc::clone(&store);
            RUNTIME.spawn(async move { store.commit(unit).await })
        });
        for (n, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(task.await.unwrap().is_err(), n % 10 == 5, "{n}");
        }
        let (_, events) = store.fan_out_pending(99).await.unwrap();
        assert_eq!(events.len(), 28);
    });
}
