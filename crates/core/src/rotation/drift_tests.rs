use super::*;
use crate::identity::Identity;
use crate::ids::{RotationId, RotationPolicyId, TargetId, TenantId};
use crate::path::SecretPath;
use crate::rotation::{Attached, RotationPolicy, Rules};
use crate::target::{Overlap, TroubleKind};
use crate::time::Span;

const T0: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn attached() -> Assignment {
    let policy = RotationPolicy {
        id: RotationPolicyId::parse("rot_1").unwrap(),
        tenant: TenantId::parse("tnt_a").unwrap(),
        name: "p".into(),
        description: None,
        interval: Span::parse("90d").unwrap(),
        grace_period: Span::parse("48h").unwrap(),
        warn_before: Vec::new(),
        auto_generate: true,
        secret_policy_id: None,
        calendar: crate::rotation::Calendar::default(),
        rules: Rules::default(),
        drift_check: None,
        webhook_ids: Vec::new(),
        is_active: true,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    };
    let by = Identity::parse("user:root").unwrap();
    let at = SecretPath::parse("a/b").unwrap();
    let attached = Attached {
        target_id: TargetId::parse("tgt_1").unwrap(),
        target_name: "orders-db".into(),
        overlap: Overlap::TwoUsers,
        account: serde_json::Map::new(),
        is_manager: false,
    };
    Assignment {
        attached: Some(attached),
        ..Assignment::new(policy.tenant.clone(), at, &policy, by, T0)
    }
}

fn at(secs: u64) -> Timestamp {
    T0.plus(Duration::from_secs(secs))
}

#[test]
fn a_look_is_due_only_at_a_target_and_with_no_rotation_open() {
    let fresh = attached();
    assert_eq!(fresh.probe_due(), Some(T0));
    let opened = fresh.opened(RotationId::parse("rtn_1").unwrap());
    assert_eq!(opened.probe_due(), None);
    let elsewhere = Assignment {
        attached: None,
        ..fresh
    };
    assert_eq!(elsewhere.probe_due(), None);
}

#[test]
fn what_is_found_counts_when_it_is_found_twice() {
    let found = Some(Finding::Locked);
    let once = attached().probed(found, 1, HOUR, T0);
    assert_eq!(once.probe.drift, None);
    assert_eq!(once.probe.at, Some(at(30)));
    // Something else, or with another version, is a first time again.
    let other = once.probed(Some(Finding::Expired), 1, HOUR, at(30));
    assert_eq!(other.probe.drift, None);
    assert_eq!(once.probed(found, 2, HOUR, at(30)).probe.drift, None);
    let twice = once.probed(found, 1, HOUR, at(30));
    let drift = twice.probe.drift.clone().unwrap();
    assert_eq!((drift.since, drift.checked_at), (T0, at(30)));
    assert_eq!(twice.probe.at, Some(at(3_630)));
    // It stays, with its beginning; then it is over.
    let later = twice.probed(found, 1, HOUR, at(3_630));
    let drift = later.probe.drift.clone().unwrap();
    assert_eq!((drift.since, drift.checked_at), (T0, at(3_630)));
    assert_eq!(later.probed(None, 1, HOUR, at(9_000)).probe.drift, None);
    assert_eq!(later.promoted(None, at(9_000)).probe.drift, None);
}

#[test]
fn refusals_are_told_apart() {
    let of = |login: &Login| Finding::of(login).map(Finding::as_str);
    assert_eq!(of(&Login::Accepted), None);
    assert_eq!(
        of(&Login::Refused(Refusal::Credential)),
        Some("changed_outside")
    );
    assert_eq!(of(&Login::Refused(Refusal::Locked)), Some("locked"));
    let down = Login::Unknown(TroubleKind::TimedOut.into());
    assert_eq!(of(&down), Some("unreachable"));
    let odd = Login::Unknown(TroubleKind::Credential.into());
    assert_eq!(of(&odd), Some("unclear"));
}
