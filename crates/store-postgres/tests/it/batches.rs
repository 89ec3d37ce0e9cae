//! Units that are committed together: by one statement, as long as none of them is refused.

use std::sync::Arc;

use scaivault_core::audit::AuditFilter;
use scaivault_core::ports::{
    AuditReads, CommitError, Committed, EventReads, Op, Record, RecordKind, SecretReads, Store,
    Unit, UnitName,
};
use scaivault_store_postgres::PostgresStore;
use scaivault_testkit::store_conformance::samples::{
    audit, event, path, sealed, secret, tenant, version,
};

use crate::database::{Database, RUNTIME};
use crate::proxy::{Plan, Proxy};

/// Makes a secret, with its event and its audit row.
fn create(at_path: &str, number: i64) -> Unit {
    let owner = tenant("a");
    let mut unit = Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(secret(&owner, at_path)))
        .op(Op::VersionInsert(sealed(&owner, at_path, 1)))
        .emit(event(&owner, &number.to_string(), Some("app/all")));
    unit.audit
        .push(audit(&owner, number, "sa:writer", Some(at_path)));
    unit
}

/// Commits units that come while another commit is held, so that they are one batch.
async fn together(
    store: &Arc<PostgresStore>,
    proxy: &Proxy,
    units: Vec<Unit>,
) -> Vec<Result<Committed, CommitError>> {
    let spawn = |unit: Unit| {
        let store = Arc::clone(store);
        RUNTIME.spawn(async move { store.commit(unit).await })
    };
    proxy.plan(Plan::Hold);
    let first = spawn(Unit::new(UnitName::Housekeeping));
    proxy.met().await;
    let mut tasks = Vec::new();
    for (waiting, unit) in units.into_iter().enumerate() {
        tasks.push(spawn(unit));
        // In this order.
        while store.stats().queue_len <= waiting {
            tokio::task::yield_now().await;
        }
    }
    proxy.plan(Plan::Pass);
    first.await.unwrap().unwrap();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

fn transactions(database: &Database) -> u64 {
    let number = database.sql("SELECT batch FROM store_head");
    number.parse().unwrap()
}

#[test]
fn a_batch_is_one_statement() {
    RUNTIME.block_on(async {
        let (database, proxy) = (Database::new(), Proxy::start().await);
        let store = Arc::new(database.open_at("node-1", proxy.port).await);
        store.commit(create("app/0", 0)).await.unwrap();
        proxy.plan(Plan::Hold);
        let writer = Arc::clone(&store);
        let held = RUNTIME.spawn(async move { writer.commit(create("app/1", 1)).await });
        proxy.met().await;
        // The last statement of the session before the commit that is held is also its first.
        database.await_held("part0 AS (UPDATE store_head");
        proxy.plan(Plan::Pass);
        held.await.unwrap().unwrap();
        let seen = store.secret_find(&tenant("a"), &path("app/1")).await;
        assert!(seen.unwrap().is_some());
    });
}

#[test]
fn order_within_a_batch_is_that_of_its_units() {
    RUNTIME.block_on(async {
        let (database, proxy) = (Database::new(), Proxy::start().await);
        let store = Arc::new(database.open_at("node-1", proxy.port).await);
        store.commit(create("app/0", 0)).await.unwrap();
        let before = transactions(&database);
        let units = (1..=20).map(|n| create(&format!("app/{n}"), n)).collect();
        for outcome in together(&store, &proxy, units).await {
            assert_eq!(outcome.unwrap().events, 1);
        }
        assert_eq!(transactions(&database), before + 2);
        let (_, events) = store.fan_out_pending(99).await.unwrap();
        let found: Vec<_> = events
            .iter()
            .map(|event| (event.event.id.to_string(), event.sequence))
            .collect();
        let expected: Vec<_> = (0..=20).map(|n| (format!("evt_{n}"), n + 1)).collect();
        assert_eq!(found, expected);
        let all = AuditFilter::default();
        let page = store.audit_query(&all, None, 99).await.unwrap();
        let paths = page
            .rows
            .iter()
            .rev()
            .filter_map(|row| row.row.secret_path.clone());
        let expected: Vec<_> = (0..=20).map(|n| format!("app/{n}")).collect();
        assert_eq!(paths.map(|p| p.to_string()).collect::<Vec<_>>(), expected);
        assert_eq!(store.audit_verify().await.unwrap().first_bad, None);
    });
}

/// The one statement fails as a whole; then each is told its own.
#[test]
fn a_refused_unit_takes_none_of_its_batch_along() {
    RUNTIME.block_on(async {
        let (database, proxy) = (Database::new(), Proxy::start().await);
        let store = Arc::new(database.open_at("node-1", proxy.port).await);
        store.commit(create("app/0", 0)).await.unwrap();
        let before = transactions(&database);
        let units = (1..=20).map(|n| match n {
            // A version of a revision that is not there.
            7 => {
                let mut gone = version(&tenant("a"), "app/0", 1);
                gone.revision = 9;
                create("app/7", 7).put(Record::Version(gone))
            }
            // A secret that is there.
            13 => create("app/0", 13),
            n => create(&format!("app/{n}"), n),
        });
        let outcomes = together(&store, &proxy, units.collect()).await;
        for (outcome, n) in outcomes.into_iter().zip(1..) {
            match n {
                7 => assert_eq!(outcome, Err(CommitError::Conflict(RecordKind::Version))),
                13 => assert_eq!(outcome, Err(CommitError::Conflict(RecordKind::Secret))),
                _ => assert!(outcome.is_ok(), "{n}: {outcome:?}"),
            }
        }
        assert_eq!(transactions(&database), before + 2);
        let (_, events) = store.fan_out_pending(99).await.unwrap();
        assert_eq!(events.len(), 19, "of the first and of 18 of the batch");
        let report = store.audit_verify().await.unwrap();
        assert_eq!((report.rows, report.first_bad), (19, None));
        let seen = store.secret_find(&tenant("a"), &path("app/7")).await;
        assert_eq!(seen.unwrap(), None, "nothing of a refused unit is there");
    });
}

/// As for a secret that keeps one version: parts of one statement would not see one another.
#[test]
fn a_version_that_is_put_and_removed_is_gone() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        let (owner, at_path) = (tenant("a"), "app/one");
        store.commit(create(at_path, 0)).await.unwrap();
        let mut old = version(&owner, at_path, 1);
        old.revision = 2;
        let unit = Unit::new(UnitName::SecretWrite)
            .op(Op::VersionInsert(sealed(&owner, at_path, 2)))
            .put(Record::Version(old))
            .op(Op::VersionDelete {
                tenant: owner.clone(),
                path: path(at_path),
                version: 1,
            });
        store.commit(unit).await.unwrap();
        let left = store.version_list(&owner, &path(at_path)).await.unwrap();
        let numbers: Vec<_> = left.iter().map(|version| version.version).collect();
        assert_eq!(numbers, [2]);
    });
}
