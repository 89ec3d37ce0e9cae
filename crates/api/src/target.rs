//! Targets, looks at them, connectors.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::trouble::Trouble;

/// Body of `POST /v1/rotation/targets`. Not `Debug`: somebody may have put a credential into the
/// settings, which is refused.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetBody {
    /// Unique in the tenant.
    pub name: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `postgresql`, `mysql`, `redis`, `http_key`; see `GET /v1/rotation/connectors`.
    pub connector: String,
    /// Where and how, in the connector's own fields. Never a credential.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
    /// The secret with the credential that changes the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager_path: Option<String>,
}

/// Body of `PATCH /v1/rotation/targets/{id}`: only given fields change.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in TargetBody")]
pub struct TargetPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Only given settings change; `null` removes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager_path: Option<String>,
    /// The settings mean the same server under another address: credentials that engines made there
    /// are found there. Without it a target whose leases have not ended does not move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_accounts: Option<bool>,
}

/// A target.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in TargetBody")]
pub struct Target {
    /// `tgt_…`
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub connector: String,
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
    pub manager_path: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// `GET /v1/rotation/targets`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TargetList {
    pub data: Vec<Target>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// Body of `POST /v1/rotation/targets/{id}/check`. Empty: the target in general.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetCheckBody {
    /// Settings of an attachment: which accounts, in the connector's own fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub account: Option<Map<String, Value>>,
    /// `two_users`, `two_passwords`, `n_keys` or `none`; with `account`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
}

/// What a look at a target came to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TargetCheck {
    /// `tgt_…`
    pub target_id: String,
    /// Its name.
    pub target_name: String,
    /// What spoke to it.
    pub connector: String,
    /// When.
    pub checked_at: String,
    /// Whether the manager got in, lacks nothing, and the overlap asked for is supported.
    pub ready: bool,
    /// Why it could not be looked at. The fields below are empty then.
    pub trouble: Option<Trouble>,
    /// Product and version.
    pub server: Option<String>,
    /// The account the manager logged in as.
    pub manager: Option<String>,
    /// What the manager may do.
    pub may: Vec<String>,
    /// What it lacks.
    pub missing: Vec<MissingRight>,
    /// The overlaps this target supports, safest first.
    pub overlaps: Vec<String>,
    /// What works but should be known.
    pub warnings: Vec<String>,
}

/// A right that the manager lacks.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MissingRight {
    /// What cannot be done without it.
    pub what: String,
    /// The exact statement to run, as somebody who may.
    pub statement: String,
}

/// `GET /v1/rotation/connectors`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ConnectorList {
    pub connectors: Vec<Connector>,
}

/// A kind of target that can be spoken to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Connector {
    /// Its name in requests.
    pub name: String,
    /// One line.
    pub about: String,
    /// The overlaps it can do, safest first. What a given target can do, a check tells.
    pub overlaps: Vec<String>,
    /// Whether a target of it needs `manager_path`.
    pub needs_manager: bool,
    /// Whether it can change the manager's own credential.
    pub rotates_manager: bool,
}
