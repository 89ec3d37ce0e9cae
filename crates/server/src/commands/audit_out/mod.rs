//! The audit chains taken out of a store: `scaivault audit export` and `audit verify-export`, files
//! that are verified without the store; and `audit forward`, rows to a collector of logs.
//!
//! An export is verbatim: the lines the chain is made of, cut into files at the ends of segments. A
//! further export into the same directory goes on behind what is there, and refuses when the store
//! no longer continues it: then the store was cut, put back to an older copy, or rewritten.

mod at_s3;
mod collector;
pub(crate) mod course;
mod destination;
mod forward;
mod manifest;
pub(crate) mod mark;
mod post;
mod resume;
mod selection;
pub(crate) mod source;
mod syslog;
mod unacknowledged;
mod verify;
pub(crate) mod way;
mod write;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::ports::Clock;
use scaivault_crypto::Keyring;
use scaivault_crypto::detached::SigningKey;
use scaivault_store::audit::{ChainHead, Hash, TakenSegment, genesis};

use crate::clock::SystemClock;
use crate::config::Config;
use crate::place::Place;
use manifest::Manifest;
use source::Source;
use write::RowsFile;

pub(crate) use at_s3::{Seen, exported_ends_at};
pub use destination::Destination;
pub use forward::{ForwardArgs, forward};
pub(crate) use post::Post;
pub(crate) use resume::exported_ends;
pub use syslog::MessageFormat;
pub(crate) use syslog::{Form, STRUCTURED, is_element_id};
pub use verify::{ExportReport, verify_export};

/// Arguments of an export.
#[derive(Debug, Clone)]
pub struct ExportArgs {
    /// The store.
    pub database: Place,
    /// The directory.
    pub out: PathBuf,
    /// The root key's file: with it the codes are checked and the manifest is signed.
    pub key_file: Option<PathBuf>,
    /// A file ends with the segment that brings it to so many rows.
    pub rows_per_file: u64,
    /// The server's configuration, into whose bucket it is copied.
    pub s3: Option<PathBuf>,
}

/// What an export did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Rows written by this run.
    pub rows: u64,
    /// Files written by it.
    pub files: usize,
    /// Rows in the directory now.
    pub rows_in_all: u64,
    /// Whether the manifest is signed.
    pub is_signed: bool,
    /// Where it was copied to, and how many files.
    pub copied: Option<(String, usize)>,
}

/// Exports what is behind the last export into this directory.
///
/// # Errors
/// When the store or the key cannot be read, the directory cannot be written or holds something
/// else, and when the chain is broken or does not continue what was exported. What was written
/// before then stays, with its manifest.
pub fn export(args: &ExportArgs) -> Result<Exported> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(run(args))
}

/// One run.
struct Run<'a> {
    args: &'a ExportArgs,
    source: Source,
    keyring: Option<Keyring>,
    signing: Option<SigningKey>,
    manifest: Manifest,
    rows: u64,
    files: usize,
}

async fn run(args: &ExportArgs) -> Result<Exported> {
    let bucket = match &args.s3 {
        Some(config) => {
            let config = Config::load(Some(config), &super::dev::environment())?;
            Some(crate::exports::bucket(&config.audit)?)
        }
        None => None,
    };
    let source = Source::open(&args.database).await?;
    let keyring = match &args.key_file {
        Some(file) => Some(source.keyring(file.clone()).await?),
        None => None,
    };
    let signing = match &keyring {
        Some(keyring) => Some(keyring.audit_signing_key()?),
        None => None,
    };
    let (manifest, _lock) = write::begin(&args.out)?;
    let mut run = Run {
        args,
        source,
        keyring,
        signing,
        manifest,
        rows: 0,
        files: 0,
    };
    let heads = run.source.heads().await?;
    let exported = run.manifest.chains.iter().map(|end| end.chain.as_str());
    source::check_complete(&run.source, &heads, exported).await?;
    resume::check(&args.out, run.signing.as_ref(), run.keyring.as_ref())?;
    let anchors = run.source.anchors().await?;
    for head in &heads {
        let anchor = anchors.iter().find(|anchor| anchor.chain == head.chain);
        run.chain(head, anchor).await?;
    }
    run.save()?;
    let copied = match bucket {
        Some(bucket) => {
            let files = at_s3::copy(&args.out, &bucket).await;
            let files = files.with_context(|| bucket.shown())?;
            Some((bucket.shown(), files))
        }
        None => None,
    };
    Ok(Exported {
        copied,
        rows: run.rows,
        files: run.files,
        rows_in_all: run.manifest.rows,
        is_signed: run.signing.is_some(),
    })
}

impl Run<'_> {
    async fn chain(&mut self, head: &ChainHead, anchor: Option<&AuditAnchor>) -> Result<()> {
        let name = head.chain.as_str();
        let (mut seq, mut hash) = self.where_it_ends(name, anchor)?;
        source::check_continues(head, seq, &hash)?;
        let first = seq;
        let mut file: Option<RowsFile> = None;
        while seq < head.last_seq {
            let segments = self.source.segments(name, seq).await?;
            if segments.is_empty() {
                bail!("the chain {name} is broken: row {} is missing", seq + 1);
            }
            for segment in segments
                .iter()
                .take_while(|s| s.last_seq() <= head.last_seq)
            {
                let next = source::follow(segment, name, seq, &hash, seq == first)?;
                self.check_code(name, segment, &next)?;
                let rows = match &mut file {
                    Some(file) => file,
                    None => file.insert(RowsFile::begin(&self.args.out, name, seq, &hash)?),
                };
                rows.push(segment)?;
                (seq, hash) = (segment.last_seq(), next);
                if rows.rows() >= self.args.rows_per_file
                    && let Some(full) = file.take()
                {
                    self.finish(full, &hash)?;
                }
            }
            // A segment that overlaps the end would be read for ever.
            if segments
                .iter()
                .all(|segment| segment.last_seq() > head.last_seq)
            {
                bail!("the chain {name} is broken: its end lies within a segment");
            }
        }
        if hash != head.head {
            bail!("the chain {name} does not end as the store says");
        }
        match file {
            Some(last) => self.finish(last, &hash),
            None => Ok(()),
        }
    }

    /// Behind what was exported; of a chain that is new here, behind what retention has removed.
    fn where_it_ends(&mut self, chain: &str, anchor: Option<&AuditAnchor>) -> Result<(u64, Hash)> {
        match (self.manifest.end_of(chain), anchor) {
            (Some(end), Some(anchor)) if end.last_seq < anchor.last_seq => bail!(
                "rows {} to {} of the chain {chain} were removed by retention before they were \
                 exported: export into a new directory, and set audit.exported_to so that this \
                 cannot happen",
                end.last_seq + 1,
                anchor.last_seq
            ),
            (Some(end), _) => Ok((end.last_seq, write::unhex(&end.head)?)),
            (None, None) => Ok((0, genesis(chain))),
            (None, Some(anchor)) => {
                source::check_anchor(self.keyring.as_ref(), anchor)?;
                self.manifest.begin_behind(anchor);
                Ok((anchor.last_seq, anchor.head))
            }
        }
    }

    fn check_code(&self, chain: &str, segment: &TakenSegment, head: &Hash) -> Result<()> {
        let Some(keyring) = &self.keyring else {
            return Ok(());
        };
        if !segment.code_fits(chain, head, |message| keyring.chain_mac(message)) {
            let last = segment.last_seq();
            bail!(
                "the chain {chain} is broken: the code over row {last} was not made with its key"
            );
        }
        Ok(())
    }

    /// A file that is whole counts at once, so that a run cut short is gone on with behind it.
    fn finish(&mut self, file: RowsFile, head: &Hash) -> Result<()> {
        let file = file.finish(head)?;
        self.rows += file.rows;
        self.files += 1;
        self.manifest.add(file);
        self.save()
    }

    fn save(&mut self) -> Result<()> {
        self.manifest.exported_at = SystemClock.now().to_rfc3339();
        self.manifest.write(&self.args.out, self.signing.as_ref())
    }
}
