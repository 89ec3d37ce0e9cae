//! The store's files: made for their owner's eyes only, and locked against a second writer.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::options::OpenError;

const OWNER_ONLY: u32 = 0o600;

/// Makes the database file, or narrows its mode, before the engine opens it; the engine gives its
/// side files the mode of the database.
pub(crate) fn make_private(path: &Path) -> Result<(), OpenError> {
    let made = open_private(path)
        .and_then(|file| file.set_permissions(Permissions::from_mode(OWNER_ONLY)));
    made.map_err(|error| OpenError::File(path.to_owned(), error))
}

/// Takes the lock, held until the file is dropped. It is a file of its own, since closing any
/// handle of the database file would drop the engine's locks on it; and it is left behind, since
/// removing it would let two processes lock two files of one name.
pub(crate) fn lock(path: &Path) -> Result<File, OpenError> {
    let lock_path = beside(path, ".lock");
    let failed = |error| OpenError::File(lock_path.clone(), error);
    let file = open_private(&lock_path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Size of database and log together.
pub(crate) fn bytes(path: &Path) -> u64 {
    size(path) + log_bytes(path)
}

/// Size of the write-ahead log; it is empty, or not there, after the store was closed.
pub(crate) fn log_bytes(path: &Path) -> u64 {
    size(&beside(path, "-wal"))
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

/// The file of this name with `suffix`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(OWNER_ONLY)
        .open(path)
}
