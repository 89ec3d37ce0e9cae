//! A node that cannot reach the store cannot know what holds: it refuses, also what it has in
//! memory, and goes on by itself when it can.

use std::time::{Duration, Instant};

use scaivault_peers::postgresql::Postgresql;
use scaivault_peers::{FaultProxy, Wire};
use serde_json::json;

use crate::cluster::{Cluster, prepare, settings};
use crate::harness::{Api, SOON, eventually};

/// Within this a node that gets no answer says so.
const REFUSED_WITHIN: Duration = Duration::from_secs(25);
const PATH: &str = "/v1/secrets/app/db";
/// Values, in words that no message has.
const BEFORE: &str = "vq8-before-the-cut";
const AFTER: &str = "vq8-after-the-cut";

fn cut(proxy: &FaultProxy, which: usize) {
    match which {
        0 => proxy.cut(),
        1 => proxy.set(Wire::Held, Wire::Open),
        2 => proxy.set(Wire::Open, Wire::Held),
        _ => proxy.set(Wire::Swallowed, Wire::Swallowed),
    }
}

async fn value(root: &Api) -> String {
    let read = root.get(PATH).await.ok(200);
    read["data"]["k"].as_str().expect("a value").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_is_cut_off_refuses_what_it_has_in_memory() {
    let _alone = crate::alone().await;
    let server = Postgresql::start_with(|_| settings());
    prepare(&server);
    let cluster = Cluster::start(5, server.port(), &[]).await;
    let roots = cluster.roots();
    let put = async |value: &str| {
        let body = json!({ "data": { "k": value } });
        let reply = roots[4].put(PATH, body).await;
        assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
    };
    put(BEFORE).await;
    for root in &roots {
        for _ in 0..3 {
            assert_eq!(value(root).await, BEFORE);
        }
    }
    for which in 0..4 {
        cut(&cluster.proxies[which], which);
    }
    let began = Instant::now();
    // What one node is told now, the others cannot know.
    put(AFTER).await;
    // Within a second they know that.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut refusals = tokio::task::JoinSet::new();
    for (which, root) in roots[..4].iter().cloned().enumerate() {
        refusals.spawn(async move {
            let asked = Instant::now();
            let read = root.get(PATH).await;
            assert!(!read.text.contains(BEFORE), "cut {which}: {}", read.text);
            let error = read.refused(503, "service_unavailable");
            let took = asked.elapsed();
            assert!(took < REFUSED_WITHIN, "cut {which}: {took:?}");
            println!("cut {which}: {} after {took:.1?}", error["message"]);
            // Neither does it write, nor claim to be ready.
            let body = json!({ "data": { "k": "lost" } });
            let write = root.put("/v1/secrets/app/other", body).await;
            write.refused(503, "service_unavailable");
            let ready = root.anonymous().get("/v1/health/ready").await;
            assert_eq!(ready.status, 503, "cut {which}: {}", ready.text);
        });
    }
    while let Some(refused) = refusals.join_next().await {
        refused.expect("it refuses");
    }
    assert_eq!(value(&roots[4]).await, AFTER);
    for proxy in &cluster.proxies {
        proxy.heal();
    }
    for (which, root) in roots[..4].iter().enumerate() {
        let healed = Instant::now();
        let what = format!("cut {which} is over");
        eventually(&what, SOON * 2, async || {
            let read = root.get(PATH).await;
            assert!(!read.text.contains(BEFORE), "cut {which}: {}", read.text);
            (read.status == 200).then_some(())
        })
        .await;
        println!("cut {which} is over after {:.1?}", healed.elapsed());
        assert_eq!(value(root).await, AFTER);
        let body = json!({ "data": { "which": which } });
        eventually("it writes again", SOON * 2, async || {
            let to = format!("/v1/secrets/app/after{which}");
            let wrote = root.put(&to, body.clone()).await;
            (wrote.status < 300).then_some(())
        })
        .await;
    }
    let verified = roots[0].get("/v1/audit/verify").await.ok(200);
    assert_eq!(verified["valid"], true, "{verified}");
    println!("{:.1?} in all", began.elapsed());
}

/// A gateway that forgets its connections, or a server that hangs: nobody is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_died_without_a_word_are_replaced() {
    let _alone = crate::alone().await;
    let server = Postgresql::start_with(|_| settings());
    prepare(&server);
    let cluster = Cluster::start(1, server.port(), &[]).await;
    let root = cluster.root(0);
    let body = json!({ "data": { "k": BEFORE } });
    root.put(PATH, body).await.ok(201);
    assert_eq!(value(&root).await, BEFORE);
    cluster.proxies[0].hang();
    let began = Instant::now();
    eventually("it reads and writes again", SOON * 2, async || {
        let body = json!({ "data": { "k": AFTER } });
        let wrote = root.put(PATH, body).await;
        assert!(matches!(wrote.status, 200 | 503), "{}", wrote.text);
        let read = root.get(PATH).await;
        (wrote.status == 200 && read.status == 200).then_some(())
    })
    .await;
    println!("again after {:.1?}", began.elapsed());
    assert_eq!(value(&root).await, AFTER);
    let verified = root.get("/v1/audit/verify").await.ok(200);
    assert_eq!(verified["valid"], true, "{verified}");
}
