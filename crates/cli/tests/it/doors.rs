//! Every operation of the OpenAPI document under every other spelling of its path: refused, or the
//! same operation on the same thing, decided and written down as such.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::authorization::{OPEN, operations};
use crate::first_integration::service;
use crate::harness::raw::{exchange, request};
use crate::harness::{Api, Reply, Server};

/// Every scope that an ordinary service may have.
const SCOPES: [&str; 13] = [
    "secrets:read",
    "secrets:write",
    "secrets:delete",
    "secrets:list",
    "secrets:rotate",
    "policies:read",
    "policies:write",
    "audit:read",
    "audit:export",
    "subscriptions:read",
    "subscriptions:write",
    "identity:read",
    "identity:admin",
];

/// Other ways to write a path, by name.
fn spellings(path: &str) -> Vec<(&'static str, String)> {
    let (root, last) = path.rsplit_once('/').expect("a path");
    let first = last.chars().next().expect("no empty segment");
    let coded = |text: &str| {
        text.bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect::<String>()
    };
    let wide = |text: &str| -> String {
        let widen = |c: char| char::from_u32(u32::from(c) + 0xfee0).expect("a character");
        text.chars()
            .map(|c| if c.is_ascii_lowercase() { widen(c) } else { c })
            .collect()
    };
    vec![
        ("upper case", path.to_uppercase()),
        ("last upper case", format!("{root}/{}", last.to_uppercase())),
        (
            "one letter coded",
            format!("{root}/{}{}", coded(&first.to_string()), &last[1..]),
        ),
        ("last coded", format!("{root}/{}", coded(last))),
        (
            "coded twice",
            format!("{root}/{}", coded(last).replace('%', "%25")),
        ),
        ("slash coded", format!("{root}%2F{last}")),
        ("slash coded twice", format!("{root}%252f{last}")),
        ("slash twice", format!("{root}//{last}")),
        ("slash behind", format!("{path}/")),
        ("slash before", format!("/{path}")),
        ("dot", format!("{root}/./{last}")),
        ("dots", format!("{root}/x/../{last}")),
        ("dots coded", format!("{root}/x/%2e%2e/{last}")),
        (
            "dots to the root",
            format!("/v1/health/..{}", path.trim_start_matches("/v1")),
        ),
        ("from outside", format!("/x/..{path}")),
        ("backslash", format!("{root}\\{last}")),
        ("backslash coded", format!("{root}%5c{last}")),
        ("zero byte", format!("{path}%00")),
        ("space", format!("{path}%20")),
        ("parameter", format!("{path};x=1")),
        ("look-alike slash", format!("{root}%ef%bc%8f{last}")),
        (
            "look-alike letters",
            format!("{root}/{}", coded(&wide(last))),
        ),
        ("overlong slash", format!("{root}%c0%af{last}")),
        ("absolute form", format!("http://elsewhere.example{path}")),
    ]
}

/// Answers without what differs between any two requests.
fn bare(reply: &Reply) -> (u16, String) {
    let mut body = reply.body.clone();
    if let Some(error) = body.get_mut("error").and_then(Value::as_object_mut) {
        error.remove("request_id");
    }
    (reply.status, body.to_string())
}

/// What is on the trail of one request.
async fn trail(root: &Api, reply: &Reply) -> Vec<[Value; 4]> {
    let id = reply.header("x-request-id");
    let rows = root
        .get(&format!("/v1/audit/logs?request_id={id}"))
        .await
        .ok(200);
    let rows = rows["logs"].as_array().expect("rows").clone();
    let told = |row: &Value| {
        ["action", "secret_path", "identity_id", "success"].map(|name| row[name].clone())
    };
    rows.iter().map(told).collect()
}

async fn ask(server: &Server, token: Option<&str>, method: &Method, target: &str) -> Reply {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer
        .iter()
        .map(|bearer| ("Authorization", bearer.as_str()))
        .collect();
    let body = match *method == Method::GET || *method == Method::DELETE {
        true => Vec::new(),
        false => json!({ "data": { "k": "changed" } })
            .to_string()
            .into_bytes(),
    };
    exchange(
        server.url(),
        request(method.as_str(), target, &headers, &body),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_every_operation_is_refused_or_means_the_same() {
    let server = Server::dev().start().await;
    let root = server.root();
    root.put("/v1/secrets/app", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    let nobody = service(root, "sa:nobody", &SCOPES).await;
    let nobody = nobody.token().expect("it has one").to_owned();
    let mut seen: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let all = operations(root).await;
    for (method, path) in &all {
        let plain = ask(&server, Some(&nobody), method, path).await;
        for (name, spelled) in spellings(path) {
            let what = format!("{method} {path}, {name}: {spelled}");
            // Without a token nothing is told but that one is needed, or that nothing is there.
            let stranger = ask(&server, None, method, &spelled).await;
            if stranger.status < 400 {
                assert!(OPEN.contains(&path.as_str()), "{what}: {}", stranger.text);
            }
            // Somebody whose token may do much and whose policies nothing: no more than by the plain
            // spelling.
            let reply = ask(&server, Some(&nobody), method, &spelled).await;
            assert!(reply.status < 500, "{what}: {}", reply.text);
            let same = reply.status < 400;
            assert!(
                !same || plain.status < 400,
                "{what}: {} for {}",
                reply.text,
                plain.text
            );
            // Somebody who may do everything: what is answered is what the plain spelling answers,
            // and on the trail as that.
            if *method == Method::GET {
                let reply = ask(&server, Some(server.root_token()), method, &spelled).await;
                if reply.status < 400 && !path.contains("audit") {
                    let plain = ask(&server, Some(server.root_token()), method, path).await;
                    let varies = ["/v1/health", "/v1/metrics", "/v1/rotation/targets"];
                    if !varies.iter().any(|start| path.starts_with(start)) {
                        assert_eq!(bare(&reply), bare(&plain), "{what}");
                    }
                    assert_eq!(
                        trail(root, &reply).await,
                        trail(root, &plain).await,
                        "{what}"
                    );
                    seen.entry(name).or_default()[1] += 1;
                }
            }
            seen.entry(name).or_default()[0] += 1;
        }
    }
    println!("spellings, asked and answered: {seen:?}");
    assert!(seen.values().all(|[asked, _]| *asked == all.len()));
    // What is the same path by the standard is: this compares answers, not only refusals.
    assert!(
        seen["one letter coded"][1] > 0 && seen["absolute form"][1] > 0,
        "{seen:?}"
    );
    // And none of them changed anything.
    let now = root.get("/v1/secrets/app").await.ok(200);
    assert_eq!(
        (&now["version"], &now["data"]["k"]),
        (&json!(1), &json!("v"))
    );
}

/// With every scope and no policy nothing of a secret is shown or changed, by any operation on it.
#[tokio::test(flavor = "multi_thread")]
async fn scopes_without_a_policy_open_no_secret() {
    let server = Server::dev().start().await;
    let root = server.root();
    root.put("/v1/secrets/app", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    let nobody = service(root, "sa:nobody", &SCOPES).await;
    let mut asked = 0;
    for (method, path) in operations(root).await {
        let Some(below) = path.strip_prefix("/v1/secrets/app") else {
            continue;
        };
        let body = match (method.as_str(), below) {
            ("GET" | "DELETE", _) => None,
            ("PUT", "") => Some(json!({ "data": { "k": "changed" } })),
            ("PATCH", "/metadata") => Some(json!({ "tags": ["t"] })),
            ("POST", "/ack") => Some(json!({ "version": 1, "status": "applied" })),
            _ => Some(json!({})),
        };
        let reply = nobody.send(method.clone(), &path, body).await;
        assert!(
            matches!(reply.status, 403 | 404),
            "{method} {path}: {} {}",
            reply.status,
            reply.text
        );
        assert!(!reply.text.contains("\"v\""), "{}", reply.text);
        asked += 1;
    }
    assert!(asked >= 8, "{asked}");
    assert_eq!(root.get("/v1/secrets/app").await.ok(200)["version"], 1);
}
