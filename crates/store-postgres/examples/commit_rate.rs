//! How many durable commits a second PostgreSQL gives one node, and several.
//!
//! ```text
//! cargo run --release -p scaivault-store-postgres --example commit_rate [url] [seconds]
//! ```
//!
//! Without an address it starts a private server that syncs. Audit-only units (with a ledger read,
//! as every read of a secret makes them) and secret writes (head, version, event, audit row), by
//! numbers of nodes and of concurrent callers of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use scaivault_core::ports::{AuditReads, Op, Record, Store, Unit, UnitName};
use scaivault_peers::postgresql::{PASSWORD, Postgresql, SUPERUSER};
use scaivault_store_postgres::{ChainMac, PostgresOptions, PostgresStore};
use scaivault_testkit::SeededEntropy;
use scaivault_testkit::store_conformance::samples::{audit, event, read, sealed, secret, tenant};

/// Stands in for a keyed code: the real one costs about as much as one more line of the chain.
struct BenchMac;

impl ChainMac for BenchMac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut code = [7; 32];
        for (at, byte) in message.iter().enumerate() {
            code[at % 32] ^= byte;
        }
        code
    }
}

static NUMBER: AtomicI64 = AtomicI64::new(0);

fn an_audited_read() -> Unit {
    let n = NUMBER.fetch_add(1, Ordering::Relaxed);
    let (path, who) = (format!("app/s{}", n % 1_000), format!("sa:c{}", n % 50));
    let mut unit = Unit::audit_only(audit(&tenant("a"), n, &who, Some(&path)));
    unit.reads.push(read(&tenant("a"), &path, 1, &who, 0));
    unit
}

fn a_secret_write() -> Unit {
    let n = NUMBER.fetch_add(1, Ordering::Relaxed);
    let (a, path) = (tenant("a"), format!("app/w{n}"));
    Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(secret(&a, &path)))
        .op(Op::VersionInsert(sealed(&a, &path, 1)))
        .emit(event(&a, &n.to_string(), Some(&path)))
        .audited(audit(&a, n, "user:x", Some(&path)))
}

async fn rate(
    stores: &[Arc<PostgresStore>],
    callers: usize,
    time: Duration,
    unit: fn() -> Unit,
) -> (f64, Duration) {
    let end = Instant::now() + time;
    let (done, longest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..callers * stores.len())
        .map(|task| {
            let store = Arc::clone(&stores[task % stores.len()]);
            let (done, longest) = (Arc::clone(&done), Arc::clone(&longest));
            tokio::spawn(async move {
                while Instant::now() < end {
                    let begun = Instant::now();
                    store.commit(unit()).await.expect("the unit is applied");
                    let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                    longest.fetch_max(took, Ordering::Relaxed);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a caller goes on to the end");
    }
    let count = f64::from(u32::try_from(done.load(Ordering::Relaxed)).unwrap_or(u32::MAX));
    let longest = Duration::from_micros(longest.load(Ordering::Relaxed));
    (count / time.as_secs_f64(), longest)
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next();
    let seconds = arguments.next().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(3));
    let server = url.is_none().then(|| {
        Postgresql::start_with(|_| {
            ["fsync=on", "log_statement=none", "shared_buffers=128MB"]
                .map(str::to_owned)
                .to_vec()
        })
    });
    let url = url.unwrap_or_else(|| {
        let port = server.as_ref().map_or(5432, Postgresql::port);
        format!("postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{port}/postgres")
    });
    let mut stores = Vec::new();
    for node in 1..=3 {
        let options = PostgresOptions::new(&url, format!("bench-{node}"));
        let store = PostgresStore::open(options, &SeededEntropy::new(node)).await;
        let store = store.expect("the store opens");
        let started = store.start_audit(Arc::new(BenchMac)).await;
        started.expect("the chain starts");
        stores.push(Arc::new(store));
    }
    for (name, unit) in [
        ("audited read", an_audited_read as fn() -> Unit),
        ("secret write", a_secret_write),
    ] {
        for nodes in [1, 3] {
            for callers in [1, 16, 64, 256] {
                let (rate, longest) = rate(&stores[..nodes], callers, time, unit).await;
                println!(
                    "{name}, {nodes} nodes, {callers:>3} callers each: {rate:>8.0} commits/s, \
                     longest {longest:?}"
                );
            }
        }
    }
    let report = stores[0].audit_verify().await.expect("the chains are read");
    assert_eq!(report.first_bad, None);
    println!("{} audit rows verified", report.rows);
}
