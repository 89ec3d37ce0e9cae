use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RsaKeyPair,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Who signs in these tests.
enum Signer {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn ec(by: &'static EcdsaSigningAlgorithm) -> Self {
        Self::Ec(EcdsaKeyPair::generate(by).unwrap())
    }

    fn ed() -> Self {
        Self::Ed(Ed25519KeyPair::generate().unwrap())
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
                    aws_lc_rs::encoding::AsDer::as_der(public).unwrap();
                let (n, e) = rsa_parts(der.as_ref());
                json!({ "kty": "RSA", "kid": id, "n": b64(n), "e": b64(e) })
            }
            Self::Ec(pair) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = match x.len() {
                    32 => "P-256",
                    48 => "P-384",
                    _ => "P-521",
                };
                json!({ "kty": "EC", "kid": id, "crv": curve, "x": b64(x), "y": b64(y) })
            }
            Self::Ed(pair) => {
                let x = b64(pair.public_key());
                json!({ "kty": "OKP", "kid": id, "crv": "Ed25519", "x": x })
            }
        }
    }

    fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let (random, message) = (SystemRandom::new(), signed.as_bytes());
        let signature = match self {
            Self::Rsa(pair) => {
                let by: &dyn signature::RsaEncoding = match header {
                    _ if header.contains("RS256") => &signature::RSA_PKCS1_SHA256,
                    _ if header.contains("RS384") => &signature::RSA_PKCS1_SHA384,
                    _ if header.contains("RS512") => &signature::RSA_PKCS1_SHA512,
                    _ if header.contains("PS384") => &signature::RSA_PSS_SHA384,
                    _ if header.contains("PS512") => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PSS_SHA256,
                };
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(by, &random, message, &mut made).unwrap();
                made
            }
            Self::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        };
        format!("{signed}.{}", b64(signature))
    }
}

/// Modulus and exponent of a SubjectPublicKeyInfo: the last two INTEGERs.
fn rsa_parts(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let e = der[der.len() - 3..].to_vec();
    assert_eq!(e, [1, 0, 1]);
    let n = der[der.len() - 5 - 256..der.len() - 5].to_vec();
    (n, e)
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

const ALL: &[Algorithm] = &Algorithm::ALL;
const CLAIMS: &str = r#"{"iss":"https://issuer.example","sub":"user:alice"}"#;

fn header(algorithm: &str, id: &str) -> String {
    format!(r#"{{"alg":"{algorithm}","kid":"{id}","typ":"JWT"}}"#)
}

/// Made once: a key of RSA takes its time.
static SIGNERS: LazyLock<Vec<(&[&str], Signer)>> = LazyLock::new(|| {
    vec![
        (
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
            Signer::rsa(),
        ),
        (&["ES256"], Signer::ec(&ECDSA_P256_SHA256_FIXED_SIGNING)),
        (&["ES384"], Signer::ec(&ECDSA_P384_SHA384_FIXED_SIGNING)),
        (&["ES512"], Signer::ec(&ECDSA_P521_SHA512_FIXED_SIGNING)),
        (&["EdDSA"], Signer::ed()),
    ]
});

fn verified(token: &str, keys: &KeySet, allowed: &[Algorithm]) -> Result<(), Unverified> {
    Token::parse(token)
        .unwrap()
        .verify(keys, allowed)
        .map(|_| ())
}

#[test]
fn every_algorithm_is_verified_by_its_own_kind_of_key_alone() {
    let signers = &*SIGNERS;
    let jwks: Vec<Value> = signers.iter().map(|(_, signer)| signer.jwk("k")).collect();
    let keys = set(&jwks);
    assert_eq!(keys.len(), 5);
    for (names, signer) in signers {
        for name in *names {
            let token = signer.sign(&header(name, "k"), CLAIMS);
            let only = [Algorithm::parse(name).unwrap()];
            assert_eq!(verified(&token, &keys, &only), Ok(()), "{name}");
            assert_eq!(verified(&token, &set(&[signer.jwk("k")]), ALL), Ok(()));
            let others: Vec<_> = ALL.iter().copied().filter(|one| *one != only[0]).collect();
            assert_eq!(verified(&token, &keys, &others), Err(Unverified::Algorithm));
            // The same signature under another algorithm's name.
            for other in others {
                let (head, rest) = token.split_once('.').unwrap();
                assert_eq!(head, b64(header(name, "k")));
                let renamed = format!("{}.{rest}", b64(header(other.as_str(), "k")));
                assert!(
                    verified(&renamed, &keys, ALL).is_err(),
                    "{name} as {other:?}"
                );
            }
        }
    }
}

#[test]
fn keys_are_found_by_id_or_all_are_tried() {
    let (one, other) = (Signer::ed(), Signer::ed());
    let keys = set(&[one.jwk("one"), other.jwk("other")]);
    assert_eq!(
        verified(&one.sign(&header("EdDSA", "one"), CLAIMS), &keys, ALL),
        Ok(())
    );
    let wrong = one.sign(&header("EdDSA", "other"), CLAIMS);
    assert_eq!(verified(&wrong, &keys, ALL), Err(Unverified::Signature));
    let unknown = one.sign(&header("EdDSA", "third"), CLAIMS);
    assert_eq!(verified(&unknown, &keys, ALL), Err(Unverified::UnknownKey));
    let nameless = r#"{"alg":"EdDSA"}"#;
    assert_eq!(verified(&other.sign(nameless, CLAIMS), &keys, ALL), Ok(()));
    let stranger = Signer::ed().sign(nameless, CLAIMS);
    assert_eq!(verified(&stranger, &keys, ALL), Err(Unverified::UnknownKey));
    let mut bound = one.jwk("one");
    bound["alg"] = "ES256".into();
    let keys = set(&[bound]);
    let token = one.sign(&header("EdDSA", "one"), CLAIMS);
    assert_eq!(verified(&token, &keys, ALL), Err(Unverified::UnknownKey));
}

#[test]
fn headers_that_ask_for_more_are_refused_and_places_of_keys_ignored() {
    let (ours, theirs) = (Signer::ed(), Signer::ed());
    let keys = set(&[ours.jwk("k")]);
    let parsed = |header: &str| Token::parse(&ours.sign(header, CLAIMS)).map(|_| ());
    for (header, why) in [
        (r#"{"alg":"none"}"#, Malformed::Algorithm),
        (r#"{"alg":"None"}"#, Malformed::Algorithm),
        (r#"{"alg":"HS256","kid":"k"}"#, Malformed::Algorithm),
        (r#"{"alg":"eddsa","kid":"k"}"#, Malformed::Algorithm),
        (r#"{"kid":"k"}"#, Malformed::Algorithm),
        (r#"{"alg":["EdDSA"]}"#, Malformed::Algorithm),
        (r#"{"alg":"EdDSA","crit":["exp"]}"#, Malformed::Extension),
        (r#"{"alg":"EdDSA","crit":[]}"#, Malformed::Extension),
        (r#"{"alg":"EdDSA","b64":false}"#, Malformed::Extension),
        (r#"{"alg":"EdDSA","typ":"logout+jwt"}"#, Malformed::Header),
        (r#"{"alg":"EdDSA","typ":7}"#, Malformed::Header),
        (r#"{"alg":"EdDSA","kid":7}"#, Malformed::Header),
        (r#"{"alg":"EdDSA","alg":"EdDSA"}"#, Malformed::Header),
        (r#"{"alg":"EdDSA"} {}"#, Malformed::Header),
        (r#"["EdDSA"]"#, Malformed::Header),
        ("", Malformed::Header),
    ] {
        assert_eq!(parsed(header), Err(why), "{header}");
    }
    for typ in ["JWT", "jwt", "at+jwt", "application/at+JWT"] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"k","typ":"{typ}"}}"#);
        assert_eq!(verified(&ours.sign(&header, CLAIMS), &keys, ALL), Ok(()));
    }
    let own = json!({
        "alg": "EdDSA", "kid": "k", "jwk": theirs.jwk("k"), "x5c": ["MA=="],
        "jku": "https://evil.example/keys", "x5u": "https://evil.example/cert",
    });
    let token = theirs.sign(&own.to_string(), CLAIMS);
    assert_eq!(verified(&token, &keys, ALL), Err(Unverified::Signature));
}

#[test]
fn a_public_key_is_no_shared_secret() {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let signer = Signer::rsa();
    let keys = set(&[signer.jwk("k")]);
    let signed = format!("{}.{}", b64(header("HS256", "k")), b64(CLAIMS));
    let secret = signer.jwk("k").to_string();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    let token = format!("{signed}.{}", b64(mac.finalize().into_bytes()));
    assert_eq!(Token::parse(&token).map(|_| ()), Err(Malformed::Algorithm));
    // The same tag under a name that is known.
    let (_, rest) = token.split_once('.').unwrap();
    let renamed = format!("{}.{rest}", b64(header("RS256", "k")));
    assert_eq!(verified(&renamed, &keys, ALL), Err(Unverified::Signature));
    let secret = json!({ "keys": [{ "kty": "oct", "kid": "k", "k": b64("secret") }] });
    assert!(
        KeySet::parse(secret.to_string().as_bytes())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn forms_that_are_not_tokens() {
    let signer = Signer::ed();
    let token = signer.sign(&header("EdDSA", "k"), CLAIMS);
    let parsed = |text: &str| Token::parse(text).map(|_| ());
    let parts: Vec<&str> = token.split('.').collect();
    for text in [
        String::new(),
        "eyJ".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{token}.x"),
        format!("{token}="),
        token.replace('.', ". "),
        format!(" {token}"),
        format!("{}.{}.{}+/", parts[0], parts[1], parts[2]),
    ] {
        assert_eq!(parsed(&text), Err(Malformed::Form), "{text}");
    }
    let long = format!("{token}{}", "A".repeat(TOKEN_BYTES_MAX));
    assert_eq!(parsed(&long), Err(Malformed::Long));
    for claims in [
        "[]",
        "7",
        "{",
        r#"{"sub":"user:a","sub":"user:b"}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":[{"b":1,"b":2}]}"#,
    ] {
        let token = signer.sign(&header("EdDSA", "k"), claims);
        assert_eq!(parsed(&token), Err(Malformed::Claims), "{claims}");
    }
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000));
    let token = signer.sign(&header("EdDSA", "k"), &deep);
    assert_eq!(parsed(&token), Err(Malformed::Claims));
}

#[test]
fn key_sets_are_read_with_care() {
    let good = Signer::rsa().jwk("k");
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).map(|set| set.len())
    };
    assert_eq!(with("use", json!("sig")), Ok(1));
    assert_eq!(with("key_ops", json!(["verify"])), Ok(1));
    let n = good["n"].as_str().unwrap();
    let led = b64([&[0], URL_SAFE_NO_PAD.decode(n).unwrap().as_slice()].concat());
    assert_eq!(with("n", json!(led)), Ok(1), "a leading zero is no bit");
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!(7)),
        ("key_ops", json!(["sign"])),
        ("alg", json!("HS256")),
        ("alg", json!("RSA-OAEP")),
        ("kty", json!("oct")),
        ("kid", json!(7)),
        ("n", json!(b64([255; 128]))),
        ("n", json!("!")),
        ("n", json!("")),
        ("e", json!(b64([1]))),
        ("e", json!(b64([2]))),
        ("e", json!(b64([3; 9]))),
        ("e", json!("")),
    ] {
        assert_eq!(with(name, value.clone()), Ok(0), "{name} {value}");
    }
    for (text, why) in [
        ("", KeySetError::Form),
        ("[]", KeySetError::Form),
        (r#"{"keys":{}}"#, KeySetError::Form),
        (r#"{"keys":[],"keys":[]}"#, KeySetError::Form),
    ] {
        assert_eq!(KeySet::parse(text.as_bytes()), Err(why), "{text}");
    }
    let strange = br#"{"keys":[7, {}, {"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#;
    assert!(KeySet::parse(strange).unwrap().is_empty());
    let many = json!({ "keys": vec![good; 129] });
    assert_eq!(
        KeySet::parse(many.to_string().as_bytes()),
        Err(KeySetError::Many)
    );
}

#[test]
fn a_point_off_its_curve_verifies_nothing() {
    let signer = Signer::ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let mut jwk = signer.jwk("k");
    jwk["y"] = b64([7; 32]).into();
    let token = signer.sign(&header("ES256", "k"), CLAIMS);
    assert_eq!(
        verified(&token, &set(&[jwk]), ALL),
        Err(Unverified::Signature)
    );
}

/// One change to a text: a byte put, cut, replaced, two swapped, or a piece doubled.
fn changed(text: &str, kind: u8, at: usize, other: usize, byte: u8) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let (at, other) = (at % bytes.len(), other % bytes.len());
    match kind {
        0 => bytes[at] = byte,
        1 => drop(bytes.remove(at)),
        2 => bytes.insert(at, byte),
        3 => bytes.swap(at, other),
        4 => bytes.truncate(at),
        _ => {
            let piece = bytes[at.min(other)..at.max(other)].to_vec();
            bytes.splice(at..at, piece);
        }
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|changed| changed != text)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Whatever is changed in a good token, on the wire or in the bytes behind it, no key verifies it.
    #[test]
    fn no_mutation_of_a_good_token_verifies(
        changes in prop::collection::vec((0u8..6, 0usize..4_096, 0usize..4_096, 0x20u8..0x7f), 1..3),
        part in 0usize..4,
    ) {
        for (names, signer) in SIGNERS.iter() {
            let token = signer.sign(&header(names[0], "k"), CLAIMS);
            let keys = set(&[signer.jwk("k")]);
            let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
            let mut whole = token.clone();
            for (kind, at, other, byte) in changes.iter().copied() {
                match part {
                    // On the wire.
                    3 => whole = changed(&whole, kind, at, other, byte).unwrap_or(whole),
                    // In the decoded part, encoded again.
                    _ => {
                        let bytes = URL_SAFE_NO_PAD.decode(&parts[part]).unwrap();
                        let text = String::from_utf8(bytes.clone()).unwrap_or_default();
                        parts[part] = match text.is_empty() {
                            false => b64(changed(&text, kind, at, other, byte).unwrap_or(text)),
                            true => {
                                let mut bytes = bytes;
                                let at = at % bytes.len().max(1);
                                if let Some(hit) = bytes.get_mut(at) { *hit ^= byte; }
                                b64(bytes)
                            }
                        };
                        whole = parts.join(".");
                    }
                }
                if whole.is_empty() { break; }
            }
            prop_assume!(whole != token);
            let holds = Token::parse(&whole)
                .is_ok_and(|parsed| parsed.verify(&keys, ALL).is_ok());
            prop_assert!(!holds, "{whole}");
        }
    }

    #[test]
    fn nothing_panics(text in "(eyJ|[A-Za-z0-9_.-]|.){0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Token::parse(&text).map(|token| token.verify(&KeySet::default(), ALL).is_ok());
        let _ = KeySet::parse(&bytes);
        let three = format!("{}.{}.{}", b64(&bytes), b64(&text), b64(&bytes));
        prop_assert!(Token::parse(&three).is_err());
    }
}
