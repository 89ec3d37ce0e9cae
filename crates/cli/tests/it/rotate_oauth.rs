//! The second journey: an OAuth credential is rotated by a receiver that is a process of its
//! own, and everything that can go wrong around it.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::first_integration::{attach, grant, service, service_token, versions};
use crate::harness::receiver::hmac_sha256;
use crate::harness::server::printed_url;
use crate::harness::{Api, Process, Receiver, SOON, Server, eventually};

const PATH: &str = "integrations/salesforce/oauth";
const ROTATOR: &str = "sa:oauth-rotator";
const WEBHOOK_SECRET: &str = "webhook-signing-secret-of-these-tests";

/// `examples/oauth-rotator/receiver.py`, running.
struct Rotator {
    process: Process,
    url: String,
}

impl Rotator {
    async fn start(server: &Server, token: &str) -> Self {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/oauth-rotator/receiver.py");
        let mut command = Command::new("python3");
        command
            .arg(script)
            .args(["--port", "0"])
            .env("SCAIVAULT_URL", server.url())
            .env("SCAIVAULT_TOKEN", token)
            .env("WEBHOOK_SECRET", WEBHOOK_SECRET);
        let mut process = Process::start("receiver.py", command);
        let url = printed_url(&mut process, "\"listening\": \"http://").await;
        let url = url
            .replace("\"http://", "http://")
            .trim_end_matches(['"', '}'])
            .to_owned();
        Self { process, url }
    }

    /// What it noted so far.
    fn notes(&self) -> Vec<Value> {
        let lines = self.process.stdout();
        lines
            .iter()
            .map(|line| serde_json::from_str(line).expect("JSON lines"))
            .collect()
    }

    /// The first note with this action about this type of event, once it is there.
    async fn noted(&self, action: &str, event_type: &str) -> Value {
        eventually(
            &format!("the receiver notes {action} {event_type}"),
            SOON,
            async || {
                self.notes()
                    .into_iter()
                    .find(|note| note["action"] == action && note["event_type"] == event_type)
            },
        )
        .await
    }
}

fn credential(client_secret: &str) -> Value {
    json!({ "client_id": "oauth-app-1", "client_secret": client_secret })
}

async fn webhook(root: &Api, name: &str, url: &str, events: &[&str]) -> String {
    let webhook = root
        .post(
            "/v1/webhooks",
            json!({
                "name": name,
                "url": url,
                "secret": WEBHOOK_SECRET,
                "events": events,
                "filters": { "path_prefix": "integrations/" },
            }),
        )
        .await
        .ok(201);
    assert!(
        !webhook.to_string().contains(WEBHOOK_SECRET),
        "the secret is write-only"
    );
    let id = webhook["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("wh_"), "{id}");
    id
}

/// A rotation policy that waits for somebody to write the new value.
async fn event_driven(
    root: &Api,
    name: &str,
    interval: &str,
    warn: Value,
    webhooks: &[&str],
) -> Value {
    let policy = root
        .post(
            "/v1/rotation/policies",
            json!({
                "name": name,
                "interval": interval,
                "grace_period": "3s",
                "warn_before": warn,
                "auto_generate": false,
                "webhook_ids": webhooks,
            }),
        )
        .await
        .ok(201);
    assert_eq!(policy["webhook_ids"], json!(webhooks));
    policy
}

async fn put(api: &Api, client_secret: &str) -> Value {
    let body = json!({ "data": credential(client_secret) });
    let reply = api.put(&format!("/v1/secrets/{PATH}"), body).await;
    let status = if reply.body["version"] == 1 { 201 } else { 200 };
    reply.ok(status)
}

/// Fires `rotation.due` for [`PATH`]; answers with the rotation.
async fn rotate_now(root: &Api, policy: &Value) -> Value {
    let id = policy["id"].as_str().expect("an id");
    let reply = root
        .post(
            &format!("/v1/rotation/policies/{id}/rotate"),
            json!({ "secret_paths": [PATH] }),
        )
        .await;
    assert!(matches!(reply.status, 200 | 202), "{}", reply.text);
    let items = reply
        .body
        .as_array()
        .expect("an array of rotations")
        .clone();
    assert_eq!(items.len(), 1, "{items:?}");
    assert_eq!(items[0]["secret_path"], PATH);
    items[0].clone()
}

async fn deliveries(root: &Api, webhook: &str) -> Vec<Value> {
    let list = root
        .get(&format!("/v1/webhooks/{webhook}/deliveries"))
        .await
        .ok(200);
    list["deliveries"].as_array().expect("deliveries").clone()
}

/// Seconds since the epoch of an RFC 3339 time in UTC, as far as differences go.
fn seconds(at: &Value) -> f64 {
    let text = at.as_str().expect("a time");
    let day: f64 = text[8..10].parse().expect("a day");
    let clock = text[11..].trim_end_matches('Z').split(':');
    let clock = clock.map(|part| part.parse::<f64>().expect("a number"));
    day * 86_400.0 + clock.fold(0.0, |sum, part| sum * 60.0 + part)
}

/// Whether `later` is `wait` seconds after `earlier`, up to one second of rounding (and over
/// the end of a month, where this arithmetic knows nothing).
#[track_caller]
fn assert_after(later: &Value, earlier: &Value, wait: f64) {
    let difference = seconds(later) - seconds(earlier);
    assert!(
        (difference - wait).abs() <= 1.0 || difference < 0.0,
        "{earlier} → {later}: not {wait}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_answers_the_due_rotation() {
    let server = Server::dev().start().await;
    let root = server.root();

    // The rotator may read, write and rotate this one path; a consumer may read it.
    grant(root, ROTATOR, PATH, &["read", "write", "rotate"]).await;
    let scopes = ["secrets:read", "secrets:write", "secrets:rotate"];
    let token = service_token(root, ROTATOR, &scopes).await;
    let rotator = Rotator::start(&server, token["token"].as_str().expect("a token")).await;
    grant(root, "sa:billing", PATH, &["read"]).await;
    let billing = service(root, "sa:billing", &["secrets:read"]).await;

    // The webhook, and its test: synchronous, with what the receiver answered.
    let hook = webhook(
        root,
        "oauth",
        &rotator.url,
        &["rotation.due", "secret.rotated"],
    )
    .await;
    let test = root
        .post_empty(&format!("/v1/webhooks/{hook}/test"))
        .await
        .ok(200);
    assert!(
        test["delivery_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("del_")),
        "{test}"
    );
    assert_eq!(test["status"], "success");
    assert_eq!(test["response_code"], 200);
    assert!(test["duration_ms"].is_u64());
    let noted = rotator.noted("noted", "webhook.test").await;
    assert!(
        noted["event_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("evt_"))
    );

    // The secret under its policy.
    assert_eq!(put(root, "first").await["version"], 1);
    let policy = event_driven(root, "oauth-90d", "90d", json!("7d,1d"), &[&hook]).await;
    assert_eq!(policy["warn_before"], "7d,1d");
    assert_eq!(policy["interval_seconds"], 7_776_000);
    attach(root, &policy, PATH).await;
    let before = billing.get(&format!("/v1/secrets/{PATH}")).await.ok(200);
    assert_eq!(
        (&before["version"], &before["data"]),
        (&json!(1), &credential("first"))
    );

    // Rotate now: the receiver gets the event, mints, writes back; the write is the answer.
    let rotation = rotate_now(root, &policy).await;
    let rotated = rotator.noted("rotated", "rotation.due").await;
    assert_eq!(rotated["path"], PATH);
    assert_eq!(rotated["data"]["due_now"], true);
    assert_eq!(rotated["data"]["current_version"], 1);
    assert_eq!(rotated["data"]["rotation_policy_id"], policy["id"]);
    assert_eq!(rotated["data"]["rotation_policy_name"], "oauth-90d");
    assert!(rotated["data"]["next_rotation_at"].is_string());
    assert!(rotated["data"].get("threshold").is_none(), "{rotated}");
    assert_eq!(rotated["version"], 2);
    assert_eq!(rotated["is_rotation"], true);
    let announced = rotator.noted("noted", "secret.rotated").await;
    assert_eq!(announced["data"]["old_version"], 1);
    assert_eq!(announced["data"]["new_version"], 2);
    assert_eq!(announced["data"]["auto_generated"], false);
    assert!(announced["data"]["grace_period_ends"].is_string());

    // Both versions, newest first; readers without a number have the new one; the old one is
    // readable by number until grace closes, and then it is not.
    assert_eq!(versions(root, PATH).await, [(2, true), (1, false)]);
    let after = billing.get(&format!("/v1/secrets/{PATH}")).await.ok(200);
    assert_eq!(after["version"], 2);
    assert_eq!(after["data"]["client_id"], "oauth-app-1");
    assert_ne!(after["data"]["client_secret"], "first");
    // (A machine that stalls for the whole grace period finds it closed already.)
    let old = billing.get(&format!("/v1/secrets/{PATH}?version=1")).await;
    if old.status == 200 {
        assert_eq!(old.body["data"], credential("first"));
        assert_eq!(old.body["is_current"], false);
        assert!(old.body["readable_until"].is_string());
    }
    let closed = eventually("version 1 closes", SOON, async || {
        let old = billing.get(&format!("/v1/secrets/{PATH}?version=1")).await;
        (old.status != 200).then_some(old)
    })
    .await;
    closed.refused(410, "secret_expired");
    billing
        .get(&format!("/v1/secrets/{PATH}?version=3"))
        .await
        .refused(404, "version_not_found");
    assert_eq!(
        billing.get(&format!("/v1/secrets/{PATH}")).await.ok(200)["version"],
        2
    );
    let id = rotation["id"].as_str().expect("an id");
    let finished = eventually("the rotation completes", SOON, async || {
        let rotation = root.get(&format!("/v1/rotations/{id}")).await.ok(200);
        (rotation["phase"] == "completed").then_some(rotation)
    })
    .await;
    assert_eq!(finished["status"], "success");
    assert_eq!(
        (&finished["old_version"], &finished["new_version"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(finished["trigger"], "manual");
    assert_eq!(finished["requested_by"], "user:root");

    // Both deliveries went well, the secret's events in order and without a gap.
    eventually("the deliveries are on record", SOON, async || {
        let all = deliveries(root, &hook).await;
        (all.len() == 3 && all.iter().all(|one| one["status"] == "success")).then_some(())
    })
    .await;
    let seen = root.get(&format!("/v1/webhooks/{hook}")).await.ok(200);
    assert_eq!(seen["status"], "healthy");
    assert_eq!(seen["last_delivery"]["status"], "success");
    assert_eq!(seen["statistics"]["success_rate_24h"].as_f64(), Some(1.0));

    // The trail of the secret: the write, the reads, the rotate, the second write.
    let trail = root
        .get(&format!("/v1/audit/secrets/{PATH}?limit=1000"))
        .await
        .ok(200);
    let rows = trail["logs"].as_array().expect("logs");
    let place = |action: &str, who: &str| {
        // Newest first; counted from the oldest.
        let mut oldest_first = rows.iter().rev();
        let at = oldest_first.position(|row| {
            row["action"] == action && row["identity_id"] == who && row["success"] == true
        });
        at.unwrap_or_else(|| panic!("no {action} by {who}"))
    };
    let order = [
        place("write", "user:root"),
        place("read", "sa:billing"),
        place("rotate", "user:root"),
        place("read", ROTATOR),
        place("write", ROTATOR),
    ];
    assert!(order.is_sorted(), "{order:?}");
    let answer = rows
        .iter()
        .find(|row| row["action"] == "write" && row["identity_id"] == ROTATOR)
        .expect("checked above");
    assert_eq!(answer["extra_data"]["is_rotation"], true);
    assert_eq!(answer["extra_data"]["version"], 2);

    // Nothing it printed holds a secret.
    let printed = rotator.process.stdout().join("\n") + &rotator.process.stderr();
    let minted = after["data"]["client_secret"].as_str().expect("a secret");
    assert!(!printed.contains(minted) && !printed.contains(WEBHOOK_SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_refuses_what_is_forged_stale_or_seen_before() {
    let server = Server::dev().start().await;
    let rotator = Rotator::start(&server, "skt_never_used").await;
    let event = json!({
        "event_id": "evt_01", "event_type": "rotation.due", "path": PATH,
        "data": { "due_now": false, "threshold": "7d", "current_version": 1 },
    });
    let body = event.to_string();
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_secs();
    let send = async |timestamp: u64, signature: &str| {
        let http = crate::harness::http::client().build().expect("a client");
        let sent = http
            .post(&rotator.url)
            .header("X-ScaiVault-Timestamp", timestamp.to_string())
            .header("X-ScaiVault-Signature", signature)
            .body(body.clone())
            .send()
            .await;
        sent.expect("the receiver answers").status().as_u16()
    };
    let sign = |timestamp: u64, secret: &str| {
        let signed = format!("{timestamp}.{body}");
        format!(
            "sha256={}",
            hex::encode(hmac_sha256(secret, signed.as_bytes()))
        )
    };
    let genuine = sign(now, WEBHOOK_SECRET);
    assert_eq!(send(now, &sign(now, "some-other-secret")).await, 401);
    assert_eq!(send(now, genuine.trim_start_matches("sha256=")).await, 401);
    assert_eq!(send(now + 1, &genuine).await, 401, "the time is signed");
    assert_eq!(
        send(now - 330, &sign(now - 330, WEBHOOK_SECRET)).await,
        401,
        "too old"
    );
    assert_eq!(
        send(now + 330, &sign(now + 330, WEBHOOK_SECRET)).await,
        401,
        "not yet"
    );
    assert_eq!(send(now, &genuine).await, 200);
    assert_eq!(send(now, &genuine).await, 200);
    // The notes come through the child's output, a moment after its answers.
    let actions = eventually("seven notes of the receiver", SOON, async || {
        let notes = rotator.notes();
        let actions: Vec<String> = notes
            .iter()
            .filter_map(|note| note["action"].as_str().map(str::to_owned))
            .collect();
        (actions.len() >= 7).then_some(actions)
    })
    .await;
    let refused = ["refused"; 5];
    assert_eq!(actions[..5], refused);
    assert_eq!(actions[5..], ["noted", "duplicate"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_warns_then_asks() {
    let server = Server::dev().start().await;
    let root = server.root();
    let receiver = Receiver::start().await;
    let events = ["rotation.due", "secret.rotated", "rotation.overdue"];
    let hook = webhook(root, "schedule", &receiver.url(), &events).await;
    put(root, "first").await;
    // A list is taken as well as a string, and the string is what is answered.
    let policy = event_driven(root, "fast", "8s", json!(["5s", "2s"]), &[&hook]).await;
    assert_eq!(policy["warn_before"], "5s,2s");
    attach(root, &policy, PATH).await;

    let soon = root.get("/v1/rotation/due?within_hours=1").await.ok(200);
    assert_eq!(soon["data"][0]["secret_path"], PATH);
    assert_eq!(soon["data"][0]["due_now"], false);

    let due = receiver
        .event("rotation.due", &json!({ "due_now": true }))
        .await;
    let all = receiver.of_type("rotation.due");
    let told: Vec<_> = all
        .iter()
        .map(|one| {
            let data = &one.event["data"];
            (
                data["due_now"].as_bool(),
                data.get("threshold").and_then(Value::as_str),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (Some(false), Some("5s")),
            (Some(false), Some("2s")),
            (Some(true), None)
        ]
    );
    for one in &all {
        one.check_envelope();
        one.check_webhook_signature(WEBHOOK_SECRET);
        assert_eq!(one.event["identity_id"], "system:rotation-scheduler");
        assert_eq!(one.event["path"], PATH);
        assert_eq!(one.event["data"]["current_version"], 1);
        assert_eq!(
            one.event["data"]["next_rotation_at"],
            due.event["data"]["next_rotation_at"]
        );
        assert!(!one.text().contains("first"));
    }

    // Answered in time: rotated, and the next one is due a whole interval after that.
    let answered = put(root, "second").await;
    assert_eq!(answered["is_rotation"], true);
    let rotated = receiver
        .event("secret.rotated", &json!({ "new_version": 2 }))
        .await;
    rotated.check_webhook_signature(WEBHOOK_SECRET);
    assert_after(
        &rotated.event["data"]["grace_period_ends"],
        &rotated.event["timestamp"],
        3.0,
    );
    let metadata = root
        .get(&format!("/v1/secrets/{PATH}/metadata"))
        .await
        .ok(200);
    let rotation = &metadata["rotation"];
    assert_after(
        &rotation["next_rotation_at"],
        &rotation["last_rotated_at"],
        8.0,
    );
    assert!(receiver.of_type("rotation.overdue").is_empty());

    // The same secret's events are numbered without a gap.
    let mut sequence: Vec<_> = receiver
        .received()
        .iter()
        .filter_map(|one| one.event["sequence"].as_u64())
        .collect();
    sequence.sort_unstable();
    sequence.dedup();
    assert!(sequence.len() >= 4, "{sequence:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_is_asked_again_and_holds_back_nobody() {
    let server = Server::dev().start().await;
    let root = server.root();
    let (broken, healthy) = (Receiver::start().await, Receiver::start().await);
    broken.answer_with(500);
    let events = ["rotation.due", "secret.rotated", "secret.updated"];
    let broken_hook = webhook(root, "broken", &broken.url(), &events).await;
    let healthy_hook = webhook(root, "healthy", &healthy.url(), &events).await;
    let nobody = webhook(root, "nobody", "http://127.0.0.1:9/hook", &events).await;
    put(root, "first").await;
    let policy = event_driven(root, "retried", "90d", json!("7d"), &[&broken_hook]).await;
    attach(root, &policy, PATH).await;
    rotate_now(root, &policy).await;

    healthy
        .event("rotation.due", &json!({ "due_now": true }))
        .await;
    broken
        .event("rotation.due", &json!({ "due_now": true }))
        .await;
    for (hook, code) in [(&broken_hook, json!(500)), (&nobody, Value::Null)] {
        let waiting = eventually("the failed attempt is on record", SOON, async || {
            deliveries(root, hook)
                .await
                .into_iter()
                .find(|one| one["attempts"] == 1)
        })
        .await;
        assert_eq!(waiting["status"], "pending");
        assert_eq!(waiting["event_type"], "rotation.due");
        assert_eq!(waiting["response_code"], code);
        assert!(waiting["error"].is_string());
        assert_after(
            &waiting["next_attempt_at"],
            &waiting["last_attempt_at"],
            30.0,
        );
        let seen = root.get(&format!("/v1/webhooks/{hook}")).await.ok(200);
        assert_eq!(seen["status"], "failing");
    }
    let good = eventually(
        "the healthy one's delivery is on record",
        SOON,
        async || {
            deliveries(root, &healthy_hook)
                .await
                .into_iter()
                .find(|one| one["status"] == "success")
        },
    )
    .await;
    assert_eq!(good["attempts"], 1);
    assert_eq!(good["next_attempt_at"], Value::Null);

    // Meanwhile the healthy one goes on getting its events.
    put(root, "second").await;
    healthy
        .event("secret.rotated", &json!({ "new_version": 2 }))
        .await;
    healthy
        .event(
            "secret.updated",
            &json!({ "new_version": 2, "is_rotation": true }),
        )
        .await;
    assert_eq!(broken.of_type("rotation.due").len(), 1, "not before 30 s");
    let filtered = format!("/v1/webhooks/{broken_hook}/deliveries?status=pending");
    let pending = root.get(&filtered).await.ok(200);
    assert!(
        !pending["deliveries"]
            .as_array()
            .expect("deliveries")
            .is_empty()
    );

    // By hand it can go out at once.
    broken.answer_with(200);
    let failed = deliveries(root, &broken_hook).await;
    let failed = failed
        .iter()
        .find(|one| one["event_type"] == "rotation.due")
        .expect("one");
    let id = failed["id"].as_str().expect("an id");
    let redeliver = format!("/v1/webhooks/{broken_hook}/deliveries/{id}/redeliver");
    let again = root.post_empty(&redeliver).await;
    again.ok(202);
    eventually("it is delivered again", SOON, async || {
        let copies = broken.of_type("rotation.due");
        (copies.len() == 2 && copies[0].event["event_id"] == copies[1].event["event_id"])
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_nobody_answers_it_is_overdue_and_a_late_answer_still_counts() {
    let server = Server::dev().start().await;
    let root = server.root();
    let receiver = Receiver::start().await;
    let events = ["rotation.due", "rotation.overdue", "secret.rotated"];
    let hook = webhook(root, "overdue", &receiver.url(), &events).await;
    put(root, "first").await;
    let policy = event_driven(root, "unanswered", "4s", json!("2s,1s"), &[&hook]).await;
    attach(root, &policy, PATH).await;

    let due = receiver
        .event("rotation.due", &json!({ "due_now": true }))
        .await;
    let overdue = receiver.event("rotation.overdue", &json!({})).await;
    overdue.check_envelope();
    overdue.check_webhook_signature(WEBHOOK_SECRET);
    assert_eq!(overdue.event["path"], PATH);
    let waited = seconds(&overdue.event["timestamp"]) - seconds(&due.event["timestamp"]);
    assert!(
        !(0.0..2.9).contains(&waited),
        "only after the grace period: {waited}"
    );
    assert_eq!(
        root.get(&format!("/v1/secrets/{PATH}")).await.ok(200)["version"],
        1
    );
    let parked = root
        .get(&format!("/v1/rotations?path={PATH}&phase=parked"))
        .await
        .ok(200);
    assert_eq!(parked["data"][0]["reason"], "overdue");
    assert!(parked["data"][0]["advice"].is_string());
    let due = root.get("/v1/rotation/due").await.ok(200);
    assert_eq!(due["data"][0]["is_overdue"], true);

    let answered = put(root, "second").await;
    assert_eq!(answered["is_rotation"], true);
    receiver
        .event("secret.rotated", &json!({ "new_version": 2 }))
        .await;
    assert_eq!(receiver.of_type("rotation.overdue").len(), 1, "told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_rotate_answers() {
    let server = Server::dev().start().await;
    let root = server.root();
    let receiver = Receiver::start().await;
    let events = ["rotation.due", "secret.rotated", "secret.updated"];
    let hook = webhook(root, "answers", &receiver.url(), &events).await;
    put(root, "first").await;
    let policy = event_driven(root, "careful", "90d", json!("7d"), &[&hook]).await;
    // Long enough that it cannot be overdue before this test is over.
    let id = policy["id"].as_str().expect("an id");
    root.patch(
        &format!("/v1/rotation/policies/{id}"),
        json!({ "grace_period": "1h" }),
    )
    .await
    .ok(200);
    attach(root, &policy, PATH).await;
    let rotation = rotate_now(root, &policy).await;

    // Permission without scope, scope without permission: ordinary writes, both.
    grant(root, "sa:no-scope", PATH, &["write", "rotate"]).await;
    grant(root, "sa:no-rule", PATH, &["write"]).await;
    let no_scope = service(root, "sa:no-scope", &["secrets:write"]).await;
    let no_rule = service(root, "sa:no-rule", &["secrets:write", "secrets:rotate"]).await;
    for (writer, version) in [(&no_scope, 2), (&no_rule, 3)] {
        let written = put(writer, "by hand").await;
        assert_eq!(written["version"], version);
        assert_eq!(written["is_rotation"], false, "{written}");
        let updated = receiver
            .event("secret.updated", &json!({ "new_version": version }))
            .await;
        assert_eq!(updated.event["data"]["is_rotation"], false);
    }
    // Neither may trigger one.
    let rotate = format!("/v1/secrets/{PATH}/rotate");
    no_scope
        .post_empty(&rotate)
        .await
        .refused(403, "insufficient_scope");
    no_rule
        .post_empty(&rotate)
        .await
        .refused(403, "access_denied");
    // Nor answer it by its number.
    let by_number =
        json!({ "data": credential("x"), "options": { "rotation_id": rotation["id"] } });
    let refused = no_rule.put(&format!("/v1/secrets/{PATH}"), by_number).await;
    assert!(matches!(refused.status, 403 | 409), "{}", refused.text);
    refused.error();
    let open = format!("/v1/rotations/{}", rotation["id"].as_str().expect("an id"));
    assert_eq!(root.get(&open).await.ok(200)["phase"], "generating");

    // Two answers race: one is the rotation, the other an ordinary write.
    grant(root, ROTATOR, PATH, &["read", "write", "rotate"]).await;
    let rotator = service(root, ROTATOR, &["secrets:write", "secrets:rotate"]).await;
    let (one, two) = tokio::join!(put(&rotator, "one"), put(&rotator, "two"));
    let answers = [&one["is_rotation"], &two["is_rotation"]];
    assert!(
        answers.contains(&&json!(true)) && answers.contains(&&json!(false)),
        "{answers:?}"
    );
    let won = if one["is_rotation"] == true {
        &one
    } else {
        &two
    };
    assert_eq!(won["rotation_id"], rotation["id"]);
    let rotated = receiver.event("secret.rotated", &json!({})).await;
    assert_eq!(rotated.event["data"]["new_version"], won["version"]);
    assert_eq!(rotated.event["identity_id"], ROTATOR);
    eventually("both writes are told", SOON, async || {
        (receiver.of_type("secret.updated").len() == 4).then_some(())
    })
    .await;
    assert_eq!(receiver.of_type("secret.rotated").len(), 1, "answered once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signing_secret_rotates_too() {
    let server = Server::dev().start().await;
    let root = server.root();
    let receiver = Receiver::start().await;
    let hook = webhook(root, "resigned", &receiver.url(), &["secret.created"]).await;
    let url = format!("/v1/webhooks/{hook}");
    let new_secret = "the-signing-secret-after-the-change";
    let patch = json!({ "secret": new_secret, "previous_secret_ttl": "1h" });
    let patched = root.patch(&url, patch).await.ok(200);
    assert!(!patched.to_string().contains(new_secret));
    put(root, "first").await;
    let created = receiver
        .event("secret.created", &json!({ "version": 1 }))
        .await;
    created.check_webhook_signature(new_secret);

    // Switched off, events pass it by; deleted, it is gone.
    root.patch(&url, json!({ "enabled": false })).await.ok(200);
    assert_eq!(root.get(&url).await.ok(200)["status"], "disabled");
    let gone = root.delete(&url).await;
    assert!(matches!(gone.status, 200 | 204), "{}", gone.text);
    root.get(&url).await.refused(404, "webhook_not_found");
    assert_eq!(receiver.received().len(), 1);
}
