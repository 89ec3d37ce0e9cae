//! The audit trail of several nodes: a chain for each, read and verified as one.

use std::sync::Arc;

use scaivault_core::audit::AuditFilter;
use scaivault_core::ports::{AuditReads, CommitError, RecordKind, Store, Unit, UnitName};
use scaivault_store_postgres::{
    AuditStartError, ChainMac, OfflinePostgres, OpenError, PostgresOptions, PostgresStore,
};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::samples::{at, audit, path, pruning, tenant};

use crate::database::{Database, RUNTIME, TestMac};

async fn write(store: &PostgresStore, who: &str, units: i64) {
    for n in 0..units {
        let mut unit = Unit::new(UnitName::AuditOnly);
        unit.audit.push(audit(&tenant("a"), n, who, Some("app/db")));
        unit.audit.push(audit(&tenant("a"), n, who, None));
        store.commit(unit).await.unwrap();
    }
}

#[test]
fn rows_of_all_nodes_are_one_trail() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let stores = [
            database.open("node-1").await,
            database.open("node-2").await,
            database.open("node-3").await,
        ];
        tokio::join!(
            write(&stores[0], "sa:n0", 30),
            write(&stores[1], "sa:n1", 30),
            write(&stores[2], "sa:n2", 30),
        );
        let (mut seen, mut below) = (Vec::new(), None);
        loop {
            let all = AuditFilter::default();
            let page = stores[1].audit_query(&all, below, 7).await.unwrap();
            seen.extend(page.rows.into_iter().map(|row| (row.seq, row.id)));
            match page.next {
                Some(next) => below = Some(next),
                None => break,
            }
        }
        assert_eq!(seen.len(), 180);
        assert!(seen.is_sorted_by(|newer, older| newer.0 > older.0));
        let mut ids: Vec<_> = seen.into_iter().map(|(_, id)| id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 180);
        let report = stores[2].audit_verify().await.unwrap();
        assert_eq!((report.rows, report.first_bad), (180, None));
        // The newest row of each node is its last: places follow each chain's order.
        for n in 0..3 {
            let of = AuditFilter {
                identity_id: Some(format!("sa:n{n}")),
                ..AuditFilter::default()
            };
            let page = stores[0].audit_query(&of, None, 99).await.unwrap();
            let times: Vec<_> = page.rows.iter().map(|row| row.row.timestamp).collect();
            assert_eq!(times.len(), 60);
            assert!(times.is_sorted_by(|newer, older| newer >= older));
        }
    });
}

/// By hand, while the nodes go on.
#[test]
fn the_chains_are_verified_without_a_node() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let url = database.url(Database::port());
        let early = OfflinePostgres::open(&url).await;
        assert!(matches!(early, Err(OpenError::Older { found: 0, .. })));
        let stores = [database.open("node-1").await, database.open("node-2").await];
        write(&stores[0], "sa:n0", 3).await;
        write(&stores[1], "sa:n1", 3).await;
        let offline = OfflinePostgres::open(&url).await.unwrap();
        for mac in [None, Some(&TestMac(1) as &dyn ChainMac)] {
            let report = offline.audit_verify(mac).await.unwrap();
            assert_eq!((report.rows, report.first_bad), (12, None));
        }
        let other = offline.audit_verify(Some(&TestMac(2))).await.unwrap();
        assert!(other.first_bad.is_some(), "another key");
        assert_eq!(offline.keys().await.unwrap(), []);
        database.sql("DELETE FROM audit_segment WHERE first_seq = 3");
        let cut = offline.audit_verify(None).await.unwrap();
        assert!(cut.first_bad.is_some());
    });
}

#[test]
fn a_change_in_any_chain_is_found() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let stores = [database.open("node-1").await, database.open("node-2").await];
        write(&stores[0], "sa:n0", 3).await;
        write(&stores[1], "sa:n1", 3).await;
        let chain = "(SELECT chain FROM store_head WHERE node = 'node-2')";
        for (change, reason) in [
            (
                format!(
                    "UPDATE audit_segment SET body = overlay(body PLACING 'X' FROM 60)
                     WHERE chain = {chain} AND first_seq = 3"
                ),
                "edited",
            ),
            (
                format!("DELETE FROM audit_segment WHERE chain = {chain} AND first_seq = 3"),
                "missing",
            ),
            (
                format!("DELETE FROM audit_segment WHERE chain = {chain} AND first_seq >= 3"),
                "truncated",
            ),
        ] {
            database.sql(&change);
            let report = stores[0].audit_verify().await.unwrap();
            let bad = report.first_bad.unwrap();
            assert_eq!(bad.reason, reason);
            assert!(bad.id.ends_with("_000000000003"), "{}", bad.id);
        }
        // A chain whose node is gone is nobody's.
        database.sql("DELETE FROM store_head WHERE node = 'node-2'");
        let report = stores[0].audit_verify().await.unwrap();
        assert_eq!(report.first_bad.unwrap().reason, "inserted");
    });
}

#[test]
fn a_node_goes_on_with_its_chain() {
    RUNTIME.block_on(async {
        let database = Database::new();
        write(&database.open("node-1").await, "sa:x", 2).await;
        let again = database.open("node-1").await;
        write(&again, "sa:x", 2).await;
        assert_eq!(database.sql("SELECT count(*) FROM store_head"), "1");
        let report = again.audit_verify().await.unwrap();
        assert_eq!((report.rows, report.first_bad), (8, None));
        // Not under another key, nor when its end was cut.
        let options = PostgresOptions::new(database.url(Database::port()), "node-1");
        let entropy = SeededEntropy::new(1);
        let open = || PostgresStore::open(options.clone(), &entropy);
        let other = open().await.unwrap();
        let other = other.start_audit(Arc::new(TestMac(2)));
        assert_eq!(other.await, Err(AuditStartError::Mac));
        database.sql("DELETE FROM audit_segment WHERE first_seq = 7");
        let cut = open().await.unwrap();
        let cut = cut.start_audit(Arc::new(TestMac(1)));
        assert_eq!(cut.await, Err(AuditStartError::End));
    });
}

/// Two processes by mistake: they take turns at one chain, and it stays whole.
#[test]
fn two_by_one_name_take_turns() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let stores = [database.open("node-1").await, database.open("node-1").await];
        for turn in 0..6 {
            write(&stores[turn % 2], "sa:x", 1).await;
        }
        let report = stores[0].audit_verify().await.unwrap();
        assert_eq!((report.rows, report.first_bad), (12, None));
    });
}

#[test]
fn a_store_that_needs_a_newer_program_is_not_opened() {
    RUNTIME.block_on(async {
        let database = Database::new();
        drop(database.open("node-1").await);
        let options = PostgresOptions::new(database.url(Database::port()), "node-1");
        let entropy = SeededEntropy::new(1);
        let open = || PostgresStore::open(options.clone(), &entropy);
        // The neighbouring release only added to it.
        let newest = database.sql("SELECT max(revision) FROM schema_revision");
        let newest: i64 = newest.parse().unwrap();
        let add = |revision: i64| {
            let needs = revision - 1;
            database.sql(&format!(
                "INSERT INTO schema_revision (revision, needs) VALUES ({revision}, {needs})"
            ));
        };
        add(newest + 1);
        drop(open().await.unwrap());
        add(newest + 2);
        let refused = open().await;
        assert!(
            matches!(refused, Err(OpenError::Newer { found, known })
                if (found, known) == (newest + 2, newest)),
            "{refused:?}"
        );
    });
}

/// The same rows are found while the index lags, when it has caught up, and when both serve.
#[test]
fn the_index_of_trails_leaves_nothing_out() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let stores = [database.open("node-1").await, database.open("node-2").await];
        let of = |secret: i64| AuditFilter {
            tenant: Some(tenant("a")),
            path: Some(path(&format!("app/s{secret}"))),
            ..AuditFilter::default()
        };
        for round in 1..=3 {
            for n in 0..40i64 {
                let mut unit = Unit::new(UnitName::AuditOnly);
                for k in 0..30 {
                    let of = format!("app/s{}", n / 4 + k % 2);
                    unit.audit.push(audit(&tenant("a"), n, "sa:x", Some(&of)));
                }
                let store = &stores[usize::try_from(n % 2).unwrap()];
                store.commit(unit).await.unwrap();
            }
            // Each node has 600 rows a round: the second brings both over what may lag.
            if round == 2 {
                database.await_value("SELECT count(*) FROM audit_indexed", "2");
            }
            // So many of each secret in a round, and so many of them before the twentieth second.
            for (secret, all, early) in [(0, 60, 60), (5, 120, 60), (10, 60, 0), (11, 0, 0)] {
                let page = stores[1].audit_query(&of(secret), None, 9_999).await;
                assert_eq!(page.unwrap().rows.len(), all * round, "secret {secret}");
                let past = AuditFilter {
                    to: Some(at(20)),
                    ..of(secret)
                };
                let page = stores[1].audit_query(&past, None, 9_999).await.unwrap();
                assert_eq!(page.rows.len(), early * round, "secret {secret}");
            }
        }
        let keys = database.sql("SELECT count(*) > 0 FROM audit_key");
        assert_eq!(keys, "t");
    });
}

#[test]
fn old_rows_of_all_nodes_go() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let stores = [database.open("node-1").await, database.open("node-2").await];
        write(&stores[0], "sa:n0", 20).await;
        write(&stores[1], "sa:n1", 10).await;
        // One node removes from the chains of both, and the other verifies what is left.
        let (mut gone, mut chains) = (0, std::collections::BTreeSet::new());
        while let Some(found) = stores[0].audit_prunable(at(5), None).await.unwrap() {
            gone += found.rows;
            chains.insert(found.anchor.chain.clone());
            let unit = pruning(found, 50, |message| TestMac(1).mac(message));
            stores[0].commit(unit).await.unwrap();
        }
        assert_eq!(
            (gone, chains.len()),
            (20, 2),
            "five units of two rows of each node"
        );
        let told = 60 - gone + chains.len() as u64;
        let report = stores[1].audit_verify().await.unwrap();
        assert_eq!((report.rows, report.first_bad), (told, None));
        let rows: u64 = report.removed.iter().map(|removed| removed.rows).sum();
        assert_eq!(rows, gone);
        // Both at once: each commit is one of them's.
        let race = async |store: &PostgresStore| {
            let mut gone = 0;
            while let Some(found) = store.audit_prunable(at(60), None).await.unwrap() {
                let rows = found.rows;
                let unit = pruning(found, 99, |message| TestMac(1).mac(message));
                match store.commit(unit).await {
                    Ok(_) => gone += rows,
                    Err(CommitError::Conflict(RecordKind::AuditAnchor)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            gone
        };
        let (one, two) = tokio::join!(race(&stores[0]), race(&stores[1]));
        assert!(one + two >= 36, "{one} {two}");
        let report = stores[0].audit_verify().await.unwrap();
        assert_eq!(report.first_bad, None);
        let gone: u64 = report.removed.iter().map(|removed| removed.rows).sum();
        assert_eq!(gone, 20 + one + two);
        // A front that somebody else cut.
        database.sql("DELETE FROM audit_anchor");
        let bad = stores[0].audit_verify().await.unwrap().first_bad.unwrap();
        assert_eq!(bad.reason, "missing");
    });
}

/// Whoever removes rows sees what they hang on as it is stored, to judge it; times beside rows that
/// say otherwise than the rows remove nothing.
#[test]
fn a_made_up_anchor_and_false_times_are_no_way_to_remove_rows() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        write(&store, "sa:n0", 9).await;
        let code = |message: &[u8]| TestMac(1).mac(message);
        let found = store.audit_prunable(at(3), None).await.unwrap().unwrap();
        assert_eq!(found.front, None);
        store.commit(pruning(found, 50, code)).await.unwrap();
        let found = store.audit_prunable(at(5), None).await.unwrap().unwrap();
        assert!(found.front.unwrap().fits(code));
        database.sql("UPDATE audit_anchor SET code = decode(repeat('00', 32), 'hex')");
        let found = store.audit_prunable(at(5), None).await.unwrap().unwrap();
        assert!(!found.front.unwrap().fits(code));
        let count = || database.sql("SELECT count(*) FROM audit_segment");
        let before = count();
        database.sql("UPDATE audit_segment SET last_at = 0");
        let found = store.audit_prunable(at(5), None).await.unwrap_err();
        assert!(found.to_string().contains("audit_segment"), "{found}");
        assert_eq!(count(), before);
    });
}
