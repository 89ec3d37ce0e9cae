//! The store that rows are taken out of, and whether it continues what was taken before.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::ports::ReadError;
use scaivault_crypto::Keyring;
use scaivault_store::OfflineStore;
use scaivault_store::audit::{ChainHead, Hash, TakenSegment};
use scaivault_store_postgres::OfflinePostgres;

use crate::commands::root_key;
use crate::config::KmsProvider;
use crate::place::Place;

/// The store, whichever it is.
pub(super) enum Source {
    File(OfflineStore),
    Postgresql(OfflinePostgres),
}

impl Source {
    pub(super) async fn open(place: &Place) -> Result<Self> {
        Ok(match place {
            Place::File(path) => Self::File(OfflineStore::open(path)?),
            Place::Postgresql(url) => Self::Postgresql(OfflinePostgres::open(url.expose()).await?),
        })
    }

    pub(super) async fn keyring(&self, key_file: PathBuf) -> Result<Keyring> {
        let records = match self {
            Self::File(store) => store.keys()?,
            Self::Postgresql(store) => store.keys().await?,
        };
        let root = root_key::of_records(&KmsProvider::Local { key_file }, &records)?;
        Keyring::unlock(&root, &records).context("the key does not fit this store")
    }

    pub(super) async fn heads(&self) -> Result<Vec<ChainHead>, ReadError> {
        match self {
            Self::File(store) => store.audit_heads(),
            Self::Postgresql(store) => store.audit_heads().await,
        }
    }

    /// What retention left of the fronts of chains.
    pub(super) async fn anchors(&self) -> Result<Vec<AuditAnchor>, ReadError> {
        match self {
            Self::File(store) => store.audit_anchors(),
            Self::Postgresql(store) => store.audit_anchors().await,
        }
    }

    /// A chain that has rows and no end.
    async fn stray(&self) -> Result<Option<String>, ReadError> {
        match self {
            Self::File(store) => store.audit_stray(),
            Self::Postgresql(store) => store.audit_stray().await,
        }
    }

    pub(super) async fn segments(
        &self,
        chain: &str,
        after: u64,
    ) -> Result<Vec<TakenSegment>, ReadError> {
        match self {
            Self::File(store) => store.audit_segments(chain, after),
            Self::Postgresql(store) => store.audit_segments(chain, after).await,
        }
    }
}

/// The hash after a segment that must follow the row at `seq`. Where that is the last row of a run
/// before, it is the store that does not continue it.
pub(super) fn follow(
    segment: &TakenSegment,
    chain: &str,
    seq: u64,
    hash: &Hash,
    is_first: bool,
) -> Result<Hash> {
    match segment.follows(seq, hash) {
        Some(next) => Ok(next),
        None if is_first && seq > 0 => Err(another_past(chain, seq)),
        None => bail!(
            "the chain {chain} is broken behind row {seq}: 'scaivault audit verify' names the row"
        ),
    }
}

/// Whether all chains that rows were taken of are there, and each that has rows has an end: what has
/// none would be passed over without a word.
pub(super) async fn check_complete(
    source: &Source,
    heads: &[ChainHead],
    mut taken: impl Iterator<Item = &str>,
) -> Result<()> {
    let is_there = |chain: &str| heads.iter().any(|head| head.chain == chain);
    if let Some(chain) = taken.find(|chain| !is_there(chain)) {
        bail!(
            "the chain {chain}, of which rows were taken before, is not in this store: it is \
             another store, or the chain was removed"
        );
    }
    if let Some(chain) = source.stray().await? {
        bail!(
            "the chain {chain} has rows and no end: its row of store_head was removed, or the rows \
             were put in"
        );
    }
    Ok(())
}

/// Whether a chain's end can be behind the row at `seq`.
pub(super) fn check_continues(head: &ChainHead, seq: u64, hash: &Hash) -> Result<()> {
    match head.last_seq < seq || (head.last_seq == seq && head.head != *hash) {
        true => Err(another_past(&head.chain, seq)),
        false => Ok(()),
    }
}

fn another_past(chain: &str, seq: u64) -> anyhow::Error {
    anyhow::anyhow!(
        "the chain {chain} does not continue what was taken of it up to row {seq}: it was cut, \
         rewritten or put back to an older copy"
    )
}
