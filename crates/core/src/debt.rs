//! Debts: what is still to be removed at a target. Kept with its age, tried again for ever at a
//! low rate, listed and told of.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{DebtId, RotationId, TargetId, TenantId};
use crate::path::SecretPath;
use crate::ports::{Effect, Login, Residue};
use crate::rotation::{Attached, Jitter};
use crate::target::{Overlap, Trouble, TroubleKind};
use crate::time::Timestamp;

/// Wait before the second attempt; doubles from there.
const BACKOFF: Duration = Duration::from_secs(60);
/// The longest wait between attempts, which go on for ever.
const BACKOFF_MAX: Duration = Duration::from_secs(3_600);
/// A change whose answer was lost may come this late.
const LATE: Duration = Duration::from_secs(900);
/// A debt this old is told of, once.
pub const DEBT_TOLD_AFTER: Duration = Duration::from_secs(86_400);

/// What is to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owed {
    /// A credential that the target may still accept; its value stays stored as this version.
    Credential {
        /// The secret.
        path: SecretPath,
        /// The version.
        version: u64,
        /// The rotation that gave it up.
        rotation_id: RotationId,
        /// Which account.
        attached: Attached,
        /// A change that makes the target accept it may still be on its way: it is not settled
        /// before the target was told otherwise under a later number.
        #[serde(default)]
        may_arrive: bool,
    },
    /// What a mint of this rotation may have left.
    Residue {
        /// The secret.
        path: SecretPath,
        /// The rotation whose tag it carries.
        rotation_id: RotationId,
        /// Which account.
        attached: Attached,
        /// Keys up to this epoch are nobody's.
        #[serde(default)]
        until: u64,
    },
    /// The throw-away account of a rehearsal.
    Account {
        /// In the connector's fields.
        account: Map<String, Value>,
        /// The plan it was made for.
        overlap: Overlap,
        /// What its names carry.
        tag: String,
    },
}

impl Owed {
    /// The wire word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Credential { .. } => "credential",
            Self::Residue { .. } => "residue",
            Self::Account { .. } => "rehearsal_account",
        }
    }

    /// The secret it is of, if it is of one.
    pub fn path(&self) -> Option<&SecretPath> {
        match self {
            Self::Credential { path, .. } | Self::Residue { path, .. } => Some(path),
            Self::Account { .. } => None,
        }
    }

    /// The rotation that left it.
    pub fn rotation_id(&self) -> Option<&RotationId> {
        match self {
            Self::Credential { rotation_id, .. } | Self::Residue { rotation_id, .. } => {
                Some(rotation_id)
            }
            Self::Account { .. } => None,
        }
    }
}

/// A debt, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// Id.
    pub id: DebtId,
    /// Owner.
    pub tenant: TenantId,
    /// Where.
    pub target_id: TargetId,
    /// Its name at the time, for people.
    pub target_name: String,
    /// What.
    pub owed: Owed,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// What went wrong last.
    pub trouble: Option<Trouble>,
    /// Its age was told of.
    pub alerted: bool,
    /// The last look found it: the target is told next.
    #[serde(default)]
    pub to_tell: bool,
    /// The last login with it was let in.
    #[serde(default)]
    pub accepted: bool,
    /// The target said that it is done; a look has to agree.
    #[serde(default)]
    pub told: bool,
    /// A worker has it in hand until then.
    #[serde(default)]
    pub held_until: Option<Timestamp>,
    /// When it is tried next.
    pub wake_at: Option<Timestamp>,
    /// The number this write makes.
    pub revision: u64,
}

/// The one thing to do about a debt now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebtStep {
    /// Log in with the credential: is it still accepted?
    Login,
    /// Make the target refuse the credential.
    Retire,
    /// Look for keys that came late.
    Residue,
    /// Revoke the keys that came late.
    Clear,
    /// Remove the throw-away account.
    Remove,
}

impl DebtStep {
    /// For the audit trail.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Retire => "retire",
            Self::Residue => "residue",
            Self::Clear => "clear",
            Self::Remove => "remove",
        }
    }
}

impl Debt {
    /// A debt since now.
    pub fn new(
        id: DebtId,
        tenant: TenantId,
        target: (TargetId, String),
        owed: Owed,
        now: Timestamp,
        wake_at: Timestamp,
    ) -> Self {
        Self {
            id,
            tenant,
            target_id: target.0,
            target_name: target.1,
            owed,
            since: now,
            attempts: 0,
            trouble: None,
            alerted: false,
            to_tell: false,
            accepted: false,
            told: false,
            held_until: None,
            wake_at: Some(wake_at),
            revision: 1,
        }
    }

    /// What to do now.
    pub fn step(&self) -> DebtStep {
        match (&self.owed, self.to_tell) {
            (Owed::Credential { .. }, false) => DebtStep::Login,
            (Owed::Credential { .. }, true) => DebtStep::Retire,
            (Owed::Residue { .. }, false) => DebtStep::Residue,
            (Owed::Residue { .. }, true) => DebtStep::Clear,
            (Owed::Account { .. }, _) => DebtStep::Remove,
        }
    }

    /// Whether its age is to be told now.
    pub fn is_to_be_told(&self, now: Timestamp) -> bool {
        !self.alerted && now.since(self.since) >= DEBT_TOLD_AFTER
    }

    /// Taken in hand until `until`.
    #[must_use]
    pub fn claimed(&self, until: Timestamp) -> Self {
        let mut next = self.next();
        next.wake_at = Some(until);
        next.held_until = Some(until);
        next
    }

    /// What a login with the credential came to; `None` when the debt is settled.
    #[must_use]
    pub fn looked(&self, login: &Login, jitter: Jitter, now: Timestamp) -> Option<Self> {
        let must_tell = matches!(
            self.owed,
            Owed::Credential {
                may_arrive: true,
                ..
            }
        );
        match login {
            Login::Unknown(trouble) => Some(self.put_off(Some(trouble.clone()), jitter, now)),
            // Not every target can hold a number that refuses what comes late.
            Login::Refused(_) if self.told && must_tell && now < self.since.plus(LATE) => {
                Some(self.put_off(None, jitter, now))
            }
            Login::Refused(_) if self.told || !must_tell => None,
            Login::Refused(_) => Some(self.to_be_told(false, now)),
            Login::Accepted if self.told => {
                let trouble = Trouble::new(TroubleKind::Protocol).code("still_accepted");
                let mut next = self.put_off(Some(trouble), jitter, now);
                next.accepted = true;
                next.to_tell = true;
                next.told = false;
                Some(next)
            }
            Login::Accepted => Some(self.to_be_told(true, now)),
        }
    }

    /// What a look for late keys came to; `None` when none can come any more.
    #[must_use]
    pub fn looked_for_residue(
        &self,
        residue: &Residue,
        jitter: Jitter,
        now: Timestamp,
    ) -> Option<Self> {
        match residue {
            Residue::Unknown(trouble) => Some(self.put_off(Some(trouble.clone()), jitter, now)),
            Residue::Found(_) if self.told => {
                let mut next = self.put_off(self.trouble.clone(), jitter, now);
                next.to_tell = true;
                next.told = false;
                Some(next)
            }
            Residue::Found(_) => Some(self.to_be_told(true, now)),
            Residue::None if now >= self.since.plus(LATE) => None,
            Residue::None => Some(self.put_off(None, jitter, now)),
        }
    }

    /// The account is another secret's by now: the target is told nothing, or that one would be
    /// cut off. `None` when the debt is settled: its credential is refused, and no change can
    /// come late any more.
    #[must_use]
    pub fn account_taken(&self, jitter: Jitter, now: Timestamp) -> Option<Self> {
        if !self.accepted && now >= self.since.plus(LATE) {
            return None;
        }
        let trouble = Trouble::new(TroubleKind::Settings)
            .code("account_taken")
            .remedy("rotate or detach the secret that has the account now".to_owned());
        let mut next = self.put_off(Some(trouble), jitter, now);
        next.to_tell = false;
        next.told = false;
        Some(next)
    }

    /// What an effect came to; `None` when the debt is settled.
    #[must_use]
    pub fn sent(&self, effect: &Effect, jitter: Jitter, now: Timestamp) -> Option<Self> {
        let step = self.step();
        match effect {
            Effect::Applied(_) if step == DebtStep::Remove => None,
            Effect::Applied(_) => Some(self.answered(now)),
            // Only later keys are there, which are not this debt's.
            Effect::NotApplied(trouble)
                if step == DebtStep::Clear && trouble.kind == TroubleKind::Fenced =>
            {
                Some(self.answered(now))
            }
            // It is refused, and its account is the one that the current value needs: whoever
            // gave it to that value did so under a later number.
            Effect::NotApplied(trouble)
                if step == DebtStep::Retire
                    && !self.accepted
                    && matches!(trouble.kind, TroubleKind::Settings | TroubleKind::Fenced) =>
            {
                None
            }
            Effect::NotApplied(trouble) | Effect::Unknown(trouble) => {
                let mut next = self.put_off(Some(trouble.clone()), jitter, now);
                next.to_tell = step != DebtStep::Retire && self.to_tell;
                next.told = false;
                Some(next)
            }
        }
    }

    /// Tried again later, at a low rate.
    #[must_use]
    pub fn put_off(&self, trouble: Option<Trouble>, jitter: Jitter, now: Timestamp) -> Self {
        let wait = BACKOFF
            .saturating_mul(1 << self.attempts.min(16))
            .min(BACKOFF_MAX);
        let asked = trouble.as_ref().and_then(|trouble| trouble.retry_after_s);
        let asked = Duration::from_secs(asked.unwrap_or(0)).min(BACKOFF_MAX);
        let mut next = self.next();
        next.attempts = self.attempts.saturating_add(1);
        next.wake_at = Some(now.plus(jitter.spread(wait).max(asked)));
        next.trouble = trouble;
        next
    }

    /// Tried again now, by request.
    #[must_use]
    pub fn retried(&self, now: Timestamp) -> Self {
        let mut next = self.next();
        next.wake_at = Some(now);
        next
    }

    fn to_be_told(&self, accepted: bool, now: Timestamp) -> Self {
        let mut next = self.next();
        next.to_tell = true;
        next.told = false;
        next.accepted = accepted;
        next.wake_at = Some(now);
        next
    }

    fn answered(&self, now: Timestamp) -> Self {
        let mut next = self.next();
        next.to_tell = false;
        next.told = true;
        next.wake_at = Some(now);
        next
    }

    fn next(&self) -> Self {
        Self {
            revision: self.revision + 1,
            held_until: None,
            ..self.clone()
        }
    }
}

#[cfg(test)]
#[path = "debt_tests.rs"]
mod tests;
