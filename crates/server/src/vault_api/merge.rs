//! Values in parts: a patch laid over a value, and a value without what its leaves say. What a patch
//! does not touch stays byte for byte: numbers keep their digits.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// An object with its members as they were written.
type Object<'a> = BTreeMap<String, &'a RawValue>;

fn object(text: &str) -> Option<Object<'_>> {
    serde_json::from_str(text).ok()
}

/// A merge patch (RFC 7396) laid over an object. `None` where one of them is no object.
pub(super) fn merged(value: &str, patch: &str) -> Option<Vec<u8>> {
    Some(merged_text(&object(value)?, &object(patch)?).into_bytes())
}

fn merged_text(value: &Object<'_>, patch: &Object<'_>) -> String {
    let none = Object::new();
    let mut members: BTreeMap<&str, String> = value
        .iter()
        .map(|(name, member)| (name.as_str(), member.get().to_owned()))
        .collect();
    for (name, change) in patch {
        let text = change.get();
        match object(text).filter(|_| text.starts_with('{')) {
            Some(inner) => {
                let old = value.get(name).map(|old| old.get());
                let old = old.filter(|old| old.starts_with('{')).and_then(object);
                members.insert(name, merged_text(old.as_ref().unwrap_or(&none), &inner));
            }
            None if text == "null" => {
                members.remove(name.as_str());
            }
            None => {
                members.insert(name, text.to_owned());
            }
        }
    }
    let written = members.iter().map(|(name, text)| {
        let name = Value::from(*name);
        format!("{name}:{text}")
    });
    format!("{{{}}}", written.collect::<Vec<_>>().join(","))
}

/// A value with `null` for every leaf, and for everything below `depth`; 0 for all there is.
pub(super) fn subkeys(value: Value, depth: u64) -> Value {
    fn below(value: Value, depth: u64, at: u64) -> Value {
        match value {
            Value::Object(map) => map
                .into_iter()
                .map(|(name, member)| {
                    let goes_on = member.as_object().is_some_and(|map| !map.is_empty())
                        && (depth == 0 || at < depth);
                    let shown = match goes_on {
                        true => below(member, depth, at + 1),
                        false => Value::Null,
                    };
                    (name, shown)
                })
                .collect::<serde_json::Map<_, _>>()
                .into(),
            _ => Value::Null,
        }
    }
    below(value, depth, 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patches_are_laid_over() {
        let check = |value: &str, patch: &str, expect: &str| {
            let found = merged(value, patch).unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), expect);
        };
        check(
            r#"{"a":1,"b":2}"#,
            r#"{"b":3,"c":"x"}"#,
            r#"{"a":1,"b":3,"c":"x"}"#,
        );
        check(r#"{"a":1,"b":2}"#, r#"{"a":null}"#, r#"{"b":2}"#);
        check(
            r#"{"a":{"x":1,"y":2}}"#,
            r#"{"a":{"x":null,"z":3}}"#,
            r#"{"a":{"y":2,"z":3}}"#,
        );
        check(
            r#"{"a":1}"#,
            r#"{"a":{"b":null,"c":1}}"#,
            r#"{"a":{"c":1}}"#,
        );
        check(r#"{"a":{"b":1}}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#);
        check(
            r#"{"n":12345678901234567890123.450}"#,
            "{}",
            r#"{"n":12345678901234567890123.450}"#,
        );
        check(r#"{"q\"\n":1}"#, r#"{"q\"\n":2}"#, r#"{"q\"\n":2}"#);
        assert!(merged("[1]", "{}").is_none() && merged("{}", "7").is_none());
    }

    #[test]
    fn leaves_say_nothing() {
        let value = json!({ "a": "secret", "b": { "c": { "d": 1 }, "e": [1] }, "f": {} });
        let check = |depth, expect: Value| assert_eq!(subkeys(value.clone(), depth), expect);
        check(
            0,
            json!({ "a": null, "b": { "c": { "d": null }, "e": null }, "f": null }),
        );
        check(1, json!({ "a": null, "b": null, "f": null }));
        check(
            2,
            json!({ "a": null, "b": { "c": null, "e": null }, "f": null }),
        );
    }
}
