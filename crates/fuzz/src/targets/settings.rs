//! Settings of targets and accounts: problems name a field and repeat no value.

use std::sync::{Arc, OnceLock};

use scaivault_connectors::probes::{connectors, problems};
use scaivault_core::ports::Connector;
use serde_json::{Map, Value};

use crate::target::{Target, texts};

pub(crate) const TARGET: Target = Target {
    name: "settings",
    seeds: || {
        texts(&[
            r#"{"host":"db.internal","port":5432,"database":"app","tls":"require","username":"app_a"}"#,
            r#"{"nodes":[{"host":"a","port":6379},"b:6380"],"users":["x","y"],"ca_pem":"CANARY~4711"}"#,
            r#"{"base_url":"https://api.example/","description":{"create":{"method":"POST","path":"/keys/{{tag}}"}},"user":"u","hosts":["%"]}"#,
        ])
    },
    words: &[
        "CANARY~4711",
        "\"host\":",
        "\"port\":",
        "null",
        "{}",
        "[]",
        "65536",
        "-1",
        "{{manager.password}}",
        "{{",
        "}}",
        "http://",
        "\"users\":",
        "\"names\":",
        "..",
        "\\u0000",
        "'",
        "\"service\":",
    ],
    run,
};

fn run(data: &[u8]) {
    static ALL: OnceLock<Vec<Arc<dyn Connector>>> = OnceLock::new();
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(data) else {
        return;
    };
    let named = fields.keys().any(|name| name.contains("CANARY"));
    for connector in ALL.get_or_init(connectors) {
        for (field, why) in problems(&**connector, &fields) {
            assert!(!why.is_empty());
            let told = format!("{field} {why}");
            assert!(named || !why.contains("CANARY~4711"), "{told}");
            assert!(told.len() < 8_192);
        }
    }
}
