//! Markers, and looking for them in every form in which bytes leave a program.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use memchr::memmem;

/// Begins every planted value that is a secret by its place.
pub(super) const SECRET: &str = "cnrysecretq7x9zk";
/// Begins every planted value that is none: descriptions, metadata, header fields.
pub(super) const PLAIN: &str = "cnryplainw4v8hjt";

/// The forms of a marker and what they are called.
fn forms(marker: &str) -> Vec<(String, String)> {
    let bytes = marker.as_bytes();
    let reversed: String = marker.chars().rev().collect();
    let mut forms = vec![
        ("raw".to_owned(), marker.to_owned()),
        ("upper case".to_owned(), marker.to_ascii_uppercase()),
        ("reversed".to_owned(), reversed),
        ("hex".to_owned(), hex::encode(bytes)),
        ("upper hex".to_owned(), hex::encode_upper(bytes)),
    ];
    let percent: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    forms.push(("URL-encoded".to_owned(), percent.to_ascii_uppercase()));
    forms.push(("URL-encoded, small".to_owned(), percent));
    let escaped = |c: char| format!("\\u{:04x}", u32::from(c));
    forms.push((
        "JSON-escaped".to_owned(),
        marker.chars().map(escaped).collect(),
    ));
    let wide: String = marker.chars().flat_map(|c| [c, '\0']).collect();
    forms.push(("UTF-16".to_owned(), wide));
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    forms.push(("list of bytes".to_owned(), numbers.join(",")));
    forms.push(("list of bytes, spaced".to_owned(), numbers.join(", ")));
    for (name, engine) in [("base64", &STANDARD), ("base64url", &URL_SAFE)] {
        for before in 0..3 {
            // Wherever it begins in a longer text: the characters that depend on neighbours are cut.
            let mut shifted = vec![0; before];
            shifted.extend_from_slice(bytes);
            let whole = engine.encode(&shifted[..shifted.len() / 3 * 3]);
            let from = if before == 0 { 0 } else { 4 };
            forms.push((format!("{name}, {before} before"), whole[from..].to_owned()));
        }
    }
    forms
}

/// In which form the marker is in there, if it is, and what stands around it.
pub(super) fn found(bytes: &[u8], marker: &str) -> Option<String> {
    forms(marker).into_iter().find_map(|(name, form)| {
        let at = memmem::find(bytes, form.as_bytes())?;
        let around = &bytes[at.saturating_sub(120)..bytes.len().min(at + 120)];
        Some(format!("{name}: {}", around.escape_ascii()))
    })
}

#[test]
fn a_marker_is_found_in_every_form() {
    let engines = [STANDARD, URL_SAFE];
    for marker in [SECRET, PLAIN] {
        let value = format!("{marker}-17-tail");
        for before in ["", "a", "ab", "abc", "\u{e9}?"] {
            let text = format!("{before}{value}");
            let mut written = vec![
                text.clone(),
                text.to_uppercase(),
                hex::encode(&text),
                hex::encode_upper(&text),
                format!("{:?}", text.as_bytes()),
                text.bytes().map(|byte| format!("%{byte:02X}")).collect(),
                text.encode_utf16()
                    .map(|unit| format!("\\u{unit:04x}"))
                    .collect(),
                text.encode_utf16()
                    .flat_map(|unit| unit.to_le_bytes())
                    .map(char::from)
                    .collect(),
                text.chars().rev().collect(),
            ];
            written.extend(engines.iter().map(|engine| engine.encode(&text)));
            for form in written {
                let around = format!("{{\"x\": \"{form}\"}}");
                assert!(found(around.as_bytes(), marker).is_some(), "{around}");
            }
        }
        assert_eq!(found(b"cnry and nothing more", marker), None);
    }
    assert_eq!(found(SECRET.as_bytes(), PLAIN), None);
}
