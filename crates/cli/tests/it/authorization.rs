//! Who may do what: every route of the API document refuses strangers, and every change of rights
//! holds from the next request on.

use reqwest::Method;
use serde_json::{Value, json};

use crate::first_integration::{grant, service};
use crate::harness::{Api, SOON, Server, eventually};

/// Routes that need no token, by the documents.
pub(crate) const OPEN: [&str; 6] = [
    "/v1/health",
    "/v1/health/ready",
    "/v1/version",
    "/v1/metrics",
    "/v1/openapi.json",
    "/v1/docs",
];

/// Routes for whoever has any token.
const ANY_TOKEN: [&str; 2] = ["/v1/auth/whoami", "/v1/auth/tokens/self/renew"];

/// Ask for no token but for what is in their bodies.
const CREDENTIAL_IN_BODY: [&str; 2] = ["/v1/auth/exchange", "/v1/auth/login"];

/// Asks for no token but for a certificate of the connection.
const CREDENTIAL_IN_CONNECTION: [&str; 1] = ["/v1/auth/certificate/login"];

/// Every operation of the served document, its path filled with something that is not there.
pub(crate) async fn operations(api: &Api) -> Vec<(Method, String)> {
    let document = api.get("/v1/openapi.json").await.ok(200);
    assert!(
        document["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3.1"))
    );
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let filled = path
            .split('/')
            .map(|segment| match segment {
                "{path}" | "{secret_path}" => "app",
                parameter if parameter.starts_with('{') => "x",
                literal => literal,
            })
            .collect::<Vec<_>>()
            .join("/");
        for method in methods.as_object().expect("methods").keys() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else {
                continue;
            };
            if ["GET", "PUT", "POST", "PATCH", "DELETE"].contains(&method.as_str()) {
                operations.push((method, filled.clone()));
            }
        }
    }
    assert!(
        operations.len() >= 50,
        "only {} operations are described",
        operations.len()
    );
    operations
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_strangers() {
    let server = Server::dev().start().await;
    let root = server.root();
    root.put("/v1/secrets/app", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    // A good token whose one scope opens none of these routes.
    let powerless = service(root, "sa:powerless", &["pki:issue"]).await;
    for (method, path) in operations(root).await {
        let what = format!("{method} {path}");
        // A body, so that a route that looks at it first shows itself.
        let body = (method != Method::GET && method != Method::DELETE)
            .then(|| json!({ "name": "x", "data": {} }));
        let stranger = root
            .anonymous()
            .send(method.clone(), &path, body.clone())
            .await;
        if OPEN.contains(&path.as_str()) {
            assert_eq!(stranger.status, 200, "{what}");
            continue;
        }
        if CREDENTIAL_IN_BODY.contains(&path.as_str()) {
            assert_eq!(stranger.status, 400, "{what}: {}", stranger.text);
            continue;
        }
        stranger.refused(401, "authentication_required");
        if CREDENTIAL_IN_CONNECTION.contains(&path.as_str()) {
            let refused = powerless.send(method, &path, body).await;
            refused.refused(401, "authentication_required");
            continue;
        }
        let refused = powerless.send(method, &path, body).await;
        if ANY_TOKEN.contains(&path.as_str()) {
            assert_eq!(refused.status, 200, "{what}: {}", refused.text);
            continue;
        }
        assert!(
            (400..500).contains(&refused.status),
            "{what}: {}",
            refused.text
        );
        refused.error();
        // What it would have shown or changed is refused as such, or hidden as not there.
        if refused.status != 403 {
            assert!(
                matches!(refused.status, 400 | 404 | 422),
                "{what}: {}",
                refused.text
            );
        }
    }
    assert_eq!(root.get("/v1/secrets/app").await.ok(200)["version"], 1);
}

/// Waits for nothing: the very next request is decided by the new rights.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_rights_holds_at_once() {
    let server = Server::dev().start().await;
    let root = server.root();
    root.put("/v1/secrets/app/db", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    let reader = service(root, "sa:reader", &["secrets:read"]).await;
    let read = async || reader.get("/v1/secrets/app/db").await;
    read().await.refused(403, "access_denied");
    let policy = format!(
        "/v1/policies/{}",
        grant(root, "sa:reader", "app/*", &["read"]).await
    );
    read().await.ok(200);

    root.patch(&policy, json!({ "is_active": false }))
        .await
        .ok(200);
    read().await.refused(403, "access_denied");
    root.patch(&policy, json!({ "is_active": true }))
        .await
        .ok(200);
    read().await.ok(200);
    let rules = |pattern: &str, conditions: Value| {
        json!({ "rules": [{
            "path_pattern": pattern, "permissions": ["read"], "conditions": conditions,
        }] })
    };
    root.patch(&policy, rules("other/*", json!({})))
        .await
        .ok(200);
    read().await.refused(403, "access_denied");
    root.patch(
        &policy,
        rules("app/*", json!({ "ip_ranges": ["10.0.0.0/8"] })),
    )
    .await
    .ok(200);
    let error = read().await.refused(403, "ip_not_allowed");
    assert_eq!(error["details"]["failed_condition"], "ip_ranges");
    root.patch(&policy, rules("app/*", json!({ "require_mfa": true })))
        .await
        .ok(200);
    read().await.refused(403, "mfa_required");
    root.patch(
        &policy,
        rules("app/*", json!({ "ip_ranges": ["127.0.0.0/8"] })),
    )
    .await
    .ok(200);
    read().await.ok(200);

    // A binding ends when it is removed, and by itself.
    let bindings = root.get(&format!("{policy}/bindings")).await.ok(200);
    let id = bindings["bindings"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let removed = root.delete(&format!("{policy}/bindings/{id}")).await;
    assert!(matches!(removed.status, 200 | 204), "{}", removed.text);
    read().await.refused(403, "access_denied");
    let now = root.anonymous().get("/v1/health").await.ok(200);
    let binding = json!({
        "identity_type": "service_account", "identity_id": "sa:reader",
        "expires_at": now["timestamp"],
    });
    let bound = root.post(&format!("{policy}/bindings"), binding).await;
    assert!(matches!(bound.status, 201 | 422), "{}", bound.text);
    read().await.refused(403, "access_denied");
    let gone = root.delete(&format!("{policy}?force=true")).await;
    assert!(matches!(gone.status, 200 | 204), "{}", gone.text);
    root.get(&policy).await.refused(404, "policy_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dry_run_agrees_with_the_decision_and_leaves_no_row() {
    let server = Server::dev().start().await;
    let root = server.root();
    let policy = grant(root, "sa:app", "app/*", &["read"]).await;
    let rows = async || root.get("/v1/audit/verify").await.ok(200)["rows"].as_u64();
    let before = rows().await;
    let test = async |path: &str, permission: &str| {
        let body = json!({ "identity_id": "sa:app", "path": path, "permission": permission });
        root.post("/v1/policies/test", body).await.ok(200)
    };
    let allowed = test("app/db", "read").await;
    assert_eq!(allowed["allowed"], true);
    assert_eq!(
        allowed["matched"],
        json!({ "policy_id": policy, "rule_index": 0 })
    );
    for (path, permission) in [("app/db", "write"), ("app/db/x", "read"), ("other", "read")] {
        let refused = test(path, permission).await;
        assert_eq!(refused["allowed"], false, "{permission} {path}");
        assert_eq!(refused["matched"], Value::Null);
        assert_eq!(refused["evaluated"][0]["result"], "no_match");
    }
    // The verifications are on the trail themselves, the tests are not.
    let after = rows().await;
    assert!(
        after
            .zip(before)
            .is_some_and(|(after, before)| after - before <= 1),
        "{before:?} {after:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_can_be_narrowed() {
    let server = Server::dev().start().await;
    let root = server.root();
    root.put("/v1/secrets/app/db", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    grant(root, "sa:app", "app/*", &["read"]).await;
    let app = service(root, "sa:app", &["secrets:read"]).await;
    app.get("/v1/secrets/app/db").await.ok(200);
    app.get("/v1/secrets/other")
        .await
        .refused(403, "access_denied");
    let count = async |query: &str| {
        let page = root.get(&format!("/v1/audit/logs?{query}")).await.ok(200);
        page["logs"].as_array().expect("logs").len()
    };
    assert_eq!(count("identity_id=sa:app").await, 2);
    assert_eq!(count("identity_id=sa:app&success=false").await, 1);
    assert_eq!(count("action=read,write&path_prefix=app/").await, 2);
    assert_eq!(count("identity_type=service_account&action=read").await, 2);
    assert_eq!(count("action=policy_create").await, 1);
    assert_eq!(count("source_ip=127.0.0.1&action=write").await, 1);
    assert_eq!(count("source_ip=10.1.1.1").await, 0);
    assert_eq!(count("to=2020-01-01T00:00:00Z").await, 0);
    let summary = root.get("/v1/audit/summary").await.ok(200);
    assert!(
        summary["total_events"]
            .as_u64()
            .is_some_and(|total| total >= 4),
        "{summary}"
    );
    // Page by page it is the same trail.
    let page = root.get("/v1/audit/logs?limit=3").await.ok(200);
    let next = page["cursor"].as_str().expect("there is more");
    let rest = root
        .get(&format!("/v1/audit/logs?limit=3&cursor={next}"))
        .await
        .ok(200);
    assert_ne!(page["logs"][2]["id"], rest["logs"][0]["id"]);
    assert!(page["logs"][2]["timestamp"].as_str() >= rest["logs"][0]["timestamp"].as_str());
    // Nobody without the scope looks at it.
    app.get("/v1/audit/logs")
        .await
        .refused(403, "insufficient_scope");
    eventually("the refusal is on the trail, too", SOON, async || {
        (count("identity_id=sa:app&success=false").await == 2).then_some(())
    })
    .await;
}
