//! Where a rotation stands, how it gets its value, and what began it.

use serde::{Deserialize, Serialize};

/// Where a rotation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing changed anywhere.
    Generating,
    /// Intent is durable; the target is being told.
    Applying,
    /// The target may accept both.
    Verifying,
    /// Readers get the new version; consumers move to it.
    Propagating,
    /// Every consumer has the new version; the old one falls out of use, still readable by number.
    Draining,
    /// Nobody uses the old one.
    Revoking,
    /// One credential again.
    Completed,
    /// Stepping back.
    RollingBack,
    /// The old version is current, the candidate is gone.
    RolledBack,
    /// Safe, waiting for a person.
    Parked,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 10] = [
        Self::Generating,
        Self::Applying,
        Self::Verifying,
        Self::Propagating,
        Self::Draining,
        Self::Revoking,
        Self::Completed,
        Self::RollingBack,
        Self::RolledBack,
        Self::Parked,
    ];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generating => "generating",
            Self::Applying => "applying",
            Self::Verifying => "verifying",
            Self::Propagating => "propagating",
            Self::Draining => "draining",
            Self::Revoking => "revoking",
            Self::Completed => "completed",
            Self::RollingBack => "rolling_back",
            Self::RolledBack => "rolled_back",
            Self::Parked => "parked",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text)
    }

    /// Whether nothing follows by itself or by hand.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::RolledBack)
    }

    /// Every phase after which something follows.
    pub fn unfinished() -> Vec<Self> {
        let all = Self::ALL.into_iter();
        all.filter(|phase| !phase.is_final()).collect()
    }

    /// The word of the rotation history: did readers get a new value?
    pub fn status(self) -> &'static str {
        match self {
            Self::Generating | Self::Applying | Self::Verifying => "pending",
            Self::Propagating | Self::Draining | Self::Revoking | Self::Completed => "success",
            Self::RollingBack | Self::RolledBack | Self::Parked => "failed",
        }
    }
}

/// How the new value comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Someone outside mints it and writes it back.
    EventDriven,
    /// The server makes it.
    GeneratedValue,
    /// The server makes it and tells the target.
    Target,
}

/// What began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The interval.
    Schedule,
    /// A request.
    Manual,
}
