//! `scaivault store backup`, `restore` and `mark-restored`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use scaivault_core::ports::Clock as _;
use scaivault_store::backup as files;
use scaivault_store_postgres::PostgresDestination;
use serde::Serialize;

use super::{Place, Step};
use crate::clock::SystemClock;

/// Arguments of `store backup`.
#[derive(Debug, Clone)]
pub struct BackupArgs {
    /// The store; its server may run.
    pub from: Place,
    /// The file to make.
    pub to: PathBuf,
}

/// Arguments of `store restore`.
#[derive(Debug, Clone)]
pub struct RestoreArgs {
    /// The backup; its checksum lies beside it.
    pub from: PathBuf,
    /// The store's file to make.
    pub to: Place,
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct BackupDone {
    /// The file.
    pub file: PathBuf,
    /// Its size; of a restored store, that of its backup.
    pub bytes: u64,
    /// SHA-256 of the backup.
    pub sha256: String,
}

/// Backs the embedded store up.
///
/// # Errors
/// When it cannot; nothing is left behind then.
pub fn backup(args: BackupArgs, progress: &mut dyn FnMut(Step)) -> Result<BackupDone> {
    let Place::File(from) = &args.from else {
        bail!(
            "a store in PostgreSQL is backed up by PostgreSQL's own tools (pg_dump, or its log \
             archive); after it was restored, run 'scaivault store mark-restored'"
        );
    };
    let written = files::backup(from, &args.to, &mut |done, total| {
        progress(bytes("backup", done, total));
    })?;
    Ok(done(args.to, written))
}

/// Makes the embedded store's file of a backup.
///
/// # Errors
/// When the backup is not what was written, or there is a store already.
pub fn restore(args: RestoreArgs, progress: &mut dyn FnMut(Step)) -> Result<BackupDone> {
    let Place::File(to) = args.to else {
        bail!("a backup of the embedded store becomes a file; 'scaivault store copy' moves it on");
    };
    let now = SystemClock.now().as_micros();
    let written = files::restore(&args.from, &to, now, &mut |done, total| {
        progress(bytes("restore", done, total));
    })?;
    Ok(done(to, written))
}

/// Says that a database was restored from a backup by other means: its nodes begin nothing at a
/// target until they are told to.
///
/// # Errors
/// When the store cannot be written.
pub fn mark_restored(store: &Place) -> Result<()> {
    let now = SystemClock.now().as_micros();
    match store {
        Place::File(path) => Ok(files::mark_restored(path, now)?),
        Place::Postgres(url) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut store = PostgresDestination::open(url).await?;
                Ok(store.mark_restored(now).await?)
            })
        }
    }
}

fn bytes(what: &'static str, done: u64, total: u64) -> Step {
    Step {
        what,
        unit: "bytes",
        done,
        total,
    }
}

fn done(file: PathBuf, written: files::Written) -> BackupDone {
    BackupDone {
        file,
        bytes: written.bytes,
        sha256: written.sha256,
    }
}
