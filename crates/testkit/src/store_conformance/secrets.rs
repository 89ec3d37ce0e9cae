//! Secrets: opening, versions, erasing, purging, counting.

use scaivault_core::expiry::{Expiry, Notice, Plan};
use scaivault_core::ports::{CommitError, Ground, Op, Record, RecordKind, Unit, UnitName};
use scaivault_core::secret::{SecretHead, VersionState};
use scaivault_core::time::Timestamp;

use super::samples::{
    T0, assignment, at, event, path, read, rotation_policy, sealed, secret, tenant, version,
};
use super::{Subject, commit, put};

pub async fn the_version_asked_for_is_opened(store: Subject) {
    let a = tenant("a");
    let mut head = secret(&a, "app/db");
    (head.current_version, head.latest_version) = (2, 3);
    let versions = [1, 2, 3].map(|n| Op::VersionInsert(sealed(&a, "app/db", n)));
    commit(
        &store,
        [Op::Put(Record::Secret(head.clone()))]
            .into_iter()
            .chain(versions),
    )
    .await;
    let open = |number| {
        let (store, a) = (store.clone(), a.clone());
        async move {
            store
                .secret_open(&a, &path("app/db"), number)
                .await
                .unwrap()
                .unwrap()
        }
    };
    assert_eq!(
        open(None).await,
        (head.clone(), Some(sealed(&a, "app/db", 2)))
    );
    assert_eq!(
        open(Some(3)).await,
        (head.clone(), Some(sealed(&a, "app/db", 3)))
    );
    assert_eq!(open(Some(4)).await, (head.clone(), None));
    // The same with the policy, as readers are served.
    let of = path("app/db");
    for (number, policy) in [(None, None), (Some(3), Some("1")), (Some(4), Some("1"))] {
        if policy.is_some() && number == Some(3) {
            let policy = rotation_policy(&a, "1");
            put(
                &store,
                [Record::Assignment(assignment(&policy, "app/db", None))],
            )
            .await;
        }
        let served = store.secret_served(&a, &of, number).await.unwrap().unwrap();
        assert_eq!((served.head, served.version), open(number).await);
        let attached = store.assignment_find(&a, &of).await.unwrap();
        let policy_id = attached.as_ref().map(|row| row.policy_id.clone());
        assert_eq!(served.policy_id, policy_id);
        assert_eq!(served.policy_id.is_some(), policy.is_some());
        // And all of it, as writers start from.
        let ground = Ground {
            head: store.secret_find(&a, &of).await.unwrap(),
            versions: store.version_list(&a, &of).await.unwrap(),
            assignment: attached,
        };
        assert_eq!(ground.versions.len(), 3);
        assert_eq!(store.secret_ground(&a, &of).await.unwrap(), ground);
    }
    let none = store.secret_ground(&a, &path("app/none")).await;
    assert_eq!(none.unwrap(), Ground::default());
    let none = store.secret_served(&a, &path("app/none"), None).await;
    assert_eq!(none.unwrap(), None);
    assert_eq!(open(Some(0)).await, (head.clone(), None));
    assert_eq!(
        store
            .secret_open(&a, &path("app/none"), None)
            .await
            .unwrap(),
        None
    );

    // A soft-deleted secret is opened all the same: whoever asks decides.
    (head.recoverable_until, head.revision) = (Some(at(60)), 2);
    put(&store, [Record::Secret(head.clone())]).await;
    assert_eq!(open(None).await.0, head);

    // Before its first version is current there is nothing to open.
    let mut pending = secret(&a, "app/new");
    pending.current_version = 0;
    put(&store, [Record::Secret(pending.clone())]).await;
    let opened = store.secret_open(&a, &path("app/new"), None).await.unwrap();
    assert_eq!(opened, Some((pending, None)));
}

pub async fn values_survive_state_changes(store: Subject) {
    let a = tenant("a");
    put(&store, [Record::Secret(secret(&a, "app/db"))]).await;
    commit(&store, [Op::VersionInsert(sealed(&a, "app/db", 1))]).await;
    let mut closed = version(&a, "app/db", 1);
    (closed.state, closed.readable_until, closed.revision) = (VersionState::Closed, Some(at(9)), 2);
    put(&store, [Record::Version(closed.clone())]).await;
    let (_, found) = store
        .secret_open(&a, &path("app/db"), Some(1))
        .await
        .unwrap()
        .unwrap();
    let found = found.unwrap();
    assert_eq!(found.version, closed);
    assert_eq!(found.sealed, sealed(&a, "app/db", 1).sealed);
}

pub async fn versions_are_listed_newest_first(store: Subject) {
    let a = tenant("a");
    let numbers = [1, 2, 3, 10, 11];
    commit(
        &store,
        numbers.map(|n| Op::VersionInsert(sealed(&a, "app/db", n))),
    )
    .await;
    commit(&store, [Op::VersionInsert(sealed(&a, "app/db2", 7))]).await;
    let found = store.version_list(&a, &path("app/db")).await.unwrap();
    let expect: Vec<_> = numbers
        .iter()
        .rev()
        .map(|n| version(&a, "app/db", *n))
        .collect();
    assert_eq!(found, expect);
    assert_eq!(store.version_list(&a, &path("app")).await.unwrap(), []);
}

pub async fn removing_an_absent_version_succeeds(store: Subject) {
    let a = tenant("a");
    let remove = |n| Op::VersionDelete {
        tenant: tenant("a"),
        path: path("app/db"),
        version: n,
    };
    commit(
        &store,
        [1, 2].map(|n| Op::VersionInsert(sealed(&a, "app/db", n))),
    )
    .await;
    commit(&store, [remove(1), remove(1), remove(9)]).await;
    let found = store.version_list(&a, &path("app/db")).await.unwrap();
    assert_eq!(found, [version(&a, "app/db", 2)]);
}

pub async fn erasing_removes_all_but_the_sequence(store: Subject) {
    let a = tenant("a");
    let policy = rotation_policy(&a, "1");
    let mut head = secret(&a, "app/db");
    head.metadata.tags = vec!["prod".into()];
    let fill = |to: &str| {
        let mut unit = Unit::new(UnitName::SecretWrite)
            .op(Op::VersionInsert(sealed(&a, to, 1)))
            .op(Op::VersionInsert(sealed(&a, to, 2)))
            .put(Record::Assignment(assignment(&policy, to, Some(T0))))
            .emit(event(&a, &to.replace('/', "-"), Some(to)));
        unit.reads.push(read(&a, to, 1, "sa:x", 0));
        unit
    };
    let mut neighbour = secret(&a, "app/db/sub");
    neighbour.metadata.tags = vec!["prod".into()];
    put(
        &store,
        [head.clone(), neighbour.clone()].map(Record::Secret),
    )
    .await;
    store.commit(fill("app/db")).await.unwrap();
    store.commit(fill("app/db/sub")).await.unwrap();

    commit(&store, [Op::SecretErase(head.clone())]).await;
    let gone = path("app/db");
    assert_eq!(store.secret_find(&a, &gone).await.unwrap(), None);
    assert_eq!(store.version_list(&a, &gone).await.unwrap(), []);
    assert_eq!(store.consumer_list(&a, &gone).await.unwrap(), []);
    assert_eq!(store.assignment_find(&a, &gone).await.unwrap(), None);
    let tagged = scaivault_core::ports::SecretFilter {
        tag: Some("prod".into()),
        ..scaivault_core::ports::SecretFilter::default()
    };
    assert_eq!(
        store.secret_list(&a, &tagged, None, 9).await.unwrap(),
        [neighbour]
    );

    let near = path("app/db/sub");
    assert_eq!(store.version_list(&a, &near).await.unwrap().len(), 2);
    assert_eq!(store.consumer_list(&a, &near).await.unwrap().len(), 1);
    assert!(store.assignment_find(&a, &near).await.unwrap().is_some());

    // A secret made anew at the path goes on counting its events.
    head.revision = 1;
    let again = Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(head))
        .emit(event(&a, "again", Some("app/db")));
    store.commit(again).await.unwrap();
    let found = store
        .event_find(&a, &event(&a, "again", None).id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.sequence, 2);
}

pub async fn erasing_needs_the_right_revision(store: Subject) {
    let a = tenant("a");
    let head = secret(&a, "app/db");
    put(&store, [Record::Secret(head.clone())]).await;
    commit(&store, [Op::VersionInsert(sealed(&a, "app/db", 1))]).await;
    for (revision, of) in [(2, "app/db"), (1, "app/none")] {
        let mut wrong = secret(&a, of);
        wrong.revision = revision;
        let unit = Unit::new(UnitName::SecretPurge).op(Op::SecretErase(wrong));
        let answer = store.commit(unit).await;
        assert_eq!(answer, Err(CommitError::Conflict(RecordKind::Secret)));
    }
    assert_eq!(
        store.version_list(&a, &path("app/db")).await.unwrap().len(),
        1
    );
}

pub async fn deleted_secrets_become_purgeable(store: Subject) {
    let ends = [
        ("a", "app/1", Some(30)),
        ("b", "app/2", Some(10)),
        ("a", "app/3", None),
    ];
    for (owner, of, end) in ends {
        let mut head = secret(&tenant(owner), of);
        head.recoverable_until = end.map(at);
        put(&store, [Record::Secret(head)]).await;
    }
    let purgeable = |secs, limit| {
        let store = store.clone();
        async move {
            let found = store.secret_purgeable(at(secs), limit).await.unwrap();
            found
                .iter()
                .map(|head| head.path.to_string())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(purgeable(9, 9).await, Vec::<String>::new());
    assert_eq!(purgeable(10, 9).await, ["app/2"]);
    assert_eq!(purgeable(60, 9).await, ["app/2", "app/1"]);
    assert_eq!(purgeable(60, 1).await, ["app/2"]);

    // Brought back, it is not purgeable any more.
    let mut back = secret(&tenant("b"), "app/2");
    back.revision = 2;
    put(&store, [Record::Secret(back)]).await;
    assert_eq!(purgeable(60, 9).await, ["app/1"]);
}

pub async fn ends_are_due_to_be_told(store: Subject) {
    let plan = |secs: Option<i64>| Expiry {
        notify_before: None,
        plan: Some(Plan {
            end: at(500),
            next: secs.map(|secs| Notice {
                at: at(secs),
                threshold: None,
            }),
        }),
    };
    let ending = |owner: &str, at_path: &str, expiry: Expiry| SecretHead {
        expires_at: Some(at(500)),
        expiry,
        ..secret(&tenant(owner), at_path)
    };
    let late = ending("a", "s/late", plan(Some(30)));
    let early = ending("b", "s/early", plan(Some(10)));
    let gone = SecretHead {
        recoverable_until: Some(at(900)),
        ..ending("a", "s/gone", plan(Some(5)))
    };
    let told = ending("a", "s/told", plan(None));
    let endless = secret(&tenant("a"), "s/endless");
    let all = [&late, &early, &gone, &told, &endless];
    put(&store, all.map(|head| Record::Secret(head.clone()))).await;
    let due = async |secs: i64, limit: usize| {
        let found = store.secret_notice_due(at(secs), limit).await.unwrap();
        found
            .into_iter()
            .map(|head| head.path.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(store.next_work().await.unwrap().notice_at, Some(at(10)));
    assert_eq!(due(9, 9).await, Vec::<String>::new());
    assert_eq!(due(10, 9).await, ["s/early"]);
    assert_eq!(due(99, 9).await, ["s/early", "s/late"]);
    assert_eq!(due(99, 1).await, ["s/early"]);
    let found = store.secret_notice_due(at(10), 9).await.unwrap();
    assert_eq!(found.first(), Some(&early));
    // Told; back; and one that nobody planned is due at once.
    let early = SecretHead {
        expiry: plan(None),
        revision: 2,
        ..early
    };
    let gone = SecretHead {
        recoverable_until: None,
        revision: 2,
        ..gone
    };
    let unplanned = SecretHead {
        expiry: Expiry::default(),
        revision: 2,
        ..told
    };
    let all = [&early, &gone, &unplanned];
    put(&store, all.map(|head| Record::Secret(head.clone()))).await;
    assert_eq!(due(99, 9).await, ["s/told", "s/gone", "s/late"]);
    let next = store.next_work().await.unwrap().notice_at;
    assert_eq!(next, Some(Timestamp::from_micros(0)));
}

pub async fn secrets_are_counted_per_tenant(store: Subject) {
    assert!(store.secret_counts().await.unwrap().is_empty());
    let mut rows = Vec::new();
    for (owner, of, deleted) in [
        ("a", "x/1", false),
        ("a", "x/2", true),
        ("a", "x/3", false),
        ("b", "x/1", true),
        ("c", "y", false),
    ] {
        let mut head = secret(&tenant(owner), of);
        head.recoverable_until = deleted.then_some(T0);
        rows.push(Record::Secret(head));
    }
    put(&store, rows).await;
    let counts: Vec<_> = store.secret_counts().await.unwrap().into_iter().collect();
    assert_eq!(counts, [(tenant("a"), 2), (tenant("c"), 1)]);
}
