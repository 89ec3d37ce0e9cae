//! The root credential rotates while credentials are made under it, and not one fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{CREDS, Cache, ENGINE, LEASES, Maria, Pg, ROOT, Target, engine, text};
use crate::harness::{Server, eventually};

const GENERATORS: usize = 4;
const ROTATIONS: usize = 2;
/// A session of the manager that began before its readers had the new password is used for a
/// minute at most, and looked for now and then.
const ROTATED: Duration = Duration::from_secs(150);

async fn root_rotates(target: Arc<dyn Target>) {
    let server = Server::dev().start().await;
    let root = server.root();
    engine(root, &*target).await;
    let (made, failures) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(Mutex::new(Vec::new())),
    );
    let mut generators = JoinSet::new();
    for _ in 0..GENERATORS {
        let (api, made, failures) = (root.clone(), made.clone(), failures.clone());
        generators.spawn(async move {
            loop {
                let reply = api.post_empty(CREDS).await;
                if reply.status != 201 {
                    failures.lock().expect("no panic in it").push(reply.text);
                    continue;
                }
                let id = text(&reply.ok(201), "lease_id").to_owned();
                let ended = api.post_empty(&format!("{LEASES}/{id}/revoke")).await;
                if ended.status != 202 {
                    failures.lock().expect("no panic in it").push(ended.text);
                }
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for round in 0..ROTATIONS {
        let stored = async || {
            let read = root.get(&format!("/v1/secrets/{ROOT}?reason=test")).await;
            read.ok(200)["data"]["password"].clone()
        };
        // Its reader is waited for, as any: this one reads none before the end.
        let before = made.load(Ordering::Relaxed);
        let begun = root
            .post(&format!("{ENGINE}/rotate-root"), json!({}))
            .await
            .ok(202);
        let id = begun["rotation_id"]
            .as_str()
            .or(begun["id"].as_str())
            .expect("an id")
            .to_owned();
        // Shown when the test fails: where it was waiting.
        let seen = Mutex::new(Value::Null);
        let done = eventually("the root credential is rotated", ROTATED, async || {
            let rotation = root.get(&format!("/v1/rotations/{id}")).await.ok(200);
            let phase = text(&rotation, "phase").to_owned();
            if *seen.lock().expect("no panic in it") != rotation {
                eprintln!("{rotation:#}");
                seen.lock().expect("no panic in it").clone_from(&rotation);
            }
            assert!(!matches!(&*phase, "parked" | "rolled_back"), "{rotation:#}");
            (phase == "completed").then_some(rotation)
        })
        .await;
        assert!(done["new_version"].as_u64().is_some(), "{done}");
        let more = made.load(Ordering::Relaxed) - before;
        assert!(more > 5, "round {round}: only {more} were made meanwhile");
        let failed = failures.lock().expect("no panic in it").clone();
        assert!(failed.is_empty(), "round {round}: {failed:#?}");
        if round + 1 == ROTATIONS {
            let (name, first) = target.manager();
            let password = stored().await;
            let password = password.as_str().expect("a password");
            assert_ne!(password, first);
            assert!(target.works(name, password), "the new one");
            assert!(!target.works(name, first), "the first one is refused");
        }
    }
    generators.shutdown().await;
    let policies = root.get("/v1/rotation/policies").await.ok(200);
    assert_eq!(policies["data"][0]["name"], "engine-roots", "{policies}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_of_postgresql_rotates_under_load() {
    root_rotates(Arc::new(Pg::start())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_of_mariadb_rotates_under_load() {
    root_rotates(Arc::new(Maria::start())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_of_redis_rotates_under_load() {
    root_rotates(Arc::new(Cache::start())).await;
}
