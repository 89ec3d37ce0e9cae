//! Access policies and bindings.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One rule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Glob: `*` one segment or part of one, `**` any number, `?` one character.
    #[schema(example = "integrations/salesforce/oauth")]
    pub path_pattern: String,
    /// Any of `read`, `write`, `delete`, `list`, `rotate`, `admin`.
    pub permissions: Vec<String>,
    /// All must hold: `ip_ranges`, `require_mfa`, `mfa_max_age`, `time_window`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub conditions: Option<Value>,
}

/// Body of `POST /v1/policies` and `PUT /v1/policies/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyBody {
    /// Unique in the tenant.
    pub name: String,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// At least one.
    pub rules: Vec<Rule>,
    /// `tenant` (default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

/// Body of `PATCH /v1/policies/{id}`: only given fields change.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in PolicyBody")]
pub struct PolicyPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<Rule>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

/// A policy.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in PolicyBody")]
pub struct Policy {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub rules: Vec<Rule>,
    /// What a token may ask for that holds it by its name (`group:acl/…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    pub bindings: Vec<Binding>,
    pub scope: String,
    pub is_active: bool,
    pub created_at: String,
    pub updated_at: String,
}

/// A policy in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in PolicyBody")]
pub struct PolicyItem {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub rule_count: u64,
    pub binding_count: u64,
    pub scope: String,
    pub is_active: bool,
    pub created_at: String,
    pub updated_at: String,
}

/// `GET /v1/policies`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PolicyList {
    pub policies: Vec<PolicyItem>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// Body of `POST /v1/policies/{id}/bindings`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BindingBody {
    /// `user`, `service_account` or `group`.
    pub identity_type: String,
    /// Typed name: `user:…`, `sa:…`, `group:…`.
    #[schema(example = "sa:reporting-service")]
    pub identity_id: String,
    /// The binding ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A binding.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in BindingBody")]
pub struct Binding {
    pub id: String,
    pub policy_id: String,
    pub identity_type: String,
    pub identity_id: String,
    pub expires_at: Option<String>,
    pub created_at: String,
}

/// `GET /v1/policies/{id}/bindings`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BindingList {
    pub bindings: Vec<Binding>,
}

/// Body of `POST /v1/policies/test`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyTest {
    /// Typed name.
    pub identity_id: String,
    /// Secret path.
    pub path: String,
    /// Permission.
    pub permission: String,
    /// Circumstances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<PolicyTestContext>,
}

/// Circumstances of a test.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyTestContext {
    /// The caller's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// Whether a second factor was just proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_verified: Option<bool>,
    /// When; default now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Groups of the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

/// Answer of a test.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PolicyTestResult {
    /// Whether it would be allowed.
    pub allowed: bool,
    /// Why.
    pub reason: String,
    /// The rule that allows.
    pub matched: Option<MatchedRule>,
    /// Every policy that was looked at.
    pub evaluated: Vec<EvaluatedPolicy>,
    /// The condition that failed.
    pub failed_condition: Option<String>,
}

/// The rule that allows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MatchedRule {
    pub policy_id: String,
    pub rule_index: u64,
}

/// A policy that was looked at.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct EvaluatedPolicy {
    pub policy_id: String,
    pub name: String,
    /// `allow`, `no_match`, `condition_failed`, `inactive` or `binding_expired`.
    pub result: String,
}
