//! Old audit rows go, and what is left still proves itself.

use std::collections::BTreeMap;

use scaivault_core::audit::Action;
use scaivault_core::ports::{AuditReads, UnitName};
use scaivault_engine::VaultError;
use scaivault_testkit::{Fault, When};

use crate::world::{DAY, World, path, root};

/// Runs to rest; answers how many rows went, and in how many commits.
async fn prune(world: &World, exported: Option<&BTreeMap<String, u64>>) -> (u64, u64) {
    let (mut rows, mut commits) = (0, 0);
    loop {
        match world
            .vault
            .audit_prune_run_once(400 * DAY, exported)
            .await
            .unwrap()
        {
            0 => return (rows, commits),
            gone => (rows, commits) = (rows + gone, commits + 1),
        }
    }
}

#[tokio::test]
async fn rows_go_after_their_time_and_what_is_left_verifies() {
    let world = World::new().await;
    for n in 0..20 {
        world.put(&format!("app/n{n}"), "old").await;
    }
    world.read(&root(), "app/n1", None).await.unwrap();
    let old = world.audit().await.len() as u64;
    world.clock.advance(399 * DAY);
    assert_eq!(prune(&world, None).await, (0, 0));
    assert_eq!(
        world.audit().await.len() as u64,
        old,
        "nothing is told where nothing went"
    );
    world.clock.advance(2 * DAY);
    world.put("app/young", "new").await;
    // Not what is not exported.
    assert_eq!(prune(&world, Some(&BTreeMap::new())).await, (0, 0));
    let (rows, commits) = prune(&world, None).await;
    assert_eq!((rows, commits), (old, 1));
    let left = world.audit().await;
    let actions: Vec<Action> = left.iter().map(|row| row.action).collect();
    assert_eq!(actions, [Action::Write, Action::AuditPrune]);
    let told = &left[1];
    assert_eq!(told.identity_id, "system:retention");
    assert_eq!(told.extra_data.count, Some(old));
    let report = AuditReads::audit_verify(&*world.sqlite).await.unwrap();
    assert_eq!((report.rows, report.first_bad), (2, None));
    let [removed] = report.removed.as_slice() else {
        panic!("{:?}", report.removed)
    };
    assert_eq!(removed.rows, old);
    assert_eq!(Some(&removed.last_id), told.extra_data.last_row_id.as_ref());
    assert_eq!(Some(&removed.head), told.extra_data.chain_head.as_ref());
    // Who holds what is known without the trail.
    let (_, consumers) = world
        .vault
        .secret_consumers(&root(), &path("app/n1"))
        .await
        .unwrap();
    assert_eq!(consumers.len(), 1);
    // It goes on: what says so goes in its turn.
    world.clock.advance(401 * DAY);
    world.put("app/younger", "new").await;
    assert_eq!(prune(&world, None).await, (3, 1));
    world.assert_chain_verifies().await;
}

#[tokio::test]
async fn a_row_that_others_removed_meanwhile_is_not_removed_twice() {
    let world = World::new().await;
    for n in 0..5 {
        world.put(&format!("app/n{n}"), "old").await;
    }
    world.clock.advance(401 * DAY);
    world.put("app/young", "new").await;
    let others = world.another_vault();
    let (one, two) = tokio::join!(
        world.vault.audit_prune_run_once(400 * DAY, None),
        others.audit_prune_run_once(400 * DAY, None),
    );
    let gone = |outcome: Result<u64, VaultError>| match outcome {
        Ok(rows) => rows,
        Err(VaultError::Unavailable(_)) => 0,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(gone(one) + gone(two), 5);
    world.assert_chain_verifies().await;
}

/// The commit is lost, or its answer: the rows go once, and one row says so.
#[tokio::test]
async fn a_lost_commit_removes_nothing_twice() {
    for fault in [Fault::Unit, Fault::Answer] {
        let world = World::new().await;
        for n in 0..5 {
            world.put(&format!("app/n{n}"), "old").await;
        }
        world.clock.advance(401 * DAY);
        world.put("app/young", "new").await;
        world.store.arm(UnitName::AuditPrune, When::Nth(1), fault);
        assert!(
            world
                .vault
                .audit_prune_run_once(400 * DAY, None)
                .await
                .is_err()
        );
        world.assert_chain_verifies().await;
        let (rows, _) = prune(&world, None).await;
        assert_eq!(rows, if fault == Fault::Unit { 5 } else { 0 });
        let left = world.audit().await;
        let told: Vec<_> = left
            .iter()
            .filter(|row| row.action == Action::AuditPrune)
            .collect();
        assert_eq!((left.len(), told.len()), (2, 1), "{fault:?}");
        world.assert_chain_verifies().await;
    }
}
