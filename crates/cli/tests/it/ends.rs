//! Values that end are told of: before, at each threshold, and when they have ended.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cli::{OK, Terminal};
use crate::harness::{Api, Receiver, Server};

const SECRET: &str = "/v1/secrets/app/db";

async fn listen(root: &Api, receiver: &Receiver) {
    let webhook = json!({
        "name": "ends", "url": receiver.url(), "secret": "a-signing-secret-of-this-test",
        "events": ["secret.expiring", "secret.expired"],
    });
    root.post("/v1/webhooks", webhook).await.ok(201);
}

/// Thresholds told of, in order; the end as `end`. What a killed server had sent and not yet noted comes
/// again under the same id: that is one event.
fn told(receiver: &Receiver) -> Vec<String> {
    let mut ids = BTreeSet::new();
    let word = |event: &Value| match event["event_type"].as_str() {
        Some("secret.expired") => "end".to_owned(),
        _ => event["data"]["threshold"]
            .as_str()
            .expect("a threshold")
            .to_owned(),
    };
    receiver
        .received()
        .iter()
        .filter(|received| {
            let id = received.event["event_id"].as_str();
            ids.insert(id.expect("an id").to_owned())
        })
        .map(|received| word(&received.event))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn thresholds_and_the_end_are_told_once_over_a_restart() {
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start().await;
    let mut server = Server::dev().data(data.path()).start().await;
    listen(server.root(), &receiver).await;
    let body = json!({
        "data": { "k": "v" }, "secret_type": "api_key",
        "options": { "expires_in": "1h", "notify_before": "2h,1h30m,3s" },
    });
    let written = server.root().put(SECRET, body).await.ok(201);
    assert_eq!(written["notify_before"], "2h,1h30m,3s");
    // Of those that have passed, the nearest, at once.
    let first = receiver
        .event("secret.expiring", &json!({ "threshold": "1h30m" }))
        .await;
    first.check_envelope();
    assert_eq!(first.event["data"]["days_remaining"], 1);
    assert_eq!(first.event["data"]["expires_at"], written["expires_at"]);
    assert_eq!(first.event["identity_id"], "system:expiry-scheduler");
    server.kill();
    let server = Server::dev().data(data.path()).start().await;
    let root = server.root();
    // A nearer end starts anew.
    let read = root.get(&format!("{SECRET}/metadata")).await.ok(200);
    assert_eq!(read["notify_before"], "2h,1h30m,3s");
    let body = json!({ "data": { "k": "v2" }, "options": { "expires_in": "9s", "notify_before": ["7s"] } });
    root.put(SECRET, body).await.ok(200);
    let expired = receiver
        .event("secret.expired", &json!({ "version": 2 }))
        .await;
    assert_eq!(expired.event["data"]["secret_type"], "api_key");
    root.get(SECRET).await.refused(410, "secret_expired");
    assert_eq!(told(&receiver), ["1h30m", "7s", "end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writer_says_when_and_metadata_changes_it() {
    let server = Server::dev().start().await;
    let root = server.root();
    let receiver = Receiver::start().await;
    listen(root, &receiver).await;
    let terminal = Terminal::new(&server, server.root_token());
    terminal.run(
        "secrets write app/db k=v --expires-in 40d --notify-before 20d,10d",
        OK,
    );
    let metadata = format!("{SECRET}/metadata");
    let read = root.get(&metadata).await.ok(200);
    assert_eq!(read["notify_before"], "20d,10d");
    for (bad, status, code) in [
        (json!("soon"), 400, "invalid_duration"),
        (json!(["1d", "0s"]), 400, "invalid_duration"),
        (json!(vec!["1d"; 11]), 422, "validation_error"),
        (json!(7), 400, "invalid_request"),
    ] {
        root.patch(&metadata, json!({ "notify_before": bad }))
            .await
            .refused(status, code);
    }
    let patched = root
        .patch(&metadata, json!({ "notify_before": null }))
        .await
        .ok(200);
    assert_eq!(patched["notify_before"], "30d,7d,1d");
    // Past thresholds of the same end are not told; an end that comes nearer is.
    let end = &patched["created_at"];
    root.patch(&metadata, json!({ "expires_at": end }))
        .await
        .ok(200);
    receiver
        .event("secret.expired", &json!({ "version": 1 }))
        .await;
    assert_eq!(told(&receiver), ["end"]);
}
