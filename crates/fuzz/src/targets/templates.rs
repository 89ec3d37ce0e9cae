//! Recipes for values: what was accepted makes values, of the length that was said, and a template is
//! the sum of its parts.

use scaivault_core::recipe::{Generator, Part, RawField, parse_fields, parse_template};
use scaivault_core::time::Timestamp;
use scaivault_crypto::recipe::make;
use scaivault_testkit::SeededEntropy;
use serde_json::{Map, Value};

use crate::target::{Target, texts};

pub(crate) const TARGET: Target = Target {
    name: "templates",
    seeds: || {
        texts(&[
            "template {\"template\":\"a-{{random:8}}-{{hex:4}}-{{uuid}}-{{timestamp}}\"}",
            "random {\"length\":12,\"charset\":\"ascii\",\"require_upper\":true,\"require_digit\":true,\"exclude\":\"abc\"}",
            "hex {\"length\":7}",
            "uuid {\"version\":7}",
            "static {\"value\":\"x{{\"}",
            "random {\"charset\":\"custom\",\"custom_charset\":\"ab\u{e9}\"}",
        ])
    },
    words: &[
        "{{",
        "}}",
        "random:",
        "hex:",
        "uuid",
        "timestamp",
        "0",
        "4096",
        "4097",
        "+1",
        "\"length\":",
        "\"charset\":",
        "custom",
        " ",
        "\u{e9}",
    ],
    run,
};

fn run(data: &[u8]) {
    let Some((word, config)) = crate::text(data).and_then(|text| text.split_once(' ')) else {
        return;
    };
    if let Ok(parts) = parse_template(config) {
        let written: String = parts.iter().map(text_of).collect();
        assert_eq!(parse_template(&written).as_ref(), Ok(&parts), "{config}");
    }
    let Ok(config) = serde_json::from_str::<Map<String, Value>>(config) else {
        return;
    };
    let raw = RawField {
        name: "k".into(),
        generator: word.into(),
        config,
    };
    let Ok(fields) = parse_fields(&[raw]) else {
        return;
    };
    let printed = serde_json::to_string(&fields).expect("it prints");
    assert_eq!(
        serde_json::from_str::<Vec<_>>(&printed).ok().as_ref(),
        Some(&fields)
    );
    let field = &fields[0];
    if field.generator.is_slow() || matches!(field.generator, Generator::EcKeypair(_)) {
        return;
    }
    let entropy = SeededEntropy::new(1);
    let made = make(&fields, &entropy, Timestamp::from_secs(1_800_000_000)).expect("a value");
    assert_eq!(made.len(), field.keys().len());
    assert!(field.generator.bits() >= 0.0);
    let text = std::str::from_utf8(made[0].value.expose()).expect("text");
    match &field.generator {
        Generator::Random(config) => {
            assert_eq!(text.len(), usize::try_from(config.length).expect("small"));
            assert!(text.bytes().all(|byte| config.alphabet().contains(&byte)));
            assert!(
                config
                    .required()
                    .all(|class| text.bytes().any(|byte| class.has(byte)))
            );
        }
        Generator::Hex(config) => {
            assert_eq!(text.len(), usize::try_from(config.length).expect("small"))
        }
        Generator::Uuid(_) => assert_eq!(text.len(), 36),
        Generator::Static(config) => assert_eq!(text, config.value),
        Generator::Template(config) => {
            let parts = parse_template(&config.template).expect("it was accepted");
            let most: usize = parts.iter().map(Part::chars_max).sum();
            assert!(text.chars().count() <= most && most <= 16_384);
        }
        _ => {}
    }
}

fn text_of(part: &Part) -> String {
    match part {
        Part::Text(text) => text.clone(),
        Part::Random(length) => format!("{{{{random:{length}}}}}"),
        Part::Hex(length) => format!("{{{{hex:{length}}}}}"),
        Part::Uuid => "{{uuid}}".into(),
        Part::Timestamp => "{{timestamp}}".into(),
    }
}
