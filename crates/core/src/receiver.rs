//! Who gets events: webhooks and subscriptions, and which event each of them wants.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Event, EventType};
use crate::glob::PathPattern;
use crate::identity::Identity;
use crate::ids::{SubscriptionId, TenantId, TokenId, WebhookId};
use crate::seal::Sealed;
use crate::time::{Span, Timestamp};

/// Events a polling subscription keeps when its owner does not say.
pub const BUFFER_DEFAULT: u32 = 1_000;
/// The most events a polling subscription may keep.
pub const BUFFER_MAX: u32 = 100_000;

/// Reads of a subscription nearer to each other than this are noted as one.
pub const READ_NOTED_EVERY: Duration = Duration::from_secs(600);
/// The shortest time a subscription may ask to live unread.
pub const SUBSCRIPTION_TTL_MIN: Duration = Duration::from_secs(3_600);

/// Narrowing of a receiver's events. Every given part must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Filters {
    /// The path begins with this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// The secret has this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<String>,
    /// The secret has all of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl Filters {
    fn wants(&self, event: &Event) -> bool {
        let prefix = self.path_prefix.as_ref().is_none_or(|prefix| {
            event
                .path
                .as_ref()
                .is_some_and(|path| path.as_str().starts_with(prefix.as_str()))
        });
        let kind = self.secret_type.as_ref().is_none_or(|kind| {
            event
                .subject
                .as_ref()
                .is_some_and(|subject| subject.secret_type == *kind)
        });
        let tags = self.tags.is_empty()
            || event
                .subject
                .as_ref()
                .is_some_and(|subject| self.tags.iter().all(|tag| subject.tags.contains(tag)));
        prefix && kind && tags
    }
}

/// What a webhook's requests look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The event as signed JSON.
    #[default]
    Scaivault,
    /// Text and blocks as Slack's incoming webhooks take them.
    Slack,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Scaivault, Self::Slack];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scaivault => "scaivault",
            Self::Slack => "slack",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }
}

/// Which deliveries of a receiver wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOrder {
    /// None: one that failed lets later ones pass.
    #[default]
    None,
    /// Those of one path.
    Path,
    /// All.
    All,
}

impl DeliveryOrder {
    /// Every order.
    pub const ALL: [Self; 3] = [Self::None, Self::Path, Self::All];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Path => "path",
            Self::All => "all",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.as_str() == text)
    }

    /// The lane an event goes in. Events without a path share one.
    pub fn lane(self, event: &Event) -> Option<String> {
        match self {
            Self::None => None,
            Self::All => Some(String::new()),
            Self::Path => Some(
                event
                    .path
                    .as_ref()
                    .map_or_else(String::new, |path| path.as_str().to_owned()),
            ),
        }
    }
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Id.
    pub id: WebhookId,
    /// Owner.
    pub tenant: TenantId,
    /// Name, for people.
    pub name: String,
    /// Where to.
    pub url: String,
    /// The signing secret, sealed for (`webhook`, id, 0, `signing_secret`).
    pub signing_secret: Sealed,
    /// The one before, sealed for the field `previous_secret`, and until when it is remembered.
    pub previous_secret: Option<(Sealed, Timestamp)>,
    /// Which events.
    pub events: Vec<EventType>,
    /// Narrowing.
    pub filters: Filters,
    /// What its requests look like.
    #[serde(default)]
    pub format: Format,
    /// Which of its deliveries wait for each other.
    #[serde(default)]
    pub ordered: DeliveryOrder,
    /// Off: events pass it by.
    pub enabled: bool,
    /// Creation.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Identity,
    /// The number this write makes.
    pub revision: u64,
}

impl Webhook {
    /// Whether this event goes to this webhook. Events before its creation were fanned out before
    /// it was stored; their times say nothing, as clocks jump.
    pub fn wants(&self, event: &Event) -> bool {
        self.enabled
            && self.tenant == event.tenant
            && self.events.contains(&event.event_type)
            && (event.also_to.contains(&self.id) || self.filters.wants(event))
    }
}

/// How a subscription's events reach its owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DeliveryMode {
    /// Sent, signed over the bare body.
    Webhook {
        /// Where to.
        url: String,
        /// Sealed for (`subscription`, id, 0, `signing_secret`).
        signing_secret: Sealed,
    },
    /// Kept until acknowledged.
    Polling {
        /// Past this many unacknowledged events the oldest are dropped and counted.
        buffer_size: u32,
    },
}

/// A subscription: a path-scoped feed owned by whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Id.
    pub id: SubscriptionId,
    /// Owner tenant.
    pub tenant: TenantId,
    /// Owner.
    pub identity: Identity,
    /// The root token it was made with, if it was: until that is revoked, its owner may see every
    /// path.
    #[serde(default)]
    pub root_token: Option<TokenId>,
    /// Name, for people.
    pub name: String,
    /// Which paths; at least one must match.
    pub paths: Vec<PathPattern>,
    /// Which events.
    pub events: Vec<EventType>,
    /// Narrowing.
    pub filters: Filters,
    /// How.
    pub delivery: DeliveryMode,
    /// A polling one ends when nobody read it for so long; `None`: the server's default.
    #[serde(default)]
    pub ttl: Option<Span>,
    /// When it was last read, within [`READ_NOTED_EVERY`].
    #[serde(default)]
    pub last_read_at: Option<Timestamp>,
    /// Creation.
    pub created_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}

impl Subscription {
    /// When it ends unless somebody reads it before. Only polling ones are read. Time before
    /// `since` does not count: nobody could read it then.
    pub fn ends_unread_at(&self, default: Option<Duration>, since: Timestamp) -> Option<Timestamp> {
        let DeliveryMode::Polling { .. } = self.delivery else {
            return None;
        };
        let ttl = self.ttl.as_ref().map(Span::duration).or(default)?;
        let read = self.last_read_at.unwrap_or(self.created_at);
        Some(read.max(since).plus(ttl))
    }

    /// Whether a read now is to be noted.
    pub fn notes_read(&self, now: Timestamp) -> bool {
        self.last_read_at
            .is_none_or(|last| now >= last.plus(READ_NOTED_EVERY))
    }

    /// Whether this event goes to this subscription. Events without a path never do. Of earlier
    /// events the same holds as for webhooks.
    pub fn wants(&self, event: &Event) -> bool {
        self.tenant == event.tenant
            && self.events.contains(&event.event_type)
            && event
                .path
                .as_ref()
                .is_some_and(|path| self.paths.iter().any(|pattern| pattern.matches(path)))
            && self.filters.wants(event)
    }
}
