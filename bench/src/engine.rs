//! The engine as a library, on a file of its own: what a server does, without its sockets. The
//! clock is moved by hand, so that what is due in 90 days can be due now.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Clock, Connectors, KeyReads, Record, Store, Unit, UnitName};
use scaivault_core::rotation::{RotationPolicy, Rules};
use scaivault_core::seal::KeyPurpose;
use scaivault_core::time::{Span, Timestamp};
use scaivault_crypto::{Keyring, RootKey, SystemEntropy};
use scaivault_engine::{
    Caller, RotationPolicyDraft, SecretWrite, Vault, VaultPorts, default_tenant,
};
use scaivault_store::{ChainMac, SqliteOptions, SqliteStore};
use scaivault_testkit::{ManualClock, ScriptedCourier};

pub(crate) struct KeyringMac(pub(crate) Arc<Keyring>);

impl ChainMac for KeyringMac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        self.0.chain_mac(message)
    }
}

pub(crate) struct Engine {
    pub(crate) vault: Arc<Vault>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) clock: Arc<ManualClock>,
}

impl Engine {
    /// On a new file in `dir`.
    pub(crate) async fn open(dir: &Path, connectors: Arc<dyn Connectors>) -> Result<Self> {
        let (clock, entropy) = (Arc::new(ManualClock::default()), Arc::new(SystemEntropy));
        let store = SqliteStore::open(SqliteOptions::file(dir.join("scaivault.db")), &*entropy)?;
        let root = RootKey::generate(&*entropy);
        let records = Keyring::first_records(&root, clock.now(), &*entropy);
        commit_keys(&store, &records).await?;
        let keyring = Arc::new(Keyring::unlock(&root, &records)?);
        let tenant = default_tenant();
        let key = keyring.create_key(KeyPurpose::Tenant, Some(&tenant), clock.now(), &*entropy)?;
        commit_keys(&store, std::slice::from_ref(&key)).await?;
        let keyring = Arc::new(Keyring::unlock(&root, &KeyReads::key_list(&store).await?)?);
        store
            .start_audit(Arc::new(KeyringMac(keyring.clone())))
            .await?;
        let store = Arc::new(store);
        let vault = vault(store.clone(), keyring, clock.clone(), connectors);
        Ok(Self {
            vault,
            store,
            clock,
        })
    }

    /// Someone who may everything.
    pub(crate) fn caller(&self) -> Caller {
        caller(self.clock.now())
    }

    pub(crate) async fn write(&self, path: &SecretPath, value: String) -> Result<()> {
        write(&self.vault, self.caller(), path.clone(), value).await
    }

    pub(crate) async fn policy(&self, auto_generate: bool, rules: Rules) -> Result<RotationPolicy> {
        let span = |text| Span::parse(text).map_err(|error| anyhow::anyhow!("{error}"));
        let draft = RotationPolicyDraft {
            name: "bench".to_owned(),
            description: None,
            interval: span("90d")?,
            grace_period: span("48h")?,
            warn_before: Vec::new(),
            auto_generate,
            secret_policy_id: None,
            calendar: scaivault_core::rotation::Calendar::default(),
            drift_check: None,
            rules,
            webhook_ids: Vec::new(),
        };
        Ok(self
            .vault
            .rotation_policy_create(&self.caller(), draft)
            .await?)
    }
}

/// A vault over this store that reaches nobody but its targets.
pub(crate) fn vault(
    store: Arc<SqliteStore>,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
    connectors: Arc<dyn Connectors>,
) -> Arc<Vault> {
    Arc::new(Vault::new(VaultPorts {
        store,
        keyring,
        clock,
        entropy: Arc::new(SystemEntropy),
        courier: Arc::new(ScriptedCourier::new(Arc::new(ManualClock::default()))),
        connectors,
        feed: None,
    }))
}

/// Someone who may everything.
pub(crate) fn caller(now: Timestamp) -> Caller {
    Caller::system(default_tenant(), "bench", now)
}

/// Writes one more value of a secret.
pub(crate) async fn write(
    vault: &Vault,
    caller: Caller,
    path: SecretPath,
    value: String,
) -> Result<()> {
    let write = SecretWrite {
        path,
        data: Plaintext::new(value.into_bytes()),
        secret_type: None,
        metadata: None,
        max_versions: None,
        max_versions_new: None,
        cas_required: false,
        delete_after_s: None,
        expires_in: None,
        notify_before: None,
        rotation_policy_id: None,
        cas: None,
        rotation_id: None,
    };
    vault.secret_write(&caller, write).await?;
    Ok(())
}

async fn commit_keys(
    store: &SqliteStore,
    records: &[scaivault_core::seal::KeyRecord],
) -> Result<()> {
    let mut unit = Unit::new(UnitName::KeyringWrite);
    for record in records {
        unit = unit.put(Record::Key(record.clone()));
    }
    Store::commit(store, unit).await?;
    Ok(())
}
