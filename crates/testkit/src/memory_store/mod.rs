//! A store in memory, as plain as can be: maps, copied for every unit that touches them. It says what the ports
//! mean where an engine must be clever to be quick; engines are compared with it, and tests that
//! need no disk can run on it.

mod apply;
mod claims;
mod dynamic_reads;
mod machine_reads;
mod mount_reads;
mod reads;
mod run_reads;
mod shared;
mod table;
mod tenancy;
mod trail_reads;
mod transit_reads;

use std::collections::BTreeMap;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::access::{AccessPolicy, Binding};
use scaivault_core::audit::AuditRow;
use scaivault_core::audit_export::AuditExport;
use scaivault_core::audit_forward::AuditForward;
use scaivault_core::campaign::Campaign;
use scaivault_core::consumer::Consumer;
use scaivault_core::cubbyhole::CubbyItem;
use scaivault_core::debt::Debt;
use scaivault_core::delivery::Delivery;
use scaivault_core::dynamic::{Engine, Lease, Role};
use scaivault_core::event::StoredEvent;
use scaivault_core::identity::Token;
use scaivault_core::machine::{MachineRole, SecretId};
use scaivault_core::mount::Mount;
use scaivault_core::ports::{CommitError, Committed, Op, Store, StoreHealth, StoreMarks, Unit};
use scaivault_core::receiver::{Subscription, Webhook};
use scaivault_core::recipe::SecretPolicy;
use scaivault_core::rotation::{Assignment, GroupTurn, Rotation, RotationPolicy};
use scaivault_core::seal::{KeyRecord, Sealed};
use scaivault_core::secret::{SecretHead, Version};
use scaivault_core::target::Target;
use scaivault_core::tenancy::{Partner, Tenant};
use scaivault_core::transit::TransitKey;

use shared::Shared;
use table::Table;

/// The store. Share it in an `Arc`.
#[derive(Default)]
pub struct MemoryStore(Mutex<State>);

/// All rows.
#[derive(Clone, Default)]
struct State {
    secrets: Shared<Table<SecretHead>>,
    versions: Shared<Table<Version>>,
    values: Shared<BTreeMap<(String, String), Sealed>>,
    policies: Shared<Table<AccessPolicy>>,
    bindings: Shared<Table<Binding>>,
    tokens: Shared<Table<Token>>,
    machine_roles: Shared<Table<MachineRole>>,
    secret_ids: Shared<Table<SecretId>>,
    rotation_policies: Shared<Table<RotationPolicy>>,
    secret_policies: Shared<Table<SecretPolicy>>,
    assignments: Shared<Table<Assignment>>,
    rotations: Shared<Table<Rotation>>,
    targets: Shared<Table<Target>>,
    turns: Shared<Table<GroupTurn>>,
    campaigns: Shared<Table<Campaign>>,
    audit_exports: Shared<Table<AuditExport>>,
    audit_forwards: Shared<Table<AuditForward>>,
    mounts: Shared<Table<Mount>>,
    cubbies: Shared<Table<CubbyItem>>,
    transit: Shared<Table<TransitKey>>,
    debts: Shared<Table<Debt>>,
    webhooks: Shared<Table<Webhook>>,
    subscriptions: Shared<Table<Subscription>>,
    deliveries: Shared<Table<Delivery>>,
    keys: Shared<Table<KeyRecord>>,
    partners: Shared<Table<Partner>>,
    tenants: Shared<Table<Tenant>>,
    engines: Shared<Table<Engine>>,
    roles: Shared<Table<Role>>,
    leases: Shared<Table<Lease>>,
    /// By place.
    events: Shared<BTreeMap<u64, StoredEvent>>,
    last_position: u64,
    /// Last number of each tenant's path.
    sequences: Shared<BTreeMap<(String, String), u64>>,
    fan_out: u64,
    marks: StoreMarks,
    /// Lines of the ledger, in the order they were begun, with tenant and path.
    ledger: Shared<Vec<((String, String), Consumer)>>,
    dropped: Shared<BTreeMap<String, u64>>,
    /// The receiver served last.
    served: String,
    audit: Shared<Vec<AuditRow>>,
    /// Rows that were removed from the front.
    audit_removed: u64,
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
        // Tables are shared until they are written: only those a unit touches are copied.
        let mut next = stored.clone();
        for op in &unit.ops {
            next.apply(op)?;
        }
        for read in &unit.reads {
            next.record(read);
        }
        *stored = next;
        // Nothing can refuse any more, so the longest table is not copied.
        stored.audit.extend(unit.audit);
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
