//! What is owed after a rotation was given up, and the last look of one whose target mints.

use std::time::Duration;

use serde_json::Map;

use super::*;
use crate::identity::Identity;
use crate::ids::{RotationId, RotationPolicyId, TargetId, TenantId};
use crate::path::SecretPath;
use crate::ports::{Login, Refusal, Residue};
use crate::rotation::{
    Attached, Effect, EffectOutcome, Jitter, Look, Observed, RotationPolicy, Rules, Standing, Step,
    Trigger, decide,
};
use crate::target::TroubleKind;
use crate::time::Span;

const HOUR: Duration = Duration::from_secs(3_600);
const T0: Timestamp = Timestamp::from_secs(1_800_000_000);
const JITTER: Jitter = Jitter(7);
const OLD: u64 = 1;
const NEW: u64 = 2;
const REFUSED: Login = Login::Refused(Refusal::Credential);

fn opened(overlap: Overlap, from: u64) -> Rotation {
    let span = |text: &str| Span::parse(text).unwrap();
    let policy = RotationPolicy {
        id: RotationPolicyId::parse("rot_1").unwrap(),
        tenant: TenantId::parse("tnt_a").unwrap(),
        name: "p".into(),
        description: None,
        interval: span("90d"),
        grace_period: span("48h"),
        warn_before: Vec::new(),
        auto_generate: true,
        secret_policy_id: None,
        calendar: crate::rotation::Calendar::default(),
        drift_check: None,
        rules: Rules::default(),
        webhook_ids: Vec::new(),
        is_active: true,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    };
    let attached = Attached {
        target_id: TargetId::parse("tgt_1").unwrap(),
        target_name: "orders".into(),
        overlap,
        account: Map::new(),
        is_manager: false,
    };
    Rotation::open(
        RotationId::parse("rtn_1").unwrap(),
        SecretPath::parse("a/b").unwrap(),
        &policy,
        Trigger::Schedule,
        Identity::system("rotation-scheduler"),
        from,
        T0,
    )
    .at_target(attached, Rules::default(), false, 100)
}

/// When whatever was sent has arrived or never will.
fn settled() -> Timestamp {
    T0.plus(Duration::from_secs(3_600))
}

fn minted() -> EffectOutcome {
    EffectOutcome::Applied { minted: Some(NEW) }
}

fn applied() -> EffectOutcome {
    EffectOutcome::Applied { minted: None }
}

/// Sent and answered.
fn told(rotation: &Rotation, effect: Effect, outcome: EffectOutcome) -> Rotation {
    let until = T0.plus(Duration::from_secs(60));
    let marked = rotation.sending(effect, until);
    marked.sent(effect, outcome, JITTER, T0)
}

fn next(rotation: &Rotation, current: u64) -> Step {
    let seen = Observed {
        current_version: Some(current),
        standing: Standing::default(),
        ..Observed::default()
    };
    decide(rotation, &seen, T0)
}

fn versions(rotation: &Rotation, current: u64) -> Vec<(u64, bool)> {
    let owed = rotation.given_up(current).owed.into_iter();
    owed.filter_map(|owed| match owed {
        Owed::Credential {
            version,
            may_arrive,
            ..
        } => Some((version, may_arrive)),
        _ => None,
    })
    .collect()
}

fn residues(rotation: &Rotation, current: u64) -> Vec<u64> {
    let owed = rotation.given_up(current).owed.into_iter();
    owed.filter_map(|owed| match owed {
        Owed::Residue { until, .. } => Some(until),
        _ => None,
    })
    .collect()
}

#[test]
fn what_is_owed_follows_from_how_far_it_came() {
    let fresh = opened(Overlap::TwoUsers, OLD);
    assert_eq!(fresh.given_up(OLD), GivenUp::default());
    let planned = fresh.planned(Some(NEW), T0);
    assert_eq!(planned.given_up(OLD), GivenUp::default());
    let sent = planned.sending(Effect::Apply, T0);
    assert_eq!(versions(&sent, OLD), [(NEW, true)]);
    let promoted = told(&planned, Effect::Apply, applied()).promoted_at_target(T0);
    assert_eq!(versions(&promoted, NEW), [(OLD, false)]);
    let phase = promoted.ended_at_target(Reason::Abandoned, NEW, T0).phase;
    assert_eq!(phase, Phase::Completed);
    // Stepping back, before and after readers did.
    let back = promoted.stepped_back(Reason::ByHand, T0);
    assert_eq!(versions(&back, NEW), [(OLD, false)]);
    let demoted = back.demoted(T0);
    assert_eq!(versions(&demoted, OLD), [(NEW, true)]);
    let phase = demoted.ended_at_target(Reason::Abandoned, OLD, T0).phase;
    assert_eq!(phase, Phase::RolledBack);
    // What readers get is neither of the two: both are nobody's.
    assert_eq!(versions(&promoted, 3), [(OLD, false), (NEW, true)]);
    // The candidate is proven dead.
    assert_eq!(versions(&demoted.candidate_dead(T0), OLD), []);
}

#[test]
fn the_first_credential_leaves_no_old_one() {
    let planned = opened(Overlap::TwoUsers, 0).planned(Some(NEW), T0);
    let promoted = told(&planned, Effect::Apply, applied()).promoted_at_target(T0);
    assert_eq!(promoted.given_up(NEW), GivenUp::default());
}

#[test]
fn a_lost_mint_is_owed_and_never_the_key_that_is_kept() {
    let planned = opened(Overlap::NKeys, OLD).planned(None, T0);
    let sent = planned.sending(Effect::Apply, T0);
    assert_eq!(residues(&sent, OLD), [sent.epoch()]);
    let marked = planned.sending(Effect::Apply, T0);
    let verified = marked.sent(Effect::Apply, minted(), JITTER, T0);
    let promoted = verified.promoted_at_target(T0);
    assert_eq!(residues(&promoted, NEW), [marked.epoch() - 1]);
    assert_eq!(versions(&promoted, NEW), [(OLD, false)]);
}

/// A rotation whose first mint was lost, looked for and not found, and whose second is stored.
fn with_a_lost_mint() -> Rotation {
    let planned = opened(Overlap::NKeys, OLD).planned(None, T0);
    let unknown = EffectOutcome::Unknown(TroubleKind::TimedOut.into());
    let lost = told(&planned, Effect::Apply, unknown);
    assert_eq!(next(&lost, OLD), Step::Look(Look::Residue));
    // Before it can have settled, not finding it says nothing.
    let early = lost.looked_for_residue(&Residue::None, JITTER, T0);
    assert_eq!(next(&early, OLD), Step::Look(Look::Residue));
    let looked = early.looked_for_residue(&Residue::None, JITTER, settled());
    assert_eq!(next(&looked, OLD), Step::Send(Effect::Apply));
    told(&looked, Effect::Apply, minted())
}

#[test]
fn before_the_old_one_is_retired_a_mint_that_came_late_is_cleared() {
    let later = T0.plus(HOUR);
    let revoking = with_a_lost_mint()
        .promoted_at_target(T0)
        .entered(Phase::Revoking, T0);
    let minted_epoch = revoking.at_target.as_ref().unwrap().minted_epoch.unwrap();
    assert_eq!(revoking.residue_epoch(), minted_epoch - 1);
    assert_eq!(next(&revoking, NEW), Step::Look(Look::Residue));
    let found = revoking.looked_for_residue(&Residue::Found(1), JITTER, later);
    assert_eq!(next(&found, NEW), Step::Send(Effect::Clear));
    for outcome in [
        applied(),
        EffectOutcome::NotApplied(TroubleKind::Fenced.into()),
        EffectOutcome::Unknown(TroubleKind::TimedOut.into()),
    ] {
        let cleared = told(&found, Effect::Clear, outcome);
        assert_eq!(next(&cleared, NEW), Step::Look(Look::Residue));
        let clear = cleared.looked_for_residue(&Residue::None, JITTER, later);
        assert_eq!(next(&clear, NEW), Step::Send(Effect::Retire));
        let retired = told(&clear, Effect::Retire, applied());
        assert!(!retired.owes_last_look(), "the proof ends it");
        let kept = Some(&Login::Accepted);
        assert_eq!(
            retired.looked_at_retired(&REFUSED, kept, JITTER, later),
            None
        );
    }
    // Parked in between, it waits for silence once more: the old one was not touched.
    let parked = found.parked_at_target(Reason::TargetTrouble, T0);
    assert_eq!(parked.resumed(true, T0).phase, Phase::Draining);
}

#[test]
fn containment_looks_for_late_mints_when_the_old_one_is_gone() {
    let later = T0.plus(HOUR);
    let cut = with_a_lost_mint().promoted_at_target(T0).forced(T0);
    assert_eq!(next(&cut, NEW), Step::Send(Effect::Retire));
    let retired = told(&cut, Effect::Retire, applied());
    let done = retired.looked_at_retired(&REFUSED, Some(&Login::Accepted), JITTER, later);
    assert_eq!(done, None);
    assert!(retired.owes_last_look());
    let last = retired.retired(T0);
    assert_eq!(next(&last, NEW), Step::Look(Look::Residue));
    let clear = last.looked_for_residue(&Residue::None, JITTER, later);
    assert_eq!(next(&clear, NEW), Step::Close);
}

#[test]
fn before_it_is_rolled_back_a_mint_that_came_late_is_cleared() {
    let later = T0.plus(HOUR);
    let back = with_a_lost_mint().stepped_back(Reason::VerifyFailed, T0);
    assert_eq!(next(&back, OLD), Step::Send(Effect::Retire));
    let dead = told(&back, Effect::Retire, applied()).candidate_dead(T0);
    assert_eq!(next(&dead, OLD), Step::Look(Look::Residue));
    assert_eq!(dead.residue_epoch(), dead.epoch(), "no key of it is kept");
    let found = dead.looked_for_residue(&Residue::Found(1), JITTER, later);
    assert_eq!(next(&found, OLD), Step::Send(Effect::Clear));
    let cleared = told(&found, Effect::Clear, applied());
    let clear = cleared.looked_for_residue(&Residue::None, JITTER, later);
    assert_eq!(next(&clear, OLD), Step::Finish);
}

#[test]
fn targets_that_do_not_mint_are_not_looked_at_again() {
    let planned = opened(Overlap::TwoUsers, OLD).planned(Some(NEW), T0);
    let promoted = told(&planned, Effect::Apply, applied()).promoted_at_target(T0);
    let retired = told(
        &promoted.entered(Phase::Revoking, T0),
        Effect::Retire,
        applied(),
    );
    assert!(!retired.owes_last_look());
    let unsent = opened(Overlap::NKeys, OLD).planned(None, T0);
    let back = unsent.stepped_back(Reason::ByHand, T0);
    assert_eq!(next(&back, OLD), Step::Finish, "nothing was ever told");
}

#[test]
fn who_may_still_use_the_old_credential_is_cut_off_by_force_alone() {
    let planned = opened(Overlap::TwoUsers, OLD).planned(Some(NEW), T0);
    let applied = told(&planned, Effect::Apply, applied());
    assert_eq!(planned.ending(), Ending::Free);
    assert_eq!(applied.ending(), Ending::Free, "readers have the old one");
    assert_eq!(
        applied.stepped_back(Reason::ByHand, T0).ending(),
        Ending::Free
    );
    let promoted = applied.promoted_at_target(T0);
    assert_eq!(promoted.ending(), Ending::ByForce);
    let parked = promoted.parked_at_target(Reason::DrainDeadline, T0);
    assert_eq!(parked.ending(), Ending::ByForce);
    let back = promoted.stepped_back(Reason::ByHand, T0);
    assert_eq!(back.ending(), Ending::ByForce);
    assert_eq!(back.demoted(T0).ending(), Ending::ByForce);
    // Its revocation has begun, or was forced.
    let revoking = promoted.entered(Phase::Revoking, T0);
    assert_eq!(revoking.ending(), Ending::Free);
    let parked = revoking.parked_at_target(Reason::TargetTrouble, T0);
    assert_eq!(parked.ending(), Ending::Free);
    assert_eq!(promoted.contained(T0).ending(), Ending::Free);
    let done = revoking.retired(T0).completed(T0);
    assert_eq!(done.ending(), Ending::Never);
}

#[test]
fn a_first_credential_replaces_none() {
    let planned = opened(Overlap::TwoUsers, 0).planned(Some(NEW), T0);
    let promoted = told(&planned, Effect::Apply, applied()).promoted_at_target(T0);
    assert_eq!(promoted.ending(), Ending::Free);
}

#[test]
fn a_manager_whose_value_may_be_either_of_two_is_never_given_up() {
    let mut opened = opened(Overlap::None, OLD);
    if let Some(at) = &mut opened.at_target {
        at.attached.is_manager = true;
    }
    let planned = opened.planned(Some(NEW), T0);
    assert_eq!(planned.ending(), Ending::Free, "nothing was told");
    let sent = planned.sending(Effect::Apply, T0);
    assert_eq!(sent.ending(), Ending::Never);
    let applied = told(&planned, Effect::Apply, applied());
    assert_eq!(applied.ending(), Ending::Never);
    let promoted = applied.promoted_at_target(T0);
    assert_eq!(promoted.ending(), Ending::ByForce);
    let back = promoted.stepped_back(Reason::ByHand, T0);
    assert_eq!(back.ending(), Ending::Never);
}
