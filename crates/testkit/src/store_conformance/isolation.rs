//! Nothing of one tenant is found, listed, claimed by id or written by asking in another.

use std::time::Duration;

use scaivault_core::audit::AuditFilter;
use scaivault_core::ports::{
    CommitError, Op, Record, RotationFilter, SecretFilter, Unit, UnitName,
};

use super::samples::{
    T0, assignment, at, audit, binding, delivery, event, identity, path, policy, read, rotation,
    rotation_policy, sealed, secret, subscription, tenant, token, webhook,
};
use super::{Subject, commit, put};

async fn fill(store: &Subject, owner: &str) {
    let a = tenant(owner);
    let (grants, rotates) = (policy(&a, "1"), rotation_policy(&a, "1"));
    let mut head = secret(&a, "app/db");
    head.metadata.tags = vec!["prod".into()];
    head.expires_at = Some(T0);
    let mut unit = Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(head))
        .op(Op::VersionInsert(sealed(&a, "app/db", 1)))
        .put(Record::Binding(binding(&grants, "1", "user:x")))
        .put(Record::Policy(grants))
        .put(Record::Token(token(&a, "1")))
        .put(Record::Assignment(assignment(&rotates, "app/db", Some(T0))))
        .put(Record::Rotation(rotation(
            &rotates,
            "1",
            "app/db",
            Some(T0),
        )))
        .put(Record::RotationPolicy(rotates))
        .put(Record::Webhook(webhook(&a, "1")))
        .put(Record::Subscription(subscription(&a, "1")))
        .emit(event(&a, "1", Some("app/db")))
        .put(Record::Delivery(delivery(&a, "1", "sub_1", 1, None)))
        .audited(audit(&a, 0, "user:x", Some("app/db")));
    unit.reads.push(read(&a, "app/db", 1, "user:x", 0));
    store.commit(unit).await.expect("the tenant's rows are put");
}

pub async fn nothing_of_another_tenant_is_found(store: Subject) {
    fill(&store, "a").await;
    let (b, db) = (tenant("b"), path("app/db"));
    let of_a = tenant("a");
    let (grants, rotates) = (policy(&of_a, "1"), rotation_policy(&of_a, "1"));
    let everything = SecretFilter {
        include_deleted: true,
        ..SecretFilter::default()
    };
    let tagged = SecretFilter {
        tag: Some("prod".into()),
        ..SecretFilter::default()
    };
    let ending = SecretFilter {
        expires_before: Some(at(9)),
        ..SecretFilter::default()
    };
    assert_eq!(store.secret_find(&b, &db).await.unwrap(), None);
    assert_eq!(store.secret_open(&b, &db, None).await.unwrap(), None);
    assert_eq!(store.secret_open(&b, &db, Some(1)).await.unwrap(), None);
    for filter in [everything, tagged, ending] {
        assert_eq!(store.secret_list(&b, &filter, None, 9).await.unwrap(), []);
    }
    assert_eq!(store.version_list(&b, &db).await.unwrap(), []);
    assert_eq!(store.secret_counts().await.unwrap().get(&b), None);
    assert_eq!(store.policy_find(&b, &grants.id).await.unwrap(), None);
    assert_eq!(store.policy_list(&b, true, None, 9).await.unwrap(), []);
    assert_eq!(store.binding_list(&b, &grants.id).await.unwrap(), []);
    assert_eq!(
        store
            .binding_find(&b, &binding(&grants, "1", "user:x").id)
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.grants(&b, &[identity("user:x")]).await.unwrap(), []);
    assert_eq!(
        store.token_find(&b, &token(&of_a, "1").id).await.unwrap(),
        None
    );
    assert_eq!(store.token_list(&b, None, 9).await.unwrap(), []);
    assert_eq!(
        store.rotation_policy_find(&b, &rotates.id).await.unwrap(),
        None
    );
    assert_eq!(
        store
            .rotation_policy_list(&b, false, None, 9)
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.assignment_find(&b, &db).await.unwrap(), None);
    assert_eq!(
        store
            .assignment_list(&b, &rotates.id, None, 9)
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.assignment_count(&b, &rotates.id).await.unwrap(), 0);
    assert_eq!(
        store
            .assignment_due(&b, at(1 << 30), None, 9)
            .await
            .unwrap(),
        []
    );
    let turning = rotation(&rotates, "1", "app/db", None).id;
    assert_eq!(store.rotation_find(&b, &turning).await.unwrap(), None);
    let by_path = RotationFilter {
        path: Some(db.clone()),
        ..RotationFilter::default()
    };
    let by_policy = RotationFilter {
        policy_id: Some(rotates.id),
        ..RotationFilter::default()
    };
    for filter in [RotationFilter::default(), by_path, by_policy] {
        assert_eq!(store.rotation_list(&b, &filter, None, 9).await.unwrap(), []);
    }
    let claimed = store
        .rotation_claim_one(&b, &turning, at(9), Duration::from_secs(9))
        .await;
    assert_eq!(claimed.unwrap(), None);
    assert_eq!(
        store
            .webhook_find(&b, &webhook(&of_a, "1").id)
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.webhook_list(&b).await.unwrap(), []);
    let feed = subscription(&of_a, "1").id;
    assert_eq!(store.subscription_find(&b, &feed).await.unwrap(), None);
    assert_eq!(store.subscription_list(&b).await.unwrap(), []);
    assert_eq!(
        store
            .event_find(&b, &event(&of_a, "1", None).id)
            .await
            .unwrap(),
        None
    );
    let sent = delivery(&of_a, "1", "sub_1", 1, None).id;
    assert_eq!(store.delivery_find(&b, &sent).await.unwrap(), None);
    assert_eq!(
        store
            .delivery_list(&b, "sub_1", None, None, 9)
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.delivery_unacked(&b, &feed, 0, 9).await.unwrap(), []);
    commit(
        &store,
        [Op::BufferTrim {
            receiver: "sub_1".into(),
            keep: 0,
        }],
    )
    .await;
    let stats = store.delivery_stats(&b, "sub_1", at(-9)).await.unwrap();
    assert_eq!((stats.total, stats.dropped), (0, 0));
    assert_eq!(store.consumer_list(&b, &db).await.unwrap(), []);
    let own = AuditFilter {
        tenant: Some(b.clone()),
        ..AuditFilter::default()
    };
    assert_eq!(store.audit_query(&own, None, 9).await.unwrap().rows, []);
    assert_eq!(store.audit_summary(&own).await.unwrap().total, 0);
}

pub async fn writes_do_not_cross_tenants(store: Subject) {
    fill(&store, "a").await;
    let (a, b) = (tenant("a"), tenant("b"));
    // Rows of the same names live beside each other …
    let mut same_token = token(&b, "1");
    same_token.hash.0 = [8; 32];
    put(
        &store,
        [
            Record::Secret(secret(&b, "app/db")),
            Record::Policy(policy(&b, "1")),
            Record::Token(same_token),
            Record::RotationPolicy(rotation_policy(&b, "1")),
            Record::Webhook(webhook(&b, "1")),
        ],
    )
    .await;
    // … and no change of one reaches the other.
    let rotates = rotation_policy(&b, "1");
    let wake = Op::AssignmentsWake {
        tenant: b.clone(),
        policy_id: rotates.id,
        at: at(99),
    };
    let remove = Op::VersionDelete {
        tenant: b.clone(),
        path: path("app/db"),
        version: 1,
    };
    commit(
        &store,
        [wake, remove, Op::SecretErase(secret(&b, "app/db"))],
    )
    .await;
    let kept = store
        .assignment_find(&a, &path("app/db"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((kept.wake_at, kept.revision), (Some(T0), 1));
    assert_eq!(
        store.version_list(&a, &path("app/db")).await.unwrap().len(),
        1
    );
    assert_eq!(
        store
            .consumer_list(&a, &path("app/db"))
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(
        store
            .secret_find(&a, &path("app/db"))
            .await
            .unwrap()
            .is_some()
    );
    for record in [
        Record::Subscription(subscription(&b, "1")),
        Record::Assignment(assignment(&rotation_policy(&b, "1"), "app/db", None)),
        Record::Delivery(delivery(&b, "1", "sub_1", 1, None)),
    ] {
        let kind = record.kind();
        let answer = store
            .commit(Unit::new(UnitName::SecretWrite).op(Op::Delete(record)))
            .await;
        assert_eq!(answer, Err(CommitError::Conflict(kind)));
    }
}
