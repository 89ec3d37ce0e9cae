//! Exports asked for over the API: written where the operator chose, going on after a restart, and
//! each tenant's own.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::server::scaivault;
use crate::harness::{Api, SOON, Server, eventually};

async fn write(api: &Api, from: usize, to: usize) {
    for n in from..to {
        let body = json!({ "data": { "k": "canary-of-a-value" } });
        api.put(&format!("/v1/secrets/app/n{n}"), body)
            .await
            .ok(201);
    }
}

async fn ended(api: &Api, id: &str) -> Value {
    eventually("the export ends", SOON, async || {
        let export = api.get(&format!("/v1/audit/exports/{id}")).await.ok(200);
        (export["status"] != "running").then_some(export)
    })
    .await
}

fn id_of(export: &Value) -> String {
    export["id"].as_str().expect("an id").to_owned()
}

fn text_of(directory: &Path) -> String {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    names.retain(|name| name.display().to_string().contains("/part-"));
    names.sort();
    let text = names
        .iter()
        .map(|name| std::fs::read_to_string(name).expect("text"));
    text.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_written_verified_and_goes_on_after_a_restart() {
    let home = tempfile::tempdir().expect("a directory");
    let (data, out) = (home.path().join("data"), home.path().join("exports"));
    std::fs::create_dir(&out).expect("a directory");
    let start = async || {
        let place = out.display().to_string();
        let server = Server::dev()
            .data(&data)
            .env("SCAIVAULT_AUDIT_EXPORT_DIRECTORY", &place);
        server.start().await
    };
    let mut server = start().await;
    let root = server.root();
    write(root, 0, 12).await;
    let asked = json!({ "actions": ["write"], "format": "jsonl" });
    let export = root.post("/v1/audit/exports", asked).await.ok(201);
    assert_eq!(export["destination"], "directory");
    // Killed at once: whoever comes next goes on.
    server.kill();
    drop(server);
    let server = start().await;
    let root = server.root();
    let id = id_of(&export);
    let export = ended(root, &id).await;
    assert_eq!(
        (&export["status"], &export["rows"]),
        (&json!("completed"), &json!(12))
    );
    assert_eq!(export["progress"], 100);
    let directory = out.join(&id);
    let text = text_of(&directory);
    assert_eq!(text.lines().count(), 12);
    assert!(text.contains("\"secret_path\":\"app/n7\"") && !text.contains("canary"));
    let verify = |directory: &Path| {
        let mut command = scaivault(home.path());
        command
            .args(["--json", "audit", "verify-export"])
            .arg(directory);
        command.output().expect("the command runs")
    };
    let whole = verify(&directory);
    assert!(
        whole.status.success(),
        "{}",
        String::from_utf8_lossy(&whole.stderr)
    );
    let whole: Value = serde_json::from_slice(&whole.stdout).expect("JSON");
    assert_eq!(
        (&whole["rows"], &whole["valid"]),
        (&json!(12), &json!(true))
    );
    assert_eq!(whole["chains"][0]["head"], export["chains"][0]["head"]);
    // Touched, it is not.
    let part = directory.join("part-000001.jsonl");
    let changed = text.replacen("app/n7", "app/n8", 1);
    std::fs::write(&part, changed).expect("written");
    assert_eq!(verify(&directory).status.code(), Some(1));
    std::fs::write(&part, text).expect("written");
    let manifest = directory.join("manifest.json");
    let said = std::fs::read_to_string(&manifest).expect("a manifest");
    std::fs::write(
        &manifest,
        said.replacen("app", "App", 1).replacen("12", "13", 1),
    )
    .expect("written");
    assert_eq!(verify(&directory).status.code(), Some(1));

    // CSV; both ends are on the trail; the newest comes first.
    let asked = json!({ "format": "csv", "from": "2020-01-01T00:00:00Z" });
    let second = id_of(&root.post("/v1/audit/exports", asked).await.ok(201));
    let csv = ended(root, &second).await;
    assert_eq!(csv["status"], "completed");
    assert!(text_of(&out.join(&second)).starts_with("id,timestamp,tenant_id,"));
    let all = root.get("/v1/audit/exports?limit=1").await.ok(200);
    assert_eq!(
        (&all["exports"][0]["id"], &all["has_more"]),
        (&json!(second), &json!(true))
    );
    let told = root
        .get("/v1/audit/logs?action=export_created,export_ended")
        .await
        .ok(200);
    assert_eq!(told["logs"].as_array().map(Vec::len), Some(4));
    let again = root
        .delete(&format!("/v1/audit/exports/{id}"))
        .await
        .ok(200);
    assert_eq!(again["status"], "completed", "what has ended stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_and_whose_exports_are_seen() {
    let home = tempfile::tempdir().expect("a directory");
    let place = home.path().display().to_string();
    let server = Server::dev()
        .env("SCAIVAULT_AUDIT_EXPORT_DIRECTORY", &place)
        .start()
        .await;
    let root = server.root();
    for (body, field) in [
        (json!({ "format": "xml" }), "format"),
        (json!({ "actions": ["walk"] }), "actions"),
        (json!({ "from": "yesterday" }), "from"),
        (json!({ "destination": "s3://elsewhere" }), "destination"),
        (
            json!({ "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z" }),
            "to",
        ),
    ] {
        let refused = root
            .post("/v1/audit/exports", body)
            .await
            .refused(422, "validation_error");
        assert!(refused.to_string().contains(field), "{refused}");
    }
    root.get("/v1/audit/exports/exp_none")
        .await
        .refused(404, "export_not_found");
    let partner = root
        .post("/v1/identity/tenants", json!({ "name": "Acme" }))
        .await
        .ok(201);
    let acme = root.in_tenant(partner["id"].as_str().expect("an id"));
    write(&acme, 0, 2).await;
    write(root, 5, 6).await;
    let own = id_of(&acme.post("/v1/audit/exports", json!({})).await.ok(201));
    ended(&acme, &own).await;
    root.get(&format!("/v1/audit/exports/{own}"))
        .await
        .refused(404, "export_not_found");
    let text = text_of(&home.path().join(&own));
    assert!(
        text.contains("app/n1") && !text.contains("app/n5"),
        "{text}"
    );
    let every = json!({ "all_tenants": true, "actions": ["write"] });
    let every = id_of(&root.post("/v1/audit/exports", every).await.ok(201));
    assert_eq!(ended(root, &every).await["rows"], 3);
    // Without a place there is none.
    let server = Server::dev().start().await;
    let refused = server.root().post("/v1/audit/exports", json!({})).await;
    let refused = refused.refused(422, "validation_error");
    assert!(
        refused.to_string().contains("audit.export_directory"),
        "{refused}"
    );
}
