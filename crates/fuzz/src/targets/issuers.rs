//! Files of issuers: any text is read or refused.

use scaivault_server::probes;

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "issuers",
    seeds: || {
        texts(&[
            "[[issuer]]\nname = \"idp\"\nurl = \"https://idp.example/realms/a\"\naudiences = [\"scaivault\"]\n",
            "[[issuer]]\nname = \"gh\"\nurl = \"https://token.actions.example\"\naudiences = [\"v\"]\nlogin = false\n\
             [[exchange]]\nname = \"ci\"\nissuer = \"gh\"\nsubjects = [\"repo:acme/*:ref:refs/heads/main\"]\n\
             identity = \"sa:ci\"\nscopes = [\"secrets:read\"]\nttl = \"10m\"\n",
        ])
    },
    words: &[
        "[[issuer]]",
        "[[exchange]]",
        "=",
        "\"",
        "\n",
        "algorithms = [\"none\"]",
        "HS256",
        "https://127.0.0.1/",
        "{sub}",
        "**",
        "system:x",
        "user:root",
    ],
    run,
};

fn run(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match probes::issuers(text) {
        Ok(count) => {
            let tables = text.matches("issuer").count() + text.matches("exchange").count();
            assert!(count <= tables, "{count} out of nothing");
        }
        Err(told) => assert!(!told.is_empty() && told.len() < 8_192),
    }
}
