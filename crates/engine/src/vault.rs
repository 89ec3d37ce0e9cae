//! The vault: ports, caches, and the one way to commit.

use std::sync::Arc;

use scaivault_core::ids::{RequestId, TenantId};
use scaivault_core::ports::{
    Clock, CommitError, Committed, Connectors, Courier, Entropy, Op, Record, Store, Unit,
};
use scaivault_core::seal::Sealer;
use scaivault_core::time::Timestamp;
use scaivault_crypto::keyring::Keyring;

use crate::cache::Caches;
use crate::rotation::LastLook;
use crate::settlement::Settlement;
use crate::signals::Signals;
use crate::tally::Tally;

/// The partner every tenant belongs to until tenancy is managed.
pub const DEFAULT_PARTNER: &str = "ptn_default";

/// The tenant of local tokens until tenancy is managed.
pub fn default_tenant() -> TenantId {
    TenantId::parse("tnt_default").unwrap_or_else(|_| unreachable!("a valid constant"))
}

/// Everything outside.
pub struct VaultPorts {
    /// Storage.
    pub store: Arc<dyn Store>,
    /// Unlocked keys.
    pub keyring: Arc<Keyring>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The way out.
    pub courier: Arc<dyn Courier>,
    /// What speaks to targets.
    pub connectors: Arc<dyn Connectors>,
}

/// The engine.
pub struct Vault {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) courier: Arc<dyn Courier>,
    pub(crate) connectors: Arc<dyn Connectors>,
    pub(crate) caches: Caches,
    pub(crate) signals: Signals,
    pub(crate) tally: Tally,
    pub(crate) settlement: Settlement,
    pub(crate) last_look: LastLook,
}

impl Vault {
    /// A vault over the given ports.
    pub fn new(ports: VaultPorts) -> Self {
        Self {
            store: ports.store,
            keyring: ports.keyring,
            clock: ports.clock,
            entropy: ports.entropy,
            courier: ports.courier,
            connectors: ports.connectors,
            caches: Caches::default(),
            signals: Signals::default(),
            tally: Tally::default(),
            settlement: Settlement::default(),
            last_look: LastLook::default(),
        }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The store, for health and figures.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Wake-ups for the loops that run the workers.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// What the workers did, in figures.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// A new request id.
    pub fn mint_request_id(&self) -> RequestId {
        RequestId::mint(self.now(), &*self.entropy)
    }

    /// Whether a URL may be registered as a receiver.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn check_receiver_url(&self, url: &str) -> Result<(), &'static str> {
        self.courier.check_url(url)
    }

    pub(crate) fn sealer(&self) -> &dyn Sealer {
        &*self.keyring
    }

    /// Whether cached rows may be used now.
    pub(crate) fn caches_settled(&self) -> bool {
        self.settlement.is_settled()
    }

    /// Commits a unit; caches and waiting workers learn of it before the caller does. Safe to be
    /// dropped at any await.
    pub(crate) async fn commit(&self, unit: Unit) -> Result<Committed, CommitError> {
        let clear = || self.caches.clear();
        if unit.ops.is_empty() {
            if self.settlement.is_settled() {
                return self.store.commit(unit).await;
            }
            let underway = self.settlement.begin();
            let result = self.store.commit(unit).await;
            underway.answered(&result, clear);
            return result;
        }
        let touched = Touched::of(&unit);
        let underway = self.settlement.begin();
        let result = self.store.commit(unit).await;
        touched.invalidate(&self.caches);
        underway.answered(&result, clear);
        if result.is_ok() {
            touched.wake(&self.signals);
        }
        result
    }
}

/// What a unit's operations make stale, and whom they concern.
#[derive(Default)]
struct Touched {
    secrets: Vec<(TenantId, scaivault_core::path::SecretPath)>,
    tokens: Vec<scaivault_core::identity::TokenHash>,
    grants: bool,
    receivers: bool,
    outbox: bool,
    work: bool,
    deliveries: bool,
}

impl Touched {
    fn of(unit: &Unit) -> Self {
        let mut touched = Self::default();
        for op in &unit.ops {
            touched.add(op);
        }
        touched
    }

    fn add(&mut self, op: &Op) {
        match op {
            Op::Put(record) | Op::Delete(record) => self.add_record(record),
            Op::VersionInsert(version) => self
                .secrets
                .push((version.version.tenant.clone(), version.version.path.clone())),
            Op::VersionDelete { tenant, path, .. } => {
                self.secrets.push((tenant.clone(), path.clone()));
            }
            Op::SecretErase(head) => self.secrets.push((head.tenant.clone(), head.path.clone())),
            Op::ConsumerReport(_) => {}
            Op::Emit(_) => self.outbox = true,
            Op::FanOutAdvance { .. } => self.deliveries = true,
            Op::AssignmentsWake { .. } => self.work = true,
            Op::BufferTrim { .. } | Op::EventsPrune { .. } => {}
            // What was held may go on.
            Op::Mark(_) => self.work = true,
        }
    }

    fn add_record(&mut self, record: &Record) {
        match record {
            Record::Secret(head) => self.secrets.push((head.tenant.clone(), head.path.clone())),
            Record::Version(row) => self.secrets.push((row.tenant.clone(), row.path.clone())),
            Record::Policy(_) | Record::Binding(_) => self.grants = true,
            Record::Token(token) => self.tokens.push(token.hash),
            Record::Webhook(_) | Record::Subscription(_) => self.receivers = true,
            Record::Assignment(row) => {
                // Readers are told the attached policy beside the value.
                self.secrets.push((row.tenant.clone(), row.path.clone()));
                self.work = true;
            }
            Record::Rotation(_) => self.work = true,
            Record::Delivery(_) => self.deliveries = true,
            Record::Campaign(_) | Record::Debt(_) => self.work = true,
            Record::RotationPolicy(_)
            | Record::Target(_)
            | Record::GroupTurn(_)
            | Record::Key(_) => {}
        }
    }

    fn invalidate(&self, caches: &Caches) {
        for key in &self.secrets {
            caches.secrets.invalidate(key);
        }
        for hash in &self.tokens {
            caches.tokens.invalidate(hash);
        }
        if self.grants {
            caches.grants.clear();
        }
        if self.receivers {
            caches.receivers.clear();
        }
    }

    fn wake(&self, signals: &Signals) {
        if self.outbox {
            signals.outbox_grew();
        }
        if self.work {
            signals.work_changed();
        }
        if self.deliveries {
            signals.deliveries_changed();
        }
    }
}
