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
    /// Requests it serves, from 1. Left out: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u64>,
    /// Address ranges it may be used from. Left out: wherever the token that makes it may be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["10.0.0.0/8"]))]
    pub allowed_addresses: Vec<String>,
    /// Whether it lives on when the token that makes it ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_parent: bool,
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
    /// The token it was made with, and ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Requests it still serves; absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u64>,
    /// Address ranges it may be used from; absent: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<String>,
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
    /// `active`, `expired`, `revoked` or `used_up`.
    pub status: String,
    /// It was revoked because the token it was made with had ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended_with_parent: bool,
    /// The role a machine got it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_role: Option<String>,
    /// The token it was made with, and ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Requests it still serves; absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u64>,
    /// Address ranges it may be used from; absent: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<String>,
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
    /// How it showed who it is: `token`, `machine` (a token that a role id and a secret id were given
    /// for), `issuer` (a foreign token) or `certificate`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub auth_method: String,
    /// SHA-256 of the client certificate it came with, hex. `token_expires_at` is that one's end then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_fingerprint: Option<String>,
    /// Who vouched for the identity, when it was somebody outside: an issuer's URL, or
    /// `client_certificate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The token's record, when it is one of this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// The token it was made with, and ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Requests it still serves; absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u64>,
    /// Address ranges it may be used from; absent: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<String>,
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
    /// Who vouched for the identity, when it was somebody outside: an issuer's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The token it was made with, and ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    /// Requests it still serves; absent: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_left: Option<u64>,
    /// Address ranges it may be used from; absent: anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_addresses: Vec<String>,
}

/// Answer of `POST /v1/auth/certificate/login`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CertificateLogin {
    /// `skt_…`
    pub token: String,
    /// Its record, to revoke it by.
    pub token_id: String,
    /// Who it speaks for.
    pub identity_id: String,
    /// What it may ask for.
    pub scopes: Vec<String>,
    /// Seconds it lives.
    pub expires_in: u64,
    /// Its end: the certificate's at the latest.
    pub expires_at: Option<String>,
    /// SHA-256 of the certificate it was given for, hex.
    pub certificate_fingerprint: String,
}

/// Body of `POST /v1/auth/exchange` (RFC 8693), as JSON or as a form. Fields that are not here are
/// passed over.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ExchangeBody {
    /// `urn:ietf:params:oauth:grant-type:token-exchange`, or left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_type: Option<String>,
    /// The foreign token: a JWT of an issuer that the operator configured.
    pub subject_token: String,
    /// `urn:ietf:params:oauth:token-type:jwt`, `…:id_token` or `…:access_token`, or left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_token_type: Option<String>,
    /// `urn:ietf:params:oauth:token-type:access_token`, or left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_token_type: Option<String>,
    /// No more than these scopes, between spaces. Left out: all that the rule gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Only by the rule of this name. Left out: by the first that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Nobody acts for another here: refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_token: Option<String>,
}

/// Answer of `POST /v1/auth/exchange`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct ExchangedToken {
    /// `skt_…`
    pub access_token: String,
    /// `urn:ietf:params:oauth:token-type:access_token`
    pub issued_token_type: String,
    /// `Bearer`
    pub token_type: String,
    /// Seconds it lives.
    pub expires_in: u64,
    /// What it may ask for, between spaces.
    pub scope: String,
    /// Its record, to revoke it by.
    pub token_id: String,
    /// Who it speaks for.
    pub identity_id: String,
    /// Its end.
    pub expires_at: Option<String>,
}

/// A refusal of `POST /v1/auth/exchange`, in the form of OAuth (RFC 6749, 5.2).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExchangeRefusal {
    /// `invalid_request`, `unsupported_grant_type` or `invalid_scope`.
    pub error: String,
    /// For people: what happened and what to try.
    pub error_description: String,
    /// The word that other operations answer with: `token_invalid`, `token_expired`, `access_denied`,
    /// `invalid_request`, `validation_error`.
    pub code: String,
    /// Equal to the `X-Request-ID` header.
    pub request_id: String,
}
