//! Three nodes under load, with rotations in flight, while everything below and beside them fails,
//! in an order that comes again with its seed.
//!
//! `SCAIVAULT_STORM_SEED=n` chooses the order, `SCAIVAULT_STORM_ROUNDS=n` repeats the whole of it
//! (1 by default).

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use scaivault_peers::postgresql_pair::PostgresqlPair;
use serde_json::json;

use crate::client::Client;
use crate::cluster::{Cluster, prepare, settings};
use crate::faults::{Fault, chosen};
use crate::harness::{SOON, eventually, number};
use crate::inflicted::{NODES, Storm};
use crate::random::Random;
use crate::record::{Outcome, Record};
use crate::rotated::{self, Rotated};
use crate::{checker, clients, load};

/// Of each server, where that can be had.
const MEGABYTES: u32 = 500;

/// One write, one read and one rotation to its end, all through this node.
async fn works(storm: &Storm, node: usize, root: &Client, rotated: &Rotated) {
    let path = format!("load/calm{node}");
    let random = storm.random.fork(100);
    let api = vec![storm.cluster.root(node)];
    let mut client = Client::new(api, random, Arc::clone(&root.record));
    let mut numbers = 0..;
    let what = format!("node {node} writes");
    let (version, value) = eventually(&what, SOON, async || {
        let number: u32 = numbers.next()?;
        let value = format!("calm-{node}-{number}");
        let body = json!({ "data": { "v": value } });
        let version = load::put(&mut client, &path, &value, body).await?;
        Some((version, value))
    })
    .await;
    let what = format!("node {node} reads");
    let read = eventually(&what, SOON, async || load::get(&mut client, &path).await).await;
    assert_eq!(read, (version, value));
    let path = &rotated.generated_paths[node];
    let completed = rotated::complete(&mut client, path, &rotated.told).await;
    completed.unwrap_or_else(|why| panic!("node {node}: {why}"));
}

/// Those that did not come as often as they should have.
fn missed(storm: &Storm, rounds: usize) -> Vec<String> {
    let mut missed = Vec::new();
    for (fault, times) in chosen() {
        if let Some(why) = storm.impossible(fault) {
            println!("no {fault:?}: {why}");
            continue;
        }
        let met = storm.inflicted.get(&fault).copied().unwrap_or(0);
        if met != times * rounds {
            missed.push(format!("{met} {fault:?} of {}", times * rounds));
        }
    }
    missed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_loses_nothing() {
    let _alone = crate::alone().await;
    let rounds = number("SCAIVAULT_STORM_ROUNDS").unwrap_or(1);
    let seed =
        number("SCAIVAULT_STORM_SEED").unwrap_or_else(|| RandomState::new().hash_one(rounds));
    let rounds = usize::try_from(rounds).expect("few");
    let chosen = chosen();
    println!("{rounds} rounds, SCAIVAULT_STORM_SEED={seed}");
    let began = Instant::now();
    let mut settings = settings();
    settings.extend(["max_wal_size=64MB", "min_wal_size=8MB"].map(str::to_owned));
    let pair = PostgresqlPair::start(&settings, Some(MEGABYTES));
    prepare(pair.primary());
    let cluster = Cluster::start(NODES, pair.primary().port(), &[]).await;
    let random = Random::new(seed);
    let record = Arc::new(Record::default());
    let mut root = Client::new(cluster.roots(), random.fork(0), Arc::clone(&record));
    let rotated = Arc::new(Rotated::prepare(&mut root).await);
    let mut clients = clients::begin(&root, &random, &rotated).await;
    println!("{:.1?}: {NODES} nodes, under load", began.elapsed());

    let mut storm = Storm::new(cluster, pair, random.fork(1), Arc::clone(&record));
    for _ in 0..rounds {
        let mut faults: Vec<Fault> = chosen
            .iter()
            .flat_map(|(fault, times)| std::iter::repeat_n(*fault, *times))
            .collect();
        storm.random.shuffle(&mut faults);
        // The long one goes on beside all others.
        if let Some(at) = faults.iter().position(|fault| *fault == Fault::Pause) {
            faults.swap(at, 0);
        }
        for fault in faults {
            let at = began.elapsed();
            storm.settle();
            storm.inflict(fault).await;
            storm.tend();
            println!("{at:.1?}: {fault:?}, {:.1?}", began.elapsed() - at);
            storm.pause_ms(20, 250).await;
        }
    }
    storm.calm().await;
    println!("{:.1?}: calm", began.elapsed());
    // Work goes on as before.
    clients::stop(&mut clients.opening, &record).await;
    for node in 0..NODES {
        works(&storm, node, &root, &rotated).await;
    }
    println!("{:.1?}: each node works", began.elapsed());
    clients::stop(&mut clients.others, &record).await;
    let roots = storm.cluster.roots();
    let checked = checker::check(&roots, &record, &rotated).await;
    clients::stop(&mut clients.consuming, &record).await;
    println!(
        "{:.0?}: seed {seed}: {:?} ({} restarts besides); {}; {checked}; {} keys minted",
        began.elapsed(),
        storm.inflicted,
        storm.restarts,
        record.summary(),
        rotated.keys.minted(),
    );
    let broken = record.all_broken();
    if !broken.is_empty() {
        for node in &storm.cluster.nodes {
            let file = std::env::temp_dir().join(format!("storm-{seed}-{}.log", node.name));
            let _ = std::fs::write(file, node.log());
        }
    }
    assert!(broken.is_empty(), "{} broken: {broken:#?}", broken.len());
    assert_eq!(missed(&storm, rounds), [""; 0], "faults that met nobody");
    // There was something to lose, the more the longer it lasted: so many in ten faults, at least.
    let faults: usize = storm.inflicted.values().sum();
    let count = |number: &AtomicU64| usize::try_from(number.load(Ordering::Relaxed)).expect("few");
    let counts = [
        ("writes", record.count(Outcome::Acknowledged), 150),
        ("values with their rows", checked.audited, 400),
        ("completed rotations", checked.completed, 5),
        ("logins", count(&record.logins), 50),
        ("changes of rights", count(&record.rights), 1),
    ];
    for (what, found, in_ten) in counts {
        assert!(
            found * 10 >= in_ten * faults,
            "{found} {what} in {faults} faults"
        );
    }
}
