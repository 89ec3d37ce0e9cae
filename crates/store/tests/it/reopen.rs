//! What was answered is there after closing and opening again, by whatever way it was closed.

use scaivault_core::audit::AuditFilter;
use scaivault_core::delivery::Delivery;
use scaivault_core::ports::{
    AuditReads, Claims, CommitError, ConsumerReads, DeliveryReads, EventReads, KeyReads, NextWork,
    Op, Record, RecordKind, SecretReads, Store, Unit, UnitName,
};
use scaivault_core::rotation::InFlight;
use scaivault_testkit::store_conformance::samples::{
    T0, assignment, at as time, at_target, audit, delivery, event, key, path, read, rotation,
    rotation_policy, sealed, secret, subscription, target, tenant,
};
use std::time::Duration;

use crate::support::at;

#[tokio::test]
async fn everything_answered_is_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let a = tenant("a");
    let policy = rotation_policy(&a, "1");
    for round in 0..5u64 {
        let store = at(&file).await;
        let name = format!("app/s{round}");
        let mut unit = Unit::new(UnitName::SecretWrite)
            .put(Record::Secret(secret(&a, &name)))
            .op(Op::VersionInsert(sealed(&a, &name, 1)))
            .put(Record::Key(key(&round.to_string())))
            .emit(event(&a, &round.to_string(), Some("app/all")))
            .put(Record::Assignment(assignment(
                &policy,
                &name,
                Some(time(9)),
            )))
            .put(Record::Delivery(delivery(
                &a,
                &round.to_string(),
                "wh_1",
                round,
                Some(T0),
            )))
            .audited(audit(&a, 0, "user:x", Some(&name)));
        unit.reads.push(read(
            &a,
            "app/all",
            1,
            "sa:x",
            i64::try_from(round).unwrap() * 60,
        ));
        store.commit(unit).await.unwrap();
        for seen in 0..=round {
            let of = path(&format!("app/s{seen}"));
            let (_, version) = store.secret_open(&a, &of, None).await.unwrap().unwrap();
            assert_eq!(version, Some(sealed(&a, of.as_str(), 1)));
        }
        assert_eq!(store.key_list().await.unwrap().len() as u64, round + 1);
        let (_, events) = store.fan_out_pending(99).await.unwrap();
        assert_eq!(events.last().unwrap().sequence, round + 1);
        let ledger = store.consumer_list(&a, &path("app/all")).await.unwrap();
        assert_eq!(ledger[0].first_read_at, T0);
        assert_eq!(
            ledger[0].last_read_at,
            time(i64::try_from(round).unwrap() * 60)
        );
        let report = store.audit_verify().await.unwrap();
        assert_eq!((report.rows, report.first_bad), (round + 1, None));
        let page = store
            .audit_query(&AuditFilter::default(), None, 99)
            .await
            .unwrap();
        assert_eq!(page.rows[0].seq, round + 1);
        assert!(
            page.rows
                .windows(2)
                .all(|pair| pair[0].id[..11] == pair[1].id[..11])
        );
    }
    // Queues of due work, too: held ones are held, free ones are free, in order.
    let store = at(&file).await;
    let hold = Duration::from_secs(60);
    assert_eq!(
        store
            .assignment_claim(time(9), hold, 2)
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        store.delivery_claim(T0, hold, &[], 9).await.unwrap()[0].event_position,
        0
    );
    drop(store);
    let store = at(&file).await;
    assert_eq!(
        store
            .assignment_claim(time(9), hold, 9)
            .await
            .unwrap()
            .len(),
        3
    );
    assert_eq!(store.delivery_claim(T0, hold, &[], 9).await.unwrap(), []);
    let next = store.next_work().await.unwrap();
    let expect = NextWork {
        assignment_at: Some(time(69)),
        rotation_at: None,
        delivery_at: Some(T0),
        ..NextWork::default()
    };
    assert_eq!(next, expect);
    assert_eq!(
        store.delivery_claim(time(60), hold, &[], 9).await.unwrap()[0].revision,
        3
    );
}

#[tokio::test]
async fn what_a_gone_process_held_can_be_freed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let a = tenant("a");
    let policy = rotation_policy(&a, "1");
    let there = target(&a, "1");
    let mut sent = at_target(rotation(&policy, "2", "s/2", Some(T0)), &there);
    sent.at_target.as_mut().unwrap().in_flight = InFlight::Sent;
    let store = at(&file).await;
    let unit = Unit::new(UnitName::FanOut)
        .put(Record::Assignment(assignment(&policy, "s/1", Some(T0))))
        .put(Record::Rotation(rotation(&policy, "1", "s/1", Some(T0))))
        .put(Record::Rotation(sent))
        .put(Record::Delivery(delivery(&a, "1", "wh_1", 1, Some(T0))));
    store.commit(unit).await.unwrap();
    let hold = Duration::from_secs(60);
    let held = store.assignment_claim(T0, hold, 9).await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!(store.rotation_claim(T0, hold, 9).await.unwrap().len(), 1);
    let sent = store.rotation_claim_at_targets(T0, hold, &[], 9).await;
    assert_eq!(sent.unwrap().len(), 1);
    let in_flight = store.delivery_claim(T0, hold, &[], 9).await.unwrap();
    assert_eq!(in_flight.len(), 1);
    drop(store);
    let store = at(&file).await;
    assert_eq!(store.release_claims().await.unwrap(), 3);
    assert_eq!(store.release_claims().await.unwrap(), 0);
    // Who held it before can no longer write it.
    let late = Unit::new(UnitName::FanOut).put(Record::Delivery(Delivery {
        revision: in_flight[0].revision + 1,
        ..in_flight[0].clone()
    }));
    let refused = store.commit(late).await;
    assert_eq!(refused, Err(CommitError::Conflict(RecordKind::Delivery)));
    let again = store.assignment_claim(T0, hold, 9).await.unwrap();
    assert_eq!(again[0].revision, held[0].revision + 2);
    assert_eq!(store.rotation_claim(T0, hold, 9).await.unwrap().len(), 1);
    assert_eq!(
        store.delivery_claim(T0, hold, &[], 9).await.unwrap().len(),
        1
    );
    // A change that may be under way is waited for.
    let early = store.rotation_claim_at_targets(T0, hold, &[], 9).await;
    assert_eq!(early.unwrap().len(), 0);
    let lapsed = store
        .rotation_claim_at_targets(time(60), hold, &[], 9)
        .await;
    assert_eq!(lapsed.unwrap().len(), 1);
}

#[tokio::test]
async fn dropped_counts_are_kept_until_the_subscription_goes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let a = tenant("a");
    let feed = subscription(&a, "1");
    let store = at(&file).await;
    let mut unit = Unit::new(UnitName::FanOut).put(Record::Subscription(feed.clone()));
    for n in 0..4 {
        unit = unit.put(Record::Delivery(delivery(
            &a,
            &n.to_string(),
            "sub_1",
            n,
            None,
        )));
    }
    store
        .commit(unit.op(Op::BufferTrim {
            receiver: "sub_1".into(),
            keep: 1,
        }))
        .await
        .unwrap();
    drop(store);
    let store = at(&file).await;
    assert_eq!(
        store.delivery_stats(&a, "sub_1", T0).await.unwrap().dropped,
        3
    );
    let delete = Unit::new(UnitName::SubscriptionDelete).op(Op::Delete(Record::Subscription(feed)));
    store.commit(delete).await.unwrap();
    assert_eq!(
        store.delivery_stats(&a, "sub_1", T0).await.unwrap().dropped,
        0
    );
}
