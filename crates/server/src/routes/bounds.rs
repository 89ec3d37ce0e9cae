//! The bounds that are kept beside their routes, for the description of the interface.

pub(crate) use super::campaigns::PATHS_MAX as CAMPAIGN_PATHS_MAX;
pub(crate) use super::dynamic::{STATEMENT_CHARS_MAX, STATEMENTS_MAX};
pub(crate) use super::exchange::{ACCESS_TOKEN, GRANT_TYPE, SUBJECT_TYPES};
pub(crate) use super::policies::RULES_MAX;
pub(crate) use super::rotation_policies::WEBHOOKS_MAX;
pub(crate) use super::rotations::{WAIT_MAX_S, WITHIN_HOURS_MAX};
pub(crate) use super::secret_lists::{DAYS_MAX, TAGS_MAX as TAGS_ASKED_MAX, TEXT_MAX};
pub(crate) use super::subscriptions::{ACK_MAX, POLL_EVENTS_MAX, POLL_MAX_S};
pub(crate) use super::tenancy::PAGE_MAX;
pub(crate) use super::webhook_replay::LIMIT_MAX as REPLAY_MAX;
pub(crate) use scaivault_core::rotation::{COUNT_MAX as CONSUMERS_MAX, IDENTITIES_MAX};
pub(crate) use scaivault_engine::REASON_MAX as REASON_CHARS_MAX;

/// No id or name of anything is longer: whoever refers to a longer one finds nothing.
pub(crate) const REFERENCE_CHARS_MAX: usize = 256;

/// The kinds of targets; a test compares them with what there is.
pub(crate) const CONNECTORS: [&str; 5] = ["http_key", "mysql", "postgresql", "redis", "ssh"];
