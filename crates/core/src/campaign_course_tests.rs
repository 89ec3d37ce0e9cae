use super::*;
use crate::identity::Identity;
use crate::ids::{RotationPolicyId, TargetId, TenantId};
use crate::path::SecretPath;
use crate::rotation::{Attached, Reason, RotationPolicy, Rules, Trigger};
use crate::target::Overlap;
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
        calendar: crate::rotation::Calendar::default(),
        drift_check: None,
        rules: Rules::default(),
        webhook_ids: Vec::new(),
        is_active: true,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    }
}

fn rotation(auto_generate: bool, from: u64) -> Rotation {
    Rotation::open(
        RotationId::parse("rtn_1").unwrap(),
        SecretPath::parse("a/b").unwrap(),
        &policy(auto_generate),
        Trigger::Manual,
        Identity::system("rotation-scheduler"),
        from,
        T0,
    )
}

fn targeted(from: u64) -> Rotation {
    let attached = Attached {
        target_id: TargetId::parse("tgt_1").unwrap(),
        target_name: "t".into(),
        overlap: Overlap::TwoUsers,
        account: serde_json::Map::new(),
        is_manager: false,
    };
    rotation(true, from).at_target(attached, Rules::default(), false, 0)
}

fn version(number: u64, state: VersionState) -> Version {
    Version {
        tenant: TenantId::parse("tnt_a").unwrap(),
        path: SecretPath::parse("a/b").unwrap(),
        version: number,
        state,
        readable_until: None,
        rotation_id: None,
        created_at: T0,
        created_by: Identity::system("x"),
        deletes_at: None,
        revision: 1,
    }
}

fn item(mode: Mode, versions: &[u64]) -> CampaignItem {
    CampaignItem {
        path: SecretPath::parse("a/b").unwrap(),
        mode,
        versions: versions.to_vec(),
        turn: None,
        state: ItemState::Waiting,
        rotation_id: None,
        began_at: None,
        ended_at: None,
        reason: None,
    }
}

fn known(under_way: Vec<Rotation>) -> Known {
    use VersionState::{Closed, Current, Pending, Previous, Superseded};
    Known {
        current: Some(4),
        versions: vec![
            version(1, Closed),
            version(2, Superseded),
            version(3, Previous),
            version(4, Current),
            version(5, Pending),
        ],
        under_way,
        has_policy: true,
    }
}

#[test]
fn what_is_current_is_replaced_and_what_is_over_is_skipped() {
    let check = |versions: &[u64], expect: Course| {
        let found = course(&item(Mode::Continuity, versions), &known(Vec::new()), T0);
        assert_eq!(found, expect, "{versions:?}");
    };
    let skipped = Course::End(ItemState::Skipped, Some(REPLACED));
    check(&[4], Course::Open);
    check(&[1, 4], Course::Open);
    check(&[1, 2], skipped.clone());
    check(&[5], skipped.clone());
    check(&[], skipped);
    let gone = Known::default();
    let failed = Course::End(ItemState::Failed, Some(DELETED));
    assert_eq!(course(&item(Mode::Continuity, &[1]), &gone, T0), failed);
    let mut unattached = known(Vec::new());
    unattached.has_policy = false;
    let failed = Course::End(ItemState::Failed, Some(NO_POLICY));
    let found = course(&item(Mode::Continuity, &[4]), &unattached, T0);
    assert_eq!(found, failed);
}

#[test]
fn a_rotation_that_replaces_the_very_version_is_joined() {
    let under_way = rotation(false, 4);
    let join = Course::Join(under_way.id.clone());
    let found = course(&item(Mode::Continuity, &[4]), &known(vec![under_way]), T0);
    assert_eq!(found, join);
    let draining = rotation(true, 3).promoted(4, 3, T0);
    let join = Course::Join(draining.id.clone());
    let found = course(&item(Mode::Continuity, &[3]), &known(vec![draining]), T0);
    assert_eq!(found, join);
}

#[test]
fn a_leaked_value_that_a_target_s_rotation_brought_waits_for_its_end() {
    let bringing = targeted(3).planned(Some(4), T0).promoted_at_target(T0);
    let after = Course::After(bringing.id.clone());
    let found = course(&item(Mode::Continuity, &[4]), &known(vec![bringing]), T0);
    assert_eq!(found, after);
    // Stepping back makes the leaked version current again: it is not joined.
    let back = targeted(4).stepped_back(Reason::ByHand, T0);
    let after = Course::After(back.id.clone());
    for back in [
        back.parked_at_target(Reason::TargetTrouble, T0),
        back.clone(),
    ] {
        let found = course(
            &item(Mode::Containment, &[4]),
            &known(vec![back.clone()]),
            T0,
        );
        assert_eq!(found, after);
        assert!(to_contain(&item(Mode::Containment, &[4]), &known(vec![back])).is_empty());
    }
    // Without a target there may be several.
    let draining = rotation(true, 3).promoted(4, 3, T0);
    let found = course(&item(Mode::Continuity, &[4]), &known(vec![draining]), T0);
    assert_eq!(found, Course::Open);
}

#[test]
fn containment_closes_what_nothing_else_will() {
    let found = |mode| course(&item(mode, &[3]), &known(Vec::new()), T0);
    assert_eq!(found(Mode::Containment), Course::Close(3));
    let skipped = Course::End(ItemState::Skipped, Some(REPLACED));
    assert_eq!(found(Mode::Continuity), skipped);
}

#[test]
fn containing_cuts_waiting_short_and_nothing_else() {
    let hour = T0.plus(std::time::Duration::from_secs(3_600));
    let draining = rotation(true, 3).promoted(4, 3, T0).contained(hour);
    assert_eq!(draining.grace_ends_at, Some(hour));
    assert_eq!(draining.wake_at, Some(hour));
    let asked = rotation(false, 4).contained(hour);
    assert_eq!(asked.phase, Phase::Generating);
    assert_eq!(
        asked.wake_at,
        rotation(false, 4).wake_at,
        "it is not overdue sooner"
    );
    assert_eq!(asked.promoted(5, 4, hour).grace_ends_at, Some(hour));
    let parked = targeted(3)
        .planned(Some(4), T0)
        .promoted_at_target(T0)
        .parked_at_target(Reason::DrainDeadline, T0)
        .contained(hour);
    assert_eq!(
        (parked.phase, parked.wake_at),
        (Phase::Propagating, Some(hour))
    );
    assert!(parked.at_target.unwrap().forced);
    let planned = targeted(4).planned(Some(5), T0);
    let contained = planned.contained(hour);
    assert_eq!(
        (contained.phase, contained.wake_at),
        (Phase::Applying, planned.wake_at)
    );
}

#[test]
fn only_what_has_to_go_is_contained_and_only_once() {
    let draining = rotation(true, 3).promoted(4, 3, T0);
    let all = known(vec![draining.clone()]);
    assert_eq!(
        to_contain(&item(Mode::Containment, &[3]), &all),
        [&draining]
    );
    assert!(to_contain(&item(Mode::Containment, &[4]), &all).is_empty());
    assert!(to_contain(&item(Mode::Continuity, &[3]), &all).is_empty());
    let once = known(vec![draining.contained(T0)]);
    assert!(to_contain(&item(Mode::Containment, &[3]), &once).is_empty());
}
