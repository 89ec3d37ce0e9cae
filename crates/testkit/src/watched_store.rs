//! A store that is watched: every unit is shown to a test before it reaches the store below and
//! after it was answered. With it a test counts, checks, or stops a worker between its claim and
//! its write, and does something else meanwhile; or has a unit applied after its caller gave it up.
//!
//! Reads and claims go through unseen.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use scaivault_core::access::{AccessPolicy, Binding};
use scaivault_core::audit::{AuditFilter, AuditReport};
use scaivault_core::audit_anchor::{AuditPrunable, ExportedEnds};
use scaivault_core::audit_export::{AuditExport, ExportHead};
use scaivault_core::audit_forward::AuditForward;
use scaivault_core::campaign::Campaign;
use scaivault_core::consumer::Consumer;
use scaivault_core::cubbyhole::CubbyItem;
use scaivault_core::debt::Debt;
use scaivault_core::delivery::{Delivery, DeliveryState};
use scaivault_core::dynamic::{Engine, Lease, Role};
use scaivault_core::event::{Event, StoredEvent};
use scaivault_core::identity::{Identity, Token, TokenHash};
use scaivault_core::ids::{
    BindingId, CampaignId, DebtId, DeliveryId, EngineId, EventId, ExportId, LeaseId, PartnerId,
    PolicyId, RotationId, RotationPolicyId, SecretIdAccessor, SecretPolicyId, SubscriptionId,
    TargetId, TenantId, TokenId, WebhookId,
};
use scaivault_core::machine::{MachineRole, SecretId};
use scaivault_core::mount::Mount;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, AuditPage, AuditReads, AuditSummary, Claims, CommitError, Committed,
    ConsumerReads, DeliveryReads, DeliveryStats, DynamicReads, EventReads, KeyReads, LeaseFigures,
    LeaseFilter, LeaseToken, MachineReads, MarkReads, MountReads, NextWork, PolicyReads, ReadError,
    ReceiverReads, RotationFigures, RotationFilter, RotationPolicyReads, RotationReads, RunReads,
    SecretFilter, SecretPolicyReads, SecretReads, Store, StoreHealth, StoreMarks, TargetReads,
    TenancyReads, TenantFilter, TokenReads, TransitReads, Unit, UnitName,
};
use scaivault_core::receiver::{Subscription, Webhook};
use scaivault_core::recipe::SecretPolicy;
use scaivault_core::rotation::{Assignment, GroupTurn, Rotation, RotationPolicy};
use scaivault_core::seal::KeyRecord;
use scaivault_core::secret::{SealedVersion, SecretHead, Version};
use scaivault_core::target::Target;
use scaivault_core::tenancy::{Partner, Status, Tenant};
use scaivault_core::time::Timestamp;
use scaivault_core::transit::TransitKey;
use tokio::sync::Semaphore;

/// Sees one unit and what it came to.
type Watcher = Box<dyn Fn(&Unit, &Result<Committed, CommitError>) + Send + Sync>;

/// The wrapper. Share it in an `Arc`.
pub struct WatchedStore {
    inner: Arc<dyn Store>,
    watcher: RwLock<Option<Watcher>>,
    stop: RwLock<Option<Arc<Stop>>>,
    late: Mutex<Late>,
}

/// Units that are answered before they are applied.
#[derive(Default)]
struct Late {
    next: Option<UnitName>,
    kept: Vec<Unit>,
}

/// A place where the next unit of a name waits, before it is applied.
pub struct Stop {
    name: UnitName,
    arrived: Semaphore,
    go: Semaphore,
}

impl Stop {
    /// Completes when a unit waits here.
    pub async fn arrived(&self) {
        if let Ok(permit) = self.arrived.acquire().await {
            permit.forget();
        }
    }

    /// Lets it go on.
    pub fn go(&self) {
        self.go.add_permits(1);
    }
}

impl WatchedStore {
    /// Around a store, with nobody watching.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            watcher: RwLock::default(),
            stop: RwLock::default(),
            late: Mutex::default(),
        }
    }

    /// Shows every unit from now on to `watcher`, once it was answered.
    pub fn watch(
        &self,
        watcher: impl Fn(&Unit, &Result<Committed, CommitError>) + Send + Sync + 'static,
    ) {
        *self.watcher.write() = Some(Box::new(watcher));
    }

    /// Stops the next unit of this name, and no other, before it is applied.
    pub fn stop_at(&self, name: UnitName) -> Arc<Stop> {
        let stop = Arc::new(Stop {
            name,
            arrived: Semaphore::new(0),
            go: Semaphore::new(0),
        });
        *self.stop.write() = Some(stop.clone());
        stop
    }

    /// The next unit of this name is answered with [`CommitError::Unknown`] at once, and applied
    /// only by [`WatchedStore::apply_late`]: its caller gave up while it waited for the writer.
    pub fn next_is_late(&self, name: UnitName) {
        self.late.lock().next = Some(name);
    }

    /// Applies what is late.
    ///
    /// # Errors
    /// The store's own, for the first unit it refuses.
    pub async fn apply_late(&self) -> Result<(), CommitError> {
        let kept = std::mem::take(&mut self.late.lock().kept);
        for unit in kept {
            self.inner.commit(unit).await?;
        }
        Ok(())
    }

    /// Keeps a unit that is to be late.
    fn keep_late(&self, unit: &Unit) -> bool {
        let mut late = self.late.lock();
        let is_late = late.next == Some(unit.name);
        if is_late {
            late.next = None;
            late.kept.push(unit.clone());
        }
        is_late
    }

    fn stop_for(&self, name: UnitName) -> Option<Arc<Stop>> {
        let mut stop = self.stop.write();
        if stop.as_ref().is_some_and(|stop| stop.name == name) {
            stop.take()
        } else {
            None
        }
    }
}

#[async_trait]
impl Store for WatchedStore {
    async fn commit(&self, unit: Unit) -> Result<Committed, CommitError> {
        if let Some(stop) = self.stop_for(unit.name) {
            stop.arrived.add_permits(1);
            if let Ok(permit) = stop.go.acquire().await {
                permit.forget();
            }
        }
        if self.keep_late(&unit) {
            return Err(CommitError::Unknown);
        }
        if self.watcher.read().is_none() {
            return self.inner.commit(unit).await;
        }
        let result = self.inner.commit(unit.clone()).await;
        if let Some(watcher) = &*self.watcher.read() {
            watcher(&unit, &result);
        }
        result
    }

    async fn health(&self) -> StoreHealth {
        self.inner.health().await
    }
}

type Read<T> = Result<T, ReadError>;
type Claimed<T> = Result<T, CommitError>;

macro_rules! forward {
    ($($port:ident { $(fn $name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)* })*) => {$(
        #[async_trait]
        impl $port for WatchedStore {
            $(async fn $name(&self, $($arg: $kind),*) -> $out {
                self.inner.$name($($arg),*).await
            })*
        }
    )*};
}

forward! {
    SecretReads {
        fn secret_find(tenant: &TenantId, path: &SecretPath) -> Read<Option<SecretHead>>;
        fn secret_open(tenant: &TenantId, path: &SecretPath, version: Option<u64>)
            -> Read<Option<(SecretHead, Option<SealedVersion>)>>;
        fn secret_list(tenant: &TenantId, filter: &SecretFilter, after: Option<&str>, limit: usize)
            -> Read<Vec<SecretHead>>;
        fn version_list(tenant: &TenantId, path: &SecretPath) -> Read<Vec<Version>>;
        fn secret_purgeable(now: Timestamp, limit: usize) -> Read<Vec<SecretHead>>;
        fn secret_notice_due(now: Timestamp, limit: usize) -> Read<Vec<SecretHead>>;
        fn secret_counts() -> Read<std::collections::BTreeMap<TenantId, u64>>;
    }
    PolicyReads {
        fn policy_find(tenant: &TenantId, id: &PolicyId) -> Read<Option<AccessPolicy>>;
        fn policy_list(tenant: &TenantId, include_inactive: bool, after: Option<&str>, limit: usize)
            -> Read<Vec<AccessPolicy>>;
        fn binding_list(tenant: &TenantId, policy: &PolicyId) -> Read<Vec<Binding>>;
        fn binding_find(tenant: &TenantId, id: &BindingId) -> Read<Option<Binding>>;
        fn grants(tenant: &TenantId, identities: &[Identity])
            -> Read<Vec<(AccessPolicy, Binding)>>;
    }
    TokenReads {
        fn token_by_hash(hash: &TokenHash) -> Read<Option<Token>>;
        fn token_find(tenant: &TenantId, id: &TokenId) -> Read<Option<Token>>;
        fn token_list(tenant: &TenantId, after: Option<&str>, limit: usize) -> Read<Vec<Token>>;
        fn token_children(
            tenant: &TenantId, parent: &TokenId, after: Option<&str>, limit: usize
        ) -> Read<Vec<Token>>;
        fn token_due(now: Timestamp, limit: usize) -> Read<Vec<Token>>;
    }
    TransitReads {
        fn transit_find(tenant: &TenantId, mount: &str, name: &str) -> Read<Option<TransitKey>>;
        fn transit_list(tenant: &TenantId, mount: &str, after: Option<&str>, limit: usize)
            -> Read<Vec<TransitKey>>;
        fn transit_due(now: Timestamp, limit: usize) -> Read<Vec<TransitKey>>;
    }
    MountReads {
        fn mount_list(tenant: &TenantId) -> Read<Vec<Mount>>;
        fn cubby_find(tenant: &TenantId, token: &TokenId, path: &str) -> Read<Option<CubbyItem>>;
        fn cubby_list(tenant: &TenantId, token: &TokenId, limit: usize) -> Read<Vec<CubbyItem>>;
    }
    MachineReads {
        fn machine_role_named(tenant: &TenantId, name: &str) -> Read<Option<MachineRole>>;
        fn machine_role_by_role_id(role_id: &str) -> Read<Option<MachineRole>>;
        fn machine_role_list(tenant: &TenantId, after: Option<&str>, limit: usize)
            -> Read<Vec<MachineRole>>;
        fn secret_id_by_hash(hash: &TokenHash) -> Read<Option<SecretId>>;
        fn secret_id_find(tenant: &TenantId, id: &SecretIdAccessor) -> Read<Option<SecretId>>;
        fn secret_id_list(
            tenant: &TenantId, role: &str, after: Option<&str>, limit: usize
        ) -> Read<Vec<SecretId>>;
        fn secret_id_ended(now: Timestamp, limit: usize) -> Read<Vec<SecretId>>;
    }
    RotationPolicyReads {
        fn rotation_policy_find(tenant: &TenantId, id: &RotationPolicyId)
            -> Read<Option<RotationPolicy>>;
        fn rotation_policy_list(
            tenant: &TenantId, active_only: bool, after: Option<&str>, limit: usize
        ) -> Read<Vec<RotationPolicy>>;
    }
    SecretPolicyReads {
        fn secret_policy_find(tenant: &TenantId, id: &SecretPolicyId)
            -> Read<Option<SecretPolicy>>;
        fn secret_policy_named(tenant: &TenantId, name: &str) -> Read<Option<SecretPolicy>>;
        fn secret_policy_list(
            tenant: &TenantId, active_only: bool, after: Option<&str>, limit: usize
        ) -> Read<Vec<SecretPolicy>>;
        fn secret_policy_in_use(tenant: &TenantId, id: &SecretPolicyId) -> Read<bool>;
    }
    AssignmentReads {
        fn assignment_find(tenant: &TenantId, path: &SecretPath) -> Read<Option<Assignment>>;
        fn assignment_list(
            tenant: &TenantId, policy: &RotationPolicyId, after: Option<&str>, limit: usize
        ) -> Read<Vec<Assignment>>;
        fn assignment_count(tenant: &TenantId, policy: &RotationPolicyId) -> Read<u64>;
        fn assignment_due(
            tenant: &TenantId, until: Timestamp, policy: Option<&RotationPolicyId>, limit: usize
        ) -> Read<Vec<Assignment>>;
        fn assignment_at_target(
            tenant: &TenantId, target: &TargetId, after: Option<&str>, limit: usize
        ) -> Read<Vec<Assignment>>;
        fn assignment_in_group(
            tenant: &TenantId, group: &str, after: Option<&str>, limit: usize
        ) -> Read<Vec<Assignment>>;
    }
    RotationReads {
        fn rotation_find(tenant: &TenantId, id: &RotationId) -> Read<Option<Rotation>>;
        fn rotation_list(
            tenant: &TenantId, filter: &RotationFilter, after: Option<&str>, limit: usize
        ) -> Read<Vec<Rotation>>;
        fn rotation_figures(now: Timestamp) -> Read<RotationFigures>;
    }
    RunReads {
        fn group_turn(tenant: &TenantId, group: &str) -> Read<Option<GroupTurn>>;
        fn campaign_find(tenant: &TenantId, id: &CampaignId) -> Read<Option<Campaign>>;
        fn campaign_list(tenant: &TenantId, after: Option<&str>, limit: usize)
            -> Read<Vec<Campaign>>;
        fn campaign_due(now: Timestamp, limit: usize) -> Read<Vec<Campaign>>;
        fn debt_find(tenant: &TenantId, id: &DebtId) -> Read<Option<Debt>>;
        fn debt_list(tenant: &TenantId, after: Option<&str>, limit: usize) -> Read<Vec<Debt>>;
        fn debt_of_path(
            tenant: &TenantId, path: &SecretPath, after: Option<&str>, limit: usize
        ) -> Read<Vec<Debt>>;
        fn debt_at_target(
            tenant: &TenantId, target: &TargetId, after: Option<&str>, limit: usize
        ) -> Read<Vec<Debt>>;
        fn debt_due(now: Timestamp, limit: usize) -> Read<Vec<Debt>>;
    }
    TargetReads {
        fn target_find(tenant: &TenantId, id: &TargetId) -> Read<Option<Target>>;
        fn target_named(tenant: &TenantId, name: &str) -> Read<Option<Target>>;
        fn target_managed_by(tenant: &TenantId, path: &SecretPath, limit: usize)
            -> Read<Vec<Target>>;
        fn target_list(tenant: &TenantId, after: Option<&str>, limit: usize) -> Read<Vec<Target>>;
    }
    ReceiverReads {
        fn webhook_find(tenant: &TenantId, id: &WebhookId) -> Read<Option<Webhook>>;
        fn webhook_list(tenant: &TenantId) -> Read<Vec<Webhook>>;
        fn subscription_find(tenant: &TenantId, id: &SubscriptionId) -> Read<Option<Subscription>>;
        fn subscription_list(tenant: &TenantId) -> Read<Vec<Subscription>>;
        fn subscription_page(after: Option<(&str, &str)>, limit: usize)
            -> Read<Vec<Subscription>>;
    }
    EventReads {
        fn event_find(tenant: &TenantId, id: &EventId) -> Read<Option<StoredEvent>>;
        fn fan_out_pending(limit: usize) -> Read<(u64, Vec<StoredEvent>)>;
    }
    DeliveryReads {
        fn delivery_find(tenant: &TenantId, id: &DeliveryId) -> Read<Option<Delivery>>;
        fn delivery_list(
            tenant: &TenantId, receiver: &str, state: Option<DeliveryState>, after: Option<&str>,
            limit: usize
        ) -> Read<Vec<Delivery>>;
        fn delivery_ended(
            tenant: &TenantId, receiver: &str, state: Option<DeliveryState>,
            made: (Option<Timestamp>, Option<Timestamp>), after: Option<&str>, limit: usize
        ) -> Read<Vec<Delivery>>;
        fn delivery_behind(tenant: &TenantId, receiver: &str, lane: &str, after: u64)
            -> Read<Option<Delivery>>;
        fn delivery_stats(tenant: &TenantId, receiver: &str, since: Timestamp)
            -> Read<DeliveryStats>;
        fn delivery_unacked(tenant: &TenantId, receiver: &SubscriptionId, after: u64, limit: usize)
            -> Read<Vec<(Delivery, Event)>>;
    }
    ConsumerReads {
        fn consumer_list(tenant: &TenantId, path: &SecretPath) -> Read<Vec<Consumer>>;
        fn consumer_reads(tenant: &TenantId, who: &Identity, after: Option<&str>, paths: usize)
            -> Read<Vec<(SecretPath, Consumer)>>;
    }
    AuditReads {
        fn audit_query(filter: &AuditFilter, below: Option<u64>, limit: usize) -> Read<AuditPage>;
        fn audit_summary(filter: &AuditFilter) -> Read<AuditSummary>;
        fn audit_verify() -> Read<AuditReport>;
        fn audit_prunable(before: Timestamp, exported: Option<&ExportedEnds>)
            -> Read<Option<AuditPrunable>>;
        fn audit_heads() -> Read<Vec<ExportHead>>;
        fn audit_export_find(tenant: &TenantId, id: &ExportId) -> Read<Option<AuditExport>>;
        fn audit_export_list(tenant: &TenantId, after: Option<&str>, limit: usize)
            -> Read<Vec<AuditExport>>;
        fn audit_export_due(now: Timestamp, limit: usize) -> Read<Vec<AuditExport>>;
        fn audit_forward_find(name: &str) -> Read<Option<AuditForward>>;
    }
    TenancyReads {
        fn partner_find(id: &PartnerId) -> Read<Option<Partner>>;
        fn partner_list(status: Option<Status>, skip: usize, limit: usize)
            -> Read<(Vec<Partner>, u64)>;
        fn tenant_find(id: &TenantId) -> Read<Option<Tenant>>;
        fn tenant_list(filter: &TenantFilter, skip: usize, limit: usize)
            -> Read<(Vec<Tenant>, u64)>;
    }
    DynamicReads {
        fn engine_find(tenant: &TenantId, id: &EngineId) -> Read<Option<Engine>>;
        fn engine_named(tenant: &TenantId, name: &str) -> Read<Option<Engine>>;
        fn engine_list(tenant: &TenantId, after: Option<&str>, limit: usize) -> Read<Vec<Engine>>;
        fn role_find(tenant: &TenantId, engine: &EngineId, name: &str) -> Read<Option<Role>>;
        fn role_list(
            tenant: &TenantId, engine: &EngineId, after: Option<&str>, limit: usize
        ) -> Read<Vec<Role>>;
        fn lease_find(tenant: &TenantId, id: &LeaseId) -> Read<Option<Lease>>;
        fn lease_list(
            tenant: &TenantId, filter: &LeaseFilter, after: Option<&str>, limit: usize
        ) -> Read<Vec<Lease>>;
        fn lease_of_accounts(tenant: &TenantId, engine: &EngineId, accounts: &[String])
            -> Read<Vec<Lease>>;
        fn lease_due(now: Timestamp, busy: &[EngineId], of_each: usize, limit: usize)
            -> Read<Vec<Lease>>;
        fn lease_count(tenant: &TenantId, engine: &EngineId) -> Read<u64>;
        fn lease_prunable(before: Timestamp, most: usize) -> Read<usize>;
        fn lease_tokens(after: Option<(&str, &str)>, limit: usize) -> Read<Vec<LeaseToken>>;
        fn lease_of_token(
            tenant: &TenantId, token: &TokenId, after: Option<&str>, limit: usize
        ) -> Read<Vec<Lease>>;
        fn lease_figures() -> Read<LeaseFigures>;
    }
    KeyReads {
        fn key_list() -> Read<Vec<KeyRecord>>;
    }
    MarkReads {
        fn marks() -> Read<StoreMarks>;
    }
    Claims {
        fn assignment_claim(now: Timestamp, hold: Duration, limit: usize)
            -> Claimed<Vec<Assignment>>;
        fn rotation_claim(now: Timestamp, hold: Duration, limit: usize) -> Claimed<Vec<Rotation>>;
        fn rotation_claim_at_targets(
            now: Timestamp, hold: Duration, busy: &[TargetId], limit: usize
        ) -> Claimed<Vec<Rotation>>;
        fn probe_claim(
            now: Timestamp, hold: Duration, busy: &[TargetId], limit: usize
        ) -> Claimed<Vec<Assignment>>;
        fn rotation_claim_one(tenant: &TenantId, id: &RotationId, now: Timestamp, hold: Duration)
            -> Claimed<Option<Rotation>>;
        fn delivery_claim(now: Timestamp, hold: Duration, busy: &[String], limit: usize)
            -> Claimed<Vec<Delivery>>;
        fn next_work() -> Read<NextWork>;
    }
}
