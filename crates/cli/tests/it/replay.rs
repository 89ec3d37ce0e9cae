//! Dead letters over HTTP and by command.

use serde_json::{Value, json};

use crate::harness::server::scaivault;
use crate::harness::{Api, Receiver, SOON, Server, eventually};

async fn webhook(root: &Api, url: &str, more: Value) -> Value {
    let mut body = json!({
        "name": "hook", "url": url, "secret": "sixteen-characters-or-more",
        "events": ["secret.created", "secret.updated"],
    });
    let fields = more.as_object().expect("fields").clone();
    body.as_object_mut().expect("fields").extend(fields);
    root.post("/v1/webhooks", body).await.ok(201)
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_deliveries_are_sent_again_by_range() {
    let server = Server::dev().start().await;
    let root = server.root();
    let receiver = Receiver::start().await;
    let hook = webhook(root, &receiver.url(), json!({ "ordered": "path" })).await;
    assert_eq!(hook["ordered"], "path");
    let one = format!("/v1/webhooks/{}", hook["id"].as_str().expect("an id"));
    for n in 0..3 {
        let body = json!({ "data": { "k": "v" } });
        root.put(&format!("/v1/secrets/app/n{n}"), body)
            .await
            .ok(201);
    }
    let arrived = async |count: usize| {
        eventually("they arrive", SOON, async || {
            (receiver.received().len() == count).then_some(())
        })
        .await;
    };
    let ended = async || {
        eventually("their outcomes are stored", SOON, async || {
            let list = root
                .get(&format!("{one}/deliveries?status=success"))
                .await
                .ok(200);
            (list["deliveries"].as_array().expect("a list").len() == 3).then_some(())
        })
        .await;
    };
    arrived(3).await;
    ended().await;
    let replay = format!("{one}/replay");
    // Nothing is dead.
    let none = root.post_empty(&replay).await.ok(202);
    assert_eq!(
        (&none["matched"], &none["cursor"]),
        (&json!(0), &Value::Null)
    );
    let dead = root
        .get(&format!("{one}/deliveries?status=dead"))
        .await
        .ok(200);
    assert_eq!(dead["deliveries"], json!([]));
    let from = "2020-01-01T00:00:00Z";
    let range = json!({ "status": "success", "from": from, "limit": 2, "dry_run": true });
    let counted = root.post(&replay, range).await.ok(202);
    assert_eq!(counted["matched"], 2);
    assert_eq!(
        (&counted["replayed"], &counted["has_more"]),
        (&json!(0), &json!(true))
    );
    let rest = json!({ "status": "success", "from": from, "cursor": counted["cursor"] });
    let rest = root.post(&replay, rest).await.ok(202);
    assert_eq!(
        (&rest["replayed"], &rest["has_more"]),
        (&json!(1), &json!(false))
    );
    arrived(4).await;
    ended().await;
    let first = receiver.received();
    assert_eq!(
        first[3].event["event_id"], first[2].event["event_id"],
        "the last one again"
    );

    // The same by command, to the end of the range.
    let id = hook["id"].as_str().expect("an id");
    let run = |more: &[&str]| {
        let mut command = scaivault(server.home());
        command.env("SCAIVAULT_URL", server.url());
        command.env("SCAIVAULT_TOKEN", server.root_token());
        command.args([
            "--json", "webhook", "replay", id, "--status", "success", "--from", "1d",
        ]);
        let done = command.args(more).output().expect("the command runs");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        serde_json::from_slice::<Value>(&done.stdout).expect("JSON")
    };
    assert_eq!(run(&["--dry-run"])["matched"], 3);
    assert_eq!(run(&["--event", "secret.updated"])["replayed"], 0);
    assert_eq!(run(&[])["replayed"], 3);
    arrived(7).await;
    let rows = root
        .get("/v1/audit/logs?action=webhook_replay")
        .await
        .ok(200);
    let rows = rows["logs"].as_array().expect("rows").clone();
    let counts: Vec<_> = rows
        .iter()
        .map(|row| row["extra_data"]["count"].clone())
        .collect();
    assert_eq!(counts, [json!(3), json!(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_says_what_is_wrong_with_it() {
    let server = Server::dev().start().await;
    let root = server.root();
    let receiver = Receiver::start().await;
    let hook = webhook(root, &receiver.url(), json!({})).await;
    let id = hook["id"].as_str().expect("an id");
    let replay = format!("/v1/webhooks/{id}/replay");
    for (body, field) in [
        (json!({ "status": "success" }), "from"),
        (json!({ "status": "pending" }), "status"),
        (json!({ "limit": 0 }), "limit"),
        (json!({ "from": "yesterday" }), "from"),
        (
            json!({ "from": "2026-01-02T00:00:00Z", "to": "2026-01-02T00:00:00Z" }),
            "to",
        ),
        (json!({ "events": ["secret.exploded"] }), "events"),
    ] {
        let error = root
            .post(&replay, body)
            .await
            .refused(422, "validation_error");
        assert!(error["details"]["fields"][field].is_string(), "{error}");
    }
    let cursor = json!({ "cursor": "x" });
    root.post(&replay, cursor)
        .await
        .refused(400, "invalid_cursor");
    root.post_empty("/v1/webhooks/wh_1/replay")
        .await
        .refused(404, "webhook_not_found");
    let bad = json!({ "ordered": "yes" });
    let patched = root.patch(&format!("/v1/webhooks/{id}"), bad).await;
    patched.refused(422, "validation_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_says_how_long_it_lives_unread() {
    let server = Server::dev().start().await;
    let root = server.root();
    let body = |ttl: &str| {
        json!({
            "name": "feed", "paths": ["**"], "events": ["secret.created"],
            "delivery": { "type": "polling" }, "ttl": ttl,
        })
    };
    let made = root.post("/v1/subscriptions", body("2h")).await.ok(201);
    assert_eq!(made["ttl"], "2h");
    assert!(made["ends_unread_at"].is_string() && made["last_read_at"].is_null());
    let one = format!("/v1/subscriptions/{}", made["id"].as_str().expect("an id"));
    root.get(&format!("{one}/poll?timeout=0")).await.ok(200);
    let read = root.get(&one).await.ok(200);
    assert!(read["last_read_at"].is_string(), "{read}");
    let changed = root.patch(&one, json!({ "ttl": "3d" })).await.ok(200);
    assert_eq!(changed["ttl"], "3d");
    root.post("/v1/subscriptions", body("5m"))
        .await
        .refused(422, "validation_error");
    root.post("/v1/subscriptions", body("long"))
        .await
        .refused(400, "invalid_duration");
}
