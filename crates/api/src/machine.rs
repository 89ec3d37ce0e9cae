//! Machines that log in by a role id and a secret id.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /v1/auth/roles`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    /// 1 to 128 letters, digits, dots, hyphens and underscores; it does not change.
    #[schema(example = "build")]
    pub name: String,
    /// What machines name when they log in; unique in the store. Left out: one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_id: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `user` or `service_account`.
    pub identity_type: String,
    /// Whom its tokens speak for.
    #[schema(example = "sa:build")]
    pub identity_id: String,
    /// What they may ask for; no more than the caller's own.
    pub scopes: Vec<String>,
    /// Their groups: `group:…`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Whether a login shows a secret id. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_secret_id: Option<bool>,
    /// How long secret ids live at most. Left out: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id_ttl: Option<String>,
    /// Logins that a secret id serves at most. Left out: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id_num_uses: Option<u64>,
    /// Where logins may come from. Needed when `bind_secret_id` is false.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_id_bound_cidrs: Vec<String>,
    /// How long its tokens live. Default `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ttl: Option<String>,
    /// How long renewals may make them live. Left out: any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_max_ttl: Option<String>,
    /// Its tokens live for so long, at first and with each renewal, instead of `token_ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_period: Option<String>,
    /// Requests that a token serves. Left out: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_num_uses: Option<u64>,
    /// Where its tokens may be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_bound_cidrs: Vec<String>,
    /// Default true; nobody logs in by a role that is not active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

/// Body of `PATCH /v1/auth/roles/{role}`: only given fields change. `null` takes a limit away.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in RoleBody")]
pub struct RolePatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_id: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
    /// With `identity_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_secret_id: Option<bool>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<String>)]
    pub secret_id_ttl: Option<Option<String>>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<u64>)]
    pub secret_id_num_uses: Option<Option<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id_bound_cidrs: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ttl: Option<String>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<String>)]
    pub token_max_ttl: Option<Option<String>>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<String>)]
    pub token_period: Option<Option<String>>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<u64>)]
    pub token_num_uses: Option<Option<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_bound_cidrs: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

/// A role.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in RoleBody")]
pub struct Role {
    pub name: String,
    pub role_id: String,
    pub description: Option<String>,
    pub identity_type: String,
    pub identity_id: String,
    pub scopes: Vec<String>,
    pub groups: Vec<String>,
    pub bind_secret_id: bool,
    pub secret_id_ttl: Option<String>,
    pub secret_id_num_uses: Option<u64>,
    pub secret_id_bound_cidrs: Vec<String>,
    pub token_ttl: String,
    pub token_max_ttl: Option<String>,
    pub token_period: Option<String>,
    pub token_num_uses: Option<u64>,
    pub token_bound_cidrs: Vec<String>,
    pub is_active: bool,
    pub created_at: String,
    pub created_by: String,
    pub updated_at: String,
}

/// `GET /v1/auth/roles`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RoleList {
    pub roles: Vec<Role>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// Body of `POST /v1/auth/roles/{role}/secret-ids`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretIdBody {
    /// Texts to know it by; at most 50.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// How long it lives; not above the role's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Logins it serves; not above the role's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_uses: Option<u64>,
    /// Where it may be used, within the role's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bound_cidrs: Vec<String>,
    /// Where tokens got by it may be used, within the role's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_bound_cidrs: Vec<String>,
}

/// Answer to a new secret id: the only time it is shown.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewSecretId {
    /// `sks_…`; keep it, it is not shown again.
    pub secret_id: String,
    /// `sia_…`: its record, to list and revoke it by; it lets nobody in.
    pub accessor: String,
    /// The role's name.
    pub role: String,
    /// What machines log in with beside it.
    pub role_id: String,
    /// Logins it serves; `null` is any number.
    pub num_uses: Option<u64>,
    /// Its end.
    pub expires_at: Option<String>,
}

/// A secret id's record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SecretIdItem {
    pub accessor: String,
    pub role: String,
    pub metadata: BTreeMap<String, String>,
    /// Logins it was made for; `null` is any number.
    pub num_uses: Option<u64>,
    pub uses_left: Option<u64>,
    pub bound_cidrs: Vec<String>,
    pub token_bound_cidrs: Vec<String>,
    pub created_at: String,
    pub created_by: String,
    pub expires_at: Option<String>,
    pub last_used_at: Option<String>,
}

/// `GET /v1/auth/roles/{role}/secret-ids`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SecretIdList {
    pub secret_ids: Vec<SecretIdItem>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// Body of `POST /v1/auth/roles/{role}/secret-ids/lookup`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretIdLookup {
    /// The secret id in question.
    pub secret_id: String,
}

/// Body of `POST /v1/auth/login`.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginBody {
    /// Which role.
    pub role_id: String,
    /// `sks_…`; left out where the role asks for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
}

/// Answer to a login.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Login {
    /// `skt_…`
    pub token: String,
    pub token_id: String,
    /// The role's name.
    pub role: String,
    pub identity_id: String,
    pub scopes: Vec<String>,
    /// Seconds it lives.
    pub expires_in: u64,
    pub expires_at: Option<String>,
    /// Requests it serves; absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u64>,
    /// Address ranges it may be used from; absent: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<String>,
}
