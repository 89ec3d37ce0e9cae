//! The store that rows are taken out of, and whether it continues what was taken before.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::ports::ReadError;
use scaivault_crypto::Keyring;
use scaivault_store::OfflineStore;
use scaivault_store::audit::{ChainHead, Hash, TakenSegment};
use scaivault_store_postgres::OfflinePostgres;

use super::course::Lag;
use super::mark::Mark;
use crate::commands::root_key;
use crate::config::KmsProvider;
use crate::place::Place;

/// The store, whichever it is.
pub(crate) enum Source {
    File(Mutex<OfflineStore>),
    Postgresql(OfflinePostgres),
}

impl Source {
    pub(crate) async fn open(place: &Place) -> Result<Self> {
        Self::open_with(place, None).await
    }

    /// The same with the database's password in a file, as it is now.
    pub(crate) async fn open_with(place: &Place, password: Option<&Path>) -> Result<Self> {
        let read = |file: &Path| {
            let text = std::fs::read_to_string(file);
            text.with_context(|| format!("cannot read {}", file.display()))
        };
        let password = password.map(read).transpose()?;
        let password = password
            .as_deref()
            .map(|text| text.trim_end_matches(['\r', '\n']));
        Ok(match place {
            Place::File(path) => Self::File(Mutex::new(apart(|| OfflineStore::open(path))?)),
            Place::Postgresql(url) => {
                Self::Postgresql(OfflinePostgres::open_with(url.expose(), password).await?)
            }
        })
    }

    pub(super) async fn keyring(&self, key_file: PathBuf) -> Result<Keyring> {
        let records = match self {
            Self::File(store) => apart(|| store.lock().keys())?,
            Self::Postgresql(store) => store.keys().await?,
        };
        let root = root_key::of_records(&KmsProvider::Local { key_file }, &records)?;
        Keyring::unlock(&root, &records).context("the key does not fit this store")
    }

    pub(super) async fn heads(&self) -> Result<Vec<ChainHead>, ReadError> {
        match self {
            Self::File(store) => apart(|| store.lock().audit_heads()),
            Self::Postgresql(store) => store.audit_heads().await,
        }
    }

    /// What retention left of the fronts of chains.
    pub(super) async fn anchors(&self) -> Result<Vec<AuditAnchor>, ReadError> {
        match self {
            Self::File(store) => apart(|| store.lock().audit_anchors()),
            Self::Postgresql(store) => store.audit_anchors().await,
        }
    }

    /// A chain that has rows and no end.
    async fn stray(&self) -> Result<Option<String>, ReadError> {
        match self {
            Self::File(store) => apart(|| store.lock().audit_stray()),
            Self::Postgresql(store) => store.audit_stray().await,
        }
    }

    pub(super) async fn segments(
        &self,
        chain: &str,
        after: u64,
    ) -> Result<Vec<TakenSegment>, ReadError> {
        match self {
            Self::File(store) => apart(|| store.lock().audit_segments(chain, after)),
            Self::Postgresql(store) => store.audit_segments(chain, after).await,
        }
    }

    /// Where everything is that there is now.
    pub(crate) async fn end(&self) -> Result<Mark> {
        let mut mark = Mark::default();
        for head in self.heads().await? {
            mark.set(&head.chain, head.last_seq, &head.head);
        }
        Ok(mark)
    }

    /// How much there is behind a mark.
    ///
    /// # Errors
    /// Also when the chains do not continue the mark: then nobody can say.
    pub(crate) async fn lag(&self, mark: &Mark) -> Result<Lag> {
        let mut lag = Lag::default();
        let heads = self.heads().await?;
        check_complete(self, &heads, mark.chains()).await?;
        let anchors = self.anchors().await?;
        for head in heads {
            let chain = head.chain.as_str();
            let (mut seq, mut hash) = mark.of(chain)?;
            if let Some(anchor) = anchors.iter().find(|anchor| anchor.chain == chain)
                && anchor.last_seq > seq
            {
                (seq, hash) = (anchor.last_seq, anchor.head);
            }
            check_continues(&head, seq, &hash)?;
            let rows = head.last_seq - seq;
            if rows > 0 {
                let next = self.segments(chain, seq).await?;
                let next = next.first();
                let next = next.with_context(|| format!("the chain {chain} ends at row {seq}"))?;
                follow(next, chain, seq, &hash, true)?;
                lag.rows += rows;
                lag.since = lag.since.into_iter().chain([next.first_at]).min();
            }
        }
        Ok(lag)
    }
}

/// Reading a file waits for the disk: other tasks of this thread go elsewhere meanwhile.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
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

/// Whether an anchor was made, and the row it ends at written, by who has the chain's key. Without the
/// key that is not known.
pub(super) fn check_anchor(keyring: Option<&Keyring>, anchor: &AuditAnchor) -> Result<()> {
    match keyring {
        Some(keyring) if !anchor.fits(|message| keyring.chain_mac(message)) => {
            Err(refuse_front(anchor))
        }
        _ => Ok(()),
    }
}

/// What is said of an anchor that was not made with the chain's key.
pub(super) fn refuse_front(anchor: &AuditAnchor) -> anyhow::Error {
    anyhow::anyhow!(
        "the front of the chain {}, up to row {}, was removed by somebody who has not its key",
        anchor.chain,
        anchor.last_seq
    )
}

fn another_past(chain: &str, seq: u64) -> anyhow::Error {
    anyhow::anyhow!(
        "the chain {chain} does not continue what was taken of it up to row {seq}: it was cut, \
         rewritten or put back to an older copy"
    )
}

#[cfg(test)]
pub(super) mod samples {
    use scaivault_core::audit_anchor::AuditAnchor;
    use scaivault_core::time::Timestamp;
    use scaivault_crypto::{Keyring, RootKey, SystemEntropy};

    pub(crate) fn keyring() -> Keyring {
        let root = RootKey::generate(&SystemEntropy);
        let records = Keyring::first_records(&root, Timestamp::from_micros(0), &SystemEntropy);
        Keyring::unlock(&root, &records).unwrap()
    }

    /// As retention makes it, at row 100.
    pub(crate) fn genuine(keyring: &Keyring) -> AuditAnchor {
        let mut anchor = AuditAnchor {
            chain: "brf2zn".to_owned(),
            first_seq: 97,
            last_seq: 100,
            head: [7; 32],
            mac: [0; 32],
            removed_at: Timestamp::from_micros(1_800_000_000_000_000),
            code: [0; 32],
        };
        anchor.mac = keyring.chain_mac(&anchor.head_messages()[0]);
        anchor.code = keyring.chain_mac(&anchor.message());
        anchor
    }

    /// As whoever writes the database can make it: nobody's codes, and one that was moved along.
    pub(crate) fn forged(keyring: &Keyring) -> [AuditAnchor; 3] {
        let genuine = genuine(keyring);
        let moved = AuditAnchor {
            last_seq: 104,
            ..genuine.clone()
        };
        let without_mac = AuditAnchor {
            mac: [0; 32],
            ..genuine.clone()
        };
        let without_code = AuditAnchor {
            code: [0; 32],
            ..genuine
        };
        [moved, without_mac, without_code]
    }
}
