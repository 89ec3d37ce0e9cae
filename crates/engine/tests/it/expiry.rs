//! Telling of ends: each threshold once, the end once, whatever happens in between.

use std::sync::Arc;

use scaivault_core::event::EventType;
use scaivault_core::ports::{Claims, Op, Record, SecretReads, Store, Unit, UnitName};
use scaivault_core::secret::SecretHead;
use scaivault_core::time::Timestamp;
use scaivault_engine::{MetadataChange, SecretWrite, default_tenant};
use scaivault_testkit::{Fault, When};

use crate::world::{DAY, HOUR, RECEIVER, World, path, root, span, work, write_of};

const AT: &str = "app/ending";

async fn put_ending(w: &World, expires_in: &str, notify_before: Option<&[&str]>) {
    let write = SecretWrite {
        expires_in: Some(span(expires_in)),
        notify_before: notify_before.map(|texts| texts.iter().map(|text| span(text)).collect()),
        ..write_of(AT, "value")
    };
    w.vault.secret_write(&root(), write).await.unwrap();
}

async fn change(w: &World, change: MetadataChange) {
    w.vault
        .secret_metadata_change(&root(), &path(AT), &change)
        .await
        .unwrap();
}

/// (threshold, days remaining) of what was told; the end has neither.
fn told(w: &World) -> Vec<(String, i64)> {
    let mut told = Vec::new();
    for (kind, data) in w.told(RECEIVER) {
        if kind == EventType::SecretExpiring.as_str() {
            let threshold = data["threshold"].as_str().unwrap().to_owned();
            told.push((threshold, data["days_remaining"].as_i64().unwrap()));
        } else if kind == EventType::SecretExpired.as_str() {
            told.push(("end".to_owned(), 0));
        }
    }
    told
}

fn words(told: &[(String, i64)]) -> Vec<(&str, i64)> {
    told.iter().map(|(word, n)| (word.as_str(), *n)).collect()
}

const ALL: [(&str, i64); 4] = [("30d", 30), ("7d", 7), ("1d", 1), ("end", 0)];

#[tokio::test]
async fn each_threshold_is_told_in_time_and_the_end() {
    let w = World::new().await;
    w.hear_all().await;
    put_ending(&w, "40d", None).await;
    let end = w.now().plus(DAY * 40);
    let updated_at = w.head(AT).await.unwrap().updated_at;
    w.live(DAY * 9).await;
    assert_eq!(told(&w), []);
    w.live(DAY * 60).await;
    assert_eq!(words(&told(&w)), ALL);
    let expiring = &w.told_of(RECEIVER, EventType::SecretExpiring)[1];
    assert_eq!(
        *expiring,
        serde_json::json!({ "expires_at": end.to_rfc3339(), "days_remaining": 7,
                            "threshold": "7d", "version": 1 })
    );
    let expired = &w.told_of(RECEIVER, EventType::SecretExpired)[0];
    assert_eq!(
        *expired,
        serde_json::json!({ "expires_at": end.to_rfc3339(), "version": 1,
                            "secret_type": "json" })
    );
    let who = &w.envelopes(RECEIVER).pop().unwrap()["identity_id"];
    assert_eq!(who, "system:expiry-scheduler");
    assert_eq!(w.head(AT).await.unwrap().updated_at, updated_at);
    // A value without an end has nothing to tell.
    w.put(AT, "for ever").await;
    w.live(DAY * 100).await;
    assert_eq!(told(&w).len(), ALL.len());
    assert_eq!(w.sqlite.next_work().await.unwrap().notice_at, None);
}

#[tokio::test]
async fn of_passed_thresholds_the_nearest_is_told_at_once() {
    let w = World::new().await;
    w.hear_all().await;
    put_ending(&w, "5d", None).await;
    w.work().await;
    assert_eq!(words(&told(&w)), [("7d", 5)]);
    w.live(DAY * 9).await;
    assert_eq!(words(&told(&w)), [("7d", 5), ("1d", 1), ("end", 0)]);
}

#[tokio::test]
async fn thresholds_are_the_writers_and_stay_with_the_secret() {
    let w = World::new().await;
    w.hear_all().await;
    put_ending(&w, "10d", Some(&["2d", "36h"])).await;
    w.live(DAY * 11).await;
    assert_eq!(words(&told(&w)), [("2d", 2), ("36h", 2), ("end", 0)]);
    // The next value without a word about it: the same thresholds.
    put_ending(&w, "10d", None).await;
    w.live(DAY * 11).await;
    assert_eq!(told(&w).len(), 6);
    // None at all: only the end.
    put_ending(&w, "40d", Some(&[])).await;
    w.live(DAY * 41).await;
    assert_eq!(words(&told(&w))[6..], [("end", 0)]);
    // And back to what everybody has.
    let as_everybody = MetadataChange {
        notify_before: Some(None),
        expires_at: Some(Some(w.now().plus(DAY * 40))),
        ..MetadataChange::default()
    };
    change(&w, as_everybody).await;
    w.live(DAY * 41).await;
    assert_eq!(words(&told(&w))[7..], ALL);
}

#[tokio::test]
async fn another_end_starts_anew_and_the_same_one_does_not() {
    let w = World::new().await;
    w.hear_all().await;
    put_ending(&w, "40d", None).await;
    let end = w.now().plus(DAY * 40);
    w.live(DAY * 34).await;
    assert_eq!(words(&told(&w)), [("30d", 30), ("7d", 7)]);
    let same = MetadataChange {
        expires_at: Some(Some(end)),
        tags: Some(vec!["x".into()]),
        notify_before: Some(Some(vec![span("30d"), span("8d"), span("2d")])),
        ..MetadataChange::default()
    };
    change(&w, same).await;
    w.live(DAY * 5).await;
    assert_eq!(words(&told(&w))[2..], [("2d", 2)]);
    let later = MetadataChange {
        expires_at: Some(Some(end.plus(DAY * 40))),
        ..MetadataChange::default()
    };
    change(&w, later).await;
    w.live(DAY * 60).await;
    let after: [(&str, i64); 4] = [("30d", 30), ("8d", 8), ("2d", 2), ("end", 0)];
    assert_eq!(words(&told(&w))[3..], after);
    // Taken away, nothing is told.
    let (soon, never) = (Some(Some(w.now().plus(DAY * 3))), Some(None));
    for expires_at in [soon, never] {
        let end = MetadataChange {
            expires_at,
            ..MetadataChange::default()
        };
        change(&w, end).await;
    }
    w.live(DAY * 60).await;
    assert_eq!(told(&w).len(), 7);
}

#[tokio::test]
async fn deletion_stops_it_and_return_resumes_it() {
    let w = World::new().await;
    w.hear_all().await;
    put_ending(&w, "40d", None).await;
    w.live(DAY * 11).await;
    assert_eq!(words(&told(&w)), [("30d", 30)]);
    w.vault
        .secret_delete(&root(), &path(AT), false)
        .await
        .unwrap();
    w.live(DAY * 24).await;
    assert_eq!(told(&w).len(), 1, "deleted, it has nothing to tell");
    w.vault.secret_undelete(&root(), &path(AT)).await.unwrap();
    w.work().await;
    assert_eq!(
        words(&told(&w))[1..],
        [("7d", 5)],
        "what passed meanwhile, the nearest"
    );
    w.vault
        .secret_delete(&root(), &path(AT), false)
        .await
        .unwrap();
    w.live(HOUR).await;
    w.vault.secret_undelete(&root(), &path(AT)).await.unwrap();
    w.live(DAY * 9).await;
    assert_eq!(words(&told(&w))[2..], [("1d", 1), ("end", 0)]);
    w.vault
        .secret_delete(&root(), &path(AT), false)
        .await
        .unwrap();
    w.vault.secret_undelete(&root(), &path(AT)).await.unwrap();
    w.live(DAY).await;
    assert_eq!(told(&w).len(), 4, "an end is told once");
}

#[tokio::test]
async fn a_server_that_was_away_catches_up() {
    let w = World::new().await;
    w.hear_all().await;
    put_ending(&w, "40d", None).await;
    w.jump(DAY * 35).await;
    assert_eq!(
        words(&told(&w)),
        [("30d", 5), ("7d", 5)],
        "late, but each once"
    );
    w.jump(DAY * 35).await;
    assert_eq!(
        words(&told(&w))[2..],
        [("end", 0)],
        "past the end, the end alone"
    );
}

#[tokio::test]
async fn two_nodes_tell_it_once() {
    for pause in [false, true] {
        let w = World::new().await;
        w.hear_all().await;
        put_ending(&w, "40d", None).await;
        let other = w.another_vault();
        w.clock.advance(DAY * 10);
        if pause {
            // One node is paused between what it read and what it writes.
            let stop = w.watched.stop_at(UnitName::SecretNotice);
            let paused = tokio::spawn({
                let other: Arc<_> = other.clone();
                async move { other.notices_run_once().await }
            });
            stop.arrived().await;
            w.work().await;
            stop.go();
            paused.await.unwrap().unwrap();
        } else {
            let (one, two) = tokio::join!(w.vault.notices_run_once(), other.notices_run_once());
            one.unwrap();
            two.unwrap();
        }
        work(&other).await;
        w.work().await;
        assert_eq!(words(&told(&w)), [("30d", 30)], "paused: {pause}");
    }
}

#[tokio::test]
async fn a_crash_at_any_telling_neither_loses_nor_doubles_it() {
    for nth in 1..=4 {
        for fault in [Fault::Unit, Fault::Answer] {
            let mut w = World::new().await;
            w.hear_all().await;
            put_ending(&w, "40d", None).await;
            w.store.arm(UnitName::SecretNotice, When::Nth(nth), fault);
            for _ in 0..50 * 24 {
                let _ = w.vault.notices_run_once().await;
                w.clock.advance(HOUR);
            }
            assert_eq!(w.store.struck().len(), 1);
            w.restart();
            w.work().await;
            let words: Vec<_> = told(&w).into_iter().map(|(word, _)| word).collect();
            assert_eq!(words, ["30d", "7d", "1d", "end"], "{nth} {fault:?}");
        }
    }
}

#[tokio::test]
async fn an_end_of_an_earlier_release_is_given_a_plan() {
    let w = World::new().await;
    w.hear_all().await;
    w.put(AT, "old").await;
    let without_plan = async |end: Timestamp| {
        let head = w.head(AT).await.unwrap();
        let head = SecretHead {
            expires_at: Some(end),
            expiry: scaivault_core::expiry::Expiry::default(),
            revision: head.revision + 1,
            ..head
        };
        let unit = Unit::new(UnitName::Housekeeping).op(Op::Put(Record::Secret(head)));
        Store::commit(&*w.sqlite, unit).await.unwrap();
    };
    // What has ended long ago is let rest.
    without_plan(w.now().minus(DAY)).await;
    let due = SecretReads::secret_notice_due(&*w.sqlite, w.now(), 9).await;
    assert_eq!(due.unwrap().len(), 1);
    w.live(DAY * 2).await;
    assert_eq!(told(&w), []);
    without_plan(w.now().plus(DAY * 20)).await;
    w.live(DAY * 21).await;
    assert_eq!(
        words(&told(&w)),
        [("30d", 20), ("7d", 7), ("1d", 1), ("end", 0)]
    );
}

#[tokio::test]
async fn a_writer_wins_over_the_teller() {
    let w = World::new().await;
    w.hear_all().await;
    put_ending(&w, "40d", None).await;
    w.clock.advance(DAY * 33);
    let stop = w.watched.stop_at(UnitName::SecretNotice);
    let vault = w.vault.clone();
    let paused = tokio::spawn(async move { vault.notices_run_once().await });
    stop.arrived().await;
    w.put(AT, "without an end").await;
    stop.go();
    paused.await.unwrap().unwrap();
    w.live(DAY * 60).await;
    assert_eq!(told(&w), []);
    let found = SecretReads::secret_find(&*w.sqlite, &default_tenant(), &path(AT)).await;
    assert_eq!(found.unwrap().unwrap().expires_at, None);
}
