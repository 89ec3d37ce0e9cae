//! Connections: the writer's, the readers', and the look into a file that is not ours to write.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// How long a connection waits for a lock of another. Only a look from outside (a backup, an
/// offline verification) ever holds one, and briefly.
const BUSY: Duration = Duration::from_secs(2);

/// How durable the writer's commits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Synced before they are answered.
    Full,
    /// Not synced at all: the file dies with the store.
    None,
}

/// The writer's connection to a file that is there (it may be empty), and the length of the write-ahead log in pages after each commit.
pub(crate) fn writer(
    path: &Path,
    durability: Durability,
    max_bytes: Option<u64>,
) -> rusqlite::Result<(Connection, Arc<AtomicI32>)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    guard(&conn)?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |r| r.get(0))?;
    if mode != "wal" {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        let text = "the file system does not support a write-ahead log".to_owned();
        return Err(rusqlite::Error::SqliteFailure(code, Some(text)));
    }
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::None => "OFF",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.pragma_update(None, "foreign_keys", false)?;
    // What is deleted is overwritten: a purged value, sealed as it is, must not wait in a free page
    // for the day its key is lost. It costs what the deleted bytes cost to write, which is nothing
    // measurable beside the sync.
    conn.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    conn.pragma_update(None, "cache_size", -16_384)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    if let Some(bytes) = max_bytes {
        let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages = i64::try_from(bytes).unwrap_or(i64::MAX) / page;
        conn.pragma_update_and_check(None, "max_page_count", pages.max(1), |_| Ok(()))?;
    }
    conn.set_prepared_statement_cache_capacity(256);
    // Takes the place of the automatic checkpoint, which would run inside a commit, before its
    // callers are answered: the writer runs its own, after.
    let log_pages = Arc::new(AtomicI32::new(0));
    let hooked = Arc::clone(&log_pages);
    conn.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
        hooked.store(pages, Ordering::Relaxed);
        Ok(())
    }))?;
    Ok((conn, log_pages))
}

/// The log is cut back to this many pages when it begins anew.
pub(crate) fn keep_log(conn: &Connection, pages: i32) -> rusqlite::Result<()> {
    let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let bytes = i64::from(pages) * page;
    conn.pragma_update_and_check(None, "journal_size_limit", bytes, |_| Ok(()))
}

/// A connection that can only read.
pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    prepare_reader(&conn)?;
    Ok(conn)
}

/// Whether a read failed because a change that was cut short must be taken back first, which a
/// connection that can only read may not do.
pub(crate) fn needs_rollback(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|found| found.extended_code == rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

/// A connection whose first read takes back a change that was cut short. It changes nothing else.
pub(crate) fn recovering(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    guard(&conn)?;
    Ok(conn)
}

/// A read-only connection to a file on a read-only medium, where not even the index of the
/// write-ahead log can be made. Only for a store that nobody has open.
pub(crate) fn immutable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    let conn = Connection::open_with_flags(uri, flags)?;
    prepare_reader(&conn)?;
    Ok(conn)
}

fn prepare_reader(conn: &Connection) -> rusqlite::Result<()> {
    guard(conn)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -8_192)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// A database file may have been made by someone else: nothing in its schema runs code of ours.
/// Plans are fixed when a statement is prepared: otherwise the engine, built with statistics as it
/// is here, would plan anew whenever a parameter changes, which takes longer than most reads.
fn guard(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_any_name_opens_read_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a b%20?mode=rw#ü.db");
        std::fs::write(&file, "").unwrap();
        let (conn, _) = writer(&file, Durability::Full, None).unwrap();
        conn.execute_batch("CREATE TABLE t (n INTEGER)").unwrap();
        drop(conn);
        for open in [reader, immutable] {
            let conn = open(&file).unwrap();
            let tables = "SELECT count(*) FROM t";
            assert_eq!(
                conn.query_row(tables, [], |row| row.get::<_, i64>(0)),
                Ok(0)
            );
            assert!(conn.execute_batch("CREATE TABLE u (n INTEGER)").is_err());
        }
    }

    #[test]
    fn no_file_is_made_where_none_is() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("none.db");
        assert!(writer(&file, Durability::Full, None).is_err());
        assert!(!file.exists());
    }
}
