//! The vault: ports, caches, and the one way to commit.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use scaivault_core::ids::{RequestId, TenantId};
use scaivault_core::ports::{
    ChangeFeed, Changes, Clock, CommitError, Committed, Connectors, Courier, Entropy, Store, Unit,
};
use scaivault_core::seal::Sealer;
use scaivault_core::tenancy::DEFAULT_TENANT;
use scaivault_core::time::Timestamp;
use scaivault_crypto::keyring::Keyring;

use crate::cache::{Caches, SECRET_BYTES_MAX};
use crate::dynamic::{AccountSlots, EngineHolds};
use crate::issuers::Issuers;
use crate::machines::LoginTrail;
use crate::neighbours::Neighbours;
use crate::recipes::RecipeSlots;
use crate::rotation::LastLook;
use crate::settlement::Settlement;
use crate::signals::Signals;
use crate::tally::Tally;
use crate::tokens::UseTurns;
use crate::wrap_count::WrapCounts;

/// The tenant every store has: of root tokens, and of whoever knows no other.
pub fn default_tenant() -> TenantId {
    TenantId::parse(DEFAULT_TENANT).unwrap_or_else(|_| unreachable!("a valid constant"))
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
    /// What other nodes change, where the store is shared.
    pub feed: Option<Arc<dyn ChangeFeed>>,
}

/// Slow computations on keys that others use, at once.
const TRANSIT_SLOTS: usize = 4;

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
    /// One export is begun at a time, so that those that run can be counted before it.
    pub(crate) export_turn: tokio::sync::Mutex<()>,
    pub(crate) settlement: Settlement,
    pub(crate) neighbours: Neighbours,
    pub(crate) last_look: LastLook,
    pub(crate) recipe_slots: RecipeSlots,
    /// Slow computations on keys that others use.
    pub(crate) transit_slots: Arc<tokio::sync::Semaphore>,
    pub(crate) issuers: RwLock<Option<Arc<Issuers>>>,
    pub(crate) use_turns: UseTurns,
    pub(crate) wraps: WrapCounts,
    pub(crate) login_trail: LoginTrail,
    pub(crate) engine_holds: EngineHolds,
    pub(crate) account_slots: AccountSlots,
    /// When this vault was opened.
    pub(crate) opened_at: Timestamp,
}

impl Vault {
    /// A vault over the given ports.
    pub fn new(ports: VaultPorts) -> Self {
        let opened_at = ports.clock.now();
        Self {
            opened_at,
            store: ports.store,
            keyring: ports.keyring,
            clock: ports.clock,
            entropy: ports.entropy,
            courier: ports.courier,
            connectors: ports.connectors,
            caches: Caches::new(SECRET_BYTES_MAX),
            signals: Signals::default(),
            tally: Tally::default(),
            export_turn: tokio::sync::Mutex::default(),
            settlement: Settlement::default(),
            neighbours: Neighbours::new(ports.feed),
            last_look: LastLook::default(),
            recipe_slots: RecipeSlots::default(),
            transit_slots: Arc::new(tokio::sync::Semaphore::new(TRANSIT_SLOTS)),
            issuers: RwLock::default(),
            use_turns: UseTurns::default(),
            wraps: WrapCounts::default(),
            login_trail: LoginTrail::default(),
            engine_holds: EngineHolds::default(),
            account_slots: AccountSlots::default(),
        }
    }

    /// With another bound on the sealed values kept in memory, in bytes.
    #[must_use]
    pub fn with_cache_bytes(self, bytes: usize) -> Self {
        Self {
            caches: Caches::new(bytes),
            ..self
        }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// To be asked how long something took.
    pub(crate) fn stopwatch(&self) -> Stopwatch {
        Stopwatch {
            monotonic: self.clock.monotonic(),
            witness: self.clock.witness(),
        }
    }

    /// How long ago that was, by the clock that says longer: neither one that was set back nor one
    /// that stood still must make a pause look short.
    pub(crate) fn took_since(&self, begun: &Stopwatch) -> Duration {
        let took = self.clock.monotonic().saturating_sub(begun.monotonic);
        took.max(self.clock.witness().since(begun.witness))
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
        self.settlement.is_settled() && self.neighbours.are_known(&*self.clock)
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
        let changes = Changes::of(&unit);
        let underway = self.settlement.begin();
        let result = self.store.commit(unit).await;
        self.caches.forget(&changes);
        underway.answered(&result, clear);
        if result.is_ok() {
            self.signals.changed_here(&changes);
        }
        result
    }
}

/// A moment by two clocks.
pub(crate) struct Stopwatch {
    monotonic: Duration,
    witness: Timestamp,
}
