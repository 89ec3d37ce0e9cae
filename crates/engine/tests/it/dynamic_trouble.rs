//! Credentials made on request, at targets in trouble: none is hammered, none keeps another waiting,
//! and what is found without a lease is what is there.

use std::time::Duration;

use scaivault_core::audit::Action;
use scaivault_core::dynamic::{Cause, LeaseState};
use scaivault_core::ports::{Op, Record, Store, StoreMarks, Unit, UnitName};
use scaivault_core::target::TroubleKind;
use scaivault_core::tenancy::{Status, Tenant};
use scaivault_engine::default_tenant;
use scaivault_store::SqliteOptions;
use scaivault_testkit::store_conformance::samples::{partner, tenant_row};
use scaivault_testkit::{Fault, When};

use crate::dynamic_world::{ROOT_SECRET, accepted, check, generate, lease, leases, made, world};
use crate::world::{DAY, HOUR, World, path, root};

/// Many leases at a target that is down, or whose manager's password is wrong, are one thing that
/// is tried now and then, not many.
#[tokio::test]
async fn a_target_in_trouble_is_asked_rarely_and_about_few() {
    let (w, of) = world().await;
    for _ in 0..120 {
        generate(&w, &root(), &of).await.unwrap();
    }
    w.clock.advance(HOUR);
    w.target.unreachable(true);
    let begun = w.now();
    while w.now() < begun.plus(HOUR * 2) {
        w.vault.leases_run_once().await.unwrap();
        w.clock.advance(Duration::from_secs(2));
    }
    let (calls, accounts) = w.target.removals();
    assert!((20..80).contains(&calls), "{calls} calls in two hours");
    assert!(accounts < 150, "about {accounts} accounts");
    let trail = w.audit().await;
    let rows = |action| {
        let rows = trail.iter().filter(move |row| row.action == action);
        rows.count()
    };
    let reads = trail.iter().filter(|row| {
        row.action == Action::Read && row.secret_path.as_ref() == Some(&path(ROOT_SECRET))
    });
    assert!(reads.count() < 120 + 80, "one for each time it was used");
    assert!(rows(Action::DynamicRevoke) < 150, "no row for each attempt");
    w.target.unreachable(false);
    w.clock.advance(Duration::from_secs(900));
    for _ in 0..20 {
        w.vault.leases_run_once().await.unwrap();
    }
    assert!(accepted(&w).is_empty(), "all are gone soon after");
}

/// Many that end at once are removed in parts, and none of them waits for another one's turn; but
/// one part alone finds out whether the target is well.
#[tokio::test]
async fn a_part_asks_first_and_the_others_follow_together() {
    let (w, of) = world().await;
    let some = async || {
        for _ in 0..130 {
            generate(&w, &root(), &of).await.unwrap();
        }
        w.clock.advance(HOUR);
    };
    some().await;
    assert_eq!(w.vault.leases_run_once().await.unwrap(), 130);
    assert_eq!(w.target.removals(), (3, 130));
    assert!(accepted(&w).is_empty());
    some().await;
    w.target.unreachable(true);
    w.vault.leases_run_once().await.unwrap();
    assert_eq!(w.target.removals(), (4, 180), "one part, and no other one");
    let failing = leases(&w).await;
    let failing = failing.iter().filter(|lease| lease.failing_since.is_some());
    assert_eq!(failing.count(), 50, "the others were not touched");
}

/// Rows of ended leases go as fast as they come, a part at a time.
#[tokio::test]
async fn rows_of_ended_leases_are_forgotten_in_parts() {
    let (w, of) = world().await;
    for _ in 0..260 {
        generate(&w, &root(), &of).await.unwrap();
    }
    w.clock.advance(HOUR);
    while w.vault.leases_run_once().await.unwrap() > 0 {}
    let pruned = async || w.vault.leases_prune(DAY).await.unwrap();
    assert_eq!(pruned().await, 0, "they are kept for a day");
    w.clock.advance(DAY + Duration::from_secs(1));
    generate(&w, &root(), &of).await.unwrap();
    assert_eq!(
        [pruned().await, pruned().await, pruned().await],
        [250, 10, 0]
    );
    assert_eq!(leases(&w).await.len(), 1, "what lives stays");
}

/// One lease that fails for ever is on the trail when what is wrong changes, and ever more rarely.
#[tokio::test]
async fn a_failure_that_goes_on_is_told_ever_more_rarely() {
    let (w, of) = world().await;
    let made = generate(&w, &root(), &of).await.unwrap().lease;
    w.clock.advance(HOUR);
    w.target.unreachable(true);
    for _ in 0..400 {
        w.vault.leases_run_once().await.unwrap();
        w.clock.advance(Duration::from_secs(450));
    }
    let owed = lease(&w, &made.id).await;
    assert!(owed.attempts > 100, "{}", owed.attempts);
    let trail = w.audit().await;
    let counts: Vec<u64> = trail
        .iter()
        .filter(|row| row.action == Action::DynamicRevoke)
        .filter_map(|row| row.extra_data.count)
        .collect();
    assert!(counts.contains(&1) && counts.contains(&64), "{counts:?}");
    assert!(counts.len() <= 9, "{counts:?}");
}

/// Whoever waits longest comes first, whatever its engine is called; engines in trouble come last.
#[tokio::test]
async fn engines_take_turns_by_what_waits_longest() {
    let w = World::new().await;
    let engines = [
        made(&w, "1").await,
        made(&w, "2").await,
        made(&w, "3").await,
    ];
    for of in [&engines[2], &engines[0], &engines[1]] {
        generate(&w, &root(), of).await.unwrap();
        w.clock.advance(Duration::from_secs(1));
    }
    w.clock.advance(HOUR);
    let order = async |most| {
        let due = w.vault.leases_due(&[], most).await.unwrap();
        let names = due.iter().map(|due| due.engine_id().as_str().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(order(9).await, "eng_3 eng_1 eng_2");
    assert_eq!(order(1).await, "eng_3");
    w.target.unreachable(true);
    let first = w.vault.leases_due(&[], 1).await.unwrap().remove(0);
    w.vault.leases_work(first).await.unwrap();
    w.target.unreachable(false);
    assert_eq!(order(9).await, "eng_1 eng_2", "the third is left alone");
    w.clock.advance(Duration::from_secs(30));
    assert_eq!(order(9).await, "eng_1 eng_2 eng_3");
    assert_eq!(order(1).await, "eng_1");
}

/// What fails before anything is taken in hand is no reason to try without a pause.
#[tokio::test]
async fn an_engine_whose_work_cannot_be_stored_is_left_alone_for_a_while() {
    let (w, of) = world().await;
    generate(&w, &root(), &of).await.unwrap();
    w.clock.advance(HOUR);
    w.store.arm(UnitName::LeaseTake, When::Every, Fault::Unit);
    assert!(w.vault.leases_run_once().await.is_err());
    assert_eq!(w.vault.leases_run_once().await.unwrap(), 0, "not at once");
    w.store.disarm();
    w.clock.advance(Duration::from_secs(10));
    assert_eq!(w.vault.leases_run_once().await.unwrap(), 1);
    check(&w, "afterwards").await;
    assert!(accepted(&w).is_empty());
}

/// A manager's value that does not open is a trouble of the leases, where somebody sees it.
#[tokio::test]
async fn a_manager_that_does_not_open_is_seen_at_the_lease() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let w = World::open(SqliteOptions::file(&file), 1).await;
    let of = made(&w, "1").await;
    let made = generate(&w, &root(), &of).await.unwrap().lease;
    w.clock.advance(HOUR);
    let side_door = rusqlite::Connection::open(&file).unwrap();
    let damage = "UPDATE version SET sealed = zeroblob(length(sealed)) WHERE path = ?1";
    assert_eq!(side_door.execute(damage, [ROOT_SECRET]).unwrap(), 1);
    w.vault.leases_run_once().await.unwrap();
    let owed = lease(&w, &made.id).await;
    let trouble = owed.trouble.expect("it fails");
    assert_eq!(trouble.kind, TroubleKind::ManagerMissing);
    assert_eq!(trouble.code.as_deref(), Some("manager_unreadable"));
    assert_eq!(owed.state, LeaseState::Revoking);
}

/// A sweep that failed is made again soon, and one that was done is made again after a restore.
#[tokio::test]
async fn a_sweep_is_done_when_it_succeeded() {
    let (w, of) = world().await;
    let lost = async || {
        let lost = generate(&w, &root(), &of).await.unwrap().lease;
        let unit = Unit::new(UnitName::LeaseEnd).op(Op::Delete(Record::Lease(lost)));
        w.sqlite.commit(unit).await.unwrap();
    };
    lost().await;
    let sweep = async || w.vault.engines_sweep_once().await.unwrap();
    w.target.unreachable(true);
    assert_eq!(sweep().await, 0);
    w.target.unreachable(false);
    assert_eq!(sweep().await, 0, "it is left alone for a while");
    w.clock.advance(Duration::from_secs(900));
    assert_eq!(sweep().await, 1);
    lost().await;
    w.clock.advance(HOUR);
    assert_eq!(sweep().await, 0, "it was done today");
    let marks = StoreMarks {
        restored_at: None,
        resumed_at: Some(w.now()),
    };
    let unit = Unit::new(UnitName::StoreResume).op(Op::Mark(marks));
    w.sqlite.commit(unit).await.unwrap();
    assert_eq!(sweep().await, 1, "a restore forgets what was made since");
    lost().await;
    w.clock.advance(DAY);
    assert_eq!(sweep().await, 1);
}

/// An account that was removed between the look at the target and the look at the leases is gone.
#[tokio::test]
async fn the_sweep_adopts_no_ghosts() {
    let (w, of) = world().await;
    let made = generate(&w, &root(), &of).await.unwrap().lease;
    w.vault.lease_revoke(&root(), &made.id).await.unwrap();
    w.vault.leases_run_once().await.unwrap();
    assert_eq!(lease(&w, &made.id).await.state, LeaseState::Revoked);
    w.target.seen_once(&made.account);
    let found = w.vault.engine_sweep(&root(), &of.name).await.unwrap();
    assert_eq!(found, []);
    assert_eq!(leases(&w).await.len(), 1);
}

/// Two sweeps of one engine at once find an account once.
#[tokio::test]
async fn two_sweeps_adopt_an_account_once() {
    let (w, of) = world().await;
    let lost = generate(&w, &root(), &of).await.unwrap().lease;
    let unit = Unit::new(UnitName::LeaseEnd).op(Op::Delete(Record::Lease(lost)));
    w.sqlite.commit(unit).await.unwrap();
    let sweep = |vault: std::sync::Arc<scaivault_engine::Vault>, name: String| {
        tokio::spawn(async move {
            let who = root();
            vault
                .engine_sweep(&who, &name)
                .await
                .map(|found| found.len())
        })
    };
    // The first one has begun, and waits before it stores what it found.
    let begin = w.watched.stop_at(UnitName::LeaseFound);
    let first = sweep(w.vault.clone(), of.name.clone());
    begin.arrived().await;
    let adopt = w.watched.stop_at(UnitName::LeaseFound);
    begin.go();
    adopt.arrived().await;
    let second = sweep(w.vault.clone(), of.name.clone()).await.unwrap();
    adopt.go();
    assert_eq!(second, Ok(1));
    assert!(first.await.unwrap().is_err(), "it lost the race");
    let found = leases(&w).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].cause, Some(Cause::Found));
}

/// What was made for a tenant ends, though nobody is served for it.
#[tokio::test]
async fn leases_of_a_suspended_tenant_end() {
    let (w, of) = world().await;
    generate(&w, &root(), &of).await.unwrap();
    let row = Tenant {
        id: default_tenant(),
        own_status: Status::Suspended,
        ..tenant_row(&partner("1").id, "a")
    };
    let unit = Unit::new(UnitName::TenantWrite).put(Record::Tenant(row));
    w.sqlite.commit(unit).await.unwrap();
    w.clock.advance(HOUR);
    assert_eq!(w.vault.leases_run_once().await.unwrap(), 1);
    assert!(accepted(&w).is_empty());
}
