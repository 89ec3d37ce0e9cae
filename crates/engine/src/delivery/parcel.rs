//! The signed request of one delivery.
//!
//! Webhooks: `X-ScaiVault-Signature: sha256=<hex HMAC over "{timestamp}.{body}">`.
//! Subscriptions: `X-ScaiVault-Signature: <bare hex HMAC over the body>`.
//! Both also carry the Standard Webhooks headers. While a webhook's secret rotates, those hold
//! one signature by each secret.

use scaivault_core::event::{Event, EventType};
use scaivault_core::ids::PartnerId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Parcel;
use scaivault_core::receiver::{DeliveryMode, Format, Subscription, Webhook};
use scaivault_core::time::Timestamp;
use scaivault_crypto::signature;
use serde_json::{Map, Value};

use super::slack;
use crate::error::VaultError;
use crate::receivers::{PREVIOUS_SECRET, SIGNING_SECRET};
use crate::vault::Vault;

impl Vault {
    /// The parcel of an event for a webhook. `sequence` 0 means: the event has none.
    pub(crate) fn webhook_parcel(
        &self,
        webhook: &Webhook,
        event: &Event,
        partner: &PartnerId,
        sequence: u64,
        now: Timestamp,
    ) -> Result<Parcel, VaultError> {
        let id = webhook.id.as_str();
        let open = |field, sealed| {
            self.receiver_secret_open(&webhook.tenant, "webhook", id, field, sealed)
        };
        let secret = open(SIGNING_SECRET, &webhook.signing_secret)?;
        let previous = match &webhook.previous_secret {
            Some((sealed, until)) if *until > now => Some(open(PREVIOUS_SECRET, sealed)?),
            _ => None,
        };
        let body = match webhook.format {
            Format::Scaivault => envelope(event, partner, sequence),
            Format::Slack => slack::body(event),
        };
        let timestamp = now.as_secs();
        let header = signature::webhook_header(&secret, timestamp, &body);
        let headers = headers(event, timestamp, header, &secret, previous.as_ref(), &body);
        Ok(Parcel {
            url: webhook.url.clone(),
            headers,
            body,
        })
    }

    /// The parcel of an event for a subscription that delivers by webhook.
    pub(crate) fn subscription_parcel(
        &self,
        subscription: &Subscription,
        event: &Event,
        partner: &PartnerId,
        sequence: u64,
        now: Timestamp,
    ) -> Result<Option<Parcel>, VaultError> {
        let DeliveryMode::Webhook {
            url,
            signing_secret,
        } = &subscription.delivery
        else {
            return Ok(None);
        };
        let secret = self.receiver_secret_open(
            &subscription.tenant,
            "subscription",
            subscription.id.as_str(),
            SIGNING_SECRET,
            signing_secret,
        )?;
        let body = envelope(event, partner, sequence);
        let timestamp = now.as_secs();
        let header = signature::subscription_header(&secret, &body);
        let headers = headers(event, timestamp, header, &secret, None, &body);
        Ok(Some(Parcel {
            url: url.clone(),
            headers,
            body,
        }))
    }
}

fn headers(
    event: &Event,
    timestamp: i64,
    own_signature: String,
    secret: &Plaintext,
    previous: Option<&Plaintext>,
    body: &[u8],
) -> Vec<(&'static str, String)> {
    let id = event.id.as_str();
    let mut standard = signature::standard_signature(secret, id, timestamp, body);
    if let Some(previous) = previous {
        standard.push(' ');
        standard.push_str(&signature::standard_signature(
            previous, id, timestamp, body,
        ));
    }
    vec![
        ("X-ScaiVault-Event-Id", id.to_owned()),
        (
            "X-ScaiVault-Event-Type",
            event.event_type.as_str().to_owned(),
        ),
        ("X-ScaiVault-Timestamp", timestamp.to_string()),
        ("X-ScaiVault-Signature", own_signature),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", standard),
    ]
}

/// The event's wire form: the same bytes at every attempt.
pub(crate) fn envelope(event: &Event, partner: &PartnerId, sequence: u64) -> Vec<u8> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("event_id", event.id.as_str().into());
    set("event_type", event.event_type.as_str().into());
    set("timestamp", event.at.to_rfc3339_micros().into());
    set("tenant_id", event.tenant.as_str().into());
    set("partner_id", partner.as_str().into());
    set("identity_id", event.identity.as_str().into());
    if let Some(path) = &event.path {
        set("path", path.as_str().into());
    }
    if sequence > 0 {
        set("sequence", sequence.into());
    }
    if let Some(request_id) = &event.request_id {
        set("request_id", request_id.as_str().into());
    }
    set("data", event.data.clone());
    debug_assert!(event.event_type != EventType::SecretCreated || event.path.is_some());
    Value::Object(body).to_string().into_bytes()
}
