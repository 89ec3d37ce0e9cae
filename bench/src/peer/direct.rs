//! Filling the product's embedded store without a server: by the engine's own write, many at once,
//! so that a million secrets are there in minutes. What is stored is what a server would have
//! stored, audit rows included.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use scaivault_connectors::Registry;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{Clock, KeyReads};
use scaivault_core::time::Timestamp;
use scaivault_crypto::root::key_file;
use scaivault_crypto::{Keyring, SystemEntropy};
use scaivault_engine::Vault;
use scaivault_server::SystemClock;
use scaivault_store::{SqliteOptions, SqliteStore};
use tokio::task::JoinSet;

use crate::engine::{self, KeyringMac};
use crate::seed;

/// Writes that wait together: they share commits.
const AT_ONCE: usize = 1_024;

/// An hour ago: secrets are seldom read within minutes of their last change, and what is measured
/// is the usual read.
struct HourAgo;

impl Clock for HourAgo {
    fn now(&self) -> Timestamp {
        SystemClock.now().minus(Duration::from_secs(3_600))
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }
}

/// What a file holds that was initialised and that no server has open.
pub(crate) struct Opened {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) vault: Arc<Vault>,
}

impl Opened {
    pub(crate) async fn open(database: &Path, key: &Path) -> Result<Self> {
        let store = SqliteStore::open(SqliteOptions::file(database), &SystemEntropy)?;
        let store = Arc::new(store);
        let keyring = Keyring::unlock(&key_file::load(key)?, &KeyReads::key_list(&*store).await?)?;
        let keyring = Arc::new(keyring);
        store
            .start_audit(Arc::new(KeyringMac(Arc::clone(&keyring))))
            .await?;
        let connectors = Arc::new(Registry::of(Vec::new()));
        let vault = engine::vault(store.clone(), keyring, Arc::new(HourAgo), connectors);
        Ok(Self { store, vault })
    }
}

/// Stores these secrets in a file that was initialised and that no server has open.
pub(crate) async fn fill(
    database: &Path,
    key: &Path,
    secrets: impl Iterator<Item = (String, usize)>,
) -> Result<()> {
    let Opened { vault, .. } = Opened::open(database, key).await?;
    let mut writes = JoinSet::new();
    for (path, number) in secrets {
        if writes.len() >= AT_ONCE {
            writes.join_next().await.context("no write")???;
        }
        let path = SecretPath::parse(&path)?;
        let (vault, value) = (Arc::clone(&vault), seed::data(number).to_string());
        let caller = engine::caller(HourAgo.now());
        writes.spawn(async move { engine::write(&vault, caller, path, value).await });
    }
    while let Some(done) = writes.join_next().await {
        done??;
    }
    while vault.fan_out_run_once().await? > 0 {}
    Ok(())
}
