//! Subscriptions that are fetched: long poll, acknowledgement, redelivery, a full buffer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::first_integration::{grant, service};
use crate::harness::{Api, Receiver, SOON, Server, eventually};

async fn subscribe(api: &Api, buffer_size: u32) -> String {
    let subscription = api
        .post(
            "/v1/subscriptions",
            json!({
                "name": "poller",
                "paths": ["app/**"],
                "events": ["secret.created", "secret.updated", "secret.deleted"],
                "delivery": { "type": "polling", "buffer_size": buffer_size },
            }),
        )
        .await
        .ok(201);
    assert_eq!(subscription["delivery"]["type"], "polling");
    assert_eq!(subscription["delivery"]["buffer_size"], buffer_size);
    format!(
        "/v1/subscriptions/{}",
        subscription["id"].as_str().expect("an id")
    )
}

async fn poll(api: &Api, subscription: &str, query: &str) -> Vec<Value> {
    let answer = api
        .get(&format!("{subscription}/poll?{query}"))
        .await
        .ok(200);
    assert!(answer["has_more"].is_boolean());
    answer["events"].as_array().expect("events").clone()
}

fn ids(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["event_id"].as_str().expect("an id"))
        .collect()
}

async fn write(api: &Api, path: &str) {
    let reply = api
        .put(
            &format!("/v1/secrets/{path}"),
            json!({ "data": { "k": "v" } }),
        )
        .await;
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_answers_when_something_happens() {
    let server = Server::dev().start().await;
    let root = server.root().clone();
    let subscription = subscribe(&root, 100).await;

    // Nothing yet: an empty list after the timeout, with 200.
    let began = Instant::now();
    assert!(poll(&root, &subscription, "timeout=1").await.is_empty());
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "it waited: {:?}",
        began.elapsed()
    );

    // A poll that is waiting is woken by the event.
    let waiting = tokio::spawn({
        let (root, subscription) = (root.clone(), subscription.clone());
        async move { poll(&root, &subscription, "timeout=60").await }
    });
    write(&root, "other/ignored").await;
    write(&root, "app/one").await;
    let began = Instant::now();
    let events = waiting.await.expect("the poll answers");
    assert!(began.elapsed() < SOON, "long before its own timeout");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["event_type"], "secret.created");
    assert_eq!(events[0]["path"], "app/one");
    assert_eq!(events[0]["data"]["version"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_again_until_they_are_acknowledged() {
    let server = Server::dev().start().await;
    let root = server.root();
    let subscription = subscribe(root, 100).await;
    for path in ["app/one", "app/two", "app/three"] {
        write(root, path).await;
    }
    let events = eventually("three events wait", SOON, async || {
        let events = poll(root, &subscription, "timeout=1").await;
        (events.len() == 3).then_some(events)
    })
    .await;
    let paths: Vec<_> = events.iter().map(|event| event["path"].as_str()).collect();
    assert_eq!(
        paths,
        [Some("app/one"), Some("app/two"), Some("app/three")],
        "in order"
    );

    // Unacknowledged: the same again. A page at a time, or after one of them, too.
    assert_eq!(
        ids(&poll(root, &subscription, "timeout=1").await),
        ids(&events)
    );
    let page = root
        .get(&format!("{subscription}/poll?timeout=1&max_events=2"))
        .await
        .ok(200);
    assert_eq!(
        ids(page["events"].as_array().expect("events")),
        ids(&events)[..2]
    );
    assert_eq!(page["has_more"], true);
    let after = format!("timeout=1&since_event_id={}", ids(&events)[1]);
    assert_eq!(
        ids(&poll(root, &subscription, &after).await),
        ids(&events)[2..]
    );

    // Acknowledged: gone, each by itself, and only once.
    let ack = format!("{subscription}/ack");
    let body = json!({ "event_ids": [ids(&events)[0], ids(&events)[2]] });
    assert_eq!(
        root.post(&ack, body.clone()).await.ok(200)["acknowledged"],
        2
    );
    assert_eq!(root.post(&ack, body).await.ok(200)["acknowledged"], 0);
    assert_eq!(
        ids(&poll(root, &subscription, "timeout=1").await),
        ids(&events)[1..2]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_buffer_drops_the_oldest_and_counts_them() {
    let server = Server::dev().start().await;
    let root = server.root();
    let subscription = subscribe(root, 3).await;
    for number in 1..=5 {
        write(root, &format!("app/n{number}")).await;
    }
    eventually("two events are counted as dropped", SOON, async || {
        let subscription = root.get(&subscription).await.ok(200);
        (subscription["dropped_events"] == 2).then_some(())
    })
    .await;
    let events = poll(root, &subscription, "timeout=1").await;
    let paths: Vec<_> = events.iter().map(|event| event["path"].as_str()).collect();
    assert_eq!(paths, [Some("app/n3"), Some("app/n4"), Some("app/n5")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_its_owners() {
    let server = Server::dev().start().await;
    let root = server.root();
    let subscription = subscribe(root, 10).await;
    let other = service(
        root,
        "sa:curious",
        &["subscriptions:read", "subscriptions:write"],
    )
    .await;
    let poll = other.get(&format!("{subscription}/poll?timeout=1")).await;
    poll.refused(404, "subscription_not_found");
    let ack = other
        .post(&format!("{subscription}/ack"), json!({ "event_ids": [] }))
        .await;
    ack.refused(404, "subscription_not_found");
}

/// A feed obeys the rule of a single read (threat model, D5, D6): what its owner may not see does
/// not reach it, whatever patterns it was made with, and from the moment it may not.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_of_nothing_it_may_not_see() {
    let server = Server::dev().start().await;
    let root = server.root();
    let policy = grant(root, "sa:curious", "app/open/*", &["read", "list"]).await;
    let scopes = [
        "subscriptions:read",
        "subscriptions:write",
        "secrets:read",
        "secrets:list",
    ];
    let curious = service(root, "sa:curious", &scopes).await;
    let subscription = subscribe(&curious, 10).await;
    let receiver = Receiver::start().await;
    let secret = "signing-secret-of-the-curious";
    let sent = json!({
        "name": "sent", "paths": ["**"], "events": ["secret.created"],
        "delivery": { "type": "webhook", "url": receiver.url(), "secret": secret },
    });
    curious.post("/v1/subscriptions", sent).await.ok(201);

    write(root, "app/hidden").await;
    write(root, "app/open/one").await;
    let created = receiver.event("secret.created", &json!({})).await;
    assert_eq!(created.event["path"], "app/open/one");
    created.check_subscription_signature(secret);
    let events = eventually("it hears of what it may see", SOON, async || {
        let events = poll(&curious, &subscription, "timeout=1").await;
        (!events.is_empty()).then_some(events)
    })
    .await;
    let paths: Vec<_> = events.iter().map(|event| event["path"].as_str()).collect();
    assert_eq!(paths, [Some("app/open/one")]);

    // What waits is not handed out any more when the right has gone.
    let patch = json!({ "is_active": false });
    root.patch(&format!("/v1/policies/{policy}"), patch)
        .await
        .ok(200);
    assert_eq!(
        poll(&curious, &subscription, "timeout=1").await,
        Vec::<Value>::new()
    );
    assert_eq!(receiver.received().len(), 1);
}
