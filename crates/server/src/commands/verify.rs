//! `scaivault audit verify --database STORE`: the audit chains, and with the key the rows of all tables, without
//! a server.

use std::path::PathBuf;

use anyhow::{Context, Result};
use scaivault_core::audit::AuditReport;
use scaivault_core::seal::KeyRecord;
use scaivault_crypto::Keyring;
use scaivault_store::transfer::Holdings;
use scaivault_store::{ChainMac, OfflineStore, SqliteSource, rows};
use scaivault_store_postgres::{OfflinePostgres, PostgresSource};

use super::root_key;
use crate::config::KmsProvider;
use crate::place::Place;

/// Arguments of the offline verification.
#[derive(Debug, Clone)]
pub struct VerifyArgs {
    /// The store.
    pub database: Place,
    /// The root key's file: with it the codes over the chains' heads and over all rows are checked
    /// too.
    pub key_file: Option<PathBuf>,
}

struct KeyringMac(Keyring);

impl ChainMac for KeyringMac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        self.0.chain_mac(message)
    }
}

/// Walks the chains of a store, and with its key the rows; its servers may run meanwhile.
///
/// # Errors
/// When the store or the key cannot be read. A broken chain is a report.
pub fn verify(args: &VerifyArgs) -> Result<AuditReport> {
    match &args.database {
        Place::File(path) => {
            let store = OfflineStore::open(path)?;
            let mac = unlocked(args, || Ok(store.keys()?))?;
            let report = store.audit_verify(mac.as_ref().map(as_mac))?;
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            runtime.block_on(async {
                let mut rows = SqliteSource::look(path)?;
                with_rows(report, mac.as_ref(), &mut rows).await
            })
        }
        Place::Postgresql(url) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let store = OfflinePostgres::open(url.expose()).await?;
                let records = store.keys().await?;
                let mac = unlocked(args, || Ok(records))?;
                let report = store.audit_verify(mac.as_ref().map(as_mac)).await?;
                let mut rows = PostgresSource::open(url.expose()).await?;
                with_rows(report, mac.as_ref(), &mut rows).await
            })
        }
    }
}

/// With the rows of the tables, where the chains are whole and there is a key to check them by.
async fn with_rows(
    mut report: AuditReport,
    mac: Option<&KeyringMac>,
    rows: &mut dyn Holdings,
) -> Result<AuditReport> {
    if let Some(mac) = mac.filter(|_| report.first_bad.is_none()) {
        report.first_bad = rows::verify::verify(rows, mac).await?.first_bad;
    }
    Ok(report)
}

fn as_mac(mac: &KeyringMac) -> &dyn ChainMac {
    mac
}

/// The chains' key, when a root key was named.
fn unlocked(
    args: &VerifyArgs,
    records: impl FnOnce() -> Result<Vec<KeyRecord>>,
) -> Result<Option<KeyringMac>> {
    let Some(key_file) = &args.key_file else {
        return Ok(None);
    };
    let provider = KmsProvider::Local {
        key_file: key_file.clone(),
    };
    let records = records()?;
    let root = root_key::of_records(&provider, &records)?;
    let keyring = Keyring::unlock(&root, &records).context("the key does not fit this store")?;
    Ok(Some(KeyringMac(keyring)))
}
