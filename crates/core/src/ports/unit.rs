//! The unit of work: what one commit changes, as data.
//!
//! The engine reads, decides (purely), and hands the store one [`Unit`]: rows to put and delete,
//! events for the outbox, audit rows, reads for the consumer ledger. The store applies all of it
//! or none, durably, in one commit (shared with other waiting units), and answers after. Since a
//! unit is data, no transaction can span a remote effect, the same unit runs on any engine, and a
//! test can lose it, or its answer, at any of the named points ([`UnitName`]).
//!
//! Every row carries `revision`, *the number this write makes*: the store accepts a put only when
//! the stored row has the number before it (1 means: no such row). A claim by a worker makes a
//! new number too, so a worker that outlived its claim, or lost any race, gets
//! [`CommitError::Conflict`] from the very statement that writes.

use super::marks::StoreMarks;
use crate::access::{AccessPolicy, Binding};
use crate::audit::AuditRow;
use crate::audit_anchor::AuditAnchor;
use crate::audit_export::AuditExport;
use crate::audit_forward::AuditForward;
use crate::campaign::Campaign;
use crate::consumer::{ConsumerRead, ConsumerReport};
use crate::cubbyhole::CubbyItem;
use crate::debt::Debt;
use crate::delivery::Delivery;
use crate::dynamic::{Engine, Lease, Role};
use crate::event::Event;
use crate::identity::Token;
use crate::ids::{RotationPolicyId, TenantId};
use crate::machine::{MachineRole, SecretId};
use crate::mount::Mount;
use crate::path::SecretPath;
use crate::receiver::{Subscription, Webhook};
use crate::recipe::SecretPolicy;
use crate::rotation::{Assignment, GroupTurn, Rotation, RotationPolicy};
use crate::seal::KeyRecord;
use crate::secret::{SealedVersion, SecretHead, Version};
use crate::target::Target;
use crate::tenancy::{Partner, Tenant};
use crate::time::Timestamp;
use crate::transit::TransitKey;

macro_rules! unit_names {
    ($($name:ident = $text:literal;)*) => {
        /// Every commit the engine makes has a name. The list is the registry of crash points:
        /// a fault test runs over each of them, before and after.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the words beside them say it")]
        pub enum UnitName { $($name,)* }

        impl UnitName {
            /// Every name.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// For logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

unit_names! {
    AuditOnly = "audit_only";
    AuditPrune = "audit_prune";
    ExportWrite = "export_write";
    ExportStep = "export_step";
    AuditForward = "audit_forward";
    SecretWrite = "secret_write";
    SecretMetadata = "secret_metadata";
    SecretDelete = "secret_delete";
    SecretUndelete = "secret_undelete";
    SecretPurge = "secret_purge";
    SecretNotice = "secret_notice";
    PolicyWrite = "policy_write";
    PolicyDelete = "policy_delete";
    BindingWrite = "binding_write";
    BindingDelete = "binding_delete";
    TokenWrite = "token_write";
    TokenUse = "token_use";
    TokenSettle = "token_settle";
    MachineRoleWrite = "machine_role_write";
    MachineRoleDelete = "machine_role_delete";
    SecretIdWrite = "secret_id_write";
    MachineLogin = "machine_login";
    RotationPolicyWrite = "rotation_policy_write";
    RotationPolicyDelete = "rotation_policy_delete";
    SecretPolicyWrite = "secret_policy_write";
    SecretPolicyDelete = "secret_policy_delete";
    AssignmentWrite = "assignment_write";
    AssignmentDelete = "assignment_delete";
    ScheduleWarn = "schedule_warn";
    ScheduleWait = "schedule_wait";
    ScheduleProbe = "schedule_probe";
    RotationOpen = "rotation_open";
    RotationAnnounce = "rotation_announce";
    RotationGenerate = "rotation_generate";
    RotationPromote = "rotation_promote";
    RotationWithdraw = "rotation_withdraw";
    RotationOverdue = "rotation_overdue";
    RotationClose = "rotation_close";
    RotationAbandon = "rotation_abandon";
    RotationPark = "rotation_park";
    RotationWait = "rotation_wait";
    RotationFail = "rotation_fail";
    RotationPlan = "rotation_plan";
    RotationSend = "rotation_send";
    RotationSent = "rotation_sent";
    RotationLook = "rotation_look";
    RotationEnter = "rotation_enter";
    RotationStepBack = "rotation_step_back";
    RotationDemote = "rotation_demote";
    RotationFinish = "rotation_finish";
    RotationAct = "rotation_act";
    CampaignWrite = "campaign_write";
    CampaignStep = "campaign_step";
    CampaignAct = "campaign_act";
    RehearsalBegin = "rehearsal_begin";
    RehearsalEnd = "rehearsal_end";
    DebtClaim = "debt_claim";
    DebtStep = "debt_step";
    DebtSettle = "debt_settle";
    DebtRetry = "debt_retry";
    DebtWriteOff = "debt_write_off";
    DebtSweep = "debt_sweep";
    ConsumerAck = "consumer_ack";
    TargetWrite = "target_write";
    TargetDelete = "target_delete";
    WebhookWrite = "webhook_write";
    WebhookDelete = "webhook_delete";
    SubscriptionWrite = "subscription_write";
    SubscriptionDelete = "subscription_delete";
    SubscriptionAck = "subscription_ack";
    SubscriptionRead = "subscription_read";
    SubscriptionExpire = "subscription_expire";
    FanOut = "fan_out";
    DeliveryDone = "delivery_done";
    DeliveryHold = "delivery_hold";
    DeliveryReplay = "delivery_replay";
    Housekeeping = "housekeeping";
    KeyringWrite = "keyring_write";
    PartnerWrite = "partner_write";
    TenantWrite = "tenant_write";
    StoreResume = "store_resume";
    EngineWrite = "engine_write";
    EngineDelete = "engine_delete";
    RoleWrite = "role_write";
    RoleDelete = "role_delete";
    LeaseIntend = "lease_intend";
    LeaseMade = "lease_made";
    LeaseNotMade = "lease_not_made";
    LeaseRenew = "lease_renew";
    LeaseEnd = "lease_end";
    LeaseTake = "lease_take";
    LeaseRemoved = "lease_removed";
    LeaseLook = "lease_look";
    LeaseFound = "lease_found";
    MountWrite = "mount_write";
    VersionsDelete = "versions_delete";
    VersionsUndelete = "versions_undelete";
    VersionsDestroy = "versions_destroy";
    CubbyWrite = "cubby_write";
    TransitWrite = "transit_write";
    TransitDelete = "transit_delete";
    Wrap = "wrap";
    Unwrap = "unwrap";
}

/// A row to put.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A secret's head.
    Secret(SecretHead),
    /// A version's row without its value: state changes.
    Version(Version),
    /// An access policy.
    Policy(AccessPolicy),
    /// A binding.
    Binding(Binding),
    /// A token.
    Token(Token),
    /// A role that machines log in by. Removing it removes its secret ids.
    MachineRole(MachineRole),
    /// A secret id.
    SecretId(SecretId),
    /// A rotation policy.
    RotationPolicy(RotationPolicy),
    /// A recipe for values.
    SecretPolicy(SecretPolicy),
    /// A secret's schedule.
    Assignment(Assignment),
    /// A rotation.
    Rotation(Rotation),
    /// A target.
    Target(Target),
    /// Whose turn it is in a group.
    GroupTurn(GroupTurn),
    /// A run of many rotations.
    Campaign(Campaign),
    /// Something to be removed at a target.
    Debt(Debt),
    /// A webhook.
    Webhook(Webhook),
    /// A subscription.
    Subscription(Subscription),
    /// A delivery.
    Delivery(Delivery),
    /// A wrapped key.
    Key(KeyRecord),
    /// An owner of tenants.
    Partner(Partner),
    /// A tenant.
    Tenant(Tenant),
    /// Something that makes credentials on request.
    Engine(Engine),
    /// What they may do.
    Role(Role),
    /// One of them.
    Lease(Lease),
    /// An export of the audit trail.
    AuditExport(AuditExport),
    /// How far the trail was handed over to a collector.
    AuditForward(AuditForward),
    /// Where clients of another API find what.
    Mount(Mount),
    /// What a token keeps for itself.
    Cubby(CubbyItem),
    /// A key that others use.
    Transit(TransitKey),
}

/// Which kind of row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum RecordKind {
    Secret,
    Version,
    Policy,
    Binding,
    Token,
    MachineRole,
    SecretId,
    RotationPolicy,
    SecretPolicy,
    Assignment,
    Rotation,
    Target,
    GroupTurn,
    Campaign,
    Debt,
    Webhook,
    Subscription,
    Delivery,
    Key,
    Partner,
    Tenant,
    AuditAnchor,
    AuditExport,
    AuditForward,
    Engine,
    Mount,
    Cubby,
    Transit,
    Lease,
    Role,
}

impl Record {
    /// Its kind.
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::Secret(_) => RecordKind::Secret,
            Self::Version(_) => RecordKind::Version,
            Self::Policy(_) => RecordKind::Policy,
            Self::Binding(_) => RecordKind::Binding,
            Self::Token(_) => RecordKind::Token,
            Self::MachineRole(_) => RecordKind::MachineRole,
            Self::SecretId(_) => RecordKind::SecretId,
            Self::RotationPolicy(_) => RecordKind::RotationPolicy,
            Self::SecretPolicy(_) => RecordKind::SecretPolicy,
            Self::Assignment(_) => RecordKind::Assignment,
            Self::Rotation(_) => RecordKind::Rotation,
            Self::Target(_) => RecordKind::Target,
            Self::GroupTurn(_) => RecordKind::GroupTurn,
            Self::Campaign(_) => RecordKind::Campaign,
            Self::Debt(_) => RecordKind::Debt,
            Self::Webhook(_) => RecordKind::Webhook,
            Self::Subscription(_) => RecordKind::Subscription,
            Self::Delivery(_) => RecordKind::Delivery,
            Self::Key(_) => RecordKind::Key,
            Self::Partner(_) => RecordKind::Partner,
            Self::Tenant(_) => RecordKind::Tenant,
            Self::Engine(_) => RecordKind::Engine,
            Self::Role(_) => RecordKind::Role,
            Self::Lease(_) => RecordKind::Lease,
            Self::AuditExport(_) => RecordKind::AuditExport,
            Self::AuditForward(_) => RecordKind::AuditForward,
            Self::Mount(_) => RecordKind::Mount,
            Self::Cubby(_) => RecordKind::Cubby,
            Self::Transit(_) => RecordKind::Transit,
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// Insert (`revision` 1) or replace the row with the number before.
    Put(Record),
    /// Remove the row with this very `revision` (the record's, as read).
    Delete(Record),
    /// Insert a version with its value. The row must not exist.
    VersionInsert(SealedVersion),
    /// Remove one version and its value. Removing what is not there succeeds.
    VersionDelete {
        /// Owner.
        tenant: TenantId,
        /// The secret.
        path: SecretPath,
        /// Which.
        version: u64,
    },
    /// Remove a secret with all versions, its ledger and its assignment; the head must have this
    /// very `revision`.
    SecretErase(SecretHead),
    /// Note in the ledger what a consumer says of a version it holds.
    ConsumerReport(ConsumerReport),
    /// Put an event into the outbox, with the next sequence number of its path.
    Emit(Event),
    /// Move the fan-out mark from one outbox position to another; refused when it is not there.
    FanOutAdvance {
        /// Where it must be.
        from: u64,
        /// Where it goes.
        to: u64,
    },
    /// Wake every assignment of a policy at `at`, so that the scheduler looks at it again.
    AssignmentsWake {
        /// Owner.
        tenant: TenantId,
        /// The policy.
        policy_id: RotationPolicyId,
        /// When.
        at: Timestamp,
    },
    /// Drop unacknowledged deliveries of a polling subscription beyond its newest `keep`.
    BufferTrim {
        /// The subscription's id.
        receiver: String,
        /// How many stay.
        keep: u32,
    },
    /// Remove events fanned out before `before` with no pending delivery, and their deliveries.
    /// One that waits to be fetched by a subscription which is gone is not pending. So are ended
    /// deliveries made before then that have no event: those of tests.
    EventsPrune {
        /// Older ones go.
        before: Timestamp,
    },
    /// Remove leases that ended before `before`, at most so many in one commit.
    LeasesPrune {
        /// Older ones go.
        before: Timestamp,
        /// At most.
        limit: usize,
    },
    /// Remove the audit rows of a chain up to its new anchor, and the entries of the index that go
    /// along; refused when the anchor before is another.
    AuditPrune {
        /// The new anchor.
        anchor: AuditAnchor,
        /// The last row of the anchor before; 0 for none.
        after: u64,
        /// Entries of the index, as the store gave them.
        index: Vec<(i64, i64)>,
    },
    /// Set the marks of the store as a whole.
    Mark(StoreMarks),
}

/// What one commit changes. Applied whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// Its name.
    pub name: UnitName,
    /// In this order.
    pub ops: Vec<Op>,
    /// Rows for the audit chain.
    pub audit: Vec<AuditRow>,
    /// Reads for the consumer ledger.
    pub reads: Vec<ConsumerRead>,
}

impl Unit {
    /// An empty unit.
    pub fn new(name: UnitName) -> Self {
        Self {
            name,
            ops: Vec::new(),
            audit: Vec::new(),
            reads: Vec::new(),
        }
    }

    /// One audit row and nothing else.
    pub fn audit_only(row: AuditRow) -> Self {
        Self {
            audit: vec![row],
            ..Self::new(UnitName::AuditOnly)
        }
    }

    /// With everything of another unit behind its own: one commit instead of two.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.ops.extend(other.ops);
        self.audit.extend(other.audit);
        self.reads.extend(other.reads);
        self
    }

    /// With one more change.
    #[must_use]
    pub fn op(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// With one more row to put.
    #[must_use]
    pub fn put(self, record: Record) -> Self {
        self.op(Op::Put(record))
    }

    /// With one more event.
    #[must_use]
    pub fn emit(self, event: Event) -> Self {
        self.op(Op::Emit(event))
    }

    /// With one more audit row.
    #[must_use]
    pub fn audited(mut self, row: AuditRow) -> Self {
        self.audit.push(row);
        self
    }
}

/// A unit was applied and is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Committed {
    /// Events it put into the outbox.
    pub events: usize,
}

/// A unit was not applied, or nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A row was not at the expected number. Read again and decide again.
    #[error("{0:?} was changed by someone else")]
    Conflict(RecordKind),
    /// A unique field (a name, a token's hash) is taken by another row.
    #[error("another {0:?} has this {1}")]
    Duplicate(RecordKind, &'static str),
    /// Not applied: the store cannot write now. The text is for operators, free of values.
    #[error("the store cannot write: {0}")]
    Unavailable(String),
    /// Perhaps applied, perhaps not: the answer did not come in time. Read to find out.
    #[error("the outcome of the commit is not known")]
    Unknown,
}
