//! Campaigns: many rotations in order, as one durable run with a report.

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::ids::{CampaignId, RotationId, RotationPolicyId, TenantId, TokenId, WebhookId};
use crate::path::SecretPath;
use crate::rotation::Turn;
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

impl Cause {
    /// The wire word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Identity(_) => "identity",
            Self::Policy(_) => "policy",
            Self::Group(_) => "group",
            Self::Paths => "paths",
        }
    }

    /// What it names, for people; nothing for paths.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Self::Identity(who) => Some(who.as_str()),
            Self::Policy(id) => Some(id.as_str()),
            Self::Group(name) => Some(name),
            Self::Paths => None,
        }
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
    /// The versions that have to go: for [`Cause::Identity`] those it read, else the one that was
    /// current when the campaign was made.
    pub versions: Vec<u64>,
    /// Its place in a group, if it has one.
    #[serde(default)]
    pub turn: Option<Turn>,
    /// Where it stands.
    pub state: ItemState,
    /// Its rotation.
    pub rotation_id: Option<RotationId>,
    /// When it began.
    pub began_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended as it did, or what it waits for, in words.
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
    /// The token that named the identity, for [`Cause::Identity`].
    #[serde(default)]
    pub token_id: Option<TokenId>,
    /// Whether that token was revoked in the commit that made the campaign.
    #[serde(default)]
    pub token_revoked: bool,
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
    /// When an item last moved on: the longer ago, the less often a worker looks.
    #[serde(default)]
    pub moved_at: Timestamp,
    /// When its last item ended.
    pub finished_at: Option<Timestamp>,
    /// Who ended it before its items had.
    #[serde(default)]
    pub ended_by: Option<Identity>,
    /// When a worker must look again.
    pub wake_at: Option<Timestamp>,
    /// The number this write makes.
    pub revision: u64,
}

impl CampaignItem {
    /// Ended.
    pub fn end(&mut self, state: ItemState, reason: Option<&str>, now: Timestamp) {
        self.state = state;
        self.reason = reason.map(str::to_owned);
        self.ended_at = Some(now);
    }
}

impl Campaign {
    /// How many items are in this state.
    pub fn count(&self, state: ItemState) -> usize {
        self.items.iter().filter(|item| item.state == state).count()
    }

    /// The order in which items begin: containment first, then the order of groups, then paths.
    pub fn put_in_order(&mut self) {
        self.items.sort_by(|a, b| {
            let place = |item: &CampaignItem| {
                let order = item.turn.as_ref().map_or(0, |turn| turn.order);
                (item.mode != Mode::Containment, order)
            };
            place(a).cmp(&place(b)).then_with(|| a.path.cmp(&b.path))
        });
    }

    /// Finished, if every item has ended. Answers whether it is now and was not before.
    pub fn finish(&mut self, now: Timestamp) -> bool {
        let over = self.items.iter().all(|item| item.state.is_final());
        if self.state == CampaignState::Finished || !over {
            return false;
        }
        self.state = CampaignState::Finished;
        self.finished_at = Some(now);
        self.wake_at = None;
        true
    }
}
