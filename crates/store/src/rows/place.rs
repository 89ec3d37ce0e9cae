//! Where a document belongs: its table, and the key of its row in two texts.

use std::borrow::Cow;
use std::fmt;

use scaivault_core::access::{AccessPolicy, Binding};
use scaivault_core::audit_export::AuditExport;
use scaivault_core::audit_forward::AuditForward;
use scaivault_core::campaign::Campaign;
use scaivault_core::cubbyhole::CubbyItem;
use scaivault_core::debt::Debt;
use scaivault_core::delivery::Delivery;
use scaivault_core::dynamic::{Engine, Lease, Role};
use scaivault_core::event::Event;
use scaivault_core::identity::Token;
use scaivault_core::machine::{MachineRole, SecretId};
use scaivault_core::mount::Mount;
use scaivault_core::receiver::{Subscription, Webhook};
use scaivault_core::recipe::SecretPolicy;
use scaivault_core::rotation::{Assignment, GroupTurn, Rotation, RotationPolicy};
use scaivault_core::secret::{SecretHead, Version};
use scaivault_core::target::Target;
use scaivault_core::tenancy::{Partner, Tenant};
use scaivault_core::time::Timestamp;
use scaivault_core::transit::TransitKey;
use serde::Serialize;

use crate::transfer::{Row, Table, Value};

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table.
    pub table: &'static str,
    /// The tenant; where rows have none, the table's name once more.
    pub space: Cow<'a, str>,
    /// The rest of the key.
    pub key: Cow<'a, str>,
}

impl<'a> Place<'a> {
    /// A row of this table.
    pub fn new(
        table: &'static str,
        space: impl Into<Cow<'a, str>>,
        key: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self {
            table,
            space: space.into(),
            key: key.into(),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.space, self.key)
    }
}

/// What claims write into the columns of a row, and not into its document: when it is worked on, and
/// by a write of which number. It says nothing of what is done, and has no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are named so")]
pub struct Claimed {
    pub revision: u64,
    pub until: Option<Timestamp>,
    pub wake_at: Option<Timestamp>,
}

/// A record that is stored as a document with a code.
pub trait Document: Serialize {
    /// Its table.
    const TABLE: &'static str;
    /// Whether claims write columns of its row.
    const CLAIMED: bool = false;
    /// Its row.
    fn place(&self) -> Place<'_>;
    /// Puts what the columns say over what the document says.
    fn claimed(&mut self, _: Claimed) {}
}

macro_rules! documents {
    ($($kind:ident in $table:literal: $row:ident => $space:expr, $key:expr;)*) => {$(
        impl Document for $kind {
            const TABLE: &'static str = $table;
            fn place(&self) -> Place<'_> {
                let $row = self;
                Place::new($table, $space, $key)
            }
        }
    )*};
}

documents! {
    Partner in "partner": row => "partner", row.id.as_str();
    Tenant in "tenant": row => "tenant", row.id.as_str();
    SecretHead in "secret": row => row.tenant.as_str(), row.path.as_str();
    Version in "version": row => row.tenant.as_str(), version_key(row.path.as_str(), row.version);
    AccessPolicy in "policy": row => row.tenant.as_str(), row.id.as_str();
    Binding in "binding": row => row.tenant.as_str(), row.id.as_str();
    Token in "token": row => row.tenant.as_str(), row.id.as_str();
    MachineRole in "machine_role": row => row.tenant.as_str(), row.name.as_str();
    SecretId in "secret_id": row => row.tenant.as_str(), row.id.as_str();
    RotationPolicy in "rotation_policy": row => row.tenant.as_str(), row.id.as_str();
    SecretPolicy in "secret_policy": row => row.tenant.as_str(), row.id.as_str();
    Target in "target": row => row.tenant.as_str(), row.id.as_str();
    GroupTurn in "group_turn": row => row.tenant.as_str(), row.group.as_str();
    Campaign in "campaign": row => row.tenant.as_str(), row.id.as_str();
    AuditExport in "audit_export": row => row.tenant.as_str(), row.id.as_str();
    AuditForward in "audit_forward": row => "audit_forward", row.name.as_str();
    Mount in "mount": row => row.tenant.as_str(), row.path.as_str();
    CubbyItem in "cubby": row => row.tenant.as_str(),
        format!("{}/{}", row.token_id.as_str(), row.path);
    TransitKey in "transit_key": row => row.tenant.as_str(),
        format!("{}/{}", row.mount, row.name);
    Debt in "debt": row => row.tenant.as_str(), row.id.as_str();
    Engine in "engine": row => row.tenant.as_str(), row.id.as_str();
    Role in "engine_role": row => row.tenant.as_str(),
        format!("{}/{}", row.engine_id.as_str(), row.name);
    Lease in "lease": row => row.tenant.as_str(), row.id.as_str();
    Webhook in "webhook": row => row.tenant.as_str(), row.id.as_str();
    Subscription in "subscription": row => row.tenant.as_str(), row.id.as_str();
    Event in "event": row => row.tenant.as_str(), row.id.as_str();
}

macro_rules! claimed_documents {
    ($($kind:ident in $table:literal by $key:ident: $row:ident, $claim:ident => $put:block)*) => {$(
        impl Document for $kind {
            const TABLE: &'static str = $table;
            const CLAIMED: bool = true;
            fn place(&self) -> Place<'_> {
                Place::new($table, self.tenant.as_str(), self.$key.as_str())
            }
            fn claimed(&mut self, $claim: Claimed) {
                let $row = self;
                $row.revision = $claim.revision;
                $row.claimed_until = $claim.until;
                $put
            }
        }
    )*};
}

claimed_documents! {
    // Waking all of a policy is a statement over columns, too.
    Assignment in "assignment" by path: row, claim => { row.wake_at = claim.wake_at; }
    Rotation in "rotation" by id: row, claim => {}
    Delivery in "delivery" by id: row, claim => {}
}

/// The key of a version. SQL says `path || '#' || version`.
fn version_key(path: &str, version: impl fmt::Display) -> String {
    format!("{path}#{version}")
}

/// Whether documents of this table have codes.
pub fn is_coded(table: &Table) -> bool {
    table.name != "keyring" && table.names().any(|name| name == "doc")
}

/// The place of a row as its columns say it; `None` for a table whose documents have no code, or
/// that has none.
pub fn place_of<'a>(table: &'static Table, row: &'a Row) -> Option<Place<'a>> {
    let text = |column| row[table.at(column)].text();
    Some(match table.name {
        _ if !is_coded(table) => return None,
        "partner" | "tenant" => Place::new(table.name, table.name, text("id")),
        "audit_forward" => Place::new(table.name, table.name, text("name")),
        "cubby" => Place::new(
            table.name,
            text("tenant"),
            format!("{}/{}", text("token_id"), text("path")),
        ),
        "transit_key" => Place::new(
            table.name,
            text("tenant"),
            format!("{}/{}", text("mount"), text("name")),
        ),
        "event" => Place::new(table.name, text("tenant"), text("id")),
        "engine_role" => Place::new(
            table.name,
            text("tenant"),
            format!("{}/{}", text("engine_id"), text("name")),
        ),
        "version" => {
            let version = match &row[table.at("version")] {
                Value::Int(number) => *number,
                _ => 0,
            };
            Place::new(
                table.name,
                text("tenant"),
                version_key(text("path"), version),
            )
        }
        _ => Place::new(table.name, row[0].text(), row[1].text()),
    })
}
