//! Partners and tenants.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A partner: an owner of tenants.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Partner {
    /// `ptn_…`
    #[schema(example = "ptn_default")]
    pub id: String,
    /// For people.
    pub name: String,
    /// For URLs and files; unique.
    pub slug: String,
    /// Where it is at home, in the operator's words.
    pub region: Option<String>,
    /// `ACTIVE` or `SUSPENDED`.
    pub status: String,
    /// Creation.
    pub created_at: String,
    /// Last change.
    pub updated_at: String,
    /// When this entry was last brought up to date: with its last change here.
    pub last_synced_at: String,
}

/// `GET /v1/identity/partners`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PartnerList {
    pub partners: Vec<Partner>,
    /// Of all pages.
    pub total: u64,
    pub page: u64,
    pub page_size: u64,
}

/// Body of `POST /v1/identity/partners`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartnerBody {
    /// For people.
    pub name: String,
    /// Its id, where an identity provider gave it one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Made of the name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Where it is at home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// A tenant: the owner of secrets, policies, tokens and audit rows.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Tenant {
    /// `tnt_…`
    #[schema(example = "tnt_default")]
    pub id: String,
    /// Its partner.
    pub partner_id: String,
    /// For people.
    pub name: String,
    /// For URLs and files; unique in the partner.
    pub slug: String,
    /// Where it is at home, in the operator's words.
    pub region: Option<String>,
    /// `ACTIVE` or `SUSPENDED`, by itself or with its partner.
    pub status: String,
    /// Creation.
    pub created_at: String,
    /// Last change.
    pub updated_at: String,
    /// When this entry was last brought up to date: with its last change here.
    pub last_synced_at: String,
}

/// `GET /v1/identity/tenants`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TenantList {
    pub tenants: Vec<Tenant>,
    /// Of all pages.
    pub total: u64,
    pub page: u64,
    pub page_size: u64,
}

/// Body of `POST /v1/identity/tenants`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantBody {
    /// For people.
    pub name: String,
    /// Its partner; the caller's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner_id: Option<String>,
    /// Its id, where an identity provider gave it one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Made of the name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Where it is at home.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// Body of `PATCH /v1/identity/partners/{id}` and `…/tenants/{id}`. Absent parts stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenancyPatch {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `null` takes it away.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::double_option"
    )]
    #[schema(value_type = Option<String>)]
    pub region: Option<Option<String>>,
    /// `ACTIVE` or `SUSPENDED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}
