//! Any sequence of changes, claims and reopenings means the same to SQLite as to the plain store in
//! memory: every answer and, in the end, every read.

mod look;
mod resolve;
mod steps;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use scaivault_core::ports::{Store, Unit, UnitName};
use scaivault_core::time::Timestamp;
use scaivault_testkit::MemoryStore;
use scaivault_testkit::store_conformance::samples::{
    T0, audit, read, rotation, rotation_policy, target, tenant,
};

use crate::support::temporary;
use look::look;
use resolve::resolve;
use steps::{Step, steps};

const PATHS: [&str; 3] = ["app/db", "app/db/x", "web"];
const RECEIVERS: [&str; 3] = ["wh_1", "sub_1", "sub_2"];

async fn open(place: Option<&Path>) -> Arc<dyn Store> {
    match place {
        Some(file) => Arc::new(crate::support::at(file).await),
        None => Arc::new(temporary().await),
    }
}

/// Runs the steps on both. `place` is where the store is opened again.
async fn run(steps: Vec<Step>, place: Option<&Path>) {
    let model: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut store = open(place).await;
    let hold = Duration::from_secs(20);
    for (serial, step) in (0u64..).zip(steps) {
        let now = |t: u8| Timestamp::from_secs(T0.as_secs() + i64::from(t));
        match step {
            Step::Commit(changes, audited) => {
                let mut unit = Unit::new(UnitName::SecretWrite);
                for (n, change) in (0..).zip(&changes) {
                    unit.ops
                        .push(resolve(&*model, change, serial * 10 + n).await);
                    let secs = i64::from(change.tweak) * 2;
                    let owner = tenant(if change.tenant { "a" } else { "b" });
                    let of = PATHS[usize::from(change.slot)];
                    if audited {
                        unit.audit.push(audit(&owner, secs, "user:x", Some(of)));
                        unit.reads.push(read(&owner, of, 1, "sa:x", secs));
                    }
                }
                assert_eq!(
                    store.commit(unit.clone()).await,
                    model.commit(unit.clone()).await,
                    "{unit:?}"
                );
            }
            Step::ClaimAssignments(t) => {
                let claims = [&store, &model].map(|of| of.assignment_claim(now(t), hold, 99));
                let [mut got, mut want] = both(claims).await;
                got.sort_by_key(|row| (row.tenant.clone(), row.path.clone()));
                want.sort_by_key(|row| (row.tenant.clone(), row.path.clone()));
                assert_eq!(got, want);
            }
            Step::ClaimRotations(t) => {
                let claims = [&store, &model].map(|of| of.rotation_claim(now(t), hold, 99));
                let [mut got, mut want] = both(claims).await;
                got.sort_by_key(|row| (row.tenant.clone(), row.id.clone()));
                want.sort_by_key(|row| (row.tenant.clone(), row.id.clone()));
                assert_eq!(got, want);
                let busy = [target(&tenant("a"), "1").id];
                let claims = [&store, &model]
                    .map(|of| of.rotation_claim_at_targets(now(t), hold, &busy, 99));
                let [mut got, mut want] = both(claims).await;
                got.sort_by_key(|row| (row.tenant.clone(), row.id.clone()));
                want.sort_by_key(|row| (row.tenant.clone(), row.id.clone()));
                assert_eq!(got, want);
            }
            Step::ClaimRotation(slot, t) => {
                let row = rotation(
                    &rotation_policy(&tenant("a"), "1"),
                    &slot.to_string(),
                    "s",
                    None,
                );
                let claim = |of: Arc<dyn Store>| {
                    let row = row.clone();
                    async move {
                        of.rotation_claim_one(&row.tenant, &row.id, now(t), hold)
                            .await
                    }
                };
                assert_eq!(claim(store.clone()).await, claim(model.clone()).await);
            }
            Step::ClaimDeliveries(t, busy) => {
                let busy: Vec<String> = if busy { vec!["wh_1".into()] } else { vec![] };
                let claims = [&store, &model].map(|of| of.delivery_claim(now(t), hold, &busy, 99));
                let [mut got, mut want] = both(claims).await;
                got.sort_by_key(|row| (row.tenant.clone(), row.id.clone()));
                want.sort_by_key(|row| (row.tenant.clone(), row.id.clone()));
                assert_eq!(got, want);
            }
            Step::Reopen if place.is_some() => {
                drop(store);
                store = open(place).await;
            }
            Step::Reopen => {}
        }
    }
    let (got, want) = (look(&*store).await, look(&*model).await);
    for (got, want) in got.iter().zip(&want) {
        assert_eq!(got, want);
    }
    assert_eq!(got.len(), want.len());
}

async fn both<T, F>(claims: [F; 2]) -> [Vec<T>; 2]
where
    F: Future<Output = Result<Vec<T>, scaivault_core::ports::CommitError>>,
{
    let [store, model] = claims;
    [store.await.unwrap(), model.await.unwrap()]
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn it_means_the_same_as_the_plain_store(steps in steps(60)) {
        block_on(run(steps, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn also_when_it_is_closed_in_between(steps in steps(40)) {
        let directory = tempfile::tempdir().unwrap();
        block_on(run(steps, Some(&directory.path().join("store.db"))));
    }
}
