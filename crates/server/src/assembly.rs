//! Putting the parts together: store, keyring, vault, routes.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use parking_lot::Mutex;
use scaivault_connectors::Registry;
use scaivault_core::ports::{
    CommitError, Documents, Entropy, Reach, Record, RecordKind, Store, Unit, UnitName,
};
use scaivault_core::seal::KeyPurpose;
use scaivault_crypto::keyring::Keyring;
use scaivault_crypto::{RootKey, SystemEntropy};
use scaivault_engine::{Issuers, Vault, VaultPorts, default_tenant};
use scaivault_store::ChainMac;

use tokio::sync::{Semaphore, watch};

use crate::app::{App, COUNTS_AGE_MAX, HttpSettings, PROBE_AGE_MAX, Shared};
use crate::config::{IdentitySection, Outside};
use crate::egress::{EgressPolicy, GuardedCourier, GuardedDocuments, GuardedReach, TargetPolicy};
use crate::entrance::Entrance;
use crate::metrics::Metrics;
use crate::openapi;
use crate::rate_limit::{Limits, RateLimiter};
use crate::recent::Recent;
use crate::storage::Storage;
use crate::streams::Streams;

/// The audit chain's heads are authenticated by a key of the keyring.
pub(crate) struct KeyringMac(pub(crate) Arc<Keyring>);

impl ChainMac for KeyringMac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        self.0.chain_mac(message)
    }
}

/// An opened, unlocked vault and the store below it.
pub(crate) struct Opened {
    pub(crate) vault: Arc<Vault>,
    pub(crate) storage: Storage,
}

/// Whether the store has keys already, that is, was initialised.
pub(crate) async fn is_initialised(storage: &Storage) -> Result<bool> {
    Ok(!storage.port().key_list().await?.is_empty())
}

/// Unlocks the keyring (making the first keys on an empty store), starts the audit chain, and
/// builds the vault.
pub(crate) async fn open_vault(
    storage: Storage,
    root: &RootKey,
    egress: EgressPolicy,
    targets: TargetPolicy,
    issuers: Issuers,
    cache_bytes: usize,
) -> Result<Opened> {
    let (clock, entropy) = (storage.clock(), Arc::new(SystemEntropy));
    let store = storage.port();
    if store.key_list().await?.is_empty() {
        commit_keys(
            &*store,
            &Keyring::first_records(root, clock.now(), &*entropy),
        )
        .await?;
    }
    let keyring = Arc::new(Keyring::unlock(root, &store.key_list().await?)?);
    let tenant = default_tenant();
    if !keyring.has_active_key(&tenant) {
        let first = keyring.first_key_of(&tenant, clock.now(), &*entropy)?;
        commit_keys(&*store, &[first]).await?;
        for record in store.key_list().await? {
            if record.purpose != KeyPurpose::RootDerivation {
                keyring.add(&record)?;
            }
        }
    }
    storage
        .start_audit(Arc::new(KeyringMac(keyring.clone())))
        .await?;
    let freed = storage.release_claims().await?;
    if freed > 0 {
        tracing::info!(freed, "work that a process before this one held goes on");
    }
    let reach: Arc<dyn Reach> = Arc::new(GuardedReach::new(targets));
    let vault = Vault::new(VaultPorts {
        store,
        keyring,
        clock,
        entropy: entropy as Arc<dyn Entropy>,
        courier: Arc::new(GuardedCourier::new(egress)?),
        connectors: Arc::new(Registry::built_in(&reach)),
        feed: storage.feed(),
    });
    let vault = Arc::new(vault.with_cache_bytes(cache_bytes).with_issuers(issuers));
    vault.tenancy_begin().await?;
    vault.server_started().await?;
    Ok(Opened { vault, storage })
}

/// The issuers an operator configured, as they are in the file whenever it is read.
pub(crate) struct IssuersFile {
    pub(crate) identity: IdentitySection,
    pub(crate) egress: EgressPolicy,
    /// Whether clients are asked for certificates.
    pub(crate) asks_clients: bool,
}

impl IssuersFile {
    /// What the file says now.
    pub(crate) fn read(&self) -> Result<Issuers> {
        issuers(&self.identity, self.egress.clone(), self.asks_clients)
    }

    /// Believes what the file says now; a mistake in it changes nothing.
    pub(crate) fn reload(&self, vault: &Vault) {
        // More likely cut short than meant: all logins would end.
        let is_empty =
            |file| std::fs::read_to_string(file).is_ok_and(|text| text.trim().is_empty());
        if self.identity.issuers_file.as_deref().is_some_and(is_empty) && vault.believes_somebody()
        {
            tracing::error!(
                "issuers and rules of exchange NOT read again: the file is empty, and those from \
                 before stay in force; write 'issuer = []' to believe nobody"
            );
            return;
        }
        match self.read() {
            Ok(issuers) => {
                vault.issuers_replace(issuers);
                tracing::info!("issuers and rules of exchange read again");
            }
            Err(error) => tracing::error!(
                error = %format!("{error:#}"),
                "issuers and rules of exchange NOT read again: the file has a mistake, and those \
                 from before stay in force"
            ),
        }
    }
}

/// The issuers an operator configured, to be reached by this rule.
fn issuers(
    identity: &IdentitySection,
    egress: EgressPolicy,
    asks_clients: bool,
) -> Result<Issuers> {
    let outside = match &identity.issuers_file {
        Some(file) => Outside::load(file, &egress)?,
        None => Outside::default(),
    };
    if !asks_clients && !outside.certificates.is_empty() {
        bail!(
            "the file of issuers has [[client_certificate]], but no client is asked for a \
             certificate: set server.tls_client_ca_file (the development server asks for none)"
        );
    }
    let documents = GuardedDocuments::new(egress, outside.authorities)
        .context("a ca_file of an issuer holds no certificate in PEM")?;
    let documents: Arc<dyn Documents> = Arc::new(documents);
    let issuers = Issuers::new(outside.issuers, outside.rules, &documents)
        .map_err(|(name, error)| anyhow!("the jwks_file of the issuer {name}: {error}"))?;
    Ok(issuers.with_certificates(outside.certificates))
}

/// Stores first keys, unless another node was faster: then those are the store's.
async fn commit_keys(store: &dyn Store, records: &[scaivault_core::seal::KeyRecord]) -> Result<()> {
    let unit = records
        .iter()
        .fold(Unit::new(UnitName::KeyringWrite), |unit, record| {
            unit.put(Record::Key(record.clone()))
        });
    match store.commit(unit).await {
        Ok(_) | Err(CommitError::Conflict(RecordKind::Key)) => Ok(()),
        Err(error) => Err(error).context("the keyring is not written"),
    }
}

/// The whole HTTP surface over an opened vault.
pub(crate) fn surface(
    opened: &Opened,
    limits: Limits,
    settings: HttpSettings,
) -> (Entrance, Shared) {
    let document = openapi::document(settings.base_url.as_deref());
    let app = Arc::new(App {
        document: serde_json::to_vec(&document).unwrap_or_default().into(),
        vault: opened.vault.clone(),
        storage: opened.storage.clone(),
        limiter: RateLimiter::new(limits),
        streams: Streams::default(),
        target_slots: Semaphore::new(settings.targets_max),
        metrics: Arc::new(Metrics::new()),
        settings,
        stopping: watch::Sender::new(false),
        probe: Recent::new(PROBE_AGE_MAX),
        secret_counts: Recent::new(COUNTS_AGE_MAX),
        debts: Recent::new(COUNTS_AGE_MAX),
        lease_figures: Recent::new(COUNTS_AGE_MAX),
        rotation_figures: Recent::new(PROBE_AGE_MAX),
        told: Mutex::default(),
    });
    (Entrance::new(app.clone()), app)
}

#[cfg(test)]
mod tests {
    use scaivault_crypto::root::key_file;
    use scaivault_store::SqliteOptions;

    use super::*;
    /// Two nodes find the same store empty: both end up with the keys of one of them.
    #[tokio::test(flavor = "multi_thread")]
    async fn who_begins_at_the_same_time_has_the_same_keys() {
        let home = tempfile::tempdir().unwrap();
        let root = key_file::create(&home.path().join("root.key"), &SystemEntropy).unwrap();
        let file = SqliteOptions::file(home.path().join("scaivault.db"));
        let storage = Storage::open_file(file).unwrap();
        let store = storage.port();
        // What the slower one made of the empty store it saw.
        let slower = Keyring::first_records(&root, storage.clock().now(), &SystemEntropy);
        let open = || {
            let targets = TargetPolicy::default();
            open_vault(
                storage.clone(),
                &root,
                EgressPolicy::dev(),
                targets,
                Issuers::default(),
                1 << 20,
            )
        };
        let opened = open().await.unwrap();
        opened.vault.token_root("a-root-token").await.unwrap();
        let keys = store.key_list().await.unwrap();
        commit_keys(&*store, &slower).await.unwrap();
        assert_eq!(store.key_list().await.unwrap(), keys);
        let again = open().await.unwrap();
        let now = again.vault.now();
        again.vault.authenticate("a-root-token", now).await.unwrap();
    }
}
