//! What the simulation found, each with its own test.

use super::*;
use crate::ports::Residue;

fn sent(effect: Effect, overlap: Overlap, candidate: Option<u64>) -> Rotation {
    let planned = opened(overlap, rules()).planned(candidate, T0);
    planned.sending(effect, T0.plus(HOLD))
}

fn unknown(row: &Rotation, effect: Effect) -> Rotation {
    let outcome = EffectOutcome::Unknown(TroubleKind::TimedOut.into());
    row.sent(effect, outcome, JITTER, T0)
}

fn nobody() -> Observed {
    Observed {
        current_version: Some(NEW),
        ..Observed::default()
    }
}

#[test]
fn a_lost_mint_that_is_not_there_yet_may_still_come() {
    let row = unknown(&sent(Effect::Apply, Overlap::NKeys, None), Effect::Apply);
    let soon = T0.plus(Duration::from_secs(5));
    let looked = row.looked_for_residue(&Residue::None, JITTER, soon);
    let at = looked.at_target.as_ref().unwrap();
    assert_eq!(at.in_flight, InFlight::Sent, "no second mint yet");
    assert_eq!(looked.wake_at, Some(T0.plus(HOLD)));
    let later = looked.looked_for_residue(&Residue::None, JITTER, T0.plus(HOLD));
    assert_eq!(later.at_target.unwrap().in_flight, InFlight::Nothing);
}

#[test]
fn a_refusal_proves_nothing_while_an_older_change_may_arrive() {
    let lost = unknown(
        &sent(Effect::Apply, Overlap::TwoPasswords, Some(NEW)),
        Effect::Apply,
    );
    let back = lost.stepped_back(Reason::ByHand, T0);
    let told = back.sending(Effect::Retire, T0.plus(HOLD)).sent(
        Effect::Retire,
        EffectOutcome::Applied { minted: None },
        JITTER,
        T0,
    );
    let (dead, kept) = (Login::Refused(Refusal::Credential), Login::Accepted);
    let soon = told
        .looked_at_retired(&dead, Some(&kept), JITTER, T0)
        .unwrap();
    assert_eq!(soon.wake_at, Some(T0.plus(HOLD)), "looked at again then");
    let after = soon.looked_at_retired(&dead, Some(&kept), JITTER, T0.plus(HOLD));
    assert!(after.is_none(), "now it counts");
}

#[test]
fn silence_that_began_before_the_deadline_is_seen_through() {
    let mut row = opened(Overlap::TwoUsers, rules()).planned(Some(NEW), T0);
    row = row.promoted_at_target(T0);
    let deadline = row.at_target.as_ref().unwrap().deadline_at.unwrap();
    // Nobody counts: the deadline opens the gate, and only then the target is looked at.
    assert_eq!(
        decide_any(&row, &nobody(), deadline),
        Step::Enter(Phase::Draining)
    );
    row = row.entered(Phase::Draining, deadline);
    assert_eq!(
        decide_any(&row, &nobody(), deadline),
        Step::Look(Look::Sessions)
    );
    row = row.looked_at_sessions(&Sessions::Open(0), JITTER, deadline);
    let step = decide_any(&row, &nobody(), deadline);
    assert!(
        matches!(step, Step::Wait(Some(at)) if at > deadline),
        "not parked: {step:?}"
    );
    let quiet = deadline.plus(Duration::from_secs(31));
    row = row.looked_at_sessions(&Sessions::Open(0), JITTER, quiet);
    assert_eq!(
        decide_any(&row, &nobody(), quiet),
        Step::Enter(Phase::Revoking)
    );
}

#[test]
fn without_overlap_stepping_back_restores_at_once() {
    let row = opened(Overlap::None, rules()).planned(Some(NEW), T0);
    let row = row.sending(Effect::Apply, T0.plus(HOLD)).sent(
        Effect::Apply,
        EffectOutcome::Applied { minted: None },
        JITTER,
        T0,
    );
    let back = row
        .promoted_at_target(T0)
        .stepped_back(Reason::ByHand, T0)
        .demoted(T0);
    let seen = Observed {
        current_version: Some(OLD),
        ..Observed::default()
    };
    assert_eq!(decide_any(&back, &seen, T0), Step::Send(Effect::Restore));
}

#[test]
fn a_new_version_that_was_read_is_not_retired_when_a_third_is_current() {
    let row = opened(Overlap::TwoUsers, rules()).planned(Some(NEW), T0);
    let back = row.promoted_at_target(T0).stepped_back(Reason::ByHand, T0);
    let seen = Observed {
        current_version: Some(NEW + 1),
        ..Observed::default()
    };
    assert_eq!(
        decide_any(&back, &seen, T0),
        Step::Park(Reason::ChangedByHand)
    );
}

#[test]
fn a_first_credential_without_overlap_is_retired_when_stepping_back() {
    let mut row = opened(Overlap::None, rules());
    row.from_version = 0;
    let row = row
        .planned(Some(NEW), T0)
        .sending(Effect::Apply, T0.plus(HOLD))
        .stepped_back(Reason::ByHand, T0);
    let seen = Observed {
        current_version: Some(0),
        ..Observed::default()
    };
    assert_eq!(
        decide_any(&row, &seen, T0),
        Step::Send(Effect::Retire),
        "there is nothing to restore"
    );
}

#[test]
fn a_first_credential_that_readers_have_is_not_taken_back() {
    let mut row = opened(Overlap::NKeys, rules());
    row.from_version = 0;
    let row = row.planned(Some(NEW), T0);
    assert!(row.may_roll_back());
    assert!(!row.promoted_at_target(T0).may_roll_back());
}
