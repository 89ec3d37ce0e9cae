//! Secrecy: recognisable values planted in every field of thousands of requests to every
//! operation of the OpenAPI document, malformed ones included, are looked for afterwards wherever
//! they must not be. `SCAIVAULT_CANARIES` sets how many requests, 2,000 by default.

mod plant;
mod traces;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::harness::Server;
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
    let mut planter = Planter::new(server.url(), server.root_token(), &document, 7);
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
    let (log, _home) = server.stop().await;
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

    let mut stored = Vec::new();
    bytes_below(data.path(), &mut stored);
    // What may be stored in the clear is, so that this looks at the right files.
    assert!(found(&stored, PLAIN).is_some());
    assert_eq!(found(&stored, SECRET), None, "in the store's files");
}
