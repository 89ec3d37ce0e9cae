//! Campaigns: many secrets rotated in order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /v1/rotation/campaigns`. Exactly one of `identity`, `token_id`, `policy_id`,
/// `group`, `paths` says what is rotated.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignBody {
    /// Everything this identity read: it leaked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "sa:reporting-service")]
    pub identity: Option<String>,
    /// Everything the identity of this token read. The token is revoked in the same commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// With `token_id`: the token is not revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_token: Option<bool>,
    /// Every secret of this rotation policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<String>,
    /// Every secret of this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// These secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// `continuity` (default): the old credential drains first. `containment`: it is revoked as
    /// soon as the new one works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Another mode for single paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modes: Option<BTreeMap<String, String>>,
    /// Selected paths that are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// Only the plan: nothing is stored, rotated or revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Webhooks that get `campaign.completed` past their own filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_ids: Option<Vec<String>>,
}

/// How many items are in which state.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CampaignCounts {
    pub total: usize,
    pub waiting: usize,
    pub rotating: usize,
    pub rotated: usize,
    pub failed: usize,
    pub skipped: usize,
}

/// A campaign: its progress, and its report when it has finished.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Campaign {
    /// `cmp_…`; absent in a plan.
    pub id: Option<String>,
    /// Whether this is a plan of which nothing was stored.
    pub dry_run: bool,
    /// `identity`, `policy`, `group` or `paths`.
    pub cause: String,
    /// Which identity, policy or group.
    pub subject: Option<String>,
    /// The token that named the identity.
    pub token_id: Option<String>,
    /// Whether it was revoked when the campaign began.
    pub token_revoked: bool,
    /// `running`, `paused` or `finished`.
    pub state: String,
    /// Why, in the requester's words.
    pub note: Option<String>,
    /// Who asked.
    pub requested_by: String,
    /// Who ended it before its items had.
    pub ended_by: Option<String>,
    /// When it began.
    pub started_at: String,
    /// When its last item ended.
    pub finished_at: Option<String>,
    /// From the beginning to now, or to the end.
    pub seconds: u64,
    /// When it is looked at next.
    pub next_look_at: Option<String>,
    /// Items by state, those that are not shown included.
    pub counts: CampaignCounts,
    /// Items of secrets the caller may not rotate: counted, not shown.
    pub not_shown: usize,
    /// Webhooks that get the summary.
    pub webhook_ids: Vec<String>,
    /// In the order in which they begin; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<CampaignItem>>,
}

/// One secret of a campaign.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CampaignItem {
    /// The secret.
    pub secret_path: String,
    /// `continuity` or `containment`.
    pub mode: String,
    /// The versions that have to go.
    pub versions: Vec<u64>,
    /// `waiting`, `rotating`, `rotated`, `failed` or `skipped`.
    pub state: String,
    /// Its rotation.
    pub rotation_id: Option<String>,
    /// That rotation's phase, while it is under way.
    pub phase: Option<String>,
    /// What it waits for, in words.
    pub waiting_for: Option<String>,
    /// Why it ended as it did, or is parked, and what to do.
    pub reason: Option<String>,
    /// When it began.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// From the beginning to now, or to the end.
    pub seconds: Option<u64>,
}

/// `GET /v1/rotation/campaigns`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CampaignList {
    pub data: Vec<Campaign>,
    pub cursor: Option<String>,
    pub has_more: bool,
}
