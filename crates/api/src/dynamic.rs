//! Engines that make credentials on request, their roles, and leases.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::target::MissingRight;
use crate::trouble::Trouble;

/// Where an engine works. Either a target that is there, or a connection.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// The kind of target: `postgresql`, `mysql`, `redis`, `http_key`.
    #[schema(example = "postgresql")]
    pub plugin: String,
    /// Where it is, with `{{username}}` and `{{password}}` where a credential would stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "postgresql://{{username}}:{{password}}@db.example.com:5432/orders")]
    pub connection_url: Option<String>,
    /// The secret with `username` and `password` of the account that makes the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_credentials_path: Option<String>,
    /// A target that is described already, by id or name, instead of the two fields above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// More settings of the connector, laid over those of the URL.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// Whether the target is looked at before anything is stored. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_connection: Option<bool>,
}

/// Body of `POST /v1/dynamic/engines`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineBody {
    /// 1 to 64 characters of `a-z 0-9 - _`; unique.
    #[schema(example = "orders")]
    pub name: String,
    /// `database`, `ssh` or `custom`.
    #[serde(rename = "type")]
    #[schema(example = "database")]
    pub kind: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it works.
    pub config: EngineConfig,
    /// How long leases live that do not ask. Default `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ttl: Option<String>,
    /// How long they may live, renewals included. Default `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl: Option<String>,
}

/// What is to be different where an engine works.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in EngineConfig")]
pub struct EngineConfigPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_credentials_path: Option<String>,
    /// Laid over the stored settings; `null` removes one.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_connection: Option<bool>,
    /// The other place is the same server under another address: credentials that were made are
    /// found there. Without it an engine whose leases have not ended does not move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_accounts: Option<bool>,
}

/// Body of `PATCH /v1/dynamic/engines/{engine}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in EngineBody")]
pub struct EnginePatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<EngineConfigPatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ttl: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl: Option<String>,
}

/// An engine.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in EngineBody")]
pub struct Engine {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub description: Option<String>,
    pub plugin: String,
    /// The target it works at: its settings and manager are there.
    pub target_id: Option<String>,
    pub default_ttl: String,
    pub max_ttl: String,
    pub created_at: String,
    pub updated_at: String,
    /// When what is at the target was last compared with the leases.
    pub swept_at: Option<String>,
}

/// A page of engines.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in every page")]
pub struct EngineList {
    pub engines: Vec<Engine>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// How an engine's target answers.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EngineHealth {
    /// The engine's name.
    pub engine: String,
    /// Whether its target lets the manager in.
    pub healthy: bool,
    /// When it was looked at.
    pub checked_at: String,
    /// What stands in the way.
    pub trouble: Option<Trouble>,
    /// Product and version.
    pub server: Option<String>,
    /// Who the manager is there.
    pub manager: Option<String>,
    /// Rights that the manager lacks.
    pub missing: Vec<MissingRight>,
    /// Leases that have not ended.
    pub leases: u64,
}

/// Body of `POST …/roles` and `PUT …/roles/{role}`, where `name` is in the URL.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineRoleBody {
    /// 1 to 64 characters of `a-z 0-9 - _`; unique in the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "reader")]
    pub name: Option<String>,
    /// Run when a lease is made: a statement or several in each text, with `{{name}}`, `{{password}}`
    /// and `{{expiration}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_statements: Option<Vec<String>>,
    /// Run when making failed half way, where the target does not take it back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_statements: Option<Vec<String>>,
    /// Run when a lease is renewed. Left out: the connector's own way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_statements: Option<Vec<String>>,
    /// Run when a lease ends. Left out: the connector's own way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_statements: Option<Vec<String>>,
    /// What becomes of what an account owns, in the connector's own way: `keep` (the default: the
    /// account stays, shut out, until somebody has looked), `reassign` or `drop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned_objects: Option<String>,
    /// How accounts are called, such as `app-{{.RoleName | truncate 8}}-{{random}}`. Default
    /// `v_{role}_{random}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_template: Option<String>,
    /// More, in the connector's own fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Map<String, Value>>,
    /// How long leases live that do not ask. Left out: as the engine says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_ttl: Option<String>,
    /// How long they may live; no longer than the engine lets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ttl: Option<String>,
}

/// A role of an engine.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in EngineRoleBody")]
pub struct EngineRole {
    pub engine: String,
    pub name: String,
    pub creation_statements: Vec<String>,
    pub rollback_statements: Vec<String>,
    pub renew_statements: Vec<String>,
    pub revocation_statements: Vec<String>,
    pub owned_objects: String,
    pub username_template: Option<String>,
    pub settings: Map<String, Value>,
    pub default_ttl: Option<String>,
    pub max_ttl: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

/// A page of roles.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in every page")]
pub struct EngineRoleList {
    pub roles: Vec<EngineRole>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// Body of `POST …/creds/{role}`; may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialBody {
    /// How long the credential is to live; no longer than role and engine let it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// What else the connector takes: `{"public_key": "ssh-ed25519 …"}`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
}

/// A credential. It is shown this once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Credential {
    /// `lse_…`
    pub lease_id: String,
    /// The engine's name.
    pub engine: String,
    /// The role's name.
    pub role: String,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Its password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Everything that was made, name and password included.
    pub data: Map<String, Value>,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Seconds until it ends.
    pub ttl: u64,
    /// When it ends.
    pub expires_at: String,
    /// How far it can be renewed.
    pub max_expires_at: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credential({})", self.lease_id)
    }
}

/// A lease. The credential itself is stored nowhere.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Lease {
    /// `lse_…`
    pub id: String,
    /// The engine.
    pub engine_id: String,
    /// The role's name; empty for what was found without a lease.
    pub role: String,
    /// The account's name at the target.
    pub account: String,
    /// Who asked for it.
    pub identity_id: String,
    /// With which token; the lease ends with it.
    pub token_id: Option<String>,
    /// `creating`, `active`, `revoking` or `revoked`.
    pub status: String,
    /// Why it ends: `expired`, `asked`, `token`, `unconfirmed`, `not_made` or `found`.
    pub cause: Option<String>,
    /// When it was asked for.
    pub issued_at: String,
    /// When it ends by itself.
    pub expires_at: String,
    /// How far it can be renewed.
    pub max_expires_at: String,
    /// When it was renewed last.
    pub renewed_at: Option<String>,
    /// When its account was known to be gone.
    pub revoked_at: Option<String>,
    /// Attempts to remove the account that failed, one after the other.
    pub attempts: u32,
    /// Since when.
    pub failing_since: Option<String>,
    /// What went wrong last.
    pub trouble: Option<Trouble>,
}

/// A page of leases.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in every page")]
pub struct LeaseList {
    pub leases: Vec<Lease>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// Body of `POST /v1/dynamic/leases/{id}/renew`; may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewLeaseBody {
    /// How long from now. Left out: as long as a new one of the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub increment: Option<String>,
}

/// Body of `POST /v1/dynamic/engines/{engine}/rotate-root`; may be left out.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateRootBody {
    /// The rotation policy it is attached to where it is under none yet. Left out: `engine-roots`,
    /// which is made when it is not there and rotates every 30 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_policy_id: Option<String>,
}

/// How many leases were put to their end.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LeasesRevoked {
    /// Their accounts are removed one after the other.
    pub revoked: u64,
}

/// Leases for accounts that had none.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the words above say it")]
pub struct EngineSwept {
    pub found: Vec<Lease>,
}
