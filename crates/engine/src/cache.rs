//! Coherent caches: what they hold is what the store holds, as of every answered commit.
//!
//! Every commit of this process invalidates what it touched before it is answered. A reader that
//! misses takes a ticket, reads the store, and may insert only if its shard was not invalidated
//! since; so a row read before a commit can never enter after it. What other nodes of a shared
//! store commit is invalidated when it is heard of (`neighbours`). Values stay sealed.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

// Keys are keyed hashes, ids, and paths of secrets that exist: nobody floods a map of bounded weight
// with chosen keys without the right to write them all.
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use parking_lot::Mutex;
use scaivault_core::access::Grants;
use scaivault_core::event::EventType;
use scaivault_core::identity::{Principal, Token, TokenHash};
use scaivault_core::ids::TenantId;
use scaivault_core::mount::Mounts;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::Changes;
use scaivault_core::receiver::{Subscription, Webhook};
use scaivault_core::tenancy::Tenant;
use scaivault_core::transit::TransitKey;

use crate::dynamic::Way;
use crate::secrets::ServedVersion;

const SHARDS: usize = 16;

/// Every cache of the vault.
pub(crate) struct Caches {
    /// Current versions.
    pub(crate) secrets: Coherent<(TenantId, SecretPath), Arc<ServedVersion>>,
    pub(crate) tokens: Coherent<TokenHash, Arc<KnownToken>>,
    pub(crate) grants: Coherent<GrantKey, Arc<Grants>>,
    pub(crate) receivers: Coherent<TenantId, Arc<TenantReceivers>>,
    pub(crate) tenants: Coherent<TenantId, Arc<Tenant>>,
    pub(crate) mounts: Coherent<TenantId, Arc<Mounts>>,
    /// Keys that others use: tenant, mount, name.
    pub(crate) transit: Coherent<(TenantId, String, String), Arc<TransitKey>>,
    /// What credentials are made by: tenant, engine, role.
    pub(crate) ways: Coherent<(TenantId, String, String), Arc<Way>>,
}

/// A token and the principal it makes.
pub(crate) struct KnownToken {
    pub(crate) token: Token,
    pub(crate) principal: Arc<Principal>,
    /// Whether its tenant is served.
    pub(crate) served: bool,
}

/// Whose grants. The tenant says which partner's policies are among them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct GrantKey {
    pub(crate) tenant: TenantId,
    pub(crate) identities: Vec<scaivault_core::identity::Identity>,
}

/// Who gets a tenant's events.
pub(crate) struct TenantReceivers {
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) subscriptions: Vec<Subscription>,
}

impl TenantReceivers {
    /// Whether anybody asked for this type at all. Events on the read path (`secret.accessed`,
    /// `policy.violation`) are only made when somebody did.
    pub(crate) fn want(&self, kind: EventType) -> bool {
        self.webhooks
            .iter()
            .any(|webhook| webhook.enabled && webhook.events.contains(&kind))
            || self
                .subscriptions
                .iter()
                .any(|sub| sub.events.contains(&kind))
    }
}

/// Bytes of sealed values the secrets cache holds at most, unless told otherwise.
pub(crate) const SECRET_BYTES_MAX: usize = 48 * 1024 * 1024;

/// Bytes of sealed material of keys that others use.
const TRANSIT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of what credentials are made by.
const WAY_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Caches {
    pub(crate) fn new(secret_bytes_max: usize) -> Self {
        Self {
            secrets: Coherent::new(secret_bytes_max),
            tokens: Coherent::new(20_000),
            grants: Coherent::new(20_000),
            receivers: Coherent::new(1_000),
            tenants: Coherent::new(20_000),
            mounts: Coherent::new(10_000),
            transit: Coherent::new(TRANSIT_BYTES_MAX),
            ways: Coherent::new(WAY_BYTES_MAX),
        }
    }
}

impl Caches {
    /// Forgets what these changes make stale.
    pub(crate) fn forget(&self, changes: &Changes) {
        if changes.everything {
            return self.clear();
        }
        // Before the tokens: what is known of a token was made of what was known of its tenant.
        if changes.tenants {
            self.tenants.clear();
            self.tokens.clear();
        }
        for key in &changes.secrets {
            self.secrets.invalidate(key);
        }
        for hash in &changes.tokens {
            self.tokens.invalidate(hash);
        }
        if changes.grants {
            self.grants.clear();
        }
        if changes.mounts {
            self.mounts.clear();
        }
        if changes.transit {
            self.transit.clear();
        }
        if changes.ways {
            self.ways.clear();
        }
        if changes.receivers {
            self.receivers.clear();
        }
    }

    pub(crate) fn clear(&self) {
        self.tenants.clear();
        self.mounts.clear();
        self.transit.clear();
        self.ways.clear();
        self.secrets.clear();
        self.tokens.clear();
        self.grants.clear();
        self.receivers.clear();
    }
}

/// One cache, bounded by the sum of its entries' weights. A hand goes around: what was not asked for
/// since it came by last makes room.
pub(crate) struct Coherent<K, V> {
    shards: Vec<Mutex<Shard<K, V>>>,
    hasher: RandomState,
    weight_max: usize,
}

struct Shard<K, V> {
    entries: IndexMap<K, Entry<V>, RandomState>,
    /// The entry that is asked next whether it makes room.
    hand: usize,
    weight: usize,
    generation: u64,
}

struct Entry<V> {
    value: V,
    weight: u32,
    asked_for: bool,
}

/// Permission to insert, while nothing was invalidated since.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(u64);

impl<K: Hash + Eq + Clone, V: Clone> Coherent<K, V> {
    pub(crate) fn new(weight_max: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                entries: IndexMap::default(),
                hand: 0,
                weight: 0,
                generation: 0,
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hasher: RandomState::default(),
            weight_max: weight_max / SHARDS,
        }
    }

    /// The entry, or a ticket to insert one.
    pub(crate) fn get(&self, key: &K) -> Result<V, Ticket> {
        let mut shard = self.shard(key).lock();
        let generation = shard.generation;
        match shard.entries.get_mut(key) {
            Some(entry) => {
                entry.asked_for = true;
                Ok(entry.value.clone())
            }
            None => Err(Ticket(generation)),
        }
    }

    /// Inserts what was read since the ticket was taken, unless it may be stale already. Others
    /// make room when the shard is full; an entry heavier than a shard is not kept.
    pub(crate) fn insert(&self, ticket: Ticket, key: K, value: V, weight: usize) {
        let mut shard = self.shard(&key).lock();
        let Ok(heavy) = u32::try_from(weight) else {
            return;
        };
        if shard.generation != ticket.0 || weight > self.weight_max {
            return;
        }
        shard.remove(&key);
        shard.make_room(self.weight_max - weight);
        shard.weight += weight;
        let entry = Entry {
            value,
            weight: heavy,
            asked_for: false,
        };
        shard.entries.insert(key, entry);
    }

    pub(crate) fn invalidate(&self, key: &K) {
        let mut shard = self.shard(key).lock();
        shard.generation += 1;
        shard.remove(key);
    }

    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.generation += 1;
            shard.entries.clear();
            shard.weight = 0;
        }
    }

    fn shard(&self, key: &K) -> &Mutex<Shard<K, V>> {
        let hash = self.hasher.hash_one(key);
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
    }
}

impl<K: Hash + Eq, V> Shard<K, V> {
    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.swap_remove(key) {
            self.weight -= entry.weight as usize;
        }
    }

    /// Lets go of entries until the rest weighs no more than this.
    fn make_room(&mut self, weight_max: usize) {
        while self.weight > weight_max {
            if self.hand >= self.entries.len() {
                self.hand = 0;
            }
            let Some((_, entry)) = self.entries.get_index_mut(self.hand) else {
                return;
            };
            if entry.asked_for {
                entry.asked_for = false;
            } else {
                self.weight -= entry.weight as usize;
                // The youngest takes its place; it has not been here long and is passed over.
                self.entries.swap_remove_index(self.hand);
            }
            self.hand += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_read_before_a_change_never_enters_after_it() {
        let cache: Coherent<u32, u32> = Coherent::new(1_600);
        let ticket = cache.get(&7).unwrap_err();
        cache.invalidate(&7); // the change is committed while the reader holds the old row
        cache.insert(ticket, 7, 1, 1);
        let ticket = cache.get(&7).unwrap_err();
        cache.insert(ticket, 7, 2, 1);
        assert!(matches!(cache.get(&7), Ok(2)));
        cache.clear();
        assert!(cache.get(&7).is_err());
    }

    #[test]
    fn weight_stays_bounded() {
        let cache: Coherent<u32, u32> = Coherent::new(SHARDS * 10);
        for key in 0..10_000 {
            if let Err(ticket) = cache.get(&key) {
                cache.insert(ticket, key, key, 3);
            }
        }
        for shard in &cache.shards {
            let shard = shard.lock();
            assert!(shard.weight <= 10);
            assert_eq!(shard.weight, shard.entries.len() * 3);
        }
        let ticket = cache.get(&20_000).unwrap_err();
        cache.insert(ticket, 20_000, 1, 11);
        assert!(cache.get(&20_000).is_err(), "heavier than a shard");
    }

    #[test]
    fn what_is_asked_for_stays() {
        let cache: Coherent<u32, u32> = Coherent::new(SHARDS * 30);
        for key in 0..10_000 {
            for hot in 0..16 {
                if let Err(ticket) = cache.get(&hot) {
                    assert!(key == 0, "{hot} was let go of");
                    cache.insert(ticket, hot, hot, 1);
                }
            }
            if let Err(ticket) = cache.get(&(1_000 + key)) {
                cache.insert(ticket, 1_000 + key, key, 1);
            }
        }
        let kept = (9_900..10_000).filter(|key| cache.get(&(1_000 + key)).is_ok());
        assert!(kept.count() > 50, "and so does what came last");
    }
}
