//! Every change of the audit chain behind the store's back is found, and the row named.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use scaivault_core::audit::{AuditFilter, AuditReport, BadRow};
use scaivault_core::ports::{AuditReads, Store, Unit, UnitName};
use scaivault_store::{AuditStartError, ChainMac as _, OfflineStore, SqliteOptions, SqliteStore};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::samples::{at as sample_at, audit, pruning, tenant};

use crate::support::{TestMac, at, mac};

/// A chain of twelve rows in three segments of four: rows 1–4, 5–8, 9–12.
async fn chain(directory: &Path) -> PathBuf {
    let file = directory.join("store.db");
    let store = at(&file).await;
    for segment in 0..3 {
        let mut unit = Unit::new(UnitName::AuditOnly);
        for row in 0..4 {
            let secs = segment * 4 + row + 1;
            unit.audit
                .push(audit(&tenant("a"), secs, "user:x", Some("app/db")));
        }
        store.commit(unit).await.unwrap();
    }
    file
}

fn id(chain: &str, seq: u64) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |at: u64| char::from(DIGITS[usize::try_from((seq >> (5 * at)) & 31).unwrap()]);
    format!(
        "log_{chain}_{}",
        (0..12).rev().map(digit).collect::<String>()
    )
}

fn chain_name(conn: &Connection) -> String {
    conn.query_row("SELECT chain FROM store_head", [], |row| row.get(0))
        .unwrap()
}

/// Tampers, and expects the verifier to name this row and reason, all rows before it being whole.
async fn check(tamper: impl Fn(&Connection), seq: u64, reason: &str) {
    let directory = tempfile::tempdir().unwrap();
    let file = chain(directory.path()).await;
    let conn = Connection::open(&file).unwrap();
    let whole = OfflineStore::open(&file)
        .unwrap()
        .audit_verify(Some(&TestMac(1)))
        .unwrap();
    assert_eq!((whole.rows, whole.first_bad), (12, None));
    tamper(&conn);
    let expect = BadRow {
        id: id(&chain_name(&conn), seq),
        reason: reason.into(),
    };
    let report = OfflineStore::open(&file)
        .unwrap()
        .audit_verify(Some(&TestMac(1)))
        .unwrap();
    assert_eq!(report.first_bad.as_ref(), Some(&expect));
    // A segment put into the middle of another is named by its own first row, after the other's.
    let whole = if reason == "inserted" {
        report.rows.min(seq - 1)
    } else {
        report.rows
    };
    assert_eq!(whole, seq - 1, "rows found whole");
    // A store that runs finds the same.
    let store = SqliteStore::open(SqliteOptions::file(&file), &SeededEntropy::new(2)).unwrap();
    let online = store.audit_verify().await.unwrap().first_bad;
    if reason != "mac" {
        assert_eq!(online, Some(expect));
    }
}

/// Changes the body of the segment that begins at `first`.
fn edit_body(conn: &Connection, first: i64, edit: impl Fn(&mut Vec<String>)) {
    let body: Vec<u8> = conn
        .query_row(
            "SELECT body FROM audit_segment WHERE first_seq = ?1",
            [first],
            |r| r.get(0),
        )
        .unwrap();
    let text = String::from_utf8(body).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    edit(&mut lines);
    let body: String = lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect();
    let changed = conn
        .execute(
            "UPDATE audit_segment SET body = ?2 WHERE first_seq = ?1",
            (first, body.as_bytes()),
        )
        .unwrap();
    assert_eq!(changed, 1);
}

fn sql(conn: &Connection, text: &str) {
    conn.execute_batch(text).unwrap();
}

#[tokio::test]
async fn an_edited_row_is_named() {
    for seq in [1usize, 4, 5, 7, 12] {
        let tamper = |conn: &Connection| {
            let first = (seq - 1) / 4 * 4;
            edit_body(conn, i64::try_from(first).unwrap() + 1, |lines| {
                let line = &mut lines[seq - 1 - first];
                *line = line.replace("user:x", "user:y");
            });
        };
        check(tamper, seq as u64, "edited").await;
    }
}

#[tokio::test]
async fn a_removed_row_is_named() {
    check(
        |conn| edit_body(conn, 5, |lines| drop(lines.remove(0))),
        5,
        "missing",
    )
    .await;
    check(
        |conn| edit_body(conn, 5, |lines| drop(lines.remove(2))),
        7,
        "missing",
    )
    .await;
    check(
        |conn| edit_body(conn, 5, |lines| drop(lines.remove(3))),
        8,
        "missing",
    )
    .await;
    check(
        |conn| edit_body(conn, 9, |lines| drop(lines.remove(3))),
        12,
        "missing",
    )
    .await;
    check(
        |conn| {
            sql(
                conn,
                "UPDATE audit_segment SET body = x'' WHERE first_seq = 5",
            )
        },
        5,
        "undecodable",
    )
    .await;
}

#[tokio::test]
async fn an_inserted_row_is_named() {
    let copy = |from: usize, to: usize| {
        move |conn: &Connection| {
            edit_body(conn, 5, |lines| {
                let line = lines[from].replace("user:x", "user:y");
                lines.insert(to, line);
            });
        }
    };
    check(copy(1, 1), 6, "inserted").await;
    check(copy(3, 0), 5, "inserted").await;
    check(copy(3, 4), 9, "inserted").await;
    let stranger = |conn: &Connection| {
        edit_body(conn, 5, |lines| {
            lines.insert(2, "{\"id\":\"log_x\"}".into())
        });
    };
    check(stranger, 7, "inserted").await;
}

#[tokio::test]
async fn reordered_rows_are_named() {
    check(
        |conn| edit_body(conn, 5, |lines| lines.swap(1, 3)),
        6,
        "reordered",
    )
    .await;
    check(
        |conn| edit_body(conn, 1, |lines| lines.rotate_left(1)),
        1,
        "reordered",
    )
    .await;
    let swap_segments = "
        UPDATE audit_segment SET first_seq = 100 WHERE first_seq = 1;
        UPDATE audit_segment SET first_seq = 1 WHERE first_seq = 5;
        UPDATE audit_segment SET first_seq = 5 WHERE first_seq = 100;";
    check(|conn| sql(conn, swap_segments), 1, "edited").await;
    let swap_bodies = "
        UPDATE audit_segment SET body = (SELECT body FROM audit_segment WHERE first_seq = 5)
        WHERE first_seq = 1";
    check(|conn| sql(conn, swap_bodies), 1, "reordered").await;
}

#[tokio::test]
async fn removed_segments_are_named() {
    let delete = |first: i64| {
        move |conn: &Connection| {
            sql(
                conn,
                &format!("DELETE FROM audit_segment WHERE first_seq = {first}"),
            );
        }
    };
    check(delete(1), 1, "missing").await;
    check(delete(5), 5, "missing").await;
    check(delete(9), 9, "truncated").await;
    check(
        |conn| sql(conn, "DELETE FROM audit_segment"),
        1,
        "truncated",
    )
    .await;
}

/// Whoever cuts the tail and sets the head row back has no code for it.
#[tokio::test]
async fn a_cut_tail_is_noticed() {
    let cut = "
        DELETE FROM audit_segment WHERE first_seq = 9;
        UPDATE store_head SET last_seq = 8, first_seq = 5,
            head = (SELECT head FROM audit_segment WHERE first_seq = 5);";
    check(|conn| sql(conn, cut), 8, "mac").await;
    let short = "
        UPDATE audit_segment SET rows = 3, links = substr(links, 1, 24) WHERE first_seq = 9;
        UPDATE store_head SET last_seq = 11;";
    check(|conn| sql(conn, short), 12, "inserted").await;
    check(
        |conn| sql(conn, "UPDATE store_head SET last_seq = 13"),
        13,
        "truncated",
    )
    .await;
}

/// Hashes recomputed throughout, as whoever can write the database can do: the code tells.
#[tokio::test]
async fn a_rewritten_segment_is_named_by_its_code() {
    let rewrite = |conn: &Connection| {
        edit_body(conn, 9, |lines| {
            for line in lines {
                *line = line.replace("user:x", "user:y");
            }
        });
        rehash(conn, 9);
    };
    check(rewrite, 12, "mac").await;
    check(
        |conn| {
            sql(
                conn,
                "UPDATE audit_segment SET mac = zeroblob(32) WHERE first_seq = 5",
            )
        },
        8,
        "mac",
    )
    .await;
    check(
        |conn| sql(conn, "UPDATE store_head SET mac = zeroblob(32)"),
        12,
        "mac",
    )
    .await;
}

fn rehash(conn: &Connection, first: i64) {
    use sha2::{Digest, Sha256};
    let (mut head, body): (Vec<u8>, Vec<u8>) = conn
        .query_row(
            "SELECT prev, body FROM audit_segment WHERE first_seq = ?1",
            [first],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let mut links = Vec::new();
    for line in body
        .strip_suffix(b"\n")
        .unwrap()
        .split(|byte| *byte == b'\n')
    {
        head = Sha256::new()
            .chain_update(&head)
            .chain_update(line)
            .finalize()
            .to_vec();
        links.extend_from_slice(&head[..8]);
    }
    conn.execute(
        "UPDATE audit_segment SET head = ?2, links = ?3 WHERE first_seq = ?1",
        (first, &head, &links),
    )
    .unwrap();
    conn.execute("UPDATE store_head SET head = ?1", [&head])
        .unwrap();
}

#[tokio::test]
async fn changed_columns_are_named() {
    let set = |what: &'static str| {
        move |conn: &Connection| {
            sql(
                conn,
                &format!("UPDATE audit_segment SET {what} WHERE first_seq = 5"),
            );
        }
    };
    check(set("prev = zeroblob(32)"), 5, "edited").await;
    check(set("head = zeroblob(32)"), 8, "edited").await;
    check(set("links = zeroblob(32)"), 5, "edited").await;
    check(set("links = x''"), 5, "undecodable").await;
    check(set("rows = 5"), 5, "undecodable").await;
    check(set("rows = 0"), 5, "undecodable").await;
    // Times that would hide the segment from a query by time.
    check(set("last_at = first_at - 1"), 5, "edited").await;
    check(set("first_at = last_at + 1"), 5, "edited").await;
    check(set("first_seq = 6"), 5, "missing").await;
    check(set("first_seq = 4"), 4, "inserted").await;
}

#[tokio::test]
async fn rows_the_store_does_not_know_of_are_named() {
    let beyond = "
        INSERT INTO audit_segment SELECT chain, 13, rows, first_at, last_at, prev, head, mac, links, body, place
        FROM audit_segment WHERE first_seq = 9";
    check(|conn| sql(conn, beyond), 13, "inserted").await;
    let directory = tempfile::tempdir().unwrap();
    let file = chain(directory.path()).await;
    let conn = Connection::open(&file).unwrap();
    let foreign = "
        INSERT INTO audit_segment SELECT 'zzzzzz', 7, rows, first_at, last_at, prev, head, mac, links, body, place
        FROM audit_segment WHERE first_seq = 9";
    sql(&conn, foreign);
    let report = OfflineStore::open(&file)
        .unwrap()
        .audit_verify(Some(&TestMac(1)))
        .unwrap();
    assert_eq!(
        report.first_bad,
        Some(BadRow {
            id: id("zzzzzz", 7),
            reason: "inserted".into()
        })
    );
}

#[tokio::test]
async fn another_key_does_not_verify() {
    let directory = tempfile::tempdir().unwrap();
    let file = chain(directory.path()).await;
    let offline = OfflineStore::open(&file).unwrap();
    let report = offline.audit_verify(Some(&TestMac(2))).unwrap();
    assert_eq!(report.first_bad.unwrap().reason, "mac");
    assert_eq!(
        offline.audit_verify(None).unwrap().first_bad,
        None,
        "hashes alone hold"
    );
}

/// The chain is not continued where its end does not hold.
#[tokio::test]
async fn the_chain_does_not_start_on_a_bad_end() {
    for (tamper, expect) in [
        (
            "DELETE FROM audit_segment WHERE first_seq = 9",
            AuditStartError::End,
        ),
        (
            "UPDATE audit_segment SET head = zeroblob(32) WHERE first_seq = 9",
            AuditStartError::End,
        ),
        ("UPDATE store_head SET last_seq = 11", AuditStartError::End),
        (
            "UPDATE store_head SET mac = zeroblob(32)",
            AuditStartError::Mac,
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = chain(directory.path()).await;
        sql(&Connection::open(&file).unwrap(), tamper);
        let store = SqliteStore::open(SqliteOptions::file(&file), &SeededEntropy::new(2)).unwrap();
        assert_eq!(store.start_audit(mac()).await, Err(expect), "{tamper}");
        let row = audit(&tenant("a"), 1, "user:x", None);
        assert!(store.commit(Unit::audit_only(row)).await.is_err());
        // Everything else is served.
        store
            .commit(Unit::new(UnitName::KeyringWrite))
            .await
            .unwrap();
        let page = store
            .audit_query(&AuditFilter::default(), None, 99)
            .await
            .unwrap();
        assert!(page.rows.len() >= 8);
    }
    let directory = tempfile::tempdir().unwrap();
    let file = chain(directory.path()).await;
    let store = SqliteStore::open(SqliteOptions::file(&file), &SeededEntropy::new(2)).unwrap();
    let other = std::sync::Arc::new(TestMac(2));
    assert_eq!(store.start_audit(other).await, Err(AuditStartError::Mac));
    assert_eq!(store.start_audit(mac()).await, Ok(()));
}

/// As [`chain`], with rows 1 to 4 removed by retention, and a segment with what says so: row 13.
async fn pruned(directory: &Path) -> PathBuf {
    let file = chain(directory).await;
    let store = at(&file).await;
    let found = store.audit_prunable(sample_at(6), None).await;
    let found = found.unwrap().expect("old rows");
    assert_eq!((found.rows, found.anchor.last_seq), (4, 4));
    let unit = pruning(found, 20, |message| TestMac(1).mac(message));
    store.commit(unit).await.unwrap();
    file
}

fn verified(file: &Path) -> AuditReport {
    let offline = OfflineStore::open(file).unwrap();
    offline.audit_verify(Some(&TestMac(1))).unwrap()
}

#[tokio::test]
async fn what_retention_left_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let file = pruned(directory.path()).await;
    let name = chain_name(&Connection::open(&file).unwrap());
    let report = verified(&file);
    assert_eq!((report.rows, &report.first_bad), (9, &None));
    let [removed] = report.removed.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!((removed.rows, &removed.last_id), (4, &id(&name, 4)));
    assert_eq!(removed.at, sample_at(20));
    // It goes on where it was, also in a server that starts again.
    let store = at(&file).await;
    let found = store.audit_prunable(sample_at(10), None).await.unwrap();
    let found = found.expect("old rows");
    assert_eq!((found.after, found.anchor.last_seq), (4, 8));
    let unit = pruning(found, 21, |message| TestMac(1).mac(message));
    store.commit(unit).await.unwrap();
    drop(store);
    let report = verified(&file);
    assert_eq!((report.rows, report.first_bad), (6, None));
    let keys = "SELECT count(*) FROM audit_key WHERE first_seq <= 8";
    let conn = Connection::open(&file).unwrap();
    let left: i64 = conn.query_row(keys, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "the index goes along");
}

#[tokio::test]
async fn a_front_that_somebody_else_cut_is_told() {
    let cases = [
        // More than the anchor says; the anchor taken away; moved along with what was cut.
        (
            "DELETE FROM audit_segment WHERE first_seq = 5",
            5,
            "missing",
        ),
        ("DELETE FROM audit_anchor", 1, "missing"),
        (
            "UPDATE audit_anchor SET (first_seq, last_seq, head, mac) =
                (SELECT first_seq, first_seq + rows - 1, head, mac FROM audit_segment
                 WHERE first_seq = 5);
             DELETE FROM audit_segment WHERE first_seq = 5",
            8,
            "mac",
        ),
        (
            "UPDATE audit_anchor SET removed_at = removed_at + 1",
            4,
            "mac",
        ),
        ("UPDATE audit_anchor SET code = zeroblob(32)", 4, "mac"),
        ("UPDATE audit_anchor SET mac = zeroblob(32)", 4, "mac"),
    ];
    for (tamper, seq, reason) in cases {
        let directory = tempfile::tempdir().unwrap();
        let file = pruned(directory.path()).await;
        let conn = Connection::open(&file).unwrap();
        sql(&conn, tamper);
        let expect = BadRow {
            id: id(&chain_name(&conn), seq),
            reason: reason.into(),
        };
        assert_eq!(verified(&file).first_bad, Some(expect), "{tamper}");
    }
    // Of a chain that nothing was removed of: an anchor that was made up, and none.
    let directory = tempfile::tempdir().unwrap();
    let file = chain(directory.path()).await;
    let conn = Connection::open(&file).unwrap();
    sql(
        &conn,
        "INSERT INTO audit_anchor SELECT chain, first_seq, 4, head, mac, 0, zeroblob(32)
             FROM audit_segment WHERE first_seq = 1;
         DELETE FROM audit_segment WHERE first_seq = 1",
    );
    assert_eq!(verified(&file).first_bad.unwrap().reason, "mac");
    sql(&conn, "DELETE FROM audit_anchor");
    let bad = verified(&file).first_bad.unwrap();
    assert_eq!(
        (bad.id, bad.reason.as_str()),
        (id(&chain_name(&conn), 1), "missing")
    );
}

/// What does not fit is not removed: it would be gone from the verifier's sight.
#[tokio::test]
async fn what_was_edited_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let file = chain(directory.path()).await;
    let store = at(&file).await;
    let conn = Connection::open(&file).unwrap();
    edit_body(&conn, 5, |lines| {
        lines[0] = lines[0].replace("user:x", "user:y")
    });
    let found = store.audit_prunable(sample_at(60), None).await.unwrap_err();
    assert!(
        found.to_string().contains(&id(&chain_name(&conn), 5)),
        "{found}"
    );
}

/// A row is as old as it says itself: times beside it that say otherwise remove nothing.
#[tokio::test]
async fn what_has_false_times_is_not_removed() {
    for tamper in [
        "UPDATE audit_segment SET last_at = 0 WHERE first_seq = 5",
        "UPDATE audit_segment SET first_at = first_at + 1 WHERE first_seq = 5",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = pruned(directory.path()).await;
        let store = at(&file).await;
        let conn = Connection::open(&file).unwrap();
        sql(&conn, tamper);
        let named = id(&chain_name(&conn), 5);
        // Also where the rows themselves are too young.
        for secs in [60, 6] {
            let found = store.audit_prunable(sample_at(secs), None).await;
            let error = found.unwrap_err().to_string();
            assert!(error.contains(&named), "{tamper}: {error}");
        }
    }
}

/// Whoever removes rows sees what they hang on as it is stored, to judge it.
#[tokio::test]
async fn a_made_up_anchor_is_handed_over_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let file = pruned(directory.path()).await;
    let store = at(&file).await;
    let code = |message: &[u8]| TestMac(1).mac(message);
    let found = store.audit_prunable(sample_at(10), None).await.unwrap();
    assert!(found.unwrap().front.unwrap().fits(code));
    let conn = Connection::open(&file).unwrap();
    sql(&conn, "UPDATE audit_anchor SET code = zeroblob(32)");
    let found = store.audit_prunable(sample_at(10), None).await.unwrap();
    assert!(!found.unwrap().front.unwrap().fits(code));
}
