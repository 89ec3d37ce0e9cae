//! `scaivault import vault`, from the outside: from another server of ours by its Vault API, and from
//! one that is in trouble. A server of another make is the source in
//! `scripts/vault_clients/test_import.py`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::cli::{GENERAL, OK, Terminal};
use crate::harness::raw::{exchange, request};
use crate::harness::{Reply, Server};

const MISSING: i32 = 9;
const CANARY: &str = "value-that-nobody-prints";

async fn ask(server: &Server, method: &str, path: &str, body: Value) -> Reply {
    let bytes = match &body {
        Value::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    let headers = [("X-Vault-Token", server.root_token())];
    let target = format!("/v1/{path}");
    exchange(server.url(), request(method, &target, &headers, &bytes)).await
}

#[track_caller]
fn put<'a>(server: &'a Server, path: &'a str, body: Value) -> impl Future<Output = Value> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let reply = ask(server, "POST", path, body).await;
        assert!(reply.status < 300, "{caller}: {path}: {}", reply.text);
        reply.body
    }
}

/// The command with its source, and the token for it in a file of the terminal's.
fn line(me: &Terminal<'_>, source: &str, token: &str, more: &str) -> String {
    let file = me.home().join("source-token");
    std::fs::write(&file, format!("{token}\n")).expect("a file");
    let report = me.home().join("report.json");
    format!(
        "import vault --addr {source} --token-file {} --report {} {more}",
        file.display(),
        report.display()
    )
}

fn report(me: &Terminal<'_>) -> Value {
    let text = std::fs::read_to_string(me.home().join("report.json")).expect("a report");
    assert!(!text.contains(CANARY), "no value is in a report");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"))
}

async fn fill(source: &Server) {
    for number in 1..=4 {
        let value = json!({ "data": { "password": CANARY, "n": number } });
        put(source, "secret/data/App/Db.main", value).await;
    }
    let destroyed = json!({ "versions": [2] });
    put(source, "secret/destroy/App/Db.main", destroyed).await;
    let said = json!({ "custom_metadata": { "team": "x" }, "max_versions": 7 });
    put(source, "secret/metadata/App/Db.main", said).await;
    let kv1 = json!({ "type": "kv", "options": { "version": "1" } });
    put(source, "sys/mounts/old", kv1).await;
    put(source, "old/a/b", json!({ "k": CANARY })).await;
    let text = "path \"secret/data/App/*\" { capabilities = [\"read\"] }\n\
                path \"old/a/*\" { capabilities = [\"read\", \"list\"] }";
    put(source, "sys/policies/acl/shop", json!({ "policy": text })).await;
}

/// A token of the source that may look, and nothing else.
async fn looker(source: &Server) -> String {
    let text = "path \"secret/data/*\" { capabilities = [\"read\"] }\n\
                path \"secret/metadata/*\" { capabilities = [\"read\", \"list\"] }\n\
                path \"old/*\" { capabilities = [\"read\", \"list\"] }\n\
                path \"sys/mounts\" { capabilities = [\"read\"] }\n\
                path \"sys/policies/acl/*\" { capabilities = [\"read\", \"list\"] }";
    put(source, "sys/policies/acl/looker", json!({ "policy": text })).await;
    let wanted = json!({ "policies": ["looker"] });
    let made = put(source, "auth/token/create", wanted).await;
    let token = made["auth"]["client_token"].as_str();
    token.expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_another_of_ours() {
    let source = Server::dev().start().await;
    let target = Server::dev()
        .root_token("skt_root_of_the_target_0123456789abc")
        .start()
        .await;
    fill(&source).await;
    let token = looker(&source).await;
    let me = Terminal::new(&target, target.root_token());

    let dry = line(&me, source.url(), &token, "--dry-run");
    let told = me.run(&dry, OK);
    assert!(told.contains("dry run"), "{told}");
    let planned = report(&me)["summary"]["mounts"].clone();
    assert_eq!(planned["secret/"]["versions_written"], 3);
    let none = ask(&target, "LIST", "secret/metadata", Value::Null).await;
    assert_eq!(none.status, 404, "{}", none.text);

    let copy = line(&me, source.url(), &token, "");
    let told = me.run(&copy, OK);
    assert!(!told.contains(CANARY) && !told.contains(&token), "{told}");
    let done = report(&me);
    assert_eq!(done["summary"]["mounts"], planned);
    assert_eq!(done["summary"]["whole"], true);
    let path = "secret/metadata/App/Db.main";
    let there = ask(&source, "GET", path, Value::Null).await.body;
    let here = ask(&target, "GET", path, Value::Null).await.body;
    for name in ["current_version", "custom_metadata", "max_versions"] {
        assert_eq!(here["data"][name], there["data"][name], "{name}");
    }
    for version in 1..=4 {
        let path = format!("secret/data/App/Db.main?version={version}");
        let there = ask(&source, "GET", &path, Value::Null).await;
        let here = ask(&target, "GET", &path, Value::Null).await;
        assert_eq!(here.status, there.status, "{version}");
        assert_eq!(here.body["data"]["data"], there.body["data"]["data"]);
    }
    let old = ask(&target, "GET", "old/a/b", Value::Null).await;
    assert_eq!(old.body["data"]["k"], CANARY);
    for name in ["shop", "looker"] {
        let path = format!("sys/policies/acl/{name}");
        let there = ask(&source, "GET", &path, Value::Null).await;
        let here = ask(&target, "GET", &path, Value::Null).await;
        assert_eq!(here.body["data"], there.body["data"], "{name}");
    }

    me.run(&copy, OK);
    let again = report(&me);
    assert_eq!(again["summary"]["mounts"]["secret/"]["same"], 1);
    assert_eq!(again["summary"]["mounts"]["secret/"]["versions_written"], 0);
    assert_eq!(again["summary"]["counts"]["policy"]["same"], 2);

    put(&target, "old/a/b", json!({ "k": "another" })).await;
    let json = format!("{copy} --json");
    me.run(&json, MISSING);
    let entries = report(&me)["entries"].clone();
    let entries = entries.as_array().expect("a list");
    let conflict = entries.iter().find(|one| one["path"] == "old/a/b");
    assert_eq!(conflict.expect("told")["outcome"], "conflict");
}

/// What the token of the target may not, the report says; and nothing half is left unsaid.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_refuses_is_told() {
    let source = Server::dev().start().await;
    let target = Server::dev().start().await;
    fill(&source).await;
    let text = "path \"secret/metadata/*\" { capabilities = [\"read\", \"list\"] }\n\
                path \"secret/data/*\" { capabilities = [\"read\"] }";
    put(
        &target,
        "sys/policies/acl/looker",
        json!({ "policy": text }),
    )
    .await;
    let made = put(
        &target,
        "auth/token/create",
        json!({ "policies": ["looker"] }),
    )
    .await;
    let token = made["auth"]["client_token"].as_str().expect("a token");
    let me = Terminal::new(&target, token);
    let copy = line(
        &me,
        source.url(),
        source.root_token(),
        "--mount secret --only kv",
    );
    me.run(&copy, MISSING);
    let done = report(&me);
    assert_eq!(done["summary"]["mounts"]["secret/"]["refused"], 1);
    let reason = done["entries"][1]["reason"].as_str().expect("why");
    assert!(reason.contains("the target answers 403"), "{reason}");
}

/// A source that answers by the book, once it has been asked often enough.
struct Troubled {
    /// Requests so far.
    asked: AtomicUsize,
    /// Those that were not by `GET`.
    others: AtomicUsize,
    /// From this one on it sends elsewhere.
    moves_at: usize,
}

async fn troubled(State(state): State<Arc<Troubled>>, request: Request) -> Response {
    if request.method() != axum::http::Method::GET {
        state.others.fetch_add(1, Ordering::SeqCst);
    }
    let asked = state.asked.fetch_add(1, Ordering::SeqCst);
    if asked >= state.moves_at {
        let elsewhere = [("location", "http://127.0.0.1:1/v1/x")];
        return (StatusCode::TEMPORARY_REDIRECT, elsewhere).into_response();
    }
    match asked % 3 {
        0 => {
            let wait = [("retry-after", "0")];
            return (StatusCode::TOO_MANY_REQUESTS, wait).into_response();
        }
        1 => return (StatusCode::SERVICE_UNAVAILABLE, CANARY).into_response(),
        _ => {}
    }
    let uri = request.uri().to_string();
    let body = match uri.as_str() {
        "/v1/auth/token/lookup-self" => json!({ "ttl": 0, "policies": ["root"] }),
        "/v1/sys/mounts" => json!({ "secret/": { "type": "kv", "options": { "version": "2" } } }),
        "/v1/secret/config" => json!({ "max_versions": 0 }),
        "/v1/secret/metadata/?list=true&limit=1000" => json!({ "keys": ["a"] }),
        "/v1/secret/metadata/a" => json!({
            "current_version": 1,
            "versions": { "1": { "deletion_time": "", "destroyed": false } },
        }),
        "/v1/secret/data/a?version=1" => json!({ "data": { "k": CANARY } }),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    axum::Json(json!({ "data": body })).into_response()
}

async fn start(moves_at: usize) -> (String, Arc<Troubled>) {
    let state = Arc::new(Troubled {
        asked: AtomicUsize::new(0),
        others: AtomicUsize::new(0),
        moves_at,
    });
    let app = axum::Router::new()
        .fallback(troubled)
        .with_state(Arc::clone(&state));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_in_trouble_is_asked_again() {
    let target = Server::dev().start().await;
    let (url, state) = start(usize::MAX).await;
    let me = Terminal::new(&target, target.root_token());
    me.run(&line(&me, &url, "hvs.source", ""), OK);
    let read = ask(&target, "GET", "secret/data/a", Value::Null).await;
    assert_eq!(read.body["data"]["data"]["k"], CANARY);
    let asked = state.asked.load(Ordering::SeqCst);
    assert!(asked >= 24, "each of 8 or more took three: {asked}");
    assert_eq!(state.others.load(Ordering::SeqCst), 0, "it was only read");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_followed_elsewhere() {
    let target = Server::dev().start().await;
    let me = Terminal::new(&target, target.root_token());
    let (url, _) = start(0).await;
    let copy = line(&me, &url, "hvs.source", "");
    let output = me.command(&copy).output().expect("it runs");
    assert_eq!(output.status.code(), Some(GENERAL));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("name the active server itself"), "{stderr}");
    assert_eq!(report(&me)["summary"]["whole"], true, "it is whole JSON");

    let to_itself = line(&me, target.url(), target.root_token(), "");
    let output = me.command(&to_itself).output().expect("it runs");
    assert_eq!(output.status.code(), Some(5), "a copy onto itself");
}
