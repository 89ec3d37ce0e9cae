//! One life's world: store, target, clock, vaults, and the rows it begins with.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::delivery::Attempted;
use scaivault_core::identity::{Identity, Principal, ScopeSet};
use scaivault_core::ids::{RotationPolicyId, TargetId};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    Clock, Courier, Op, Parcel, Record, SecretReads, Store, Unit, UnitName,
};
use scaivault_core::rotation::{Assignment, Attached, RotationPolicy};
use scaivault_core::seal::{KeyPurpose, Place, Sealer};
use scaivault_core::secret::{
    Metadata, SealedVersion, SecretHead, SecretType, Version, VersionState,
};
use scaivault_core::target::Target;
use scaivault_core::tenancy::Seat;
use scaivault_core::time::Timestamp;
use scaivault_crypto::{Keyring, RootKey};
use scaivault_engine::{Caller, Vault, VaultPorts, default_tenant};
use scaivault_testkit::{ManualClock, SeededEntropy};

use crate::broken::Broken;
use crate::connector::{NAME, SimTarget, cred_of};
use crate::gate::{Gate, HARNESS, now};
use crate::setup::{Setup, span};
use crate::store::SimStore;
use crate::target::{Cred, State};

/// The secret of a life.
pub(crate) const AT: &str = "db/orders";

/// Nobody is told anything.
struct NoCourier;

#[async_trait]
impl Courier for NoCourier {
    fn check_url(&self, _: &str) -> Result<(), &'static str> {
        Err("a simulation sends nothing")
    }

    async fn deliver(&self, _: &Parcel) -> Attempted {
        unreachable!("a simulation sends nothing")
    }
}

/// Keys are the same in every life: unlocking them is slow on purpose.
fn keyring() -> Arc<Keyring> {
    static KEYS: OnceLock<Arc<Keyring>> = OnceLock::new();
    let made = KEYS.get_or_init(|| {
        let entropy = SeededEntropy::new(0);
        let start = Timestamp::from_secs(1_700_000_000);
        let root = RootKey::generate(&entropy);
        let mut records = Keyring::first_records(&root, start, &entropy);
        let keyring = Keyring::unlock(&root, &records).expect("its own keys");
        let tenant = default_tenant();
        let key = keyring.create_key(KeyPurpose::Tenant, Some(&tenant), start, &entropy);
        records.push(key.expect("a key"));
        Arc::new(Keyring::unlock(&root, &records).expect("its own keys"))
    });
    made.clone()
}

pub(crate) fn path() -> SecretPath {
    SecretPath::parse(AT).unwrap_or_else(|_| unreachable!("a valid constant"))
}

/// A caller that needs no policy.
pub(crate) fn caller(who: Identity) -> Caller {
    Caller {
        principal: Arc::new(Principal {
            tenant: default_tenant(),
            seat: Seat::default(),
            identity: who,
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

pub(crate) fn person() -> Caller {
    caller(Identity::parse("user:operator").unwrap_or_else(|_| unreachable!("a valid constant")))
}

/// The stored value of a credential.
pub(crate) fn value_of(cred: &Cred, note: &str) -> Plaintext {
    let Cred { account, password } = cred;
    let value = serde_json::json!({"username": account, "password": password, "note": note});
    Plaintext::new(value.to_string().into_bytes())
}

/// The world.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    entropy: Arc<SeededEntropy>,
    keyring: Arc<Keyring>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) store: Arc<SimStore>,
    pub(crate) target: SimTarget,
}

impl World {
    pub(crate) fn new(seed: u64, setup: &Setup, actors: usize, broken: Option<Broken>) -> Self {
        let clock = Arc::new(ManualClock::default());
        let reads_stop = setup.events > 0;
        let gate = Arc::new(Gate::new(actors, seed ^ 0x7265_6164, reads_stop));
        let first = Cred {
            account: "app_a".into(),
            password: "first".into(),
        };
        let state = State::new(setup.overlap, setup.fences, setup.observable, first.clone());
        let target = SimTarget {
            state: Arc::new(Mutex::new(state)),
            gate: gate.clone(),
            clock: clock.clone(),
            broken,
            lives: Arc::new(Mutex::new((0..).take(actors).collect())),
        };
        let world = Self {
            clock,
            entropy: Arc::new(SeededEntropy::new(seed ^ 0x656e_7472)),
            keyring: keyring(),
            gate: gate.clone(),
            store: Arc::new(SimStore::new(gate, broken)),
            target,
        };
        world.begin(setup, &first);
        world
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A process: it knows nothing but what is stored.
    pub(crate) fn vault(&self) -> Arc<Vault> {
        Arc::new(Vault::new(VaultPorts {
            store: self.store.clone(),
            keyring: self.keyring.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            courier: Arc::new(NoCourier),
            connectors: Arc::new(self.target.clone()),
            feed: None,
        }))
    }

    /// The credential of a stored version.
    pub(crate) fn stored(&self, version: u64) -> Option<Cred> {
        let (tenant, path) = (default_tenant(), path());
        let found = SecretReads::secret_open(&self.store.memory, &tenant, &path, Some(version));
        let (_, row) = now(found).ok()??;
        let opened = Sealer::open(&*self.keyring, place(&tenant, &path, version), &row?.sealed);
        cred_of(&opened.ok()?)
    }

    pub(crate) fn commit(&self, unit: Unit) {
        debug_assert_eq!(self.gate.running(), HARNESS);
        now(Store::commit(&*self.store, unit)).expect("the harness's own commit");
    }

    fn begin(&self, setup: &Setup, first: &Cred) {
        let (tenant, path, start) = (default_tenant(), path(), self.now());
        let who = Identity::system("simulation");
        let head = SecretHead {
            tenant: tenant.clone(),
            path: path.clone(),
            secret_type: SecretType::Json,
            metadata: Metadata::default(),
            current_version: 1,
            latest_version: 1,
            max_versions: setup.max_versions,
            created_at: start,
            updated_at: start,
            expires_at: None,
            secret_policy_id: None,
            recoverable_until: None,
            expiry: scaivault_core::expiry::Expiry::default(),
            versioning: scaivault_core::secret::Versioning::default(),
            revision: 1,
        };
        let version = Version {
            tenant: tenant.clone(),
            path: path.clone(),
            version: 1,
            state: VersionState::Current,
            readable_until: None,
            rotation_id: None,
            created_at: start,
            created_by: who.clone(),
            deletes_at: None,
            revision: 1,
        };
        let value = value_of(first, "");
        let sealed = Sealer::seal(&*self.keyring, place(&tenant, &path, 1), &value);
        let sealed = sealed.expect("keys are there");
        let policy = RotationPolicy {
            id: RotationPolicyId::mint(start, &*self.entropy),
            tenant: tenant.clone(),
            name: "databases".into(),
            description: None,
            interval: span(90 * 86_400),
            grace_period: span(7_200),
            warn_before: Vec::new(),
            auto_generate: false,
            secret_policy_id: None,
            calendar: scaivault_core::rotation::Calendar::default(),
            drift_check: None,
            rules: setup.rules.clone(),
            webhook_ids: Vec::new(),
            is_active: true,
            created_at: start,
            updated_at: start,
            revision: 1,
        };
        let target = Target {
            id: TargetId::mint(start, &*self.entropy),
            tenant: tenant.clone(),
            name: "orders-db".into(),
            description: None,
            connector: NAME.into(),
            settings: serde_json::Map::new(),
            manager_path: None,
            created_at: start,
            updated_at: start,
            swept_at: None,
            revision: 1,
        };
        let attached = Attached {
            target_id: target.id.clone(),
            target_name: target.name.clone(),
            overlap: setup.overlap,
            account: serde_json::Map::new(),
            is_manager: false,
        };
        let assignment = Assignment {
            attached: Some(attached),
            ..Assignment::new(tenant, path, &policy, who, start)
        };
        let unit = Unit::new(UnitName::TargetWrite)
            .put(Record::Secret(head))
            .op(Op::VersionInsert(SealedVersion { version, sealed }))
            .put(Record::RotationPolicy(policy))
            .put(Record::Target(target))
            .put(Record::Assignment(assignment));
        self.commit(unit);
    }
}

fn place<'a>(
    tenant: &'a scaivault_core::ids::TenantId,
    path: &'a SecretPath,
    version: u64,
) -> Place<'a> {
    Place {
        tenant,
        kind: "secret",
        path: path.as_str(),
        version,
        field: "data",
    }
}
