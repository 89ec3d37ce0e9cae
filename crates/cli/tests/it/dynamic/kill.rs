//! The server is killed again and again while credentials are made: no account is without a lease,
//! no lease is lost, and nothing of others is touched.
//!
//! `SCAIVAULT_DYNAMIC_KILLS=n` changes how often, `SCAIVAULT_DYNAMIC_SEED=n` the moments.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{CREDS, ENGINE, LEASES, Pg, engine, text};
use crate::harness::leases::no_strays;
use crate::harness::{Api, Server, eventually, number};

const KILLS: u64 = 12;
const GENERATORS: usize = 8;
/// Of somebody else, though it looks like one of ours.
const FOREIGN: &str = "v_reader_abcdefgabcdefghijabc";
const LIVED_LONG: Duration = Duration::from_secs(120);

async fn start(data: &Path) -> Server {
    Server::dev().data(data).start().await
}

fn at_target(pg: &Pg) -> BTreeSet<String> {
    let all =
        pg.0.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v\\_reader\\_%'");
    all.lines().map(ToOwned::to_owned).collect()
}

/// Asks for credentials and gives every other one back, wherever the server is.
async fn generate(api: watch::Receiver<Api>, handed_out: Arc<Mutex<Vec<Value>>>) {
    let mut gives_back = false;
    loop {
        let now = api.borrow().clone();
        let Ok(reply) = now.attempt(Method::POST, CREDS, None).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if reply.status != 201 {
            continue;
        }
        let made = reply.ok(201);
        if gives_back {
            let route = format!("{LEASES}/{}/revoke", text(&made, "lease_id"));
            drop(now.attempt(Method::POST, &route, None).await);
        }
        gives_back = !gives_back;
        handed_out.lock().expect("no panic in it").push(made);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_account_is_without_a_lease_whenever_the_server_is_killed() {
    let pg = Pg::start();
    pg.0.sql(&format!("CREATE ROLE {FOREIGN} LOGIN PASSWORD 'not-ours'"));
    let data = tempfile::tempdir().expect("a directory");
    let mut server = start(data.path()).await;
    engine(server.root(), &pg).await;
    let seed = number("SCAIVAULT_DYNAMIC_SEED").unwrap_or_else(|| RandomState::new().hash_one(1));
    println!("SCAIVAULT_DYNAMIC_SEED={seed}");
    let mut random = seed | 1;
    let api = watch::Sender::new(server.root().clone());
    let handed_out = Arc::new(Mutex::new(Vec::new()));
    let mut generators = JoinSet::new();
    for _ in 0..GENERATORS {
        generators.spawn(generate(api.subscribe(), handed_out.clone()));
    }
    for round in 0..number("SCAIVAULT_DYNAMIC_KILLS").unwrap_or(KILLS) {
        let before = handed_out.lock().expect("no panic in it").len();
        eventually("credentials are made again", LIVED_LONG, async || {
            (handed_out.lock().expect("no panic in it").len() > before + 3).then_some(())
        })
        .await;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Not a wait for anything: the moment of death.
        tokio::time::sleep(Duration::from_millis(random % 300)).await;
        server.kill();
        server = start(data.path()).await;
        api.send_replace(server.root().clone());
        println!(
            "killed {}: {} handed out",
            round + 1,
            handed_out.lock().expect("no panic in it").len()
        );
    }
    generators.shutdown().await;
    let root = server.root();

    // What was handed out has its lease, and what is at the target belongs to one.
    let all = handed_out.lock().expect("no panic in it").clone();
    for made in all {
        let row = root
            .get(&format!("{LEASES}/{}", text(&made, "lease_id")))
            .await
            .ok(200);
        assert_eq!(row["account"], made["username"]);
    }
    let ours = || {
        let mut all = at_target(&pg);
        assert!(all.remove(FOREIGN));
        all
    };
    let leases = no_strays(root, ENGINE, ours).await;
    // All of it can be ended.
    root.post_empty(&format!("{ENGINE}/revoke-all"))
        .await
        .ok(202);
    eventually("all accounts are removed", LIVED_LONG, async || {
        (at_target(&pg) == BTreeSet::from([FOREIGN.to_owned()])).then_some(())
    })
    .await;
    println!(
        "{} handed out, {} leases",
        handed_out.lock().expect("no panic in it").len(),
        leases
    );
}
