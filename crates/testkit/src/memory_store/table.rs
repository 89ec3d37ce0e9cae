//! Rows by tenant and key, written by revision.

use std::collections::BTreeMap;

use scaivault_core::access::{AccessPolicy, Binding};
use scaivault_core::audit_export::AuditExport;
use scaivault_core::audit_forward::AuditForward;
use scaivault_core::campaign::Campaign;
use scaivault_core::cubbyhole::CubbyItem;
use scaivault_core::debt::Debt;
use scaivault_core::delivery::Delivery;
use scaivault_core::dynamic::{Engine, Lease, Role};
use scaivault_core::identity::Token;
use scaivault_core::ids::{EngineId, TenantId, TokenId};
use scaivault_core::machine::{MachineRole, SecretId};
use scaivault_core::mount::Mount;
use scaivault_core::ports::{CommitError, RecordKind};
use scaivault_core::receiver::{Subscription, Webhook};
use scaivault_core::recipe::SecretPolicy;
use scaivault_core::rotation::{Assignment, GroupTurn, Rotation, RotationPolicy};
use scaivault_core::seal::KeyRecord;
use scaivault_core::secret::{SecretHead, Version};
use scaivault_core::target::Target;
use scaivault_core::tenancy::{Partner, Tenant};
use scaivault_core::transit::TransitKey;

/// What a table needs to know of its rows.
pub(super) trait Row: Clone {
    const KIND: RecordKind;
    fn key(&self) -> (String, String);
    fn revision(&self) -> u64;
}

#[derive(Clone)]
pub(super) struct Table<R>(pub(super) BTreeMap<(String, String), R>);

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R: Row> Table<R> {
    pub(super) fn find(&self, tenant: &TenantId, key: &str) -> Option<R> {
        self.0.get(&(tenant.to_string(), key.to_owned())).cloned()
    }

    /// A tenant's rows, by key.
    pub(super) fn of<'a>(&'a self, tenant: &'a TenantId) -> impl DoubleEndedIterator<Item = &'a R> {
        self.0
            .iter()
            .filter(|(key, _)| key.0 == tenant.as_str())
            .map(|(_, row)| row)
    }

    /// Writes the row behind the one it follows.
    pub(super) fn put(&mut self, row: &R) -> Result<(), CommitError> {
        let stored = self.0.get(&row.key()).map_or(0, Row::revision);
        if row.revision().checked_sub(1) != Some(stored) {
            return Err(CommitError::Conflict(R::KIND));
        }
        self.0.insert(row.key(), row.clone());
        Ok(())
    }

    /// The same where another row must not have `field`.
    pub(super) fn put_unique<F: PartialEq>(
        &mut self,
        row: &R,
        name: &'static str,
        field: impl Fn(&R) -> F,
    ) -> Result<(), CommitError> {
        let stored = self.0.get(&row.key()).map_or(0, Row::revision);
        let taken = |other: &R| other.key() != row.key() && field(other) == field(row);
        if row.revision().checked_sub(1) == Some(stored) && self.0.values().any(taken) {
            return Err(CommitError::Duplicate(R::KIND, name));
        }
        self.put(row)
    }

    /// Removes the row with this very revision.
    pub(super) fn delete(&mut self, row: &R) -> Result<(), CommitError> {
        match self.0.get(&row.key()) {
            Some(stored) if stored.revision() == row.revision() => {
                self.0.remove(&row.key());
                Ok(())
            }
            _ => Err(CommitError::Conflict(R::KIND)),
        }
    }
}

/// Rows whose key is behind `after`.
pub(super) fn page<'a, R: Row + 'a>(
    rows: impl Iterator<Item = &'a R>,
    after: Option<&str>,
    limit: usize,
) -> Vec<R> {
    let behind = |row: &&R| after.is_none_or(|after| row.key().1.as_str() > after);
    rows.filter(behind).take(limit).cloned().collect()
}

/// Rows whose key is below `after`, the greatest first.
pub(super) fn page_down<'a, R: Row + 'a>(
    rows: impl DoubleEndedIterator<Item = &'a R>,
    after: Option<&str>,
    limit: usize,
) -> Vec<R> {
    let below = |row: &&R| after.is_none_or(|after| row.key().1.as_str() < after);
    rows.rev().filter(below).take(limit).cloned().collect()
}

/// The key of a version.
pub(super) fn version_key(path: &str, version: u64) -> String {
    format!("{path} {version:020}")
}

/// The key of a role.
pub(super) fn role_key(engine: &EngineId, name: &str) -> String {
    format!("{engine} {name}")
}

/// The key of what a token keeps.
pub(super) fn cubby_key(token: &TokenId, path: &str) -> String {
    format!("{token} {path}")
}

/// The key of a key that others use.
pub(super) fn transit_key(mount: &str, name: &str) -> String {
    format!("{mount}/{name}")
}

macro_rules! rows {
    ($($row:ident = $kind:ident by |$it:ident| $tenant:expr, $key:expr;)*) => {$(
        impl Row for $row {
            const KIND: RecordKind = RecordKind::$kind;

            fn key(&self) -> (String, String) {
                let $it = self;
                ($tenant.to_string(), $key.to_string())
            }

            fn revision(&self) -> u64 {
                self.revision
            }
        }
    )*};
}

rows! {
    SecretHead = Secret by |row| row.tenant, row.path;
    Version = Version by |row| row.tenant, version_key(row.path.as_str(), row.version);
    AccessPolicy = Policy by |row| row.tenant, row.id;
    Binding = Binding by |row| row.tenant, row.id;
    Token = Token by |row| row.tenant, row.id;
    MachineRole = MachineRole by |row| row.tenant, row.name;
    SecretId = SecretId by |row| row.tenant, row.id;
    RotationPolicy = RotationPolicy by |row| row.tenant, row.id;
    SecretPolicy = SecretPolicy by |row| row.tenant, row.id;
    Assignment = Assignment by |row| row.tenant, row.path;
    Rotation = Rotation by |row| row.tenant, row.id;
    Target = Target by |row| row.tenant, row.id;
    GroupTurn = GroupTurn by |row| row.tenant, row.group;
    Campaign = Campaign by |row| row.tenant, row.id;
    AuditExport = AuditExport by |row| row.tenant, row.id;
    AuditForward = AuditForward by |row| "", row.name;
    Mount = Mount by |row| row.tenant, row.path;
    CubbyItem = Cubby by |row| row.tenant, cubby_key(&row.token_id, &row.path);
    TransitKey = Transit by |row| row.tenant, transit_key(&row.mount, &row.name);
    Debt = Debt by |row| row.tenant, row.id;
    Webhook = Webhook by |row| row.tenant, row.id;
    Subscription = Subscription by |row| row.tenant, row.id;
    Delivery = Delivery by |row| row.tenant, row.id;
    KeyRecord = Key by |row| "", row.id;
    Partner = Partner by |row| "", row.id;
    Tenant = Tenant by |row| "", row.id;
    Engine = Engine by |row| row.tenant, row.id;
    Role = Role by |row| row.tenant, role_key(&row.engine_id, &row.name);
    Lease = Lease by |row| row.tenant, row.id;
}
