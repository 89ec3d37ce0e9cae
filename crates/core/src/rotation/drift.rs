//! Whether a credential that is not being rotated still works: looked at from time to time by a
//! harmless login, so that a change made outside is found before a consumer finds it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schedule::Assignment;
use crate::ports::{Login, Refusal};
use crate::time::Timestamp;

/// A login that did not work is tried again after this, before anybody is told.
const CONFIRM_AFTER: Duration = Duration::from_secs(30);
/// Where a look is not possible or not wanted, it is thought of again after this.
const RELOOK: Duration = Duration::from_secs(3_600);

/// Why the stored credential does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The target refuses it: the password or key was changed there, or the account is gone.
    ChangedOutside,
    /// The account is locked, or may not log in.
    Locked,
    /// The password or the account has expired.
    Expired,
    /// It gets in as another account.
    AnotherAccount,
    /// The target cannot be reached.
    Unreachable,
    /// It cannot be told.
    Unclear,
}

impl Finding {
    /// What a login found; `None` when it worked.
    pub fn of(login: &Login) -> Option<Self> {
        Some(match login {
            Login::Accepted => return None,
            Login::Refused(Refusal::Credential) => Self::ChangedOutside,
            Login::Refused(Refusal::Locked) => Self::Locked,
            Login::Refused(Refusal::Expired) => Self::Expired,
            Login::Refused(Refusal::AnotherAccount) => Self::AnotherAccount,
            Login::Unknown(trouble) if trouble.kind.is_passing() => Self::Unreachable,
            Login::Unknown(_) => Self::Unclear,
        })
    }

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChangedOutside => "changed_outside",
            Self::Locked => "locked",
            Self::Expired => "expired",
            Self::AnotherAccount => "another_account",
            Self::Unreachable => "unreachable",
            Self::Unclear => "unclear",
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::ChangedOutside => {
                "the target refuses the stored credential: rotate the secret, or write the value \
                 that works"
            }
            Self::Locked => "the account is locked at the target: unlock it, or rotate the secret",
            Self::Expired => "the password or account has expired at the target: rotate the secret",
            Self::AnotherAccount => {
                "the stored credential gets in as another account: look for an entry that shadows \
                 it at the target"
            }
            Self::Unreachable => {
                "the target cannot be reached: check that it runs, and the way to it"
            }
            Self::Unclear => {
                "whether the stored credential works cannot be told: check the target, its \
                 settings and the fields of the value"
            }
        }
    }
}

/// What is known to be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// What was found.
    pub found: Finding,
    /// When it was found first.
    pub since: Timestamp,
    /// When it was found last.
    pub checked_at: Timestamp,
}

/// What one login found, until a second one agrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// What it found.
    pub found: Finding,
    /// With which version.
    pub version: u64,
    /// When.
    pub at: Timestamp,
}

/// What was learned of a credential after the store was restored from a backup. Kept, so that no
/// node tries again what the target refused: each try may count towards locking the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relearned {
    /// After which restore.
    pub restored_at: Timestamp,
    /// When.
    pub at: Timestamp,
    /// What readers got; 0 when there was nothing to try.
    pub version: u64,
    /// What was wrong with it; `None` when the target accepted it.
    pub found: Option<Finding>,
    /// Other stored versions that the target accepted instead.
    #[serde(default)]
    pub accepted: Vec<u64>,
    /// When the target's settings had been changed last.
    pub target_updated_at: Timestamp,
}

/// An attachment's looks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Probe {
    /// When the next is due; `None` before the first.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// What the last found, not told yet.
    #[serde(default)]
    pub suspicion: Option<Suspicion>,
    /// What was found and told.
    #[serde(default)]
    pub drift: Option<Drift>,
    /// What was learned after a restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relearned: Option<Relearned>,
}

impl Assignment {
    /// The row in the hands of somebody who tries its credential.
    #[must_use]
    pub fn held(&self, until: Timestamp) -> Self {
        let mut next = self.next();
        next.claimed_until = Some(until);
        next
    }

    /// The row with what was learned after a restore; without, it is to be learned again.
    #[must_use]
    pub fn relearned(&self, learned: Option<Relearned>) -> Self {
        let mut next = self.next();
        next.probe.relearned = learned;
        next
    }

    /// When a look is due: never without a target, nor while a rotation is open.
    pub fn probe_due(&self) -> Option<Timestamp> {
        let applies = self.attached.is_some() && self.open_rotation.is_none();
        applies.then(|| self.probe.at.unwrap_or(self.assigned_at))
    }

    /// The row after a look. What is found has to be found twice in a row, with the same version,
    /// before it counts.
    #[must_use]
    pub fn probed(
        &self,
        found: Option<Finding>,
        version: u64,
        every: Duration,
        now: Timestamp,
    ) -> Self {
        let mut next = self.next();
        let every = every.max(CONFIRM_AFTER);
        let known = self.probe.drift.as_ref();
        let known = known.filter(|drift| Some(drift.found) == found);
        let first = self.probe.suspicion.as_ref();
        let first = first.filter(|one| Some(one.found) == found && one.version == version);
        next.probe = match (found, known, first) {
            (None, _, _) => Probe::default(),
            (Some(_), Some(known), _) => Probe {
                drift: Some(Drift {
                    checked_at: now,
                    ..known.clone()
                }),
                ..Probe::default()
            },
            (Some(found), None, Some(first)) => Probe {
                drift: Some(Drift {
                    found,
                    since: first.at,
                    checked_at: now,
                }),
                ..Probe::default()
            },
            (Some(found), None, None) => Probe {
                suspicion: Some(Suspicion {
                    found,
                    version,
                    at: now,
                }),
                drift: self.probe.drift.clone(),
                ..Probe::default()
            },
        };
        let wait = match next.probe.suspicion {
            Some(_) => CONFIRM_AFTER,
            None => every,
        };
        next.probe.at = Some(now.plus(wait));
        next
    }

    /// The row where no look is wanted: what was found is forgotten.
    #[must_use]
    pub fn not_probed(&self, now: Timestamp) -> Self {
        let mut next = self.next();
        next.probe = Probe {
            at: Some(now.plus(RELOOK)),
            ..Probe::default()
        };
        next
    }
}

#[cfg(test)]
#[path = "drift_tests.rs"]
mod tests;
