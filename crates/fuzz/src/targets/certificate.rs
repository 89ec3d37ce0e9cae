//! Names in client certificates: whatever the bytes, a name that rules see is in its one form, and a
//! rule that is that name fits it.

use scaivault_core::issuer::NameKind;
use scaivault_crypto::certificate::{fingerprint, read};

use crate::target::Target;

pub(crate) const TARGET: Target = Target {
    name: "certificate",
    seeds: || vec![CERTIFICATE.to_vec(), vec![0x30, 0x82, 0x01, 0x00]],
    words: &[
        "spiffe://",
        "prod.example.org",
        "/",
        "..",
        "%2f",
        "@",
        "*",
        ".",
        "\0",
        "\u{430}",
        "\x06\x03\x55\x04\x03",
        "\x06\x03\x55\x1d\x11",
        "\x0c\x04",
        "\x13\x04",
    ],
    run,
};

/// One with every kind of name, made for this test; nobody holds its key.
const CERTIFICATE: &[u8] = include_bytes!("client.der");

fn run(data: &[u8]) {
    let Ok(certificate) = read(data) else { return };
    assert_eq!(certificate.names.fingerprint, fingerprint(data));
    assert!(data.len() < 1 << 20 || certificate.names.names.len() < data.len());
    let claims = certificate.names.claims();
    assert_eq!(
        claims["fingerprint"],
        certificate.names.fingerprint.as_str()
    );
    for kind in NameKind::ALL {
        let named = match claims.get(kind.as_str()) {
            None => continue,
            Some(serde_json::Value::Array(all)) => all.clone(),
            Some(one) => vec![one.clone()],
        };
        for name in &named {
            let name = name.as_str().expect("a text");
            assert_eq!(kind.canonical(name).as_deref(), Some(name), "{kind:?}");
            assert!(!name.contains('\0'), "{kind:?}");
            if !name.contains('*') {
                let pattern = kind.pattern(name).expect("a name is a pattern");
                assert!(pattern.matches(name), "{kind:?} {name}");
            }
        }
    }
}
