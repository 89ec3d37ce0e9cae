//! Rows that somebody without the key changed are refused, whichever table they are in; a store of
//! an earlier release is given its codes by the first node that opens it.

use std::collections::BTreeSet;
use std::sync::Arc;

use scaivault_core::audit::Action;
use scaivault_core::ports::{
    CommitError, PolicyReads as _, ReadError, Store as _, TokenReads as _,
};
use scaivault_store::audit::mac_message;
use scaivault_store::rows::{RowReport, has_code, verify};
use scaivault_store_postgres::{
    AuditStartError, ChainMac, PostgresOptions, PostgresSource, PostgresStore,
};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::altered::{
    FOLLOWED, KINDS, QUEUES, due, enqueue, fill, followed, key, queued, read,
};
use scaivault_testkit::store_conformance::samples::{audit, identity, tenant};

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

/// Work that is read, first the first that is due: what is refused takes nobody's place.
#[test]
fn a_changed_row_does_not_hold_up_its_queue() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        for n in 1..=4 {
            enqueue(&store, n).await;
        }
        for (queue, table) in QUEUES {
            let name = |n| queued(queue, n);
            for n in [1, 2] {
                let refused = doc(&database, table, &name(n)).replacen("\":", "x\":", 1);
                put(&database, table, &name(n), &refused);
            }
            let expect = [key(table, &name(3)), key(table, &name(4))];
            assert_eq!(due(&store, queue, 1).await.unwrap(), expect[..1], "{queue}");
            assert_eq!(due(&store, queue, 9).await.unwrap(), expect, "{queue}");
        }
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
        // Not without an operator's word, whichever node is started.
        for node in ["node-1", "node-2"] {
            let refused = opened(&database, node).await.start_audit(mac()).await;
            assert!(
                matches!(refused, Err(AuditStartError::Unsigned(_))),
                "{refused:?}"
            );
        }
        let all = 2 * KINDS.len() as u64;
        let signing = opened(&database, "node-1").await;
        assert_eq!(sign(&signing).await, Ok(Some(all)));
        drop(signing);
        let told = "SELECT convert_from(body, 'UTF8') FROM audit_segment
                    ORDER BY place DESC LIMIT 1";
        let told = database.sql(told);
        assert!(told.contains(r#""action":"store_sign""#), "{told}");
        let one = database.open("node-1").await;
        let (done, two) = (doc(&database, "policy", "1"), database.open("node-2").await);
        assert_eq!(doc(&database, "policy", "1"), done);
        for (table, _) in KINDS {
            for n in ["1", "2"] {
                assert_eq!(read(&one, table, n).await, Ok(true), "{table}");
                assert_eq!(read(&two, table, n).await, Ok(true), "{table}");
            }
        }
        // It holds for good.
        let audited = || {
            use scaivault_core::ports::{Unit, UnitName};
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

async fn opened(database: &Database, node: &str) -> PostgresStore {
    let options = PostgresOptions::new(database.url(Database::port()), node);
    let opening = RUNTIME.spawn(async move {
        PostgresStore::open(options, &SeededEntropy::new(3))
            .await
            .unwrap()
    });
    opening.await.unwrap()
}

fn mac() -> Arc<dyn ChainMac> {
    Arc::new(TestMac(1))
}

/// The operator's word, as `store sign-rows` gives it.
async fn sign(store: &PostgresStore) -> Result<Option<u64>, AuditStartError> {
    let row = |count| {
        let mut row = audit(&tenant("a"), 9, "system:operator", None);
        row.action = Action::StoreSign;
        row.extra_data.count = Some(count);
        row
    };
    store.sign_rows(mac(), row).await
}

/// That neither a start nor a word gives codes.
async fn given_none(database: &Database, node: &str, word: impl Fn(&AuditStartError) -> bool) {
    let store = opened(database, node).await;
    let started = store.start_audit(mac()).await;
    assert!(
        matches!(started, Err(AuditStartError::Unsigned(_))),
        "{started:?}"
    );
    let signed = sign(&store).await.unwrap_err();
    assert!(word(&signed), "{signed:?}");
    for (table, _) in KINDS {
        assert!(!has_code(&doc(database, table, "1")), "{table}");
    }
}

/// A new node's chain beside ends whose codes were taken away, or that are no more.
#[test]
fn a_trail_that_was_put_aside_gives_no_codes() {
    RUNTIME.block_on(async {
        for put_aside in [
            "UPDATE store_head SET node = 'gone', mac = decode(repeat('00', 32), 'hex')",
            "DELETE FROM store_head",
        ] {
            let database = Database::new();
            let store = database.open("node-1").await;
            fill(&store, "1").await;
            drop(store);
            let genuine = database.sql("SELECT encode(mac, 'hex') FROM store_head");
            unguarded(&database);
            strip(&database);
            database.sql(put_aside);
            let broken = |error: &AuditStartError| matches!(error, AuditStartError::Broken(_));
            given_none(&database, "node-1", broken).await;
            // With the genuine end rows without codes are refused as everywhere.
            if put_aside.starts_with("UPDATE") {
                database.sql(&format!(
                    "UPDATE store_head SET mac = decode('{genuine}', 'hex') WHERE node = 'gone'"
                ));
                let store = database.open("node-1").await;
                for (table, _) in KINDS {
                    assert!(is_refused(read(&store, table, "1").await, table), "{table}");
                }
            }
        }
    });
}

/// All chains are taken away.
#[test]
fn rows_without_a_trail_are_given_no_codes() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        fill(&store, "1").await;
        drop(store);
        unguarded(&database);
        strip(&database);
        database.sql("DELETE FROM store_head; DELETE FROM audit_segment");
        given_none(&database, "node-1", |error| *error == AuditStartError::End).await;
    });
}

/// The trail of an upgraded store is put back to its last end before, for one start, and the rows that
/// were cut behind it come again: nothing is made while it looks so.
#[test]
fn a_trail_that_was_cut_back_gives_no_codes_without_a_word() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        fill(&store, "1").await;
        drop(store);
        unguarded(&database);
        strip(&database);
        plain_heads(&database);
        database.sql(
            "CREATE TABLE kept_head AS SELECT * FROM store_head;
             CREATE TABLE before AS SELECT * FROM audit_segment",
        );
        let signing = opened(&database, "node-1").await;
        sign(&signing).await.unwrap();
        drop(signing);
        database.sql(
            "CREATE TABLE cut AS SELECT * FROM audit_segment
                 WHERE first_seq NOT IN (SELECT first_seq FROM before);
             CREATE TABLE last AS SELECT * FROM store_head;
             DELETE FROM audit_segment WHERE first_seq IN (SELECT first_seq FROM cut);
             DELETE FROM store_head; INSERT INTO store_head SELECT * FROM kept_head",
        );
        strip(&database);
        let refused = opened(&database, "node-1").await.start_audit(mac()).await;
        assert!(
            matches!(refused, Err(AuditStartError::Unsigned(_))),
            "{refused:?}"
        );
        // Nor does a document that only ends like one with a code pass for one.
        let odd = doc(&database, "policy", "1");
        let odd = format!("{},\"~\":\"{}\" }}", &odd[..odd.len() - 1], "0".repeat(31));
        put(&database, "policy", "1", &odd);
        assert!(!has_code(&odd));
        database.sql(
            "INSERT INTO audit_segment SELECT * FROM cut;
             DELETE FROM store_head; INSERT INTO store_head SELECT * FROM last",
        );
        let store = database.open("node-1").await;
        for (table, _) in KINDS {
            assert!(is_refused(read(&store, table, "1").await, table), "{table}");
        }
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

/// What was removed, changed or closed, with a word in the trail, and stands there as before.
#[test]
fn a_row_that_was_followed_by_another_is_named() {
    RUNTIME.block_on(async {
        for (what, tables) in FOLLOWED {
            let database = Database::new();
            let store = database.open("node-1").await;
            fill(&store, "1").await;
            for table in *tables {
                database.sql(&format!(
                    "CREATE TABLE kept_{table} AS SELECT * FROM {table}"
                ));
            }
            store.commit(followed(what)).await.unwrap();
            assert_eq!(verified(&database).await.first_bad, None, "{what}");
            for table in *tables {
                database.sql(&format!(
                    "CREATE TABLE now_{table} AS SELECT * FROM {table};
                     DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}"
                ));
                let named = verified(&database).await.first_bad.unwrap();
                assert!(
                    named.id.starts_with(&format!("{table} tnt_a/")),
                    "{what}: {named:?}"
                );
                assert!(named.reason.contains("audit trail"), "{named:?}");
                database.sql(&format!(
                    "DELETE FROM {table}; INSERT INTO {table} SELECT * FROM now_{table}"
                ));
            }
        }
    });
}
