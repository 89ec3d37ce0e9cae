use proptest::prelude::*;

use super::*;
use crate::rotation::Calendar;

const DAY: u64 = 86_400;
const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

fn policy(interval: &str, warn: &[&str]) -> RotationPolicy {
    RotationPolicy {
        id: RotationPolicyId::parse("rot_1").unwrap(),
        tenant: TenantId::parse("tnt_a").unwrap(),
        name: "p".into(),
        description: None,
        interval: Span::parse(interval).unwrap(),
        grace_period: Span::parse("48h").unwrap(),
        warn_before: warn.iter().map(|text| Span::parse(text).unwrap()).collect(),
        auto_generate: false,
        secret_policy_id: None,
        rules: crate::rotation::Rules::default(),
        calendar: crate::rotation::Calendar::default(),
        drift_check: None,
        webhook_ids: Vec::new(),
        is_active: true,
        created_at: T0,
        updated_at: T0,
        revision: 1,
    }
}

fn fresh(policy: &RotationPolicy) -> Assignment {
    Assignment::new(
        policy.tenant.clone(),
        SecretPath::parse("a/b").unwrap(),
        policy,
        Identity::parse("user:root").unwrap(),
        T0,
    )
}

fn day(n: u64) -> Timestamp {
    T0.plus(std::time::Duration::from_secs(n * DAY))
}

#[test]
fn ninety_days_warn_at_seven_and_one_then_rotate() {
    let policy = policy("90d", &["7d", "1d"]);
    let mut assignment = fresh(&policy);
    let mut seen = Vec::new();
    while let Some(now) = assignment.wake_at {
        match schedule(&assignment, &policy, now) {
            Due::Warn(span) => {
                seen.push((now, span.as_str().to_owned()));
                assignment = assignment.warned(&span, &policy, now);
            }
            Due::Rotate => {
                seen.push((now, "rotate".to_owned()));
                assignment = assignment.opened(RotationId::parse("rtn_1").unwrap());
            }
            Due::Nothing(_) => panic!("woken for nothing"),
        }
    }
    let expect = [(day(83), "7d"), (day(89), "1d"), (day(90), "rotate")];
    assert_eq!(seen, expect.map(|(at, what)| (at, what.to_owned())));
}

#[test]
fn warnings_missed_while_down_are_told_once() {
    let policy = policy("90d", &["7d", "1d", "30d"]);
    let assignment = fresh(&policy);
    let Due::Warn(span) = schedule(&assignment, &policy, day(89)) else {
        panic!("a warning is due");
    };
    assert_eq!(span.as_str(), "1d");
    let warned = assignment.warned(&span, &policy, day(89));
    assert_eq!(
        schedule(&warned, &policy, day(89)),
        Due::Nothing(Some(day(90)))
    );
}

#[test]
fn an_inactive_policy_stands_still() {
    let mut policy = policy("90d", &["7d"]);
    let assignment = fresh(&policy);
    policy.is_active = false;
    assert_eq!(schedule(&assignment, &policy, day(400)), Due::Nothing(None));
}

proptest! {
    /// Woken whenever it asks to be, a schedule warns in falling order, each threshold at
    /// most once, and always ends in a rotation at its due time.
    #[test]
    fn every_schedule_ends_in_its_rotation(
        interval in 1u64..1_000_000,
        warn in proptest::collection::vec(1u64..2_000_000, 0..5),
        late in 0u64..5_000,
    ) {
        let texts: Vec<String> = warn.iter().map(|s| format!("{s}s")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let policy = policy(&format!("{interval}s"), &texts);
        let mut assignment = fresh(&policy);
        let mut last = u64::MAX;
        for _ in 0..20 {
            let Some(wake) = assignment.wake_at else { break };
            let now = wake.plus(std::time::Duration::from_secs(late));
            match schedule(&assignment, &policy, now) {
                Due::Warn(span) => {
                    prop_assert!(span.as_secs() < last);
                    last = span.as_secs();
                    assignment = assignment.warned(&span, &policy, now);
                }
                Due::Rotate => {
                    prop_assert!(now >= assignment.next_rotation_at);
                    assignment = assignment.opened(RotationId::parse("rtn_1").unwrap());
                }
                Due::Nothing(next) => {
                    assignment.wake_at = next;
                }
            }
        }
        prop_assert!(assignment.open_rotation.is_some());
    }

    /// Under any calendar: due in a window and no sooner than the interval; whenever a worker
    /// looks, it opens a rotation only when due and in a window, and else asks to be woken
    /// later; woken then, it opens one.
    #[test]
    fn a_rotation_by_schedule_begins_in_a_window(
        interval in 1u64..3_000_000,
        windows in proptest::collection::vec(windows(), 0..4),
        cron in proptest::option::of(proptest::sample::select(
            vec!["0 3 * * *", "*/7 * * * *", "30 2 * * sun", "0 0 1 * *"],
        )),
        zone in proptest::sample::select(vec!["UTC", "Europe/Berlin", "Pacific/Apia"]),
        late in 0u64..5_000_000,
    ) {
        let calendar = Calendar {
            windows,
            cron: cron.map(str::to_owned),
            time_zone: zone.to_owned(),
        };
        let calendar = calendar.validate().unwrap();
        let policy = RotationPolicy {
            calendar: calendar.clone(),
            ..policy(&format!("{interval}s"), &[])
        };
        let is_open = |at: Timestamp| calendar.opens(at) == Some(at);
        let assignment = fresh(&policy);
        let due = assignment.next_rotation_at;
        prop_assert!(is_open(due) && due > T0);
        if cron.is_none() {
            prop_assert!(due >= T0.plus(std::time::Duration::from_secs(interval)));
        }
        // Somebody looks at any time, after any pause.
        let now = T0.plus(std::time::Duration::from_secs(late));
        let assignment = assignment.rescheduled(&policy, now);
        let at = match schedule(&assignment, &policy, now) {
            Due::Rotate => now,
            Due::Nothing(Some(wake)) => {
                prop_assert!(wake > now);
                prop_assert_eq!(assignment.next_rotation_at, wake);
                let again = assignment.rescheduled(&policy, wake);
                prop_assert_eq!(schedule(&again, &policy, wake), Due::Rotate);
                wake
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        prop_assert!(at >= due && is_open(at));
    }
}

fn windows() -> impl Strategy<Value = crate::rotation::Window> {
    let time = || (0u8..24, 0u8..60).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"));
    let days = proptest::sample::subsequence(crate::rotation::Weekday::ALL.to_vec(), 0..=7);
    (days, time(), time()).prop_map(|(days, from, to)| crate::rotation::Window { days, from, to })
}
