//! Following a rotation and speaking up about a version: `rotation watch`, acts, `secrets ack`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::first_integration::{grant, service_token};
use crate::harness::server::scaivault;
use crate::harness::{Api, Process, SOON, Server, eventually};

/// A secret whose rotation waits for a value, and the rotation's id.
async fn waiting_rotation(api: &Api, path: &str, grace: &str) -> String {
    let secret = format!("/v1/secrets/{path}");
    let data = json!({ "data": { "k": "v" } });
    api.put(&secret, data).await.ok(201);
    let policy = json!({ "name": path, "interval": "90d", "grace_period": grace });
    let policy = api.post("/v1/rotation/policies", policy).await.ok(201);
    let id = policy["id"].as_str().expect("an id");
    let attached = format!("/v1/rotation/policies/{id}/secrets");
    let body = json!({ "secret_path": path });
    api.post(&attached, body).await.ok(201);
    let rotation = api.post_empty(&format!("{secret}/rotate")).await.ok(202);
    rotation["id"].as_str().expect("an id").to_owned()
}

fn watch(server: &Server, args: &[&str]) -> Process {
    let mut command = scaivault(server.home());
    command
        .args(["rotation", "watch"])
        .args(args)
        .env("SCAIVAULT_URL", server.url())
        .env("SCAIVAULT_TOKEN", server.root_token());
    Process::start("rotation watch", command)
}

async fn printed(process: &Process, what: &str) {
    eventually(what, SOON, async || {
        let lines = process.stdout();
        lines.iter().any(|line| line.contains(what)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_follows_a_rotation_to_its_end() {
    let server = Server::dev().start().await;
    let root = server.root();
    let id = waiting_rotation(root, "app/db", "2s").await;
    // By path and by id, as lines and as JSON.
    let mut lines = watch(&server, &["app/db"]);
    let mut json = watch(&server, &[&id, "--json"]);
    printed(&lines, "waits for a new value").await;
    printed(&json, "generating").await;
    let write = json!({ "data": { "k": "new" }, "options": { "rotation_id": id } });
    root.put("/v1/secrets/app/db", write).await.ok(200);
    for process in [&mut lines, &mut json] {
        let status = process.exited(SOON).await;
        assert!(status.success(), "{}", process.stderr());
    }
    let phases: Vec<String> = lines
        .stdout()
        .iter()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.rsplit(' ').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(phases, ["generating", "draining", "completed"]);
    let told: Vec<Value> = json
        .stdout()
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let phases: Vec<_> = told.iter().map(|told| &told["phase"]).collect();
    assert_eq!(phases, ["generating", "draining", "completed"]);
    assert!(told.iter().all(|told| told["id"] == id.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_ends_badly_when_the_rotation_does() {
    let server = Server::dev().start().await;
    let root = server.root();
    let id = waiting_rotation(root, "app/late", "1s").await;
    let mut parked = watch(&server, &[&id]);
    let status = parked.exited(SOON).await;
    assert_eq!(status.code(), Some(1));
    assert!(
        parked.stderr().contains("parked: overdue"),
        "{}",
        parked.stderr()
    );
    let mut absent = watch(&server, &["app/none"]);
    assert_eq!(absent.exited(SOON).await.code(), Some(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_the_next_change() {
    let server = Server::dev().start().await;
    let root = server.root();
    let id = waiting_rotation(root, "app/db", "24h").await;
    let url = format!("/v1/rotations/{id}");
    let shown = root.get(&url).await.ok(200);
    let waits = shown["waits_for"].as_array().expect("a list");
    assert_eq!(waits.len(), 1);
    assert_eq!(shown["waiting_for"], waits[0]);
    assert_eq!(
        shown["actions"],
        json!(["abandon"]),
        "asking again is by rotate"
    );
    let revision = shown["revision"].as_u64().expect("a number");
    let began = Instant::now();
    let same = root.get(&format!("{url}?after={revision}&timeout=1")).await;
    assert_eq!(same.ok(200)["revision"], revision);
    assert!(began.elapsed() >= Duration::from_millis(900), "it waited");
    let changed = tokio::spawn({
        let (root, url) = (root.clone(), url.clone());
        async move {
            root.get(&format!("{url}?after={revision}&timeout=60"))
                .await
        }
    });
    let write = json!({ "data": { "k": "new" }, "options": { "rotation_id": id } });
    root.put("/v1/secrets/app/db", write).await.ok(200);
    let began = Instant::now();
    assert_eq!(
        changed.await.expect("it answers").ok(200)["phase"],
        "draining"
    );
    assert!(began.elapsed() < Duration::from_secs(30), "it was told");
    root.get(&format!("{url}?after=x"))
        .await
        .refused(400, "invalid_request");
    root.get(&format!("{url}?timeout=61"))
        .await
        .refused(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_is_not_legal_has_a_code_of_its_own() {
    let server = Server::dev().start().await;
    let root = server.root();
    let id = waiting_rotation(root, "app/db", "24h").await;
    for act in ["resume", "rollback", "approve"] {
        let url = format!("/v1/rotations/{id}/{act}");
        let error = root
            .post_empty(&url)
            .await
            .refused(409, "rotation_conflict");
        assert_eq!(error["details"]["phase"], "generating");
        assert_eq!(error["details"]["actions"], json!(["abandon"]));
        let absent = format!("/v1/rotations/rtn_0/{act}");
        root.post_empty(&absent)
            .await
            .refused(404, "rotation_not_found");
    }
    let unknown = format!("/v1/rotations/{id}/forget");
    root.post_empty(&unknown).await.refused(404, "not_found");
    // The write that answers nothing keeps its code.
    let write = json!({ "data": { "k": "x" }, "options": { "rotation_id": "rtn_0" } });
    root.put("/v1/secrets/app/db", write)
        .await
        .refused(409, "version_conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_speak_up() {
    let server = Server::dev().start().await;
    let root = server.root();
    root.put("/v1/secrets/app/db", json!({ "data": { "k": "v" } }))
        .await
        .ok(201);
    grant(root, "sa:app", "app/*", &["read"]).await;
    let token = service_token(root, "sa:app", &["secrets:read"]).await;
    let token = token["token"].as_str().expect("a token");
    let app = root.with_token(token);
    let url = "/v1/secrets/app/db/ack";
    let body = json!({ "version": 1, "status": "applied" });
    let acked = app.post(url, body).await.ok(200);
    assert_eq!(acked["secret_path"], "app/db");
    assert_eq!(acked["current_version"], 1);
    for (body, status, code) in [
        (
            json!({ "version": 2, "status": "applied" }),
            404,
            "version_not_found",
        ),
        (
            json!({ "version": 1, "status": "fine" }),
            422,
            "validation_error",
        ),
        (json!({ "status": "applied" }), 422, "validation_error"),
        (
            json!({ "version": 1, "status": "failed", "more": 1 }),
            400,
            "invalid_request",
        ),
    ] {
        app.post(url, body).await.refused(status, code);
    }
    let mut command = scaivault(server.home());
    command
        .args(["secrets", "ack", "app/db", "--version", "1", "--failed"])
        .args(["--detail", "no\u{1b}[2J route"])
        .env("SCAIVAULT_URL", server.url())
        .env("SCAIVAULT_TOKEN", token);
    let output = command.output().expect("it runs");
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "app/db version 1: failed\n"
    );
    let listed = root.get("/v1/secrets/app/db/consumers").await.ok(200);
    let item = &listed["consumers"][0];
    assert_eq!(item["identity_id"], "sa:app");
    assert_eq!(item["detail"], "no[2J route");
    assert!(item["applied_at"].is_string() && item["failed_at"].is_string());
}
