//! The first journey: a secret is stored, granted to one service, read, refused elsewhere,
//! announced, rotated and accounted for.

use serde_json::{Value, json};

use crate::harness::{Api, Receiver, SOON, Server, eventually};

const PATH: &str = "integrations/salesforce/oauth";
const SERVICE: &str = "sa:reporting-service";
const SUBSCRIPTION_SECRET: &str = "subscription-signing-secret-of-this-test";

fn credential(client_secret: &str) -> Value {
    json!({ "client_id": "3MVG9-test", "client_secret": client_secret })
}

/// A rule for one path, bound to one service account.
pub(crate) async fn grant(
    root: &Api,
    service: &str,
    pattern: &str,
    permissions: &[&str],
) -> String {
    let name = format!(
        "{}-{}",
        service.replace(':', "-"),
        pattern.replace(['/', '*'], "-")
    );
    let policy = root
        .post(
            "/v1/policies",
            json!({
                "name": name,
                "rules": [{ "path_pattern": pattern, "permissions": permissions }],
            }),
        )
        .await
        .ok(201);
    let id = policy["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("pol_"), "{policy}");
    let binding = root
        .post(
            &format!("/v1/policies/{id}/bindings"),
            json!({ "identity_type": "service_account", "identity_id": service }),
        )
        .await
        .ok(201);
    assert_eq!(binding["identity_id"], service);
    id
}

/// A client with a fresh token for a service account.
pub(crate) async fn service(root: &Api, service: &str, scopes: &[&str]) -> Api {
    let token = service_token(root, service, scopes).await;
    root.with_token(token["token"].as_str().expect("a token"))
}

/// A fresh token for a service account, as answered.
pub(crate) async fn service_token(root: &Api, service: &str, scopes: &[&str]) -> Value {
    let body = json!({
        "identity_type": "service_account",
        "identity_id": service,
        "scopes": scopes,
        "ttl": "1h",
    });
    let token = root.post("/v1/auth/tokens", body).await.ok(201);
    assert!(
        token["token"]
            .as_str()
            .is_some_and(|text| text.starts_with("skt_"))
    );
    token
}

/// Versions of a secret as `(number, is_current)`, as listed.
pub(crate) async fn versions(api: &Api, path: &str) -> Vec<(u64, bool)> {
    let list = api
        .get(&format!("/v1/secrets/{path}/versions"))
        .await
        .ok(200);
    let items = list["versions"].as_array().expect("versions");
    items
        .iter()
        .map(|item| {
            (
                item["version"].as_u64().expect("a number"),
                item["is_current"] == json!(true),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_stored_granted_read_announced_and_accounted_for() {
    let server = Server::dev().start().await;
    let root = server.root();

    // Stored, with metadata and options.
    let written = root
        .put(
            &format!("/v1/secrets/{PATH}"),
            json!({
                "data": credential("first"),
                "secret_type": "json",
                "metadata": {
                    "description": "Salesforce connected app",
                    "tags": ["salesforce", "production"],
                    "owner": "team:integrations",
                    "ticket": "INT-1742",
                },
                "options": { "max_versions": 5 },
            }),
        )
        .await
        .ok(201);
    assert_eq!(written["path"], PATH);
    assert_eq!(written["version"], 1);
    assert_eq!(written["secret_type"], "json");
    assert_eq!(
        written["metadata"]["tags"],
        json!(["salesforce", "production"])
    );
    assert_eq!(written["metadata"]["ticket"], "INT-1742");
    assert_eq!(written["max_versions"], 5);
    assert!(
        written.get("data").is_none(),
        "a write does not answer the value"
    );

    // Another secret, which the service must not get.
    root.put(
        "/v1/secrets/integrations/stripe/key",
        json!({ "data": { "key": "sk" } }),
    )
    .await
    .ok(201);

    // Granted: one path, to read.
    grant(root, SERVICE, PATH, &["read"]).await;
    let token = service_token(root, SERVICE, &["secrets:read"]).await;
    assert_eq!(token["identity_id"], SERVICE);
    assert_eq!(token["scopes"], json!(["secrets:read"]));
    assert!(token["expires_at"].is_string());
    let reporting = root.with_token(token["token"].as_str().expect("a token"));
    let me = reporting.get("/v1/auth/whoami").await.ok(200);
    assert_eq!(me["identity_id"], SERVICE);
    assert_eq!(me["identity_type"], "service_account");
    assert_eq!(me["scopes"], json!(["secrets:read"]));

    // Read.
    let read = reporting.get(&format!("/v1/secrets/{PATH}")).await;
    let read_id = read.header("x-request-id").to_owned();
    for header in [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
    ] {
        assert!(
            read.header(header).parse::<u64>().is_ok(),
            "{header}: {:?}",
            read.headers
        );
    }
    let read = read.ok(200);
    assert_eq!(read["data"], credential("first"));
    assert_eq!(read["version"], 1);
    assert_eq!(read["secret_type"], "json");
    assert_eq!(read["metadata"]["owner"], "team:integrations");

    // Refused: another path, whether or not something is there; a write without the scope; a
    // write with the scope that no rule allows.
    let other = reporting.get("/v1/secrets/integrations/stripe/key").await;
    let other_id = other.header("x-request-id").to_owned();
    let denied = other.refused(403, "access_denied");
    let absent = reporting
        .get("/v1/secrets/integrations/nothing/here")
        .await
        .refused(403, "access_denied");
    assert_eq!(denied["message"], absent["message"], "existence shows");
    let write = json!({ "data": credential("forged") });
    reporting
        .put(&format!("/v1/secrets/{PATH}"), write.clone())
        .await
        .refused(403, "insufficient_scope");
    let writer = service(root, SERVICE, &["secrets:read", "secrets:write"]).await;
    writer
        .put(&format!("/v1/secrets/{PATH}"), write)
        .await
        .refused(403, "access_denied");
    writer
        .delete(&format!("/v1/secrets/{PATH}"))
        .await
        .refused(403, "insufficient_scope");
    assert_eq!(
        versions(root, PATH).await,
        [(1, true)],
        "a refusal changes nothing"
    );

    // Announced: a subscription by path, delivered to a webhook with the bare-hex signature.
    let receiver = Receiver::start().await;
    let subscription = root
        .post(
            "/v1/subscriptions",
            json!({
                "name": "salesforce-changes",
                "paths": ["integrations/salesforce/**"],
                "events": ["secret.updated", "secret.rotated"],
                "delivery": {
                    "type": "webhook",
                    "url": receiver.url(),
                    "secret": SUBSCRIPTION_SECRET,
                },
            }),
        )
        .await
        .ok(201);
    assert_eq!(subscription["identity_id"], "user:root");
    assert_eq!(subscription["status"], "active");
    assert!(
        !subscription.to_string().contains(SUBSCRIPTION_SECRET),
        "the secret is write-only"
    );
    root.put(
        "/v1/secrets/integrations/stripe/key",
        json!({ "data": { "key": "sk2" } }),
    )
    .await
    .ok(200);
    let updated = root
        .put(
            &format!("/v1/secrets/{PATH}"),
            json!({ "data": credential("second") }),
        )
        .await;
    let updated_id = updated.header("x-request-id").to_owned();
    let updated = updated.ok(200);
    assert_eq!(updated["version"], 2);
    assert_eq!(
        updated["metadata"]["owner"], "team:integrations",
        "metadata stays without it"
    );
    let event = receiver
        .event(
            "secret.updated",
            &json!({ "old_version": 1, "new_version": 2 }),
        )
        .await;
    event.check_envelope();
    event.check_subscription_signature(SUBSCRIPTION_SECRET);
    assert_eq!(event.event["path"], PATH);
    assert_eq!(event.event["identity_id"], "user:root");
    assert_eq!(event.event["request_id"], updated_id);
    assert_eq!(event.event["data"]["is_rotation"], false);
    assert!(!event.text().contains("second"), "no event carries a value");

    // Rotated by hand: the policy waits for the new value, which the write then is.
    let rotation_policy = root
        .post(
            "/v1/rotation/policies",
            json!({
                "name": "salesforce-90d",
                "interval": "90d",
                "grace_period": "24h",
                "auto_generate": false,
            }),
        )
        .await
        .ok(201);
    assert!(
        rotation_policy["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("rot_"))
    );
    assert_eq!(rotation_policy["interval_seconds"], 7_776_000);
    assert_eq!(rotation_policy["auto_generate"], false);
    assert_eq!(rotation_policy["is_active"], true);
    attach(root, &rotation_policy, PATH).await;
    let rotation = root
        .post_empty(&format!("/v1/secrets/{PATH}/rotate"))
        .await
        .ok(202);
    assert_eq!(rotation["secret_path"], PATH);
    assert_eq!(rotation["phase"], "generating");
    assert_eq!(rotation["old_version"], 2);
    assert_eq!(
        versions(root, PATH).await,
        [(2, true), (1, false)],
        "nothing is written yet"
    );
    let answered = root
        .put(
            &format!("/v1/secrets/{PATH}"),
            json!({ "data": credential("third") }),
        )
        .await;
    let answered = answered.ok(200);
    assert_eq!(answered["version"], 3);
    assert_eq!(answered["is_rotation"], true);
    assert_eq!(answered["rotation_id"], rotation["id"]);
    let rotated = receiver
        .event(
            "secret.rotated",
            &json!({ "old_version": 2, "new_version": 3 }),
        )
        .await;
    rotated.check_envelope();
    rotated.check_subscription_signature(SUBSCRIPTION_SECRET);
    assert_eq!(
        rotated.event["data"]["rotation_policy_id"],
        rotation_policy["id"]
    );
    assert_eq!(
        rotated.event["data"]["rotation_policy_name"],
        "salesforce-90d"
    );
    assert_eq!(rotated.event["data"]["auto_generated"], false);
    assert!(rotated.event["data"]["grace_period_ends"].is_string());
    let read = reporting.get(&format!("/v1/secrets/{PATH}")).await.ok(200);
    assert_eq!(
        (&read["version"], &read["data"]),
        (&json!(3), &credential("third"))
    );

    // Nothing of another path ever arrived.
    assert!(
        receiver
            .received()
            .iter()
            .all(|one| one.event["path"] == PATH)
    );

    // Accounted for: who read what and when, refusals included.
    let trail = root
        .get(&format!("/v1/audit/secrets/{PATH}?limit=1000"))
        .await
        .ok(200);
    let rows = trail["logs"].as_array().expect("logs");
    let read_row = rows
        .iter()
        .find(|row| row["request_id"] == read_id)
        .expect("the read's row");
    assert_eq!(read_row["action"], "read");
    assert_eq!(read_row["identity_id"], SERVICE);
    assert_eq!(read_row["identity_type"], "service_account");
    assert_eq!(read_row["secret_path"], PATH);
    assert_eq!(read_row["success"], true);
    assert_eq!(read_row["source_ip"], "127.0.0.1");
    assert!(
        read_row["id"]
            .as_str()
            .is_some_and(|id| id.starts_with("log_"))
    );
    assert!(
        read_row["timestamp"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
    let refused_writes = rows
        .iter()
        .filter(|row| row["action"] == "write" && row["success"] == false)
        .map(|row| row["identity_id"].as_str())
        .collect::<Vec<_>>();
    assert_eq!(refused_writes, [Some(SERVICE); 2]);
    assert!(rows.iter().any(|row| row["action"] == "rotate"));
    let refused = root
        .get(&format!("/v1/audit/logs?request_id={other_id}"))
        .await
        .ok(200);
    assert_eq!(refused["logs"][0]["success"], false);
    assert_eq!(refused["logs"][0]["identity_id"], SERVICE);
    let mine = root
        .get(&format!("/v1/audit/identities/{SERVICE}"))
        .await
        .ok(200);
    let mine = mine["logs"].as_array().expect("logs");
    assert!(mine.len() >= 6 && mine.iter().all(|row| row["identity_id"] == SERVICE));
    let verified = root.get("/v1/audit/verify").await.ok(200);
    assert_eq!(verified["valid"], true);
    assert!(verified["rows"].as_u64().is_some_and(|rows| rows > 10));

    // Who holds which version.
    let consumers = root
        .get(&format!("/v1/secrets/{PATH}/consumers"))
        .await
        .ok(200);
    let held: Vec<_> = consumers["consumers"]
        .as_array()
        .expect("consumers")
        .iter()
        .filter(|one| one["identity_id"] == SERVICE)
        .map(|one| (one["version"].as_u64(), one["is_current"].as_bool()))
        .collect();
    assert_eq!(held, [(Some(3), Some(true)), (Some(1), Some(false))]);
}

/// Attaches a secret to a rotation policy.
pub(crate) async fn attach(root: &Api, policy: &Value, path: &str) {
    let id = policy["id"].as_str().expect("an id");
    let assignment = root
        .post(
            &format!("/v1/rotation/policies/{id}/secrets"),
            json!({ "secret_path": path }),
        )
        .await
        .ok(201);
    assert_eq!(assignment["secret_path"], path);
    assert_eq!(assignment["rotation_policy_id"], policy["id"]);
    assert!(assignment["next_rotation_at"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_auto_generate_the_server_writes_the_value() {
    let server = Server::dev().start().await;
    let root = server.root();
    let path = "services/session/signing-key";
    root.put(
        &format!("/v1/secrets/{path}"),
        json!({ "data": { "value": "old" } }),
    )
    .await
    .ok(201);
    let receiver = Receiver::start().await;
    let delivery =
        json!({ "type": "webhook", "url": receiver.url(), "secret": SUBSCRIPTION_SECRET });
    root.post(
        "/v1/subscriptions",
        json!({
            "name": "sessions",
            "paths": ["services/**"],
            "events": ["secret.rotated", "rotation.due", "rotation.completed"],
            "delivery": delivery,
        }),
    )
    .await
    .ok(201);
    let policy = root
        .post(
            "/v1/rotation/policies",
            json!({
                "name": "session-keys", "interval": "30d", "grace_period": "2s",
                "auto_generate": true,
            }),
        )
        .await
        .ok(201);
    attach(root, &policy, path).await;

    let rotation = root
        .post_empty(&format!("/v1/secrets/{path}/rotate"))
        .await
        .ok(202);
    let id = rotation["id"].as_str().expect("an id").to_owned();
    let rotated = receiver
        .event("secret.rotated", &json!({ "auto_generated": true }))
        .await;
    assert_eq!(rotated.event["data"]["old_version"], 1);
    assert_eq!(rotated.event["data"]["new_version"], 2);
    let now = root.get(&format!("/v1/secrets/{path}")).await.ok(200);
    let value = now["data"]["value"]
        .as_str()
        .expect("a random string under `value`");
    assert!(
        value.len() >= 24 && value != "old",
        "{} characters",
        value.len()
    );
    assert_eq!(now["version"], 2);
    assert!(!rotated.text().contains(value), "no event carries a value");

    // Its end is on record.
    eventually("the rotation completes", SOON, async || {
        let rotation = root.get(&format!("/v1/rotations/{id}")).await.ok(200);
        (rotation["phase"] == "completed" && rotation["status"] == "success").then_some(())
    })
    .await;
    let history = format!(
        "/v1/rotation/policies/{}/history",
        policy["id"].as_str().expect("id")
    );
    let history = root.get(&history).await.ok(200);
    assert_eq!(history["data"][0]["id"], rotation["id"]);
    assert!(
        receiver.of_type("rotation.due").is_empty(),
        "nobody has to answer"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_limit_a_reader_is_told_when_to_come_back() {
    let server = Server::dev()
        .rate_limited()
        .env("SCAIVAULT_RATE_LIMITS_READ", "5")
        .start()
        .await;
    let root = server.root();
    root.put("/v1/secrets/app/key", json!({ "data": { "key": "k" } }))
        .await
        .ok(201);
    grant(root, SERVICE, "app/*", &["read"]).await;
    let reader = service(root, SERVICE, &["secrets:read"]).await;
    for left in (0..5).rev() {
        let read = reader.get("/v1/secrets/app/key").await;
        assert_eq!(read.header("x-ratelimit-limit"), "5");
        assert_eq!(read.header("x-ratelimit-remaining"), left.to_string());
        read.ok(200);
    }
    let limited = reader.get("/v1/secrets/app/key").await;
    assert!(
        (1..=12).contains(&limited.retry_after()),
        "5 a minute: one comes every 12 s"
    );
    limited.refused(429, "rate_limited");
    // The bucket is the identity's and the category's own.
    root.get("/v1/secrets/app/key").await.ok(200);
    reader.get("/v1/auth/whoami").await.ok(200);
}
