//! One client that follows the protocol: it fetches, keeps what it fetched, moves to a new version
//! by opening connections with it beside the old ones, acknowledges it, and answers a refused or
//! cut connection by fetching again and trying once more. What fails after that has failed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::PATH;
use super::database::{Database, Session};
use crate::harness::{Api, eventually};

/// Connections of one client.
const POOL: usize = 2;
/// Between two queries of one client.
const PAUSE: Duration = Duration::from_millis(40);
/// Between two fetches of one client.
const FETCH: Duration = Duration::from_millis(800);
/// Every client moves within this.
const MOVED_MAX: Duration = Duration::from_secs(60);

/// What all clients saw.
#[derive(Default)]
pub(crate) struct Tally {
    queries: AtomicU64,
    reconnects: AtomicU64,
    failures: Mutex<Vec<String>>,
    /// Which version each client works with.
    holds: Mutex<BTreeMap<u64, u64>>,
}

impl Tally {
    pub(crate) fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures
            .lock()
            .expect("nobody panics holding it")
            .clone()
    }

    fn fail(&self, what: String) {
        self.failures
            .lock()
            .expect("nobody panics holding it")
            .push(what);
    }

    /// Waits until so many clients work with this version.
    pub(crate) async fn all_hold(&self, version: u64, clients: usize) {
        eventually("every client holds the version", MOVED_MAX, async || {
            let holds = self.holds.lock().expect("nobody panics holding it");
            let moved = holds.values().filter(|held| **held == version).count();
            let failed = !self
                .failures
                .lock()
                .expect("nobody panics holding it")
                .is_empty();
            (moved == clients || failed).then_some(())
        })
        .await;
    }
}

struct Held {
    version: u64,
    credential: Value,
    pool: Vec<Box<dyn Session>>,
}

pub(crate) struct Client<D> {
    database: Arc<D>,
    api: watch::Receiver<Api>,
    token: String,
    number: u64,
    tally: Arc<Tally>,
}

impl<D: Database> Client<D> {
    pub(crate) fn new(
        database: Arc<D>,
        api: watch::Receiver<Api>,
        token: String,
        number: u64,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            database,
            api,
            token,
            number,
            tally,
        }
    }

    /// Works until it is stopped.
    pub(crate) async fn run(mut self) {
        let mut held = loop {
            if let Some((version, credential)) = self.fetch().await {
                match self.open(version, credential).await {
                    Ok(held) => break held,
                    Err(why) => self.tally.fail(format!("the first login: {why}")),
                }
            }
            tokio::time::sleep(PAUSE).await;
        };
        self.holds(held.version).await;
        // Not all at the same moment.
        let mut fetch_at = Instant::now() + FETCH * u32::try_from(self.number % 8).unwrap_or(0) / 8;
        let mut turn = 0;
        loop {
            if fetch_at <= Instant::now() {
                fetch_at = Instant::now() + FETCH;
                self.refresh(&mut held).await;
            }
            turn = (turn + 1) % POOL;
            self.query(&mut held, turn).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn api(&self) -> Api {
        self.api.borrow().with_token(&self.token)
    }

    /// The current version and value; `None` while the server is away.
    async fn fetch(&self) -> Option<(u64, Value)> {
        let read = self
            .api()
            .attempt(Method::GET, &format!("/v1/secrets/{PATH}"), None);
        let reply = read.await.ok()?;
        assert!(matches!(reply.status, 200 | 503), "{}", reply.text);
        let version = reply.body["version"].as_u64()?;
        Some((version, reply.body["data"].clone()))
    }

    async fn open(&self, version: u64, credential: Value) -> Result<Held, String> {
        let mut pool = Vec::with_capacity(POOL);
        for _ in 0..POOL {
            pool.push(self.database.log_in(&credential).await?);
        }
        Ok(Held {
            version,
            credential,
            pool,
        })
    }

    /// Moves to another version when there is one: new connections beside the old ones, which
    /// are closed only then.
    async fn refresh(&mut self, held: &mut Held) {
        let Some((version, credential)) = self.fetch().await else {
            return;
        };
        if version == held.version {
            return;
        }
        match self.open(version, credential).await {
            Ok(fresh) => {
                *held = fresh;
                self.holds(version).await;
            }
            Err(why) => self
                .tally
                .fail(format!("client {}: v{version}: {why}", self.number)),
        }
    }

    /// Tells the server and the test which version it works with.
    async fn holds(&self, version: u64) {
        let body = json!({ "version": version, "status": "applied" });
        loop {
            let path = format!("/v1/secrets/{PATH}/ack");
            let told = self
                .api()
                .attempt(Method::POST, &path, Some(body.clone()))
                .await;
            match told {
                Ok(reply) if reply.status < 300 => break,
                Ok(reply) if reply.status != 503 => {
                    self.tally
                        .fail(format!("the acknowledgement: {}", reply.text));
                    break;
                }
                // The server is away.
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        let mut holds = self.tally.holds.lock().expect("nobody panics holding it");
        holds.insert(self.number, version);
    }

    async fn query(&mut self, held: &mut Held, turn: usize) {
        self.tally.queries.fetch_add(1, Ordering::Relaxed);
        let Err(first) = held.pool[turn].query().await else {
            return;
        };
        // The protocol: fetch again, reconnect, try once more.
        self.tally.reconnects.fetch_add(1, Ordering::Relaxed);
        let before = held.version;
        let (version, credential) = match self.fetch().await {
            Some(fetched) => fetched,
            None => (held.version, held.credential.clone()),
        };
        let again = match self.open(version, credential).await {
            Ok(fresh) => {
                *held = fresh;
                held.pool[turn].query().await
            }
            Err(why) => Err(why),
        };
        match again {
            Ok(()) if version != before => self.holds(version).await,
            Ok(()) => {}
            Err(then) => self.tally.fail(format!(
                "client {}: v{before}: {first}; again with v{version}: {then}",
                self.number
            )),
        }
    }
}
