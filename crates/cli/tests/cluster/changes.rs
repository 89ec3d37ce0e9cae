//! What one node is told holds on another within a second, with notifications and without.

use std::time::{Duration, Instant};

use scaivault_peers::postgresql::Postgresql;
use serde_json::{Value, json};

use crate::cluster::{Cluster, prepare, settings};
use crate::harness::{Api, SOON, eventually};
use crate::record::HOLDS_AFTER;

const PATH: &str = "/v1/secrets/app/db";

/// How long after this moment, that of the acknowledgement, somebody asked who was still answered
/// otherwise. However long answers take: the promise is about when was asked.
async fn holds_after(what: &str, mut probe: impl AsyncFnMut() -> bool) -> Duration {
    let (began, mut stale) = (Instant::now(), Duration::ZERO);
    eventually(what, SOON, async || {
        let asked = began.elapsed();
        let holds = probe().await;
        if !holds {
            stale = asked;
        }
        holds.then_some(())
    })
    .await;
    assert!(stale < HOLDS_AFTER, "{what}: not {stale:?} later");
    stale
}

fn text(of: &Value, field: &str) -> String {
    of[field].as_str().expect("a text").to_owned()
}

/// Each kind of change at one node, seen at the other, whose memory is warm.
async fn each_change_holds(here: &Api, there: &Api) -> Duration {
    let put = async |value: &str| {
        let body = json!({ "data": { "k": value } });
        assert!(here.put(PATH, body).await.status < 300);
    };
    put("v0").await;
    let policy = json!({
        "name": "app", "rules": [{ "path_pattern": "app/db", "permissions": ["read"] }],
    });
    let policy = here.post("/v1/policies", policy).await.ok(201);
    let bindings = format!("/v1/policies/{}/bindings", text(&policy, "id"));
    let mut worst = Duration::ZERO;
    for round in 0..6 {
        let who = format!("sa:app-{round}");
        let token = json!({
            "identity_type": "service_account", "identity_id": who,
            "scopes": ["secrets:read"], "ttl": "1d",
        });
        let token = here.post("/v1/auth/tokens", token).await.ok(201);
        let reader = there.with_token(&text(&token, "token"));
        let status = async || reader.get(PATH).await.status;
        let mut holds = async |what: &str, expect: u16| {
            let took = holds_after(what, async || status().await == expect).await;
            worst = worst.max(took);
            // It stays so, and is remembered so.
            for _ in 0..3 {
                assert_eq!(status().await, expect, "{what}");
            }
        };
        holds("a token that was made", 403).await;
        let binding = json!({ "identity_type": "service_account", "identity_id": who });
        let binding = here.post(&bindings, binding).await.ok(201);
        holds("a binding that was made", 200).await;
        let value = format!("v{}", round + 1);
        put(&value).await;
        let took = holds_after("a value that was written", async || {
            reader.get(PATH).await.ok(200)["data"]["k"] == value.as_str()
        })
        .await;
        worst = worst.max(took);
        let mut holds = async |what: &str, expect: u16| {
            let took = holds_after(what, async || status().await == expect).await;
            worst = worst.max(took);
        };
        let unbind = format!("{bindings}/{}", text(&binding, "id"));
        assert!(here.delete(&unbind).await.status < 300);
        holds("a binding that was taken", 403).await;
        let revoke = format!("/v1/auth/tokens/{}", text(&token, "id"));
        assert!(here.delete(&revoke).await.status < 300);
        holds("a token that was revoked", 401).await;
    }
    worst
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_node_is_told_holds_on_the_other_within_a_second() {
    let _alone = crate::alone().await;
    let server = Postgresql::start_with(|_| settings());
    prepare(&server);
    let cluster = Cluster::start(2, server.port(), &[]).await;
    let worst = each_change_holds(&cluster.root(0), &cluster.root(1)).await;
    println!("held after {worst:?} at most");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_does_so_without_notifications() {
    let _alone = crate::alone().await;
    let server = Postgresql::start_with(|_| settings());
    prepare(&server);
    let cluster = Cluster::start(2, server.port(), &[]).await;
    for proxy in &cluster.proxies {
        proxy.deafen();
        proxy.reset();
    }
    for root in cluster.roots() {
        eventually("the node has connected again", SOON, async || {
            let ready = root.anonymous().get("/v1/health/ready").await;
            (ready.status == 200).then_some(())
        })
        .await;
    }
    let worst = each_change_holds(&cluster.root(0), &cluster.root(1)).await;
    println!("held after {worst:?} at most, deaf");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_polls_one_node_hears_promptly_of_what_another_is_told() {
    let _alone = crate::alone().await;
    let server = Postgresql::start_with(|_| settings());
    prepare(&server);
    let cluster = Cluster::start(2, server.port(), &[]).await;
    let (here, there) = (cluster.root(0), cluster.root(1));
    let subscription = json!({
        "name": "poller", "paths": ["app/**"],
        "events": ["secret.created", "secret.updated"],
        "delivery": { "type": "polling", "buffer_size": 100 },
    });
    let subscription = here.post("/v1/subscriptions", subscription).await.ok(201);
    let of = format!("/v1/subscriptions/{}", text(&subscription, "id"));
    let mut quickest = Duration::MAX;
    for round in 0..3 {
        let waiting = tokio::spawn({
            let (there, of) = (there.clone(), of.clone());
            async move { there.get(&format!("{of}/poll?timeout=60")).await.ok(200) }
        });
        // The node has it in hand, and is done with what it looks up first when it has looked up
        // all of this for another.
        let polls = r#"scaivault_active_requests{path_category="subscriptions_poll"} 1"#;
        eventually("the poll waits", SOON, async || {
            let metrics = there.get("/v1/metrics").await;
            metrics.text.contains(polls).then_some(())
        })
        .await;
        for _ in 0..20 {
            there.get(&format!("{of}/poll?timeout=0")).await.ok(200);
        }
        assert!(!waiting.is_finished(), "it does not wait");
        let body = json!({ "data": { "k": round } });
        assert!(here.put(PATH, body).await.status < 300);
        let began = Instant::now();
        let events = waiting.await.expect("it answers");
        let took = began.elapsed();
        println!("heard after {took:?}");
        // It was woken: by itself it looks again after a minute.
        assert!(took < SOON, "{took:?}");
        quickest = quickest.min(took);
        let events = events["events"].as_array().expect("events");
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["path"], "app/db", "{events:?} of round {round}");
        let ids = json!({ "event_ids": [events[0]["event_id"]] });
        here.post(&format!("{of}/ack"), ids).await.ok(200);
    }
    // On a busy machine one of them may have to wait for its turn.
    assert!(quickest < HOLDS_AFTER, "{quickest:?}");
}
