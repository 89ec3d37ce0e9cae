//! Certificates in PEM: a text is understood whole or not at all.

use scaivault_connectors::probes::authorities;

use crate::target::{Target, text};

pub(crate) const TARGET: Target = Target {
    name: "pem",
    seeds: || {
        vec![
            CERTIFICATE.into(),
            format!("{CERTIFICATE}{CERTIFICATE}").into_bytes(),
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
        ]
    },
    words: &[
        "-----BEGIN CERTIFICATE-----",
        "-----END CERTIFICATE-----",
        "-----BEGIN PRIVATE KEY-----",
        "\n",
        "=",
        "A",
        "MII",
        "\0",
        "0",
    ],
    run,
};

/// An authority made for this test; nobody holds its key.
const CERTIFICATE: &str = include_str!("authority.pem");

fn run(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Some(count) = authorities(text) else {
        return;
    };
    let begins = text.matches("-----BEGIN CERTIFICATE-----").count();
    assert!((1..=begins).contains(&count), "{count} of {begins}");
    assert_eq!(
        authorities(&format!("{text}\n{CERTIFICATE}")),
        Some(count + 1)
    );
    let broken = "\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(
        authorities(&format!("{text}{broken}")),
        None,
        "one that is not understood"
    );
}
