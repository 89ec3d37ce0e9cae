//! Soft deletion, return, purge; and deletion for good.

use scaivault_core::audit::Action;
use scaivault_core::event::EventType;
use scaivault_core::ports::ConsumerReads;
use scaivault_core::rotation::{Phase, Reason};
use scaivault_engine::{SecretWrite, VaultError, default_tenant};
use serde_json::json;

use crate::world::{DAY, HOUR, RECEIVER, World, ninety_days, path, root, write_of};

const AT: &str = "app/gone";

async fn consumers(w: &World) -> usize {
    let (tenant, at) = (default_tenant(), path(AT));
    ConsumerReads::consumer_list(&*w.sqlite, &tenant, &at)
        .await
        .unwrap()
        .len()
}

#[tokio::test]
async fn softly_deleted_it_comes_back_whole() {
    let w = World::new().await;
    w.hear_all().await;
    w.put(AT, "1").await;
    w.put(AT, "2").await;
    let until = w.now().plus(DAY * 30);
    let deleted = w
        .vault
        .secret_delete(&root(), &path(AT), false)
        .await
        .unwrap();
    assert_eq!(deleted.recoverable_until, Some(until));
    for read in [
        w.read(&root(), AT, None).await.map(|_| ()),
        w.read(&root(), AT, Some(1)).await.map(|_| ()),
        w.vault.secret_details(&root(), &path(AT)).await.map(|_| ()),
        w.vault
            .secret_versions(&root(), &path(AT))
            .await
            .map(|_| ()),
        w.vault
            .secret_delete(&root(), &path(AT), false)
            .await
            .map(|_| ()),
        w.vault.secret_rotate(&root(), &path(AT)).await.map(|_| ()),
    ] {
        assert_eq!(read.unwrap_err().code(), "secret_not_found");
    }
    let taken = w.put_as(&root(), AT, "3").await.unwrap_err();
    assert_eq!(taken, VaultError::SecretExists(Some(until)));

    w.clock.set(until.minus(HOUR));
    assert_eq!(w.vault.housekeeping_run_once().await.unwrap(), 0);
    w.vault.secret_undelete(&root(), &path(AT)).await.unwrap();
    assert_eq!(w.read(&root(), AT, None).await.unwrap(), "2");
    assert_eq!(w.read(&root(), AT, Some(1)).await.unwrap(), "1");
    assert_eq!(w.put(AT, "3").await.head.current_version, 3);
    let again = w
        .vault
        .secret_undelete(&root(), &path(AT))
        .await
        .unwrap_err();
    assert_eq!(again.code(), "secret_not_found");
    w.work().await;
    let told = w.told_of(RECEIVER, EventType::SecretDeleted);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["permanent"], &told[0]["version_count"]),
        (&false.into(), &2.into())
    );
}

#[tokio::test]
async fn after_its_retention_it_is_purged() {
    let w = World::new().await;
    w.hear_all().await;
    w.put(AT, "1").await;
    w.read(&root(), AT, None).await.unwrap();
    let deleted = w
        .vault
        .secret_delete(&root(), &path(AT), false)
        .await
        .unwrap();
    w.clock.set(deleted.recoverable_until.unwrap());
    let late = w
        .vault
        .secret_undelete(&root(), &path(AT))
        .await
        .unwrap_err();
    assert_eq!(late.code(), "secret_not_found");
    w.work().await;
    assert_eq!(w.vault.housekeeping_run_once().await.unwrap(), 1);
    assert_eq!(w.vault.housekeeping_run_once().await.unwrap(), 0);
    assert!(w.head(AT).await.is_none());
    assert!(w.versions(AT).await.is_empty());
    assert_eq!(consumers(&w).await, 0);
    assert_eq!(w.stored(AT, 1).await, None, "no value is left");
    // It is told and noted as what it is: nobody's act but that of the retention.
    w.work().await;
    let told = w.told_of(RECEIVER, EventType::SecretDeleted);
    assert_eq!(told.len(), 2);
    assert_eq!(
        told[1],
        json!({ "permanent": true, "version_count": 1, "deleted_by": "system:retention" })
    );
    let rows = w.audit().await;
    let purge = rows
        .iter()
        .rfind(|row| row.action == Action::Delete)
        .unwrap();
    assert!(purge.success && purge.extra_data.permanent == Some(true));
    assert_eq!(purge.identity_id, "system:retention");
    // The path is free, and its sequence of events goes on.
    assert_eq!(w.put(AT, "new").await.head.current_version, 1);
    w.work().await;
    let sequence: Vec<_> = w
        .envelopes(RECEIVER)
        .iter()
        .map(|body| body["sequence"].clone())
        .collect();
    assert_eq!(sequence, [1, 2, 3, 4, 5]);
    w.assert_chain_verifies().await;
}

#[tokio::test]
async fn deleted_for_good_nothing_is_left() {
    let w = World::new().await;
    w.put(AT, "1").await;
    w.put(AT, "2").await;
    w.read(&root(), AT, None).await.unwrap();
    assert_eq!(consumers(&w).await, 1);
    let deleted = w
        .vault
        .secret_delete(&root(), &path(AT), true)
        .await
        .unwrap();
    assert_eq!(deleted.recoverable_until, None);
    assert!(w.head(AT).await.is_none());
    assert!(w.versions(AT).await.is_empty());
    assert_eq!(consumers(&w).await, 0);
    let again = w
        .vault
        .secret_delete(&root(), &path(AT), true)
        .await
        .unwrap_err();
    assert_eq!(again.code(), "secret_not_found");
    // A new secret at the path has a ledger of its own from the first read.
    let must_not_exist = SecretWrite {
        cas: Some(0),
        ..write_of(AT, "anew")
    };
    w.vault.secret_write(&root(), must_not_exist).await.unwrap();
    w.read(&root(), AT, None).await.unwrap();
    assert_eq!(consumers(&w).await, 1);
    // Softly deleted ones can be deleted for good, too.
    w.vault
        .secret_delete(&root(), &path(AT), false)
        .await
        .unwrap();
    w.vault
        .secret_delete(&root(), &path(AT), true)
        .await
        .unwrap();
    assert!(w.head(AT).await.is_none());
}

#[tokio::test]
async fn deletion_ends_the_rotation_that_waits() {
    for permanent in [false, true] {
        let w = World::new().await;
        w.rotated_secret(AT, ninety_days("p")).await;
        let open = w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
        w.vault
            .secret_delete(&root(), &path(AT), permanent)
            .await
            .unwrap();
        let ended = w.rotation(&open.id).await;
        assert_eq!(
            (ended.phase, ended.reason),
            (Phase::RolledBack, Some(Reason::SecretDeleted))
        );
        assert!(w.assignment(AT).await.is_none());
        w.live(DAY * 100).await;
        assert_eq!(w.rotation(&open.id).await, ended);
    }
}
