//! A node that is paused beyond its claim, in the middle of a step at a target, does no harm when
//! it wakes: another has done the work, and what the sleeper finishes counts for nothing.

use std::sync::Arc;
use std::time::Duration;

use scaivault_peers::postgresql::Postgresql;
use serde_json::json;

use crate::client::Client;
use crate::cluster::{Cluster, prepare, settings};
use crate::harness::{SOON, eventually};
use crate::random::Random;
use crate::record::Record;
use crate::rotated::{self, Rotated};

/// A claim lapses after a minute; the work of another after that.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(150);
/// Leftovers are looked for now and then.
const CLEARED_MAX: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_paused_beyond_its_claim_does_no_harm_when_it_wakes() {
    let _alone = crate::alone().await;
    let server = Postgresql::start_with(|_| settings());
    prepare(&server);
    let mut cluster = Cluster::start(2, server.port(), &[]).await;
    let record = Arc::new(Record::default());
    let mut root = Client::new(vec![cluster.root(0)], Random::new(1), record);
    let at = Rotated::prepare(&mut root).await;
    let path = &at.key_paths[0];
    let of = format!("/v1/secrets/{path}");
    let token = rotated::consumer(&mut root, path).await;
    let before = cluster.root(0).get(&of).await.ok(200);

    // Only the first one is there to begin it, and sleeps while the service mints its key.
    cluster.nodes[1].kill();
    at.keys.hold(true);
    let opened = cluster.root(0).post_empty(&format!("{of}/rotate")).await;
    let id = opened.ok(202)["id"].as_str().expect("an id").to_owned();
    eventually("a key is asked for", SOON, async || {
        (at.keys.holding() == 1).then_some(())
    })
    .await;
    cluster.nodes[0].pause(true);
    at.keys.hold(false);

    cluster.nodes[1].start();
    cluster.nodes[1].ready().await;
    let other = cluster.root(1);
    let shown = format!("/v1/rotations/{id}");
    let reader = other.with_token(&token);
    let read = async || reader.get(&of).await.ok(200);
    eventually("the other takes over", TAKEN_OVER_MAX, async || {
        let rotation = other.get(&shown).await.ok(200);
        (!rotation["promoted_at"].is_null()).then_some(())
    })
    .await;
    let after = read().await;
    assert_ne!(before["data"]["api_key"], after["data"]["api_key"]);

    // The key of the first one is minted now, long after; then it wakes and hears of it.
    at.keys.release();
    cluster.nodes[0].pause(false);
    eventually("both serve the same", SOON, async || {
        let here = cluster.root(0).get(&of).await;
        assert!(matches!(here.status, 200 | 503), "{}", here.text);
        (here.body["data"] == after["data"]).then_some(())
    })
    .await;
    eventually(
        "it completes and nothing is left",
        CLEARED_MAX,
        async || {
            let rotation = other.get(&shown).await.ok(200);
            let key = read().await["data"]["api_key"].clone();
            assert_eq!(key, after["data"]["api_key"], "readers lost their key");
            let key = key.as_str().expect("a key");
            assert!(at.keys.accepts(key), "readers' key was revoked");
            let living = at.keys.living();
            // The other two secrets' keys were not touched.
            let only = living.len() == at.key_paths.len();
            (rotation["phase"] == "completed" && only).then_some(())
        },
    )
    .await;
    assert_eq!(at.keys.minted_twice(), [""; 0]);
    let versions = other.get(&format!("{of}/versions")).await.ok(200);
    assert_eq!(versions["versions"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        other.get("/v1/audit/verify").await.ok(200)["valid"],
        json!(true)
    );
}
