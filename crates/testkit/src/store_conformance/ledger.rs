//! The consumer ledger: who holds which version.

use scaivault_core::consumer::{
    Consumer, ConsumerRead, ConsumerReport, LEDGER_RESOLUTION, SETTLED_RESOLUTION,
};
use scaivault_core::ports::{Op, Record, Unit, UnitName};

use super::samples::{at, audit, identity, key, path, read, secret, tenant};
use super::{Subject, commit, put};

async fn record(store: &Subject, reads: impl IntoIterator<Item = ConsumerRead>) {
    let mut unit = Unit::audit_only(audit(&tenant("a"), 0, "sa:x", Some("app/db")));
    unit.reads.extend(reads);
    store.commit(unit).await.unwrap();
}

async fn ledger(store: &Subject) -> Vec<Consumer> {
    store
        .consumer_list(&tenant("a"), &path("app/db"))
        .await
        .unwrap()
}

fn one(version: u64, who: &str, secs: i64) -> ConsumerRead {
    read(&tenant("a"), "app/db", version, who, secs)
}

fn line(version: u64, who: &str, first: i64, last: i64) -> Consumer {
    Consumer {
        consumer: identity(who),
        version,
        first_read_at: at(first),
        last_read_at: at(last),
        applied_at: None,
        failed_at: None,
        detail: None,
    }
}

pub async fn first_reads_are_stored_at_once(store: Subject) {
    record(&store, [one(1, "sa:x", 5)]).await;
    assert_eq!(ledger(&store).await, [line(1, "sa:x", 5, 5)]);
    // Of another version and by another consumer, too, in the same unit or not.
    record(&store, [one(2, "sa:x", 6), one(1, "sa:y", 6)]).await;
    let expect = [
        line(2, "sa:x", 6, 6),
        line(1, "sa:x", 5, 5),
        line(1, "sa:y", 6, 6),
    ];
    assert_eq!(ledger(&store).await, expect);
}

pub async fn later_reads_follow_by_resolution(store: Subject) {
    let resolution = i64::try_from(LEDGER_RESOLUTION.as_secs()).unwrap();
    for secs in 0..=3 * resolution + 5 {
        record(&store, [one(1, "sa:x", secs)]).await;
        let found = ledger(&store).await;
        let late = at(secs).since(found[0].last_read_at);
        assert_eq!(found[0].first_read_at, at(0));
        assert!(late <= LEDGER_RESOLUTION, "{late:?} late");
    }
    assert_eq!(ledger(&store).await.len(), 1);
    // Far apart, it is exact.
    record(&store, [one(1, "sa:x", 500)]).await;
    assert_eq!(ledger(&store).await, [line(1, "sa:x", 0, 500)]);
}

pub async fn later_reads_of_a_settled_version_follow_more_rarely(store: Subject) {
    let settled = |secs| ConsumerRead {
        settled: true,
        ..one(1, "sa:x", secs)
    };
    let coarse = i64::try_from(SETTLED_RESOLUTION.as_secs()).unwrap();
    record(&store, [settled(0)]).await;
    record(&store, [settled(coarse - 1)]).await;
    assert_eq!(ledger(&store).await, [line(1, "sa:x", 0, 0)]);
    // One that is not settled is as exact as ever; in one unit with others, too.
    record(&store, [settled(coarse - 1), one(1, "sa:x", coarse - 1)]).await;
    assert_eq!(ledger(&store).await, [line(1, "sa:x", 0, coarse - 1)]);
    record(&store, [settled(2 * coarse - 2)]).await;
    assert_eq!(ledger(&store).await, [line(1, "sa:x", 0, coarse - 1)]);
    record(&store, [settled(2 * coarse - 1)]).await;
    assert_eq!(ledger(&store).await, [line(1, "sa:x", 0, 2 * coarse - 1)]);
    // The first read of a version is stored at once, whatever it is.
    let other = ConsumerRead {
        settled: true,
        ..one(2, "sa:x", 1)
    };
    record(&store, [other]).await;
    assert_eq!(ledger(&store).await[0], line(2, "sa:x", 1, 1));
}

pub async fn times_never_go_back(store: Subject) {
    record(&store, [one(1, "sa:x", 1_000)]).await;
    record(&store, [one(1, "sa:x", 10)]).await;
    assert_eq!(ledger(&store).await, [line(1, "sa:x", 1_000, 1_000)]);
    record(&store, [one(1, "sa:x", 2_000), one(1, "sa:x", 100)]).await;
    assert_eq!(ledger(&store).await, [line(1, "sa:x", 1_000, 2_000)]);
}

pub async fn reads_of_failed_units_are_not_kept(store: Subject) {
    put(&store, [Record::Key(key("1"))]).await;
    for secs in [0, 100] {
        let mut unit = Unit::new(UnitName::SecretWrite).put(Record::Key(key("1")));
        unit.reads.push(one(1, "sa:x", secs));
        assert!(store.commit(unit).await.is_err());
        assert_eq!(ledger(&store).await, []);
    }
    // And the store does not believe it has written them.
    record(&store, [one(1, "sa:x", 101)]).await;
    assert_eq!(ledger(&store).await, [line(1, "sa:x", 101, 101)]);
}

pub async fn an_erased_secret_begins_a_new_ledger(store: Subject) {
    let head = secret(&tenant("a"), "app/db");
    put(&store, [Record::Secret(head.clone())]).await;
    record(&store, [one(1, "sa:x", 5)]).await;
    record(&store, [read(&tenant("a"), "app/db2", 1, "sa:x", 5)]).await;
    commit(&store, [Op::SecretErase(head.clone())]).await;
    assert_eq!(ledger(&store).await, []);
    put(&store, [Record::Secret(head)]).await;
    record(&store, [one(1, "sa:x", 6)]).await;
    assert_eq!(ledger(&store).await, [line(1, "sa:x", 6, 6)]);
    let other = store
        .consumer_list(&tenant("a"), &path("app/db2"))
        .await
        .unwrap();
    assert_eq!(other, [line(1, "sa:x", 5, 5)]);
}

pub async fn the_ledger_is_ordered(store: Subject) {
    let reads = [
        (1, "sa:b"),
        (10, "user:z"),
        (2, "sa:a"),
        (10, "sa:a"),
        (1, "group:a"),
    ];
    record(&store, reads.map(|(version, who)| one(version, who, 0))).await;
    let found = ledger(&store).await;
    let order: Vec<_> = found
        .iter()
        .map(|line| (line.version, line.consumer.as_str()))
        .collect();
    assert_eq!(
        order,
        [
            (10, "sa:a"),
            (10, "user:z"),
            (2, "sa:a"),
            (1, "group:a"),
            (1, "sa:b")
        ]
    );
}

fn said(version: u64, who: &str, secs: i64, applied: bool, detail: Option<&str>) -> Op {
    Op::ConsumerReport(ConsumerReport {
        tenant: tenant("a"),
        path: path("app/db"),
        version,
        consumer: identity(who),
        at: at(secs),
        applied,
        detail: detail.map(str::to_owned),
    })
}

pub async fn what_consumers_say_is_kept(store: Subject) {
    record(&store, [one(1, "sa:x", 5)]).await;
    commit(&store, [said(1, "sa:x", 7, true, None)]).await;
    // Who reports without a read before has the version all the same.
    commit(&store, [said(1, "sa:y", 8, false, Some("no way in"))]).await;
    let x = Consumer {
        applied_at: Some(at(7)),
        ..line(1, "sa:x", 5, 5)
    };
    let y = Consumer {
        failed_at: Some(at(8)),
        detail: Some("no way in".to_owned()),
        ..line(1, "sa:y", 8, 8)
    };
    assert_eq!(ledger(&store).await, [x.clone(), y.clone()]);
    // A cure is kept beside the failure; a later read changes neither.
    commit(&store, [said(1, "sa:y", 9, true, None)]).await;
    record(&store, [one(1, "sa:y", 40)]).await;
    let y = Consumer {
        applied_at: Some(at(9)),
        last_read_at: at(40),
        detail: None,
        ..y
    };
    assert_eq!(ledger(&store).await, [x, y]);
}

pub async fn what_one_identity_read_is_found(store: Subject) {
    let rows = [
        read(&tenant("a"), "app/two", 1, "sa:x", 1),
        read(&tenant("a"), "app/one", 1, "sa:x", 2),
        read(&tenant("a"), "app/one", 2, "sa:x", 3),
        read(&tenant("a"), "app/one", 2, "sa:y", 3),
        read(&tenant("b"), "app/one", 1, "sa:x", 3),
    ];
    record(&store, rows).await;
    let of = async |after: Option<&str>, paths: usize| {
        let who = identity("sa:x");
        let found = store.consumer_reads(&tenant("a"), &who, after, paths).await;
        let lines = found.unwrap().into_iter();
        lines
            .map(|(path, line)| (path.to_string(), line.version))
            .collect::<Vec<_>>()
    };
    let row = |path: &str, version: u64| (path.to_owned(), version);
    let (one, two) = ([row("app/one", 2), row("app/one", 1)], row("app/two", 1));
    assert_eq!(of(None, 1).await, one);
    assert_eq!(of(Some("app/one"), 1).await, std::slice::from_ref(&two));
    assert_eq!(of(None, 9).await, [&one[..], &[two]].concat());
    assert_eq!(of(Some("app/two"), 1).await, []);
}
