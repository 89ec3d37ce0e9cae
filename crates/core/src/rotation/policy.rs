//! When and how secrets rotate.

use serde::{Deserialize, Serialize};

use super::calendar::Calendar;
use super::phase::Strategy;
use super::rules::Rules;
use crate::ids::{RotationPolicyId, SecretPolicyId, TenantId, WebhookId};
use crate::time::{Span, Timestamp};

/// Grace period when the policy does not say.
pub const GRACE_DEFAULT: &str = "48h";
/// Between two harmless logins with a credential at a target, when the policy does not say.
pub const DRIFT_CHECK_DEFAULT: &str = "1h";

fn drift_check_default() -> Option<Span> {
    Span::parse(DRIFT_CHECK_DEFAULT).ok()
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
    /// From one rotation to the next, counted per secret. Not used where the calendar has a cron
    /// pattern.
    pub interval: Span,
    /// How long the replaced version stays readable by number.
    pub grace_period: Span,
    /// Warnings this long before the rotation is due, as given.
    pub warn_before: Vec<Span>,
    /// The server writes the new value itself.
    pub auto_generate: bool,
    /// By this recipe; without one the secret's own, or a random string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_policy_id: Option<SecretPolicyId>,
    /// For secrets attached to a target.
    #[serde(default)]
    pub rules: Rules,
    /// When a rotation by schedule may begin.
    #[serde(default)]
    pub calendar: Calendar,
    /// How often credentials at a target are tried; `None`: never.
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
    /// When the rotation after one at `last` is due: the next moment of the cron pattern, or the
    /// interval later, and then as soon as a window is open.
    pub fn due_after(&self, last: Timestamp) -> Timestamp {
        let due = match &self.calendar.cron {
            Some(_) => self.calendar.next_cron(last),
            None => None,
        };
        let due = due.unwrap_or_else(|| last.plus(self.interval.duration()));
        self.calendar.opens(due).unwrap_or(due)
    }

    /// How a rotation under this policy gets its new value.
    pub fn strategy(&self) -> Strategy {
        if self.auto_generate {
            Strategy::GeneratedValue
        } else {
            Strategy::EventDriven
        }
    }
}
