//! Looks at credentials: who gets one that is due; and the figures of what has not ended.

use std::collections::BTreeMap;
use std::time::Duration;

use scaivault_core::ids::RotationId;
use scaivault_core::ports::{Record, RotationFigures};
use scaivault_core::rotation::{Assignment, Finding, Phase, Reason};
use scaivault_core::target::Target;

use super::samples::{assignment, at, at_target, rotation, rotation_policy, target, tenant};
use super::{Subject, put};

const HOLD: Duration = Duration::from_secs(60);

fn looked(made: Assignment, target: &Target, secs: i64) -> Assignment {
    let policy = rotation_policy(&tenant("a"), "1");
    let attached = at_target(rotation(&policy, "0", "s", None), target).at_target;
    let mut made = made;
    made.attached = attached.map(|at| at.attached);
    made.probe.at = Some(at(secs));
    made
}

fn paths(rows: &[Assignment]) -> Vec<&str> {
    rows.iter().map(|row| row.path.as_str()).collect()
}

pub async fn looks_are_claimed_one_per_target(store: Subject) {
    let a = tenant("a");
    let policy = rotation_policy(&a, "1");
    let targets = ["1", "2", "3"].map(|id| target(&a, id));
    let row = |path: &str, target: usize, secs: i64| {
        looked(assignment(&policy, path, None), &targets[target], secs)
    };
    let mut open = row("s/open", 2, 1);
    open.open_rotation = RotationId::parse("rtn_9").ok();
    let rows = [
        row("s/1", 0, 5),
        row("s/2", 0, 3),
        row("s/3", 1, 4),
        row("s/later", 2, 50),
        open,
        assignment(&policy, "s/elsewhere", None),
    ];
    put(&store, rows.map(Record::Assignment)).await;
    let next = store.next_work().await.unwrap();
    assert_eq!((next.probe_at, next.assignment_at), (Some(at(3)), None));
    let busy = [targets[1].id.clone()];
    let first = store.probe_claim(at(9), HOLD, &busy, 9).await.unwrap();
    assert_eq!(paths(&first), ["s/2"]);
    assert_eq!(first[0].claimed_until, Some(at(69)));
    assert_eq!(first[0].revision, 2);
    let second = store.probe_claim(at(9), HOLD, &[], 9).await.unwrap();
    assert_eq!(paths(&second), ["s/3"], "one of its target is held");
    assert_eq!(store.probe_claim(at(9), HOLD, &[], 9).await.unwrap(), []);
    let lapsed = store.probe_claim(at(100), HOLD, &[], 2).await.unwrap();
    assert_eq!(paths(&lapsed), ["s/2", "s/3"]);
    // Done, it is due when it says.
    let done = lapsed[0].probed(None, 1, Duration::from_secs(500), at(101));
    put(&store, [Record::Assignment(done)]).await;
    let rest = store.probe_claim(at(102), HOLD, &[], 9).await.unwrap();
    assert_eq!(paths(&rest), ["s/1", "s/later"]);
}

pub async fn what_has_not_ended_is_counted(store: Subject) {
    let a = tenant("a");
    let policy = rotation_policy(&a, "1");
    let row = |id: &str, phase: Phase| {
        let mut made = rotation(&policy, id, &format!("s/{id}"), None);
        made.phase = phase;
        made.overdue_at = at(10);
        made
    };
    let mut delayed = at_target(row("4", Phase::Propagating), &target(&a, "1"));
    if let Some(at) = &mut delayed.at_target {
        at.alerted = true;
    }
    let waiting = row("1", Phase::Generating);
    let rows = [
        waiting.clone(),
        row("2", Phase::Draining),
        row("3", Phase::Completed),
        delayed.clone(),
        row("5", Phase::RolledBack),
        row("6", Phase::Parked),
    ];
    put(&store, rows.map(Record::Rotation)).await;
    let mut drifts = looked(assignment(&policy, "s/1", None), &target(&a, "1"), 1);
    let twice = |row: &Assignment| {
        let found = Some(Finding::Locked);
        let every = Duration::from_secs(1);
        row.probed(found, 1, every, at(1))
            .probed(found, 1, every, at(2))
    };
    drifts.probe = twice(&drifts).probe;
    put(&store, [Record::Assignment(drifts.clone())]).await;
    let expect = RotationFigures {
        by_phase: BTreeMap::from([
            ("draining", 1),
            ("generating", 1),
            ("parked", 1),
            ("propagating", 1),
        ]),
        overdue: 2,
        delayed: 1,
        drifting: 1,
    };
    assert_eq!(store.rotation_figures(at(10)).await.unwrap(), expect);
    let early = store.rotation_figures(at(9)).await.unwrap();
    assert_eq!(early.overdue, 0);
    // What ends or is cured is counted no more.
    let ended = [
        waiting.abandoned(Reason::Detached, at(11)),
        delayed.completed(at(11)),
    ];
    put(&store, ended.map(Record::Rotation)).await;
    let cured = drifts.probed(None, 1, HOLD, at(11));
    put(&store, [Record::Assignment(cured)]).await;
    let left = store.rotation_figures(at(12)).await.unwrap();
    let by_phase = BTreeMap::from([("draining", 1), ("parked", 1)]);
    assert_eq!((left.by_phase, left.overdue), (by_phase, 1));
    assert_eq!((left.delayed, left.drifting), (0, 0));
}
