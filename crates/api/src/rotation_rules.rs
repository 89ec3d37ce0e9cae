//! What a rotation policy says about credentials of targets, and when rotations may begin.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which consumers must have moved before the old credential is revoked; exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Consumers {
    /// All that read the secret within this time.
    #[schema(example = "24h")]
    Live(String),
    /// These identities, whether they read it lately or not.
    Listed(Vec<String>),
    /// So many, whoever they are.
    Count(u32),
}

/// `rules` in requests. What is absent has its default, or stays as it is in a `PATCH`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationRulesBody {
    /// A target without overlap may be rotated although consumers are cut off for a while.
    /// Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_gap: Option<bool>,
    /// A person approves before the old credential is revoked. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<bool>,
    /// Default `{"live":"24h"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<Consumers>,
    /// Identities that read but are no consumers. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore: Option<Vec<String>>,
    /// How long the target must show no use of the old credential, 1s to 7d. Default `1m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_period: Option<String>,
    /// From the new value on, at most 365d; `grace_period` (default): the policy's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// `hold` (default), `force` or `roll_back`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_deadline: Option<String>,
    /// `hold` (default) or `roll_back`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<String>,
    /// Consumers still moving after this long are told of, 1m to 30d. Default `30m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation_bound: Option<String>,
    /// Between two looks at the target, 1s to 1h. Default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<String>,
}

/// `rules` in answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in RotationRulesBody")]
pub struct RotationRules {
    pub accept_gap: bool,
    pub approval: bool,
    pub consumers: Consumers,
    pub ignore: Vec<String>,
    pub quiet_period: String,
    pub deadline: String,
    pub on_deadline: String,
    pub on_failure: String,
    pub propagation_bound: String,
    pub poll: String,
}

/// A part of some days in which rotations may begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationWindow {
    /// `mon` to `sun`: the days on which it begins. None: every day.
    #[serde(default)]
    pub days: Vec<String>,
    /// `HH:MM`.
    #[schema(example = "22:00")]
    pub from: String,
    /// `HH:MM`; on the next day when it is not after `from`.
    #[schema(example = "04:00")]
    pub to: String,
}

/// `calendar` in requests. What is absent stays as it is in a `PATCH`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationCalendarBody {
    /// When rotations by schedule may begin. None (default): always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Vec<RotationWindow>>,
    /// Five fields; takes the place of `interval`. Empty text: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0 3 * * sun")]
    pub cron: Option<String>,
    /// An IANA name. Default `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Europe/Berlin")]
    pub time_zone: Option<String>,
}

/// `calendar` in answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "as in RotationCalendarBody")]
pub struct RotationCalendar {
    pub windows: Vec<RotationWindow>,
    pub cron: Option<String>,
    pub time_zone: String,
}
