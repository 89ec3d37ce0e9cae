//! Ids of another tenant, at every operation of the document.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::{bare, partner, place};
use crate::harness::{Api, Server};

/// Every operation of the document that takes an id, asked from another tenant.
#[tokio::test(flavor = "multi_thread")]
async fn ids_of_another_tenant_are_answered_as_ids_of_nobody() {
    let server = Server::dev().start().await;
    let root = server.root();
    let a = place(root, &partner(root, "One").await, "A").await;
    let c = place(root, &partner(root, "Two").await, "C").await;
    let ids = things(&a.everyone).await;
    let document = root.get("/v1/openapi.json").await.ok(200);
    let (mut asked, mut wrong) = (0, Vec::new());
    for (path, methods) in document["paths"].as_object().expect("paths") {
        if !path.contains('{') {
            continue;
        }
        let Some((theirs, nobodys)) = filled(path, &ids) else {
            panic!("{path}: a parameter of which the test knows no id");
        };
        for method in methods.as_object().expect("methods").keys() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else {
                continue;
            };
            let body = body_of(&method, path);
            let of_other = c.everyone.send(method.clone(), &theirs, body.clone()).await;
            let of_nobody = c.everyone.send(method.clone(), &nobodys, body).await;
            let what = format!("{method} {path}");
            // Answers name what was asked for; by anything else the two are the same.
            let same = |(status, text): (u16, String), asked: &str| {
                let mut text = text;
                for part in asked.split('/').filter(|part| part.contains('_')) {
                    text = text.replace(part, "…");
                }
                (status, text)
            };
            let (got, expect) = (
                same(bare(&of_other), &theirs),
                same(bare(&of_nobody), &nobodys),
            );
            // Who may change no partner at all is told so, whichever it is.
            let hidden = of_other.status == 404
                || BY_NAME.iter().any(|name| path.contains(name))
                || (of_other.status == 403 && path.contains("/identity/partners/"));
            if got != expect || !hidden {
                wrong.push(format!("{what}: {got:?}, of nobody's {expect:?}"));
            }
            asked += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(asked >= 60, "only {asked} operations were asked");
    // And none of it did anything: all is as it was.
    let after = things(&a.everyone).await;
    for (kind, id) in &ids {
        if let Some(path) = shown_at(kind, id) {
            a.everyone.get(&path).await.ok(200);
        }
    }
    assert_eq!(after.len(), ids.len());
}

/// Parameters that are names of the caller's own: there is nothing to be hidden behind them.
const BY_NAME: [&str; 3] = ["{path}", "{secret_path}", "{identity_id}"];

/// Where an id of this kind is shown.
fn shown_at(kind: &str, id: &str) -> Option<String> {
    Some(match kind {
        "policies" => format!("/v1/policies/{id}"),
        "secret-policies" => format!("/v1/secret-policies/{id}"),
        "rotation/policies" => format!("/v1/rotation/policies/{id}"),
        "webhooks" => format!("/v1/webhooks/{id}"),
        "subscriptions" => format!("/v1/subscriptions/{id}"),
        "rotations" => format!("/v1/rotations/{id}"),
        "rotation/targets" => format!("/v1/rotation/targets/{id}"),
        "rotation/campaigns" => format!("/v1/rotation/campaigns/{id}"),
        "secret" => format!("/v1/secrets/{id}"),
        "auth/roles" => format!("/v1/auth/roles/{id}"),
        "engines" => format!("/v1/dynamic/engines/{id}"),
        _ => return None,
    })
}

/// One of everything a tenant can own, or what is asked for in its place.
async fn things(api: &Api) -> BTreeMap<&'static str, String> {
    let id = |made: Value| made["id"].as_str().expect("an id").to_owned();
    let mut ids = BTreeMap::new();
    let n = api.get("/v1/policies").await.ok(200)["policies"]
        .as_array()
        .map_or(0, Vec::len);
    let secret = format!("app/s_{n}");
    let path = format!("/v1/secrets/{secret}");
    api.put(&path, json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    let rule = json!([{ "path_pattern": "x/*", "permissions": ["read"] }]);
    let body = json!({ "name": format!("p{n}"), "rules": rule });
    let policy = id(api.post("/v1/policies", body).await.ok(201));
    let body = json!({ "identity_type": "service_account", "identity_id": "sa:x" });
    let bound = api
        .post(&format!("/v1/policies/{policy}/bindings"), body)
        .await;
    ids.insert("bindings", id(bound.ok(201)));
    ids.insert("policies", policy);
    let body = json!({ "identity_type": "service_account", "identity_id": "sa:only_a",
                       "scopes": ["secrets:read"] });
    let minted = api.post("/v1/auth/tokens", body).await.ok(201);
    let other = api.with_token(minted["token"].as_str().expect("a token"));
    // So that it has rows on the trail.
    other.get(&path).await.refused(403, "access_denied");
    ids.insert("audit/identities", "sa:only_a".to_owned());
    ids.insert("auth/tokens", id(minted));
    let role = format!("role_{n}");
    let body = json!({ "name": role, "identity_type": "service_account", "identity_id": "sa:x",
                       "scopes": ["secrets:read"] });
    api.post("/v1/auth/roles", body).await.ok(201);
    let route = format!("/v1/auth/roles/{role}/secret-ids");
    let made = api.post(&route, json!({}));
    let accessor = made.await.ok(201)["accessor"].as_str().map(str::to_owned);
    ids.insert("auth/roles", role);
    ids.insert("secret-ids", accessor.expect("an id"));
    let body = json!({ "name": format!("r{n}"), "interval": "90d", "grace_period": "1h" });
    let rotates = id(api.post("/v1/rotation/policies", body).await.ok(201));
    let body = json!({
        "name": format!("recipe-{n}"),
        "fields": [{ "name": "k", "generator": "uuid" }],
    });
    ids.insert(
        "secret-policies",
        id(api.post("/v1/secret-policies", body).await.ok(201)),
    );
    let body = json!({
        "name": format!("w{n}"), "url": "http://127.0.0.1:9/hook", "events": ["secret.created"],
        "secret": "0123456789abcdef0123456789abcdef",
    });
    ids.insert("webhooks", id(api.post("/v1/webhooks", body).await.ok(201)));
    let body = json!({ "name": format!("s{n}"), "paths": ["**"], "events": ["secret.created"],
                       "delivery": { "type": "polling" } });
    ids.insert(
        "subscriptions",
        id(api.post("/v1/subscriptions", body).await.ok(201)),
    );
    let options = json!({ "rotation_policy_id": rotates });
    api.put(&path, json!({ "data": { "k": "v" }, "options": options }))
        .await
        .ok(200);
    let begun = api.post_empty(&format!("{path}/rotate")).await.ok(202);
    ids.insert("rotations", id(begun));
    ids.insert("rotation/policies", rotates);
    ids.insert("secret", secret);
    let manager = format!("db/m_{n}");
    let credential = json!({ "data": { "username": "m", "password": "p" } });
    api.put(&format!("/v1/secrets/{manager}"), credential)
        .await
        .ok(201);
    let body = json!({
        "name": format!("cache{n}"), "connector": "redis", "manager_path": manager,
        "settings": { "host": "cache.internal" },
    });
    let target = api.post("/v1/rotation/targets", body).await.ok(201);
    ids.insert("rotation/targets", id(target));
    let body = json!({ "paths": [manager] });
    let run = api.post("/v1/rotation/campaigns", body).await.ok(201);
    ids.insert("rotation/campaigns", id(run));
    let engine = format!("engine_{n}");
    let body = json!({
        "name": engine, "type": "database",
        "config": { "plugin": "redis", "connection_url": "redis://cache.internal:6379",
                    "root_credentials_path": manager, "verify_connection": false },
    });
    api.post("/v1/dynamic/engines", body).await.ok(201);
    let body = json!({ "name": "role_a", "creation_statements": ["~*", "+@read"] });
    let route = format!("/v1/dynamic/engines/{engine}/roles");
    api.post(&route, body).await.ok(201);
    ids.insert("engines", engine);
    ids.insert("{engine}/roles", "role_a".to_owned());
    ids.insert("creds", "role_a".to_owned());
    // Nothing makes these here: the other tenant asks by ids of the right form.
    for (kind, prefix) in [
        ("rotation/debts", "dbt"),
        ("deliveries", "del"),
        ("audit/exports", "exp"),
        ("dynamic/leases", "lse"),
    ] {
        ids.insert(kind, format!("{prefix}_01JDB2V9Q7C0M3F5Y8K4T6R1ZX"));
    }
    let who = api.get("/v1/auth/whoami").await.ok(200);
    let text = |name: &str| who[name].as_str().expect("a text").to_owned();
    ids.insert("identity/tenants", text("tenant_id"));
    ids.insert("identity/partners", text("partner_id"));
    ids
}

/// The path with ids of the other tenant, and with ids of the same form that nobody has.
fn filled(path: &str, ids: &BTreeMap<&str, String>) -> Option<(String, String)> {
    let (mut theirs, mut nobodys) = (String::new(), String::new());
    let mut before = Vec::new();
    for segment in path.split('/').skip(1) {
        let (one, other) = match segment {
            "{path}" | "{secret_path}" => {
                let path = ids["secret"].clone();
                (path, "app/s_none".to_owned())
            }
            name if name.starts_with('{') => {
                // The collection it is in: one word, or two where one says too little.
                let one = before.last().copied().unwrap_or_default();
                let two = before
                    .len()
                    .checked_sub(2)
                    .map(|at| format!("{}/{one}", before[at]));
                let id = two
                    .as_deref()
                    .and_then(|two| ids.get(two))
                    .or_else(|| ids.get(one))
                    .or_else(|| ids.get(&*format!("rotation/{one}")))?;
                let prefix = id.split_once('_').expect("a prefix").0;
                let nobodys = format!("{prefix}_01AAAAAAAAAAAAAAAAAAAAAAAA");
                match path.starts_with("/v1/dynamic/engines/") {
                    // Names, which are lower case.
                    true => (id.clone(), nobodys.to_lowercase()),
                    false => (id.clone(), nobodys),
                }
            }
            literal => (literal.to_owned(), literal.to_owned()),
        };
        theirs = format!("{theirs}/{one}");
        nobodys = format!("{nobodys}/{other}");
        before.push(segment);
    }
    Some((theirs, nobodys))
}

/// A body that the operation takes, so that the object itself is what is looked for.
fn body_of(method: &Method, path: &str) -> Option<Value> {
    match (method.as_str(), path) {
        ("DELETE", "/v1/rotation/debts/{id}") => return Some(json!({ "reason": "gone" })),
        ("GET" | "DELETE", _) => return None,
        ("PATCH" | "POST", "/v1/auth/roles/{role}" | "/v1/auth/roles/{role}/secret-ids") => {
            return Some(json!({}));
        }
        ("POST", "/v1/auth/roles/{role}/secret-ids/lookup") => {
            return Some(json!({ "secret_id": "sks_x" }));
        }
        ("PUT", "/v1/policies/{id}") => {
            let rule = json!({ "path_pattern": "**", "permissions": ["read"] });
            return Some(json!({ "name": "mine", "rules": [rule] }));
        }
        ("PUT", "/v1/secret-policies/{id}") => {
            let field = json!({ "name": "k", "generator": "uuid" });
            return Some(json!({ "name": "mine", "fields": [field] }));
        }
        ("POST", "/v1/dynamic/engines/{engine}/roles") => {
            return Some(json!({ "name": "mine", "creation_statements": ["~*"] }));
        }
        ("POST", "/v1/rotation/policies/{id}/secrets") => {
            return Some(json!({ "secret_path": "app/mine" }));
        }
        _ => {}
    }
    Some(match path.rsplit('/').next().unwrap_or_default() {
        "bindings" => json!({ "identity_type": "service_account", "identity_id": "sa:y" }),
        "ack" if path.contains("subscriptions") => json!({ "event_ids": ["evt_1"] }),
        "ack" => json!({ "version": 1, "status": "applied" }),
        "rotate" | "undelete" | "preview" | "test" => return None,
        "{path}" => json!({ "data": { "k": "v" }, "options": { "cas": 7 } }),
        "metadata" => json!({ "tags": ["t"] }),
        _ => json!({}),
    })
}
