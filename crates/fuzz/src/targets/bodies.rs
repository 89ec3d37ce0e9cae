//! Bodies of requests, of every kind there is; the first byte says which. What is accepted is JSON to
//! another reader too and not deep; what is refused is refused in words that repeat nothing.

use scaivault_server::probes;
use serde_json::Value;

use crate::target::Target;

/// Stands for a value that must not be repeated.
const CANARY: &str = "CANARY~4711";

pub(crate) const TARGET: Target = Target {
    name: "bodies",
    seeds,
    words: &[
        "CANARY~4711",
        "\"CANARY~4711\"",
        "{\"CANARY~4711\":1}",
        "[",
        "]",
        "{",
        "}",
        "null",
        "true",
        "1e400",
        "-0",
        "\\u0000",
        "\\ud800",
        "\"data\":",
        "\"name\":",
        "\"options\":",
        "\"rules\":",
        "\"url\":",
        ",",
        ":",
        "\u{feff}",
        "[[[[[[[[",
    ],
    run,
};

const SEEDS: &[&str] = &[
    r#"{"data":{"password":"CANARY~4711","n":1},"options":{"cas":3,"ttl":"1h"},"metadata":{"tags":["a"]}}"#,
    r#"{"name":"n","description":"d","rules":[{"path_pattern":"app/**","permissions":["read"],"conditions":{"ip_ranges":["10.0.0.0/8"]}}]}"#,
    r#"{"identity_type":"service_account","identity_id":"sa:x","scopes":["secrets:read"],"ttl":"1h"}"#,
    r#"{"name":"w","url":"https://h.example/","events":["secret.updated"],"secret":"CANARY~4711CANARY~4711"}"#,
    r#"{"name":"s","paths":["**"],"events":["secret.created"],"delivery":{"type":"polling"}}"#,
    r#"{"name":"r","interval":"30d","warn_before":["7d"],"windows":[{"from":"01:00","to":"02:00"}]}"#,
    r#"{"name":"f","fields":[{"name":"k","generator":"random","config":{"length":8}}]}"#,
    r#"{"paths":["app/db"],"event_ids":["evt_1"],"version":1,"status":"applied"}"#,
    r#"{"name":"t","connector":"redis","manager_path":"a","settings":{"host":"h"}}"#,
];

fn seeds() -> Vec<Vec<u8>> {
    let kinds = 0..u8::try_from(probes::bodies()).expect("not so many");
    kinds
        .map(|kind| {
            let body = SEEDS[usize::from(kind) % SEEDS.len()];
            [&[kind][..], body.as_bytes()].concat()
        })
        .collect()
}

fn run(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    match probes::body(usize::from(*kind), body) {
        Ok(()) => {
            let value: Value = serde_json::from_slice(body).expect("JSON to another reader too");
            assert!(depth(&value) <= 64);
        }
        Err(refusal) => {
            assert!(matches!(refusal.status, 400 | 422), "{refusal:?}");
            assert!(!refusal.text.contains(CANARY), "{refusal:?}");
            assert!(
                refusal.text.len() < 4_096,
                "{} bytes of error",
                refusal.text.len()
            );
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(all) => 1 + all.iter().map(depth).max().unwrap_or(0),
        Value::Object(all) => 1 + all.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
