//! Backup of a store's file while its server goes on, and restore into a new file.
//!
//! A backup is one file that opens by itself, of one moment, and a file beside it with its SHA-256
//! in the form of `sha256sum`. Both appear whole or not at all.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::files::{self, beside};
use crate::offline;
use crate::options::OpenError;
use crate::sqlite::connect::{self, Durability};
use crate::sqlite::{migrate, transfer};

/// Pages copied between two calls of the progress: 4 MiB.
const PAGES: i32 = 1_024;
/// Waits for a lock, of so long each, before the backup is given up.
const WAITS_MAX: u32 = 200;
const WAIT: Duration = Duration::from_millis(50);

/// A backup or restore did not happen. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store, or the backup, does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file cannot be read or written.
    #[error("cannot use {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// There is something already.
    #[error("{0} is there already: name another file, nothing is replaced")]
    There(PathBuf),
    /// The file with the checksum is not there, or is none.
    #[error("{0} does not hold the backup's checksum in the form of sha256sum")]
    NoChecksum(PathBuf),
    /// The backup is not what was written.
    #[error("{0} is damaged: its SHA-256 is not the one kept beside it")]
    Damaged(PathBuf),
    /// The engine finds the backup damaged.
    #[error("{0} is damaged: {1}")]
    Broken(PathBuf, String),
    /// The engine failed.
    #[error("the database engine failed")]
    Engine(#[from] rusqlite::Error),
    /// Somebody holds the database locked.
    #[error("the store stayed locked by another process")]
    Busy,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the backup, in hexadecimal.
    pub sha256: String,
}

/// The file with the checksum of a backup.
pub fn checksum_file(backup: &Path) -> PathBuf {
    beside(backup, ".sha256")
}

/// Backs a store's file up; its server may go on meanwhile. `progress` is told bytes done and bytes
/// there are.
///
/// # Errors
/// [`BackupError`]
pub fn backup(
    from: &Path,
    to: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Written, BackupError> {
    let sums = checksum_file(to);
    refuse_there(&[to, &sums])?;
    let (source, _) = offline::look(from)?;
    // One moment for all of it: without this, each write of the server would begin it anew.
    source.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
    let page: u64 = source
        .pragma_query_value(None, "page_size", |row| row.get::<_, u32>(0))?
        .into();
    let made = new_file(to)?;
    let mut copy = Connection::open(made.path())?;
    let running = Backup::new(&source, &mut copy)?;
    let mut waits = 0;
    loop {
        let step = running.step(PAGES)?;
        let told = running.progress();
        let pages = |count: i32| u64::try_from(count).unwrap_or(0) * page;
        let left = pages(told.remaining);
        progress(
            pages(told.pagecount).saturating_sub(left),
            pages(told.pagecount),
        );
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            _ if waits < WAITS_MAX => {
                waits += 1;
                std::thread::sleep(WAIT);
            }
            _ => return Err(BackupError::Busy),
        }
    }
    drop(running);
    drop(source);
    // One file, without a log beside it.
    one_file(&copy)?;
    close(copy)?;
    let written = summed(made.path())?;
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let mut line = new_file(&sums)?;
    let failed = |error| BackupError::File(sums.clone(), error);
    writeln!(line, "{}  {name}", written.sha256).map_err(failed)?;
    keep(line, &sums)?;
    // The backup comes last: where it is, its checksum is.
    keep(made, to).inspect_err(|_| drop(std::fs::remove_file(&sums)))?;
    Ok(written)
}

/// Makes a store's file of a backup, once it is sure that the backup is what was written. The store
/// is marked as restored at `now`, in microseconds: its server begins nothing at a target until it
/// is told to.
///
/// # Errors
/// [`BackupError`]
pub fn restore(
    from: &Path,
    to: &Path,
    now: i64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Written, BackupError> {
    refuse_there(&[
        to,
        &beside(to, "-wal"),
        &beside(to, "-shm"),
        &beside(to, "-journal"),
    ])?;
    let expected = read_checksum(from)?;
    let _lock = files::lock(to)?;
    let mut made = new_file(to)?;
    let written = copied(from, &mut made, progress)?;
    if written.sha256 != expected {
        return Err(BackupError::Damaged(from.to_owned()));
    }
    let conn = connect::reader(made.path()).map_err(|error| OpenError::engine(from, error))?;
    migrate::check(&conn, from)?;
    let found: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(BackupError::Broken(from.to_owned(), found));
    }
    close(conn)?;
    let (conn, _) = connect::writer(made.path(), Durability::Full, None)?;
    transfer::set_number(&conn, transfer::RESTORED_AT, now)?;
    one_file(&conn)?;
    close(conn)?;
    keep(made, to)?;
    Ok(written)
}

/// Marks a store that no server has open as restored at `now`, in microseconds.
///
/// # Errors
/// [`BackupError`]
pub fn mark_restored(store: &Path, now: i64) -> Result<(), BackupError> {
    // What is not there is not made.
    drop(offline::look(store)?);
    let _lock = files::lock(store)?;
    let (conn, _) = connect::writer(store, Durability::Full, None)?;
    transfer::set_number(&conn, transfer::RESTORED_AT, now)?;
    close(conn)
}

fn refuse_there(paths: &[&Path]) -> Result<(), BackupError> {
    match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(BackupError::There((*path).to_owned())),
        None => Ok(()),
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file beside the one that is to be, for its owner's eyes only; it goes away unless it is kept.
fn new_file(path: &Path) -> Result<NamedTempFile, BackupError> {
    let made = tempfile::Builder::new()
        .prefix(".scaivault-")
        .tempfile_in(directory(path));
    made.map_err(|error| BackupError::File(directory(path).to_owned(), error))
}

/// Gives a file its name once everything in it is on the disk; never in the place of another.
fn keep(made: NamedTempFile, path: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::File(path.to_owned(), error);
    // Another handle may have written: what is synced is the file.
    let reopened = File::open(made.path()).map_err(failed)?;
    reopened.sync_all().map_err(failed)?;
    made.persist_noclobber(path)
        .map_err(|error| match error.error.kind() {
            std::io::ErrorKind::AlreadyExists => BackupError::There(path.to_owned()),
            _ => failed(error.error),
        })?;
    let parent = File::open(directory(path)).map_err(failed)?;
    parent.sync_all().map_err(failed)
}

fn one_file(conn: &Connection) -> Result<(), BackupError> {
    conn.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    Ok(())
}

fn close(conn: Connection) -> Result<(), BackupError> {
    conn.close()
        .map_err(|(_, error)| BackupError::Engine(error))
}

fn read_checksum(backup: &Path) -> Result<String, BackupError> {
    let sums = checksum_file(backup);
    let text = std::fs::read_to_string(&sums);
    let text = text.map_err(|error| BackupError::File(sums.clone(), error))?;
    let sum = text.split_whitespace().next().unwrap_or_default();
    let is_sum = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_sum {
        true => Ok(sum.to_ascii_lowercase()),
        false => Err(BackupError::NoChecksum(sums)),
    }
}

fn summed(path: &Path) -> Result<Written, BackupError> {
    let failed = |error| BackupError::File(path.to_owned(), error);
    let mut file = File::open(path).map_err(failed)?;
    digest(&mut file, |_| Ok(())).map_err(failed)
}

fn copied(
    from: &Path,
    made: &mut NamedTempFile,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Written, BackupError> {
    let failed = |error| BackupError::File(from.to_owned(), error);
    let mut file = File::open(from).map_err(failed)?;
    let total = file.metadata().map_err(failed)?.len();
    let mut done = 0;
    let target = made.path().to_owned();
    let mut trouble = None;
    let written = digest(&mut file, |bytes| {
        let wrote = made.write_all(bytes);
        done += bytes.len() as u64;
        progress(done, total);
        wrote.inspect_err(|error| trouble = Some(error.kind()))
    });
    match trouble {
        Some(kind) => Err(BackupError::File(target, kind.into())),
        None => written.map_err(failed),
    }
}

/// Reads to the end, handing over what was read.
fn digest(
    file: &mut File,
    mut each: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> std::io::Result<Written> {
    let mut sum = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        sum.update(&buffer[..read]);
        bytes += read as u64;
        each(&buffer[..read])?;
    }
    let sha256 = sum.finalize().into_iter().map(|byte| format!("{byte:02x}"));
    Ok(Written {
        bytes,
        sha256: sha256.collect(),
    })
}
