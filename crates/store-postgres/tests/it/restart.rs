//! A database that is killed and comes back, under load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use scaivault_core::audit::AuditFilter;
use scaivault_core::ports::{AuditReads, CommitError, Record, SecretReads, Store, Unit, UnitName};
use scaivault_peers::postgresql::{PASSWORD, Postgresql, SUPERUSER};
use scaivault_store_postgres::PostgresOptions;
use scaivault_testkit::store_conformance::samples::{audit, path, secret, tenant};

use crate::database::{Database, RUNTIME};

const NODES: usize = 2;
const CALLERS: usize = 6;
const WRITES: usize = 60;

/// Nothing that was answered is lost, nothing that was refused is there, and each row that is
/// there has its audit row.
#[test]
fn what_was_answered_outlives_the_database() {
    let mut server = Postgresql::start_with(|_| vec!["log_statement=none".into()]);
    let port = server.port();
    let url = format!("postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{port}/postgres");
    RUNTIME.block_on(async {
        let mut stores = Vec::new();
        for node in 0..NODES {
            let options = PostgresOptions::new(&url, format!("node-{node}"));
            stores.push(Arc::new(Database::open_with(options).await));
        }
        let callers = (0..CALLERS).map(|caller| {
            let store = Arc::clone(&stores[caller % NODES]);
            RUNTIME.spawn(async move {
                let mut outcomes = Vec::new();
                for n in 0..WRITES {
                    let name = format!("app/{caller}-{n}");
                    let a = tenant("a");
                    let unit = Unit::new(UnitName::SecretWrite)
                        .put(Record::Secret(secret(&a, &name)))
                        .audited(audit(&a, 0, "user:x", Some(&name)));
                    outcomes.push((name, store.commit(unit).await));
                }
                outcomes
            })
        });
        let callers: Vec<_> = callers.collect();
        for _ in 0..2 {
            tokio::task::block_in_place(|| server.restart());
        }
        let mut outcomes = Vec::new();
        for caller in callers {
            outcomes.extend(caller.await.unwrap());
        }
        let begun = Instant::now();
        for store in &stores {
            while store.health().await.trouble.is_some() {
                assert!(
                    begun.elapsed() < Duration::from_secs(60),
                    "it does not go on"
                );
            }
        }
        let mut there = 0;
        for (name, outcome) in &outcomes {
            let found = stores[0].secret_find(&tenant("a"), &path(name)).await;
            let is_there = found.unwrap().is_some();
            there += usize::from(is_there);
            match outcome {
                Ok(_) => assert!(is_there, "{name} was answered, and is gone"),
                Err(CommitError::Unknown) => {}
                Err(error) => assert!(!is_there, "{name} is there after: {error}"),
            }
        }
        assert!(outcomes.iter().any(|(_, outcome)| outcome.is_ok()));
        let rows = stores[0].audit_summary(&AuditFilter::default()).await;
        assert_eq!(rows.unwrap().total, u64::try_from(there).unwrap());
        let report = stores[1].audit_verify().await.unwrap();
        assert_eq!(report.first_bad, None);
    });
}
