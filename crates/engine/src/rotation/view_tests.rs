use scaivault_core::ids::{RotationPolicyId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::rotation::{RotationPolicy, Rules, Trigger};
use scaivault_core::target::{Overlap, TroubleKind};
use scaivault_core::time::Span;

use super::*;

const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

fn who(name: &str) -> Identity {
    Identity::parse(name).expect("an identity")
}

fn span(text: &str) -> Span {
    Span::parse(text).expect("a span")
}

fn attached() -> Attached {
    let account = serde_json::json!({"accounts": ["app_a", "app_b"], "schema": "s3cret"});
    Attached {
        target_id: TargetId::parse("tgt_1").expect("an id"),
        target_name: "orders-db".to_owned(),
        overlap: Overlap::TwoUsers,
        account: account.as_object().cloned().expect("an object"),
        is_manager: false,
    }
}

fn rotation(phase: Phase, rules: Rules) -> Rotation {
    let policy = RotationPolicy {
        id: RotationPolicyId::parse("rot_1").expect("an id"),
        tenant: TenantId::parse("tnt_a").expect("an id"),
        name: "p".into(),
        description: None,
        interval: span("90d"),
        grace_period: span("48h"),
        warn_before: Vec::new(),
        auto_generate: true,
        secret_policy_id: None,
        calendar: scaivault_core::rotation::Calendar::default(),
        rules: rules.clone(),
        drift_check: None,
        webhook_ids: Vec::new(),
        is_active: true,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    };
    let opened = Rotation::open(
        RotationId::parse("rtn_1").expect("an id"),
        SecretPath::parse("a/b").expect("a path"),
        &policy,
        Trigger::Schedule,
        who("user:root"),
        3,
        T0,
    );
    Rotation {
        phase,
        to_version: Some(4),
        ..opened.at_target(attached(), rules, false, 100)
    }
}

fn behind(number: usize, of: usize) -> Seen {
    let names = (0..number).map(|n| who(&format!("sa:app-{n:02}")));
    Seen {
        standing: Some(Standing {
            behind: names.collect(),
            counted: of,
            used: true,
            anyone: true,
            ..Standing::default()
        }),
        first: None,
    }
}

#[test]
fn consumers_are_named_and_then_counted() {
    let moving = rotation(Phase::Propagating, Rules::default());
    let said = waits_for(&moving, &behind(2, 50), T0);
    assert_eq!(
        said,
        ["2 of 50 consumers still hold v3: sa:app-00, sa:app-01"]
    );
    let said = waits_for(&moving, &behind(25, 50), T0);
    assert!(said[0].ends_with("sa:app-19 and 5 more"), "{said:?}");
    let listed = Rules {
        consumers: Which::Listed(vec![who("sa:app-00")]),
        ..Rules::default()
    };
    let said = waits_for(&rotation(Phase::Propagating, listed), &behind(1, 1), T0);
    assert_eq!(said, ["1 of 1 consumer does not hold v4: sa:app-00"]);
}

#[test]
fn what_was_not_looked_up_is_left_out() {
    let moving = rotation(Phase::Propagating, Rules::default());
    assert!(waits_for(&moving, &Seen::default(), T0).is_empty());
}

#[test]
fn a_drain_counts_sessions_and_then_the_silence() {
    let rules = Rules {
        approval: true,
        ..Rules::default()
    };
    let mut draining = rotation(Phase::Draining, rules);
    let at = draining.at_target.as_mut().expect("at a target");
    at.sessions = Some(2);
    at.watched = Some("app_a".to_owned());
    let said = waits_for(&draining, &behind(0, 1), T0);
    assert_eq!(said, ["2 sessions of app_a on orders-db", "an approval"]);
    let at = draining.at_target.as_mut().expect("at a target");
    at.sessions = Some(0);
    at.quiet_since = Some(T0);
    let now = T0.plus(std::time::Duration::from_secs(20));
    let said = waits_for(&draining, &behind(0, 1), now);
    assert_eq!(said, ["quiet since 20 s of 60 s", "an approval"]);
}

#[test]
fn trouble_says_when_it_is_tried_again() {
    let mut applying = rotation(Phase::Applying, Rules::default());
    applying.trouble = Some(Trouble::new(TroubleKind::Unreachable));
    applying.wake_at = Some(T0);
    let said = waits_for(&applying, &Seen::default(), T0);
    let next = T0.to_rfc3339();
    assert_eq!(
        said,
        [format!(
            "the target orders-db: unreachable, next attempt {next}"
        )]
    );
}

#[test]
fn only_a_name_the_attachment_has_is_told() {
    let name = |json: &str| account_name(&Plaintext::new(json.into()), &attached());
    assert_eq!(
        name(r#"{"username":"app_b","password":"p"}"#).as_deref(),
        Some("app_b")
    );
    assert_eq!(name(r#"{"username":"hunter2"}"#), None);
    assert_eq!(name(r#"{"password":"app_a"}"#), None);
    assert_eq!(name("no object"), None);
}

#[test]
fn what_has_ended_waits_for_nothing() {
    for phase in [Phase::Completed, Phase::RolledBack] {
        let mut ended = rotation(phase, Rules::default());
        ended.trouble = Some(Trouble::new(TroubleKind::Unreachable));
        assert!(waits_for(&ended, &behind(1, 1), T0).is_empty());
        assert!(Act::legal(&ended).is_empty());
    }
}
