//! Rows that somebody without the key changed are refused, whichever table they are in; a store of
//! an earlier release is given its codes, and takes no row without one afterwards.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;
use scaivault_core::audit::{Action, AuditFilter};
use scaivault_core::identity::TokenHash;
use scaivault_core::ports::{
    AuditReads as _, Claims as _, Op, PolicyReads as _, ReadError, Record, SecretReads as _,
    Store as _, TokenReads as _, Unit, UnitName,
};
use scaivault_core::secret::SecretHead;
use scaivault_store::audit::{genesis, mac_message};
use scaivault_store::rows::{RowReport, has_code, verify};
use scaivault_store::{
    AuditStartError, ChainMac as _, SqliteOptions, SqliteSource, SqliteStore, schema_columns,
};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::altered::{
    FOLLOWED, KINDS, QUEUES, due, enqueue, fill, followed, key, queued, read,
};
use scaivault_testkit::store_conformance::samples::{
    T0, at as sample_at, audit, identity, machine_role, path, sealed, secret, tenant, token,
};

use crate::support::{TestMac, at, mac};

/// What a code adds to a document.
const TAIL: usize = 40;

fn sql(conn: &Connection, text: &str) {
    conn.execute_batch(text).unwrap();
}

fn row(table: &str, n: &str) -> String {
    let (_, columns) = KINDS.iter().find(|(kind, _)| *kind == table).unwrap();
    format!("{} = '{}'", columns.last().unwrap(), key(table, n))
}

fn doc(conn: &Connection, table: &str, n: &str) -> String {
    let sql = format!("SELECT doc FROM {table} WHERE {}", row(table, n));
    conn.query_row(&sql, [], |row| row.get(0)).unwrap()
}

fn put(conn: &Connection, table: &str, n: &str, doc: &str) {
    let sql = format!("UPDATE {table} SET doc = ?1 WHERE {}", row(table, n));
    assert_eq!(conn.execute(&sql, [doc]).unwrap(), 1, "{table}");
}

fn strip(conn: &Connection, also: &str) {
    for (table, _) in KINDS {
        let plain = format!("substr(doc, 1, length(doc) - {TAIL}) || '}}'");
        sql(
            conn,
            &format!("UPDATE {table} SET doc = {plain} WHERE {also}"),
        );
    }
}

async fn verified(file: &Path) -> RowReport {
    let mut source = SqliteSource::look(file).unwrap();
    verify::verify(&mut source, &TestMac(1)).await.unwrap()
}

fn is_refused(found: Result<bool, ReadError>, table: &str) -> bool {
    matches!(found, Err(ReadError::Altered { table: named, .. }) if named == table)
}

/// A table that holds documents is covered by the cases here, or they fail.
#[tokio::test]
async fn every_table_with_documents_is_covered() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    drop(at(&file).await);
    let columns = schema_columns(&file).unwrap();
    let tables: BTreeSet<&str> = columns
        .iter()
        .filter_map(|column| column.strip_suffix(".doc"))
        .filter(|table| *table != "keyring")
        .collect();
    assert_eq!(tables, KINDS.iter().map(|(table, _)| *table).collect());
}

#[tokio::test]
async fn what_was_changed_in_any_table_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let store = at(&file).await;
    for n in ["1", "2"] {
        fill(&store, n).await;
    }
    assert_eq!(verified(&file).await.first_bad, None);
    let conn = Connection::open(&file).unwrap();
    for (refused, (table, _)) in KINDS.iter().enumerate() {
        assert_eq!(read(&store, table, "1").await, Ok(true), "{table}");
        let (one, two) = (doc(&conn, table, "1"), doc(&conn, table, "2"));
        // A letter of a name, a letter of the code, nothing of the code, another's, another store's.
        let last = one.len() - 3;
        let plain = format!("{}}}", &one[..one.len() - TAIL]);
        let digit = if &one[last..=last] == "0" { "1" } else { "0" };
        let bad = [
            one.replacen("\":", "x\":", 1),
            format!("{}{digit}{}", &one[..last], &one[last + 1..]),
            plain,
            two.clone(),
        ];
        for (at, changed) in bad.iter().enumerate() {
            put(&conn, table, "1", changed);
            let found = read(&store, table, "1").await;
            assert!(is_refused(found, table), "{table} {at}");
            let named = verified(&file).await.first_bad.unwrap();
            assert!(named.id.starts_with(&format!("{table} ")), "{named:?}");
            let counted = refused as u64 * 5 + at as u64 + 1;
            assert_eq!(store.stats().rows_refused, counted, "{table} {at}");
        }
        put(&conn, table, "1", &one);
        assert_eq!(read(&store, table, "1").await, Ok(true), "{table}");
        // A row under the key of another.
        let (from, to) = (row(table, "1"), row(table, "3"));
        sql(&conn, &format!("UPDATE {table} SET {to} WHERE {from}"));
        let found = read(&store, table, "3").await;
        assert!(is_refused(found, table), "{table} moved");
        sql(&conn, &format!("UPDATE {table} SET {from} WHERE {to}"));
    }
    assert_eq!(verified(&file).await.first_bad, None);
}

/// Rows that are found by another column than their key.
#[tokio::test]
async fn a_column_that_leads_to_another_row_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let store = at(&file).await;
    for n in ["1", "2"] {
        fill(&store, n).await;
    }
    let conn = Connection::open(&file).unwrap();
    let a = tenant("a");
    // Somebody else's token opens what this one's does.
    sql(
        &conn,
        "UPDATE token SET hash = zeroblob(32) WHERE id = 'tok_1'",
    );
    let found = store.token_by_hash(&TokenHash([0; 32]));
    assert!(matches!(
        found.await,
        Err(ReadError::Altered { column: "hash", .. })
    ));
    assert!(
        store
            .token_by_hash(&token(&a, "2").hash)
            .await
            .unwrap()
            .is_some()
    );
    // A binding is given to somebody else.
    sql(
        &conn,
        "UPDATE binding SET identity = 'user:mallory' WHERE rowid = 1",
    );
    let mallory = identity("user:mallory");
    let grants = store.grants(&a, &[mallory]).await;
    assert!(matches!(
        grants,
        Err(ReadError::Altered {
            column: "identity",
            ..
        })
    ));
    // A head is made to point at another version.
    let here = path("s/2");
    let mut unit = Unit::new(UnitName::SecretWrite);
    unit.ops.push(Op::VersionInsert(sealed(&a, "s/2", 7)));
    store.commit(unit).await.unwrap();
    sql(
        &conn,
        "UPDATE secret SET current_version = 7 WHERE path = 's/2'",
    );
    let opened = store.secret_open(&a, &here, None).await;
    assert!(matches!(
        opened,
        Err(ReadError::Altered {
            column: "current_version",
            ..
        })
    ));
    // Without being asked for, all of them are named by the verifier, one after the other.
    for (table, repair) in [
        ("secret", "UPDATE secret SET current_version = 1"),
        ("binding", "UPDATE binding SET identity = 'user:x'"),
        ("token", ""),
    ] {
        let named = verified(&file).await.first_bad.unwrap();
        assert!(named.id.starts_with(table), "{named:?}");
        assert!(named.reason.starts_with("column "), "{named:?}");
        sql(&conn, repair);
    }
}

/// Work whose row was changed is passed over, and the rest goes on.
#[tokio::test]
async fn a_changed_row_does_not_hold_up_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let store = at(&file).await;
    for n in ["1", "2"] {
        fill(&store, n).await;
    }
    let conn = Connection::open(&file).unwrap();
    for table in ["assignment", "rotation", "delivery"] {
        let (one, two) = (doc(&conn, table, "1"), doc(&conn, table, "2"));
        assert_ne!(one, two);
        put(&conn, table, "1", &two);
    }
    let hold = std::time::Duration::from_secs(60);
    let assignments = store.assignment_claim(T0, hold, 9).await.unwrap();
    assert_eq!(assignments.len(), 1);
    assert_eq!(assignments[0].path.as_str(), "s/2");
    let rotations = store.rotation_claim(T0, hold, 9).await.unwrap();
    assert_eq!(rotations.len(), 1);
    let mut delivered = Vec::new();
    for _ in 0..2 {
        delivered.extend(store.delivery_claim(T0, hold, &[], 9).await.unwrap());
    }
    assert_eq!(delivered.len(), 1);
}

/// The same where work is not claimed but read, first the first that is due: what is refused takes
/// nobody's place.
#[tokio::test]
async fn a_changed_row_does_not_hold_up_its_queue() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let store = at(&file).await;
    for n in 1..=4 {
        enqueue(&store, n).await;
    }
    let conn = Connection::open(&file).unwrap();
    for (queue, table) in QUEUES {
        let name = |n| queued(queue, n);
        for n in [1, 2] {
            let refused = doc(&conn, table, &name(n)).replacen("\":", "x\":", 1);
            put(&conn, table, &name(n), &refused);
        }
        let expect = [key(table, &name(3)), key(table, &name(4))];
        assert_eq!(due(&store, queue, 1).await.unwrap(), expect[..1], "{queue}");
        assert_eq!(due(&store, queue, 9).await.unwrap(), expect, "{queue}");
    }
    assert!(store.stats().rows_refused > 0);
}

/// As an earlier release left it: documents without codes, heads with codes of the plain kind.
async fn earlier(file: &Path) {
    let store = at(file).await;
    for n in ["1", "2"] {
        fill(&store, n).await;
    }
    drop(store);
    let conn = Connection::open(file).unwrap();
    strip(&conn, "1");
    plain_heads(&conn);
}

fn plain_heads(conn: &Connection) {
    let ends = "SELECT chain, first_seq, last_seq, head FROM store_head
                UNION SELECT chain, first_seq, first_seq + rows - 1, head FROM audit_segment";
    let mut statement = conn.prepare(ends).unwrap();
    let found = statement.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    });
    let found: Vec<(String, i64, i64, [u8; 32])> = found.unwrap().map(Result::unwrap).collect();
    for (chain, first, last, head) in found {
        let message = mac_message(&chain, first.unsigned_abs(), last.unsigned_abs(), &head);
        let mac = TestMac(1).mac(&message);
        for table in ["store_head", "audit_segment"] {
            let sql = format!("UPDATE {table} SET mac = ?1 WHERE first_seq = ?2");
            conn.execute(&sql, (&mac[..], first)).unwrap();
        }
    }
}

fn opened(file: &Path) -> SqliteStore {
    SqliteStore::open(SqliteOptions::file(file), &SeededEntropy::new(1)).unwrap()
}

/// The operator's word, as `store sign-rows` gives it.
async fn signed(file: &Path) -> Result<Option<u64>, AuditStartError> {
    sign(&opened(file)).await
}

async fn sign(store: &SqliteStore) -> Result<Option<u64>, AuditStartError> {
    let row = |count| {
        let mut row = audit(&tenant("a"), 9, "system:operator", None);
        row.action = Action::StoreSign;
        row.extra_data.count = Some(count);
        row
    };
    store.sign_rows(mac(), row).await
}

/// That neither a start nor a word gives codes: every row stays as it is.
async fn given_none(file: &Path, refused: impl Fn(&AuditStartError) -> bool) {
    let store = opened(file);
    let started = store.start_audit(mac()).await.unwrap_err();
    let signed = sign(&store).await.unwrap_err();
    assert!(
        refused(&signed) && (refused(&started) || matches!(started, AuditStartError::Unsigned(_))),
        "{started:?} {signed:?}"
    );
    assert!(
        read(&store, "policy", "1").await.is_err(),
        "there is no key"
    );
    let conn = Connection::open(file).unwrap();
    for (table, _) in KINDS {
        assert!(!has_code(&doc(&conn, table, "1")), "{table}");
    }
}

#[tokio::test]
async fn rows_of_an_earlier_release_are_given_their_codes_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    earlier(&file).await;
    assert_eq!(
        verified(&file).await.first_bad,
        None,
        "nothing is asked of it yet"
    );
    // Not without an operator's word, however often it is started.
    for _ in 0..2 {
        let refused = opened(&file).start_audit(mac()).await.unwrap_err();
        let AuditStartError::Unsigned(first) = &refused else {
            panic!("{refused:?}")
        };
        assert!(first.starts_with("partner "), "{first}");
        assert!(refused.to_string().contains("scaivault store sign-rows"));
    }
    let all = 2 * KINDS.len() as u64;
    assert_eq!(signed(&file).await, Ok(Some(all)));
    let store = at(&file).await;
    for (table, _) in KINDS {
        for n in ["1", "2"] {
            assert_eq!(read(&store, table, n).await, Ok(true), "{table}");
        }
    }
    let trail = store.audit_query(&AuditFilter::default(), None, 1).await;
    let told = &trail.unwrap().rows[0].row;
    assert_eq!(told.action, Action::StoreSign);
    assert_eq!(told.extra_data.count, Some(all));
    let report = verified(&file).await;
    assert_eq!((report.first_bad, report.rows), (None, all));
    drop(store);
    assert_eq!(
        signed(&file).await,
        Ok(None),
        "there is nothing left to say"
    );
    // From then on a row without a code is none, also after a restart, and after another word.
    let conn = Connection::open(&file).unwrap();
    strip(&conn, "1");
    assert_eq!(signed(&file).await, Ok(None));
    let store = at(&file).await;
    for (table, _) in KINDS {
        assert!(is_refused(read(&store, table, "1").await, table), "{table}");
    }
    let named = verified(&file).await.first_bad.unwrap();
    assert_eq!(named.reason, "no code");
}

/// A store that is new is asked for no word.
#[tokio::test]
async fn a_new_store_needs_no_word() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    assert_eq!(signed(&file).await, Ok(None));
    let store = at(&file).await;
    fill(&store, "1").await;
    drop(store);
    assert_eq!(read(&at(&file).await, "policy", "1").await, Ok(true));
}

/// Wherever the pass was cut short, the next one goes on with it.
#[tokio::test]
async fn a_pass_that_was_cut_short_is_gone_on_with() {
    for done in (0..=KINDS.len()).step_by(5) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store.db");
        earlier(&file).await;
        let conn = Connection::open(&file).unwrap();
        let kept = "SELECT head FROM store_head";
        let before: Vec<u8> = conn.query_row(kept, [], |row| row.get(0)).unwrap();
        let plain: Vec<_> = KINDS
            .iter()
            .map(|(table, _)| doc(&conn, table, "1"))
            .collect();
        signed(&file).await.unwrap();
        // As it was after so many tables, the head not yet written anew.
        for ((table, _), plain) in KINDS.iter().zip(&plain).skip(done) {
            put(&conn, table, "1", plain);
        }
        sql(
            &conn,
            "DELETE FROM audit_segment WHERE first_seq = (SELECT max(first_seq) FROM audit_segment);
             UPDATE store_head SET (first_seq, last_seq, head) = (SELECT first_seq,
                 first_seq + rows - 1, head FROM audit_segment ORDER BY first_seq DESC LIMIT 1)",
        );
        let after: Vec<u8> = conn.query_row(kept, [], |row| row.get(0)).unwrap();
        assert_eq!(after, before);
        plain_heads(&conn);
        let left = u64::try_from(KINDS.len() - done).unwrap();
        assert_eq!(signed(&file).await, Ok(Some(left)));
        let store = at(&file).await;
        for (table, _) in KINDS {
            assert_eq!(
                read(&store, table, "1").await,
                Ok(true),
                "{table} after {done}"
            );
        }
    }
}

/// Who takes the trail away cannot pass a store off as one of an earlier release.
#[tokio::test]
async fn rows_without_a_trail_are_given_no_codes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    drop(at(&file).await);
    let store = at(&file).await;
    fill(&store, "1").await;
    drop(store);
    let conn = Connection::open(&file).unwrap();
    strip(&conn, "1");
    sql(
        &conn,
        "DELETE FROM audit_segment;
         UPDATE store_head SET first_seq = 0, last_seq = 0, mac = zeroblob(32)",
    );
    let name: String = conn
        .query_row("SELECT chain FROM store_head", [], |row| row.get(0))
        .unwrap();
    begin_anew(&conn, &name);
    given_none(&file, |error| *error == AuditStartError::End).await;
}

/// The store's own chain is another one, without a row.
fn begin_anew(conn: &Connection, name: &str) {
    conn.execute(
        "UPDATE store_head SET chain = ?1, first_seq = 0, last_seq = 0, head = ?2,
                               mac = zeroblob(32)",
        (name, &genesis(name)[..]),
    )
    .unwrap();
}

/// A chain's end that says that all rows have codes is put aside with its code taken away, as the end
/// of a chain that came with a copy, or with no end at all.
#[tokio::test]
async fn a_trail_that_was_put_aside_gives_no_codes() {
    let aside = "INSERT INTO audit_past (chain, first_seq, last_seq, head, mac)
                 SELECT chain, first_seq, last_seq, head, zeroblob(32) FROM store_head";
    for put_aside in [aside, ""] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store.db");
        let store = at(&file).await;
        fill(&store, "1").await;
        drop(store);
        let conn = Connection::open(&file).unwrap();
        let end = "SELECT mac FROM store_head";
        let genuine: [u8; 32] = conn.query_row(end, [], |row| row.get(0)).unwrap();
        strip(&conn, "1");
        let policy = doc(&conn, "policy", "1");
        put(&conn, "policy", "1", &policy.replacen("app/", "web/", 1));
        sql(&conn, put_aside);
        begin_anew(&conn, "aaaaaa");
        given_none(&file, |error| matches!(error, AuditStartError::Broken(_))).await;
        // With the genuine end beside the new chain rows without codes are refused as everywhere.
        if !put_aside.is_empty() {
            conn.execute("UPDATE audit_past SET mac = ?1", [&genuine[..]])
                .unwrap();
            let store = at(&file).await;
            for (table, _) in KINDS {
                assert!(is_refused(read(&store, table, "1").await, table), "{table}");
            }
        }
    }
}

/// The trail of an upgraded store is put back to its last end before, for one start, and the rows that
/// were cut behind it come again: nothing is made while it looks so.
#[tokio::test]
async fn a_trail_that_was_cut_back_gives_no_codes_without_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    earlier(&file).await;
    let conn = Connection::open(&file).unwrap();
    sql(
        &conn,
        "CREATE TABLE kept_head AS SELECT * FROM store_head;
         CREATE TABLE before AS SELECT * FROM audit_segment",
    );
    signed(&file).await.unwrap();
    sql(
        &conn,
        "CREATE TABLE cut AS SELECT * FROM audit_segment
             WHERE first_seq NOT IN (SELECT first_seq FROM before);
         CREATE TABLE end AS SELECT * FROM store_head;
         DELETE FROM audit_segment WHERE first_seq IN (SELECT first_seq FROM cut);
         DELETE FROM store_head; INSERT INTO store_head SELECT * FROM kept_head",
    );
    strip(&conn, "1");
    let refused = opened(&file).start_audit(mac()).await;
    assert!(matches!(refused, Err(AuditStartError::Unsigned(_))));
    sql(
        &conn,
        "INSERT INTO audit_segment SELECT * FROM cut;
         DELETE FROM store_head; INSERT INTO store_head SELECT * FROM end;
         DROP TABLE kept_head; DROP TABLE before; DROP TABLE cut; DROP TABLE end",
    );
    let store = at(&file).await;
    for (table, _) in KINDS {
        assert!(is_refused(read(&store, table, "1").await, table), "{table}");
    }
}

/// The key of another store fits no row.
#[tokio::test]
async fn rows_of_another_store_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, theirs) = (directory.path().join("a.db"), directory.path().join("b.db"));
    let store = at(&ours).await;
    fill(&store, "1").await;
    let options = SqliteOptions::file(&theirs);
    let other = SqliteStore::open(options, &SeededEntropy::new(2)).unwrap();
    let key = std::sync::Arc::new(TestMac(2));
    other.start_audit(key).await.unwrap();
    fill(&other, "1").await;
    let (ours, theirs) = (
        Connection::open(&ours).unwrap(),
        Connection::open(&theirs).unwrap(),
    );
    for (table, _) in KINDS {
        put(&ours, table, "1", &doc(&theirs, table, "1"));
        assert!(is_refused(read(&store, table, "1").await, table), "{table}");
    }
}

/// A secret put back to what it was before the trail's last write of it.
#[tokio::test]
async fn an_older_row_is_named_by_the_trail() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let store = at(&file).await;
    let a = tenant("a");
    let mut head = secret(&a, "app/db");
    let write = |head: &SecretHead, version, secs| {
        let mut row = audit(&a, secs, "user:x", Some("app/db"));
        row.action = Action::Write;
        row.extra_data.version = Some(version);
        Unit::new(UnitName::SecretWrite)
            .put(Record::Secret(head.clone()))
            .audited(row)
    };
    store.commit(write(&head, 1, 0)).await.unwrap();
    let conn = Connection::open(&file).unwrap();
    sql(&conn, "CREATE TEMP TABLE kept AS SELECT * FROM secret");
    head.revision = 2;
    (head.current_version, head.latest_version) = (2, 2);
    head.updated_at = sample_at(5);
    store.commit(write(&head, 2, 5)).await.unwrap();
    assert_eq!(verified(&file).await.first_bad, None);
    sql(
        &conn,
        "DELETE FROM secret; INSERT INTO secret SELECT * FROM kept",
    );
    // It is a row of this key, so it is read.
    let found = store.secret_find(&a, &head.path).await.unwrap().unwrap();
    assert_eq!(found.current_version, 1);
    let named = verified(&file).await.first_bad.unwrap();
    assert_eq!(named.id, "secret tnt_a/app/db");
    assert_eq!(named.reason, "older than the audit trail says");
    sql(&conn, "DELETE FROM secret");
    let named = verified(&file).await.first_bad.unwrap();
    assert_eq!(
        (named.id.as_str(), named.reason.as_str()),
        ("secret tnt_a/app/db", "missing")
    );
}

/// What was removed, changed or closed, with a word in the trail, and stands there as before.
#[tokio::test]
async fn a_row_that_was_followed_by_another_is_named() {
    for (what, tables) in FOLLOWED {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store.db");
        let store = at(&file).await;
        fill(&store, "1").await;
        let conn = Connection::open(&file).unwrap();
        for table in *tables {
            sql(
                &conn,
                &format!("CREATE TEMP TABLE kept_{table} AS SELECT * FROM {table}"),
            );
        }
        store.commit(followed(what)).await.unwrap();
        assert_eq!(verified(&file).await.first_bad, None, "{what}");
        for table in *tables {
            sql(
                &conn,
                &format!(
                    "CREATE TEMP TABLE now AS SELECT * FROM {table};
                     DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}"
                ),
            );
            let named = verified(&file).await.first_bad.unwrap();
            assert!(
                named.id.starts_with(&format!("{table} tnt_a/")),
                "{what}: {named:?}"
            );
            assert!(named.reason.contains("audit trail"), "{named:?}");
            sql(
                &conn,
                &format!(
                    "DELETE FROM {table}; INSERT INTO {table} SELECT * FROM now; DROP TABLE now"
                ),
            );
        }
        // Made again under the same name it is another one.
        if *what == "machine_role_delete" {
            let mut again = machine_role(&tenant("a"), "1");
            (again.created_at, again.updated_at) = (sample_at(6), sample_at(6));
            let mut row = audit(&tenant("a"), 6, "user:x", None);
            row.action = Action::MachineRoleCreate;
            row.extra_data.machine_role = Some(again.name.clone());
            let unit = Unit::new(UnitName::Housekeeping)
                .put(Record::MachineRole(again))
                .audited(row);
            store.commit(unit).await.unwrap();
            assert_eq!(verified(&file).await.first_bad, None);
        }
    }
}
