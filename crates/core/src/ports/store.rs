//! Storage, split by what is read. All changes go through [`Store::commit`].
//!
//! Reads see every unit whose commit was answered before the read began. A missing row is
//! `Ok(None)`. Lists are ordered by the key named in each method, and go on after `after`.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::marks::MarkReads;
use super::unit::{CommitError, Committed, Unit};
use crate::access::{AccessPolicy, Binding};
use crate::audit::{AuditFilter, AuditReport, StoredAuditRow};
use crate::audit_anchor::{AuditPrunable, ExportedEnds};
use crate::audit_export::{AuditExport, ExportHead};
use crate::audit_forward::AuditForward;
use crate::campaign::Campaign;
use crate::consumer::Consumer;
use crate::debt::Debt;
use crate::delivery::{Delivery, DeliveryState};
use crate::event::{Event, StoredEvent};
use crate::identity::{Identity, Token, TokenHash};
use crate::ids::{
    BindingId, CampaignId, DebtId, DeliveryId, EventId, ExportId, PartnerId, PolicyId, RotationId,
    RotationPolicyId, SecretIdAccessor, SecretPolicyId, SubscriptionId, TargetId, TenantId,
    TokenId, WebhookId,
};
use crate::machine::{MachineRole, SecretId};
use crate::path::SecretPath;
use crate::receiver::{Subscription, Webhook};
use crate::recipe::SecretPolicy;
use crate::rotation::{Assignment, GroupTurn, Phase, Rotation, RotationPolicy};
use crate::seal::KeyRecord;
use crate::secret::{SealedVersion, SecretHead, SecretType, Version};
use crate::target::Target;
use crate::tenancy::{Partner, Status, Tenant};
use crate::time::Timestamp;

/// A read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store cannot be read now. The text is for operators, free of values.
    #[error("the store cannot read: {0}")]
    Unavailable(String),
    /// A row does not decode.
    #[error("table {table}, column {column}, row {row}: does not decode")]
    Undecodable {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Row key.
        row: String,
    },
    /// A row is not what was written: something without the store's key changed it, or put it there.
    #[error("table {table}, column {column}, row {row}: not what was written, refused")]
    Altered {
        /// Table.
        table: &'static str,
        /// The column that does not fit.
        column: &'static str,
        /// Row key.
        row: String,
    },
}

/// Result of a read.
pub type Read<T> = Result<T, ReadError>;

/// Which secrets a list asks for.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SecretFilter {
    /// Text prefix of the path; empty for all.
    pub prefix: String,
    pub tag: Option<String>,
    pub secret_type: Option<SecretType>,
    /// With an end at or before this.
    pub expires_before: Option<Timestamp>,
    /// Soft-deleted ones too.
    pub include_deleted: bool,
}

/// Secrets and versions.
#[async_trait]
pub trait SecretReads {
    /// The head, soft-deleted or not.
    async fn secret_find(&self, tenant: &TenantId, path: &SecretPath) -> Read<Option<SecretHead>>;
    /// The head and one version with its value: `Some(n)` that number, `None` the current one.
    async fn secret_open(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Read<Option<(SecretHead, Option<SealedVersion>)>>;
    /// Heads by path.
    async fn secret_list(
        &self,
        tenant: &TenantId,
        filter: &SecretFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<SecretHead>>;
    /// Every version row of a secret, newest first, without values.
    async fn version_list(&self, tenant: &TenantId, path: &SecretPath) -> Read<Vec<Version>>;
    /// Soft-deleted secrets whose retention ended at or before `now`, of every tenant that is not
    /// suspended.
    async fn secret_purgeable(&self, now: Timestamp, limit: usize) -> Read<Vec<SecretHead>>;
    /// Secrets with [`SecretHead::notice_at`] at or before `now`, of every tenant that is not
    /// suspended, longest overdue first.
    async fn secret_notice_due(&self, now: Timestamp, limit: usize) -> Read<Vec<SecretHead>>;
    /// How many secrets each tenant has, soft-deleted ones left out.
    async fn secret_counts(&self) -> Read<BTreeMap<TenantId, u64>>;
}

/// Access policies and bindings.
#[async_trait]
pub trait PolicyReads {
    /// One policy.
    async fn policy_find(&self, tenant: &TenantId, id: &PolicyId) -> Read<Option<AccessPolicy>>;
    /// Policies by id.
    async fn policy_list(
        &self,
        tenant: &TenantId,
        include_inactive: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<AccessPolicy>>;
    /// The bindings of a policy, by id.
    async fn binding_list(&self, tenant: &TenantId, policy: &PolicyId) -> Read<Vec<Binding>>;
    /// One binding.
    async fn binding_find(&self, tenant: &TenantId, id: &BindingId) -> Read<Option<Binding>>;
    /// Every policy bound to any of these identities, with the binding. Inactive policies and
    /// ended bindings are included: the decision judges them by its own clock.
    async fn grants(
        &self,
        tenant: &TenantId,
        identities: &[Identity],
    ) -> Read<Vec<(AccessPolicy, Binding)>>;
}

/// Tokens.
#[async_trait]
pub trait TokenReads {
    /// By keyed hash, of any tenant, revoked and ended ones included.
    async fn token_by_hash(&self, hash: &TokenHash) -> Read<Option<Token>>;
    /// By id.
    async fn token_find(&self, tenant: &TenantId, id: &TokenId) -> Read<Option<Token>>;
    /// By id.
    async fn token_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Token>>;
    /// Tokens made with this one that are not over ([`Token::living_parent`]), by id.
    async fn token_children(
        &self,
        tenant: &TenantId,
        parent: &TokenId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Token>>;
    /// Tokens with `wake_at <= now`, of every tenant, longest overdue first.
    async fn token_due(&self, now: Timestamp, limit: usize) -> Read<Vec<Token>>;
}

/// Roles that machines log in by, and their secret ids.
#[async_trait]
pub trait MachineReads {
    /// One role, by its name.
    async fn machine_role_named(&self, tenant: &TenantId, name: &str) -> Read<Option<MachineRole>>;
    /// By what a machine names when it logs in, of any tenant.
    async fn machine_role_by_role_id(&self, role_id: &str) -> Read<Option<MachineRole>>;
    /// Roles by name.
    async fn machine_role_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<MachineRole>>;
    /// By keyed hash, of any tenant, ended ones included.
    async fn secret_id_by_hash(&self, hash: &TokenHash) -> Read<Option<SecretId>>;
    /// By its record's id.
    async fn secret_id_find(
        &self,
        tenant: &TenantId,
        id: &SecretIdAccessor,
    ) -> Read<Option<SecretId>>;
    /// Those of the role with this name, by id.
    async fn secret_id_list(
        &self,
        tenant: &TenantId,
        role: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<SecretId>>;
    /// Those with an end at or before `now`, of every tenant, the first that ended first.
    async fn secret_id_ended(&self, now: Timestamp, limit: usize) -> Read<Vec<SecretId>>;
}

/// Rotation policies.
#[async_trait]
pub trait RotationPolicyReads {
    /// One policy.
    async fn rotation_policy_find(
        &self,
        tenant: &TenantId,
        id: &RotationPolicyId,
    ) -> Read<Option<RotationPolicy>>;
    /// Policies by id.
    async fn rotation_policy_list(
        &self,
        tenant: &TenantId,
        active_only: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<RotationPolicy>>;
}

/// Recipes for values.
#[async_trait]
pub trait SecretPolicyReads {
    /// One recipe.
    async fn secret_policy_find(
        &self,
        tenant: &TenantId,
        id: &SecretPolicyId,
    ) -> Read<Option<SecretPolicy>>;
    /// By its name.
    async fn secret_policy_named(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Read<Option<SecretPolicy>>;
    /// Recipes by id.
    async fn secret_policy_list(
        &self,
        tenant: &TenantId,
        active_only: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<SecretPolicy>>;
    /// Whether a rotation policy or a secret, soft-deleted or not, refers to it.
    async fn secret_policy_in_use(&self, tenant: &TenantId, id: &SecretPolicyId) -> Read<bool>;
}

/// Schedules of secrets.
#[async_trait]
pub trait AssignmentReads {
    /// The attachment of a secret.
    async fn assignment_find(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Read<Option<Assignment>>;
    /// The attachments of these secrets, in any order.
    async fn assignment_of(
        &self,
        tenant: &TenantId,
        paths: &[SecretPath],
    ) -> Read<Vec<Assignment>> {
        let mut found = Vec::new();
        for path in paths {
            found.extend(self.assignment_find(tenant, path).await?);
        }
        Ok(found)
    }
    /// The attachments of a policy, by path.
    async fn assignment_list(
        &self,
        tenant: &TenantId,
        policy: &RotationPolicyId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Assignment>>;
    /// How many secrets a policy has.
    async fn assignment_count(&self, tenant: &TenantId, policy: &RotationPolicyId) -> Read<u64>;
    /// Attachments due before `until`, soonest first.
    async fn assignment_due(
        &self,
        tenant: &TenantId,
        until: Timestamp,
        policy: Option<&RotationPolicyId>,
        limit: usize,
    ) -> Read<Vec<Assignment>>;
    /// Attachments to a target, by path.
    async fn assignment_at_target(
        &self,
        tenant: &TenantId,
        target: &TargetId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Assignment>>;
    /// Attachments of a group, by path.
    async fn assignment_in_group(
        &self,
        tenant: &TenantId,
        group: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Assignment>>;
}

/// Which rotations a list asks for.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RotationFilter {
    pub path: Option<SecretPath>,
    pub policy_id: Option<RotationPolicyId>,
    /// At this target.
    pub target_id: Option<TargetId>,
    /// Of this group.
    pub group: Option<String>,
    /// Any of these; empty for all.
    pub phases: Vec<Phase>,
}

/// Rotations that have not ended, and credentials that do not work.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RotationFigures {
    /// How many are in each phase; phases without one are left out.
    pub by_phase: BTreeMap<&'static str, u64>,
    /// Those that brought no new value in time ([`Rotation::overdue_since`]).
    pub overdue: u64,
    /// Those propagating longer than their bound ([`Rotation::is_delayed`]).
    pub delayed: u64,
    /// Attachments whose stored credential was found not to work.
    pub drifting: u64,
}

/// Rotations.
#[async_trait]
pub trait RotationReads {
    /// One rotation.
    async fn rotation_find(&self, tenant: &TenantId, id: &RotationId) -> Read<Option<Rotation>>;
    /// Rotations by id, newest first; `after` is the id to go on below.
    async fn rotation_list(
        &self,
        tenant: &TenantId,
        filter: &RotationFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Rotation>>;
    /// Figures of those that have not ended, of every tenant. The cost follows their number, not
    /// that of all rotations.
    async fn rotation_figures(&self, now: Timestamp) -> Read<RotationFigures>;
}

/// Turns of groups, runs of many rotations, and what is still to be removed at targets.
#[async_trait]
pub trait RunReads {
    /// Who took the turn of a group last.
    async fn group_turn(&self, tenant: &TenantId, group: &str) -> Read<Option<GroupTurn>>;
    /// One campaign.
    async fn campaign_find(&self, tenant: &TenantId, id: &CampaignId) -> Read<Option<Campaign>>;
    /// Campaigns by id, newest first; `after` is the id to go on below.
    async fn campaign_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Campaign>>;
    /// Campaigns with `wake_at <= now`, of every tenant that is not suspended, longest overdue
    /// first.
    async fn campaign_due(&self, now: Timestamp, limit: usize) -> Read<Vec<Campaign>>;
    /// One debt.
    async fn debt_find(&self, tenant: &TenantId, id: &DebtId) -> Read<Option<Debt>>;
    /// Debts by id, oldest first.
    async fn debt_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Debt>>;
    /// Debts of one secret by id, oldest first.
    async fn debt_of_path(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Debt>>;
    /// Debts at one target by id, oldest first.
    async fn debt_at_target(
        &self,
        tenant: &TenantId,
        target: &TargetId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Debt>>;
    /// Debts with `wake_at <= now`, of every tenant, longest overdue first.
    async fn debt_due(&self, now: Timestamp, limit: usize) -> Read<Vec<Debt>>;
}

/// Targets.
#[async_trait]
pub trait TargetReads {
    /// One target.
    async fn target_find(&self, tenant: &TenantId, id: &TargetId) -> Read<Option<Target>>;
    /// By its name.
    async fn target_named(&self, tenant: &TenantId, name: &str) -> Read<Option<Target>>;
    /// Targets whose manager's credential this secret is, by id.
    async fn target_managed_by(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        limit: usize,
    ) -> Read<Vec<Target>>;
    /// Targets by id.
    async fn target_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Target>>;
}

/// Webhooks and subscriptions.
#[async_trait]
pub trait ReceiverReads {
    /// One webhook.
    async fn webhook_find(&self, tenant: &TenantId, id: &WebhookId) -> Read<Option<Webhook>>;
    /// Every webhook of a tenant, by id.
    async fn webhook_list(&self, tenant: &TenantId) -> Read<Vec<Webhook>>;
    /// One subscription.
    async fn subscription_find(
        &self,
        tenant: &TenantId,
        id: &SubscriptionId,
    ) -> Read<Option<Subscription>>;
    /// Every subscription of a tenant, by id.
    async fn subscription_list(&self, tenant: &TenantId) -> Read<Vec<Subscription>>;
    /// Subscriptions of all tenants by tenant and id, after both of `after`.
    async fn subscription_page(
        &self,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Read<Vec<Subscription>>;
}

/// The outbox.
#[async_trait]
pub trait EventReads {
    /// One event.
    async fn event_find(&self, tenant: &TenantId, id: &EventId) -> Read<Option<StoredEvent>>;
    /// Events after the fan-out mark, in order, and the mark.
    async fn fan_out_pending(&self, limit: usize) -> Read<(u64, Vec<StoredEvent>)>;
}

/// What a webhook's deliveries of some time came to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DeliveryStats {
    /// All of them.
    pub total: u64,
    /// Those that succeeded.
    pub succeeded: u64,
    /// Mean time of those attempted, in ms.
    pub latency_ms: f64,
    /// Events dropped because a polling buffer was full, ever.
    pub dropped: u64,
}

/// Deliveries.
#[async_trait]
pub trait DeliveryReads {
    /// One delivery.
    async fn delivery_find(&self, tenant: &TenantId, id: &DeliveryId) -> Read<Option<Delivery>>;
    /// Deliveries of a receiver by id, newest first; `after` is the id to go on below.
    async fn delivery_list(
        &self,
        tenant: &TenantId,
        receiver: &str,
        state: Option<DeliveryState>,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Delivery>>;
    /// Ended deliveries of a receiver by id, oldest first: in one state or in both, made from
    /// `from` on and before `to`; `after` is the id to go on behind.
    async fn delivery_ended(
        &self,
        tenant: &TenantId,
        receiver: &str,
        state: Option<DeliveryState>,
        made: (Option<Timestamp>, Option<Timestamp>),
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<Delivery>>;
    /// The first pending delivery of a receiver's lane behind the event at position `after`, by
    /// event. Rows that do not decode are passed over: nobody can send them, so nobody waits for
    /// them.
    async fn delivery_behind(
        &self,
        tenant: &TenantId,
        receiver: &str,
        lane: &str,
        after: u64,
    ) -> Read<Option<Delivery>>;
    /// Figures of a receiver's deliveries created since `since`.
    async fn delivery_stats(
        &self,
        tenant: &TenantId,
        receiver: &str,
        since: Timestamp,
    ) -> Read<DeliveryStats>;
    /// Unacknowledged deliveries of a polling subscription with their events, oldest event first,
    /// after the event at position `after`.
    async fn delivery_unacked(
        &self,
        tenant: &TenantId,
        receiver: &SubscriptionId,
        after: u64,
        limit: usize,
    ) -> Read<Vec<(Delivery, Event)>>;
}

/// The consumer ledger.
#[async_trait]
pub trait ConsumerReads {
    /// Who read which version, by version (newest first) and consumer.
    async fn consumer_list(&self, tenant: &TenantId, path: &SecretPath) -> Read<Vec<Consumer>>;
    /// What one identity read: the path and its line, by path and version (newest first), after
    /// `after` (a path; lines of one path are never split over pages).
    async fn consumer_reads(
        &self,
        tenant: &TenantId,
        who: &Identity,
        after: Option<&str>,
        paths: usize,
    ) -> Read<Vec<(SecretPath, Consumer)>>;
}

/// A page of audit rows.
#[derive(Debug, Clone, Default)]
pub struct AuditPage {
    /// Newest first.
    pub rows: Vec<StoredAuditRow>,
    /// Place to go on below; `None` at the end.
    pub next: Option<u64>,
}

/// Counts over audit rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditSummary {
    pub total: u64,
    pub succeeded: u64,
    pub by_action: BTreeMap<String, u64>,
    pub by_identity: BTreeMap<String, u64>,
    pub first_at: Option<Timestamp>,
    pub last_at: Option<Timestamp>,
}

/// The audit trail.
#[async_trait]
pub trait AuditReads {
    /// Rows, newest first, below place `below` (`None`: from the end).
    async fn audit_query(
        &self,
        filter: &AuditFilter,
        below: Option<u64>,
        limit: usize,
    ) -> Read<AuditPage>;
    /// Counts of the rows a filter asks for.
    async fn audit_summary(&self, filter: &AuditFilter) -> Read<AuditSummary>;
    /// Walks the whole chain.
    async fn audit_verify(&self) -> Read<AuditReport>;
    /// Rows at the front of a chain that are all older than `before`, and, where it is said how far
    /// each chain was exported, exported too, and the store's chain goes through where the export ends:
    /// a bounded number of whole segments, found whole, of the chain whose front is the oldest. Never
    /// the last segment of a chain.
    async fn audit_prunable(
        &self,
        before: Timestamp,
        exported: Option<&ExportedEnds>,
    ) -> Read<Option<AuditPrunable>>;
    /// The ends of all chains, by name.
    async fn audit_heads(&self) -> Read<Vec<ExportHead>>;
    /// One export.
    async fn audit_export_find(
        &self,
        tenant: &TenantId,
        id: &ExportId,
    ) -> Read<Option<AuditExport>>;
    /// Exports by id, newest first; `after` is the id to go on below.
    async fn audit_export_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<AuditExport>>;
    /// Exports with `wake_at <= now`, of every tenant that is not suspended, longest overdue first.
    async fn audit_export_due(&self, now: Timestamp, limit: usize) -> Read<Vec<AuditExport>>;
    /// How far the trail was handed over to the collector of this name.
    async fn audit_forward_find(&self, name: &str) -> Read<Option<AuditForward>>;
}

/// The keyring's wrapped keys.
#[async_trait]
pub trait KeyReads {
    /// Every key.
    async fn key_list(&self) -> Read<Vec<KeyRecord>>;
}

/// Which tenants a list asks for. Empty fields do not narrow.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TenantFilter {
    pub partner: Option<PartnerId>,
    /// By [`Tenant::status`].
    pub status: Option<Status>,
}

/// Partners and tenants.
#[async_trait]
pub trait TenancyReads {
    /// One partner.
    async fn partner_find(&self, id: &PartnerId) -> Read<Option<Partner>>;
    /// Partners by id, behind the first `skip`, and how many there are.
    async fn partner_list(
        &self,
        status: Option<Status>,
        skip: usize,
        limit: usize,
    ) -> Read<(Vec<Partner>, u64)>;
    /// One tenant.
    async fn tenant_find(&self, id: &TenantId) -> Read<Option<Tenant>>;
    /// Tenants by id, behind the first `skip`, and how many there are.
    async fn tenant_list(
        &self,
        filter: &TenantFilter,
        skip: usize,
        limit: usize,
    ) -> Read<(Vec<Tenant>, u64)>;
}

/// When the next work of each kind is due. That of suspended tenants is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NextWork {
    pub assignment_at: Option<Timestamp>,
    pub rotation_at: Option<Timestamp>,
    pub probe_at: Option<Timestamp>,
    pub campaign_at: Option<Timestamp>,
    pub debt_at: Option<Timestamp>,
    pub lease_at: Option<Timestamp>,
    pub notice_at: Option<Timestamp>,
    pub delivery_at: Option<Timestamp>,
}

/// Claims: a worker's hold on due rows. Claiming makes a new `revision` and sets
/// `claimed_until`, durably, before the row is handed out; whoever held it before can no longer
/// write it. A row is free when its claim has lapsed by `now`. Rows of suspended tenants are not
/// claimed, but by [`Claims::rotation_claim_one`].
#[async_trait]
pub trait Claims {
    /// Claims assignments with `wake_at <= now`, longest overdue first.
    async fn assignment_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Assignment>, CommitError>;
    /// Claims rotations that are at no target with `wake_at <= now`, longest overdue first.
    async fn rotation_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        limit: usize,
    ) -> Result<Vec<Rotation>, CommitError>;
    /// Claims rotations at targets with `wake_at <= now`: at most one per target, its longest
    /// overdue; none for targets in `busy` or of which one is held. So a target that hangs holds
    /// back nobody else. Targets whose rotation waits longest come first.
    async fn rotation_claim_at_targets(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<Rotation>, CommitError>;
    /// Claims assignments whose look at their credential is due ([`Assignment::probe_due`]): at
    /// most one per target, its longest overdue; none for targets in `busy` or of which one is
    /// held.
    async fn probe_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<Assignment>, CommitError>;
    /// Claims one rotation, if it is free and has `wake_at <= now`.
    async fn rotation_claim_one(
        &self,
        tenant: &TenantId,
        id: &RotationId,
        now: Timestamp,
        hold: Duration,
    ) -> Result<Option<Rotation>, CommitError>;
    /// Claims deliveries with `next_attempt_at <= now`: at most one per receiver, the oldest
    /// event's first, and none for receivers in `busy`; so a slow receiver holds back nobody
    /// else and gets its own events in order.
    async fn delivery_claim(
        &self,
        now: Timestamp,
        hold: Duration,
        busy: &[String],
        limit: usize,
    ) -> Result<Vec<Delivery>, CommitError>;
    /// When the next work is due, claimed rows at the end of their claim.
    async fn next_work(&self) -> Read<NextWork>;
}

/// Whether the store serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHealth {
    /// What is wrong with writing, for operators; `None` when all is well.
    pub trouble: Option<String>,
    /// Units waiting for the writer.
    pub queued: usize,
    /// Size of the store's files, in bytes.
    pub bytes: u64,
}

/// All that a reader of a secret is served from.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// The head.
    pub head: SecretHead,
    /// The version that was asked for, when there is one.
    pub version: Option<SealedVersion>,
    /// The attached rotation policy.
    pub policy_id: Option<RotationPolicyId>,
}

/// What a write to a secret starts from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ground {
    /// The head, when there is one.
    pub head: Option<SecretHead>,
    /// Its versions, newest first.
    pub versions: Vec<Version>,
    /// Its schedule.
    pub assignment: Option<Assignment>,
}

/// A whole store.
#[async_trait]
pub trait Store:
    SecretReads
    + PolicyReads
    + TokenReads
    + MachineReads
    + RotationPolicyReads
    + SecretPolicyReads
    + AssignmentReads
    + RotationReads
    + TargetReads
    + RunReads
    + ReceiverReads
    + EventReads
    + DeliveryReads
    + ConsumerReads
    + AuditReads
    + KeyReads
    + TenancyReads
    + super::DynamicReads
    + super::MountReads
    + super::TransitReads
    + MarkReads
    + Claims
    + Send
    + Sync
{
    /// Applies a unit whole, durably, or not at all.
    ///
    /// # Errors
    /// [`CommitError`]; only with [`CommitError::Unknown`] may it have been applied.
    async fn commit(&self, unit: Unit) -> Result<Committed, CommitError>;

    /// [`SecretReads::secret_open`] with the policy of [`AssignmentReads::assignment_find`]: the
    /// read behind every read of a value, in one turn where the engine can.
    async fn secret_served(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Read<Option<Served>> {
        let Some((head, version)) = self.secret_open(tenant, path, version).await? else {
            return Ok(None);
        };
        let assignment = self.assignment_find(tenant, path).await?;
        Ok(Some(Served {
            head,
            version,
            policy_id: assignment.map(|assignment| assignment.policy_id),
        }))
    }

    /// [`SecretReads::secret_find`], [`SecretReads::version_list`] and
    /// [`AssignmentReads::assignment_find`]: the reads before every write of a value, in one turn
    /// where the engine can.
    async fn secret_ground(&self, tenant: &TenantId, path: &SecretPath) -> Read<Ground> {
        Ok(Ground {
            head: self.secret_find(tenant, path).await?,
            versions: self.version_list(tenant, path).await?,
            assignment: self.assignment_find(tenant, path).await?,
        })
    }

    /// Tries a durable write of nothing and says whether the store serves.
    async fn health(&self) -> StoreHealth;
}
