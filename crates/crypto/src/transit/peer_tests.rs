//! What another implementation of the same API made (OpenBao 2.7, its keys exported): it opens and
//! verifies here, and what is exported here is what was exported there.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::EcdsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use scaivault_core::transit::{TransitHash, TransitKind};
use serde_json::Value;

use super::asymmetric::fixed_signing;
use super::tests::{PLAIN, of};
use super::*;

const PLAINTEXT: &[u8] = b"the peer's plaintext";
const CONTEXT: &[u8] = b"a context";
const ASSOCIATED: &[u8] = b"beside it";

fn made(what: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(include_str!("peer.json")).unwrap();
    let found: Vec<Value> = all.into_iter().filter(|one| one["what"] == what).collect();
    assert!(!found.is_empty(), "{what}");
    found
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

fn body(text: &str) -> Vec<u8> {
    let body = text.strip_prefix("vault:v1:").unwrap();
    STANDARD
        .decode(body)
        .or_else(|_| URL_SAFE_NO_PAD.decode(body))
        .unwrap()
}

fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    STANDARD.decode(lines.collect::<String>()).unwrap()
}

fn material(one: &Value) -> Material {
    let kind = TransitKind::parse(text(one, "type")).unwrap();
    let key = text(one, "key");
    let own = if let Some(curve) = kind.curve() {
        let pair = EcdsaKeyPair::from_private_key_der(fixed_signing(curve), &der(key)).unwrap();
        pair.to_pkcs8v1().unwrap().as_ref().to_vec()
    } else if kind.rsa_bits().is_some() {
        let pair = RsaKeyPair::from_der(&der(key)).unwrap();
        pair.as_der().unwrap().as_ref().to_vec()
    } else if kind == TransitKind::Ed25519 {
        STANDARD.decode(key).unwrap()[..32].to_vec()
    } else {
        STANDARD.decode(key).unwrap()
    };
    let made = of(kind, &own);
    assert_eq!(der_or_text(&made.exported().unwrap()), der_or_text(key));
    made
}

/// PEM by what it holds.
fn der_or_text(text: &str) -> Vec<u8> {
    match text.starts_with("-----") {
        true => der(text),
        false => text.as_bytes().to_vec(),
    }
}

#[test]
fn ciphertexts_of_a_peer_open() {
    for one in made("encrypt") {
        let key = material(&one);
        let how = Context {
            derived: one["derived"] == true,
            convergent: one["convergent"] == true,
            context: CONTEXT,
            associated: b"",
        };
        let sealed = body(text(&one, "ciphertext"));
        let opened = decrypt(&key, how, &sealed).unwrap();
        assert_eq!(opened.expose(), PLAINTEXT, "{one}");
        if let Some(other) = one["with_associated"].as_str() {
            let how = Context {
                associated: ASSOCIATED,
                ..how
            };
            let opened = decrypt(&key, how, &body(other)).unwrap();
            assert_eq!(opened.expose(), PLAINTEXT);
        }
        if how.convergent {
            let again = encrypt(&key, how, PLAINTEXT, &crate::SystemEntropy).unwrap();
            assert_eq!(again, sealed, "the same nonce, too");
        }
    }
}

#[test]
fn signatures_of_a_peer_verify() {
    let mut count = 0;
    for one in made("sign") {
        let key = material(&one);
        assert_eq!(key.public().unwrap().unwrap(), text(&one, "public"));
        let hmac_key = STANDARD.decode(text(&one, "hmac_key")).unwrap();
        let given = body(text(&one, "hmac"));
        assert!(hmac_is(TransitHash::Sha2_512, &hmac_key, PLAINTEXT, &given));
        for signed in one["signatures"].as_array().unwrap() {
            let Some(hash) = TransitHash::parse(text(signed, "hash")) else {
                panic!("{signed}");
            };
            let how = SignHow {
                hash,
                marshaling: match text(signed, "marshaling") {
                    "jws" => Marshaling::Jws,
                    _ => Marshaling::Asn1,
                },
                padding: match text(signed, "padding") {
                    "pkcs1v15" => RsaPadding::Pkcs1,
                    _ => RsaPadding::Pss,
                },
                salt: match text(signed, "salt") {
                    "hash" => Salt::Hash,
                    _ => Salt::Auto,
                },
                ..PLAIN
            };
            let signature = body(text(signed, "signature"));
            let is = verify(&key, None, &how, PLAINTEXT, &signature).unwrap();
            assert!(is, "{} {signed}", one["type"]);
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
    for one in made("derived-sign") {
        let key = material(&one);
        assert_eq!(public_of(&key, CONTEXT).unwrap(), text(&one, "public"));
        let signature = body(text(&one, "signature"));
        let again = sign(&key, Some(CONTEXT), &PLAIN, PLAINTEXT).unwrap();
        assert_eq!(again, signature);
    }
}

#[test]
fn hmacs_of_a_peer_are_ours() {
    for one in made("hmac") {
        let key = material(&one);
        for (hash, given) in one["hmacs"].as_object().unwrap() {
            let hash = TransitHash::parse(hash).unwrap();
            let made = hmac(hash, key.hmac_key(), PLAINTEXT);
            assert_eq!(made, body(given.as_str().unwrap()));
        }
    }
}
