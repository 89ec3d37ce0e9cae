use proptest::prelude::*;

use super::*;
use crate::identity::Identity;
use crate::ids::{RotationId, RotationPolicyId, TenantId};
use crate::path::SecretPath;
use crate::rotation::{RotationPolicy, Rules, Trigger};
use crate::time::Span;

const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

fn policy(auto_generate: bool) -> RotationPolicy {
    RotationPolicy {
        id: RotationPolicyId::parse("rot_1").unwrap(),
        tenant: TenantId::parse("tnt_a").unwrap(),
        name: "p".into(),
        description: None,
        interval: Span::parse("90d").unwrap(),
        grace_period: Span::parse("48h").unwrap(),
        warn_before: Vec::new(),
        auto_generate,
        secret_policy_id: None,
        rules: Rules::default(),
        calendar: crate::rotation::Calendar::default(),
        drift_check: None,
        webhook_ids: Vec::new(),
        is_active: true,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    }
}

fn opened(auto_generate: bool) -> Rotation {
    Rotation::open(
        RotationId::parse("rtn_1").unwrap(),
        SecretPath::parse("a/b").unwrap(),
        &policy(auto_generate),
        Trigger::Schedule,
        Identity::system("rotation-scheduler"),
        1,
        T0,
    )
}

fn at(hours: u64) -> Timestamp {
    T0.plus(std::time::Duration::from_secs(hours * 3_600))
}

fn seen(current: u64, candidate: Option<VersionState>) -> Observed {
    Observed {
        current_version: Some(current),
        candidate,
        ..Observed::default()
    }
}

#[test]
fn event_driven_waits_then_is_overdue_and_a_late_write_still_answers() {
    let rotation = opened(false);
    assert_eq!(
        decide(&rotation, &seen(1, None), at(47)),
        Step::Wait(Some(at(48)))
    );
    assert_eq!(decide(&rotation, &seen(1, None), at(48)), Step::Overdue);
    let parked = rotation.parked(Reason::Overdue, at(48));
    assert_eq!(decide(&parked, &seen(1, None), at(500)), Step::Wait(None));
    assert!(parked.awaits_value());
    let answered = parked.promoted(2, 1, at(60));
    assert_eq!(
        (answered.phase, answered.grace_ends_at),
        (Phase::Draining, Some(at(108)))
    );
    assert_eq!(answered.reason, None);
}

#[test]
fn generated_value_commits_the_candidate_alone_then_promotes_then_closes() {
    let rotation = opened(true);
    assert_eq!(decide(&rotation, &seen(1, None), T0), Step::Generate);
    let pending = rotation.generated(2, 1, T0);
    assert_eq!(
        decide(&pending, &seen(1, Some(VersionState::Pending)), T0),
        Step::Promote
    );
    let draining = pending.promoted(2, 1, T0);
    assert_eq!(
        decide(&draining, &seen(2, Some(VersionState::Current)), at(1)),
        Step::Wait(Some(at(48)))
    );
    assert_eq!(
        decide(&draining, &seen(2, Some(VersionState::Current)), at(48)),
        Step::Close
    );
    assert_eq!(draining.completed(at(48)).phase.status(), "success");
}

#[test]
fn a_value_written_by_hand_in_between_is_never_overwritten() {
    let pending = opened(true).generated(2, 1, T0);
    let observed = seen(3, Some(VersionState::Pending));
    assert_eq!(decide(&pending, &observed, T0), Step::Withdraw);
    let again = pending.withdrawn(3, T0);
    assert_eq!(
        (again.phase, again.from_version, again.to_version),
        (Phase::Generating, 3, None)
    );
    let mut often = pending;
    often.withdrawals = WITHDRAWALS_MAX;
    assert_eq!(
        decide(&often, &observed, T0),
        Step::Abandon(Reason::ChangedByHand)
    );
}

#[test]
fn asked_for_again_it_goes_on_with_the_candidate_it_has() {
    let pending = opened(true).generated(2, 1, T0);
    let again = pending.announced_again(&policy(true), at(1));
    assert_eq!((again.phase, again.to_version), (Phase::Verifying, Some(2)));
    assert_eq!(
        (again.wake_at, again.revision),
        (Some(at(1)), pending.revision + 1)
    );
    let parked = pending.parked(Reason::PhaseWithoutStep, at(1));
    let again = parked.announced_again(&policy(true), at(2));
    assert_eq!((again.phase, again.to_version), (Phase::Generating, None));
}

#[test]
fn a_deleted_secret_ends_every_open_rotation() {
    let gone = Observed::default();
    for phase in Phase::ALL {
        let mut rotation = opened(false);
        rotation.phase = phase;
        let expect = if phase.is_final() {
            Step::Wait(None)
        } else {
            Step::Abandon(Reason::SecretDeleted)
        };
        assert_eq!(decide(&rotation, &gone, T0), expect, "{phase:?}");
    }
}

#[test]
fn every_phase_has_its_word() {
    for phase in Phase::ALL {
        assert_eq!(Phase::parse(phase.as_str()), Some(phase));
    }
}

fn perform(rotation: &Rotation, step: Step, versions: &mut (u64, u64), now: Timestamp) -> Rotation {
    match step {
        Step::Generate => {
            versions.1 += 1;
            rotation.generated(versions.1, versions.0, now)
        }
        Step::Promote => {
            let candidate = rotation.to_version.expect("a candidate is promoted");
            let from = versions.0;
            versions.0 = candidate;
            rotation.promoted(candidate, from, now)
        }
        Step::Withdraw => rotation.withdrawn(versions.0, now),
        Step::Overdue => rotation.parked(Reason::Overdue, now),
        Step::Park(reason) => rotation.parked(reason, now),
        Step::Close => rotation.completed(now),
        Step::Abandon(reason) => rotation.abandoned(reason, now),
        Step::Wait(until) => rotation.waiting(until),
        other => panic!("{other:?} is for targets"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever a worker, a hand write and the clock do in whatever order: the current version
    /// never goes back, the row's number always grows, grace is never cut short, and left alone
    /// the rotation comes to rest.
    #[test]
    fn any_interleaving_is_safe_and_comes_to_rest(
        auto in any::<bool>(),
        moves in proptest::collection::vec((0u8..4, 0u64..60), 0..40),
    ) {
        let mut rotation = opened(auto);
        let mut versions = (1u64, 1u64); // current, latest
        let mut now = T0;
        let work = |rotation: &Rotation, versions: &mut (u64, u64), now: Timestamp| {
            let candidate = rotation.to_version.map(|version| {
                if version == versions.0 { VersionState::Current } else { VersionState::Pending }
            });
            let step = decide(rotation, &seen(versions.0, candidate), now);
            if step == Step::Close {
                assert!(rotation.grace_ends_at.is_some_and(|end| end <= now));
            }
            let before = versions.0;
            let next = perform(rotation, step, versions, now);
            assert!(versions.0 >= before);
            assert!(next.revision > rotation.revision);
            next
        };
        for (what, hours) in moves {
            match what {
                0 => now = now.plus(std::time::Duration::from_secs(hours * 3_600)),
                1 => {
                    // a write by hand, or the awaited answer
                    versions.1 += 1;
                    let from = versions.0;
                    versions.0 = versions.1;
                    if rotation.awaits_value() {
                        rotation = rotation.promoted(versions.0, from, now);
                    }
                }
                _ => rotation = work(&rotation, &mut versions, now),
            }
        }
        for _ in 0..64 {
            let Some(wake) = rotation.wake_at else { break };
            now = now.max(wake);
            rotation = work(&rotation, &mut versions, now);
        }
        prop_assert!(rotation.phase.is_final() || rotation.phase == Phase::Parked, "{:?}", rotation.phase);
    }
}
