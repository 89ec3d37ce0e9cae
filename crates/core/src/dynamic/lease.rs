//! A lease: one account at a target, from before it is made until it is known to be gone.
//!
//! ```text
//!             made                 expired, revoked, its token ended
//!  Creating ─────────► Active ──────────────────────────────┐
//!     │ │                                                    ▼
//!     │ └── nobody knows whether it was made ──────────► Revoking ──► Revoked
//!     └──── the target promised that nothing was made ─────────────────►
//! ```
//!
//! Every arrow is one commit. What is `Creating` longer than [`CONFIRMED_WITHIN`] was left behind
//! by somebody who is gone: it is removed under the name that is stored. What was not confirmed is
//! removed twice, the second time when nothing that was sent can arrive any more ([`LATE`]).
//! `Revoking` never gives up; how long it has been going wrong is what a debt list shows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::role::{Revocation, RoleTerms};
use crate::identity::Identity;
use crate::ids::{EngineId, LeaseId, TenantId, TokenId};
use crate::ports::Effect;
use crate::rotation::Jitter;
use crate::target::Trouble;
use crate::time::Timestamp;

/// A lease whose making was not confirmed for so long is taken for lost. Longer than a creation
/// may take with all its waiting.
pub const CONFIRMED_WITHIN: Duration = Duration::from_secs(120);
/// A change whose answer was lost may come this late.
pub const LATE: Duration = Duration::from_secs(900);
/// Wait before the second attempt to remove; doubles from there.
const BACKOFF: Duration = Duration::from_secs(10);
/// The longest wait between attempts, which go on for ever.
const BACKOFF_MAX: Duration = Duration::from_secs(900);
/// What was found without a lease lives so long at least, so that somebody may look.
const FOUND_LIVES: Duration = Duration::from_secs(3_600);
/// A removal that has been failing for so long is told of, once.
pub const TOLD_AFTER: Duration = Duration::from_secs(300);

/// Where a lease is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    /// Its account may be there or not.
    Creating,
    /// Its account is there and is somebody's.
    Active,
    /// Its account is being removed.
    Revoking,
    /// Its account is gone.
    Revoked,
}

impl LeaseState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 4] = [Self::Creating, Self::Active, Self::Revoking, Self::Revoked];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Active => "active",
            Self::Revoking => "revoking",
            Self::Revoked => "revoked",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why a lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its time was over.
    Expired,
    /// Somebody asked.
    Asked,
    /// The token that it was made with has ended.
    Token,
    /// Nobody knows whether its account was made.
    Unconfirmed,
    /// The target refused to make the account.
    NotMade,
    /// Its account was found at the target without a lease.
    Found,
}

impl Cause {
    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Asked => "asked",
            Self::Token => "token",
            Self::Unconfirmed => "unconfirmed",
            Self::NotMade => "not_made",
            Self::Found => "found",
        }
    }
}

/// A lease, as stored. No credential is ever in the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Id.
    pub id: LeaseId,
    /// Owner.
    pub tenant: TenantId,
    /// The engine that made it.
    pub engine_id: EngineId,
    /// The role's name at the time.
    pub role: String,
    /// The account's name at the target, fixed before it is made.
    pub account: String,
    /// Who asked for it.
    pub holder: Identity,
    /// With which token: its end is the lease's.
    pub token_id: Option<TokenId>,
    /// How its account is removed.
    pub revocation: Revocation,
    /// Where it is.
    pub state: LeaseState,
    /// Why it ends, once it does.
    pub cause: Option<Cause>,
    /// The target said that its account is there.
    pub confirmed: bool,
    /// When it was asked for.
    pub issued_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// How far it can be renewed.
    pub expires_at_latest: Timestamp,
    /// When it was renewed last.
    pub renewed_at: Option<Timestamp>,
    /// When its account was known to be gone.
    pub revoked_at: Option<Timestamp>,
    /// Attempts to remove it that failed since the last one that did not.
    pub attempts: u32,
    /// Since when removing it has been going wrong.
    pub failing_since: Option<Timestamp>,
    /// What went wrong last.
    pub trouble: Option<Trouble>,
    /// That it has been going wrong was told.
    pub alerted: bool,
    /// When it is looked at next; `None` when it has ended. While a worker has it in hand, when that
    /// hold lapses.
    pub wake_at: Option<Timestamp>,
    /// The number this write makes.
    pub revision: u64,
}

/// What there is to do about a lease now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseStep {
    /// Nothing before this time.
    Wait(Timestamp),
    /// Look whether its token lives on.
    Look,
    /// Remove its account, for this reason.
    Remove(Cause),
    /// Nothing ever.
    Ended,
}

/// What removing an account came to, for whoever tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RevocationOutcome {
    /// The account is gone for good.
    Revoked(Lease),
    /// It is gone, but what was sent to make it may still arrive: removed once more later.
    Again(Lease),
    /// It may still be there.
    Owed(Lease),
}

impl RevocationOutcome {
    /// The row it leaves.
    pub fn lease(&self) -> &Lease {
        match self {
            Self::Revoked(lease) | Self::Again(lease) | Self::Owed(lease) => lease,
        }
    }
}

impl Lease {
    /// A lease to be committed before its account is made. `ttl` is what was asked for.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is another field of the row"
    )]
    pub fn intended(
        id: LeaseId,
        tenant: TenantId,
        engine_id: EngineId,
        (role, revocation): (String, Revocation),
        account: String,
        (holder, token_id): (Identity, Option<TokenId>),
        (ttl, terms): (Option<Duration>, RoleTerms),
        now: Timestamp,
    ) -> Self {
        let ttl = ttl.unwrap_or(terms.default_ttl).min(terms.max_ttl);
        Self {
            id,
            tenant,
            engine_id,
            role,
            account,
            holder,
            token_id,
            revocation,
            state: LeaseState::Creating,
            cause: None,
            confirmed: false,
            issued_at: now,
            expires_at: now.plus(ttl),
            expires_at_latest: now.plus(terms.max_ttl),
            renewed_at: None,
            revoked_at: None,
            attempts: 0,
            failing_since: None,
            trouble: None,
            alerted: false,
            wake_at: Some(now.plus(CONFIRMED_WITHIN)),
            revision: 1,
        }
    }

    /// A lease for an account that was found at the target without one, made then: a restore forgot
    /// it, or what made it came later than anybody waits. Whoever holds it keeps it for as long as
    /// any lease of the engine may live, and for an hour at least.
    pub fn found(
        id: LeaseId,
        (tenant, engine_id): (TenantId, EngineId),
        account: String,
        holder: Identity,
        (made_at, max_ttl): (Timestamp, Duration),
        now: Timestamp,
    ) -> Self {
        let expires_at = made_at.plus(max_ttl).max(now.plus(FOUND_LIVES));
        Self {
            id,
            tenant,
            engine_id,
            role: String::new(),
            account,
            holder,
            token_id: None,
            revocation: Revocation::default(),
            state: LeaseState::Active,
            cause: Some(Cause::Found),
            confirmed: true,
            issued_at: now,
            expires_at,
            expires_at_latest: expires_at,
            renewed_at: None,
            revoked_at: None,
            attempts: 0,
            failing_since: None,
            trouble: None,
            alerted: false,
            wake_at: Some(expires_at),
            revision: 1,
        }
    }

    /// What to do now.
    pub fn step(&self, now: Timestamp) -> LeaseStep {
        let overdue = |cause| match self.wake_at {
            Some(at) if now < at => LeaseStep::Wait(at),
            _ => LeaseStep::Remove(cause),
        };
        match self.state {
            LeaseState::Creating => overdue(Cause::Unconfirmed),
            LeaseState::Active if now >= self.expires_at => LeaseStep::Remove(Cause::Expired),
            LeaseState::Active => match overdue(Cause::Token) {
                LeaseStep::Remove(_) => LeaseStep::Look,
                step => step,
            },
            LeaseState::Revoking => overdue(self.cause.unwrap_or(Cause::Expired)),
            LeaseState::Revoked => LeaseStep::Ended,
        }
    }

    /// Whether its holder has the credential and may use it.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.state == LeaseState::Active && now < self.expires_at
    }

    /// Whether somebody has the credential, or is about to get it.
    pub fn may_be_used(&self) -> bool {
        matches!(self.state, LeaseState::Creating | LeaseState::Active)
    }

    /// Whether its account may be at the target.
    pub fn may_exist(&self) -> bool {
        self.state != LeaseState::Revoked
    }

    /// The row after the target made the account, for whoever holds a token that ends then.
    #[must_use]
    pub fn confirmed(&self, token_ends_at: Option<Timestamp>) -> Self {
        Self {
            state: LeaseState::Active,
            confirmed: true,
            ..self.looked_at(token_ends_at)
        }
    }

    /// The row after the target promised that it made nothing.
    #[must_use]
    pub fn not_made(&self, trouble: Trouble, now: Timestamp) -> Self {
        Self {
            trouble: Some(trouble),
            ..self.ended(Cause::NotMade, now)
        }
    }

    /// Looked at next when it ends, or when its token is to end.
    #[must_use]
    pub fn looked_at(&self, token_ends_at: Option<Timestamp>) -> Self {
        let at = token_ends_at.map_or(self.expires_at, |at| at.min(self.expires_at));
        Self {
            wake_at: Some(at),
            ..self.next()
        }
    }

    /// The row of one that is to end: its account is removed at the next opportunity. One that is
    /// ending already keeps its first cause. `None` when it has ended.
    #[must_use]
    pub fn ending(&self, cause: Cause, now: Timestamp) -> Option<Self> {
        let next = match self.state {
            LeaseState::Revoked => return None,
            // Whoever makes it finds that the row is another, and hands nothing out.
            LeaseState::Creating | LeaseState::Active => Self {
                state: LeaseState::Revoking,
                cause: Some(cause),
                ..self.next()
            },
            LeaseState::Revoking => self.next(),
        };
        Some(Self {
            wake_at: Some(now),
            ..next
        })
    }

    /// Taken in hand until `until`, to be removed. What is taken is ending from then on, so that
    /// nobody renews it while its account goes.
    #[must_use]
    pub fn taken(&self, cause: Cause, until: Timestamp) -> Self {
        Self {
            state: LeaseState::Revoking,
            cause: Some(self.cause.unwrap_or(cause)),
            wake_at: Some(until),
            ..self.next()
        }
    }

    /// When it would end if it were renewed now for `increment`; no further than its latest end,
    /// and never sooner than it ends already unless the holder asks for less. `None` when there is
    /// nothing to renew.
    pub fn renewable_until(&self, increment: Duration, now: Timestamp) -> Option<Timestamp> {
        self.is_live(now)
            .then(|| now.plus(increment).min(self.expires_at_latest))
    }

    /// The row after the target was told the new end.
    #[must_use]
    pub fn renewed(&self, until: Timestamp, now: Timestamp) -> Self {
        Self {
            expires_at: until,
            renewed_at: Some(now),
            wake_at: Some(until),
            ..self.next()
        }
    }

    /// The row after an attempt to remove the account.
    #[must_use]
    pub fn removed(&self, effect: &Effect, jitter: Jitter, now: Timestamp) -> RevocationOutcome {
        match effect {
            Effect::Applied(_) => {
                let settled_at = self.issued_at.plus(LATE);
                let cause = self.cause.unwrap_or(Cause::Expired);
                if self.confirmed || now >= settled_at {
                    return RevocationOutcome::Revoked(self.ended(cause, now));
                }
                RevocationOutcome::Again(Self {
                    attempts: 0,
                    failing_since: None,
                    trouble: None,
                    wake_at: Some(settled_at),
                    ..self.next()
                })
            }
            Effect::NotApplied(trouble) | Effect::Unknown(trouble) => {
                let wait = BACKOFF
                    .saturating_mul(1 << self.attempts.min(16))
                    .min(BACKOFF_MAX);
                let asked = Duration::from_secs(trouble.retry_after_s.unwrap_or(0));
                let wait = jitter.spread(wait).max(asked.min(BACKOFF_MAX));
                RevocationOutcome::Owed(Self {
                    attempts: self.attempts.saturating_add(1),
                    failing_since: Some(self.failing_since.unwrap_or(now)),
                    trouble: Some(trouble.clone()),
                    wake_at: Some(now.plus(wait)),
                    ..self.next()
                })
            }
        }
    }

    /// Whether that it cannot be removed is to be told now.
    pub fn is_to_be_told(&self, now: Timestamp) -> bool {
        !self.alerted
            && self
                .failing_since
                .is_some_and(|since| now >= since.plus(TOLD_AFTER))
    }

    fn ended(&self, cause: Cause, now: Timestamp) -> Self {
        Self {
            state: LeaseState::Revoked,
            cause: Some(cause),
            revoked_at: Some(now),
            attempts: 0,
            failing_since: None,
            trouble: None,
            wake_at: None,
            ..self.next()
        }
    }

    fn next(&self) -> Self {
        Self {
            revision: self.revision + 1,
            ..self.clone()
        }
    }
}
