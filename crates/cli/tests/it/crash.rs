//! `kill -9` at a random moment under load, again and again: what was acknowledged is there,
//! what was returned is audited, what was begun goes on.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::first_integration::versions;
use crate::harness::{Api, Reply, Server, eventually, number};

const WRITERS: u64 = 3;
const READERS: u64 = 3;
/// A worker that was killed holds its work until its claim lapses; so long may it rest.
const CLAIM_LAPSES: Duration = Duration::from_secs(150);
/// The longest a server lives, in milliseconds.
const LIFE_MS: u64 = 500;
const DEFAULT_ROUNDS: u64 = 40;

/// What clients were told, over all rounds.
#[derive(Default)]
struct Told {
    writes: Vec<Chain>,
    /// Request ids of the answers that carried a value.
    reads: Vec<String>,
    rotations: Vec<Rotated>,
}

/// The writes of one path, each made on the one before.
struct Chain {
    path: String,
    acknowledged: u64,
}

/// A rotation somebody was told of.
struct Rotated {
    id: String,
    path: String,
    /// The acknowledged answer, if it was answered from outside.
    answer: Option<Value>,
    /// Whether the server makes the value itself.
    generated: bool,
}

impl Told {
    fn add(&mut self, other: Self) {
        self.writes.extend(other.writes);
        self.reads.extend(other.reads);
        self.rotations.extend(other.rotations);
    }

    /// Keeps the request id of an answer that carried a value.
    fn read(&mut self, reply: &Reply) {
        self.reads.push(reply.header("x-request-id").to_owned());
    }
}

/// A request to a server that may be gone; `None` when it is.
async fn ask(api: &Api, method: Method, path: &str, body: Option<Value>) -> Option<Reply> {
    let reply = api.attempt(method.clone(), path, body).await.ok()?;
    assert!(
        reply.status < 500,
        "{method} {path}: {}: {}",
        reply.status,
        reply.text
    );
    Some(reply)
}

fn value(path: &str, version: u64) -> Value {
    json!({ "value": format!("{path}#{version}"), "padding": "x".repeat(200) })
}

/// Writes one version after the other until the server is gone.
async fn write(api: Api, path: String, latest: Arc<AtomicU64>) -> Told {
    let mut acknowledged = 0;
    loop {
        let next = acknowledged + 1;
        let body = json!({
            "data": value(&path, next),
            "options": { "max_versions": 1000, "cas": acknowledged },
        });
        let target = format!("/v1/secrets/{path}");
        let Some(reply) = ask(&api, Method::PUT, &target, Some(body)).await else {
            break;
        };
        assert!(
            matches!(reply.status, 200 | 201),
            "{target}: {}",
            reply.text
        );
        assert_eq!(reply.body["version"], next, "{target}");
        acknowledged = next;
        latest.store(next, Ordering::SeqCst);
    }
    Told {
        writes: vec![Chain { path, acknowledged }],
        ..Told::default()
    }
}

/// Reads what a writer writes until the server is gone.
async fn read(api: Api, path: String, latest: Arc<AtomicU64>) -> Told {
    let mut told = Told::default();
    loop {
        let at_least = latest.load(Ordering::SeqCst);
        let target = format!("/v1/secrets/{path}");
        let Some(reply) = ask(&api, Method::GET, &target, None).await else {
            return told;
        };
        if reply.status == 404 {
            assert_eq!(at_least, 0, "{path} was acknowledged and is not there");
            continue;
        }
        let version = reply.body["version"].as_u64().expect("a version");
        assert!(
            version >= at_least,
            "{path}: read {version} after {at_least} was acknowledged"
        );
        assert_eq!(reply.body["data"], value(&path, version));
        told.read(&reply);
    }
}

/// Makes secrets and rotates them, each once, until the server is gone.
async fn rotate(api: Api, prefix: String, policy: String, generated: bool) -> Told {
    let mut told = Told::default();
    for number in 0.. {
        let path = format!("{prefix}{number}");
        let target = format!("/v1/secrets/{path}");
        let body = json!({
            "data": value(&path, 1), "options": { "rotation_policy_id": policy },
        });
        let Some(written) = ask(&api, Method::PUT, &target, Some(body)).await else {
            break;
        };
        assert_eq!(written.status, 201, "{target}: {}", written.text);
        told.writes.push(Chain {
            path: path.clone(),
            acknowledged: 1,
        });
        let rotate = format!("{target}/rotate");
        let Some(opened) = ask(&api, Method::POST, &rotate, None).await else {
            break;
        };
        assert_eq!(opened.status, 202, "{rotate}: {}", opened.text);
        let id = opened.body["id"].as_str().expect("an id").to_owned();
        told.rotations.push(Rotated {
            id,
            path: path.clone(),
            answer: None,
            generated,
        });
        if generated {
            continue;
        }
        let answer = value(&path, 2);
        let body = json!({ "data": answer });
        let Some(answered) = ask(&api, Method::PUT, &target, Some(body)).await else {
            break;
        };
        assert_eq!(
            answered.body["is_rotation"], true,
            "{target}: {}",
            answered.text
        );
        told.rotations.last_mut().expect("pushed above").answer = Some(answer);
    }
    told
}

/// One life of the server, from ready to killed; answers with what clients were told.
async fn live(mut server: Server, round: u64, policies: &[String; 2], life: Duration) -> Told {
    let root = server.root().clone();
    let mut clients = tokio::task::JoinSet::new();
    let latest: Vec<_> = (0..WRITERS).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let path = |writer: u64| format!("crash/r{round}/w{writer}");
    let of = |writer: u64| Arc::clone(&latest[usize::try_from(writer).expect("small")]);
    for writer in 0..WRITERS {
        clients.spawn(write(root.clone(), path(writer), of(writer)));
    }
    for reader in 0..READERS {
        let writer = reader % WRITERS;
        clients.spawn(read(root.clone(), path(writer), of(writer)));
    }
    let [generating, waiting] = policies.clone();
    clients.spawn(rotate(
        root.clone(),
        format!("crash/r{round}/auto"),
        generating,
        true,
    ));
    clients.spawn(rotate(
        root.clone(),
        format!("crash/r{round}/event"),
        waiting,
        false,
    ));
    // Not a wait for anything: the random moment of death.
    tokio::time::sleep(life).await;
    server.kill();
    let mut told = Told::default();
    for part in clients.join_all().await {
        told.add(part);
    }
    told
}

/// Everything acknowledged in these chains is there, with its value, and no more than the one
/// write whose answer was lost.
async fn check_writes(root: &Api, told: &mut Told, from: usize) {
    let mut reads = Vec::new();
    for chain in &told.writes[from..] {
        let rotated = told.rotations.iter().any(|one| one.path == chain.path);
        if chain.acknowledged == 0 {
            continue;
        }
        let listed = versions(root, &chain.path).await;
        let numbers: Vec<_> = listed.iter().rev().map(|(number, _)| *number).collect();
        let newest = *numbers.last().expect("at least the acknowledged one");
        assert!(
            numbers.is_sorted_by(|a, b| a < b),
            "{}: {numbers:?}",
            chain.path
        );
        let lost_answers = 1 + u64::from(rotated);
        assert!(
            (chain.acknowledged..=chain.acknowledged + lost_answers).contains(&newest),
            "{}: {newest} versions after {} acknowledged",
            chain.path,
            chain.acknowledged
        );
        for version in 1..=chain.acknowledged {
            let target = format!("/v1/secrets/{}?version={version}", chain.path);
            let reply = root.get(&target).await;
            reads.push(reply.header("x-request-id").to_owned());
            assert_eq!(
                reply.ok(200)["data"],
                value(&chain.path, version),
                "{target}"
            );
        }
    }
    told.reads.extend(reads);
}

/// Every rotation somebody was told of is there and goes on.
async fn check_rotations(root: &Api, told: &mut Told) {
    for rotated in &told.rotations {
        let target = format!("/v1/rotations/{}", rotated.id);
        let done = rotated.generated || rotated.answer.is_some();
        let rotation = eventually("the rotation goes on", CLAIM_LAPSES, async || {
            let rotation = root.get(&target).await.ok(200);
            (!done || rotation["status"] == "success").then_some(rotation)
        })
        .await;
        assert_eq!(rotation["secret_path"], rotated.path.as_str());
        if done {
            assert_eq!(rotation["new_version"], 2, "{rotation}");
        } else {
            // The answer may have been written and its acknowledgement lost.
            let phase = rotation["phase"].as_str().expect("a phase");
            assert!(matches!(phase, "generating" | "draining"), "{rotation}");
        }
        let Some(answer) = &rotated.answer else {
            continue;
        };
        let reply = root.get(&format!("/v1/secrets/{}", rotated.path)).await;
        told.reads.push(reply.header("x-request-id").to_owned());
        assert_eq!(reply.ok(200)["data"], *answer);
    }
}

/// Every answer that carried a value has its row.
async fn check_audit(root: &Api, told: &Told) {
    let mut rows = HashSet::new();
    let mut cursor = String::new();
    loop {
        let page = format!("/v1/audit/logs?action=read&success=true&limit=1000{cursor}");
        let page = root.get(&page).await.ok(200);
        for row in page["logs"].as_array().expect("logs") {
            rows.insert(row["request_id"].as_str().expect("a request id").to_owned());
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let missing = told.reads.iter().filter(|id| !rows.contains(*id)).count();
    assert_eq!(
        missing,
        0,
        "of {} values returned, some have no row",
        told.reads.len()
    );
    let verified = root.get("/v1/audit/verify").await.ok(200);
    assert_eq!(verified["valid"], true, "{verified}");
}

async fn policy(root: &Api, name: &str, auto_generate: bool) -> String {
    let body = json!({
        "name": name, "interval": "90d", "grace_period": "24h", "auto_generate": auto_generate,
    });
    let policy = root.post("/v1/rotation/policies", body).await.ok(201);
    policy["id"].as_str().expect("an id").to_owned()
}

async fn start(data: &Path) -> Server {
    Server::dev().data(data).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_under_load_it_loses_nothing() {
    let rounds = number("SCAIVAULT_CRASH_ROUNDS").unwrap_or(DEFAULT_ROUNDS);
    let seed =
        number("SCAIVAULT_CRASH_SEED").unwrap_or_else(|| RandomState::new().hash_one(rounds));
    println!("{rounds} rounds, SCAIVAULT_CRASH_SEED={seed}");
    let mut random = seed | 1;
    let mut life = || {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        Duration::from_millis(10 + random % LIFE_MS)
    };

    let data = tempfile::tempdir().expect("a temporary directory");
    let mut told = Told::default();
    let mut restarts = Vec::new();
    let mut server = start(data.path()).await;
    let policies = [
        policy(server.root(), "generating", true).await,
        policy(server.root(), "waiting", false).await,
    ];
    for round in 0..rounds {
        let checked = told.writes.len();
        told.add(live(server, round, &policies, life()).await);
        server = start(data.path()).await;
        restarts.push(server.ready_after());
        check_writes(server.root(), &mut told, checked).await;
    }
    // Once more over all of it: no later death undid what an earlier one left.
    let root = server.root();
    let writes: u64 = told.writes.iter().map(|chain| chain.acknowledged).sum();
    check_writes(root, &mut told, 0).await;
    check_rotations(root, &mut told).await;
    check_audit(root, &told).await;
    restarts.sort_unstable();
    println!(
        "{writes} writes, {} reads, {} rotations, none lost; ready after {:?} (median), {:?} (max)",
        told.reads.len(),
        told.rotations.len(),
        restarts[restarts.len() / 2],
        restarts.last().expect("at least one round"),
    );
    server.stop().await;
}
