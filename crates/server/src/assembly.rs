//! Putting the parts together: store, keyring, vault, routes.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use parking_lot::Mutex;
use scaivault_connectors::Registry;
use scaivault_core::ports::{Entropy, Reach, Record, Store, Unit, UnitName};
use scaivault_core::seal::KeyPurpose;
use scaivault_crypto::keyring::Keyring;
use scaivault_crypto::{RootKey, SystemEntropy};
use scaivault_engine::{Vault, VaultPorts, default_tenant};
use scaivault_store::ChainMac;

use tokio::sync::{Semaphore, watch};

use crate::app::{App, COUNTS_AGE_MAX, HttpSettings, PROBE_AGE_MAX, Shared};
use crate::egress::{EgressPolicy, GuardedCourier, GuardedReach, TargetPolicy};
use crate::layer::outermost;
use crate::metrics::Metrics;
use crate::rate_limit::{Limits, RateLimiter};
use crate::recent::Recent;
use crate::storage::Storage;
use crate::{openapi, routes};

/// The audit chain's heads are authenticated by a key of the keyring.
struct KeyringMac(Arc<Keyring>);

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
) -> Result<Opened> {
    let (clock, entropy) = (storage.clock(), Arc::new(SystemEntropy));
    let store = storage.port();
    let mut records = store.key_list().await?;
    if records.is_empty() {
        records = Keyring::first_records(root, clock.now(), &*entropy);
        commit_keys(&*store, &records).await?;
    }
    let keyring = Arc::new(Keyring::unlock(root, &records)?);
    let tenant = default_tenant();
    if !keyring.has_active_key(&tenant) {
        let record =
            keyring.create_key(KeyPurpose::Tenant, Some(&tenant), clock.now(), &*entropy)?;
        commit_keys(&*store, std::slice::from_ref(&record)).await?;
        keyring.add(&record)?;
    }
    storage
        .start_audit(Arc::new(KeyringMac(keyring.clone())))
        .await?;
    let freed = storage.release_claims().await?;
    if freed > 0 {
        tracing::info!(freed, "work that a process before this one held goes on");
    }
    let reach: Arc<dyn Reach> = Arc::new(GuardedReach::new(targets));
    let vault = Arc::new(Vault::new(VaultPorts {
        store,
        keyring,
        clock,
        entropy: entropy as Arc<dyn Entropy>,
        courier: Arc::new(GuardedCourier::new(egress)?),
        connectors: Arc::new(Registry::built_in(&reach)),
        feed: storage.feed(),
    }));
    vault.server_started().await?;
    Ok(Opened { vault, storage })
}

async fn commit_keys(store: &dyn Store, records: &[scaivault_core::seal::KeyRecord]) -> Result<()> {
    let unit = records
        .iter()
        .fold(Unit::new(UnitName::KeyringWrite), |unit, record| {
            unit.put(Record::Key(record.clone()))
        });
    store
        .commit(unit)
        .await
        .context("the keyring is not written")?;
    Ok(())
}

/// The whole HTTP surface over an opened vault.
pub(crate) fn surface(opened: &Opened, limits: Limits, settings: HttpSettings) -> (Router, Shared) {
    let document = openapi::document(settings.base_url.as_deref());
    let app = Arc::new(App {
        document: serde_json::to_vec(&document).unwrap_or_default().into(),
        vault: opened.vault.clone(),
        storage: opened.storage.clone(),
        limiter: RateLimiter::new(limits),
        target_slots: Semaphore::new(settings.targets_max),
        metrics: Arc::new(Metrics::new()),
        settings,
        stopping: watch::Sender::new(false),
        probe: Recent::new(PROBE_AGE_MAX),
        secret_counts: Recent::new(COUNTS_AGE_MAX),
        debts: Recent::new(COUNTS_AGE_MAX),
        rotation_figures: Recent::new(PROBE_AGE_MAX),
        told: Mutex::default(),
    });
    let router = routes::router()
        .layer(axum::middleware::from_fn_with_state(app.clone(), outermost))
        .with_state(app.clone());
    (router, app)
}
