use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::identity::Identity;
use crate::ids::{EngineId, LeaseId, TenantId};
use crate::ports::Effect;
use crate::rotation::Jitter;
use crate::target::TroubleKind;
use crate::time::Timestamp;

const T0: Timestamp = Timestamp::from_secs(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const TERMS: RoleTerms = RoleTerms {
    default_ttl: HOUR,
    max_ttl: Duration::from_secs(4 * 3_600),
};
const JITTER: Jitter = Jitter(u64::MAX);
const HOLD: Duration = Duration::from_secs(60);

fn lease(ttl: Option<Duration>) -> Lease {
    Lease::intended(
        LeaseId::parse("lse_1").unwrap(),
        TenantId::parse("tnt_a").unwrap(),
        EngineId::parse("eng_1").unwrap(),
        ("reader".to_owned(), Revocation::default()),
        "v_reader_x".to_owned(),
        (Identity::parse("sa:shop").unwrap(), None),
        (ttl, TERMS),
        T0,
    )
}

fn trouble() -> Effect {
    Effect::Unknown(TroubleKind::Unreachable.into())
}

#[test]
fn a_lease_lives_as_long_as_it_was_asked_for_and_no_longer_than_it_may() {
    assert_eq!(lease(None).expires_at, T0.plus(HOUR));
    assert_eq!(lease(Some(HOUR * 2)).expires_at, T0.plus(HOUR * 2));
    let most = lease(Some(HOUR * 24)).confirmed(None);
    assert_eq!(most.expires_at, T0.plus(HOUR * 4));
    assert_eq!(
        most.renewable_until(HOUR, T0.plus(HOUR)),
        Some(T0.plus(HOUR * 2))
    );
    let late = T0.plus(HOUR * 3);
    assert_eq!(
        most.renewable_until(HOUR * 9, late),
        Some(T0.plus(HOUR * 4))
    );
    assert_eq!(
        most.renewable_until(HOUR, T0.plus(HOUR * 4)),
        None,
        "it is over"
    );
    let ending = most.ending(Cause::Asked, T0).unwrap();
    assert_eq!(ending.renewable_until(HOUR, T0), None);
    assert_eq!(
        lease(None).renewable_until(HOUR, T0),
        None,
        "nobody has it yet"
    );
}

#[test]
fn one_that_was_left_behind_is_removed_twice() {
    let made = lease(None);
    assert_eq!(made.step(T0), LeaseStep::Wait(T0.plus(CONFIRMED_WITHIN)));
    let now = T0.plus(CONFIRMED_WITHIN);
    assert_eq!(made.step(now), LeaseStep::Remove(Cause::Unconfirmed));
    let taken = made.taken(Cause::Unconfirmed, now.plus(HOLD));
    let RevocationOutcome::Again(once) = taken.removed(&Effect::applied(), JITTER, now) else {
        panic!("what was sent may still arrive");
    };
    assert_eq!(once.step(now), LeaseStep::Wait(T0.plus(LATE)));
    let now = T0.plus(LATE);
    let taken = once.taken(Cause::Expired, now.plus(HOLD));
    let RevocationOutcome::Revoked(gone) = taken.removed(&Effect::applied(), JITTER, now) else {
        panic!("nothing can arrive any more");
    };
    assert_eq!(
        (gone.step(now), gone.cause),
        (LeaseStep::Ended, Some(Cause::Unconfirmed))
    );
}

#[test]
fn what_cannot_be_removed_is_tried_for_ever_and_told_once() {
    let mut lease = lease(None).confirmed(None);
    let mut now = lease.expires_at;
    let mut waits = Vec::new();
    for _ in 0..40 {
        assert_eq!(lease.step(now), LeaseStep::Remove(Cause::Expired));
        let taken = lease.taken(Cause::Expired, now.plus(HOLD));
        let RevocationOutcome::Owed(owed) = taken.removed(&trouble(), JITTER, now) else {
            panic!("nobody knows");
        };
        let at = owed.wake_at.unwrap();
        waits.push(at.since(now));
        now = at;
        lease = owed;
    }
    // Spread, so that many that fail together do not come back together.
    let within = |at: usize, most: u64| {
        let most = Duration::from_secs(most);
        waits[at] <= most && waits[at] >= most / 2
    };
    assert!(
        within(0, 10) && within(1, 20) && within(39, 900),
        "{waits:?}"
    );
    assert!(lease.is_to_be_told(now) && !lease.is_to_be_told(lease.failing_since.unwrap()));
    let taken = lease.taken(Cause::Asked, now.plus(HOLD));
    let gone = taken
        .removed(&Effect::applied(), JITTER, now)
        .lease()
        .clone();
    assert_eq!(
        (gone.attempts, gone.failing_since, gone.cause),
        (0, None, Some(Cause::Expired))
    );
}

/// What may happen to a lease.
#[derive(Debug, Clone, Copy)]
enum Happens {
    /// The target makes the account and its answer comes.
    Made,
    /// The target makes it, and nobody hears of it.
    MadeUnheard,
    /// The target promises that it made nothing.
    NotMade,
    /// What was sent arrives now, for the first time.
    Arrives,
    /// Somebody renews.
    Renew(u64),
    /// Somebody asks for its end.
    End,
    /// A worker takes it and removes the account.
    Remove,
    /// A worker takes it, and cannot.
    Fail,
    /// A worker takes it, removes the account, and is killed before it can say so.
    RemoveUnheard,
    /// Time goes on.
    Later(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        Just(Happens::Made),
        Just(Happens::MadeUnheard),
        Just(Happens::NotMade),
        Just(Happens::Arrives),
        (1u64..20_000).prop_map(Happens::Renew),
        Just(Happens::End),
        Just(Happens::Remove),
        Just(Happens::Fail),
        Just(Happens::RemoveUnheard),
        (1u64..4_000).prop_map(Happens::Later),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// In any order of events: an account is there only while its lease has not ended, nobody has a
    /// credential beyond its latest end, and whoever looks often enough finds it gone.
    #[test]
    fn no_account_outlives_its_lease(ttl in 1u64..20_000, events in prop::collection::vec(happens(), 0..40)) {
        let mut row = lease(Some(Duration::from_secs(ttl)));
        let mut now = T0;
        let (mut is_there, mut on_its_way, mut answered) = (false, true, false);
        let check = |row: &Lease, is_there: bool, on_its_way: bool, now: Timestamp| {
            if row.state == LeaseState::Revoked {
                assert!(!is_there, "an account without a lease");
                assert!(!on_its_way || now >= T0.plus(LATE), "one may still come");
            }
            assert!(row.expires_at <= row.expires_at_latest);
        };
        for event in events {
            match event {
                Happens::Made | Happens::MadeUnheard if on_its_way && !answered => {
                    (is_there, on_its_way, answered) = (true, false, true);
                    if matches!(event, Happens::Made) && row.state == LeaseState::Creating {
                        row = row.confirmed(None);
                    }
                }
                Happens::NotMade if on_its_way && !answered => {
                    (on_its_way, answered) = (false, true);
                    if row.state == LeaseState::Creating {
                        row = row.not_made(TroubleKind::Quota.into(), now);
                    }
                }
                // Longer than this nothing is on its way.
                Happens::Arrives if on_its_way && now < T0.plus(LATE) => {
                    (is_there, on_its_way, answered) = (true, false, true);
                }
                Happens::Renew(seconds) => {
                    if let Some(until) = row.renewable_until(Duration::from_secs(seconds), now) {
                        row = row.renewed(until, now);
                    }
                }
                Happens::End => {
                    if let Some(next) = row.ending(Cause::Asked, now) {
                        row = next;
                    }
                }
                Happens::Remove | Happens::Fail | Happens::RemoveUnheard => {
                    let LeaseStep::Remove(cause) = row.step(now) else { continue };
                    row = row.taken(cause, now.plus(HOLD));
                    prop_assert!(row.renewable_until(HOUR, now).is_none());
                    let effect = match event {
                        Happens::Fail => trouble(),
                        _ => {
                            is_there = false;
                            Effect::applied()
                        }
                    };
                    if !matches!(event, Happens::RemoveUnheard) {
                        row = row.removed(&effect, JITTER, now).lease().clone();
                    }
                }
                Happens::Later(seconds) => now = now.plus(Duration::from_secs(seconds)),
                _ => {}
            }
            if now >= T0.plus(LATE) {
                on_its_way = false;
            }
            check(&row, is_there, on_its_way, now);
        }
        // From here on somebody looks whenever it is time.
        for _ in 0..50 {
            match row.step(now) {
                LeaseStep::Ended => break,
                LeaseStep::Wait(at) => now = at,
                LeaseStep::Look => row = row.looked_at(None),
                LeaseStep::Remove(cause) => {
                    if now >= T0.plus(LATE) {
                        on_its_way = false;
                    }
                    row = row.taken(cause, now.plus(HOLD));
                    is_there = false;
                    row = row.removed(&Effect::applied(), JITTER, now).lease().clone();
                }
            }
            check(&row, is_there, on_its_way, now);
        }
        prop_assert_eq!(row.state, LeaseState::Revoked);
        prop_assert!(!is_there);
    }
}
