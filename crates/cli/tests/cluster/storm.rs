//! Three nodes under load, with rotations in flight, while everything below and beside them fails,
//! in an order that comes again with its seed.
//!
//! `SCAIVAULT_STORM_SEED=n` chooses the order, `SCAIVAULT_STORM_ROUNDS=n` repeats the whole of it
//! (1 by default).

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use scaivault_peers::Wire;
use scaivault_peers::postgresql_pair::PostgresqlPair;
use tokio::task::block_in_place;

use crate::client::Client;
use crate::cluster::{Cluster, prepare, settings};
use crate::node::faketime;
use crate::random::Random;
use crate::record::Record;
use crate::rotated::Rotated;
use crate::{checker, clients};

const NODES: usize = 3;
/// Longer than a worker holds what it claimed.
const PAUSED: Duration = Duration::from_secs(66);
const READY_MAX: Duration = Duration::from_secs(30);
/// Of each server, where that can be had.
const MEGABYTES: u32 = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Partition,
    FailOver,
    Crash,
    Pause,
    Clock,
    FullDisk,
    NoConnections,
    Stall,
}

/// How often each comes in one round.
const ROUND: [(Fault, usize); 9] = [
    (Fault::Kill, 40),
    (Fault::Partition, 20),
    (Fault::FailOver, 3),
    (Fault::Crash, 2),
    (Fault::Pause, 1),
    (Fault::Clock, 4),
    (Fault::FullDisk, 1),
    (Fault::NoConnections, 1),
    (Fault::Stall, 1),
];

/// Where a node's network fails.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Reset,
    Wires(Wire, Wire),
    /// In the middle of something.
    After(usize),
}

const CUTS: [Cut; 9] = [
    Cut::Reset,
    Cut::Wires(Wire::Held, Wire::Open),
    Cut::Wires(Wire::Open, Wire::Held),
    Cut::Wires(Wire::Held, Wire::Held),
    Cut::Wires(Wire::Swallowed, Wire::Open),
    Cut::Wires(Wire::Open, Wire::Swallowed),
    Cut::Wires(Wire::Swallowed, Wire::Swallowed),
    Cut::After(300),
    Cut::After(5_000),
];

const CLOCKS: [&str; 4] = ["+1h", "-1h", "+1y", "-40d"];

struct Storm {
    cluster: Cluster,
    pair: PostgresqlPair,
    random: Random,
    /// The node that is paused, and until when.
    paused: Option<(usize, Instant)>,
    cuts: usize,
    clocks: usize,
    restarts: u32,
}

impl Storm {
    fn node(&mut self) -> usize {
        let free: Vec<usize> = (0..NODES)
            .filter(|node| self.paused.is_none_or(|(paused, _)| paused != *node))
            .collect();
        *self.random.of(&free)
    }

    async fn pause_ms(&mut self, from: u64, to: u64) {
        let ms = from + self.random.below(to - from);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// What an operator's supervisor does: starts again what ended by itself, wakes what slept.
    fn tend(&mut self) {
        if let Some((node, until)) = self.paused
            && until <= Instant::now()
        {
            self.cluster.nodes[node].pause(false);
            self.paused = None;
        }
        for node in &mut self.cluster.nodes {
            if node.is_gone() {
                self.restarts += 1;
                node.start();
            }
        }
        if self.pair.primary_mut().is_gone() {
            self.restarts += 1;
            block_in_place(|| self.pair.primary_mut().start_again());
        }
    }

    /// Waits until this node serves, at most a while.
    async fn serves(&mut self, node: usize) {
        let began = Instant::now();
        while began.elapsed() < READY_MAX {
            self.tend();
            let api = self.cluster.root(node).anonymous();
            let asked = api.attempt(reqwest::Method::GET, "/v1/health/ready", None);
            let asked = tokio::time::timeout(Duration::from_secs(3), asked).await;
            if asked.is_ok_and(|asked| asked.is_ok_and(|reply| reply.status == 200)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("  node {node} does not serve within {READY_MAX:?}");
    }

    async fn inflict(&mut self, fault: Fault) {
        match fault {
            Fault::Kill => self.kill().await,
            Fault::Partition => self.partition().await,
            Fault::FailOver => {
                block_in_place(|| self.pair.fail_over());
                self.cluster.follow(&self.pair);
                self.pause_ms(500, 2_500).await;
                block_in_place(|| self.pair.add_standby());
            }
            Fault::Crash => {
                block_in_place(|| self.pair.primary_mut().kill_hard());
                self.pause_ms(100, 1_500).await;
                block_in_place(|| self.pair.primary_mut().start_again());
            }
            Fault::Pause => {
                let node = self.node();
                self.cluster.nodes[node].pause(true);
                self.paused = Some((node, Instant::now() + PAUSED));
            }
            Fault::Clock => {
                let node = self.node();
                let clock = CLOCKS[self.clocks % CLOCKS.len()];
                self.clocks += 1;
                self.cluster.nodes[node].set_clock(clock);
                self.pause_ms(2_500, 5_000).await;
                self.cluster.nodes[node].set_clock("+0");
                self.pause_ms(1_000, 1_500).await;
            }
            Fault::FullDisk => self.full_disk().await,
            Fault::NoConnections => {
                let primary = self.pair.primary();
                block_in_place(|| {
                    primary.sql("ALTER ROLE scaivault CONNECTION LIMIT 2");
                    primary.sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE usename = 'scaivault'",
                    );
                });
                self.pause_ms(3_000, 5_000).await;
                let primary = self.pair.primary();
                block_in_place(|| primary.sql("ALTER ROLE scaivault CONNECTION LIMIT -1"));
            }
            Fault::Stall => {
                let primary = self.pair.primary();
                // Longer than anybody waits for a lock.
                let hold = "BEGIN; LOCK TABLE store_head; SELECT pg_sleep(7); COMMIT";
                let held = block_in_place(|| {
                    primary.sql_as("postgres", "superuser-of-a-test", "scaivault", hold)
                });
                if let Err(why) = held {
                    println!("  no stall: {why}");
                }
            }
        }
    }

    async fn kill(&mut self) {
        let node = self.node();
        self.cluster.nodes[node].kill();
        self.pause_ms(0, 300).await;
        self.cluster.nodes[node].start();
        // Some are killed again while they start.
        if self.random.below(4) > 0 {
            self.serves(node).await;
        } else {
            self.pause_ms(0, 400).await;
        }
    }

    async fn partition(&mut self) {
        let node = self.node();
        let cut = CUTS[self.cuts % CUTS.len()];
        self.cuts += 1;
        let proxy = &self.cluster.proxies[node];
        match cut {
            Cut::Reset => proxy.cut(),
            Cut::Wires(to_server, to_client) => proxy.set(to_server, to_client),
            Cut::After(bytes) => proxy.cut_after(bytes),
        }
        // A third of them lasts longer than any patience of the store.
        match self.random.below(3) {
            0 => self.pause_ms(6_000, 9_000).await,
            _ => self.pause_ms(200, 2_000).await,
        }
        self.cluster.proxies[node].heal();
    }

    async fn full_disk(&mut self) {
        let Some(disk) = self.pair.primary().disk() else {
            println!("  no disk of its own: this user may not mount a tmpfs");
            return;
        };
        block_in_place(|| disk.fill());
        self.pause_ms(4_000, 6_000).await;
        if let Some(disk) = self.pair.primary().disk() {
            disk.free();
        }
        self.tend();
    }

    /// Everything is as it should be again.
    async fn calm(&mut self) {
        if let Some((node, until)) = self.paused {
            tokio::time::sleep_until(until.into()).await;
            self.cluster.nodes[node].pause(false);
            self.paused = None;
        }
        for proxy in &self.cluster.proxies {
            proxy.heal();
        }
        for node in 0..NODES {
            self.serves(node).await;
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_loses_nothing() {
    let _alone = crate::alone().await;
    let rounds = number("SCAIVAULT_STORM_ROUNDS").unwrap_or(1);
    let seed =
        number("SCAIVAULT_STORM_SEED").unwrap_or_else(|| RandomState::new().hash_one(rounds));
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

    let mut storm = Storm {
        cluster,
        pair,
        random: random.fork(1),
        paused: None,
        cuts: usize::try_from(random.fork(2).below(9)).expect("small"),
        clocks: 0,
        restarts: 0,
    };
    for _ in 0..rounds {
        let mut faults: Vec<Fault> = ROUND
            .iter()
            .flat_map(|(fault, times)| std::iter::repeat_n(*fault, *times))
            .filter(|fault| only(*fault))
            .collect();
        storm.random.shuffle(&mut faults);
        // The long one goes on beside all others.
        if let Some(at) = faults.iter().position(|fault| *fault == Fault::Pause) {
            faults.swap(at, 0);
        }
        for fault in faults {
            let at = began.elapsed();
            storm.inflict(fault).await;
            storm.tend();
            println!("{at:.1?}: {fault:?}, {:.1?}", began.elapsed() - at);
            storm.pause_ms(20, 250).await;
        }
    }
    storm.calm().await;
    println!("{:.1?}: calm", began.elapsed());
    // Work goes on as before.
    tokio::time::sleep(Duration::from_secs(3)).await;
    while let Some(ended) = clients.opening.try_join_next() {
        ended.expect("a client goes on for ever");
    }
    clients.opening.shutdown().await;
    while let Some(ended) = clients.others.try_join_next() {
        ended.expect("a client goes on for ever");
    }
    clients.others.shutdown().await;
    let roots = storm.cluster.roots();
    let checked = checker::check(&roots, &record, &rotated).await;
    while let Some(ended) = clients.consuming.try_join_next() {
        ended.expect("a client goes on for ever");
    }
    clients.consuming.shutdown().await;
    println!(
        "{:.0?}: seed {seed}: {} ({} restarts besides); {}; {checked}; {} keys minted",
        began.elapsed(),
        ROUND
            .map(|(fault, times)| format!("{times} {fault:?}"))
            .join(", "),
        storm.restarts,
        record.summary(),
        rotated.keys.minted(),
    );
    if faketime().is_none() {
        println!("no clock jumped: install faketime");
    }
    let broken = record.all_broken();
    if !broken.is_empty() {
        for node in &storm.cluster.nodes {
            let file = std::env::temp_dir().join(format!("storm-{seed}-{}.log", node.name));
            let _ = std::fs::write(file, node.log());
        }
    }
    assert!(broken.is_empty(), "{} broken: {broken:#?}", broken.len());
}

/// `SCAIVAULT_STORM_FAULTS=Kill,Clock` leaves the others out.
fn only(fault: Fault) -> bool {
    std::env::var("SCAIVAULT_STORM_FAULTS").map_or(true, |some| {
        some.split(',').any(|one| one == format!("{fault:?}"))
    })
}
