//! The writer when the disk fails, hangs or is full: what callers are told, and that the store is
//! what they were told.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use scaivault_core::audit::AuditFilter;
use scaivault_core::ports::{
    AuditReads, Claims, CommitError, Committed, ConsumerReads, EventReads, ReadError, Record,
    SecretReads, Store, Unit, UnitName,
};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::samples::{T0, audit, event, path, read, secret, tenant};

use super::fault::Fault;
use crate::{ChainMac, SqliteOptions, SqliteStore};

struct Mac;

impl ChainMac for Mac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        let sum = message
            .iter()
            .fold(7u8, |sum, byte| sum.wrapping_mul(31) ^ byte);
        [sum; 32]
    }
}

async fn open(options: SqliteOptions) -> SqliteStore {
    let store = SqliteStore::open(options, &SeededEntropy::new(1)).unwrap();
    store.start_audit(Arc::new(Mac)).await.unwrap();
    store
}

/// A secret, an event, an audit row and a ledger line, all named after `n`.
fn unit(n: u32) -> Unit {
    let (a, name) = (tenant("a"), format!("app/s{n}"));
    let mut unit = Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(secret(&a, &name)))
        .emit(event(&a, &n.to_string(), Some("app/all")))
        .audited(audit(&a, i64::from(n), "user:x", Some(&name)));
    unit.reads.push(read(&a, &name, 1, "user:x", 0));
    unit
}

/// Exactly these units are there, each with all it brought.
async fn holds(store: &SqliteStore, expect: &[u32]) {
    let a = tenant("a");
    for n in 0..20u32 {
        let name = path(&format!("app/s{n}"));
        let there = store.secret_find(&a, &name).await.unwrap().is_some();
        assert_eq!(there, expect.contains(&n), "{n}");
        assert_eq!(
            store.consumer_list(&a, &name).await.unwrap().len(),
            usize::from(there)
        );
    }
    let (_, events) = store.fan_out_pending(99).await.unwrap();
    let sequences: Vec<u64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=expect.len() as u64).collect::<Vec<_>>());
    let page = store
        .audit_query(&AuditFilter::default(), None, 99)
        .await
        .unwrap();
    assert_eq!(page.rows.len(), expect.len());
    let report = store.audit_verify().await.unwrap();
    assert_eq!((report.rows, report.first_bad), (expect.len() as u64, None));
}

fn unavailable(answer: &Result<Committed, CommitError>) -> bool {
    matches!(answer, Err(CommitError::Unavailable(_)))
}

#[tokio::test]
async fn a_commit_that_failed_without_effect_is_told_so() {
    let store = open(SqliteOptions::temporary()).await;
    store.commit(unit(1)).await.unwrap();
    store.shared.faults.arm([Fault::Lost]);
    let answer = store.commit(unit(2)).await;
    assert!(unavailable(&answer), "{answer:?}");
    assert!(store.last_trouble().is_some());
    holds(&store, &[1]).await;
    // It goes on by itself, and nothing of the failed unit is in the way of the same one.
    store.commit(unit(2)).await.unwrap();
    assert_eq!(store.last_trouble(), None);
    assert_eq!(store.health().await.trouble, None);
    holds(&store, &[1, 2]).await;
    assert_eq!(store.stats().commits_failed, 1);
}

#[tokio::test]
async fn a_commit_that_took_effect_unseen_is_found_and_answered() {
    let store = open(SqliteOptions::temporary()).await;
    store.shared.faults.arm([Fault::Hidden, Fault::None]);
    assert_eq!(store.commit(unit(1)).await, Ok(Committed { events: 1 }));
    assert_eq!(
        store.shared.faults.left(),
        0,
        "a further write made sure of it"
    );
    store.commit(unit(2)).await.unwrap();
    holds(&store, &[1, 2]).await;
}

#[tokio::test]
async fn while_nobody_can_know_the_answer_is_unknown() {
    for (fault, applied) in [(Fault::Lost, false), (Fault::Hidden, true)] {
        let store = open(SqliteOptions::temporary()).await;
        // The commit, the write that would make sure, and that of the next unit.
        store.shared.faults.arm([fault, Fault::Lost, Fault::Full]);
        assert_eq!(store.commit(unit(1)).await, Err(CommitError::Unknown));
        // The next unit is not even begun: it is surely not applied.
        let answer = store.commit(unit(2)).await;
        assert!(unavailable(&answer), "{answer:?}");
        assert_eq!(store.shared.faults.left(), 0);
        store.commit(unit(3)).await.unwrap();
        holds(&store, if applied { &[1, 3] } else { &[3] }).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_serves_again_when_there_is_space() {
    let store = open(SqliteOptions::temporary()).await;
    store.commit(unit(1)).await.unwrap();
    store
        .shared
        .faults
        .arm([Fault::Full, Fault::Full, Fault::Full]);
    assert!(unavailable(&store.commit(unit(2)).await));
    assert!(unavailable(&store.commit(unit(2)).await));
    let health = store.health().await;
    assert!(health.trouble.is_some_and(|text| text.contains("full")));
    holds(&store, &[1]).await;
    store.commit(unit(2)).await.unwrap();
    holds(&store, &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_in_a_failed_batch_is_told() {
    let store = Arc::new(open(SqliteOptions::temporary()).await);
    let (hangs, go_on) = hang(&store, [Fault::Lost]);
    let first = spawn(&store, unit(0));
    hangs.recv().unwrap();
    // All of these wait for the same transaction, which fails.
    let others: Vec<_> = (1..10).map(|n| spawn(&store, unit(n))).collect();
    queued(&store, 9).await;
    go_on.send(()).unwrap();
    first.await.unwrap().unwrap();
    for other in others {
        let answer = other.await.unwrap();
        assert!(unavailable(&answer), "{answer:?}");
    }
    holds(&store, &[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_disk_is_waited_for_only_so_long() {
    let mut options = SqliteOptions::temporary();
    (options.commit_timeout, options.queue_max) = (Duration::from_millis(60), 2);
    let store = Arc::new(open(options).await);
    let (hangs, go_on) = hang(&store, []);
    let taken = spawn(&store, unit(1));
    hangs.recv().unwrap();
    let waiting = [spawn(&store, unit(2)), spawn(&store, unit(3))];
    queued(&store, 2).await;
    // A full queue refuses at once.
    let refused = store.commit(unit(4)).await;
    assert_eq!(
        refused,
        Err(CommitError::Unavailable(
            "too many writes are waiting".into()
        ))
    );
    // What waits is withdrawn, what was taken may or may not be applied.
    for answer in waiting {
        let answer = answer.await.unwrap();
        assert!(unavailable(&answer), "{answer:?}");
    }
    assert_eq!(taken.await.unwrap(), Err(CommitError::Unknown));
    let health = store.health().await;
    assert!(health.trouble.is_some());
    // Reads are served meanwhile.
    assert_eq!(
        store
            .secret_find(&tenant("a"), &path("app/s1"))
            .await
            .unwrap(),
        None
    );
    go_on.send(()).unwrap();
    let after = Unit::new(UnitName::SecretWrite);
    while store.commit(after.clone()).await.is_err() {}
    holds(&store, &[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_store_writes_what_waits() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    let store = Arc::new(open(SqliteOptions::file(&file)).await);
    let (hangs, go_on) = hang(&store, []);
    let answers = Arc::new(parking_lot::Mutex::new(Vec::new()));
    // Jobs queued without a task that would hold the store: their answers are awaited after.
    let first = spawn(&store, unit(1));
    hangs.recv().unwrap();
    let shared = Arc::clone(&store.shared);
    let waiting: Vec<_> = (2..6)
        .map(|n| {
            let (shared, answers) = (Arc::clone(&shared), Arc::clone(&answers));
            let work = super::Work::Unit(
                crate::prepared::Prepared::new(unit(n), &store.shared.rows).unwrap(),
            );
            tokio::spawn(async move {
                let answer = shared.submit(work).await;
                answers.lock().push(answer);
            })
        })
        .collect();
    queued(&store, 4).await;
    first.abort();
    let _ = first.await;
    let store = Arc::into_inner(store).expect("nobody else holds it");
    let dropping = std::thread::spawn(move || drop(store));
    go_on.send(()).unwrap();
    for task in waiting {
        task.await.unwrap();
    }
    dropping.join().unwrap();
    assert!(answers.lock().iter().all(Result::is_ok));
    let late = super::Work::Unit(crate::prepared::Prepared::new(unit(9), &shared.rows).unwrap());
    assert!(unavailable(&shared.submit(late).await));
    let store = open(SqliteOptions::file(&file)).await;
    holds(&store, &[1, 2, 3, 4, 5]).await;
}

#[tokio::test]
async fn a_panic_is_survived() {
    let store = open(SqliteOptions::temporary()).await;
    store.commit(unit(1)).await.unwrap();
    store.shared.faults.arm([Fault::Panic]);
    assert_eq!(store.commit(unit(2)).await, Err(CommitError::Unknown));
    store.commit(unit(3)).await.unwrap();
    holds(&store, &[1, 3]).await;
}

/// What a failed transaction left in the writer's memory is taken back.
#[tokio::test]
async fn the_ledger_is_written_again_after_a_failure() {
    let store = open(SqliteOptions::temporary()).await;
    let reads = |secs| {
        let mut unit = Unit::audit_only(audit(&tenant("a"), secs, "user:x", None));
        unit.reads
            .push(read(&tenant("a"), "app/s", 1, "user:x", secs));
        unit
    };
    for fault in [Fault::Lost, Fault::Full] {
        store.shared.faults.arm([fault]);
        assert!(store.commit(reads(0)).await.is_err());
    }
    store.commit(reads(1)).await.unwrap();
    let found = store
        .consumer_list(&tenant("a"), &path("app/s"))
        .await
        .unwrap();
    assert_eq!(found[0].first_read_at.as_secs(), T0.as_secs() + 1);
}

#[tokio::test]
async fn claims_are_handed_out_only_when_durable() {
    let store = open(SqliteOptions::temporary()).await;
    let policy = scaivault_testkit::store_conformance::samples::rotation_policy(&tenant("a"), "1");
    let row = scaivault_testkit::store_conformance::samples::assignment(&policy, "s", Some(T0));
    store
        .commit(Unit::new(UnitName::AssignmentWrite).put(Record::Assignment(row)))
        .await
        .unwrap();
    store.shared.faults.arm([Fault::Lost]);
    let hold = Duration::from_secs(60);
    assert!(store.assignment_claim(T0, hold, 9).await.is_err());
    let claimed = store.assignment_claim(T0, hold, 9).await.unwrap();
    assert_eq!((claimed.len(), claimed[0].revision), (1, 2));
}

#[tokio::test]
async fn nothing_but_keys_is_written_before_the_chain_is_started() {
    let store = SqliteStore::open(SqliteOptions::temporary(), &SeededEntropy::new(1)).unwrap();
    assert!(unavailable(&store.commit(unit(1)).await));
    let mut plain = unit(1);
    plain.audit.clear();
    assert!(unavailable(&store.commit(plain).await));
    let found = store.secret_find(&tenant("a"), &path("app/s1")).await;
    assert!(matches!(found, Err(ReadError::Unavailable(_)) | Ok(None)));
    assert!(store.health().await.trouble.is_some());
    store.start_audit(Arc::new(Mac)).await.unwrap();
    assert_eq!(store.health().await.trouble, None);
    store.commit(unit(2)).await.unwrap();
}

/// Makes the next commit hang; those after it meet the given faults.
fn hang(store: &SqliteStore, then: impl IntoIterator<Item = Fault>) -> (Receiver<()>, Sender<()>) {
    let (hanging, hangs) = channel();
    let (go_on, told) = channel();
    store
        .shared
        .faults
        .arm([Fault::Hang(hanging, told)].into_iter().chain(then));
    (hangs, go_on)
}

fn spawn(
    store: &Arc<SqliteStore>,
    unit: Unit,
) -> tokio::task::JoinHandle<Result<Committed, CommitError>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.commit(unit).await })
}

/// Until so many units wait.
async fn queued(store: &SqliteStore, count: usize) {
    while store.stats().queue_len < count {
        tokio::task::yield_now().await;
    }
}
