//! Signatures of what we deliver. Promise: a receiver of any of the three documented kinds checks
//! them unmodified. All are HMAC-SHA256.
//!
//! | Kind | Over | Header |
//! |---|---|---|
//! | webhook | `{timestamp}.{body}` | `X-ScaiVault-Signature: sha256=<hex>` |
//! | subscription | `{body}` | `X-ScaiVault-Signature: <hex>` |
//! | Standard Webhooks | `{webhook id}.{timestamp}.{body}` | `webhook-signature: v1,<base64>` |
//!
//! The timestamp is in whole seconds, as in its header; hex is lower case; base64 is the standard
//! alphabet with padding.
//!
//! The key of the ScaiVault kinds is the secret's literal bytes, prefix and all. The standard kind
//! does as the standard's libraries do: of a secret `whsec_<base64>` the key is what the base64
//! stands for. Any other secret (without the prefix, or with something else behind it) is its own
//! literal bytes; its receiver uses the library's raw form, or gives it `whsec_` and the base64 of
//! the secret. Secrets made by [`signing_secret`](crate::generate::signing_secret) have the prefix.
//!
//! The `verify` functions compare in constant time. They do not judge the timestamp: how old a
//! delivery may be is the receiver's decision.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::plaintext::Plaintext;
use zeroize::Zeroizing;

use crate::generate::SIGNING_SECRET_PREFIX;
use crate::mac::{MacKey, same};

/// The value of a webhook's `X-ScaiVault-Signature`; `timestamp` is that of
/// `X-ScaiVault-Timestamp`, seconds since the epoch.
pub fn webhook_header(secret: &Plaintext, timestamp: i64, body: &[u8]) -> String {
    let stamp = timestamp.to_string();
    let tag = MacKey::new(secret.expose()).tag(&[stamp.as_bytes(), b".", body]);
    format!("sha256={}", hex::encode(tag))
}

/// The value of a subscription's `X-ScaiVault-Signature`.
pub fn subscription_header(secret: &Plaintext, body: &[u8]) -> String {
    hex::encode(MacKey::new(secret.expose()).tag(&[body]))
}

/// The value of `webhook-signature` for the id in `webhook-id` and the seconds in
/// `webhook-timestamp`. While a secret is being replaced, a receiver may be sent several, with a
/// space between.
pub fn standard_signature(
    secret: &Plaintext,
    webhook_id: &str,
    timestamp: i64,
    body: &[u8],
) -> String {
    let stamp = timestamp.to_string();
    let parts = [webhook_id.as_bytes(), b".", stamp.as_bytes(), b".", body];
    let tag = MacKey::new(&standard_key(secret)).tag(&parts);
    format!("v1,{}", STANDARD.encode(tag))
}

/// Whether `header` is what [`webhook_header`] answers.
#[must_use]
pub fn verify_webhook(secret: &Plaintext, timestamp: i64, body: &[u8], header: &str) -> bool {
    let expect = webhook_header(secret, timestamp, body);
    same(header.as_bytes(), expect.as_bytes())
}

/// Whether `header` is what [`subscription_header`] answers.
#[must_use]
pub fn verify_subscription(secret: &Plaintext, body: &[u8], header: &str) -> bool {
    let expect = subscription_header(secret, body);
    same(header.as_bytes(), expect.as_bytes())
}

/// Whether any of the signatures in `header` (with spaces between) is what
/// [`standard_signature`] answers.
#[must_use]
pub fn verify_standard(
    secret: &Plaintext,
    webhook_id: &str,
    timestamp: i64,
    body: &[u8],
    header: &str,
) -> bool {
    let expect = standard_signature(secret, webhook_id, timestamp, body);
    header
        .split(' ')
        .any(|signature| same(signature.as_bytes(), expect.as_bytes()))
}

fn standard_key(secret: &Plaintext) -> Zeroizing<Vec<u8>> {
    let decoded = secret
        .expose()
        .strip_prefix(SIGNING_SECRET_PREFIX.as_bytes())
        .and_then(decode)
        .filter(|key| !key.is_empty());
    decoded.unwrap_or_else(|| Zeroizing::new(secret.expose().to_vec()))
}

/// Into a buffer of its final size: one that grows leaves its old bytes behind.
fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = STANDARD.decode_slice(text, &mut key).ok()?;
    key.truncate(length);
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"event":"secret.rotated","path":"db/main"}"#;
    const STAMP: i64 = 1_700_000_000;

    fn secret(text: &str) -> Plaintext {
        Plaintext::new(text.as_bytes().to_vec())
    }

    // The answers below were computed with Python's hmac, hashlib and base64.

    #[test]
    fn webhook_known_answers() {
        let cases = [
            (
                "plain-secret",
                BODY,
                "f04ef5146f107facc3260aed51e469b1d857c5a8e34c56fd7e3818b3e0dcfb32",
            ),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                BODY,
                "0793485afadbae7299ebc6297e6ad856f8f8afa36ad6653495fd66fb98ff9456",
            ),
            (
                "plain-secret",
                b"",
                "785dcce43b4b6f529c79a5528ce2cf3d05af296a5ed12e6677aa8ffc4998ca99",
            ),
        ];
        for (key, body, expect) in cases {
            let header = webhook_header(&secret(key), STAMP, body);
            assert_eq!(header, format!("sha256={expect}"), "{key}");
        }
    }

    #[test]
    fn subscription_known_answers() {
        let cases = [
            (
                "plain-secret",
                "28f92a4b23c826dd6d470bbffc0b55a784744b66294d100fe2b89dcca2d12d25",
            ),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "669c1ac0e2e5325d1b86ec54aa01d0a8d96c32e4ff2cd78ed12cddbbcfacac87",
            ),
        ];
        for (key, expect) in cases {
            assert_eq!(subscription_header(&secret(key), BODY), expect, "{key}");
        }
    }

    #[test]
    fn standard_known_answers() {
        let cases = [
            // Decoded.
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "9nTpGNOtbURUHmtKyzXlvhWCCDRidahn5Vz/4sX8j9M=",
            ),
            // Literal: no prefix.
            (
                "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "c3cojAaKwp4ZW1sFcbvDLfaiQ/jbZatMdvqwDwJ0gMM=",
            ),
            // Literal: not base64, and nothing at all, behind the prefix.
            (
                "whsec_not base64!",
                "d/OjdkMqvnRTDdyJXnO0toXP02mrDsz2THuLLzueFnk=",
            ),
            ("whsec_", "qAMwf5sxWx6qnd/hn4v06pplzm2q1t0uxcNN9TCLMxk="),
        ];
        for (key, expect) in cases {
            let header =
                standard_signature(&secret(key), "msg_p5jXN8AQM9LWM0D4loKWxJek", STAMP, BODY);
            assert_eq!(header, format!("v1,{expect}"), "{key}");
        }
    }

    #[test]
    fn the_example_of_the_standard() {
        let header = standard_signature(
            &secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn verification_takes_the_right_header_only() {
        let (key, other) = (secret("one"), secret("other"));
        let header = webhook_header(&key, STAMP, BODY);
        assert!(verify_webhook(&key, STAMP, BODY, &header));
        assert!(!verify_webhook(&other, STAMP, BODY, &header));
        assert!(!verify_webhook(&key, STAMP + 1, BODY, &header));
        assert!(!verify_webhook(&key, STAMP, b"altered", &header));
        for cut in 0..header.len() {
            assert!(!verify_webhook(&key, STAMP, BODY, &header[..cut]));
        }

        let header = subscription_header(&key, BODY);
        assert!(verify_subscription(&key, BODY, &header));
        assert!(!verify_subscription(&other, BODY, &header));
        assert!(!verify_subscription(&key, b"altered", &header));
        assert!(!verify_subscription(&key, BODY, ""));
    }

    #[test]
    fn one_right_signature_of_several_is_enough() {
        let (old, new) = (secret("old"), secret("new"));
        let sign = |key: &Plaintext| standard_signature(key, "evt_1", STAMP, BODY);
        let header = format!("{} {}", sign(&old), sign(&new));
        for key in [&old, &new] {
            assert!(verify_standard(key, "evt_1", STAMP, BODY, &header));
        }
        assert!(!verify_standard(
            &secret("third"),
            "evt_1",
            STAMP,
            BODY,
            &header
        ));
        assert!(!verify_standard(&old, "evt_2", STAMP, BODY, &header));
        assert!(!verify_standard(&old, "evt_1", STAMP - 1, BODY, &header));
        assert!(!verify_standard(&old, "evt_1", STAMP, b"altered", &header));
        assert!(!verify_standard(&old, "evt_1", STAMP, BODY, ""));
    }

    #[test]
    fn borders_between_parts_are_the_dots() {
        let key = secret("one");
        let one = standard_signature(&key, "a", 12, b"3");
        assert_ne!(one, standard_signature(&key, "a", 1, b"2.3"));
        assert_ne!(
            webhook_header(&key, 1, b"23"),
            webhook_header(&key, 12, b"3")
        );
    }
}
