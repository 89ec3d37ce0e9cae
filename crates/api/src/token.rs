//! Local tokens and who one is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /v1/auth/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    /// `user` or `service_account`.
    pub identity_type: String,
    /// Typed name.
    #[schema(example = "sa:reporting-service")]
    pub identity_id: String,
    /// Scopes; no more than the caller's own.
    pub scopes: Vec<String>,
    /// Roles; none above the caller's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Lifetime. Default `90d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Answer to a new token: the only time it is shown.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// `tok_…`
    pub id: String,
    /// `skt_…`; keep it, it is not shown again.
    pub token: String,
    /// Who it speaks for.
    pub identity_id: String,
    /// What it may ask for.
    pub scopes: Vec<String>,
    /// What it may do to tenants and partners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Its end.
    pub expires_at: Option<String>,
}

/// A token in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TokenItem {
    pub id: String,
    pub identity_type: String,
    pub identity_id: String,
    pub scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    pub is_root: bool,
    pub description: Option<String>,
    pub created_at: String,
    pub created_by: String,
    pub expires_at: Option<String>,
    pub revoked_at: Option<String>,
    /// `active`, `expired` or `revoked`.
    pub status: String,
}

/// `GET /v1/auth/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TokenList {
    pub tokens: Vec<TokenItem>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// Answer of a renewal.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RenewedToken {
    pub id: String,
    pub identity_id: String,
    pub scopes: Vec<String>,
    pub expires_at: Option<String>,
}

/// `GET /v1/auth/whoami`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct WhoAmI {
    pub identity_id: String,
    pub identity_type: String,
    pub display_name: String,
    pub tenant_id: String,
    pub partner_id: String,
    pub scopes: Vec<String>,
    pub groups: Vec<String>,
    pub roles: Vec<String>,
    pub mfa_verified_at: Option<String>,
    pub token_expires_at: Option<String>,
}

/// Body of `POST /v1/auth/introspect`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IntrospectBody {
    /// The token in question.
    pub token: String,
}

/// Answer of `POST /v1/auth/introspect`. With `active: false` there is nothing else.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Introspection {
    pub active: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Absent for a token without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<String>,
}
