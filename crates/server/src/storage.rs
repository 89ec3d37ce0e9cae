//! The two engines behind the storage ports, chosen by the address that is configured. The only
//! place that knows both.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use scaivault_core::audit::AuditRow;
use scaivault_core::ports::{ChangeFeed, Clock, Store};
use scaivault_crypto::SystemEntropy;
use scaivault_store::{AuditStartError, ChainMac, SqliteOptions, SqliteStore, StoreStats};
use scaivault_store_postgres::{PostgresOptions, PostgresStore};

use crate::clock::SystemClock;
use crate::config::StoreSection;
use crate::place::Place;

/// An opened store.
#[derive(Clone)]
pub(crate) enum Storage {
    /// One file, one process.
    Embedded(Arc<SqliteStore>),
    /// One database, any number of nodes.
    Shared(Arc<PostgresStore>),
}

impl Storage {
    /// Opens the store as configured, and brings its schema up to date.
    pub(crate) async fn open(section: &StoreSection) -> Result<Self> {
        match &section.database {
            Place::File(path) => {
                let options = SqliteOptions {
                    max_bytes: section.max_bytes,
                    commit_timeout: section.commit_timeout,
                    ..SqliteOptions::file(path)
                };
                Self::open_file(options)
            }
            Place::Postgresql(url) => {
                let password = match &section.password_file {
                    Some(file) => Some(password(file)?),
                    None => None,
                };
                let options = PostgresOptions {
                    password,
                    connections: section.connections,
                    commit_timeout: section.commit_timeout,
                    ..PostgresOptions::new(url.expose(), &section.node_name)
                };
                let store = PostgresStore::open(options, &SystemEntropy).await;
                let store = store.context("the store does not open")?;
                tracing::info!(node = %section.node_name, "the store is shared: this is one of its nodes");
                Ok(Self::Shared(Arc::new(store)))
            }
        }
    }

    /// Opens the embedded database in this file.
    pub(crate) fn open_file(options: SqliteOptions) -> Result<Self> {
        let store =
            SqliteStore::open(options, &SystemEntropy).context("the store does not open")?;
        Ok(Self::Embedded(Arc::new(store)))
    }

    /// As the engine knows it.
    pub(crate) fn port(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => store.clone(),
            Self::Shared(store) => store.clone(),
        }
    }

    /// The time that work is judged by: that of the store where nodes share it.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        match self {
            Self::Embedded(_) => Arc::new(SystemClock),
            Self::Shared(store) => Arc::new(store.clock()),
        }
    }

    /// Where other nodes' changes are heard of.
    pub(crate) fn feed(&self) -> Option<Arc<dyn ChangeFeed>> {
        match self {
            Self::Embedded(_) => None,
            Self::Shared(store) => Some(store.clone()),
        }
    }

    /// Whether a token was ever made.
    pub(crate) async fn has_tokens(&self) -> Result<bool> {
        Ok(match self {
            Self::Embedded(store) => store.has_tokens().await?,
            Self::Shared(store) => store.has_tokens().await?,
        })
    }

    /// Starts the audit chain, or goes on with it.
    pub(crate) async fn start_audit(&self, mac: Arc<dyn ChainMac>) -> Result<()> {
        let started = match self {
            Self::Embedded(store) => store.start_audit(mac).await,
            Self::Shared(store) => store.start_audit(mac).await,
        };
        started.map_err(not_started)
    }

    /// Gives the rows of an earlier release their codes, on an operator's word, and starts the audit
    /// chain: how many had none, or nothing where all had theirs.
    pub(crate) async fn sign_rows(
        &self,
        mac: Arc<dyn ChainMac>,
        row: impl FnOnce(u64) -> AuditRow + Send,
    ) -> Result<Option<u64>> {
        let signed = match self {
            Self::Embedded(store) => store.sign_rows(mac, row).await,
            Self::Shared(store) => store.sign_rows(mac, row).await,
        };
        signed.map_err(not_started)
    }

    /// Frees what a process before this one held, where that is certain to be gone. Nodes of a
    /// shared store wait for each other's claims to lapse.
    pub(crate) async fn release_claims(&self) -> Result<usize> {
        match self {
            Self::Embedded(store) => {
                let freed = store.release_claims().await;
                freed.context("the store is not written")
            }
            Self::Shared(_) => Ok(0),
        }
    }

    /// Whether what it says of its trouble is made of our own words.
    pub(crate) fn words_are_ours(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Figures of the writer.
    pub(crate) fn stats(&self) -> StoreStats {
        match self {
            Self::Embedded(store) => store.stats(),
            Self::Shared(store) => store.stats(),
        }
    }

    /// Closes it: what waits is written first. Blocks.
    pub(crate) fn close(self) {
        match self {
            Self::Embedded(store) => drop(Arc::into_inner(store)),
            Self::Shared(store) => drop(Arc::into_inner(store)),
        }
    }
}

/// What to do about it is said with it, or by the verifier.
fn not_started(error: AuditStartError) -> anyhow::Error {
    let context = match error {
        AuditStartError::Unsigned(_) | AuditStartError::Broken(_) => "the store is not served",
        _ => "the audit trail does not start: run 'scaivault audit verify'",
    };
    anyhow::Error::new(error).context(context)
}

/// From its file; the line end does not belong to it.
fn password(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the database's password in {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
