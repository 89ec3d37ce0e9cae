//! The rows that follow one another in a rotation at a target: pure, one function per outcome.

use std::time::Duration;

use super::at_target::{AtTarget, InFlight};
use super::machine::Effect;
use super::phase::Phase;
use super::reason::Reason;
use super::record::Rotation;
use crate::identity::Identity;
use crate::ports::{Login, Residue, Sessions};
use crate::target::{Overlap, Trouble, TroubleKind};
use crate::time::Timestamp;

/// Attempts of a step in a row before a person is asked.
const ATTEMPTS_MAX: u32 = 8;
/// Wait before the second attempt; doubles from there.
const BACKOFF: Duration = Duration::from_secs(2);
/// The longest wait between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// A rotation parked by its target's trouble tries again by itself after this.
const PARKED_RETRY: Duration = Duration::from_secs(900);

/// A random number that spreads retries; an argument like all randomness.
#[derive(Debug, Clone, Copy)]
pub struct Jitter(pub u64);

impl Jitter {
    /// Between half of `wait` and `wait`.
    pub fn spread(self, wait: Duration) -> Duration {
        let half = u64::try_from(wait.as_millis() / 2).unwrap_or(u64::MAX);
        Duration::from_millis(half + self.0 % (half + 1))
    }
}

/// What an effect came to, without what it minted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EffectOutcome {
    /// Done; where the target minted the candidate, it is stored as this version in the same
    /// commit.
    Applied {
        /// The minted version.
        minted: Option<u64>,
    },
    /// Nothing was changed.
    NotApplied(Trouble),
    /// Perhaps.
    Unknown(Trouble),
}

impl Rotation {
    fn at(&mut self, change: impl FnOnce(&mut AtTarget)) {
        if let Some(at) = &mut self.at_target {
            change(at);
        }
    }

    fn entered_at(&self, phase: Phase, now: Timestamp) -> Self {
        let mut next = self.enter(phase, now);
        next.wake_at = Some(now);
        next.trouble = None;
        next.at(|at| {
            at.in_flight = InFlight::Nothing;
            if phase == Phase::Revoking {
                at.giving_up_since = at.giving_up_since.or(Some(now));
            }
        });
        next
    }

    /// The candidate is durable (`None`: the target will mint it); nothing was sent yet.
    #[must_use]
    pub fn planned(&self, candidate: Option<u64>, now: Timestamp) -> Self {
        let mut next = self.entered_at(Phase::Applying, now);
        next.to_version = candidate;
        next
    }

    /// The mark before an effect is sent. The worker holds the claim until the outcome is stored.
    #[must_use]
    pub fn sending(&self, effect: Effect, hold_until: Timestamp) -> Self {
        let mut next = self.next();
        next.claimed_until = Some(hold_until);
        next.wake_at = Some(self.wake_at.unwrap_or(self.phase_since));
        next.at(|at| {
            at.in_flight = InFlight::Sent;
            at.sent_until = Some(hold_until);
            at.maybe_live |= matches!(effect, Effect::Apply);
            at.minting |= matches!(effect, Effect::Apply) && at.attached.overlap == Overlap::NKeys;
        });
        next
    }

    /// What an effect came to.
    #[must_use]
    pub fn sent(
        &self,
        effect: Effect,
        outcome: EffectOutcome,
        jitter: Jitter,
        now: Timestamp,
    ) -> Self {
        match (effect, outcome) {
            (Effect::Apply, EffectOutcome::Applied { minted }) => {
                let mut next = self.entered_at(Phase::Verifying, now);
                next.to_version = minted.or(self.to_version);
                if minted.is_some() {
                    let epoch = self.epoch();
                    next.at(|at| at.minted_epoch = Some(epoch));
                }
                next
            }
            (_, EffectOutcome::Applied { .. }) => {
                let mut next = self.next();
                next.wake_at = Some(now);
                next.at(|at| at.in_flight = InFlight::Told);
                next
            }
            // Beside a key that is kept, the connector finds nothing older to clear.
            (Effect::Clear, EffectOutcome::NotApplied(trouble))
                if trouble.kind == TroubleKind::Fenced && self.phase != Phase::Applying =>
            {
                let mut next = self.next();
                next.wake_at = Some(now);
                next.at(|at| at.in_flight = InFlight::Told);
                next
            }
            (_, EffectOutcome::NotApplied(trouble)) => {
                let mut next = self.troubled(trouble, jitter, now);
                next.at(|at| at.in_flight = InFlight::Nothing);
                next
            }
            (_, EffectOutcome::Unknown(trouble)) => {
                let mut next = self.troubled(trouble, jitter, now);
                next.at(|at| at.retiring |= effect == Effect::Retire);
                next
            }
        }
    }

    /// The row of somebody who does not know what became of the effect in hand.
    fn doubted(&self) -> Self {
        let mut next = self.clone();
        next.at(|at| {
            if at.in_flight == InFlight::Sent {
                at.unsettled_until = at.unsettled_until.max(at.sent_until);
            }
        });
        next
    }

    /// Until when an absence proves nothing.
    fn unsettled_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.at_target.as_ref()?.unsettled_until;
        until.filter(|until| *until > now)
    }

    /// Whether the candidate was found accepted after an outcome nobody knew.
    #[must_use]
    pub fn looked_for_candidate(&self, login: &Login, jitter: Jitter, now: Timestamp) -> Self {
        let doubted = self.doubted();
        match login {
            Login::Accepted => doubted.entered_at(Phase::Verifying, now),
            Login::Refused(_) => {
                // It was not applied, or was applied and undone: the same candidate again.
                let mut next = doubted.next();
                next.wake_at = Some(now);
                next.at(|at| at.in_flight = InFlight::Nothing);
                next
            }
            Login::Unknown(trouble) => doubted.unclear(trouble, jitter, now),
        }
    }

    /// Whether a lost mint left something.
    #[must_use]
    pub fn looked_for_residue(&self, residue: &Residue, jitter: Jitter, now: Timestamp) -> Self {
        let found = match residue {
            Residue::None => false,
            Residue::Found(_) => true,
            Residue::Unknown(trouble) => return self.troubled(trouble.clone(), jitter, now),
        };
        let doubted = self.doubted();
        let mut next = doubted.next();
        if let Some(until) = doubted.unsettled_until(now).filter(|_| !found) {
            next.wake_at = Some(until); // it may come yet: looked for again then
            return next;
        }
        next.wake_at = Some(now);
        next.trouble = None;
        let (minted, is_last) = (self.to_version.is_some(), self.phase != Phase::Applying);
        next.at(|at| {
            at.in_flight = InFlight::Nothing;
            at.to_clear = found;
            // Beside a key that is stored, this says nothing of that one.
            at.maybe_live = if minted { at.maybe_live } else { found };
            at.residue_clear = is_last && !found;
        });
        next
    }

    /// Whether the target may hold a key of this rotation that came late: looked for before the
    /// end.
    pub fn owes_last_look(&self) -> bool {
        let Some(at) = &self.at_target else {
            return false;
        };
        let bounded = self.to_version.is_none()
            || at.minted_epoch.is_some()
            || self.phase == Phase::RollingBack;
        at.minting && bounded && !at.residue_clear
    }

    /// Up to which epoch keys of this rotation are nobody's: before the one that is stored, as
    /// long as that one is kept.
    pub fn residue_epoch(&self) -> u64 {
        let minted = self.at_target.as_ref().and_then(|at| at.minted_epoch);
        match minted {
            Some(minted) if self.phase != Phase::RollingBack => minted.saturating_sub(1),
            _ => self.epoch(),
        }
    }

    /// What was given up is proven dead; late mints are looked for before the end.
    #[must_use]
    pub fn retired(&self, now: Timestamp) -> Self {
        let mut next = self.next();
        next.wake_at = Some(now);
        next.trouble = None;
        next.attempts = 0;
        next.at(|at| {
            at.in_flight = InFlight::Nothing;
            at.to_clear = false;
            at.retired = true;
        });
        next
    }

    /// A verification that did not let the candidate in.
    #[must_use]
    pub fn not_verified(&self, login: &Login, jitter: Jitter, now: Timestamp) -> Self {
        let trouble = match login {
            Login::Unknown(trouble) => trouble.clone(),
            Login::Accepted | Login::Refused(_) => {
                let refusals = self.at_target.as_ref().map_or(0, |at| at.refusals) + 1;
                let phase = if refusals >= super::at_target::REFUSALS_MAX {
                    Phase::Verifying
                } else {
                    Phase::Applying // it may have been undone: told again
                };
                let mut next = self.entered_at(phase, now);
                next.wake_at = Some(now.plus(jitter.spread(BACKOFF)));
                next.at(|at| at.refusals = refusals);
                return next;
            }
        };
        self.troubled(trouble, jitter, now)
    }

    /// Readers get the new version from this commit on.
    #[must_use]
    pub fn promoted_at_target(&self, now: Timestamp) -> Self {
        let mut next = self.entered_at(Phase::Propagating, now);
        let grace = &self.grace_period;
        next.at(|at| {
            let deadline = at.rules.deadline.as_ref().unwrap_or(grace);
            at.promoted_at = Some(now);
            at.deadline_at = Some(now.plus(deadline.duration()));
            at.heed_since = None;
            at.looked_at = None;
            at.quiet_since = None;
        });
        next
    }

    /// The next phase.
    #[must_use]
    pub fn entered(&self, phase: Phase, now: Timestamp) -> Self {
        let mut next = self.entered_at(phase, now);
        next.at(|at| {
            if phase == Phase::Draining {
                at.looked_at = None;
                at.quiet_since = None;
                at.sessions = None;
            }
        });
        next
    }

    /// Waiting for consumers is over.
    #[must_use]
    pub fn forced(&self, now: Timestamp) -> Self {
        let phase = match self.phase {
            Phase::RollingBack => Phase::RollingBack,
            _ => Phase::Revoking,
        };
        let mut next = self.entered_at(phase, now);
        next.at(|at| at.forced = true);
        next
    }

    /// The propagation bound was told of.
    #[must_use]
    pub fn alerted(&self, now: Timestamp) -> Self {
        let mut next = self.next();
        next.wake_at = Some(now);
        next.at(|at| at.alerted = true);
        next
    }

    /// A look at the sessions.
    #[must_use]
    pub fn looked_at_sessions(&self, sessions: &Sessions, jitter: Jitter, now: Timestamp) -> Self {
        let open = match sessions {
            Sessions::Open(open) => Some(*open),
            Sessions::NotObservable => None,
            Sessions::Unknown(trouble) => return self.troubled(trouble.clone(), jitter, now),
        };
        let mut next = self.next();
        next.attempts = 0;
        next.trouble = None;
        next.wake_at = Some(now);
        next.at(|at| {
            at.looked_at = Some(now);
            at.sessions = open;
            at.quiet_since = match open {
                None | Some(0) => at.quiet_since.or(Some(now)),
                Some(_) => None,
            };
        });
        next
    }

    /// Whose sessions were looked at, as the attachment names it.
    #[must_use]
    pub fn watching(mut self, account: Option<String>) -> Self {
        self.at(|at| at.watched = account);
        self
    }

    /// Whether what was retired is refused (`dead`) and what is kept accepted (`kept`).
    /// `None` for `kept`: there is none. Answers `None` when all is as it should be: the caller
    /// ends the rotation.
    #[must_use]
    pub fn looked_at_retired(
        &self,
        dead: &Login,
        kept: Option<&Login>,
        jitter: Jitter,
        now: Timestamp,
    ) -> Option<Self> {
        let mut looked = self.doubted();
        looked.at(|at| at.retiring |= at.in_flight == InFlight::Sent);
        looked.seen_retired(dead, kept, jitter, now)
    }

    fn seen_retired(
        &self,
        dead: &Login,
        kept: Option<&Login>,
        jitter: Jitter,
        now: Timestamp,
    ) -> Option<Self> {
        match (dead, kept) {
            (Login::Unknown(trouble), _) | (_, Some(Login::Unknown(trouble))) => {
                Some(self.unclear(trouble, jitter, now))
            }
            (_, Some(Login::Refused(_))) => {
                let trouble = Trouble::new(TroubleKind::Protocol).code("kept_credential_refused");
                let mut next = self.troubled(trouble, jitter, now);
                next.at(|at| {
                    at.in_flight = InFlight::Nothing;
                    at.to_heal = true;
                });
                Some(next)
            }
            (Login::Accepted, _) => {
                let trouble = Trouble::new(TroubleKind::Protocol).code("still_accepted");
                let mut next = self.troubled(trouble, jitter, now);
                next.at(|at| {
                    at.in_flight = InFlight::Nothing;
                    at.to_heal = false;
                });
                Some(next)
            }
            // What was sent before may come yet and bring it back: looked at again then.
            (Login::Refused(_), _) if self.told() && self.unsettled_until(now).is_some() => {
                let mut next = self.next();
                next.wake_at = self.unsettled_until(now);
                Some(next)
            }
            // Refused, but no answer said why: a change sent before may still be under way. Told
            // once more, the target holds a number that refuses whatever comes late.
            (Login::Refused(_), _) if self.told() => None,
            (Login::Refused(_), _) => {
                let mut next = self.next();
                next.wake_at = Some(now);
                next.at(|at| at.in_flight = InFlight::Nothing);
                Some(next)
            }
        }
    }

    /// A last look before the other credential goes: whether the one that stays is let in. `None`
    /// when it is. When it is not, because the target was restored or changed by hand, it is
    /// applied again first.
    #[must_use]
    pub fn looked_at_kept(&self, kept: &Login, jitter: Jitter, now: Timestamp) -> Option<Self> {
        match kept {
            Login::Accepted => None,
            Login::Unknown(trouble) if trouble.kind != TroubleKind::Interrupted => {
                Some(self.troubled(trouble.clone(), jitter, now))
            }
            Login::Refused(_) | Login::Unknown(_) => {
                let trouble = Trouble::new(TroubleKind::Protocol).code("kept_credential_refused");
                let mut next = self.troubled(trouble, jitter, now);
                next.at(|at| at.to_heal = true);
                Some(next)
            }
        }
    }

    /// A look that did not tell. Where the target is in two minds (one node accepts, another
    /// refuses), looking again does not help: the same change again brings its nodes together.
    fn unclear(&self, trouble: &Trouble, jitter: Jitter, now: Timestamp) -> Self {
        let mut next = self.troubled(trouble.clone(), jitter, now);
        if trouble.kind == TroubleKind::Interrupted {
            next.at(|at| {
                at.retiring |= self.phase == Phase::Revoking;
                at.in_flight = InFlight::Nothing;
            });
        }
        next
    }

    fn told(&self) -> bool {
        let at = self.at_target.as_ref();
        at.is_some_and(|at| at.in_flight == InFlight::Told)
    }

    /// The candidate is proven dead at the target.
    #[must_use]
    pub fn candidate_dead(&self, now: Timestamp) -> Self {
        let mut next = self.next();
        next.wake_at = Some(now);
        next.trouble = None;
        next.at(|at| {
            at.in_flight = InFlight::Nothing;
            at.maybe_live = false;
        });
        next
    }

    /// Begins to step back. An effect that may be under way is remembered: its absence proves
    /// nothing until it can no longer arrive.
    #[must_use]
    pub fn stepped_back(&self, reason: Reason, now: Timestamp) -> Self {
        let mut next = self.doubted().enter(Phase::RollingBack, now);
        next.wake_at = Some(now);
        next.reason = None;
        next.at(|at| {
            at.in_flight = InFlight::Nothing;
            at.back_reason = Some(reason);
            at.giving_up_since = Some(now);
            at.resume_phase = None;
            at.looked_at = None;
            at.quiet_since = None;
        });
        next
    }

    /// Readers get the old version again from this commit on.
    #[must_use]
    pub fn demoted(&self, now: Timestamp) -> Self {
        let mut next = self.next();
        next.wake_at = Some(now);
        let grace = &self.grace_period;
        next.at(|at| {
            let deadline = at.rules.deadline.as_ref().unwrap_or(grace);
            at.demoted_at = Some(now);
            at.deadline_at = Some(now.plus(deadline.duration()));
        });
        next
    }

    /// The end of stepping back.
    #[must_use]
    pub fn rolled_back(&self, now: Timestamp) -> Self {
        let mut next = self.enter(Phase::RolledBack, now);
        next.reason = self.at_target.as_ref().and_then(|at| at.back_reason);
        next.finished_at = Some(now);
        next
    }

    /// Parked by a decision: where it goes on is kept.
    #[must_use]
    pub fn parked_at_target(&self, reason: Reason, now: Timestamp) -> Self {
        let mut next = self.parked(reason, now);
        let phase = self.phase;
        next.at(|at| at.resume_phase = Some(phase));
        next
    }

    /// Goes on where it was parked. By request it has all its attempts again and, if it waited
    /// for consumers, a new deadline; by itself it has one attempt.
    #[must_use]
    pub fn resumed(&self, by_request: bool, now: Timestamp) -> Self {
        let at = self.at_target.as_ref();
        let phase = at.and_then(|at| at.resume_phase);
        // The old credential was not touched, and the last look at its use is long ago.
        let untouched = at
            .is_some_and(|at| at.in_flight == InFlight::Nothing && !at.retiring && !at.forced)
            && !at.is_some_and(|at| at.retired);
        let phase = match phase {
            Some(Phase::Revoking) if untouched => Phase::Draining,
            Some(phase) => phase,
            None => Phase::Generating,
        };
        let mut next = self.enter(phase, now);
        next.wake_at = Some(now);
        next.reason = None;
        if !by_request {
            next.attempts = ATTEMPTS_MAX - 1;
        }
        let grace = &self.grace_period;
        next.at(|at| {
            at.resume_phase = None;
            if phase != Phase::Revoking {
                at.looked_at = None;
                at.quiet_since = None;
            }
            if by_request {
                at.heed_since = Some(now);
                if at.deadline_at.is_some_and(|deadline| deadline <= now) {
                    let deadline = at.rules.deadline.as_ref().unwrap_or(grace);
                    at.deadline_at = Some(now.plus(deadline.duration()));
                }
            }
        });
        next
    }

    /// It waits before another attempt at a target that was in trouble.
    pub fn backs_off(&self) -> bool {
        let parked_or_ended = self.phase == Phase::Parked || self.phase.is_final();
        self.at_target.is_some() && !parked_or_ended && self.attempts > 0 && self.trouble.is_some()
    }

    /// A person says that the trouble is cured: tried at once, with all attempts.
    #[must_use]
    pub fn hurried(&self, now: Timestamp) -> Self {
        let mut next = self.next();
        next.attempts = 0;
        next.wake_at = Some(now);
        next
    }

    /// A person approves the revocation; the target is looked at once more before it.
    #[must_use]
    pub fn approved(&self, by: Identity, now: Timestamp) -> Self {
        let mut next = self.next();
        next.wake_at = Some(now);
        next.at(|at| {
            at.approved_by = Some(by);
            at.looked_at = None;
        });
        next
    }

    /// Trouble: tried again later, or parked when time will not cure it or it took too long.
    fn troubled(&self, trouble: Trouble, jitter: Jitter, now: Timestamp) -> Self {
        let attempts = self.attempts + 1;
        let retried = matches!(trouble.kind, TroubleKind::Protocol) || trouble.kind.is_passing();
        if !retried || attempts >= ATTEMPTS_MAX {
            let mut next = self.parked_at_target(Reason::TargetTrouble, now);
            next.trouble = Some(trouble);
            next.wake_at = Some(now.plus(jitter.spread(PARKED_RETRY)));
            return next;
        }
        let wait = BACKOFF
            .saturating_mul(1 << attempts.min(16))
            .min(BACKOFF_MAX);
        let asked = Duration::from_secs(trouble.retry_after_s.unwrap_or(0));
        let mut next = self.next();
        next.attempts = attempts;
        next.wake_at = Some(now.plus(jitter.spread(wait).max(asked.min(PARKED_RETRY))));
        next.trouble = Some(trouble);
        next
    }
}
