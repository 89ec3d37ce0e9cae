//! One server for all tests of this process, and a schema of its own for each.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use scaivault_peers::postgresql::{PASSWORD, Postgresql, SUPERUSER};
use scaivault_store_postgres::{ChainMac, PostgresOptions, PostgresStore};
use scaivault_testkit::SeededEntropy;
use tokio::runtime::Runtime;

/// The runtime of the stores: the tests' own have neither network nor clock.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
});

struct Shared {
    server: Postgresql,
    /// Ends the server when this process is gone, however it went: what is static is not dropped.
    _guard: Child,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let server = Postgresql::start_with(|_| {
        // Every statement in the log would be most of the work.
        vec!["log_statement=none".into(), "max_connections=200".into()]
    });
    let guard = Command::new("sh")
        .arg("-c")
        .arg("read gone; kill -QUIT \"$(head -n 1 \"$0/data/postmaster.pid\")\"; rm -rf \"$0\"")
        .arg(server.server().dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Shared {
        server,
        _guard: guard,
    }
});

/// A keyed code that is no cryptography, but differs with key and message.
pub(crate) struct TestMac(pub(crate) u64);

impl ChainMac for TestMac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut state = self.0 ^ 0xcbf2_9ce4_8422_2325;
        let mut code = [0; 32];
        for (at, slot) in code.iter_mut().enumerate() {
            for byte in message.iter().chain(&[at.to_le_bytes()[0]]) {
                state = (state ^ u64::from(*byte))
                    .wrapping_mul(0x100_0000_01b3)
                    .rotate_left(7);
            }
            *slot = state.to_le_bytes()[3];
        }
        code
    }
}

/// An empty schema.
pub(crate) struct Database {
    schema: String,
}

impl Database {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let schema = format!("case_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        SHARED.server.sql(&format!("CREATE SCHEMA {schema}"));
        Self { schema }
    }

    pub(crate) fn port() -> u16 {
        SHARED.server.port()
    }

    /// Its address at this port.
    pub(crate) fn url(&self, port: u16) -> String {
        format!(
            "postgresql://{SUPERUSER}:{PASSWORD}@127.0.0.1:{port}/postgres\
             ?options=-c%20search_path%3D{0}&application_name={0}",
            self.schema
        )
    }

    /// Runs statements as the superuser.
    pub(crate) fn sql(&self, statements: &str) -> String {
        let path = format!("SET search_path = {}; {statements}", self.schema);
        SHARED.server.sql(&path)
    }

    /// Ends every session of this database's stores; how many there were.
    pub(crate) fn end_sessions(&self) -> u32 {
        let ended = SHARED.server.sql(&format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE application_name = '{}'",
            self.schema
        ));
        ended.parse().unwrap()
    }

    /// Waits until a session of this database's stores waits for a lock.
    pub(crate) fn await_waiting(&self) {
        let sql = format!(
            "SELECT count(*) > 0 FROM pg_stat_activity
             WHERE application_name = '{}' AND wait_event_type = 'Lock'",
            self.schema
        );
        self.await_value(&sql, "t");
    }

    /// Waits until a session of this database's stores has run this statement inside a transaction
    /// and is told no more: what a held commit is for is locked by then.
    pub(crate) fn await_held(&self, statement: &str) {
        let sql = format!(
            "SELECT count(*) > 0 FROM pg_stat_activity
             WHERE application_name = '{}' AND state = 'idle in transaction'
               AND query LIKE '%{statement}%'",
            self.schema
        );
        self.await_value(&sql, "t");
    }

    /// Waits until a query has this answer. Blocks: the stores run on other threads.
    pub(crate) fn await_value(&self, sql: &str, value: &str) {
        let begun = Instant::now();
        while self.sql(sql) != value {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "not {value}: {sql}"
            );
        }
    }

    /// A node's store, with its chain started.
    pub(crate) async fn open(&self, node: &str) -> PostgresStore {
        self.open_at(node, Self::port()).await
    }

    /// As [`Database::open`], through this port.
    pub(crate) async fn open_at(&self, node: &str, port: u16) -> PostgresStore {
        let options = PostgresOptions {
            connections: 4,
            ..PostgresOptions::new(self.url(port), node)
        };
        Self::open_with(options).await
    }

    pub(crate) async fn open_with(options: PostgresOptions) -> PostgresStore {
        let opening = RUNTIME.spawn(async move {
            let store = PostgresStore::open(options, &SeededEntropy::new(1)).await;
            let store = store.expect("the store opens");
            let started = store.start_audit(Arc::new(TestMac(1))).await;
            started.expect("the chain starts");
            store
        });
        opening.await.unwrap()
    }
}
