//! A store restored from a backup, at a target that has moved on since: nothing is changed there
//! until somebody says so, and then everything that was sent before is older than what is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use scaivault_core::audit::Action;
use scaivault_core::campaign::Mode;
use scaivault_core::identity::Scope;
use scaivault_core::ports::{MarkReads, Store, UnitName};
use scaivault_core::rotation::{Finding, Phase};
use scaivault_engine::{CampaignDraft, Selector, VaultError};
use scaivault_store::SqliteOptions;
use scaivault_store::backup::{backup, restore};
use scaivault_testkit::{Fault, When};

use crate::targets::{AT, attached_in, check, follow, only, rotate, rules};
use crate::world::{HOUR, World, caller, path, root, scoped, work, work_slice};

/// A rotation under way, backed up while both credentials are accepted.
async fn backed_up(directory: &Path) -> World {
    let live = directory.join("live.db");
    let w = World::open(SqliteOptions::file(&live), 1).await;
    let w = attached_in(w, rules()).await;
    rotate(&w).await;
    assert_eq!(w.rotations(AT).await[0].phase, Phase::Propagating);
    backup(&live, &directory.join("copy.db"), &mut |_, _| {}).unwrap();
    w
}

/// The world goes on with what was backed up.
async fn restored(w: &mut World, directory: &Path) {
    let file = directory.join("back.db");
    let now = w.now().as_micros();
    restore(&directory.join("copy.db"), &file, now, &mut |_, _| {}).unwrap();
    w.go_on_with(&file).await;
}

/// Until the rotation ends; the consumer follows.
async fn to_the_end(w: &World) -> Phase {
    for _ in 0..400 {
        work_slice(&w.vault).await.unwrap();
        let rotation = w.rotations(AT).await.pop().unwrap();
        if rotation.phase.is_final() {
            return rotation.phase;
        }
        let _ = w.read(&caller("sa:app"), AT, None).await;
        w.target.sessions_of("app_a", 0);
        w.clock.advance(Duration::from_secs(15));
    }
    panic!("never ends: {:?}", w.rotations(AT).await.last());
}

#[tokio::test]
async fn nothing_is_changed_until_somebody_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = backed_up(directory.path()).await;
    assert_eq!(follow(&mut w).await, Phase::Completed);
    only(&w, "app_b");
    restored(&mut w, directory.path()).await;
    let effects = w.target.effects();
    let before = w.rotations(AT).await;
    for _ in 0..20 {
        w.clock.advance(HOUR);
        work(&w.vault).await;
        assert_eq!(w.vault.debts_run_once().await.unwrap(), 0);
        assert_eq!(w.vault.sweeps_run_once().await.unwrap(), 0);
    }
    assert_eq!(w.target.effects(), effects);
    let after = w.rotations(AT).await;
    assert_eq!((after.len(), after[0].phase), (1, before[0].phase));
    assert_eq!(after[0].revision, before[0].revision);
    // Readers are served meanwhile.
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    // What somebody asks for is refused, and told why.
    let held = VaultError::Restored;
    let rotated = w.vault.secret_rotate(&root(), &path(AT)).await;
    assert_eq!(rotated.unwrap_err(), held);
    let swept = w.vault.target_sweep(&root(), "orders-db").await;
    assert_eq!(swept.unwrap_err(), held);
    let (who, none) = (root(), serde_json::Map::new());
    let rehearsed = w.vault.rehearse(&who, "orders-db", None, none);
    assert_eq!(rehearsed.await.unwrap_err(), held);
    let campaign = CampaignDraft {
        selector: Selector::Paths(vec![path(AT)]),
        mode: Mode::Containment,
        modes: BTreeMap::new(),
        exclude: BTreeSet::new(),
        note: None,
        webhook_ids: Vec::new(),
        dry_run: false,
    };
    let begun = w.vault.campaign_create(&root(), campaign).await;
    assert_eq!(begun.unwrap_err(), held);
    // Before anybody looked, and by somebody who may not, it is not resumed.
    let refused = w.vault.store_resume(&root(), false).await;
    assert_eq!(refused.unwrap_err(), VaultError::NotLooked);
    let reader = scoped("user:reader", &[Scope::SecretsRead, Scope::SecretsRotate]);
    let refused = w.vault.store_resume(&reader, true).await;
    assert_eq!(refused.unwrap_err(), VaultError::Scope(Scope::Admin));
    assert_eq!(w.vault.reconcile_run_once().await.unwrap(), 1);
    let known = w.vault.reconciliation(&root()).await.unwrap();
    let looked = &known.attachments[0];
    assert_eq!((looked.version, looked.found), (2, None), "it works");
    assert_eq!(looked.rotation_id, Some(before[0].id.clone()));
    w.vault.store_resume(&root(), false).await.unwrap();
    // The target has seen later changes of this very rotation: only newer numbers get through.
    assert_eq!(to_the_end(&w).await, Phase::Completed);
    only(&w, "app_b");
    check(&w).await;
    let trail = w.audit().await;
    let resumes = trail.iter().filter(|row| row.action == Action::StoreResume);
    assert!(resumes.filter(|row| row.success).count() >= 2);
    w.assert_chain_verifies().await;
}

/// What was rotated after the backup is unknown: it is found, and replaced once told to.
#[tokio::test]
async fn what_was_rotated_since_is_found_and_healed_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = backed_up(directory.path()).await;
    assert_eq!(follow(&mut w).await, Phase::Completed);
    rotate(&w).await;
    w.target.sessions_of("app_b", 0);
    assert_eq!(follow(&mut w).await, Phase::Completed);
    only(&w, "app_a");
    restored(&mut w, directory.path()).await;
    let effects = w.target.effects();
    w.vault.reconcile_run_once().await.unwrap();
    let known = w.vault.reconciliation(&root()).await.unwrap();
    let looked = &known.attachments[0];
    assert_eq!(looked.found, Some(Finding::ChangedOutside));
    assert_eq!(
        looked.accepted,
        [] as [u64; 0],
        "nothing that is stored works"
    );
    // The older password at the same account is found to work again.
    w.target.account("app_a", "first");
    w.vault.reconcile_run_once().await.unwrap();
    let known = w.vault.reconciliation(&root()).await.unwrap();
    assert_eq!(known.attachments[0].accepted, [1]);
    assert_eq!(w.target.effects(), effects);
    w.vault.store_resume(&root(), false).await.unwrap();
    assert_eq!(to_the_end(&w).await, Phase::Completed);
    only(&w, "app_b");
    check(&w).await;
}

/// Whichever commit of it is lost, the store is resumed whole or not at all.
#[tokio::test]
async fn resuming_may_fail_anywhere() {
    for nth in 1..=2 {
        for fault in [Fault::Unit, Fault::Answer] {
            let directory = tempfile::tempdir().unwrap();
            let mut w = backed_up(directory.path()).await;
            assert_eq!(follow(&mut w).await, Phase::Completed);
            restored(&mut w, directory.path()).await;
            w.store.arm(UnitName::StoreResume, When::Nth(nth), fault);
            let failed = w.vault.store_resume(&root(), true).await;
            assert!(failed.is_err(), "{nth} {fault:?}");
            let marks = w.store.marks().await.unwrap();
            let is_done = nth == 2 && fault == Fault::Answer;
            assert_eq!(marks.restored_at.is_none(), is_done);
            w.restart();
            w.vault.store_resume(&root(), true).await.unwrap();
            assert_eq!(to_the_end(&w).await, Phase::Completed);
            only(&w, "app_b");
        }
    }
}

/// On every node at once, and nothing of it is left afterwards.
#[tokio::test]
async fn all_nodes_hold_and_go_on_together() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = backed_up(directory.path()).await;
    restored(&mut w, directory.path()).await;
    let other = w.another_vault();
    assert!(other.is_reconcile_only().await.unwrap());
    assert!(other.targets_claim(&[], 9).await.unwrap().is_empty());
    w.vault.store_resume(&root(), true).await.unwrap();
    assert!(!other.is_reconcile_only().await.unwrap());
    assert_eq!(other.reconcile_run_once().await.unwrap(), 0);
    let known = other.reconciliation(&root()).await.unwrap();
    assert_eq!((known.looked_at, known.attachments), (None, Vec::new()));
    assert_eq!(known.marks.resumed_at, Some(w.now()));
    assert!(w.store.health().await.trouble.is_none());
}
