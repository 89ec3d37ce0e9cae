//! Credentials that stop working outside a rotation, and alerts about rotations that take long or
//! were forced.

use std::time::Duration;

use scaivault_core::event::EventType;
use scaivault_core::ports::UnitName;
use scaivault_core::rotation::{Finding, OnDeadline, Phase, Rules};
use scaivault_core::target::TroubleKind;
use scaivault_testkit::{Fault, Luck, When};
use serde_json::{Value, json};

use crate::targets::{AT, attached, follow, rotate, rules};
use crate::world::{HOUR, RECEIVER, World, caller, path, root};

async fn heard() -> World {
    let w = attached(rules()).await;
    w.hear_all().await;
    w.work().await;
    w
}

fn findings(w: &World) -> Vec<Value> {
    let told = w.told_of(RECEIVER, EventType::RotationDrift).into_iter();
    told.map(|data| data["found"].clone()).collect()
}

async fn known(w: &World) -> Option<Finding> {
    let drift = w.assignment(AT).await.unwrap().probe.drift;
    drift.map(|drift| drift.found)
}

#[tokio::test]
async fn a_credential_changed_outside_is_told_once_and_told_again_when_it_works() {
    let w = heard().await;
    w.live(HOUR * 3).await;
    assert_eq!(findings(&w), [] as [Value; 0], "it works");
    w.target.account("app_a", "changed");
    w.live(HOUR * 6).await;
    assert_eq!(findings(&w), ["changed_outside"]);
    assert_eq!(known(&w).await, Some(Finding::ChangedOutside));
    let told = &w.told_of(RECEIVER, EventType::RotationDrift)[0];
    assert_eq!(told["target"], "orders-db");
    assert_eq!(told["current_version"], 1);
    w.target.account("app_a", "first");
    w.live(HOUR * 2).await;
    assert_eq!(findings(&w), ["changed_outside", "works"]);
    assert_eq!(known(&w).await, None);
    w.assert_chain_verifies().await;
}

#[tokio::test]
async fn what_one_login_finds_is_confirmed_before_it_is_told() {
    let w = heard().await;
    w.target.account("app_a", "changed");
    w.jump(HOUR).await;
    let suspicion = w.assignment(AT).await.unwrap().probe.suspicion.unwrap();
    assert_eq!(suspicion.found, Finding::ChangedOutside);
    w.target.account("app_a", "first");
    w.live(HOUR * 3).await;
    assert_eq!(findings(&w), [] as [Value; 0]);
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_is_another_finding() {
    let w = heard().await;
    w.target.unreachable(true);
    w.live(HOUR * 3).await;
    w.target.unreachable(false);
    w.target.account("app_a", "changed");
    w.live(HOUR * 3).await;
    assert_eq!(findings(&w), ["unreachable", "changed_outside"]);
}

#[tokio::test]
async fn a_rotation_that_opens_meanwhile_ends_the_look() {
    let w = heard().await;
    w.target.account("app_a", "changed");
    w.jump(HOUR).await;
    w.clock.advance(HOUR);
    let looks = w.vault.probes_claim(&[], 9).await.unwrap();
    assert_eq!(looks.len(), 1);
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    for look in looks {
        w.vault.probe_work(look).await.unwrap();
    }
    assert_eq!(known(&w).await, None);
    w.clock.advance(HOUR);
    let looks = w.vault.probes_claim(&[], 9).await.unwrap();
    assert!(looks.is_empty(), "none while a rotation is open");
}

#[tokio::test]
async fn a_rotation_cures_what_was_found() {
    let w = heard().await;
    w.target.account("app_a", "changed");
    w.live(HOUR * 2).await;
    assert_eq!(known(&w).await, Some(Finding::ChangedOutside));
    rotate(&w).await;
    assert_eq!(known(&w).await, None);
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.target.sessions_of("app_a", 0);
    w.live(HOUR).await;
    assert_eq!(w.rotations(AT).await[0].phase, Phase::Completed);
    w.live(HOUR * 3).await;
    assert_eq!(findings(&w), ["changed_outside"]);
}

#[tokio::test]
async fn a_look_may_be_lost_and_what_was_found_is_told_once() {
    for nth in 1..=2 {
        for fault in [Fault::Unit, Fault::Answer] {
            let mut w = heard().await;
            w.target.account("app_a", "changed");
            w.store.arm(UnitName::ScheduleProbe, When::Nth(nth), fault);
            for _ in 0..200 {
                let _ = crate::world::work_slice(&w.vault).await;
                w.clock.advance(Duration::from_secs(60));
            }
            w.restart();
            w.work().await;
            assert_eq!(findings(&w), ["changed_outside"], "{nth} {fault:?}");
        }
    }
}

#[tokio::test]
async fn consumers_that_take_longer_than_the_bound_are_named_once() {
    let w = heard().await;
    rotate(&w).await;
    w.live(HOUR * 2).await;
    let told = w.told_of(RECEIVER, EventType::RotationDelayed);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["behind"], json!(["sa:app"]));
    assert_eq!(told[0]["behind_count"], 1);
    assert_eq!(told[0]["bound"], "30m");
    assert_eq!(told[0]["target"], "orders-db");
}

#[tokio::test]
async fn a_revocation_that_did_not_wait_is_told() {
    let w = attached(Rules {
        on_deadline: OnDeadline::Force,
        ..rules()
    })
    .await;
    w.hear_all().await;
    rotate(&w).await;
    w.read(&caller("sa:app"), AT, None).await.unwrap();
    w.target.sessions_of("app_a", 3);
    for _ in 0..7 {
        w.jump(HOUR).await;
    }
    assert!(w.rotations(AT).await[0].phase.is_final());
    let told = w.told_of(RECEIVER, EventType::RotationForced);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["cause"], "deadline");
    assert_eq!(told[0]["sessions"], 3);
    assert_eq!(told[0]["revoked_version"], 1);
}

#[tokio::test]
async fn one_that_waited_is_not() {
    let mut w = heard().await;
    rotate(&w).await;
    assert_eq!(follow(&mut w).await, Phase::Completed);
    w.work().await;
    assert!(w.told_of(RECEIVER, EventType::RotationForced).is_empty());
    assert!(w.told_of(RECEIVER, EventType::RotationDelayed).is_empty());
}

#[tokio::test]
async fn a_parked_rotation_tells_what_to_do() {
    let w = heard().await;
    w.target.next([Luck::Refused(TroubleKind::Privilege)]);
    rotate(&w).await;
    let told = w.told_of(RECEIVER, EventType::RotationFailed);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["error"], "target_trouble");
    assert_eq!(told[0]["trouble"], "privilege");
    assert_eq!(told[0]["target"], "orders-db");
    let advice = told[0]["trouble_advice"].as_str().unwrap();
    assert!(advice.contains("target check"), "{advice}");
}
