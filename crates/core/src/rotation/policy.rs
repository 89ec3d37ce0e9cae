//! When and how secrets rotate.

use serde::{Deserialize, Serialize};

use super::phase::Strategy;
use super::rules::Rules;
use crate::ids::{RotationPolicyId, TenantId, WebhookId};
use crate::time::{Span, Timestamp};

/// Grace period when the policy does not say.
pub const GRACE_DEFAULT: &str = "48h";

/// How often a stored credential is tried when the policy does not say.
pub fn drift_check_default() -> Option<Span> {
    Span::parse("1h").ok()
}

/// A rotation policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationPolicy {
    /// Id.
    pub id: RotationPolicyId,
    /// Owner.
    pub tenant: TenantId,
    /// Unique in the tenant.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// From one rotation to the next, counted per secret.
    pub interval: Span,
    /// How long the replaced version stays readable by number.
    pub grace_period: Span,
    /// Warnings this long before the rotation is due, as given.
    pub warn_before: Vec<Span>,
    /// The server writes the new value itself.
    pub auto_generate: bool,
    /// For secrets attached to a target.
    #[serde(default)]
    pub rules: Rules,
    /// How often the stored credential of a secret attached to a target is tried by a harmless
    /// login; not at all when absent.
    #[serde(default = "drift_check_default")]
    pub drift_check: Option<Span>,
    /// Webhooks that get this policy's rotation events whatever their own path filter says.
    pub webhook_ids: Vec<WebhookId>,
    /// Inactive: the schedule stands still, attachments stay.
    pub is_active: bool,
    /// Creation.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}

impl RotationPolicy {
    /// How a rotation under this policy gets its new value.
    pub fn strategy(&self) -> Strategy {
        if self.auto_generate {
            Strategy::GeneratedValue
        } else {
            Strategy::EventDriven
        }
    }
}
