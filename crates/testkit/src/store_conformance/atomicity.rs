//! A unit is applied whole or not at all.

use scaivault_core::audit::AuditFilter;
use scaivault_core::ports::{
    CommitError, Op, Record, RecordKind, SecretFilter, StoreMarks, Unit, UnitName,
};

use super::samples::{
    T0, assignment, at, audit, binding, delivery, event, key, path, policy, read, rotation,
    rotation_policy, sealed, secret, subscription, tenant, token, webhook,
};
use super::{Subject, commit, put};

/// A unit with one row of every kind, an event, an audit row and a ledger line.
fn everything() -> Unit {
    let a = tenant("a");
    let (grants, rotates) = (policy(&a, "x"), rotation_policy(&a, "x"));
    let mut unit = Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(secret(&a, "app/x")))
        .op(Op::VersionInsert(sealed(&a, "app/x", 1)))
        .put(Record::Binding(binding(&grants, "x", "user:x")))
        .put(Record::Policy(grants))
        .put(Record::Token(token(&a, "x")))
        .put(Record::Assignment(assignment(&rotates, "app/x", Some(T0))))
        .put(Record::Rotation(rotation(&rotates, "x", "app/x", Some(T0))))
        .put(Record::RotationPolicy(rotates))
        .put(Record::Webhook(webhook(&a, "x")))
        .put(Record::Subscription(subscription(&a, "x")))
        .put(Record::Delivery(delivery(&a, "x", "wh_x", 1, Some(T0))))
        .put(Record::Key(key("x")))
        .emit(event(&a, "x", Some("app/x")))
        .audited(audit(&a, 0, "user:x", Some("app/x")));
    unit.reads.push(read(&a, "app/x", 1, "user:x", 0));
    unit
}

/// Marks are put and taken away with the unit, or not at all.
pub async fn marks_are_kept(store: Subject) {
    let none = StoreMarks::default();
    assert_eq!(store.marks().await.unwrap(), none);
    let restored = StoreMarks {
        restored_at: Some(at(1)),
        resumed_at: None,
    };
    let resumed = StoreMarks {
        restored_at: None,
        resumed_at: Some(at(2)),
    };
    for marks in [restored, resumed, none, restored] {
        commit(&store, [Op::Mark(marks)]).await;
        assert_eq!(store.marks().await.unwrap(), marks);
    }
    let stale = Record::Key(scaivault_core::seal::KeyRecord {
        revision: 7,
        ..key("x")
    });
    let unit = Unit::new(UnitName::StoreResume)
        .op(Op::Mark(none))
        .put(stale);
    assert!(store.commit(unit).await.is_err());
    assert_eq!(store.marks().await.unwrap(), restored);
}

async fn nothing_is_there(store: &Subject) {
    let a = tenant("a");
    let (late, hold) = (at(1_000_000), std::time::Duration::from_secs(1));
    assert_eq!(store.secret_find(&a, &path("app/x")).await.unwrap(), None);
    assert_eq!(store.version_list(&a, &path("app/x")).await.unwrap(), []);
    assert_eq!(
        store.policy_list(&a, true, None, 9).await.unwrap().len(),
        1,
        "only the first"
    );
    assert_eq!(
        store.binding_list(&a, &policy(&a, "x").id).await.unwrap(),
        []
    );
    assert_eq!(store.token_list(&a, None, 9).await.unwrap(), []);
    assert_eq!(
        store
            .rotation_policy_list(&a, false, None, 9)
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.assignment_claim(late, hold, 9).await.unwrap(), []);
    assert_eq!(store.rotation_claim(late, hold, 9).await.unwrap(), []);
    assert_eq!(store.delivery_claim(late, hold, &[], 9).await.unwrap(), []);
    assert_eq!(store.webhook_list(&a).await.unwrap(), []);
    assert_eq!(store.subscription_list(&a).await.unwrap(), []);
    assert_eq!(store.key_list().await.unwrap(), []);
    assert_eq!(store.fan_out_pending(9).await.unwrap(), (0, Vec::new()));
    assert_eq!(store.consumer_list(&a, &path("app/x")).await.unwrap(), []);
    let page = store
        .audit_query(&AuditFilter::default(), None, 9)
        .await
        .unwrap();
    assert_eq!((page.rows, page.next), (Vec::new(), None));
    assert_eq!(
        store.next_work().await.unwrap(),
        scaivault_core::ports::NextWork::default()
    );
    let all = SecretFilter {
        include_deleted: true,
        ..SecretFilter::default()
    };
    assert_eq!(store.secret_list(&a, &all, None, 9).await.unwrap(), []);
}

pub async fn a_conflict_at_the_end_leaves_nothing(store: Subject) {
    let taken = policy(&tenant("a"), "taken");
    put(&store, [Record::Policy(taken.clone())]).await;
    let answer = store.commit(everything().put(Record::Policy(taken))).await;
    assert_eq!(answer, Err(CommitError::Conflict(RecordKind::Policy)));
    nothing_is_there(&store).await;
    // The same unit without the last op is applied: nothing of the first try is in its way.
    assert_eq!(store.commit(everything()).await.unwrap().events, 1);
    let (_, events) = store.fan_out_pending(9).await.unwrap();
    assert_eq!(
        events
            .iter()
            .map(|event| event.sequence)
            .collect::<Vec<_>>(),
        [1]
    );
}

pub async fn a_duplicate_at_the_end_leaves_nothing(store: Subject) {
    let taken = policy(&tenant("a"), "taken");
    put(&store, [Record::Policy(taken.clone())]).await;
    let mut same_name = policy(&tenant("a"), "other");
    same_name.name = taken.name;
    let answer = store
        .commit(everything().put(Record::Policy(same_name)))
        .await;
    assert_eq!(
        answer,
        Err(CommitError::Duplicate(RecordKind::Policy, "name"))
    );
    nothing_is_there(&store).await;
}

/// Units that wait together may be committed together; each has its own fate all the same.
pub async fn a_failed_unit_does_not_touch_its_neighbours(store: Subject) {
    let a = tenant("a");
    let one = |n: usize| {
        let mut head = secret(&a, &format!("app/s{n}"));
        if n.is_multiple_of(3) {
            head.revision = 5; // no such row: a conflict
        }
        let row = audit(
            &a,
            i64::try_from(n).unwrap_or(0),
            "user:x",
            Some(&format!("app/s{n}")),
        );
        Unit::new(UnitName::SecretWrite)
            .emit(event(&a, &format!("n{n}"), Some("app/all")))
            .put(Record::Secret(head))
            .audited(row)
    };
    let tasks: Vec<_> = (0..60)
        .map(|n| {
            let (store, unit) = (store.clone(), one(n));
            tokio::spawn(async move { (n, store.commit(unit).await) })
        })
        .collect();
    for task in tasks {
        let (n, answer) = task.await.unwrap();
        assert_eq!(answer.is_err(), n % 3 == 0, "{n}: {answer:?}");
    }
    let (_, events) = store.fan_out_pending(100).await.unwrap();
    let sequences: Vec<u64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=40).collect::<Vec<_>>());
    let page = store
        .audit_query(&AuditFilter::default(), None, 100)
        .await
        .unwrap();
    assert_eq!(page.rows.len(), 40);
    assert_eq!(store.secret_counts().await.unwrap()[&a], 40);
}

pub async fn ops_see_the_ops_before_them(store: Subject) {
    let mut head = secret(&tenant("a"), "app/db");
    let first = head.clone();
    head.revision = 2;
    commit(
        &store,
        [
            Op::Put(Record::Secret(first)),
            Op::Put(Record::Secret(head.clone())),
            Op::Delete(Record::Secret(head.clone())),
        ],
    )
    .await;
    assert_eq!(
        store.secret_find(&head.tenant, &head.path).await.unwrap(),
        None
    );
}

pub async fn an_empty_unit_is_applied(store: Subject) {
    assert_eq!(commit(&store, []).await.events, 0);
    assert_eq!(store.health().await.trouble, None);
}
