//! A vault on a real store, with a clock in the hands of the test.
//!
//! ```text
//! Vault ─▶ store (loses) ─▶ watched (records) ─▶ sqlite      ManualClock
//!   └────▶ script (strikes) ─▶ connectors ─▶ real servers
//! ```

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::identity::{Identity, Principal, ScopeSet};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AssignmentReads, Clock, KeyReads, Record, RotationFilter, RotationReads, SecretReads, Store,
    Unit, UnitName,
};
use scaivault_core::rotation::{Assignment, Rotation};
use scaivault_core::seal::{KeyPurpose, Place, Sealer};
use scaivault_core::secret::{SecretHead, VersionState};
use scaivault_core::tenancy::Seat;
use scaivault_core::time::{Span, Timestamp};
use scaivault_crypto::{Keyring, RootKey};
use scaivault_engine::{Caller, SecretWrite, Vault, VaultError, VaultPorts, default_tenant};
use scaivault_store::{ChainMac, SqliteOptions, SqliteStore};
use scaivault_testkit::{FaultyStore, ManualClock, ScriptedCourier, SeededEntropy, WatchedStore};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::script::{Script, Scripted};
use crate::system::connectors;

/// Longer than any claim holds.
pub(crate) const PAST_ANY_HOLD: Duration = Duration::from_secs(180);

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) script: Arc<Script>,
    pub(crate) sqlite: Arc<SqliteStore>,
    pub(crate) watched: Arc<WatchedStore>,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) vault: Arc<Vault>,
    keyring: Arc<Keyring>,
    /// A worker that stands still.
    pub(crate) still: Option<JoinHandle<Result<(), VaultError>>>,
}

/// A stored version with its value.
pub(crate) struct Kept {
    pub(crate) version: u64,
    pub(crate) state: VersionState,
    pub(crate) value: Value,
}

struct KeyringMac(Arc<Keyring>);

impl ChainMac for KeyringMac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        self.0.chain_mac(message)
    }
}

pub(crate) fn path(text: &str) -> SecretPath {
    SecretPath::parse(text).unwrap()
}

pub(crate) fn span(text: &str) -> Span {
    Span::parse(text).unwrap()
}

pub(crate) fn caller(name: &str) -> Caller {
    Caller {
        principal: Arc::new(Principal {
            tenant: default_tenant(),
            seat: Seat::default(),
            identity: Identity::parse(name).unwrap(),
            scopes: ScopeSet::all(),
            groups: Vec::new(),
            token_id: None,
            is_root: true,
            mfa_at: None,
            expires_at: None,
            foreign: None,
            limited_as: None,
        }),
        request_id: None,
        source_ip: None,
        user_agent: None,
        started_at: Timestamp::default(),
    }
}

pub(crate) fn operator() -> Caller {
    caller("user:operator")
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let clock = Arc::new(ManualClock::default());
        let entropy = Arc::new(SeededEntropy::new(seed));
        let sqlite = SqliteStore::open(SqliteOptions::temporary(), &*entropy).unwrap();
        let keyring = Arc::new(keyring(&sqlite, clock.now(), &entropy).await);
        let mac = Arc::new(KeyringMac(keyring.clone()));
        sqlite.start_audit(mac).await.unwrap();
        let sqlite = Arc::new(sqlite);
        let watched = Arc::new(WatchedStore::new(sqlite.clone()));
        let store = Arc::new(FaultyStore::new(watched.clone()));
        let script = Arc::new(Script::default());
        let vault = vault(&store, &keyring, &clock, &entropy, &script);
        Self {
            clock,
            entropy,
            script,
            sqlite,
            watched,
            store,
            vault,
            keyring,
            still: None,
        }
    }

    /// The process is gone; the next one knows what is stored, and starts when every claim that
    /// was held has lapsed.
    pub(crate) fn restart(&mut self) {
        self.vault = vault(
            &self.store,
            &self.keyring,
            &self.clock,
            &self.entropy,
            &self.script,
        );
        self.clock.advance(PAST_ANY_HOLD);
    }

    /// One round of the worker. It may die in it, or stand still; then another process takes over
    /// when the claim has lapsed.
    pub(crate) async fn work(&mut self) -> Result<(), VaultError> {
        let (vault, script) = (self.vault.clone(), self.script.clone());
        let mut working = tokio::spawn(async move { vault.rotation_run_once().await.map(drop) });
        tokio::select! {
            biased;
            () = script.killed() => {
                working.abort();
                let _ = working.await;
                self.restart();
                Ok(())
            }
            () = script.paused() => {
                self.still = Some(working);
                self.restart();
                Ok(())
            }
            done = &mut working => done.unwrap(),
        }
    }

    /// The worker that stood still goes on, to the end of what it was about.
    pub(crate) async fn go_on(&mut self) {
        if let Some(still) = self.still.take() {
            self.script.go_on();
            let _ = still.await.unwrap();
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) async fn put(&self, at: &str, value: &Value) {
        let write = SecretWrite {
            path: path(at),
            data: Plaintext::new(value.to_string().into_bytes()),
            secret_type: None,
            metadata: None,
            max_versions: None,
            expires_in: None,
            notify_before: None,
            rotation_policy_id: None,
            cas: None,
            rotation_id: None,
            cas_required: false,
            delete_after_s: None,
            max_versions_new: None,
        };
        self.vault.secret_write(&operator(), write).await.unwrap();
    }

    /// What a reader gets.
    pub(crate) async fn read(&self, who: &str, at: &str) -> Result<Value, VaultError> {
        let read = self
            .vault
            .secret_read(&caller(who), &path(at), None)
            .await?;
        Ok(serde_json::from_slice(read.value().expose()).unwrap())
    }

    pub(crate) async fn commit(&self, records: impl IntoIterator<Item = Record>) {
        let unit = Unit::new(UnitName::TargetWrite);
        let unit = records.into_iter().fold(unit, Unit::put);
        Store::commit(&*self.sqlite, unit).await.unwrap();
    }

    pub(crate) async fn head(&self, at: &str) -> SecretHead {
        let found = SecretReads::secret_find(&*self.sqlite, &default_tenant(), &path(at)).await;
        found.unwrap().unwrap()
    }

    /// Every version with its value, whatever its state.
    pub(crate) async fn kept(&self, at: &str) -> Vec<Kept> {
        let (tenant, path) = (default_tenant(), path(at));
        let rows = SecretReads::version_list(&*self.sqlite, &tenant, &path).await;
        let mut kept = Vec::new();
        for row in rows.unwrap() {
            let number = Some(row.version);
            let opened = SecretReads::secret_open(&*self.sqlite, &tenant, &path, number).await;
            let sealed = opened.unwrap().unwrap().1.unwrap();
            let place = Place {
                tenant: &tenant,
                kind: "secret",
                path: path.as_str(),
                version: row.version,
                field: "data",
            };
            let value = Sealer::open(&*self.keyring, place, &sealed.sealed).unwrap();
            kept.push(Kept {
                version: row.version,
                state: row.state,
                value: serde_json::from_slice(value.expose()).unwrap(),
            });
        }
        kept
    }

    pub(crate) async fn assignment(&self, at: &str) -> Assignment {
        let (tenant, path) = (default_tenant(), path(at));
        let found = AssignmentReads::assignment_find(&*self.sqlite, &tenant, &path).await;
        found.unwrap().unwrap()
    }

    /// Rotations of a path, oldest first.
    pub(crate) async fn rotations(&self, at: &str) -> Vec<Rotation> {
        let filter = RotationFilter {
            path: Some(path(at)),
            ..RotationFilter::default()
        };
        let tenant = default_tenant();
        let rows = RotationReads::rotation_list(&*self.sqlite, &tenant, &filter, None, 100).await;
        let mut rows = rows.unwrap();
        rows.sort_by_key(|rotation| (rotation.opened_at, rotation.id.clone()));
        rows
    }
}

fn vault(
    store: &Arc<FaultyStore>,
    keyring: &Arc<Keyring>,
    clock: &Arc<ManualClock>,
    entropy: &Arc<SeededEntropy>,
    script: &Arc<Script>,
) -> Arc<Vault> {
    Arc::new(Vault::new(VaultPorts {
        store: store.clone(),
        keyring: keyring.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        courier: Arc::new(ScriptedCourier::new(clock.clone())),
        connectors: Arc::new(Scripted {
            inner: connectors(),
            script: script.clone(),
        }),
        feed: None,
    }))
}

async fn keyring(store: &SqliteStore, now: Timestamp, entropy: &SeededEntropy) -> Keyring {
    let root = RootKey::generate(&SeededEntropy::new(0));
    assert!(KeyReads::key_list(store).await.unwrap().is_empty());
    let mut records = Keyring::first_records(&root, now, entropy);
    let keyring = Keyring::unlock(&root, &records).unwrap();
    let tenant = default_tenant();
    let made = keyring.create_key(KeyPurpose::Tenant, Some(&tenant), now, entropy);
    records.push(made.unwrap());
    let unit = Unit::new(UnitName::KeyringWrite);
    let unit = records
        .iter()
        .fold(unit, |unit, record| unit.put(Record::Key(record.clone())));
    Store::commit(store, unit).await.unwrap();
    Keyring::unlock(&root, &records).unwrap()
}
