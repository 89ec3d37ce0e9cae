use serde_json::{Map, Value, json};

use super::*;

fn field(name: &str, generator: &str, config: Value) -> RawField {
    RawField {
        name: name.to_owned(),
        generator: generator.to_owned(),
        config: config.as_object().cloned().unwrap_or_default(),
    }
}

fn parsed(generator: &str, config: Value) -> Generator {
    let fields = parse_fields(&[field("x", generator, config)]).unwrap();
    fields.into_iter().next().unwrap().generator
}

/// The fields that are complained about.
fn refused(generator: &str, config: Value) -> Vec<String> {
    let problems = parse_fields(&[field("x", generator, config)]).unwrap_err();
    problems.into_iter().map(|(field, _)| field).collect()
}

#[test]
fn defaults() {
    for generator in Generator::WORDS {
        let config = match generator {
            "static" => json!({"value": "v"}),
            "template" => json!({"template": "{{uuid}}"}),
            _ => json!({}),
        };
        let made = parsed(generator, config);
        assert_eq!(made.as_str(), generator);
        let text = serde_json::to_value(&made).unwrap();
        assert_eq!(text["generator"], generator);
        assert_eq!(serde_json::from_value::<Generator>(text).unwrap(), made);
    }
    let random = serde_json::to_value(parsed("random", json!({}))).unwrap();
    assert_eq!(random["config"]["length"], 32);
    assert_eq!(random["config"]["charset"], "alphanumeric");
    let rsa = serde_json::to_value(parsed("rsa_keypair", json!({}))).unwrap();
    assert_eq!(rsa["config"]["bits"], 3072);
}

#[test]
fn problems_name_their_field() {
    let cases = [
        ("random", json!({"length": 0}), "length"),
        ("random", json!({"length": 5000}), "length"),
        ("random", json!({"length": "8"}), "length"),
        ("random", json!({"length": -1}), "length"),
        ("random", json!({"length": 1.5}), "length"),
        ("random", json!({"charset": "emoji"}), "charset"),
        ("random", json!({"charset": 7}), "charset"),
        ("random", json!({"charset": "custom"}), "characters"),
        (
            "random",
            json!({"charset": "custom", "characters": "aa"}),
            "characters",
        ),
        (
            "random",
            json!({"charset": "custom", "characters": "a"}),
            "characters",
        ),
        (
            "random",
            json!({"charset": "custom", "characters": ""}),
            "characters",
        ),
        (
            "random",
            json!({"charset": "custom", "characters": "a b"}),
            "characters",
        ),
        (
            "random",
            json!({"charset": "custom", "characters": "aä"}),
            "characters",
        ),
        ("random", json!({"characters": "ab"}), "characters"),
        (
            "random",
            json!({"charset": "alpha", "require_digit": true}),
            "require_digit",
        ),
        (
            "random",
            json!({"charset": "numeric", "require_upper": true}),
            "require_upper",
        ),
        (
            "random",
            json!({"charset": "hex", "require_symbol": true}),
            "require_symbol",
        ),
        (
            "random",
            json!({"charset": "symbols", "require_lower": true}),
            "require_lower",
        ),
        ("random", json!({"require_lower": "yes"}), "require_lower"),
        (
            "random",
            json!({"length": 1, "require_lower": true, "require_upper": true}),
            "length",
        ),
        ("random", json!({"lenght": 8}), "lenght"),
        ("hex", json!({"length": 0}), "length"),
        ("hex", json!({"charset": "hex"}), "charset"),
        ("uuid", json!({"version": 1}), "version"),
        ("uuid", json!({"version": "4"}), "version"),
        ("template", json!({}), "template"),
        ("template", json!({"template": "{{nope}}"}), "template"),
        ("template", json!({"template": "{{random}}"}), "template"),
        ("template", json!({"template": "{{random:0}}"}), "template"),
        ("template", json!({"template": "{{random:+4}}"}), "template"),
        (
            "template",
            json!({"template": "{{hex:99999999999}}"}),
            "template",
        ),
        ("template", json!({"template": "{{uuid"}), "template"),
        (
            "template",
            json!({"template": "{{random:4096}}".repeat(5)}),
            "template",
        ),
        ("rsa_keypair", json!({"bits": 1024}), "bits"),
        ("rsa_keypair", json!({"bits": 2049}), "bits"),
        ("ec_keypair", json!({"curve": "P-521"}), "curve"),
        ("ssh_keypair", json!({"key_type": "dsa"}), "key_type"),
        ("ssh_keypair", json!({"bits": 2048}), "bits"),
        ("ssh_keypair", json!({"comment": "a\nb"}), "comment"),
        (
            "ssh_keypair",
            json!({"key_type": "rsa", "bits": 512}),
            "bits",
        ),
        ("bcrypt_hash", json!({"length": 73}), "length"),
        ("bcrypt_hash", json!({"rounds": 3}), "rounds"),
        ("bcrypt_hash", json!({"rounds": 31}), "rounds"),
        ("static", json!({}), "value"),
        ("static", json!({"value": 7}), "value"),
    ];
    for (generator, config, at) in cases {
        let text = config.to_string();
        let expect = vec![format!("fields[0].config.{at}")];
        assert_eq!(refused(generator, config), expect, "{generator} {text}");
    }
    assert_eq!(refused("md5", json!({})), ["fields[0].generator"]);
}

#[test]
fn all_problems_are_told_and_nothing_is_repeated() {
    let problems = parse_fields(&[
        field("", "random", json!({"length": 0, "charset": "none"})),
        field("b", "s3cret-word", json!({})),
        field("c", "hex", json!({"hunter2 hunter2": 1})),
    ])
    .unwrap_err();
    let names: Vec<_> = problems.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "fields[0].name",
            "fields[0].config.length",
            "fields[0].config.charset",
            "fields[1].generator",
            "fields[2].config.(unknown)"
        ]
    );
    let text = format!("{problems:?}");
    assert!(
        !text.contains("hunter2") && !text.contains("s3cret"),
        "{text}"
    );
    assert!(parse_fields(&[]).is_err());
    let many = vec![field("x", "hex", json!({})); FIELDS_MAX + 1];
    assert!(parse_fields(&many).is_err());
}

#[test]
fn too_short_says_how_long() {
    let all = json!({
        "length": 3, "charset": "ascii", "require_upper": true, "require_lower": true,
        "require_digit": true, "require_symbol": true
    });
    let problems = parse_fields(&[field("x", "random", all)]).unwrap_err();
    assert_eq!(
        problems[0].1,
        "is at least 4 with this charset and these classes"
    );
}

#[test]
fn keys_of_fields() {
    let keys = |name: &str, generator: &str| {
        let fields = parse_fields(&[field(name, generator, json!({}))]).unwrap();
        fields[0].keys()
    };
    assert_eq!(keys("password", "random"), ["password"]);
    assert_eq!(
        keys("password", "bcrypt_hash"),
        ["password", "password_hash"]
    );
    assert_eq!(
        keys("private_key", "ssh_keypair"),
        ["private_key", "public_key"]
    );
    assert_eq!(
        keys("deploy_private_key", "ec_keypair"),
        ["deploy_private_key", "deploy_public_key"]
    );
    assert_eq!(keys("key", "rsa_keypair"), ["key_private", "key_public"]);
    assert_eq!(
        keys("myprivate_key", "rsa_keypair"),
        ["myprivate_key_private", "myprivate_key_public"]
    );
}

#[test]
fn no_key_is_made_twice() {
    let problems = parse_fields(&[
        field("private_key", "ssh_keypair", json!({})),
        field("public_key", "hex", json!({})),
    ])
    .unwrap_err();
    assert_eq!(problems[0].0, "fields[1].name");
    assert!(problems[0].1.contains("public_key"), "{}", problems[0].1);
}

#[test]
fn charsets_have_each_character_once() {
    let sizes = [62, 52, 10, 16, 60, 32, 94, 0];
    for (set, size) in Charset::ALL.into_iter().zip(sizes) {
        let mut characters = set.characters().to_vec();
        characters.sort_unstable();
        characters.dedup();
        assert_eq!(characters.len(), size, "{}", set.as_str());
        assert_eq!(set.characters().len(), size, "{}", set.as_str());
        assert!(characters.iter().all(u8::is_ascii_graphic));
    }
    for alike in *b"0Oo1lI" {
        assert!(!Charset::Safe.characters().contains(&alike));
    }
}

#[test]
fn bits_of_texts() {
    let bits = |generator: &str, config: Value| parsed(generator, config).bits();
    let near = |one: f64, other: f64| assert!((one - other).abs() < 1e-6, "{one} {other}");
    near(
        bits("random", json!({"length": 10, "charset": "numeric"})),
        10.0 * 10f64.log2(),
    );
    near(bits("hex", json!({"length": 32})), 128.0);
    near(bits("uuid", json!({})), 122.0);
    near(bits("uuid", json!({"version": 7})), 74.0);
    near(bits("static", json!({"value": "x"})), 0.0);
    let template = json!({"template": "a-{{hex:4}}-{{timestamp}}-{{uuid}}"});
    near(bits("template", template), 138.0);
    near(bits("rsa_keypair", json!({"bits": 2048})), 112.0);
    near(bits("ec_keypair", json!({"curve": "P-384"})), 192.0);
}

/// By counting: every text of three characters from a small set.
#[test]
fn acceptance_is_what_counting_says() {
    let config = json!({
        "length": 3, "charset": "custom", "characters": "AbC1-",
        "require_upper": true, "require_digit": true
    });
    let Generator::Random(random) = parsed("random", config) else {
        panic!("random");
    };
    let alphabet = random.alphabet().to_vec();
    let mut good = 0u32;
    for one in &alphabet {
        for two in &alphabet {
            for three in &alphabet {
                let text = [*one, *two, *three];
                let has = |class: Class| text.iter().any(|at| class.has(*at));
                good += u32::from(random.required().all(has));
            }
        }
    }
    let expect = f64::from(good) / 125.0;
    assert!((random.acceptance() - expect).abs() < 1e-12);
    let bits = Generator::Random(random).bits();
    assert!((bits - f64::from(good).log2()).abs() < 1e-9, "{bits}");
}

#[test]
fn templates() {
    let parts = parse_template("k-{{ random:8 }}{{hex:2}}:{{uuid}}@{{timestamp}}!").unwrap();
    assert_eq!(
        parts,
        [
            Part::Text("k-".into()),
            Part::Random(8),
            Part::Hex(2),
            Part::Text(":".into()),
            Part::Uuid,
            Part::Text("@".into()),
            Part::Timestamp,
            Part::Text("!".into()),
        ]
    );
    assert_eq!(parse_template("").unwrap(), []);
    assert_eq!(
        parse_template("a } b }} c { d").unwrap(),
        [Part::Text("a } b }} c { d".into())]
    );
    assert_eq!(parse_template("{{{{uuid}}"), Err(TemplateError::Unknown));
}

#[test]
fn a_null_is_as_if_nothing_was_said() {
    let mut config = Map::new();
    config.insert("length".into(), Value::Null);
    let made = parsed("hex", Value::Object(config));
    assert_eq!(made, Generator::Hex(HexConfig { length: 32 }));
}
