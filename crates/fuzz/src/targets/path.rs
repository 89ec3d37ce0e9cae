//! Paths of secrets: what was accepted is exactly its text, in the one alphabet there is.

use scaivault_core::path::{PATH_CHARS_MAX, PATH_SEGMENTS_MAX, SecretPath, check_prefix};

use crate::target::{Target, text, texts};

pub(crate) const TARGET: Target = Target {
    name: "path",
    seeds: || {
        texts(&[
            "app/db",
            "integrations/salesforce/oauth",
            "a",
            "a/b/c/d/e/f/g/h/i/j",
            "batch",
        ])
    },
    words: &[
        "/", "//", "..", ".", "%2f", "%2e", "versions", "metadata", "ack", "A", "\u{ff0f}",
        "\u{2215}", "\\", "\0",
    ],
    run,
};

fn run(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(path) = SecretPath::parse(text) else {
        return;
    };
    assert_eq!(path.as_str(), text);
    assert!(text.len() <= PATH_CHARS_MAX);
    let alphabet = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'/');
    assert!(text.bytes().all(alphabet));
    let segments: Vec<&str> = path.segments().collect();
    assert_eq!(segments.join("/"), text);
    assert!((1..=PATH_SEGMENTS_MAX).contains(&segments.len()));
    assert!(segments.iter().all(|segment| !segment.is_empty()));
    assert_eq!(check_prefix(text), Ok(()));
    let written = serde_json::to_string(&path).expect("a text");
    assert_eq!(
        serde_json::from_str::<SecretPath>(&written).ok(),
        Some(path)
    );
}
