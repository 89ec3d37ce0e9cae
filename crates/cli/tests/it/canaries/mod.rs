//! Secrecy: recognisable values planted in every field of thousands of requests to every
//! operation of the OpenAPI document, malformed ones included, are looked for afterwards wherever
//! they must not be. `SCAIVAULT_CANARIES` sets how many requests, 2,000 by default.

mod plant;
mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::harness::server::scaivault;
use crate::harness::{Api, Receiver, Server};
use plant::{Planter, operations};
use serde_json::Value;
use traces::{PLAIN, SECRET, found};

fn requests() -> usize {
    std::env::var("SCAIVAULT_CANARIES").map_or(2_000, |text| text.parse().expect("a number"))
}

/// An error without what it repeats on purpose: the path or the pattern it is about.
fn without_echo(text: &str) -> String {
    let Ok(mut body) = serde_json::from_str::<Value>(text) else {
        return text.to_owned();
    };
    let details = body.pointer_mut("/error/details");
    if let Some(details) = details.and_then(Value::as_object_mut) {
        details.retain(|name, _| name != "path" && name != "pattern");
    }
    body.to_string()
}

/// All bytes of all files below.
fn bytes_below(directory: &Path, all: &mut Vec<u8>) {
    for entry in std::fs::read_dir(directory).expect("a directory of ours") {
        let path = entry.expect("an entry of it").path();
        match path.is_dir() {
            true => bytes_below(&path, all),
            false => all.extend(std::fs::read(path).expect("a file of ours")),
        }
    }
}

fn data_bytes(data: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    bytes_below(data, &mut all);
    all
}

/// A backup of the store, made while its server goes on.
fn backed_up(data: &Path) -> Vec<u8> {
    let home = tempfile::tempdir().expect("a directory");
    let to = home.path().join("backup.db");
    let made = scaivault(home.path())
        .args(["store", "backup", "--from"])
        .arg(data.join("scaivault.db"))
        .arg("--to")
        .arg(&to)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
    std::fs::read(&to).expect("the backup")
}

/// Everything that webhooks were sent, headers too.
fn delivered(receiver: &Receiver) -> Vec<u8> {
    let all = receiver.received();
    all.iter().flat_map(|one| one.bytes()).collect()
}

/// The whole trail, page by page.
async fn audit_rows(root: &Api) -> String {
    let mut rows = String::new();
    let mut cursor = String::new();
    loop {
        let page = root
            .get(&format!("/v1/audit/logs?limit=1000{cursor}"))
            .await
            .ok(200);
        for row in page["logs"].as_array().expect("rows") {
            rows.push_str(&row.to_string());
            rows.push('\n');
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// Rows without what is kept on purpose as it was sent: the client's own name, and the reason that
/// an operator gives for an act.
fn without_reasons(rows: &str) -> String {
    let mut left = String::new();
    for row in rows.lines() {
        let mut row: Value = serde_json::from_str(row).expect("a row");
        let fields = row.as_object_mut().expect("an object");
        fields.remove("user_agent");
        if let Some(extra) = fields.get_mut("extra_data").and_then(Value::as_object_mut) {
            extra.remove("reason");
        }
        left.push_str(&row.to_string());
        left.push('\n');
    }
    left
}

#[tokio::test]
async fn nothing_planted_in_requests_is_found_where_it_must_not_be() {
    let data = tempfile::tempdir().unwrap();
    // Everything it could log, it logs.
    let server = Server::dev()
        .data(data.path())
        .env("SCAIVAULT_LOG_LEVEL", "debug")
        .start()
        .await;
    let document = server.root().get("/v1/openapi.json").await.ok(200);
    let operations = operations(&document);
    let kept = serde_json::json!({
        "name": "kept", "paths": ["**"], "delivery": { "type": "polling" },
        "events": ["secret.created", "secret.updated", "secret.deleted"],
    });
    let kept = server.root().post("/v1/subscriptions", kept).await.ok(201);
    let kept = kept["id"].as_str().expect("an id").to_owned();
    let receiver = Receiver::start().await;
    let (url, token) = (server.url(), server.root_token());
    let mut planter = Planter::new(url, token, &document, &receiver.url(), 7);
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    let mut asked: BTreeSet<usize> = BTreeSet::new();
    for number in 0..requests() {
        let place = number % operations.len();
        let operation = &operations[place];
        let (what, status, text) = planter.send(operation).await;
        assert!(status < 500, "{what}: {status} {text}");
        if status >= 400 {
            assert_eq!(found(text.as_bytes(), SECRET), None, "{what}: {text}");
            let rest = without_echo(&text);
            assert_eq!(found(rest.as_bytes(), PLAIN), None, "{what}: {text}");
        } else if operation.is_stream() {
            assert_eq!(found(text.as_bytes(), SECRET), None, "{what}: {text}");
        }
        asked.insert(place);
        *statuses.entry(status / 100).or_default() += 1;
    }
    println!(
        "{} operations, answers by hundreds: {statuses:?}",
        operations.len()
    );
    assert_eq!(asked.len(), operations.len().min(requests()));
    // Planted in requests that were taken, and in ones that were not.
    for hundred in [2, 4] {
        let part = statuses.get(&hundred).copied().unwrap_or(0);
        assert!(part * 10 > requests(), "{statuses:?}");
    }

    let metrics = server.root().get("/v1/metrics").await;
    assert_eq!(metrics.status, 200);
    let events = planter.heard(&kept).await;
    assert!(!events.is_empty(), "no event was there to look at");
    let rows = audit_rows(server.root()).await;
    let (while_running, backup) = (data_bytes(data.path()), backed_up(data.path()));
    let (log, _home) = server.stop().await;
    let delivered = delivered(&receiver);
    assert!(
        log.contains("serving") || log.len() > 1_000,
        "no log: {log}"
    );
    for (place, text) in [("metrics", &metrics.text), ("log", &log)] {
        for marker in [SECRET, PLAIN] {
            assert_eq!(found(text.as_bytes(), marker), None, "{place}");
        }
    }
    assert_eq!(found(events.as_bytes(), SECRET), None, "events: {events}");

    for (place, bytes) in [
        (
            "the store's files and its log, while it runs",
            while_running,
        ),
        ("the store's files", data_bytes(data.path())),
        ("a backup", backup),
    ] {
        // What may be stored in the clear is, so that this looks at the right bytes.
        assert!(found(&bytes, PLAIN).is_some(), "{place}");
        assert_eq!(found(&bytes, SECRET), None, "{place}");
    }
    assert!(delivered.len() > 1_000, "nothing was delivered");
    for marker in [SECRET, PLAIN] {
        assert_eq!(
            found(&delivered, marker),
            None,
            "in what webhooks were sent"
        );
    }
    assert_eq!(found(rows.as_bytes(), SECRET), None, "in the audit trail");
    assert_eq!(
        found(without_reasons(&rows).as_bytes(), PLAIN),
        None,
        "in the audit trail"
    );
}
