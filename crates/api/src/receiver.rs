//! Webhooks, subscriptions, deliveries, events.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Narrowing of events; every given part must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    /// The path begins with this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// The secret has this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<String>,
    /// The secret has all of these tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// Body of `POST /v1/webhooks`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookBody {
    /// For people.
    pub name: String,
    /// `https://…`
    pub url: String,
    /// Signing secret, 16 characters or more (32 recommended). Its literal bytes are the key.
    pub secret: String,
    /// Event types.
    pub events: Vec<String>,
    /// Narrowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Filters>,
    /// `scaivault` (default): the event as signed JSON. `slack`: text and blocks as Slack's
    /// incoming webhooks take them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// `path`: a delivery waits for the earlier ones of its path; `all`: for all earlier ones.
    /// Default `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<String>,
    /// Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Body of `PATCH /v1/webhooks/{id}`: only given fields change.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in WebhookBody")]
pub struct WebhookPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Signs from now on; the one before is remembered for `previous_secret_ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Default `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_ttl: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Filters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// A webhook. The signing secret is never answered.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Webhook {
    /// `wh_…`
    pub id: String,
    /// For people.
    pub name: String,
    /// Where to.
    pub url: String,
    /// Event types.
    pub events: Vec<String>,
    /// Narrowing.
    pub filters: Filters,
    /// `scaivault` or `slack`.
    pub format: String,
    /// `none`, `path` or `all`.
    pub ordered: String,
    /// Whether it gets events.
    pub enabled: bool,
    /// `healthy`, `failing` (its last delivery failed) or `disabled`.
    pub status: String,
    /// Creation.
    pub created_at: String,
    /// Until when the signing secret before this one is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_until: Option<String>,
    /// Last 24 hours; in the answer to a single read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<WebhookStatistics>,
    /// In the answer to a single read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_delivery: Option<LastDelivery>,
}

/// Figures of the last 24 hours.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct WebhookStatistics {
    pub deliveries_24h: u64,
    /// 0 to 1.
    pub success_rate_24h: f64,
    pub avg_latency_ms: f64,
}

/// The newest delivery.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LastDelivery {
    pub id: String,
    pub timestamp: String,
    pub status: String,
    pub response_code: Option<u16>,
}

/// `GET /v1/webhooks`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct WebhookList {
    pub webhooks: Vec<Webhook>,
}

/// Answer of `POST /v1/webhooks/{id}/test`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WebhookTest {
    /// `del_…`
    pub delivery_id: String,
    /// `success` or `failed`.
    pub status: String,
    /// What the receiver answered, if it did.
    pub response_code: Option<u16>,
    /// How long it took.
    pub duration_ms: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A delivery.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// `del_…`
    pub id: String,
    /// The event.
    pub event_id: String,
    /// Its type.
    pub event_type: String,
    /// When it was put on its way.
    pub timestamp: String,
    /// `success`, `failed` or `pending`.
    pub status: String,
    /// Attempts made.
    pub attempts: u32,
    /// The last answer.
    pub response_code: Option<u16>,
    /// How long that took.
    pub duration_ms: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// The last attempt.
    pub last_attempt_at: Option<String>,
    /// The next attempt.
    pub next_attempt_at: Option<String>,
    /// It waits for an earlier one of its order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

/// Body of `POST /v1/webhooks/{id}/replay`. Without a field: all dead letters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayBody {
    /// Deliveries made from then on (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Deliveries made before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Of these event types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    /// `dead` (default): every attempt failed. `success`: accepted; `all`: both. Those two need
    /// `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Deliveries of one call, 1 to 10000. Default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Where the call before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Answer of `POST /v1/webhooks/{id}/replay`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Replay {
    /// Deliveries of the range that this call found.
    pub matched: u64,
    /// Those it put on their way: all of them, or none with `dry_run`.
    pub replayed: u64,
    /// Whether it only counted.
    pub dry_run: bool,
    /// Goes on behind the last one, with the same fields.
    pub cursor: Option<String>,
    /// Whether there may be more.
    pub has_more: bool,
}

/// `GET /v1/webhooks/{id}/deliveries`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DeliveryList {
    pub deliveries: Vec<Delivery>,
    pub cursor: Option<String>,
    pub has_more: bool,
}

/// How a subscription's events reach its owner.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryBody {
    /// `webhook` or `polling`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For `webhook`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// For `webhook`: signing secret. Never answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// For `polling`: events kept. Default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer_size: Option<u32>,
}

/// Body of `POST /v1/subscriptions`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionBody {
    /// For people.
    pub name: String,
    /// Globs; at least one must match.
    pub paths: Vec<String>,
    /// Event types.
    pub events: Vec<String>,
    /// How.
    pub delivery: DeliveryBody,
    /// Narrowing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Filters>,
    /// For `polling`: it ends when nobody read it for so long, at least `1h`. Default: the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

/// Body of `PATCH /v1/subscriptions/{id}`: only given fields change.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "as in SubscriptionBody")]
pub struct SubscriptionPatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Filters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

/// A subscription.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in SubscriptionBody")]
pub struct Subscription {
    pub id: String,
    pub name: String,
    /// `active`.
    pub status: String,
    /// Owner.
    pub identity_id: String,
    pub paths: Vec<String>,
    pub events: Vec<String>,
    pub filters: Filters,
    pub delivery: DeliveryView,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// When it was last read, to 10 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_read_at: Option<String>,
    /// When it ends unless it is read before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_unread_at: Option<String>,
    pub created_at: String,
    /// Events dropped because the buffer was full; in the answer to a single read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_events: Option<u64>,
}

/// How a subscription's events reach its owner, without the secret.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in DeliveryBody")]
pub struct DeliveryView {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer_size: Option<u32>,
}

/// `GET /v1/subscriptions`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SubscriptionList {
    pub subscriptions: Vec<Subscription>,
}

/// Answer of `GET /v1/subscriptions/{id}/poll`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Poll {
    /// Oldest first; they come again until acknowledged.
    pub events: Vec<PolledEvent>,
    /// Whether more wait.
    pub has_more: bool,
}

/// An event in a poll.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PolledEvent {
    pub event_id: String,
    pub event_type: String,
    pub timestamp: String,
    pub path: Option<String>,
    #[schema(value_type = Object)]
    pub data: Value,
}

/// Body of `POST /v1/subscriptions/{id}/ack`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AckBody {
    /// Events that were handled.
    pub event_ids: Vec<String>,
}

/// Answer of an ack.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Acked {
    /// How many of them were waiting.
    pub acknowledged: u64,
}

/// The body of every delivery.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventEnvelope {
    /// `evt_…`; receivers deduplicate by it.
    pub event_id: String,
    /// Type.
    pub event_type: String,
    /// RFC 3339 with microseconds.
    pub timestamp: String,
    /// Tenant.
    pub tenant_id: String,
    /// Partner.
    pub partner_id: String,
    /// Who did it.
    pub identity_id: String,
    /// The secret; absent for events without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Place among the events of this path: from 1, without a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// By type. Never a value.
    #[schema(value_type = Object)]
    pub data: Value,
    /// The request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
