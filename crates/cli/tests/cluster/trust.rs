//! Whether the load and the checker are to be trusted: without faults nothing is broken, and each
//! kind of breach is seen.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::cluster::Cluster;
use crate::harness::eventually;
use crate::random::Random;
use crate::record::{Outcome, Record, Write};
use crate::rotated::Rotated;
use crate::{breaches, checker, clients};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_faults_nothing_is_broken_and_each_breach_is_seen() {
    let _alone = crate::alone().await;
    let data = tempfile::tempdir().expect("a temporary directory");
    let url = format!("sqlite://{}", data.path().join("vault.db").display());
    let cluster = Cluster::start_at(&[url], &[], Vec::new()).await;
    let record = Arc::new(Record::default());
    let random = Random::new(1);
    let mut root = Client::new(cluster.roots(), random.fork(0), Arc::clone(&record));
    let rotated = Arc::new(Rotated::prepare(&mut root).await);
    let mut clients = clients::begin(&root, &random, &rotated).await;
    let began = Instant::now();
    eventually("rotations complete", Duration::from_secs(90), async || {
        let rights = record.rights.load(Ordering::Relaxed);
        (rotated.keys.minted() >= 6 && rights >= 2).then_some(())
    })
    .await;
    clients::stop(&mut clients.opening, &record).await;
    clients::stop(&mut clients.others, &record).await;
    let roots = cluster.roots();
    let checked = checker::check(&roots, &record, &rotated).await;
    clients::stop(&mut clients.consuming, &record).await;
    println!("{:.1?}: {}; {checked}", began.elapsed(), record.summary());
    assert_eq!(record.all_broken(), [""; 0]);
    assert!(checked.audited > 100 && checked.versions > 50, "{checked}");
    assert!(checked.completed > 10, "{checked}");
    assert!(record.logins.load(Ordering::Relaxed) > 10);

    // What did not happen is told of.
    let (writes, _) = root.record.all();
    let acknowledged = |one: &&Write| one.outcome == Outcome::Acknowledged;
    let real = writes.iter().find(acknowledged).expect("a write");
    breaches::each_is_seen(&roots, real, &rotated).await;
}
