//! Exports in a bucket, at services of other people's making.

use std::path::Path;

use reqwest::Client;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use scaivault_peers::FaultProxy;
use scaivault_peers::s3::S3Service;
use serde_json::{Value, json};

use crate::harness::server::{ServerBuilder, scaivault};
use crate::harness::{Api, SOON, Server, eventually};

const BUCKET: &str = "trail";
const SECRET: &str = "canary-of-a-secret-access-key-0123456789";

/// Any signature will do for moto, but none will not.
fn client() -> Client {
    let signed = "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/s3/aws4_request, \
                  SignedHeaders=host, Signature=00";
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static(signed));
    let client = Client::builder().default_headers(headers);
    client.build().expect("a client")
}

async fn write(api: &Api, from: usize, to: usize) {
    for n in from..to {
        let body = json!({ "data": { "k": "canary-of-a-value" } });
        api.put(&format!("/v1/secrets/app/n{n}"), body)
            .await
            .ok(201);
    }
}

/// The files with the keys, and the settings that name them.
fn keys(home: &Path, key: &str, secret: &str) -> Vec<(&'static str, String)> {
    let file = |name: &str, text: &str| {
        let path = home.join(name);
        std::fs::write(&path, format!("{text}\n")).expect("a file");
        path.display().to_string()
    };
    vec![
        ("S3_ACCESS_KEY_FILE", file("access", key)),
        ("S3_SECRET_KEY_FILE", file("secret", secret)),
    ]
}

fn settings(home: &Path, port: u16, secret: &str) -> Vec<(&'static str, String)> {
    let mut all = keys(home, "AKIDEXAMPLE", secret);
    all.extend([
        ("S3_ENDPOINT", format!("http://127.0.0.1:{port}")),
        ("S3_BUCKET", BUCKET.to_owned()),
        ("S3_PREFIX", "vault/one".to_owned()),
        ("S3_PATH_STYLE", "true".to_owned()),
        ("ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8".to_owned()),
        ("ALLOW_HTTP", "true".to_owned()),
    ]);
    all
}

fn with(mut server: ServerBuilder, settings: &[(&str, String)]) -> ServerBuilder {
    for (name, value) in settings {
        server = server.env(&format!("SCAIVAULT_AUDIT_{name}"), value);
    }
    server
}

/// What a bucket at moto holds below a prefix, in a directory.
async fn download(port: u16, prefix: &str, to: &Path) -> usize {
    let at = format!("http://127.0.0.1:{port}/{BUCKET}");
    let get = async |url: String| {
        let answer = client().get(url).send().await.expect("an answer");
        assert!(answer.status().is_success());
        answer.bytes().await.expect("bytes")
    };
    let list = get(format!("{at}?list-type=2&prefix={prefix}")).await;
    let list = String::from_utf8(list.to_vec()).expect("text");
    let keys: Vec<&str> = list.split("<Key>").skip(1).collect();
    std::fs::create_dir_all(to).expect("a directory");
    for key in &keys {
        let key = key.split("</Key>").next().expect("a key");
        let name = key.rsplit('/').next().expect("a name");
        std::fs::write(to.join(name), get(format!("{at}/{key}")).await).expect("a file");
    }
    keys.len()
}

async fn make_bucket(port: u16, with_lock: bool) {
    let mut request = client().put(format!("http://127.0.0.1:{port}/{BUCKET}"));
    if with_lock {
        request = request.header("x-amz-bucket-object-lock-enabled", "true");
    }
    let made = request.send().await.expect("an answer");
    assert!(made.status().is_success());
}

fn verified(home: &Path, directory: &Path) -> Value {
    let mut command = scaivault(home);
    command
        .args(["--json", "audit", "verify-export"])
        .arg(directory);
    let output = command.output().expect("the command runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn ended(api: &Api, id: &str) -> Value {
    eventually("the export ends", SOON * 2, async || {
        let export = api.get(&format!("/v1/audit/exports/{id}")).await.ok(200);
        (export["status"] != "running").then_some(export)
    })
    .await
}

fn id_of(export: &Value) -> String {
    export["id"].as_str().expect("an id").to_owned()
}

/// Asked for and waited for with the command, locked, downloaded and verified; a connection that is
/// cut in the middle of a part costs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_in_a_bucket_is_whole_locked_and_verifies() {
    let service = S3Service::moto();
    make_bucket(service.port(), true).await;
    let proxy = FaultProxy::start(service.port());
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let mut settings = settings(home, proxy.port(), SECRET);
    // As long as those of temporary credentials are.
    let token = home.join("token");
    std::fs::write(&token, "canary/of+a=token".repeat(200)).expect("a file");
    settings.extend([
        ("S3_SESSION_TOKEN_FILE", token.display().to_string()),
        ("EXPORT_DIRECTORY", "s3".to_owned()),
        ("S3_ENCRYPTION", "AES256".to_owned()),
        ("S3_LOCK_MODE", "GOVERNANCE".to_owned()),
        ("S3_LOCK_FOR", "30d".to_owned()),
    ]);
    let server = with(Server::dev(), &settings).start().await;
    let root = server.root();
    write(root, 0, 30).await;
    let mut command = scaivault(home);
    command
        .env("SCAIVAULT_URL", server.url())
        .env("SCAIVAULT_TOKEN", server.root_token())
        .args([
            "--json", "audit", "exports", "create", "--action", "write", "--wait",
        ]);
    let done = tokio::task::spawn_blocking(move || command.output().expect("the command runs"));
    let done = done.await.expect("it ends");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    assert!(said.contains("exp_"), "progress is told: {said}");
    let export: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(
        (&export["status"], &export["rows"], &export["destination"]),
        (&json!("completed"), &json!(30), &json!("s3"))
    );
    let to = home.join("first");
    let id = id_of(&export);
    assert_eq!(
        download(service.port(), &format!("vault/one/{id}/"), &to).await,
        4
    );
    assert_eq!(verified(home, &to)["rows"], 30);
    let text = std::fs::read_to_string(to.join("part-000001.jsonl")).expect("rows");
    assert!(text.contains("\"secret_path\":\"app/n7\"") && !text.contains("canary"));
    // It cannot be overwritten before its time.
    let at = format!(
        "http://127.0.0.1:{}/{BUCKET}/vault/one/{id}/manifest.json",
        service.port()
    );
    let head = client().head(&at).send().await.expect("an answer");
    let header = |name: &str| {
        let value = head.headers().get(name);
        value.map(|value| value.to_str().expect("text").to_owned())
    };
    assert_eq!(
        header("x-amz-object-lock-mode").as_deref(),
        Some("GOVERNANCE")
    );
    assert_eq!(
        header("x-amz-server-side-encryption").as_deref(),
        Some("AES256")
    );
    assert!(header("x-amz-object-lock-retain-until-date").is_some());

    // In the middle of the part the connection is cut; whoever looks finds no manifest.
    proxy.cut_after(4_000);
    let asked = root.post("/v1/audit/exports", json!({})).await.ok(201);
    let id = id_of(&asked);
    let prefix = format!("vault/one/{id}/");
    eventually("the part fails", SOON, async || {
        let said = server.process().stderr();
        said.contains("a part of an audit export is not written")
            .then_some(())
    })
    .await;
    assert_eq!(
        download(service.port(), &prefix, &home.join("none")).await,
        0
    );
    let export = ended(root, &id).await;
    assert_eq!(export["status"], "completed");
    let to = home.join("second");
    download(service.port(), &prefix, &to).await;
    assert_eq!(verified(home, &to)["rows"], export["rows"]);
    // Listed, shown and removed.
    let deleted = root
        .delete(&format!("/v1/audit/exports/{id}"))
        .await
        .ok(200);
    assert_eq!(deleted["id"], json!(id));
    assert_eq!(
        download(service.port(), &prefix, &home.join("gone")).await,
        0
    );
    let text = root.get("/v1/metrics").await.text;
    assert!(
        text.contains("scaivault_audit_exports_completed_total 2"),
        "{text}"
    );
    let (said, _home) = server.stop().await;
    assert!(
        !said.contains(SECRET) && !said.contains("X-Amz-Signature"),
        "{said}"
    );
}

/// Wrong keys and a bucket that is not there are told with what to do, at the start and at each
/// attempt; keys in their files take effect without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_bucket_is_said_and_keys_are_read_again() {
    let service = S3Service::s3rver(&[BUCKET]);
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let mut settings = settings(home, service.port(), SECRET);
    settings.push(("EXPORT_DIRECTORY", "s3".to_owned()));
    let server = with(Server::dev(), &settings).start().await;
    let said = eventually("it looks at the bucket", SOON, async || {
        let said = server.process().stderr();
        said.contains("the bucket for the audit trail cannot be used now")
            .then_some(said)
    })
    .await;
    assert!(
        said.contains("the key is not accepted") && said.contains("s3_access_key_file"),
        "{said}"
    );
    let root = server.root();
    write(root, 0, 5).await;
    let asked = root
        .post("/v1/audit/exports", json!({ "format": "csv" }))
        .await
        .ok(201);
    let id = id_of(&asked);
    eventually("the first attempt fails", SOON, async || {
        let export = root.get(&format!("/v1/audit/exports/{id}")).await.ok(200);
        (export["error"] == "the destination cannot be written").then_some(())
    })
    .await;
    keys(home, S3Service::ACCESS_KEY, S3Service::SECRET_KEY);
    let export = ended(root, &id).await;
    assert_eq!(export["status"], "completed", "{}", service.log());
    let (said, _home) = server.stop().await;
    assert!(
        !said.contains(SECRET) && !said.contains("X-Amz-Signature"),
        "{said}"
    );
    // Another bucket is none.
    let other = settings.iter().map(|(name, value)| match *name {
        "S3_BUCKET" => (*name, "elsewhere".to_owned()),
        _ => (*name, value.clone()),
    });
    let other: Vec<_> = other.collect();
    let server = with(Server::dev(), &other).start().await;
    eventually("it is said", SOON, async || {
        let said = server.process().stderr();
        said.contains("there is no bucket elsewhere").then_some(())
    })
    .await;
}

/// Retention waits for the copy in the bucket, and for all of it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_go_when_the_bucket_has_them() {
    let service = S3Service::moto();
    let port = service.port();
    make_bucket(port, false).await;
    let home = tempfile::tempdir().expect("a directory");
    let home = home.path();
    let (data, out) = (home.join("data"), home.join("out"));
    let mut settings = settings(home, port, SECRET);
    let mut config = "[audit]\n".to_owned();
    for (name, value) in &settings {
        let value = match *name {
            "ALLOW_PRIVATE_NETWORKS" => format!("[\"{value}\"]"),
            "S3_PATH_STYLE" | "ALLOW_HTTP" => value.clone(),
            _ => format!("\"{value}\""),
        };
        config += &format!("{} = {value}\n", name.to_lowercase());
    }
    let file = home.join("config.toml");
    std::fs::write(&file, config).expect("a file");
    settings.extend([
        ("EXPORTED_TO", "s3".to_owned()),
        ("RETENTION", "1s".to_owned()),
    ]);
    let start = async || with(Server::dev().data(&data), &settings).start().await;
    let server = start().await;
    let root = server.root();
    write(root, 0, 20).await;
    eventually("it looks for the export", SOON, async || {
        let said = server.process().stderr();
        said.contains("nothing was exported there yet")
            .then_some(())
    })
    .await;
    let attempt = |out: &Path| {
        let mut command = scaivault(home);
        command.args(["--json", "audit", "export", "--database"]);
        command
            .arg(data.join("scaivault.db"))
            .arg("--key-file")
            .arg(data.join("root.key"));
        command.arg("--out").arg(out).arg("--s3").arg(&file);
        command.output().expect("the command runs")
    };
    let export = || {
        let output = attempt(&out);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    // As if it had been cut short: what speaks for the rows is not there.
    let done = export();
    assert_eq!(done["files_copied"], 1);
    assert_eq!(done["bucket"], format!("s3://{BUCKET}/vault/one/"));
    let removed = eventually("rows go", SOON, async || {
        let left = root.get("/v1/audit/verify").await.ok(200);
        assert_eq!(left["valid"], true, "{left}");
        left.get("removed")?[0]["rows"].as_u64()
    })
    .await;
    assert!(removed > 0 && removed <= done["rows"].as_u64().expect("a number"));
    let text = root.get("/v1/metrics").await.text;
    let counted = text.lines().find_map(|line| {
        let rows = line.strip_prefix("scaivault_audit_retention_rows_total ")?;
        rows.parse::<u64>().ok()
    });
    assert!(counted >= Some(removed), "{text}");
    let copy = home.join("copy");
    download(port, "vault/one/chain/", &copy).await;
    assert_eq!(verified(home, &copy)["rows"], done["rows_in_all"]);
    server.stop().await;

    // A file that went from the bucket keeps all rows here, and a changed one does.
    let server = start().await;
    let root = server.root();
    write(root, 20, 30).await;
    let done = export();
    let name = std::fs::read_dir(&out).expect("a directory").map(|entry| {
        entry
            .expect("a file")
            .file_name()
            .into_string()
            .expect("a name")
    });
    let mut names: Vec<_> = name.filter(|name| name.ends_with(".jsonl")).collect();
    names.sort();
    assert_eq!(names.len(), 2, "{done}");
    let at = format!(
        "http://127.0.0.1:{port}/{BUCKET}/vault/one/chain/{}",
        names[0]
    );
    let changed = client()
        .put(&at)
        .body("{}\n")
        .send()
        .await
        .expect("an answer");
    assert!(changed.status().is_success());
    server.stop().await;
    let server = start().await;
    let root = server.root();
    let before = root.get("/v1/audit/verify").await.ok(200);
    eventually("it looks at the files", SOON, async || {
        let said = server.process().stderr();
        said.contains("is not the file that was exported")
            .then_some(())
    })
    .await;
    let after = root.get("/v1/audit/verify").await.ok(200);
    assert_eq!(after["removed"], before["removed"]);
    // The command puts it right.
    assert_eq!(export()["files_copied"], 2);
    // An export that begins anew is no more than what the bucket has: it is not written over that.
    let refused = attempt(&home.join("anew"));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success()
            && said.contains("holds an export that this one does not continue"),
        "{said}"
    );
    let copy = home.join("after");
    download(port, "vault/one/chain/", &copy).await;
    let rows = verified(home, &copy)["rows"].as_u64();
    assert!(rows >= done["rows_in_all"].as_u64(), "{rows:?} {done}");
}
