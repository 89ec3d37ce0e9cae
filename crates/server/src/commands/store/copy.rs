//! `scaivault store copy`: a vault moves to another store, whichever engine each of them is.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use scaivault_crypto::SystemEntropy;
use scaivault_store::transfer::{Destination, Source, check, copy as transfer};
use scaivault_store::{ChainMac, SqliteDestination, SqliteSource};
use scaivault_store_postgres::{PostgresDestination, PostgresSource};
use serde::Serialize;

use super::{Place, Step, opening};

/// Arguments of `store copy`.
#[derive(Debug, Clone)]
pub struct CopyArgs {
    /// The store that is copied; its server may run.
    pub from: Place,
    /// A store that is empty, or that a copy of the same was begun into.
    pub to: Place,
    /// The root key's file: with it codes are verified and the sample is opened.
    pub key_file: Option<PathBuf>,
    /// The same for a store under a passphrase.
    pub passphrase_file: Option<PathBuf>,
}

/// What a copy came to.
#[derive(Debug, Clone, Serialize)]
pub struct CopyDone {
    /// Whether servers may be pointed at the destination. If not, the source went on meanwhile.
    pub finished: bool,
    /// Rows of the store, the audit trail not counted.
    pub rows: u64,
    /// Of these, written by this run.
    pub written: u64,
    /// Rows removed by this run.
    pub removed: u64,
    /// Rows of the audit trail.
    pub audit_rows: u64,
    /// Audit chains walked from beginning to end.
    pub audit_chains: u64,
    /// Whether the codes over the chains' heads were verified, too.
    pub codes_verified: bool,
    /// Versions compared byte for byte.
    pub versions_compared: u64,
    /// Versions opened.
    pub versions_opened: u64,
}

/// Copies a store. Run again, it goes on, and brings what changed since.
///
/// # Errors
/// When a store does not open, the destination holds something else, or the copy differs.
pub fn copy(args: CopyArgs, progress: &mut (dyn FnMut(Step) + Send)) -> Result<CopyDone> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(run(args, progress))
}

async fn run(args: CopyArgs, progress: &mut (dyn FnMut(Step) + Send)) -> Result<CopyDone> {
    if args.from.is_same(&args.to) {
        bail!("--from and --to name the same store");
    }
    // The source first: what is named by mistake is not created.
    let mut source: Box<dyn Source> = match &args.from {
        Place::File(path) => {
            Box::new(SqliteSource::open(path).context("the source does not open")?)
        }
        Place::Postgres(url) => {
            let opened = PostgresSource::open(url).await;
            Box::new(opened.context("the source does not open")?)
        }
    };
    let mut to: Box<dyn Destination> = match &args.to {
        Place::File(path) => {
            let opened = SqliteDestination::open(path, &SystemEntropy);
            Box::new(opened.context("the destination does not open")?)
        }
        Place::Postgres(url) => {
            let opened = PostgresDestination::open(url).await;
            Box::new(opened.context("the destination does not open")?)
        }
    };
    let (source, to) = (&mut *source, &mut *to);
    let copied = transfer(source, to, &SystemEntropy, &mut |at| {
        progress(Step {
            what: at.table,
            unit: "rows",
            done: at.done,
            total: at.total,
        });
    })
    .await?;
    let keys = opening::unlock(to, args.key_file, args.passphrase_file).await?;
    let mac = keys.as_ref().map(|keys| keys as &dyn ChainMac);
    let checked = check(source, to, &copied, mac).await?;
    let versions_opened = match &keys {
        Some(keys) => opening::open_all(keys, &checked.versions)?,
        None => 0,
    };
    let finished = source.stood_still().await?;
    if finished {
        to.finish().await?;
    }
    Ok(CopyDone {
        finished,
        rows: copied.rows,
        written: copied.written,
        removed: copied.removed,
        audit_rows: copied.audit_rows,
        audit_chains: checked.chains,
        codes_verified: keys.is_some(),
        versions_compared: checked.versions.len() as u64,
        versions_opened,
    })
}
