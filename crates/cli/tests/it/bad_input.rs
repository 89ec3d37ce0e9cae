//! Input nobody should send: always the documented code in the documented envelope, never a
//! server error, never a change of anything, and nothing of it in the log.

use serde_json::{Value, json};

use crate::first_integration::{grant, service, service_token};
use crate::harness::raw::{exchange, request};
use crate::harness::{Api, Reply, SOON, Server, eventually};

/// Stands for a secret in everything that is sent.
const CANARY: &str = "canary-4b1d9e77c3";

/// What a refusal may be. Where the documents leave the choice between "the shape is wrong"
/// (400) and "this field is wrong" (422), both are named.
type Codes = &'static [(u16, &'static str)];

const MALFORMED: Codes = &[(400, "invalid_request")];
const SHAPE: Codes = &[(400, "invalid_request"), (422, "validation_error")];
const PATH: Codes = &[(400, "invalid_path")];
const POLICY: Codes = &[
    (400, "invalid_policy"),
    (422, "validation_error"),
    (400, "invalid_request"),
];

#[track_caller]
fn check(reply: &Reply, expect: Codes, what: &str) {
    let error = reply.error();
    let code = error["code"].as_str().unwrap_or_default();
    assert!(
        expect.contains(&(reply.status, code)),
        "{what}: {} {code} is none of {expect:?}: {}",
        reply.status,
        reply.text
    );
    assert!(
        reply.header("content-type").starts_with("application/json"),
        "{what}"
    );
    assert!(
        !error["message"].to_string().contains(CANARY),
        "{what}: the message repeats input"
    );
    if code == "validation_error" {
        let fields = &error["details"]["fields"];
        let named = fields.as_object().is_some_and(|fields| !fields.is_empty())
            || fields.as_array().is_some_and(|fields| !fields.is_empty());
        assert!(named, "{what}: which field? {}", reply.text);
    }
}

/// Everything there is, as far as it can be listed.
async fn state(root: &Api) -> Vec<Value> {
    let mut state = Vec::new();
    for list in [
        "/v1/secrets?recursive=true",
        "/v1/secrets/app/db/versions",
        "/v1/policies",
        "/v1/rotation/policies",
        "/v1/rotations",
        "/v1/webhooks",
        "/v1/subscriptions",
        "/v1/auth/tokens",
    ] {
        state.push(root.get(list).await.ok(200));
    }
    state
}

/// A server with one of each thing.
struct Furnished {
    server: Server,
    policy: String,
    rotation_policy: String,
    webhook: String,
    subscription: String,
}

async fn furnished() -> Furnished {
    // Everything it could log, it logs.
    let server = Server::dev().env("LOG_LEVEL", "trace").start().await;
    let root = server.root();
    root.put("/v1/secrets/app/db", json!({ "data": { "password": "p" } }))
        .await
        .ok(201);
    let policy = grant(root, "sa:app", "app/**", &["read"]).await;
    let id = |body: Value| body["id"].as_str().expect("an id").to_owned();
    let rotation_policy = json!({ "name": "monthly", "interval": "30d" });
    let rotation_policy = id(root
        .post("/v1/rotation/policies", rotation_policy)
        .await
        .ok(201));
    let webhook = id(root.post("/v1/webhooks", webhook_body()).await.ok(201));
    let subscription = id(root
        .post("/v1/subscriptions", subscription_body())
        .await
        .ok(201));
    Furnished {
        server,
        policy,
        rotation_policy,
        webhook,
        subscription,
    }
}

fn webhook_body() -> Value {
    json!({
        "name": "hook", "url": "http://127.0.0.1:9/", "secret": "0123456789abcdef0123456789abcdef",
        "events": ["secret.rotated"],
    })
}

fn subscription_body() -> Value {
    json!({
        "name": "feed", "paths": ["app/**"], "events": ["secret.updated"],
        "delivery": { "type": "polling" },
    })
}

/// `base` with one field replaced, or added.
fn with(base: &Value, field: &str, value: Value) -> String {
    let mut body = base.clone();
    body[field] = value;
    body.to_string()
}

/// `base` without one field.
fn without(base: &Value, field: &str) -> String {
    let mut body = base.clone();
    body.as_object_mut().expect("an object").remove(field);
    body.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies() {
    let home = furnished().await;
    let (url, root) = (home.server.url(), home.server.root());
    let before = state(root).await;
    let secret = "/v1/secrets/app/db";
    let data = json!({ "password": CANARY });
    let put = json!({ "data": data });
    let policy = json!({
        "name": CANARY, "rules": [{ "path_pattern": "a/*", "permissions": ["read"] }],
    });
    let rotation = json!({ "name": CANARY, "interval": "30d" });
    let token = json!({
        "identity_type": "service_account", "identity_id": "sa:new", "scopes": ["secrets:read"],
    });
    let binding = json!({ "identity_type": "service_account", "identity_id": "sa:x" });
    let bindings = format!("/v1/policies/{}/bindings", home.policy);
    let assign = format!("/v1/rotation/policies/{}/secrets", home.rotation_policy);
    let rule = |pattern: &str, permissions: Value| {
        with(
            &policy,
            "rules",
            json!([{ "path_pattern": pattern, "permissions": permissions }]),
        )
    };
    let conditions = |conditions: Value| {
        let rule = json!({
            "path_pattern": "a", "permissions": ["read"], "conditions": conditions,
        });
        with(&policy, "rules", json!([rule]))
    };
    let options = |options: Value| with(&put, "options", options);
    const DURATION: Codes = &[(400, "invalid_duration")];
    const GLOB: Codes = &[(400, "invalid_glob")];
    let deep = format!("{}1{}", r#"{"a":"#.repeat(5_000), "}".repeat(5_000));

    let cases: Vec<(&str, &str, String, Codes)> = vec![
        // Not JSON, or not an object.
        (
            "PUT",
            secret,
            format!(r#"{{"data":{{"k":"{CANARY}"}}"#),
            MALFORMED,
        ),
        ("PUT", secret, CANARY.to_owned(), MALFORMED),
        (
            "PUT",
            secret,
            format!(r#"{{"data":{{"k":"{CANARY}"}}}} trailing"#),
            MALFORMED,
        ),
        (
            "PUT",
            secret,
            format!(r#"{{"data":{{"k":"{CANARY}",}}}}"#),
            MALFORMED,
        ),
        ("PUT", secret, "\"\\ud800\"".into(), MALFORMED),
        ("PUT", secret, "null".into(), SHAPE),
        ("PUT", secret, "[]".into(), SHAPE),
        ("PUT", secret, String::new(), MALFORMED),
        ("PUT", secret, format!(r#"{{"data":{deep}}}"#), SHAPE),
        ("PUT", secret, "[".repeat(100_000), MALFORMED),
        ("POST", "/v1/policies", deep.clone(), SHAPE),
        // The same field twice: which one would count?
        (
            "PUT",
            secret,
            format!(r#"{{"data":{{"k":"{CANARY}"}},"data":{{"k":"2"}}}}"#),
            SHAPE,
        ),
        // Fields that are missing, unknown, or of another type.
        ("PUT", secret, "{}".into(), SHAPE),
        ("PUT", secret, with(&put, "data", json!(CANARY)), SHAPE),
        ("PUT", secret, with(&put, "data", json!([CANARY])), SHAPE),
        ("PUT", secret, with(&put, "data", Value::Null), SHAPE),
        ("PUT", secret, with(&put, "value", json!(CANARY)), SHAPE),
        ("PUT", secret, with(&put, CANARY, json!(1)), SHAPE),
        ("PUT", secret, with(&put, "secret_type", json!(7)), SHAPE),
        (
            "PUT",
            secret,
            with(&put, "secret_type", json!(CANARY)),
            &[(400, "invalid_secret_type")],
        ),
        ("PUT", secret, with(&put, "metadata", json!(CANARY)), SHAPE),
        (
            "PUT",
            secret,
            with(&put, "metadata", json!({ "tags": CANARY })),
            SHAPE,
        ),
        (
            "PUT",
            secret,
            options(json!({ "max_versions": "five" })),
            SHAPE,
        ),
        ("PUT", secret, options(json!({ "max_versions": 0 })), SHAPE),
        ("PUT", secret, options(json!({ "max_versions": -1 })), SHAPE),
        (
            "PUT",
            secret,
            options(json!({ "max_versions": 1001 })),
            SHAPE,
        ),
        ("PUT", secret, options(json!({ "cas": 1.5 })), SHAPE),
        (
            "PUT",
            secret,
            options(json!({ "cas": 7 })),
            &[(409, "version_conflict")],
        ),
        (
            "PUT",
            secret,
            options(json!({ "cas": 0 })),
            &[(409, "version_conflict")],
        ),
        ("PUT", secret, options(json!({ "expires_in": 3600 })), SHAPE),
        (
            "PUT",
            secret,
            options(json!({ "expires_in": "soon" })),
            DURATION,
        ),
        (
            "PUT",
            secret,
            options(json!({ "expires_in": "-1d" })),
            DURATION,
        ),
        (
            "PUT",
            secret,
            options(json!({ "expires_in": "0s" })),
            DURATION,
        ),
        (
            "PUT",
            secret,
            options(json!({ "expires_in": "1.5h" })),
            DURATION,
        ),
        (
            "PUT",
            secret,
            options(json!({ "expires_in": "999999999999999999999d" })),
            DURATION,
        ),
        (
            "PUT",
            secret,
            options(json!({ "expires_in": "" })),
            DURATION,
        ),
        (
            "PUT",
            secret,
            options(json!({ "rotation_policy_id": "rot_nope" })),
            &[(404, "rotation_policy_not_found")],
        ),
        (
            "PATCH",
            "/v1/secrets/app/db/metadata",
            r#"{"expires_at":"tomorrow"}"#.into(),
            SHAPE,
        ),
        (
            "PATCH",
            "/v1/secrets/app/db/metadata",
            with(&json!({}), "data", data.clone()),
            SHAPE,
        ),
        // Access policies.
        ("POST", "/v1/policies", without(&policy, "name"), SHAPE),
        (
            "POST",
            "/v1/policies",
            with(&policy, "name", json!("")),
            POLICY,
        ),
        (
            "POST",
            "/v1/policies",
            with(&policy, "rules", json!([])),
            POLICY,
        ),
        (
            "POST",
            "/v1/policies",
            with(&policy, "rules", json!({})),
            SHAPE,
        ),
        (
            "POST",
            "/v1/policies",
            with(&policy, "scope", json!("galaxy")),
            POLICY,
        ),
        (
            "POST",
            "/v1/policies",
            rule("/app/*", json!(["read"])),
            GLOB,
        ),
        (
            "POST",
            "/v1/policies",
            rule("app//x", json!(["read"])),
            GLOB,
        ),
        ("POST", "/v1/policies", rule("app/", json!(["read"])), GLOB),
        (
            "POST",
            "/v1/policies",
            rule("app/x**", json!(["read"])),
            GLOB,
        ),
        ("POST", "/v1/policies", rule("APP/*", json!(["read"])), GLOB),
        (
            "POST",
            "/v1/policies",
            rule("app/[a-z]", json!(["read"])),
            GLOB,
        ),
        ("POST", "/v1/policies", rule("", json!(["read"])), GLOB),
        (
            "POST",
            "/v1/policies",
            rule(&"a".repeat(513), json!(["read"])),
            GLOB,
        ),
        (
            "POST",
            "/v1/policies",
            rule("app/*", json!(["fly"])),
            POLICY,
        ),
        ("POST", "/v1/policies", rule("app/*", json!([])), POLICY),
        (
            "POST",
            "/v1/policies",
            conditions(json!({ "ip_ranges": ["10.0.0.1/8"] })),
            POLICY,
        ),
        (
            "POST",
            "/v1/policies",
            conditions(json!({ "ip_ranges": ["everywhere"] })),
            POLICY,
        ),
        (
            "POST",
            "/v1/policies",
            conditions(json!({ "moon_phase": "full" })),
            POLICY,
        ),
        (
            "POST",
            "/v1/policies",
            conditions(json!({ "time_window": { "start": "25:00", "end": "9" } })),
            POLICY,
        ),
        (
            "POST",
            &bindings,
            with(&binding, "identity_id", json!("reporting")),
            POLICY,
        ),
        (
            "POST",
            &bindings,
            with(&binding, "identity_id", json!("user:alice")),
            POLICY,
        ),
        (
            "POST",
            &bindings,
            with(&binding, "identity_type", json!("robot")),
            POLICY,
        ),
        (
            "POST",
            &bindings,
            with(&binding, "identity_id", json!("system:worker")),
            POLICY,
        ),
        (
            "POST",
            &bindings,
            with(&binding, "expires_at", json!("never")),
            SHAPE,
        ),
        // Tokens.
        (
            "POST",
            "/v1/auth/tokens",
            with(&token, "scopes", json!(["secrets:everything"])),
            SHAPE,
        ),
        (
            "POST",
            "/v1/auth/tokens",
            with(&token, "identity_type", json!("group")),
            SHAPE,
        ),
        (
            "POST",
            "/v1/auth/tokens",
            with(&token, "identity_id", json!("user:x")),
            SHAPE,
        ),
        (
            "POST",
            "/v1/auth/tokens",
            with(&token, "ttl", json!("forever")),
            DURATION,
        ),
        // Rotation policies.
        (
            "POST",
            "/v1/rotation/policies",
            without(&rotation, "interval"),
            SHAPE,
        ),
        (
            "POST",
            "/v1/rotation/policies",
            with(&rotation, "interval", json!("monthly")),
            DURATION,
        ),
        (
            "POST",
            "/v1/rotation/policies",
            with(&rotation, "grace_period", json!("2")),
            DURATION,
        ),
        (
            "POST",
            "/v1/rotation/policies",
            with(&rotation, "warn_before", json!("7d,")),
            DURATION,
        ),
        (
            "POST",
            "/v1/rotation/policies",
            with(&rotation, "warn_before", json!(["x"])),
            DURATION,
        ),
        (
            "POST",
            "/v1/rotation/policies",
            with(&rotation, "warn_before", json!(7)),
            SHAPE,
        ),
        (
            "POST",
            "/v1/rotation/policies",
            with(&rotation, "webhook_ids", json!(["wh_nope"])),
            &[(404, "webhook_not_found"), (422, "validation_error")],
        ),
        (
            "POST",
            "/v1/rotation/policies",
            with(&rotation, "name", json!("monthly")),
            &[(409, "name_exists")],
        ),
        ("POST", &assign, r#"{"secret_path":"App/DB"}"#.into(), PATH),
        (
            "POST",
            &assign,
            r#"{"secret_path":"no/such"}"#.into(),
            &[(404, "secret_not_found")],
        ),
        // Webhooks and subscriptions.
        (
            "POST",
            "/v1/webhooks",
            with(&webhook_body(), "events", json!(["secret.*"])),
            SHAPE,
        ),
        (
            "POST",
            "/v1/webhooks",
            with(&webhook_body(), "events", json!([])),
            SHAPE,
        ),
        (
            "POST",
            "/v1/webhooks",
            with(&webhook_body(), "secret", json!("short")),
            SHAPE,
        ),
        (
            "POST",
            "/v1/webhooks",
            with(&webhook_body(), "url", json!("ftp://127.0.0.1/")),
            SHAPE,
        ),
        (
            "POST",
            "/v1/webhooks",
            with(&webhook_body(), "url", json!("http://10.0.0.1/")),
            SHAPE,
        ),
        (
            "POST",
            "/v1/webhooks",
            with(
                &webhook_body(),
                "url",
                json!("https://169.254.169.254/latest"),
            ),
            SHAPE,
        ),
        (
            "POST",
            "/v1/webhooks",
            with(&webhook_body(), "url", json!("https://u:p@a.example/")),
            SHAPE,
        ),
        (
            "POST",
            "/v1/webhooks",
            with(&webhook_body(), "url", json!("not a url")),
            SHAPE,
        ),
        (
            "POST",
            "/v1/subscriptions",
            with(&subscription_body(), "paths", json!([])),
            SHAPE,
        ),
        (
            "POST",
            "/v1/subscriptions",
            with(&subscription_body(), "paths", json!(["/a"])),
            GLOB,
        ),
        (
            "POST",
            "/v1/subscriptions",
            with(
                &subscription_body(),
                "delivery",
                json!({ "type": "pigeon" }),
            ),
            SHAPE,
        ),
        (
            "POST",
            "/v1/subscriptions",
            with(
                &subscription_body(),
                "delivery",
                json!({ "type": "webhook" }),
            ),
            SHAPE,
        ),
        (
            "POST",
            "/v1/subscriptions",
            with(
                &subscription_body(),
                "delivery",
                json!({ "type": "polling", "buffer_size": 0 }),
            ),
            SHAPE,
        ),
    ];
    let authorization = format!("Bearer {}", home.server.root_token());
    for (method, target, body, expect) in &cases {
        let headers = [("Authorization", authorization.as_str())];
        let reply = exchange(url, request(method, target, &headers, body.as_bytes())).await;
        let shown: String = body.chars().take(100).collect();
        check(&reply, expect, &format!("{method} {target} {shown}"));
    }
    assert_eq!(state(root).await, before, "something changed");

    let no_utf8 = b"{\"data\":{\"k\":\"\xff\xfe\"}}";
    let headers = [("Authorization", authorization.as_str())];
    let reply = exchange(url, request("PUT", secret, &headers, no_utf8)).await;
    check(&reply, MALFORMED, "not UTF-8");
    assert_eq!(state(root).await, before, "something changed");
    quiet(home.server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_paths() {
    let home = furnished().await;
    let (url, root) = (home.server.url(), home.server.root());
    let before = state(root).await;
    let long = "a".repeat(513);
    let deep = ["a"; 11].join("/");
    let bad = [
        "App/db",
        "app/DB",
        "app/d.b",
        "app/./db",
        "app/../db",
        "../app/db",
        "app/%2e%2e/db",
        "app/%2E%2E/app/db",
        "app//db",
        "/app/db",
        "app/db/",
        "app/db%00",
        "app/db%20",
        "app/db+x",
        "app/d%c3%a9",
        "app/d\u{e9}",
        "app/db;v=1",
        "app/db:x",
        "app/*",
        "app/**",
        "app/db%",
        "app/db%zz",
        "app\\db",
        long.as_str(),
        deep.as_str(),
        "canary-4b1d9e77c3/Upper",
    ];
    let authorization = format!("Bearer {}", home.server.root_token());
    let body = json!({ "data": { "k": CANARY } }).to_string();
    for path in bad {
        for method in ["GET", "PUT", "DELETE"] {
            let target = format!("/v1/secrets/{path}");
            let sent = if method == "PUT" {
                body.as_bytes()
            } else {
                b""
            };
            let headers = [("Authorization", authorization.as_str())];
            let reply = exchange(url, request(method, &target, &headers, sent)).await;
            check_path(&reply, &format!("{method} {path}"));
        }
    }
    // Another spelling of a good path is refused, or is that path and nothing else.
    for path in ["app%2Fdb", "app%2fdb", "app/%64b", "%61pp/db"] {
        let headers = [("Authorization", authorization.as_str())];
        let target = format!("/v1/secrets/{path}");
        let reply = exchange(url, request("GET", &target, &headers, b"")).await;
        if reply.status == 200 {
            assert_eq!(reply.body["path"], "app/db", "{path}");
            let row = format!("/v1/audit/logs?request_id={}", reply.header("x-request-id"));
            let row = root.get(&row).await.ok(200);
            assert_eq!(row["logs"][0]["secret_path"], "app/db", "{path}");
        } else {
            check(&reply, PATH, path);
        }
    }
    // Operation words are no names: what stands there takes other methods, and says which.
    for (path, allow) in [
        ("app/versions", "GET"),
        ("app/db/metadata", "GET, PATCH"),
        ("app/rotate", "POST"),
        ("app/undelete", "POST"),
        ("app/consumers", "GET"),
        ("app/ack", "POST"),
        ("batch", "POST"),
        ("batch/metadata", "POST"),
    ] {
        let body = json!({ "data": { "k": CANARY } });
        let put = root.put(&format!("/v1/secrets/{path}"), body).await;
        check(&put, &[(405, "method_not_allowed")], path);
        assert_eq!(put.header("allow"), allow, "{path}");
        let delete = root.delete(&format!("/v1/secrets/{path}")).await;
        check(&delete, &[(405, "method_not_allowed")], path);
    }
    let body = json!({ "data": { "k": CANARY } });
    let put = root.put("/v1/secrets/app/rotation", body).await;
    check(&put, PATH, "app/rotation");
    assert!(put.text.contains("rotation"), "{}", put.text);
    // The same rules where a path is a field or a query.
    for (method, target, body) in [
        ("GET", "/v1/secrets?prefix=App/", None),
        ("GET", "/v1/secrets?prefix=..%2F", None),
        ("GET", "/v1/audit/secrets/App/db", None),
        (
            "POST",
            "/v1/secrets/batch",
            Some(json!({ "paths": ["App/db"] })),
        ),
        (
            "POST",
            "/v1/policies/test",
            Some(json!({ "identity_id": "sa:app", "path": "../x", "permission": "read" })),
        ),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let reply = root.send(method, target, body).await;
        // A batch answers per path.
        if reply.status == 200 && target.ends_with("batch") {
            assert_eq!(reply.body["errors"]["App/db"]["code"], "invalid_path");
        } else if !(reply.status == 404 && target.ends_with("batch")) {
            check(&reply, PATH, target);
        }
    }
    // Names that only look reserved.
    for good in [
        "app/versions2",
        "versions/app",
        "rotate-me",
        "metadata/x",
        "0/_/-",
    ] {
        root.get(&format!("/v1/secrets/{good}"))
            .await
            .refused(404, "secret_not_found");
    }
    assert_eq!(state(root).await, before, "something changed");
    quiet(home.server).await;
}

/// A bad path is `invalid_path`; bytes that cannot be in any request target may be refused
/// before anyone looks at the path.
#[track_caller]
fn check_path(reply: &Reply, what: &str) {
    if reply.text.is_empty() {
        assert_eq!(reply.status, 400, "{what}");
    } else {
        check(
            reply,
            &[(400, "invalid_path"), (400, "invalid_request")],
            what,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_queries_ids_routes_and_methods() {
    let home = furnished().await;
    let root = home.server.root();
    let before = state(root).await;
    const CURSOR: Codes = &[(400, "invalid_cursor")];
    const NO_ROUTE: Codes = &[(404, "not_found")];
    const METHOD: Codes = &[(405, "method_not_allowed")];
    let cases: Vec<(&str, String, Codes)> = vec![
        ("GET", "/v1/secrets?limit=0".into(), SHAPE),
        ("GET", "/v1/secrets?limit=-1".into(), SHAPE),
        ("GET", "/v1/secrets?limit=many".into(), SHAPE),
        ("GET", "/v1/secrets?limit=1&limit=2".into(), SHAPE),
        ("GET", format!("/v1/secrets?cursor={CANARY}"), CURSOR),
        ("GET", "/v1/secrets?cursor=%7B%7D".into(), CURSOR),
        ("GET", "/v1/secrets?recursive=perhaps".into(), SHAPE),
        (
            "GET",
            format!("/v1/secrets?secret_type={CANARY}"),
            &[(400, "invalid_secret_type")],
        ),
        (
            "GET",
            "/v1/secrets/app/db?version=0".into(),
            &[
                (404, "version_not_found"),
                (400, "invalid_request"),
                (422, "validation_error"),
            ],
        ),
        ("GET", "/v1/secrets/app/db?version=one".into(), SHAPE),
        (
            "GET",
            "/v1/secrets/app/db?version=99".into(),
            &[(404, "version_not_found")],
        ),
        (
            "GET",
            "/v1/secrets/app/db?version=99999999999999999999".into(),
            SHAPE,
        ),
        (
            "GET",
            "/v1/secrets/app/nothing".into(),
            &[(404, "secret_not_found")],
        ),
        (
            "DELETE",
            "/v1/secrets/app/nothing".into(),
            &[(404, "secret_not_found")],
        ),
        ("DELETE", "/v1/secrets/app/db?permanent=maybe".into(), SHAPE),
        ("GET", "/v1/policies?cursor=x".into(), CURSOR),
        ("GET", "/v1/policies?scope=galaxy".into(), POLICY),
        ("GET", "/v1/rotation/policies?cursor=x".into(), CURSOR),
        ("GET", "/v1/rotation/due?within_hours=soon".into(), SHAPE),
        ("GET", "/v1/rotations?phase=lunar".into(), SHAPE),
        ("GET", "/v1/audit/logs?cursor=x".into(), CURSOR),
        ("GET", "/v1/audit/logs?limit=1001".into(), SHAPE),
        ("GET", "/v1/audit/logs?from=yesterday".into(), SHAPE),
        ("GET", format!("/v1/audit/logs?action={CANARY}"), SHAPE),
        ("GET", "/v1/audit/logs?success=perhaps".into(), SHAPE),
        (
            "GET",
            format!("/v1/policies/{CANARY}"),
            &[(404, "policy_not_found")],
        ),
        (
            "GET",
            "/v1/policies/pol_..%2F..".into(),
            &[(404, "policy_not_found")],
        ),
        (
            "DELETE",
            "/v1/policies/pol_none".into(),
            &[(404, "policy_not_found")],
        ),
        (
            "DELETE",
            format!("/v1/policies/{}/bindings/nope", home.policy),
            &[(404, "binding_not_found")],
        ),
        (
            "DELETE",
            format!("/v1/policies/{}", home.policy),
            &[(409, "policy_in_use")],
        ),
        (
            "GET",
            "/v1/rotation/policies/x".into(),
            &[(404, "rotation_policy_not_found")],
        ),
        (
            "GET",
            "/v1/rotations/x".into(),
            &[(404, "rotation_not_found")],
        ),
        (
            "GET",
            "/v1/webhooks/x".into(),
            &[(404, "webhook_not_found")],
        ),
        (
            "POST",
            "/v1/webhooks/wh_none/test".into(),
            &[(404, "webhook_not_found")],
        ),
        (
            "POST",
            format!(
                "/v1/webhooks/{}/deliveries/del_none/redeliver",
                home.webhook
            ),
            &[(404, "delivery_not_found")],
        ),
        (
            "GET",
            format!("/v1/webhooks/{}/deliveries?status=lost", home.webhook),
            SHAPE,
        ),
        (
            "GET",
            "/v1/subscriptions/x".into(),
            &[(404, "subscription_not_found")],
        ),
        (
            "GET",
            format!("/v1/subscriptions/{}/poll?timeout=61", home.subscription),
            SHAPE,
        ),
        (
            "GET",
            format!("/v1/subscriptions/{}/poll?timeout=-1", home.subscription),
            SHAPE,
        ),
        (
            "GET",
            format!("/v1/subscriptions/{}/poll?max_events=0", home.subscription),
            SHAPE,
        ),
        (
            "DELETE",
            "/v1/auth/tokens/tok_none".into(),
            &[(404, "token_not_found")],
        ),
        (
            "POST",
            "/v1/secrets/app/db/rotate".into(),
            &[
                (404, "assignment_not_found"),
                (422, "validation_error"),
                (404, "rotation_policy_not_found"),
                (400, "invalid_request"),
            ],
        ),
        ("GET", "/".into(), NO_ROUTE),
        ("GET", "/v1".into(), NO_ROUTE),
        ("GET", format!("/v1/{CANARY}"), NO_ROUTE),
        ("GET", "/v2/secrets/app/db".into(), NO_ROUTE),
        ("GET", "/V1/secrets/app/db".into(), NO_ROUTE),
        ("GET", "/v1/auth/tokens/x/y/z".into(), NO_ROUTE),
        ("POST", "/v1/health".into(), METHOD),
        ("DELETE", "/v1/version".into(), METHOD),
        (
            "POST",
            "/v1/secrets/app/db".into(),
            &[(405, "method_not_allowed"), (404, "not_found")],
        ),
        ("PATCH", "/v1/secrets/app/db".into(), METHOD),
        ("PUT", "/v1/auth/tokens".into(), METHOD),
        ("DELETE", "/v1/audit/logs".into(), METHOD),
    ];
    for (method, target, expect) in &cases {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let what = format!("{method} {target}");
        check(&root.send(method, target, None).await, expect, &what);
    }
    assert_eq!(state(root).await, before, "something changed");
    quiet(home.server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_credentials() {
    let home = furnished().await;
    let (url, root) = (home.server.url(), home.server.root());
    const REQUIRED: Codes = &[(401, "authentication_required")];
    const INVALID: Codes = &[(401, "token_invalid")];
    let garbage = format!("Bearer skt_{CANARY}");
    let long = format!("Bearer skt_{}", "x".repeat(5_000));
    let token = home.server.root_token();
    let (basic, lower) = (format!("Basic {CANARY}"), format!("Token {token}"));
    let two = format!("Bearer {token} {token}");
    let cases: Vec<(Option<&str>, Codes)> = vec![
        (None, REQUIRED),
        (Some(""), REQUIRED),
        (Some("Bearer"), REQUIRED),
        (Some("Bearer "), REQUIRED),
        (Some(basic.as_str()), REQUIRED),
        (Some(lower.as_str()), REQUIRED),
        (Some(token), REQUIRED),
        (
            Some(two.as_str()),
            &[(401, "authentication_required"), (401, "token_invalid")],
        ),
        (Some(garbage.as_str()), INVALID),
        (Some("Bearer eyJhbGciOiJub25lIn0.e30."), INVALID),
        (
            Some(long.as_str()),
            &[(401, "token_invalid"), (401, "authentication_required")],
        ),
    ];
    for route in [
        "/v1/secrets/app/db",
        "/v1/secrets",
        "/v1/policies",
        "/v1/audit/logs",
    ] {
        for (authorization, expect) in &cases {
            let headers: Vec<_> = authorization
                .iter()
                .map(|value| ("Authorization", *value))
                .collect();
            let reply = exchange(url, request("GET", route, &headers, b"")).await;
            let shown: String = authorization
                .unwrap_or("nothing")
                .chars()
                .take(40)
                .collect();
            check(&reply, expect, &format!("GET {route} with {shown}"));
        }
    }
    // Two of them: which one would count?
    let good = format!("Bearer {token}");
    let headers = [
        ("Authorization", garbage.as_str()),
        ("Authorization", good.as_str()),
    ];
    let reply = exchange(url, request("GET", "/v1/secrets/app/db", &headers, b"")).await;
    assert!(matches!(reply.status, 400 | 401), "{}", reply.text);
    // What needs no token does not look at one.
    for open in ["/v1/health", "/v1/health/ready", "/v1/version"] {
        let headers = [("Authorization", garbage.as_str())];
        assert_eq!(
            exchange(url, request("GET", open, &headers, b""))
                .await
                .status,
            200
        );
    }

    // Revoked: the very next use is refused.
    let token = service_token(root, "sa:app", &["secrets:read"]).await;
    let app = root.with_token(token["token"].as_str().expect("a token"));
    app.get("/v1/secrets/app/db").await.ok(200);
    let revoke = format!("/v1/auth/tokens/{}", token["id"].as_str().expect("an id"));
    let revoked = root.delete(&revoke).await;
    assert!(matches!(revoked.status, 200 | 204), "{}", revoked.text);
    app.get("/v1/secrets/app/db")
        .await
        .refused(401, "token_revoked");

    // Expired.
    let body = json!({
        "identity_type": "service_account", "identity_id": "sa:app",
        "scopes": ["secrets:read"], "ttl": "1s",
    });
    let token = root.post("/v1/auth/tokens", body).await.ok(201);
    let app = root.with_token(token["token"].as_str().expect("a token"));
    let expired = eventually("the token expires", SOON, async || {
        let reply = app.get("/v1/secrets/app/db").await;
        (reply.status != 200).then_some(reply)
    })
    .await;
    expired.refused(401, "token_expired");

    // No token gives more than its maker has.
    let small = service(root, "sa:app", &["secrets:read", "admin"]).await;
    let body = json!({
        "identity_type": "service_account", "identity_id": "sa:app",
        "scopes": ["secrets:read", "secrets:write"],
    });
    let refused = small.post("/v1/auth/tokens", body).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    refused.error();

    // Another tenant: not by header, not by prefix, for nobody who is not its partner's admin.
    let app = service(root, "sa:app", &["secrets:read"]).await;
    let prefixed = app.get("/v1/t/tnt_other/secrets/app/db").await;
    check(
        &prefixed,
        &[(403, "tenant_access_denied"), (404, "not_found")],
        "/v1/t/tnt_other",
    );
    let token = service_token(root, "sa:app", &["secrets:read"]).await;
    let bearer = format!("Bearer {}", token["token"].as_str().expect("a token"));
    let headers = [
        ("Authorization", bearer.as_str()),
        ("X-Tenant-ID", "tnt_other"),
    ];
    let reply = exchange(url, request("GET", "/v1/secrets/app/db", &headers, b"")).await;
    check(
        &reply,
        &[(403, "tenant_access_denied")],
        "X-Tenant-ID of another tenant",
    );
    let root_headers = [
        ("Authorization", good.as_str()),
        ("X-Tenant-ID", "tnt_other"),
    ];
    let reply = exchange(
        url,
        request("GET", "/v1/secrets/app/db", &root_headers, b""),
    )
    .await;
    check(
        &reply,
        &[(404, "tenant_not_found"), (403, "tenant_access_denied")],
        "unknown tenant",
    );
    quiet(home.server).await;
}

/// Nobody waits for what would be refused anyway.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_announced_as_too_large_is_refused_unread() {
    let server = Server::dev().start().await;
    let authorization = format!("Bearer {}", server.root_token());
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Length", "99999999999"),
    ];
    let mut announced = request("PUT", "/v1/secrets/app/db", &headers, b"");
    announced.push(b'{');
    let reply = exchange(server.url(), announced).await;
    check(&reply, &[(413, "payload_too_large")], "an announcement");
    server
        .root()
        .get("/v1/secrets/app/db")
        .await
        .refused(404, "secret_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_requests() {
    let home = furnished().await;
    let (url, root) = (home.server.url(), home.server.root());
    let before = state(root).await;
    let authorization = format!("Bearer {}", home.server.root_token());
    let authorization = [("Authorization", authorization.as_str())];
    const TOO_LARGE: Codes = &[(413, "payload_too_large")];

    // Announced as too large, and sent.
    let body = json!({ "data": { "k": "x".repeat(32 << 20) } }).to_string();
    let put = request("PUT", "/v1/secrets/app/db", &authorization, body.as_bytes());
    check(&exchange(url, put).await, TOO_LARGE, "32 MiB");

    // Not announced: chunk after chunk.
    let mut chunked = request("PUT", "/v1/secrets/app/db", &authorization, b"");
    chunked.truncate(chunked.len() - 2);
    chunked.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    for _ in 0..32 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.extend_from_slice(&vec![b'x'; 1 << 20]);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    check(&exchange(url, chunked).await, TOO_LARGE, "32 MiB in chunks");

    // A head that never ends is cut, by whatever status, and the server goes on.
    let long = "x".repeat(1 << 20);
    let headers = [authorization[0], ("X-Long", long.as_str())];
    let reply = exchange(url, request("GET", "/v1/secrets/app/db", &headers, b"")).await;
    assert!((400..500).contains(&reply.status), "{}", reply.status);

    assert_eq!(state(root).await, before, "something changed");
    quiet(home.server).await;
}

/// Ends the server: it is still well, and nothing it logged holds what was sent.
async fn quiet(server: Server) {
    let root = server.root();
    root.get("/v1/health/ready").await.ok(200);
    assert_eq!(root.get("/v1/audit/verify").await.ok(200)["valid"], true);
    let (token, mut out) = (
        server.root_token().to_owned(),
        server.process().stdout().join("\n"),
    );
    let (stderr, _home) = server.stop().await;
    out.push_str(&stderr);
    assert!(!out.contains(CANARY), "the log repeats input");
    assert!(!stderr.contains(&token), "the log holds the root token");
}
