//! The read ports of the store: each call takes its arguments along to a reader's thread.

use std::collections::BTreeMap;

use async_trait::async_trait;
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
    AssignmentReads, AuditPage, AuditReads, AuditSummary, ConsumerReads, DeliveryReads,
    DeliveryStats, DynamicReads, EventReads, KeyReads, LeaseFigures, LeaseFilter, LeaseToken,
    MachineReads, MarkReads, MountReads, PolicyReads, ReceiverReads, RotationFigures,
    RotationFilter, RotationPolicyReads, RotationReads, RunReads, SecretFilter, SecretPolicyReads,
    SecretReads, StoreMarks, TargetReads, TenancyReads, TenantFilter, TokenReads, TransitReads,
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

use crate::audit::ChainHead;
use crate::sqlite::row::Read;
use crate::sqlite::{
    assignment, audit_anchor, audit_export, audit_forward, audit_read, audit_verify, binding,
    campaign, consumer, debt, delivery, dynamic, event, group_turn, keyring, lease, machine, meta,
    mount, policy, rotation, rotation_policy, secret, secret_policy, subscription, target, tenancy,
    token, transit, version, webhook,
};
use crate::store::SqliteStore;

/// Makes a read port: every method takes its arguments along and runs one function of `sqlite`:
/// as `read`, as `read_snapshot` where that function asks more than once, or as `read_many` where
/// it may walk many rows to find few.
macro_rules! reads {
    ($($port:ident { $(
        fn $name:ident($($arg:ident: $kind:ty $(= $own:expr)?),*) -> $out:ty
            = $how:ident |$conn:ident| $body:expr;
    )* })*) => {$(
        #[async_trait]
        impl $port for SqliteStore {
            $(async fn $name(&self, $($arg: $kind),*) -> Read<$out> {
                $($(let $arg = $own;)?)*
                self.readers.$how(move |$conn| $body).await
            })*
        }
    )*};
}

reads! {
    SecretReads {
        fn secret_find(tenant: &TenantId = tenant.clone(), path: &SecretPath = path.clone())
            -> Option<SecretHead> = read |conn| secret::find(conn, &tenant, &path);
        fn secret_open(tenant: &TenantId = tenant.clone(), path: &SecretPath = path.clone(),
            version: Option<u64>) -> Option<(SecretHead, Option<SealedVersion>)>
            = read |conn| secret::open(conn, &tenant, &path, version);
        fn secret_list(tenant: &TenantId = tenant.clone(), filter: &SecretFilter = filter.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<SecretHead>
            = read_many |conn| secret::list(conn, &tenant, &filter, after.as_deref(), limit);
        fn version_list(tenant: &TenantId = tenant.clone(), path: &SecretPath = path.clone())
            -> Vec<Version> = read |conn| version::list(conn, &tenant, &path);
        fn secret_purgeable(now: Timestamp, limit: usize) -> Vec<SecretHead>
            = read_many |conn| secret::purgeable(conn, now, limit);
        fn secret_notice_due(now: Timestamp, limit: usize) -> Vec<SecretHead>
            = read_many |conn| secret::notice_due(conn, now, limit);
        fn secret_counts() -> BTreeMap<TenantId, u64>
            = read_many |conn| secret::counts(conn);
    }
    PolicyReads {
        fn policy_find(tenant: &TenantId = tenant.clone(), id: &PolicyId = id.clone())
            -> Option<AccessPolicy> = read |conn| policy::find(conn, &tenant, &id);
        fn policy_list(tenant: &TenantId = tenant.clone(), include_inactive: bool,
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<AccessPolicy>
            = read |conn| policy::list(conn, &tenant, include_inactive, after.as_deref(), limit);
        fn binding_list(tenant: &TenantId = tenant.clone(), policy: &PolicyId = policy.clone())
            -> Vec<Binding> = read |conn| binding::list(conn, &tenant, &policy);
        fn binding_find(tenant: &TenantId = tenant.clone(), id: &BindingId = id.clone())
            -> Option<Binding> = read |conn| binding::find(conn, &tenant, &id);
        fn grants(tenant: &TenantId = tenant.clone(), identities: &[Identity] = identities.to_vec())
            -> Vec<(AccessPolicy, Binding)>
            = read_snapshot |conn| policy::grants(conn, &tenant, &identities);
    }
    TokenReads {
        fn token_by_hash(hash: &TokenHash = *hash) -> Option<Token>
            = read |conn| token::by_hash(conn, &hash);
        fn token_find(tenant: &TenantId = tenant.clone(), id: &TokenId = id.clone())
            -> Option<Token> = read |conn| token::find(conn, &tenant, &id);
        fn token_list(tenant: &TenantId = tenant.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Token>
            = read |conn| token::list(conn, &tenant, after.as_deref(), limit);
        fn token_children(tenant: &TenantId = tenant.clone(), parent: &TokenId = parent.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Token>
            = read |conn| token::children(conn, &tenant, &parent, after.as_deref(), limit);
        fn token_due(now: Timestamp, limit: usize) -> Vec<Token>
            = read |conn| token::due(conn, now, limit);
    }
    MachineReads {
        fn machine_role_named(tenant: &TenantId = tenant.clone(), name: &str = name.to_owned())
            -> Option<MachineRole> = read |conn| machine::role_named(conn, &tenant, &name);
        fn machine_role_by_role_id(role_id: &str = role_id.to_owned())
            -> Option<MachineRole> = read |conn| machine::role_by_role_id(conn, &role_id);
        fn machine_role_list(tenant: &TenantId = tenant.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<MachineRole>
            = read |conn| machine::role_list(conn, &tenant, after.as_deref(), limit);
        fn secret_id_by_hash(hash: &TokenHash = *hash) -> Option<SecretId>
            = read |conn| machine::secret_id_by_hash(conn, &hash);
        fn secret_id_find(tenant: &TenantId = tenant.clone(), id: &SecretIdAccessor = id.clone())
            -> Option<SecretId> = read |conn| machine::secret_id_find(conn, &tenant, &id);
        fn secret_id_list(tenant: &TenantId = tenant.clone(), role: &str = role.to_owned(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<SecretId>
            = read |conn| machine::secret_id_list(conn, &tenant, &role, after.as_deref(), limit);
        fn secret_id_ended(now: Timestamp, limit: usize) -> Vec<SecretId>
            = read |conn| machine::secret_id_ended(conn, now, limit);
    }
    RotationPolicyReads {
        fn rotation_policy_find(tenant: &TenantId = tenant.clone(),
            id: &RotationPolicyId = id.clone()) -> Option<RotationPolicy>
            = read |conn| rotation_policy::find(conn, &tenant, &id);
        fn rotation_policy_list(tenant: &TenantId = tenant.clone(), active_only: bool,
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<RotationPolicy>
            = read |conn| rotation_policy::list(conn, &tenant, active_only, after.as_deref(), limit);
    }
    SecretPolicyReads {
        fn secret_policy_find(tenant: &TenantId = tenant.clone(), id: &SecretPolicyId = id.clone())
            -> Option<SecretPolicy> = read |conn| secret_policy::find(conn, &tenant, &id);
        fn secret_policy_named(tenant: &TenantId = tenant.clone(), name: &str = name.to_owned())
            -> Option<SecretPolicy> = read |conn| secret_policy::named(conn, &tenant, &name);
        fn secret_policy_list(tenant: &TenantId = tenant.clone(), active_only: bool,
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<SecretPolicy>
            = read |conn| secret_policy::list(conn, &tenant, active_only, after.as_deref(), limit);
        fn secret_policy_in_use(tenant: &TenantId = tenant.clone(),
            id: &SecretPolicyId = id.clone()) -> bool
            = read |conn| secret_policy::in_use(conn, &tenant, &id);
    }
    AssignmentReads {
        fn assignment_find(tenant: &TenantId = tenant.clone(), path: &SecretPath = path.clone())
            -> Option<Assignment> = read |conn| assignment::find(conn, &tenant, &path);
        fn assignment_of(tenant: &TenantId = tenant.clone(),
            paths: &[SecretPath] = paths.to_vec()) -> Vec<Assignment>
            = read |conn| assignment::of(conn, &tenant, &paths);
        fn assignment_list(tenant: &TenantId = tenant.clone(),
            policy: &RotationPolicyId = policy.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Assignment>
            = read |conn| assignment::list(conn, &tenant, &policy, after.as_deref(), limit);
        fn assignment_count(tenant: &TenantId = tenant.clone(),
            policy: &RotationPolicyId = policy.clone()) -> u64
            = read |conn| assignment::count(conn, &tenant, &policy);
        fn assignment_due(tenant: &TenantId = tenant.clone(), until: Timestamp,
            policy: Option<&RotationPolicyId> = policy.cloned(), limit: usize) -> Vec<Assignment>
            = read_many |conn| assignment::due(conn, &tenant, until, policy.as_ref(), limit);
        fn assignment_at_target(tenant: &TenantId = tenant.clone(),
            target: &TargetId = target.clone(), after: Option<&str> = after.map(str::to_owned),
            limit: usize) -> Vec<Assignment>
            = read |conn| assignment::at_target(conn, &tenant, &target, after.as_deref(), limit);
        fn assignment_in_group(tenant: &TenantId = tenant.clone(), group: &str = group.to_owned(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Assignment>
            = read |conn| assignment::in_group(conn, &tenant, &group, after.as_deref(), limit);
    }
    RotationReads {
        fn rotation_find(tenant: &TenantId = tenant.clone(), id: &RotationId = id.clone())
            -> Option<Rotation> = read |conn| rotation::find(conn, &tenant, &id);
        fn rotation_list(tenant: &TenantId = tenant.clone(),
            filter: &RotationFilter = filter.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Rotation>
            = read_many |conn| rotation::list(conn, &tenant, &filter, after.as_deref(), limit);
        fn rotation_figures(now: Timestamp) -> RotationFigures
            = read_many |conn| rotation::figures(conn, now);
    }
    RunReads {
        fn group_turn(tenant: &TenantId = tenant.clone(), group: &str = group.to_owned())
            -> Option<GroupTurn> = read |conn| group_turn::find(conn, &tenant, &group);
        fn campaign_find(tenant: &TenantId = tenant.clone(), id: &CampaignId = id.clone())
            -> Option<Campaign> = read |conn| campaign::find(conn, &tenant, &id);
        fn campaign_list(tenant: &TenantId = tenant.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Campaign>
            = read |conn| campaign::list(conn, &tenant, after.as_deref(), limit);
        fn campaign_due(now: Timestamp, limit: usize) -> Vec<Campaign>
            = read |conn| campaign::due(conn, now, limit);
        fn debt_find(tenant: &TenantId = tenant.clone(), id: &DebtId = id.clone())
            -> Option<Debt> = read |conn| debt::find(conn, &tenant, &id);
        fn debt_list(tenant: &TenantId = tenant.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Debt>
            = read |conn| debt::list(conn, &tenant, after.as_deref(), limit);
        fn debt_of_path(tenant: &TenantId = tenant.clone(), path: &SecretPath = path.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Debt>
            = read |conn| debt::of_path(conn, &tenant, &path, after.as_deref(), limit);
        fn debt_at_target(tenant: &TenantId = tenant.clone(),
            target: &TargetId = target.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Debt>
            = read |conn| debt::at_target(conn, &tenant, &target, after.as_deref(), limit);
        fn debt_due(now: Timestamp, limit: usize) -> Vec<Debt>
            = read |conn| debt::due(conn, now, limit);
    }
    TargetReads {
        fn target_find(tenant: &TenantId = tenant.clone(), id: &TargetId = id.clone())
            -> Option<Target> = read |conn| target::find(conn, &tenant, &id);
        fn target_named(tenant: &TenantId = tenant.clone(), name: &str = name.to_owned())
            -> Option<Target> = read |conn| target::named(conn, &tenant, &name);
        fn target_managed_by(tenant: &TenantId = tenant.clone(), path: &SecretPath = path.clone(),
            limit: usize) -> Vec<Target>
            = read |conn| target::managed_by(conn, &tenant, &path, limit);
        fn target_list(tenant: &TenantId = tenant.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Target>
            = read |conn| target::list(conn, &tenant, after.as_deref(), limit);
    }
    ReceiverReads {
        fn webhook_find(tenant: &TenantId = tenant.clone(), id: &WebhookId = id.clone())
            -> Option<Webhook> = read |conn| webhook::find(conn, &tenant, &id);
        fn webhook_list(tenant: &TenantId = tenant.clone()) -> Vec<Webhook>
            = read |conn| webhook::list(conn, &tenant);
        fn subscription_find(tenant: &TenantId = tenant.clone(), id: &SubscriptionId = id.clone())
            -> Option<Subscription> = read |conn| subscription::find(conn, &tenant, &id);
        fn subscription_list(tenant: &TenantId = tenant.clone()) -> Vec<Subscription>
            = read |conn| subscription::list(conn, &tenant);
        fn subscription_page(after: Option<(&str, &str)>
                = after.map_or_else(Default::default, |(t, id)| (t.to_owned(), id.to_owned())),
            limit: usize) -> Vec<Subscription>
            = read |conn| subscription::page(conn, (&after.0, &after.1), limit);
    }
    EventReads {
        fn event_find(tenant: &TenantId = tenant.clone(), id: &EventId = id.clone())
            -> Option<StoredEvent> = read |conn| event::find(conn, &tenant, &id);
        fn fan_out_pending(limit: usize) -> (u64, Vec<StoredEvent>)
            = read_snapshot |conn| event::fan_out_pending(conn, limit);
    }
    DeliveryReads {
        fn delivery_find(tenant: &TenantId = tenant.clone(), id: &DeliveryId = id.clone())
            -> Option<Delivery> = read |conn| delivery::find(conn, &tenant, &id);
        fn delivery_list(tenant: &TenantId = tenant.clone(), receiver: &str = receiver.to_owned(),
            state: Option<DeliveryState>, after: Option<&str> = after.map(str::to_owned),
            limit: usize) -> Vec<Delivery>
            = read |conn| delivery::list(conn, &tenant, &receiver, state, after.as_deref(), limit);
        fn delivery_ended(tenant: &TenantId = tenant.clone(), receiver: &str = receiver.to_owned(),
            state: Option<DeliveryState>, made: (Option<Timestamp>, Option<Timestamp>),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Delivery>
            = read |conn| delivery::ended(conn, (&tenant, &receiver), state, made,
                after.as_deref(), limit);
        fn delivery_behind(tenant: &TenantId = tenant.clone(), receiver: &str = receiver.to_owned(),
            lane: &str = lane.to_owned(), after: u64) -> Option<Delivery>
            = read |conn| delivery::behind(conn, &tenant, &receiver, &lane, after);
        fn delivery_stats(tenant: &TenantId = tenant.clone(), receiver: &str = receiver.to_owned(),
            since: Timestamp) -> DeliveryStats
            = read_snapshot |conn| delivery::stats(conn, &tenant, &receiver, since);
        fn delivery_unacked(tenant: &TenantId = tenant.clone(),
            receiver: &SubscriptionId = receiver.clone(), after: u64, limit: usize)
            -> Vec<(Delivery, Event)>
            = read |conn| delivery::unacked(conn, &tenant, &receiver, after, limit);
    }
    ConsumerReads {
        fn consumer_list(tenant: &TenantId = tenant.clone(), path: &SecretPath = path.clone())
            -> Vec<Consumer> = read |conn| consumer::list(conn, &tenant, &path);
        fn consumer_reads(tenant: &TenantId = tenant.clone(), who: &Identity = who.clone(),
            after: Option<&str> = after.map(str::to_owned), paths: usize)
            -> Vec<(SecretPath, Consumer)>
            = read_many |conn| consumer::reads(conn, &tenant, &who, after.as_deref(), paths);
    }
    TenancyReads {
        fn partner_find(id: &PartnerId = id.clone()) -> Option<Partner>
            = read |conn| tenancy::find_partner(conn, &id);
        fn partner_list(status: Option<Status>, skip: usize, limit: usize) -> (Vec<Partner>, u64)
            = read_many |conn| tenancy::list_partners(conn, status, skip, limit);
        fn tenant_find(id: &TenantId = id.clone()) -> Option<Tenant>
            = read |conn| tenancy::find_tenant(conn, &id);
        fn tenant_list(filter: &TenantFilter = filter.clone(), skip: usize, limit: usize)
            -> (Vec<Tenant>, u64)
            = read_many |conn| tenancy::list_tenants(conn, &filter, skip, limit);
    }
    MountReads {
        fn mount_list(tenant: &TenantId = tenant.clone()) -> Vec<Mount>
            = read |conn| mount::list(conn, &tenant);
        fn cubby_find(tenant: &TenantId = tenant.clone(), token: &TokenId = token.clone(),
            path: &str = path.to_owned()) -> Option<CubbyItem>
            = read |conn| mount::find_cubby(conn, &tenant, &token, &path);
        fn cubby_list(tenant: &TenantId = tenant.clone(), token: &TokenId = token.clone(),
            limit: usize) -> Vec<CubbyItem>
            = read |conn| mount::list_cubby(conn, &tenant, &token, limit);
    }
    TransitReads {
        fn transit_find(tenant: &TenantId = tenant.clone(), mount: &str = mount.to_owned(),
            name: &str = name.to_owned()) -> Option<TransitKey>
            = read |conn| transit::find(conn, &tenant, &mount, &name);
        fn transit_list(tenant: &TenantId = tenant.clone(), mount: &str = mount.to_owned(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<TransitKey>
            = read_many |conn| transit::list(conn, &tenant, &mount, after.as_deref(), limit);
        fn transit_due(now: Timestamp, limit: usize) -> Vec<TransitKey>
            = read |conn| transit::due(conn, now, limit);
    }
    DynamicReads {
        fn engine_find(tenant: &TenantId = tenant.clone(), id: &EngineId = id.clone())
            -> Option<Engine> = read |conn| dynamic::find_engine(conn, &tenant, &id);
        fn engine_named(tenant: &TenantId = tenant.clone(), name: &str = name.to_owned())
            -> Option<Engine> = read |conn| dynamic::engine_named(conn, &tenant, &name);
        fn engine_list(tenant: &TenantId = tenant.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Engine>
            = read |conn| dynamic::list_engines(conn, &tenant, after.as_deref(), limit);
        fn role_find(tenant: &TenantId = tenant.clone(), engine: &EngineId = engine.clone(),
            name: &str = name.to_owned()) -> Option<Role>
            = read |conn| dynamic::find_role(conn, &tenant, &engine, &name);
        fn role_list(tenant: &TenantId = tenant.clone(), engine: &EngineId = engine.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Role>
            = read |conn| dynamic::list_roles(conn, &tenant, &engine, after.as_deref(), limit);
        fn lease_find(tenant: &TenantId = tenant.clone(), id: &LeaseId = id.clone())
            -> Option<Lease> = read |conn| lease::find(conn, &tenant, &id);
        fn lease_list(tenant: &TenantId = tenant.clone(), filter: &LeaseFilter = filter.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Lease>
            = read_many |conn| lease::list(conn, &tenant, &filter, after.as_deref(), limit);
        fn lease_of_accounts(tenant: &TenantId = tenant.clone(), engine: &EngineId = engine.clone(),
            accounts: &[String] = accounts.to_vec()) -> Vec<Lease>
            = read_many |conn| lease::of_accounts(conn, &tenant, &engine, &accounts);
        fn lease_due(now: Timestamp, busy: &[EngineId] = busy.to_vec(), of_each: usize,
            limit: usize) -> Vec<Lease>
            = read_many_snapshot |conn| lease::due(conn, now, &busy, of_each, limit);
        fn lease_count(tenant: &TenantId = tenant.clone(), engine: &EngineId = engine.clone())
            -> u64
            = read_many |conn| lease::count(conn, &tenant, &engine);
        fn lease_prunable(before: Timestamp, most: usize) -> usize
            = read |conn| lease::prunable(conn, before, most);
        fn lease_tokens(after: Option<(&str, &str)>
            = after.map(|(tenant, token)| (tenant.to_owned(), token.to_owned())), limit: usize)
            -> Vec<LeaseToken>
            = read_many_snapshot |conn| lease::tokens(conn,
                after.as_ref().map(|(tenant, token)| (&**tenant, &**token)), limit);
        fn lease_of_token(tenant: &TenantId = tenant.clone(), token: &TokenId = token.clone(),
            after: Option<&str> = after.map(str::to_owned), limit: usize) -> Vec<Lease>
            = read |conn| lease::of_token(conn, &tenant, &token, after.as_deref(), limit);
        fn lease_figures() -> LeaseFigures = read_many_snapshot |conn| lease::figures(conn);
    }
    KeyReads {
        fn key_list() -> Vec<KeyRecord> = read |conn| keyring::list(conn);
    }
    MarkReads {
        fn marks() -> StoreMarks = read_snapshot |conn| meta::marks(conn);
    }
}

#[async_trait]
impl AuditReads for SqliteStore {
    async fn audit_query(
        &self,
        filter: &AuditFilter,
        below: Option<u64>,
        limit: usize,
    ) -> Read<AuditPage> {
        let filter = filter.clone();
        self.readers
            .read_many(move |conn| audit_read::query(conn, &filter, below, limit))
            .await
    }

    async fn audit_summary(&self, filter: &AuditFilter) -> Read<AuditSummary> {
        let filter = filter.clone();
        self.readers
            .read_all(move |conn| audit_read::summary(conn, &filter))
            .await
    }

    async fn audit_verify(&self) -> Read<AuditReport> {
        let mac = self.shared.mac.read().clone();
        self.readers
            .read_all(move |conn| audit_verify::verify(conn, mac.as_deref()))
            .await
    }

    async fn audit_heads(&self) -> Read<Vec<ExportHead>> {
        let heads = self
            .readers
            .read_many(|conn| audit_verify::heads(conn))
            .await?;
        Ok(heads.iter().map(ChainHead::for_export).collect())
    }

    async fn audit_export_find(
        &self,
        tenant: &TenantId,
        id: &ExportId,
    ) -> Read<Option<AuditExport>> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.readers
            .read(move |conn| audit_export::find(conn, &tenant, &id))
            .await
    }

    async fn audit_export_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<AuditExport>> {
        let (tenant, after) = (tenant.clone(), after.map(str::to_owned));
        self.readers
            .read(move |conn| audit_export::list(conn, &tenant, after.as_deref(), limit))
            .await
    }

    async fn audit_export_due(&self, now: Timestamp, limit: usize) -> Read<Vec<AuditExport>> {
        self.readers
            .read(move |conn| audit_export::due(conn, now, limit))
            .await
    }

    async fn audit_forward_find(&self, name: &str) -> Read<Option<AuditForward>> {
        let name = name.to_owned();
        self.readers
            .read(move |conn| audit_forward::find(conn, &name))
            .await
    }

    async fn audit_prunable(
        &self,
        before: Timestamp,
        exported: Option<&ExportedEnds>,
    ) -> Read<Option<AuditPrunable>> {
        let exported = exported.cloned();
        self.readers
            .read_many(move |conn| audit_anchor::find(conn, before, exported.as_ref()))
            .await
    }
}
