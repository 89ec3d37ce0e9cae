//! Where the root key comes from, and files only we may read.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context, Result, bail};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::seal::{KeyPurpose, KeyRecord};
use scaivault_crypto::RootKey;
use scaivault_crypto::root::passphrase::PassphraseParams;
use scaivault_crypto::root::{key_file, passphrase};

use crate::config::KmsProvider;
use crate::storage::Storage;

/// The root key of an initialised store, by the configured provider.
pub(super) async fn load(provider: &KmsProvider, storage: &Storage) -> Result<RootKey> {
    let records = storage.port().key_list().await?;
    of_records(provider, &records)
}

/// The same from the keyring's records.
pub(super) fn of_records(provider: &KmsProvider, records: &[KeyRecord]) -> Result<RootKey> {
    let derivation = records
        .iter()
        .find(|record| record.purpose == KeyPurpose::RootDerivation);
    match (provider, derivation) {
        (KmsProvider::Local { key_file: file }, None) => {
            let root = key_file::load(file)?;
            match records
                .iter()
                .find(|record| record.parent != root.fingerprint())
            {
                None => Ok(root),
                Some(record) => bail!(
                    "the key in {} is {}, but this store needs {}: point seal.key_file to the \
                     key it was initialised with",
                    file.display(),
                    root.fingerprint(),
                    record.parent
                ),
            }
        }
        (KmsProvider::Local { .. }, Some(_)) => bail!(
            "this store was initialised with a passphrase: set KMS_PROVIDER=passphrase and \
             SCAIVAULT_SEAL_PASSPHRASE_FILE"
        ),
        (KmsProvider::Passphrase { .. }, None) => {
            bail!("this store was initialised with a key file: set KMS_PROVIDER=local")
        }
        (KmsProvider::Passphrase { passphrase_file }, Some(record)) => {
            of_passphrase(&read_passphrase(passphrase_file)?, record)
                .with_context(|| format!("with the passphrase in {}", passphrase_file.display()))
        }
    }
}

/// The root key that this passphrase and the stored parameters give, if it is the store's.
pub(super) fn of_passphrase(typed: &Plaintext, derivation: &KeyRecord) -> Result<RootKey> {
    let params: PassphraseParams = serde_json::from_slice(&derivation.wrapped.0)
        .context("the passphrase parameters in the store do not decode")?;
    let root = passphrase::load(typed, &params)?;
    if root.fingerprint() != derivation.parent {
        bail!("the passphrase is wrong: it is not the one this store was initialised with");
    }
    Ok(root)
}

/// The passphrase from its file; the line end does not belong to it.
pub(super) fn read_passphrase(file: &Path) -> Result<Plaintext> {
    let meta = std::fs::metadata(file)
        .with_context(|| format!("cannot read the passphrase file {}", file.display()))?;
    if !key_file::is_closed(meta.mode(), meta.uid(), meta.gid()) && meta.is_file() {
        bail!(
            "others can read the passphrase file: chmod 600 {}",
            file.display()
        );
    }
    let mut bytes = std::fs::read(file)
        .with_context(|| format!("cannot read the passphrase file {}", file.display()))?;
    while bytes
        .last()
        .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
    {
        bytes.pop();
    }
    Ok(Plaintext::new(bytes))
}

/// A directory that only we may enter; created with its parents when it does not exist.
pub(super) fn private_dir(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot create the directory {}", path.display()))
}

/// A new file that only we may read; never replaces one.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}
