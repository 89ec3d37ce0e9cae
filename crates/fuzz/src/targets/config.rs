//! Configuration files: any text is read or refused, and what is refused is not shown.

use scaivault_server::probes;

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "config",
    seeds: || {
        texts(&[
            "[server]\nbind_address = \"127.0.0.1:8200\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n",
            "[store]\ndatabase_url = \"postgresql://u:CANARY~4711@h/d\"\n[seal]\nkms_provider = \"local\"\n",
            "[rate_limits]\nread = 10\n[targets]\nallow = []\n[webhooks]\ntimeout = \"5s\"\n",
        ])
    },
    words: &[
        "[",
        "]",
        "=",
        "\"",
        "\n",
        "CANARY~4711",
        "true",
        "-1",
        "1e9",
        "'''",
        "{",
        "}",
        "[[server]]",
        "database_url",
        "passphrase",
    ],
    run,
};

fn run(data: &[u8]) {
    let Some(text) = text(data) else { return };
    if let Err(told) = probes::configuration(text) {
        assert!(
            !told.contains("CANARY~4711") || key_with_canary(text),
            "{told}"
        );
    }
}

/// A name of a section or field is told: it is what has to be corrected.
fn key_with_canary(text: &str) -> bool {
    text.lines().any(|line| {
        let name = line.split('=').next().unwrap_or_default();
        name.contains("CANARY~4711") || line.trim_start().starts_with('[')
    })
}
