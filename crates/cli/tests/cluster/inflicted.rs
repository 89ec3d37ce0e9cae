//! A storm: what fails is made to fail, and it is known that it did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use scaivault_peers::postgresql::{PASSWORD, SUPERUSER};
use scaivault_peers::postgresql_pair::PostgresqlPair;
use serde_json::json;
use tokio::task::block_in_place;

use crate::cluster::Cluster;
use crate::faults::{CLOCKS, CUTS, Cut, Fault};
use crate::node::faketime;
use crate::random::Random;
use crate::record::Record;

pub(crate) const NODES: usize = 3;
/// Longer than a worker holds what it claimed.
const PAUSED: Duration = Duration::from_secs(66);
const READY_MAX: Duration = Duration::from_secs(60);
/// Within this a fault has met somebody.
const FELT_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Storm {
    pub(crate) cluster: Cluster,
    pub(crate) pair: PostgresqlPair,
    pub(crate) random: Random,
    record: Arc<Record>,
    /// The node that is paused, and until when.
    paused: Option<(usize, Instant)>,
    cuts: usize,
    clocks: usize,
    /// Of what ended by itself.
    pub(crate) restarts: u32,
    /// How often each came, and met what it was meant for.
    pub(crate) inflicted: BTreeMap<Fault, usize>,
}

impl Storm {
    pub(crate) fn new(
        cluster: Cluster,
        pair: PostgresqlPair,
        mut random: Random,
        record: Arc<Record>,
    ) -> Self {
        Self {
            cluster,
            pair,
            record,
            paused: None,
            cuts: usize::try_from(random.below(9)).expect("small"),
            clocks: 0,
            restarts: 0,
            inflicted: BTreeMap::new(),
            random,
        }
    }

    /// Whether this one cannot be had here, and why.
    pub(crate) fn impossible(&self, fault: Fault) -> Option<&'static str> {
        match fault {
            Fault::Clock if faketime().is_none() => Some("faketime is not installed"),
            Fault::FullDisk if self.pair.primary().disk().is_none() => {
                Some("this user may not mount a tmpfs")
            }
            _ => None,
        }
    }

    fn node(&mut self) -> usize {
        let free: Vec<usize> = (0..NODES)
            .filter(|node| self.paused.is_none_or(|(paused, _)| paused != *node))
            .collect();
        *self.random.of(&free)
    }

    pub(crate) async fn pause_ms(&mut self, from: u64, to: u64) {
        let ms = from + self.random.below(to - from);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn wake(&mut self) {
        if let Some((node, _)) = self.paused.take() {
            let slept = !self.cluster.nodes[node].is_gone();
            self.cluster.nodes[node].pause(false);
            *self.inflicted.entry(Fault::Pause).or_default() += usize::from(slept);
        }
    }

    /// What an operator's supervisor does: starts again what ended by itself, wakes what slept.
    pub(crate) fn tend(&mut self) {
        if self
            .paused
            .is_some_and(|(_, until)| until <= Instant::now())
        {
            self.wake();
        }
        for node in &mut self.cluster.nodes {
            if node.is_gone() {
                self.restarts += 1;
                node.start();
            }
        }
        if self.pair.is_gone() {
            self.restarts += block_in_place(|| self.pair.revive());
        }
    }

    /// As [`Storm::tend`]; and the database lets in.
    pub(crate) fn settle(&mut self) {
        self.tend();
        self.restarts += block_in_place(|| self.pair.revive());
    }

    /// Waits until this node serves.
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
        let what = format!("node {node} does not serve within {READY_MAX:?}");
        self.record.broken(what);
    }

    pub(crate) async fn inflict(&mut self, fault: Fault) {
        let met = match fault {
            Fault::Kill => self.kill().await,
            Fault::Partition => self.partition().await,
            Fault::FailOver => {
                block_in_place(|| self.pair.fail_over());
                self.cluster.follow(&self.pair);
                self.pause_ms(500, 2_500).await;
                block_in_place(|| self.pair.add_standby());
                true
            }
            Fault::Crash => {
                block_in_place(|| self.pair.primary_mut().kill_hard());
                self.pause_ms(100, 1_500).await;
                block_in_place(|| self.pair.primary_mut().start_again());
                true
            }
            Fault::Pause => {
                if let Some((_, until)) = self.paused {
                    tokio::time::sleep_until(until.into()).await;
                    self.wake();
                }
                let node = self.node();
                self.cluster.nodes[node].pause(true);
                self.paused = Some((node, Instant::now() + PAUSED));
                // Counted when it wakes.
                false
            }
            Fault::Clock => self.clock().await,
            Fault::FullDisk => self.full_disk().await,
            Fault::NoConnections => self.no_connections().await,
            Fault::Stall => {
                let primary = self.pair.primary();
                // Longer than anybody waits for a lock.
                let hold = "BEGIN; LOCK TABLE store_head; SELECT pg_sleep(7); COMMIT";
                let held = block_in_place(|| self.in_store(primary, hold));
                held.inspect_err(|why| println!("  no stall: {why}"))
                    .is_ok()
            }
        };
        *self.inflicted.entry(fault).or_default() += usize::from(met);
    }

    fn in_store(
        &self,
        primary: &scaivault_peers::postgresql::Postgresql,
        sql: &str,
    ) -> Result<String, String> {
        primary.sql_as(SUPERUSER, PASSWORD, "scaivault", sql)
    }

    async fn kill(&mut self) -> bool {
        let node = self.node();
        // It may have ended this very moment.
        self.tend();
        let killed = self.cluster.nodes[node].kill();
        self.pause_ms(0, 300).await;
        self.cluster.nodes[node].start();
        // Some are killed again while they start.
        if self.random.below(4) > 0 {
            self.serves(node).await;
        } else {
            self.pause_ms(0, 400).await;
        }
        killed
    }

    async fn partition(&mut self) -> bool {
        let node = self.node();
        let cut = CUTS[self.cuts % CUTS.len()];
        self.cuts += 1;
        let proxy = &self.cluster.proxies[node];
        let before = proxy.felt();
        match cut {
            Cut::Reset => proxy.cut(),
            Cut::Wires(to_server, to_client) => proxy.set(to_server, to_client),
            Cut::After(bytes) => proxy.cut_after(bytes),
        }
        // One that is about to start has nothing to lose yet.
        let began = Instant::now();
        let felt = |storm: &Self| storm.cluster.proxies[node].felt() > before;
        while !felt(self) && began.elapsed() < FELT_MAX {
            self.tend();
            self.pause_ms(10, 30).await;
        }
        // A third of them lasts longer than any patience of the store.
        match self.random.below(3) {
            0 => self.pause_ms(6_000, 7_500).await,
            _ => self.pause_ms(200, 2_000).await,
        }
        self.cluster.proxies[node].heal();
        felt(self)
    }

    /// A node's clock jumps. What it writes meanwhile has the database's time.
    async fn clock(&mut self) -> bool {
        if let Some(why) = self.impossible(Fault::Clock) {
            println!("  no clock jumps: {why}");
            return false;
        }
        let node = self.node();
        self.serves(node).await;
        let clock = CLOCKS[self.clocks % CLOCKS.len()];
        self.clocks += 1;
        let right_before = !self.date_is_off(node).await;
        self.cluster.nodes[node].set_clock(clock);
        let root = self.cluster.root(node);
        let began = Instant::now();
        let mut jumped = false;
        while !jumped && began.elapsed() < FELT_MAX {
            self.pause_ms(200, 400).await;
            jumped = self.date_is_off(node).await;
        }
        let before = block_in_place(|| self.pair.primary().sql("SELECT clock_timestamp()"));
        let to = format!("/v1/secrets/clock/n{node}-{}", self.clocks);
        let mut wrote = None;
        while wrote.is_none() && began.elapsed() < READY_MAX {
            let put = root.put(&to, json!({ "data": { "k": clock } })).await;
            wrote = (put.status < 300).then_some(put);
        }
        let at = match wrote {
            Some(put) => put.body["created_at"].as_str().unwrap_or("").to_owned(),
            None => String::new(),
        };
        let right = format!(
            "SELECT '{at}' BETWEEN timestamptz '{before}' - interval '5s'
             AND clock_timestamp() + interval '5s'"
        );
        let right = block_in_place(|| self.in_store(self.pair.primary(), &right));
        if right.as_deref() != Ok("t") {
            let what = format!("{to}: written {clock} at {at:?}, after {before}: {right:?}");
            self.record.broken(what);
        }
        self.pause_ms(1_000, 3_000).await;
        self.cluster.nodes[node].set_clock("+0");
        self.pause_ms(1_000, 1_500).await;
        // The dates of its answers never go back: the next jump must show with a fresh one.
        self.cluster.nodes[node].kill();
        self.cluster.nodes[node].start();
        self.serves(node).await;
        right_before && jumped
    }

    /// Whether the dates of a node's answers, which go by its machine's clock, are off: ahead, or
    /// standing still while that clock is behind.
    async fn date_is_off(&self, node: usize) -> bool {
        let answer = self.cluster.root(node).get("/v1/health").await;
        let date = answer.header("date");
        let off = format!("SELECT abs(extract(epoch FROM clock_timestamp() - '{date}')) > 4");
        block_in_place(|| self.pair.primary().sql(&off)) == "t"
    }

    /// Waits until the database has told this in its log after so much of it.
    async fn told(&mut self, after: usize, what: &str) -> bool {
        let began = Instant::now();
        while began.elapsed() < FELT_MAX {
            let log = self.pair.primary().server().log();
            if log.get(after..).is_some_and(|new| new.contains(what)) {
                return true;
            }
            self.pause_ms(50, 100).await;
        }
        false
    }

    async fn full_disk(&mut self) -> bool {
        let Some(disk) = self.pair.primary().disk() else {
            println!("  no disk of its own: this user may not mount a tmpfs");
            return false;
        };
        let before = self.pair.primary().server().log().len();
        block_in_place(|| disk.fill());
        let met = self.told(before, "No space left on device").await;
        self.pause_ms(4_000, 6_000).await;
        if let Some(disk) = self.pair.primary().disk() {
            disk.free();
        }
        self.settle();
        met
    }

    async fn no_connections(&mut self) -> bool {
        let primary = self.pair.primary();
        let before = primary.server().log().len();
        block_in_place(|| {
            primary.sql("ALTER ROLE scaivault CONNECTION LIMIT 2");
            primary.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE usename = 'scaivault'",
            );
        });
        let met = self.told(before, "too many connections for role").await;
        self.pause_ms(3_000, 5_000).await;
        let primary = self.pair.primary();
        block_in_place(|| primary.sql("ALTER ROLE scaivault CONNECTION LIMIT -1"));
        met
    }

    /// Everything is as it should be again.
    pub(crate) async fn calm(&mut self) {
        if let Some((_, until)) = self.paused {
            tokio::time::sleep_until(until.into()).await;
            self.wake();
        }
        for proxy in &self.cluster.proxies {
            proxy.heal();
        }
        self.settle();
        for node in 0..NODES {
            self.serves(node).await;
        }
    }
}
