//! Fifty clients on a real database, rotated again and again under load while the server is
//! killed in between: not one of their queries fails, and each old password is refused after.
//!
//! `SCAIVAULT_LOGIN_ROTATIONS=n` changes the number of rotations, `SCAIVAULT_LOGIN_SEED=n` the
//! moments of the kills.

mod client;
mod database;
mod mariadb;
mod postgresql;

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::client::{Client, Tally};
use self::database::Database;
use crate::first_integration::{grant, service_token};
use crate::harness::{Api, Server, eventually, number};

const CLIENTS: usize = 50;
const ROTATIONS: u64 = 20;
/// A rotation, kills and a held claim included.
const ROTATION_MAX: Duration = Duration::from_secs(180);
const PATH: &str = "db/app";
const MANAGER_PATH: &str = "db/manager";

/// One run on one database.
struct Run<D> {
    database: Arc<D>,
    data: tempfile::TempDir,
    server: Server,
    /// Where clients find the server: it listens elsewhere after each start.
    api: watch::Sender<Api>,
    random: u64,
    kills: u32,
}

impl<D: Database> Run<D> {
    async fn prepare(database: D) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let server = start(data.path()).await;
        let root = server.root();
        let (manager, first) = (database.manager(), database.first());
        root.put(
            &format!("/v1/secrets/{MANAGER_PATH}"),
            json!({ "data": manager }),
        )
        .await
        .ok(201);
        root.put(&format!("/v1/secrets/{PATH}"), json!({ "data": first }))
            .await
            .ok(201);
        let target = json!({
            "name": "app-db",
            "connector": database.connector(),
            "settings": database.settings(),
            "manager_path": MANAGER_PATH,
        });
        root.post("/v1/rotation/targets", target).await.ok(201);
        let policy = json!({
            "name": "app-db",
            "interval": "90d",
            "rules": {
                "quiet_period": "1s",
                "poll": "1s",
                "deadline": "10m",
                "consumers": { "live": "5m" },
                "ignore": ["user:root"],
            },
        });
        let policy = root.post("/v1/rotation/policies", policy).await.ok(201);
        let id = policy["id"].as_str().expect("an id");
        let attached = json!({
            "secret_path": PATH,
            "target": "app-db",
            "strategy": "two_users",
            "account": database.account(),
        });
        root.post(&format!("/v1/rotation/policies/{id}/secrets"), attached)
            .await
            .ok(201);
        let seed = number("SCAIVAULT_LOGIN_SEED")
            .unwrap_or_else(|| RandomState::new().hash_one(database.connector()));
        println!("{}: SCAIVAULT_LOGIN_SEED={seed}", database.connector());
        let api = watch::Sender::new(root.clone());
        Self {
            database: Arc::new(database),
            data,
            server,
            api,
            random: seed | 1,
            kills: 0,
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    async fn clients(&self, tally: &Arc<Tally>) -> JoinSet<()> {
        let root = self.server.root();
        let mut clients = JoinSet::new();
        for n in 0..CLIENTS {
            let name = format!("sa:client-{n:02}");
            let token = service_token(root, &name, &["secrets:read"]).await;
            grant(root, &name, PATH, &["read"]).await;
            let token = token["token"].as_str().expect("a token").to_owned();
            let client = Client::new(
                self.database.clone(),
                self.api.subscribe(),
                token,
                u64::try_from(n).expect("a small number"),
                tally.clone(),
            );
            clients.spawn(client.run());
        }
        clients
    }

    /// Kills the server and starts it again on the same data.
    async fn kill(&mut self) {
        self.server.kill();
        self.server = start(self.data.path()).await;
        self.api.send_replace(self.server.root().clone());
        self.kills += 1;
    }

    /// One rotation to its end, with the server killed once in the middle when `killed`.
    async fn rotate(&mut self, killed: bool) -> Value {
        let old = self.value().await;
        let rotation = self
            .server
            .root()
            .post_empty(&format!("/v1/secrets/{PATH}/rotate"))
            .await;
        assert!(matches!(rotation.status, 200 | 202), "{}", rotation.text);
        let rotation = rotation.body;
        let id = rotation["rotation_id"]
            .as_str()
            .or(rotation["id"].as_str())
            .expect("an id")
            .to_owned();
        if killed {
            // Not a wait for anything: the random moment of death.
            tokio::time::sleep(Duration::from_millis(self.random(4_000))).await;
            self.kill().await;
        }
        let root = self.server.root();
        let done = eventually("the rotation completes", ROTATION_MAX, async || {
            let rotation = root.get(&format!("/v1/rotations/{id}")).await.ok(200);
            let phase = rotation["phase"].as_str().expect("a phase");
            assert!(
                !matches!(phase, "parked" | "rolled_back" | "rolling_back"),
                "{rotation:#}"
            );
            (phase == "completed").then_some(rotation)
        })
        .await;
        let new = self.value().await;
        assert_ne!(old["password"], new["password"]);
        assert!(
            self.database.log_in(&old).await.is_err(),
            "the old password still works after {id}"
        );
        assert!(self.database.log_in(&new).await.is_ok(), "{id}");
        done
    }

    async fn value(&self) -> Value {
        let read = self.server.root().get(&format!("/v1/secrets/{PATH}")).await;
        read.ok(200)["data"].clone()
    }
}

async fn start(data: &Path) -> Server {
    Server::dev().data(data).start().await
}

/// The promise, on one database.
async fn not_one_query_fails<D: Database>(database: D) {
    let rotations = number("SCAIVAULT_LOGIN_ROTATIONS").unwrap_or(ROTATIONS);
    let mut run = Run::prepare(database).await;
    let tally = Arc::new(Tally::default());
    let mut clients = run.clients(&tally).await;
    tally.all_hold(1, CLIENTS).await;
    let began = Instant::now();
    for round in 0..rotations {
        let done = run.rotate(round % 2 == 1).await;
        let version = done["new_version"].as_u64().expect("a version");
        tally.all_hold(version, CLIENTS).await;
        let failures = tally.failures();
        assert!(failures.is_empty(), "round {round}: {failures:#?}");
    }
    let took = began.elapsed();
    while let Some(ended) = clients.try_join_next() {
        ended.expect("a client goes on for ever");
    }
    clients.shutdown().await;
    let queries = tally.queries();
    assert!(queries > rotations * 1_000, "no load: {queries} queries");
    println!(
        "{}: {rotations} rotations with {} kills in {took:.0?} under {CLIENTS} clients: \
         {queries} queries, {} failed, {} reconnects after a refusal",
        run.database.connector(),
        run.kills,
        tally.failures().len(),
        tally.reconnects(),
    );
}
