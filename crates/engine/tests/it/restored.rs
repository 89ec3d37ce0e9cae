//! A store restored from a backup, at a target that has moved on since: nothing is changed there
//! until somebody says so, and then everything that was sent before is older than what is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use scaivault_core::audit::Action;
use scaivault_core::campaign::Mode;
use scaivault_core::identity::Scope;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{MarkReads, Record, Store, Unit, UnitName};
use scaivault_core::rotation::{Assignment, Finding, Phase};
use scaivault_engine::{
    Act, CampaignAct, CampaignDraft, SecretWrite, Selector, TargetChange, VaultError,
};
use scaivault_store::SqliteOptions;
use scaivault_store::backup::{backup, restore};
use scaivault_testkit::{Fault, When};

use crate::targets::{AT, attached_in, check, follow, only, rotate, rules};
use crate::world::{HOUR, World, caller, path, root, scoped, work, work_slice, write_of};

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
    assert_eq!(w.vault.reconcile_run_once().await.unwrap(), 0, "unasked");
    let asked = w.vault.reconcile_again(&root()).await.unwrap();
    assert_eq!((asked.looked_at, asked.attachments), (None, Vec::new()));
    assert_eq!(w.vault.reconcile_run_once().await.unwrap(), 1);
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

/// A world at a target that has moved on: what is stored is refused.
async fn refused(directory: &Path) -> World {
    let mut w = backed_up(directory).await;
    restored(&mut w, directory).await;
    w.target.account("app_a", "changed since");
    w.target.account("app_b", "changed since");
    w
}

/// Its users hold the right password: a look must not lock them out.
#[tokio::test]
async fn what_was_refused_is_tried_again_by_no_node() {
    let directory = tempfile::tempdir().unwrap();
    let w = refused(directory.path()).await;
    w.target.locks_after(4);
    let before = w.target.logins();
    let (other, third) = (w.another_vault(), w.another_vault());
    let (one, two) = tokio::join!(w.vault.reconcile_run_once(), other.reconcile_run_once());
    assert_eq!(one.unwrap() + two.unwrap(), 1, "by one of them");
    let tried = w.target.logins() - before;
    assert!((1..=3).contains(&tried), "{tried}");
    for _ in 0..144 {
        w.clock.advance(Duration::from_secs(600));
        for vault in [&w.vault, &other, &third] {
            assert_eq!(vault.reconcile_run_once().await.unwrap(), 0);
            assert!(vault.probes_claim(&[], 9).await.unwrap().is_empty());
        }
    }
    assert_eq!(w.target.logins() - before, tried);
    assert!(w.target.accepts("app_a", "changed since"));
    // Each node shows what was found, and any of them may be told to go on.
    let found = Some(Finding::ChangedOutside);
    for vault in [&w.vault, &other, &third] {
        let known = vault.reconciliation(&root()).await.unwrap();
        assert!(known.looked_at.is_some());
        assert_eq!(known.attachments[0].found, found);
    }
    third.store_resume(&root(), false).await.unwrap();
}

/// What somebody changed may work now.
#[tokio::test]
async fn a_new_value_and_new_settings_are_tried_once_more() {
    let directory = tempfile::tempdir().unwrap();
    let live = directory.path().join("live.db");
    let w = World::open(SqliteOptions::file(&live), 1).await;
    let mut w = attached_in(w, rules()).await;
    backup(&live, &directory.path().join("copy.db"), &mut |_, _| {}).unwrap();
    restored(&mut w, directory.path()).await;
    w.target.account("app_a", "changed since");
    assert_eq!(w.vault.reconcile_run_once().await.unwrap(), 1);
    let write = written("changed since");
    w.vault.secret_write(&root(), write).await.unwrap();
    let other = w.another_vault();
    assert_eq!(other.reconcile_run_once().await.unwrap(), 1);
    let known = w.vault.reconciliation(&root()).await.unwrap();
    assert_eq!(known.attachments[0].found, None);
    assert_eq!(w.vault.reconcile_run_once().await.unwrap(), 0);
    w.clock.advance(HOUR);
    let change = TargetChange {
        description: Some("moved".to_owned()),
        ..TargetChange::default()
    };
    let changed = w.vault.target_change(&root(), "orders-db", change).await;
    changed.unwrap();
    assert_eq!(other.reconcile_run_once().await.unwrap(), 1);
    assert_eq!(w.vault.reconcile_run_once().await.unwrap(), 0);
}

fn written(password: &str) -> SecretWrite {
    let data = serde_json::json!({"username": "app_a", "password": password, "host": "db"});
    SecretWrite {
        data: Plaintext::new(data.to_string().into_bytes()),
        ..write_of(AT, password)
    }
}

#[tokio::test]
async fn a_look_ends_where_an_account_is_locked() {
    let directory = tempfile::tempdir().unwrap();
    let w = refused(directory.path()).await;
    w.target.locks_after(0);
    let before = w.target.logins();
    w.vault.reconcile_run_once().await.unwrap();
    assert_eq!(w.target.logins() - before, 1);
    let known = w.vault.reconciliation(&root()).await.unwrap();
    assert_eq!(known.attachments[0].found, Some(Finding::Locked));
}

/// A target that is down is tried again, an hour later.
#[tokio::test]
async fn what_was_not_reached_is_tried_again_later() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = backed_up(directory.path()).await;
    restored(&mut w, directory.path()).await;
    w.target.unreachable(true);
    assert_eq!(w.vault.reconcile_run_once().await.unwrap(), 1);
    let known = w.vault.reconciliation(&root()).await.unwrap();
    assert_eq!(known.attachments[0].found, Some(Finding::Unreachable));
    w.target.unreachable(false);
    w.clock.advance(HOUR / 2);
    assert_eq!(w.vault.reconcile_run_once().await.unwrap(), 0);
    w.clock.advance(HOUR / 2);
    assert_eq!(w.another_vault().reconcile_run_once().await.unwrap(), 1);
    let known = w.vault.reconciliation(&root()).await.unwrap();
    assert_eq!(known.attachments[0].found, None);
}

/// A server that stops waits for the credential in hand; the next one goes on behind it.
#[tokio::test]
async fn a_look_stops_between_two_credentials_and_goes_on_later() {
    let directory = tempfile::tempdir().unwrap();
    let live = directory.path().join("live.db");
    let w = World::open(SqliteOptions::file(&live), 1).await;
    let mut w = attached_in(w, rules()).await;
    let first = w.assignment(AT).await.unwrap();
    w.vault
        .secret_write(
            &root(),
            SecretWrite {
                path: path("db/second"),
                ..written("first")
            },
        )
        .await
        .unwrap();
    w.assign(&first.policy_id, "db/second").await;
    let second = w.assignment("db/second").await.unwrap();
    let unit = Unit::new(UnitName::AssignmentWrite).put(Record::Assignment(Assignment {
        attached: first.attached.clone(),
        revision: second.revision + 1,
        ..second
    }));
    w.store.commit(unit).await.unwrap();
    backup(&live, &directory.path().join("copy.db"), &mut |_, _| {}).unwrap();
    restored(&mut w, directory.path()).await;
    let before = w.target.logins();
    let stopped = w.vault.reconcile_run_until(&|| true).await;
    assert_eq!(stopped.unwrap(), 0);
    let asked = AtomicUsize::new(0);
    let after_one = || asked.fetch_add(1, Ordering::Relaxed) > 0;
    let stopped = w.vault.reconcile_run_until(&after_one).await;
    assert_eq!((stopped.unwrap(), w.target.logins() - before), (1, 1));
    let known = w.vault.reconciliation(&root()).await.unwrap();
    assert_eq!((known.looked_at, known.attachments.len()), (None, 1));
    let early = w.vault.store_resume(&root(), false).await;
    assert_eq!(early.unwrap_err(), VaultError::NotLooked);
    let other = w.another_vault();
    assert_eq!(other.reconcile_run_once().await.unwrap(), 1);
    assert_eq!(w.target.logins() - before, 2);
    let known = w.vault.reconciliation(&root()).await.unwrap();
    assert_eq!(
        (known.looked_at, known.attachments.len()),
        (Some(w.now()), 2)
    );
}

/// What would be decided on is of the past, and would take effect once the store is resumed.
#[tokio::test]
async fn what_a_person_may_do_holds_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut w = backed_up(directory.path()).await;
    w.target.account("scaivault_rehearsal_lost_a", "x");
    let debt = w.vault.target_sweep(&root(), "orders-db").await.unwrap();
    let campaign = CampaignDraft {
        selector: Selector::Paths(vec![path(AT)]),
        mode: Mode::Continuity,
        modes: BTreeMap::new(),
        exclude: BTreeSet::new(),
        note: None,
        webhook_ids: Vec::new(),
        dry_run: false,
    };
    let campaign = w.vault.campaign_create(&root(), campaign).await.unwrap().id;
    let pause = CampaignAct::Pause;
    w.vault
        .campaign_act(&root(), &campaign, pause)
        .await
        .unwrap();
    let (live, copy) = (
        directory.path().join("live.db"),
        directory.path().join("2.db"),
    );
    backup(&live, &copy, &mut |_, _| {}).unwrap();
    std::fs::rename(&copy, directory.path().join("copy.db")).unwrap();
    let sum = |name: &str| directory.path().join(format!("{name}.sha256"));
    let line = std::fs::read_to_string(sum("2.db")).unwrap();
    std::fs::write(sum("copy.db"), line.replace("2.db", "copy.db")).unwrap();
    restored(&mut w, directory.path()).await;
    let before = w.rotations(AT).await;
    let id = before[0].id.clone();
    for act in [Act::RollBack, Act::Abandon, Act::AbandonByForce] {
        if !act.is_legal(&before[0]) {
            continue;
        }
        let done = w.vault.rotation_act(&root(), &id, act).await;
        assert_eq!(done.unwrap_err(), VaultError::Restored, "{act:?}");
    }
    assert!(Act::RollBack.is_legal(&before[0]) && Act::AbandonByForce.is_legal(&before[0]));
    let gone_on = CampaignAct::Resume;
    let done = w.vault.campaign_act(&root(), &campaign, gone_on).await;
    assert_eq!(done.unwrap_err(), VaultError::Restored);
    let retried = w.vault.debt_retry(&root(), &debt[0].id).await;
    assert_eq!(retried.unwrap_err(), VaultError::Restored);
    assert_eq!(w.rotations(AT).await, before);
    // Who may not see it learns nothing of that.
    let nobody = w
        .vault
        .rotation_act(&caller("user:x"), &id, Act::RollBack)
        .await;
    assert!(matches!(nobody, Err(VaultError::Denied(_))), "{nobody:?}");
    // What begins nothing is let through.
    let end = CampaignAct::End;
    w.vault.campaign_act(&root(), &campaign, end).await.unwrap();
    let why = "the server was scrapped";
    w.vault
        .debt_write_off(&root(), &debt[0].id, why)
        .await
        .unwrap();
    w.vault.store_resume(&root(), true).await.unwrap();
    let done = w.vault.rotation_act(&root(), &id, Act::RollBack).await;
    done.unwrap();
}

/// A rotation that has told the target nothing may be ended before the store is resumed.
#[tokio::test]
async fn what_leaves_nothing_at_a_target_may_be_abandoned() {
    let directory = tempfile::tempdir().unwrap();
    let live = directory.path().join("live.db");
    let w = World::open(SqliteOptions::file(&live), 1).await;
    let mut w = attached_in(w, rules()).await;
    let rotation = w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    backup(&live, &directory.path().join("copy.db"), &mut |_, _| {}).unwrap();
    restored(&mut w, directory.path()).await;
    let ended = w
        .vault
        .rotation_act(&root(), &rotation.id, Act::Abandon)
        .await;
    assert!(ended.unwrap().phase.is_final());
}
