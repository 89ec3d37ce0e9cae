//! What commits change that somebody may hold in memory, and how one node hears of another's.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::store::ReadError;
use super::unit::{Op, Record, Unit, UnitName};
use crate::identity::TokenHash;
use crate::ids::TenantId;
use crate::path::SecretPath;

/// More secrets or tokens than this are told as "everything".
const NAMED_MAX: usize = 2_000;

/// What some commits changed, as far as it concerns memory: cached rows and whoever waits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Changes {
    /// Secrets: their heads, versions, or what is attached to them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub secrets: BTreeSet<(TenantId, SecretPath)>,
    /// Tokens.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tokens: BTreeSet<TokenHash>,
    /// Some access policy or binding.
    #[serde(skip_serializing_if = "is_false")]
    pub grants: bool,
    /// Some webhook or subscription.
    #[serde(skip_serializing_if = "is_false")]
    pub receivers: bool,
    /// Events entered the outbox.
    #[serde(skip_serializing_if = "is_false")]
    pub outbox: bool,
    /// Schedules, rotations, campaigns or debts.
    #[serde(skip_serializing_if = "is_false")]
    pub work: bool,
    /// Deliveries.
    #[serde(skip_serializing_if = "is_false")]
    pub deliveries: bool,
    /// Some partner or tenant.
    #[serde(skip_serializing_if = "is_false")]
    pub tenants: bool,
    /// Some mount.
    #[serde(skip_serializing_if = "is_false")]
    pub mounts: bool,
    /// Some key that others use.
    #[serde(skip_serializing_if = "is_false")]
    pub transit: bool,
    /// Some target, or an engine or role of credentials on request.
    #[serde(skip_serializing_if = "is_false")]
    pub ways: bool,
    /// Keys of the keyring.
    #[serde(skip_serializing_if = "is_false")]
    pub keys: bool,
    /// Nobody knows what: everything held is to be forgotten.
    #[serde(skip_serializing_if = "is_false")]
    pub everything: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Changes {
    /// What a unit changes when it is applied.
    pub fn of(unit: &Unit) -> Self {
        let mut changes = Self::default();
        // When it was read last is asked of the store, not of what others hold in memory.
        if unit.name == UnitName::SubscriptionRead {
            return changes;
        }
        for op in &unit.ops {
            changes.add(op);
        }
        changes
    }

    /// Nobody needs to hear of it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in what others changed, too.
    pub fn merge(&mut self, other: Self) {
        self.secrets.extend(other.secrets);
        self.tokens.extend(other.tokens);
        self.grants |= other.grants;
        self.receivers |= other.receivers;
        self.outbox |= other.outbox;
        self.work |= other.work;
        self.deliveries |= other.deliveries;
        self.tenants |= other.tenants;
        self.mounts |= other.mounts;
        self.transit |= other.transit;
        self.ways |= other.ways;
        self.keys |= other.keys;
        self.everything |= other.everything;
        if self.secrets.len() + self.tokens.len() > NAMED_MAX {
            self.secrets.clear();
            self.tokens.clear();
            self.everything = true;
        }
    }

    fn add(&mut self, op: &Op) {
        match op {
            Op::Put(record) | Op::Delete(record) => self.add_record(record),
            Op::VersionInsert(sealed) => {
                self.secret(&sealed.version.tenant, &sealed.version.path);
            }
            Op::VersionDelete { tenant, path, .. } => self.secret(tenant, path),
            Op::SecretErase(head) => self.secret(&head.tenant, &head.path),
            Op::ConsumerReport(_) => {}
            Op::Emit(_) => self.outbox = true,
            Op::FanOutAdvance { .. } => self.deliveries = true,
            Op::AssignmentsWake { .. } => self.work = true,
            Op::BufferTrim { .. }
            | Op::EventsPrune { .. }
            | Op::AuditPrune { .. }
            | Op::LeasesPrune { .. } => {}
            // What was held may go on.
            Op::Mark(_) => self.work = true,
        }
    }

    fn add_record(&mut self, record: &Record) {
        match record {
            Record::Secret(head) => self.secret(&head.tenant, &head.path),
            Record::Version(row) => self.secret(&row.tenant, &row.path),
            Record::Policy(_) | Record::Binding(_) => self.grants = true,
            Record::Token(token) => {
                self.tokens.insert(token.hash);
            }
            Record::Webhook(_) | Record::Subscription(_) => self.receivers = true,
            Record::Assignment(row) => {
                // Readers are told the attached policy beside the value.
                self.secret(&row.tenant, &row.path);
                self.work = true;
            }
            Record::Rotation(_) | Record::Campaign(_) | Record::Debt(_) => self.work = true,
            Record::Delivery(_) => self.deliveries = true,
            Record::RotationPolicy(_)
            | Record::MachineRole(_)
            | Record::SecretId(_)
            | Record::AuditExport(_)
            | Record::AuditForward(_)
            | Record::Cubby(_)
            | Record::SecretPolicy(_)
            | Record::GroupTurn(_) => {}
            // Whoever makes a lease looks after its end; other nodes look now and then.
            Record::Lease(_) => {}
            Record::Engine(_) | Record::Role(_) | Record::Target(_) => self.ways = true,
            Record::Mount(_) => self.mounts = true,
            Record::Transit(_) => self.transit = true,
            Record::Key(_) => self.keys = true,
            Record::Partner(_) => self.tenants = true,
            Record::Tenant(_) => {
                self.tenants = true;
                // What stood still may go on.
                self.work = true;
            }
        }
    }

    fn secret(&mut self, tenant: &TenantId, path: &SecretPath) {
        self.secrets.insert((tenant.clone(), path.clone()));
    }
}

/// Where a node hears what other nodes of the same store changed.
#[async_trait]
pub trait ChangeFeed: Send + Sync {
    /// Everything that other nodes made durable before this look began and that no look before
    /// told. The first one, and one after a gap, answer [`Changes::everything`].
    ///
    /// # Errors
    /// The store cannot say. Nothing is lost: the next look that succeeds tells it.
    async fn look(&self) -> Result<Changes, ReadError>;

    /// Completes when there may be something to look for. It may come late or never: whoever must
    /// be certain looks by the clock.
    async fn news(&self);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::UnitName;

    fn path(text: &str) -> (TenantId, SecretPath) {
        let tenant = TenantId::parse("tnt_default").unwrap();
        (tenant, SecretPath::parse(text).unwrap())
    }

    #[test]
    fn a_unit_without_changes_concerns_nobody() {
        assert!(Changes::of(&Unit::new(UnitName::AuditOnly)).is_empty());
    }

    #[test]
    fn what_is_told_is_read_back() {
        let mut changes = Changes {
            grants: true,
            work: true,
            ..Changes::default()
        };
        changes.secrets.insert(path("app/db"));
        let text = serde_json::to_string(&changes).unwrap();
        assert!(
            !text.contains("everything"),
            "what is not there is not told"
        );
        assert_eq!(serde_json::from_str::<Changes>(&text).unwrap(), changes);
        // An older or newer release may tell less or more.
        let other: Changes = serde_json::from_str(r#"{"grants":true,"later":1}"#).unwrap();
        assert!(other.grants && !other.work);
    }

    #[test]
    fn too_many_names_become_everything() {
        let many = |from: usize| Changes {
            secrets: (from..from + 1_500)
                .map(|n| path(&format!("a/{n}")))
                .collect(),
            ..Changes::default()
        };
        let mut all = many(0);
        all.merge(many(100));
        assert!(!all.everything, "1,600 different ones");
        all.merge(many(9_000));
        assert!(all.everything && all.secrets.is_empty());
    }
}
