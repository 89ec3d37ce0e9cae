//! `scaivault init`: the root key, the store, and the first admin token, shown once.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use scaivault_core::ids::KeyId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Clock, Record, Store, Unit, UnitName};
use scaivault_core::seal::{KeyPurpose, KeyRecord, KeyState, Sealed};
use scaivault_crypto::root::{key_file, passphrase};
use scaivault_crypto::{RootKey, SystemEntropy};
use scaivault_store::SqliteStore;

use super::dev::environment;
use super::root_key;
use crate::assembly::{is_initialised, open_store, open_vault, store_options};
use crate::clock::SystemClock;
use crate::config::{Config, KmsProvider};

/// Arguments of `init`.
pub struct InitArgs {
    /// Configuration file; the environment is read after it.
    pub config: Option<PathBuf>,
    /// Puts store, key file and a configuration file into this directory.
    pub data: Option<PathBuf>,
    /// Where the key file goes.
    pub key_file: Option<PathBuf>,
    /// Derives the root key from this passphrase, which the caller asked for.
    pub typed_passphrase: Option<Plaintext>,
}

/// Initialises a store.
///
/// # Errors
/// When it is initialised already, or anything cannot be written; nothing existing is replaced.
pub fn init(args: InitArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(initialise(args))
}

async fn initialise(args: InitArgs) -> Result<()> {
    let mut config = Config::load(args.config.as_deref(), &environment())?;
    if let Some(data) = &args.data {
        root_key::private_dir(data)?;
        let data = std::path::absolute(data)?;
        config.store.database_file = data.join("scaivault.db");
        if let KmsProvider::Local { key_file } = &mut config.seal.kms_provider {
            *key_file = data.join("root.key");
        }
    }
    if let (Some(file), KmsProvider::Local { key_file }) =
        (&args.key_file, &mut config.seal.kms_provider)
    {
        *key_file = std::path::absolute(file)?;
    }
    let parent = config.store.database_file.parent();
    if let Some(parent) = parent.filter(|parent| !parent.as_os_str().is_empty()) {
        root_key::private_dir(parent)?;
    }
    let store = open_store(store_options(&config.store))?;
    if is_initialised(&store).await? {
        bail!("this store is initialised already: start it with 'scaivault server'");
    }
    let (root, kept) =
        create_root(&config.seal.kms_provider, args.typed_passphrase, &store).await?;
    let opened = open_vault(store, &root, config.webhooks.egress_policy()).await?;
    let token = scaivault_crypto::token::mint(&SystemEntropy);
    opened.vault.token_root(token.expose()).await?;
    let written = match &args.data {
        Some(data) => Some(write_config(data, &config, &kept)?),
        None => None,
    };
    report(&config, &kept, token.expose(), written.as_deref())
}

/// Where the root key can be had from again.
enum Kept {
    File(PathBuf),
    Passphrase(Option<PathBuf>),
}

async fn create_root(
    provider: &KmsProvider,
    typed: Option<Plaintext>,
    store: &SqliteStore,
) -> Result<(RootKey, Kept)> {
    let (typed, kept) = match (provider, typed) {
        (_, Some(typed)) => (typed, Kept::Passphrase(None)),
        (KmsProvider::Passphrase { passphrase_file }, None) => (
            root_key::read_passphrase(passphrase_file)?,
            Kept::Passphrase(Some(passphrase_file.clone())),
        ),
        (KmsProvider::Local { key_file: file }, None) => {
            let kept = Kept::File(file.clone());
            if file.exists() {
                // A key made elsewhere, or an init that was interrupted: use it.
                return Ok((key_file::load(file)?, kept));
            }
            if let Some(parent) = file.parent() {
                root_key::private_dir(parent)?;
            }
            return Ok((key_file::create(file, &SystemEntropy)?, kept));
        }
    };
    let (root, params) = passphrase::create(&typed, &SystemEntropy)?;
    let now = SystemClock.now();
    let record = KeyRecord {
        id: KeyId::mint(now, &SystemEntropy),
        purpose: KeyPurpose::RootDerivation,
        tenant: None,
        parent: root.fingerprint(),
        wrapped: Sealed(serde_json::to_vec(&params)?),
        state: KeyState::Active,
        created_at: now,
        revision: 1,
    };
    // The keys themselves come in the same commit: a store has all of them or none.
    let mut unit = Unit::new(UnitName::KeyringWrite).put(Record::Key(record));
    for key in scaivault_crypto::Keyring::first_records(&root, now, &SystemEntropy) {
        unit = unit.put(Record::Key(key));
    }
    Store::commit(store, unit)
        .await
        .context("the keyring is not written")?;
    Ok((root, kept))
}

fn write_config(data: &Path, config: &Config, kept: &Kept) -> Result<PathBuf> {
    let file = data.join("scaivault.toml");
    let seal = match kept {
        Kept::File(file) => format!("kms_provider = \"local\"\nkey_file = {file:?}\n"),
        Kept::Passphrase(Some(file)) => {
            format!("kms_provider = \"passphrase\"\npassphrase_file = {file:?}\n")
        }
        Kept::Passphrase(None) => "kms_provider = \"passphrase\"\n\
             # The file that holds it (or SCAIVAULT_SEAL_PASSPHRASE_FILE):\n\
             # passphrase_file = \"/run/secrets/scaivault-passphrase\"\n"
            .to_owned(),
    };
    let database = format!("sqlite://{}", config.store.database_file.display());
    let text = format!(
        "# Written by 'scaivault init'. Every setting with its default and meaning:\n\
         #   scaivault server --print-config\n\n\
         [store]\ndatabase_url = {database:?}\n\n[seal]\n{seal}"
    );
    root_key::write_private(&file, text.as_bytes())?;
    Ok(file)
}

fn report(config: &Config, kept: &Kept, token: &str, written: Option<&Path>) -> Result<()> {
    let key = match kept {
        Kept::File(file) => format!(
            "Root key: {}\n  Without it nothing in the store can ever be read. Keep a copy in \
             another place than the store's backups.\n",
            file.display()
        ),
        Kept::Passphrase(_) => "Root key: derived from the passphrase.\n  Without it nothing in \
             the store can ever be read.\n"
            .to_owned(),
    };
    let start = match written {
        Some(file) => format!("scaivault server --config {}", file.display()),
        None => "scaivault server".to_owned(),
    };
    let text = format!(
        "Initialised {}\n{key}\
         Admin token (shown this once): {token}\n\n\
         Start it:\n  {start}\n",
        config.store.database_file.display()
    );
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
