//! What a rotation at a target carries beside the common row, and the decision for it.
//!
//! ```text
//! generating ─▶ applying ─▶ verifying ─▶ propagating ─▶ draining ─▶ revoking ─▶ completed
//!     │            │            │             │             │           ▲
//!     └────────────┴────────────┴─────────────┴─────────────┘      (no way back)
//!                               ▼
//!                         rolling_back ─▶ rolled_back          parked ⇄ any phase
//! ```
//!
//! Before an effect is sent its mark ([`InFlight::Sent`]) is committed. Whoever finds the mark and
//! did not send the effect itself does not know its outcome: it looks (read-only) before anything
//! else. A worker that does send it holds the claim until the outcome is stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::drain::{Standing, Wanted};
use super::machine::{Effect, Look, Observed, Step};
use super::phase::Phase;
use super::reason::Reason;
use super::record::Rotation;
use super::rules::{OnDeadline, OnFailure, Rules};
use crate::identity::Identity;
use crate::ids::TargetId;
use crate::target::Overlap;
use crate::time::Timestamp;

/// Refused verifications before the candidate is given up.
pub(super) const REFUSALS_MAX: u32 = 3;
/// A rotation that waits for its turn looks again after this.
pub(super) const TURN_POLL: Duration = Duration::from_secs(5);

/// A secret's attachment to a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Which target.
    pub target_id: TargetId,
    /// Its name at the time, for people.
    pub target_name: String,
    /// The plan.
    pub overlap: Overlap,
    /// Which account or accounts, in the connector's fields.
    pub account: Map<String, Value>,
    /// The secret is the target's manager's own credential.
    #[serde(default)]
    pub is_manager: bool,
}

impl Attached {
    /// Whether consumers are cut off between the end of the old credential and their reading the
    /// new one. The manager has no consumers but this server.
    pub fn has_gap(&self) -> bool {
        self.overlap == Overlap::None && !self.is_manager
    }
}

/// What is known of the effect in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum InFlight {
    /// None was sent.
    #[default]
    Nothing,
    /// It may have been sent, and may have been done.
    Sent,
    /// The target said that it is done; a look has to agree.
    Told,
}

/// The target's part of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtTarget {
    /// Where.
    pub attached: Attached,
    /// Where this rotation's epochs begin: above those of every earlier rotation of the secret.
    pub fence: u64,
    /// The policy's rules when it opened.
    pub rules: Rules,
    /// The effect in hand.
    pub in_flight: InFlight,
    /// The target may accept the candidate. Set before it is first told; taken back only by a
    /// look that shows it does not.
    pub maybe_live: bool,
    /// A mint of this rotation left something that has to be cleared first.
    pub to_clear: bool,
    /// The kept credential was found refused: it is applied again before anything else.
    pub to_heal: bool,
    /// The outcome of a retirement was lost once: it may still arrive, so there is no way back
    /// to waiting.
    pub retiring: bool,
    /// While an effect is sent: until when it can arrive, if its sender dies or its answer is lost.
    #[serde(default)]
    pub sent_until: Option<Timestamp>,
    /// An effect whose outcome nobody was told can arrive until then, even where a look does not
    /// show it yet: nothing is concluded from its absence before.
    #[serde(default)]
    pub unsettled_until: Option<Timestamp>,
    /// Verifications the target refused.
    pub refusals: u32,
    /// When readers got the new version.
    pub promoted_at: Option<Timestamp>,
    /// When readers got the old version back.
    pub demoted_at: Option<Timestamp>,
    /// When waiting for consumers ends.
    pub deadline_at: Option<Timestamp>,
    /// The last look at the sessions, and what it saw; `None` where they cannot be seen.
    pub looked_at: Option<Timestamp>,
    /// Sessions it saw.
    pub sessions: Option<u64>,
    /// The account they are of, as the attachment names it.
    #[serde(default)]
    pub watched: Option<String>,
    /// Since when every look saw none.
    pub quiet_since: Option<Timestamp>,
    /// Failures reported up to here have been dealt with.
    pub heed_since: Option<Timestamp>,
    /// Who approved the revocation.
    pub approved_by: Option<Identity>,
    /// Revoked without waiting: containment, or the deadline's `force`.
    pub forced: bool,
    /// The propagation bound was told of.
    pub alerted: bool,
    /// While parked: where it goes on.
    pub resume_phase: Option<Phase>,
    /// Why it steps back.
    pub back_reason: Option<Reason>,
    /// The target was asked to mint: an answer that was lost may bring a key late.
    #[serde(default)]
    pub minting: bool,
    /// The epoch of the mint that is stored; keys of earlier ones are nobody's.
    #[serde(default)]
    pub minted_epoch: Option<u64>,
    /// What was given up is proven dead; only the last look for late mints is left.
    #[serde(default)]
    pub retired: bool,
    /// Since when it tries to have a credential refused: resuming does not begin it anew.
    #[serde(default)]
    pub giving_up_since: Option<Timestamp>,
    /// The last look found no late mint.
    #[serde(default)]
    pub residue_clear: bool,
}

impl AtTarget {
    /// At the beginning.
    pub fn new(attached: Attached, rules: Rules, forced: bool, fence: u64) -> Self {
        Self {
            attached,
            fence,
            rules,
            in_flight: InFlight::Nothing,
            maybe_live: false,
            to_clear: false,
            to_heal: false,
            retiring: false,
            sent_until: None,
            unsettled_until: None,
            refusals: 0,
            promoted_at: None,
            demoted_at: None,
            deadline_at: None,
            looked_at: None,
            sessions: None,
            watched: None,
            quiet_since: None,
            heed_since: None,
            approved_by: None,
            forced,
            alerted: false,
            resume_phase: None,
            back_reason: None,
            minting: false,
            minted_epoch: None,
            retired: false,
            giving_up_since: None,
            residue_clear: false,
        }
    }

    fn has_unaccepted_gap(&self) -> bool {
        self.attached.has_gap() && !self.rules.accept_gap
    }

    fn is_past_deadline(&self, now: Timestamp) -> bool {
        self.deadline_at.is_some_and(|deadline| deadline <= now)
    }

    /// Whether the target showed no use for the quiet period, up to the last look.
    fn is_quiet(&self) -> bool {
        match (self.quiet_since, self.looked_at) {
            (Some(since), Some(looked)) => since.plus(self.rules.quiet_period.duration()) <= looked,
            _ => false,
        }
    }

    /// The target has shown no use so far: what is left is to see it through the quiet period.
    fn is_falling_silent(&self) -> bool {
        self.quiet_since.is_some()
    }

    fn next_look(&self) -> Option<Timestamp> {
        self.looked_at
            .map(|looked| looked.plus(self.rules.poll.duration()))
    }
}

impl Rotation {
    /// The version consumers should hold now: the new one, or the old one while stepping back.
    pub fn wanted(&self, at: &AtTarget) -> Wanted {
        match (self.phase, at.demoted_at) {
            (Phase::RollingBack, since) => Wanted {
                version: self.from_version,
                read_since: since,
                heed_since: Some(since.unwrap_or(self.opened_at)),
            },
            _ => Wanted {
                version: self.to_version.unwrap_or(self.from_version),
                read_since: None,
                heed_since: at.heed_since,
            },
        }
    }
}

/// Decides for a rotation at a target. The secret is there.
pub(super) fn decide(
    rotation: &Rotation,
    at: &AtTarget,
    seen: &Observed,
    current: u64,
    now: Timestamp,
) -> Step {
    let replaced_by_hand = current != rotation.from_version;
    match rotation.phase {
        Phase::Generating if replaced_by_hand => Step::StepBack(Reason::ChangedByHand),
        Phase::Generating if at.has_unaccepted_gap() => Step::Park(Reason::GapNotAccepted),
        Phase::Generating if seen.waits_for_turn => Step::Wait(Some(now.plus(TURN_POLL))),
        Phase::Generating => Step::Generate,
        Phase::Applying if replaced_by_hand => Step::StepBack(Reason::ChangedByHand),
        Phase::Applying => applying(rotation, at),
        Phase::Verifying if replaced_by_hand => Step::StepBack(Reason::ChangedByHand),
        Phase::Verifying if at.refusals >= REFUSALS_MAX => Step::StepBack(Reason::VerifyFailed),
        Phase::Verifying => Step::Verify,
        Phase::Propagating | Phase::Draining => moving(rotation, at, seen, current, now),
        Phase::Revoking if at.retired => last_look(rotation, at).unwrap_or(Step::Close),
        // Late mints are looked for first: the proof that the old credential is refused is then
        // the last thing before the end. Containment does not wait for that.
        Phase::Revoking if !at.forced && rotation.owes_last_look() => {
            last_look(rotation, at).unwrap_or(Step::Close)
        }
        Phase::Revoking => match at.in_flight {
            InFlight::Nothing if at.to_heal => Step::Send(Effect::Heal),
            InFlight::Nothing => Step::Send(Effect::Retire),
            InFlight::Sent | InFlight::Told => Step::Look(Look::Retired),
        },
        Phase::RollingBack => stepping_back(rotation, at, seen, current, now),
        Phase::Parked
            if rotation.reason == Some(Reason::TargetTrouble)
                && rotation.wake_at.is_some_and(|wake| wake <= now) =>
        {
            Step::Resume
        }
        Phase::Parked => Step::Wait(rotation.wake_at),
        Phase::Completed | Phase::RolledBack => Step::Wait(None),
    }
}

fn applying(rotation: &Rotation, at: &AtTarget) -> Step {
    let look = match rotation.to_version {
        Some(_) => Look::Candidate,
        None => Look::Residue,
    };
    match at.in_flight {
        InFlight::Sent | InFlight::Told => Step::Look(look),
        InFlight::Nothing if at.to_clear => Step::Send(Effect::Clear),
        InFlight::Nothing => Step::Send(Effect::Apply),
    }
}

/// Before the end of a rotation whose target mints: a key whose answer was lost may have come
/// late, and would be nobody's.
fn last_look(rotation: &Rotation, at: &AtTarget) -> Option<Step> {
    if !rotation.owes_last_look() {
        return None;
    }
    Some(match at.in_flight {
        InFlight::Nothing if at.to_clear => Step::Send(Effect::Clear),
        InFlight::Nothing | InFlight::Sent | InFlight::Told => Step::Look(Look::Residue),
    })
}

/// Consumers move to the new version; then the target falls silent.
fn moving(
    rotation: &Rotation,
    at: &AtTarget,
    seen: &Observed,
    current: u64,
    now: Timestamp,
) -> Step {
    if rotation.to_version != Some(current) {
        return Step::Park(Reason::ChangedByHand);
    }
    if rotation.from_version == 0 {
        // The first credential: there is no old one.
        return last_look(rotation, at).unwrap_or(Step::Close);
    }
    if at.forced {
        return Step::Enter(Phase::Revoking);
    }
    if !seen.standing.failed.is_empty() {
        return match at.rules.on_failure {
            OnFailure::Hold => Step::Park(Reason::ConsumerFailed),
            OnFailure::RollBack => Step::StepBack(Reason::ConsumerFailed),
        };
    }
    let past_deadline = at.is_past_deadline(now);
    if may_leave(&seen.standing, past_deadline) {
        if rotation.phase == Phase::Propagating {
            return Step::Enter(Phase::Draining);
        }
        if at.next_look().is_none_or(|next| next <= now) {
            return Step::Look(Look::Sessions);
        }
        if at.is_quiet() {
            return if at.rules.approval && at.approved_by.is_none() {
                Step::Wait(None)
            } else {
                Step::Enter(Phase::Revoking)
            };
        }
        if at.is_falling_silent() {
            return wait_moving(rotation, at, now); // at most a quiet period past the deadline
        }
    }
    if past_deadline {
        return match at.rules.on_deadline {
            OnDeadline::Hold => Step::Park(Reason::DrainDeadline),
            OnDeadline::Force => Step::Force,
            OnDeadline::RollBack => Step::StepBack(Reason::DrainDeadline),
        };
    }
    wait_moving(rotation, at, now)
}

/// Everybody moved. Where nobody counts, nobody can prove the successor either: then the
/// deadline alone opens the gate.
fn may_leave(standing: &Standing, past_deadline: bool) -> bool {
    standing.is_clear() || (past_deadline && standing.has_moved() && !standing.anyone)
}

fn wait_moving(rotation: &Rotation, at: &AtTarget, now: Timestamp) -> Step {
    let bound = at
        .promoted_at
        .map(|promoted| promoted.plus(at.rules.propagation_bound.duration()))
        .filter(|_| rotation.phase == Phase::Propagating && !at.alerted);
    if bound.is_some_and(|bound| bound <= now) {
        return Step::Alert;
    }
    let poll = at.next_look().filter(|next| *next > now);
    let poll = poll.unwrap_or_else(|| now.plus(at.rules.poll.duration()));
    let deadline = at.deadline_at.filter(|deadline| *deadline > now);
    let soonest = [Some(poll), deadline, bound];
    Step::Wait(soonest.into_iter().flatten().min())
}

/// Readers get the old version again; when none of them needs the new one, it is retired.
fn stepping_back(
    rotation: &Rotation,
    at: &AtTarget,
    seen: &Observed,
    current: u64,
    now: Timestamp,
) -> Step {
    if rotation.to_version == Some(current) && rotation.from_version != 0 {
        return Step::Demote;
    }
    if at.promoted_at.is_some() && at.demoted_at.is_none() && rotation.from_version != 0 {
        // Consumers may hold the new version, and what readers get now is neither of the two.
        return Step::Park(Reason::ChangedByHand);
    }
    if !at.maybe_live {
        return last_look(rotation, at).unwrap_or(Step::Finish);
    }
    if rotation.to_version.is_none() {
        return match at.in_flight {
            InFlight::Nothing => Step::Send(Effect::Clear),
            InFlight::Sent | InFlight::Told => Step::Look(Look::Residue),
        };
    }
    if at.in_flight != InFlight::Nothing {
        return Step::Look(Look::Retired);
    }
    if at.to_heal {
        return Step::Send(Effect::Heal);
    }
    // Without overlap the old credential is refused until it is restored: waiting for consumers to
    // use it would only make the gap longer.
    let waits = at.attached.overlap != Overlap::None;
    if at.demoted_at.is_some() && !at.forced && waits {
        let past_deadline = at.is_past_deadline(now);
        let moved = seen.standing.has_moved();
        if moved && at.next_look().is_none_or(|next| next <= now) {
            return Step::Look(Look::Sessions);
        }
        if moved && !at.is_quiet() && at.is_falling_silent() {
            return wait_moving(rotation, at, now);
        }
        if !(moved && at.is_quiet()) {
            return match at.rules.on_deadline {
                OnDeadline::Force if past_deadline => Step::Force,
                _ if past_deadline => Step::Park(Reason::DrainDeadline),
                _ => wait_moving(rotation, at, now),
            };
        }
    }
    match at.attached.overlap {
        Overlap::None if rotation.from_version != 0 => Step::Send(Effect::Restore),
        _ => Step::Send(Effect::Retire),
    }
}

#[cfg(test)]
#[path = "at_target_tests.rs"]
mod tests;
