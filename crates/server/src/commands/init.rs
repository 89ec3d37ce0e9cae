//! `scaivault init`: the root key, the store, and the first admin token, shown once.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use scaivault_core::ids::KeyId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Clock, CommitError, Record, RecordKind, Unit, UnitName};
use scaivault_core::seal::{KeyPurpose, KeyRecord, KeyState, Sealed};
use scaivault_crypto::root::{key_file, passphrase};
use scaivault_crypto::{RootKey, SystemEntropy};
use scaivault_engine::Issuers;

use super::dev::environment;
use super::root_key;
use crate::assembly::{is_initialised, open_vault};
use crate::clock::SystemClock;
use crate::config::{Config, KmsProvider};
use crate::place::Place;
use crate::storage::Storage;

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
/// When it is initialised already, or anything cannot be written; nothing existing is replaced,
/// and the same command again goes on where this one stopped.
pub fn init(args: InitArgs) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(initialise(args, &mut std::io::stdout()))
}

/// In an order that an end at any instant leaves resumable: whatever can be refused comes first,
/// the token is shown before it is made, and a store without a root token is not initialised yet.
async fn initialise(args: InitArgs, out: &mut (dyn Write + Send)) -> Result<()> {
    let (config, config_file) = settle_places(&args)?;
    let storage = Storage::open(&config.store).await?;
    let standing = standing(&storage).await?;
    if standing == Standing::Finished {
        bail!("this store is initialised already: start it with 'scaivault server'");
    }
    let provider = &config.seal.kms_provider;
    let kept = Kept::of(provider, args.typed_passphrase.is_some());
    let text = config_text(&config, &kept);
    if let Some(file) = &config_file {
        check_free(file, &text)?;
    }
    let made = match standing {
        Standing::Empty => make_root(provider, args.typed_passphrase)?,
        _ => RootMade::stored(resumed_root(provider, args.typed_passphrase, &storage).await?),
    };
    if let Some(file) = &config_file {
        write_config(file, &text)?;
    }
    commit_keys(&storage, made.keys).await?;
    let opened = open_vault(
        storage,
        &made.root,
        config.webhooks.egress_policy(),
        config.targets.policy(),
        Issuers::default(),
        config.store.cache_bytes,
    )
    .await?;
    let token = scaivault_crypto::token::mint(&SystemEntropy);
    show_token(out, token.expose())
        .context("the admin token could not be shown, so none was made: run init again")?;
    opened.vault.token_root(token.expose()).await.context(
        "the admin token is not known to have been stored: try it, or run init again for another",
    )?;
    // From here the store is initialised. Whoever stopped listening has the token.
    let _ = report(out, &config, &kept, config_file.as_deref());
    Ok(())
}

/// The configuration as the arguments change it, and the file to write it to.
fn settle_places(args: &InitArgs) -> Result<(Config, Option<PathBuf>)> {
    let mut config = Config::load(args.config.as_deref(), &environment())?;
    let mut config_file = None;
    if let Some(data) = &args.data {
        root_key::private_dir(data)?;
        let data = std::path::absolute(data)?;
        config.store.database = Place::File(data.join("scaivault.db"));
        if let KmsProvider::Local { key_file } = &mut config.seal.kms_provider {
            *key_file = data.join("root.key");
        }
        config_file = Some(data.join("scaivault.toml"));
    }
    if let (Some(file), KmsProvider::Local { key_file }) =
        (&args.key_file, &mut config.seal.kms_provider)
    {
        *key_file = std::path::absolute(file)?;
    }
    if let Place::File(file) = &config.store.database
        && let Some(parent) = file.parent()
        && !parent.as_os_str().is_empty()
    {
        root_key::private_dir(parent)?;
    }
    Ok((config, config_file))
}

/// How far a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// No keys.
    Empty,
    /// Keys, but nobody who could use them.
    Unfinished,
    /// There is, or was, a root token.
    Finished,
}

async fn standing(storage: &Storage) -> Result<Standing> {
    if !is_initialised(storage).await? {
        return Ok(Standing::Empty);
    }
    // The first one is the root token. Rows of tokens cannot be read without the key.
    Ok(match storage.has_tokens().await? {
        true => Standing::Finished,
        false => Standing::Unfinished,
    })
}

/// Where the root key can be had from again.
enum Kept {
    File(PathBuf),
    Passphrase(Option<PathBuf>),
}

impl Kept {
    fn of(provider: &KmsProvider, typed: bool) -> Self {
        match provider {
            _ if typed => Self::Passphrase(None),
            KmsProvider::Passphrase { passphrase_file } => {
                Self::Passphrase(Some(passphrase_file.clone()))
            }
            KmsProvider::Local { key_file } => Self::File(key_file.clone()),
        }
    }
}

/// A root key, and the records that are to be stored with it.
struct RootMade {
    root: RootKey,
    keys: Vec<KeyRecord>,
}

impl RootMade {
    /// Nothing to store: the store has its keys, or gets them when it is opened.
    fn stored(root: RootKey) -> Self {
        Self {
            root,
            keys: Vec::new(),
        }
    }
}

/// A root key for an empty store. A key file is on the disk when this answers.
fn make_root(provider: &KmsProvider, typed: Option<Plaintext>) -> Result<RootMade> {
    let typed = match (provider, typed) {
        (_, Some(typed)) => typed,
        (KmsProvider::Passphrase { passphrase_file }, None) => {
            root_key::read_passphrase(passphrase_file)?
        }
        (KmsProvider::Local { key_file: file }, None) => {
            if file.exists() {
                // A key made elsewhere, or an init that was interrupted: use it.
                return Ok(RootMade::stored(key_file::load(file)?));
            }
            if let Some(parent) = file.parent() {
                root_key::private_dir(parent)?;
            }
            return Ok(RootMade::stored(key_file::create(file, &SystemEntropy)?));
        }
    };
    let (root, params) = passphrase::create(&typed, &SystemEntropy)?;
    let now = SystemClock.now();
    let derivation = KeyRecord {
        id: KeyId::mint(now, &SystemEntropy),
        purpose: KeyPurpose::RootDerivation,
        tenant: None,
        parent: root.fingerprint(),
        wrapped: Sealed(serde_json::to_vec(&params)?),
        state: KeyState::Active,
        created_at: now,
        revision: 1,
    };
    let mut keys = vec![derivation];
    keys.extend(scaivault_crypto::Keyring::first_records(
        &root,
        now,
        &SystemEntropy,
    ));
    Ok(RootMade { root, keys })
}

/// The root key of a store whose init was interrupted: the same provider, the same key.
async fn resumed_root(
    provider: &KmsProvider,
    typed: Option<Plaintext>,
    storage: &Storage,
) -> Result<RootKey> {
    let Some(typed) = typed else {
        return root_key::load(provider, storage).await;
    };
    let records = storage.port().key_list().await?;
    let derivation = records
        .iter()
        .find(|record| record.purpose == KeyPurpose::RootDerivation)
        .context(
            "an interrupted init began with a key file: go on without --passphrase, or remove \
             the store to begin anew",
        )?;
    root_key::of_passphrase(&typed, derivation)
}

/// All of them in one commit: a store has all its keys or none.
async fn commit_keys(storage: &Storage, keys: Vec<KeyRecord>) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let unit = keys
        .into_iter()
        .fold(Unit::new(UnitName::KeyringWrite), |unit, key| {
            unit.put(Record::Key(key))
        });
    match storage.port().commit(unit).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict(RecordKind::Key)) => {
            bail!(
                "another init of this store was faster: it has its root key, start its servers with that"
            )
        }
        Err(error) => Err(error).context("the keyring is not written"),
    }
}

fn config_text(config: &Config, kept: &Kept) -> String {
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
    let database = match &config.store.database {
        Place::File(file) => format!("sqlite://{}", file.display()),
        // With a directory for its data, a store is a file in it.
        Place::Postgresql(url) => url.expose().to_owned(),
    };
    format!(
        "# Written by 'scaivault init'. Every setting with its default and meaning:\n\
         #   scaivault server --print-config\n\n\
         [store]\ndatabase_url = {database:?}\n\n[seal]\n{seal}"
    )
}

/// A file of the same purpose is one we wrote before, changed by its owner or not.
fn check_free(file: &Path, text: &str) -> Result<()> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(found) if same_purpose(&found, text) => Ok(()),
        Ok(_) => bail!(
            "{} exists already and is about another store or key: move it away, or choose \
             another directory",
            file.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// Whether it names the same store and the same keeper of the root key.
fn same_purpose(found: &str, expect: &str) -> bool {
    let (Ok(found), Ok(expect)) = (
        toml::from_str::<toml::Table>(found),
        toml::from_str::<toml::Table>(expect),
    ) else {
        return false;
    };
    let of = |table: &toml::Table, section: &str, field: &str| {
        table
            .get(section)
            .and_then(|section| section.get(field))
            .cloned()
    };
    let agrees = |section, field| {
        let expect = of(&expect, section, field);
        expect.is_none() || of(&found, section, field) == expect
    };
    agrees("store", "database_url")
        && agrees("seal", "kms_provider")
        && agrees("seal", "key_file")
        && agrees("seal", "passphrase_file")
}

/// Whole or not at all, for its owner alone; one that [`check_free`] accepted stays.
fn write_config(file: &Path, text: &str) -> Result<()> {
    let failed = || format!("cannot write {}", file.display());
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    beside.write_all(text.as_bytes()).with_context(failed)?;
    beside.as_file().sync_all().with_context(failed)?;
    match beside.persist_noclobber(file) {
        Ok(_) => {}
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error).with_context(failed),
    }
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(failed)
}

fn show_token(out: &mut (dyn Write + Send), token: &str) -> std::io::Result<()> {
    writeln!(out, "Admin token (shown this once): {token}")?;
    out.flush()
}

fn report(
    out: &mut (dyn Write + Send),
    config: &Config,
    kept: &Kept,
    written: Option<&Path>,
) -> std::io::Result<()> {
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
    writeln!(
        out,
        "Initialised {}\n{key}\nStart it:\n  {start}",
        config.store.database
    )?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(data: &Path, passphrase: Option<&str>) -> InitArgs {
        InitArgs {
            config: None,
            data: Some(data.to_owned()),
            key_file: None,
            typed_passphrase: passphrase.map(|text| Plaintext::new(text.as_bytes().to_vec())),
        }
    }

    /// As `/dev/full`.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    async fn standing_in(data: &Path) -> Standing {
        let options = scaivault_store::SqliteOptions::file(data.join("scaivault.db"));
        standing(&Storage::open_file(options).unwrap())
            .await
            .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_init_that_cannot_show_its_token_is_resumed() {
        for passphrase in [None, Some("correct horse battery")] {
            let home = tempfile::tempdir().unwrap();
            let data = home.path().join("data");
            initialise(args(&data, passphrase), &mut Full)
                .await
                .unwrap_err();
            assert_eq!(standing_in(&data).await, Standing::Unfinished);
            if passphrase.is_some() {
                let other = args(&data, Some("another long passphrase"));
                initialise(other, &mut Vec::new()).await.unwrap_err();
            }
            let mut out = Vec::new();
            initialise(args(&data, passphrase), &mut out).await.unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.starts_with("Admin token (shown this once): skt_"));
            assert!(text.contains("\nInitialised "));
            assert_eq!(standing_in(&data).await, Standing::Finished);
            let mut again = Vec::new();
            initialise(args(&data, passphrase), &mut again)
                .await
                .unwrap_err();
            assert!(again.is_empty());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_foreign_configuration_file_is_kept_and_nothing_is_made() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        root_key::private_dir(&data).unwrap();
        let file = data.join("scaivault.toml");
        std::fs::write(
            &file,
            "[store]\ndatabase_url = \"sqlite:///elsewhere.db\"\n",
        )
        .unwrap();
        let mut out = Vec::new();
        initialise(args(&data, None), &mut out).await.unwrap_err();
        assert!(out.is_empty());
        assert!(!data.join("root.key").exists());
        assert_eq!(standing_in(&data).await, Standing::Empty);
        std::fs::remove_file(&file).unwrap();
        initialise(args(&data, None), &mut out).await.unwrap();
        assert!(file.exists());
    }

    #[test]
    fn the_purpose_is_store_and_key() {
        let ours = "[store]\ndatabase_url = \"sqlite:///a\"\n[seal]\nkms_provider = \"local\"\n";
        assert!(same_purpose(ours, ours));
        assert!(same_purpose(
            &format!("{ours}[log]\nlevel = \"warn\"\n"),
            ours
        ));
        assert!(!same_purpose("", ours));
        assert!(!same_purpose("not toml", ours));
        assert!(!same_purpose(&ours.replace("/a", "/b"), ours));
        assert!(!same_purpose(&ours.replace("local", "passphrase"), ours));
    }
}
