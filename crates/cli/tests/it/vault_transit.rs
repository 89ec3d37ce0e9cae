//! Transit from the outside: who may what, whose keys they are, and what is said where. What clients make
//! of it is in `scripts/vault-clients`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::first_integration::{grant, service};
use crate::harness::raw::{exchange, request};
use crate::harness::{Api, Reply, Server};
use crate::tenancy;

const CANARY: &str = "canary-of-transit-7c1e";

async fn ask(server: &Server, api: &Api, method: &str, path: &str, body: &Value) -> Reply {
    let token = api.token().expect("it has one");
    let bytes = match body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let headers = [("X-Vault-Token", token)];
    let request = request(method, &format!("/v1/{path}"), &headers, &bytes);
    exchange(server.url(), request).await
}

/// A server with a mount and a key in it.
async fn filled() -> Server {
    let server = Server::dev().start().await;
    let root = server.root().clone();
    let mount = json!({ "type": "transit" });
    let made = ask(&server, &root, "POST", "sys/mounts/transit", &mount).await;
    assert_eq!(made.status, 204, "{}", made.text);
    let open = json!({ "exportable": true, "allow_plaintext_backup": true });
    ask(&server, &root, "POST", "transit/keys/k", &open)
        .await
        .ok(200);
    let signing = json!({ "type": "ed25519" });
    ask(&server, &root, "POST", "transit/keys/s", &signing)
        .await
        .ok(200);
    server
}

async fn sealed(server: &Server, api: &Api) -> String {
    let body = json!({ "plaintext": STANDARD.encode(CANARY) });
    let made = ask(server, api, "POST", "transit/encrypt/k", &body).await;
    made.ok(200)["data"]["ciphertext"]
        .as_str()
        .expect("a text")
        .to_owned()
}

fn routes(sealed: &str) -> Vec<(&'static str, &'static str, Value)> {
    let plain = json!({ "plaintext": "AAAA" });
    let input = json!({ "input": "AAAA" });
    let signed = json!({ "input": "AAAA", "signature": "vault:v1:AAAA" });
    let none = Value::Null;
    vec![
        ("LIST", "transit/keys", none.clone()),
        ("GET", "transit/keys/k", none.clone()),
        ("POST", "transit/keys/new", json!({ "type": "hmac" })),
        (
            "POST",
            "transit/keys/k/config",
            json!({ "deletion_allowed": true }),
        ),
        ("POST", "transit/keys/k/rotate", none.clone()),
        (
            "POST",
            "transit/keys/k/trim",
            json!({ "min_available_version": 1 }),
        ),
        ("DELETE", "transit/keys/k", none.clone()),
        ("GET", "transit/export/encryption-key/k", none.clone()),
        ("GET", "transit/export/public-key/s/latest", none.clone()),
        ("GET", "transit/backup/k", none),
        ("POST", "transit/restore/k2", json!({ "backup": "AAAA" })),
        ("PUT", "transit/encrypt/k", plain.clone()),
        ("POST", "transit/encrypt/unknown", plain),
        ("POST", "transit/decrypt/k", json!({ "ciphertext": sealed })),
        ("POST", "transit/rewrap/k", json!({ "ciphertext": sealed })),
        ("POST", "transit/datakey/plaintext/k", json!({})),
        ("POST", "transit/datakey/wrapped/k", json!({})),
        ("POST", "transit/sign/s", input.clone()),
        ("POST", "transit/sign/s/sha2-512", input.clone()),
        ("POST", "transit/verify/s", signed),
        ("POST", "transit/hmac/k", input.clone()),
        ("POST", "transit/random/16", json!({})),
        ("POST", "transit/hash", input),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_strangers_and_the_powerless() {
    let server = filled().await;
    let sealed = sealed(&server, server.root()).await;
    let powerless = service(server.root(), "sa:powerless", &["pki:issue"]).await;
    // A scope is no policy, and a policy no scope.
    let scope = service(server.root(), "sa:scope", &["transit:use"]).await;
    let rule = service(server.root(), "sa:rule", &["secrets:read", "secrets:write"]).await;
    grant(
        server.root(),
        "sa:rule",
        "**",
        &["read", "write", "delete", "list"],
    )
    .await;
    let stranger = server.root().with_token("skt_nothing");
    for (method, path, body) in routes(&sealed) {
        for who in [&powerless, &scope, &rule, &stranger] {
            let tried = ask(&server, who, method, path, &body).await;
            assert_eq!(tried.status, 403, "{method} {path}: {}", tried.text);
            assert_eq!(tried.body["errors"][0], "permission denied", "{path}");
        }
        // What is there and what is not are refused alike.
        if let Some(before) = path.strip_suffix("/k") {
            let absent = format!("{before}/nothing");
            let there = ask(&server, &scope, method, path, &body).await;
            let absent = ask(&server, &scope, method, &absent, &body).await;
            assert_eq!((there.status, &there.body), (absent.status, &absent.body));
        }
    }
    let key = ask(
        &server,
        server.root(),
        "GET",
        "transit/keys/k",
        &Value::Null,
    )
    .await;
    let key = key.ok(200);
    assert_eq!(
        (
            &key["data"]["latest_version"],
            &key["data"]["deletion_allowed"]
        ),
        (&json!(1), &json!(false))
    );
    let keys = ask(&server, server.root(), "LIST", "transit/keys", &Value::Null).await;
    assert_eq!(keys.ok(200)["data"]["keys"], json!(["k", "s"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_encrypt_may_neither_decrypt_nor_make_keys() {
    let server = filled().await;
    let sealer = service(server.root(), "sa:sealer", &["transit:use"]).await;
    grant(
        server.root(),
        "sa:sealer",
        "transit/transit/encrypt/*",
        &["write"],
    )
    .await;
    let sealed = sealed(&server, &sealer).await;
    for (method, path, body) in routes(&sealed) {
        let tried = ask(&server, &sealer, method, path, &body).await;
        let expect = if path == "transit/encrypt/k" {
            200
        } else {
            403
        };
        assert_eq!(tried.status, expect, "{method} {path}: {}", tried.text);
    }
    // With the right to create, a key is made by encrypting, once.
    grant(
        server.root(),
        "sa:sealer",
        "transit/transit/upsert/*",
        &["write"],
    )
    .await;
    let body = json!({ "plaintext": "AAAA" });
    for _ in 0..2 {
        let made = ask(&server, &sealer, "POST", "transit/encrypt/unknown", &body).await;
        assert_eq!(made.ok(200)["data"]["key_version"], 1);
    }
    let opened = json!({ "ciphertext": sealed });
    let opened = ask(&server, server.root(), "POST", "transit/decrypt/k", &opened).await;
    assert_eq!(
        opened.ok(200)["data"]["plaintext"],
        json!(STANDARD.encode(CANARY))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_of_their_tenant() {
    let server = filled().await;
    let root = server.root();
    let one = tenancy::partner(root, "One").await;
    let (a, b) = (
        tenancy::place(root, &one, "A").await,
        tenancy::place(root, &one, "B").await,
    );
    for place in [&a, &b] {
        let mount = json!({ "type": "transit" });
        let made = ask(
            &server,
            &place.everyone,
            "POST",
            "sys/mounts/transit",
            &mount,
        )
        .await;
        assert_eq!(made.status, 204, "{}", made.text);
    }
    let none = &Value::Null;
    ask(&server, &a.everyone, "POST", "transit/keys/k", none)
        .await
        .ok(200);
    let sealed = sealed(&server, &a.everyone).await;
    for path in ["transit/keys/k", "transit/keys?list=true"] {
        let seen = ask(&server, &b.everyone, "GET", path, none).await;
        assert_eq!(seen.status, 404, "{path}: {}", seen.text);
    }
    let body = json!({ "ciphertext": sealed });
    // Nor does a key of the same name open it.
    for _ in 0..2 {
        let tried = ask(&server, &b.everyone, "POST", "transit/decrypt/k", &body).await;
        assert_eq!(tried.status, 400, "{}", tried.text);
        ask(&server, &b.everyone, "POST", "transit/keys/k", none)
            .await
            .ok(200);
    }
    let opened = ask(&server, &a.everyone, "POST", "transit/decrypt/k", &body).await;
    opened.ok(200);
}

/// Uses and keys are on the trail by their paths; plaintexts and keys are in answers alone.
#[tokio::test(flavor = "multi_thread")]
async fn each_use_is_on_the_trail_and_no_plaintext() {
    let server = filled().await;
    let root = server.root();
    let sealed = sealed(&server, root).await;
    let body = json!({ "ciphertext": sealed });
    ask(&server, root, "POST", "transit/decrypt/k", &body)
        .await
        .ok(200);
    let exported = ask(
        &server,
        root,
        "GET",
        "transit/export/encryption-key/k",
        &Value::Null,
    )
    .await
    .ok(200);
    let key = exported["data"]["keys"]["1"].as_str().expect("a key");
    let trail = root.get("/v1/audit/logs?limit=200").await;
    assert_eq!(trail.status, 200, "{}", trail.text);
    for (action, path) in [
        ("transit_key_create", "transit/transit/keys/k"),
        ("transit_use", "transit/transit/encrypt/k"),
        ("transit_use", "transit/transit/decrypt/k"),
        (
            "transit_key_export",
            "transit/transit/export/encryption-key/k",
        ),
    ] {
        let rows = trail.body["logs"].as_array().expect("rows");
        let found = rows
            .iter()
            .any(|row| row["action"] == action && row["secret_path"] == path);
        assert!(found, "{action} {path}: {}", trail.text);
    }
    let metrics = root.get("/v1/metrics").await;
    for text in [&trail.text, &metrics.text, &server.process().stderr()] {
        for secret in [CANARY, &STANDARD.encode(CANARY), key] {
            assert!(!text.contains(secret));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn items_of_a_list_fail_one_by_one() {
    let server = filled().await;
    let root = server.root();
    let items = json!([
        { "plaintext": "AAAA", "reference": "first" },
        { "plaintext": "!" },
        { "plaintext": "AAAA", "nonce": "AAAA" },
        { "plaintext": "AAAA", "key_version": 9 },
        {},
    ]);
    let body = json!({ "batch_input": items });
    let made = ask(&server, root, "POST", "transit/encrypt/k", &body).await;
    assert_eq!(made.status, 400, "{}", made.text);
    let results = made.body["data"]["batch_results"].as_array().expect("all");
    assert_eq!(results.len(), 5);
    assert_eq!(results[0]["reference"], "first");
    assert!(results[0]["ciphertext"].is_string());
    assert!(results[1..].iter().all(|one| one["error"].is_string()));
    let body = json!({ "batch_input": items, "partial_failure_response_code": "200" });
    let made = ask(&server, root, "POST", "transit/encrypt/k", &body).await;
    assert_eq!(made.status, 200, "{}", made.text);
    for body in [
        json!({ "batch_input": [] }),
        json!({ "batch_input": "x" }),
        json!({ "batch_input": [1] }),
        json!({}),
        json!({ "plaintext": 7 }),
        json!({ "batch_input": [{ "plaintext": "AAAA", "context": "AAAA" }, { "plaintext": "AAAA" }] }),
    ] {
        let tried = ask(&server, root, "POST", "transit/encrypt/k", &body).await;
        assert_eq!(tried.status, 400, "{body}: {}", tried.text);
        assert!(tried.body["errors"][0].is_string(), "{body}");
    }
    let signed = json!({ "batch_input": [{ "input": "AAAA" }, { "input": "!" }] });
    let made = ask(&server, root, "POST", "transit/sign/s", &signed).await;
    let results = made.ok(200);
    let results = &results["data"]["batch_results"];
    assert!(results[0]["signature"].is_string() && results[1]["error"].is_string());
}
