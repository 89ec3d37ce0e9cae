//! Foreign tokens: whatever is done to a signed one, claims come out verified only if it is the one
//! that was signed; and what is read is in the one spelling there is.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use scaivault_core::issuer::Algorithm;
use scaivault_crypto::jwt::{KeySet, Token};

use crate::target::{Target, text};

pub(crate) const TARGET: Target = Target {
    name: "jwt",
    seeds: || {
        let mut seeds = vec![made().token.clone().into_bytes()];
        for header in HEADERS {
            seeds.push(unsigned(header).into_bytes());
        }
        seeds
    },
    words: &[
        ".",
        "..",
        "=",
        "eyJhbGciOiJub25lIn0",
        "eyJhbGciOiJIUzI1NiJ9",
        "e30",
        "-",
        "_",
        "+",
        "/",
        "A",
        "\n",
    ],
    run,
};

const CLAIMS: &str =
    r#"{"iss":"https://idp.example","sub":"user:a","aud":"scaivault","exp":1900000000}"#;
const HEADERS: [&str; 5] = [
    r#"{"alg":"none"}"#,
    r#"{"alg":"HS256","typ":"JWT"}"#,
    r#"{"alg":"ES256","kid":"k1","crit":["x"]}"#,
    r#"{"alg":"ES256","alg":"none"}"#,
    r#"{"alg":"RS256","jwk":{},"jku":"https://x"}"#,
];

struct Made {
    token: String,
    keys: KeySet,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unsigned(header: &str) -> String {
    format!("{}.{}.{}", b64(header), b64(CLAIMS), b64([0; 64]))
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let set = format!(
            r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"k1","x":"{}","y":"{}"}}]}}"#,
            b64(x),
            b64(y)
        );
        let signed = format!("{}.{}", b64(r#"{"alg":"ES256","kid":"k1"}"#), b64(CLAIMS));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes());
        Made {
            token: format!("{signed}.{}", b64(signature.expect("a signature"))),
            keys: KeySet::parse(set.as_bytes()).expect("a set"),
        }
    })
}

fn run(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(token) = Token::parse(text) else {
        return;
    };
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3);
    for part in &parts {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        assert_eq!(b64(bytes), *part, "one spelling");
    }
    let _ = token.unverified_issuer();
    let verified = token.verify(&made().keys, &Algorithm::ALL);
    assert_eq!(verified.is_ok(), text == made().token, "{text}");
}
