//! What a rotation at a target may do and must wait for: part of the rotation policy, copied into
//! each rotation when it opens, so that a change of the policy never moves a rotation under way.

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::time::Span;

/// Which consumers must have moved before the old credential is revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// All that read the secret within this time.
    Live(Span),
    /// These, whether they read it lately or not.
    Listed(Vec<Identity>),
    /// So many, whoever they are.
    Count(u32),
}

/// What the drain's deadline does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDeadline {
    /// Park and tell; nothing is revoked.
    Hold,
    /// Revoke all the same, audited as forced.
    Force,
    /// Give readers the old version again and retire the new one.
    RollBack,
}

impl OnDeadline {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Hold, Self::Force, Self::RollBack];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Force => "force",
            Self::RollBack => "roll_back",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// What a consumer's report that it fails with the new version does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Park and tell.
    Hold,
    /// Give readers the old version again and retire the new one.
    RollBack,
}

impl OnFailure {
    /// Every action.
    pub const ALL: [Self; 2] = [Self::Hold, Self::RollBack];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::RollBack => "roll_back",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// The rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// A target without overlap may be rotated, knowing that the old credential dies before
    /// consumers have the new one.
    pub accept_gap: bool,
    /// A person approves before the old credential is revoked.
    pub approval: bool,
    /// Which consumers count.
    pub consumers: Which,
    /// Readers that are no consumers: people who look, backup jobs.
    pub ignore: Vec<Identity>,
    /// How long the target must show no use of the old credential.
    pub quiet_period: Span,
    /// From promotion to the deadline; the policy's grace period when absent.
    pub deadline: Option<Span>,
    /// What the deadline does.
    pub on_deadline: OnDeadline,
    /// What a reported failure does.
    pub on_failure: OnFailure,
    /// Consumers still moving after this long are told of once.
    pub propagation_bound: Span,
    /// Between two looks at the target or the ledger.
    pub poll: Span,
}

fn span(text: &str) -> Span {
    Span::parse(text).unwrap_or_else(|_| unreachable!("a valid constant"))
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            accept_gap: false,
            approval: false,
            consumers: Which::Live(span("24h")),
            ignore: Vec::new(),
            quiet_period: span("1m"),
            deadline: None,
            on_deadline: OnDeadline::Hold,
            on_failure: OnFailure::Hold,
            propagation_bound: span("30m"),
            poll: span("10s"),
        }
    }
}
