//! Two nodes on one database.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use scaivault_core::ids::TargetId;
use scaivault_core::ports::{
    Claims, CommitError, Record, RecordKind, SecretReads, Store, Unit, UnitName,
};
use scaivault_core::time::Timestamp;
use scaivault_store_postgres::PostgresStore;
use scaivault_testkit::store_conformance::samples::{
    T0, assignment, at, at_target, delivery, path, policy, rotation, rotation_policy, secret,
    target, tenant,
};

use crate::database::{Database, RUNTIME};
use crate::proxy::{Plan, Proxy};

const HOLD: Duration = Duration::from_secs(60);

async fn two() -> (Database, [Arc<PostgresStore>; 2]) {
    let database = Database::new();
    let one = Arc::new(database.open("node-1").await);
    let two = Arc::new(database.open("node-2").await);
    (database, [one, two])
}

async fn put(store: &PostgresStore, rows: impl IntoIterator<Item = Record>) {
    let unit = rows
        .into_iter()
        .fold(Unit::new(UnitName::SecretWrite), Unit::put);
    store.commit(unit).await.unwrap();
}

/// Workers of both nodes claim until there is nothing left; what each got, by some name.
async fn race<F, R>(stores: &[Arc<PostgresStore>; 2], claim: F) -> Vec<Vec<String>>
where
    F: Fn(Arc<PostgresStore>) -> R + Clone + Send + 'static,
    R: Future<Output = Vec<String>> + Send,
{
    let workers = (0..8).map(|worker| {
        let (store, claim) = (Arc::clone(&stores[worker % 2]), claim.clone());
        RUNTIME.spawn(async move { claim(store).await })
    });
    let mut got = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        got.push(worker.await.unwrap());
    }
    got
}

fn all_different(got: &[Vec<String>]) -> usize {
    let all: Vec<_> = got.iter().flatten().collect();
    let different: HashSet<_> = all.iter().collect();
    assert_eq!(all.len(), different.len(), "claimed twice: {all:?}");
    all.len()
}

#[test]
fn due_work_goes_to_one_of_them() {
    RUNTIME.block_on(async {
        let (_database, stores) = two().await;
        let policy = rotation_policy(&tenant("a"), "1");
        let rows = (0..200).map(|n| {
            let wake = Some(Timestamp::from_secs(n));
            Record::Assignment(assignment(&policy, &format!("s/{n}"), wake))
        });
        put(&stores[0], rows).await;
        let got = race(&stores, |store| async move {
            let mut got = Vec::new();
            loop {
                let claimed = store.assignment_claim(T0, HOLD, 7).await.unwrap();
                if claimed.is_empty() {
                    return got;
                }
                assert!(claimed.iter().all(|row| row.revision == 2));
                got.extend(claimed.into_iter().map(|row| row.path.to_string()));
            }
        });
        assert_eq!(all_different(&got.await), 200);
    });
}

/// However many ask at once, no receiver is served by two, and none out of order.
#[test]
fn a_receiver_is_served_by_one_of_them() {
    RUNTIME.block_on(async {
        let (_database, stores) = two().await;
        let a = tenant("a");
        let rows = (0..20u64).flat_map(|receiver| {
            let a = a.clone();
            (0..5u64).map(move |n| {
                let (id, to) = (format!("{receiver}-{n}"), format!("wh_{receiver}"));
                Record::Delivery(delivery(&a, &id, &to, n + 1, Some(T0)))
            })
        });
        put(&stores[0], rows).await;
        let got = race(&stores, |store| async move {
            let mut got = Vec::new();
            for _ in 0..4 {
                for row in store.delivery_claim(T0, HOLD, &[], 3).await.unwrap() {
                    assert_eq!(row.event_position, 1, "the oldest comes first");
                    got.push(row.receiver.as_str().to_owned());
                }
            }
            got
        });
        assert_eq!(all_different(&got.await), 20);
    });
}

#[test]
fn a_target_is_served_by_one_of_them() {
    RUNTIME.block_on(async {
        let (_database, stores) = two().await;
        let a = tenant("a");
        let policy = rotation_policy(&a, "1");
        let targets: Vec<_> = (0..10).map(|n| target(&a, &n.to_string())).collect();
        let rows = (0..40usize).map(|n| {
            let row = rotation(&policy, &n.to_string(), &format!("s/{n}"), Some(T0));
            Record::Rotation(at_target(row, &targets[n % 10]))
        });
        put(&stores[0], rows).await;
        let got = race(&stores, |store| async move {
            let mut got = Vec::new();
            for _ in 0..3 {
                let claimed = store.rotation_claim_at_targets(T0, HOLD, &[], 4).await;
                let rows = claimed.unwrap();
                got.extend(
                    rows.iter()
                        .filter_map(|row| row.target_id())
                        .map(TargetId::to_string),
                );
            }
            got
        });
        assert_eq!(all_different(&got.await), 10);
    });
}

/// One node stops in the middle of its claim; what the other gets meanwhile, and after.
async fn second_in_turn<F, R>(rows: Vec<Record>, claim: F) -> [Vec<String>; 2]
where
    F: Fn(Arc<PostgresStore>) -> R,
    R: Future<Output = Vec<String>> + Send + 'static,
{
    let (database, proxy) = (Database::new(), Proxy::start().await);
    let slow = Arc::new(database.open_at("node-1", proxy.port).await);
    let quick = Arc::new(database.open("node-2").await);
    put(&quick, rows).await;
    proxy.plan(Plan::Hold);
    let first = RUNTIME.spawn(claim(slow));
    proxy.met().await;
    database.await_held("claimed_until IS NULL");
    let second = RUNTIME.spawn(claim(quick));
    database.await_waiting();
    proxy.plan(Plan::Pass);
    [first.await.unwrap(), second.await.unwrap()]
}

#[test]
fn a_second_delivery_waits_for_the_first_claim() {
    RUNTIME.block_on(async {
        let row = |id: &str, n| delivery(&tenant("a"), id, "wh_1", n, Some(T0));
        let rows = vec![Record::Delivery(row("1", 1)), Record::Delivery(row("2", 2))];
        let got = second_in_turn(rows, |store| async move {
            let rows = store.delivery_claim(T0, HOLD, &[], 9).await.unwrap();
            rows.iter().map(|row| row.id.to_string()).collect()
        });
        assert_eq!(got.await, [vec!["del_1".to_owned()], vec![]]);
    });
}

#[test]
fn a_second_change_at_a_target_waits_for_the_first_claim() {
    RUNTIME.block_on(async {
        let a = tenant("a");
        let (policy, target) = (rotation_policy(&a, "1"), target(&a, "1"));
        let row = |id: &str, wake| at_target(rotation(&policy, id, "s", Some(wake)), &target);
        let rows = vec![
            Record::Rotation(row("1", at(0))),
            Record::Rotation(row("2", at(1))),
        ];
        let got = second_in_turn(rows, |store| async move {
            let rows = store.rotation_claim_at_targets(at(9), HOLD, &[], 9).await;
            rows.unwrap().iter().map(|row| row.id.to_string()).collect()
        });
        assert_eq!(got.await, [vec!["rtn_1".to_owned()], vec![]]);
    });
}

#[test]
fn a_second_look_at_a_target_waits_for_the_first_claim() {
    RUNTIME.block_on(async {
        let a = tenant("a");
        let (policy, target) = (rotation_policy(&a, "1"), target(&a, "1"));
        let attached = at_target(rotation(&policy, "0", "s", None), &target).at_target;
        let row = |path: &str, secs| {
            let mut made = assignment(&policy, path, None);
            made.attached = attached.clone().map(|at| at.attached);
            made.probe.at = Some(at(secs));
            Record::Assignment(made)
        };
        let got = second_in_turn(vec![row("s/1", 0), row("s/2", 1)], |store| async move {
            let rows = store.probe_claim(at(9), HOLD, &[], 9).await.unwrap();
            rows.iter().map(|row| row.path.to_string()).collect()
        });
        assert_eq!(got.await, [vec!["s/1".to_owned()], vec![]]);
    });
}

/// Work that others write at the moment is passed over, not waited for.
#[test]
fn a_claim_does_not_wait_for_a_slow_writer() {
    RUNTIME.block_on(async {
        let (database, proxy) = (Database::new(), Proxy::start().await);
        let slow = Arc::new(database.open_at("node-1", proxy.port).await);
        let quick = database.open("node-2").await;
        let policy = rotation_policy(&tenant("a"), "1");
        let rows = ["s/1", "s/2"].map(|path| assignment(&policy, path, Some(T0)));
        put(&quick, rows.clone().map(Record::Assignment)).await;
        proxy.plan(Plan::Hold);
        let mut row = rows[0].clone();
        row.revision = 2;
        let unit = Unit::new(UnitName::ScheduleWait).put(Record::Assignment(row));
        let writing = RUNTIME.spawn(async move { slow.commit(unit).await });
        proxy.met().await;
        database.await_held("INSERT INTO store_change");
        let claimed = quick.assignment_claim(T0, HOLD, 9).await.unwrap();
        let paths: Vec<_> = claimed.iter().map(|row| row.path.as_str()).collect();
        assert_eq!(paths, ["s/2"]);
        proxy.plan(Plan::Pass);
        writing.await.unwrap().unwrap();
        let claimed = quick.assignment_claim(T0, HOLD, 9).await.unwrap();
        assert_eq!((claimed.len(), claimed[0].revision), (1, 3));
    });
}

/// A row that does not decode is nobody's to do, and stands in nobody's way.
#[test]
fn what_does_not_decode_is_passed_over() {
    RUNTIME.block_on(async {
        let database = Database::new();
        let store = database.open("node-1").await;
        let policy = rotation_policy(&tenant("a"), "1");
        let row = |id: &str, n| delivery(&tenant("a"), id, "wh_1", n, Some(T0));
        let rows = [
            Record::Assignment(assignment(&policy, "s/1", Some(T0))),
            Record::Assignment(assignment(&policy, "s/2", Some(T0))),
            Record::Delivery(row("1", 1)),
            Record::Delivery(row("2", 2)),
        ];
        put(&store, rows).await;
        database.sql(
            "UPDATE assignment SET doc = '{' WHERE path = 's/1';
             UPDATE delivery SET doc = '{' WHERE id = 'del_1'",
        );
        let claimed = store.assignment_claim(T0, HOLD, 9).await.unwrap();
        let paths: Vec<_> = claimed.iter().map(|row| row.path.as_str()).collect();
        assert_eq!(paths, ["s/2"]);
        let mut ids = Vec::new();
        for _ in 0..3 {
            let claimed = store.delivery_claim(T0, HOLD, &[], 9).await.unwrap();
            ids.extend(claimed.iter().map(|row| row.id.to_string()));
        }
        assert_eq!(ids, ["del_2"]);
    });
}

/// A node that outlived its claim can write nothing.
#[test]
fn a_late_node_is_fenced() {
    RUNTIME.block_on(async {
        let (_database, [one, two]) = two().await;
        let policy = rotation_policy(&tenant("a"), "1");
        put(
            &one,
            [Record::Rotation(rotation(&policy, "1", "s", Some(T0)))],
        )
        .await;
        let mut late = one.rotation_claim(at(0), HOLD, 9).await.unwrap().remove(0);
        let mut mine = two.rotation_claim(at(61), HOLD, 9).await.unwrap().remove(0);
        (late.revision, mine.revision) = (late.revision + 1, mine.revision + 1);
        let write = |row| Unit::new(UnitName::RotationClose).put(Record::Rotation(row));
        assert_eq!(
            one.commit(write(late)).await,
            Err(CommitError::Conflict(RecordKind::Rotation))
        );
        two.commit(write(mine)).await.unwrap();
    });
}

#[test]
fn increments_of_both_are_all_counted() {
    RUNTIME.block_on(async {
        let (_database, stores) = two().await;
        let a = tenant("a");
        put(&stores[0], [Record::Secret(secret(&a, "app/sum"))]).await;
        let got = race(&stores, |store| async move {
            let mut turns = Vec::new();
            while turns.len() < 10 {
                let found = store.secret_find(&tenant("a"), &path("app/sum")).await;
                let mut head = found.unwrap().unwrap();
                (head.latest_version, head.revision) = (head.latest_version + 1, head.revision + 1);
                let turn = head.revision.to_string();
                let unit = Unit::new(UnitName::SecretWrite).put(Record::Secret(head));
                match store.commit(unit).await {
                    Ok(_) => turns.push(turn),
                    Err(CommitError::Conflict(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            turns
        });
        assert_eq!(all_different(&got.await), 80);
        let found = stores[1].secret_find(&a, &path("app/sum")).await;
        assert_eq!(found.unwrap().unwrap().revision, 81);
    });
}

/// Two units that lock the same rows in opposite orders: the database gives one of them up, and
/// that one is tried again.
#[test]
fn crossed_units_both_find_their_end() {
    RUNTIME.block_on(async {
        let (_database, stores) = two().await;
        let a = tenant("a");
        let names = ["1", "2"].map(|id| policy(&a, id));
        put(&stores[0], names.clone().map(Record::Policy)).await;
        for revision in 2..12 {
            let both = names.clone().map(|mut row| {
                row.revision = revision;
                Record::Policy(row)
            });
            let [first, second] = both;
            let there = Unit::new(UnitName::PolicyWrite)
                .put(first.clone())
                .put(second.clone());
            let back = Unit::new(UnitName::PolicyWrite).put(second).put(first);
            let (there, back) = tokio::join!(stores[0].commit(there), stores[1].commit(back));
            let conflict = Err(CommitError::Conflict(RecordKind::Policy));
            assert!(there.is_ok() != back.is_ok(), "{there:?} {back:?}");
            assert!(there == conflict || back == conflict, "{there:?} {back:?}");
        }
    });
}
