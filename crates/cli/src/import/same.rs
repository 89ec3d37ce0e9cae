//! Whether two values are the same JSON, digit by digit, without building either.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Deeper values count as different where their texts differ.
const DEPTH_MAX: u32 = 64;

/// The order of keys, spaces and escapes make no difference. Numbers are compared as they are written:
/// read as floating point, long ones would all be the same.
pub(crate) fn same(one: &RawValue, other: &RawValue) -> bool {
    same_within(one.get(), other.get(), DEPTH_MAX)
}

fn same_within(one: &str, other: &str, depth: u32) -> bool {
    if one == other {
        return true;
    }
    if depth == 0 {
        return false;
    }
    match (one.as_bytes().first(), other.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => {
            let (Some(one), Some(other)) = (object(one), object(other)) else {
                return false;
            };
            one.len() == other.len()
                && one
                    .iter()
                    .zip(&other)
                    .all(|((key, value), (key_2, value_2))| {
                        key == key_2 && same_within(value.get(), value_2.get(), depth - 1)
                    })
        }
        (Some(b'['), Some(b'[')) => {
            let (Some(one), Some(other)) =
                (read::<Vec<&RawValue>>(one), read::<Vec<&RawValue>>(other))
            else {
                return false;
            };
            one.len() == other.len()
                && one
                    .iter()
                    .zip(&other)
                    .all(|(value, value_2)| same_within(value.get(), value_2.get(), depth - 1))
        }
        (Some(b'"'), Some(b'"')) => {
            matches!((read::<String>(one), read::<String>(other)), (Some(one), Some(other)) if one == other)
        }
        _ => false,
    }
}

fn object(text: &str) -> Option<BTreeMap<String, &RawValue>> {
    read(text)
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(one: &str, other: &str, expect: bool) {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        assert_eq!(same(&raw(one), &raw(other)), expect, "{one} {other}");
        assert_eq!(same(&raw(other), &raw(one)), expect, "{other} {one}");
    }

    #[test]
    fn form_makes_no_difference() {
        check(
            r#"{"a":1,"b":[true,null]}"#,
            r#"{ "b":[ true,null], "a":1 }"#,
            true,
        );
        check(r#"{"a":"<\u00e9"}"#, r#"{"a":"\u003cé"}"#, true);
        check("{}", "{ }", true);
    }

    #[test]
    fn content_does() {
        check(r#"{"a":1}"#, r#"{"a":2}"#, false);
        check(r#"{"a":1}"#, r#"{"a":"1"}"#, false);
        check(r#"{"a":1}"#, r#"{"a":1,"b":1}"#, false);
        check(r#"{"a":1}"#, r#"{"b":1}"#, false);
        check("[1,2]", "[2,1]", false);
        check("[1]", "[1,1]", false);
        check("{}", "[]", false);
        check("true", "false", false);
    }

    #[test]
    fn long_numbers_are_not_rounded() {
        check(
            r#"{"a": 123456789012345678901}"#,
            r#"{"a":123456789012345678902}"#,
            false,
        );
    }
}
