//! How many durable commits a second this machine gives.
//!
//! ```text
//! cargo run --release -p scaivault-store --example commit_rate [directory] [seconds]
//! ```
//!
//! The directory should be on the disk the store will live on: what is measured is mostly its
//! sync. Audit-only units (with a ledger read, as every read of a secret makes them) and secret
//! writes (head, version, event, audit row), by numbers of concurrent callers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use scaivault_core::audit::{Action, AuditExtra, AuditRow};
use scaivault_core::consumer::ConsumerRead;
use scaivault_core::event::{Event, EventType};
use scaivault_core::identity::Identity;
use scaivault_core::ids::{EventId, RequestId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{AuditReads, Entropy, Op, Record, SecretReads, Store, Unit, UnitName};
use scaivault_core::seal::Sealed;
use scaivault_core::secret::{
    Metadata, SealedVersion, SecretHead, SecretType, Version, VersionState,
};
use scaivault_core::time::Timestamp;
use scaivault_store::{ChainMac, SqliteOptions, SqliteStore};

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

/// Numbers made from a counter: the names of the benchmark need not be random.
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (byte, value) in buffer.iter_mut().rev().zip(number.iter().rev().cycle()) {
            *byte = *value;
        }
    }
}

const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

fn audit(n: u64, action: Action, path: &SecretPath, tenant: &TenantId) -> AuditRow {
    AuditRow {
        timestamp: T0.plus(Duration::from_micros(n)),
        tenant_id: tenant.clone(),
        action,
        identity_type: "service_account".into(),
        identity_id: format!("sa:reader-{}", n % 100),
        secret_path: Some(path.clone()),
        source_ip: Some("10.1.2.3".into()),
        user_agent: Some("scaivault-client/0.1".into()),
        success: true,
        duration_ms: 1,
        request_id: RequestId::parse("req_01JEXAMPLEEXAMPLEEXAMPLE0").ok(),
        extra_data: AuditExtra {
            version: Some(3),
            ..AuditExtra::default()
        },
    }
}

fn read_unit(n: u64, path: &SecretPath, tenant: &TenantId) -> Unit {
    let row = audit(n, Action::Read, path, tenant);
    let consumer = Identity::parse(&row.identity_id).expect("a fixed name");
    let mut unit = Unit::audit_only(row);
    unit.reads.push(ConsumerRead {
        tenant: tenant.clone(),
        path: path.clone(),
        version: 3,
        consumer,
        at: T0.plus(Duration::from_micros(n)),
        settled: false,
    });
    unit
}

fn write_unit(n: u64, tenant: &TenantId, entropy: &dyn Entropy) -> Unit {
    let path = SecretPath::parse(&format!("bench/secret-{n}")).expect("a fixed form");
    let who = Identity::parse("user:bench").expect("a fixed name");
    let version = Version {
        tenant: tenant.clone(),
        path: path.clone(),
        version: 1,
        state: VersionState::Current,
        readable_until: None,
        rotation_id: None,
        created_at: T0,
        created_by: who.clone(),
        deletes_at: None,
        revision: 1,
    };
    let head = SecretHead {
        tenant: tenant.clone(),
        path: path.clone(),
        secret_type: SecretType::Json,
        metadata: Metadata::default(),
        current_version: 1,
        latest_version: 1,
        max_versions: 10,
        created_at: T0,
        updated_at: T0,
        expires_at: None,
        secret_policy_id: None,
        recoverable_until: None,
        expiry: scaivault_core::expiry::Expiry::default(),
        versioning: scaivault_core::secret::Versioning::default(),
        revision: 1,
    };
    let event = Event {
        id: EventId::mint(T0, entropy),
        event_type: EventType::SecretCreated,
        at: T0,
        tenant: tenant.clone(),
        identity: who,
        path: Some(path.clone()),
        data: serde_json::json!({"version": 1}),
        request_id: None,
        subject: None,
        rotation_id: None,
        also_to: Vec::new(),
    };
    Unit::new(UnitName::SecretWrite)
        .put(Record::Secret(head))
        .op(Op::VersionInsert(SealedVersion {
            version,
            sealed: Sealed(vec![9; 300]),
        }))
        .emit(event)
        .audited(audit(n, Action::Write, &path, tenant))
}

async fn measure(
    store: &Arc<SqliteStore>,
    what: &str,
    tasks: u64,
    length: Duration,
    make: impl Fn(u64) -> Unit + Send + Sync + 'static,
) {
    let make = Arc::new(make);
    let (done, next) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let before = store.stats();
    let start = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let (store, make) = (Arc::clone(store), Arc::clone(&make));
        let (done, next) = (Arc::clone(&done), Arc::clone(&next));
        running.spawn(async move {
            while start.elapsed() < length {
                let unit = make(next.fetch_add(1, Ordering::Relaxed));
                store.commit(unit).await.expect("a benchmark's commit");
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(joined) = running.join_next().await {
        joined.expect("a benchmark's task");
    }
    let rate = done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
    let after = store.stats();
    let commits = (after.commits - before.commits).max(1);
    let per_commit = (after.units - before.units) / commits;
    println!(
        "{what}, {tasks:>4} tasks: {rate:>9.0} /s   {per_commit:>4} per commit, {:.2} ms each",
        start.elapsed().as_secs_f64() * 1_000.0 / commits as f64,
    );
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let place = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let length = args.next().and_then(|text| text.parse().ok()).unwrap_or(4);
    let length = Duration::from_secs(length);
    let directory = tempfile::tempdir_in(place).expect("a directory to write in");
    let file = directory.path().join("bench.db");
    let entropy = Counter(AtomicU64::new(1));
    let opened = SqliteStore::open(SqliteOptions::file(&file), &entropy);
    let store = Arc::new(opened.expect("the store opens"));
    store
        .start_audit(Arc::new(BenchMac))
        .await
        .expect("the chain starts");
    let tenant = TenantId::parse("tnt_bench").expect("a fixed id");

    for tasks in [1, 16, 64, 256, 1_024] {
        let tenant = tenant.clone();
        let paths: Vec<SecretPath> = (0..100)
            .map(|n| SecretPath::parse(&format!("bench/read-{n}")).expect("a fixed form"))
            .collect();
        let make =
            move |n: u64| read_unit(n, &paths[usize::try_from(n % 100).unwrap_or(0)], &tenant);
        measure(&store, "audit-only units", tasks, length, make).await;
    }
    let base = Arc::new(AtomicU64::new(0));
    for tasks in [1, 64, 256] {
        let (tenant, base) = (tenant.clone(), Arc::clone(&base));
        let ids = Counter(AtomicU64::new(tasks << 40));
        let make = move |_| write_unit(base.fetch_add(1, Ordering::Relaxed), &tenant, &ids);
        measure(&store, "secret writes   ", tasks, length, make).await;
    }
    reads(&store, &tenant, length).await;
    let start = Instant::now();
    let report = store.audit_verify().await.expect("the chain reads");
    println!(
        "verified {} audit rows in {:.2} s, first bad: {:?}; store of {} MiB",
        report.rows,
        start.elapsed().as_secs_f64(),
        report.first_bad,
        store.health().await.bytes >> 20,
    );
}

async fn reads(store: &Arc<SqliteStore>, tenant: &TenantId, length: Duration) {
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for task in 0..64u64 {
        let (store, tenant, done) = (Arc::clone(store), tenant.clone(), Arc::clone(&done));
        running.spawn(async move {
            let mut n = task;
            while start.elapsed() < length {
                let path = SecretPath::parse(&format!("bench/secret-{}", n % 1_000));
                let path = path.expect("a fixed form");
                store
                    .secret_open(&tenant, &path, None)
                    .await
                    .expect("a benchmark's read");
                done.fetch_add(1, Ordering::Relaxed);
                n += 61;
            }
        });
    }
    while running.join_next().await.is_some() {}
    let rate = done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
    println!("secret_open,        64 tasks: {rate:>9.0} /s");
}
