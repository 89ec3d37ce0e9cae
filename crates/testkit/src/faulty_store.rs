//! A store that loses what a test tells it to lose: a unit before it is applied, or the answer
//! after it was. Together with [`UnitName::ALL`] this makes every commit of the engine a crash
//! point that can be tried, before and after.
//!
//! Reads and claims go through untouched.

use std::collections::HashMap;
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

/// What is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The unit: it is not applied, and the answer is [`CommitError::Unavailable`].
    Unit,
    /// The answer: the unit is applied, and the answer is [`CommitError::Unknown`]. A unit the
    /// store refuses keeps its own answer, as nothing was applied.
    Answer,
}

/// Which commits of a name a fault strikes, counted from the moment it is armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The n-th one, from 1, and no other.
    Nth(u64),
    /// All of them.
    Every,
}

/// The wrapper. Share it in an `Arc`: faults are armed while the engine runs.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    armed: Vec<Armed>,
    commits: HashMap<UnitName, u64>,
    struck: Vec<(UnitName, Fault)>,
}

struct Armed {
    name: UnitName,
    when: When,
    fault: Fault,
    seen: u64,
}

impl Plan {
    /// Counts one commit and says which fault strikes it: of several, the one armed first.
    fn next(&mut self, name: UnitName) -> Option<Fault> {
        *self.commits.entry(name).or_default() += 1;
        let mut fault = None;
        for armed in self.armed.iter_mut().filter(|armed| armed.name == name) {
            armed.seen += 1;
            let strikes = match armed.when {
                When::Nth(n) => armed.seen == n,
                When::Every => true,
            };
            if strikes && fault.is_none() {
                fault = Some(armed.fault);
            }
        }
        self.struck.extend(fault.map(|fault| (name, fault)));
        fault
    }
}

impl FaultyStore {
    /// Around a store, with no fault armed.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            plan: Mutex::default(),
        }
    }

    /// Arms one more fault.
    pub fn arm(&self, name: UnitName, when: When, fault: Fault) {
        self.plan.lock().armed.push(Armed {
            name,
            when,
            fault,
            seen: 0,
        });
    }

    /// Disarms all faults; what was counted stays.
    pub fn disarm(&self) {
        self.plan.lock().armed.clear();
    }

    /// How many units of this name were handed in, lost ones included.
    pub fn commits(&self, name: UnitName) -> u64 {
        self.plan.lock().commits.get(&name).copied().unwrap_or(0)
    }

    /// The faults that struck, in order. A test whose fault never struck proves nothing: check.
    pub fn struck(&self) -> Vec<(UnitName, Fault)> {
        self.plan.lock().struck.clone()
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn commit(&self, unit: Unit) -> Result<Committed, CommitError> {
        let name = unit.name;
        let fault = self.plan.lock().next(name);
        match fault {
            None => self.inner.commit(unit).await,
            Some(Fault::Unit) => Err(CommitError::Unavailable(format!(
                "{} was lost by the test",
                name.as_str()
            ))),
            Some(Fault::Answer) => match self.inner.commit(unit).await {
                Ok(_) => Err(CommitError::Unknown),
                Err(refused) => Err(refused),
            },
        }
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
        impl $port for FaultyStore {
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

#[cfg(test)]
mod tests {
    use scaivault_core::audit::AuditFilter;
    use scaivault_core::ports::Record;

    use super::*;
    use crate::MemoryStore;
    use crate::store_conformance::samples::{audit, key, tenant};

    fn plan(name: UnitName, when: When, fault: Fault) -> Plan {
        let mut plan = Plan::default();
        plan.armed.push(Armed {
            name,
            when,
            fault,
            seen: 0,
        });
        plan
    }

    #[test]
    fn the_nth_commit_of_the_name_is_struck_and_no_other() {
        let mut plan = plan(UnitName::FanOut, When::Nth(2), Fault::Answer);
        let names = [
            UnitName::FanOut,
            UnitName::SecretWrite,
            UnitName::FanOut,
            UnitName::FanOut,
            UnitName::SecretWrite,
        ];
        let faults = names.map(|name| plan.next(name));
        assert_eq!(faults, [None, None, Some(Fault::Answer), None, None]);
        assert_eq!(plan.struck, [(UnitName::FanOut, Fault::Answer)]);
        assert_eq!(
            (
                plan.commits[&UnitName::FanOut],
                plan.commits[&UnitName::SecretWrite]
            ),
            (3, 2)
        );
    }

    #[test]
    fn every_means_every_and_the_first_armed_wins() {
        let mut plan = plan(UnitName::AuditOnly, When::Nth(1), Fault::Answer);
        plan.armed.push(Armed {
            name: UnitName::AuditOnly,
            when: When::Every,
            fault: Fault::Unit,
            seen: 0,
        });
        let faults = [(); 3].map(|()| plan.next(UnitName::AuditOnly));
        assert_eq!(
            faults,
            [Some(Fault::Answer), Some(Fault::Unit), Some(Fault::Unit)]
        );
    }

    #[tokio::test]
    async fn a_lost_unit_leaves_nothing_a_lost_answer_leaves_the_unit() {
        let store = FaultyStore::new(Arc::new(MemoryStore::new()));
        store.arm(UnitName::KeyringWrite, When::Nth(1), Fault::Unit);
        store.arm(UnitName::KeyringWrite, When::Nth(2), Fault::Answer);
        let unit = || {
            let row = audit(&tenant("a"), 0, "user:x", None);
            Unit::new(UnitName::KeyringWrite)
                .put(Record::Key(key("1")))
                .audited(row)
        };
        assert!(matches!(
            store.commit(unit()).await,
            Err(CommitError::Unavailable(_))
        ));
        assert_eq!(store.key_list().await.unwrap(), []);
        assert_eq!(store.commit(unit()).await, Err(CommitError::Unknown));
        assert_eq!(store.key_list().await.unwrap(), [key("1")]);
        assert!(matches!(
            store.commit(unit()).await,
            Err(CommitError::Conflict(_))
        ));
        let page = store
            .audit_query(&AuditFilter::default(), None, 9)
            .await
            .unwrap();
        assert_eq!(page.rows.len(), 1);
        let struck = [Fault::Unit, Fault::Answer].map(|fault| (UnitName::KeyringWrite, fault));
        assert_eq!(store.struck(), struck);
        assert_eq!(store.commits(UnitName::KeyringWrite), 3);
    }
}
