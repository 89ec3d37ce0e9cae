//! No value breaks out of the place it is put into.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn with<R>(text: &str, look: impl FnOnce(&Values<'_>) -> R) -> R {
    let object = json!({ "x": text }).to_string().into_bytes();
    let credential = Plaintext::new(object);
    let account = Map::from_iter([
        ("x".to_owned(), json!(text)),
        ("list".to_owned(), json!([text, "b"])),
    ]);
    look(&Values {
        manager: Some(&credential),
        credential: Some(&credential),
        account: Some(&account),
        tag: text,
        id: Some(text),
    })
}

fn hostile() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "..", ".", "/", "\\", "\"", "'", "\r\n", "\n", "\0", "%2e%2e", "%00", "?", "#", "&", "=",
        "{{tag}}", "}}", "{{", "\u{202e}", "\u{fffd}", "ü", "a", ",", ";", "@", ":", " ",
    ]);
    prop_oneof![
        any::<String>(),
        prop::collection::vec(nasty, 0..12).prop_map(|parts| parts.concat()),
    ]
}

fn template(text: &str) -> Template {
    Template::parse(text).expect("a template")
}

proptest! {
    #[test]
    fn a_path_has_the_segments_of_its_template(text in hostile()) {
        let path = with(&text, |values| template("/v3/keys/{{id}}/end").path(values));
        if let Ok(path) = path {
            let mut url = url::Url::parse("https://host.test").expect("a URL");
            url.set_path(&path);
            prop_assert_eq!(url.path(), path.as_str());
            prop_assert_eq!(url.query(), None);
            prop_assert_eq!(url.fragment(), None);
            prop_assert_eq!(url.host_str(), Some("host.test"));
            let segments: Vec<_> = url.path_segments().expect("segments").collect();
            prop_assert_eq!(segments.len(), 4);
            prop_assert_eq!((segments[0], segments[1], segments[3]), ("v3", "keys", "end"));
            let back: Vec<u8> = percent_decode(segments[2]);
            prop_assert_eq!(back, text.as_bytes());
        } else {
            prop_assert!(text.is_empty() || text == "." || text == "..");
        }
    }

    #[test]
    fn a_header_is_one_line_with_the_text_as_it_is(text in hostile()) {
        let header = with(&text, |values| template("Bearer {{manager.x}}").header(values));
        let plain = text.bytes().all(|byte| byte == b'\t' || (32..127).contains(&byte));
        match header {
            Ok(header) => {
                prop_assert!(plain);
                let whole = format!("Bearer {text}");
                prop_assert_eq!(header.as_bytes(), whole.as_bytes());
                prop_assert!(header.is_sensitive());
            }
            Err(_) => prop_assert!(!plain),
        }
    }

    #[test]
    fn a_json_string_stays_one_string(text in hostile()) {
        let body = json!({ "name": "{{tag}}", "a": ["x {{credential.x}} y", 1], "s": "{{account.list}}" });
        let made = with(&text, |values| super::json(&body, values)).expect("a body");
        let read: Value = serde_json::from_str(&made.to_string()).expect("JSON");
        prop_assert_eq!(
            read,
            json!({ "name": text, "a": [format!("x {text} y"), 1], "s": [text, "b"] })
        );
    }

    #[test]
    fn nothing_that_is_parsed_panics(text in hostile()) {
        if let Ok(template) = Template::parse(&text) {
            let names = template.names().count();
            prop_assert_eq!(text.matches("{{").count(), names);
        }
    }
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).expect("hex"));
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

#[test]
fn only_known_names_and_whole_braces_are_read() {
    for wrong in [
        "{{}}",
        "{{ tag }}",
        "{{manager}}",
        "{{manager.}}",
        "{{env.PATH}}",
        "{{manager.a.b}}",
        "{{tag",
        "tag}}",
        "{{{{tag}}}}",
    ] {
        assert!(Template::parse(wrong).is_err(), "{wrong}");
    }
    assert_eq!(template("{{tag}}").whole(), Some(&Name::Tag));
    assert_eq!(template("a{{tag}}").whole(), None);
}

#[test]
fn dots_put_together_from_pieces_are_refused() {
    let refused = with(".", |values| template("/keys/{{id}}{{id}}").path(values));
    assert_eq!(refused.unwrap_err().kind, TroubleKind::Credential);
}

#[test]
fn a_missing_field_is_named() {
    let trouble = with("x", |values| template("{{manager.y}}").plain(values)).unwrap_err();
    assert_eq!(trouble.kind, TroubleKind::ManagerMissing);
    assert!(trouble.remedy[0].contains("`y`"));
}
