//! Many callers at once.

use scaivault_core::audit::AuditFilter;
use scaivault_core::ports::{CommitError, Record, Unit, UnitName};

use super::samples::{audit, event, path, policy, secret, tenant};
use super::{Subject, put};

/// Every task reads, adds one and writes, again on conflict: no addition is lost, none counts
/// twice, and events and audit rows agree.
pub async fn concurrent_increments_are_all_counted(store: Subject) {
    const TASKS: u64 = 16;
    const TURNS: u64 = 10;
    let a = tenant("a");
    put(&store, [Record::Secret(secret(&a, "app/sum"))]).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (store, a) = (store.clone(), a.clone());
            tokio::spawn(async move {
                let (mut turn, mut tries) = (0, 0u64);
                while turn < TURNS {
                    tries += 1;
                    let found = store.secret_find(&a, &path("app/sum")).await.unwrap();
                    let mut head = found.unwrap();
                    head.latest_version += 1;
                    head.revision += 1;
                    let unit = Unit::new(UnitName::SecretWrite)
                        .emit(event(&a, &format!("{task}-{tries}"), Some("app/sum")))
                        .put(Record::Secret(head))
                        .audited(audit(&a, 0, "user:x", Some("app/sum")));
                    match store.commit(unit).await {
                        Ok(_) => turn += 1,
                        Err(CommitError::Conflict(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let head = store
        .secret_find(&a, &path("app/sum"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(head.latest_version, 1 + TASKS * TURNS);
    assert_eq!(head.revision, 1 + TASKS * TURNS);
    let (_, events) = store.fan_out_pending(1_000).await.unwrap();
    let sequences: Vec<u64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=TASKS * TURNS).collect::<Vec<_>>());
    let summary = store.audit_summary(&AuditFilter::default()).await.unwrap();
    assert_eq!(summary.total, TASKS * TURNS);
}

pub async fn concurrent_creates_have_one_winner(store: Subject) {
    let a = tenant("a");
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let mut row = policy(&a, &format!("{n}"));
            row.name = "the name".into();
            let unit = Unit::new(UnitName::PolicyWrite).put(Record::Policy(row));
            let store = store.clone();
            tokio::spawn(async move { store.commit(unit).await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, CommitError::Duplicate(_, "name"))),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(
        store.policy_list(&a, true, None, 99).await.unwrap().len(),
        1
    );
}

pub async fn the_chain_survives_concurrency(store: Subject) {
    let a = tenant("a");
    let tasks: Vec<_> = (0..50)
        .map(|task| {
            let (store, a) = (store.clone(), a.clone());
            tokio::spawn(async move {
                for n in 0..20 {
                    let row = audit(&a, n, &format!("sa:t{task}"), Some("app/db"));
                    store.commit(Unit::audit_only(row)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let report = store.audit_verify().await.unwrap();
    assert_eq!((report.rows, report.first_bad), (1_000, None));
    // Each caller's rows are in the order it made them.
    for task in 0..50 {
        let filter = AuditFilter {
            identity_id: Some(format!("sa:t{task}")),
            ..AuditFilter::default()
        };
        let page = store.audit_query(&filter, None, 99).await.unwrap();
        let times: Vec<_> = page
            .rows
            .iter()
            .map(|stored| stored.row.timestamp)
            .collect();
        assert_eq!(times.len(), 20);
        assert!(times.is_sorted_by(|newer, older| newer > older));
    }
}
