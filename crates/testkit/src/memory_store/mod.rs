//! A store in memory, as plain as can be: maps, copied whole for every unit. It says what the ports
//! mean where an engine must be clever to be quick; engines are compared with it, and tests that
//! need no disk can run on it.

mod apply;
mod claims;
mod reads;
mod run_reads;
mod table;
mod trail_reads;

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::access::{AccessPolicy, Binding};
use scaivault_core::audit::AuditRow;
use scaivault_core::campaign::Campaign;
use scaivault_core::consumer::Consumer;
use scaivault_core::debt::Debt;
use scaivault_core::delivery::Delivery;
use scaivault_core::event::StoredEvent;
use scaivault_core::identity::Token;
use scaivault_core::ports::{CommitError, Committed, Op, Store, StoreHealth, Unit};
use scaivault_core::receiver::{Subscription, Webhook};
use scaivault_core::rotation::{Assignment, GroupTurn, Rotation, RotationPolicy};
use scaivault_core::seal::{KeyRecord, Sealed};
use scaivault_core::secret::{SecretHead, Version};
use scaivault_core::target::Target;

use table::Table;

/// The store. Share it in an `Arc`.
#[derive(Default)]
pub struct MemoryStore(Mutex<State>);

/// All rows.
#[derive(Clone, Default)]
struct State {
    secrets: Table<SecretHead>,
    versions: Table<Version>,
    values: BTreeMap<(String, String), Sealed>,
    policies: Table<AccessPolicy>,
    bindings: Table<Binding>,
    tokens: Table<Token>,
    rotation_policies: Table<RotationPolicy>,
    assignments: Table<Assignment>,
    rotations: Table<Rotation>,
    targets: Table<Target>,
    turns: Table<GroupTurn>,
    campaigns: Table<Campaign>,
    debts: Table<Debt>,
    webhooks: Table<Webhook>,
    subscriptions: Table<Subscription>,
    deliveries: Table<Delivery>,
    keys: Table<KeyRecord>,
    /// By place.
    events: BTreeMap<u64, StoredEvent>,
    last_position: u64,
    /// Last number of each tenant's path.
    sequences: BTreeMap<(String, String), u64>,
    fan_out: u64,
    /// Lines of the ledger, in the order they were begun, with tenant and path.
    ledger: Vec<((String, String), Consumer)>,
    dropped: BTreeMap<String, u64>,
    /// The receiver served last.
    served: String,
    audit: Vec<AuditRow>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, unit: Unit) -> Result<Committed, CommitError> {
        let mut stored = self.0.lock();
        let mut next = stored.clone();
        for op in &unit.ops {
            next.apply(op)?;
        }
        for read in &unit.reads {
            next.record(read);
        }
        next.audit.extend(unit.audit);
        *stored = next;
        let events = unit
            .ops
            .iter()
            .filter(|op| matches!(op, Op::Emit(_)))
            .count();
        Ok(Committed { events })
    }

    async fn health(&self) -> StoreHealth {
        StoreHealth {
            trouble: None,
            queued: 0,
            bytes: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use scaivault_core::ports::Store;

    async fn open() -> Arc<dyn Store> {
        Arc::new(super::MemoryStore::new())
    }

    crate::store_conformance!(open);
}
