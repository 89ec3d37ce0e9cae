//! Campaigns: many rotations in order, as one durable run with a report.

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::ids::{CampaignId, RotationId, RotationPolicyId, TenantId, WebhookId};
use crate::path::SecretPath;
use crate::time::Timestamp;

/// The most secrets of one campaign.
pub const CAMPAIGN_ITEMS_MAX: usize = 2_000;

/// What a campaign is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Everything this identity read: it leaked.
    Identity(Identity),
    /// Every secret of a rotation policy.
    Policy(RotationPolicyId),
    /// Every secret of a group, in its order.
    Group(String),
    /// These secrets.
    Paths,
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// No consumer is cut off: the old credential drains before it is revoked.
    Continuity,
    /// The old credential is revoked as soon as the new one works.
    Containment,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Continuity, Self::Containment];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continuity => "continuity",
            Self::Containment => "containment",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Where a campaign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    /// Under way.
    Running,
    /// Nothing more is begun until it is resumed.
    Paused,
    /// Every item has ended.
    Finished,
}

impl CampaignState {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
        }
    }
}

/// Where one secret of a campaign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemState {
    /// Not begun.
    Waiting,
    /// Its rotation is under way.
    Rotating,
    /// The old credential is gone.
    Rotated,
    /// It did not come about; `reason` says why.
    Failed,
    /// Nothing had to be done; `reason` says why.
    Skipped,
}

impl ItemState {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Rotating => "rotating",
            Self::Rotated => "rotated",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Rotated | Self::Failed | Self::Skipped)
    }
}

/// One secret of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignItem {
    /// Which.
    pub path: SecretPath,
    /// What comes first.
    pub mode: Mode,
    /// The versions that are known outside, for [`Cause::Identity`].
    pub versions: Vec<u64>,
    /// Where it stands.
    pub state: ItemState,
    /// Its rotation.
    pub rotation_id: Option<RotationId>,
    /// When it began.
    pub began_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended as it did, in words.
    pub reason: Option<String>,
}

/// A campaign, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// Id.
    pub id: CampaignId,
    /// Owner.
    pub tenant: TenantId,
    /// What it is about.
    pub cause: Cause,
    /// Why, in the requester's words.
    pub note: Option<String>,
    /// Who asked.
    pub requested_by: Identity,
    /// Where it stands.
    pub state: CampaignState,
    /// In order.
    pub items: Vec<CampaignItem>,
    /// Webhooks that get the summary whatever their own filters say.
    pub webhook_ids: Vec<WebhookId>,
    /// When it began.
    pub opened_at: Timestamp,
    /// When its last item ended.
    pub finished_at: Option<Timestamp>,
    /// When a worker must look again.
    pub wake_at: Option<Timestamp>,
    /// The number this write makes.
    pub revision: u64,
}
