use std::collections::BTreeSet;

use proptest::prelude::*;
use scaivault_core::recipe::{
    BcryptConfig, Charset, Class, Curve, EcConfig, HexConfig, RandomConfig, RawField, RsaBits,
    RsaConfig, SshConfig, SshKeyType, parse_fields,
};
use serde_json::json;

use super::peers::{Desk, openssl_signs, succeeds};
use super::*;
use crate::SystemEntropy;
use crate::testing::{Cycle, Seeded};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn random(length: u32, charset: Charset) -> RandomConfig {
    RandomConfig {
        length,
        charset,
        characters: None,
        require_upper: false,
        require_lower: false,
        require_digit: false,
        require_symbol: false,
    }
}

fn strict(length: u32, charset: Charset) -> RandomConfig {
    RandomConfig {
        require_upper: true,
        require_lower: true,
        require_digit: true,
        require_symbol: true,
        ..random(length, charset)
    }
}

fn one(generator: Generator, entropy: &dyn Entropy) -> Vec<String> {
    let values = values(&generator, entropy, NOW).unwrap();
    let texts = values
        .iter()
        .map(|value| String::from_utf8(value.expose().to_vec()).unwrap());
    texts.collect()
}

/// Sum of squares of what is off, by what is expected.
fn chi_square(counts: &[u32]) -> f64 {
    let all: u32 = counts.iter().sum();
    let expect = f64::from(all) / counts.len() as f64;
    let off = counts.iter().map(|count| f64::from(*count) - expect);
    off.map(|off| off * off / expect).sum()
}

/// The values that one run in a hundred thousand is beyond, by Wilson and Hilferty.
fn bounds(freedom: f64) -> (f64, f64) {
    let at = |z: f64| {
        let part = 2.0 / (9.0 * freedom);
        freedom * (1.0 - part + z * part.sqrt()).powi(3)
    };
    (at(-4.4), at(4.4))
}

fn check_uniform(counts: &[u32], what: &str) {
    let (low, high) = bounds(counts.len() as f64 - 1.0);
    let found = chi_square(counts);
    assert!(
        (low..high).contains(&found),
        "{what}: {found}, not in {low}..{high}"
    );
}

#[test]
fn every_charset_is_drawn_uniformly() {
    for (seed, charset) in (1..).zip(Charset::ALL) {
        let config = match charset {
            Charset::Custom => RandomConfig {
                characters: Some("abcXYZ0-7".to_owned()),
                ..random(4_000, charset)
            },
            charset => random(4_000, charset),
        };
        let alphabet = config.alphabet();
        let entropy = Seeded::new(seed);
        let mut counts = vec![0u32; alphabet.len()];
        for _ in 0..100 {
            let value = text::random(&config, &entropy).unwrap();
            assert_eq!(value.len(), 4_000);
            for byte in value.expose() {
                counts[alphabet.iter().position(|at| at == byte).unwrap()] += 1;
            }
        }
        check_uniform(&counts, charset.as_str());
    }
}

/// With classes required every *text* that has them is equally likely: of three characters from
/// four, all 36 that fit are counted.
#[test]
fn required_classes_leave_all_texts_equally_likely() {
    let config = RandomConfig {
        length: 3,
        charset: Charset::Custom,
        characters: Some("Ab12".to_owned()),
        require_upper: true,
        require_digit: true,
        ..random(3, Charset::Custom)
    };
    let entropy = Seeded::new(77);
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..60_000 {
        let text = text::random(&config, &entropy).unwrap();
        *counts.entry(text.expose().to_vec()).or_insert(0u32) += 1;
    }
    let expect = (config.acceptance() * 64.0).round() as usize;
    assert_eq!(
        counts.len(),
        expect,
        "every text that fits comes up, and no other"
    );
    let counts: Vec<u32> = counts.into_values().collect();
    check_uniform(&counts, "texts with classes");
}

#[test]
fn required_classes_are_always_there() {
    let entropy = Seeded::new(5);
    for length in [4, 8, 16, 64] {
        let config = strict(length, Charset::Ascii);
        for _ in 0..500 {
            let value = text::random(&config, &entropy).unwrap();
            for class in [Class::Upper, Class::Lower, Class::Digit, Class::Symbol] {
                assert!(value.expose().iter().any(|at| class.has(*at)));
            }
        }
    }
}

#[test]
fn a_broken_source_ends_and_is_told() {
    let config = strict(8, Charset::Ascii);
    assert!(text::random(&config, &Cycle::new([7])).is_none());
    let field = RecipeField {
        name: "x".to_owned(),
        generator: Generator::Random(config),
    };
    let error = make(&[field], &Cycle::new([7]), NOW).err();
    assert_eq!(error, Some(MakeError("random")));
}

#[test]
fn hex_digits_are_uniform() {
    let entropy = Seeded::new(9);
    let text = one(Generator::Hex(HexConfig { length: 4_096 }), &entropy).remove(0);
    let mut counts = [0u32; 16];
    for digit in text.chars() {
        counts[digit.to_digit(16).unwrap() as usize] += 1;
        assert!(!digit.is_ascii_uppercase());
    }
    check_uniform(&counts, "hex");
}

#[test]
fn uuids_have_their_form() {
    let entropy = Seeded::new(1);
    let mut seen = BTreeSet::new();
    for version in [4u32, 7] {
        for _ in 0..200 {
            let value = text::uuid(version, &entropy, NOW);
            let text = std::str::from_utf8(value.expose()).unwrap().to_owned();
            let parts: Vec<_> = text.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{text}");
            assert_eq!(text.as_bytes()[14], b'0' + u8::try_from(version).unwrap());
            assert!(b"89ab".contains(&text.as_bytes()[19]), "{text}");
            if version == 7 {
                let millis = u64::from_str_radix(&text[..13].replace('-', ""), 16).unwrap();
                assert_eq!(millis, 1_800_000_000_000);
            }
            assert!(seen.insert(text));
        }
    }
}

#[test]
fn templates_are_filled_in() {
    let template = "sk_{{random:24}}.{{hex:8}}/{{ uuid }}@{{timestamp}}ü";
    let value = text::template(template, &Seeded::new(3), NOW).unwrap();
    let text = std::str::from_utf8(value.expose()).unwrap();
    let rest = text.strip_prefix("sk_").unwrap();
    assert!(rest[..24].bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(&rest[24..25], ".");
    assert!(rest[25..33].bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(text.ends_with("@1800000000ü"), "{text}");
    assert_eq!(text.chars().count(), 3 + 24 + 1 + 8 + 1 + 36 + 1 + 10 + 1);
}

#[test]
fn the_same_randomness_makes_the_same_value() {
    let raw = |name: &str, generator: &str, config: serde_json::Value| RawField {
        name: name.to_owned(),
        generator: generator.to_owned(),
        config: config.as_object().unwrap().clone(),
    };
    let fields = parse_fields(&[
        raw(
            "a",
            "random",
            json!({"charset": "ascii", "require_digit": true}),
        ),
        raw("b", "hex", json!({})),
        raw("c", "uuid", json!({"version": 7})),
        raw("d", "template", json!({"template": "{{random:9}}"})),
        raw("e", "ec_keypair", json!({})),
        raw("f", "ssh_keypair", json!({})),
        raw("g", "static", json!({"value": "always"})),
    ])
    .unwrap();
    let made = |seed: u64| -> Vec<(String, Vec<u8>)> {
        let made = make(&fields, &Seeded::new(seed), NOW).unwrap();
        let pairs = made
            .iter()
            .map(|new| (new.name.clone(), new.value.expose().to_vec()));
        pairs.collect()
    };
    assert_eq!(made(1), made(1));
    assert_ne!(made(1), made(2));
    let names: Vec<_> = made(1).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "a",
            "b",
            "c",
            "d",
            "e_private",
            "e_public",
            "f_private",
            "f_public",
            "g"
        ]
    );
}

#[test]
fn key_pairs_in_pem_sign_and_verify_elsewhere() {
    let pairs = [
        Generator::RsaKeypair(RsaConfig {
            bits: RsaBits::B2048,
        }),
        Generator::RsaKeypair(RsaConfig {
            bits: RsaBits::B3072,
        }),
        Generator::EcKeypair(EcConfig { curve: Curve::P256 }),
        Generator::EcKeypair(EcConfig { curve: Curve::P384 }),
    ];
    for generator in pairs {
        let desk = Desk::new();
        let pair = one(generator, &SystemEntropy);
        assert!(pair[0].starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(pair[1].starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert!(
            pair.iter()
                .all(|pem| pem.lines().all(|line| line.len() <= 64))
        );
        let private = desk.put("private.pem", pair[0].as_bytes());
        let public = desk.put("public.pem", pair[1].as_bytes());
        openssl_signs(&desk, &private, &public);
    }
}

#[test]
fn ssh_keys_are_read_by_ssh_keygen() {
    for (key_type, bits) in [
        (SshKeyType::Ed25519, None),
        (SshKeyType::Rsa, Some(RsaBits::B2048)),
    ] {
        let config = SshConfig {
            key_type,
            bits,
            comment: "deploy@build host".to_owned(),
        };
        let pair = one(Generator::SshKeypair(config), &SystemEntropy);
        let parsed = ssh_key::PrivateKey::from_openssh(&pair[0]).unwrap();
        assert_eq!(parsed.comment(), "deploy@build host");
        let public = pair[1].trim_end();
        assert!(public.ends_with(" deploy@build host"), "{public}");
        let desk = Desk::new();
        let private = desk.put("id", pair[0].as_bytes());
        let words = ["-y".into(), "-f".into(), private.clone().into_os_string()];
        if let Some(derived) = succeeds("ssh-keygen", &words) {
            assert_eq!(derived.trim_end(), public);
            let fingerprint = ["-l", "-f"].map(std::ffi::OsString::from);
            let file = desk.put("id.pub", pair[1].as_bytes()).into_os_string();
            let words = [fingerprint.as_slice(), &[file]].concat();
            let said = succeeds("ssh-keygen", &words).unwrap();
            assert!(said.contains("deploy@build host"), "{said}");
        }
    }
}

#[test]
fn bcrypt_hashes_verify() {
    for length in [1, 32, 72] {
        let config = BcryptConfig { length, rounds: 4 };
        let pair = one(
            Generator::BcryptHash(config),
            &Seeded::new(u64::from(length)),
        );
        let (password, hash) = (&pair[0], &pair[1]);
        assert_eq!(password.len(), length as usize);
        assert!(hash.starts_with("$2b$04$") && hash.len() == 60, "{hash}");
        assert!(bcrypt::verify(password, hash).unwrap());
        assert!(!bcrypt::verify(format!("x{password}"), hash).unwrap());
    }
}

/// The C library's `crypt`, through Python, where both know bcrypt.
#[test]
fn bcrypt_hashes_verify_elsewhere() {
    let config = BcryptConfig {
        length: 40,
        rounds: 5,
    };
    let pair = one(Generator::BcryptHash(config), &SystemEntropy);
    let program = "import sys, warnings; warnings.simplefilter('ignore')\n\
                   try: import crypt\n\
                   except ImportError: print('none'); sys.exit()\n\
                   print(crypt.crypt(sys.argv[1], sys.argv[2]))";
    match succeeds("python3", &["-c", program, &pair[0], &pair[1]]) {
        Some(said) if said.trim() == "none" || said.trim() == "None" => {
            eprintln!("skipped: crypt is not there, or does not know bcrypt");
        }
        Some(said) => assert_eq!(said.trim(), pair[1]),
        None => {}
    }
}

fn any_config() -> impl Strategy<Value = (&'static str, serde_json::Value)> {
    let number = || {
        prop_oneof![
            Just(json!(null)),
            (0u32..5_000).prop_map(|n| json!(n)),
            Just(json!("8"))
        ]
    };
    let flag = || prop_oneof![Just(json!(null)), any::<bool>().prop_map(|b| json!(b))];
    let words: Vec<_> = Charset::ALL.iter().map(|set| json!(set.as_str())).collect();
    let random = (
        number(),
        proptest::sample::select(words),
        proptest::option::of("[ -~]{0,20}"),
        [flag(), flag(), flag(), flag()],
    )
        .prop_map(
            |(length, charset, characters, [upper, lower, digit, symbol])| {
                (
                    "random",
                    json!({
                        "length": length, "charset": charset, "characters": characters,
                        "require_upper": upper, "require_lower": lower, "require_digit": digit,
                        "require_symbol": symbol,
                    }),
                )
            },
        );
    let hex = number().prop_map(|length| ("hex", json!({"length": length})));
    let uuid = number().prop_map(|version| ("uuid", json!({"version": version})));
    let template = proptest::collection::vec(
        prop_oneof![
            "[a-z{}: ]{0,8}",
            Just("{{uuid}}".to_owned()),
            Just("{{timestamp}}".to_owned()),
            (0u32..40).prop_map(|n| format!("{{{{random:{n}}}}}")),
            (0u32..40).prop_map(|n| format!("{{{{hex:{n}}}}}")),
        ],
        0..6,
    )
    .prop_map(|parts| ("template", json!({"template": parts.concat()})));
    let ssh = "[ -~]{0,10}".prop_map(|comment| ("ssh_keypair", json!({"comment": comment})));
    let ec = prop_oneof![Just("P-256"), Just("P-384"), Just("p256")]
        .prop_map(|curve| ("ec_keypair", json!({"curve": curve})));
    let text = ".{0,20}".prop_map(|value| ("static", json!({"value": value})));
    prop_oneof![4 => random, 1 => hex, 1 => uuid, 2 => template, 1 => ssh, 1 => ec, 1 => text]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is sent is either refused with the field's name, or makes values that are as it
    /// says; nothing panics.
    #[test]
    fn what_is_taken_can_be_made((generator, config) in any_config(), seed in any::<u64>()) {
        let raw = RawField {
            name: "x".to_owned(),
            generator: generator.to_owned(),
            config: config.as_object().unwrap().clone(),
        };
        match parse_fields(&[raw]) {
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.iter().all(|(field, _)| field.starts_with("fields[0].")));
            }
            Ok(fields) => {
                let bits = fields[0].generator.bits();
                prop_assert!(bits >= 0.0 && bits.is_finite());
                let made = make(&fields, &Seeded::new(seed), NOW).unwrap();
                prop_assert_eq!(made.len(), fields[0].keys().len());
                let value = made[0].value.expose();
                prop_assert!(std::str::from_utf8(value).is_ok());
                match &fields[0].generator {
                    Generator::Random(random) => {
                        prop_assert_eq!(value.len(), random.length as usize);
                        prop_assert!(value.iter().all(|at| random.alphabet().contains(at)));
                        for class in random.required() {
                            prop_assert!(value.iter().any(|at| class.has(*at)));
                        }
                    }
                    Generator::Hex(hex) => prop_assert_eq!(value.len(), hex.length as usize),
                    Generator::Uuid(_) => prop_assert_eq!(value.len(), 36),
                    _ => {}
                }
            }
        }
    }
}
