//! Campaigns from the outside: the command line waits for them, says what came of each secret by
//! its exit code, and a Slack-compatible receiver gets the summary as blocks.

use std::process::Output;

use serde_json::{Value, json};

use crate::first_integration::grant;
use crate::harness::server::scaivault;
use crate::harness::{Api, Receiver, SOON, Server, eventually};

const OK: i32 = 0;
const VALIDATION: i32 = 5;
const FAILED: i32 = 6;
const WAITS: i32 = 7;

struct Terminal<'a> {
    server: &'a Server,
    home: tempfile::TempDir,
}

impl Terminal<'_> {
    fn output(&self, line: &str) -> Output {
        scaivault(self.home.path())
            .args(line.split_whitespace())
            .env("SCAIVAULT_URL", self.server.url())
            .env("SCAIVAULT_TOKEN", self.server.root_token())
            .output()
            .expect("it runs")
    }

    #[track_caller]
    fn run(&self, line: &str, expect: i32) -> (String, String) {
        let output = self.output(line);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(
            output.status.code(),
            Some(expect),
            "{line}:\n{stdout}\n{stderr}"
        );
        (stdout, stderr)
    }

    #[track_caller]
    fn json(&self, line: &str, expect: i32) -> Value {
        let (text, _) = self.run(&format!("{line} --json"), expect);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{line}: not JSON: {text}"))
    }
}

async fn policy(root: &Api, name: &str, auto: bool, grace: &str) -> String {
    let body = json!({
        "name": name, "interval": "90d", "grace_period": grace, "auto_generate": auto,
    });
    let made = root.post("/v1/rotation/policies", body).await.ok(201);
    made["id"].as_str().expect("an id").to_owned()
}

async fn secret(root: &Api, path: &str, policy: Option<&str>) {
    let mut body = json!({ "data": { "password": "first" } });
    if let Some(id) = policy {
        body["options"] = json!({ "rotation_policy_id": id });
    }
    root.put(&format!("/v1/secrets/{path}"), body).await.ok(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leak_is_contained_and_told_to_slack() {
    let server = Server::dev().start().await;
    let receiver = Receiver::start().await;
    let root = server.root();
    let me = Terminal {
        server: &server,
        home: tempfile::tempdir().expect("a directory"),
    };
    let made = me.json(
        &format!(
            "webhook create --name ops --to {} --secret a-signing-secret-of-tests \
             --event campaign.completed --format slack",
            receiver.url()
        ),
        OK,
    );
    assert_eq!(made["format"], "slack");

    let generated = policy(root, "generated", true, "48h").await;
    secret(root, "app/a", Some(&generated)).await;
    secret(root, "app/b", Some(&generated)).await;
    secret(root, "app/loose", None).await;
    let token = root
        .post(
            "/v1/auth/tokens",
            json!({
                "identity_type": "service_account", "identity_id": "sa:reports",
                "scopes": ["secrets:read"],
            }),
        )
        .await
        .ok(201);
    grant(root, "sa:reports", "app/**", &["read"]).await;
    let leaked = root.with_token(token["token"].as_str().expect("a token"));
    for path in ["app/a", "app/b", "app/loose"] {
        leaked.get(&format!("/v1/secrets/{path}")).await.ok(200);
    }

    let id = token["id"].as_str().expect("an id");
    let plan = me.json(
        &format!("rotation campaign start --leaked-token {id} --containment --dry-run"),
        OK,
    );
    assert_eq!(plan["id"], Value::Null);
    assert_eq!(plan["counts"]["waiting"], 2);
    leaked.get("/v1/secrets/app/a").await.ok(200);

    let start =
        format!("rotation campaign start --leaked-token {id} --containment --note drill --wait");
    let report = me.json(&start, FAILED);
    assert_eq!(report["state"], "finished");
    let counts = &report["counts"];
    assert_eq!(
        (&counts["rotated"], &counts["failed"]),
        (&json!(2), &json!(1))
    );
    leaked
        .get("/v1/secrets/app/a")
        .await
        .refused(401, "token_revoked");
    for path in ["app/a", "app/b"] {
        let old = format!("/v1/secrets/{path}?version=1");
        root.get(&old).await.refused(410, "secret_expired");
        let new = root.get(&format!("/v1/secrets/{path}")).await.ok(200);
        assert_eq!(new["version"], 2);
    }

    let message = eventually("the summary arrives", SOON, async || {
        receiver.received().into_iter().next()
    })
    .await
    .event;
    assert_eq!(message["text"], "Failed: 2 rotated, 1 failed, 0 skipped");
    let blocks = message["blocks"].as_array().expect("blocks");
    assert_eq!(blocks[0]["type"], "header");
    let first = blocks[2]["text"]["text"].as_str().expect("a text");
    assert!(first.starts_with("*Failed (1)*\n• app/loose"), "{first}");

    // Everything was replaced: there is nothing left to do but what cannot be done.
    let again = "rotation campaign start --identity sa:reports --exclude app/loose --wait";
    let again = me.json(again, OK);
    assert_eq!(again["counts"]["skipped"], 3);
    let listed = me.json("rotation campaign list", OK);
    assert_eq!(listed["data"].as_array().expect("campaigns").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_what_happened() {
    let server = Server::dev().start().await;
    let root = server.root();
    let me = Terminal {
        server: &server,
        home: tempfile::tempdir().expect("a directory"),
    };
    let generated = policy(root, "generated", true, "2s").await;
    secret(root, "cron/a", Some(&generated)).await;
    let start = format!("rotation campaign start --policy {generated} --wait");
    let (_, stderr) = me.run(&start, OK);
    assert!(stderr.contains("finished 1 of 1"), "progress: {stderr}");
    me.run("rotation campaign start --group nobody --wait", VALIDATION);

    // Nobody answers: it is parked when its grace is over, and a person has to say what then.
    let by_hand = policy(root, "by hand", false, "1s").await;
    secret(root, "cron/b", Some(&by_hand)).await;
    let parked = me.json("rotation campaign start --path cron/b --wait", WAITS);
    assert_eq!(parked["items"][0]["phase"], "parked");
    let id = parked["id"].as_str().expect("an id");
    let (_, why) = me.run(&format!("rotation campaign watch {id}"), WAITS);
    assert!(why.contains("wait for a person"), "{why}");
    me.run(&format!("rotation campaign pause {id}"), OK);
    me.run(&format!("rotation campaign resume {id}"), OK);
    let ended = me.json(&format!("rotation campaign end {id}"), OK);
    assert_eq!(ended["state"], "finished");
    me.run(&format!("rotation campaign watch {id}"), FAILED);
    let over = format!("/v1/rotation/campaigns/{id}/pause");
    root.post_empty(&over)
        .await
        .refused(409, "version_conflict");

    let slow = policy(root, "slow", false, "48h").await;
    secret(root, "cron/c", Some(&slow)).await;
    let (_, why) = me.run(
        "rotation campaign start --path cron/c --wait --timeout 1",
        WAITS,
    );
    assert!(why.contains("goes on"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_say_what_to_do() {
    let server = Server::dev().start().await;
    let root = server.root();
    let all = "/v1/rotation/campaigns";
    let refused = async |body: Value, field: &str| {
        let error = root.post(all, body).await.refused(422, "validation_error");
        assert!(error["details"]["fields"][field].is_string(), "{error}");
    };
    refused(json!({}), "selector").await;
    refused(json!({ "group": "g", "paths": ["a/b"] }), "selector").await;
    refused(json!({ "group": "g", "keep_token": true }), "keep_token").await;
    refused(json!({ "group": "g" }), "group").await;
    refused(json!({ "identity": "nobody" }), "identity").await;
    refused(json!({ "token_id": "skt_x" }), "token_id").await;
    refused(json!({ "group": "g", "mode": "fast" }), "mode").await;
    refused(
        json!({ "paths": ["a/b"], "webhook_ids": ["x"] }),
        "webhook_ids",
    )
    .await;
    let missing = root.post(all, json!({ "paths": ["a/b"] })).await;
    missing.refused(404, "secret_not_found");
    let missing = root.get(&format!("{all}/cmp_none")).await;
    missing.refused(404, "campaign_not_found");
    let short = root
        .post("/v1/rotations/campaign", json!({ "identity": "sa:quiet" }))
        .await;
    assert_eq!(short.ok(201)["state"], "finished");
    let hook = json!({
        "name": "n", "url": "https://hooks.example.com/x", "secret": "a-signing-secret-of-tests",
        "events": ["rotation.failed"], "format": "teams",
    });
    let error = root.post("/v1/webhooks", hook).await;
    let error = error.refused(422, "validation_error");
    assert!(error["details"]["fields"]["format"].is_string(), "{error}");
}
