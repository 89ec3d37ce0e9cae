//! A vault on a real store, with everything outside it in the hands of the test.
//!
//! ```text
//! Vault ─▶ store ─▶ watched ─▶ script ─▶ sqlite      ManualClock   ScriptedCourier
//! ```
//! `store` loses what the test is about, `script` what a story needs to be lost to get anywhere.
//!
//! The workers run when the test says so, to rest: at one instant ([`World::work`]), or from due
//! time to due time ([`World::live_until`]).

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::access::{Permission, Rule};
use scaivault_core::audit::{AuditFilter, AuditRow};
use scaivault_core::event::EventType;
use scaivault_core::glob::PathPattern;
use scaivault_core::identity::{Identity, Principal, Scope, ScopeSet};
use scaivault_core::ids::{BindingId, PolicyId, RotationId, RotationPolicyId, WebhookId};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AssignmentReads, AuditReads, ChangeFeed, Claims, Clock, Entropy, KeyReads, Op, Record,
    RotationFilter, RotationReads, SecretReads, Store, Unit, UnitName,
};
use scaivault_core::receiver::{Filters, Webhook};
use scaivault_core::rotation::{Assignment, Rotation, RotationPolicy};
use scaivault_core::seal::{KeyPurpose, Place, Sealer};
use scaivault_core::secret::{SealedVersion, SecretHead, Version};
use scaivault_core::tenancy::{Role, Seat};
use scaivault_core::time::{Span, Timestamp};
use scaivault_crypto::{Keyring, RootKey};
use scaivault_engine::{
    BindingDraft, Caller, PolicyDraft, RotationPolicyDraft, SecretWrite, Vault, VaultError,
    VaultPorts, WebhookDraft, Written, default_tenant,
};
use scaivault_store::{ChainMac, SqliteOptions, SqliteStore};
use scaivault_testkit::{
    FaultyStore, ManualClock, ScriptedCourier, ScriptedTarget, SeededEntropy, WatchedStore,
};
use serde_json::{Value, json};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Longer than any claim holds.
pub(crate) const PAST_ANY_HOLD: Duration = Duration::from_secs(180);
/// Where webhooks of these tests go unless they say otherwise.
pub(crate) const RECEIVER: &str = "https://receiver.example/hook";
/// What their receivers share with us.
pub(crate) const SIGNING_SECRET: &str = "a-signing-secret-of-the-tests";

/// More rounds than any set of workers needs to come to rest.
const ROUNDS_MAX: usize = 2_000;

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) courier: Arc<ScriptedCourier>,
    pub(crate) target: Arc<ScriptedTarget>,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) sqlite: Arc<SqliteStore>,
    pub(crate) script: Arc<FaultyStore>,
    pub(crate) watched: Arc<WatchedStore>,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) vault: Arc<Vault>,
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

pub(crate) fn identity(name: &str) -> Identity {
    Identity::parse(name).unwrap()
}

/// The object a value of these tests is.
pub(crate) fn object(password: &str) -> Plaintext {
    Plaintext::new(json!({ "password": password }).to_string().into_bytes())
}

pub(crate) fn password(value: &Plaintext) -> String {
    let object: Value = serde_json::from_slice(value.expose()).unwrap();
    object["password"].as_str().unwrap().to_owned()
}

pub(crate) fn write_of(at: &str, password: &str) -> SecretWrite {
    SecretWrite {
        path: path(at),
        data: object(password),
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
    }
}

/// A caller with all scopes that still needs policies.
pub(crate) fn caller(name: &str) -> Caller {
    caller_with(name, ScopeSet::all(), false)
}

/// A caller that needs no policy.
pub(crate) fn root() -> Caller {
    caller_with("user:root", ScopeSet::all(), true)
}

pub(crate) fn scoped(name: &str, scopes: &[Scope]) -> Caller {
    caller_with(name, scopes.iter().copied().collect(), false)
}

fn caller_with(name: &str, scopes: ScopeSet, is_root: bool) -> Caller {
    Caller {
        principal: Arc::new(Principal {
            tenant: default_tenant(),
            seat: Seat {
                roles: is_root.then_some(Role::SuperAdmin).into_iter().collect(),
                ..Seat::default()
            },
            identity: identity(name),
            scopes,
            groups: Vec::new(),
            token_id: None,
            is_root,
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

/// A rotation policy as the tutorial makes it.
pub(crate) fn ninety_days(name: &str) -> RotationPolicyDraft {
    RotationPolicyDraft {
        name: name.to_owned(),
        description: None,
        interval: span("90d"),
        grace_period: span("48h"),
        warn_before: vec![span("7d"), span("1d")],
        auto_generate: false,
        secret_policy_id: None,
        rules: scaivault_core::rotation::Rules::default(),
        calendar: scaivault_core::rotation::Calendar::default(),
        drift_check: Some(span("1h")),
        webhook_ids: Vec::new(),
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::seeded(1).await
    }

    pub(crate) async fn seeded(seed: u64) -> Self {
        Self::open(SqliteOptions::temporary(), seed).await
    }

    pub(crate) async fn open(options: SqliteOptions, seed: u64) -> Self {
        let clock = Arc::new(ManualClock::default());
        let entropy = Arc::new(SeededEntropy::new(seed));
        let sqlite = SqliteStore::open(options, &*entropy).unwrap();
        let keyring = Arc::new(open_keyring(&sqlite, clock.now(), &*entropy).await);
        let mac = Arc::new(KeyringMac(keyring.clone()));
        sqlite.start_audit(mac).await.unwrap();
        let sqlite = Arc::new(sqlite);
        let script = Arc::new(FaultyStore::new(sqlite.clone()));
        let watched = Arc::new(WatchedStore::new(script.clone()));
        let store = Arc::new(FaultyStore::new(watched.clone()));
        let courier = Arc::new(ScriptedCourier::new(clock.clone()));
        let target = Arc::new(ScriptedTarget::default());
        let vault = Arc::new(Vault::new(VaultPorts {
            store: store.clone(),
            keyring: keyring.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            courier: courier.clone(),
            connectors: target.clone(),
            feed: None,
        }));
        Self {
            clock,
            courier,
            target,
            entropy,
            keyring,
            sqlite,
            script,
            watched,
            store,
            vault,
        }
    }

    /// The same world, but what is stored is what this file holds.
    pub(crate) async fn go_on_with(&mut self, file: &std::path::Path) {
        let store = SqliteStore::open(SqliteOptions::file(file), &*self.entropy).unwrap();
        let mac = Arc::new(KeyringMac(self.keyring.clone()));
        store.start_audit(mac).await.unwrap();
        store.release_claims().await.unwrap();
        self.sqlite = Arc::new(store);
        self.script = Arc::new(FaultyStore::new(self.sqlite.clone()));
        self.watched = Arc::new(WatchedStore::new(self.script.clone()));
        self.store = Arc::new(FaultyStore::new(self.watched.clone()));
        self.vault = self.another_vault();
    }

    /// Another vault over the same store: another node, or the next start of this one. It knows
    /// nothing but what is stored.
    pub(crate) fn another_vault(&self) -> Arc<Vault> {
        self.another_node(None)
    }

    /// The same, following what others change by this feed.
    pub(crate) fn another_node(&self, feed: Option<Arc<dyn ChangeFeed>>) -> Arc<Vault> {
        Arc::new(Vault::new(VaultPorts {
            store: self.store.clone(),
            keyring: self.keyring.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            courier: self.courier.clone(),
            connectors: self.target.clone(),
            feed,
        }))
    }

    /// The process is gone; the next one starts when every claim it held has lapsed.
    pub(crate) fn restart(&mut self) {
        self.vault = self.another_vault();
        self.clock.advance(PAST_ANY_HOLD);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    // ---- operations that must succeed -------------------------------------------------------

    pub(crate) async fn put(&self, at: &str, password: &str) -> Written {
        let write = write_of(at, password);
        self.vault.secret_write(&root(), write).await.unwrap()
    }

    pub(crate) async fn put_as(
        &self,
        caller: &Caller,
        at: &str,
        password: &str,
    ) -> Result<Written, VaultError> {
        let write = write_of(at, password);
        self.vault.secret_write(caller, write).await
    }

    pub(crate) async fn policy(&self, draft: RotationPolicyDraft) -> RotationPolicy {
        let made = self.vault.rotation_policy_create(&root(), draft).await;
        made.unwrap()
    }

    pub(crate) async fn assign(&self, policy: &RotationPolicyId, at: &str) {
        let made = self
            .vault
            .assignment_create(&root(), policy, &path(at))
            .await;
        made.unwrap();
    }

    /// A secret under a rotation policy.
    pub(crate) async fn rotated_secret(
        &self,
        at: &str,
        draft: RotationPolicyDraft,
    ) -> RotationPolicyId {
        self.put(at, "first").await;
        let policy = self.policy(draft).await;
        self.assign(&policy.id, at).await;
        policy.id
    }

    /// A policy of one rule, bound to one identity.
    pub(crate) async fn grant(
        &self,
        name: &str,
        pattern: &str,
        permissions: &[Permission],
    ) -> (PolicyId, BindingId) {
        let policy = self.access_policy(pattern, permissions).await;
        let draft = BindingDraft {
            identity: identity(name),
            expires_at: None,
        };
        let binding = self.vault.binding_create(&root(), &policy, draft).await;
        (policy, binding.unwrap().id)
    }

    pub(crate) async fn access_policy(
        &self,
        pattern: &str,
        permissions: &[Permission],
    ) -> PolicyId {
        let draft = PolicyDraft {
            name: Some(format!("policy-{}", self.entropy.next_u64())),
            rules: Some(vec![rule(pattern, permissions)]),
            ..PolicyDraft::default()
        };
        let made = self.vault.policy_create(&root(), draft).await;
        made.unwrap().id
    }

    pub(crate) async fn webhook(&self, url: &str, events: &[EventType]) -> Webhook {
        self.webhook_filtered(url, events, Filters::default()).await
    }

    pub(crate) async fn webhook_filtered(
        &self,
        url: &str,
        events: &[EventType],
        filters: Filters,
    ) -> Webhook {
        let draft = WebhookDraft {
            name: url.to_owned(),
            url: url.to_owned(),
            secret: Plaintext::new(SIGNING_SECRET.into()),
            events: events.to_vec(),
            filters,
            format: scaivault_core::receiver::Format::Scaivault,
            ordered: scaivault_core::receiver::DeliveryOrder::None,
            enabled: true,
        };
        self.vault.webhook_create(&root(), draft).await.unwrap()
    }

    /// A webhook for everything, at [`RECEIVER`].
    pub(crate) async fn hear_all(&self) -> WebhookId {
        self.webhook(RECEIVER, EventType::ALL).await.id
    }

    /// Reads the password of a value.
    pub(crate) async fn read(
        &self,
        caller: &Caller,
        at: &str,
        version: Option<u64>,
    ) -> Result<String, VaultError> {
        let read = self.vault.secret_read(caller, &path(at), version).await?;
        Ok(password(read.value()))
    }

    // ---- time -------------------------------------------------------------------------------

    /// Runs every worker until none finds anything to do now.
    pub(crate) async fn work(&self) {
        work(&self.vault).await;
    }

    /// Moves the clock on in one jump, then works.
    pub(crate) async fn jump(&self, by: Duration) {
        self.clock.advance(by);
        self.work().await;
    }

    /// Lives until `to`, working whenever something is due, as a running server would.
    pub(crate) async fn live_until(&self, to: Timestamp) {
        for _ in 0..ROUNDS_MAX {
            self.work().await;
            let next = Claims::next_work(&*self.sqlite).await.unwrap();
            let next = [
                next.assignment_at,
                next.rotation_at,
                next.campaign_at,
                next.probe_at,
                next.delivery_at,
                next.notice_at,
            ];
            match next.into_iter().flatten().min().filter(|at| *at <= to) {
                Some(at) => {
                    assert!(at > self.now(), "work that is due was not done");
                    self.clock.set(at);
                }
                None => {
                    self.clock.set(to);
                    self.work().await;
                    return;
                }
            }
        }
        panic!("the workers never come to rest");
    }

    pub(crate) async fn live(&self, by: Duration) {
        self.live_until(self.now().plus(by)).await;
    }

    // ---- what is stored ---------------------------------------------------------------------

    pub(crate) async fn head(&self, at: &str) -> Option<SecretHead> {
        let found = SecretReads::secret_find(&*self.sqlite, &default_tenant(), &path(at)).await;
        found.unwrap()
    }

    pub(crate) async fn versions(&self, at: &str) -> Vec<Version> {
        let rows = SecretReads::version_list(&*self.sqlite, &default_tenant(), &path(at)).await;
        rows.unwrap()
    }

    /// The password of a stored version, whatever its state.
    pub(crate) async fn stored(&self, at: &str, version: u64) -> Option<String> {
        let path = path(at);
        let tenant = default_tenant();
        let opened = SecretReads::secret_open(&*self.sqlite, &tenant, &path, Some(version)).await;
        let (_, row) = opened.unwrap()?;
        let place = Place {
            tenant: &tenant,
            kind: "secret",
            path: path.as_str(),
            version,
            field: "data",
        };
        let value = Sealer::open(&*self.keyring, place, &row?.sealed).unwrap();
        Some(password(&value))
    }

    pub(crate) async fn assignment(&self, at: &str) -> Option<Assignment> {
        let (tenant, path) = (default_tenant(), path(at));
        let found = AssignmentReads::assignment_find(&*self.sqlite, &tenant, &path).await;
        found.unwrap()
    }

    /// Rotations of a path, oldest first.
    pub(crate) async fn rotations(&self, at: &str) -> Vec<Rotation> {
        let filter = RotationFilter {
            path: Some(path(at)),
            ..RotationFilter::default()
        };
        let tenant = default_tenant();
        let rows = RotationReads::rotation_list(&*self.sqlite, &tenant, &filter, None, 1_000).await;
        let mut rows = rows.unwrap();
        rows.sort_by_key(|rotation| (rotation.opened_at, rotation.id.clone()));
        rows
    }

    pub(crate) async fn rotation(&self, id: &RotationId) -> Rotation {
        let found = RotationReads::rotation_find(&*self.sqlite, &default_tenant(), id).await;
        found.unwrap().unwrap()
    }

    /// The whole audit trail, oldest first.
    pub(crate) async fn audit(&self) -> Vec<AuditRow> {
        let filter = AuditFilter::default();
        let page = AuditReads::audit_query(&*self.sqlite, &filter, None, 1_000_000).await;
        let mut rows: Vec<_> = page.unwrap().rows.into_iter().map(|row| row.row).collect();
        rows.reverse();
        rows
    }

    pub(crate) async fn assert_chain_verifies(&self) {
        let report = AuditReads::audit_verify(&*self.sqlite).await.unwrap();
        assert_eq!(report.first_bad, None);
    }

    /// Makes the current version one that does not open: its value is one of another secret.
    pub(crate) async fn break_value(&self, at: &str, other: &str) {
        let tenant = default_tenant();
        let open = async |at: &str| {
            let opened = SecretReads::secret_open(&*self.sqlite, &tenant, &path(at), None).await;
            opened.unwrap().unwrap().1.unwrap()
        };
        let (row, other) = (open(at).await, open(other).await);
        let version = Version {
            revision: 1,
            ..row.version
        };
        let unit = Unit::new(UnitName::Housekeeping)
            .op(Op::VersionDelete {
                tenant: tenant.clone(),
                path: version.path.clone(),
                version: version.version,
            })
            .op(Op::VersionInsert(SealedVersion {
                version,
                sealed: other.sealed,
            }));
        Store::commit(&*self.sqlite, unit).await.unwrap();
    }

    // ---- what was told ----------------------------------------------------------------------

    /// The events that reached `url`, each once, as (type, data), in the order of their ids'
    /// first arrival.
    pub(crate) fn told(&self, url: &str) -> Vec<(String, Value)> {
        self.envelopes(url)
            .into_iter()
            .map(|body| {
                (
                    body["event_type"].as_str().unwrap().to_owned(),
                    body["data"].clone(),
                )
            })
            .collect()
    }

    /// The data of every event of one type that reached `url`.
    pub(crate) fn told_of(&self, url: &str, kind: EventType) -> Vec<Value> {
        let all = self.told(url).into_iter();
        all.filter(|(told, _)| told == kind.as_str())
            .map(|(_, data)| data)
            .collect()
    }

    /// The bodies that reached `url`, each event once.
    pub(crate) fn envelopes(&self, url: &str) -> Vec<Value> {
        let mut seen = std::collections::HashSet::new();
        let mut bodies = Vec::new();
        for parcel in self.courier.received(url) {
            let body = parcel.json();
            if seen.insert(body["event_id"].as_str().unwrap().to_owned()) {
                bodies.push(body);
            }
        }
        bodies
    }
}

/// Runs every worker of a vault until none finds anything to do now.
pub(crate) async fn work(vault: &Vault) {
    for _ in 0..ROUNDS_MAX {
        if work_slice(vault).await.unwrap() == 0 {
            return;
        }
    }
    panic!("the workers never come to rest");
}

/// One slice of every worker; answers how much was done.
pub(crate) async fn work_slice(vault: &Vault) -> Result<usize, VaultError> {
    let mut done = vault.rotation_run_once().await?;
    done += vault.notices_run_once().await?;
    done += vault.fan_out_run_once().await?;
    for claimed in vault.deliveries_claim(&[], 100).await? {
        vault.delivery_attempt(claimed).await?;
        done += 1;
    }
    Ok(done)
}

pub(crate) fn rule(pattern: &str, permissions: &[Permission]) -> Rule {
    Rule {
        path_pattern: PathPattern::parse(pattern).unwrap(),
        permissions: permissions.iter().copied().collect(),
        conditions: scaivault_core::access::Conditions::default(),
    }
}

async fn open_keyring(store: &SqliteStore, now: Timestamp, entropy: &dyn Entropy) -> Keyring {
    let root = RootKey::generate(&SeededEntropy::new(0));
    let mut records = KeyReads::key_list(store).await.unwrap();
    if records.is_empty() {
        records = Keyring::first_records(&root, now, entropy);
        let keyring = Keyring::unlock(&root, &records).unwrap();
        let tenant = default_tenant();
        let made = keyring.create_key(KeyPurpose::Tenant, Some(&tenant), now, entropy);
        records.push(made.unwrap());
        let unit = Unit::new(UnitName::KeyringWrite);
        let unit = records
            .iter()
            .fold(unit, |unit, record| unit.put(Record::Key(record.clone())));
        Store::commit(store, unit).await.unwrap();
    }
    Keyring::unlock(&root, &records).unwrap()
}
