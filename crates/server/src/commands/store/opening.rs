//! Opening what was copied, when the root key is given: the codes of the audit chains, and the
//! sample of values.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use scaivault_core::seal::{KeyRecord, Sealed, Sealer};
use scaivault_core::secret::Version;
use scaivault_crypto::Keyring;
use scaivault_engine::value_place;
use scaivault_store::ChainMac;
use scaivault_store::transfer::{Destination, Row, Table};

use crate::commands::root_key;
use crate::config::KmsProvider;

/// The keyring of a store that is not served.
pub(super) struct Keys(Keyring);

impl ChainMac for Keys {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        self.0.chain_mac(message)
    }
}

/// The keys that were copied, unlocked; nothing when no root key was given.
pub(super) async fn unlock(
    to: &mut dyn Destination,
    key_file: Option<PathBuf>,
    passphrase_file: Option<PathBuf>,
) -> Result<Option<Keys>> {
    let provider = match (key_file, passphrase_file) {
        (Some(key_file), _) => KmsProvider::Local { key_file },
        (None, Some(passphrase_file)) => KmsProvider::Passphrase { passphrase_file },
        (None, None) => return Ok(None),
    };
    let table = Table::named("keyring");
    let rows = to.page(table, None, None, usize::MAX >> 1).await?;
    let records: Vec<KeyRecord> = rows
        .iter()
        .map(|row| serde_json::from_str(row[table.at("doc")].text()))
        .collect::<Result<_, _>>()
        .context("a key of the store does not decode")?;
    let root = root_key::of_records(&provider, &records)?;
    let keyring = Keyring::unlock(&root, &records).context("the key does not fit this store")?;
    Ok(Some(Keys(keyring)))
}

/// Opens every version of a sample.
pub(super) fn open_all(keys: &Keys, versions: &[Row]) -> Result<u64> {
    let table = Table::named("version");
    for row in versions {
        let version: Version = serde_json::from_str(row[table.at("doc")].text())
            .context("a version's record does not decode")?;
        let scaivault_store::transfer::Value::Bytes(sealed) = &row[table.at("sealed")] else {
            bail!("a version has no value");
        };
        let place = value_place(&version.tenant, &version.path, version.version);
        keys.0
            .open(place, &Sealed(sealed.clone()))
            .with_context(|| {
                let Version { path, version, .. } = &version;
                format!("version {version} of {path} was copied, but does not open")
            })?;
    }
    Ok(versions.len() as u64)
}
