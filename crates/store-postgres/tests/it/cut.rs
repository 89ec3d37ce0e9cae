//! Commits whose connection is cut: what is told of them is what became of them.

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::audit::AuditFilter;
use scaivault_core::ports::{
    AuditReads, CommitError, EventReads, MarkReads, Record, SecretReads, Store, Unit, UnitName,
};
use scaivault_store_postgres::{PostgresOptions, PostgresStore};
use scaivault_testkit::store_conformance::samples::{audit, event, path, secret, tenant};

use crate::database::{Database, RUNTIME};
use crate::proxy::{Plan, Proxy};

/// A unit that can be applied only once, and shows if it was applied twice.
fn once() -> Unit {
    let a = tenant("a");
    Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(secret(&a, "app/x")))
        .emit(event(&a, "1", Some("app/x")))
        .audited(audit(&a, 0, "user:x", Some("app/x")))
}

async fn is_there_once(store: &PostgresStore) {
    let found = store.secret_find(&tenant("a"), &path("app/x")).await;
    assert_eq!(found.unwrap().unwrap().revision, 1);
    let (_, events) = store.fan_out_pending(9).await.unwrap();
    let places: Vec<_> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(places, [1]);
    let rows = store.audit_query(&AuditFilter::default(), None, 9).await;
    assert_eq!(rows.unwrap().rows.len(), 1);
    let report = store.audit_verify().await.unwrap();
    assert_eq!((report.rows, report.first_bad), (1, None));
}

/// And the store goes on.
async fn goes_on(store: &PostgresStore) {
    let a = tenant("a");
    let next = Unit::new(UnitName::SecretWrite)
        .emit(event(&a, "2", Some("app/x")))
        .audited(audit(&a, 1, "user:x", Some("app/x")));
    assert_eq!(store.commit(next).await.unwrap().events, 1);
    assert_eq!(store.audit_verify().await.unwrap().first_bad, None);
    assert_eq!(store.health().await.trouble, None);
}

#[test]
fn a_commit_whose_answer_is_lost_is_found() {
    RUNTIME.block_on(async {
        let (database, proxy) = (Database::new(), Proxy::start().await);
        let store = database.open_at("node-1", proxy.port).await;
        proxy.plan(Plan::CutAfter);
        assert_eq!(store.commit(once()).await.unwrap().events, 1);
        proxy.met().await;
        is_there_once(&store).await;
        goes_on(&store).await;
    });
}

/// A panic, or an error nobody has heard of, says nothing of the commit it answers.
#[test]
fn an_error_in_answer_to_a_commit_is_looked_up() {
    for severity in ["PANIC", "ERROR"] {
        RUNTIME.block_on(async {
            let (database, proxy) = (Database::new(), Proxy::start().await);
            let store = database.open_at("node-1", proxy.port).await;
            proxy.plan(Plan::FailAfter(severity));
            let told = store.commit(once()).await;
            proxy.met().await;
            assert_eq!(told.unwrap().events, 1, "{severity}");
            is_there_once(&store).await;
            goes_on(&store).await;
        });
    }
}

/// Another process of the same name commits before a lost commit is looked up: it takes the same
/// number where the commit is not there, and further ones.
async fn among_others(plan: Plan, others: usize) {
    let (database, proxy) = (Database::new(), Proxy::start().await);
    let store = Database::open_with(PostgresOptions {
        commit_timeout: Duration::from_secs(60),
        ..PostgresOptions::new(database.url(proxy.port), "node-1")
    });
    let store = Arc::new(store.await);
    let other = database.open("node-1").await;
    proxy.plan(plan);
    let committing = {
        let store = Arc::clone(&store);
        RUNTIME.spawn(async move { store.commit(once()).await })
    };
    proxy.met().await;
    for n in 1..=others {
        let unit = Unit::new(UnitName::SecretWrite);
        let unit = unit.audited(audit(&tenant("a"), 0, "user:y", Some("app/y")));
        assert!(other.commit(unit).await.is_ok(), "{n}");
    }
    proxy.plan(Plan::Pass);
    assert_eq!(committing.await.unwrap().unwrap().events, 1);
    let found = store.secret_find(&tenant("a"), &path("app/x")).await;
    assert_eq!(found.unwrap().unwrap().revision, 1);
    let report = store.audit_verify().await.unwrap();
    let rows = u64::try_from(others).unwrap() + 1;
    assert_eq!((report.rows, report.first_bad), (rows, None));
    goes_on(&store).await;
    assert_eq!(store.marks().await.unwrap().restored_at, None);
}

#[test]
fn the_commit_of_another_process_is_not_taken_for_ones_own() {
    RUNTIME.block_on(async {
        among_others(Plan::LoseAndClose, 1).await;
        among_others(Plan::LoseAndClose, 3).await;
    });
}

#[test]
fn a_lost_commit_is_found_behind_those_of_another_process() {
    RUNTIME.block_on(async {
        among_others(Plan::CutAfterAndClose, 1).await;
        among_others(Plan::CutAfterAndClose, 3).await;
    });
}

/// The database does not know yet that its client is gone, and still holds the transaction open:
/// it is waited for, and then the unit is tried again.
#[test]
fn a_commit_that_never_arrived_is_made_again() {
    RUNTIME.block_on(async {
        let (database, proxy) = (Database::new(), Proxy::start().await);
        let store = Database::open_with(PostgresOptions {
            commit_timeout: Duration::from_secs(60),
            ..PostgresOptions::new(database.url(proxy.port), "node-1")
        });
        let store = store.await;
        proxy.plan(Plan::CutBefore);
        assert_eq!(store.commit(once()).await.unwrap().events, 1);
        proxy.met().await;
        is_there_once(&store).await;
        goes_on(&store).await;
    });
}

#[test]
fn while_nobody_can_look_the_outcome_is_not_known() {
    RUNTIME.block_on(async {
        let (database, proxy) = (Database::new(), Proxy::start().await);
        let store = Database::open_with(PostgresOptions {
            commit_timeout: Duration::from_millis(500),
            ..PostgresOptions::new(database.url(proxy.port), "node-1")
        });
        let store = store.await;
        proxy.plan(Plan::CutAfterAndClose);
        assert_eq!(store.commit(once()).await, Err(CommitError::Unknown));
        // Nor is anything else begun before it is: that it is not applied is certain.
        let refused = store.commit(Unit::new(UnitName::SecretWrite)).await;
        assert!(
            matches!(refused, Err(CommitError::Unavailable(_))),
            "{refused:?}"
        );
        assert!(store.health().await.trouble.is_some());
        proxy.plan(Plan::Pass);
        let mut tries = 0;
        while store.health().await.trouble.is_some() {
            tries += 1;
            assert!(tries < 100, "the store does not go on");
        }
        let found = database.open("node-2").await;
        is_there_once(&found).await;
        goes_on(&store).await;
    });
}

#[test]
fn sessions_that_the_database_ends_are_replaced() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        store.commit(once()).await.unwrap();
        is_there_once(&store).await;
        let ended = database.end_sessions();
        assert!(ended >= 3, "writer, places, reads: {ended}");
        is_there_once(&store).await;
        goes_on(&store).await;
    });
}
