use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::transit::{TransitHash, TransitKind, TransitRefusal};

use super::*;
use crate::SystemEntropy;

fn made(kind: TransitKind) -> Material {
    let made = generate(kind, 32, &SystemEntropy).unwrap();
    Material::read(kind, made.material).unwrap()
}

/// Material with this own key.
pub(super) fn of(kind: TransitKind, own: &[u8]) -> Material {
    let bytes = match kind {
        TransitKind::Hmac => own.to_vec(),
        _ => [&[7; 32], own].concat(),
    };
    Material::read(kind, Plaintext::new(bytes)).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).unwrap()
}

pub(super) const PLAIN: SignHow = SignHow {
    hash: TransitHash::Sha2_256,
    prehashed: false,
    marshaling: Marshaling::Asn1,
    padding: RsaPadding::Pss,
    salt: Salt::Auto,
};

/// NIST's GCM validation vectors (McGrew and Viega, cases 4 and 16).
#[test]
fn gcm_opens_the_published_vectors() {
    let plain = unhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    );
    let associated = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let nonce = "cafebabefacedbaddecaf888";
    for (kind, key, ciphertext, tag) in [
        (
            TransitKind::Aes128Gcm,
            "feffe9928665731c6d6a8f9467308308",
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
             21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
            "5bc94fbc3221a5db94fae95ae7121a47",
        ),
        (
            TransitKind::Aes256Gcm,
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ] {
        let sealed = unhex(&format!("{nonce}{ciphertext}{tag}"));
        let how = Context {
            associated: &associated,
            ..Context::default()
        };
        let opened = decrypt(&of(kind, &unhex(key)), how, &sealed).unwrap();
        assert_eq!(opened.expose(), plain);
    }
}

/// RFC 8439, 2.8.2, and draft-irtf-cfrg-xchacha-03, A.3.1.
#[test]
fn chacha_opens_the_published_vectors() {
    let plain =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
                  future, sunscreen would be it.";
    let associated = unhex("50515253c0c1c2c3c4c5c6c7");
    let key: Vec<u8> = (0x80..0xa0).collect();
    let how = Context {
        associated: &associated,
        ..Context::default()
    };
    for (kind, sealed) in [
        (
            TransitKind::ChaCha20,
            "070000004041424344454647\
             d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6\
             3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36\
             92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
             3ff4def08e4b7a9de576d26586cec64b6116\
             1ae10b594f09e26a7e902ecbd0600691",
        ),
        (
            TransitKind::XChaCha20,
            "404142434445464748494a4b4c4d4e4f5051525354555657\
             bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb\
             731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452\
             2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
             21f9664c97637da9768812f615c68b13b52e\
             c0875924c1c7987947deafd8780acf49",
        ),
    ] {
        let opened = decrypt(&of(kind, &key), how, &unhex(sealed)).unwrap();
        assert_eq!(opened.expose(), plain);
    }
}

/// RFC 8032, 7.1, tests 1 to 3.
#[test]
fn ed25519_signs_the_published_vectors() {
    for (seed, public, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
             5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let key = of(TransitKind::Ed25519, &unhex(seed));
        assert_eq!(
            key.public().unwrap().unwrap(),
            STANDARD.encode(unhex(public))
        );
        let message = unhex(message);
        let made = sign(&key, None, &PLAIN, &message).unwrap();
        assert_eq!(made, unhex(signature));
        assert!(verify(&key, None, &PLAIN, &message, &made).unwrap());
        let both = STANDARD.encode(unhex(&format!("{seed}{public}")));
        assert_eq!(*key.exported().unwrap(), both);
    }
}

/// RFC 4231, cases 1, 2 and 6; NIST's example 1 of HMAC-SHA3-256 has a 32-byte key of 00 to 1f.
#[test]
fn hmac_makes_the_published_vectors() {
    let long = [0xaa; 131];
    let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
    for (hash, key, input, expect) in [
        (
            TransitHash::Sha2_256,
            &[0x0b; 20][..],
            &b"Hi There"[..],
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            TransitHash::Sha2_224,
            b"Jefe",
            b"what do ya want for nothing?",
            "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
        ),
        (
            TransitHash::Sha2_256,
            &long,
            text,
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            TransitHash::Sha2_512,
            b"Jefe",
            b"what do ya want for nothing?",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        assert_eq!(hmac(hash, key, input), unhex(expect), "{hash:?}");
        assert!(hmac_is(hash, key, input, &unhex(expect)));
        assert!(!hmac_is(hash, key, input, &unhex(expect)[1..]));
    }
    let key: Vec<u8> = (0..32).collect();
    let made = hmac(
        TransitHash::Sha3_256,
        &key,
        b"Sample message for keylen<blocklen",
    );
    assert_eq!(
        hex::encode(made),
        "4fe8e202c4f058e8dddc23d8c34e467343e23555e24fc2f025d598f558f67205"
    );
}

#[test]
fn hashes_make_the_published_vectors() {
    for (kind, expect) in [
        (
            TransitHash::Sha1,
            "a9993e364706816aba3e25717850c26c9cd0d89d",
        ),
        (
            TransitHash::Sha2_224,
            "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
        ),
        (
            TransitHash::Sha2_256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            TransitHash::Sha3_256,
            "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
        ),
    ] {
        assert_eq!(hash(kind, b"abc"), unhex(expect));
        assert_eq!(hash(kind, b"").len(), kind.bytes());
    }
}

/// RFC 5869 has no vector without a salt and with an info; its third has neither. So the derivation is
/// put against HMAC, step by step.
#[test]
fn derivation_is_hkdf_without_a_salt() {
    let own = [3; 32];
    let prk = hmac(TransitHash::Sha2_256, &[0; 32], &own);
    let first = hmac(TransitHash::Sha2_256, &prk, b"context\x01");
    let second = hmac(
        TransitHash::Sha2_256,
        &prk,
        &[&first[..], b"context\x02"].concat(),
    );
    let how = Context {
        derived: true,
        convergent: true,
        context: b"context",
        associated: b"",
    };
    let key = of(TransitKind::Aes256Gcm, &own);
    let sealed = encrypt(&key, how, b"plain", &SystemEntropy).unwrap();
    assert_eq!(
        &sealed[..12],
        &hmac(TransitHash::Sha2_256, &second, b"plain")[..12]
    );
    let plain = of(TransitKind::Aes256Gcm, &first);
    let opened = decrypt(&plain, Context::default(), &sealed).unwrap();
    assert_eq!(opened.expose(), b"plain");
    assert_eq!(
        sealed,
        encrypt(&key, how, b"plain", &SystemEntropy).unwrap()
    );
    let other = Context {
        context: b"contexT",
        ..how
    };
    assert!(decrypt(&key, other, &sealed).is_err());
    let none = Context {
        context: b"",
        ..how
    };
    assert_eq!(
        encrypt(&key, none, b"plain", &SystemEntropy).err(),
        Some(TransitRefusal::NoContext)
    );
}

/// RFC 6979, A.2.5: with the key there, a signature of the library verifies as theirs does.
#[test]
fn ecdsa_verifies_the_published_vector() {
    let scalar = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    let point = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                 7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    let pkcs8 = unhex(&format!(
        "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420{scalar}\
         a144034200{}",
        point.replace(' ', "")
    ));
    let key = of(TransitKind::EcdsaP256, &pkcs8);
    for (hash, r, s) in [
        (
            TransitHash::Sha2_256,
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
            "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ),
        (
            TransitHash::Sha2_512,
            "8496a60b5e9b47c825488827e0495b0e3fa109ec4568fd3f8d1097678eb97f00",
            "2362ab1adbe2b8adf9cb9edab740ea6049c028114f2460f96554f61fae3302fe",
        ),
        (
            TransitHash::Sha1,
            "61340c88c3aaebeb4f6d667f672ca9759a6ccaa9fa8811313039ee4a35471d32",
            "6d7f147dac089441bb2e2fe8f7a3fa264b9c475098fdcf6e00d7c996e1b8b7eb",
        ),
    ] {
        let how = SignHow {
            hash,
            marshaling: Marshaling::Jws,
            ..PLAIN
        };
        let signature = unhex(&format!("{r}{s}"));
        assert!(
            verify(&key, None, &how, b"sample", &signature).unwrap(),
            "{hash:?}"
        );
        assert!(!verify(&key, None, &how, b"simple", &signature).unwrap());
    }
}

fn symmetric() -> impl Strategy<Value = TransitKind> {
    prop::sample::select(vec![
        TransitKind::Aes128Gcm,
        TransitKind::Aes256Gcm,
        TransitKind::ChaCha20,
        TransitKind::XChaCha20,
    ])
}

proptest! {
    #[test]
    fn what_is_sealed_opens_and_no_bit_of_it_may_change(
        kind in symmetric(),
        plain in prop::collection::vec(any::<u8>(), 0..80),
        associated in prop::collection::vec(any::<u8>(), 0..20),
        form in 0..3,
        at in any::<prop::sample::Index>(),
        bit in 0..8u32,
    ) {
        let key = made(kind);
        let how = Context {
            derived: form > 0,
            convergent: form > 1,
            context: b"one",
            associated: &associated,
        };
        let mut sealed = encrypt(&key, how, &plain, &SystemEntropy).unwrap();
        let opened = decrypt(&key, how, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &plain[..]);
        let other = Context { associated: b"another, longer than any", ..how };
        prop_assert!(decrypt(&key, other, &sealed).is_err());
        prop_assert!(decrypt(&made(kind), how, &sealed).is_err());
        let at = at.index(sealed.len());
        prop_assert!(decrypt(&key, how, &sealed[..at]).is_err());
        sealed[at] ^= 1u8 << bit;
        let refused = decrypt(&key, how, &sealed).err();
        prop_assert_eq!(refused, Some(TransitRefusal::NotOpened));
    }
}

fn all_hows() -> Vec<SignHow> {
    let mut hows = Vec::new();
    for hash in TransitHash::ALL {
        for marshaling in [Marshaling::Asn1, Marshaling::Jws] {
            hows.push(SignHow {
                hash: *hash,
                marshaling,
                ..PLAIN
            });
        }
    }
    hows
}

#[test]
fn signatures_verify_and_no_bit_of_them_may_change() {
    for kind in [
        TransitKind::Ed25519,
        TransitKind::EcdsaP256,
        TransitKind::EcdsaP384,
        TransitKind::EcdsaP521,
    ] {
        let (key, other) = (made(kind), made(kind));
        for how in all_hows() {
            let signature = sign(&key, None, &how, b"input").unwrap();
            let is = |key, how: &SignHow, input: &[u8], signature: &[u8]| {
                verify(key, None, how, input, signature).unwrap()
            };
            assert!(is(&key, &how, b"input", &signature), "{kind:?} {how:?}");
            assert!(!is(&key, &how, b"inpuT", &signature));
            assert!(!is(&other, &how, b"input", &signature));
            for at in 0..signature.len() {
                let mut altered = signature.clone();
                altered[at] ^= 0x01;
                assert!(!is(&key, &how, b"input", &altered), "{kind:?} {how:?} {at}");
            }
            let prehashed = SignHow {
                prehashed: true,
                ..how
            };
            if kind != TransitKind::Ed25519 {
                assert!(is(&key, &prehashed, &hash(how.hash, b"input"), &signature));
                assert_eq!(
                    sign(&key, None, &prehashed, b"short"),
                    Err(TransitRefusal::Prehashed)
                );
            }
        }
    }
}

#[test]
fn a_derived_signature_is_of_its_context() {
    let key = made(TransitKind::Ed25519);
    let signature = sign(&key, Some(b"a"), &PLAIN, b"x").unwrap();
    assert!(verify(&key, Some(b"a"), &PLAIN, b"x", &signature).unwrap());
    assert!(!verify(&key, Some(b"b"), &PLAIN, b"x", &signature).unwrap());
    assert!(!verify(&key, None, &PLAIN, b"x", &signature).unwrap());
    assert_ne!(
        public_of(&key, b"a").unwrap(),
        public_of(&key, b"b").unwrap()
    );
    assert_eq!(public_of(&key, b""), Err(TransitRefusal::NoContext));
}

#[test]
fn rsa_signs_and_encrypts() {
    let key = made(TransitKind::Rsa2048);
    for hash in TransitHash::ALL {
        for padding in [RsaPadding::Pss, RsaPadding::Pkcs1] {
            for salt in [Salt::Auto, Salt::Hash, Salt::Bytes(hash.bytes())] {
                let how = SignHow {
                    hash: *hash,
                    padding,
                    salt,
                    ..PLAIN
                };
                let signature = match sign(&key, None, &how, b"input") {
                    Ok(signature) => signature,
                    Err(refusal) => {
                        assert_eq!(refusal, TransitRefusal::RsaHash);
                        assert!(!hash.as_str().starts_with("sha2-") || hash.bytes() == 28);
                        continue;
                    }
                };
                assert!(verify(&key, None, &how, b"input", &signature).unwrap());
                assert!(!verify(&key, None, &how, b"inpuT", &signature).unwrap());
                let auto = SignHow {
                    salt: Salt::Auto,
                    ..how
                };
                assert!(verify(&key, None, &auto, b"input", &signature).unwrap());
                let mut altered = signature.clone();
                altered[100] ^= 1;
                assert!(!verify(&key, None, &how, b"input", &altered).unwrap());
            }
        }
    }
    let odd = SignHow {
        salt: Salt::Bytes(7),
        ..PLAIN
    };
    assert_eq!(sign(&key, None, &odd, b"x"), Err(TransitRefusal::Salt));

    let sealed = encrypt(&key, Context::default(), b"plain", &SystemEntropy).unwrap();
    assert_eq!(sealed.len(), 256);
    let opened = decrypt(&key, Context::default(), &sealed).unwrap();
    assert_eq!(opened.expose(), b"plain");
    let mut altered = sealed.clone();
    altered[0] ^= 1;
    let refused = decrypt(&key, Context::default(), &altered).err();
    assert_eq!(refused, Some(TransitRefusal::NotOpened));
    let long = encrypt(&key, Context::default(), &[0; 191], &SystemEntropy).err();
    assert_eq!(long, Some(TransitRefusal::TooLong(190)));
    let how = Context {
        associated: b"a",
        ..Context::default()
    };
    let refused = encrypt(&key, how, b"x", &SystemEntropy).err();
    assert_eq!(
        refused,
        Some(TransitRefusal::NoAssociatedData(TransitKind::Rsa2048))
    );
}

#[test]
fn material_is_of_its_kind() {
    for kind in TransitKind::ALL {
        if kind.rsa_bits().is_some_and(|bits| bits > 2_048) {
            continue;
        }
        let made = generate(*kind, 32, &SystemEntropy).unwrap();
        let bytes = made.material.expose().to_vec();
        let key = Material::read(*kind, made.material).unwrap();
        assert_eq!(key.public().unwrap(), made.public);
        assert_eq!(key.hmac_key().len(), 32);
        assert_eq!(key.whole(), bytes);
        assert!(!key.exported().unwrap().is_empty());
        let read = |bytes: &[u8]| Material::checked(*kind, Plaintext::new(bytes.to_vec()));
        assert!(read(&bytes[..bytes.len() - 1]).is_err(), "{kind:?}");
        assert!(read(&[]).is_err());
        if !kind.encrypts() {
            let refused = encrypt(&key, Context::default(), b"x", &SystemEntropy).err();
            assert_eq!(refused, Some(TransitRefusal::NoEncryption(*kind)));
        }
        if !kind.signs() {
            let refused = sign(&key, None, &PLAIN, b"x");
            assert_eq!(refused, Err(TransitRefusal::NoSigning(*kind)));
        }
    }
}
