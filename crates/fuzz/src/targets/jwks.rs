//! Key sets of issuers: any document is read or refused, bounded, and never holds a key that was not in
//! it. Reading the claims of a token against such a set verifies nothing.

use scaivault_core::issuer::Algorithm;
use scaivault_crypto::jwt::{KeySet, Token};

use crate::target::{Target, texts};

pub(crate) const TARGET: Target = Target {
    name: "jwks",
    seeds: || {
        texts(&[
            r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"a","use":"sig","alg":"ES256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#,
            r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#,
            r#"{"keys":[{"kty":"oct","k":"AAAA"},{"kty":"EC","crv":"P-521","key_ops":["verify"]}]}"#,
        ])
    },
    words: &[
        "\"kty\":",
        "\"RSA\"",
        "\"oct\"",
        "\"enc\"",
        "\"kid\":",
        "null",
        "[",
        "{",
        "}",
        "AQAB",
        "\"e\":\"AQ\"",
        "\"n\":\"\"",
        "P-384",
    ],
    run,
};

/// `{"alg":"ES256"}` and `{"alg":"EdDSA"}` over `{}`, with a signature of zeros.
const FORGED: [&str; 2] = [
    "eyJhbGciOiJFUzI1NiJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "eyJhbGciOiJFZERTQSJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
];

fn run(data: &[u8]) {
    let Ok(keys) = KeySet::parse(data) else {
        return;
    };
    let written = data.windows(5).filter(|five| five == b"\"kty\"").count();
    // A name may be written in other ways, with an escape.
    let escapes = data.contains(&b'\\');
    assert!(
        keys.len() <= written || escapes,
        "{} keys of {written}",
        keys.len()
    );
    assert!(keys.len() <= 128);
    assert_eq!(KeySet::parse(data).ok().as_ref(), Some(&keys));
    let one = FORGED[data.len() % 2];
    let token = Token::parse(one).expect("it has the form");
    // A signature of zeros holds for one key alone: Ed25519's neutral point, which no set may hold.
    assert!(token.verify(&keys, &Algorithm::ALL).is_err());
}
