//! Members of a group never rotate at the same time and go in order: with one worker, with two
//! that race, with every commit that takes or gives a turn lost once.

use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::ports::UnitName;
use scaivault_core::rotation::{Phase, Rotation, Rules, Turn, Which};
use scaivault_engine::Attach;
use scaivault_testkit::{Fault, When};

use crate::attachments::{credential, policy, target, to};
use crate::world::{World, caller, path, root, span, work_slice};

/// In the order of the group, which is not that of the paths.
const MEMBERS: [&str; 3] = ["db/c", "db/a", "db/b"];

/// Three secrets, each at a target of its own, in one group, asked to rotate in the wrong order.
async fn asked() -> World {
    let w = World::new().await;
    let rules = Rules {
        consumers: Which::Live(span("1h")),
        quiet_period: span("10s"),
        ..Rules::default()
    };
    let policy = policy(&w, "databases", rules).await;
    w.grant("sa:app", "**", &[Permission::Read]).await;
    for (order, at) in (1..).zip(MEMBERS) {
        let name = at.replace('/', "_");
        credential(&w, at, &name).await;
        target(&w, &name).await;
        let attach = Attach {
            to: Some(to(&name, &name)),
            turn: Some(Turn {
                group: "orders".to_owned(),
                order,
            }),
        };
        w.vault
            .assignment_attach(&root(), &policy, &path(at), &attach)
            .await
            .unwrap();
        w.read(&caller("sa:app"), at, None).await.unwrap();
    }
    for at in ["db/a", "db/b", "db/c"] {
        w.vault.secret_rotate(&root(), &path(at)).await.unwrap();
    }
    w
}

async fn newest(w: &World) -> Vec<Rotation> {
    let mut all = Vec::new();
    for at in MEMBERS {
        let rotations = w.rotations(at).await;
        assert_eq!(rotations.len(), 1, "{at}");
        all.extend(rotations);
    }
    all
}

/// At most one has begun and not ended, and nobody begins before those that go first have ended.
async fn check(w: &World) -> bool {
    let all = newest(w).await;
    let begun = |rotation: &&Rotation| rotation.phase != Phase::Generating;
    let under_way = all.iter().filter(begun).filter(|one| !one.phase.is_final());
    assert!(under_way.count() <= 1, "members overlap");
    for (at, rotation) in all.iter().enumerate() {
        let first = all[..at].iter().all(|earlier| earlier.phase.is_final());
        assert!(first || !begun(&rotation), "{} went ahead", rotation.path);
    }
    all.iter().all(|rotation| rotation.phase.is_final())
}

/// Consumers read what is stored: caches are coherent within one vault alone, and here several
/// write.
async fn consume(w: &World) {
    let vault = w.another_vault();
    for at in MEMBERS {
        let read = vault.secret_read(&caller("sa:app"), &path(at), None).await;
        read.unwrap();
    }
    w.clock.advance(Duration::from_secs(7));
}

fn assert_all_completed(all: &[Rotation]) {
    let phases: Vec<Phase> = all.iter().map(|rotation| rotation.phase).collect();
    assert_eq!(phases, [Phase::Completed; 3]);
}

#[tokio::test]
async fn members_go_one_at_a_time_in_order() {
    let w = asked().await;
    for _ in 0..200 {
        work_slice(&w.vault).await.unwrap();
        if check(&w).await {
            assert_all_completed(&newest(&w).await);
            return;
        }
        consume(&w).await;
    }
    panic!("the group never ends: {:?}", newest(&w).await);
}

#[tokio::test]
async fn two_workers_that_race_do_not_overlap_members() {
    let w = asked().await;
    let other = w.another_vault();
    for _ in 0..200 {
        // Either may lose a race; the record says how it stands.
        let _ = tokio::join!(work_slice(&w.vault), work_slice(&other));
        if check(&w).await {
            assert_all_completed(&newest(&w).await);
            return;
        }
        consume(&w).await;
    }
    panic!("the group never ends: {:?}", newest(&w).await);
}

#[tokio::test]
async fn a_lost_commit_loses_no_turn_and_gives_none_twice() {
    let names = [
        UnitName::RotationPlan,
        UnitName::RotationSend,
        UnitName::RotationSent,
        UnitName::RotationPromote,
        UnitName::RotationClose,
    ];
    for name in names {
        for nth in 1..=2 {
            for fault in [Fault::Unit, Fault::Answer] {
                let mut w = asked().await;
                w.store.arm(name, When::Nth(nth), fault);
                let mut over = false;
                for round in 0..300 {
                    let worked = work_slice(&w.vault).await;
                    if worked.is_err() {
                        // The worker dies there; the next one knows what is stored.
                        w.restart();
                    }
                    over = check(&w).await;
                    if over {
                        break;
                    }
                    assert!(round < 299, "{} {nth} {fault:?}", name.as_str());
                    consume(&w).await;
                }
                assert!(over);
                assert_all_completed(&newest(&w).await);
            }
        }
    }
}
