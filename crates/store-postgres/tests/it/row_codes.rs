//! Rows that somebody without the key changed are refused, whichever table they are in; a store of
//! an earlier release is given its codes by the first node that opens it.

use std::collections::BTreeSet;

use scaivault_core::ports::{CommitError, PolicyReads as _, ReadError, TokenReads as _};
use scaivault_store::ChainMac as _;
use scaivault_store::audit::mac_message;
use scaivault_store::rows::{RowReport, verify};
use scaivault_store_postgres::PostgresSource;
use scaivault_testkit::store_conformance::altered::{KINDS, fill, key, read};
use scaivault_testkit::store_conformance::samples::{identity, tenant};

use crate::database::{Database, RUNTIME, TestMac};

/// What a code adds to a document.
const TAIL: usize = 40;

fn row(table: &str, n: &str) -> String {
    let (_, columns) = KINDS.iter().find(|(kind, _)| *kind == table).unwrap();
    format!("{} = '{}'", columns.last().unwrap(), key(table, n))
}

fn doc(database: &Database, table: &str, n: &str) -> String {
    database.sql(&format!("SELECT doc FROM {table} WHERE {}", row(table, n)))
}

fn put(database: &Database, table: &str, n: &str, doc: &str) {
    let doc = doc.replace('\'', "''");
    database.sql(&format!(
        "UPDATE {table} SET doc = '{doc}' WHERE {}",
        row(table, n)
    ));
}

/// Who writes the database can also remove what keeps earlier releases out.
fn unguarded(database: &Database) {
    for (table, _) in KINDS {
        database.sql(&format!(
            "ALTER TABLE {table} DROP CONSTRAINT {table}_doc_code"
        ));
    }
}

fn strip(database: &Database) {
    for (table, _) in KINDS {
        database.sql(&format!(
            "UPDATE {table} SET doc = substr(doc, 1, length(doc) - {TAIL}) || '}}'"
        ));
    }
}

async fn verified(database: &Database) -> RowReport {
    let mut source = PostgresSource::open(&database.url(Database::port()))
        .await
        .unwrap();
    verify::verify(&mut source, &TestMac(1)).await.unwrap()
}

fn is_refused(found: Result<bool, ReadError>, table: &str) -> bool {
    matches!(found, Err(ReadError::Altered { table: named, .. }) if named == table)
}

#[test]
fn every_table_with_documents_is_covered() {
    RUNTIME.block_on(async {
        let database = Database::new();
        drop(database.open("node-1").await);
        let tables = database.sql(
            "SELECT string_agg(table_name, ' ') FROM information_schema.columns
             WHERE table_schema = current_schema() AND column_name = 'doc'
               AND table_name <> 'keyring'",
        );
        let tables: BTreeSet<&str> = tables.split(' ').collect();
        assert_eq!(tables, KINDS.iter().map(|(table, _)| *table).collect());
        let guarded = database.sql(
            "SELECT count(*) FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
             WHERE n.nspname = current_schema() AND c.conname LIKE '%_doc_code'",
        );
        assert_eq!(guarded, KINDS.len().to_string());
    });
}

#[test]
fn what_was_changed_in_any_table_is_refused() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        for n in ["1", "2"] {
            fill(&store, n).await;
        }
        assert_eq!(verified(&database).await.first_bad, None);
        unguarded(&database);
        for (table, _) in KINDS {
            assert_eq!(read(&store, table, "1").await, Ok(true), "{table}");
            let one = doc(&database, table, "1");
            let bad = [
                one.replacen("\":", "x\":", 1),
                format!("{}}}", &one[..one.len() - TAIL]),
                doc(&database, table, "2"),
            ];
            for (at, changed) in bad.iter().enumerate() {
                put(&database, table, "1", changed);
                let found = read(&store, table, "1").await;
                assert!(is_refused(found, table), "{table} {at}");
            }
            let named = verified(&database).await.first_bad.unwrap();
            assert!(named.id.starts_with(&format!("{table} ")), "{named:?}");
            put(&database, table, "1", &one);
            // A row under the key of another.
            let (from, to) = (row(table, "1"), row(table, "3"));
            database.sql(&format!("UPDATE {table} SET {to} WHERE {from}"));
            let found = read(&store, table, "3").await;
            assert!(is_refused(found, table), "{table} moved");
            database.sql(&format!("UPDATE {table} SET {from} WHERE {to}"));
        }
        assert_eq!(store.stats().rows_refused, 4 * KINDS.len() as u64);
        assert_eq!(verified(&database).await.first_bad, None);
        // Rows that are found by another column than their key.
        let a = tenant("a");
        let given = row("binding", "1");
        database.sql(&format!(
            "UPDATE binding SET identity = 'user:mallory' WHERE {given}"
        ));
        let grants = store.grants(&a, &[identity("user:mallory")]).await;
        assert!(matches!(
            grants,
            Err(ReadError::Altered {
                column: "identity",
                ..
            })
        ));
        database.sql("UPDATE token SET hash = decode(repeat('00', 32), 'hex') WHERE id = 'tok_1'");
        let found = store.token_by_hash(&scaivault_core::identity::TokenHash([0; 32]));
        assert!(matches!(
            found.await,
            Err(ReadError::Altered { column: "hash", .. })
        ));
    });
}

#[test]
fn rows_of_an_earlier_release_are_given_their_codes_once() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        for n in ["1", "2"] {
            fill(&store, n).await;
        }
        drop(store);
        unguarded(&database);
        strip(&database);
        plain_heads(&database);
        // A part of it was done before; nodes begin together.
        let one = database.open("node-1").await;
        let (done, two) = (doc(&database, "policy", "1"), database.open("node-2").await);
        assert_eq!(doc(&database, "policy", "1"), done);
        for (table, _) in KINDS {
            for n in ["1", "2"] {
                assert_eq!(read(&one, table, n).await, Ok(true), "{table}");
                assert_eq!(read(&two, table, n).await, Ok(true), "{table}");
            }
        }
        // The next row of the trail says so for good.
        let audited = || {
            use scaivault_core::ports::{Unit, UnitName};
            use scaivault_testkit::store_conformance::samples::audit;
            Unit::new(UnitName::AuditOnly).audited(audit(&tenant("a"), 9, "user:x", None))
        };
        let committed: Result<_, CommitError> =
            scaivault_core::ports::Store::commit(&one, audited()).await;
        committed.unwrap();
        assert_eq!(verified(&database).await.first_bad, None);
        drop((one, two));
        strip(&database);
        for node in ["node-1", "node-3"] {
            let store = database.open(node).await;
            for (table, _) in KINDS {
                assert!(is_refused(read(&store, table, "1").await, table), "{table}");
            }
        }
        assert_eq!(
            verified(&database).await.first_bad.unwrap().reason,
            "no code"
        );
    });
}

/// A node of the release before that goes on for a moment writes no row without a code.
#[test]
fn a_document_without_a_code_is_not_taken_by_the_database() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        fill(&store, "1").await;
        for (table, _) in KINDS {
            let refused = database.sql(&format!(
                "SELECT substr(right(doc, 40), 1, 6) = ',\"~\":\"' FROM {table}"
            ));
            assert_eq!(refused, "t", "{table}");
        }
        let plain = "CREATE FUNCTION plain() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
                         UPDATE policy SET doc = '{\"id\":\"pol_1\"}'; RETURN 'taken';
                     EXCEPTION WHEN check_violation THEN RETURN 'refused'; END $$;
                     SELECT plain()";
        assert!(database.sql(plain).ends_with("refused"));
    });
}

fn plain_heads(database: &Database) {
    let ends = database.sql(
        "SELECT string_agg(chain || ' ' || first_seq || ' ' || last_seq || ' ' || encode(head, 'hex'), ',')
         FROM (SELECT chain, first_seq, last_seq, head FROM store_head
               UNION SELECT chain, first_seq, first_seq + rows - 1, head FROM audit_segment) e",
    );
    for end in ends.split(',') {
        let parts: Vec<&str> = end.split(' ').collect();
        let (first, last): (u64, u64) = (parts[1].parse().unwrap(), parts[2].parse().unwrap());
        let mut head = [0; 32];
        for (at, byte) in head.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&parts[3][2 * at..2 * at + 2], 16).unwrap();
        }
        let mac = TestMac(1).mac(&mac_message(parts[0], first, last, &head));
        let mac: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        for table in ["store_head", "audit_segment"] {
            database.sql(&format!(
                "UPDATE {table} SET mac = decode('{mac}', 'hex') WHERE first_seq = {first}"
            ));
        }
    }
}
