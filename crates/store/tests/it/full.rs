//! A database that may not grow further.

use scaivault_core::ports::{
    AuditReads, CommitError, Op, Record, SecretReads, Store, Unit, UnitName,
};
use scaivault_store::SqliteOptions;
use scaivault_testkit::store_conformance::samples::{audit, path, sealed, secret, tenant};

use crate::support::{at, open};

fn big(n: u32) -> Unit {
    let name = format!("app/s{n}");
    let mut version = sealed(&tenant("a"), &name, 1);
    version.sealed.0 = vec![7; 60_000];
    Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(secret(&tenant("a"), &name)))
        .op(Op::VersionInsert(version))
        .audited(audit(&tenant("a"), i64::from(n), "user:x", Some(&name)))
}

#[tokio::test]
async fn a_full_store_refuses_reads_on_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let limited = || SqliteOptions {
        max_bytes: Some(2_000_000),
        ..SqliteOptions::file(&file)
    };
    let store = open(limited()).await;
    let mut written = 0;
    let refused = loop {
        match store.commit(big(written)).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!((20..33).contains(&written), "{written}");
    assert!(
        matches!(&refused, CommitError::Unavailable(text) if text.contains("full")),
        "{refused}"
    );
    // Not a trace of the refused unit, and what was there is read as before.
    let a = tenant("a");
    assert_eq!(
        store
            .secret_find(&a, &path(&format!("app/s{written}")))
            .await
            .unwrap(),
        None
    );
    assert!(
        store
            .secret_open(&a, &path("app/s0"), None)
            .await
            .unwrap()
            .is_some()
    );
    let report = store.audit_verify().await.unwrap();
    assert_eq!((report.rows, report.first_bad), (u64::from(written), None));

    // Deleting makes room, without a hand.
    store
        .commit(Unit::new(UnitName::SecretPurge).op(Op::SecretErase(secret(&a, "app/s0"))))
        .await
        .unwrap();
    store.commit(big(100)).await.unwrap();
    assert!(store.commit(big(101)).await.is_err());
    assert_eq!(
        store.health().await.trouble,
        None,
        "small writes still go through"
    );
    drop(store);

    // So does a higher limit.
    let store = at(&file).await;
    store.commit(big(101)).await.unwrap();
    let report = store.audit_verify().await.unwrap();
    assert_eq!(
        (report.rows, report.first_bad),
        (u64::from(written) + 2, None)
    );
}

#[tokio::test]
async fn neighbours_of_a_unit_that_does_not_fit_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let options = SqliteOptions {
        max_bytes: Some(2_000_000),
        ..SqliteOptions::file(&file)
    };
    let store = std::sync::Arc::new(open(options).await);
    let tasks: Vec<_> = (0..60)
        .map(|n| {
            let unit = if n == 30 {
                let mut unit = big(n);
                for k in 0..40 {
                    unit.ops.extend(big(1_000 + k).ops);
                }
                unit
            } else {
                let name = format!("app/s{n}");
                Unit::new(UnitName::SecretWrite).put(Record::Secret(secret(&tenant("a"), &name)))
            };
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move { (n, store.commit(unit).await) })
        })
        .collect();
    for task in tasks {
        let (n, answer) = task.await.unwrap();
        assert_eq!(answer.is_ok(), n != 30, "{n}: {answer:?}");
    }
}
