//! The store of a simulation: one [`MemoryStore`] that every vault shares, with a stop at every
//! call and the fate the simulator gives it. What was committed is kept for the checks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
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
use scaivault_testkit::MemoryStore;

use crate::broken::Broken;
use crate::gate::{Gate, Point, Verdict};

/// One commit that was applied.
pub(crate) struct Applied {
    pub(crate) actor: usize,
    pub(crate) unit: Unit,
}

/// The store.
pub(crate) struct SimStore {
    pub(crate) memory: MemoryStore,
    gate: Arc<Gate>,
    broken: Option<Broken>,
    applied: Mutex<Vec<Applied>>,
}

impl SimStore {
    pub(crate) fn new(gate: Arc<Gate>, broken: Option<Broken>) -> Self {
        Self {
            memory: MemoryStore::new(),
            gate,
            broken,
            applied: Mutex::default(),
        }
    }

    /// What was committed since the last call.
    pub(crate) fn take_applied(&self) -> Vec<Applied> {
        std::mem::take(&mut self.applied.lock())
    }

    async fn read<T>(
        &self,
        read: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        match self.gate.at(Point::Read).await {
            Verdict::Go => read.await,
            _ => Err(ReadError::Unavailable("lost by the simulation".into())),
        }
    }

    async fn claim<T>(
        &self,
        claim: impl Future<Output = Result<T, CommitError>>,
    ) -> Result<T, CommitError> {
        let verdict = self.gate.at(Point::Claim).await;
        if verdict == Verdict::Lose {
            return Err(CommitError::Unavailable("lost by the simulation".into()));
        }
        let made = claim.await;
        self.gate.at(Point::After).await;
        match verdict {
            Verdict::LoseAnswer => Err(CommitError::Unknown),
            _ => made,
        }
    }

    async fn apply(&self, unit: Unit) -> Result<Committed, CommitError> {
        let unit = match self.broken {
            Some(broken) => match broken.rewrite(unit, &self.memory) {
                Some(unit) => unit,
                None => return Ok(Committed::default()),
            },
            None => unit,
        };
        let committed = self.memory.commit(unit.clone()).await?;
        let actor = self.gate.running();
        self.applied.lock().push(Applied { actor, unit });
        Ok(committed)
    }
}

#[async_trait]
impl Store for SimStore {
    async fn commit(&self, unit: Unit) -> Result<Committed, CommitError> {
        let name = unit.name;
        let verdict = self.gate.at(Point::Commit(name)).await;
        match verdict {
            Verdict::Lose => {
                return Err(CommitError::Unavailable("lost by the simulation".into()));
            }
            Verdict::LoseRequest => return Err(CommitError::Unknown),
            _ => {}
        }
        let applied = self.apply(unit).await;
        if name != UnitName::AuditOnly {
            self.gate.at(Point::After).await;
        }
        match verdict {
            Verdict::LoseAnswer => applied.and(Err(CommitError::Unknown)),
            _ => applied,
        }
    }

    async fn health(&self) -> StoreHealth {
        self.memory.health().await
    }
}

#[async_trait]
impl Claims for SimStore {
    async fn assignment_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Assignment>, CommitError> {
        self.claim(self.memory.assignment_claim(now, hold, limit))
            .await
    }

    async fn rotation_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Rotation>, CommitError> {
        self.claim(self.memory.rotation_claim(now, hold, limit))
            .await
    }

    async fn rotation_claim_at_targets(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<Rotation>, CommitError> {
        let claim = self
            .memory
            .rotation_claim_at_targets(now, hold, busy, limit);
        self.claim(claim).await
    }

    async fn probe_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<Assignment>, CommitError> {
        self.claim(self.memory.probe_claim(now, hold, busy, limit))
            .await
    }

    async fn rotation_claim_one(
        &self,
        tenant: &TenantId,
        id: &RotationId,
        now: Timestamp,
        hold: Duration,
    ) -> Result<Option<Rotation>, CommitError> {
        self.claim(self.memory.rotation_claim_one(tenant, id, now, hold))
            .await
    }

    async fn delivery_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[String],
        limit: usize,
    ) -> Result<Vec<Delivery>, CommitError> {
        self.claim(self.memory.delivery_claim(now, hold, busy, limit))
            .await
    }

    async fn next_work(&self) -> Result<NextWork, ReadError> {
        self.memory.next_work().await
    }
}

type Read<T> = Result<T, ReadError>;

macro_rules! forward {
    ($($port:ident { $(fn $name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)* })*) => {$(
        #[async_trait]
        impl $port for SimStore {
            $(async fn $name(&self, $($arg: $kind),*) -> $out {
                self.read(self.memory.$name($($arg),*)).await
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
        fn rotation_figures(now: Timestamp) -> Read<RotationFigures>;
        fn rotation_find(tenant: &TenantId, id: &RotationId) -> Read<Option<Rotation>>;
        fn rotation_list(
            tenant: &TenantId, filter: &RotationFilter, after: Option<&str>, limit: usize
        ) -> Read<Vec<Rotation>>;
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
}
