//! The store's files: who may read them, who may open them, and which are refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;
use scaivault_core::ports::{KeyReads, Record, Store, Unit, UnitName};
use scaivault_store::{OfflineStore, OpenError, SqliteOptions, SqliteStore};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::samples::{audit, key, tenant};

use crate::support::{TestMac, at};

fn open(file: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(SqliteOptions::file(file), &SeededEntropy::new(1))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn files_are_for_their_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = directory.path().join("store.db");
    let store = at(&file).await;
    store
        .commit(Unit::audit_only(audit(&tenant("a"), 0, "user:x", None)))
        .await
        .unwrap();
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    seen.sort();
    assert_eq!(
        seen,
        ["store.db", "store.db-shm", "store.db-wal", "store.db.lock"]
    );
    assert_eq!(
        mode(directory.path()),
        0o755,
        "the directory is left as it is"
    );
    drop(store);
    // A file that came with a wider mode (a restored backup) is narrowed.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(at(&file).await);
    assert_eq!(mode(&file), 0o600);
    assert!(
        !directory.path().join("store.db-wal").exists(),
        "closing tidies the log away"
    );
}

#[tokio::test]
async fn a_second_writer_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let store = at(&file).await;
    let refused = open(&file).unwrap_err();
    assert!(matches!(&refused, OpenError::Locked(path) if *path == file));
    assert!(
        refused
            .to_string()
            .starts_with("another scaivault process has this store open")
    );
    // The first is not disturbed, and looking from outside is allowed.
    store
        .commit(Unit::audit_only(audit(&tenant("a"), 0, "user:x", None)))
        .await
        .unwrap();
    let report = OfflineStore::open(&file)
        .unwrap()
        .audit_verify(Some(&TestMac(1)))
        .unwrap();
    assert_eq!((report.rows, report.first_bad), (1, None));
    drop(store);
    drop(open(&file).unwrap());
}

#[tokio::test]
async fn another_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let mut child = crate::crash::child("hold", &file).spawn().unwrap();
    crate::crash::wait_for_line(&mut child, "open");
    assert!(matches!(open(&file), Err(OpenError::Locked(_))));
    child.kill().unwrap();
    child.wait().unwrap();
    // A killed process leaves no lock behind.
    drop(open(&file).unwrap());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    drop(at(&file).await);
    Connection::open(&file)
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    let refused = open(&file).unwrap_err();
    assert!(
        matches!(
            refused,
            OpenError::Newer {
                found: 99,
                known: 1..99
            }
        ),
        "{refused}"
    );
    assert!(matches!(
        OfflineStore::open(&file),
        Err(OpenError::Newer { .. })
    ));
}

#[test]
fn other_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("other.db");
    let conn = Connection::open(&file).unwrap();
    conn.execute_batch("CREATE TABLE people (name TEXT)")
        .unwrap();
    drop(conn);
    let before = (std::fs::read(&file).unwrap(), mode(&file));
    assert!(matches!(open(&file), Err(OpenError::Foreign(_))));
    assert!(matches!(
        OfflineStore::open(&file),
        Err(OpenError::Foreign(_))
    ));
    assert_eq!(
        (std::fs::read(&file).unwrap(), mode(&file)),
        before,
        "it is left as it was"
    );
    let conn = Connection::open(&file).unwrap();
    conn.execute_batch("PRAGMA user_version = 1").unwrap();
    drop(conn);
    assert!(matches!(open(&file), Err(OpenError::Foreign(_))));

    let file = directory.path().join("note.txt");
    std::fs::write(
        &file,
        "this is no database at all, and long enough to be looked at\n".repeat(9),
    )
    .unwrap();
    let refused = open(&file).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign(_)), "{refused:?}");

    let file = directory.path().join("nowhere").join("store.db");
    assert!(matches!(open(&file), Err(OpenError::File(..))));
    assert!(matches!(
        OfflineStore::open(&file),
        Err(OpenError::File(..))
    ));

    let file = directory.path().join("empty.db");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(
        OfflineStore::open(&file),
        Err(OpenError::Older {
            found: 0,
            known: 1..
        })
    ));
    drop(open(&file).unwrap());
    assert!(OfflineStore::open(&file).is_ok());
}

/// The two steps of opening: the keyring first, then the chain.
#[tokio::test]
async fn keys_are_written_and_read_before_the_chain_starts() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let store = open(&file).unwrap();
    assert_eq!(store.key_list().await.unwrap(), []);
    store
        .commit(Unit::new(UnitName::KeyringWrite).put(Record::Key(key("1"))))
        .await
        .unwrap();
    drop(store);
    let store = open(&file).unwrap();
    assert_eq!(store.key_list().await.unwrap(), [key("1")]);
    assert_eq!(
        OfflineStore::open(&file).unwrap().keys().unwrap(),
        [key("1")]
    );
}

/// A row that does not decode is named, and is in nobody's way.
#[tokio::test]
async fn a_damaged_row_is_named() {
    use scaivault_core::delivery::Delivery;
    use scaivault_core::ports::{Claims, DeliveryReads, ReadError, SecretReads};
    use scaivault_testkit::store_conformance::samples::{
        T0, assignment, delivery, path, rotation, rotation_policy, secret,
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let store = at(&file).await;
    let a = tenant("a");
    let policy = rotation_policy(&a, "1");
    let mut unit = Unit::new(UnitName::SecretWrite).put(Record::Secret(secret(&a, "app/db")));
    for n in 1..=3 {
        let name = n.to_string();
        unit = unit
            .put(Record::Assignment(assignment(
                &policy,
                &format!("s/{n}"),
                Some(T0),
            )))
            .put(Record::Rotation(rotation(&policy, &name, "s", Some(T0))))
            .put(Record::Delivery(Delivery {
                lane: Some("lane".to_owned()),
                ..delivery(&a, &name, "wh_1", n, Some(T0))
            }));
    }
    store.commit(unit).await.unwrap();
    let conn = Connection::open(&file).unwrap();
    let whole: String = conn
        .query_row("SELECT doc FROM assignment WHERE path = 's/1'", [], |row| {
            row.get(0)
        })
        .unwrap();
    conn.execute_batch(
        "UPDATE secret SET doc = '{}';
         UPDATE assignment SET doc = 'x' WHERE path = 's/1';
         UPDATE rotation SET doc = 'x' WHERE id = 'rtn_1';
         UPDATE delivery SET doc = 'x' WHERE id = 'del_1';",
    )
    .unwrap();
    let read = store.secret_find(&a, &path("app/db")).await;
    let expect = ReadError::Altered {
        table: "secret",
        column: "doc",
        row: "tnt_a/app/db".into(),
    };
    assert_eq!(read, Err(expect));
    let hold = std::time::Duration::from_secs(60);
    assert_eq!(store.assignment_claim(T0, hold, 9).await.unwrap().len(), 2);
    assert_eq!(store.rotation_claim(T0, hold, 9).await.unwrap().len(), 2);
    assert_eq!(
        store.delivery_claim(T0, hold, &[], 9).await.unwrap()[0].event_position,
        2
    );
    // Who wants them in order does not wait for what nobody can send.
    let behind = store.delivery_behind(&a, "wh_1", "lane", 0).await;
    assert_eq!(behind.unwrap().unwrap().event_position, 2);
    // The damage is not forgotten: once mended, the row is due again.
    conn.execute("UPDATE assignment SET doc = ?1 WHERE path = 's/1'", [whole])
        .unwrap();
    let later = scaivault_testkit::store_conformance::samples::at(60);
    assert_eq!(
        store.assignment_claim(later, hold, 9).await.unwrap().len(),
        3
    );
}

/// A file and its rollback journal as they are when power is lost while the engine changes the
/// file: here, with `before` committed and much more under way.
fn cut_short(file: &Path, before: &str) {
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("db");
    let conn = Connection::open(&original).unwrap();
    conn.execute_batch(before).unwrap();
    let much = "PRAGMA cache_size = 5; BEGIN; CREATE TABLE u (b BLOB);
                INSERT INTO u VALUES (randomblob(200000))";
    conn.execute_batch(much).unwrap();
    let journal = |file: &Path| file.with_extension("db-journal");
    std::fs::copy(&original, file).unwrap();
    std::fs::copy(directory.path().join("db-journal"), journal(file)).unwrap();
    assert!(std::fs::metadata(file).unwrap().len() > 100_000);
}

#[tokio::test]
async fn a_file_whose_making_was_cut_short_opens() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    cut_short(&file, "");
    assert!(matches!(
        OfflineStore::open(&file),
        Err(OpenError::Older { found: 0, .. })
    ));
    let store = at(&file).await;
    let first = Unit::audit_only(audit(&tenant("a"), 0, "user:x", None));
    store.commit(first).await.unwrap();
}

#[test]
fn another_programs_file_whose_change_was_cut_short_is_refused_and_left_whole() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    cut_short(
        &file,
        "CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (7)",
    );
    assert!(matches!(open(&file), Err(OpenError::Foreign(_))));
    let conn = Connection::open(&file).unwrap();
    let there = conn.query_row("SELECT n FROM t", [], |row| row.get::<_, i64>(0));
    assert_eq!(there, Ok(7));
    assert!(conn.prepare("SELECT b FROM u").is_err());
}
