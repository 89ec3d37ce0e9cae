//! One event on its way to one receiver, and when to try again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::EventType;
use crate::ids::{DeliveryId, EventId, SubscriptionId, TenantId, WebhookId};
use crate::time::Timestamp;

/// Waits after the first, second, … failed attempt. After the last wait's attempt fails too,
/// the delivery has failed.
pub const RETRY_AFTER: [Duration; 6] = [
    Duration::from_secs(30),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(8 * 3_600),
    Duration::from_secs(24 * 3_600),
];

/// Who a delivery is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// A webhook.
    Webhook(WebhookId),
    /// A subscription.
    Subscription(SubscriptionId),
}

impl Receiver {
    /// The receiver's own id: unique over both kinds by its prefix.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Webhook(id) => id.as_str(),
            Self::Subscription(id) => id.as_str(),
        }
    }
}

/// State of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be sent (or, for polling, to be fetched and acknowledged).
    Pending,
    /// Answered with 2xx, or acknowledged.
    Success,
    /// Every attempt failed.
    Failed,
}

impl DeliveryState {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Success, Self::Failed]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// Why an attempt failed, in words fixed here: nothing the receiver said is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptError {
    /// Answered with something other than 2xx.
    Status,
    /// No answer in time.
    Timeout,
    /// Could not connect, or the connection broke.
    Connect,
    /// The name did not resolve.
    Resolve,
    /// The address is one we do not connect to.
    AddressForbidden,
    /// The receiver is gone or its secret does not open.
    Receiver,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Id.
    pub id: DeliveryId,
    /// Owner.
    pub tenant: TenantId,
    /// For whom.
    pub receiver: Receiver,
    /// What.
    pub event_id: EventId,
    /// The event's place in the outbox: deliveries of one receiver start in this order.
    pub event_position: u64,
    /// The event's type.
    pub event_type: EventType,
    /// State.
    pub state: DeliveryState,
    /// Attempts made.
    pub attempts: u32,
    /// When to try next; `None` when done, and for polling subscriptions.
    pub next_attempt_at: Option<Timestamp>,
    /// Creation.
    pub created_at: Timestamp,
    /// The last attempt.
    pub last_attempt_at: Option<Timestamp>,
    /// Its answer.
    pub response_code: Option<u16>,
    /// Why it failed.
    pub error: Option<AttemptError>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// The lane its receiver gets in order: a path, or `""` for all there is; `None`: in no order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// It was its turn by time, but an earlier one of its lane is still pending. Whoever ends that
    /// one lets it go.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Held by a worker until then; see [`crate::ports::Claims`].
    pub claimed_until: Option<Timestamp>,
    /// The number this write makes. A claim counts as a write, so a worker that outlived its
    /// claim finds another number.
    pub revision: u64,
}

/// What one attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempted {
    /// Answer, if there was one.
    pub response_code: Option<u16>,
    /// Failure, if it was one.
    pub error: Option<AttemptError>,
    /// How long it took.
    pub duration: Duration,
}

/// How long one that is held back waits before it looks for itself whether it may go. Only if
/// whoever ended the one before it could not let it go.
pub const HELD_FOR: Duration = Duration::from_secs(3_600);

impl Delivery {
    /// The row held back behind an earlier one of its lane. No attempt was made.
    #[must_use]
    pub fn held_back(&self, now: Timestamp) -> Self {
        Self {
            held: true,
            next_attempt_at: Some(now.plus(HELD_FOR)),
            claimed_until: None,
            revision: self.revision + 1,
            ..self.clone()
        }
    }

    /// The row let go at `now`, also one that has ended: with all its attempts.
    #[must_use]
    pub fn sent_again(&self, now: Timestamp) -> Self {
        Self {
            state: DeliveryState::Pending,
            attempts: 0,
            next_attempt_at: Some(now),
            error: None,
            held: false,
            claimed_until: None,
            revision: self.revision + 1,
            ..self.clone()
        }
    }

    /// The row after one attempt: done, or waiting for the next.
    #[must_use]
    pub fn after(&self, attempted: Attempted, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.revision += 1;
        next.claimed_until = None;
        next.held = false;
        next.last_attempt_at = Some(now);
        next.response_code = attempted.response_code;
        next.error = attempted.error;
        next.duration_ms = u64::try_from(attempted.duration.as_millis()).ok();
        let wait = RETRY_AFTER.get(usize::try_from(self.attempts).unwrap_or(usize::MAX));
        next.attempts += 1;
        (next.state, next.next_attempt_at) = match (attempted.error, wait) {
            (None, _) => (DeliveryState::Success, None),
            (Some(_), Some(wait)) => (DeliveryState::Pending, Some(now.plus(*wait))),
            (Some(_), None) => (DeliveryState::Failed, None),
        };
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unanswered_delivery_is_tried_seven_times_over_34_hours_then_failed() {
        let start = Timestamp::from_secs(1_800_000_000);
        let mut delivery = Delivery {
            id: DeliveryId::parse("del_1").unwrap(),
            tenant: TenantId::parse("tnt_a").unwrap(),
            receiver: Receiver::Webhook(WebhookId::parse("wh_1").unwrap()),
            event_id: EventId::parse("evt_1").unwrap(),
            event_position: 1,
            event_type: EventType::RotationDue,
            state: DeliveryState::Pending,
            attempts: 0,
            next_attempt_at: Some(start),
            created_at: start,
            last_attempt_at: None,
            response_code: None,
            error: None,
            duration_ms: None,
            lane: None,
            held: false,
            claimed_until: None,
            revision: 1,
        };
        let refused = Attempted {
            response_code: Some(500),
            error: Some(AttemptError::Status),
            duration: Duration::from_millis(3),
        };
        let mut waits = Vec::new();
        while let Some(now) = delivery.next_attempt_at {
            delivery = delivery.after(refused, now);
            waits.extend(
                delivery
                    .next_attempt_at
                    .map(|next| next.since(now).as_secs()),
            );
        }
        assert_eq!(waits, [30, 300, 1_800, 7_200, 28_800, 86_400]);
        assert_eq!(
            (delivery.state, delivery.attempts),
            (DeliveryState::Failed, 7)
        );
    }

    #[test]
    fn a_good_answer_ends_it() {
        let at = Timestamp::from_secs(1);
        let good = Attempted {
            response_code: Some(204),
            error: None,
            duration: Duration::ZERO,
        };
        let json = r#"{"id":"del_1","tenant":"tnt_a","receiver":{"webhook":"wh_1"},"event_id":"evt_1",
            "event_position":1,"event_type":"secret.rotated","state":"pending","attempts":3,
            "next_attempt_at":1,"created_at":0,"last_attempt_at":null,"response_code":500,
            "error":"status","duration_ms":1,"claimed_until":5,"revision":4}"#;
        let before: Delivery = serde_json::from_str(json).unwrap();
        let after = before.after(good, at);
        assert_eq!(
            (after.state, after.next_attempt_at),
            (DeliveryState::Success, None)
        );
        assert_eq!((after.attempts, after.error, after.revision), (4, None, 5));
    }
}
