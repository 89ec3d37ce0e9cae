//! Credentials on request, made and given back at three nodes while they are killed, cut off from
//! the store and from the target, and the root credential rotates: no account is without a lease, no
//! lease is lost, and all of it can be ended.
//!
//! `SCAIVAULT_DYNAMIC_FAULTS=n` changes how many faults, `SCAIVAULT_DYNAMIC_SEED=n` which.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use scaivault_peers::postgresql::Postgresql;
use scaivault_peers::{FaultProxy, Wire};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cluster::{Cluster, prepare, settings};
use crate::harness::leases::{LEASES, no_strays};
use crate::harness::{Api, eventually, number, text};
use crate::random::Random;

const NODES: usize = 3;
const FAULTS: u64 = 12;
const GENERATORS: u64 = 6;
const ENGINE: &str = "/v1/dynamic/engines/shop";
const CREDS: &str = "/v1/dynamic/engines/shop/creds/reader";
/// Credentials are made again after a fault; all accounts are removed.
const SETTLED: Duration = Duration::from_secs(150);
/// The claim of a node that was killed lapses, and a session of the manager is used for a minute.
const ROTATED: Duration = Duration::from_secs(300);

type HandedOut = Arc<Mutex<Vec<Value>>>;

fn target() -> Postgresql {
    let server = Postgresql::start_with(|_| {
        let mut all = settings();
        all.push("max_connections=300".to_owned());
        all
    });
    server.sql(
        "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int);
         CREATE ROLE manager LOGIN CREATEROLE PASSWORD 'manages';
         GRANT pg_signal_backend, pg_read_all_stats TO manager;
         GRANT USAGE, CREATE ON SCHEMA shop TO manager WITH GRANT OPTION;
         GRANT SELECT ON shop.orders TO manager WITH GRANT OPTION;",
    );
    server
}

async fn engine(root: &Api, port: u16) {
    let manager = json!({ "data": { "username": "manager", "password": "manages" } });
    root.put("/v1/secrets/dynamic/root", manager).await.ok(201);
    let url = format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres");
    let body = json!({
        "name": "shop", "type": "database",
        "config": {
            "plugin": "postgresql", "connection_url": url,
            "root_credentials_path": "dynamic/root",
        },
    });
    root.post("/v1/dynamic/engines", body).await.ok(201);
    let creation = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' \
                    VALID UNTIL '{{expiration}}'; \
                    GRANT USAGE ON SCHEMA shop TO \"{{name}}\"; \
                    GRANT SELECT ON shop.orders TO \"{{name}}\"";
    let role = json!({ "name": "reader", "creation_statements": [creation] });
    root.post(&format!("{ENGINE}/roles"), role).await.ok(201);
}

/// Asks any node for credentials; gives some back at any other, and lets some end by themselves.
async fn generate(nodes: Vec<Api>, mut random: Random, handed_out: HandedOut) {
    loop {
        let fate = random.below(4);
        let body = match fate {
            0 => json!({ "ttl": "5s" }),
            _ => json!({ "ttl": "1h" }),
        };
        let asked = random.of(&nodes).attempt(Method::POST, CREDS, Some(body));
        let Some(reply) = asked.await.ok().filter(|reply| reply.status == 201) else {
            tokio::task::yield_now().await;
            continue;
        };
        let made = reply.ok(201);
        if fate == 1 || fate == 2 {
            let route = format!("{LEASES}/{}/revoke", text(&made, "lease_id"));
            let given_back = random.of(&nodes).attempt(Method::POST, &route, None);
            drop(given_back.await);
        }
        handed_out.lock().expect("no panic in it").push(made);
    }
}

fn at_target(server: &Postgresql) -> BTreeSet<String> {
    let all = server.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v\\_reader\\_%'");
    all.lines().map(ToOwned::to_owned).collect()
}

/// One node is killed, or cut off from the store; or all are cut off from the target.
fn fault(cluster: &mut Cluster, way: &FaultProxy, random: &mut Random) -> String {
    let count = u64::try_from(cluster.nodes.len()).expect("few");
    let node = usize::try_from(random.below(count)).expect("few");
    match random.below(5) {
        0 => {
            way.reset();
            "the target: reset".to_owned()
        }
        1 => {
            let bytes = 500 + random.below(20_000);
            way.cut_after(usize::try_from(bytes).expect("few"));
            format!("the target: reset after {bytes} bytes")
        }
        2 => {
            cluster.proxies[node].set(Wire::Open, Wire::Swallowed);
            format!("the store of {node} answers nothing")
        }
        _ => {
            cluster.nodes[node].kill();
            format!("{node} is killed")
        }
    }
}

async fn heal(cluster: &mut Cluster, way: &FaultProxy) {
    way.heal();
    for proxy in &cluster.proxies {
        proxy.heal();
    }
    for node in &mut cluster.nodes {
        if node.is_gone() {
            node.start();
        }
        node.ready().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_account_is_without_a_lease_whatever_fails() {
    let _alone = crate::alone().await;
    let seed = number("SCAIVAULT_DYNAMIC_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("SCAIVAULT_DYNAMIC_SEED={seed}");
    let mut random = Random::new(seed);
    let store = Postgresql::start_with(|_| settings());
    prepare(&store);
    let target = target();
    let way = FaultProxy::start(target.port());
    let mut cluster = Cluster::start(NODES, store.port(), &[]).await;
    engine(&cluster.root(0), way.port()).await;
    let rotation = cluster
        .root(1)
        .post(&format!("{ENGINE}/rotate-root"), json!({}))
        .await
        .ok(202);

    let handed_out = HandedOut::default();
    let mut generators = JoinSet::new();
    for number in 0..GENERATORS {
        let own = random.fork(number);
        generators.spawn(generate(cluster.roots(), own, Arc::clone(&handed_out)));
    }
    let count = || handed_out.lock().expect("no panic in it").len();
    let more = async |number: usize| {
        let before = count();
        eventually("credentials are made", SETTLED, async || {
            (count() >= before + number).then_some(())
        })
        .await;
    };
    for round in 0..number("SCAIVAULT_DYNAMIC_FAULTS").unwrap_or(FAULTS) {
        more(10).await;
        let what = fault(&mut cluster, &way, &mut random);
        // Not a wait for anything: how long it lasts.
        tokio::time::sleep(Duration::from_millis(random.below(3_000))).await;
        heal(&mut cluster, &way).await;
        println!("{round}: {what}; {} handed out", count());
    }
    more(10).await;
    let root = cluster.root(2);
    let at = format!("/v1/rotations/{}", text(&rotation, "id"));
    let rotated = eventually("the root credential is rotated", ROTATED, async || {
        let rotation = root.get(&at).await.ok(200);
        let phase = text(&rotation, "phase").to_owned();
        assert!(!matches!(&*phase, "parked" | "rolled_back"), "{rotation:#}");
        (phase == "completed").then_some(rotation)
    })
    .await;
    assert!(rotated["new_version"].as_u64().is_some(), "{rotated}");
    more(10).await;
    generators.shutdown().await;

    // What was handed out has its lease, whichever node is asked; what is at the target belongs to one.
    let all = handed_out.lock().expect("no panic in it").clone();
    for (made, node) in all.iter().zip((0..NODES).cycle()) {
        let lease = format!("{LEASES}/{}", text(made, "lease_id"));
        let row = cluster.root(node).get(&lease).await.ok(200);
        assert_eq!(row["account"], made["username"]);
    }
    let leases = no_strays(&root, ENGINE, || at_target(&target)).await;

    root.post_empty(&format!("{ENGINE}/revoke-all"))
        .await
        .ok(202);
    eventually("all accounts are removed", SETTLED, async || {
        at_target(&target).is_empty().then_some(())
    })
    .await;
    let trail = root.get("/v1/audit/verify").await.ok(200);
    assert_eq!(trail["valid"], json!(true), "{trail}");
    for node in &cluster.nodes {
        assert!(!node.log().contains("panicked"), "{}", node.log());
    }
    println!("{} handed out, {leases} leases", all.len());
}
