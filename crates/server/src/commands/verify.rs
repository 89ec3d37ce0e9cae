//! `scaivault audit verify --database FILE`: the audit chain without a server.

use std::path::PathBuf;

use anyhow::{Context, Result};
use scaivault_core::audit::AuditReport;
use scaivault_crypto::Keyring;
use scaivault_store::{ChainMac, OfflineStore};

use super::root_key;
use crate::config::KmsProvider;

/// Arguments of the offline verification.
#[derive(Debug, Clone)]
pub struct VerifyArgs {
    /// The database file.
    pub database: PathBuf,
    /// The root key's file: with it the codes over the chain's heads are checked too.
    pub key_file: Option<PathBuf>,
}

struct KeyringMac(Keyring);

impl ChainMac for KeyringMac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        self.0.chain_mac(message)
    }
}

/// Walks the chain of a database file; the server may run meanwhile.
///
/// # Errors
/// When the file or the key cannot be read. A broken chain is a report.
pub fn verify(args: &VerifyArgs) -> Result<AuditReport> {
    let store = OfflineStore::open(&args.database)?;
    let Some(key_file) = &args.key_file else {
        return Ok(store.audit_verify(None)?);
    };
    let provider = KmsProvider::Local {
        key_file: key_file.clone(),
    };
    let records = store.keys()?;
    let root = root_key::of_records(&provider, &records)?;
    let keyring = Keyring::unlock(&root, &records).context("the key does not fit this store")?;
    Ok(store.audit_verify(Some(&KeyringMac(keyring)))?)
}
