//! How many versions a secret keeps, and which of them never age out.

use scaivault_core::ports::UnitName;
use scaivault_core::rotation::Phase;
use scaivault_core::secret::VersionState;
use scaivault_engine::{MetadataChange, SecretWrite, VaultError};
use scaivault_testkit::{Fault, When};

use crate::world::{DAY, HOUR, World, ninety_days, path, root, write_of};

const AT: &str = "app/aged";

async fn put_keeping(w: &World, value: &str, max_versions: u32) {
    let write = SecretWrite {
        max_versions: Some(max_versions),
        ..write_of(AT, value)
    };
    w.vault.secret_write(&root(), write).await.unwrap();
}

async fn numbers(w: &World) -> Vec<u64> {
    w.versions(AT).await.iter().map(|row| row.version).collect()
}

#[tokio::test]
async fn the_oldest_go_and_are_not_found_again() {
    let w = World::new().await;
    put_keeping(&w, "1", 3).await;
    for n in 2..=5 {
        w.put(AT, &n.to_string()).await;
    }
    assert_eq!(numbers(&w).await, [5, 4, 3]);
    let aged = w.read(&root(), AT, Some(2)).await.unwrap_err();
    assert_eq!(aged.code(), "version_not_found");
    assert_eq!(w.read(&root(), AT, Some(3)).await.unwrap(), "3");
    // Fewer at once when told so; never more than there are.
    let change = MetadataChange {
        max_versions: Some(1),
        ..MetadataChange::default()
    };
    w.vault
        .secret_metadata_change(&root(), &path(AT), &change)
        .await
        .unwrap();
    assert_eq!(numbers(&w).await, [5]);
    assert_eq!(w.read(&root(), AT, None).await.unwrap(), "5");
    w.put(AT, "6").await;
    assert_eq!(numbers(&w).await, [6], "numbers are never used again");
}

#[tokio::test]
async fn ten_are_kept_when_nobody_says() {
    let w = World::new().await;
    for n in 1..=13 {
        w.put(AT, &n.to_string()).await;
    }
    assert_eq!(numbers(&w).await, (4..=13).rev().collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_version_in_its_grace_period_stays_whatever_the_limit() {
    let w = World::new().await;
    put_keeping(&w, "1", 1).await;
    let policy = w.policy(ninety_days("p")).await;
    w.assign(&policy.id, AT).await;
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    assert!(w.put(AT, "2").await.answered.is_some());
    for n in 3..=6 {
        w.put(AT, &n.to_string()).await;
    }
    assert_eq!(numbers(&w).await, [6, 1]);
    assert_eq!(w.read(&root(), AT, Some(1)).await.unwrap(), "1");
    let change = MetadataChange {
        max_versions: Some(1),
        ..MetadataChange::default()
    };
    w.vault
        .secret_metadata_change(&root(), &path(AT), &change)
        .await
        .unwrap();
    assert_eq!(w.read(&root(), AT, Some(1)).await.unwrap(), "1");
    // Closed, it says so until the next write takes it away.
    w.live(HOUR * 48).await;
    let closed = w.read(&root(), AT, Some(1)).await;
    assert_eq!(closed.unwrap_err(), VaultError::SecretExpired);
    w.put(AT, "7").await;
    assert_eq!(numbers(&w).await, [7]);
    let aged = w.read(&root(), AT, Some(1)).await.unwrap_err();
    assert_eq!(aged.code(), "version_not_found");
}

#[tokio::test]
async fn a_candidate_stays_and_is_seen_by_nobody() {
    let w = World::new().await;
    put_keeping(&w, "1", 1).await;
    let mut draft = ninety_days("auto");
    draft.auto_generate = true;
    let policy = w.policy(draft).await;
    w.assign(&policy.id, AT).await;
    w.store
        .arm(UnitName::RotationPromote, When::Every, Fault::Unit);
    let rotation = w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    assert_eq!(
        (rotation.phase, rotation.to_version),
        (Phase::Verifying, Some(2))
    );
    assert_eq!(numbers(&w).await, [2, 1]);
    let unseen = w.read(&root(), AT, Some(2)).await.unwrap_err();
    assert_eq!(unseen.code(), "version_not_found");
    let listed = w.vault.secret_versions(&root(), &path(AT)).await.unwrap();
    assert_eq!(listed.len(), 1);
    // Asked for again, it is the same candidate that goes on.
    let again = w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    assert_eq!((&again.id, again.to_version), (&rotation.id, Some(2)));
    // A write by hand does not take it away either.
    w.put(AT, "by hand").await;
    let rows = w.versions(AT).await;
    let states: Vec<_> = rows.iter().map(|row| (row.version, row.state)).collect();
    assert_eq!(
        states,
        [(3, VersionState::Current), (2, VersionState::Pending)]
    );
    w.store.disarm();
    w.live(DAY).await;
    assert_eq!(
        w.head(AT).await.unwrap().current_version,
        4,
        "made anew from what is current"
    );
    assert_eq!(w.rotation(&rotation.id).await.from_version, 3);
}
