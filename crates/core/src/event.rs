//! Events: what happened, told without values.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::identity::Identity;
use crate::ids::{EventId, RequestId, RotationId, TenantId, WebhookId};
use crate::path::SecretPath;
use crate::time::Timestamp;

macro_rules! event_types {
    ($($name:ident = $text:literal;)*) => {
        /// The documented catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "the wire words beside them say it")]
        pub enum EventType { $(#[serde(rename = $text)] $name,)* }

        impl EventType {
            /// Every type.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The wire word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Reads the wire word.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

event_types! {
    SecretCreated = "secret.created";
    SecretUpdated = "secret.updated";
    SecretDeleted = "secret.deleted";
    SecretRotated = "secret.rotated";
    SecretExpiring = "secret.expiring";
    SecretExpired = "secret.expired";
    SecretAccessed = "secret.accessed";
    PolicyCreated = "policy.created";
    PolicyUpdated = "policy.updated";
    PolicyDeleted = "policy.deleted";
    PolicyBindingCreated = "policy.binding.created";
    PolicyBindingDeleted = "policy.binding.deleted";
    PolicyViolation = "policy.violation";
    RotationDue = "rotation.due";
    RotationOverdue = "rotation.overdue";
    RotationCompleted = "rotation.completed";
    RotationFailed = "rotation.failed";
    CampaignCompleted = "campaign.completed";
    RotationDebt = "rotation.debt";
    RotationDelayed = "rotation.delayed";
    RotationForced = "rotation.forced";
    RotationDrift = "rotation.drift";
    LeaseRevocationFailed = "lease.revocation_failed";
    CertificateIssued = "certificate.issued";
    CertificateRenewed = "certificate.renewed";
    CertificateRevoked = "certificate.revoked";
    CertificateExpiring = "certificate.expiring";
    WebhookTest = "webhook.test";
}

/// An event as it is put into the outbox, in the commit that makes it true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Id; receivers deduplicate by it.
    pub id: EventId,
    /// What happened.
    pub event_type: EventType,
    /// When.
    pub at: Timestamp,
    /// Where.
    pub tenant: TenantId,
    /// Who did it.
    pub identity: Identity,
    /// Which secret, for events that have one.
    pub path: Option<SecretPath>,
    /// The documented fields of the type. Never a value.
    pub data: Value,
    /// The request that caused it, if one did.
    pub request_id: Option<RequestId>,
    /// The secret's tags and type when it happened, for receivers that filter by them.
    #[serde(default)]
    pub subject: Option<Subject>,
    /// The rotation it speaks of, if any: a lost delivery must be told to it.
    #[serde(default)]
    pub rotation_id: Option<RotationId>,
    /// Webhooks that get it whatever their own path filter says (a rotation policy names them).
    #[serde(default)]
    pub also_to: Vec<WebhookId>,
}

/// What receivers may filter by, beyond path and type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// `secret_type` of the secret.
    pub secret_type: String,
    /// Its tags.
    pub tags: Vec<String>,
}

/// An event in the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its place in the outbox: increasing, gaps allowed.
    pub position: u64,
    /// Its place among the events of its path: from 1, without a gap. 0 for events without one.
    pub sequence: u64,
    /// The event.
    pub event: Event,
}
